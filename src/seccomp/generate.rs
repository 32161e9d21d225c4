//! Run by build.rs: the tables of system calls, for `machine.rs` to look in. Names and numbers are those of the crate
//! `syscalls`; here stands what it does not have: the x32 ABI, the calls of arm outside of the table, and which call is
//! a number inside of another one.
#![forbid(unsafe_code)]

use super::moby;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// A call table: names and numbers.
pub(super) type Calls = BTreeMap<String, u32>;

/// An ABI of a kernel.
struct Abi {
    /// Its place in the words of `Names::Arch`.
    oci: u8,
    /// AUDIT_ARCH_*, linux/audit.h.
    audit: u32,
    /// Added to each number.
    base: u32,
    /// Registers have 32 bits.
    narrow: bool,
    /// Has socketcall(2) and ipc(2).
    multiplexed: bool,
    calls: Calls,
}

/// Everything from `Sysno::new`; `iter` leaves out the last one.
macro_rules! calls {
    ($arch:ident) => {{
        use syscalls::$arch::Sysno;
        (0..=Sysno::last().id())
            .filter_map(|number| Sysno::new(usize::try_from(number).expect("positive")))
            .map(|call| {
                let name = call.name().trim_start_matches("r#").to_owned();
                (name, u32::try_from(call.id()).expect("positive"))
            })
            .collect::<Calls>()
    }};
}

/// arch/arm/include/uapi/asm/unistd.h.
const ARM: [(&str, u32); 6] = [
    ("breakpoint", 0x000f_0001),
    ("cacheflush", 0x000f_0002),
    ("usr26", 0x000f_0003),
    ("usr32", 0x000f_0004),
    ("set_tls", 0x000f_0005),
    ("get_tls", 0x000f_0006),
];

/// Calls with a number of their own in x32, from 512 on: arch/x86/entry/syscalls/syscall_64.tbl.
const X32: &str = "rt_sigaction rt_sigreturn ioctl readv writev recvfrom sendmsg recvmsg execve ptrace rt_sigpending \
    rt_sigtimedwait rt_sigqueueinfo sigaltstack timer_create mq_notify kexec_load waitid set_robust_list \
    get_robust_list vmsplice move_pages preadv pwritev rt_tgsigqueueinfo recvmmsg sendmmsg process_vm_readv \
    process_vm_writev setsockopt getsockopt io_setup io_submit execveat preadv2 pwritev2";

/// mips64 without a gap of the crate's table.
fn mips64() -> Calls {
    let mut calls = calls!(mips64);
    calls.insert("set_mempolicy_home_node".to_owned(), 5450);
    calls
}

/// Calls that x32 does not have.
const NOT_X32: &str = "_sysctl create_module epoll_ctl_old epoll_wait_old get_kernel_syms get_thread_area nfsservctl \
    query_module set_thread_area uselib vserver";

/// What the first argument of socketcall(2) means, from 1 on; include/uapi/linux/net.h.
const SOCKETCALL: &str = "socket bind connect listen accept getsockname getpeername socketpair send recv sendto \
    recvfrom shutdown setsockopt getsockopt sendmsg recvmsg accept4 recvmmsg sendmmsg";

/// What the first argument of ipc(2) means; include/uapi/linux/ipc.h.
const IPC: [(u16, &str); 12] = [
    (1, "semop"),
    (2, "semget"),
    (3, "semctl"),
    (4, "semtimedop"),
    (11, "msgsnd"),
    (12, "msgrcv"),
    (13, "msgget"),
    (14, "msgctl"),
    (21, "shmat"),
    (22, "shmdt"),
    (23, "shmget"),
    (24, "shmctl"),
];

fn wide(oci: u8, audit: u32, calls: Calls) -> Abi {
    Abi {
        oci,
        audit,
        base: 0,
        narrow: false,
        multiplexed: false,
        calls,
    }
}

fn narrow(oci: u8, audit: u32, calls: Calls) -> Abi {
    Abi {
        narrow: true,
        ..wide(oci, audit, calls)
    }
}

fn multiplexed(abi: Abi) -> Abi {
    Abi {
        multiplexed: true,
        ..abi
    }
}

fn x32(mut calls: Calls) -> Abi {
    calls.retain(|name, _| !NOT_X32.split(' ').any(|word| word == name));
    calls.extend(X32.split(' ').map(str::to_owned).zip(512..));
    Abi {
        base: 0x4000_0000,
        ..wide(2, 0xc000_003e, calls)
    }
}

fn arm() -> Abi {
    let mut calls = calls!(arm);
    calls.extend(ARM.map(|(name, number)| (name.to_owned(), number)));
    narrow(3, 0x4000_0028, calls)
}

/// What there are tables of: CARGO_CFG_TARGET_ARCH, little-endian.
pub(super) const MACHINES: &[(&str, bool)] = &[
    ("x86_64", true),
    ("x86", true),
    ("aarch64", true),
    ("arm", true),
    ("riscv64", true),
    ("loongarch64", true),
    ("mips", false),
    ("mips", true),
    ("mips64", false),
    ("mips64", true),
    ("powerpc", false),
    ("powerpc64", false),
    ("powerpc64", true),
    ("s390x", false),
];

/// The ABIs of a kernel for CARGO_CFG_TARGET_ARCH, its own one first; those with one AUDIT_ARCH one behind the other, in
/// the order of their numbers.
fn abis(arch: &str, little: bool) -> Vec<Abi> {
    let x86 = || multiplexed(narrow(0, 0x4000_0003, calls!(x86)));
    match (arch, little) {
        ("x86_64", _) => vec![
            wide(1, 0xc000_003e, calls!(x86_64)),
            x32(calls!(x86_64)),
            x86(),
        ],
        ("x86", _) => vec![x86()],
        ("aarch64", true) => vec![wide(4, 0xc000_00b7, calls!(aarch64)), arm()],
        ("arm", true) => vec![arm()],
        ("riscv64", _) => vec![wide(18, 0xc000_00f3, calls!(riscv64))],
        ("loongarch64", _) => vec![wide(19, 0xc000_0102, calls!(loongarch64))],
        ("mips", false) => vec![multiplexed(narrow(5, 0x0000_0008, calls!(mips)))],
        ("mips", true) => vec![multiplexed(narrow(8, 0x4000_0008, calls!(mips)))],
        ("mips64", false) => vec![
            wide(6, 0x8000_0008, mips64()),
            multiplexed(narrow(5, 0x0000_0008, calls!(mips))),
        ],
        ("mips64", true) => vec![
            wide(9, 0xc000_0008, mips64()),
            multiplexed(narrow(8, 0x4000_0008, calls!(mips))),
        ],
        ("powerpc", false) => vec![multiplexed(narrow(11, 0x0000_0014, calls!(powerpc)))],
        ("powerpc64", false) => vec![
            multiplexed(wide(12, 0x8000_0015, calls!(powerpc64))),
            multiplexed(narrow(11, 0x0000_0014, calls!(powerpc))),
        ],
        ("powerpc64", true) => vec![multiplexed(wide(13, 0xc000_0015, calls!(powerpc64)))],
        ("s390x", _) => vec![multiplexed(wide(15, 0x8000_0016, calls!(s390x)))],
        // Nothing is known of its calls: a config with seccomp is refused there.
        _ => vec![],
    }
}

/// The calls of a little-endian machine.
pub(super) fn native(arch: &str) -> Calls {
    let first = abis(arch, true).into_iter().next();
    first.expect("a machine with a table").calls
}

/// Writes the `static` of one machine.
pub(super) fn machine(arch: &str, little: bool) -> String {
    let abis = abis(arch, little);
    let names = names(&abis);
    let place = |name: &str| {
        u16::try_from(
            names
                .binary_search_by(|it| it.as_str().cmp(name))
                .expect("one of them"),
        )
        .expect("a few hundred")
    };
    let mut text = String::new();
    for (n, abi) in abis.iter().enumerate() {
        let inner = |name: &str, list: Vec<(u16, &str)>| {
            let list: Vec<_> = list.into_iter().map(|(sub, it)| (sub, place(it))).collect();
            (place(name), list)
        };
        let inner = if abi.multiplexed {
            vec![
                inner("ipc", IPC.to_vec()),
                inner("socketcall", (1..).zip(SOCKETCALL.split(' ')).collect()),
            ]
        } else {
            vec![]
        };
        let mut multiplexers = String::new();
        for (call, list) in inner {
            write!(
                multiplexers,
                "Multiplexer {{ call: {call}, inner: &{list:?} }},"
            )
            .expect("string");
        }
        writeln!(
            text,
            "static ABI_{n}: Abi = Abi {{ oci: {}, audit: {:#x}, base: {:#x}, narrow: {}, multiplexers: &[{multiplexers}], \
             calls: &{:?} }};",
            abi.oci, abi.audit, abi.base, abi.narrow, numbers(&abi.calls, &place)
        )
        .expect("string");
    }
    let (letters, packed) = pack(&names);
    let list: String = (0..abis.len()).map(|n| format!("&ABI_{n},")).collect();
    writeln!(
        text,
        "/// What the kernel of this machine can run.\npub static MACHINE: Machine = Machine {{ names: {}, letters: \
         &{letters:?}, packed: &{packed:?}, abis: &[{list}] }};",
        names.len()
    )
    .expect("string");
    text
}

/// All names that a machine has, sorted.
fn names(abis: &[Abi]) -> Vec<String> {
    let mut names: Vec<String> = abis
        .iter()
        .flat_map(|abi| abi.calls.keys().cloned())
        .collect();
    if abis.iter().any(|abi| abi.multiplexed) {
        let inner = SOCKETCALL.split(' ').chain(IPC.map(|(_, name)| name));
        names.extend(inner.map(str::to_owned));
    }
    names.sort();
    names.dedup();
    assert!(names.len() <= 512, "NAMES in policy.rs");
    names
}

/// Writes the names of the built-in profile as their places: a bit for each that is always allowed, pairs for those that
/// take a capability.
pub(super) fn builtin(arch: &str, little: bool) -> String {
    let names = names(&abis(arch, little));
    let place = |name: &str| names.iter().position(|it| it == name);
    let mut bits = vec![0_u8; names.len().div_ceil(8)];
    for place in moby::ALWAYS.split(' ').filter_map(place) {
        bits[place / 8] |= 1 << (place % 8);
    }
    let pairs = moby::BY_CAPABILITY.iter().flat_map(|(capability, list)| {
        let those = list.split(' ').filter_map(place);
        those.map(move |place| (*capability, place))
    });
    let pairs: Vec<_> = pairs.collect();
    let mut text = format!(
        "static ALWAYS: &[u8] = &{bits:?};\nstatic BY_CAPABILITY: &[(u8, u16)] = &{pairs:?};\n"
    );
    for name in ["personality", "socket", "clone", "clone3"] {
        // Beyond all names where there is none: a rule for it is dropped.
        let place = place(name).unwrap_or(names.len());
        writeln!(text, "const {}: u16 = {place};", name.to_uppercase()).expect("string");
    }
    text
}

/// The place of the name of each number from 0 on; a word with the top bit set skips that many numbers.
fn numbers(calls: &Calls, place: &dyn Fn(&str) -> u16) -> Vec<u16> {
    const MOST: u32 = 0x7fff;
    let by_number: BTreeMap<u32, &str> = calls
        .iter()
        .map(|(name, number)| (*number, name.as_str()))
        .collect();
    let (mut words, mut next) = (Vec::new(), 0);
    for (number, name) in by_number {
        while next < number {
            let skip = (number - next).min(MOST);
            words.push(0x8000 | u16::try_from(skip).expect("15 bits"));
            next += skip;
        }
        words.push(place(name));
        next += 1;
    }
    words
}

/// Sorted names: for each how many letters it shares with the one before it, and the rest, with the top bit set in the
/// last letter. The names with one first letter are a list of their own, without that letter; `letters` tells where
/// each list begins and how many names are before it.
fn pack(names: &[String]) -> (Vec<(u8, u16, u16)>, Vec<u8>) {
    let (mut letters, mut packed) = (Vec::<(u8, u16, u16)>::new(), Vec::new());
    let mut before: &[u8] = b"";
    for (n, name) in names.iter().enumerate() {
        let (first, rest) = name.as_bytes().split_first().expect("not empty");
        if letters.last().is_none_or(|(letter, ..)| letter != first) {
            let at = |number| u16::try_from(number).expect("a few thousand");
            letters.push((*first, at(packed.len()), at(n)));
            before = b"";
        }
        let shared = rest
            .iter()
            .zip(before)
            .take_while(|(one, two)| one == two)
            .count();
        let (last, inner) = rest[shared..].split_last().expect("different names");
        packed.push(u8::try_from(shared).expect("short"));
        packed.extend(inner);
        packed.push(last | 0x80);
        before = rest;
    }
    (letters, packed)
}
