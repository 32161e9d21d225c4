//! The container's cgroups are made, their devices restricted, and its first process put into them.
//!
//! Everything is there before the process runs anything of the container. It is born in the v2 cgroup
//! (CLONE_INTO_CGROUP, 5.7), also where that stands beside v1. Into v1 hierarchies it goes by writing "0" to `tasks`
//! while it has one thread: moving a whole process by `cgroup.procs`, even oneself, waits for a grace period over all
//! CPUs (4 to 8 ms, measured on 6.18), moving the calling thread does not (15 microseconds per hierarchy).
#![forbid(unsafe_code)]

use super::freeze::{self, has_line};
use super::{
    CgroupPlan, Devices, Hierarchy, Kinds, Mode, Record, Unit, io, remove, systemd, v1, v2,
};
use crate::error::{Context, Errno, Fault, Rule, Step};
use crate::fs::later::Later;
use crate::limits::{ANY_KERNEL, FULL};
use crate::plan::arena::Arena;
use crate::sys::{AsFd, BorrowedFd, OwnedFd};
use crate::text::{number, pieces};
use rustix::fs::{AtFlags, CWD, Mode as Bits, mkdirat, statat};
use rustix::process::Pid;

/// Anyone may look into a new cgroup; only its owner writes.
const DIRECTORY: Bits = Bits::from_raw_mode(0o755);

/// Calls `store` with the record of what is going to be made, then makes the v2 cgroup, where there is one: the
/// directory for clone3(CLONE_INTO_CGROUP).
///
/// After a fault, here or later, [`remove::remove`] takes back what the record says.
///
/// # Errors
///
/// That of `store`; the kernel's, at the name of the directory; a cgroup that has processes or is frozen.
pub fn begin(
    plan: &CgroupPlan,
    arena: &Arena,
    record: &mut Record,
    store: &mut dyn FnMut(&Record) -> Result<(), Fault>,
    warn: &mut dyn FnMut(Fault),
) -> Result<Option<OwnedFd>, Fault> {
    intend(plan, record);
    plan.limits.warn_of_refused(warn);
    store(record)?;
    record.fresh = true;
    for n in 0..record.hierarchies.len() {
        record.hierarchies.mark(n, 0, 0);
    }
    let mut birthplace = None;
    let ours = is_ours(plan);
    for (n, row) in rows(plan, true).filter(|_| ours) {
        match make(plan, arena, (n, &row), record, warn) {
            Ok(dir) => birthplace = dir,
            // Beside v1 it is a convenience (cgroup.kill, systemd's view), unless it restricts the devices.
            Err(_) if plan.mode == Mode::V1 && plan.devices != Devices::Program => {}
            Err(fault) => return Err(fault.or_at(row.at)),
        }
    }
    Ok(birthplace)
}

/// Makes the v1 cgroups, or has systemd make them for the process, and completes the record.
///
/// # Errors
///
/// As [`begin`].
pub fn finish(
    plan: &CgroupPlan,
    arena: &Arena,
    record: &mut Record,
    pid: Option<Pid>,
    warn: &mut dyn FnMut(Fault),
) -> Result<(), Fault> {
    let ours = is_ours(plan);
    if let Some(pid) = pid.filter(|_| !ours) {
        systemd::start(plan, record, pid)?;
        record.started = true;
    }
    for (n, row) in plan.hierarchies.iter().enumerate() {
        // The v2 cgroup of ours is there already.
        if !ours || !row.kinds.has(Kinds::UNIFIED) {
            make(plan, arena, (n, &row), record, warn).map_err(|fault| fault.or_at(row.at))?;
        }
    }
    Ok(())
}

/// Whether it is we who make the cgroup, and not systemd.
fn is_ours(plan: &CgroupPlan) -> bool {
    !FULL || plan.unit.kind == Unit::None
}

pub(super) fn rows(plan: &CgroupPlan, v2: bool) -> impl Iterator<Item = (usize, Hierarchy<'_>)> {
    let wanted = move |row: &Hierarchy<'_>| row.kinds.has(Kinds::UNIFIED) == v2;
    let rows = plan.hierarchies.iter().enumerate();
    rows.filter(move |(_, row)| wanted(row))
}

/// Writes other limits to cgroups that are there.
///
/// # Errors
///
/// As [`begin`].
pub fn change(
    plan: &CgroupPlan,
    arena: &Arena,
    record: &Record,
    warn: &mut dyn FnMut(Fault),
) -> Result<(), Fault> {
    plan.limits.warn_of_refused(warn);
    if record.unit != Unit::None {
        systemd::change(plan, record)?;
    }
    apply(plan, arena, false, warn)
}

/// Limits the number of processes where that had to wait until init is alone.
///
/// # Errors
///
/// As [`begin`].
pub fn limit_processes(
    plan: &CgroupPlan,
    arena: &Arena,
    warn: &mut dyn FnMut(Fault),
) -> Result<(), Fault> {
    if plan.limits.apart {
        apply(plan, arena, true, warn)?;
    }
    Ok(())
}

#[inline(never)] // two callers
fn apply(
    plan: &CgroupPlan,
    arena: &Arena,
    later: bool,
    warn: &mut dyn FnMut(Fault),
) -> Result<(), Fault> {
    for (n, row) in plan.hierarchies.iter().enumerate() {
        if plan.limits.has(n) {
            let dir = io::open_dir(row.dir).step(Step::FindContainer)?;
            plan.limits
                .apply(arena, n, &row, dir.as_fd(), later, warn)?;
        }
    }
    Ok(())
}

/// The memory limit of a v2 cgroup; −1 for none.
#[must_use]
pub fn memory_limit(record: &Record) -> Option<i64> {
    let row = record
        .hierarchies
        .iter()
        .find(|row| row.kinds.has(Kinds::UNIFIED))?;
    let mut text = [0; 32];
    let dir = io::open_dir(row.dir).ok()?;
    match io::read_small(dir, c"memory.max", &mut text)
        .ok()?
        .trim_ascii()
    {
        b"max" => Some(-1),
        digits => i64::try_from(number(digits, 10)?).ok(),
    }
}

/// Puts a process, which must have one thread, into its cgroups: by its number, or the calling one by "0". `born` when
/// clone3, or systemd, has put it into the v2 one.
///
/// # Errors
///
/// The kernel's: EBUSY for a v2 cgroup whose children have controllers, ENOSPC for a cpuset without CPUs.
pub fn enter(plan: &CgroupPlan, born: bool, pid: &[u8]) -> Result<(), Fault> {
    enter_v1(plan, pid, &|_| true)?;
    for (_, row) in rows(plan, true).filter(|_| !born) {
        match io::open_dir(row.dir).and_then(|dir| io::write(dir, c"cgroup.procs", pid)) {
            // It was not to be had, and is not needed.
            Err(Errno::NOENT) if plan.mode == Mode::V1 => {}
            other => other.step_at(Step::JoinCgroup, row.at)?,
        }
    }
    Ok(())
}

/// [`enter`] for the hierarchies of version 1 that are `wanted`.
pub(super) fn enter_v1(
    plan: &CgroupPlan,
    pid: &[u8],
    wanted: &dyn Fn(&Hierarchy<'_>) -> bool,
) -> Result<(), Fault> {
    // One call closes them all.
    let files = Later::new();
    for (_, row) in rows(plan, false).filter(|(_, row)| ANY_KERNEL && wanted(row)) {
        io::open_to_write(CWD, row.tasks)
            .and_then(|file| io::put(&file, pid).map(|()| files.close(file)))
            .step_at(Step::JoinCgroup, row.at)?;
    }
    Ok(())
}

/// Notes what is going to be made: paths, and how many directories of each are missing now. Without inodes, since there
/// are none yet.
pub(super) fn intend(plan: &CgroupPlan, record: &mut Record) {
    record.mode = plan.mode;
    record.unit = plan.unit.kind;
    record.hierarchies.copy_from(&plan.hierarchies);
    let exists = |path: &[u8]| statat(CWD, path, AtFlags::SYMLINK_NOFOLLOW).is_ok();
    // One look at the first hierarchy tells of all, as a rule; a wrong guess is put right when the directory is made.
    let first = record.hierarchies.get(0);
    let there = first.is_some_and(|row| exists(row.dir.to_bytes()));
    for n in 0..record.hierarchies.len() {
        let Some(row) = record.hierarchies.get(n) else {
            continue;
        };
        let mut missing = u8::from(!there);
        let mut path = row.dir.to_bytes();
        while let Some(parent) = parent(path).filter(|it| it.len() > row.mount.len()) {
            if there || exists(parent) {
                break;
            }
            missing = missing.saturating_add(1);
            path = parent;
        }
        record.hierarchies.mark(n, missing, 0);
    }
}

/// The path without its last component.
pub(super) fn parent(path: &[u8]) -> Option<&[u8]> {
    path.get(..path.iter().rposition(|byte| *byte == b'/')?)
}

/// Makes one directory, restricts its devices where that is its part, sets its limits, and notes it in the record.
/// Gives the directory of a v2 hierarchy.
fn make(
    plan: &CgroupPlan,
    arena: &Arena,
    (n, row): (usize, &Hierarchy<'_>),
    record: &mut Record,
    warn: &mut dyn FnMut(Fault),
) -> Result<Option<OwnedFd>, Fault> {
    let is_v2 = row.kinds.has(Kinds::UNIFIED);
    let mut made = directory(row, plan.mode == Mode::V2).step(Step::MakeCgroup)?;
    if !is_ours(plan) {
        // By systemd, with the process in it.
        made = made.max(1);
    }
    record.hierarchies.mark(n, made, 0);
    let lists = plan.devices == Devices::Lists && row.kinds.has(Kinds::DEVICES);
    let program = plan.devices == Devices::Program && is_v2;
    let limits = plan.limits.has(n);
    let dir = if is_v2 || lists || limits || made == 0 {
        Some(io::open_dir(row.dir).step(Step::MakeCgroup)?)
    } else {
        None
    };
    if let Some(dir) = &dir {
        if made == 0 {
            refuse_used(dir.as_fd(), row)?;
        }
        if lists {
            v1::device_rules(dir.as_fd(), &plan.fold).step(Step::SetDevices)?;
        }
        if plan.mode == Mode::V2 {
            v2::ensure_domain(dir.as_fd(), plan.limits.need_domain(arena))
                .map_err(|fault| fault.or_at(row.at))?;
        }
        if let Some(owner) = plan.owner.filter(|_| is_v2) {
            v2::delegate(dir.as_fd(), owner).step_at(Step::DelegateCgroup, row.at)?;
        }
        if program {
            let attached = v2::device_program(dir.as_fd(), plan.program.words(), made > 0);
            let attached = attached.step_at(Step::SetDevices, row.at);
            plan.limits.settle(attached, warn)?;
        }
    }
    if row.kinds.has(Kinds::CPUSET) {
        fill_cpusets(row, made).step(Step::SetCpuset)?;
    }
    if let Some(dir) = dir.as_ref().filter(|_| limits) {
        plan.limits.apply(arena, n, row, dir.as_fd(), false, warn)?;
    }
    let inode = io::inode_at(row.dir).step(Step::MakeCgroup)?;
    record.hierarchies.mark(n, made, inode);
    Ok(dir.filter(|_| is_v2))
}

/// Makes the directory, with one call where only it is missing; the number of components that were made.
#[inline(never)] // its locals would lie in the frame of its caller
fn directory(row: &Hierarchy<'_>, hand_down: bool) -> Result<u8, Errno> {
    if !hand_down {
        match mkdirat(CWD, row.dir, DIRECTORY) {
            Ok(()) => return Ok(1),
            Err(Errno::EXIST) => return Ok(0),
            Err(Errno::NOENT) => {}
            Err(errno) => return Err(errno),
        }
    }
    let mut dir = io::open_dir(row.mount)?;
    let mut end = row.mount.len();
    let mut made = 0_u8;
    for name in pieces(row.path, b'/').skip(1) {
        if hand_down {
            v2::enable_controllers(dir.as_fd());
        }
        let opened = match mkdirat(&dir, name, DIRECTORY) {
            Ok(()) => {
                made = made.saturating_add(1);
                end += 1 + name.len();
                io::open_dir_at(&dir, name)
            }
            Err(Errno::EXIST) => {
                made = 0;
                end += 1 + name.len();
                io::open_dir_at(&dir, name)
            }
            Err(errno) => Err(errno),
        };
        dir = match opened {
            Ok(dir) => dir,
            Err(errno) => {
                let path = row.dir.to_bytes().get(..end);
                remove::upwards(path.unwrap_or(&[]), made);
                return Err(errno);
            }
        };
    }
    Ok(made)
}

/// Fills the new directories from the top down, and the last one in any case.
#[inline(never)] // its locals would lie in the frame of its caller
fn fill_cpusets(row: &Hierarchy<'_>, made: u8) -> Result<(), Errno> {
    for level in (0..made.max(1)).rev() {
        let path = row.dir.to_bytes();
        let path = (0..level).try_fold(path, |path, _| parent(path));
        let dir = io::open_dir(path.ok_or(Errno::INVAL)?)?;
        v1::fill_cpuset(dir.as_fd(), made > 0)?;
    }
    Ok(())
}

/// A cgroup that was there before must be empty and running.
fn refuse_used(dir: BorrowedFd<'_>, row: &Hierarchy<'_>) -> Result<(), Fault> {
    let refuse = |rule| Err(Fault::rule(Step::MakeCgroup, rule, row.at));
    let mut text = [0; 128];
    let busy = if row.kinds.has(Kinds::UNIFIED) {
        let events = io::read_small(dir, c"cgroup.events", &mut text).step(Step::MakeCgroup)?;
        has_line(events, b"populated 1")
    } else {
        let procs = io::read_small(dir, c"cgroup.procs", &mut text).step(Step::MakeCgroup)?;
        !procs.is_empty()
    };
    if busy {
        return refuse(Rule::CgroupBusy);
    }
    if freeze::is_frozen(dir, row.kinds) {
        return refuse(Rule::CgroupFrozen);
    }
    Ok(())
}
