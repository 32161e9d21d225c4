//! The mount options that are not a file system's own: what each string means (man 8 mount, man 2 mount,
//! man 2 mount_setattr), and the way back from flags to names.
//!
//! The later of two contradicting options wins. What was asked to be clear is kept apart from what was never named.
#![forbid(unsafe_code)]

use linux_raw_sys::general as k;

use super::op::{Mount, Propagation};

/// What one option does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Sets MS_* flags.
    Set(u32),
    /// Clears MS_* flags.
    Clear(u32),
    /// Sets MOUNT_ATTR_* on the whole tree.
    SetAll(u32),
    /// Clears MOUNT_ATTR_* on the whole tree.
    ClearAll(u32),
    /// Changes propagation.
    Propagate(u32),
    /// Copies the content of the mount point.
    CopyUp,
    /// An id-mapped mount, with or without its submounts.
    IdMap(bool),
    /// Nothing: `defaults`.
    Nothing,
    /// A bind mount, perhaps recursive (MS_BIND, MS_REC).
    Bind(u32),
    /// New flags for an existing mount.
    Remount,
}

use Effect::{Bind, Clear, ClearAll, CopyUp, IdMap, Nothing, Propagate, Remount, Set, SetAll};

/// The names in one string (a table of pointers would need a relocation each), the effects beside it.
macro_rules! options {
    ($($name:literal $effect:expr,)*) => {
        static NAMES: &str = concat!($($name, " ",)*);
        static EFFECTS: &[Effect] = &[$($effect,)*];
    };
}

options! {
    "async" Clear(k::MS_SYNCHRONOUS),
    "atime" Clear(k::MS_NOATIME),
    "bind" Bind(k::MS_BIND),
    "defaults" Nothing,
    "dev" Clear(k::MS_NODEV),
    "diratime" Clear(k::MS_NODIRATIME),
    "dirsync" Set(k::MS_DIRSYNC),
    "exec" Clear(k::MS_NOEXEC),
    "idmap" IdMap(false),
    "iversion" Set(k::MS_I_VERSION),
    "lazytime" Set(k::MS_LAZYTIME),
    "loud" Clear(k::MS_SILENT),
    "mand" Set(k::MS_MANDLOCK),
    "noatime" Set(k::MS_NOATIME),
    "nodev" Set(k::MS_NODEV),
    "nodiratime" Set(k::MS_NODIRATIME),
    "noexec" Set(k::MS_NOEXEC),
    "noiversion" Clear(k::MS_I_VERSION),
    "nolazytime" Clear(k::MS_LAZYTIME),
    "nomand" Clear(k::MS_MANDLOCK),
    "norelatime" Clear(k::MS_RELATIME),
    "nostrictatime" Clear(k::MS_STRICTATIME),
    "nosuid" Set(k::MS_NOSUID),
    "nosymfollow" Set(k::MS_NOSYMFOLLOW),
    "private" Propagate(k::MS_PRIVATE),
    "ratime" ClearAll(k::MOUNT_ATTR_NOATIME),
    "rbind" Bind(k::MS_BIND | k::MS_REC),
    "rdev" ClearAll(k::MOUNT_ATTR_NODEV),
    "rdiratime" ClearAll(k::MOUNT_ATTR_NODIRATIME),
    "relatime" Set(k::MS_RELATIME),
    "remount" Remount,
    "rexec" ClearAll(k::MOUNT_ATTR_NOEXEC),
    "ridmap" IdMap(true),
    "rnoatime" SetAll(k::MOUNT_ATTR_NOATIME),
    "rnodev" SetAll(k::MOUNT_ATTR_NODEV),
    "rnodiratime" SetAll(k::MOUNT_ATTR_NODIRATIME),
    "rnoexec" SetAll(k::MOUNT_ATTR_NOEXEC),
    "rnorelatime" ClearAll(ATIME),
    "rnostrictatime" ClearAll(k::MOUNT_ATTR_STRICTATIME),
    "rnosuid" SetAll(k::MOUNT_ATTR_NOSUID),
    "rnosymfollow" SetAll(k::MOUNT_ATTR_NOSYMFOLLOW),
    "ro" Set(k::MS_RDONLY),
    "rprivate" Propagate(k::MS_PRIVATE | k::MS_REC),
    "rrelatime" SetAll(RELATIME),
    "rro" SetAll(k::MOUNT_ATTR_RDONLY),
    "rrw" ClearAll(k::MOUNT_ATTR_RDONLY),
    "rshared" Propagate(k::MS_SHARED | k::MS_REC),
    "rslave" Propagate(k::MS_SLAVE | k::MS_REC),
    "rstrictatime" SetAll(k::MOUNT_ATTR_STRICTATIME),
    "rsuid" ClearAll(k::MOUNT_ATTR_NOSUID),
    "rsymfollow" ClearAll(k::MOUNT_ATTR_NOSYMFOLLOW),
    "runbindable" Propagate(k::MS_UNBINDABLE | k::MS_REC),
    "rw" Clear(k::MS_RDONLY),
    "shared" Propagate(k::MS_SHARED),
    "silent" Set(k::MS_SILENT),
    "slave" Propagate(k::MS_SLAVE),
    "strictatime" Set(k::MS_STRICTATIME),
    "suid" Clear(k::MS_NOSUID),
    "symfollow" Clear(k::MS_NOSYMFOLLOW),
    "sync" Set(k::MS_SYNCHRONOUS),
    "tmpcopyup" CopyUp,
    "unbindable" Propagate(k::MS_UNBINDABLE),
}

/// The bits of the access time setting. `relatime` is the value 0 in them, so naming it is told apart by this alone.
const ATIME: u32 = k::MOUNT_ATTR__ATIME;
/// `rrelatime` sets none of the bits, after all of them were cleared.
const RELATIME: u32 = k::MOUNT_ATTR_RELATIME;

/// Every option that is understood, in alphabetical order: for `features`.
pub fn names() -> impl Iterator<Item = &'static str> {
    NAMES.split_ascii_whitespace()
}

/// What an option does; `None` for one that is the file system's own.
#[must_use]
pub fn effect(option: &[u8]) -> Option<Effect> {
    let place = names().position(|name| name.as_bytes() == option)?;
    EFFECTS.get(place).copied()
}

/// Options of one mount, as far as they are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    /// MS_* to set.
    pub set: u32,
    /// MS_* asked to be clear.
    pub cleared: u32,
    /// MOUNT_ATTR_* to set recursively.
    pub rec_set: u32,
    /// MOUNT_ATTR_* to clear recursively.
    pub rec_clear: u32,
    /// Propagation.
    pub propagation: Propagation,
    /// MS_BIND, MS_REC.
    pub bind: u32,
    /// `remount`.
    pub remount: bool,
    /// `tmpcopyup`.
    pub copy_up: bool,
    /// `idmap`, or with true `ridmap`.
    pub id_map: Option<bool>,
}

impl Flags {
    /// Adds an option to those read before; false when there is no room for one more change of propagation.
    #[must_use]
    pub fn add(&mut self, effect: Effect) -> bool {
        match effect {
            Set(bits) => {
                self.set |= bits;
                self.cleared &= !bits;
            }
            Clear(bits) => {
                self.set &= !bits;
                self.cleared |= bits;
            }
            SetAll(bits) => {
                if bits & ATIME == bits {
                    // man 2 mount_setattr: a new access time setting needs all of its bits in attr_clr.
                    self.rec_set &= !ATIME;
                    self.rec_clear |= ATIME;
                } else {
                    self.rec_clear &= !bits;
                }
                self.rec_set |= bits;
            }
            ClearAll(bits) => {
                self.rec_set &= !bits;
                self.rec_clear |= if bits & ATIME == 0 { bits } else { ATIME };
            }
            Propagate(flags) => return self.propagation.push(flags),
            CopyUp => self.copy_up = true,
            IdMap(recursive) => self.id_map = Some(recursive),
            Nothing => {}
            Bind(flags) => self.bind |= flags,
            Remount => self.remount = true,
        }
        true
    }
}

/// Names the options of a planned mount, one call of `item` each.
pub(super) fn names_of(mount: &Mount, item: &mut dyn FnMut(&[u8])) {
    for (name, effect) in names().zip(EFFECTS) {
        let named = match *effect {
            Set(k::MS_RDONLY) if mount.seal => true,
            Set(bits) => mount.set & bits == bits,
            Clear(bits) => mount.cleared & bits == bits,
            SetAll(RELATIME) => mount.rec_clear & ATIME == ATIME && mount.rec_set & ATIME == 0,
            SetAll(bits) => mount.rec_set & bits == bits,
            ClearAll(bits) if bits & ATIME == 0 => mount.rec_clear & bits == bits,
            CopyUp => mount.copy_up,
            Propagate(flags) => mount.propagation.flags().any(|one| one == flags),
            Bind(flags) => mount.recursive == (flags & k::MS_REC != 0) && is_bind(mount),
            Remount => mount.kind == super::op::Kind::Remount,
            IdMap(recursive) => mount.id_map.is_some_and(|map| map.recursive == recursive),
            ClearAll(_) | Nothing => false,
        };
        if named {
            item(name.as_bytes());
        }
    }
}

/// Whether it is a bind mount.
fn is_bind(mount: &Mount) -> bool {
    mount.kind == super::op::Kind::Bind
}

#[cfg(test)]
mod tests {
    use super::{ATIME, EFFECTS, Effect, Flags, effect, k, names};

    /// All flags of a list of options.
    fn flags(options: &str) -> Flags {
        let mut flags = Flags::default();
        for option in options.split(',') {
            assert!(flags.add(effect(option.as_bytes()).unwrap()));
        }
        flags
    }

    #[test]
    fn the_table_is_complete_and_sorted() {
        assert_eq!(names().count(), EFFECTS.len());
        assert!(names().zip(names().skip(1)).all(|(one, next)| one < next));
        let must = "async atime bind defaults dev diratime dirsync exec iversion lazytime loud noatime nodev \
                    nodiratime noexec noiversion nolazytime norelatime nostrictatime nosuid private rbind relatime \
                    remount ro rprivate rshared rslave runbindable rw shared silent slave strictatime suid sync \
                    unbindable nosymfollow symfollow idmap ridmap ratime rdev rdiratime rexec rnoatime rnodev \
                    rnodiratime rnoexec rnorelatime rnostrictatime rnosuid rnosymfollow rrelatime rro rrw \
                    rstrictatime rsuid rsymfollow mand nomand tmpcopyup";
        for name in must.split_whitespace() {
            assert!(effect(name.as_bytes()).is_some(), "{name}");
        }
        for name in ["size=64k", "mode=755", "", "RO", "ro "] {
            assert_eq!(effect(name.as_bytes()), None, "{name}");
        }
        assert_eq!(effect(b"defaults"), Some(Effect::Nothing));
    }

    #[test]
    fn the_later_option_wins() {
        let table = [
            ("ro", k::MS_RDONLY, 0),
            ("ro,rw", 0, k::MS_RDONLY),
            ("rw,ro", k::MS_RDONLY, 0),
            ("nosuid,nodev,suid", k::MS_NODEV, k::MS_NOSUID),
            ("noatime,atime", 0, k::MS_NOATIME),
            ("sync,async,sync", k::MS_SYNCHRONOUS, 0),
            ("nosymfollow", 256, 0),
            ("silent,loud", 0, k::MS_SILENT),
            (
                "iversion,lazytime,mand",
                k::MS_I_VERSION | k::MS_LAZYTIME | k::MS_MANDLOCK,
                0,
            ),
            ("defaults", 0, 0),
        ];
        for (options, set, cleared) in table {
            let got = flags(options);
            assert_eq!((got.set, got.cleared), (set, cleared), "{options}");
        }
    }

    #[test]
    fn recursive_attributes() {
        let table = [
            ("rro", k::MOUNT_ATTR_RDONLY, 0),
            ("rro,rrw", 0, k::MOUNT_ATTR_RDONLY),
            ("rrw,rro", k::MOUNT_ATTR_RDONLY, 0),
            ("rnoatime", k::MOUNT_ATTR_NOATIME, ATIME),
            ("rnoatime,rstrictatime", k::MOUNT_ATTR_STRICTATIME, ATIME),
            ("rnoatime,rrelatime", 0, ATIME),
            ("rnoatime,ratime", 0, ATIME),
            ("rnostrictatime", 0, ATIME),
            (
                "rnodiratime,rnoexec",
                k::MOUNT_ATTR_NODIRATIME | k::MOUNT_ATTR_NOEXEC,
                0,
            ),
            ("rnosymfollow,rsymfollow", 0, k::MOUNT_ATTR_NOSYMFOLLOW),
        ];
        for (options, set, clear) in table {
            let got = flags(options);
            assert_eq!((got.rec_set, got.rec_clear), (set, clear), "{options}");
        }
    }

    #[test]
    fn the_rest() {
        assert_eq!(flags("bind").bind, k::MS_BIND);
        assert_eq!(flags("rbind,ro").bind, k::MS_BIND | k::MS_REC);
        assert!(flags("remount").remount && flags("tmpcopyup").copy_up);
        assert_eq!(flags("ridmap,idmap").id_map, Some(false));
        let order: Vec<_> = flags("rslave,shared").propagation.flags().collect();
        assert_eq!(order, [k::MS_SLAVE | k::MS_REC, k::MS_SHARED]);
    }
}
