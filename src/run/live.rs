//! Mounts in a container that is there, one by one: a short-lived process clones what is bound while it is outside, joins
//! the container's namespaces, and lets it land on a place that is looked for inside the container's root.
//!
//! It is in the pid namespace of nobody but the runtime, so that the container cannot see it.
#![forbid(unsafe_code)]

use rustix::fs::OFlags;

use super::wire::{Msg, Wire};
use super::{enter, middle};
use crate::error::{At, Context, Errno, Fault, Step};
use crate::fs::proc::Proc;
use crate::plan::Plan;
use crate::plan::op::{Kind, Op};
use crate::plan::route::NamespaceKind;
use crate::rootfs::Rootfs;
use crate::state::Live;
use crate::sys::proc::{self, Fork};
use crate::sys::{AsFd, OwnedFd, mount, path};

/// Adds the mounts of the plan, or removes them, the last one first.
///
/// # Errors
///
/// The first that cannot be had, with `At::Op`; those before it stay.
pub fn mounts(plan: &Plan, init: &Live, add: bool) -> Result<(), Fault> {
    let last = plan.ops.len().saturating_sub(1);
    for n in 0..plan.ops.len() {
        let n = if add { n } else { last - n };
        if let Some(op) = plan.ops.get(n) {
            let number = u32::try_from(n).unwrap_or(u32::MAX);
            apart(plan, init, op, number, add).map_err(|fault| fault.or_at(At::Op(number)))?;
        }
    }
    Ok(())
}

/// Carries out one operation in a process of its own.
fn apart(plan: &Plan, init: &Live, op: &Op, number: u32, add: bool) -> Result<(), Fault> {
    let (wire, theirs) = Wire::pair()?;
    match proc::fork(0, None, false).step(Step::JoinContainer)? {
        Fork::Child => {
            let word = match one(plan, init, op, number, add) {
                Ok(()) => Msg::Mounted,
                Err(fault) => Msg::Fault(fault),
            };
            let sent = theirs.send(word, None);
            proc::exit(i32::from(sent.is_err()))
        }
        Fork::Parent(pid, _) => {
            drop(theirs);
            let heard = wire.expect(Msg::Mounted, &mut |_| ());
            proc::wait(pid).step(Step::JoinContainer)?;
            heard.map(|_| ())
        }
    }
}

/// In the process that ends after it.
fn one(plan: &Plan, init: &Live, op: &Op, number: u32, add: bool) -> Result<(), Fault> {
    let procfs = Proc::open()?;
    let tree = match op {
        Op::Mount(bind) if add && bind.kind == Kind::Bind => {
            let source = plan.arena.cstr(bind.source);
            Some(mount::clone_tree(path::cwd(), source, bind.recursive).step(Step::OpenSource)?)
        }
        _ => None,
    };
    enter::namespaces(init, plan)?;
    if plan.namespaces.own(NamespaceKind::User) {
        // Mount points and new file systems are its root's.
        middle::become_root()?;
    }
    let flags = OFlags::PATH | OFlags::DIRECTORY;
    let root = path::openat(path::cwd(), c"/", flags).step(Step::FindRoot)?;
    let mut rootfs = Rootfs::live(root, &procfs);
    let tree = |_| {
        let tree = tree.as_ref().ok_or(Errno::ACCESS);
        let again = tree.and_then(|tree| rustix::io::fcntl_dupfd_cloexec(tree.as_fd(), 3));
        again.map(OwnedFd::from).step(Step::OpenSource)
    };
    match op {
        _ if add => rootfs.run(core::slice::from_ref(op), number, &plan.arena, &tree),
        Op::Mount(there) => rootfs.unmount(plan.arena.cstr(there.target)),
        _ => Ok(()),
    }
}
