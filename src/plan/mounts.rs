//! From `mounts`, `root` and the paths to protect to a list of operations.
//!
//! Pure: options are read, paths are made absolute and clean, rules are checked. What only the root file system can tell
//! (a link that leads into /proc) is checked where it is found, in `rootfs/`.
#![forbid(unsafe_code)]

use linux_raw_sys::general as k;

use super::arena::{Arena, Str};
use super::draft::Draft;
use super::make::Source;
use super::op::{Kind, Mount, Op};
use super::options::{Flags, effect};
use super::{cgroup_mounts, devices, id_map, service};
use crate::config::{self, Linux, NamespaceKind, Propagation, Text};
use crate::error::{At, Fault, Rule, Step};
use crate::limits::FULL;

/// What becomes of the root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setup {
    /// Absolute path of the root on the host.
    pub path: Str,
    /// The way there from the working directory, the bundle: what is above that may be closed to a mapped user.
    pub near: Str,
    /// MS_* flags that "/" gets first.
    pub propagation: u32,
    /// How the root becomes "/".
    pub way: Way,
    /// The number of operations that come before pivot_root.
    pub before: u32,
    /// There are paths to mask.
    pub masks: bool,
    /// There are sources that init may not reach, or whose ids it cannot map: the parent does.
    pub asks: bool,
}

impl Setup {
    /// The plain way, and nothing to do yet.
    pub const NONE: Self = Self {
        path: Str::EMPTY,
        near: Str::EMPTY,
        propagation: 0,
        way: Way::Pivot,
        before: 0,
        masks: false,
        asks: false,
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
/// A rule at the value that broke it.
pub fn make(draft: &mut Draft<'_>) -> Result<(), Fault> {
    let Source { config, pools, .. } = draft.source;
    let none = Linux::default();
    let linux = config.linux.as_ref().unwrap_or(&none);
    let root = &mut draft.plan.root;
    root.path = draft.plan.rootfs;
    root.near = near(
        &draft.plan.arena,
        draft.plan.bundle,
        draft.plan.rootfs,
        draft.plan.namespaces.joined(NamespaceKind::Mount),
    );
    root.masks = !linux.masked_paths.is_empty();
    let (first, last) = propagation(linux.rootfs_propagation);
    if draft.plan.namespaces.own(NamespaceKind::Mount) {
        root.propagation = first;
        if root.way == Way::Move && first & k::MS_PRIVATE != 0 && last == 0 {
            return Err(rule(Rule::PrivateNoPivot, At::Byte(linux.at)));
        }
    } else {
        need_namespace(draft.source, linux)?;
        root.way = Way::Chroot;
    }
    for mount in config.mounts.of(&pools.mounts) {
        one(draft, mount)?;
    }
    service::directory(draft);
    devices::make(draft, linux);
    if let Some(process) = &config.process
        && !process.cwd.is_empty()
    {
        let path = draft.path(process.cwd);
        if draft.plan.arena.bytes(path) != b"/" {
            draft.op(Op::Directory { path });
        }
    }
    let before = draft.plan.ops.len();
    draft.plan.root.before = u32::try_from(before).unwrap_or(u32::MAX);
    if last != 0 && draft.plan.root.way != Way::Chroot {
        draft.op(Op::Propagation { flags: last });
    }
    after(draft, linux);
    Ok(())
}

/// The path of the root from the bundle, if it is below that, and the working directory still is the bundle.
fn near<const N: usize>(arena: &Arena<N>, bundle: Str, root: Str, joined: bool) -> Str {
    let rest = arena.bytes(root).strip_prefix(arena.bytes(bundle));
    match rest {
        Some([b'/', first, ..]) if *first != b'/' && !joined && !bundle.is_empty() => Str {
            at: root.at + bundle.len + 1,
            len: root.len - bundle.len - 1,
        },
        _ => root,
    }
}

/// The operations after pivot_root on single paths.
fn after(draft: &mut Draft<'_>, linux: &Linux) {
    let Source { config, pools, .. } = draft.source;
    for text in linux.readonly_paths.of(&pools.paths) {
        let path = draft.path(*text);
        draft.op(Op::Readonly { path });
    }
    for text in linux.masked_paths.of(&pools.paths) {
        let path = draft.path(*text);
        draft.op(Op::Mask { path });
    }
    seals(draft);
    if config.root.is_some_and(|root| root.readonly) {
        let path = draft.plan.arena.push(b"/");
        draft.op(Op::Seal { path });
    }
}

/// What had to stay writable until everything was made in it; the root comes last.
pub(super) fn seals(draft: &mut Draft<'_>) {
    for place in 0..draft.plan.ops.len() {
        if let Some(Op::Mount(mount)) = draft.plan.ops.get(place)
            && mount.seal
        {
            let path = mount.target;
            draft.op(Op::Seal { path });
        }
    }
}

/// Without a mount namespace of its own a container cannot have mounts: they would be the host's.
fn need_namespace(source: Source<'_>, linux: &Linux) -> Result<(), Fault> {
    let Source { config, pools, .. } = source;
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
pub(super) fn one(draft: &mut Draft<'_>, entry: &config::Mount) -> Result<(), Fault> {
    let doc = draft.source.doc;
    let at = At::Byte(entry.at);
    let (flags, data, foreign) = options(draft, entry);
    let target = draft.path(entry.destination);
    let kind = entry.kind.unwrap_or_default();
    let bind = flags.bind != 0;
    check_target(draft.plan.arena.bytes(target), bind, kind.is(doc, b"proc"))
        .map_err(|broken| rule(broken, entry.destination.place()))?;
    if let Some(option) = foreign
        && bind
    {
        return Err(rule(Rule::BindHasData, option));
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
        id_map: id_map::of(draft, entry, flags)?,
    };
    let given = entry.source.filter(|text| !text.is_empty());
    if flags.remount {
        mount.kind = Kind::Remount;
        mount.set |= flags.bind & k::MS_BIND;
    } else if bind {
        mount.kind = Kind::Bind;
        let text = given.ok_or(rule(Rule::BindNeedsSource, at))?;
        mount.source = draft.host_path(text);
        draft.plan.root.asks |= FULL && (draft.plan.namespaces.aided || mount.id_map.is_some());
    } else if kind.is_empty() {
        return Err(rule(Rule::MountNeedsType, at));
    } else if kind.is(doc, b"bind") {
        return Err(rule(Rule::TypeBind, kind.place()));
    } else {
        mount.fstype = draft.text(kind);
        mount.source = match given {
            Some(text) => draft.text(text),
            None => mount.fstype,
        };
        return new(draft, entry, mount);
    }
    draft.op(Op::Mount(mount));
    Ok(())
}

/// Plans a new file system.
#[inline(never)] // its locals would lie in the frame of its caller
fn new(draft: &mut Draft<'_>, entry: &config::Mount, mut mount: Mount) -> Result<(), Fault> {
    let Source { pools, doc, .. } = draft.source;
    let arena = &draft.plan.arena;
    let fstype = arena.bytes(mount.fstype);
    let tmpfs = fstype == b"tmpfs";
    if fstype == b"cgroup" {
        cgroup_mounts::plan(draft, mount);
        return Ok(());
    }
    if fstype == b"proc" {
        mount.kind = Kind::Proc;
    }
    if fstype == b"sysfs" {
        mount.kind = Kind::Sysfs;
    }
    if mount.copy_up && !tmpfs {
        return Err(rule(Rule::CopyUpTmpfs, At::Byte(entry.at)));
    }
    if mount.copy_up && !FULL {
        return Err(rule(Rule::NotInThisBuild, At::Byte(entry.at)));
    }
    if tmpfs {
        let options = entry.options.of(&pools.mount_options);
        mount.inherit_mode = !options
            .iter()
            .any(|option| option.bytes(doc).take(5).eq(*b"mode="));
    }
    // Mount points and nodes are made in it before it can be read-only.
    if mount.set & k::MS_RDONLY != 0 && (tmpfs || arena.bytes(mount.target) == b"/dev") {
        mount.set &= !k::MS_RDONLY;
        mount.seal = true;
    }
    let label = mount_label(draft.source.config).filter(|_| fstype == MQUEUE);
    draft.op(Op::Mount(mount));
    if let Some(label) = label {
        let text = draft.text(label);
        draft.op(Op::Label {
            path: mount.target,
            text,
        });
    }
    Ok(())
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

/// Reads the options of a mount: the flags; those of the file system, joined with commas; the place of the first of them.
fn options(draft: &mut Draft<'_>, entry: &config::Mount) -> (Flags, Str, Option<At>) {
    let Source { pools, doc, .. } = draft.source;
    let mut flags = Flags::default();
    let mut foreign: Option<At> = None;
    for option in entry.options.of(&pools.mount_options) {
        match known(*option, doc) {
            Some(effect) => {
                if !flags.add(effect) {
                    draft.refuse(Rule::TooManyPropagations, option.place());
                }
            }
            // It says nothing.
            None if option.is_empty() => {}
            None => {
                if foreign.is_some() {
                    draft.plan.arena.add(b',');
                }
                foreign = foreign.or(Some(option.place()));
                draft.put(*option);
            }
        }
    }
    if flags.bind == 0 && !flags.remount {
        context(draft, entry);
    }
    let data = match foreign {
        Some(at) => draft.plan.arena.close(at),
        None if draft.plan.arena.open().is_empty() => Str::EMPTY,
        None => draft.plan.arena.close(At::Byte(entry.at)),
    };
    (flags, data, foreign)
}

/// The SELinux label, as an option behind the others: for what has one for all of its files.
fn context(draft: &mut Draft<'_>, entry: &config::Mount) {
    const OTHERS: [&[u8]; 4] = [b"proc", b"sysfs", b"cgroup", MQUEUE];
    let Source { config, doc, .. } = draft.source;
    let kind = entry.kind.unwrap_or_default();
    if let Some(label) = mount_label(config)
        && !OTHERS.iter().any(|other| kind.is(doc, other))
    {
        if !draft.plan.arena.open().is_empty() {
            draft.plan.arena.add(b',');
        }
        // In quotes: a label may have commas.
        draft.plan.arena.put(b"context=\"");
        draft.put(label);
        draft.plan.arena.add(b'"');
    }
}

/// The label of its root says what files in it get.
const MQUEUE: &[u8] = b"mqueue";

fn mount_label(config: &config::Config) -> Option<Text> {
    let label = config.linux.as_ref()?.mount_label?;
    (!label.is_empty()).then_some(label)
}

pub(super) fn rule(rule: Rule, at: At) -> Fault {
    Fault::rule(Step::MakePlan, rule, at)
}

#[cfg(test)]
mod tests;
