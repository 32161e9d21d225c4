//! What is made in /dev: nodes, links, the console.
//!
//! /dev is one descriptor, opened without following any link (CVE-2026-41579), and everything is made by name in it.
#![forbid(unsafe_code)]

use core::ffi::CStr;

use rustix::fs::{Access, AtFlags, FileType, Gid, Mode, OFlags, Stat, Uid, fstat};

use super::mask::is_null;
use super::{Rootfs, mount};
use crate::error::{At, Context, Errno, Fault, Rule, Step};
use crate::fs::proc::SelfFd;
use crate::fs::root::name_of;
use crate::plan::op::{Device, When};
use crate::sys::{AsFd, BorrowedFd, OwnedFd, file, is_lacking, mount as sys, path};
use rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout};

/// Opening a name without following it.
const ITSELF: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW);

/// Makes a node. What is there already must be the same device.
///
/// # Errors
///
/// `Step::MakeDevice`.
pub(super) fn device(rootfs: &mut Rootfs<'_>, op: &Device, path: &CStr) -> Result<(), Fault> {
    let parent = parent(rootfs, path, Step::MakeDevice)?;
    let dir = parent.fd(rootfs);
    let name = name_of(path);
    let kind = FileType::from_raw_mode(op.mode);
    let mode = Mode::from_raw_mode(op.mode & 0o7777);
    let number = rustix::fs::makedev(op.major, op.minor);
    match rustix::fs::mknodat(dir, name, kind, mode, number) {
        // The umask is 0, so that the mode is right; the owner is root.
        Ok(()) if op.uid | op.gid == 0 => Ok(()),
        Ok(()) => chown(dir, name, op).step(Step::MakeDevice),
        Err(Errno::EXIST) if is_there(dir, name, op)? => Ok(()),
        // Without CAP_MKNOD, or where the file system does not let us: the host's node is bound there.
        Err(Errno::EXIST | Errno::PERM) if kind != FileType::Fifo => borrow(dir, name, op, path),
        Err(errno) => Err(errno).step(Step::MakeDevice),
    }
}

fn chown(dir: BorrowedFd<'_>, name: &CStr, op: &Device) -> Result<(), Errno> {
    let flags = AtFlags::SYMLINK_NOFOLLOW;
    let (uid, gid) = (Uid::from_raw(op.uid), Gid::from_raw(op.gid));
    rustix::fs::chownat(dir, name, Some(uid), Some(gid), flags)
}

/// The fault that something else is there.
fn differs() -> Fault {
    Fault::rule(Step::MakeDevice, Rule::DeviceDiffers, At::Nothing)
}

/// Whether a file is the device.
fn is(about: &Stat, op: &Device) -> bool {
    let kind = FileType::from_raw_mode(op.mode);
    let number = rustix::fs::makedev(op.major, op.minor);
    let same = kind == FileType::Fifo || about.st_rdev == number;
    FileType::from_raw_mode(about.st_mode) == kind && same
}

/// Whether what is there is the device, whose mode and owner stay: it may be the host's own node, bound there. An empty
/// file may be what [`borrow`] has left of an earlier container.
fn is_there(dir: BorrowedFd<'_>, name: &CStr, op: &Device) -> Result<bool, Fault> {
    let node = path::openat(dir, name, ITSELF).step(Step::MakeDevice)?;
    let about = fstat(&node).step(Step::MakeDevice)?;
    let same = is(&about, op);
    let regular = FileType::from_raw_mode(about.st_mode) == FileType::RegularFile;
    if same || regular && about.st_size == 0 {
        Ok(same)
    } else {
        Err(differs())
    }
}

/// Binds the host's node of the same path over an empty file.
fn borrow(dir: BorrowedFd<'_>, name: &CStr, op: &Device, path: &CStr) -> Result<(), Fault> {
    match path::create(dir, name, 0o600) {
        Ok(_) | Err(Errno::EXIST) => {}
        Err(errno) => return Err(errno).step(Step::MakeDevice),
    }
    let place = path::openat(dir, name, ITSELF).step(Step::MakeDevice)?;
    bind(path, &place, |source| {
        fstat(source).map(|about| is(&about, op))
    })
}

/// Binds a file of the host on a place, once `check` has said that it is the right one.
fn bind(
    source: &CStr,
    place: &OwnedFd,
    check: impl Fn(&OwnedFd) -> Result<bool, Errno>,
) -> Result<(), Fault> {
    let tree = sys::clone_tree(path::cwd(), source, false);
    let detached = tree.is_ok();
    let source = match tree {
        Err(errno) if is_lacking(errno) => path::openat(path::cwd(), source, OFlags::PATH),
        tree => tree,
    };
    let source = source.step(Step::OpenSource)?;
    if !check(&source).step(Step::OpenSource)? {
        return Err(differs());
    }
    if detached {
        return sys::attach(&source, place).step(Step::MakeDevice);
    }
    onto(source.as_fd(), place.as_fd()).step(Step::MakeDevice)
}

/// `mount(MS_BIND)` from one descriptor to another.
pub(super) fn onto(source: BorrowedFd<'_>, place: BorrowedFd<'_>) -> Result<(), Errno> {
    let (from, to) = (SelfFd::of(source), SelfFd::of(place));
    let flags = linux_raw_sys::general::MS_BIND;
    sys::bind(from.path(), to.path(), flags)
}

/// The container's null device for standard streams that lead to the host's: criu takes no process with files of mounts
/// that are not its own. Without such a device they stay as they are.
pub(super) fn streams(rootfs: &Rootfs<'_>) -> Result<(), Errno> {
    let null = rootfs.root().follow(c"/dev/null")?;
    if !is_null(null.as_fd()) {
        return Ok(());
    }
    let null = rootfs.proc.reopen(&null, OFlags::RDWR | OFlags::CLOEXEC)?;
    if is_null(file::stdin()) {
        dup2_stdin(&null)?;
    }
    if is_null(file::stdout()) {
        dup2_stdout(&null)?;
    }
    if is_null(file::stderr()) {
        dup2_stderr(&null)?;
    }
    Ok(())
}

/// Makes a link; a name that is there stays, unless it is to be replaced.
///
/// # Errors
///
/// `Step::MakeLink`.
pub(super) fn link(
    rootfs: &mut Rootfs<'_>,
    path: &CStr,
    text: &CStr,
    when: When,
) -> Result<(), Fault> {
    if when == When::InProc {
        let there = rootfs.procfs.as_ref().is_some_and(|procfs| {
            let name = name_of(text);
            rustix::fs::accessat(procfs, name, Access::EXISTS, AtFlags::empty()).is_ok()
        });
        if !there {
            return Ok(());
        }
    }
    let parent = parent(rootfs, path, Step::MakeLink)?;
    let (dir, name) = (parent.fd(rootfs), name_of(path));
    if when == When::Always {
        match rustix::fs::unlinkat(dir, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(errno) => return Err(errno).step(Step::MakeLink),
        }
    }
    match rustix::fs::symlinkat(text, dir, name) {
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        answer => answer.step(Step::MakeLink),
    }
}

/// Where something is made: in /dev, or in another directory.
enum Parent {
    Dev,
    Other(OwnedFd),
}

impl Parent {
    fn fd<'r>(&'r self, rootfs: &'r Rootfs<'_>) -> BorrowedFd<'r> {
        match (self, &rootfs.dev) {
            (Self::Other(fd), _) | (Self::Dev, Some(fd)) => fd.as_fd(),
            // `parent` has opened it.
            (Self::Dev, None) => rootfs.fd.as_fd(),
        }
    }
}

/// The directory of a path, made if missing.
#[inline(never)]
fn parent(rootfs: &mut Rootfs<'_>, path: &CStr, step: Step) -> Result<Parent, Fault> {
    let rest = path.to_bytes().strip_prefix(b"/dev/");
    if rest.is_none_or(|rest| rest.contains(&b'/')) {
        let (dir, _) = rootfs.root().parent(path).step(step)?;
        return Ok(Parent::Other(dir));
    }
    if rootfs.dev.is_none() {
        rootfs.dev = Some(open_dev(rootfs, step)?);
    }
    Ok(Parent::Dev)
}

fn open_dev(rootfs: &Rootfs<'_>, step: Step) -> Result<OwnedFd, Fault> {
    let root = rootfs.root();
    let dev = match root.plain_directory(c"/dev") {
        Err(Errno::NOENT) => {
            root.make_directory(c"/dev", 0o755).step(step)?;
            root.plain_directory(c"/dev")
        }
        answer => answer,
    };
    match dev {
        Err(Errno::LOOP | Errno::NOTDIR) => Err(Fault::rule(step, Rule::DevIsLink, At::Nothing)),
        answer => answer.step(step),
    }
}

/// Binds the terminal over /dev/console. The place is opened without following it, the terminal is a descriptor
/// already: no name can be swapped in between (CVE-2025-52565, CVE-2026-88264).
///
/// # Errors
///
/// The kernel's; ELOOP and EISDIR for what cannot be covered.
pub(super) fn console(rootfs: &mut Rootfs<'_>, terminal: BorrowedFd<'_>) -> Result<(), Errno> {
    let dev = rootfs.root().plain_directory(c"/dev")?;
    let place = match path::openat(&dev, c"console", ITSELF) {
        Err(Errno::NOENT) => {
            path::create(&dev, c"console", 0o600)?;
            path::openat(&dev, c"console", ITSELF)?
        }
        answer => answer?,
    };
    match mount::file_type(&place)? {
        FileType::Symlink => return Err(Errno::LOOP),
        FileType::Directory => return Err(Errno::ISDIR),
        _ => {}
    }
    match sys::clone_tree(terminal, c"", false) {
        Err(errno) if is_lacking(errno) => onto(terminal, place.as_fd()),
        tree => sys::attach(tree?, &place),
    }
}
