//! The names that the document uses for numbers: a line of words per kind, where the place of a word is its number; `-`
//! fills a number that has no name.
//!
//! One text instead of slices of `&str`: a word costs its letters, no pointer and no relocation.
#![forbid(unsafe_code)]

use crate::error::Rule;

/// A kind of name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Names {
    /// `linux.namespaces[].type`, as in [`NamespaceKind`].
    Namespace,
    /// `process.capabilities.*[]`; the kernel's numbers.
    Capability,
    /// `process.rlimits[].type`; the kernel's numbers.
    Rlimit,
    /// `process.scheduler.policy`; the kernel's numbers.
    SchedPolicy,
    /// `process.scheduler.flags[]`; bit numbers.
    SchedFlag,
    /// `process.ioPriority.class`; the kernel's numbers.
    IoClass,
    /// `linux.memoryPolicy.mode`; the kernel's numbers.
    MemPolicy,
    /// `linux.memoryPolicy.flags[]`; bit numbers.
    MemPolicyFlag,
    /// `linux.devices[].type`: twice the number in [`DeviceKind`], so that c and u are one.
    Device,
    /// `linux.resources.devices[].type`.
    DeviceRule,
    /// `linux.rootfsPropagation`, as in [`Propagation`].
    Propagation,
    /// `linux.personality.domain`.
    Personality,
    /// `linux.seccomp` actions, as in [`SeccompAction`]; `KILL` is [`SeccompAction::KillThread`].
    SeccompAction,
    /// `linux.seccomp.syscalls[].args[].op`, as in [`SeccompOp`].
    SeccompOp,
    /// `linux.seccomp.architectures[]`; numbers of our own.
    Arch,
    /// `linux.seccomp.flags[]`; bit numbers.
    SeccompFlag,
}

impl Names {
    /// What a name must be.
    pub(super) fn rule(self) -> Rule {
        match self {
            Self::Namespace => Rule::NameNamespace,
            // Unknown capabilities are no error.
            Self::Capability => Rule::Never,
            Self::Rlimit => Rule::NameRlimit,
            Self::SchedPolicy => Rule::NameSchedPolicy,
            Self::SchedFlag => Rule::NameSchedFlag,
            Self::IoClass => Rule::NameIoClass,
            Self::MemPolicy => Rule::NameMemPolicy,
            Self::MemPolicyFlag => Rule::NameMemPolicyFlag,
            Self::Device => Rule::NameDevice,
            Self::DeviceRule => Rule::NameDeviceRule,
            Self::Propagation => Rule::NamePropagation,
            Self::Personality => Rule::NamePersonality,
            Self::SeccompAction => Rule::NameSeccompAction,
            Self::SeccompOp => Rule::NameSeccompOp,
            Self::Arch => Rule::NameArch,
            Self::SeccompFlag => Rule::NameSeccompFlag,
        }
    }

    /// What all names of the kind begin with, and the words.
    fn line(self) -> (&'static str, &'static str) {
        let start = STARTS.get(self as usize).copied().unwrap_or(0);
        let rest = LINES.get(usize::from(start)..).unwrap_or("");
        let line = rest.split('\n').next().unwrap_or("");
        line.split_once(':').unwrap_or_default()
    }

    /// The part that all names of this kind begin with.
    #[must_use]
    pub fn prefix(self) -> &'static str {
        self.line().0
    }

    /// The words after the prefix, in the order of their numbers; `-` stands for a number without a name.
    pub fn words(self) -> impl Iterator<Item = &'static str> {
        self.line().1.split(' ')
    }

    /// The number of the name that these bytes spell.
    pub fn number(self, name: impl Iterator<Item = u8>) -> Option<u8> {
        // Longer than any name: the longest has 38 letters.
        let (mut letters, mut len) = ([0; 40], 0);
        for byte in name {
            *letters.get_mut(len)? = byte;
            len += 1;
        }
        self.place(letters.get(..len)?)
    }

    /// The number of a name.
    #[must_use]
    pub fn place(self, name: &[u8]) -> Option<u8> {
        let (prefix, words) = self.line();
        let name = name.strip_prefix(prefix.as_bytes())?;
        let mut words = words.as_bytes().split(|byte| *byte == b' ');
        let place = words.position(|word| word == name && word != b"-")?;
        u8::try_from(place).ok()
    }

    /// The word (without prefix) of a number.
    #[must_use]
    pub fn word(self, number: u8) -> Option<&'static str> {
        self.words()
            .nth(usize::from(number))
            .filter(|word| *word != "-")
    }
}

/// A line for each kind, in their order: the prefix, and the words from that of number 0 on.
const LINES: &str = "\
    :pid network mount ipc uts user cgroup time\n\
    CAP_:CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE \
    NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE \
    SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE \
    AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF \
    CHECKPOINT_RESTORE\n\
    RLIMIT_:CPU FSIZE DATA STACK CORE RSS NPROC NOFILE MEMLOCK AS LOCKS SIGPENDING MSGQUEUE NICE RTPRIO RTTIME\n\
    SCHED_:OTHER FIFO RR BATCH ISO IDLE DEADLINE\n\
    SCHED_FLAG_:RESET_ON_FORK RECLAIM DL_OVERRUN KEEP_POLICY KEEP_PARAMS UTIL_CLAMP_MIN UTIL_CLAMP_MAX\n\
    IOPRIO_CLASS_:- RT BE IDLE\n\
    MPOL_:DEFAULT PREFERRED BIND INTERLEAVE LOCAL PREFERRED_MANY WEIGHTED_INTERLEAVE\n\
    MPOL_F_:- - - - - - - - - - - - - NUMA_BALANCING RELATIVE_NODES STATIC_NODES\n\
    :c u b - p\n\
    :a c b\n\
    :shared slave private unbindable rshared rslave rprivate runbindable\n\
    :LINUX LINUX32\n\
    SCMP_ACT_:KILL KILL_THREAD KILL_PROCESS TRAP ERRNO TRACE ALLOW LOG NOTIFY\n\
    SCMP_CMP_:NE LT LE EQ GE GT MASKED_EQ\n\
    SCMP_ARCH_:X86 X86_64 X32 ARM AARCH64 MIPS MIPS64 MIPS64N32 MIPSEL MIPSEL64 MIPSEL64N32 PPC PPC64 PPC64LE S390 \
    S390X PARISC PARISC64 RISCV64 LOONGARCH64 M68K SH SHEB\n\
    SECCOMP_FILTER_FLAG_:TSYNC LOG SPEC_ALLOW - - WAIT_KILLABLE_RECV";

/// Where each line begins.
static STARTS: [u16; Names::SeccompFlag as usize + 1] = starts();

#[allow(
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    reason = "asserted and evaluated while compiling"
)]
const fn starts() -> [u16; Names::SeccompFlag as usize + 1] {
    assert!(LINES.len() <= u16::MAX as usize);
    let mut starts = [0; Names::SeccompFlag as usize + 1];
    let (mut kind, mut at) = (0, 0);
    while at < LINES.len() {
        if LINES.as_bytes()[at] == b'\n' {
            kind += 1;
            starts[kind] = at as u16 + 1;
        }
        at += 1;
    }
    assert!(kind + 1 == starts.len());
    starts
}

/// An enum whose variants are numbered from 0, and the way from the number.
macro_rules! numbered {
    ($(#[$meta:meta])* $name:ident { $($(#[$vmeta:meta])* $variant:ident,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[repr(u8)]
        pub enum $name { $($(#[$vmeta])* $variant,)* }

        impl $name {
            /// The variant with this number; the first one for a number that has none.
            #[must_use]
            pub(super) fn from_number(number: u8) -> Self {
                $(if number == Self::$variant as u8 { return Self::$variant; })*
                Self::default()
            }
        }
    };
}

numbered! {
    /// The kinds of namespace.
    NamespaceKind {
        /// CLONE_NEWPID.
        #[default]
        Pid,
        /// CLONE_NEWNET.
        Network,
        /// CLONE_NEWNS.
        Mount,
        /// CLONE_NEWIPC.
        Ipc,
        /// CLONE_NEWUTS.
        Uts,
        /// CLONE_NEWUSER.
        User,
        /// CLONE_NEWCGROUP.
        Cgroup,
        /// CLONE_NEWTIME.
        Time,
    }
}

numbered! {
    /// What a device node is.
    DeviceKind {
        /// `c` or `u`.
        #[default]
        Char,
        /// `b`.
        Block,
        /// `p`: no numbers.
        Fifo,
    }
}

numbered! {
    /// Propagation of a mount.
    Propagation {
        /// MS_SHARED.
        #[default]
        Shared,
        /// MS_SLAVE.
        Slave,
        /// MS_PRIVATE.
        Private,
        /// MS_UNBINDABLE.
        Unbindable,
        /// MS_SHARED, MS_REC.
        RecShared,
        /// MS_SLAVE, MS_REC.
        RecSlave,
        /// MS_PRIVATE, MS_REC.
        RecPrivate,
        /// MS_UNBINDABLE, MS_REC.
        RecUnbindable,
    }
}

numbered! {
    /// What a filter does with a call.
    SeccompAction {
        /// SECCOMP_RET_KILL_THREAD under its old name.
        #[default]
        Kill,
        /// SECCOMP_RET_KILL_THREAD.
        KillThread,
        /// SECCOMP_RET_KILL_PROCESS.
        KillProcess,
        /// SECCOMP_RET_TRAP.
        Trap,
        /// SECCOMP_RET_ERRNO.
        Errno,
        /// SECCOMP_RET_TRACE.
        Trace,
        /// SECCOMP_RET_ALLOW.
        Allow,
        /// SECCOMP_RET_LOG.
        Log,
        /// SECCOMP_RET_USER_NOTIF.
        Notify,
    }
}

numbered! {
    /// How a filter compares an argument.
    SeccompOp {
        /// Not equal.
        #[default]
        Ne,
        /// Less than.
        Lt,
        /// Less or equal.
        Le,
        /// Equal.
        Eq,
        /// Greater or equal.
        Ge,
        /// Greater than.
        Gt,
        /// Equal after masking.
        MaskedEq,
    }
}

#[cfg(test)]
mod tests {
    use super::{Names, Propagation, SeccompAction, SeccompOp};

    #[test]
    fn numbers_are_those_of_the_kernel() {
        for (kind, name, number) in [
            (Names::Capability, "CAP_CHOWN", Some(0)),
            (Names::Capability, "CAP_SYS_ADMIN", Some(21)),
            (Names::Capability, "CAP_CHECKPOINT_RESTORE", Some(40)),
            (Names::Capability, "CAP_CHECKPOINT_RESTOR", None),
            (Names::Capability, "CAP_", None),
            (Names::Capability, "SYS_ADMIN", None),
            (Names::Rlimit, "RLIMIT_NOFILE", Some(7)),
            (Names::Rlimit, "RLIMIT_RTTIME", Some(15)),
            (Names::IoClass, "IOPRIO_CLASS_IDLE", Some(3)),
            (Names::MemPolicyFlag, "MPOL_F_STATIC_NODES", Some(15)),
            (Names::MemPolicy, "MPOL_WEIGHTED_INTERLEAVE", Some(6)),
            (Names::SchedPolicy, "SCHED_DEADLINE", Some(6)),
            (
                Names::SeccompFlag,
                "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV",
                Some(5),
            ),
            (Names::SeccompFlag, "SECCOMP_FILTER_FLAG_-", None),
            (Names::Device, "-", None),
            (Names::Namespace, "", None),
            (Names::Namespace, "time", Some(7)),
            (Names::Arch, "SCMP_ARCH_SHEB", Some(22)),
        ] {
            assert_eq!(kind.number(name.bytes()), number, "{name}");
        }
        assert_eq!(Names::IoClass.word(1), Some("RT"));
        assert_eq!(Names::IoClass.word(0), None);
        assert_eq!(Names::SeccompFlag.word(3), None);
    }

    #[test]
    fn enums_follow_their_words() {
        let at = |names: Names, name: &str| names.number(name.bytes()).expect("a known name");
        assert_eq!(
            Propagation::from_number(at(Names::Propagation, "runbindable")),
            Propagation::RecUnbindable
        );
        assert_eq!(
            SeccompAction::from_number(at(Names::SeccompAction, "SCMP_ACT_NOTIFY")),
            SeccompAction::Notify
        );
        assert_eq!(
            SeccompOp::from_number(at(Names::SeccompOp, "SCMP_CMP_MASKED_EQ")),
            SeccompOp::MaskedEq
        );
    }
}
