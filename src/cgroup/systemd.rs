//! The systemd driver: asks the service manager for a transient unit and its cgroup, and to forget it again.
//!
//! The manager is asked on its own socket, which is there without a bus and without a daemon for it; where that cannot be
//! used (it is for root alone), on the bus.
#![forbid(unsafe_code)]

use rustix::process::Pid;

use super::bus::{Bus, NO_UNIT, fault};
use super::{CgroupPlan, Record};
use crate::error::Fault;
use crate::limits::UNIT_BYTES;
use crate::sys::proc;
use crate::text::pieces;

/// What systemd makes for a container.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unit {
    /// Nothing: its cgroup is ours.
    #[default]
    None,
    /// A scope, which its first process is put into.
    Scope,
    /// A slice, which processes enter.
    Slice,
}

/// The properties of a unit that is to be made, as the elements of an array `a(sv)`. Large: lives in .bss.
pub struct UnitPlan {
    /// What it is.
    pub kind: Unit,
    /// Bytes in use that every version of systemd understands.
    pub basic: usize,
    /// Bytes in use with those from version 242 and 244 on.
    pub all: usize,
    /// The properties.
    pub bytes: [u8; UNIT_BYTES],
}

impl UnitPlan {
    /// No unit.
    #[must_use]
    #[allow(clippy::large_stack_arrays, reason = "only ever evaluated for statics")]
    pub const fn new() -> Self {
        Self {
            kind: Unit::None,
            basic: 0,
            all: 0,
            bytes: [0; UNIT_BYTES],
        }
    }
}

impl Default for UnitPlan {
    fn default() -> Self {
        Self::new()
    }
}

/// The name of a container's unit: the last component of its cgroup's path.
fn unit(record: &Record) -> &[u8] {
    let row = record.hierarchies.get(0);
    row.and_then(|row| pieces(row.path, b'/').last())
        .unwrap_or_default()
}

/// Makes the unit, with the process in it if it is a scope, and waits until it is there.
pub(super) fn start(plan: &CgroupPlan, record: &Record, pid: Pid) -> Result<(), Fault> {
    let unit = unit(record);
    let pid = proc::number(pid);
    let mut bus = Bus::open(record).map_err(fault)?;
    let mut again = true;
    loop {
        let asked = bus.properties(
            b"StartTransientUnit",
            b"ssa(sv)a(sa(sv))",
            plan,
            &mut |body, list| {
                let Some(properties) = list else {
                    body.string(unit);
                    return body.string(b"replace");
                };
                if plan.unit.kind == Unit::Scope {
                    body.property(b"PIDs", b"au");
                    let pids = body.open(4);
                    body.u32(pid);
                    body.close(pids);
                }
                body.close(properties);
                let auxiliary = body.open(8);
                body.close(auxiliary);
            },
        );
        // One that has failed is remembered until somebody says otherwise.
        if asked.is_err() && core::mem::take(&mut again) && bus.is_error(b".UnitExists") {
            let _ = bus.about(b"ResetFailedUnit", unit, b"s");
            continue;
        }
        return asked.and_then(|()| bus.await_job(unit)).map_err(fault);
    }
}

/// Sets other properties of a unit that is there.
pub(super) fn change(plan: &CgroupPlan, record: &Record) -> Result<(), Fault> {
    let unit = unit(record);
    let changed = Bus::open(record).and_then(|mut bus| {
        bus.properties(
            b"SetUnitProperties",
            b"sba(sv)",
            plan,
            &mut |body, list| match list {
                None => {
                    body.string(unit);
                    // Until the next boot.
                    body.u32(1);
                }
                Some(list) => body.close(list),
            },
        )
    });
    changed.map_err(fault)
}

/// Makes systemd forget the unit, whose processes are gone: as a rule it has noticed by itself.
pub(super) fn stop(record: &Record) -> Result<(), Fault> {
    let unit = unit(record);
    // Where there is no manager there is no unit.
    let Ok(mut bus) = Bus::open(record) else {
        return Ok(());
    };
    match bus.about(b"StopUnit", unit, b"ss") {
        Err(_) if bus.is_error(NO_UNIT) => return Ok(()),
        stopped => stopped.and_then(|()| bus.await_job(unit)).map_err(fault)?,
    }
    // It is not known any more, unless it has failed.
    let _ = bus.about(b"ResetFailedUnit", unit, b"s");
    Ok(())
}
