//! Opening, making and examining files by descriptor.
//!
//! # Safety
//!
//! Raw calls here pass pointers to live, correctly sized values only.
#![allow(unsafe_code)]

use core::ffi::CStr;

use rustix::fs::{AtFlags, Mode, OFlags, ResolveFlags, StatxAttributes, StatxFlags};

use super::{AsFd, BorrowedFd, Errno, OwnedFd};

/// `int openat2(int dirfd, const char *path, struct open_how *how, size_t size)`, man 2 openat2, Linux 5.6.
///
/// O_CLOEXEC is always added. ENOSYS: older kernel. EPERM may be an outer seccomp filter. EAGAIN: a rename
/// raced with a ".." of the path.
///
/// # Errors
///
/// The kernel's.
pub fn openat2(
    dir: impl AsFd,
    path: &CStr,
    flags: OFlags,
    resolve: ResolveFlags,
) -> Result<OwnedFd, Errno> {
    let flags = flags | OFlags::CLOEXEC;
    rustix::fs::openat2(dir.as_fd(), path, flags, Mode::empty(), resolve).map(OwnedFd::from)
}

/// `int openat(int dirfd, const char *path, int flags, mode_t mode)`, man 2 openat, with O_CLOEXEC and O_NOCTTY added.
///
/// # Errors
///
/// The kernel's.
pub fn openat(dir: impl AsFd, path: &CStr, flags: OFlags) -> Result<OwnedFd, Errno> {
    fn safely(dir: BorrowedFd<'_>, path: &CStr, flags: OFlags) -> Result<OwnedFd, Errno> {
        let flags = flags | OFlags::CLOEXEC;
        // O_PATH takes no flags about the file itself.
        let flags = if flags.contains(OFlags::PATH) {
            flags
        } else {
            flags | OFlags::NOCTTY
        };
        open(dir, path, flags, 0)
    }
    safely(dir.as_fd(), path, flags)
}

/// `int openat(int dirfd, const char *path, int flags, mode_t mode)`, man 2 openat, as the caller says.
///
/// # Errors
///
/// The kernel's.
pub fn open(dir: impl AsFd, path: &CStr, flags: OFlags, mode: u32) -> Result<OwnedFd, Errno> {
    rustix::fs::openat(dir.as_fd(), path, flags, Mode::from_raw_mode(mode)).map(OwnedFd::from)
}

/// `int openat(…, O_CREAT | O_EXCL | O_NOFOLLOW | O_WRONLY, mode)`: a new regular file.
///
/// # Errors
///
/// The kernel's; EEXIST also for a dangling link.
pub fn create(dir: impl AsFd, name: &CStr, mode: u32) -> Result<OwnedFd, Errno> {
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::WRONLY | OFlags::CLOEXEC;
    open(dir, name, flags, mode)
}

/// `statx(fd, "", AT_EMPTY_PATH, STATX_MNT_ID)`, man 2 statx: the id of the mount (Linux 5.8) and whether the file is
/// its root.
///
/// # Errors
///
/// ENOSYS before Linux 4.11, and where the kernel does not tell the id.
pub fn mount_id(fd: impl AsFd) -> Result<(u64, bool), Errno> {
    let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC;
    let about = rustix::fs::statx(fd, c"", flags, StatxFlags::MNT_ID)?;
    if about.stx_mask & StatxFlags::MNT_ID.bits() == 0 {
        return Err(Errno::NOSYS);
    }
    let root = about.stx_attributes.contains(StatxAttributes::MOUNT_ROOT);
    Ok((about.stx_mnt_id, root))
}

/// `ssize_t readlinkat(int dirfd, const char *path, char *buf, size_t size)`, man 2 readlinkat. An empty path reads the
/// link that an O_PATH descriptor stands for.
///
/// # Errors
///
/// The kernel's; EINVAL or ENOENT for what is not a link, ENAMETOOLONG when `buffer` was filled to its end.
pub fn readlink<'a>(dir: impl AsFd, path: &CStr, buffer: &'a mut [u8]) -> Result<&'a [u8], Errno> {
    let size = buffer.len();
    let length = rustix::fs::readlinkat_raw(dir, path, &mut *buffer)?;
    if length == size {
        return Err(Errno::NAMETOOLONG);
    }
    buffer.get(..length).ok_or(Errno::INVAL)
}

/// The type of a file system as fstatfs(2) tells it.
///
/// # Errors
///
/// The kernel's.
pub fn fs_type(fd: impl AsFd) -> Result<u32, Errno> {
    let about = rustix::fs::fstatfs(fd)?;
    // The magic numbers are 32 bits wide whatever the width (and sign) of the field.
    let [b0, b1, b2, b3, ..] = about.f_type.to_le_bytes();
    Ok(u32::from_le_bytes([b0, b1, b2, b3]))
}

/// The flags of the mount a file is on, as MS_* (statfs(2) has the same values from ST_RDONLY to ST_NOATIME and
/// ST_NODIRATIME; ST_RELATIME differs).
///
/// # Errors
///
/// The kernel's.
pub fn mount_flags(fd: impl AsFd) -> Result<u32, Errno> {
    let about = rustix::fs::fstatfs(fd)?;
    let [b0, b1, b2, b3, ..] = about.f_flags.to_le_bytes();
    Ok(u32::from_le_bytes([b0, b1, b2, b3]))
}

/// A borrowed descriptor that stands for the working directory.
#[must_use]
pub fn cwd() -> BorrowedFd<'static> {
    rustix::fs::CWD
}
