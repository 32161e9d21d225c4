//! Walks over a cgroup and what is below it.
#![forbid(unsafe_code)]

use super::io;
use crate::error::Errno;
use crate::sys::{AsFd, OwnedFd, path};
use core::ffi::CStr;
use core::mem::MaybeUninit;
use rustix::fs::{AtFlags, FileType, OFlags, RawDir, unlinkat};
use rustix::process::{Pid, Signal, getpid, kill_process};

/// Levels that [`each_process`] goes down; deeper ones are reached by [`prune`].
const DEPTH: u32 = 24;
/// Levels that [`prune`] goes down at most. The kernel's own path limit is far below.
const LEVELS: u32 = 4096;
/// Room for directory entries: one with the longest name takes 280 bytes.
const ENTRIES: usize = 512;

/// Calls `each` for every process in the directory and those below it, never for the runtime itself.
pub(super) fn each_process(dir: &OwnedFd, each: &mut dyn FnMut(Pid)) -> Result<(), Errno> {
    each_below(dir, DEPTH, each)
}

/// Ends a process.
pub(super) fn end(pid: Pid) {
    let _ = kill_process(pid, Signal::KILL);
}

fn each_below(dir: &OwnedFd, depth: u32, each: &mut dyn FnMut(Pid)) -> Result<(), Errno> {
    each_here(dir, each)?;
    let Some(depth) = depth.checked_sub(1) else {
        return Ok(());
    };
    let list = list(dir)?;
    let mut room = [MaybeUninit::uninit(); ENTRIES];
    let mut entries = RawDir::new(&list, &mut room);
    while let Some(entry) = entries.next() {
        let entry = entry?;
        if !is_child(entry.file_type(), entry.file_name().to_bytes()) {
            continue;
        }
        match io::open_dir_at(dir, entry.file_name()) {
            Ok(child) => each_below(&child, depth, each)?,
            Err(Errno::NOENT) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// The processes of one cgroup.
fn each_here(dir: &OwnedFd, each: &mut dyn FnMut(Pid)) -> Result<(), Errno> {
    match numbers(dir, c"cgroup.procs", each) {
        // A threaded v2 cgroup has threads, whose numbers do as well to signal a process by.
        Err(Errno::OPNOTSUPP) => numbers(dir, c"cgroup.threads", each),
        read => read,
    }
}

fn numbers(dir: &OwnedFd, file: &CStr, each: &mut dyn FnMut(Pid)) -> Result<(), Errno> {
    let file = match io::open(dir, file) {
        Ok(file) => file,
        Err(Errno::NOENT) => return Ok(()),
        Err(errno) => return Err(errno),
    };
    let own = getpid();
    let mut buffer = [0; 512];
    let mut number = 0_i32;
    loop {
        let n = match rustix::io::read(&file, &mut buffer) {
            Ok(0) | Err(Errno::NODEV) => return Ok(()),
            Ok(n) => n,
            Err(Errno::INTR) => continue,
            Err(errno) => return Err(errno),
        };
        for byte in buffer.get(..n).unwrap_or(&[]) {
            match char::from(*byte).to_digit(10) {
                Some(digit) => {
                    let digit = i32::try_from(digit).unwrap_or(0);
                    number = number.saturating_mul(10).saturating_add(digit);
                }
                None => {
                    // 0 is a process outside of this pid namespace.
                    if let Some(pid) = Pid::from_raw(number).filter(|pid| *pid != own) {
                        each(pid);
                    }
                    number = 0;
                }
            }
        }
    }
}

/// Removes the directories below one, deepest first, until one is busy; `kill` what is in that one then.
///
/// Each round goes down along the first entries, so it needs two descriptors at any depth.
pub(super) fn prune(top: &OwnedFd, kill: bool) -> Result<(), Errno> {
    loop {
        let Some((mut dir, mut name)) = first_child(top)? else {
            return Ok(());
        };
        let mut above = io::open_dir_at(top, c".")?;
        for _ in 0..LEVELS {
            let Some((next, its_name)) = first_child(&dir)? else {
                break;
            };
            (above, dir, name) = (dir, next, its_name);
        }
        match unlinkat(&above, name.bytes(), AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(Errno::BUSY | Errno::NOTEMPTY) => {
                if kill {
                    each_here(&dir, &mut end)?;
                }
                return Ok(());
            }
            Err(errno) => return Err(errno),
        }
    }
}

/// The name of a directory entry.
struct Name {
    bytes: [u8; 255],
    len: usize,
}

impl Name {
    fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or(&[])
    }
}

fn first_child(dir: &OwnedFd) -> Result<Option<(OwnedFd, Name)>, Errno> {
    let list = match list(dir) {
        Err(Errno::NOENT) => return Ok(None),
        other => other?,
    };
    let mut room = [MaybeUninit::uninit(); ENTRIES];
    let mut entries = RawDir::new(&list, &mut room);
    while let Some(entry) = entries.next() {
        let entry = match entry {
            // The directory has gone meanwhile.
            Err(Errno::NOENT) => return Ok(None),
            other => other?,
        };
        let bytes = entry.file_name().to_bytes();
        if !is_child(entry.file_type(), bytes) {
            continue;
        }
        let mut name = Name {
            bytes: [0; 255],
            len: bytes.len(),
        };
        if let Some(slot) = name.bytes.get_mut(..bytes.len()) {
            slot.copy_from_slice(bytes);
        }
        match io::open_dir_at(dir, bytes) {
            Ok(child) => return Ok(Some((child, name))),
            Err(Errno::NOENT) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(None)
}

fn is_child(kind: FileType, name: &[u8]) -> bool {
    kind == FileType::Directory && name != b"." && name != b".."
}

/// A descriptor to list a directory with.
fn list(dir: impl AsFd) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    path::open(dir, c".", flags, 0)
}
