//! The runtime's own binary: is it a sealed copy, and how to make one.
//!
//! Whatever executes in a process that a container can reach must be an inode that nobody can write (CVE-2019-5736).
#![forbid(unsafe_code)]

use rustix::fs::{Mode, OFlags};

use super::{AsFd, BorrowedFd, Errno, OwnedFd, memfd};

/// Opens the running binary in a procfs for reading.
///
/// # Errors
///
/// ENOENT: no procfs there.
pub fn open(proc: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    super::path::openat(proc, c"self/exe", OFlags::RDONLY)
}

/// Whether nobody can change the content: all four seals, or a file system that has no writes.
#[must_use]
pub fn is_immutable(exe: BorrowedFd<'_>) -> bool {
    // squashfs, erofs, cramfs, romfs, isofs: linux/magic.h
    const READ_ONLY: [u64; 5] = [0x7371_7368, 0xE0F5_E1E2, 0x28cd_3d45, 0x7275, 0x9660];
    match rustix::fs::fcntl_get_seals(exe) {
        Ok(seals) => seals.contains(memfd::SEALS),
        // EINVAL: not a memfd.
        Err(_) => rustix::fs::fstatfs(exe)
            .is_ok_and(|fs| READ_ONLY.contains(&(fs.f_type.cast_unsigned() & 0xffff_ffff))),
    }
}

/// Whether its mount lets nobody write.
#[must_use]
pub fn is_read_only(exe: BorrowedFd<'_>) -> bool {
    use rustix::fs::StatVfsMountFlags;
    rustix::fs::fstatvfs(exe).is_ok_and(|fs| fs.f_flag.contains(StatVfsMountFlags::RDONLY))
}

/// The binary behind a read-only mount of its own that is attached nowhere (mount_setattr(2), Linux 5.12): whoever gets at
/// it by /proc/PID/exe gets it by that mount.
///
/// # Errors
///
/// EPERM without CAP_SYS_ADMIN, ENOSYS before that.
pub fn read_only(exe: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    let mount = super::mount::clone_tree(exe, c"", false)?;
    let read_only = linux_raw_sys::general::MOUNT_ATTR_RDONLY;
    super::mount::set_attributes(&mount, false, read_only, 0)?;
    Ok(mount)
}

/// Copies the binary into a sealed memfd, ready for execveat.
///
/// # Errors
///
/// As [`memfd::new`].
pub fn sealed_copy(exe: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    let copy = memfd::new(c"ocilet", true)?;
    // Whole in one call up to 2 GiB; the loop ends at the end of the file.
    while rustix::fs::sendfile(&copy, exe, None, 0x7fff_f000)? > 0 {}
    rustix::fs::fchmod(&copy, Mode::from_raw_mode(0o511))?;
    memfd::seal(copy.as_fd())?;
    if is_immutable(copy.as_fd()) {
        Ok(copy)
    } else {
        Err(Errno::PERM)
    }
}
