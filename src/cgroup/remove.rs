//! The container's cgroups are removed: at once where they are empty, else after everything in them has been killed.
//!
//! Only directories that were made for the container, and still are the same (inode), are killed in and removed, with
//! everything that its processes made below them.
#![forbid(unsafe_code)]

use super::prepare::parent;
use super::{Hierarchy, Kinds, Record, Unit, freeze, io, systemd, walk};
use crate::error::{Cause, Context, Errno, Fault, Rule, Step};
use crate::sys::time::{self, MILLISECOND, SECOND};
use crate::sys::{AsFd, OwnedFd, pidfd, proc};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{AtFlags, CWD, unlinkat};
use rustix::process::Pid;

/// Seconds that killed processes get to be gone: one in an uninterruptible sleep may stay.
const PATIENCE: u16 = 10;
/// The same for a cgroup that is only known from an intent: the init of a half-made container ends by itself.
const SHORT_PATIENCE: u16 = 8;

/// What is known of a row.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Left {
    /// Nothing of ours is there.
    Nothing,
    /// Processes or directories below.
    Something,
}

/// Removes what was made. Safe to be repeated, and with a record from before anything was made; only in the boot that made it.
///
/// # Errors
///
/// The kernel's; a timeout when killed processes do not go away within ten seconds; processes in a cgroup whose
/// identity was never recorded, which are not killed.
pub fn remove(record: &Record) -> Result<(), Fault> {
    let mut busy = 0_u64;
    for n in (0..record.hierarchies.len()).rev() {
        if let Some(row) = record.hierarchies.get(n)
            && attempt(&row, record.fresh).step_at(Step::RemoveCgroup, row.at)? == Left::Something
        {
            busy |= bit(n);
        }
    }
    if busy != 0 {
        insist(record, busy)?;
    }
    // A unit that was only intended may be another's of this name; one of ours goes with its last process.
    let made = record.started || record.hierarchies.iter().any(|row| row.inode != 0);
    if record.unit == Unit::None || !made {
        return Ok(());
    }
    systemd::stop(record)
}

fn bit(n: usize) -> u64 {
    u32::try_from(n)
        .ok()
        .and_then(|n| 1_u64.checked_shl(n))
        .unwrap_or(0)
}

/// Removes a directory and `made` − 1 of its parents, as long as they are empty.
pub(super) fn upwards(mut path: &[u8], made: u8) {
    for _ in 0..made {
        match unlinkat(CWD, path, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(_) => return,
        }
        match parent(path) {
            Some(above) => path = above,
            None => return,
        }
    }
}

/// Removes one directory where that is possible at once. `fresh` when this process has made it: as long as something of
/// the container was in it nobody could put another one in its place.
fn attempt(row: &Hierarchy<'_>, fresh: bool) -> Result<Left, Errno> {
    let ours = fresh && row.made > 0 || is_ours(row)?;
    if !ours {
        return Ok(Left::Nothing);
    }
    if row.made == 0 {
        return used(row);
    }
    match unlinkat(CWD, row.dir, AtFlags::REMOVEDIR) {
        Ok(()) | Err(Errno::NOENT) => {
            if row.made > 1 {
                upwards(parent(row.dir.to_bytes()).unwrap_or(&[]), row.made - 1);
            }
            Ok(Left::Nothing)
        }
        Err(Errno::BUSY | Errno::NOTEMPTY) => Ok(Left::Something),
        Err(errno) => Err(errno),
    }
}

/// Whether the directory is there and still the one that was made, or was to be made.
fn is_ours(row: &Hierarchy<'_>) -> Result<bool, Errno> {
    if row.inode == 0 {
        return Ok(row.made > 0);
    }
    match io::inode_at(row.dir) {
        Ok(inode) => Ok(inode == row.inode),
        Err(Errno::NOENT | Errno::NODEV) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// A directory that was there before stays; only processes are of interest.
fn used(row: &Hierarchy<'_>) -> Result<Left, Errno> {
    let mut text = [0; 128];
    let dir = io::open_dir(row.dir)?;
    let busy = if row.kinds.has(Kinds::UNIFIED) {
        freeze::has_line(
            io::read_small(&dir, c"cgroup.events", &mut text)?,
            b"populated 1",
        )
    } else {
        !io::read_small(&dir, c"cgroup.procs", &mut text)?.is_empty()
    };
    Ok(if busy { Left::Something } else { Left::Nothing })
}

/// Kills and removes until nothing is left or patience ends.
fn insist(record: &Record, mut busy: u64) -> Result<(), Fault> {
    let start = time::monotonic();
    let mut pause = 1;
    loop {
        kill(record)?;
        let mut stuck = None;
        for n in (0..record.hierarchies.len()).rev() {
            let Some(row) = record.hierarchies.get(n).filter(|_| busy & bit(n) != 0) else {
                continue;
            };
            if clear(&row).step_at(Step::RemoveCgroup, row.at)? == Left::Nothing {
                busy &= !bit(n);
            } else {
                stuck = Some(row);
            }
        }
        let Some(row) = stuck else { return Ok(()) };
        let waited = time::monotonic().saturating_sub(start);
        if row.inode == 0 && waited > u64::from(SHORT_PATIENCE) * SECOND {
            let rule = Rule::CgroupStranger;
            return Err(Fault::rule(Step::RemoveCgroup, rule, row.at));
        }
        if waited > u64::from(PATIENCE) * SECOND {
            return Err(Fault::placed(
                Step::RemoveCgroup,
                Cause::Timeout(PATIENCE),
                row.at,
            ));
        }
        wait(&row, pause);
        pause = (pause * 2).min(50);
    }
}

/// Removes the directories that the container made below its own, then its own.
#[inline(never)] // its locals would lie in the frame of its caller
fn clear(row: &Hierarchy<'_>) -> Result<Left, Errno> {
    if row.made > 0 && is_ours(row)? {
        match io::open_dir(row.dir) {
            Ok(dir) => walk::prune(&dir, row.inode != 0)?,
            Err(Errno::NOENT) => {}
            Err(errno) => return Err(errno),
        }
    }
    attempt(row, false)
}

/// Waits until the cgroup may have become empty or frozen: for its events on v2, or for `pause` milliseconds.
pub(super) fn wait(row: &Hierarchy<'_>, pause: u64) {
    let events = if row.kinds.has(Kinds::UNIFIED) {
        let dir = io::open_dir(row.dir);
        dir.and_then(|dir| io::open(&dir, c"cgroup.events")).ok()
    } else {
        None
    };
    let mut fds = events
        .as_ref()
        .map(|events| [PollFd::new(events, PollFlags::PRI)]);
    let fds = fds.as_mut().map_or(&mut [][..], |fds| &mut fds[..]);
    let _ = poll(fds, Some(&time::span(pause * MILLISECOND)));
}

/// Kills every process in the container's cgroups, those in cgroups that it made below them included, once; nothing
/// where its identity was never recorded.
///
/// # Errors
///
/// The kernel's; none for what is gone.
pub fn kill(record: &Record) -> Result<(), Fault> {
    let ours = |row: &Hierarchy<'_>| row.inode != 0 && is_ours(row).unwrap_or(false);
    for row in record.hierarchies.iter().filter(ours) {
        match io::open_dir(row.dir).and_then(|dir| kill_in(&dir, row.kinds)) {
            Ok(()) | Err(Errno::NOENT | Errno::NODEV) => {}
            Err(errno) => return Err(errno).step_at(Step::KillCgroup, row.at),
        }
    }
    Ok(())
}

/// Sends a signal to every process of the container, held still by the freezer meanwhile unless it is paused anyway.
///
/// # Errors
///
/// The kernel's; none for what is gone.
pub fn signal(record: &Record, signal: u32) -> Result<(), Fault> {
    let frozen = freeze::frozen(record);
    let held = !frozen && freeze::freeze(record, true).is_ok();
    let mut send = |pid: Pid| {
        let _ = pidfd::kill(proc::number(pid), signal);
    };
    let sent = processes(record, &mut send);
    if held {
        freeze::freeze(record, false)?;
    }
    sent
}

/// Tells every process of the container, those in cgroups that it made below its own included; never the runtime.
///
/// # Errors
///
/// The kernel's; none for what is gone.
pub fn processes(record: &Record, each: &mut dyn FnMut(Pid)) -> Result<(), Fault> {
    // They are the same in all hierarchies; v1's come first, in which a process cannot be hidden by threads.
    let Some(row) = record.hierarchies.iter().find(|row| row.inode != 0) else {
        return Ok(());
    };
    match io::open_dir(row.dir).and_then(|dir| walk::each_process(&dir, each)) {
        Ok(()) | Err(Errno::NOENT | Errno::NODEV) => Ok(()),
        Err(errno) => Err(errno).step_at(Step::FindProcesses, row.at),
    }
}

/// All at once by cgroup.kill (v2, 5.14); else held still by the freezer, so that none is forked meanwhile.
fn kill_in(dir: &OwnedFd, kinds: Kinds) -> Result<(), Errno> {
    if kinds.has(Kinds::UNIFIED) {
        match io::write(dir, c"cgroup.kill", b"1") {
            // A threaded cgroup does not take it.
            Err(Errno::NOENT | Errno::OPNOTSUPP) => {}
            other => return other,
        }
    }
    let freezes = kinds.has(Kinds::UNIFIED) || kinds.has(Kinds::FREEZER);
    let held = freezes && freeze::set(dir.as_fd(), kinds, true).is_ok();
    let killed = walk::each_process(dir, &mut walk::end);
    // A frozen v1 process takes its SIGKILL when it is thawed; a container that was paused before ends as well.
    if held {
        freeze::set(dir.as_fd(), kinds, false)?;
    }
    killed
}
