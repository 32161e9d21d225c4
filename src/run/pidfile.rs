//! `--pid-file`: the pid of init in decimal, nothing else, all at once.
#![forbid(unsafe_code)]

use core::ffi::CStr;

use rustix::fs::{CWD, OFlags};
use rustix::process::Pid;

use super::lookup::{Path, join};
use crate::error::{At, Context, Errno, Fault, Place, Step};
use crate::sys::{OwnedFd, proc};
use crate::text::Digits;

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
        put(&self.from, self.path, pid).step_at(Step::WritePidFile, At::Place(Place::PidFile))
    }
}

#[inline(never)] // its buffer would lie in the frame of everything below
fn put(from: &OwnedFd, path: &CStr, pid: Pid) -> Result<(), Errno> {
    let bytes = path.to_bytes();
    let split = bytes
        .iter()
        .rposition(|byte| *byte == b'/')
        .map_or(0, |slash| slash + 1);
    let (dir, name) = bytes.split_at_checked(split).ok_or(Errno::INVAL)?;
    let mut new = Path::new();
    let new = join(&mut new, 0, [dir, b".", name]).ok_or(Errno::NAMETOOLONG)?;
    let digits = Digits::new(u64::from(proc::number(pid)));
    let digits = digits.text();
    // One that a killed runtime left is not ours to trust, but it is in the way.
    let _ = rustix::fs::unlinkat(from, new, rustix::fs::AtFlags::empty());
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let file = crate::sys::path::open(from, new, flags, 0o666)?;
    let written = rustix::io::write(&file, digits).and_then(|len| {
        if len == digits.len() {
            Ok(())
        } else {
            Err(Errno::NOSPC)
        }
    });
    let renamed = written.and_then(|()| rustix::fs::renameat(from, new, from, path));
    if renamed.is_err() {
        let _ = rustix::fs::unlinkat(from, new, rustix::fs::AtFlags::empty());
    }
    renamed
}
