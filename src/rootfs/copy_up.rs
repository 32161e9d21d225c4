//! `tmpcopyup`: what a directory holds, copied into the tmpfs that will cover it.
//!
//! Files, directories, links, nodes and FIFOs with owner, mode, time of change, extended attributes that a tmpfs can have,
//! and hard links among the files. Both sides are walked by descriptor and nothing is followed. The directories on the way
//! down are a stack of bounded depth, not a recursion.
#![forbid(unsafe_code)]

use core::ffi::CStr;
use core::mem::MaybeUninit;

use heapless::Vec;
use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, RawDir, SeekFrom, Stat, Timespec, Timestamps, Uid,
    XattrFlags,
};

use crate::error::{At, Context, Errno, Fault, Rule, Step};
use crate::fs::proc::SelfFd;
use crate::fs::text::PATH_MAX;
use crate::limits::FULL;
use crate::sys::{AsFd, BorrowedFd, OwnedFd, path};
use crate::text::c_text;

/// Longest list of names of attributes, and longest value: ERANGE beyond.
const XATTR: usize = 4096;

/// Levels of directories.
const DEPTH: usize = 32;

/// Files with more links to come; one that finds no place is copied once more.
const LINKS: usize = 256;

/// A count of names, as the machine has it.
type Links = linux_raw_sys::general::__kernel_ulong_t;

/// A file that has other names.
struct Linked {
    device: u64,
    inode: u64,
    /// Names that have not been met.
    left: Links,
    copy: OwnedFd,
}

/// Files of which some names have been met.
type Met = Vec<Linked, LINKS>;

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
    if !FULL {
        return Ok(());
    }
    let mut stack: Vec<Level, DEPTH> = Vec::new();
    let top = open(from.as_fd(), to.as_fd(), c".", c".").step(Step::CopyUp)?;
    let _ = stack.push(top);
    let mut met = Met::new();
    while let Some(level) = stack.last() {
        match directory(level, &mut met).step(Step::CopyUp)? {
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
fn directory(level: &Level, met: &mut Met) -> Result<Option<Level>, Errno> {
    let mut buffer = [MaybeUninit::uninit(); 2048];
    let mut entries = RawDir::new(&level.from, &mut buffer);
    while let Some(entry) = entries.next() {
        let entry = entry?;
        let name = entry.file_name();
        if name == c"." || name == c".." || !one(level, name, met)? {
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
fn one(level: &Level, name: &CStr, met: &mut Met) -> Result<bool, Errno> {
    let about = rustix::fs::statat(&level.from, name, AtFlags::SYMLINK_NOFOLLOW)?;
    let kind = FileType::from_raw_mode(about.st_mode);
    let mode = Mode::from_raw_mode(about.st_mode & 0o7777);
    match kind {
        FileType::Directory => {
            rustix::fs::mkdirat(&level.to, name, Mode::from_raw_mode(0o700))?;
            return Ok(true);
        }
        FileType::RegularFile if about.st_nlink > 1 => {
            return linked(level, name, &about, met).map(|()| false);
        }
        FileType::RegularFile => return file(level, name, &about).map(|_| false),
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

/// Copies a file that has several names, or gives its copy one more.
#[inline(never)]
fn linked(level: &Level, name: &CStr, about: &Stat, met: &mut Met) -> Result<(), Errno> {
    let same = |it: &Linked| it.device == about.st_dev && it.inode == about.st_ino;
    if let Some(place) = met.iter().position(same) {
        if let Some(it) = met.get_mut(place) {
            // The working directory is the procfs.
            let copy = SelfFd::of(&it.copy);
            let flags = AtFlags::SYMLINK_FOLLOW;
            rustix::fs::linkat(path::cwd(), copy.path(), &level.to, name, flags)?;
            it.left = it.left.saturating_sub(1);
            if it.left == 0 {
                met.swap_remove(place);
            }
        }
        return Ok(());
    }
    let copy = file(level, name, about)?;
    let _ = met.push(Linked {
        device: about.st_dev,
        inode: about.st_ino,
        left: about.st_nlink.saturating_sub(1),
        copy,
    });
    Ok(())
}

/// Copies a regular file.
fn file(level: &Level, name: &CStr, about: &Stat) -> Result<OwnedFd, Errno> {
    let from = path::openat(&level.from, name, OFlags::RDONLY | OFlags::NOFOLLOW)?;
    let to = path::create(&level.to, name, 0o600)?;
    // Until the end, not until the size that was told: it may be growing, or be told as 0.
    while rustix::fs::sendfile(&to, &from, None, 1 << 20)? > 0 {}
    finish(&from, &to, about)?;
    Ok(to)
}

/// Owner, mode and attributes (after it, because a change of owner clears set-user-ID bits and capabilities) and times.
fn finish(from: &OwnedFd, to: &OwnedFd, about: &Stat) -> Result<(), Errno> {
    rustix::fs::fchown(to, owner(about), group(about))?;
    rustix::fs::fchmod(to, Mode::from_raw_mode(about.st_mode & 0o7777))?;
    extended(from, to)?;
    rustix::fs::futimens(to, &times(about))
}

/// Extended attributes, man 7 xattr: those that the new file system has no place for, or that are not ours to set, stay
/// behind.
#[inline(never)] // its buffers would lie in the frame of its caller
fn extended(from: &OwnedFd, to: &OwnedFd) -> Result<(), Errno> {
    let mut names = [0; XATTR];
    let length = match rustix::fs::flistxattr(from, &mut names[..]) {
        Err(Errno::OPNOTSUPP) => return Ok(()),
        listed => listed?,
    };
    let mut rest = names.get(..length).unwrap_or(&[]);
    let mut value = [0; XATTR];
    while let Some(name) = c_text(rest) {
        let length = rustix::fs::fgetxattr(from, name, &mut value[..])?;
        let value = value.get(..length).unwrap_or(&[]);
        match rustix::fs::fsetxattr(to, name, value, XattrFlags::empty()) {
            Ok(()) | Err(Errno::OPNOTSUPP | Errno::PERM) => {}
            Err(errno) => return Err(errno),
        }
        rest = rest.get(name.to_bytes_with_nul().len()..).unwrap_or(&[]);
    }
    Ok(())
}

/// The same for a directory whose content is complete.
fn attributes(level: &Level) -> Result<(), Errno> {
    finish(&level.from, &level.to, &rustix::fs::fstat(&level.from)?)
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
