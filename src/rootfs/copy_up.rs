//! `tmpcopyup`: what a directory holds, copied into the tmpfs that will cover it.
//!
//! Files, directories, links, nodes and FIFOs with owner, mode and time of change; no extended attributes, no hard
//! links. Both sides are walked by descriptor and nothing is followed. The directories on the way down are a stack of
//! bounded depth, not a recursion.
#![forbid(unsafe_code)]

use core::ffi::CStr;
use core::mem::MaybeUninit;

use heapless::Vec;
use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, RawDir, SeekFrom, Stat, Timespec, Timestamps, Uid,
};

use crate::error::{At, Context, Errno, Fault, Rule, Step};
use crate::fs::text::PATH_MAX;
use crate::sys::{AsFd, BorrowedFd, OwnedFd, path};
use crate::text::c_text;

/// Levels of directories.
const DEPTH: usize = 32;

/// A directory being copied.
struct Level {
    from: OwnedFd,
    to: OwnedFd,
}

/// Copies what is in `from` into `to`, and gives `to` the owner and mode of `from`.
///
/// # Errors
///
/// `Step::CopyUp`; `Rule::CopyTooDeep`.
#[inline(never)]
pub(super) fn copy_up(from: &OwnedFd, to: &OwnedFd) -> Result<(), Fault> {
    let mut stack: Vec<Level, DEPTH> = Vec::new();
    let top = open(from.as_fd(), to.as_fd(), c".", c".").step(Step::CopyUp)?;
    let _ = stack.push(top);
    while let Some(level) = stack.last() {
        match directory(level).step(Step::CopyUp)? {
            Some(deeper) => stack
                .push(deeper)
                .map_err(|_| Fault::rule(Step::CopyUp, Rule::CopyTooDeep, At::Nothing))?,
            None => {
                // Its time of change is set last, when nothing more is made in it.
                attributes(level).step(Step::CopyUp)?;
                stack.pop();
            }
        }
    }
    Ok(())
}

/// Opens a directory on both sides.
fn open(from: BorrowedFd<'_>, to: BorrowedFd<'_>, old: &CStr, new: &CStr) -> Result<Level, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW;
    Ok(Level {
        from: path::openat(from, old, flags)?,
        to: path::openat(to, new, flags)?,
    })
}

/// Copies entries from where the directory was left, up to the next directory below it, which is returned open.
#[inline(never)]
fn directory(level: &Level) -> Result<Option<Level>, Errno> {
    let mut buffer = [MaybeUninit::uninit(); 2048];
    let mut entries = RawDir::new(&level.from, &mut buffer);
    while let Some(entry) = entries.next() {
        let entry = entry?;
        let name = entry.file_name();
        if name == c"." || name == c".." || !one(level, name)? {
            continue;
        }
        let deeper = open(level.from.as_fd(), level.to.as_fd(), name, name)?;
        // What the buffer still holds is read again afterwards.
        let next = entry.next_entry_cookie();
        rustix::fs::seek(&level.from, SeekFrom::Start(next))?;
        return Ok(Some(deeper));
    }
    Ok(None)
}

/// Copies one entry; true for a directory, which is made empty.
fn one(level: &Level, name: &CStr) -> Result<bool, Errno> {
    let about = rustix::fs::statat(&level.from, name, AtFlags::SYMLINK_NOFOLLOW)?;
    let kind = FileType::from_raw_mode(about.st_mode);
    let mode = Mode::from_raw_mode(about.st_mode & 0o7777);
    match kind {
        FileType::Directory => {
            rustix::fs::mkdirat(&level.to, name, Mode::from_raw_mode(0o700))?;
            return Ok(true);
        }
        FileType::RegularFile => return file(level, name, &about).map(|()| false),
        FileType::Symlink => link(level, name)?,
        _ => rustix::fs::mknodat(&level.to, name, kind, mode, about.st_rdev)?,
    }
    let flags = AtFlags::SYMLINK_NOFOLLOW;
    rustix::fs::chownat(&level.to, name, owner(&about), group(&about), flags)?;
    rustix::fs::utimensat(&level.to, name, &times(&about), flags)?;
    Ok(false)
}

/// Copies a symbolic link.
#[inline(never)]
fn link(level: &Level, name: &CStr) -> Result<(), Errno> {
    let mut text = [0; PATH_MAX];
    let length = path::readlink(&level.from, name, &mut text)?.len();
    // The room behind it is zeroed.
    let text = text.get(..=length).and_then(c_text).ok_or(Errno::INVAL)?;
    rustix::fs::symlinkat(text, &level.to, name)
}

/// Copies a regular file.
fn file(level: &Level, name: &CStr, about: &Stat) -> Result<(), Errno> {
    let from = path::openat(&level.from, name, OFlags::RDONLY | OFlags::NOFOLLOW)?;
    let to = path::create(&level.to, name, 0o600)?;
    // Until the end, not until the size that was told: it may be growing, or be told as 0.
    while rustix::fs::sendfile(&to, &from, None, 1 << 20)? > 0 {}
    finish(&to, about)
}

/// Owner, mode (after it, because a change of owner clears set-user-ID bits) and times.
fn finish(to: &OwnedFd, about: &Stat) -> Result<(), Errno> {
    rustix::fs::fchown(to, owner(about), group(about))?;
    rustix::fs::fchmod(to, Mode::from_raw_mode(about.st_mode & 0o7777))?;
    rustix::fs::futimens(to, &times(about))
}

/// The same for a directory whose content is complete.
fn attributes(level: &Level) -> Result<(), Errno> {
    finish(&level.to, &rustix::fs::fstat(&level.from)?)
}

#[allow(
    clippy::unnecessary_wraps,
    reason = "chown takes None for an owner that stays"
)]
fn owner(about: &Stat) -> Option<Uid> {
    Some(Uid::from_raw(about.st_uid))
}

#[allow(clippy::unnecessary_wraps, reason = "as for the owner")]
fn group(about: &Stat) -> Option<Gid> {
    Some(Gid::from_raw(about.st_gid))
}

fn times(about: &Stat) -> Timestamps {
    let time = |seconds: i64, nanoseconds: u64| Timespec {
        tv_sec: seconds,
        tv_nsec: nanoseconds.try_into().unwrap_or(0),
    };
    Timestamps {
        last_access: time(about.st_atime, about.st_atime_nsec),
        last_modification: time(about.st_mtime, about.st_mtime_nsec),
    }
}
