//! The way in and the way out: the root as a mount of its own, and the root as "/".
#![forbid(unsafe_code)]

use core::ffi::CStr;

use linux_raw_sys::general as k;
use rustix::fs::OFlags;
use rustix::process::{chdir, chroot, fchdir, pivot_root};

use super::mount::differ;
use crate::error::{At, Context, Errno, Fault, Rule, Step};
use crate::fs::proc::{Proc, SelfFd};
use crate::plan::mounts::{Setup, Way};
use crate::sys::{BorrowedFd, OwnedFd, is_lacking, mount as sys, path};

/// Type of the root file system of an initramfs, where it is not a tmpfs.
const RAMFS: u32 = 0x8584_58f6;
/// Type of a tmpfs.
const TMPFS: u32 = 0x0102_1994;
/// Directories above the root that are tried as mount points.
const DEPTH: usize = 256;

/// Sets the propagation of "/" and mounts the root onto itself, so that it is a mount point for pivot_root and its
/// flags are its own. Gives its directory, which was opened as `dir`.
pub(super) fn enter(
    setup: &Setup,
    dir: OwnedFd,
    root: &CStr,
    proc: &Proc,
) -> Result<OwnedFd, Fault> {
    if setup.way != Way::Chroot {
        sys::change(c"/", setup.propagation).step(Step::SetPropagation)?;
    }
    if setup.way == Way::Chroot {
        return Ok(dir);
    }
    let shared = setup.propagation & k::MS_SHARED != 0;
    if shared {
        private_parent(&dir)?;
    }
    let top = match sys::clone_tree(&dir, c"", true) {
        Err(errno) if is_lacking(errno) => bind_classic(&dir, root, proc)?,
        tree => {
            let tree = tree.step(Step::MountRootfs)?;
            sys::attach(&tree, &dir).step(Step::MountRootfs)?;
            tree
        }
    };
    if shared {
        let place = SelfFd::of(&top);
        let flags = k::MS_PRIVATE | k::MS_REC;
        sys::change(place.path(), flags).step(Step::MountRootfs)?;
    }
    Ok(top)
}

/// Opens the root by its path, once.
pub(super) fn open(root: &CStr) -> Result<OwnedFd, Fault> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::DIRECTORY;
    match path::openat(path::cwd(), root, flags) {
        Err(Errno::NOTDIR | Errno::LOOP) => Err(Fault::rule(
            Step::OpenRootfs,
            Rule::RootfsIsLink,
            At::Nothing,
        )),
        answer => answer.step(Step::OpenRootfs),
    }
}

/// The same with mount(2); the path leads to the new mount then.
fn bind_classic(dir: &OwnedFd, root: &CStr, proc: &Proc) -> Result<OwnedFd, Fault> {
    let place = SelfFd::of(dir);
    let flags = k::MS_BIND | k::MS_REC;
    sys::bind(place.path(), place.path(), flags).step(Step::MountRootfs)?;
    let top = open(root)?;
    differ(proc, dir, &top, Step::MountRootfs)?;
    Ok(top)
}

/// Makes the mount that holds the root private, so that nothing mounted on it is seen elsewhere and pivot_root takes
/// it. It is found by trial upwards, because old kernels may leave mounts out of mountinfo.
fn private_parent(dir: &OwnedFd) -> Result<(), Fault> {
    let mut here = path::openat(dir, c".", OFlags::PATH).step(Step::SetPropagation)?;
    for _ in 0..DEPTH {
        let place = SelfFd::of(&here);
        match sys::change(place.path(), k::MS_PRIVATE) {
            // Not the root of a mount.
            Err(Errno::INVAL) => {}
            answer => return answer.step(Step::SetPropagation),
        }
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        here = path::openat(&here, c"..", flags).step(Step::SetPropagation)?;
    }
    Err(Errno::INVAL).step(Step::SetPropagation)
}

/// Makes the root "/". The working directory is "/" afterwards.
pub(super) fn leave(setup: &Setup, root: BorrowedFd<'_>, proc: &Proc) -> Result<(), Fault> {
    match setup.way {
        Way::Chroot => enter_root(root),
        Way::Move => cover(root, proc),
        Way::Pivot => pivot(setup, root, proc),
    }
}

/// pivot_root(2) with the same directory twice stacks the old root on the new one (man 2 pivot_root, "pivot_root(".",
/// ".")"): no directory for it is needed inside the root.
fn pivot(setup: &Setup, root: BorrowedFd<'_>, proc: &Proc) -> Result<(), Fault> {
    let old = if setup.propagation & k::MS_SHARED == 0 {
        None
    } else {
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        Some(path::openat(path::cwd(), c"/", flags).step(Step::Pivot)?)
    };
    fchdir(root).step(Step::Pivot)?;
    match pivot_root(c".", c".") {
        Err(Errno::INVAL) if on_ramfs() => return cover(root, proc),
        answer => answer.step(Step::Pivot)?,
    }
    if let Some(old) = old {
        // What is shared with the host would be unmounted there, too.
        fchdir(&old).step(Step::Pivot)?;
        let flags = k::MS_SLAVE | k::MS_REC;
        sys::change(c".", flags).step(Step::Pivot)?;
    }
    // umount2 goes up the stack of mounts at ".": to the old root.
    sys::detach(c".").step(Step::Pivot)?;
    chdir(c"/").step(Step::Pivot)
}

/// Whether "/" can be the root file system of an initramfs, which pivot_root refuses because it has no parent mount.
fn on_ramfs() -> bool {
    path::openat(path::cwd(), c"/", OFlags::PATH)
        .and_then(path::fs_type)
        .is_ok_and(|kind| kind == RAMFS || kind == TMPFS)
}

fn enter_root(root: BorrowedFd<'_>) -> Result<(), Fault> {
    fchdir(root).step(Step::Pivot)?;
    chroot(c".").step(Step::Pivot)?;
    chdir(c"/").step(Step::Pivot)
}

/// Moves the root over "/" and enters it, for an initramfs and for --no-pivot.
///
/// The mounts come to lie as after pivot_root: the first file system of the namespace, on it the root, which no ".."
/// leaves, because walking up from it leads to what covers its mount point: itself. All else that was mounted on "/"
/// is let go, so that no procfs or sysfs of the host is left behind the container's back.
#[inline(never)]
fn cover(root: BorrowedFd<'_>, proc: &Proc) -> Result<(), Fault> {
    let flags = OFlags::PATH | OFlags::DIRECTORY;
    let slash = path::openat(path::cwd(), c"/", flags).step(Step::Pivot)?;
    // On a shared mount the root would become shared, and appear over "/" of the host.
    sys::change(c"/", k::MS_PRIVATE).step(Step::Pivot)?;
    match sys::attach(root, &slash) {
        Err(errno) if is_lacking(errno) => {
            fchdir(root).step(Step::Pivot)?;
            sys::bind(c".", c"/", k::MS_MOVE).step(Step::Pivot)?;
        }
        answer => answer.step(Step::Pivot)?,
    }
    let slash = proc.mount_id(&slash).step(Step::Pivot)?;
    super::leftover::detach(proc, slash).step(Step::Pivot)?;
    enter_root(root)
}

/// After pivot_root: the propagation of the container's "/".
///
/// # Errors
///
/// `Step::SetPropagation`.
pub(super) fn propagation(flags: u32) -> Result<(), Fault> {
    sys::change(c"/", flags).step(Step::SetPropagation)
}
