//! Sources of bind mounts that take the rights of the host: those in directories that are closed to the root of the
//! container's user namespace, and those whose ids are mapped (man 2 mount_setattr, "ID-mapped mounts").
//!
//! Init asks. A short-lived child of the parent enters the container's mount namespace with the rights of the host, so
//! that a path means what it means to init, and sends what it has opened there: the place itself; or for an id-mapped
//! mount the detached tree, with everything about it that init could not do. A restored container has no init then: the
//! process that becomes criu asks in its place.
#![forbid(unsafe_code)]

use rustix::fs::OFlags;

use super::users;
use super::wire::{Msg, Wire};
use crate::error::{At, Cause, Context, Errno, Fault, Rule, Step};
use crate::fs::proc::Proc;
use crate::limits::FULL;
use crate::plan::Plan;
use crate::plan::op::{Mount, Op};
use crate::plan::route::Mappings;
use crate::sys::proc::{self, Ended, Fork};
use crate::sys::{AsFd, BorrowedFd, OwnedFd, mount, ns, path};

/// The side of init.
///
/// # Errors
///
/// Why the parent cannot open it.
pub fn ask(plan: &Plan, wire: &Wire, op: u32) -> Result<OwnedFd, Fault> {
    if !FULL || !plan.root.asks {
        return closed();
    }
    wire.send(Msg::Source(op), None)?;
    wire.expect(Msg::Opened, &mut |_| ())?
        .map_or_else(closed, Ok)
}

/// Nobody can do better than init.
pub(super) fn closed() -> Result<OwnedFd, Fault> {
    Err(Errno::ACCESS).step(Step::OpenSource)
}

/// The parent's side, until all is mounted. `own` is how the container maps ids, or nothing if `init` is in its user
/// namespace.
///
/// # Errors
///
/// What the wire tells; a source that cannot be had.
pub fn serve(
    plan: &Plan,
    (init, own): (u32, [Mappings; 2]),
    wire: &Wire,
    warn: &mut dyn FnMut(Fault),
) -> Result<(), Fault> {
    // Those of the last id-mapped mount: as a rule all have the same.
    let mut users = None;
    loop {
        let word = wire.hear(warn)?.0;
        let op = match word {
            Msg::Source(op) if FULL => op,
            _ => return word.must_be(Msg::Mounted),
        };
        give(plan, (init, own), wire, op, &mut users).map_err(|fault| fault.or_at(At::Op(op)))?;
    }
}

/// The user namespace of an id-mapped mount, with the mappings that it is for.
type Users = Option<([Mappings; 2], OwnedFd)>;

/// Answers for one operation.
fn give(
    plan: &Plan,
    (init, own): (u32, [Mappings; 2]),
    wire: &Wire,
    op: u32,
    users: &mut Users,
) -> Result<(), Fault> {
    let Some(Op::Mount(mount)) = plan.ops.get(op as usize) else {
        return Err(Fault::rule(Step::OpenSource, Rule::Never, At::Nothing));
    };
    let procfs = Proc::open()?;
    if let Some(map) = mount.id_map {
        let text = |of: Mappings| plan.arena.bytes(of.text);
        let [uids, _] = map.mappings;
        let wanted = if uids.text.is_empty() {
            own
        } else {
            map.mappings
        };
        let ([uids, gids], known) = (wanted, users.as_ref());
        let known =
            known.is_some_and(|([u, g], _)| text(*u) == text(uids) && text(*g) == text(gids));
        if !known {
            *users = Some((wanted, mapped(plan, init, &procfs, wanted)?));
        }
    }
    let inside = procfs.namespace(init, c"ns/mnt").step(Step::OpenSource)?;
    let pid = match proc::fork(0, None, false).step(Step::OpenSource)? {
        Fork::Child => {
            let users = users.as_ref().map(|(_, fd)| fd.as_fd());
            let (word, fd) = match open(plan, mount, inside.as_fd(), users) {
                Ok(fd) => (Msg::Opened, Some(fd)),
                Err(fault) => (Msg::Fault(fault), None),
            };
            let sent = wire.send(word, fd.as_ref().map(AsFd::as_fd));
            proc::exit(i32::from(sent.is_err()))
        }
        Fork::Parent(pid, _) => pid,
    };
    match proc::wait(pid).step(Step::OpenSource)? {
        Ended::Exited(_) => Ok(()),
        ended => Err(Fault::new(
            Step::OpenSource,
            Cause::Ended(ended.to_status()),
        )),
    }
}

/// In a process that ends after it: it could not come back to a root that is not the one of its mount namespace.
fn open(
    plan: &Plan,
    op: &Mount,
    inside: BorrowedFd<'_>,
    users: Option<BorrowedFd<'_>>,
) -> Result<OwnedFd, Fault> {
    ns::setns(inside, ns::flag::MOUNT).step(Step::OpenSource)?;
    let source = plan.arena.cstr(op.source);
    let (Some(map), Some(users)) = (op.id_map, users) else {
        return path::openat(path::cwd(), source, OFlags::PATH).step(Step::OpenSource);
    };
    let needs = Fault::rule(Step::MapMount, Rule::NeedsMountSetattr, At::Nothing);
    let tree = match mount::clone_tree(path::cwd(), source, op.recursive) {
        Err(Errno::NOSYS) => return Err(needs),
        answer => answer.step(Step::OpenSource)?,
    };
    match mount::map_ids(tree.as_fd(), map.recursive, users) {
        Err(Errno::NOSYS) => Err(needs),
        answer => answer.step(Step::MapMount).map(|()| tree),
    }
}

/// A user namespace with these mappings.
fn mapped(
    plan: &Plan,
    init: u32,
    procfs: &Proc,
    [uids, gids]: [Mappings; 2],
) -> Result<OwnedFd, Fault> {
    if uids.text.is_empty() {
        return procfs.namespace(init, c"ns/user").step(Step::MapMount);
    }
    let pid = match proc::fork(ns::flag::USER, None, false).step(Step::MakeUserNamespace)? {
        Fork::Child => proc::exit(0),
        Fork::Parent(pid, _) => pid,
    };
    // It has ended; until it is waited for it still has its namespace.
    let write = |name: &[u8], map: Mappings| {
        users::write(procfs, pid, name, plan.arena.bytes(map.text))
            .step_at(Step::MapIds, At::Byte(map.at))
    };
    write(b"uid_map", uids)?;
    write(b"gid_map", gids)?;
    let made = procfs
        .namespace(proc::number(pid), c"ns/user")
        .step(Step::MapMount);
    proc::wait(pid).step(Step::MapMount)?;
    made
}
