//! The process between parent and init, where a namespace only takes effect on children (a joined pid namespace, a time
//! namespace), or where rights change on the way (a user namespace). It clones init as its own sibling, so that the
//! parent is init's parent, says its pid, and ends.
//!
//! All other new namespaces are made after the user namespace, so that they belong to it.
#![forbid(unsafe_code)]

use rustix::process::Pid;

use super::init::{self, Inheritance};
use super::wire::{Msg, Wire};
use super::{attributes, protect};
use crate::cgroup;
use crate::error::{At, Cause, Context, Errno, Fault, Step};
use crate::fs::proc::Proc;
use crate::plan::Plan;
use crate::plan::route::NamespaceKind;
use crate::sys::proc::{self, Fork};
use crate::sys::{AsFd, OwnedFd, cred, ns};

/// Runs to the end of the process.
pub(super) fn main(inherited: Inheritance<'_>) -> ! {
    split(&inherited.wire, story(&inherited));
    init::main(inherited)
}

/// Comes back in the process that was cloned; the one in the middle says who that is, and ends.
pub(super) fn split(wire: &Wire, forked: Result<Fork, Fault>) {
    let (word, code) = match forked {
        Ok(Fork::Child) => return,
        Ok(Fork::Parent(pid, _)) => (Msg::Born(proc::number(pid)), 0),
        Err(fault) => (Msg::Fault(fault), 1),
    };
    let lost = wire.send(word, None).is_err();
    proc::exit(if lost { 1 } else { code })
}

fn story(i: &Inheritance<'_>) -> Result<Fork, Fault> {
    let plan = i.plan;
    if plan.namespaces.own(NamespaceKind::User) {
        as_root_of_users(i)?;
    } else {
        for (fd, kind, at) in i.joins.iter() {
            if super::for_children(*kind) {
                ns::setns(fd.as_fd(), super::flag(*kind))
                    .step_at(Step::JoinNamespace, At::Byte(*at))?;
            }
        }
        if plan.namespaces.new.has(NamespaceKind::Time) {
            time(plan, &Proc::open()?)?;
        }
    }
    proc::fork(super::clone_flags(plan), None, true).step(Step::Clone)
}

/// What takes rights over the host first; then the user namespace; then what takes rights in it.
fn as_root_of_users(i: &Inheritance<'_>) -> Result<(), Fault> {
    let plan = i.plan;
    // The parent's end of the wire among it: here its death must be noticed.
    init::only_ours(i)?;
    // systemd makes them later, and the parent puts init into them.
    if plan.cgroup.unit.kind == cgroup::Unit::None {
        cgroup::enter(&plan.cgroup, i.in_cgroup, b"0")?;
    }
    let procfs = Proc::open()?;
    attributes::of_host(plan, &procfs)?;
    protect::show()?;
    let mut joined = [false; 8];
    join(i, &mut joined, true)?;
    users(i)?;
    join(i, &mut joined, false)?;
    if plan.namespaces.new.has(NamespaceKind::Time) {
        time(plan, &procfs)?;
    }
    // As root, too: entering the user namespace of somebody else sets what fs.suid_dumpable says.
    protect::hide()?;
    become_root()
}

/// The ids of root in the user namespace that was entered.
pub(super) fn become_root() -> Result<(), Fault> {
    // Where the namespace denies it, nothing of the caller's groups can be dropped.
    let _ = cred::set_groups(&[]);
    match cred::set_ids(0, 0) {
        // No root there: the capabilities do without.
        Err(Errno::INVAL) => Ok(()),
        other => other.step(Step::SetIds),
    }
}

/// Joins all but the user namespace. With the rights of the host first: what those do not suffice for may belong to the
/// user namespace, and is left for the second time.
fn join(i: &Inheritance<'_>, joined: &mut [bool; 8], first: bool) -> Result<(), Fault> {
    for ((fd, kind, at), joined) in i.joins.iter().zip(joined) {
        if *joined || *kind == NamespaceKind::User {
            continue;
        }
        match ns::setns(fd.as_fd(), super::flag(*kind)) {
            Err(Errno::PERM) if first => {}
            answer => {
                answer.step_at(Step::JoinNamespace, At::Byte(*at))?;
                *joined = true;
            }
        }
    }
    Ok(())
}

/// Joins the user namespace, or makes one; the parent maps its ids.
fn users(i: &Inheritance<'_>) -> Result<(), Fault> {
    let user = i
        .joins
        .iter()
        .find(|(_, kind, _)| *kind == NamespaceKind::User);
    if let Some((fd, _, at)) = user {
        return ns::setns(fd.as_fd(), ns::flag::USER).step_at(Step::JoinNamespace, At::Byte(*at));
    }
    ns::unshare(ns::flag::USER).step(Step::MakeUserNamespace)?;
    i.wire.send(Msg::Users, None)?;
    i.wire.expect(Msg::Mapped, &mut |_| ()).map(drop)
}

/// A new time namespace, with its offsets before the first process is in it (man 7 time_namespaces).
fn time(plan: &Plan, procfs: &Proc) -> Result<(), Fault> {
    ns::unshare(ns::flag::TIME).step(Step::MakeNamespaces)?;
    let offsets = plan.namespaces.time_offsets;
    if offsets.is_empty() {
        return Ok(());
    }
    procfs
        .write(c"self/timens_offsets", plan.arena.bytes(offsets))
        .step(Step::SetTimeOffsets)
}

/// The parent's side: who init is, after the middle one has ended. If that was before it could say, nothing ever comes
/// from init, which has the wire, too, and listens until we let go of it.
pub(super) fn await_init(wire: &Wire, middle: Pid, handle: Option<&OwnedFd>) -> Result<Pid, Fault> {
    let never = Fault::new(Step::Clone, Cause::Protocol(Msg::Born(0).number(), 0));
    if handle.is_some_and(|handle| wire.is_dumb(handle)) {
        return Err(never);
    }
    let born = match wire.receive()? {
        (Msg::Born(pid), _) => i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(never),
        (Msg::Fault(fault), _) => Err(fault),
        _ => Err(never),
    };
    proc::wait(middle).step(Step::Clone)?;
    born
}
