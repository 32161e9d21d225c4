//! The last part of init's way: from the root of the container to the identity of its process.
//!
//! Each line that must precede another says why. Everything is decided in the plan.
#![forbid(unsafe_code)]

use rustix::fs::{FileType, Gid, Mode, Uid, fchown, fstat};

use super::protect;
use crate::error::{At, Context, Errno, Fault, Rule, Step};
use crate::fs::proc::Proc;
use crate::plan::Plan;
use crate::plan::process::Sets;
use crate::plan::route::NamespaceKind;
use crate::sys::{cred, file, proc, sched, sig};
use crate::text::{field, number};

/// What must be done with the privileges of init.
pub(super) fn privileged(plan: &Plan, procfs: &Proc) -> Result<(), Fault> {
    let process = &plan.process;
    if !plan.namespaces.own(NamespaceKind::User) {
        oom_score(plan, procfs)?;
    }
    if !plan.namespaces.aided {
        priorities(plan, 0)?;
    }
    if let Some(persona) = process.personality {
        sched::set_personality(persona).step(Step::SetPersonality)?;
    }
    if let Some((mode, nodes)) = &process.memory_policy {
        sched::set_memory_policy(*mode, nodes).step(Step::SetMemoryPolicy)?;
    }
    default_signals(procfs)
}

/// What only rights over the host allow, for a process that has entered a user namespace: by the parent.
pub(super) fn from_outside(plan: &Plan, pid: u32) -> Result<(), Fault> {
    if plan.namespaces.aided {
        priorities(plan, pid)
    } else {
        Ok(())
    }
}

/// How a process, 0 for the caller, is scheduled: it leads a group, and is alone in it.
fn priorities(plan: &Plan, pid: u32) -> Result<(), Fault> {
    let process = &plan.process;
    if let Some(scheduler) = &process.scheduler {
        let attributes = sched::SchedAttr {
            size: 56,
            policy: u32::from(scheduler.policy),
            flags: scheduler.flags,
            nice: scheduler.nice,
            priority: scheduler.priority,
            runtime: scheduler.runtime,
            deadline: scheduler.deadline,
            period: scheduler.period,
            util: [0; 2],
        };
        sched::set_scheduler(pid, &attributes)
            .step_at(Step::SetScheduler, At::Byte(scheduler.at))?;
    }
    if let Some((class, level)) = process.io_priority {
        sched::set_io_priority(pid, class, level).step(Step::SetIoPriority)?;
    }
    Ok(())
}

/// What takes rights over the host, and is inherited: by the process that enters a user namespace, before that.
pub(super) fn of_host(plan: &Plan, procfs: &Proc) -> Result<(), Fault> {
    oom_score(plan, procfs)?;
    for limit in &plan.process.rlimits {
        // Only upwards: the limits themselves would be in the way of what is still to be done.
        let resource = u32::from(limit.resource);
        let (soft, hard) = sched::rlimit(resource).step_at(Step::SetRlimit, At::Byte(limit.at))?;
        if limit.hard > hard {
            // Who may not do this is told so when it is set for good.
            let _ = sched::set_rlimit(resource, soft, limit.hard);
        }
    }
    Ok(())
}

fn oom_score(plan: &Plan, procfs: &Proc) -> Result<(), Fault> {
    let Some(score) = plan.process.oom_score_adj else {
        return Ok(());
    };
    protect::show()?;
    let written = procfs.write(c"self/oom_score_adj", plan.arena.bytes(score));
    protect::hide()?;
    written.step_at(Step::SetOomScore, At::Arena(score.at))
}

/// Ignored signals stay ignored across execve: the program gets defaults, whatever the caller of the runtime ignored.
#[inline(never)] // its buffer would lie in the frame of everything below
fn default_signals(procfs: &Proc) -> Result<(), Fault> {
    let mut text = [0; 4096];
    let ignored = procfs
        .open_file(c"self/status", rustix::fs::OFlags::RDONLY)
        .and_then(|file| rustix::io::read(&file, &mut text))
        .map(|len| ignored_signals(text.get(..len).unwrap_or(&[])))
        .step(Step::SetSignals)?;
    for signal in 1..=sig::LAST {
        if ignored & sig::bit(signal) != 0 {
            sig::set_default(signal)
                .step_at(Step::SetSignals, At::Number(signal.unsigned_abs()))?;
        }
    }
    Ok(())
}

/// The set behind `SigIgn:` in /proc/PID/status, man 5 proc_pid_status.
fn ignored_signals(status: &[u8]) -> u64 {
    let set = field(status, b"SigIgn:");
    set.and_then(|set| number(set, 16)).unwrap_or(0)
}

/// CAP_SYS_ADMIN, linux/capability.h.
const ADMIN: u64 = 1 << 21;

/// Effective, permitted and inheritable capabilities that are set as the last thing before execve.
#[derive(Clone, Copy)]
pub(super) struct LateSets([u64; 3]);

impl LateSets {
    /// Drops what is more than that.
    pub(super) fn set(self) -> Result<(), Fault> {
        let Self([effective, permitted, inheritable]) = self;
        cred::set_capabilities(effective, permitted, inheritable).step(Step::SetCapabilities)
    }
}

/// The standard streams that are pipes become the user's, who can open /dev/stdout then, as servers do that log there.
/// Nothing else does: a file or a device may be the host's.
fn own_pipes(uid: u32) {
    for stream in [file::stdin(), file::stdout(), file::stderr()] {
        if fstat(stream).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Fifo) {
            // Refused where the ids of a user namespace do not have the owner: what is open works all the same.
            let _ = fchown(stream, Some(Uid::from_raw(uid)), None::<Gid>);
        }
    }
}

/// Takes on the identity of the process. Nothing that needs privileges comes after it, except that a filter without
/// no_new_privs is loaded with CAP_SYS_ADMIN: that is kept then, and what it is dropped to is the result.
pub(super) fn identity(plan: &Plan, procfs: &Proc) -> Result<Option<LateSets>, Fault> {
    let process = &plan.process;
    let late = !plan.filter.program.bytes().is_empty() && !process.no_new_privileges;
    rustix::process::umask(Mode::from_raw_mode(process.umask));
    // As root first: the directory may be one that only root can reach. As the user after that, which is the one that
    // counts, where root was refused (a FUSE or NFS mount).
    let early = change_directory(plan);
    // Before setresuid: raising a hard limit needs CAP_SYS_RESOURCE.
    for limit in &process.rlimits {
        sched::set_rlimit(u32::from(limit.resource), limit.soft, limit.hard)
            .step_at(Step::SetRlimit, At::Byte(limit.at))?;
    }
    // Before setresuid and capset: dropping needs CAP_SETPCAP.
    if process.capabilities.given {
        drop_bounding(process.capabilities.bounding)?;
    }
    if process.capabilities.given || late {
        cred::keep_capabilities(true).step(Step::SetIds)?;
    }
    // Groups before ids: setgroups needs CAP_SETGID.
    match cred::set_groups(&process.groups) {
        // A user namespace that was made without privileges denies it: there are no groups to be had. buildah asks for
        // the one that the process has anyway.
        Err(Errno::PERM)
            if process
                .groups
                .iter()
                .all(|group| group.as_raw() == process.gid)
                && is_denied(procfs) => {}
        set => set.step(Step::SetGroups)?,
    }
    own_pipes(process.uid);
    cred::set_ids(process.uid, process.gid).step(Step::SetIds)?;
    match early {
        Err(Errno::ACCESS | Errno::PERM) => change_directory(plan),
        other => other,
    }
    .step_at(Step::SetWorkingDirectory, At::Arena(process.cwd.at))?;
    inside(plan)?;
    let mut sets = None;
    if process.capabilities.given {
        sets = capabilities(&process.capabilities, late)?;
    } else if late {
        sets = admin_alone()?;
    }
    if process.no_new_privileges {
        cred::no_new_privileges().step(Step::SetNoNewPrivileges)?;
    }
    Ok(sets)
}

/// What setresuid would have taken was kept: all of it but CAP_SYS_ADMIN goes now, and that later.
fn admin_alone() -> Result<Option<LateSets>, Fault> {
    let (effective, permitted, inheritable) = cred::capabilities().step(Step::SetCapabilities)?;
    if effective != 0 {
        return Ok(None);
    }
    let admin = permitted & ADMIN;
    cred::set_capabilities(admin, admin, inheritable).step(Step::SetCapabilities)?;
    Ok(Some(LateSets([0, 0, inheritable])))
}

/// Whether this user namespace denies setgroups(2), man 7 user_namespaces.
#[inline(never)] // hardly ever asked
fn is_denied(procfs: &Proc) -> bool {
    let mut text = [0; 16];
    let read = procfs
        .open_file(c"self/setgroups", rustix::fs::OFlags::RDONLY)
        .and_then(|file| rustix::io::read(&file, &mut text));
    read.is_ok() && text.starts_with(b"deny")
}

fn change_directory(plan: &Plan) -> Result<(), Errno> {
    rustix::process::chdir(plan.arena.cstr(plan.process.cwd))
}

/// The working directory is below the container's "/": an inherited descriptor of the host, reached as
/// `/proc/self/fd/N`, is not (CVE-2024-21626). The kernel says so in getcwd(2): "(unreachable)" instead of "/".
#[inline(never)] // its buffer would lie in the frame of everything below
fn inside(plan: &Plan) -> Result<(), Fault> {
    let at = At::Arena(plan.process.cwd.at);
    let mut buffer = [0; 4096];
    match proc::working_directory(&mut buffer)
        .step_at(Step::SetWorkingDirectory, at)?
        .first()
    {
        Some(b'/') => Ok(()),
        _ => Err(Fault::rule(
            Step::SetWorkingDirectory,
            Rule::WorkingDirectory,
            at,
        )),
    }
}

/// Drops every capability that is not in `keep`; the kernel's last one is where it says EINVAL.
fn drop_bounding(keep: u64) -> Result<(), Fault> {
    for number in (0..64).filter(|number| keep & (1 << number) == 0) {
        match cred::drop_bounding(number) {
            Err(Errno::INVAL) => break,
            other => other.step_at(Step::SetBoundingSet, At::Number(number))?,
        }
    }
    Ok(())
}

/// Effective, permitted, inheritable and ambient, as listed, as far as init has them itself: what the runtime was not
/// given it cannot pass on, and the specification asks not to fail for that. With `late`, CAP_SYS_ADMIN stays for now.
fn capabilities(sets: &Sets, late: bool) -> Result<Option<LateSets>, Fault> {
    let (_, had, _) = cred::capabilities().step(Step::SetCapabilities)?;
    let permitted = sets.permitted & had;
    let effective = sets.effective & permitted;
    let inheritable = sets.inheritable & had;
    let more = if late { had & ADMIN } else { 0 };
    cred::set_capabilities(effective | more, permitted | more, inheritable)
        .step(Step::SetCapabilities)?;
    let ambient = sets.ambient & permitted & inheritable;
    if let Err(errno) = cred::clear_ambient()
        && (errno != Errno::INVAL || ambient != 0)
    {
        return Err(errno).step(Step::SetAmbientSet);
    }
    for number in (0..64).filter(|number| ambient & (1 << number) != 0) {
        cred::raise_ambient(number).step_at(Step::SetAmbientSet, At::Number(number))?;
    }
    Ok(late.then_some(LateSets([effective, permitted, inheritable])))
}

#[cfg(test)]
mod tests {
    #[test]
    fn ignored_signals_of_a_status() {
        let status =
            b"Name:\tx\nSigBlk:\t0000000000000001\nSigIgn:\t0000000000010006\nSigCgt:\t0\n";
        assert_eq!(super::ignored_signals(status), 0x10006);
        assert_eq!(super::ignored_signals(b"Name:\tx\n"), 0);
    }
}
