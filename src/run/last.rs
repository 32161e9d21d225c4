//! The last steps of the container's first process, after it has given back all memory but what they need: the word to
//! start, hooks, the filter, execve.
#![forbid(unsafe_code)]

use core::convert::Infallible;

use super::attributes::LateSets;
use super::hook::Hooks;
use super::wire::{Msg, Wire};
use crate::error::{At, Cause, Context, Errno, Fault, Rule, Step};
use crate::fs::fdset::{self, Kept, Left};
use crate::hooks::SAID;
use crate::plan::Plan;
use crate::plan::hooks::Moment;
use crate::plan::seccomp::Load;
use crate::sys::proc::{self, MORE, Strings};
use crate::sys::{AsFd, AsRawFd, BorrowedFd, OwnedFd, seccomp};
use crate::text::c_text;

/// Where the words of the process end and hooks begin, relative to the first of them.
pub(super) fn hooks(plan: &Plan) -> [u32; 3] {
    let from = plan.process.args.first.at;
    let list = plan.hooks.list(Moment::StartContainer);
    [
        plan.hooks.about.at.saturating_sub(from),
        list.at.saturating_sub(from),
        list.len,
    ]
}

/// What the last steps need beside some memory.
#[derive(Clone, Copy)]
pub(super) struct Numbers {
    /// Descriptors from 3 on that the program keeps.
    pub(super) preserve: u32,
    /// Where the words begin in the arena, for faults.
    pub(super) at: u32,
    /// How many of them are arguments.
    pub(super) args: u32,
    /// Where env begins in the words.
    pub(super) env: u32,
    /// How many of its entries.
    pub(super) count: u32,
    /// Where the path of the program begins, behind more entries of env.
    pub(super) path: usize,
    /// How the filter is loaded.
    pub(super) filter: Load,
    /// The limit of memory is hardly enough.
    pub(super) tight: bool,
    /// Capabilities of the program, if more than those are still there.
    pub(super) sets: Option<LateSets>,
    /// Where the hooks begin in the words, with what they are told; the `startContainer` ones, and their length.
    pub(super) hooks: [u32; 3],
    /// The socket for sd_notify, for whoever gives the word.
    pub(super) notify: Option<BorrowedFd<'static>>,
}

/// The memory that the last steps need: words, what was found, and filter.
pub(super) type Keep = [&'static [u8]; 3];

/// Waits for the word and executes the program.
pub(super) fn last(starter: &Wire, keep: Keep, numbers: Numbers) -> ! {
    let fault = match starter.expect(Msg::Start, &mut |_| ()) {
        Ok(_) => match speak(starter, numbers.notify)
            .and_then(|()| start_container(keep, numbers, starter))
            .and_then(|()| execute(keep, numbers, starter))
        {
            Err(fault) => fault,
        },
        // A starter that goes away without the word has removed the socket already: no other one can come.
        Err(fault) => fault,
    };
    tell(starter, fault)
}

/// Gives away the socket for sd_notify.
fn speak(starter: &Wire, notify: Option<BorrowedFd<'_>>) -> Result<(), Fault> {
    match notify {
        Some(socket) => starter.send(Msg::Notify, Some(socket)),
        None => Ok(()),
    }
}

/// The last hooks, with all that the process has, but for the filter.
fn start_container([words, ..]: Keep, numbers: Numbers, starter: &Wire) -> Result<(), Fault> {
    let [about, at, length] = numbers.hooks;
    if length == 0 {
        return Ok(());
    }
    let from = |at: u32| words.get(at as usize..).unwrap_or_default();
    let list = from(at).get(..length as usize).unwrap_or_default();
    let hooks = Hooks::kept(from(about), list, Moment::StartContainer, own_pid());
    starter.send(Msg::Patience, None)?;
    let env = Strings::new(from(numbers.env), numbers.count as usize);
    hooks.run_inside(env, Left::Ours(3 + numbers.preserve))
}

/// The pid of this process as the container sees it.
pub(super) fn own_pid() -> u32 {
    proc::number(rustix::process::getpid())
}

/// The last word: what went wrong.
pub(super) fn tell(wire: &Wire, fault: Fault) -> ! {
    if let Some(said) = SAID.take()
        && !said.bytes().is_empty()
        && let Ok(pipe) = said.pipe()
    {
        let _ = wire.send(Msg::Said, Some(pipe.as_fd()));
    }
    let _ = wire.send(Msg::Fault(fault), None);
    proc::exit(1)
}

/// Closes everything that is not the program's, and becomes it. Comes back only with the reason why not.
fn execute(
    [words, found, filter]: Keep,
    numbers: Numbers,
    report: &Wire,
) -> Result<Infallible, Fault> {
    let preserve = 3 + numbers.preserve;
    // The report is a socket that execve closes: nothing can be executed or entered through it.
    let mut kept = Kept::default();
    kept.add(report.0.as_fd());
    fdset::close_all_but(preserve, &kept, Left::Ours(preserve))?;
    let at = At::Arena(numbers.at);
    let never = Fault::rule(Step::Exec, Rule::Never, at);
    let (more, path) = found.split_at_checked(numbers.path).ok_or(never)?;
    let path = c_text(path).ok_or(never)?;
    let more = Strings::new(more, MORE);
    let args = Strings::new(words, numbers.args as usize);
    let env = words.get(numbers.env as usize..).unwrap_or(&[]);
    let env = Strings::new(env, numbers.count as usize);
    if numbers.tight {
        // For a moment there are two address spaces; what mounts and page tables have left behind is in the way.
        proc::grace_period();
    }
    // It stays open until execve.
    let mut _listener = None;
    if !filter.is_empty() {
        _listener = load(filter, numbers.filter, report)?;
        // Without no_new_privs it took CAP_SYS_ADMIN to load it.
        if let Some(sets) = numbers.sets {
            sets.set()?;
        }
    }
    let errno = proc::execve(path, args, env, more);
    Err(Fault::placed(Step::Exec, Cause::Errno(errno), at))
}

/// From here on the filter decides what this process may do: what is left is capset, where no_new_privs is not set,
/// and execve; with a listener, read.
fn load(filter: &[u8], how: Load, report: &Wire) -> Result<Option<OwnedFd>, Fault> {
    let at = At::Byte(how.at);
    let listens = how.flags & seccomp::flag::NEW_LISTENER != 0;
    if listens {
        // Whoever takes the listener out of this process gets to know its number before a filter could mind: it is the
        // lowest that is free.
        let free = rustix::io::fcntl_dupfd_cloexec(&report.0, 0).step_at(Step::LoadFilter, at)?;
        let number = free.as_raw_fd().unsigned_abs();
        drop(free);
        report.send(Msg::Listener(number), None)?;
    }
    let loaded = match seccomp::load(filter, how.flags) {
        // Kernels below 4.17 do not know the flag that is there by default.
        Err(Errno::INVAL) if !how.flags_given => {
            seccomp::load(filter, how.flags & !seccomp::flag::SPEC_ALLOW)
        }
        loaded => loaded,
    };
    let listener = loaded.step_at(Step::LoadFilter, at)?;
    if listens && !report.goes_on() {
        // Nobody would answer the calls that wait for an answer.
        proc::exit(1);
    }
    Ok(listener)
}
