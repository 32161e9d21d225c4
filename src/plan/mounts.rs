//! From `mounts`, `root` and the paths to protect to a list of operations.
//!
//! Pure: options are read, paths are made absolute and clean, rules are checked. What only the root file system can tell
//! (a link that leads into /proc) is checked where it is found, in `rootfs/`.
#![forbid(unsafe_code)]

use linux_raw_sys::general as k;

use super::Plan;
use super::arena::Str;
use super::devices;
use super::make::Source;
use super::op::{Below, Kind, Mount, Op};
use super::options::{Flags, effect};
use crate::cgroup::{Kinds, Mode};
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

/// The flags of the cgroup hierarchies.
const PLAIN: u32 = k::MS_NOSUID | k::MS_NODEV | k::MS_NOEXEC;

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
        b"cgroup" => return cgroup(mount, plan),
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

/// Plans a mount of type `cgroup`: whatever the host has.
fn cgroup(mut mount: Mount, plan: &mut Plan) -> Result<(), Fault> {
    mount.data = Str::EMPTY;
    match plan.cgroup.mode {
        Mode::V2 => {
            mount.kind = Kind::Cgroup2;
            mount.fstype = plan.arena.push(b"cgroup2")?;
            mount.source = match plan.cgroup.hierarchies.get(0) {
                Some(row) => plan.arena.push(row.dir.to_bytes())?,
                None => plan.arena.push(b"/sys/fs/cgroup")?,
            };
            mount.recursive = true;
            push(plan, Op::Mount(mount))
        }
        // Nothing to show: an empty directory, so that nothing of the host shows through (CVE-2023-25809).
        Mode::None => {
            tmpfs(&mut mount, plan)?;
            mount.seal = true;
            push(plan, Op::Mount(mount))
        }
        Mode::V1 => {
            let readonly = mount.set & k::MS_RDONLY;
            tmpfs(&mut mount, plan)?;
            mount.kind = Kind::Base;
            mount.seal = readonly != 0;
            push(plan, Op::Mount(mount))?;
            for place in 0..plan.cgroup.hierarchies.len() {
                hierarchy(place, PLAIN | readonly, plan)?;
            }
            Ok(())
        }
    }
}

/// The tmpfs at /sys/fs/cgroup.
fn tmpfs(mount: &mut Mount, plan: &mut Plan) -> Result<(), Fault> {
    mount.fstype = plan.arena.push(b"tmpfs")?;
    mount.source = mount.fstype;
    mount.data = plan.arena.push(b"mode=755")?;
    mount.set = mount.set & !k::MS_RDONLY | PLAIN;
    Ok(())
}

/// One v1 hierarchy in it, under the name that it has on the host; with links for controllers that share it.
fn hierarchy(place: usize, set: u32, plan: &mut Plan) -> Result<(), Fault> {
    let own = plan.namespaces.own(NamespaceKind::Cgroup);
    let Plan { arena, cgroup, .. } = &mut *plan;
    let Some(row) = cgroup.hierarchies.get(place) else {
        return Ok(());
    };
    if row.kinds.has(Kinds::UNIFIED) {
        return Ok(());
    }
    let name = row.mount.rsplit(|byte| *byte == b'/').next();
    let name = arena.push(name.unwrap_or(row.mount))?;
    let below = if own {
        // A new mount of the hierarchy shows the namespace's part of it.
        let title = row.controllers.strip_prefix(b"name=");
        Below {
            name,
            source: arena.push(title.unwrap_or(b"cgroup"))?,
            fstype: arena.push(b"cgroup")?,
            data: arena.push(row.controllers)?,
            set,
        }
    } else {
        Below {
            name,
            source: arena.push(row.dir.to_bytes())?,
            fstype: Str::EMPTY,
            data: Str::EMPTY,
            set,
        }
    };
    let mut links = heapless::Vec::<Str, 16>::new();
    if row.controllers.contains(&b',') {
        for controller in row.controllers.split(|byte| *byte == b',') {
            // More than sixteen controllers do not exist.
            let _ = links.push(arena.push(controller)?);
        }
    }
    push(plan, Op::Below(below))?;
    for link in links {
        let (name, text) = (link, below.name);
        if plan.arena.bytes(name) != plan.arena.bytes(text) {
            push(plan, Op::LinkBelow { name, text })?;
        }
    }
    Ok(())
}

/// Where nothing may be mounted: "/", and /proc for anything but procfs and the files that lxcfs gives. A bind mount on
/// /proc itself is refused: whether its source is a procfs, and whose, nobody would know later.
fn check_target(target: &[u8], bind: bool, proc: bool) -> Result<(), Rule> {
    if target == b"/" {
        return Err(Rule::MountOnRoot);
    }
    let Some(rest) = target.strip_prefix(b"/proc") else {
        return Ok(());
    };
    match rest {
        b"" if proc && !bind => Ok(()),
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

/// Adds a path of the container: absolute and cleaned.
pub(super) fn push_path(plan: &mut Plan, text: Text, doc: &[u8]) -> Result<Str, Fault> {
    let mut path = Path::new();
    for byte in text.bytes(doc) {
        path.byte(byte);
    }
    match path.finish() {
        Some(bytes) => plan
            .arena
            .push(bytes)
            .map_err(|fault| fault.or_at(text.place())),
        None => Err(rule(Rule::PathTooLong, text.place())),
    }
}

/// Adds a path of the host: absolute, or below the bundle. Its links and ".." are the host's affair.
fn push_host_path(plan: &mut Plan, text: Text, doc: &[u8]) -> Result<Str, Fault> {
    if text.starts_with(doc, b'/') {
        return push_text(plan, text, doc);
    }
    let mut prefix = [0; PATH];
    let bundle = plan.arena.bytes(plan.bundle);
    let length = bundle.len();
    let too_long = rule(Rule::PathTooLong, text.place());
    prefix
        .get_mut(..length)
        .ok_or(too_long)?
        .copy_from_slice(bundle);
    let prefix = prefix.iter().take(length).copied();
    let whole = prefix.chain(*b"/").chain(text.bytes(doc));
    let pushed = plan.arena.push_iter(whole);
    pushed.map_err(|fault| fault.or_at(text.place()))
}

fn push_text(plan: &mut Plan, text: Text, doc: &[u8]) -> Result<Str, Fault> {
    super::route::push(&mut plan.arena, text, doc)
}

/// Adds an operation.
pub(super) fn push(plan: &mut Plan, op: Op) -> Result<(), Fault> {
    let full = Fault::limit(Step::MakePlan, Limit::OPS, At::Nothing);
    plan.ops.push(op).map_err(|_| full)
}

fn rule(rule: Rule, at: At) -> Fault {
    Fault::rule(Step::MakePlan, rule, at)
}

/// PATH_MAX of the kernel.
const PATH: usize = 4096;

/// A path being cleaned, as text: absolute, no empty component, no ".", and ".." takes back the one before. Links are
/// not known here, so that ".." behind one means what it says, as in other runtimes.
struct Path {
    bytes: [u8; PATH],
    length: usize,
    /// The slash before the component being read.
    start: usize,
    fits: bool,
}

impl Path {
    fn new() -> Self {
        let mut bytes = [0; PATH];
        if let Some(first) = bytes.first_mut() {
            *first = b'/';
        }
        Self {
            bytes,
            length: 1,
            start: 0,
            fits: true,
        }
    }

    fn byte(&mut self, byte: u8) {
        if byte == b'/' {
            self.close();
            self.start = self.length;
        }
        // One byte is left for the NUL.
        match self.bytes.get_mut(self.length) {
            Some(place) if self.length + 1 < PATH => *place = byte,
            _ => self.fits = false,
        }
        self.length += usize::from(self.fits);
    }

    /// Ends a component.
    fn close(&mut self) {
        match self.bytes.get(self.start + 1..self.length) {
            Some(b"" | b".") => self.length = self.start,
            Some(b"..") => {
                let before = self.bytes.get(..self.start).unwrap_or(&[]);
                self.length = before.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
            }
            _ => {}
        }
    }

    /// The whole; `None` when it does not fit.
    fn finish(&mut self) -> Option<&[u8]> {
        self.close();
        if self.length == 0 {
            return Some(b"/");
        }
        self.bytes.get(..self.length).filter(|_| self.fits)
    }
}

#[cfg(test)]
mod tests {
    use super::{Path, check_target, k, propagation};
    use crate::config::Propagation;
    use crate::error::Rule;

    fn clean(path: &str) -> Option<String> {
        let mut cleaned = Path::new();
        for byte in path.bytes() {
            cleaned.byte(byte);
        }
        let bytes = cleaned.finish()?;
        Some(String::from_utf8(bytes.to_vec()).unwrap())
    }

    #[test]
    fn paths_are_cleaned() {
        let table = [
            ("/dev/pts", "/dev/pts"),
            ("dev//pts/", "/dev/pts"),
            ("/./proc/", "/proc"),
            ("/proc/../proc", "/proc"),
            ("/..", "/"),
            ("/a/b/../../../c", "/c"),
            ("/a/..", "/"),
            ("/a/...", "/a/..."),
            ("/a/.b/..c", "/a/.b/..c"),
            ("", "/"),
            (".", "/"),
            ("..", "/"),
            ("//", "/"),
            ("a", "/a"),
        ];
        for (path, want) in table {
            assert_eq!(clean(path).as_deref(), Some(want), "{path}");
        }
        let longest = format!("/{}", "x".repeat(4094));
        assert_eq!(clean(&longest).as_deref(), Some(&longest[..]));
        assert_eq!(clean(&format!("{longest}x")), None);
    }

    #[test]
    fn targets() {
        let table: [(&str, bool, bool, Result<(), Rule>); 16] = [
            ("/", false, false, Err(Rule::MountOnRoot)),
            ("/", true, false, Err(Rule::MountOnRoot)),
            ("/proc", false, true, Ok(())),
            ("/proc", false, false, Err(Rule::OnlyProcOnProc)),
            ("/proc", true, false, Err(Rule::OnlyProcOnProc)),
            ("/proc", true, true, Err(Rule::OnlyProcOnProc)),
            ("/proc/self", true, false, Err(Rule::OnlyLxcfsInProc)),
            ("/proc/sys", false, false, Err(Rule::OnlyLxcfsInProc)),
            ("/proc/1/attr", true, false, Err(Rule::OnlyLxcfsInProc)),
            ("/proc/cpuinfo/x", true, false, Err(Rule::OnlyLxcfsInProc)),
            ("/proc/cpuinfo", true, false, Ok(())),
            ("/proc/sys/kernel/ns_last_pid", true, false, Ok(())),
            ("/proc/sys/crypto/fips_enabled", true, false, Ok(())),
            ("/procfs", true, false, Ok(())),
            ("/sys", false, false, Ok(())),
            ("/data/proc", false, true, Ok(())),
        ];
        for (target, bind, proc, want) in table {
            assert_eq!(
                check_target(target.as_bytes(), bind, proc),
                want,
                "{target}"
            );
        }
    }

    #[test]
    fn the_first_propagation_never_is_unbindable() {
        use Propagation::{Private, RecShared, RecUnbindable, Shared, Slave};
        let slave = k::MS_SLAVE | k::MS_REC;
        let private = k::MS_PRIVATE | k::MS_REC;
        assert_eq!(propagation(None), (slave, 0));
        assert_eq!(propagation(Some(Slave)), (slave, 0));
        assert_eq!(propagation(Some(Private)), (private, 0));
        assert_eq!(propagation(Some(Shared)), (k::MS_SHARED, k::MS_SHARED));
        let shared = k::MS_SHARED | k::MS_REC;
        assert_eq!(propagation(Some(RecShared)), (shared, shared));
        let last = k::MS_UNBINDABLE | k::MS_REC;
        assert_eq!(propagation(Some(RecUnbindable)), (private, last));
    }
}
