//! From `mounts`, `root` and the paths to protect to a list of operations.
//!
//! Pure: options are read, paths are made absolute and clean, rules are checked. What only the root file system can tell
//! (a link that leads into /proc) is checked where it is found, in `rootfs/`.
#![forbid(unsafe_code)]

use linux_raw_sys::general as k;

use super::arena::Str;
use super::make::Source;
use super::op::{Kind, Mount, Op};
use super::options::{Flags, effect};
use super::paths::{push_host_path, push_path, push_text};
use super::{Plan, cgroup_mounts, devices};
use crate::config::{self, NamespaceKind, Propagation, Text};
use crate::error::{At, Fault, Rule, Step};
use crate::limits::Limit;

/// What becomes of the root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setup {
    /// Absolute path of the root on the host.
    pub path: Str,
    /// MS_* flags that "/" gets first.
    pub propagation: u32,
    /// How the root becomes "/".
    pub way: Way,
    /// The number of operations that come before pivot_root.
    pub before: u32,
    /// There are paths to mask.
    pub masks: bool,
}

impl Setup {
    /// The plain way, and nothing to do yet.
    pub const NONE: Self = Self {
        path: Str::EMPTY,
        propagation: 0,
        way: Way::Pivot,
        before: 0,
        masks: false,
    };
}

/// How the root becomes "/".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// pivot_root(2). First, because an empty plan is all zero and takes no room in the file.
    Pivot,
    /// MS_MOVE and chroot(2), asked for with --no-pivot.
    Move,
    /// chroot(2) alone: there is no mount namespace.
    Chroot,
}

/// The longest option that is looked up; all others are the file system's own.
const WORD: usize = 16;

/// Files of procfs that lxcfs and the like may cover.
const LXCFS: &[&[u8]] = &[
    b"cpuinfo",
    b"diskstats",
    b"meminfo",
    b"stat",
    b"swaps",
    b"uptime",
    b"loadavg",
    b"slabinfo",
    b"sys/kernel/ns_last_pid",
    b"sys/crypto/fips_enabled",
];

/// Fills `plan.root`, where --no-pivot is noted already, and `plan.ops`. The namespaces, cgroups and root path of the
/// plan are made.
///
/// # Errors
///
/// A rule at the value that broke it, a capacity.
pub fn make(source: Source<'_>, plan: &mut Plan) -> Result<(), Fault> {
    let Source { config, pools, doc } = source;
    let linux = config.linux.unwrap_or_default();
    plan.root.path = plan.rootfs;
    plan.root.masks = !linux.masked_paths.is_empty();
    if !plan.namespaces.own(NamespaceKind::Mount) {
        need_namespace(source)?;
        plan.root.way = Way::Chroot;
    } else {
        let (first, last) = propagation(linux.rootfs_propagation);
        plan.root.propagation = first;
        if plan.root.way == Way::Move && first & k::MS_PRIVATE != 0 && last == 0 {
            return Err(rule(Rule::PrivateNoPivot, At::Byte(linux.at)));
        }
    }
    for mount in config.mounts.of(&pools.mounts) {
        one(source, mount, plan)?;
    }
    devices::make(source, plan)?;
    if let Some(process) = &config.process
        && !process.cwd.is_empty()
    {
        let path = push_path(plan, process.cwd, doc)?;
        if plan.arena.bytes(path) != b"/" {
            push(plan, Op::Directory { path })?;
        }
    }
    plan.root.before = u32::try_from(plan.ops.len()).unwrap_or(u32::MAX);
    after(source, plan)
}

/// The operations after pivot_root.
fn after(source: Source<'_>, plan: &mut Plan) -> Result<(), Fault> {
    let Source { config, pools, doc } = source;
    let linux = config.linux.unwrap_or_default();
    let (_, last) = propagation(linux.rootfs_propagation);
    if last != 0 && plan.root.way != Way::Chroot {
        push(plan, Op::Propagation { flags: last })?;
    }
    for text in linux.readonly_paths.of(&pools.paths) {
        let path = push_path(plan, *text, doc)?;
        push(plan, Op::Readonly { path })?;
    }
    for text in linux.masked_paths.of(&pools.paths) {
        let path = push_path(plan, *text, doc)?;
        push(plan, Op::Mask { path })?;
    }
    // What had to stay writable until everything was made in it; the root comes last.
    for place in 0..plan.root.before as usize {
        if let Some(Op::Mount(mount)) = plan.ops.get(place)
            && mount.seal
        {
            let path = mount.target;
            push(plan, Op::Seal { path })?;
        }
    }
    if config.root.is_some_and(|root| root.readonly) {
        let path = plan.arena.push(b"/")?;
        push(plan, Op::Seal { path })?;
    }
    Ok(())
}

/// Without a mount namespace of its own a container cannot have mounts: they would be the host's.
fn need_namespace(source: Source<'_>) -> Result<(), Fault> {
    let Source { config, pools, .. } = source;
    let linux = config.linux.unwrap_or_default();
    let mount = config.mounts.of(&pools.mounts).first();
    let mount = mount.map(|mount| At::Byte(mount.at));
    let path = |list: config::List| list.of(&pools.paths).first().map(|text| text.place());
    let root = config.root.filter(|root| root.readonly);
    let at = mount
        .or_else(|| path(linux.masked_paths))
        .or_else(|| path(linux.readonly_paths))
        .or_else(|| root.map(|root| At::Byte(root.at)));
    match at {
        Some(at) => Err(rule(Rule::NeedsMountNamespace, at)),
        None => Ok(()),
    }
}

/// The flags that "/" gets first, and those that the container's "/" gets in the end. Unbindable cannot be first: the
/// root could not be mounted onto itself.
fn propagation(asked: Option<Propagation>) -> (u32, u32) {
    match asked {
        None | Some(Propagation::Slave | Propagation::RecSlave) => (k::MS_SLAVE | k::MS_REC, 0),
        Some(Propagation::Private | Propagation::RecPrivate) => (k::MS_PRIVATE | k::MS_REC, 0),
        Some(Propagation::Shared) => (k::MS_SHARED, k::MS_SHARED),
        Some(Propagation::RecShared) => (k::MS_SHARED | k::MS_REC, k::MS_SHARED | k::MS_REC),
        Some(Propagation::Unbindable) => (k::MS_PRIVATE | k::MS_REC, k::MS_UNBINDABLE),
        Some(Propagation::RecUnbindable) => {
            (k::MS_PRIVATE | k::MS_REC, k::MS_UNBINDABLE | k::MS_REC)
        }
    }
}

/// Plans one entry of `mounts`.
fn one(source: Source<'_>, entry: &config::Mount, plan: &mut Plan) -> Result<(), Fault> {
    let Source { pools, doc, .. } = source;
    let options = entry.options.of(&pools.mount_options);
    let at = At::Byte(entry.at);
    let mut flags = Flags::default();
    for option in options {
        if let Some(effect) = known(*option, doc)
            && !flags.add(effect)
        {
            return Err(rule(Rule::TooManyPropagations, option.place()));
        }
    }
    if flags.id_map || !entry.uid_mappings.is_empty() {
        return Err(rule(Rule::LaterIdMap, at));
    }
    let target = push_path(plan, entry.destination, doc)?;
    let kind = entry.kind.unwrap_or_default();
    let bind = flags.bind != 0;
    check_target(plan.arena.bytes(target), bind, kind.is(doc, b"proc"))
        .map_err(|broken| rule(broken, entry.destination.place()))?;
    let data = data(options, doc, plan)?;
    if bind && !data.is_empty() {
        let place = options.iter().find(|option| is_data(**option, doc));
        let place = place.map_or(at, |option| option.place());
        return Err(rule(Rule::BindHasData, place));
    }
    let mut mount = Mount {
        kind: Kind::New,
        recursive: flags.bind & k::MS_REC != 0,
        copy_up: flags.copy_up,
        inherit_mode: false,
        seal: false,
        target,
        source: Str::EMPTY,
        fstype: Str::EMPTY,
        data,
        set: flags.set,
        cleared: flags.cleared,
        rec_set: flags.rec_set,
        rec_clear: flags.rec_clear,
        propagation: flags.propagation,
    };
    if flags.remount {
        mount.kind = Kind::Remount;
        mount.set |= flags.bind & k::MS_BIND;
        return push(plan, Op::Mount(mount));
    }
    if bind {
        let text = entry.source.filter(|text| !text.is_empty());
        let text = text.ok_or(rule(Rule::BindNeedsSource, at))?;
        mount.kind = Kind::Bind;
        mount.source = push_host_path(plan, text, doc)?;
        return push(plan, Op::Mount(mount));
    }
    if kind.is_empty() {
        return Err(rule(Rule::MountNeedsType, at));
    }
    if kind.is(doc, b"bind") {
        return Err(rule(Rule::TypeBind, kind.place()));
    }
    new(source, entry, kind, mount, plan)
}

/// Plans a new file system.
fn new(
    source: Source<'_>,
    entry: &config::Mount,
    kind: Text,
    mut mount: Mount,
    plan: &mut Plan,
) -> Result<(), Fault> {
    let Source { pools, doc, .. } = source;
    mount.fstype = push_text(plan, kind, doc)?;
    let given = entry.source.filter(|text| !text.is_empty());
    mount.source = match given {
        Some(text) => push_text(plan, text, doc)?,
        None => mount.fstype,
    };
    let fstype = plan.arena.bytes(mount.fstype);
    let tmpfs = fstype == b"tmpfs";
    match fstype {
        b"proc" => mount.kind = Kind::Proc,
        b"sysfs" => mount.kind = Kind::Sysfs,
        b"cgroup" => return cgroup_mounts::plan(mount, plan),
        _ => {}
    }
    if mount.copy_up && !tmpfs {
        return Err(rule(Rule::CopyUpTmpfs, At::Byte(entry.at)));
    }
    if tmpfs {
        let options = entry.options.of(&pools.mount_options);
        mount.inherit_mode = !options
            .iter()
            .any(|option| option.bytes(doc).take(5).eq(*b"mode="));
    }
    // Mount points and nodes are made in it before it can be read-only.
    if mount.set & k::MS_RDONLY != 0 && (tmpfs || plan.arena.bytes(mount.target) == b"/dev") {
        mount.set &= !k::MS_RDONLY;
        mount.seal = true;
    }
    push(plan, Op::Mount(mount))
}

/// Where nothing may be mounted: "/", and /proc for anything but procfs and the files that lxcfs gives. Whether what is
/// bound on /proc is a procfs is seen when it is opened.
fn check_target(target: &[u8], bind: bool, proc: bool) -> Result<(), Rule> {
    if target == b"/" {
        return Err(Rule::MountOnRoot);
    }
    let Some(rest) = target.strip_prefix(b"/proc") else {
        return Ok(());
    };
    match rest {
        b"" if proc || bind => Ok(()),
        b"" => Err(Rule::OnlyProcOnProc),
        [b'/', file @ ..] if !LXCFS.contains(&file) => Err(Rule::OnlyLxcfsInProc),
        _ => Ok(()),
    }
}

/// What an option does, when it is not the file system's own.
fn known(option: Text, doc: &[u8]) -> Option<super::options::Effect> {
    let mut word = [0; WORD];
    let mut length = 0;
    for byte in option.bytes(doc) {
        *word.get_mut(length)? = byte;
        length += 1;
    }
    effect(word.get(..length)?)
}

/// Whether an option goes to the file system; an empty one says nothing.
fn is_data(option: Text, doc: &[u8]) -> bool {
    !option.is_empty() && known(option, doc).is_none()
}

/// The options of the file system, joined with commas.
fn data(options: &[Text], doc: &[u8], plan: &mut Plan) -> Result<Str, Fault> {
    let mut own = options.iter().filter(|option| is_data(**option, doc));
    let Some(first) = own.next() else {
        return Ok(Str::EMPTY);
    };
    let rest = own.flat_map(|option| core::iter::once(b',').chain(option.bytes(doc)));
    let all = plan.arena.push_iter(first.bytes(doc).chain(rest));
    all.map_err(|fault| fault.or_at(first.place()))
}

/// Adds an operation.
pub(super) fn push(plan: &mut Plan, op: Op) -> Result<(), Fault> {
    let full = Fault::limit(Step::MakePlan, Limit::OPS, At::Nothing);
    plan.ops.push(op).map_err(|_| full)
}

fn rule(rule: Rule, at: At) -> Fault {
    Fault::rule(Step::MakePlan, rule, at)
}

#[cfg(test)]
mod tests;
