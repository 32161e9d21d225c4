//! `wait`: until the init of a container has ended, and then its exit code.
//!
//! Its parent alone is told by wait(2). For others there are, in this order: what somebody has kept in the state (`run
//! --keep`, an earlier `wait`); /proc/PID/stat as long as its parent has not waited for it; the pidfd that was open
//! before, which tells after that (Linux 6.15).
#![forbid(unsafe_code)]

use super::state::open_root;
use super::{Call, FAILED_BEFORE};
use crate::error::{At, Cause, Fault, Rule, Step};
use crate::state::{Dir, Exit, boot, buffer};

/// `wait ID`: its failures are 255, since the other codes are the program's.
pub(super) fn wait(call: &Call) -> Result<i32, Fault> {
    Ok(ended(call).unwrap_or_else(|fault| {
        call.voice.failure(fault);
        FAILED_BEFORE
    }))
}

fn ended(call: &Call) -> Result<i32, Fault> {
    let root = open_root(call, Step::FindContainer)?;
    let dir = root.find(call.id)?;
    let record = dir.load(buffer().unwrap_or_default())?;
    let mut text = [0; 36];
    let boot = boot(&mut text)?;
    if let Some(status) = dir.load_exit(&mut [0; 256])? {
        return Ok(code(status));
    }
    let status = record.init().await_exit(boot)?;
    let unknown = Fault::rule(Step::TellExit, Rule::ExitUnknown, At::Nothing);
    let status = status.ok_or(unknown)?;
    match keep(&dir, &Exit { boot, status }) {
        // Whoever waits for a container that is removed at its end is told all the same.
        Err(fault) if fault.cause() != Cause::Rule(Rule::NoContainer) => {
            call.voice.warning_about(call.id.to_bytes(), fault);
        }
        _ => {}
    }
    Ok(code(status))
}

/// For those who ask later.
fn keep(dir: &Dir<'_>, exit: &Exit<'_>) -> Result<(), Fault> {
    dir.lock()?;
    dir.keep_exit(exit)
}

/// The exit code of a wait status, man 2 wait.
fn code(status: u16) -> i32 {
    let signal = status & 0x7f;
    i32::from(if signal == 0 {
        status >> 8
    } else {
        128 + signal
    })
}
