//! Every syscall, and every `unsafe` block of the library.
//!
//! One function per call, thin, with the C signature, the man page, the kernel version and what the usual errors mean
//! here. Opinions only about safety flags (CLOEXEC, NOCTTY, NOFOLLOW). Where rustix has the call, its public modules
//! are used as they are; what it lacks is made with the `syscalls` crate's instruction and linux-raw-sys' layouts.
//! No policy, no retries except EINTR, no path logic.

pub mod args;
pub mod bpf;
pub mod cred;
pub mod exe;
pub mod fd;
pub mod field;
pub mod file;
pub mod idle;
pub mod key;
pub mod lsm;
pub mod memfd;
pub mod memory;
pub mod mount;
pub mod net;
pub mod ns;
mod owned;
pub mod path;
pub mod pidfd;
pub mod proc;
pub mod sched;
pub mod seccomp;
pub mod sig;
pub mod sock;
#[cfg(all(own_start, not(test)))]
mod start;
pub mod term;
#[cfg(test)]
pub mod testing;
pub mod time;

pub use owned::OwnedFd;
pub use rustix::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, RawFd};
pub use rustix::io::Errno;

/// Whether a call is not to be had, and the next best way has to do: ENOSYS before the kernel that brought it, EPERM from
/// a seccomp filter around us that does not know it.
#[must_use]
pub fn is_lacking(errno: Errno) -> bool {
    crate::limits::ANY_KERNEL && matches!(errno, Errno::NOSYS | Errno::PERM)
}

/// The kernel's return word as a result: the last 4095 values are negated error numbers.
fn raw(word: usize) -> Result<usize, Errno> {
    match i32::try_from(word.cast_signed()) {
        Ok(negated @ -4095..=-1) => Err(Errno::from_raw_os_error(-negated)),
        _ => Ok(word),
    }
}

/// The same for a call that returns nothing else: a result that fits a register.
fn done(word: usize) -> Result<(), Errno> {
    match i32::try_from(word.cast_signed()) {
        Ok(negated @ -4095..=-1) => Err(Errno::from_raw_os_error(-negated)),
        _ => Ok(()),
    }
}
