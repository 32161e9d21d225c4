//! What usually lies behind an error, for the steps where the kernel's word alone does not say it.
#![forbid(unsafe_code)]

use crate::error::{Errno, Hint, Step};

/// At this step, or at any, this error means that.
static HINTS: [(Option<Step>, Errno, Hint); 43] = [
    (Some(Step::Clone), Errno::NOSPC, Hint::Namespaces),
    (Some(Step::Clone), Errno::INVAL, Hint::NamespaceKinds),
    (Some(Step::Clone), Errno::AGAIN, Hint::Processes),
    (Some(Step::Clone), Errno::PERM, Hint::Root),
    (Some(Step::Clone), Errno::ACCESS, Hint::Root),
    (Some(Step::MakeStateRoot), Errno::PERM, Hint::Root),
    (Some(Step::MakeStateRoot), Errno::ACCESS, Hint::Root),
    (Some(Step::MakeStateRoot), Errno::ROFS, Hint::StateRoot),
    (Some(Step::ReserveId), Errno::PERM, Hint::Root),
    (Some(Step::ReserveId), Errno::ACCESS, Hint::Root),
    (Some(Step::ReserveId), Errno::ROFS, Hint::StateRoot),
    (Some(Step::ReserveId), Errno::NOSPC, Hint::StateFull),
    (Some(Step::WriteState), Errno::ROFS, Hint::StateRoot),
    (Some(Step::WriteState), Errno::NOSPC, Hint::StateFull),
    (Some(Step::Mount), Errno::NODEV, Hint::Filesystem),
    (Some(Step::Mount), Errno::INVAL, Hint::MountOption),
    (Some(Step::SetMountFlags), Errno::INVAL, Hint::MountOption),
    (Some(Step::SetMountFlags), Errno::PERM, Hint::LockedFlag),
    (Some(Step::MapMount), Errno::INVAL, Hint::IdMap),
    (Some(Step::MapMount), Errno::PERM, Hint::IdMap),
    (Some(Step::MapMount), Errno::ACCESS, Hint::IdMap),
    (Some(Step::OpenSource), Errno::NOENT, Hint::Source),
    (Some(Step::MakeMountPoint), Errno::ROFS, Hint::ReadOnlyRoot),
    (Some(Step::MakeMountPoint), Errno::AGAIN, Hint::Circles),
    (Some(Step::MakeMountPoint), Errno::LOOP, Hint::Circles),
    (Some(Step::MakeDevice), Errno::ROFS, Hint::ReadOnlyRoot),
    (Some(Step::MakeLink), Errno::ROFS, Hint::ReadOnlyRoot),
    (Some(Step::ProtectPath), Errno::AGAIN, Hint::Circles),
    (Some(Step::ProtectPath), Errno::LOOP, Hint::Circles),
    (Some(Step::MakeDirectory), Errno::AGAIN, Hint::Circles),
    (Some(Step::MakeDirectory), Errno::LOOP, Hint::Circles),
    (
        Some(Step::SetAppArmor),
        Errno::OPNOTSUPP,
        Hint::SecurityModule,
    ),
    (Some(Step::SetAppArmor), Errno::INVAL, Hint::SecurityModule),
    (Some(Step::SetAppArmor), Errno::NOENT, Hint::SecurityModule),
    (
        Some(Step::SetSelinux),
        Errno::OPNOTSUPP,
        Hint::SecurityModule,
    ),
    (Some(Step::SetSelinux), Errno::INVAL, Hint::SecurityModule),
    (Some(Step::SetSelinux), Errno::NOENT, Hint::SecurityModule),
    (Some(Step::SetDevices), Errno::NOSYS, Hint::DeviceProgram),
    (Some(Step::SetDevices), Errno::PERM, Hint::DeviceProgram),
    (Some(Step::SetDevices), Errno::INVAL, Hint::DeviceProgram),
    (None, Errno::NFILE, Hint::OpenFiles),
    (None, Errno::MFILE, Hint::OpenFiles),
    (None, Errno::NOSYS, Hint::Call),
];

/// A few words to append to the message.
pub(super) fn hint(step: Step, errno: Errno) -> Option<Hint> {
    HINTS
        .iter()
        .find(|(at, what, _)| *what == errno && at.is_none_or(|at| at == step))
        .map(|(.., hint)| *hint)
}
