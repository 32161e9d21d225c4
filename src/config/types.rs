//! What config.json says, as numbers and ranges: the whole of runtime-spec 1.3 that concerns Linux.
//!
//! Scalars stand in [`Config`] and its parts, lists are ranges ([`List`]) into [`super::Pools`], strings are ranges
//! ([`Text`]) of the document. `at` is the offset of the value in the document, for faults. A property that is absent
//! or null is `None`, false, 0 or an empty list; where absence means something else than that, it is an `Option`.
#![forbid(unsafe_code)]

pub use super::linux::{
    BlockIo, Cpu, DeviceRule, HugepageLimit, IntelRdt, Linux, Memory, MemoryPolicy, NetDevice,
    NetPriority, Network, Personality, Pids, Rdma, Resources, Seccomp, SeccompArg, SeccompRule,
    ThrottleDevice, TimeOffset, TimeOffsets, WeightDevice,
};
use super::names::{DeviceKind, NamespaceKind};
pub use super::text::Text;

/// A range of one of the pools.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct List {
    /// Index of the first entry.
    pub start: u32,
    /// Number of entries.
    pub len: u32,
}

impl List {
    /// The entries, out of the pool that the field's documentation names.
    #[must_use]
    pub fn of<T>(self, pool: &[T]) -> &[T] {
        let start = self.start as usize;
        pool.get(start..start + self.len as usize).unwrap_or(&[])
    }

    /// Whether it has no entries.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.len == 0
    }
}

/// The document.
#[derive(Clone, Copy, Debug, Default)]
pub struct Config {
    /// Offset of the object.
    pub at: u32,
    /// Version of the specification that it was written for; what has changed since is taken care of.
    pub oci_version: Text,
    /// The root filesystem; `read` refuses a document without one.
    pub root: Option<Root>,
    /// The process to run; without it `start` is an error.
    pub process: Option<Process>,
    /// Node name in the uts namespace.
    pub hostname: Option<Text>,
    /// NIS domain name in the uts namespace.
    pub domainname: Option<Text>,
    /// In `Pools::mounts`.
    pub mounts: List,
    /// Commands for moments of the lifecycle.
    pub hooks: Option<Hooks>,
    /// In `Pools::annotations`; keys are not empty.
    pub annotations: List,
    /// Everything that is not portable.
    pub linux: Option<Linux>,
}

/// `root`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Root {
    /// Offset of the object.
    pub at: u32,
    /// Not empty; absolute or relative to the bundle.
    pub path: Text,
    /// "/" is remounted read-only.
    pub readonly: bool,
}

/// `process`, also as a document of its own.
#[derive(Clone, Copy, Debug, Default)]
pub struct Process {
    /// Offset of the object.
    pub at: u32,
    /// A pseudoterminal is its stdio.
    pub terminal: bool,
    /// Size of the terminal.
    pub console_size: Option<ConsoleSize>,
    /// Absolute.
    pub cwd: Text,
    /// In `Pools::env`; every entry has a name, '=' and no NUL.
    pub env: List,
    /// In `Pools::args`; at least one.
    pub args: List,
    /// Who it runs as.
    pub user: User,
    /// `None`: capabilities are left as they are.
    pub capabilities: Option<Capabilities>,
    /// In `Pools::rlimits`; each resource at most once.
    pub rlimits: List,
    /// PR_SET_NO_NEW_PRIVS.
    pub no_new_privileges: bool,
    /// AppArmor profile to change to at exec; an empty one is given as `None`.
    pub apparmor_profile: Option<Text>,
    /// SELinux label of the process; an empty one is given as `None`.
    pub selinux_label: Option<Text>,
    /// −1000 to 1000.
    pub oom_score_adj: Option<i32>,
    /// sched_setattr(2).
    pub scheduler: Option<Scheduler>,
    /// ioprio_set(2).
    pub io_priority: Option<IoPriority>,
    /// CPU affinity of `exec`.
    pub exec_cpu_affinity: Option<CpuAffinity>,
}

/// `process.consoleSize`; both at most 65535, the width of `struct winsize`.
#[derive(Clone, Copy, Debug, Default)]
pub struct ConsoleSize {
    /// Offset of the object.
    pub at: u32,
    /// Rows.
    pub height: u16,
    /// Columns.
    pub width: u16,
}

/// `process.user`.
#[derive(Clone, Copy, Debug, Default)]
pub struct User {
    /// Offset of the object; 0 when it is absent.
    pub at: u32,
    /// Not 4294967295, which the kernel takes as "unchanged".
    pub uid: u32,
    /// Not 4294967295.
    pub gid: u32,
    /// At most 0o777.
    pub umask: Option<u32>,
    /// In `Pools::groups`; none of them 4294967295.
    pub additional_gids: List,
}

/// `process.capabilities`: bit N of a set is capability number N. `None` is an absent list.
#[derive(Clone, Copy, Debug, Default)]
pub struct Capabilities {
    /// Offset of the object.
    pub at: u32,
    /// What can be gained at all.
    pub bounding: Option<u64>,
    /// What is in force.
    pub effective: Option<u64>,
    /// What survives exec of a file with inheritable capabilities.
    pub inheritable: Option<u64>,
    /// What can be put in force.
    pub permitted: Option<u64>,
    /// What survives exec of any file.
    pub ambient: Option<u64>,
    /// Names that ocilet does not know, over all sets; worth a warning. The first ones are in
    /// `Pools::unknown_capabilities`.
    pub unknown: u32,
}

/// An entry of `process.rlimits`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rlimit {
    /// Offset of the object.
    pub at: u32,
    /// The kernel's number of the resource (RLIMIT_CPU is 0).
    pub resource: u8,
    /// Not above `hard`.
    pub soft: u64,
    /// `u64::MAX` is RLIM_INFINITY.
    pub hard: u64,
}

/// `process.scheduler`, for sched_setattr(2).
#[derive(Clone, Copy, Debug, Default)]
pub struct Scheduler {
    /// Offset of the object.
    pub at: u32,
    /// The kernel's number: SCHED_OTHER 0, FIFO 1, RR 2, BATCH 3, ISO 4, IDLE 5, DEADLINE 6.
    pub policy: u8,
    /// −20 to 19; only with OTHER and BATCH.
    pub nice: i32,
    /// Only with FIFO and RR.
    pub priority: u32,
    /// SCHED_FLAG_* as the kernel has them.
    pub flags: u64,
    /// Nanoseconds; only with DEADLINE.
    pub runtime: u64,
    /// Nanoseconds; only with DEADLINE.
    pub deadline: u64,
    /// Nanoseconds; only with DEADLINE.
    pub period: u64,
}

/// `process.ioPriority`, for ioprio_set(2).
#[derive(Clone, Copy, Debug, Default)]
pub struct IoPriority {
    /// Offset of the object.
    pub at: u32,
    /// The kernel's number: RT 1, BE 2, IDLE 3.
    pub class: u8,
    /// 0 to 7.
    pub priority: u8,
}

/// `process.execCPUAffinity`: lists of CPUs as text.
#[derive(Clone, Copy, Debug, Default)]
pub struct CpuAffinity {
    /// Offset of the object.
    pub at: u32,
    /// Before the process enters the cgroup.
    pub initial: Option<Text>,
    /// After it has entered the cgroup.
    pub last: Option<Text>,
}

/// An entry of `mounts`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mount {
    /// Offset of the object.
    pub at: u32,
    /// Not empty.
    pub destination: Text,
    /// File to bind or device to mount.
    pub source: Option<Text>,
    /// Filesystem type.
    pub kind: Option<Text>,
    /// In `Pools::mount_options`.
    pub options: List,
    /// In `Pools::id_mappings`; empty exactly when the other is.
    pub uid_mappings: List,
    /// In `Pools::id_mappings`.
    pub gid_mappings: List,
}

/// An entry of a uidMappings or gidMappings list.
#[derive(Clone, Copy, Debug, Default)]
pub struct IdMapping {
    /// Offset of the object.
    pub at: u32,
    /// First id inside.
    pub container: u32,
    /// First id outside.
    pub host: u32,
    /// How many.
    pub size: u32,
}

/// A key and its string, of `annotations`, `linux.sysctl` or `linux.resources.unified`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pair {
    /// Not empty.
    pub key: Text,
    /// May be empty.
    pub value: Text,
}

/// `hooks`: six lists in `Pools::hooks`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Hooks {
    /// Offset of the object.
    pub at: u32,
    /// Deprecated; before `create_runtime`.
    pub prestart: List,
    /// In the runtime's namespaces, after the namespaces exist and before pivot_root.
    pub create_runtime: List,
    /// In the container's namespaces, before pivot_root.
    pub create_container: List,
    /// In the container, just before exec.
    pub start_container: List,
    /// After exec.
    pub poststart: List,
    /// After the container is gone.
    pub poststop: List,
}

impl Hooks {
    /// The lists in order of time.
    #[must_use]
    pub fn all(&self) -> [List; 6] {
        [
            self.prestart,
            self.create_runtime,
            self.create_container,
            self.start_container,
            self.poststart,
            self.poststop,
        ]
    }
}

/// An entry of a list of hooks.
#[derive(Clone, Copy, Debug, Default)]
pub struct Hook {
    /// Offset of the object.
    pub at: u32,
    /// Absolute.
    pub path: Text,
    /// In `Pools::hook_words`; empty means the path alone.
    pub args: List,
    /// In `Pools::hook_words`; `None` differs from empty for startContainer.
    pub env: Option<List>,
    /// Seconds, at least 1.
    pub timeout: Option<u32>,
}

/// An entry of `linux.namespaces`; each kind occurs at most once.
#[derive(Clone, Copy, Debug, Default)]
pub struct Namespace {
    /// Offset of the object.
    pub at: u32,
    /// Which.
    pub kind: NamespaceKind,
    /// The one to join, absolute; `None` (also for an empty path) creates a new one.
    pub path: Option<Text>,
}

/// An entry of `linux.devices`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Device {
    /// Offset of the object.
    pub at: u32,
    /// What it is.
    pub kind: DeviceKind,
    /// Absolute, in the container.
    pub path: Text,
    /// 0 for a fifo.
    pub major: u32,
    /// 0 for a fifo.
    pub minor: u32,
    /// At most 0o7777; `None` is 0666.
    pub file_mode: Option<u32>,
    /// Owner; not 4294967295.
    pub uid: u32,
    /// Group; not 4294967295.
    pub gid: u32,
}
