//! Where the container goes among the cgroups, and which devices it may use.
//!
//! `linux.cgroupsPath` is absolute (below each mount point) or relative; a relative one, and the container's name where
//! none is given, goes below the runtime's own cgroup on v1 and beside it on v2, where a cgroup with processes cannot
//! have children with controllers.
#![forbid(unsafe_code)]

use super::arena::Arena;
use super::limits;
use super::make::{Request, Source};
use super::systemd;
use crate::cgroup::devices::{self, BLOCK, CHAR, MKNOD, READ, WRITE};
use crate::cgroup::{CgroupPlan, Devices, Kinds, Layout, Manager, Mode, Policy};
use crate::config::{DeviceRule, Pair, Resources, Text};
use crate::error::{At, Fault, Rule, Step};
use crate::limits::{ANY_KERNEL, FULL};

/// Longest path of a cgroup below its mount point, PATH_MAX without its NUL.
const PATH: usize = 4095;

/// The annotation that is `--cgroup-policy`.
const POLICY: &[u8] = b"org.ocilet.cgroup-policy";

/// Fills an empty cgroup plan.
///
/// # Errors
///
/// A path, a device rule or a limit that cannot be had, at its place in the document; a capacity.
pub fn make(
    source: Source<'_>,
    request: Request<'_>,
    layout: &Layout,
    arena: &mut Arena,
    plan: &mut CgroupPlan,
) -> Result<(), Fault> {
    let linux = source.config.linux.as_ref();
    let resources = linux.and_then(|linux| linux.resources.as_ref());
    let path = linux.and_then(|linux| linux.cgroups_path);
    let whole = linux.map_or(At::Nothing, |linux| At::Byte(linux.at));
    plan.limits.policy = policy(source, request.cgroup_policy)?;
    plan.mode = match request.cgroup_manager {
        Manager::Cgroupfs => layout.mode,
        Manager::Disabled => Mode::None,
        Manager::Systemd if !FULL => {
            let rule = Rule::NotInThisBuild;
            return Err(Fault::rule(Step::PlanCgroup, rule, At::Nothing));
        }
        Manager::Systemd if layout.mode == Mode::None => {
            let at = path.map_or(whole, Text::place);
            return Err(Fault::rule(Step::PlanCgroup, Rule::LimitsNeedCgroups, at));
        }
        Manager::Systemd => layout.mode,
    };
    plan.warn = plan.mode == Mode::None && request.cgroup_manager == Manager::Cgroupfs;
    let refuse = |rule| Fault::rule(Step::PlanCgroup, rule, path.map_or(whole, Text::place));
    let mut buffer = [0; PATH];
    if let Some(resources) = resources {
        in_this_build(resources)?;
    }
    let subject = resources.map(|resources| limits::Subject {
        resources,
        pools: source.pools,
        doc: source.doc,
        mode: plan.mode,
        memory: None,
    });
    let wanted = if FULL && request.cgroup_manager == Manager::Systemd {
        let names = (request.id, request.uid);
        let named = systemd::name(path, source.doc, names, arena).map_err(refuse)?;
        let to = (&*arena, &mut plan.unit);
        let subject = (plan.mode, subject);
        systemd::properties(named, source, request, subject, to)?;
        let named = arena.bytes(named.path);
        let path = buffer.get_mut(..named.len());
        let path = path.ok_or(refuse(Rule::CgroupPathLong))?;
        path.copy_from_slice(named);
        Wanted {
            path,
            absolute: true,
        }
    } else {
        wanted(path, source.doc, request.id, &mut buffer).map_err(refuse)?
    };
    if plan.mode != Mode::None {
        places(layout, wanted, arena, plan)?;
    }
    if !request.rootless {
        let rules = resources.map(|all| all.devices).unwrap_or_default();
        device_rules(rules.of(&source.pools.device_rules), plan)?;
    }
    if let Some(subject) = subject {
        limits::make(subject, &plan.hierarchies, arena, &mut plan.limits);
    }
    Ok(())
}

/// Device rules alone can do without the limits.
fn in_this_build(all: &Resources) -> Result<(), Fault> {
    let single = all.memory.is_some() || all.cpu.is_some() || all.pids.is_some();
    let lists = [all.hugepage_limits, all.rdma, all.unified];
    let listed = lists.iter().any(|list| !list.is_empty());
    if FULL || !(single || listed || all.block_io.is_some() || all.network.is_some()) {
        return Ok(());
    }
    Err(Fault::rule(
        Step::PlanLimits,
        Rule::NotInThisBuild,
        At::Byte(all.at),
    ))
}

/// What becomes of limits that cannot be applied: the command line says it, or an annotation.
fn policy(source: Source<'_>, asked: Option<Policy>) -> Result<Policy, Fault> {
    if let Some(policy) = asked {
        return Ok(policy);
    }
    let annotations = source.config.annotations.of(&source.pools.annotations);
    let ours = |pair: &&Pair| pair.key.is(source.doc, POLICY);
    let Some(pair) = annotations.iter().find(ours) else {
        return Ok(Policy::Strict);
    };
    match () {
        () if pair.value.is(source.doc, b"strict") => Ok(Policy::Strict),
        () if pair.value.is(source.doc, b"best-effort") => Ok(Policy::BestEffort),
        () => {
            let at = pair.value.place();
            Err(Fault::rule(Step::PlanLimits, Rule::CgroupPolicy, at))
        }
    }
}

/// The path that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Wanted<'a> {
    /// With a leading slash and none at the end.
    path: &'a [u8],
    absolute: bool,
}

fn wanted<'b>(
    path: Option<Text>,
    doc: &[u8],
    id: &[u8],
    buffer: &'b mut [u8],
) -> Result<Wanted<'b>, Rule> {
    match path {
        Some(path) => {
            let absolute = path.starts_with(doc, b'/');
            let path = normal(&mut path.bytes(doc), buffer)?;
            let colons = path.iter().filter(|byte| **byte == b':').count();
            if !absolute && colons == 2 {
                return Err(Rule::SystemdPath);
            }
            Ok(Wanted { path, absolute })
        }
        None => Ok(Wanted {
            path: normal(&mut id.iter().copied(), buffer)?,
            absolute: false,
        }),
    }
}

/// One slash before each component, no other slash, no "."; ".." is refused.
fn normal<'b>(bytes: &mut dyn Iterator<Item = u8>, buffer: &'b mut [u8]) -> Result<&'b [u8], Rule> {
    let mut len = 0_usize;
    // A slash is put before the first component whatever comes first; one at the end closes the last component.
    for byte in b"/".iter().copied().chain(bytes).chain(*b"/") {
        if byte == 0 {
            return Err(Rule::Nul);
        }
        if byte == b'/' {
            let so_far = buffer.get(..len).ok_or(Rule::CgroupPathLong)?;
            if so_far.ends_with(b"/..") {
                return Err(Rule::CgroupPathUp);
            }
            if so_far.ends_with(b"/.") {
                len -= 1;
                continue;
            }
            if so_far.ends_with(b"/") {
                continue;
            }
        }
        *buffer.get_mut(len).ok_or(Rule::CgroupPathLong)? = byte;
        len += 1;
    }
    match len.checked_sub(1).and_then(|end| buffer.get(..end)) {
        Some(path) if !path.is_empty() => Ok(path),
        _ => Err(Rule::CgroupPathRoot),
    }
}

/// One row per hierarchy. The directories also go to the arena, so that a fault can name them.
fn places(
    layout: &Layout,
    wanted: Wanted<'_>,
    arena: &mut Arena,
    plan: &mut CgroupPlan,
) -> Result<(), Fault> {
    plan.hierarchies.clear();
    for (n, host) in layout.hierarchies.iter().enumerate() {
        let below = base(plan.mode, host.path, wanted.absolute);
        plan.hierarchies
            .push(host.controllers, host.mount, &[below, wanted.path])?;
        let row = plan.hierarchies.get(n);
        let dir = row.map_or(&b""[..], |row| row.dir.to_bytes());
        let name = arena.push(dir);
        plan.hierarchies.name(n, name.at);
    }
    Ok(())
}

/// What a path goes below: the mount point, the runtime's own cgroup (v1) or that one's parent (v2).
fn base(mode: Mode, own: &[u8], absolute: bool) -> &[u8] {
    match mode {
        _ if absolute => b"",
        Mode::V2 => {
            let slash = own.iter().rposition(|byte| *byte == b'/');
            slash.and_then(|at| own.get(..at)).unwrap_or(b"")
        }
        Mode::V1 | Mode::None => own,
    }
}

/// Everything denied, then the document's rules in their order, then the usual allowances (the null device and its like,
/// which other runtimes grant whatever the document says).
#[inline(never)] // its locals would lie in the frame of its caller
fn device_rules(list: &[DeviceRule], plan: &mut CgroupPlan) -> Result<(), Fault> {
    let fault = |rule, n: usize| {
        let at = list.get(n).map_or(At::Nothing, |it| At::Byte(it.at));
        Fault::rule(Step::PlanDevices, rule, at)
    };
    // The capacity is that of both lists.
    let rules = &mut plan.rules;
    rules.clear();
    for rule in list {
        let _ = rules.push(device_rule(rule));
    }
    let special = rules.iter().position(|it| it.allow || !it.is_total());
    // Where everything is allowed there is nothing to add, and what was taken out of it stays out.
    let last = rules.iter().rfind(|it| it.is_total());
    if !last.is_some_and(|last| last.allow) {
        let _ = rules.extend_from_slice(devices::DEFAULTS);
    }
    plan.program.compile(rules).ok_or(fault(Rule::Never, 0))?;
    plan.devices = if plan.program.words().is_empty() {
        Devices::Unrestricted
    } else if plan.mode == Mode::V2 {
        Devices::Program
    } else if has(plan, Kinds::DEVICES) {
        Devices::Lists
    } else if has(plan, Kinds::UNIFIED) {
        Devices::Program
    } else {
        // Nothing can apply them. That the default config denies everything is no reason not to run there.
        if let Some(n) = special {
            return Err(fault(Rule::DevicesNeedCgroups, n));
        }
        plan.warn |= plan.mode != Mode::None;
        Devices::Unrestricted
    };
    if ANY_KERNEL && plan.devices == Devices::Lists {
        let folded = plan.fold.make(&plan.rules);
        folded.map_err(|n| fault(Rule::DeviceSubset, n))?;
    }
    Ok(())
}

fn has(plan: &CgroupPlan, kinds: Kinds) -> bool {
    plan.hierarchies.iter().any(|row| row.kinds.has(kinds))
}

/// From the document's letters to the kernel's bits.
fn device_rule(rule: &DeviceRule) -> devices::Rule {
    let bit = |from: u8, to: u8| if rule.access & from != 0 { to } else { 0 };
    devices::Rule {
        allow: rule.allow,
        kinds: match rule.kind {
            1 => CHAR,
            2 => BLOCK,
            _ => CHAR | BLOCK,
        },
        major: rule.major,
        minor: rule.minor,
        access: bit(1, READ) | bit(2, WRITE) | bit(4, MKNOD),
    }
}

#[cfg(test)]
mod tests;
