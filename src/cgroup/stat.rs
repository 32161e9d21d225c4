//! What the kernel counts for a container, and the news of one that ran out of memory.
#![forbid(unsafe_code)]

use super::{Hierarchy, Kinds, Mode, Record, io};
use crate::sys::file::read_file;
use crate::sys::{AsFd, BorrowedFd, OwnedFd};
use crate::text::{Digits, field, number, pieces};
use core::ffi::CStr;
use rustix::event::{EventfdFlags, PollFlags, eventfd};

/// The row whose hierarchy has the files of a controller.
fn row<'r>(record: &'r Record, file: &[u8]) -> Option<Hierarchy<'r>> {
    let controller = pieces(file, b'.').next()?;
    record.hierarchies.iter().find(|row| match record.mode {
        Mode::V2 => row.kinds.has(Kinds::UNIFIED),
        _ => row.has(controller),
    })
}

fn open(record: &Record, file: &CStr) -> Option<(OwnedFd, OwnedFd)> {
    let dir = io::open_dir(row(record, file.to_bytes())?.dir).ok()?;
    let file = io::open(dir.as_fd(), file).ok()?;
    Some((dir, file))
}

/// Reads a file of the container's cgroup, whichever hierarchy it is in; `None` where there is no such file.
pub fn read<'b>(record: &Record, file: &CStr, buffer: &'b mut [u8]) -> Option<&'b [u8]> {
    let dir = io::open_dir(row(record, file.to_bytes())?.dir).ok()?;
    read_file(dir, file, buffer).ok()
}

/// How often the kernel has killed for want of memory here.
#[must_use]
pub fn oom_kills(record: &Record) -> u64 {
    let mut text = [0; 512];
    let file = match record.mode {
        Mode::V2 => c"memory.events",
        _ => c"memory.oom_control",
    };
    let text = read(record, file, &mut text).unwrap_or_default();
    field(text, b"oom_kill ")
        .and_then(|it| number(it, 10))
        .unwrap_or(0)
}

/// A descriptor that tells when memory runs out.
pub struct OomWatch {
    fd: OwnedFd,
    /// On v2 the file itself tells, of other events as well; on v1 an eventfd(2).
    v2: bool,
    kills: u64,
}

impl OomWatch {
    /// Starts to watch; `None` without the memory controller.
    #[must_use]
    pub fn new(record: &Record) -> Option<Self> {
        let kills = oom_kills(record);
        if record.mode == Mode::V2 {
            let (_, fd) = open(record, c"memory.events")?;
            let v2 = true;
            return Some(Self { fd, v2, kills });
        }
        let (dir, control) = open(record, c"memory.oom_control")?;
        let fd = OwnedFd::from(eventfd(0, EventfdFlags::CLOEXEC).ok()?);
        let mut line = heapless::Vec::<u8, 48>::new();
        for fd in [fd.as_fd(), control.as_fd()] {
            let number = crate::sys::AsRawFd::as_raw_fd(&fd);
            let _ = line.extend_from_slice(Digits::new(number.unsigned_abs().into()).text());
            let _ = line.push(b' ');
        }
        io::write(dir, c"cgroup.event_control", &line).ok()?;
        let v2 = false;
        Some(Self { fd, v2, kills })
    }

    /// What to poll, and for what.
    #[must_use]
    pub fn poll(&self) -> (BorrowedFd<'_>, PollFlags) {
        let flags = if self.v2 {
            PollFlags::PRI
        } else {
            PollFlags::IN
        };
        (self.fd.as_fd(), flags)
    }

    /// Takes the news; whether it was that one.
    pub fn take(&mut self, record: &Record) -> bool {
        if !self.v2 {
            return rustix::io::read(&self.fd, &mut [0; 8]).is_ok();
        }
        // The next poll(2) waits for what comes after this read.
        let mut text = [0; 512];
        let _ = rustix::fs::seek(&self.fd, rustix::fs::SeekFrom::Start(0));
        let _ = rustix::io::read(&self.fd, &mut text);
        let kills = oom_kills(record);
        kills > core::mem::replace(&mut self.kills, kills)
    }
}
