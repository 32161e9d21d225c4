//! What only the v2 hierarchy needs: controllers handed down, and the device program.
#![forbid(unsafe_code)]

use super::io;
use crate::error::{At, Context, Errno, Fault, Rule, Step};
use crate::limits::ANY_KERNEL;
use crate::sys::{AsFd, BorrowedFd, OwnedFd, bpf};
use rustix::fs::{AtFlags, CWD, Uid, chownat};
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
    match io::put(&file, &line) {
        // It has processes. Those controllers that could be had nevertheless would make a threaded domain of it.
        Ok(()) | Err(Errno::BUSY) => {}
        // One that cannot be had must not take the others with it.
        Err(_) => {
            for word in line.split_inclusive(|byte| *byte == b' ') {
                let _ = io::put(&file, word);
            }
        }
    }
}

/// A cgroup below a threaded one can hold no process until it is threaded, too; it can then have no controller that
/// needs a domain.
pub(super) fn ensure_domain(dir: BorrowedFd<'_>, needed: bool) -> Result<(), Fault> {
    let mut text = [0; 32];
    // The root has no such file.
    let kind = match io::read_small(dir, c"cgroup.type", &mut text) {
        Err(Errno::NOENT) => return Ok(()),
        kind => kind.step(Step::MakeCgroup)?.trim_ascii(),
    };
    if kind != b"domain invalid" {
        return Ok(());
    }
    if needed {
        return Err(Fault::rule(
            Step::MakeCgroup,
            Rule::ThreadedCgroup,
            At::Nothing,
        ));
    }
    io::write(dir, c"cgroup.type", b"threaded").step(Step::MakeCgroup)
}

/// Gives a cgroup to a user, who may then make others below it: the directory, and the files that the kernel names.
pub(super) fn delegate(dir: BorrowedFd<'_>, owner: u32) -> Result<(), Errno> {
    let mut text = [0; 1024];
    let listed = io::read_small(CWD, c"/sys/kernel/cgroup/delegate", &mut text);
    // Before 4.15 the kernel does not say.
    let names = listed.unwrap_or(b"cgroup.procs\ncgroup.subtree_control\ncgroup.threads");
    let owner = Some(Uid::from_raw(owner));
    for name in [&b"."[..]].into_iter().chain(words(names)) {
        match chownat(dir, name, owner, None, AtFlags::SYMLINK_NOFOLLOW) {
            // Who may not give it away keeps it.
            Ok(()) | Err(Errno::NOENT | Errno::PERM) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// The words of a file.
pub(super) fn words(text: &[u8]) -> impl Iterator<Item = &[u8]> {
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
        Err(Errno::PERM) if ANY_KERNEL => {}
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
