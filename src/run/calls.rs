//! Run by build.rs: what the runtime may still do when the container runs, for `confine.rs`. It waits, forwards signals,
//! relays a terminal, says what went wrong, and removes what it made; it makes no process, socket, mapping or mount.
//!
//! seccompiler makes the program: one list, one machine, known when ocilet is built.
#![forbid(unsafe_code)]

use super::generate;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};
use std::collections::BTreeMap;

/// Waiting and signals; the relay; sentences and the log; directories of cgroups and of the state; the end, and a file
/// that tells of it. Some machines have only the second of two forms.
const CALLS: &str = "ppoll read wait4 pidfd_send_signal kill getpid write clock_gettime openat newfstatat fstat \
    fstatfs flock getdents64 lseek unlinkat close geteuid exit_group rt_sigreturn restart_syscall \
    pwrite64 renameat renameat2 fdatasync fsync";

/// TCGETS, TCSETS, TIOCGWINSZ, TIOCSWINSZ, FIONBIO: include/uapi/asm-generic/ioctls.h.
const IOCTLS: [u64; 5] = [0x5401, 0x5402, 0x5413, 0x5414, 0x5421];

/// The instructions for a machine; none where seccompiler does not know it.
pub(super) fn supervisor(arch: &str) -> Vec<u8> {
    let Ok(target) = TargetArch::try_from(arch) else {
        return vec![];
    };
    let calls = generate::native(arch);
    let number = |name: &str| calls.get(name).map(|number| i64::from(*number));
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = CALLS
        .split(' ')
        .filter_map(|name| Some((number(name)?, vec![])))
        .collect();
    let request = |value| {
        let which = SeccompCondition::new(1, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, value);
        SeccompRule::new(vec![which.expect("the second of six")]).expect("a condition")
    };
    rules.insert(
        number("ioctl").expect("on all machines"),
        IOCTLS.map(request).to_vec(),
    );
    // What is missing here is answered as by an old kernel: there is a next best way for that.
    let refuse = SeccompAction::Errno(38);
    let filter = SeccompFilter::new(rules, refuse, SeccompAction::Allow, target);
    let program: BpfProgram = filter
        .expect("two actions")
        .try_into()
        .expect("short enough");
    let bytes = program.iter().flat_map(|it| {
        let ([c0, c1], [k0, k1, k2, k3]) = (it.code.to_le_bytes(), it.k.to_le_bytes());
        [c0, c1, it.jt, it.jf, k0, k1, k2, k3]
    });
    bytes.collect()
}
