//! Descriptors: a path inside a root, a file of procfs, the table of open ones.
//!
//! The only room that turns text into a descriptor inside a container's root.
#![forbid(unsafe_code)]

pub mod fdset;
pub mod later;
pub mod passwd;
pub mod proc;
pub mod root;
#[cfg(test)]
mod tests;
pub mod text;
mod walk;

use crate::sys::path::{cwd, openat};
use crate::sys::{BorrowedFd, Errno};

/// Does something with a directory as the working directory, for calls that take no descriptor.
///
/// # Errors
///
/// Those of `act`; the kernel's for going there and back.
pub fn within<T>(dir: BorrowedFd<'_>, act: impl FnOnce() -> Result<T, Errno>) -> Result<T, Errno> {
    let back = openat(cwd(), c".", rustix::fs::OFlags::PATH)?;
    rustix::process::fchdir(dir)?;
    let done = act();
    rustix::process::fchdir(back)?;
    done
}
