//! The process between parent and init, where a namespace only takes effect on children: a joined pid namespace, a time
//! namespace. It clones init as its own sibling, so that the parent is init's parent, says its pid, and ends.
#![forbid(unsafe_code)]

use rustix::process::Pid;

use super::init::{self, Inheritance};
use super::wire::{Msg, Wire};
use crate::error::{At, Context, Fault, Step};
use crate::fs::proc::Proc;
use crate::plan::Plan;
use crate::plan::route::NamespaceKind;
use crate::sys::proc::{self, Fork};
use crate::sys::{AsFd, ns};

/// Runs to the end of the process.
pub(super) fn main(inherited: Inheritance<'_>) -> ! {
    split(&inherited.wire, story(&inherited));
    init::main(inherited)
}

/// Comes back in the process that was cloned; the one in the middle says who that is, and ends.
pub(super) fn split(wire: &Wire, forked: Result<Fork, Fault>) {
    let (word, code) = match forked {
        Ok(Fork::Child) => return,
        Ok(Fork::Parent(pid, _)) => (Msg::Born(pid.as_raw_nonzero().get().unsigned_abs()), 0),
        Err(fault) => (Msg::Fault(fault), 1),
    };
    let lost = wire.send(word, None).is_err();
    proc::exit(if lost { 1 } else { code })
}

fn story(i: &Inheritance<'_>) -> Result<Fork, Fault> {
    for (fd, kind, at) in i.joins.iter() {
        if super::for_children(*kind) {
            ns::setns(fd.as_fd(), super::flag(*kind))
                .step_at(Step::JoinNamespace, At::Byte(*at))?;
        }
    }
    if i.plan.namespaces.new.has(NamespaceKind::Time) {
        time(i.plan)?;
    }
    proc::fork(super::clone_flags(i.plan), None, true).step(Step::Clone)
}

/// A new time namespace, with its offsets before the first process is in it (man 7 time_namespaces).
fn time(plan: &Plan) -> Result<(), Fault> {
    ns::unshare(ns::flag::TIME).step(Step::MakeNamespaces)?;
    let offsets = plan.namespaces.time_offsets;
    if offsets.is_empty() {
        return Ok(());
    }
    Proc::open()?
        .write(c"self/timens_offsets", plan.arena.bytes(offsets))
        .step(Step::SetTimeOffsets)
}

/// The parent's side: who init is, after the middle one has ended.
pub(super) fn await_init(wire: &Wire, middle: Pid) -> Result<Pid, Fault> {
    let never = Fault::new(Step::Clone, crate::error::Cause::Protocol(2, 0));
    let born = match wire.receive()? {
        (Msg::Born(pid), _) => i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(never),
        (Msg::Fault(fault), _) => Err(fault),
        _ => Err(never),
    };
    proc::wait(middle).step(Step::Clone)?;
    born
}
