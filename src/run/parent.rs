//! The runtime's own side of a start: everything that is not the container, and taking it back when it goes wrong.
#![forbid(unsafe_code)]

use core::ffi::CStr;

use super::caller::{Caller, Init};
use super::hook::{self, Hooks};
use super::init::{self, Inheritance, Joins};
use super::wire::{Msg, Wire};
use super::{
    Purpose, confine, device, listener, middle, notify, pin, source, start, supervise, users,
};
use crate::error::{At, Cause, Context, Errno, Fault, Rule, Step};
use crate::fs;
use crate::limits::{Limit, STATE_BYTES};
use crate::plan::Plan;
use crate::plan::arena::Str;
use crate::plan::hooks::Moment;
use crate::plan::route::{NamespaceKind, Route};
use crate::state::{self, Dir, Exit, Identity, Record, Root};
use crate::sys::args::Args;
use crate::sys::memory::TakeOnce;
use crate::sys::proc::{self, Ended, Fork};
use crate::sys::{AsFd, OwnedFd, pidfd, sock, time};
use crate::text::Digits;
use crate::tty;
use crate::{cgroup, rdt};

/// What is to be done.
pub struct Order {
    /// The runtime's own arguments and environment.
    pub args: Args,
    /// `--root`.
    pub state_root: Option<&'static CStr>,
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

/// Room for the text of it.
static TEXT: TakeOnce<[u8; STATE_BYTES]> = TakeOnce::new([0; STATE_BYTES]);

/// Makes the container, and does with it what the order says. The exit code is the result.
///
/// # Errors
///
/// A fault; the host is as it was before. Warnings go to `warn`.
pub fn make(order: &mut Order, warn: &mut dyn FnMut(Fault)) -> Result<i32, Fault> {
    let never = Fault::rule(Step::MakePlan, Rule::Never, At::Nothing);
    let cgroups = CGROUPS.take().ok_or(never)?;
    cgroups.bus = cgroup::bus(order.args);
    // What depends on the caller's files and descriptors comes first: it is the most likely to be wrong.
    let detach = !matches!(order.purpose, Purpose::Foreground { .. });
    let terminal = order.caller.terminal(order.plan, detach)?;
    let root = Root::open(order.state_root, order.args, true)?;
    let mut joins = pin::namespaces(order.plan)?;
    // For the signals of the whole life: none may get lost between clone and the supervisor.
    let signals = match order.purpose {
        Purpose::Foreground { reaper, .. } => Some(supervise::Signals::block(reaper)?),
        _ => None,
    };
    // Locked from here on.
    let dir = root.reserve(order.id)?;
    let mut init = None;
    let made = bring_up(order, terminal, &dir, &mut joins, cgroups, &mut init, warn);
    let limit = order.plan.cgroup.limits.memory(&order.plan.arena);
    let little = |file: Str| Fault::rule(Step::SetLimit, Rule::LittleMemory, At::Arena(file.at));
    let ended = match (made, init, signals) {
        (Ok((master, relay)), Some(init), Some(signals)) => {
            dir.unlock();
            let hooks = &order.plan.hooks;
            supervise::Watch::new(signals, relay).and_then(|watch| {
                confine::confine(hooks.list(Moment::Poststop).is_empty())?;
                supervise::until_end(&init, &watch, master, order.plan)
            })
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
            Err(match limit {
                Some((file, _)) if starved => little(file),
                _ => fault,
            })
        }
    };
    // Killed in the middle of execve, or soon after it: the exit status alone would not tell why.
    if let (Ok(Ended::Killed(9)), Some((file, true))) = (&ended, limit)
        && cgroup::oom_kills(cgroups) > 0
    {
        warn(little(file));
    }
    if matches!(order.purpose, Purpose::Foreground { keep: true, .. })
        && let Ok(ended) = ended
    {
        return keep_exit(&dir, ended).map(|()| ended.code());
    }
    let removed = match dir.lock() {
        // A `delete` was faster.
        Err(fault) if fault.cause() == Cause::Rule(Rule::NoContainer) => Ok(()),
        Err(fault) => Err(fault),
        Ok(()) => cgroup::remove(cgroups)
            .and_then(|()| rdt::remove(&dir))
            .and_then(|()| dir.discard())
            .map(|()| hook::poststop(&Hooks::of(order.plan, Moment::Poststop, 0), warn)),
    };
    ended.and_then(|ended| removed.map(|()| ended.code()))
}

/// For `wait`: we are the parent, and nobody else is told.
fn keep_exit(dir: &Dir<'_>, ended: Ended) -> Result<(), Fault> {
    match dir.lock() {
        // A `delete` was faster.
        Err(fault) if fault.cause() == Cause::Rule(Rule::NoContainer) => return Ok(()),
        locked => locked?,
    }
    dir.keep_exit(&Exit {
        boot: state::boot(&mut [0; 36])?,
        status: ended.to_status(),
    })
}

/// What init cannot do from inside: its network devices, and the hooks of the host.
fn serve(plan: &Plan, init: &Init, wire: &Wire, warn: &mut dyn FnMut(Fault)) -> Result<(), Fault> {
    if !plan.net_devices.is_empty() {
        wire.expect(Msg::Network, warn)?;
        device::hand_over(plan, init)?;
        wire.send(Msg::Moved, None)?;
    }
    if plan.hooks.in_create() || plan.root.asks {
        source::serve(plan, init, wire, warn)?;
    }
    if plan.hooks.in_create() {
        Hooks::of(plan, Moment::Prestart, init.number()).run()?;
        Hooks::of(plan, Moment::CreateRuntime, init.number()).run()?;
        wire.send(Msg::Proceed, None)?;
    }
    Ok(())
}

/// From nothing to a container that exists, and for `run` to one that runs.
fn bring_up(
    order: &mut Order,
    terminal: tty::Mode,
    dir: &Dir<'_>,
    joins: &mut Joins,
    cgroups: &mut cgroup::Record,
    init: &mut Option<Init>,
    warn: &mut dyn FnMut(Fault),
) -> Result<(Option<OwnedFd>, Option<notify::Relay>), Fault> {
    let plan = order.plan;
    let mut text = [0; 36];
    let boot = state::boot(&mut text)?;
    let nobody = Identity {
        boot,
        pid: 0,
        start: 0,
        inode: 0,
    };
    let config = dir.keep_config(order.document)?;
    let born = (nobody, 0, config);
    let mut intend = |cgroups: &cgroup::Record| write(order, dir, cgroups, born, &[]);
    let start = match order.purpose {
        Purpose::Create => Some(listen(dir)?),
        _ => None,
    };
    // The v2 cgroup is there before the clone, so that init is born in it. Then init makes its
    // network namespace while we make its v1 cgroups.
    let born_in = cgroup::begin(&plan.cgroup, &plan.arena, cgroups, &mut intend, warn)?;
    let (wire, theirs) = Wire::pair()?;
    let inherited = Inheritance {
        args: order.args,
        plan,
        wire: theirs,
        joins,
        start,
        console: order.caller.take_console(),
        preserve: order.preserve_fds,
        in_cgroup: false,
        procfs: None,
        notify: None,
    };
    // Where users are mapped, it enters them while it has the rights of the host; a unit of systemd wants its number.
    let early =
        plan.namespaces.own(NamespaceKind::User) && plan.cgroup.unit.kind == cgroup::Unit::None;
    if early {
        cgroup::finish(&plan.cgroup, &plan.arena, cgroups, None, warn)?;
    }
    let born = clone(plan, dir, inherited, born_in.as_ref(), &wire)?;
    let pid = born.pid;
    order.caller.send_pidfd(init.insert(born), b"standard")?;
    if !early {
        cgroup::finish(&plan.cgroup, &plan.arena, cgroups, Some(pid), warn)?;
    }
    if let Some(init) = init {
        let unit = plan.cgroup.unit.kind;
        if plan.namespaces.own(NamespaceKind::User) && unit != cgroup::Unit::None {
            // Into the scope systemd has put it.
            let there = unit == cgroup::Unit::Scope;
            let number = Digits::new(init.number().into());
            cgroup::enter(&plan.cgroup, there, number.text())?;
        }
        rdt::enter(&plan.rdt, &plan.arena, dir, init.number())?;
        wire.send(Msg::Enter, None)?;
        serve(plan, init, &wire, warn)?;
    }
    let master = match terminal {
        tty::Mode::Relay => wire.expect(Msg::Terminal, warn)?,
        _ => None,
    };
    wire.expect(Msg::Ready, warn)?;
    let Some(init) = init.as_ref() else {
        return Ok((None, None));
    };
    let pid = init.number();
    super::attributes::from_outside(plan, pid)?;
    let notice = listener::notice(plan, order.annotations, "created", pid, pid)?;
    let (receiver, supervisor) = match order.purpose {
        Purpose::Create => (None, None),
        _ => (listener::connect(notice)?, start::supervisor(order.args)?),
    };
    let identity = Identity::of(boot, init.number(), init.fd.as_ref().map(AsFd::as_fd));
    // From here on the container exists for everybody.
    let born = (identity, time::wall(), config);
    write(order, dir, cgroups, born, notice)?;
    wire.send(Msg::Committed, None)?;
    let mut relay = None;
    if order.purpose != Purpose::Create {
        let handle = init.fd.as_ref().map(AsFd::as_fd);
        let from = start::go(&wire, handle, receiver.as_ref(), notice)?;
        relay = (from.zip(supervisor)).map(|(from, to)| notify::Relay { from, to, pid });
        Hooks::of(plan, Moment::Poststart, init.number()).run()?;
    }
    order.caller.write_pid(init)?;
    Ok((master, relay))
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
        Err(Errno::NOSYS | Errno::INVAL | Errno::TOOBIG | Errno::PERM) if inherited.in_cgroup => {
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
            let pid = middle::await_init(wire, pid)?;
            Ok(Init::of(pid))
        }
    }
}

/// Writes down the container: its intent while it has no init, and then its state.
fn write(
    order: &Order,
    dir: &Dir<'_>,
    cgroups: &cgroup::Record,
    (init, created, config): (Identity<'_>, u64, u32),
    listener: &[u8],
) -> Result<(), Fault> {
    let plan = order.plan;
    with_text(cgroups, |cgroup| {
        let record = Record {
            init,
            created,
            own_pid_namespace: plan.namespaces.own(NamespaceKind::Pid),
            own_keyring: plan.keyring.is_some(),
            builtin_filter: order.builtin_filter,
            config,
            bundle: plan.arena.bytes(plan.bundle),
            rootfs: plan.arena.bytes(plan.rootfs),
            program: plan.arena.bytes(plan.process.args.first),
            annotations: order.annotations,
            listener,
            poststart: plan.hooks.text(Moment::Poststart, &plan.arena),
            poststop: plan.hooks.text(Moment::Poststop, &plan.arena),
            cgroup,
        };
        match init.pid {
            0 => dir.intent(&record),
            _ => dir.commit(&record),
        }
    })
}

/// A cgroup record as the text that the state files hold.
fn with_text(
    record: &cgroup::Record,
    write: impl FnOnce(&[u8]) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let Some(buffer) = TEXT.take() else {
        return Err(Fault::rule(Step::WriteState, Rule::Never, At::Nothing));
    };
    let written = match record.encode(buffer) {
        Some(text) => write(text),
        None => Err(Fault::limit(
            Step::WriteState,
            Limit::STATE_BYTES,
            At::Nothing,
        )),
    };
    TEXT.put_back(buffer);
    written
}

/// Ends a half-made container; nobody else knows of it. One that went without a word is asked how it ended.
pub(super) fn kill(init: Option<Init>, fault: Fault) -> Fault {
    let Some(init) = init else { return fault };
    let pid = init.number();
    let _ = match &init.fd {
        Some(fd) => pidfd::send_signal(fd, 9),
        // Our child, not yet waited for: the number is still its own.
        None => pidfd::kill(pid, 9),
    };
    let silent =
        matches!(fault.cause(), Cause::Protocol(_, 0)) || fault.errno() == Some(Errno::PIPE);
    match proc::wait(init.pid) {
        Ok(ended) if silent => Fault::new(Step::Talk, Cause::Ended(ended.to_status())),
        _ => fault,
    }
}
