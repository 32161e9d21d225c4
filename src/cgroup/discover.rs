//! What the host has, asked once: by a few look-ups where everything is in its usual place, else from mountinfo.
//!
//! The usual place: the runtime is in the initial cgroup namespace, and below /sys/fs/cgroup is either one v2 hierarchy
//! or one directory per line of /proc/self/cgroup, named after its controllers. mountinfo grows with every container on
//! the host (25 reads for 1000 mounts), so it is only read where that is not so.
#![forbid(unsafe_code)]

use super::prepare::parent;
use super::{Hierarchies, Kinds, Layout, Mode, io};
use crate::error::{At, Context, Errno, Fault, Place, Rule, Step};
use crate::limits::{ANY_KERNEL, CGROUP_BYTES, Limit};
use crate::sys::OwnedFd;
use crate::sys::file::read_file;
use crate::sys::memory::TakeOnce;
use crate::sys::path::fs_type;
use crate::text::pieces;
use rustix::fs::{Access, AtFlags, CWD, statat};

/// Text of /proc/self/cgroup in the first half, a piece of mountinfo in the second.
static TEXT: TakeOnce<[u8; 2 * CGROUP_BYTES]> = TakeOnce::new([0; 2 * CGROUP_BYTES]);

const ROOT: &[u8] = b"/sys/fs/cgroup";
/// Magic numbers of statfs(2), linux/magic.h.
const CGROUP: u32 = 0x0027_e0eb;
const CGROUP2: u32 = 0x6367_7270;
const TMPFS: u32 = 0x0102_1994;
/// Inode of the initial cgroup namespace, linux/proc_ns.h.
const INITIAL_NAMESPACE: u64 = 0xefff_fffb;
/// Inode of the root of a cgroup file system: a mount of a part of it has another.
const ROOT_INODE: u64 = 1;

/// Fills in an empty layout. Once per process.
///
/// # Errors
///
/// /proc/self/cgroup or mountinfo that cannot be read; the limits CGROUP_BYTES and CGROUP_HIERARCHIES. A host without
/// cgroups, or without /proc, is no error.
#[inline(never)] // its locals would lie in the frame of its caller
pub fn discover(layout: &mut Layout) -> Result<(), Fault> {
    let text = TEXT.take();
    let text = text.ok_or(Fault::rule(Step::FindCgroups, Rule::Never, At::Nothing))?;
    discover_with(layout, text)
}

pub(super) fn discover_with(layout: &mut Layout, text: &mut [u8]) -> Result<(), Fault> {
    layout.mode = Mode::None;
    layout.hierarchies.clear();
    let (own, lines) = text.split_at_mut(CGROUP_BYTES);
    let own = match read_file(CWD, c"/proc/self/cgroup", own) {
        Ok(own) if own.len() == CGROUP_BYTES => {
            let at = At::Place(Place::Proc);
            return Err(Fault::limit(Step::FindCgroups, Limit::CGROUP_BYTES, at));
        }
        Ok(own) => own,
        Err(Errno::NOENT) => return Ok(()),
        Err(errno) => return Err(errno).step_at(Step::FindCgroups, At::Place(Place::Proc)),
    };
    let root = io::open_dir(c"/sys/fs/cgroup").ok();
    let kind = root.as_ref().and_then(|root| fs_type(root).ok());
    if !ANY_KERNEL {
        return only_v2(layout, own, kind);
    }
    if let (Some(root), Some(CGROUP2 | TMPFS), true) = (&root, kind, in_initial_namespace()) {
        let usual = if kind == Some(CGROUP2) {
            usual_v2(layout, own, root)
        } else {
            usual_v1(layout, own, root)
        };
        if usual? {
            return Ok(());
        }
    }
    layout.hierarchies.clear();
    search(layout, own, lines, kind == Some(CGROUP2))
}

/// Without cgroup namespaces (before 4.6) there is only the initial one.
fn in_initial_namespace() -> bool {
    match statat(CWD, c"/proc/self/ns/cgroup", AtFlags::empty()) {
        Ok(stat) => stat.st_ino == INITIAL_NAMESPACE,
        Err(errno) => errno == Errno::NOENT,
    }
}

/// In the smallest program: one v2 hierarchy in the usual place, or none. The runtime's own cgroup is as its namespace
/// shows it.
fn only_v2(layout: &mut Layout, own: &[u8], kind: Option<u32>) -> Result<(), Fault> {
    let rows = || entries(own).filter(|(controllers, _)| controllers.is_empty());
    match (kind, rows().next()) {
        (Some(CGROUP2), Some((_, path))) => {
            layout.mode = Mode::V2;
            layout.hierarchies.push(b"", ROOT, &[path])
        }
        (Some(TMPFS), _) => {
            let at = At::Place(Place::CgroupRoot);
            Err(Fault::rule(Step::FindCgroups, Rule::OnlyCgroup2, at))
        }
        _ => Ok(()),
    }
}

fn usual_v2(layout: &mut Layout, own: &[u8], root: &OwnedFd) -> Result<bool, Fault> {
    let Some((_, path)) = entries(own).find(|(controllers, _)| controllers.is_empty()) else {
        return Ok(false);
    };
    if io::inode(root) != Ok(ROOT_INODE) {
        return Ok(false);
    }
    layout.mode = Mode::V2;
    layout.hierarchies.push(b"", ROOT, &[path])?;
    Ok(true)
}

fn usual_v1(layout: &mut Layout, own: &[u8], root: &OwnedFd) -> Result<bool, Fault> {
    let mut controllers_found = false;
    for (controllers, path) in entries(own) {
        let kinds = Kinds::of(controllers);
        let name: &[u8] = if kinds.has(Kinds::UNIFIED) {
            b"unified"
        } else {
            controllers.strip_prefix(b"name=").unwrap_or(controllers)
        };
        let found = statat(root, name, AtFlags::SYMLINK_NOFOLLOW);
        if !found.is_ok_and(|stat| stat.st_ino == ROOT_INODE) {
            // The v2 hierarchy always exists and need not be mounted; a v1 hierarchy is mounted somewhere.
            if kinds.has(Kinds::UNIFIED) {
                continue;
            }
            return Ok(false);
        }
        controllers_found |= !kinds.has(Kinds::NAMED) && !kinds.has(Kinds::UNIFIED);
        let list = &mut layout.hierarchies;
        list.push_pieces(controllers, &[ROOT, b"/", name], &[path])?;
    }
    layout.mode = Mode::V1;
    Ok(controllers_found)
}

/// The lines `id:controllers:path` of /proc/self/cgroup. "/" is given as the empty path; so is a path outside of the
/// cgroup namespace ("/../x"), which no mount here can reach.
fn entries(own: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    pieces(own, b'\n').filter_map(|line| {
        let mut fields = pieces(line, b':');
        let controllers = fields.nth(1)?;
        let path = fields.rest()?;
        let outside = path == b"/" || path == b"/.." || path.starts_with(b"/../");
        Some((controllers, if outside { b"" } else { path }))
    })
}

/// Reads mountinfo. `unified` when /sys/fs/cgroup is a v2 hierarchy: then that one alone counts.
fn search(layout: &mut Layout, own: &[u8], buffer: &mut [u8], unified: bool) -> Result<(), Fault> {
    let at = At::Place(Place::Proc);
    let file = match io::open(CWD, c"/proc/self/mountinfo") {
        Ok(file) => file,
        Err(Errno::NOENT) => return Ok(()),
        Err(errno) => return Err(errno).step_at(Step::FindCgroups, at),
    };
    let list = &mut layout.hierarchies;
    io::lines(&file, buffer, |line| match mount(line) {
        Some(found) if !unified || found.point == ROOT && found.v2 => consider(list, own, &found),
        _ => Ok(()),
    })
    .map_err(|fault| fault.or_at(at))?;
    layout.mode = match () {
        () if list.is_empty() => Mode::None,
        () if list.iter().all(|row| row.kinds.has(Kinds::UNIFIED)) => Mode::V2,
        () => Mode::V1,
    };
    Ok(())
}

/// A mounted cgroup file system.
#[derive(Debug, PartialEq, Eq)]
struct Mount<'a> {
    v2: bool,
    /// The directory of the file system that is mounted.
    root: &'a [u8],
    point: &'a [u8],
    /// Comma-separated; the controllers are among them.
    options: &'a [u8],
}

/// Reads a line of mountinfo (man 5 proc); `None` for other file systems. Decodes its paths in place.
fn mount(line: &mut [u8]) -> Option<Mount<'_>> {
    let dash = line.windows(3).position(|window| window == b" - ")?;
    let (before, after) = line.split_at_mut_checked(dash)?;
    let mut words = pieces(after.get(3..)?, b' ');
    let kind = words.next()?;
    let v2 = kind == b"cgroup2";
    if !v2 && kind != b"cgroup" {
        return None;
    }
    let options = words.nth(1)?;
    let mut words = before.split_mut(|byte| *byte == b' ');
    let root = unescape(words.nth(3)?);
    let point = unescape(words.next()?);
    Some(Mount {
        v2,
        root,
        point,
        options,
    })
}

/// Turns `\ooo` into bytes, in place.
fn unescape(text: &mut [u8]) -> &[u8] {
    let (mut from, mut to) = (0, 0);
    while let Some(&byte) = text.get(from) {
        let octal = match text.get(from..from + 4) {
            Some(&[b'\\', a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7']) => {
                Some((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'))
            }
            _ => None,
        };
        from += if octal.is_some() { 4 } else { 1 };
        if let Some(slot) = text.get_mut(to) {
            *slot = octal.unwrap_or(byte);
        }
        to += 1;
    }
    text.get(..to).unwrap_or(&[])
}

/// Adds a mount whose hierarchy has no row yet and which nothing hides.
fn consider(list: &mut Hierarchies, own: &[u8], found: &Mount<'_>) -> Result<(), Fault> {
    let named = |controllers: &[u8]| match pieces(controllers, b',').next() {
        Some(b"") | None => found.v2,
        Some(first) => !found.v2 && pieces(found.options, b',').any(|option| option == first),
    };
    let Some((controllers, path)) = entries(own).find(|(controllers, _)| named(controllers)) else {
        return Ok(());
    };
    let known = list.iter().any(|row| row.controllers == controllers);
    let magic = if found.v2 { CGROUP2 } else { CGROUP };
    let visible = io::open_dir(found.point).and_then(fs_type) == Ok(magic);
    if known || !visible || !found.point.starts_with(b"/") {
        return Ok(());
    }
    list.push(controllers, found.point, &[below(path, found.root)])
}

/// The runtime's own cgroup as seen below a mount of `root`; the mount point itself where it is not below.
fn below<'a>(path: &'a [u8], root: &[u8]) -> &'a [u8] {
    let root = root.strip_suffix(b"/").unwrap_or(root);
    match path.strip_prefix(root) {
        Some(rest) if rest.is_empty() || rest.starts_with(b"/") => rest,
        _ => b"",
    }
}

/// Whether the caller may make cgroups where those without a path of their own go: below the runtime's own on v1, beside
/// it on v2.
#[must_use]
pub fn can_make(layout: &Layout) -> bool {
    layout.hierarchies.iter().all(|row| {
        let place = if row.kinds.has(Kinds::UNIFIED) && !row.path.is_empty() {
            parent(row.dir.to_bytes()).unwrap_or_default()
        } else {
            row.dir.to_bytes()
        };
        let access = Access::WRITE_OK | Access::EXEC_OK;
        rustix::fs::accessat(CWD, place, access, AtFlags::EACCESS).is_ok()
    })
}

#[cfg(test)]
mod tests {
    use super::{Layout, Mode, Mount, below, consider, discover_with, entries, mount};
    use crate::limits::CGROUP_BYTES;

    #[test]
    fn lines_of_proc_self_cgroup() {
        let text =
            b"9:name=systemd:/a b\n4:cpu,cpuacct:/x:y\n1:pids:/\n2:gone:/../z\n0::/own\nrubbish\n";
        let got: Vec<_> = entries(text).collect();
        let want: [(&[u8], &[u8]); 5] = [
            (b"name=systemd", b"/a b"),
            (b"cpu,cpuacct", b"/x:y"),
            (b"pids", b""),
            (b"gone", b""),
            (b"", b"/own"),
        ];
        assert_eq!(got, want);
    }

    #[test]
    fn lines_of_mountinfo() {
        let mut line = *b"32 31 0:29 /a\\040b /sys/fs/cgroup/c\\134u rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct";
        let want = Mount {
            v2: false,
            root: b"/a b",
            point: b"/sys/fs/cgroup/c\\u",
            options: b"rw,cpu,cpuacct",
        };
        assert_eq!(mount(&mut line), Some(want));
        for other in [
            &b"22 27 0:21 / /proc rw - proc proc rw"[..],
            b"",
            b" - cgroup",
            b"1 2 - cgroup c rw",
            b"22 27 0:21 / / rw - cgroup",
        ] {
            assert_eq!(mount(&mut other.to_vec()), None, "{other:?}");
        }
    }

    #[test]
    fn own_path_below_a_mount() {
        for (path, root, want) in [
            ("/docker/a", "/", "/docker/a"),
            ("/docker/a/b", "/docker/a", "/b"),
            ("/docker/ab", "/docker/a", ""),
            ("", "/docker/a", ""),
            ("/x", "/..", ""),
        ] {
            assert_eq!(below(path.as_bytes(), root.as_bytes()), want.as_bytes());
        }
    }

    #[test]
    fn hidden_and_foreign_mounts_are_left_out() {
        let mut layout = Box::new(Layout::new());
        let hidden = Mount {
            v2: false,
            root: b"/",
            point: b"/tmp",
            options: b"rw,cpu",
        };
        consider(&mut layout.hierarchies, b"1:cpu:/\n", &hidden).unwrap();
        assert!(layout.hierarchies.is_empty());
    }

    /// Whatever the machine has: the short way and mountinfo agree on it.
    #[test]
    fn both_ways_see_the_same() {
        let mut text = vec![0; 2 * CGROUP_BYTES];
        let mut layout = Box::new(Layout::new());
        discover_with(&mut layout, &mut text).unwrap();
        let mut other = Box::new(Layout::new());
        let own = std::fs::read("/proc/self/cgroup").unwrap_or_default();
        let v2 = layout.mode == Mode::V2;
        super::search(&mut other, &own, &mut text, v2).unwrap();
        assert_eq!(layout.mode, other.mode);
        let mut rows: Vec<_> = layout.hierarchies.iter().map(|row| row.dir).collect();
        let mut others: Vec<_> = other.hierarchies.iter().map(|row| row.dir).collect();
        rows.sort();
        others.sort();
        assert_eq!(rows, others);
    }
}
