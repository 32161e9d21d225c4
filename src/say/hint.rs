//! What usually lies behind an error, for the steps where the kernel's word alone does not say it.
#![forbid(unsafe_code)]

use crate::error::{Errno, Hint, Step};

/// A few words to append to the message.
pub(super) fn hint(step: Step, errno: Errno) -> Option<Hint> {
    Some(match (step, errno) {
        (Step::Clone, Errno::NOSPC) => Hint::Namespaces,
        (Step::Clone, Errno::INVAL) => Hint::NamespaceKinds,
        (Step::Clone, Errno::AGAIN) => Hint::Processes,
        (Step::Clone | Step::MakeStateRoot | Step::ReserveId, Errno::PERM | Errno::ACCESS) => {
            Hint::Root
        }
        (Step::MakeStateRoot | Step::ReserveId | Step::WriteState, Errno::ROFS) => Hint::StateRoot,
        (Step::ReserveId | Step::WriteState, Errno::NOSPC) => Hint::StateFull,
        (Step::Mount, Errno::NODEV) => Hint::Filesystem,
        (Step::Mount | Step::SetMountFlags, Errno::INVAL) => Hint::MountOption,
        (Step::SetMountFlags, Errno::PERM) => Hint::LockedFlag,
        (Step::OpenSource, Errno::NOENT) => Hint::Source,
        (Step::MakeMountPoint | Step::MakeDevice | Step::MakeLink, Errno::ROFS) => {
            Hint::ReadOnlyRoot
        }
        (
            Step::MakeMountPoint | Step::ProtectPath | Step::MakeDirectory,
            Errno::AGAIN | Errno::LOOP,
        ) => Hint::Circles,
        (_, Errno::NFILE | Errno::MFILE) => Hint::OpenFiles,
        (_, Errno::NOSYS) => Hint::Call,
        _ => return None,
    })
}
