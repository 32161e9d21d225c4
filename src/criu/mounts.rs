//! What of a container lies outside of it, and so is no part of its images: the sources of bind mounts, namespaces that
//! it has joined, and what its standard streams lead to.
#![forbid(unsafe_code)]

use core::ffi::CStr;

use rustix::fs::{FileType, OFlags, fstat, statat};

use super::request::{Request, number};
use crate::error::{Context, Errno, Fault, Step};
use crate::fs::proc::{Proc, SelfFd};
use crate::fs::root::Root;
use crate::fs::text::Text;
use crate::plan::Plan;
use crate::plan::op::{Kind, Op};
use crate::plan::route::NamespaceKind;
use crate::run::Joins;
use crate::say::Line;
use crate::say::object::strings;
use crate::sys::file::read_whole;
use crate::sys::{AsFd, OwnedFd, path};
use crate::text::Digits;

/// What is masked with it, and its name in the images.
const NULL: &[u8] = b"/dev/null";
/// Standard streams, as runc has it: a list of what the links in /proc/PID/fd say.
const STREAMS: &CStr = c"descriptors.json";

/// Who wants to see places, and what lies there.
type Visit<'v> = &'v mut dyn FnMut(&CStr, Option<&[u8]>) -> Result<(), Errno>;

/// Calls `visit` with every place that can have a mount from outside, and the path of that on the host. A mask: `None`.
/// Of id-mapped mounts only if it shall be `all`.
fn each(plan: &Plan, all: bool, visit: Visit<'_>) -> Result<(), Errno> {
    let arena = &plan.arena;
    let mut base: &[u8] = b"";
    for op in &plan.ops {
        let source = match op {
            Op::Mount(mount) if mount.id_map.is_some() && !all => continue,
            Op::Mount(mount) if mount.kind == Kind::Bind => Some(mount.source),
            Op::Mount(mount) if mount.kind == Kind::Base => {
                base = arena.bytes(mount.target);
                continue;
            }
            // One of cgroup v1, where the container sees the host's names.
            Op::Below(below) if below.fstype.is_empty() => {
                let mut place = Text::new();
                for piece in [base, b"/", arena.bytes(below.name)] {
                    place.push(piece)?;
                }
                visit(place.path(), Some(arena.bytes(below.source)))?;
                continue;
            }
            // Bound where it could not be made.
            Op::Device(device) => Some(device.path),
            Op::Mask { .. } => None,
            _ => continue,
        };
        let source = source.map(|source| arena.bytes(source));
        visit(arena.cstr(op.path()), source)?;
    }
    Ok(())
}

/// Tells a dump of all that is outside; one of memory alone, of namespaces.
pub(super) fn outside(request: &mut Request, plan: &Plan, init: &Process<'_>) -> Result<(), Errno> {
    name_joined(request, plan, init)?;
    if request.kind == super::Kind::Dump {
        name(request, plan, init)?;
        keep_streams(request, init)?;
    }
    Ok(())
}

/// Names all mounts from outside for a dump. They are known by the place that the links of the root lead to, and are
/// called what config.json calls them.
fn name(request: &mut Request, plan: &Plan, init: &Process<'_>) -> Result<(), Errno> {
    let root = path::openat(&init.dir, c"root", OFlags::PATH)?;
    let root = Root::new(root.as_fd(), init.procfs);
    each(plan, true, &mut |target, source| {
        let place = match root.follow(target) {
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(()),
            found => found?,
        };
        let kind = fstat(&place)?.st_mode;
        // Masked directories are file systems of their own.
        if source.is_none() && FileType::from_raw_mode(kind) == FileType::Directory {
            return Ok(());
        }
        let mut buffer = [0; 4096];
        let place = SelfFd::of(&place);
        let place = path::readlink(init.procfs.fd(), place.path(), &mut buffer);
        let name = source.map_or(NULL, |_| target.to_bytes());
        request.mount(place?, name);
        Ok(())
    })
}

/// Tells where the mounts of images come from.
pub(super) fn locate(request: &mut Request, plan: &Plan) -> Result<(), Errno> {
    if plan.root.masks {
        request.mount(NULL, NULL);
    }
    each(plan, false, &mut |target, source| {
        if let Some(source) = source {
            request.mount(target.to_bytes(), source);
        }
        Ok(())
    })
}

/// Tells that what is mounted at a place comes from another one, which is mounted now.
pub(super) fn locate_mapped(
    request: &mut Request,
    target: &CStr,
    mount: &OwnedFd,
) -> Result<(), Fault> {
    let mut buffer = [0; 4096];
    let procfs = Proc::open()?;
    let path = path::readlink(procfs.fd(), SelfFd::of(mount).path(), &mut buffer);
    let path = path.step(Step::Restore)?;
    request.mount(target.to_bytes(), path);
    Ok(())
}

/// The places of id-mapped mounts.
pub(super) fn mapped(plan: &Plan) -> impl Iterator<Item = &CStr> {
    plan.ops.iter().filter_map(|op| match op {
        Op::Mount(mount) if mount.id_map.is_some() => Some(plan.arena.cstr(mount.target)),
        _ => None,
    })
}

/// Which namespaces criu can leave alone: their file in /proc, and what runc calls them.
fn external(kind: NamespaceKind) -> Option<(&'static CStr, &'static [u8])> {
    match kind {
        NamespaceKind::Network => Some((c"ns/net", b"extRootNetNS")),
        NamespaceKind::Pid => Some((c"ns/pid", b"extRootPidNS")),
        _ => None,
    }
}

/// The process to dump.
pub(super) struct Process<'p> {
    pub(super) procfs: &'p Proc,
    pub(super) dir: OwnedFd,
}

/// Names the namespaces that were joined for a dump: `net[INODE]:NAME`.
fn name_joined(request: &mut Request, plan: &Plan, init: &Process<'_>) -> Result<(), Errno> {
    for join in &plan.namespaces.joins {
        let Some((file, name)) = external(join.kind) else {
            continue;
        };
        let stat = statat(&init.dir, file, rustix::fs::AtFlags::empty());
        let inode = Digits::new(stat?.st_ino);
        let kind = file.to_bytes().get(3..).unwrap_or_default();
        let pieces = [kind, b"[", inode.text(), b"]:", name];
        request.options.text(37, &pieces);
    }
    Ok(())
}

/// Gives the namespaces to be joined to a restore.
pub(super) fn give_joined(request: &mut Request, joins: &Joins) {
    for (fd, kind, _) in joins {
        if let Some((_, name)) = external(*kind) {
            request.inherit(name, number(fd));
        }
    }
}

/// Keeps what the standard streams lead to.
fn keep_streams(request: &Request, init: &Process<'_>) -> Result<(), Errno> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::CLOEXEC;
    let file = path::open(request.images(), STREAMS, flags, 0o600)?;
    let mut buffer = [0; 512];
    let mut line = Line::to(file.as_fd(), &mut buffer);
    let mut before = "[\"";
    for stream in [c"fd/0", c"fd/1", c"fd/2"] {
        line.text(before);
        before = "\",\"";
        // A stream can be closed; and only pipes matter, whose names are short.
        let mut link = [0; 256];
        line.escaped(path::readlink(&init.dir, stream, &mut link).unwrap_or_default());
    }
    line.text("\"]");
    line.finish()
}

/// Our own standard streams take the place of those that were pipes.
pub(super) fn give_streams(request: &mut Request) -> Result<(), Errno> {
    let file = match path::openat(request.images(), STREAMS, OFlags::RDONLY) {
        // Images of another runtime.
        Err(Errno::NOENT) => return Ok(()),
        file => file?,
    };
    let mut text = [0; 4096];
    let length = read_whole(&file, &mut text)?;
    let text = text.get(..length).unwrap_or_default();
    for (stream, link) in (0..).zip(strings(text)) {
        if link.starts_with(b"pipe:") {
            request.inherit(link, stream);
        }
    }
    Ok(())
}
