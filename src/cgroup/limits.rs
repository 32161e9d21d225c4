//! The limits of a container: files with their values, made by `plan::limits`, written here and nowhere else.
//!
//! Nothing about a value is decided here. What is left to find out is what only the kernel knows: which of two files it
//! has, and which of two values it wants first.
#![forbid(unsafe_code)]

use heapless::Vec;

use super::{Hierarchy, Kinds, io, v2};
use crate::error::{At, Cause, Context, Errno, Fault, Feature, Rule, Step};
use crate::limits::{CGROUP_LIMITS, FULL, Limit};
use crate::plan::arena::{Arena, Str};
use crate::sys::{AsFd, BorrowedFd};
use crate::text::{number, pieces};

/// Bytes of memory below which what the kernel frees late is missed.
const HARDLY_ENOUGH: u64 = 512 << 10;

/// What happens when a limit cannot be applied: `--cgroup-policy`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// The container is not made.
    #[default]
    Strict,
    /// One warning for each, and the container runs without it.
    BestEffort,
}

/// How a value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// It must be there and take the value.
    Plain,
    /// It may be missing, as for every value that says that there is no limit.
    Optional,
    /// Where it is missing the next one is written instead of it.
    OrNext,
    /// Refused with EINVAL it is written again after the next one, where there is a next one of this controller: each of
    /// the two must fit the other's present value.
    AfterNext,
    /// Behind the first word that the file has now (`cpu.max`: a period without a quota).
    BehindFirst,
    /// Not written: the number in the file must not be above the value (`checkBeforeUpdate`).
    AtMost,
}

/// One value for one file of the container's cgroup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Value {
    /// The hierarchy, as its number in the list.
    pub row: u8,
    /// How it is written.
    pub how: How,
    /// Name of the file, in the arena.
    pub file: Str,
    /// What is written, right behind the name in the arena.
    pub text: Str,
}

/// An entry of [`Limits`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// To be written.
    Value(Value),
    /// Cannot be had on this host, and may be left out.
    Refused(Fault),
}

/// Everything that is written, in order. Large: lives in .bss.
pub struct Limits {
    /// What happens when one cannot be applied.
    pub policy: Policy,
    /// Init is not cloned by the runtime itself, so that for a moment there is one process more, which must not be
    /// counted: the number of processes is limited [later](super::limit_processes).
    pub apart: bool,
    list: Vec<Entry, CGROUP_LIMITS>,
}

impl Default for Limits {
    fn default() -> Self {
        Self::new()
    }
}

impl Limits {
    /// No limits.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            policy: Policy::Strict,
            apart: false,
            list: Vec::new(),
        }
    }

    /// The entries in order.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        if FULL { &self.list } else { &[] }
    }

    /// Adds one.
    ///
    /// # Errors
    ///
    /// The capacity CGROUP_LIMITS; a refused one itself, unless it may be left out.
    pub fn push(&mut self, entry: Entry) -> Result<(), Fault> {
        match entry {
            Entry::Refused(fault) if self.policy == Policy::Strict => Err(fault),
            _ => self
                .list
                .push(entry)
                .map_err(|_| Fault::limit(Step::PlanLimits, Limit::CGROUP_LIMITS, At::Nothing)),
        }
    }

    /// Whether anything is written to hierarchy `n`.
    pub(super) fn has(&self, n: usize) -> bool {
        let there = |entry: &Entry| matches!(entry, Entry::Value(it) if usize::from(it.row) == n);
        self.entries().iter().any(there)
    }

    /// Whether a v2 cgroup must not be threaded: any controller but these needs a domain.
    pub(super) fn need_domain(&self, arena: &Arena) -> bool {
        self.entries().iter().any(|entry| {
            let Entry::Value(value) = entry else {
                return false;
            };
            let name = pieces(arena.bytes(value.file), b'.').next();
            !matches!(name, Some(b"cpu" | b"cpuset" | b"pids" | b"perf_event"))
        })
    }

    /// The file of the limit of memory, if there is one, and whether that is hardly enough to start in.
    #[must_use]
    pub fn memory(&self, arena: &Arena) -> Option<(Str, bool)> {
        self.entries().iter().find_map(|entry| match entry {
            Entry::Value(value) => {
                let name = arena.bytes(value.file);
                let limit = matches!(name, b"memory.max" | b"memory.limit_in_bytes");
                let bytes = number(arena.bytes(value.text), 10).unwrap_or(u64::MAX);
                limit.then_some((value.file, bytes < HARDLY_ENOUGH))
            }
            Entry::Refused(_) => None,
        })
    }

    /// Gives a fault back, or tells it to `warn` where the policy allows to go on without.
    pub(super) fn settle(
        &self,
        done: Result<(), Fault>,
        warn: &mut dyn FnMut(Fault),
    ) -> Result<(), Fault> {
        match done {
            Err(fault) if self.policy == Policy::BestEffort => {
                warn(fault);
                Ok(())
            }
            done => done,
        }
    }

    /// Tells of what is left out from the start.
    pub fn warn_of_refused(&self, warn: &mut dyn FnMut(Fault)) {
        for entry in &self.list {
            if let Entry::Refused(fault) = entry {
                warn(*fault);
            }
        }
    }

    /// Writes what belongs to hierarchy `n`, whose row and directory these are; with `later` only what was left for then.
    ///
    /// # Errors
    ///
    /// The kernel's at the name of the file, or what it lacks; one below checkBeforeUpdate's usage.
    pub(super) fn apply(
        &self,
        arena: &Arena,
        n: usize,
        row: &Hierarchy<'_>,
        dir: BorrowedFd<'_>,
        later: bool,
        warn: &mut dyn FnMut(Fault),
    ) -> Result<(), Fault> {
        let writer = Writer { arena, row, dir };
        let left = |value: &Value| self.apart && arena.bytes(value.file).starts_with(b"pids.");
        // Those that wait for the next one; there are never more than two of a kind.
        let mut waiting = Vec::<&Value, 4>::new();
        let mut skip = false;
        let ours = self.entries().iter().filter_map(|entry| match entry {
            Entry::Value(value) if usize::from(value.row) == n && left(value) == later => {
                Some(value)
            }
            _ => None,
        });
        for value in ours.map(Some).chain([None]) {
            if let Some(value) = value.filter(|_| !core::mem::take(&mut skip)) {
                match (value.how, writer.write(value)) {
                    (How::OrNext, Ok(())) => skip = true,
                    (How::OrNext | How::Optional, Err(Errno::NOENT)) => {}
                    (How::AfterNext, Err(Errno::INVAL)) => {
                        let _ = waiting.push(value);
                        continue;
                    }
                    (_, done) => self.settle(writer.told(value, done), warn)?,
                }
            }
            while let Some(value) = waiting.pop() {
                self.settle(writer.told(value, writer.write(value)), warn)?;
            }
        }
        Ok(())
    }
}

/// The directory that values are written to.
struct Writer<'w> {
    arena: &'w Arena,
    row: &'w Hierarchy<'w>,
    dir: BorrowedFd<'w>,
}

impl Writer<'_> {
    fn write(&self, value: &Value) -> Result<(), Errno> {
        let file = self.arena.cstr(value.file);
        let text = self.arena.bytes(value.text);
        let mut buffer = [0; 128];
        match value.how {
            How::BehindFirst => {
                let now = io::read_small(self.dir, file, &mut buffer)?;
                let blank = now.iter().position(|byte| *byte == b' ');
                let start = blank.map_or(now.len(), |blank| blank + 1);
                let end = start + text.len();
                let rest = buffer.get_mut(start..end).ok_or(Errno::RANGE)?;
                rest.copy_from_slice(text);
                io::write(self.dir, file, buffer.get(..end).unwrap_or_default())
            }
            How::AtMost => {
                let now = io::read_small(self.dir, file, &mut buffer)?.trim_ascii();
                // Decimal numbers without leading zeros.
                if (now.len(), now) > (text.len(), text) {
                    return Err(Errno::BUSY);
                }
                Ok(())
            }
            _ => {
                // The kernel takes one line at a time; only `unified` has more.
                let file = io::open_to_write(self.dir, file)?;
                let mut lines = pieces(text, b'\n');
                lines.try_for_each(|line| match line {
                    [] => Ok(()),
                    line => io::put(&file, line),
                })
            }
        }
    }

    /// The kernel's answer as a fault: a missing file is told as what the kernel or a cgroup above lacks.
    fn told(&self, value: &Value, done: Result<(), Errno>) -> Result<(), Fault> {
        let at = At::Arena(value.file.at);
        match done {
            // Where nothing can be limited nothing is.
            Err(Errno::NOENT) if matches!(self.arena.bytes(value.text), [b'm' | b'-', ..]) => {
                Ok(())
            }
            Err(Errno::NOENT) => {
                let name = self.arena.bytes(value.file);
                let levels = if self.row.kinds.has(Kinds::UNIFIED) {
                    missing_from(self.row, name)
                } else {
                    0
                };
                let cause = Cause::Missing(Feature::of(name), levels);
                Err(Fault::placed(Step::SetLimit, cause, at))
            }
            Err(Errno::BUSY) if matches!(value.how, How::AtMost) => {
                Err(Fault::rule(Step::SetLimit, Rule::BelowUsage, at))
            }
            done => done.step_at(Step::SetLimit, at),
        }
    }
}

/// Which cgroup above a v2 directory keeps the controller of a file to itself: the number of components of its path, or
/// 0 where there is no such cgroup, so that it is the kernel (or whoever has made the mount) that lacks it.
fn missing_from(row: &Hierarchy<'_>, file: &[u8]) -> u8 {
    let controller = pieces(file, b'.').next().unwrap_or_default();
    let has = |dir: &crate::sys::OwnedFd, list| {
        let mut text = [0; 256];
        let text = io::read_small(dir, list, &mut text).unwrap_or_default();
        v2::words(text).any(|word| word == controller)
    };
    let Ok(mut dir) = io::open_dir(row.mount) else {
        return 0;
    };
    if !has(&dir, c"cgroup.controllers") {
        return 0;
    }
    let mount = row.mount.iter().filter(|byte| **byte == b'/').count();
    for (level, name) in (mount..).zip(pieces(row.path, b'/').skip(1)) {
        if !has(&dir, c"cgroup.subtree_control") {
            return u8::try_from(level).unwrap_or(u8::MAX);
        }
        match io::open_dir_at(dir.as_fd(), name) {
            Ok(below) => dir = below,
            Err(_) => return 0,
        }
    }
    0
}
