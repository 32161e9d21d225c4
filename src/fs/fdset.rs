//! The table of open descriptors as a whole: what the runtime inherited, and what the program gets.
//!
//! Chain: close_range (Linux 5.9, its flag 5.11); without it one by one, up to the highest that /proc/self/fd tells of;
//! without that up to the limit.
#![forbid(unsafe_code)]

use core::mem::MaybeUninit;

use heapless::Vec;
use rustix::fs::{CWD, OFlags, RawDir};

use crate::error::{Context, Errno, Fault, Step};
use crate::limits::ANY_KERNEL;
use crate::sys::{AsRawFd, BorrowedFd, fd, is_lacking, path};

pub use crate::sys::fd::is_open;

/// Descriptors from `first` on are closed by execve: what leaked to us goes no further (CVE-2024-21626). First act.
///
/// # Errors
///
/// `Step::CloseFds`.
pub fn cloexec_from(first: u32) -> Result<(), Fault> {
    match fd::cloexec_range(first, u32::MAX) {
        Err(errno) if is_lacking(errno) || ANY_KERNEL && errno == Errno::INVAL => {
            for number in first..=Left::Anything.highest() {
                let _ = fd::set_cloexec(number);
            }
            Ok(())
        }
        other => other.step(Step::CloseFds),
    }
}

/// What may be open, where that must be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// What somebody else left open. Asks the host's /proc.
    Anything,
    /// What was opened since everything else was closed: a few, with the lowest numbers above this one. A container's
    /// /proc is not asked.
    Ours(u32),
}

impl Left {
    /// The highest number that can be open.
    fn highest(self) -> u32 {
        match self {
            Self::Ours(first) => first + 256,
            Self::Anything => listed().unwrap_or_else(|_| fd::upper_bound()),
        }
    }
}

/// The highest number in /proc/self/fd.
fn listed() -> Result<u32, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let list = path::open(CWD, c"/proc/self/fd", flags, 0)?;
    let mut room = [MaybeUninit::uninit(); 1024];
    let mut entries = RawDir::new(&list, &mut room);
    let mut highest = 0;
    while let Some(entry) = entries.next() {
        // "." and ".." are no numbers.
        let entry = entry?;
        let number = crate::text::number(entry.file_name().to_bytes(), 10);
        highest = highest.max(number.unwrap_or(0));
    }
    Ok(u32::try_from(highest).unwrap_or(u32::MAX))
}

/// Most descriptors that init keeps: the wire, eight namespaces, the start socket, the terminal's socket.
pub const KEEP: usize = 16;

/// The descriptors that stay open.
#[derive(Default)]
pub struct Kept(Vec<u32, KEEP>);

impl Kept {
    /// This one, too.
    pub fn add(&mut self, fd: BorrowedFd<'_>) {
        let _ = self.0.push(fd.as_raw_fd().unsigned_abs());
    }
}

/// Closes descriptors from `first` on, all but these.
///
/// First act of init, which inherits what the parent had open for itself (the state directory and its lock above all);
/// and the last one before execve, so that `/proc/self/fd/N` as a program or a directory finds nothing.
///
/// # Errors
///
/// `Step::CloseFds`.
pub fn close_all_but(first: u32, kept: &Kept, left: Left) -> Result<(), Fault> {
    let mut next = first;
    // The lowest that is left, each time: sorting so few is more code than it saves time.
    while let Some(number) = kept.0.iter().copied().filter(|it| *it >= next).min() {
        if number > next {
            close(next, number - 1)?;
        }
        next = number + 1;
    }
    match fd::close_range(next, u32::MAX) {
        Err(errno) if is_lacking(errno) => close(next, left.highest()),
        other => other.step(Step::CloseFds),
    }
}

/// Closes a range, first and last included.
pub(super) fn close(first: u32, last: u32) -> Result<(), Fault> {
    match fd::close_range(first, last) {
        Err(errno) if is_lacking(errno) => {
            for number in first..=last {
                let _ = fd::close(number);
            }
            Ok(())
        }
        other => other.step(Step::CloseFds),
    }
}
