//! The way of `exec` into a container, top to bottom in time: a process that takes on cgroups and namespaces, and clones
//! the one that executes the program as its own sibling.
//!
//! Two, because a pid namespace is entered by being born in it; and because nothing is to be seen in the container that
//! still has the host's mounts. Neither holds anything of the host but the wire when it is inside (CVE-2016-9962).
#![forbid(unsafe_code)]

use core::ffi::CStr;

use heapless::Vec;
use rustix::fs::OFlags;
use rustix::process::{chroot, fchdir};

use super::attributes;
use super::init::{self, Built, Inheritance};
use super::middle;
use super::wire::Msg;
use crate::cgroup;
use crate::error::{At, Cause, Context, Errno, Fault, Rule, Step};
use crate::fs::fdset::{self, Kept, Left};
use crate::fs::proc::Proc;
use crate::fs::root::Root;
use crate::limits::FULL;
use crate::plan::Plan;
use crate::plan::bits::Cpus;
use crate::plan::route::{Kinds, NamespaceKind};
use crate::state::Live;
use crate::sys::proc::{self, Fork};
use crate::sys::{AsFd, OwnedFd, ns, path, sched};
use crate::tty;

/// Where it goes.
pub(super) struct Target<'t> {
    /// The init of the container, as it was found.
    pub(super) init: &'t Live,
    /// The v2 cgroup.
    pub(super) place: Option<OwnedFd>,
    /// Where that takes no process, the cgroup of init will do.
    pub(super) beside_init: bool,
}

/// Runs to the end of the process.
pub(super) fn main(target: Target<'_>, mut inherited: Inheritance<'_>) -> ! {
    let forked = story(&target, &mut inherited);
    middle::split(&inherited.wire, forked);
    drop(target.place);
    init::run(inherited, build)
}

fn story(target: &Target<'_>, i: &mut Inheritance<'_>) -> Result<Fork, Fault> {
    only_ours(target, i)?;
    let [first, last] = &i.plan.process.affinity;
    affinity(first.as_ref())?;
    cgroups(target, i)?;
    affinity(last.as_ref())?;
    i.procfs = procfs(i.plan)?;
    let users = i.plan.namespaces.own(NamespaceKind::User);
    if let Some(procfs) = i.procfs.as_ref().filter(|_| users) {
        attributes::of_host(i.plan, procfs)?;
    }
    namespaces(target.init, i.plan)?;
    if users {
        middle::become_root()?;
    }
    proc::fork(0, None, true).step(Step::Clone)
}

/// Whether the parent puts the process that the one in the middle clones into its v1 memory cgroup. In a user namespace
/// the kernel might not let it: who is not root moves only what runs as himself.
pub(super) fn charged_late(plan: &Plan) -> bool {
    !plan.namespaces.own(NamespaceKind::User)
}

fn cgroups(target: &Target<'_>, i: &Inheritance<'_>) -> Result<(), Fault> {
    let plan = &i.plan.cgroup;
    let charged = !charged_late(i.plan);
    let place = target.place.as_ref().map(AsFd::as_fd);
    match cgroup::join(plan, place, i.in_cgroup, charged) {
        Err(fault) if fault.errno() == Some(Errno::BUSY) && target.beside_init => {
            let place = cgroup::place_of(plan, target.init.pid()).ok_or(fault)?;
            cgroup::join(plan, Some(place.as_fd()), false, charged)
        }
        joined => joined,
    }
}

/// The host's, where the process could only have the one that the container has mounted, or none: before Linux 5.2; and
/// in a user namespace, which gets no new one beside one that is masked. Its `self` is every process' own.
fn procfs(plan: &Plan) -> Result<Option<Proc>, Fault> {
    let own = Proc::can_be_private() && !plan.namespaces.new.has(NamespaceKind::User);
    if own {
        Ok(None)
    } else {
        Proc::open().map(Some)
    }
}

fn only_ours(target: &Target<'_>, i: &Inheritance<'_>) -> Result<(), Fault> {
    let mut kept = Kept::default();
    for fd in i.console.iter().chain(&target.place).chain([&i.wire.0]) {
        kept.add(fd.as_fd());
    }
    if let Some(init) = target.init.handle() {
        kept.add(init);
    }
    fdset::close_all_but(3 + i.preserve, &kept, Left::Anything)
}

/// `process.execCPUAffinity`.
fn affinity(cpus: Option<&Cpus>) -> Result<(), Fault> {
    match cpus {
        Some(cpus) => sched::set_affinity(cpus).step(Step::SetAffinity),
        None => Ok(()),
    }
}

/// Joins all that the container does not share with us; then its root, where that comes with no mount namespace.
pub(super) fn namespaces(init: &Live, plan: &Plan) -> Result<(), Fault> {
    let kinds = plan.namespaces.new;
    let root = if kinds.has(NamespaceKind::Mount) {
        None
    } else {
        Some(root_of(init)?)
    };
    let flags = FILES.into_iter().filter(|(kind, _)| kinds.has(*kind));
    let flags = flags.fold(0, |all, (kind, _)| all | super::flag(kind));
    let joined = match init.handle() {
        _ if flags == 0 => Ok(()),
        Some(handle) => ns::setns(handle, flags),
        None => Err(Errno::NOSYS),
    };
    match joined {
        // Linux 5.8 is the first to take a pidfd. EPERM: not all are owned by the container's user namespace.
        Err(Errno::INVAL | Errno::NOSYS | Errno::PERM) => one_by_one(init, kinds)?,
        Err(Errno::SRCH) => return Err(ended()),
        joined => joined.step(Step::JoinContainer)?,
    }
    let Some(root) = root else { return Ok(()) };
    let changed = fchdir(&root).and_then(|()| chroot(c"."));
    changed.step(Step::JoinContainer)
}

/// The files of namespaces in the directory of a process, in the order of joining: the user namespace last, since it
/// takes away the rights over those that it does not own.
static FILES: [(NamespaceKind, &CStr); 8] = [
    (NamespaceKind::Ipc, c"ns/ipc"),
    (NamespaceKind::Uts, c"ns/uts"),
    (NamespaceKind::Network, c"ns/net"),
    (NamespaceKind::Pid, c"ns/pid"),
    (NamespaceKind::Time, c"ns/time"),
    (NamespaceKind::Cgroup, c"ns/cgroup"),
    (NamespaceKind::Mount, c"ns/mnt"),
    (NamespaceKind::User, c"ns/user"),
];

/// Opens all namespaces, then joins them; those that only the rights of the user namespace reach after that.
fn one_by_one(init: &Live, kinds: Kinds) -> Result<(), Fault> {
    let procfs = Proc::open()?;
    let dir = procfs.process(init.pid()).map_err(gone)?;
    let mut files: Vec<_, 8> = Vec::new();
    for (kind, name) in FILES {
        if kinds.has(kind) {
            let file = path::openat(&dir, name, OFlags::RDONLY).map_err(gone)?;
            let _ = files.push((Some(file), super::flag(kind)));
        }
    }
    still(init)?;
    for last in [false, true] {
        for (file, flag) in &mut files {
            let Some(fd) = file else { continue };
            match ns::setns(fd.as_fd(), *flag) {
                Err(Errno::PERM) if !last => {}
                joined => {
                    joined.step(Step::JoinNamespace)?;
                    *file = None;
                }
            }
        }
    }
    Ok(())
}

/// The root directory of the container.
fn root_of(init: &Live) -> Result<OwnedFd, Fault> {
    let procfs = Proc::open()?;
    let dir = procfs.process(init.pid()).map_err(gone)?;
    let flags = OFlags::PATH | OFlags::DIRECTORY;
    let root = path::openat(&dir, c"root", flags).map_err(gone)?;
    still(init)?;
    Ok(root)
}

/// After its files were opened by number: it was still the one with that number.
fn still(init: &Live) -> Result<(), Fault> {
    if init.is_the_one()? {
        Ok(())
    } else {
        Err(ended())
    }
}

fn gone(errno: Errno) -> Fault {
    match errno {
        Errno::NOENT | Errno::SRCH => ended(),
        _ => Fault::new(Step::JoinContainer, Cause::Errno(errno)),
    }
}

pub(super) fn ended() -> Fault {
    Fault::rule(Step::JoinContainer, Rule::ExecStopped, At::Nothing)
}

/// The process that was born in the container: everything up to the word `Ready`.
fn build(i: &mut Inheritance<'_>) -> Result<Built, Fault> {
    let plan = i.plan;
    // The one in the middle says first who we are.
    i.wire.expect(Msg::Enter, &mut |_| ())?;
    init::session(plan)?;
    let procfs = match i.procfs.take() {
        Some(procfs) => procfs,
        None => Proc::open()?,
    };
    if FULL && plan.process.terminal {
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        let root = path::openat(path::cwd(), c"/", flags).step(Step::OpenTerminal)?;
        let slave = init::open_terminal(i, &procfs, &Root::new(root.as_fd(), &procfs))?;
        tty::attach(slave)?;
    }
    let built = init::person(plan, procfs)?;
    i.wire.send(Msg::Ready, None)?;
    Ok(built)
}
