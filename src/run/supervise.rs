//! The foreground: forwards every signal, reaps, relays the terminal, and gives the program's end as an exit code.
#![forbid(unsafe_code)]

use rustix::event::{PollFd, PollFlags};
use rustix::process::Pid;

use super::caller::Init;
use super::notify::Relay as Notify;
use crate::error::{Context, Errno, Fault, Step};
use crate::plan::Plan;
use crate::sys::proc::{self, Ended};
use crate::sys::{AsFd, OwnedFd, pidfd, sig};
use crate::tty::Relay;

const SIGPIPE: i32 = 13;
const SIGURG: i32 = 23;
const SIGWINCH: i32 = 28;

/// All signals, blocked and readable.
pub(super) struct Signals(OwnedFd);

impl Signals {
    /// From here on every signal waits to be forwarded. Orphans of the container come to us, unless that is not wanted.
    pub(super) fn block(reaper: bool) -> Result<Self, Fault> {
        sig::set_mask(u64::MAX).step(Step::Supervise)?;
        if reaper {
            rustix::process::set_child_subreaper(Some(rustix::process::getpid()))
                .step(Step::Supervise)?;
        }
        sig::descriptor(u64::MAX).step(Step::Supervise).map(Self)
    }
}

/// What is waited for beside the terminal.
pub(super) struct Watch {
    signals: Signals,
    notify: Option<Notify>,
    /// One descriptor for the two, if there are two.
    both: Option<OwnedFd>,
}

impl Watch {
    /// Before the runtime puts a filter on itself.
    pub(super) fn new(signals: Signals, notify: Option<Notify>) -> Result<Self, Fault> {
        let both = notify
            .as_ref()
            .map(|notify| notify.beside(signals.0.as_fd()));
        Ok(Self {
            both: both.transpose().step(Step::Supervise)?,
            signals,
            notify,
        })
    }
}

/// Waits for the end of init, and gives how it has ended. `master` is its terminal,
/// which gets the size of the caller's unless the plan has one.
pub(super) fn until_end(
    init: &Init,
    watch: &Watch,
    master: Option<OwnedFd>,
    plan: &Plan,
) -> Result<Ended, Fault> {
    let resize = plan.process.console_size.is_none();
    let mut relay = master
        .map(|master| Relay::start(master, resize))
        .transpose()?;
    let Watch {
        signals,
        notify,
        both,
    } = watch;
    let events = both.as_ref().unwrap_or(&signals.0);
    let own = proc::number(rustix::process::getpid());
    loop {
        // It may have ended before the first signal could be read.
        if let Some(ended) = reap(init.pid)? {
            if let Some(relay) = &mut relay {
                relay.finish();
            }
            // Its last words.
            let _ = notify.as_ref().map(Notify::pass);
            return Ok(ended);
        }
        match &mut relay {
            Some(relay) => relay.wait(events.as_fd()),
            None => wait(events),
        }
        .step(Step::Supervise)?;
        let _ = notify.as_ref().map(Notify::pass);
        while let Ok((signal, sender)) = sig::read(signals.0.as_fd()) {
            match (signal, &relay) {
                // Our own write of its output to a reader that has gone: nothing that it is to know.
                (SIGPIPE, _) if sender == own => {}
                (SIGWINCH, Some(relay)) => relay.resize(),
                _ => forward(init, signal),
            }
        }
    }
}

/// Until there is something to read.
fn wait(events: &OwnedFd) -> Result<(), Errno> {
    match rustix::event::poll(&mut [PollFd::new(events, PollFlags::IN)], None) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(errno) => Err(errno),
    }
}

/// Every signal is for the program, except those that are about us.
fn forward(init: &Init, signal: i32) {
    let Ok(number) = u32::try_from(signal) else {
        return;
    };
    match signal {
        sig::CHILD | SIGURG | SIGWINCH => {}
        _ => {
            // It may have ended in between; then there is nothing to tell it.
            let _ = match &init.fd {
                Some(fd) => pidfd::send_signal(fd, number),
                None => pidfd::kill(init.number(), number),
            };
        }
    }
}

/// Reaps all that have ended; init's end is what is waited for.
fn reap(init: Pid) -> Result<Option<Ended>, Fault> {
    loop {
        match proc::reap() {
            Ok(Some((pid, ended))) if pid == init => return Ok(Some(ended)),
            Ok(Some(_)) | Err(Errno::INTR) => {}
            Ok(None) => return Ok(None),
            Err(errno) => return Err(errno).step(Step::Supervise),
        }
    }
}
