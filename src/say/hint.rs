//! What usually lies behind an error, for the steps where the kernel's word alone does not say it.
#![forbid(unsafe_code)]

use crate::error::{Errno, Step};

/// A few words to append to the message.
pub(super) fn hint(step: Step, errno: Errno) -> Option<&'static str> {
    Some(match (step, errno) {
        (Step::Clone, Errno::NOSPC) => {
            "the limit on the number or depth of namespaces is reached, see /proc/sys/user"
        }
        (Step::Clone, Errno::INVAL) => "the kernel was built without one of the namespaces",
        (Step::Clone, Errno::AGAIN) => {
            "the limit on the number of processes is reached (RLIMIT_NPROC, pids.max)"
        }
        (Step::Clone | Step::MakeStateRoot | Step::ReserveId, Errno::PERM | Errno::ACCESS) => {
            "is this run as root?"
        }
        (Step::MakeStateRoot | Step::ReserveId | Step::WriteState, Errno::ROFS) => {
            "name a writable directory with --root"
        }
        (Step::ReserveId | Step::WriteState, Errno::NOSPC) => {
            "the file system of the state directory is full"
        }
        (_, Errno::NFILE | Errno::MFILE) => "the limit on open files is reached",
        (_, Errno::NOSYS) => "the kernel, or a seccomp filter around this program, lacks the call",
        _ => return None,
    })
}
