//! Resolving a path inside a root by hand, for kernels without openat2 (before Linux 5.6) and filters that refuse it.
//!
//! Every component is opened by name without following it; links are read and spliced into the rest of the path; ".."
//! is never given to the kernel, but walks down again from the root. Whether a directory was moved away meanwhile is
//! seen at the end: the kernel's name for the descriptor must be the root's name and the path that was walked.
#![forbid(unsafe_code)]

use core::ffi::CStr;

use linux_raw_sys::general::PROC_SUPER_MAGIC;
use rustix::fs::OFlags;

use super::proc::{Proc, SelfFd};
use super::root::{LINKS, Links};
use super::text::{PATH_MAX, Text};
use crate::sys::{BorrowedFd, Errno, OwnedFd, path};

/// The file system of AppArmor has magic links, too.
const AAFS_MAGIC: u32 = 0x5a3c_69f0;

/// What openat2 does with RESOLVE_IN_ROOT and RESOLVE_NO_MAGICLINKS.
///
/// # Errors
///
/// The same ones; EAGAIN when the tree was changed on the way.
#[inline(never)]
pub(super) fn walk(
    root: BorrowedFd<'_>,
    proc: &Proc,
    path: &CStr,
    links: Links,
    flags: OFlags,
) -> Result<OwnedFd, Errno> {
    let (mut todo, mut done) = (Text::new(), Text::new());
    todo.push(path.to_bytes())?;
    let mut here = descend(root, &mut done)?;
    let mut buffer = [0; PATH_MAX];
    let mut followed = 0;
    let mut from = 0;
    while let Some((start, stop)) = todo.component(from) {
        let last = todo.component(stop).is_none();
        from = stop;
        if todo.part(start, stop).path() == c".." {
            let cut = done.last_slash(done.len).unwrap_or(0);
            done.truncate(cut);
            here = descend(root, &mut done)?;
            continue;
        }
        let flags = OFlags::PATH | OFlags::NOFOLLOW;
        let next = path::openat(&here, todo.part(start, stop).path(), flags)?;
        let target = match path::readlink(&next, c"", &mut buffer) {
            Ok(target) if !(last && links == Links::KeepLast) => target,
            Err(Errno::NAMETOOLONG) => return Err(Errno::NAMETOOLONG),
            // Not a link (EINVAL or ENOENT, by kernel version), or one to be kept.
            _ => {
                done.push(b"/")?;
                done.push(todo.bytes().get(start..stop).unwrap_or(&[]))?;
                here = next;
                continue;
            }
        };
        followed += 1;
        if links == Links::Refuse || followed > LINKS || magic(&next)? {
            return Err(Errno::LOOP);
        }
        protected(&here, &next)?;
        if target.first() == Some(&b'/') {
            done.truncate(0);
            here = descend(root, &mut done)?;
        }
        // What is behind the link follows its text; what is before it has been walked.
        todo.replace(0, stop, target)?;
        from = 0;
    }
    if flags.contains(OFlags::DIRECTORY) && !is_directory(&here)? {
        return Err(Errno::NOTDIR);
    }
    // The two other rooms are free again: the stack is small.
    verify(root, proc, &here, done.bytes(), (&mut buffer, todo.room()))?;
    Ok(here)
}

/// Opens a path without links below the root.
fn descend(root: BorrowedFd<'_>, done: &mut Text) -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::DIRECTORY;
    let mut here = path::openat(root, c".", flags)?;
    let mut from = 0;
    while let Some((start, stop)) = done.component(from) {
        // It was a directory a moment ago: anything else now is a race.
        here =
            path::openat(&here, done.part(start, stop).path(), flags).map_err(|_| Errno::AGAIN)?;
        from = stop;
    }
    Ok(here)
}

/// Whether a link is on a file system whose links lead elsewhere than their text says.
fn magic(link: &OwnedFd) -> Result<bool, Errno> {
    let kind = path::fs_type(link)?;
    Ok(kind == PROC_SUPER_MAGIC || kind == AAFS_MAGIC)
}

/// The rule of /proc/sys/fs/protected_symlinks (man 5 proc_sys_fs), applied always: in a sticky directory that
/// everybody may write, only links of its owner or of the follower count.
fn protected(dir: &OwnedFd, link: &OwnedFd) -> Result<(), Errno> {
    let about = rustix::fs::fstat(dir)?;
    if about.st_mode & 0o1002 != 0o1002 {
        return Ok(());
    }
    let owner = rustix::fs::fstat(link)?.st_uid;
    if owner == about.st_uid || owner == rustix::process::geteuid().as_raw() {
        Ok(())
    } else {
        Err(Errno::ACCESS)
    }
}

/// Whether a descriptor stands for a directory.
fn is_directory(fd: &OwnedFd) -> Result<bool, Errno> {
    let mode = rustix::fs::fstat(fd)?.st_mode;
    Ok(rustix::fs::FileType::from_raw_mode(mode) == rustix::fs::FileType::Directory)
}

/// Compares the kernel's name of `fd` with the root's name and the path walked; the root's is read before and after,
/// so that a root that is moved meanwhile is seen, too.
fn verify(
    root: BorrowedFd<'_>,
    proc: &Proc,
    fd: &OwnedFd,
    walked: &[u8],
    (first, second): (&mut [u8; PATH_MAX], &mut [u8; PATH_MAX]),
) -> Result<(), Errno> {
    let name = |fd: BorrowedFd<'_>, buffer: &mut [u8; PATH_MAX]| -> Result<usize, Errno> {
        let place = SelfFd::of(fd);
        Ok(path::readlink(proc.fd(), place.path(), buffer)?.len())
    };
    let prefix = name(root, first)?;
    let length = name(rustix::fd::AsFd::as_fd(fd), second)?;
    let prefix = first.get(..prefix).unwrap_or(&[]);
    let base = prefix.strip_suffix(b"/").unwrap_or(prefix);
    let rest = second
        .get(..length)
        .and_then(|name| name.strip_prefix(base))
        .unwrap_or(b"?");
    let same = rest == walked || (rest == b"/" && walked.is_empty());
    let again = name(root, second)?;
    if same && second.get(..again) == Some(prefix) {
        Ok(())
    } else {
        Err(Errno::AGAIN)
    }
}
