//! `state`: what the specification says a runtime tells about a container; the shape, order and spelling are runc's.
#![forbid(unsafe_code)]

use super::Call;
use crate::cgroup;
use crate::error::{At, Context, Errno, Fault, Rule, Step};
use crate::say::Line;
use crate::say::object::{Container, Object};
use crate::state::{Root, Status, Stored, boot, buffer};
use crate::sys::memory::TakeOnce;

/// `state ID`.
pub(super) fn state(call: &Call) -> Result<i32, Fault> {
    let root = open_root(call, Step::FindContainer)?;
    let dir = root.find(call.id)?;
    let record = dir.load(buffer().unwrap_or_default())?;
    let status = status(&dir, record, boot(&mut [0; 36])?)?;
    let mut bytes = [0; 1024];
    let mut line = Line::stdout(&mut bytes);
    let mut object = Object::new(&mut line, true);
    object.container(&told(call.id.to_bytes(), record, status));
    object.text("owner", b"");
    object.end();
    line.text("\n");
    line.finish().step(Step::Print)?;
    Ok(0)
}

/// What is told of it.
pub(super) fn told<'a>(id: &'a [u8], record: Stored<'a>, status: Status) -> Container<'a> {
    Container {
        id,
        pid: pid(record, status),
        status: status.text(),
        bundle: record.bundle(),
        rootfs: record.rootfs(),
        created: record.created(),
        annotations: record.annotations(),
    }
}

/// Its init, 0 when that has ended.
pub(super) fn pid(record: Stored<'_>, status: Status) -> u32 {
    if status == Status::Stopped {
        0
    } else {
        record.pid()
    }
}

/// The cgroups of the container that is being looked at.
pub(super) static CGROUPS: TakeOnce<cgroup::Record> = TakeOnce::new(cgroup::Record::new());

/// The state directory of a verb that names a container: without a directory there are none.
pub(super) fn open_root(call: &Call, step: Step) -> Result<Root, Fault> {
    Root::open(call.root, call.args, false).map_err(|fault| match fault.errno() {
        Some(Errno::NOENT) => Fault::rule(step, Rule::NoContainer, At::Nothing),
        _ => fault,
    })
}

/// What a container is doing, frozen cgroups included.
pub(super) fn status(
    dir: &crate::state::Dir<'_>,
    record: Stored<'_>,
    boot: &[u8],
) -> Result<Status, Fault> {
    let status = dir.status(record, boot)?;
    if status == Status::Stopped {
        return Ok(status);
    }
    let Some(cgroups) = CGROUPS.take() else {
        return Ok(status);
    };
    let frozen = cgroups.decode(record.cgroup()).is_some() && cgroup::frozen(cgroups);
    CGROUPS.put_back(cgroups);
    Ok(if frozen { Status::Paused } else { status })
}
