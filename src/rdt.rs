//! `linux.intelRdt`: a group of resctrl for the container, with its share of caches and memory bandwidth, and one for
//! monitoring.
//!
//! What has to be removed with the container is written down before it is made: a link in the state directory whose text
//! is the path below /sys/fs/resctrl. A group that config.json names is somebody else's, and stays.
#![forbid(unsafe_code)]

use core::ffi::CStr;

use rustix::fs::{AtFlags, Mode, OFlags, mkdirat, unlinkat};

use crate::error::{At, Context, Errno, Fault, Rule, Step};
use crate::limits::FULL;
use crate::plan::arena::Arena;
use crate::plan::rdt::Rdt;
use crate::state::Dir;
use crate::sys::file::read_whole;
use crate::sys::{AsFd, BorrowedFd, OwnedFd, path};
use crate::text::{Digits, c_text, pieces};

/// RDTGROUP_SUPER_MAGIC, linux/magic.h.
const MAGIC: u32 = 0x0765_5821;
const ROOT: &CStr = c"/sys/fs/resctrl";
/// The link in the state directory.
const LINK: &CStr = c"resctrl";
/// Another one, to the container's group, whoever has made that.
const GROUP: &CStr = c"resctrl-group";
/// More than the schemata of any machine.
const TEXT: usize = 4096;

/// Puts a process into the group of the plan, which is made if it has to be.
///
/// # Errors
///
/// No resctrl; a group that is missing or has other values; the kernel's.
pub fn enter<const N: usize>(
    rdt: &Rdt,
    arena: &Arena<N>,
    dir: &Dir<'_>,
    pid: u32,
) -> Result<(), Fault> {
    if !FULL || rdt.group.is_none() {
        return Ok(());
    }
    let root = root()?;
    for (path, link) in [(rdt.removed, LINK), (rdt.group, GROUP)] {
        if let Some(path) = path {
            rustix::fs::symlinkat(arena.cstr(path), dir.fd(), link).step(Step::WriteState)?;
        }
    }
    fill(root.as_fd(), rdt, arena, pid)
}

#[inline(never)] // four callers
fn root() -> Result<OwnedFd, Fault> {
    let flags = OFlags::PATH | OFlags::DIRECTORY;
    let root = path::openat(path::cwd(), ROOT, flags).ok();
    let there = |root: &OwnedFd| path::fs_type(root) == Ok(MAGIC);
    let none = Fault::rule(Step::SetRdt, Rule::NoResctrl, At::Nothing);
    root.filter(there).ok_or(none)
}

/// Makes the group where it may be made, sets it, and puts the process into it.
fn fill<const N: usize>(
    root: BorrowedFd<'_>,
    rdt: &Rdt,
    arena: &Arena<N>,
    pid: u32,
) -> Result<(), Fault> {
    let Some(name) = rdt.group else { return Ok(()) };
    let at = At::Arena(name.at);
    let text = arena.bytes(rdt.schemata);
    let made = if rdt.makes {
        make(root, arena.cstr(name)).step_at(Step::SetRdt, at)?
    } else {
        false
    };
    let group = open(root, arena.cstr(name)).step_at(Step::SetRdt, at)?;
    // In a group that was there, the two lines that the specification calls by name have to be as they are asked for.
    if rdt.named && !made && !agrees(&group, arena.bytes(rdt.wanted)).step_at(Step::SetRdt, at)? {
        return Err(Fault::rule(Step::SetRdt, Rule::RdtDiffers, at));
    }
    if !text.is_empty() {
        write(&group, c"schemata", text).step_at(Step::SetRdt, at)?;
    }
    if let Some(monitor) = rdt.monitor {
        make(root, arena.cstr(monitor)).step_at(Step::SetRdt, At::Arena(monitor.at))?;
    }
    put(root, rdt, arena, pid)
}

/// Puts one more process where those of a container are: in the root group, too, if resctrl was unmounted.
///
/// # Errors
///
/// A group that is missing; the kernel's.
pub fn join<const N: usize>(rdt: &Rdt, arena: &Arena<N>, pid: u32) -> Result<(), Fault> {
    if FULL
        && rdt.group.is_some()
        && let Ok(root) = root()
    {
        put(root.as_fd(), rdt, arena, pid)?;
    }
    Ok(())
}

/// The control group comes first: a monitoring group takes only processes of its own one.
fn put<const N: usize>(
    root: BorrowedFd<'_>,
    rdt: &Rdt,
    arena: &Arena<N>,
    pid: u32,
) -> Result<(), Fault> {
    let pid = Digits::new(u64::from(pid));
    for name in [rdt.group, rdt.monitor] {
        let Some(name) = name else { break };
        open(root, arena.cstr(name))
            .and_then(|group| write(&group, c"tasks", pid.text()))
            .step_at(Step::SetRdt, At::Arena(name.at))?;
    }
    Ok(())
}

#[inline(never)] // three callers
fn open(root: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW;
    path::openat(root, name, flags)
}

/// Makes a group; false for one that is there.
fn make(root: BorrowedFd<'_>, name: &CStr) -> Result<bool, Errno> {
    match mkdirat(root, name, Mode::from_raw_mode(0o755)) {
        Ok(()) => Ok(true),
        Err(Errno::EXIST) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// Whether each of these lines is one of the group's own.
#[inline(never)] // its buffer would lie in the frame of its caller
fn agrees(group: &OwnedFd, wanted: &[u8]) -> Result<bool, Errno> {
    let mut text = [0; TEXT];
    let file = path::openat(group, c"schemata", OFlags::RDONLY)?;
    let length = read_whole(&file, &mut text)?;
    let own = text.get(..length).unwrap_or(&[]);
    Ok(pieces(wanted, b'\n').all(|line| {
        line.is_empty() || pieces(own, b'\n').any(|own| own.trim_ascii() == line.trim_ascii())
    }))
}

fn write(group: &OwnedFd, name: &CStr, text: &[u8]) -> Result<(), Errno> {
    let file = path::openat(group, name, OFlags::WRONLY)?;
    rustix::io::write(&file, text).map(drop)
}

/// Writes lines to the `schemata` of the container's group.
///
/// # Errors
///
/// A container that has none; the kernel's.
#[inline(never)] // its buffer would lie in the frame of its caller
pub fn change(dir: &Dir<'_>, text: &[u8]) -> Result<(), Fault> {
    let mut path = [0; TEXT];
    let known = path::readlink(dir.fd(), GROUP, &mut path).is_ok();
    let Some(group) = c_text(&path).filter(|_| known) else {
        return Err(Fault::rule(Step::SetRdt, Rule::UpdateRdt, At::Nothing));
    };
    rewrite(root()?.as_fd(), group, text).step(Step::SetRdt)
}

/// All lines at once: a wrong one leaves the others as they were.
fn rewrite(root: BorrowedFd<'_>, group: &CStr, text: &[u8]) -> Result<(), Errno> {
    open(root, group).and_then(|group| write(&group, c"schemata", text))
}

/// Removes what [`enter`] has made for a container; its processes, if there are any, fall back to the group above.
///
/// # Errors
///
/// The kernel's.
#[inline(never)] // its buffer would lie in the frame of its caller
pub fn remove(dir: &Dir<'_>) -> Result<(), Fault> {
    if !FULL {
        return Ok(());
    }
    let mut text = [0; TEXT];
    match path::readlink(dir.fd(), LINK, &mut text) {
        // There was none, or the state directory is damaged.
        Err(_) => Ok(()),
        Ok(path) => {
            // With resctrl its groups went (umount, or another boot).
            let Ok(root) = root() else { return Ok(()) };
            match unlinkat(root, path, AtFlags::REMOVEDIR) {
                Ok(()) | Err(Errno::NOENT) => Ok(()),
                Err(errno) => Err(errno).step(Step::RemoveRdt),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Rdt, fill, path, rewrite};
    use crate::error::{Cause, Errno, Rule};
    use crate::plan::arena::Arena;
    use rustix::fd::AsFd;
    use std::fs;

    /// A group with these schemata among plain files, which take what is written to them; the result, what is in its
    /// tasks and schemata afterwards.
    fn filled(
        name: &str,
        edit: impl FnOnce(&mut Rdt, &mut Arena<256>),
    ) -> (Result<(), Cause>, String, String) {
        let root = std::env::temp_dir().join(format!("ocilet-rdt-{name}.{}", std::process::id()));
        for group in ["g", "g/mon_groups", "g/mon_groups/c1"] {
            fs::create_dir_all(root.join(group)).unwrap();
            fs::write(root.join(group).join("tasks"), "").unwrap();
        }
        fs::write(root.join("g/schemata"), "    L3:0=ff;1=ff\n    MB:0=50\n").unwrap();
        let mut arena = Arena::<256>::new();
        let mut rdt = Rdt::NONE;
        rdt.group = Some(arena.push(b"g"));
        edit(&mut rdt, &mut arena);
        let name = std::ffi::CString::new(root.to_str().unwrap()).unwrap();
        let directory = path::openat(path::cwd(), &name, super::OFlags::PATH).unwrap();
        let done = fill(directory.as_fd(), &rdt, &arena, 42).map_err(|fault| fault.cause());
        let read = |file: &str| fs::read_to_string(root.join(file)).unwrap();
        let seen = (done, read("g/tasks"), read("g/schemata"));
        if done == Ok(()) && rdt.monitor.is_some() {
            assert_eq!(read("g/mon_groups/c1/tasks"), "42");
        }
        fs::remove_dir_all(&root).unwrap();
        seen
    }

    #[test]
    fn groups() {
        let old = "    L3:0=ff;1=ff\n    MB:0=50\n";
        let (done, tasks, schemata) = filled("plain", |rdt, arena| {
            rdt.monitor = Some(arena.push(b"g/mon_groups/c1"));
        });
        assert_eq!(
            (done, tasks.as_str(), schemata.as_str()),
            (Ok(()), "42", old)
        );
        let (done, tasks, _) = filled("differs", |rdt, arena| {
            (rdt.named, rdt.makes) = (true, true);
            rdt.wanted = arena.push(b"L3:0=f;1=ff\n");
        });
        assert_eq!(
            (done, tasks.as_str()),
            (Err(Cause::Rule(Rule::RdtDiffers)), "")
        );
        let (done, tasks, schemata) = filled("agrees", |rdt, arena| {
            (rdt.named, rdt.makes) = (true, true);
            rdt.wanted = arena.push(b"MB:0=50\nL3:0=ff;1=ff\n");
            rdt.schemata = rdt.wanted;
        });
        assert_eq!((done, tasks.as_str()), (Ok(()), "42"));
        assert!(schemata.starts_with("MB:0=50\nL3:0=ff;1=ff\n"));
        let (done, ..) = filled("missing", |rdt, arena| {
            rdt.group = Some(arena.push(b"none"))
        });
        assert_eq!(done, Err(Cause::Errno(Errno::NOENT)));
    }

    #[test]
    fn one_more_process() {
        let root = std::env::temp_dir().join(format!("ocilet-rdt-join.{}", std::process::id()));
        fs::create_dir_all(root.join("g/mon_groups/c1")).unwrap();
        let tasks = ["g/tasks", "g/mon_groups/c1/tasks"].map(|file| root.join(file));
        for file in &tasks {
            fs::write(file, "").unwrap();
        }
        let mut arena = Arena::<256>::new();
        let mut rdt = Rdt::NONE;
        rdt.group = Some(arena.push(b"g"));
        rdt.monitor = Some(arena.push(b"g/mon_groups/c1"));
        let name = std::ffi::CString::new(root.to_str().unwrap()).unwrap();
        let directory = path::openat(path::cwd(), &name, super::OFlags::PATH).unwrap();
        let put = |rdt: &Rdt| super::put(directory.as_fd(), rdt, &arena, 43);
        let done = put(&rdt).map_err(|fault| fault.cause());
        let seen = tasks.map(|file| fs::read_to_string(file).unwrap());
        // Nothing is made.
        fs::remove_dir_all(root.join("g/mon_groups/c1")).unwrap();
        let gone = put(&rdt).map_err(|fault| fault.cause());
        fs::remove_dir_all(&root).unwrap();
        assert_eq!((done, gone), (Ok(()), Err(Cause::Errno(Errno::NOENT))));
        assert_eq!(seen, ["43", "43"]);
    }

    #[test]
    fn new_schemata() {
        let root = std::env::temp_dir().join(format!("ocilet-rdt-new.{}", std::process::id()));
        fs::create_dir_all(root.join("g")).unwrap();
        fs::write(root.join("g/schemata"), "").unwrap();
        let name = std::ffi::CString::new(root.to_str().unwrap()).unwrap();
        let directory = path::openat(path::cwd(), &name, super::OFlags::PATH).unwrap();
        let lines = b"L3:0=f\nMB:0=20\n";
        let gone = rewrite(directory.as_fd(), c"none", lines);
        let done = rewrite(directory.as_fd(), c"g", lines);
        let seen = fs::read(root.join("g/schemata")).unwrap();
        fs::remove_dir_all(&root).unwrap();
        assert_eq!((gone, done), (Err(Errno::NOENT), Ok(())));
        assert_eq!(seen, lines);
    }
}
