//! Where the container goes among the cgroups, and which devices it may use.
//!
//! `linux.cgroupsPath` is absolute (below each mount point) or relative; a relative one, and the container's name where
//! none is given, goes below the runtime's own cgroup on v1 and beside it on v2, where a cgroup with processes cannot
//! have children with controllers. Limits are not applied by this version: a document that sets one is refused.
#![forbid(unsafe_code)]

use super::arena::Arena;
use super::make::Source;
use crate::cgroup::devices::{self, BLOCK, CHAR, MKNOD, READ, WRITE};
use crate::cgroup::{CgroupPlan, Devices, Kinds, Layout, Manager, Mode};
use crate::config::{BlockIo, Cpu, DeviceRule, Memory, Resources, Text};
use crate::error::{At, Fault, Rule, Step};

/// Longest path of a cgroup below its mount point, PATH_MAX without its NUL.
const PATH: usize = 4095;

/// Fills an empty cgroup plan.
///
/// # Errors
///
/// A path, a device rule or a limit that cannot be had, at its place in the document; a capacity.
pub fn make(
    source: Source<'_>,
    id: &[u8],
    manager: Manager,
    layout: &Layout,
    arena: &mut Arena,
    plan: &mut CgroupPlan,
) -> Result<(), Fault> {
    let linux = source.config.linux.as_ref();
    let resources = linux.and_then(|linux| linux.resources.as_ref());
    let path = linux.and_then(|linux| linux.cgroups_path);
    let whole = linux.map_or(At::Nothing, |linux| At::Byte(linux.at));
    if let Some(resources) = resources {
        refuse_limits(source, resources)?;
    }
    plan.mode = match manager {
        Manager::Cgroupfs => layout.mode,
        Manager::Disabled => Mode::None,
        Manager::Systemd => {
            let at = path.map_or(whole, Text::place);
            return Err(Fault::rule(Step::PlanCgroup, Rule::LaterSystemdCgroup, at));
        }
    };
    plan.warn = plan.mode == Mode::None && manager == Manager::Cgroupfs;
    let mut buffer = [0; PATH];
    let wanted = wanted(path, source.doc, id, &mut buffer)
        .map_err(|rule| Fault::rule(Step::PlanCgroup, rule, path.map_or(whole, Text::place)))?;
    if plan.mode != Mode::None {
        places(layout, wanted, arena, plan)?;
    }
    device_rules(source, resources, plan)
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
    match path.filter(|path| !path.is_empty()) {
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
fn device_rules(
    source: Source<'_>,
    resources: Option<&Resources>,
    plan: &mut CgroupPlan,
) -> Result<(), Fault> {
    let list: &[DeviceRule] =
        resources.map_or(&[][..], |all| all.devices.of(&source.pools.device_rules));
    // Where everything is allowed there is nothing to add, and what was taken out of it stays out.
    let last = list
        .iter()
        .rev()
        .map(device_rule)
        .find(devices::Rule::is_total);
    let usual = match last {
        Some(rule) if rule.allow => 0,
        _ => devices::DEFAULTS.len(),
    };
    let rules = list.iter().map(device_rule);
    let rules = rules.chain(devices::DEFAULTS.into_iter().take(usual));
    let fault = |rule, n| {
        let at = list
            .get(n)
            .map_or(At::Nothing, |it: &DeviceRule| At::Byte(it.at));
        Fault::rule(Step::PlanDevices, rule, at)
    };
    plan.program
        .compile(rules.clone())
        .ok_or(fault(Rule::Never, 0))?;
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
        let special = |rule: &DeviceRule| {
            let rule = device_rule(rule);
            rule.allow || !rule.is_total()
        };
        if let Some(n) = list.iter().position(special) {
            return Err(fault(Rule::DevicesNeedCgroups, n));
        }
        plan.warn |= plan.mode != Mode::None;
        Devices::Unrestricted
    };
    if plan.devices == Devices::Lists {
        plan.fold
            .make(rules)
            .map_err(|n| fault(Rule::DeviceSubset, n))?;
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

/// Refuses every limit that would have an effect: never silence.
fn refuse_limits(source: Source<'_>, resources: &Resources) -> Result<(), Fault> {
    let pools = source.pools;
    let memory = resources.memory.as_ref().filter(|it| limits_memory(it));
    let cpu = resources.cpu.as_ref().filter(|it| limits_cpu(it));
    let io = resources.block_io.as_ref().filter(|it| limits_io(it));
    let pids = resources.pids.as_ref();
    let pids = pids.filter(|it| it.limit.is_some_and(|limit| limit >= 0));
    let network = resources.network.as_ref();
    let network = network.filter(|it| it.class_id.unwrap_or(0) != 0 || !it.priorities.is_empty());
    let huge = resources.hugepage_limits.of(&pools.hugepage_limits);
    let rdma = resources.rdma.of(&pools.rdma);
    let unified = resources.unified.of(&pools.unified);
    let first = [
        memory.map(|it| At::Byte(it.at)),
        cpu.map(|it| At::Byte(it.at)),
        io.map(|it| At::Byte(it.at)),
        pids.map(|it| At::Byte(it.at)),
        network.map(|it| At::Byte(it.at)),
        huge.first().map(|it| At::Byte(it.at)),
        rdma.first().map(|it| At::Byte(it.at)),
        unified.first().map(|it| it.key.place()),
    ];
    match first.into_iter().flatten().next() {
        Some(at) => Err(Fault::rule(Step::PlanCgroup, Rule::LaterLimits, at)),
        None => Ok(()),
    }
}

/// Whether any of it limits something: −1 is no limit, 0 leaves a limit as it is.
fn limits_memory(memory: &Memory) -> bool {
    let sizes = [
        memory.limit,
        memory.reservation,
        memory.swap,
        memory.kernel,
        memory.kernel_tcp,
    ];
    sizes.iter().flatten().any(|size| *size > 0)
        || memory.swappiness.is_some()
        || memory.disable_oom_killer == Some(true)
}

fn limits_cpu(cpu: &Cpu) -> bool {
    let numbers = [cpu.shares, cpu.burst, cpu.period, cpu.realtime_period];
    let signed = [cpu.quota, cpu.realtime_runtime, cpu.idle];
    numbers.iter().flatten().any(|it| *it != 0)
        || signed.iter().flatten().any(|it| *it > 0)
        || cpu.cpus.is_some()
        || cpu.mems.is_some()
}

fn limits_io(io: &BlockIo) -> bool {
    let lists = [
        io.weight_devices,
        io.read_bps,
        io.write_bps,
        io.read_iops,
        io.write_iops,
    ];
    let weights = [io.weight, io.leaf_weight];
    lists.iter().any(|list| !list.is_empty()) || weights.iter().flatten().any(|it| *it != 0)
}

#[cfg(test)]
mod tests;
