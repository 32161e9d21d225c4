//! The table of open descriptors as a whole: what the runtime inherited, and what the program gets.
//!
//! Chain: close_range (Linux 5.9, its flag 5.11); without it every number up to the limit, one by one.
#![forbid(unsafe_code)]

use crate::error::{Context, Errno, Fault, Step};
use crate::sys::{AsRawFd, BorrowedFd, fd};

pub use crate::sys::fd::is_open;

/// Descriptors from `first` on are closed by execve: what leaked to us goes no further (CVE-2024-21626). First act.
///
/// # Errors
///
/// `Step::CloseFds`.
pub fn cloexec_from(first: u32) -> Result<(), Fault> {
    match fd::cloexec_range(first, u32::MAX) {
        Err(Errno::NOSYS | Errno::INVAL | Errno::PERM) => {
            for number in first..fd::upper_bound() {
                let _ = fd::set_cloexec(number);
            }
            Ok(())
        }
        other => other.step(Step::CloseFds),
    }
}

/// Closes descriptors from `first` on, all but one. Last act: execve of `/proc/self/fd/N` finds nothing.
///
/// # Errors
///
/// `Step::CloseFds`.
pub fn close_all_but(first: u32, keep: BorrowedFd<'_>) -> Result<(), Fault> {
    let keep = u32::try_from(keep.as_raw_fd()).unwrap_or(0);
    if keep > first {
        close(first, keep - 1)?;
    }
    close(keep.max(first.saturating_sub(1)) + 1, u32::MAX)
}

fn close(first: u32, last: u32) -> Result<(), Fault> {
    match fd::close_range(first, last) {
        Err(Errno::NOSYS | Errno::PERM) => {
            for number in first..=last.min(fd::upper_bound()) {
                let _ = fd::close(number);
            }
            Ok(())
        }
        other => other.step(Step::CloseFds),
    }
}
