//! Descriptors by number: what was inherited, and closing all of it.
//!
//! # Safety
//!
//! A number that nothing in the program owns is closed, or only flagged; owned descriptors are kept out by the caller
//! (`fs/fdset.rs`), which runs first, before anything is opened, and last, before execve.
#![allow(unsafe_code)]

use syscalls::{Sysno, raw_syscall};

use super::{Errno, FromRawFd, OwnedFd, RawFd, done, raw};

/// `fcntl(fd, F_GETFD)`, man 2 fcntl.
#[must_use]
pub fn is_open(number: u32) -> bool {
    const F_GETFD: usize = 1;
    // SAFETY: asks for flags, changes nothing.
    raw(unsafe { raw_syscall!(Sysno::fcntl, number, F_GETFD) }).is_ok()
}

/// `fcntl(fd, F_SETFD, FD_CLOEXEC)`, man 2 fcntl.
///
/// # Errors
///
/// EBADF: not open.
pub fn set_cloexec(number: u32) -> Result<(), Errno> {
    const F_SETFD: usize = 2;
    // SAFETY: the descriptor stays what it is; it is only not passed on by execve.
    done(unsafe { raw_syscall!(Sysno::fcntl, number, F_SETFD, 1) })
}

/// An inherited descriptor becomes ours, and is not passed on.
///
/// # Errors
///
/// EBADF: not open.
pub fn take(number: u32) -> Result<OwnedFd, Errno> {
    set_cloexec(number)?;
    let number = RawFd::try_from(number).map_err(|_| Errno::BADF)?;
    // SAFETY: it is open, and see the head of the file.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// `close(fd)`, man 2 close.
///
/// # Errors
///
/// EBADF: not open.
pub fn close(number: u32) -> Result<(), Errno> {
    // SAFETY: see the head of the file.
    done(unsafe { raw_syscall!(Sysno::close, number) })
}

/// `close_range(first, last, CLOSE_RANGE_CLOEXEC)`, man 2 close_range (kernel 5.11).
///
/// # Errors
///
/// ENOSYS below 5.9, EINVAL below 5.11.
pub fn cloexec_range(first: u32, last: u32) -> Result<(), Errno> {
    const CLOSE_RANGE_CLOEXEC: usize = 4;
    // SAFETY: as for `set_cloexec`.
    done(unsafe { raw_syscall!(Sysno::close_range, first, last, CLOSE_RANGE_CLOEXEC) })
}

/// `close_range(first, last, 0)`, man 2 close_range (kernel 5.9).
///
/// # Errors
///
/// ENOSYS below 5.9.
pub fn close_range(first: u32, last: u32) -> Result<(), Errno> {
    // SAFETY: see the head of the file.
    done(unsafe { raw_syscall!(Sysno::close_range, first, last, 0) })
}

/// RLIMIT_NOFILE's hard limit: numbers from there on can still be open from before it was lowered; at most a million.
#[must_use]
pub fn upper_bound() -> u32 {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let most = limit.maximum.or(limit.current).unwrap_or(1 << 20);
    u32::try_from(most).unwrap_or(1 << 20).min(1 << 20)
}
