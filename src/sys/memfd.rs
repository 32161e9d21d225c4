//! Files that are only memory, man 2 memfd_create (kernel 3.17), and their seals.
#![forbid(unsafe_code)]

use rustix::fs::{MemfdFlags, SealFlags};

use super::{BorrowedFd, Errno, OwnedFd};

/// All that make the content final. FUTURE_WRITE is left out: it adds nothing to WRITE.
pub(super) const SEALS: SealFlags = SealFlags::SEAL
    .union(SealFlags::SHRINK)
    .union(SealFlags::GROW)
    .union(SealFlags::WRITE);

/// A file that can be sealed, and executed or not. MFD_EXEC and MFD_NOEXEC_SEAL are known since 6.3; before that any
/// can be executed, and the flag is left out.
///
/// # Errors
///
/// ENOSYS without memfds; EACCES where vm.memfd_noexec forbids executable ones.
pub fn new(name: &core::ffi::CStr, executable: bool) -> Result<OwnedFd, Errno> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let kind = if executable {
        MemfdFlags::EXEC
    } else {
        MemfdFlags::NOEXEC_SEAL
    };
    let file = match rustix::fs::memfd_create(name, flags | kind) {
        Err(Errno::INVAL) => rustix::fs::memfd_create(name, flags)?,
        file => file?,
    };
    Ok(file.into())
}

/// Makes the content final.
///
/// # Errors
///
/// EBUSY: it is mapped for writing.
pub fn seal(file: BorrowedFd<'_>) -> Result<(), Errno> {
    rustix::fs::fcntl_add_seals(file, SEALS)
}
