//! The freezer: `pause`, `resume`, and holding still what forks faster than it is killed.
#![forbid(unsafe_code)]

use super::{Hierarchy, Kinds, Record, io, remove};
use crate::error::{At, Cause, Context, Errno, Fault, Feature, Place, Step};
use crate::sys::time::{self, SECOND};
use crate::sys::{AsFd, BorrowedFd};
use crate::text::pieces;

/// Seconds that processes may take to freeze: one in an uninterruptible sleep does so behind it.
const PATIENCE: u16 = 10;

/// Freezes the container or thaws it, and waits until that is done; where it cannot be frozen it is thawed again.
///
/// # Errors
///
/// No freezer; a timeout.
pub fn freeze(record: &Record, frozen: bool) -> Result<(), Fault> {
    let missing = |feature| {
        let at = At::Place(Place::CgroupRoot);
        Fault::placed(Step::Freeze, Cause::Missing(feature, 0), at)
    };
    let row = freezer(record).ok_or(missing(Feature::Freezer))?;
    let dir = io::open_dir(row.dir).step_at(Step::Freeze, row.at)?;
    let start = time::monotonic();
    let mut pause = 1;
    loop {
        // Again each time: a v1 process that was forked meanwhile keeps the state at FREEZING for good.
        match set(dir.as_fd(), row.kinds, frozen) {
            Err(Errno::NOENT) => return Err(missing(Feature::CgroupFreeze)),
            done => done.step_at(Step::Freeze, row.at)?,
        }
        if is_settled(dir.as_fd(), row.kinds, frozen) {
            return Ok(());
        }
        if time::monotonic().saturating_sub(start) > u64::from(PATIENCE) * SECOND {
            let _ = set(dir.as_fd(), row.kinds, false);
            return Err(Fault::placed(
                Step::Freeze,
                Cause::Timeout(PATIENCE),
                row.at,
            ));
        }
        remove::wait(&row, pause);
        pause = (pause * 2).min(20);
    }
}

/// The cgroup of the container that it is frozen with.
#[must_use]
pub fn freezer(record: &Record) -> Option<Hierarchy<'_>> {
    let rows = || record.hierarchies.iter().filter(|row| row.inode != 0);
    let v1 = rows().find(|row| row.kinds.has(Kinds::FREEZER));
    v1.or_else(|| rows().find(|row| row.kinds.has(Kinds::UNIFIED)))
}

/// Whether all processes are as they are to be.
fn is_settled(dir: BorrowedFd<'_>, kinds: Kinds, frozen: bool) -> bool {
    let mut text = [0; 128];
    if !frozen {
        return !is_frozen(dir, kinds);
    }
    let (file, line) = if kinds.has(Kinds::UNIFIED) {
        (c"cgroup.events", &b"frozen 1"[..])
    } else {
        (c"freezer.state", &b"FROZEN"[..])
    };
    io::read_small(dir, file, &mut text).is_ok_and(|text| has_line(text, line))
}

/// Whether the container's cgroup is frozen or about to be. A cgroup that is gone, or has no freezer, is not.
#[must_use]
pub fn frozen(record: &Record) -> bool {
    let freezer = |kinds: Kinds| kinds.has(Kinds::FREEZER) || kinds.has(Kinds::UNIFIED);
    record
        .hierarchies
        .iter()
        .filter(|row| freezer(row.kinds))
        .any(|row| {
            let dir = io::open_dir(row.dir);
            dir.is_ok_and(|dir| is_frozen(dir.as_fd(), row.kinds))
        })
}

/// The same for the directory of a hierarchy that has a freezer; false for others.
pub(super) fn is_frozen(dir: BorrowedFd<'_>, kinds: Kinds) -> bool {
    let mut text = [0; 128];
    if kinds.has(Kinds::UNIFIED) {
        let events = io::read_small(dir, c"cgroup.events", &mut text);
        return events.is_ok_and(|events| has_line(events, b"frozen 1"));
    }
    if !kinds.has(Kinds::FREEZER) {
        return false;
    }
    let state = io::read_small(dir, c"freezer.state", &mut text);
    state.is_ok_and(|state| !state.starts_with(b"THAWED"))
}

/// Starts to freeze (or thaws) a directory with all below it; does not wait.
pub(super) fn set(dir: BorrowedFd<'_>, kinds: Kinds, frozen: bool) -> Result<(), Errno> {
    if kinds.has(Kinds::UNIFIED) {
        io::write(dir, c"cgroup.freeze", if frozen { b"1" } else { b"0" })
    } else {
        let word: &[u8] = if frozen { b"FROZEN" } else { b"THAWED" };
        io::write(dir, c"freezer.state", word)
    }
}

/// Whether a file of the kernel has this line.
pub(super) fn has_line(text: &[u8], line: &[u8]) -> bool {
    pieces(text, b'\n').any(|it| it == line)
}
