//! Flags of a mount that exists: MS_* as they are written in options, MOUNT_ATTR_* as mount_setattr takes them.
//!
//! A bind mount starts with the flags of its source. When options name any flag, the mount gets exactly the named ones,
//! and the access time setting stays unless it is named. A flag that a more privileged mount namespace locked cannot be
//! cleared (EPERM): it stays, unless the options ask for the contrary.
#![forbid(unsafe_code)]

use linux_raw_sys::general as k;

use crate::error::Errno;
use crate::fs::proc::SelfFd;
use crate::plan::op::Mount;
use crate::sys::{BorrowedFd, is_lacking, mount, path};

/// Flags with one bit on each side. Access time is the rest.
const PAIRS: [(u32, u32); 6] = [
    (k::MS_RDONLY, k::MOUNT_ATTR_RDONLY),
    (k::MS_NOSUID, k::MOUNT_ATTR_NOSUID),
    (k::MS_NODEV, k::MOUNT_ATTR_NODEV),
    (k::MS_NOEXEC, k::MOUNT_ATTR_NOEXEC),
    (k::MS_NODIRATIME, k::MOUNT_ATTR_NODIRATIME),
    (k::MS_NOSYMFOLLOW, k::MOUNT_ATTR_NOSYMFOLLOW),
];

/// The MS_* flags that choose when access times are written.
const ATIME: u32 = k::MS_NOATIME | k::MS_RELATIME | k::MS_STRICTATIME;

/// The flags that can be locked.
const LOCKABLE: u32 = k::MS_RDONLY | k::MS_NOSUID | k::MS_NODEV | k::MS_NOEXEC;

/// What statfs(2) has at the place of MS_RELATIME.
const ST_RELATIME: u32 = 0x1000;

/// The attributes of a new mount.
pub(super) fn of_flags(set: u32) -> u32 {
    let mut attributes = 0;
    for (flag, attribute) in PAIRS {
        if set & flag != 0 {
            attributes |= attribute;
        }
    }
    // As mount(2) decides among several.
    attributes
        | if set & k::MS_STRICTATIME != 0 {
            k::MOUNT_ATTR_STRICTATIME
        } else if set & k::MS_NOATIME != 0 {
            k::MOUNT_ATTR_NOATIME
        } else {
            k::MOUNT_ATTR_RELATIME
        }
}

/// Attributes to set and to clear, so that a mount has exactly the flags `set`; without a word about access times in
/// it, those stay.
fn exactly(set: u32) -> (u32, u32) {
    let named = set & (ATIME | k::MS_NODIRATIME) != 0;
    let atime = k::MOUNT_ATTR__ATIME | k::MOUNT_ATTR_NODIRATIME;
    let attributes = of_flags(set) & !if named { 0 } else { atime };
    let mut clear = if named { k::MOUNT_ATTR__ATIME } else { 0 };
    for (flag, attribute) in PAIRS {
        if set & flag == 0 && (flag != k::MS_NODIRATIME || named) {
            clear |= attribute;
        }
    }
    // Linux before 5.14 does not know nosymfollow here: it is only cleared where it can have been set.
    (attributes, clear & !k::MOUNT_ATTR_NOSYMFOLLOW)
}

/// Whether options say anything about flags of the mount.
pub(super) fn named(op: &Mount) -> bool {
    op.set | op.cleared != 0
}

/// Gives a detached or attached bind mount its flags with mount_setattr.
///
/// # Errors
///
/// ENOSYS before Linux 5.12: [`remount`] does it then. EPERM: a locked flag was asked to be clear.
pub(super) fn set(tree: BorrowedFd<'_>, set: u32, cleared: u32) -> Result<(), Errno> {
    let (attributes, clear) = exactly(set);
    match mount::set_attributes(tree, false, attributes, clear) {
        Err(Errno::PERM) => {}
        answer => return answer,
    }
    let locked = locked(tree, set, cleared)?;
    let (attributes, clear) = exactly(set | locked);
    // The access time setting may be locked, too: it is named only when it has to change.
    let atime = k::MOUNT_ATTR__ATIME | k::MOUNT_ATTR_NODIRATIME;
    mount::set_attributes(tree, false, attributes & !atime, clear & !atime)
}

/// The same by mount(2), for an attached mount.
///
/// # Errors
///
/// The kernel's.
pub(super) fn remount(top: BorrowedFd<'_>, set: u32, cleared: u32) -> Result<(), Errno> {
    let place = SelfFd::of(top);
    let flags = k::MS_REMOUNT | k::MS_BIND | set & !k::MS_REC;
    match mount::change(place.path(), flags) {
        Err(Errno::PERM) => {}
        answer => return answer,
    }
    let locked = locked(top, set, cleared)?;
    mount::change(place.path(), flags | locked)
}

/// The flags that a mount has and may not lose.
///
/// # Errors
///
/// EPERM when one of them was asked to be clear, or another access time setting was asked for.
fn locked(fd: BorrowedFd<'_>, set: u32, cleared: u32) -> Result<u32, Errno> {
    let have = flags_of(fd)?;
    let other_atime = set & ATIME != 0 && set & ATIME != have & ATIME;
    if cleared & have & LOCKABLE != 0 || other_atime {
        return Err(Errno::PERM);
    }
    Ok(have)
}

/// The MS_* flags of a mount.
///
/// # Errors
///
/// The kernel's.
pub(super) fn flags_of(fd: BorrowedFd<'_>) -> Result<u32, Errno> {
    let told = path::mount_flags(fd)?;
    let same = LOCKABLE | k::MS_NOATIME | k::MS_NODIRATIME;
    let relatime = if told & ST_RELATIME == 0 {
        0
    } else {
        k::MS_RELATIME
    };
    let have = told & same | relatime;
    // Neither: access times are always written.
    if have & (k::MS_NOATIME | k::MS_RELATIME) == 0 {
        Ok(have | k::MS_STRICTATIME)
    } else {
        Ok(have)
    }
}

/// Makes a mount read-only and leaves its other flags.
///
/// # Errors
///
/// The kernel's; EINVAL when `top` is not the root of a mount.
pub(super) fn make_readonly(top: BorrowedFd<'_>, recursive: bool) -> Result<(), Errno> {
    match mount::set_attributes(top, recursive, k::MOUNT_ATTR_RDONLY, 0) {
        Err(errno) if is_lacking(errno) => remount(top, flags_of(top)? | k::MS_RDONLY, 0),
        answer => answer,
    }
}

#[cfg(test)]
mod tests {
    use super::{exactly, k, of_flags};

    #[test]
    fn attributes_of_flags() {
        let all = k::MOUNT_ATTR_RDONLY
            | k::MOUNT_ATTR_NOSUID
            | k::MOUNT_ATTR_NODEV
            | k::MOUNT_ATTR_NOEXEC;
        let atime = k::MOUNT_ATTR__ATIME;
        let table = [
            (0, (0, all)),
            (
                k::MS_RDONLY,
                (k::MOUNT_ATTR_RDONLY, all & !k::MOUNT_ATTR_RDONLY),
            ),
            (
                k::MS_NOATIME,
                (
                    k::MOUNT_ATTR_NOATIME,
                    all | atime | k::MOUNT_ATTR_NODIRATIME,
                ),
            ),
            (k::MS_NODIRATIME, (k::MOUNT_ATTR_NODIRATIME, all | atime)),
            (
                k::MS_STRICTATIME | k::MS_NOATIME,
                (
                    k::MOUNT_ATTR_STRICTATIME,
                    all | atime | k::MOUNT_ATTR_NODIRATIME,
                ),
            ),
        ];
        for (flags, want) in table {
            assert_eq!(exactly(flags), want, "{flags:#x}");
        }
        assert_eq!(of_flags(k::MS_NOSYMFOLLOW), k::MOUNT_ATTR_NOSYMFOLLOW);
        // MS_SYNCHRONOUS and the like belong to the file system, not to the mount.
        assert_eq!(of_flags(k::MS_SYNCHRONOUS | k::MS_REC), 0);
    }
}
