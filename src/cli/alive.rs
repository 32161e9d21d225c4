//! What verbs about a container that is there have in common; `pause` and `resume`, which are nothing more.
#![forbid(unsafe_code)]

use super::Call;
use super::state::{CGROUPS, open_root, status};
use crate::cgroup;
use crate::error::{At, Fault, Rule, Step};
use crate::state::{Dir, Status, Stored, boot, buffer};

/// A container as it was found.
pub(super) struct Found<'f> {
    pub(super) dir: &'f Dir<'f>,
    pub(super) record: Stored<'f>,
    pub(super) status: Status,
    pub(super) boot: &'f [u8],
    pub(super) cgroups: &'static mut cgroup::Record,
}

/// Finds the container of a command, and does something with it, locked against others when `lock`.
pub(super) fn with(
    call: &Call,
    lock: bool,
    act: &mut dyn FnMut(Found<'_>) -> Result<i32, Fault>,
) -> Result<i32, Fault> {
    let corrupt = Fault::rule(Step::ReadState, Rule::Corrupt, At::Nothing);
    let root = open_root(call, Step::FindContainer)?;
    let dir = root.find(call.id)?;
    if lock {
        dir.lock()?;
    }
    let record = dir.load(buffer().unwrap_or_default())?;
    let mut text = [0; 36];
    let boot = boot(&mut text)?;
    let status = status(&dir, record, boot)?;
    let cgroups = CGROUPS.take().ok_or(corrupt)?;
    // What an earlier boot has made is gone.
    if record.boot() == boot {
        cgroups.decode(record.cgroup()).ok_or(corrupt)?;
    }
    cgroups.bus = cgroup::bus(call.args);
    act(Found {
        dir: &dir,
        record,
        status,
        boot,
        cgroups,
    })
}

/// The fault of a container that is not as the verb wants it.
pub(super) fn refuse<T>(step: Step, rule: Rule) -> Result<T, Fault> {
    Err(Fault::rule(step, rule, At::Nothing))
}

/// `pause ID`, and `resume ID`.
pub(super) fn pause(call: &Call, frozen: bool) -> Result<i32, Fault> {
    with(call, true, &mut |found| {
        match (frozen, found.status) {
            (true, Status::Created | Status::Running) | (false, Status::Paused) => {}
            (true, _) => return refuse(Step::Freeze, Rule::CannotPause),
            (false, _) => return refuse(Step::Freeze, Rule::NotPaused),
        }
        cgroup::freeze(found.cgroups, frozen).map(|()| 0)
    })
}
