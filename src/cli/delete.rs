//! `delete`: takes away what is left of a container, however far its creation or an earlier removal got.
//!
//! In this order: init, cgroups with whatever is in them, state, and then hooks are told. Each step may be repeated, and
//! what tells the next attempt where to go on goes last.
#![forbid(unsafe_code)]

use super::state::{CGROUPS, open_root, status};
use super::{Call, FAILED};
use crate::cgroup::Mode;
use crate::error::{At, Cause, Fault, Rule, Step};
use crate::plan::hooks::Moment;
use crate::run::{self, Hooks};
use crate::state::{Status, Stored, boot, buffer};
use crate::sys::sig::KILL;
use crate::{cgroup, rdt};

/// Seconds that a killed init may take to end.
const PATIENCE: u16 = 10;

/// `delete ID`.
pub(super) fn delete(call: &Call) -> Result<i32, Fault> {
    let force = call.parsed.is_on("force");
    match remove(call, force) {
        Err(fault) if force && is(&fault, Rule::NoContainer) => Ok(0),
        removed => removed,
    }
}

pub(super) fn is(fault: &Fault, rule: Rule) -> bool {
    fault.cause() == Cause::Rule(rule)
}

/// Removes what is left; `force`: also of one that runs.
pub(super) fn remove(call: &Call, force: bool) -> Result<i32, Fault> {
    let never = Fault::rule(Step::RemoveState, Rule::Never, At::Nothing);
    let root = open_root(call, Step::FindContainer)?;
    let dir = root.find(call.id)?;
    // Whoever makes or starts it is waited for.
    dir.lock()?;
    let mut text = [0; 36];
    let boot = boot(&mut text)?;
    let buffer = buffer().ok_or(never)?;
    let (mut cgroups, record) = match dir.load(buffer) {
        Ok(record) => {
            let status = status(&dir, record, boot)?;
            if !force && matches!(status, Status::Running | Status::Paused) {
                call.voice.error(
                    "cannot delete container % that is not stopped: %",
                    &[call.id.to_bytes(), status.text().as_bytes()],
                );
                return Ok(FAILED);
            }
            let cgroups = known(Some(record), boot);
            let held = cgroups.as_ref().is_some_and(|it| it.mode != Mode::None);
            match end(record, boot, status, if held { 1 } else { PATIENCE }) {
                // Others may leave it no time to end: it is killed with them, and waited for, in its cgroup.
                Err(fault) if held && matches!(fault.cause(), Cause::Timeout(_)) => {}
                ended => ended?,
            }
            (cgroups, Some(record))
        }
        // Init ends by itself when its maker is gone, and that had the lock.
        Err(fault) if is(&fault, Rule::HalfMade) => match dir.load_intent(buffer) {
            Ok(intent) => (known(intent, boot), intent),
            Err(fault) if force && is(&fault, Rule::Corrupt) => (None, None),
            Err(fault) => return Err(fault),
        },
        Err(fault) if force && is(&fault, Rule::Corrupt) => match dir.load_copy(buffer) {
            Ok(record) => {
                end(record, boot, status(&dir, record, boot)?, PATIENCE)?;
                (known(Some(record), boot), Some(record))
            }
            Err(fault) if is(&fault, Rule::Corrupt) => (None, None),
            Err(fault) => return Err(fault),
        },
        Err(fault) => return Err(fault),
    };
    if let Some(cgroups) = &mut cgroups {
        cgroups.bus = cgroup::bus(call.args);
        cgroup::remove(cgroups)?;
    }
    // After another boot the group of this name is another's.
    if record.is_none_or(|record| record.boot() == boot) {
        rdt::remove(&dir)?;
    }
    dir.discard()?;
    if let Some(record) = record {
        poststop(call, record);
    }
    if cgroups.is_some() {
        return Ok(0);
    }
    call.voice.error(
        "the state was damaged and is removed; processes and cgroups of the container may be left, they are not known",
        &[],
    );
    Ok(FAILED)
}

/// The hooks for when nothing is left. Nobody else runs them: the directory was ours to remove.
fn poststop(call: &Call, record: Stored<'_>) {
    let id = call.id.to_bytes();
    let warn = &mut |fault| call.voice.warning_about(id, fault);
    run::poststop(&Hooks::stored(record, id, Moment::Poststop), warn);
}

/// Kills the init, if it lives, and waits for its end; a frozen one ends when its cgroup is cleared.
fn end(record: Stored<'_>, boot: &[u8], status: Status, patience: u16) -> Result<(), Fault> {
    let Some(init) = record.find_init(boot)? else {
        return Ok(());
    };
    match init.signal(KILL) {
        Err(fault) if is(&fault, Rule::NotRunning) => Ok(()),
        Ok(()) if status != Status::Paused => init.await_end(patience),
        sent => sent,
    }
}

/// The cgroups that a record tells of, `None` if it cannot be read. Without a record there are none; those of an earlier
/// boot are gone, and what has their place now is another's.
fn known(record: Option<Stored<'_>>, boot: &[u8]) -> Option<&'static mut cgroup::Record> {
    let cgroups = CGROUPS.take()?;
    if let Some(record) = record
        && record.boot() == boot
    {
        cgroups.decode(record.cgroup())?;
    }
    Some(cgroups)
}
