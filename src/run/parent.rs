//! The runtime's own side of a start: everything that is not the container, and taking it back when it goes wrong.
#![forbid(unsafe_code)]

use core::ffi::CStr;

use super::birth::{Birth, BringUp, Up};
use super::caller::{Caller, Init};
use super::hook::{self, Hooks};
use super::init::{self, Inheritance};
use super::wire::{Msg, Wire};
use super::{
    Purpose, confine, device, listener, middle, notify, pin, source, start, supervise, users,
};
use crate::error::{At, Cause, Context, Errno, Fault, Rule, Step};
use crate::fs;
use crate::plan::Plan;
use crate::plan::hooks::Moment;
use crate::plan::route::{Mappings, NamespaceKind, Route};
use crate::state::{self, Dir, Exit, Root};
use crate::sys::args::Args;
use crate::sys::memory::TakeOnce;
use crate::sys::proc::{self, Ended, Fork};
use crate::sys::sig::KILL;
use crate::sys::{AsFd, OwnedFd, pidfd, sock};
use crate::text::Digits;
use crate::tty;
use crate::{cgroup, rdt};

/// What is to be done.
pub struct Order {
    /// The runtime's own arguments and environment.
    pub args: Args,
    /// The name of the container.
    pub id: &'static CStr,
    /// What becomes of it.
    pub purpose: Purpose,
    /// Descriptors from 3 on that the program keeps.
    pub preserve_fds: u32,
    /// Everything decided.
    pub plan: &'static Plan,
    /// config.json.
    pub document: &'static [u8],
    /// `--seccomp-default`.
    pub builtin_filter: bool,
    /// The JSON object, as it stands in the document.
    pub annotations: &'static [u8],
    /// Who else is to be told.
    pub caller: Caller,
}

/// What there is of the cgroups, for taking it back.
static CGROUPS: TakeOnce<cgroup::Record> = TakeOnce::new(cgroup::Record::new());

/// Makes the container by `bring_up`, and does with it what the order says. The exit code is the result.
///
/// # Errors
///
/// A fault; the host is as it was before. Warnings go to `warn`.
pub fn make(
    root: &Root,
    order: &mut Order,
    bring_up: BringUp<'_>,
    warn: &mut dyn FnMut(Fault),
) -> Result<i32, Fault> {
    let never = Fault::rule(Step::MakePlan, Rule::Never, At::Nothing);
    let cgroups = CGROUPS.take().ok_or(never)?;
    cgroups.bus = cgroup::bus(order.args);
    // What depends on the caller's files and descriptors comes first: it is the most likely to be wrong.
    let detach = !matches!(order.purpose, Purpose::Foreground { .. });
    let terminal = order.caller.terminal(order.plan, detach)?;
    let mut joins = pin::namespaces(order.plan)?;
    // For the signals of the whole life: none may get lost between clone and the supervisor.
    let signals = match order.purpose {
        Purpose::Foreground { reaper, .. } => Some(supervise::Signals::block(reaper)?),
        _ => None,
    };
    // Locked from here on.
    let dir = root.reserve(order.id)?;
    let mut init = None;
    let made = bring_up(&mut Birth {
        order,
        terminal,
        dir: &dir,
        joins: &mut joins,
        cgroups,
        init: &mut init,
        warn,
        boot: [0; 36],
        config: 0,
    });
    let small = small_memory(order.plan);
    let ended = match (made, init, signals) {
        (Ok(up), Some(init), Some(signals)) => {
            dir.unlock();
            until_end(order.plan, &init, signals, up)
        }
        (Ok((_, Some(relay))), Some(init), None) => {
            dir.unlock();
            return relay
                .until_ready(init.fd.as_ref().map(AsFd::as_fd))
                .map(|()| 0);
        }
        (Ok(_), ..) => return Ok(0),
        (Err(fault), init, _) => {
            let fault = kill(init, fault);
            // What the kernel kills or refuses for want of memory goes without a word of why.
            let starved = fault.errno() == Some(Errno::NOMEM) || cgroup::oom_kills(cgroups) > 0;
            Err(match small {
                Some((small, _)) if starved => small,
                _ => fault,
            })
        }
    };
    // Killed in the middle of execve, or soon after it: the exit status alone would not tell why.
    if let (Ok(Ended::Killed(signal)), Some((small, true))) = (&ended, small)
        && u32::from(*signal) == KILL
        && cgroup::oom_kills(cgroups) > 0
    {
        warn(small);
    }
    if matches!(order.purpose, Purpose::Foreground { keep: true, .. })
        && let Ok(ended) = ended
    {
        return keep_exit(&dir, ended).map(|()| ended.code());
    }
    let removed = take_back(order.plan, dir, cgroups, warn);
    ended.and_then(|ended| removed.map(|()| ended.code()))
}

/// The fault of a limit of memory, where there is one, and whether it is too small for most programs.
fn small_memory(plan: &Plan) -> Option<(Fault, bool)> {
    let (file, small) = plan.cgroup.limits.memory(&plan.arena)?;
    let at = At::Arena(file.at);
    Some((Fault::rule(Step::SetLimit, Rule::LittleMemory, at), small))
}

/// The rest of a life in the foreground.
fn until_end(
    plan: &Plan,
    init: &Init,
    signals: supervise::Signals,
    (master, relay): Up,
) -> Result<Ended, Fault> {
    let watch = supervise::Watch::new(signals, relay)?;
    let asked = plan.cgroup.unit.kind != cgroup::Unit::None;
    confine::confine(plan.hooks.list(Moment::Poststop).is_empty() && !asked)?;
    supervise::until_end(init, &watch, master, plan)
}

/// Leaves nothing of the container, in the order of `delete`.
fn take_back(
    plan: &Plan,
    dir: Dir<'_>,
    cgroups: &mut cgroup::Record,
    warn: &mut dyn FnMut(Fault),
) -> Result<(), Fault> {
    if !lock(&dir)? {
        return Ok(());
    }
    cgroup::remove(cgroups)?;
    rdt::remove(&dir)?;
    dir.discard()?;
    hook::poststop(&Hooks::of(plan, Moment::Poststop, 0), warn);
    Ok(())
}

/// For `wait`: we are the parent, and nobody else is told.
fn keep_exit(dir: &Dir<'_>, ended: Ended) -> Result<(), Fault> {
    if !lock(dir)? {
        return Ok(());
    }
    dir.keep_exit(&Exit {
        boot: state::boot(&mut [0; 36])?,
        status: ended.to_status(),
    })
}

/// Locks the directory again; false where a `delete` was faster.
#[inline(never)] // two callers
fn lock(dir: &Dir<'_>) -> Result<bool, Fault> {
    match dir.lock() {
        Err(fault) if fault.cause() == Cause::Rule(Rule::NoContainer) => Ok(false),
        locked => locked.map(|()| true),
    }
}

/// What init cannot do from inside: its network devices, and the hooks of the host.
fn serve(plan: &Plan, init: &Init, wire: &Wire, warn: &mut dyn FnMut(Fault)) -> Result<(), Fault> {
    if !plan.net_devices.is_empty() {
        wire.expect(Msg::Network, warn)?;
        device::hand_over(plan, init)?;
        wire.send(Msg::Moved, None)?;
    }
    if plan.hooks.in_create() || plan.root.asks {
        source::serve(plan, (init.number(), [Mappings::NONE; 2]), wire, warn)?;
    }
    if plan.hooks.in_create() {
        Hooks::of(plan, Moment::Prestart, init.number()).run()?;
        Hooks::of(plan, Moment::CreateRuntime, init.number()).run()?;
        wire.send(Msg::Proceed, None)?;
    }
    Ok(())
}

/// From nothing to a container that exists, and for `run` to one that runs.
///
/// # Errors
///
/// A fault; the first process may live, as `birth` tells.
pub fn bring_up(birth: &mut Birth<'_>) -> Result<Up, Fault> {
    let plan = birth.order.plan;
    let wire = born(birth)?;
    let Some(init) = birth.init.as_ref() else {
        return Err(Fault::rule(Step::Clone, Rule::Never, At::Nothing));
    };
    wire.send(Msg::Enter, None)?;
    serve(plan, init, &wire, birth.warn)?;
    let master = match birth.terminal {
        tty::Mode::Relay => wire.expect(Msg::Terminal, birth.warn)?,
        _ => None,
    };
    wire.expect(Msg::Ready, birth.warn)?;
    let pid = init.number();
    super::attributes::from_outside(plan, pid)?;
    let notice = listener::notice(plan, birth.order.annotations, "created", pid, pid)?;
    let (receiver, supervisor) = match birth.order.purpose {
        Purpose::Create => (None, None),
        _ => (
            listener::connect(notice)?,
            start::supervisor(birth.order.args)?,
        ),
    };
    // From here on the container exists for everybody.
    birth.commit(notice)?;
    wire.send(Msg::Committed, None)?;
    let mut relay = None;
    if birth.order.purpose != Purpose::Create {
        let handle = birth.init.as_ref().and_then(|init| init.fd.as_ref());
        let handle = handle.map(AsFd::as_fd);
        let from = start::go(&wire, handle, receiver.as_ref(), notice)?;
        relay = (from.zip(supervisor)).map(|(from, to)| notify::Relay { from, to, pid });
        Hooks::of(plan, Moment::Poststart, pid).run()?;
    }
    birth.write_pid()?;
    Ok((master, relay))
}

/// Clones init, and sees to it that it is in all its cgroups before it goes on.
fn born(birth: &mut Birth<'_>) -> Result<Wire, Fault> {
    // The v2 cgroup is there before the clone, so that init is born in it. Then init makes its network namespace while
    // we make its v1 cgroups.
    let born_in = birth.begin()?;
    let plan = birth.order.plan;
    let start = match birth.order.purpose {
        Purpose::Create => Some(listen(birth.dir)?),
        _ => None,
    };
    let (wire, theirs) = Wire::pair()?;
    let inherited = Inheritance {
        args: birth.order.args,
        plan,
        wire: theirs,
        joins: birth.joins,
        start,
        console: birth.order.caller.take_console(),
        shown: !rustix::process::geteuid().is_root(),
        preserve: birth.order.preserve_fds,
        in_cgroup: false,
        procfs: None,
        notify: None,
    };
    // Where users are mapped, it enters them while it has the rights of the host; a unit of systemd wants its number.
    let users = plan.namespaces.own(NamespaceKind::User);
    let unit = plan.cgroup.unit.kind;
    let early = users && unit == cgroup::Unit::None;
    if early {
        cgroup::finish(&plan.cgroup, &plan.arena, birth.cgroups, None, birth.warn)?;
    }
    let init = clone(plan, birth.dir, inherited, born_in.as_ref(), &wire)?;
    let pid = init.pid;
    let init = birth.init.insert(init);
    birth.order.caller.send_pidfd(init, b"standard")?;
    if !early {
        let pid = Some(pid);
        cgroup::finish(&plan.cgroup, &plan.arena, birth.cgroups, pid, birth.warn)?;
    }
    if users && !early {
        // Into the scope systemd has put it.
        let there = unit == cgroup::Unit::Scope;
        let number = Digits::new(init.number().into());
        cgroup::enter(&plan.cgroup, there, number.text())?;
    }
    cgroup::limit_processes(&plan.cgroup, &plan.arena, birth.warn)?;
    rdt::enter(&plan.rdt, &plan.arena, birth.dir, init.number())?;
    Ok(wire)
}

/// The start socket. Its path would be too long for a socket address, so it is bound from inside its directory.
fn listen(dir: &Dir<'_>) -> Result<OwnedFd, Fault> {
    fs::within(dir.fd(), || sock::listen(state::START_SOCKET)).step(Step::PrepareStart)
}

/// Clones init, or a middle process that clones it.
fn clone(
    plan: &'static Plan,
    dir: &Dir<'_>,
    mut inherited: Inheritance<'_>,
    cgroup: Option<&OwnedFd>,
    wire: &Wire,
) -> Result<Init, Fault> {
    let direct = plan.namespaces.route == Route::Direct;
    let flags = if direct { super::clone_flags(plan) } else { 0 };
    inherited.in_cgroup = cgroup.is_some();
    let args = inherited.args;
    let forked = match proc::fork(flags, cgroup.map(AsFd::as_fd), false) {
        // CLONE_INTO_CGROUP came with kernel 5.7; without it init goes there by itself.
        Err(errno) if inherited.in_cgroup && proc::is_not_born_there(errno) => {
            inherited.in_cgroup = false;
            proc::fork(flags, None, false)
        }
        other => other,
    };
    match forked.step(Step::Clone)? {
        Fork::Child => {
            dir.close_in_child();
            if direct {
                init::main(inherited)
            } else {
                middle::main(inherited)
            }
        }
        Fork::Parent(pid, fd) => {
            // Our copies of what it inherited; above all its end of the wire, whose closing tells of its end.
            drop(inherited);
            if direct {
                return Ok(Init { pid, fd });
            }
            if plan.namespaces.new.has(NamespaceKind::User) {
                users::serve(plan, args, pid, wire)?;
            }
            let pid = middle::await_init(wire, pid, fd.as_ref())?;
            Ok(Init::of(pid))
        }
    }
}

/// Ends a half-made container; nobody else knows of it. One that went without a word is asked how it ended.
pub(super) fn kill(init: Option<Init>, fault: Fault) -> Fault {
    let Some(init) = init else { return fault };
    let pid = init.number();
    let _ = match &init.fd {
        Some(fd) => pidfd::send_signal(fd, KILL),
        // Our child, not yet waited for: the number is still its own.
        None => pidfd::kill(pid, KILL),
    };
    let silent =
        matches!(fault.cause(), Cause::Protocol(_, 0)) || fault.errno() == Some(Errno::PIPE);
    match proc::wait(init.pid) {
        Ok(ended) if silent => Fault::new(Step::Talk, Cause::Ended(ended.to_status())),
        _ => fault,
    }
}
