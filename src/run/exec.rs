//! The runtime's own side of `exec`: a process that joins a container, until it executes its program, or until it ends.
//!
//! ```text
//!  exec.rs                      enter.rs: in the middle        the process
//!  (state: the init lives; config.json as it was, plan)
//!  socketpair, clone3 ────────▶ affinity, cgroups
//!                               setns, clone ────────────────▶
//!                               ── Born, ends
//!  v1: memory cgroup
//!        ── Enter ───────────────────────────────────────────▶ session, keyring, terminal
//!        ◀── Terminal ────────────────────────────────────────
//!                                                              priorities, rlimits, identity, lookup
//!        ◀── Ready ───────────────────────────────────────────
//!        ── Start ───────────────────────────────────────────▶ close_range, execve
//!        ◀── Fault at any point, or End: execve has closed the wire
//!  pid file; supervise.rs until the end
//! ```
#![forbid(unsafe_code)]

use super::caller::{Caller, Init};
use super::enter::{self, Target};
use super::init::{Inheritance, Joins};
use super::parent::kill;
use super::wire::{Msg, Wire};
use super::{attributes, confine, listener, middle, start, supervise};
use crate::error::{At, Context, Errno, Fault, Step};
use crate::plan::Plan;
use crate::state::Live;
use crate::sys::args::Args;
use crate::sys::proc::{self, Fork};
use crate::sys::{AsFd, OwnedFd, sock};
use crate::text::Digits;
use crate::{cgroup, rdt, tty};

/// What is to be done.
pub struct ExecOrder {
    /// The runtime's own arguments and environment.
    pub args: Args,
    /// Everything decided.
    pub plan: &'static Plan,
    /// The init of the container.
    pub init: Live,
    /// What the container is doing.
    pub status: &'static str,
    /// The JSON object, as it stands in the document.
    pub annotations: &'static [u8],
    /// Who else is to be told.
    pub caller: Caller,
    /// We leave when the program runs.
    pub detach: bool,
    /// Orphans come to us: not with `--no-subreaper`.
    pub reaper: bool,
    /// Descriptors from 3 on that the program keeps.
    pub preserve_fds: u32,
    /// The cgroup may be frozen: it takes as long as it takes.
    pub patient: bool,
    /// `--cgroup` is not given: where the container's cgroup takes no process, that of its init will do.
    pub beside_init: bool,
}

/// Runs the process, and waits for its end unless it is detached. The exit code is the result.
///
/// # Errors
///
/// A fault; nothing is left of the process.
pub fn exec(order: &mut ExecOrder) -> Result<i32, Fault> {
    let terminal = order.caller.terminal(order.plan, order.detach)?;
    let signals = if order.detach {
        None
    } else {
        Some(supervise::Signals::block(order.reaper)?)
    };
    let mut process = None;
    let master = match bring_up(order, terminal, &mut process) {
        Ok(master) => master,
        Err(fault) => {
            let fault = kill(process, fault);
            // Whatever came of it that the container has ended meanwhile.
            let lives = order.init.is_the_one()?;
            return Err(if lives { fault } else { enter::ended() });
        }
    };
    match (process, signals) {
        (Some(process), Some(signals)) => {
            let watch = supervise::Watch::new(signals, None)?;
            confine::confine(true)?;
            let ended = supervise::until_end(&process, &watch, master, order.plan)?;
            Ok(ended.code())
        }
        _ => Ok(0),
    }
}

/// From nothing to a process that has executed its program.
fn bring_up(
    order: &mut ExecOrder,
    terminal: tty::Mode,
    process: &mut Option<Init>,
) -> Result<Option<OwnedFd>, Fault> {
    let (wire, theirs) = Wire::pair()?;
    if order.patient {
        sock::set_deadline(wire.0.as_fd(), None).step(Step::Talk)?;
    }
    let middle = clone(order, theirs)?;
    let number = middle.pid;
    // Where it is stuck it is what is to be ended; by descriptor, since it may have been waited for.
    *process = Some(middle).filter(|middle| middle.fd.is_some());
    let handle = process.as_ref().and_then(|middle| middle.fd.as_ref());
    let init = Init::of(middle::await_init(&wire, number, handle)?);
    let init = process.insert(init);
    order.caller.send_pidfd(init, b"setns")?;
    if enter::charged_late(order.plan) {
        cgroup::charge(&order.plan.cgroup, Digits::new(init.number().into()).text())?;
    }
    let mut warn = |_| ();
    wire.send(Msg::Enter, None)?;
    let master = match terminal {
        tty::Mode::Relay => wire.expect(Msg::Terminal, &mut warn)?,
        _ => None,
    };
    wire.expect(Msg::Ready, &mut warn)?;
    let (pid, number) = (init.number(), order.init.pid());
    attributes::from_outside(order.plan, pid)?;
    rdt::join(&order.plan.rdt, &order.plan.arena, pid)?;
    let notice = listener::notice(order.plan, order.annotations, order.status, pid, number)?;
    let receiver = listener::connect(notice)?;
    let handle = init.fd.as_ref().map(AsFd::as_fd);
    start::go(&wire, handle, receiver.as_ref(), notice)?;
    order.caller.write_pid(init)?;
    Ok(master)
}

/// Clones the process in the middle, into the v2 cgroup where that can be.
fn clone(order: &mut ExecOrder, wire: Wire) -> Result<Init, Fault> {
    let plan = order.plan;
    let mut place = match cgroup::place(&plan.cgroup) {
        Err(fault) if fault.errno() == Some(Errno::NOENT) && order.beside_init => {
            Some(cgroup::place_of(&plan.cgroup, order.init.pid()).ok_or(fault)?)
        }
        place => place?,
    };
    // The affinity comes before the cgroup.
    let [first, _] = &plan.process.affinity;
    let mut born = place.is_some() && first.is_none();
    let forked = loop {
        let into = place.as_ref().filter(|_| born).map(AsFd::as_fd);
        match proc::fork(0, into, false) {
            // CLONE_INTO_CGROUP came with kernel 5.7; without it the process goes there by itself.
            Err(errno) if born && proc::is_not_born_there(errno) => born = false,
            Err(Errno::BUSY) if born && order.beside_init => {
                order.beside_init = false;
                place = cgroup::place_of(&plan.cgroup, order.init.pid()).or(place);
            }
            forked => break forked,
        }
    };
    match forked.step_at(Step::Clone, At::Nothing)? {
        Fork::Child => {
            let target = Target {
                init: &order.init,
                place,
                beside_init: order.beside_init,
            };
            let inherited = Inheritance {
                args: order.args,
                plan,
                wire,
                joins: &mut Joins::new(),
                start: None,
                console: order.caller.take_console(),
                shown: !rustix::process::geteuid().is_root(),
                preserve: order.preserve_fds,
                in_cgroup: born,
                procfs: None,
                notify: None,
            };
            enter::main(target, inherited)
        }
        Fork::Parent(pid, fd) => Ok(Init { pid, fd }),
    }
}
