//! `delete`: takes away what is left of a container, however far its creation or an earlier removal got.
//!
//! In this order: init, cgroups with whatever is in them, state. Each step may be repeated, and what tells the next
//! attempt where to go on goes last.
#![forbid(unsafe_code)]

use super::state::{open_root, status};
use super::{Call, FAILED, Stop};
use crate::cgroup;
use crate::error::{At, Cause, Fault, Rule, Step};
use crate::state::{Boot, Dir, Record, Status, buffer};
use crate::sys::memory::TakeOnce;

/// The number of SIGKILL.
const KILL: u32 = 9;
/// Seconds that a killed init may take to end.
const PATIENCE: u16 = 10;

static CGROUPS: TakeOnce<cgroup::Record> = TakeOnce::new(cgroup::Record::new());

/// `delete ID`.
pub(super) fn delete(call: &Call) -> Result<i32, Stop> {
    let force = call.parsed.is_on("force");
    match remove(call, force) {
        Err(Stop::Failure(failure)) if force && is(&failure.fault, Rule::NoContainer) => Ok(0),
        removed => removed,
    }
}

fn is(fault: &Fault, rule: Rule) -> bool {
    fault.cause() == Cause::Rule(rule)
}

fn remove(call: &Call, force: bool) -> Result<i32, Stop> {
    let never = Fault::rule(Step::RemoveState, Rule::Never, At::Nothing);
    let root = open_root(call, Step::FindContainer)?;
    let dir = root.find(call.id())?;
    // Whoever makes or starts it is waited for.
    dir.lock()?;
    let boot = Boot::current();
    let buffer = buffer().ok_or(never)?;
    let cgroups = CGROUPS.take().ok_or(never)?;
    let known = match dir.load(buffer) {
        Ok(record) => {
            let status = status(&dir, &record, &boot)?;
            if !force && matches!(status, Status::Running | Status::Paused) {
                call.voice.error(&[
                    b"cannot delete container ",
                    call.id().to_bytes(),
                    b" that is not stopped: ",
                    status.text().as_bytes(),
                ]);
                return Ok(FAILED);
            }
            end(&record, &boot)?;
            cgroups.decode(record.cgroup).is_some()
        }
        // Init ends by itself when its maker is gone, and that had the lock.
        Err(fault) if is(&fault, Rule::HalfMade) => intended(&dir, cgroups, buffer, true)?,
        Err(fault) if force && is(&fault, Rule::Corrupt) => intended(&dir, cgroups, buffer, false)?,
        Err(fault) => return Err(fault.into()),
    };
    if known {
        cgroup::remove(cgroups)?;
    }
    dir.discard()?;
    if known {
        return Ok(0);
    }
    call.voice.error(&[
        b"the state was damaged and is removed; processes and cgroups of the container may be left, they are not known",
    ]);
    Ok(FAILED)
}

/// Kills the init, if it lives, and waits for its end.
fn end(record: &Record<'_>, boot: &Boot) -> Result<(), Fault> {
    let Some(init) = record.init.find(boot)? else {
        return Ok(());
    };
    match init.signal(KILL) {
        Err(fault) if is(&fault, Rule::NotRunning) => Ok(()),
        sent => sent.and_then(|()| init.await_end(PATIENCE)),
    }
}

/// Reads the cgroups from the intent. Whether all that there may be of the container is known: without an intent,
/// nothing was made; without cgroups in it, a process that the damaged state named cannot be found.
fn intended(
    dir: &Dir<'_>,
    cgroups: &mut cgroup::Record,
    buffer: &mut [u8],
    half_made: bool,
) -> Result<bool, Fault> {
    match dir.load_intent(buffer) {
        Ok(None) => Ok(half_made),
        Ok(Some(intent)) => {
            let read = cgroups.decode(intent.cgroup).is_some();
            Ok(read && (half_made || cgroups.mode != cgroup::Mode::None))
        }
        Err(fault) if is(&fault, Rule::Corrupt) => Ok(false),
        Err(fault) => Err(fault),
    }
}
