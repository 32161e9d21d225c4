//! What only the v2 hierarchy needs: controllers handed down, and the device program.
#![forbid(unsafe_code)]

use super::io;
use crate::error::Errno;
use crate::sys::{AsFd, BorrowedFd, OwnedFd, bpf};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Enables for the children of a cgroup every controller that it has: as far as it goes. A cgroup with processes in it
/// refuses (EBUSY), a read-only or foreign one too; whoever needs a controller finds its file missing.
#[inline(never)] // its locals would lie in the frame of its caller
pub(super) fn enable_controllers(dir: BorrowedFd<'_>) {
    let (mut available, mut enabled) = ([0; 256], [0; 256]);
    let Ok(available) = io::read_small(dir, c"cgroup.controllers", &mut available) else {
        return;
    };
    let available = available.trim_ascii();
    if available.is_empty() {
        return;
    }
    let enabled = io::read_small(dir, c"cgroup.subtree_control", &mut enabled).unwrap_or(&[]);
    let missing = || words(available).filter(|name| words(enabled).all(|other| other != *name));
    let mut line = heapless::Vec::<u8, 320>::new();
    for name in missing() {
        // Room for 256 bytes of names and a sign for each.
        let _ = line.extend_from_slice(b"+");
        let _ = line.extend_from_slice(name);
        let _ = line.push(b' ');
    }
    if line.is_empty() {
        return;
    }
    let Ok(file) = io::open_to_write(dir, c"cgroup.subtree_control") else {
        return;
    };
    if io::put(&file, &line).is_err() {
        // One that cannot be had must not take the others with it.
        for word in line.split_inclusive(|byte| *byte == b' ') {
            let _ = io::put(&file, word);
        }
    }
}

fn words(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let blank = |byte: &u8| byte.is_ascii_whitespace();
    text.split(blank).filter(|word| !word.is_empty())
}

/// Attaches the device program; `fresh` is false for a cgroup that was there before and may have programs of an earlier
/// container, which are taken off after ours is on.
#[inline(never)] // its locals would lie in the frame of its caller
pub(super) fn device_program(dir: BorrowedFd<'_>, words: &[u64], fresh: bool) -> Result<(), Errno> {
    let mut ids = [0; 64];
    let old = if fresh {
        &[]
    } else {
        bpf::device_programs(dir, &mut ids)?
    };
    let program = load(words)?;
    bpf::attach_device_program(dir, program.as_fd())?;
    for id in old {
        match bpf::detach_device_program(dir, *id) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// Before 5.11 programs count as locked memory, and the usual limit of 64 KiB may be used up: it is lifted for the one
/// call, not for what inherits it.
fn load(words: &[u64]) -> Result<OwnedFd, Errno> {
    match bpf::load_device_program(words) {
        Err(Errno::PERM) => {}
        other => return other,
    }
    let old = getrlimit(Resource::Memlock);
    let none = Rlimit {
        current: None,
        maximum: None,
    };
    setrlimit(Resource::Memlock, none).map_err(|_| Errno::PERM)?;
    let loaded = bpf::load_device_program(words);
    setrlimit(Resource::Memlock, old)?;
    loaded
}
