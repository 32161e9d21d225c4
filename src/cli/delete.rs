//! `delete`: takes away what is left of a container, however far its creation or an earlier removal got.
#![forbid(unsafe_code)]

use super::state::{open_root, status};
use super::{Call, Stop};
use crate::error::{Cause, Fault, Rule, Step};
use crate::state::{Boot, Dir, Record, Status, buffer};

/// The number of SIGKILL.
const KILL: u32 = 9;
/// Seconds that a killed init may take to end.
const PATIENCE: u16 = 10;

/// `delete ID`.
pub(super) fn delete(call: &Call) -> Result<i32, Stop> {
    let force = call.parsed.is_on("force");
    match remove(call, force) {
        Err(Stop::Failure(failure))
            if force && failure.fault.cause == Cause::Rule(Rule::NoContainer) =>
        {
            Ok(0)
        }
        removed => removed,
    }
}

fn remove(call: &Call, force: bool) -> Result<i32, Stop> {
    let root = open_root(call, Step::FindContainer)?;
    let dir = root.find(call.id())?;
    // Whoever makes or starts it is waited for.
    dir.lock()?;
    let boot = Boot::current();
    let Some(buffer) = buffer() else {
        return Ok(super::FAILED);
    };
    match dir.load(buffer) {
        Ok(record) => {
            let status = status(&dir, &record, &boot)?;
            if !force && matches!(status, Status::Running | Status::Paused) {
                call.voice.error(&[
                    b"cannot delete container ",
                    call.id().to_bytes(),
                    b" that is not stopped: ",
                    status.text().as_bytes(),
                ]);
                return Ok(super::FAILED);
            }
            end(&record, &boot)?;
        }
        Err(fault) if fault.cause == Cause::Rule(Rule::HalfMade) => {}
        Err(fault) if force && fault.cause == Cause::Rule(Rule::Corrupt) => {}
        Err(fault) => return Err(fault.into()),
    }
    discard(dir)?;
    Ok(0)
}

/// Kills the init, if it lives, and waits for its end.
fn end(record: &Record<'_>, boot: &Boot) -> Result<(), Fault> {
    let Some(init) = record.init.find(boot)? else {
        return Ok(());
    };
    match init.signal(KILL) {
        Err(fault) if fault.cause == Cause::Rule(Rule::NotRunning) => Ok(()),
        sent => sent.and_then(|()| init.await_end(PATIENCE)),
    }
}

fn discard(dir: Dir<'_>) -> Result<(), Fault> {
    dir.discard()
}
