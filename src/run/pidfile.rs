//! `--pid-file`: the pid of init in decimal, nothing else, all at once.
#![forbid(unsafe_code)]

use core::ffi::CStr;

use heapless::Vec;
use rustix::fs::{CWD, OFlags};
use rustix::process::Pid;

use crate::error::{At, Context, Errno, Fault, Place, Step};
use crate::plan::arena::decimal;
use crate::sys::{OwnedFd, c_text};

/// Where the number goes.
pub(super) struct PidFile {
    /// The directory that a relative path starts at.
    from: OwnedFd,
    path: &'static CStr,
}

impl PidFile {
    /// A path as the caller gave it, while its directory is still the working directory.
    pub(super) fn new(path: &'static CStr) -> Result<Self, Fault> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let from = crate::sys::path::open(CWD, c".", flags, 0)
            .step_at(Step::WritePidFile, At::Place(Place::PidFile))?;
        Ok(Self { from, path })
    }

    /// Writes `.NAME` beside the file and renames it, so that nobody sees half a number.
    pub(super) fn write(&self, pid: Pid) -> Result<(), Fault> {
        put(&self.from, self.path.to_bytes(), pid)
            .step_at(Step::WritePidFile, At::Place(Place::PidFile))
    }
}

#[inline(never)] // its buffer would lie in the frame of everything below
fn put(from: &OwnedFd, path: &[u8], pid: Pid) -> Result<(), Errno> {
    let split = path
        .iter()
        .rposition(|byte| *byte == b'/')
        .map_or(0, |slash| slash + 1);
    let (dir, name) = path.split_at_checked(split).ok_or(Errno::INVAL)?;
    let (new, last) = (joined(&[dir, b".", name])?, joined(&[path])?);
    let new = c_text(&new).ok_or(Errno::INVAL)?;
    let last = c_text(&last).ok_or(Errno::INVAL)?;
    let mut digits = Vec::<u8, 20>::new();
    decimal(i64::from(pid.as_raw_nonzero().get()), &mut |digit| {
        // Twenty are enough for every number.
        let _ = digits.push(digit);
    });
    // One that a killed runtime left is not ours to trust, but it is in the way.
    let _ = rustix::fs::unlinkat(from, new, rustix::fs::AtFlags::empty());
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let file = crate::sys::path::open(from, new, flags, 0o666)?;
    let written = rustix::io::write(&file, &digits).and_then(|len| {
        if len == digits.len() {
            Ok(())
        } else {
            Err(Errno::NOSPC)
        }
    });
    let renamed = written.and_then(|()| rustix::fs::renameat(from, new, from, last));
    if renamed.is_err() {
        let _ = rustix::fs::unlinkat(from, new, rustix::fs::AtFlags::empty());
    }
    renamed
}

/// The pieces with a NUL behind them.
fn joined(pieces: &[&[u8]]) -> Result<Vec<u8, 4096>, Errno> {
    let mut text = Vec::new();
    for piece in pieces.iter().copied().chain([&b"\0"[..]]) {
        text.extend_from_slice(piece)
            .map_err(|_| Errno::NAMETOOLONG)?;
    }
    Ok(text)
}
