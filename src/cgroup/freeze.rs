//! Whether a container is frozen; freezing is here only to kill a v1 cgroup that forks faster than it is killed.
#![forbid(unsafe_code)]

use super::{Kinds, Record, io};
use crate::error::Errno;
use crate::sys::BorrowedFd;
use crate::text::pieces;

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
            dir.is_ok_and(|dir| is_frozen(crate::sys::AsFd::as_fd(&dir), row.kinds))
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
