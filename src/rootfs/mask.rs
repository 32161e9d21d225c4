//! Paths that the container may not write to, or not see.
//!
//! A mask is an object of our own: the host's null device, examined, or an empty read-only tmpfs (CVE-2025-31133). The
//! first one is attached, the others are binds of it. Without such an object nothing is masked and the container does
//! not start.
#![forbid(unsafe_code)]

use core::ffi::CStr;

use linux_raw_sys::general as k;
use rustix::fs::FileType;

use super::{Rootfs, attributes, dev, fresh, mount};
use crate::error::{At, Context, Errno, Fault, Rule, Step};
use crate::fs::proc::SelfFd;
use crate::fs::root::Root;
use crate::sys::{AsFd, BorrowedFd, OwnedFd, is_lacking, mount as sys, path};
use crate::text::c_text;

/// Flags of the empty directory.
const EMPTY: u32 = k::MS_RDONLY | k::MS_NOSUID | k::MS_NODEV | k::MS_NOEXEC;
/// Its options: even who may make it writable can put nothing there.
const LEAST: &CStr = c"nr_blocks=1,nr_inodes=1";

/// What masks are made of.
pub(super) struct Sources {
    /// The null device.
    null: Option<OwnedFd>,
    /// It is attached somewhere in this mount namespace.
    null_attached: bool,
    /// The empty directory, attached.
    empty: Option<OwnedFd>,
}

impl Sources {
    /// Takes hold of the host's null device, while it can be reached.
    pub(super) fn prepare(needed: bool) -> Self {
        let null = if needed {
            sys::clone_tree(path::cwd(), c"/dev/null", false).ok()
        } else {
            None
        };
        Self {
            null: null.filter(|it| is_null(it.as_fd())),
            null_attached: false,
            empty: None,
        }
    }
}

/// Whether it is character device 1:3.
pub(super) fn is_null(fd: BorrowedFd<'_>) -> bool {
    rustix::fs::fstat(fd).is_ok_and(|about| {
        FileType::from_raw_mode(about.st_mode) == FileType::CharacterDevice
            && about.st_rdev == rustix::fs::makedev(1, 3)
    })
}

/// Finds a path, below the container's own procfs or sysfs where it is in one of them.
fn find(rootfs: &Rootfs<'_>, path: &CStr) -> Result<Option<OwnedFd>, Errno> {
    let bytes = path.to_bytes_with_nul();
    let inside = |mount: &Option<OwnedFd>, prefix: &[u8]| {
        let rest = bytes.strip_prefix(prefix)?;
        let rest = c_text(rest)?;
        let root = Root::new(mount.as_ref()?.as_fd(), rootfs.proc);
        Some(root.follow(rest))
    };
    let found = inside(&rootfs.procfs, b"/proc/")
        .or_else(|| inside(&rootfs.sysfs, b"/sys/"))
        .unwrap_or_else(|| rootfs.root().follow(path));
    match found {
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
        answer => answer.map(Some),
    }
}

/// Makes a path read-only, with what is mounted below it (before Linux 5.12: without).
///
/// # Errors
///
/// `Step::ProtectPath`.
pub(super) fn readonly(rootfs: &Rootfs<'_>, path: &CStr) -> Result<(), Fault> {
    let Some(place) = find(rootfs, path).step(Step::ProtectPath)? else {
        return Ok(());
    };
    let tree = match sys::clone_tree(&place, c"", true) {
        Err(errno) if is_lacking(errno) => return readonly_classic(rootfs, &place, path),
        answer => answer.step(Step::ProtectPath)?,
    };
    let early = sys::set_attributes(&tree, true, k::MOUNT_ATTR_RDONLY, 0);
    sys::attach(&tree, &place).step(Step::ProtectPath)?;
    match early {
        Err(errno) if is_lacking(errno) => attributes::make_readonly(tree.as_fd(), false),
        answer => answer,
    }
    .step(Step::ProtectPath)?;
    rootfs.done.close(place);
    rootfs.done.close(tree);
    Ok(())
}

/// The same with mount(2).
fn readonly_classic(rootfs: &Rootfs<'_>, place: &OwnedFd, path: &CStr) -> Result<(), Fault> {
    let spot = SelfFd::of(place);
    let flags = k::MS_BIND | k::MS_REC;
    sys::bind(spot.path(), spot.path(), flags).step(Step::ProtectPath)?;
    let top = find(rootfs, path).step(Step::CheckMount)?;
    let top = top.ok_or(Errno::NOENT).step(Step::CheckMount)?;
    let proc = rootfs.proc;
    let before = proc.mount_id(place).step(Step::CheckMount)?;
    if before == proc.mount_id(&top).step(Step::CheckMount)? {
        return Err(Fault::rule(
            Step::CheckMount,
            Rule::SwappedMountPoint,
            At::Nothing,
        ));
    }
    attributes::make_readonly(top.as_fd(), false).step(Step::ProtectPath)
}

/// Makes a path unreadable.
///
/// # Errors
///
/// `Step::ProtectPath`, `Rule::NoNullDevice`.
pub(super) fn mask(rootfs: &mut Rootfs<'_>, path: &CStr) -> Result<(), Fault> {
    let Some(place) = find(rootfs, path).step(Step::ProtectPath)? else {
        return Ok(());
    };
    let done = match file(rootfs, &place)? {
        // A file on a directory: ENOTDIR from mount(2), EINVAL from move_mount.
        Err(Errno::NOTDIR | Errno::INVAL)
            if mount::file_type(&place).step(Step::ProtectPath)? == FileType::Directory =>
        {
            directory(rootfs, &place).step(Step::ProtectPath)
        }
        answer => answer.step(Step::ProtectPath),
    };
    rootfs.done.close(place);
    done
}

/// Puts the null device on a place; the inner error is the kernel's about the place.
fn file(rootfs: &mut Rootfs<'_>, place: &OwnedFd) -> Result<Result<(), Errno>, Fault> {
    if rootfs.masks.null.is_none() {
        // The container's own one, made by us or examined like the host's, but never followed to.
        let own = rootfs.root().keep_last(c"/dev/null").ok();
        rootfs.masks.null = own.filter(|it| is_null(it.as_fd()));
        rootfs.masks.null_attached = true;
    }
    let masks = &mut rootfs.masks;
    let Some(null) = &masks.null else {
        return Err(Fault::rule(
            Step::ProtectPath,
            Rule::NoNullDevice,
            At::Nothing,
        ));
    };
    if masks.null_attached {
        return Ok(dev::onto(null.as_fd(), place.as_fd()));
    }
    let done = sys::attach(null, place);
    masks.null_attached = done.is_ok();
    Ok(done)
}

/// Puts the empty directory on a place.
fn directory(rootfs: &mut Rootfs<'_>, place: &OwnedFd) -> Result<(), Errno> {
    if let Some(empty) = &rootfs.masks.empty {
        return dev::onto(empty.as_fd(), place.as_fd());
    }
    if let Ok(tree) = fresh::make(c"tmpfs", c"", LEAST.to_bytes(), EMPTY, EMPTY)
        && sys::attach(&tree, place).is_ok()
    {
        rootfs.masks.empty = Some(tree);
        return Ok(());
    }
    let spot = SelfFd::of(place);
    sys::mount(c"tmpfs", spot.path(), c"tmpfs", EMPTY, LEAST)
}

/// Makes the mount at a path read-only.
///
/// # Errors
///
/// `Step::SetMountFlags`.
pub(super) fn seal(rootfs: &Rootfs<'_>, path: &CStr) -> Result<(), Fault> {
    if path == c"/" {
        return attributes::make_readonly(rootfs.fd.as_fd(), false).step(Step::SetMountFlags);
    }
    let top = rootfs.root().follow(path).step(Step::SetMountFlags)?;
    attributes::make_readonly(top.as_fd(), false).step(Step::SetMountFlags)
}
