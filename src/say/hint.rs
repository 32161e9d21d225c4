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
        (Step::Mount, Errno::NODEV) => "the kernel does not have this file system",
        (Step::Mount | Step::SetMountFlags, Errno::INVAL) => {
            "an option or flag that the file system or the kernel does not know; the kernel log may say which"
        }
        (Step::SetMountFlags, Errno::PERM) => {
            "a flag that a more privileged mount namespace has locked cannot be taken away"
        }
        (Step::OpenSource, Errno::NOENT) => "the source is looked up on the host",
        (Step::MakeMountPoint | Step::MakeDevice | Step::MakeLink, Errno::ROFS) => {
            "a read-only root must have its mount points, or a tmpfs above them"
        }
        (
            Step::MakeMountPoint | Step::ProtectPath | Step::MakeDirectory,
            Errno::AGAIN | Errno::LOOP,
        ) => "the root filesystem has links that lead in circles, or somebody kept changing it",
        (_, Errno::NFILE | Errno::MFILE) => "the limit on open files is reached",
        (_, Errno::NOSYS) => "the kernel, or a seccomp filter around this program, lacks the call",
        _ => return None,
    })
}
