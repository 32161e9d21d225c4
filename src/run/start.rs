//! `start`: gives the word to an init that waits, and hears whether execve worked.
#![forbid(unsafe_code)]

use core::ffi::CStr;

use super::wire::{Msg, PATIENCE, Wire};
use crate::error::{At, Cause, Context, Fault, Rule, Step};
use crate::state::{self, Root, Status};
use crate::sys::args::Args;
use crate::sys::{AsFd, sock};

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
    match dir.status(record, state::boot(&mut [0; 36])?)? {
        Status::Created => {}
        Status::Stopped => return Err(Fault::rule(Step::Start, Rule::StartStopped, At::Nothing)),
        _ => return Err(Fault::rule(Step::Start, Rule::StartRunning, At::Nothing)),
    }
    // From inside the directory: the whole path would be too long for a socket address.
    rustix::process::fchdir(dir.fd()).step(Step::Start)?;
    let wire = Wire(sock::connect(state::START_SOCKET).step(Step::Start)?);
    sock::set_deadline(wire.0.as_fd(), Some(PATIENCE)).step(Step::Start)?;
    // Before the word: if we die here, init sees the end of the connection and ends, and nobody takes a container that
    // may run for one that waits.
    dir.started()?;
    wire.send(Msg::Start, None)?;
    match wire.receive()?.0 {
        Msg::End => Ok(()),
        Msg::Fault(fault) => Err(fault),
        _ => Err(Fault::new(Step::Start, Cause::Protocol(0, 1))),
    }
}
