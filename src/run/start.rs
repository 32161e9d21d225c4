//! `start`: gives the word to an init that waits, and hears whether execve worked.
#![forbid(unsafe_code)]

use core::ffi::CStr;

use super::hook::Hooks;
use super::listener;
use super::notify;
use super::wire::{Msg, PATIENCE, Wire};
use crate::error::{At, Cause, Context, Fault, Rule, Step};
use crate::limits::FULL;
use crate::plan::hooks::Moment;
use crate::state::{self, Root, Status};
use crate::sys::args::Args;
use crate::sys::{AsFd, BorrowedFd, OwnedFd, sock};

/// Starts a created container. `program` gets the name that a fault of execve is about.
///
/// # Errors
///
/// It does not exist, is not in the state `created`, or its program cannot be executed: it is stopped then.
pub fn start(
    args: Args,
    root: Option<&CStr>,
    id: &'static CStr,
    program: &mut &'static [u8],
) -> Result<(), Fault> {
    let root = Root::open(root, args, false)?;
    let dir = root.find(id)?;
    dir.lock()?;
    let never = Fault::rule(Step::Start, Rule::Never, At::Nothing);
    let buffer = state::buffer().ok_or(never)?;
    let record = dir.load(buffer)?;
    *program = record.program();
    let mut text = [0; 36];
    let boot = state::boot(&mut text)?;
    match dir.status(record, boot)? {
        Status::Created => {}
        Status::Stopped => return Err(Fault::rule(Step::Start, Rule::StartStopped, At::Nothing)),
        _ => return Err(Fault::rule(Step::Start, Rule::StartRunning, At::Nothing)),
    }
    // While nobody knows of the start: it can be tried again.
    let listener = record.listener();
    let receiver = listener::connect(listener)?;
    let supervisor = supervisor(args)?;
    let init = match (&receiver, &supervisor) {
        (None, None) => None,
        _ => record.find_init(boot)?,
    };
    // From inside the directory: the whole path would be too long for a socket address.
    rustix::process::fchdir(dir.fd()).step(Step::Start)?;
    let wire = Wire(sock::connect(state::START_SOCKET).step(Step::Start)?);
    sock::set_deadline(wire.0.as_fd(), Some(PATIENCE)).step(Step::Start)?;
    // Before the word: if we die here, init sees the end of the connection and ends, and nobody takes a container that
    // may run for one that waits.
    dir.started()?;
    let handle = init.as_ref().and_then(|init| init.handle());
    let from = go(&wire, handle, receiver.as_ref(), listener)?;
    Hooks::stored(record, id.to_bytes(), Moment::Poststart).run()?;
    match (from, supervisor) {
        (Some(from), Some(to)) => {
            dir.unlock();
            let pid = record.pid();
            notify::Relay { from, to, pid }.until_ready(handle)
        }
        _ => Ok(()),
    }
}

/// The supervisor that is to hear from the container: `$NOTIFY_SOCKET`.
pub(super) fn supervisor(args: Args) -> Result<Option<OwnedFd>, Fault> {
    if !FULL {
        return not_in_this_build(args).map(|()| None);
    }
    notify_socket(args).map(notify::connect).transpose()
}

fn notify_socket(args: Args) -> Option<&'static CStr> {
    args.env(b"NOTIFY_SOCKET").filter(|name| !name.is_empty())
}

/// A supervisor that waits for a word must not wait in vain.
#[inline(never)] // what comes after it knows that there is none
fn not_in_this_build(args: Args) -> Result<(), Fault> {
    let (step, rule) = (Step::ConnectNotify, Rule::NotInThisBuild);
    notify_socket(args).map_or(Ok(()), |_| Err(Fault::rule(step, rule, At::Nothing)))
}

/// Gives the word, hands over the listener of a filter that has one, and hears of the end of init's part. Gives the
/// socket for sd_notify, if the container has one.
pub(super) fn go(
    wire: &Wire,
    init: Option<BorrowedFd<'_>>,
    receiver: Option<&OwnedFd>,
    notice: &[u8],
) -> Result<Option<OwnedFd>, Fault> {
    wire.send(Msg::Start, None)?;
    let (mut word, fd) = wire.receive()?;
    let notify = fd.filter(|_| word == Msg::Notify);
    if word == Msg::Notify {
        word = wire.receive()?.0;
    }
    if let Some(receiver) = receiver {
        listener::hand_over(wire, word, init, receiver, notice)?;
        word = wire.receive()?.0;
    }
    match word {
        Msg::End => Ok(notify),
        Msg::Fault(fault) => Err(fault),
        other => Err(Fault::new(Step::Talk, Cause::Protocol(0, other.number()))),
    }
}
