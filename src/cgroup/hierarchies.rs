//! A list of hierarchies with one directory in each, packed into one text.
//!
//! The same shape serves the host's layout (directory = the runtime's own cgroup), the plan and the record of a
//! container (directory = the container's cgroup). Per row the text holds `controllers`, then the directory as
//! `mount point` + `path` with a NUL, then `the directory/tasks` with a NUL: every form that a syscall takes.
#![forbid(unsafe_code)]

use core::ffi::CStr;

use crate::error::{At, Fault, Place, Step};
use crate::limits::{ANY_KERNEL, CGROUP_BYTES, CGROUP_HIERARCHIES, Limit};
use crate::text::{c_text, pieces};

/// What a hierarchy can do, as bits: only what the runtime itself uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kinds(u8);

impl Kinds {
    /// The v2 hierarchy.
    pub const UNIFIED: Self = Self(1);
    /// A v1 hierarchy without a controller (`name=systemd`).
    pub const NAMED: Self = Self(2);
    /// Carries the v1 devices controller.
    pub const DEVICES: Self = Self(4);
    /// Carries the v1 freezer.
    pub const FREEZER: Self = Self(8);
    /// Carries the v1 cpuset controller, whose new groups refuse processes until they have cpus and mems.
    pub const CPUSET: Self = Self(16);

    /// Reads the second field of a line of /proc/self/cgroup; an empty one means v2.
    #[must_use]
    pub fn of(controllers: &[u8]) -> Self {
        if controllers.is_empty() || !ANY_KERNEL {
            return Self::UNIFIED;
        }
        let mut kinds = Self(0);
        for word in pieces(controllers, b',') {
            let kind = if word == b"devices" {
                Self::DEVICES
            } else if word == b"freezer" {
                Self::FREEZER
            } else if word == b"cpuset" {
                Self::CPUSET
            } else if word.starts_with(b"name=") {
                Self::NAMED
            } else {
                continue;
            };
            kinds.0 |= kind.0;
        }
        kinds
    }

    /// Whether all bits of `other` are set.
    #[must_use]
    pub fn has(self, other: Self) -> bool {
        if !ANY_KERNEL {
            return other == Self::UNIFIED;
        }
        self.0 & other.0 == other.0
    }
}

/// One row: where its parts end in the text.
#[derive(Clone, Copy)]
struct Row {
    start: u16,
    controllers: u16,
    mount: u16,
    dir: u16,
    kinds: Kinds,
    made: u8,
    name: u32,
    inode: u64,
}

const EMPTY: Row = Row {
    start: 0,
    controllers: 0,
    mount: 0,
    dir: 0,
    kinds: Kinds(0),
    made: 0,
    name: 0,
    inode: 0,
};

/// Hierarchies with one directory in each. Large: lives in .bss.
pub struct Hierarchies {
    count: u8,
    used: u16,
    rows: [Row; CGROUP_HIERARCHIES],
    text: [u8; CGROUP_BYTES],
}

const _: () = assert!(
    CGROUP_HIERARCHIES <= 64 && CGROUP_BYTES < 65_536,
    "rows hold 8 and 16 bit numbers"
);

/// A row of [`Hierarchies`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hierarchy<'a> {
    /// `cpu,cpuacct`, `name=systemd`, or empty for v2: as in /proc/self/cgroup.
    pub controllers: &'a [u8],
    /// The absolute mount point.
    pub mount: &'a [u8],
    /// The directory below the mount point: empty for its root, else with a leading slash and none at the end.
    pub path: &'a [u8],
    /// Mount point and path together.
    pub dir: &'a CStr,
    /// `dir` + `/tasks`.
    pub tasks: &'a CStr,
    /// What it can do.
    pub kinds: Kinds,
    /// The number of trailing components of `path` that were made for this container.
    pub made: u8,
    /// Where a fault finds the name of the directory.
    pub at: At,
    /// Identity of the directory when it was made (0: not made yet). Its inode.
    pub inode: u64,
}

impl Hierarchy<'_> {
    /// Whether this is the hierarchy of a controller; of v2, which has no list of them, that of "".
    #[must_use]
    pub fn has(&self, controller: &[u8]) -> bool {
        pieces(self.controllers, b',').any(|name| name == controller)
    }
}

impl Hierarchies {
    /// An empty list.
    #[must_use]
    #[allow(clippy::large_stack_arrays, reason = "only ever evaluated for statics")]
    pub const fn new() -> Self {
        Self {
            count: 0,
            used: 0,
            rows: [EMPTY; CGROUP_HIERARCHIES],
            text: [0; CGROUP_BYTES],
        }
    }

    /// Forgets all rows.
    pub fn clear(&mut self) {
        self.count = 0;
        self.used = 0;
    }

    /// The number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        usize::from(self.count)
    }

    /// Whether there is no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Adds a row. `path` is given in pieces, each of which is normalised: it must have a leading slash and none at the
    /// end, or be empty.
    ///
    /// # Errors
    /// The limits CGROUP_HIERARCHIES and CGROUP_BYTES.
    pub fn push(&mut self, controllers: &[u8], mount: &[u8], path: &[&[u8]]) -> Result<(), Fault> {
        self.push_pieces(controllers, &[mount], path)
    }

    /// Adds a row whose mount point comes in pieces, too.
    pub(super) fn push_pieces(
        &mut self,
        controllers: &[u8],
        mount: &[&[u8]],
        path: &[&[u8]],
    ) -> Result<(), Fault> {
        let start = self.used;
        let done = self.try_push(controllers, mount, path);
        done.map_err(|limit| {
            self.used = start;
            Fault::limit(Step::FindCgroups, limit, At::Nothing)
        })
    }

    fn try_push(
        &mut self,
        controllers: &[u8],
        mount: &[&[u8]],
        path: &[&[u8]],
    ) -> Result<(), Limit> {
        let mut row = EMPTY;
        row.kinds = Kinds::of(controllers);
        row.start = self.used;
        row.controllers = self.put(&[controllers])?;
        row.mount = self.put(mount)?;
        row.dir = self.put(path)?;
        self.put(&[b"\0"])?;
        self.put(mount)?;
        self.put(path)?;
        self.put(&[b"/tasks\0"])?;
        let slot = self.rows.get_mut(usize::from(self.count));
        *slot.ok_or(Limit::CGROUP_HIERARCHIES)? = row;
        self.count += 1;
        Ok(())
    }

    /// Appends pieces; where they end.
    fn put(&mut self, pieces: &[&[u8]]) -> Result<u16, Limit> {
        for piece in pieces {
            let at = usize::from(self.used);
            let end = at + piece.len();
            let room = self.text.get_mut(at..end).ok_or(Limit::CGROUP_BYTES)?;
            room.copy_from_slice(piece);
            self.used = u16::try_from(end).map_err(|_| Limit::CGROUP_BYTES)?;
        }
        Ok(self.used)
    }

    /// A part of the text.
    #[inline(never)] // many callers
    fn part(&self, from: u16, to: u16) -> &[u8] {
        let part = self.text.get(usize::from(from)..usize::from(to));
        part.unwrap_or(&[])
    }

    /// The string of the text that starts here.
    #[inline(never)] // two callers
    fn string(&self, from: u16) -> &CStr {
        c_text(self.part(from, self.used)).unwrap_or_default()
    }

    /// Row `n`.
    #[must_use]
    pub fn get(&self, n: usize) -> Option<Hierarchy<'_>> {
        let row = self.rows.get(..self.len())?.get(n)?;
        Some(Hierarchy {
            controllers: self.part(row.start, row.controllers),
            mount: self.part(row.controllers, row.mount),
            path: self.part(row.mount, row.dir),
            dir: self.string(row.controllers),
            tasks: self.string(row.dir + 1),
            kinds: row.kinds,
            made: row.made,
            at: match row.name {
                0 => At::Place(Place::CgroupOfContainer),
                name => At::Arena(name),
            },
            inode: row.inode,
        })
    }

    /// The rows.
    pub fn iter(&self) -> impl Iterator<Item = Hierarchy<'_>> {
        (0..self.len()).filter_map(|n| self.get(n))
    }

    /// Notes that the last `made` components of row `n` were made, and the identity of the directory.
    pub fn mark(&mut self, n: usize, made: u8, inode: u64) {
        if let Some(row) = self.rows.get_mut(n) {
            row.made = made;
            row.inode = inode;
        }
    }

    /// Gives the directory of row `n` a name for faults: its offset in the arena of the plan.
    pub fn name(&mut self, n: usize, at: u32) {
        if let Some(row) = self.rows.get_mut(n) {
            row.name = at;
        }
    }

    /// Takes over the rows of `other`.
    pub fn copy_from(&mut self, other: &Self) {
        self.count = other.count;
        self.used = other.used;
        self.rows = other.rows;
        let used = usize::from(other.used);
        if let (Some(to), Some(from)) = (self.text.get_mut(..used), other.text.get(..used)) {
            to.copy_from_slice(from);
        }
    }
}

impl Default for Hierarchies {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::{Hierarchies, Kinds};
    use crate::error::Cause;
    use crate::limits::{CGROUP_HIERARCHIES, Limit};

    #[test]
    fn rows_come_back() {
        let mut list = Box::new(Hierarchies::new());
        list.push(b"cpu,devices", b"/m/cpu", &[b"/own", b"/id"])
            .unwrap();
        list.push(b"", b"/m/unified", &[]).unwrap();
        let row = list.get(0).unwrap();
        assert_eq!(row.controllers, b"cpu,devices");
        assert_eq!((row.mount, row.path), (&b"/m/cpu"[..], &b"/own/id"[..]));
        assert_eq!(
            (row.dir, row.tasks),
            (c"/m/cpu/own/id", c"/m/cpu/own/id/tasks")
        );
        assert!(row.kinds.has(Kinds::DEVICES) && !row.kinds.has(Kinds::UNIFIED));
        let row = list.get(1).unwrap();
        assert_eq!(
            (row.mount, row.path, row.dir),
            (&b"/m/unified"[..], &b""[..], c"/m/unified")
        );
        assert_eq!(row.kinds, Kinds::UNIFIED);
        assert_eq!(list.get(2), None);
        list.mark(1, 2, 77);
        let mut copy = Box::new(Hierarchies::new());
        copy.copy_from(&list);
        assert!(copy.iter().eq(list.iter()));
        assert_eq!(copy.get(1).map(|row| (row.made, row.inode)), Some((2, 77)));
    }

    #[test]
    fn capacities_are_named() {
        let mut list = Box::new(Hierarchies::new());
        for _ in 0..CGROUP_HIERARCHIES {
            list.push(b"x", b"/m", &[b"/p"]).unwrap();
        }
        let fault = list.push(b"x", b"/m", &[b"/p"]).unwrap_err();
        assert_eq!(fault.cause(), Cause::Limit(Limit::CGROUP_HIERARCHIES));
        list.clear();
        let long = [b'x'; 8000];
        assert!(list.push(b"x", &long, &[&long[..]]).is_ok());
        let fault = list.push(b"x", &long, &[&long[..]]).unwrap_err();
        assert_eq!(fault.cause(), Cause::Limit(Limit::CGROUP_BYTES));
        assert_eq!(list.len(), 1);
    }
}
