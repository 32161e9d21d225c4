//! The listener of a filter: out of init, and over a socket to whoever answers for the calls that the filter notifies
//! of. All of it is done by a process that the filter is not for.
//!
//! A notice is the path of the socket, NUL, and the JSON text that goes over it; it is kept with the state.
#![forbid(unsafe_code)]

use super::wire::{Msg, Wire};
use crate::error::{At, Cause, Context, Errno, Fault, Step};
use crate::limits::{FULL, Limit, STATE_BYTES};
use crate::plan::Plan;
use crate::say::Line;
use crate::sys::memory::TakeOnce;
use crate::sys::{AsFd, BorrowedFd, OwnedFd, pidfd, sock};
use crate::text::{c_text, cut};
use crate::tty;

/// Room for a notice.
static TEXT: TakeOnce<[u8; STATE_BYTES]> = TakeOnce::new([0; STATE_BYTES]);

/// Makes the notice about a process and its container with its init, or nothing if its filter does not notify: the
/// "container process state" of the specification.
pub(super) fn notice(
    plan: &Plan,
    annotations: &[u8],
    status: &str,
    pid: u32,
    init: u32,
) -> Result<&'static [u8], Fault> {
    let Some(listener) = plan.filter.listener.filter(|_| FULL) else {
        return Ok(&[]);
    };
    let mut line = Line::new(TEXT.take().map_or(&mut [], |text| text));
    line.raw(plan.arena.bytes(listener.path));
    line.text("\0{\"ociVersion\":\"1.3.0\",\"fds\":[\"seccompFd\"],\"pid\":");
    line.number(u64::from(pid));
    line.text(",\"metadata\":\"");
    line.raw(plan.arena.bytes(listener.metadata));
    line.text("\",\"state\":{\"ociVersion\":\"1.3.0\",\"id\":\"");
    line.escaped(plan.arena.bytes(plan.id));
    line.text("\",\"status\":\"");
    line.text(status);
    line.text("\",\"pid\":");
    line.number(u64::from(init));
    line.text(",\"bundle\":\"");
    line.escaped(plan.arena.bytes(plan.bundle));
    line.text("\"");
    if !annotations.is_empty() {
        line.text(",\"annotations\":");
        line.raw(annotations);
    }
    line.text("}}");
    if line.is_cut() {
        let limit = Limit::STATE_BYTES;
        return Err(Fault::limit(Step::SendListener, limit, At::Nothing));
    }
    Ok(line.into_bytes())
}

/// Connects to the socket of a notice, if there is one.
pub(super) fn connect(notice: &[u8]) -> Result<Option<OwnedFd>, Fault> {
    match c_text(notice) {
        Some(path) if FULL && !path.is_empty() => {
            tty::connect(path, Step::ConnectListener).map(Some)
        }
        _ => Ok(None),
    }
}

/// After the word `Start` and init's answer: takes the listener out of init as soon as it is there, sends it with the
/// text, and lets init go on. A fault of init comes out of the wire.
pub(super) fn hand_over(
    wire: &Wire,
    word: Msg,
    init: Option<BorrowedFd<'_>>,
    socket: &OwnedFd,
    notice: &[u8],
) -> Result<(), Fault> {
    let number = match word {
        Msg::Listener(number) => number,
        other => return Err(unexpected(other)),
    };
    // Below kernel 5.3 there is no such descriptor, and below 5.6 no way to do this.
    let init = init.ok_or(Errno::NOSYS).step(Step::SendListener)?;
    let listener = loop {
        match pidfd::descriptor(init, number) {
            Err(Errno::BADF) => {}
            other => break other.step(Step::SendListener)?,
        }
        if wire.has_word()? {
            return Err(unexpected(wire.receive()?.0));
        }
    };
    let (_, text) = cut(notice, 0);
    sock::send(socket.as_fd(), text, Some(listener.as_fd())).step(Step::SendListener)?;
    wire.send(Msg::Start, None)
}

/// Not what had to come.
fn unexpected(word: Msg) -> Fault {
    match word {
        Msg::Fault(fault) => fault,
        other => Fault::new(
            Step::Talk,
            Cause::Protocol(Msg::Listener(0).number(), other.number()),
        ),
    }
}
