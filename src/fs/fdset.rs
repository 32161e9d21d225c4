//! The table of open descriptors as a whole: what the runtime inherited, and what the program gets.
//!
//! Chain: close_range (Linux 5.9, its flag 5.11); without it every number up to the limit, one by one.
#![forbid(unsafe_code)]

use heapless::Vec;

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

/// Most descriptors that init keeps: the wire, eight namespaces, the start socket, the terminal's socket.
pub const KEEP: usize = 16;

/// Closes descriptors from `first` on, all but these.
///
/// First act of init, which inherits what the parent had open for itself (the state directory and its lock above all);
/// and the last one before execve, so that `/proc/self/fd/N` as a program or a directory finds nothing.
///
/// # Errors
///
/// `Step::CloseFds`.
pub fn close_all_but<'k>(
    first: u32,
    keep: impl IntoIterator<Item = BorrowedFd<'k>>,
) -> Result<(), Fault> {
    let numbers: Vec<u32, KEEP> = keep
        .into_iter()
        .filter_map(|fd| u32::try_from(fd.as_raw_fd()).ok())
        .filter(|number| *number >= first)
        .take(KEEP)
        .collect();
    let mut next = first;
    // The lowest that is left, each time: sorting so few is more code than it saves time.
    while let Some(number) = numbers.iter().copied().filter(|it| *it >= next).min() {
        if number > next {
            close(next, number - 1)?;
        }
        next = number + 1;
    }
    close(next, u32::MAX)
}

/// Closes a range, first and last included.
pub(super) fn close(first: u32, last: u32) -> Result<(), Fault> {
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
