//! Whole reads and writes of small files, and the three standard descriptors.
//!
//! # Safety
//!
//! Descriptors 0 to 2 are never closed by this program ([`standard_descriptors`] opens what the caller left closed), so
//! borrowing them for good is sound.
#![allow(unsafe_code)]

use core::ffi::CStr;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, BorrowedFd, IntoRawFd};
use rustix::fs::{Mode, OFlags, openat};
use rustix::io::{Errno, read, write};

use super::OwnedFd;

/// Standard input.
#[must_use]
pub fn stdin() -> BorrowedFd<'static> {
    // SAFETY: 0 stays open for the life of the process.
    unsafe { BorrowedFd::borrow_raw(0) }
}

/// Standard output.
#[must_use]
pub fn stdout() -> BorrowedFd<'static> {
    // SAFETY: 1 stays open for the life of the process.
    unsafe { BorrowedFd::borrow_raw(1) }
}

/// Standard error.
#[must_use]
pub fn stderr() -> BorrowedFd<'static> {
    // SAFETY: 2 stays open for the life of the process.
    unsafe { BorrowedFd::borrow_raw(2) }
}

/// Opens /dev/null in place of those of 0, 1, 2 that are closed, so that no file opened later gets such a number and
/// receives what was meant for the terminal. One poll(2) where all are open: POLLNVAL marks a closed one.
pub fn standard_descriptors() {
    // SAFETY: poll(2) reports a closed descriptor as POLLNVAL and does nothing else with it.
    let [zero, one, two] = [0, 1, 2].map(|n| unsafe { BorrowedFd::borrow_raw(n) });
    let mut fds = [zero, one, two].map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::empty()));
    if poll(&mut fds, Some(&Timespec::default())) == Ok(0) {
        return;
    }
    while let Ok(null) = openat(rustix::fs::CWD, c"/dev/null", OFlags::RDWR, Mode::empty()) {
        // The kernel hands out the lowest free number.
        if rustix::fd::AsRawFd::as_raw_fd(&null) > 2 {
            break;
        }
        let _ = null.into_raw_fd();
    }
}

/// Reads until `buffer` is full or the file ends; returns the number of bytes.
///
/// `ssize_t read(int fd, void *buf, size_t count)`, man 2 read.
pub fn read_whole(fd: impl AsFd, buffer: &mut [u8]) -> Result<usize, Errno> {
    let mut filled = 0_usize;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match read(&fd, rest) {
            Ok(0) => break,
            Ok(n) => filled = filled.saturating_add(n),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(filled)
}

/// Writes all of `bytes`.
///
/// `ssize_t write(int fd, const void *buf, size_t count)`, man 2 write. A kernel that takes nothing is EIO.
pub fn write_whole(fd: impl AsFd, mut bytes: &[u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        match write(&fd, bytes) {
            Ok(0) => return Err(Errno::IO),
            Ok(n) => bytes = bytes.get(n..).unwrap_or_default(),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// Reads a file as far as it fits; a link is not followed.
pub fn read_file<'b>(dir: impl AsFd, path: &CStr, buffer: &'b mut [u8]) -> Result<&'b [u8], Errno> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NOCTTY;
    let file = openat(dir.as_fd(), path, flags, Mode::empty()).map(OwnedFd::from)?;
    let n = read_whole(&file, buffer)?;
    Ok(buffer.get(..n).unwrap_or_default())
}
