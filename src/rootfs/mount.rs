//! New file systems, and the list of cgroup hierarchies.
#![forbid(unsafe_code)]

use core::ffi::CStr;

use linux_raw_sys::general as k;
use rustix::fs::{FileType, Mode};

use super::{Rootfs, attributes, bind, copy_up, fresh};
use crate::error::{At, Context, Errno, Fault, Rule, Step};
use crate::fs::proc::{Proc, SelfFd};
use crate::fs::root::{Leaf, Root};
use crate::fs::text::{PATH_MAX, Text};
use crate::limits::ANY_KERNEL;
use crate::plan::arena::Arena;
use crate::plan::op::{Below, Kind, Mount};
use crate::sys::{AsFd, BorrowedFd, OwnedFd, mount as sys, path};

/// Carries out one mount.
///
/// # Errors
///
/// The step that failed.
pub(super) fn mount<const N: usize>(
    rootfs: &mut Rootfs<'_>,
    op: &Mount,
    arena: &Arena<N>,
    ask: &dyn Fn() -> Result<OwnedFd, Fault>,
) -> Result<(), Fault> {
    // What covers it takes its place in the look-up of masked paths.
    match arena.bytes(op.target) {
        b"/proc" => rootfs.procfs = None,
        b"/sys" => rootfs.sysfs = None,
        _ => {}
    }
    let top = match op.kind {
        Kind::Bind => Some(bind::bind(rootfs, op, arena.cstr(op.source), arena, ask)?),
        Kind::Remount => return remount(rootfs, op, arena),
        Kind::Cgroup2 => bind::cgroup2(rootfs, op, arena, ask)?,
        Kind::Sysfs => bind::sysfs(rootfs, op, arena, ask)?,
        _ => new(rootfs, op, arena)?,
    };
    let Some(top) = top else { return Ok(()) };
    if op.rec_set | op.rec_clear != 0 && op.kind != Kind::Bind {
        recursive(top.as_fd(), op)?;
    }
    // man 2 mount: propagation is changed by calls of their own; the order of the options counts.
    let place = SelfFd::of(&top);
    for flags in op.propagation.flags() {
        sys::change(place.path(), flags).step(Step::SetMountFlags)?;
    }
    match (op.kind, arena.bytes(op.target)) {
        (Kind::Base, _) => {
            // Asked once, of what has these attributes already.
            let probe = sys::set_attributes(&top, false, k::MOUNT_ATTR_NOSUID, 0);
            rootfs.old = probe.is_err();
            rootfs.base = Some(top);
        }
        (Kind::Proc | Kind::Bind, b"/proc") => rootfs.procfs = Some(top),
        (Kind::Sysfs, b"/sys") => rootfs.sysfs = Some(top),
        _ => rootfs.done.close(top),
    }
    Ok(())
}

/// Sets attributes on a mount and all below it.
///
/// # Errors
///
/// `Rule::NeedsMountSetattr` before Linux 5.12.
pub(super) fn recursive(tree: BorrowedFd<'_>, op: &Mount) -> Result<(), Fault> {
    match sys::set_attributes(tree, true, op.rec_set, op.rec_clear) {
        Err(Errno::NOSYS) => Err(Fault::rule(
            Step::SetMountFlags,
            Rule::NeedsMountSetattr,
            At::Nothing,
        )),
        answer => answer.step(Step::SetMountFlags),
    }
}

/// A mount point, made as `leaf` says when it is missing, and whether it was made.
///
/// A path that names its place without links was judged by the plan. Where links lead is only known here: not into
/// procfs, whose files the runtime and the container trust (CVE-2019-16884).
///
/// # Errors
///
/// `Step::MakeMountPoint`.
pub(super) fn place(
    rootfs: &Rootfs<'_>,
    target: &CStr,
    leaf: impl FnOnce() -> Result<Leaf, Errno>,
) -> Result<(OwnedFd, bool), Fault> {
    let root = rootfs.root();
    let found = match root.literal(target) {
        Err(Errno::LOOP) => root.follow(target),
        Err(Errno::NOENT) => Err(Errno::NOENT),
        answer => return Ok((answer.step(Step::MakeMountPoint)?, false)),
    };
    let (place, made) = match found {
        Err(Errno::NOENT) => {
            let leaf = leaf().step(Step::OpenSource)?;
            let made = root.make_missing(target, leaf, 0o755);
            let (place, literal) = made.step(Step::MakeMountPoint)?;
            if literal {
                return Ok((place, true));
            }
            (place, true)
        }
        answer => (answer.step(Step::MakeMountPoint)?, false),
    };
    if path::fs_type(&place).step(Step::CheckMount)? == k::PROC_SUPER_MAGIC {
        return Err(Fault::rule(
            Step::MakeMountPoint,
            Rule::MountInProc,
            At::Nothing,
        ));
    }
    Ok((place, made))
}

/// The mount point of procfs or sysfs: a link here would put it elsewhere, and everything that trusts /proc with it
/// (CVE-2019-19921, CVE-2023-27561).
///
/// # Errors
///
/// `Rule::PlainDirectory`.
pub(super) fn plain(root: Root<'_>, target: &CStr) -> Result<OwnedFd, Fault> {
    let plain = match root.plain_directory(target) {
        Err(Errno::NOENT) => {
            let made = root.make_missing(target, Leaf::Directory, 0o755);
            made.step(Step::MakeMountPoint)?;
            root.plain_directory(target)
        }
        answer => answer,
    };
    match plain {
        Err(Errno::LOOP | Errno::NOTDIR) => Err(Fault::rule(
            Step::MakeMountPoint,
            Rule::PlainDirectory,
            At::Nothing,
        )),
        answer => answer.step(Step::MakeMountPoint),
    }
}

/// Mounts a new file system; gives its root where that is needed afterwards.
#[inline(never)]
pub(super) fn new<const N: usize>(
    rootfs: &Rootfs<'_>,
    op: &Mount,
    arena: &Arena<N>,
) -> Result<Option<OwnedFd>, Fault> {
    let target = arena.cstr(op.target);
    let (place, made) = if matches!(op.kind, Kind::Proc | Kind::Sysfs) {
        (plain(rootfs.root(), target)?, false)
    } else {
        place(rootfs, target, || Ok(Leaf::Directory))?
    };
    if op.inherit_mode && !made {
        let mut data = Text::new();
        data.push(arena.bytes(op.data)).step(Step::Mount)?;
        inherit_mode(&place, &mut data).step(Step::Mount)?;
        return put(rootfs, op, arena, (place, made), data.path());
    }
    put(rootfs, op, arena, (place, made), arena.cstr(op.data))
}

/// Mounts it on a place, which was made or not.
#[inline(never)]
fn put<const N: usize>(
    rootfs: &Rootfs<'_>,
    op: &Mount,
    arena: &Arena<N>,
    (place, made): (OwnedFd, bool),
    data: &CStr,
) -> Result<Option<OwnedFd>, Fault> {
    let (fstype, source) = (arena.cstr(op.fstype), arena.cstr(op.source));
    let needed = matches!(op.kind, Kind::Base | Kind::Proc | Kind::Sysfs)
        || op.copy_up
        || !op.propagation.is_empty()
        || op.rec_set | op.rec_clear != 0;
    let set = op.set & !k::MS_REC;
    // There is one sysfs for each network namespace: only this mount of it is read-only, others may have to write.
    let apart = op.kind == Kind::Sysfs && set & k::MS_RDONLY != 0;
    let flags = if apart { set & !k::MS_RDONLY } else { set };
    if needed && let Ok(tree) = fresh::make(fstype, source, data.to_bytes(), flags, op.set) {
        if op.copy_up && !made {
            copy_up::copy_up(&place, &tree)?;
        }
        if sys::attach(&tree, &place).is_ok() {
            rootfs.done.close(place);
            return Ok(Some(tree));
        }
    }
    // The classic call, also for the reason why the other way did not work. It makes both read-only, or neither.
    let late = apart && ANY_KERNEL;
    let flags = if late { flags } else { set };
    let spot = SelfFd::of(&place);
    let mut done = sys::mount(source, spot.path(), fstype, flags, data);
    if late && done == Err(Errno::PERM) {
        // Where the caller's own one is read-only, another one has to be so from the start.
        done = sys::mount(source, spot.path(), fstype, set, data);
    }
    done.step(Step::Mount)?;
    if !needed {
        rootfs.done.close(place);
        return Ok(None);
    }
    let top = top(rootfs, &place, arena.cstr(op.target))?;
    verify(op.kind, &top)?;
    if late {
        attributes::make_readonly(top.as_fd(), false).step(Step::SetMountFlags)?;
    }
    if op.copy_up && !made {
        copy_up::copy_up(&place, &top)?;
    }
    Ok(Some(top))
}

/// A tmpfs over a directory takes its permissions.
fn inherit_mode(place: &OwnedFd, data: &mut Text) -> Result<(), Errno> {
    let mode = rustix::fs::fstat(place)?.st_mode & 0o7777;
    if data.len > 0 {
        data.push(b",")?;
    }
    data.push(b"mode=")?;
    for shift in [9, 6, 3, 0] {
        let digit = u8::try_from(mode >> shift & 7).unwrap_or(0);
        data.push(&[b'0' + digit])?;
    }
    Ok(())
}

/// The root of the mount that was just made on `place`, found by its path again: only a mount that was not there
/// before counts.
///
/// # Errors
///
/// `Rule::SwappedMountPoint`.
pub(super) fn top(rootfs: &Rootfs<'_>, place: &OwnedFd, target: &CStr) -> Result<OwnedFd, Fault> {
    let top = rootfs.root().follow(target).step(Step::CheckMount)?;
    differ(rootfs.proc, place, &top, Step::CheckMount)?;
    Ok(top)
}

/// That two descriptors are of different mounts.
pub(super) fn differ(
    proc: &Proc,
    before: &OwnedFd,
    after: &OwnedFd,
    step: Step,
) -> Result<(), Fault> {
    if proc.mount_id(before).step(step)? == proc.mount_id(after).step(step)? {
        return Err(Fault::rule(step, Rule::SwappedMountPoint, At::Nothing));
    }
    Ok(())
}

/// That procfs and sysfs are what they should be.
fn verify(kind: Kind, top: &OwnedFd) -> Result<(), Fault> {
    let wanted = match kind {
        Kind::Proc => k::PROC_SUPER_MAGIC,
        Kind::Sysfs => k::SYSFS_MAGIC,
        _ => return Ok(()),
    };
    if path::fs_type(top).step(Step::CheckMount)? == wanted {
        return Ok(());
    }
    Err(Fault::rule(
        Step::CheckMount,
        Rule::WrongFilesystem,
        At::Nothing,
    ))
}

/// New flags and options for the mount that is at the place.
fn remount<const N: usize>(rootfs: &Rootfs<'_>, op: &Mount, arena: &Arena<N>) -> Result<(), Fault> {
    let place = rootfs
        .root()
        .follow(arena.cstr(op.target))
        .step(Step::MakeMountPoint)?;
    if op.set & k::MS_BIND != 0 {
        attributes::remount(place.as_fd(), op.set, op.cleared).step(Step::SetMountFlags)?;
    } else {
        let flags = op.set | k::MS_REMOUNT;
        let spot = SelfFd::of(&place);
        sys::mount(c"", spot.path(), c"", flags, arena.cstr(op.data)).step(Step::SetMountFlags)?;
    }
    if op.rec_set | op.rec_clear != 0 {
        recursive(place.as_fd(), op)?;
    }
    let spot = SelfFd::of(&place);
    for flags in op.propagation.flags() {
        sys::change(spot.path(), flags).step(Step::SetMountFlags)?;
    }
    Ok(())
}

/// The SELinux label of what is mounted at a place.
///
/// # Errors
///
/// `Step::SetMountLabel`.
pub(super) fn label(rootfs: &Rootfs<'_>, target: &CStr, label: &[u8]) -> Result<(), Fault> {
    let place = rootfs.root().follow(target).step(Step::SetMountLabel)?;
    let spot = SelfFd::of(&place);
    let flags = rustix::fs::XattrFlags::empty();
    rustix::fs::setxattr(spot.path(), c"security.selinux", label, flags).step(Step::SetMountLabel)
}

/// One hierarchy inside the tmpfs at /sys/fs/cgroup. Nobody else can reach that yet, so that a name in it is a place;
/// a name behind `self/fd/N` saves the calls that open it.
///
/// # Errors
///
/// The step that failed.
#[inline(never)]
pub(super) fn below<const N: usize>(
    rootfs: &Rootfs<'_>,
    op: &Below,
    arena: &Arena<N>,
) -> Result<(), Fault> {
    let base = base(rootfs)?;
    let name = arena.cstr(op.name);
    match rustix::fs::mkdirat(base, name, Mode::from_raw_mode(0o755)) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(errno) => return Err(errno).step(Step::MakeMountPoint),
    }
    let mut spot = Text::new();
    for part in [SelfFd::of(base).path().to_bytes(), b"/", name.to_bytes()] {
        spot.push(part).step(Step::MakeMountPoint)?;
    }
    let (source, fstype) = (arena.cstr(op.source), arena.cstr(op.fstype));
    if op.fstype.is_empty() {
        let flags = k::MS_BIND | k::MS_REC;
        sys::bind(source, spot.path(), flags).step(Step::Mount)?;
        if rootfs.old {
            let flags = k::MS_BIND | k::MS_REMOUNT | op.set;
            sys::change(spot.path(), flags).step(Step::SetMountFlags)?;
        }
        return Ok(());
    }
    let data = arena.cstr(op.data);
    sys::mount(source, spot.path(), fstype, op.set, data).step(Step::Mount)
}

/// The attributes of all that the base holds, in one call.
///
/// # Errors
///
/// `Step::SetMountFlags`.
pub(super) fn within(rootfs: &Rootfs<'_>, attributes: u32) -> Result<(), Fault> {
    if rootfs.old {
        // Each has got its own; the base itself is sealed later.
        return Ok(());
    }
    sys::set_attributes(base(rootfs)?, true, attributes, 0).step(Step::SetMountFlags)
}

/// A link there.
///
/// # Errors
///
/// `Step::MakeLink`.
pub(super) fn link_below(rootfs: &Rootfs<'_>, name: &CStr, text: &CStr) -> Result<(), Fault> {
    match rustix::fs::symlinkat(text, base(rootfs)?, name) {
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        answer => answer.step(Step::MakeLink),
    }
}

/// The mount that others are made in: the plan has put it before them.
fn base<'r>(rootfs: &'r Rootfs<'_>) -> Result<BorrowedFd<'r>, Fault> {
    let missing = Fault::rule(Step::Mount, Rule::Never, At::Nothing);
    rootfs.base.as_ref().map(AsFd::as_fd).ok_or(missing)
}

/// The type of a file, from its mode.
pub(super) fn file_type(fd: impl AsFd) -> Result<FileType, Errno> {
    Ok(FileType::from_raw_mode(rustix::fs::fstat(fd)?.st_mode))
}

const _: () = assert!(PATH_MAX == 4096, "one page of options, as mount(2) reads");
