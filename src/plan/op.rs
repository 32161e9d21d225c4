//! One change to the container's view of the file system, as plain data.
//!
//! The list of operations is made in `plan/mounts.rs` and `plan/devices.rs` and carried out in order in `rootfs/`,
//! first those before pivot_root, then those after it. Paths are absolute as the container sees them, without empty
//! or "." components; they are resolved inside the root by descriptor, whatever the root contains.
#![forbid(unsafe_code)]

use super::arena::{Arena, Str};
use super::route::Mappings;

/// One operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// Make a directory and its parents (mode 0755) unless it is there: the working directory of the process.
    Directory {
        /// The directory.
        path: Str,
    },
    /// Mount, bind or remount.
    Mount(Mount),
    /// Make a directory in the file system that the last [`Kind::Base`] mount made, and mount there.
    Below(Below),
    /// Give what the last [`Kind::Base`] mount holds, itself included, these MOUNT_ATTR_*.
    Within {
        /// The attributes.
        attributes: u32,
    },
    /// Make a symbolic link in the file system that the last [`Kind::Base`] mount made; one that exists stays.
    LinkBelow {
        /// Its name.
        name: Str,
        /// What it points to.
        text: Str,
    },
    /// Make a device node or FIFO.
    Device(Device),
    /// Make a symbolic link; what exists stays.
    Link {
        /// Where.
        path: Str,
        /// What it points to.
        text: Str,
        /// What to do about the place and the target.
        when: When,
    },
    /// Give the root of a file system an SELinux label.
    Label {
        /// Where it is mounted.
        path: Str,
        /// The label.
        text: Str,
    },
    /// After pivot_root: set the propagation of "/" (MS_SHARED or MS_UNBINDABLE, perhaps with MS_REC).
    Propagation {
        /// The MS_* flags.
        flags: u32,
    },
    /// Make a path read-only; a missing one is skipped.
    Readonly {
        /// The path.
        path: Str,
    },
    /// Make a path unreadable: an empty read-only directory, or the null device; a missing one is skipped.
    Mask {
        /// The path.
        path: Str,
    },
    /// Make the mount at this place read-only, after everything was made in it.
    Seal {
        /// The mount point; "/" is the root.
        path: Str,
    },
}

/// Condition of a [`Op::Link`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// Nothing there, or leave it.
    Absent,
    /// Remove a file of that name first.
    Always,
    /// As `Absent`, and only when the container's procfs has an entry of the last name of `text` (`kcore`).
    InProc,
}

/// What kind of mount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A new instance of a file system.
    New,
    /// A new instance that [`Op::Below`] and [`Op::LinkBelow`] work in.
    Base,
    /// procfs: the place must be a plain directory, and the result is looked at.
    Proc,
    /// sysfs: as procfs.
    Sysfs,
    /// cgroup2; refused by the kernel with EPERM or EBUSY, `source` is bound there instead.
    Cgroup2,
    /// A bind mount.
    Bind,
    /// New flags for the mount that is there.
    Remount,
}

/// [`Op::Mount`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mount {
    /// What kind.
    pub kind: Kind,
    /// With its submounts (`rbind`).
    pub recursive: bool,
    /// Copy what the mount point holds into the new file system (`tmpcopyup`).
    pub copy_up: bool,
    /// A tmpfs without `mode=`: it takes the mode of the directory it covers.
    pub inherit_mode: bool,
    /// It is made read-only by an [`Op::Seal`], after everything was made in it.
    pub seal: bool,
    /// Where: absolute in the container.
    pub target: Str,
    /// Absolute path on the host for a bind mount; whatever the file system takes otherwise.
    pub source: Str,
    /// The file system's type; empty for a bind mount or remount.
    pub fstype: Str,
    /// Options of the file system, joined with commas.
    pub data: Str,
    /// MS_* flags to set.
    pub set: u32,
    /// MS_* flags that were asked to be clear: a locked one of these is an error.
    pub cleared: u32,
    /// MOUNT_ATTR_* to set on the mount and all below it.
    pub rec_set: u32,
    /// MOUNT_ATTR_* to clear on the mount and all below it.
    pub rec_clear: u32,
    /// Changes of propagation, in order.
    pub propagation: Propagation,
    /// Ids in it are others than in its source.
    pub id_map: Option<IdMap>,
}

/// How the ids of a bind mount are mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdMap {
    /// Those of its submounts, too (`ridmap`).
    pub recursive: bool,
    /// Users and groups; without text as the container's user namespace does.
    pub mappings: [Mappings; 2],
}

/// [`Op::Below`]: one hierarchy of a cgroup v1 mount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Below {
    /// Name of the directory.
    pub name: Str,
    /// The path to bind there, or the source of the new mount.
    pub source: Str,
    /// The file system's type; empty for a bind mount.
    pub fstype: Str,
    /// Its options: the controllers.
    pub data: Str,
    /// MS_* flags; a bind mount gets them from [`Op::Within`], and here only before Linux 5.12.
    pub set: u32,
}

/// [`Op::Device`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Device {
    /// Where.
    pub path: Str,
    /// Type and permissions as mknod(2) takes them.
    pub mode: u32,
    /// Major number.
    pub major: u32,
    /// Minor number.
    pub minor: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

/// Up to eight changes of propagation in order, one per four bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Propagation(u32);

/// MS_REC.
const REC: u32 = 1 << 14;
/// MS_UNBINDABLE, MS_PRIVATE, MS_SLAVE, MS_SHARED are the four bits from here on.
const FIRST: u32 = 17;

impl Propagation {
    /// None.
    pub const NONE: Self = Self(0);

    /// Appends one; `flags` is one of the four MS_ flags, perhaps with MS_REC. The same one twice in a row counts once.
    /// False when there is no room for a ninth.
    #[must_use]
    pub fn push(&mut self, flags: u32) -> bool {
        let kind = (0..4).find(|bit| flags & 1 << (FIRST + bit) != 0);
        let Some(kind) = kind else { return true };
        // 8 marks an entry, 4 the recursive form, 0-3 the kind.
        let entry = 8 | if flags & REC == 0 { 0 } else { 4 } | kind;
        if self.0 & 15 == entry {
            return true;
        }
        if self.0 >> 28 != 0 {
            return false;
        }
        self.0 = self.0 << 4 | entry;
        true
    }

    /// The MS_* flags of each change, in order.
    pub fn flags(self) -> impl Iterator<Item = u32> {
        (0..8)
            .rev()
            .map(move |place| self.0 >> (4 * place) & 15)
            .filter(|entry| *entry != 0)
            .map(|entry| 1 << (FIRST + (entry & 3)) | if entry & 4 == 0 { 0 } else { REC })
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl Op {
    /// The path in the container that it is about.
    #[must_use]
    pub fn path(&self) -> Str {
        match self {
            Self::Directory { path }
            | Self::Link { path, .. }
            | Self::Label { path, .. }
            | Self::Readonly { path }
            | Self::Mask { path }
            | Self::Seal { path } => *path,
            Self::Mount(mount) => mount.target,
            Self::Below(below) => below.name,
            Self::LinkBelow { name, .. } => *name,
            Self::Device(device) => device.path,
            Self::Propagation { .. } | Self::Within { .. } => Str::EMPTY,
        }
    }
}

/// Writes what an operation does, for the message about its failure: `mount tmpfs at /dev/shm (nosuid,mode=1777)`.
///
/// Used by the parent only.
pub fn describe<const N: usize>(op: &Op, arena: &Arena<N>, sink: &mut dyn FnMut(&[u8])) {
    let word = match op {
        Op::Directory { .. } => "directory",
        Op::Mount(mount) => return describe_mount(mount, arena, sink),
        Op::Below(_) => "cgroup hierarchy",
        Op::LinkBelow { .. } | Op::Link { .. } => "symbolic link",
        Op::Device(_) => "device",
        Op::Label { .. } => "label",
        Op::Propagation { .. } => "propagation of the root",
        Op::Within { .. } => "cgroup hierarchies",
        Op::Readonly { .. } => "read-only path",
        Op::Mask { .. } => "masked path",
        Op::Seal { .. } => "read-only mount",
    };
    sink(word.as_bytes());
    let path = op.path();
    if !path.is_empty() {
        sink(b" ");
        sink(arena.bytes(path));
    }
}

/// [`describe`] for a mount.
fn describe_mount<const N: usize>(mount: &Mount, arena: &Arena<N>, sink: &mut dyn FnMut(&[u8])) {
    match mount.kind {
        Kind::Bind => {
            sink(b"bind mount of ");
            sink(arena.bytes(mount.source));
            sink(b" at ");
        }
        Kind::Remount => sink(b"remount of "),
        _ => {
            sink(b"mount of ");
            sink(arena.bytes(mount.fstype));
            if !mount.source.is_empty() && arena.bytes(mount.source) != arena.bytes(mount.fstype) {
                sink(b" from ");
                sink(arena.bytes(mount.source));
            }
            sink(b" at ");
        }
    }
    sink(arena.bytes(mount.target));
    let mut first = true;
    let mut item = |text: &[u8]| {
        sink(if first { b" (" } else { b"," });
        first = false;
        sink(text);
    };
    super::options::names_of(mount, &mut item);
    if !mount.data.is_empty() {
        item(arena.bytes(mount.data));
    }
    if !first {
        sink(b")");
    }
}

#[cfg(test)]
mod tests {
    use super::Propagation;

    const SHARED: u32 = 1 << 20;
    const SLAVE: u32 = 1 << 19;
    const PRIVATE: u32 = 1 << 18;
    const UNBINDABLE: u32 = 1 << 17;
    const REC: u32 = 1 << 14;

    #[test]
    fn propagation_keeps_its_order() {
        let mut list = Propagation::NONE;
        let order = [SHARED, SLAVE | REC, SLAVE, PRIVATE, UNBINDABLE | REC];
        for flags in order {
            assert!(list.push(flags));
            assert!(list.push(flags), "twice in a row is once");
        }
        assert_eq!(list.flags().collect::<Vec<_>>(), order);
        assert!(list.push(SHARED) && list.push(SLAVE) && list.push(SHARED));
        assert_eq!(list.flags().count(), 8);
        assert!(!list.push(PRIVATE), "the ninth has no room");
        assert!(Propagation::NONE.is_empty());
    }
}
