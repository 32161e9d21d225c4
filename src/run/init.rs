//! The container's first process, from clone to execve, top to bottom in time.
//!
//! It sees only the plan, the descriptors it inherits and the words of the parent. It never prints: what goes wrong is
//! one `Fault` over the wire, and then it ends. It ends too when the parent does before the container is complete.
#![forbid(unsafe_code)]

use heapless::Vec;
use rustix::fs::Mode;

use super::attributes::{self, LateSets};
use super::hook::Hooks;
use super::label;
use super::last::{self, Numbers, own_pid};
use super::lookup;
use super::wire::{Msg, Wire};
use super::{notify, protect, source};
use crate::error::{At, Context, Errno, Fault, Rule, Step};
use crate::fs::fdset::{self, Kept, Left};
use crate::fs::proc::Proc;
use crate::fs::root::Root;
use crate::limits::FULL;
use crate::plan::Plan;
use crate::plan::arena::Str;
use crate::plan::hooks::Moment;
use crate::plan::process::Words;
use crate::plan::route::NamespaceKind;
use crate::sys::args::Args;
use crate::sys::proc;
use crate::sys::{AsFd, OwnedFd, idle, key, net, ns, sig};
use crate::{cgroup, rootfs, tty};

/// Namespaces to join, each with the place of its entry in config.json.
pub type Joins = Vec<(OwnedFd, NamespaceKind, u32), 8>;

/// What init gets from the parent besides its copy of the memory.
pub(super) struct Inheritance<'j> {
    /// The runtime's own arguments, which stay in memory to be seen in /proc.
    pub(super) args: Args,
    /// Everything decided.
    pub(super) plan: &'static Plan,
    /// The conversation with the parent.
    pub(super) wire: Wire,
    /// Namespaces to join, in order.
    pub(super) joins: &'j mut Joins,
    /// The socket that `start` connects to; without it the parent itself says when.
    pub(super) start: Option<OwnedFd>,
    /// Where the terminal's master goes instead of to the parent.
    pub(super) console: Option<OwnedFd>,
    /// The caller has no right to trace what hides from it: see [`protect::show_for_good`].
    pub(super) shown: bool,
    /// Descriptors from 3 on that the program keeps.
    pub(super) preserve: u32,
    /// Born in the container's cgroup.
    pub(super) in_cgroup: bool,
    /// The procfs for a process that could only have the container's.
    pub(super) procfs: Option<Proc>,
    /// What the program says to its supervisor comes here, once there is such a socket.
    pub(super) notify: Option<OwnedFd>,
}

/// Runs to the end of the process.
pub(super) fn main(inherited: Inheritance<'_>) -> ! {
    run(inherited, build)
}

/// Becomes the program when `build` has made everything ready for it.
pub(super) fn run(
    mut inherited: Inheritance<'_>,
    build: fn(&mut Inheritance<'_>) -> Result<Built, Fault>,
) -> ! {
    let built = build(&mut inherited).and_then(|built| {
        if inherited.shown {
            protect::show_for_good()?;
        }
        Ok(built)
    });
    let (found, path, sets) = match built {
        Ok(built) => built,
        Err(fault) => last::tell(&inherited.wire, fault),
    };
    let Inheritance {
        args,
        plan,
        wire,
        start,
        preserve,
        notify,
        ..
    } = inherited;
    let process = &plan.process;
    let count = |words: Words| u32::try_from(words.count).unwrap_or(0);
    let keep = [
        plan.arena.from(process.args.first),
        found,
        plan.filter.program.bytes(),
    ];
    let numbers = Numbers {
        preserve,
        at: process.args.first.at,
        args: count(process.args),
        env: process.env.first.at.saturating_sub(process.args.first.at),
        count: count(process.env),
        path,
        filter: plan.filter.load,
        tight: FULL
            && plan
                .cgroup
                .limits
                .memory(&plan.arena)
                .is_some_and(|it| it.1),
        sets,
        hooks: last::hooks(plan),
        notify: notify.map(OwnedFd::keep),
    };
    // From here on the container exists; nobody but `start` (or the parent of `run`) is waited for.
    match start {
        None => last::last(&wire, keep, numbers),
        Some(socket) => {
            drop(wire);
            idle::accept(
                socket,
                args,
                keep,
                numbers,
                |connection, keep, numbers| match connection {
                    Ok(starter) => last::last(&Wire(starter), keep, numbers),
                    Err(_) => proc::exit(1),
                },
            )
        }
    }
}

/// What execve needs that only the container could tell: more entries of env, and behind them the path of the program,
/// and where that begins; and the capabilities to drop to.
pub(super) type Built = (&'static [u8], usize, Option<LateSets>);

/// Everything up to the word `Committed`.
fn build(i: &mut Inheritance<'_>) -> Result<Built, Fault> {
    let plan = i.plan;
    only_ours(i)?;
    session(plan)?;
    own_network(plan)?;
    // Until here beside the parent, which makes the cgroups meanwhile.
    i.wire.expect(Msg::Enter, &mut |_| ())?;
    if !plan.namespaces.own(NamespaceKind::User) {
        cgroup::enter(&plan.cgroup, i.in_cgroup, b"0")?;
    }
    namespaces(i)?;
    names(plan)?;
    if !plan.net_devices.is_empty() {
        i.wire.send(Msg::Network, None)?;
        i.wire.expect(Msg::Moved, &mut |_| ())?;
    }
    let procfs = Proc::open()?;
    filesystem(i, &procfs)?;
    let built = person(plan, procfs)?;
    // Before anybody can know that there is a container to be signalled.
    sig::end_when_asked();
    i.wire.send(Msg::Ready, None)?;
    i.wire.expect(Msg::Committed, &mut |_| ())?;
    Ok(built)
}

/// In the root of the container: becomes the user of the process, with all its attributes, and finds the program.
pub(super) fn person(plan: &Plan, procfs: Proc) -> Result<Built, Fault> {
    attributes::privileged(plan, &procfs)?;
    label::of_program(plan, &procfs)?;
    let never = Fault::rule(Step::Exec, Rule::Never, At::Nothing);
    let found = lookup::FOUND.take().ok_or(never)?;
    lookup::entries(plan, found);
    let sets = attributes::identity(plan, &procfs)?;
    let path = lookup::program(plan, found)?;
    drop(procfs);
    Ok((found, path, sets))
}

/// Lets go of what the parent has open: the state directory with its lock, its end of the wire, whatever leaked to it.
pub(super) fn only_ours(i: &Inheritance<'_>) -> Result<(), Fault> {
    let mut kept = Kept::default();
    for (fd, ..) in &*i.joins {
        kept.add(fd.as_fd());
    }
    for fd in i.start.iter().chain(&i.console).chain([&i.wire.0]) {
        kept.add(fd.as_fd());
    }
    fdset::close_all_but(3 + i.preserve, &kept, Left::Anything)
}

/// A session and a keyring of its own, and nothing of the caller's signal mask.
pub(super) fn session(plan: &Plan) -> Result<(), Fault> {
    sig::set_mask(0).step(Step::SetSignals)?;
    // The caller's terminal is no longer ours: TIOCSTI cannot reach it (CVE-2017-5226).
    rustix::process::setsid().step(Step::SetSession)?;
    let Some(name) = plan.keyring else {
        return Ok(());
    };
    label::of_keys(plan)?;
    let at = At::Arena(name.at);
    match key::join_session(plan.arena.cstr(name)) {
        // Search for the user, so that a process that changes its uid still finds its keys.
        Ok(serial) => key::permissions(serial)
            .and_then(|permissions| key::set_permissions(serial, permissions | 0x0008_0000))
            .step_at(Step::JoinKeyring, at),
        // A kernel without CONFIG_KEYS has nothing to isolate.
        Err(Errno::NOSYS) => Ok(()),
        Err(errno) => Err(errno).step_at(Step::JoinKeyring, at),
    }
}

fn own_network(plan: &Plan) -> Result<(), Fault> {
    if !plan.namespaces.new.has(NamespaceKind::Network) {
        return Ok(());
    }
    if super::network_later(plan) {
        ns::unshare(ns::flag::NET).step(Step::MakeNamespaces)?;
    }
    net::loopback_up().step(Step::RaiseLoopback)
}

/// Joins, mount last; then the cgroup namespace, whose root is the cgroup we are in by now. Those that only take effect
/// on children have been joined by the process in the middle.
fn namespaces(i: &mut Inheritance<'_>) -> Result<(), Fault> {
    // With a user namespace the process in the middle has joined all of them.
    let all = i.plan.namespaces.own(NamespaceKind::User);
    for (fd, kind, at) in i.joins.iter() {
        if !all && !super::for_children(*kind) {
            ns::setns(fd.as_fd(), super::flag(*kind))
                .step_at(Step::JoinNamespace, At::Byte(*at))?;
        }
    }
    i.joins.clear();
    if i.plan.namespaces.new.has(NamespaceKind::Cgroup) {
        ns::unshare(ns::flag::CGROUP).step(Step::MakeNamespaces)?;
    }
    Ok(())
}

fn names(plan: &Plan) -> Result<(), Fault> {
    let at = |name: Str| At::Arena(name.at);
    if let Some(name) = plan.hostname {
        rustix::system::sethostname(plan.arena.bytes(name)).step_at(Step::SetHostname, at(name))?;
    }
    if let Some(name) = plan.domainname {
        rustix::system::setdomainname(plan.arena.bytes(name))
            .step_at(Step::SetDomainname, at(name))?;
    }
    Ok(())
}

/// The root file system with all its mounts; afterwards "/" is the container's.
#[inline(never)] // the frame of main is the one that stays
fn filesystem(i: &mut Inheritance<'_>, procfs: &Proc) -> Result<(), Fault> {
    let plan = i.plan;
    let before = plan.root.before as usize;
    let (early, late) = plan
        .ops
        .split_at_checked(before)
        .unwrap_or((&plan.ops, &[]));
    let mut root = rootfs::enter(&plan.root, &plan.arena, procfs)?;
    root.run(early, 0, &plan.arena, &|op| source::ask(plan, &i.wire, op))?;
    create_hooks(i)?;
    root.pivot(&plan.root)?;
    root.streams();
    terminal(i, procfs, &mut root)?;
    if FULL && plan.notify {
        i.notify = Some(notify::listen(root.root())?);
    }
    // Before paths become read-only: where no procfs of our own can be had, the container's is written to.
    sysctls(plan)?;
    let none = |_| source::closed();
    root.run(late, plan.root.before, &plan.arena, &none)
}

/// The hooks that run when the mounts are made: first those of the runtime, then those in the container's namespaces,
/// for which a path still means what it means on the host.
fn create_hooks(i: &Inheritance<'_>) -> Result<(), Fault> {
    let hooks = i.plan.hooks.in_create();
    if hooks || i.plan.root.asks {
        i.wire.send(Msg::Mounted, None)?;
    }
    if hooks {
        i.wire.expect(Msg::Proceed, &mut |_| ())?;
    }
    let hooks = Hooks::of(i.plan, Moment::CreateContainer, own_pid());
    if hooks.list.is_empty() {
        return Ok(());
    }
    i.wire.send(Msg::Patience, None)?;
    // The one of the mounts gives every right.
    let mask = rustix::process::umask(Mode::from_raw_mode(0o022));
    let ran = hooks.run();
    rustix::process::umask(mask);
    ran
}

/// The terminal, from the container's own devpts; its master goes out, its slave is stdio and /dev/console.
fn terminal(
    i: &mut Inheritance<'_>,
    procfs: &Proc,
    root: &mut rootfs::Rootfs<'_>,
) -> Result<(), Fault> {
    if !FULL || !i.plan.process.terminal {
        return Ok(());
    }
    let slave = open_terminal(i, procfs, &root.root())?;
    root.console(slave.as_fd())?;
    tty::attach(slave)
}

/// Opens a terminal of the container, sends off its master, and gives its slave.
pub(super) fn open_terminal(
    i: &mut Inheritance<'_>,
    procfs: &Proc,
    root: &Root<'_>,
) -> Result<OwnedFd, Fault> {
    let process = &i.plan.process;
    let size = process.console_size.map(|size| (size.height, size.width));
    let terminal = tty::open(root, procfs, size, process.uid)?;
    match i.console.take() {
        Some(socket) => tty::hand_over(socket.as_fd(), terminal.master.as_fd())?,
        None => i.wire.send(Msg::Terminal, Some(terminal.master.as_fd()))?,
    }
    Ok(terminal.slave)
}

/// Through an instance of procfs that has /proc/sys and that nobody else can mount on.
fn sysctls(plan: &Plan) -> Result<(), Fault> {
    if plan.sysctls.is_empty() {
        return Ok(());
    }
    let procfs = Proc::full()?;
    for (path, value) in &plan.sysctls {
        procfs
            .write(plan.arena.cstr(*path), plan.arena.bytes(*value))
            .step_at(Step::SetSysctl, At::Arena(path.at))?;
    }
    Ok(())
}
