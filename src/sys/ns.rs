//! Namespaces: unshare, setns, the type behind a namespace file.
//!
//! # Safety
//!
//! unshare and setns change which kernel objects later calls see; they touch no memory. The process has one thread.
#![allow(unsafe_code)]

use syscalls::{Sysno, raw_syscall};

use super::{AsRawFd, BorrowedFd, Errno, done, raw};

/// CLONE_NEW* flags, linux/sched.h.
pub mod flag {
    /// Time namespace (kernel 5.6).
    pub const TIME: u32 = linux_raw_sys::general::CLONE_NEWTIME;
    /// Mount namespace.
    pub const MOUNT: u32 = linux_raw_sys::general::CLONE_NEWNS;
    /// Cgroup namespace (kernel 4.6).
    pub const CGROUP: u32 = linux_raw_sys::general::CLONE_NEWCGROUP;
    /// UTS namespace.
    pub const UTS: u32 = linux_raw_sys::general::CLONE_NEWUTS;
    /// IPC namespace.
    pub const IPC: u32 = linux_raw_sys::general::CLONE_NEWIPC;
    /// User namespace.
    pub const USER: u32 = linux_raw_sys::general::CLONE_NEWUSER;
    /// Pid namespace.
    pub const PID: u32 = linux_raw_sys::general::CLONE_NEWPID;
    /// Network namespace.
    pub const NET: u32 = linux_raw_sys::general::CLONE_NEWNET;
}

/// `int unshare(int flags)`, man 2 unshare.
///
/// # Errors
///
/// EPERM without CAP_SYS_ADMIN, EINVAL for a namespace the kernel was built without, ENOSPC beyond the limits in
/// /proc/sys/user.
pub fn unshare(flags: u32) -> Result<(), Errno> {
    // SAFETY: a number; CLONE_FILES and CLONE_FS, which could surprise other threads, concern no one: there is one.
    done(unsafe { raw_syscall!(Sysno::unshare, flags) })
}

/// `int setns(int fd, int nstype)`, man 2 setns: joins the namespace of the file; the type must match.
///
/// # Errors
///
/// EINVAL: the file is no namespace, or of another type; EPERM: no CAP_SYS_ADMIN in the owning user namespace.
pub fn setns(fd: BorrowedFd<'_>, kind: u32) -> Result<(), Errno> {
    // SAFETY: two numbers.
    done(unsafe { raw_syscall!(Sysno::setns, fd.as_raw_fd(), kind) })
}

/// `ioctl(fd, NS_GET_NSTYPE)`, man 2 ioctl_ns (kernel 4.11): the CLONE_NEW* flag of a namespace file.
///
/// # Errors
///
/// ENOTTY: not a namespace file.
pub fn kind(fd: BorrowedFd<'_>) -> Result<u32, Errno> {
    const NS_GET_NSTYPE: u32 = 0xb703;
    // SAFETY: this request takes no argument.
    let kind = raw(unsafe { raw_syscall!(Sysno::ioctl, fd.as_raw_fd(), NS_GET_NSTYPE) })?;
    u32::try_from(kind).map_err(|_| Errno::INVAL)
}
