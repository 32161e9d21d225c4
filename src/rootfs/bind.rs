//! Bind mounts: a clone of the source that gets its attributes before anybody can see it. Also in the place of a file
//! system that the kernel does not make for us.
#![forbid(unsafe_code)]

use core::ffi::CStr;

use linux_raw_sys::general as k;
use rustix::fs::{FileType, OFlags};

use super::{Rootfs, attributes, mount};
use crate::error::{At, Context, Errno, Fault, Rule, Step};
use crate::fs::proc::SelfFd;
use crate::fs::root::Leaf;
use crate::plan::arena::Arena;
use crate::plan::op::Mount;
use crate::sys::{AsFd, OwnedFd, is_lacking, mount as sys, path};

/// Binds `source`, a path on the host, whose links are followed once.
///
/// # Errors
///
/// The step that failed.
pub(super) fn bind<const N: usize>(
    rootfs: &Rootfs<'_>,
    op: &Mount,
    source: &CStr,
    arena: &Arena<N>,
    ask: &dyn Fn() -> Result<OwnedFd, Fault>,
) -> Result<OwnedFd, Fault> {
    let target = arena.cstr(op.target);
    let cloned = if rootfs.live || op.id_map.is_some() {
        Ok(ask()?)
    } else {
        match sys::clone_tree(path::cwd(), source, op.recursive) {
            // A directory above it is closed to the root of the container.
            Err(Errno::ACCESS) => sys::clone_tree(ask()?.as_fd(), c"", op.recursive),
            answer => answer,
        }
    };
    let tree = match cloned {
        // Linux before 5.2, or a filter around us that does not know the call.
        Err(errno) if is_lacking(errno) => return classic(rootfs, op, source, target, ask),
        answer => answer.step(Step::OpenSource)?,
    };
    real_proc(target, &tree)?;
    let place = place(rootfs, target, &tree)?;
    let mut late = false;
    if attributes::named(op) {
        match attributes::set(tree.as_fd(), op.set, op.cleared) {
            Err(errno) if is_lacking(errno) => late = true,
            answer => answer.step(Step::SetMountFlags)?,
        }
    }
    if op.rec_set | op.rec_clear != 0 {
        mount::recursive(tree.as_fd(), op)?;
    }
    match sys::attach(&tree, &place) {
        // mount(2) tells a file on a directory, or the other way round, from other mistakes; clients look for that.
        Err(Errno::INVAL) if is_directory(&tree) != is_directory(&place) => Err(Errno::NOTDIR),
        done => done,
    }
    .step(Step::Mount)?;
    rootfs.done.close(place);
    if late {
        attributes::remount(tree.as_fd(), op.set, op.cleared).step(Step::SetMountFlags)?;
    }
    Ok(tree)
}

fn is_directory(file: &OwnedFd) -> bool {
    mount::file_type(file) == Ok(FileType::Directory)
}

/// The mount point: what is there, or a directory for a directory and a file for anything else.
fn place(rootfs: &Rootfs<'_>, target: &CStr, source: &OwnedFd) -> Result<OwnedFd, Fault> {
    if target == c"/proc" {
        return mount::plain(rootfs.root(), target);
    }
    let (place, _) = mount::place(rootfs, target, || {
        Ok(if is_directory(source) {
            Leaf::Directory
        } else {
            Leaf::File
        })
    })?;
    Ok(place)
}

/// What is bound on /proc is the whole of a procfs.
fn real_proc(target: &CStr, source: &OwnedFd) -> Result<(), Fault> {
    if target != c"/proc" {
        return Ok(());
    }
    let kind = path::fs_type(source).step(Step::OpenSource)?;
    // Its root has inode 1.
    let root = rustix::fs::fstat(source).step(Step::OpenSource)?.st_ino == 1;
    if kind == k::PROC_SUPER_MAGIC && root {
        return Ok(());
    }
    let rule = Rule::OnlyProcOnProc;
    Err(Fault::rule(Step::OpenSource, rule, At::Nothing))
}

/// The same with mount(2): bound, found again, remounted with its flags.
fn classic(
    rootfs: &Rootfs<'_>,
    op: &Mount,
    source: &CStr,
    target: &CStr,
    ask: &dyn Fn() -> Result<OwnedFd, Fault>,
) -> Result<OwnedFd, Fault> {
    let source = match path::openat(path::cwd(), source, OFlags::PATH) {
        Err(Errno::ACCESS) => ask()?,
        answer => answer.step(Step::OpenSource)?,
    };
    real_proc(target, &source)?;
    let place = place(rootfs, target, &source)?;
    let flags = k::MS_BIND | if op.recursive { k::MS_REC } else { 0 };
    let (from, to) = (SelfFd::of(&source), SelfFd::of(&place));
    sys::bind(from.path(), to.path(), flags).step(Step::Mount)?;
    let top = mount::top(rootfs, &place, target)?;
    if attributes::named(op) {
        attributes::remount(top.as_fd(), op.set, op.cleared).step(Step::SetMountFlags)?;
    }
    if op.rec_set | op.rec_clear != 0 {
        mount::recursive(top.as_fd(), op)?;
    }
    Ok(top)
}

/// cgroup2, or what the plan says instead where the kernel does not let us mount it.
pub(super) fn cgroup2<const N: usize>(
    rootfs: &Rootfs<'_>,
    op: &Mount,
    arena: &Arena<N>,
    ask: &dyn Fn() -> Result<OwnedFd, Fault>,
) -> Result<Option<OwnedFd>, Fault> {
    let fresh = Mount {
        source: op.fstype,
        ..*op
    };
    match mount::new(rootfs, &fresh, arena) {
        Err(fault) if matches!(fault.errno(), Some(Errno::PERM | Errno::BUSY)) => {
            bind(rootfs, op, arena.cstr(op.source), arena, ask).map(Some)
        }
        answer => answer,
    }
}

/// A new sysfs belongs to the network namespace: whoever has no rights over that one gets the host's, as it is, and
/// where it is to be read-only with all that is below it.
#[inline(never)] // its copy of the operation would lie in the frame of its caller
pub(super) fn sysfs<const N: usize>(
    rootfs: &Rootfs<'_>,
    op: &Mount,
    arena: &Arena<N>,
    ask: &dyn Fn() -> Result<OwnedFd, Fault>,
) -> Result<Option<OwnedFd>, Fault> {
    match mount::new(rootfs, op, arena) {
        Err(fault) if matches!(fault.errno(), Some(Errno::PERM | Errno::BUSY)) => {
            let mut bound = *op;
            bound.recursive = true;
            if op.set & k::MS_RDONLY != 0 {
                bound.rec_set |= k::MOUNT_ATTR_RDONLY;
            }
            bind(rootfs, &bound, c"/sys", arena, ask).map(Some)
        }
        answer => answer,
    }
}
