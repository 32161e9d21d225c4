//! Mounting, by descriptor where the kernel can and by the classic call where it cannot.
//!
//! # Safety
//!
//! mount_setattr is given a struct that lives across the call, and its size.
#![allow(unsafe_code)]

use core::ffi::CStr;

use linux_raw_sys::general::{AT_EMPTY_PATH, AT_RECURSIVE, MOUNT_ATTR_IDMAP, mount_attr};
use rustix::fd::AsRawFd;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MoveMountFlags, OpenTreeFlags,
    UnmountFlags,
};

use super::{AsFd, BorrowedFd, Errno, OwnedFd};

/// `int mount(const char *source, const char *target, const char *type, unsigned long flags, const void *data)`,
/// man 2 mount. `flags` are MS_*; what a form of the call does not use is passed as "".
///
/// # Errors
///
/// The kernel's. EPERM: no CAP_SYS_ADMIN, or a flag is locked by a more privileged namespace. EINVAL: an option that
/// the file system does not know, or a target that is not a mount point where one is needed. EBUSY, ENODEV, ENOENT.
pub fn mount(
    source: &CStr,
    target: &CStr,
    fstype: &CStr,
    flags: u32,
    data: &CStr,
) -> Result<(), Errno> {
    rustix::mount::mount(
        source,
        target,
        fstype,
        MountFlags::from_bits_retain(flags),
        data,
    )
}

/// [`mount`] of one place onto another: MS_BIND, MS_MOVE.
///
/// # Errors
///
/// As for [`mount`].
pub fn bind(source: &CStr, target: &CStr, flags: u32) -> Result<(), Errno> {
    mount(source, target, c"", flags, c"")
}

/// [`mount`] with flags for what is mounted already: propagation, MS_REMOUNT with MS_BIND.
///
/// # Errors
///
/// As for [`mount`].
#[inline(never)] // ten words to pass
pub fn change(target: &CStr, flags: u32) -> Result<(), Errno> {
    bind(c"", target, flags)
}

/// `int umount2(const char *target, int flags)`, man 2 umount, with MNT_DETACH.
///
/// # Errors
///
/// The kernel's. EINVAL: not a mount point, or locked by a more privileged namespace.
pub fn detach(target: &CStr) -> Result<(), Errno> {
    rustix::mount::unmount(target, UnmountFlags::DETACH)
}

/// `int open_tree(int dirfd, const char *path, unsigned int flags)`, man 2 open_tree, Linux 5.2, with
/// OPEN_TREE_CLONE: a detached copy of the mount at a path, or of a part of it. The last link is followed; with an
/// empty path the copy is of what `dir` stands for.
///
/// # Errors
///
/// The kernel's. EINVAL: the mount is unbindable, of another namespace, or has locked mounts below and `recursive` is
/// off.
pub fn clone_tree(dir: impl AsFd, path: &CStr, recursive: bool) -> Result<OwnedFd, Errno> {
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    if recursive {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    if path.is_empty() {
        flags |= OpenTreeFlags::AT_EMPTY_PATH;
    }
    rustix::mount::open_tree(dir.as_fd(), path, flags).map(OwnedFd::from)
}

/// `int move_mount(int from, "", int to, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH)`, Linux 5.2: attaches a
/// detached mount, or moves an attached one, onto what `to` stands for. `mount` stands for its root afterwards.
///
/// # Errors
///
/// The kernel's. ENOTDIR: one is a directory and the other is not. EINVAL: `to` is not in this mount namespace.
pub fn attach(mount: impl AsFd, to: impl AsFd) -> Result<(), Errno> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    rustix::mount::move_mount(mount, c"", to, c"", flags)
}

/// `int mount_setattr(int dirfd, const char *path, unsigned int flags, struct mount_attr *attr, size_t size)`,
/// man 2 mount_setattr, Linux 5.12. `set` and `clear` are MOUNT_ATTR_*; `clear` comes first.
///
/// # Errors
///
/// The kernel's. EPERM: a flag to clear is locked. EINVAL: an attribute this kernel does not know, or `mount` is not the
/// root of a mount.
pub fn set_attributes(
    mount: impl AsFd,
    recursive: bool,
    set: u32,
    clear: u32,
) -> Result<(), Errno> {
    let attributes = mount_attr {
        attr_set: u64::from(set),
        attr_clr: u64::from(clear),
        propagation: 0,
        userns_fd: 0,
    };
    change_attributes(mount.as_fd(), recursive, &attributes)
}

/// `mount_setattr` with MOUNT_ATTR_IDMAP, man 2 mount_setattr, "ID-mapped mounts": ids of the file system are mapped as
/// from inside the user namespace to outside. Only for a detached mount.
///
/// # Errors
///
/// The kernel's. EINVAL: the file system cannot, or the mount was attached. EPERM: it is mapped already, or the file
/// system is of another user namespace.
pub fn map_ids(mount: BorrowedFd<'_>, recursive: bool, users: BorrowedFd<'_>) -> Result<(), Errno> {
    let attributes = mount_attr {
        attr_set: u64::from(MOUNT_ATTR_IDMAP),
        attr_clr: 0,
        propagation: 0,
        userns_fd: u64::from(users.as_raw_fd().unsigned_abs()),
    };
    change_attributes(mount, recursive, &attributes)
}

fn change_attributes(
    mount: BorrowedFd<'_>,
    recursive: bool,
    attributes: &mount_attr,
) -> Result<(), Errno> {
    let flags = AT_EMPTY_PATH | if recursive { AT_RECURSIVE } else { 0 };
    // SAFETY: the path is a string constant, and `attributes` is a mount_attr of the size given that outlives the call,
    // which only reads it.
    let word = unsafe {
        syscalls::raw_syscall!(
            syscalls::Sysno::mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            flags,
            core::ptr::from_ref(attributes),
            size_of::<mount_attr>()
        )
    };
    super::done(word)
}

/// `int fsopen(const char *name, unsigned int flags)`, man 2 fsopen, Linux 5.2: a new file system to be configured.
///
/// # Errors
///
/// The kernel's. ENODEV: no such type.
pub fn open_fs(name: &CStr) -> Result<OwnedFd, Errno> {
    rustix::mount::fsopen(name, FsOpenFlags::FSOPEN_CLOEXEC).map(OwnedFd::from)
}

/// `fsconfig(FSCONFIG_SET_STRING)`, or FSCONFIG_SET_FLAG for an option without a value. Linux 5.2.
///
/// # Errors
///
/// The kernel's. EINVAL: not an option of this file system, or a value longer than 255 bytes.
pub fn configure(fs: impl AsFd, key: &CStr, value: Option<&CStr>) -> Result<(), Errno> {
    match value {
        Some(value) => rustix::mount::fsconfig_set_string(fs, key, value),
        None => rustix::mount::fsconfig_set_flag(fs, key),
    }
}

/// `fsconfig(FSCONFIG_CMD_CREATE)` and `int fsmount(int fs, unsigned int flags, unsigned int attributes)`, Linux 5.2: a
/// detached mount of what was configured. `attributes` are MOUNT_ATTR_*.
///
/// # Errors
///
/// The kernel's; as for [`mount`].
pub fn make(fs: impl AsFd, attributes: u32) -> Result<OwnedFd, Errno> {
    rustix::mount::fsconfig_create(fs.as_fd())?;
    rustix::mount::fsmount(
        fs.as_fd(),
        FsMountFlags::FSMOUNT_CLOEXEC,
        MountAttrFlags::from_bits_retain(attributes),
    )
    .map(OwnedFd::from)
}
