//! The way into the cgroups of a container that exists: for `exec`.
#![forbid(unsafe_code)]

use core::ffi::CStr;

use super::prepare::{enter_v1, rows};
use super::{CgroupPlan, Hierarchy, Mode, Record, io};
use crate::error::{At, Context, Errno, Fault, Rule, Step};
use crate::fs::proc::Proc;
use crate::fs::text::Text;
use crate::sys::file::read_file;
use crate::sys::{AsFd, BorrowedFd, OwnedFd};
use crate::text::{cut, pieces};

/// Values of `--cgroup`, one after another for who asks.
type Each<'e> = &'e dyn Fn(&mut dyn FnMut(&'static CStr));

const MEMORY: &[u8] = b"memory";

/// Plans to go to the cgroups of a record, or with `--cgroup` to those below them: `/path` in all hierarchies, or
/// `cpu,cpuacct:/path` in some of v1.
///
/// # Errors
///
/// A controller that no hierarchy has, a path that leads upwards, a capacity.
pub fn aim(plan: &mut CgroupPlan, record: &Record, below: Each<'_>) -> Result<(), Fault> {
    let mut good = Ok(());
    below(&mut |value| {
        let (controllers, path) = parts(value);
        let known = |name| record.hierarchies.iter().any(|row| carries(&row, name));
        if pieces(path, b'/').any(|part| part == b"..") {
            good = Err(Rule::CgroupPathUp);
        } else if controllers.is_some_and(|list| !pieces(list, b',').all(known)) {
            good = Err(Rule::NoController);
        }
    });
    good.map_err(|rule| Fault::rule(Step::JoinCgroup, rule, At::Nothing))?;
    plan.mode = record.mode;
    for row in record.hierarchies.iter() {
        let mut path: &[u8] = b"";
        below(&mut |value| {
            let (controllers, wanted) = parts(value);
            let here = |list| pieces(list, b',').any(|name| carries(&row, name));
            if controllers.is_none_or(here) {
                path = wanted;
            }
        });
        let slash: &[u8] = if path.is_empty() { b"" } else { b"/" };
        let to = &mut plan.hierarchies;
        to.push(row.controllers, row.mount, &[row.path, slash, path])?;
    }
    Ok(())
}

/// The controllers before the colon, if there is one, and the path without the slashes around it.
fn parts(value: &'static CStr) -> (Option<&'static [u8]>, &'static [u8]) {
    let bytes = value.to_bytes();
    let (controllers, mut path) = if bytes.contains(&b':') {
        let (controllers, path) = cut(bytes, b':');
        (Some(controllers), path)
    } else {
        (None, bytes)
    };
    while let Some(shorter) = path.strip_prefix(b"/").or(path.strip_suffix(b"/")) {
        path = shorter;
    }
    (controllers, path)
}

fn carries(row: &Hierarchy<'_>, controller: &[u8]) -> bool {
    !controller.is_empty() && row.has(controller)
}

/// The directory of the v2 hierarchy to be born in; `None` where there is none.
///
/// # Errors
///
/// The kernel's; ENOENT where the cgroup is gone.
pub fn place(plan: &CgroupPlan) -> Result<Option<OwnedFd>, Fault> {
    let Some((_, row)) = rows(plan, true).next() else {
        return Ok(None);
    };
    match io::open_dir(row.dir) {
        // Beside v1 it may never have been there.
        Err(Errno::NOENT) if plan.mode == Mode::V1 => Ok(None),
        opened => opened.map(Some).step_at(Step::JoinCgroup, row.at),
    }
}

/// The v2 cgroup that a process of the container is in, where that is below the planned one: an init that divides its
/// cgroup leaves no place for processes in the cgroup itself (EBUSY).
#[must_use]
pub fn place_of(plan: &CgroupPlan, pid: u32) -> Option<OwnedFd> {
    let (_, row) = rows(plan, true).next()?;
    let process = Proc::open().ok()?.process(pid).ok()?;
    let mut text = [0; 4096];
    let all = read_file(&process, c"cgroup", &mut text).ok()?;
    let own = crate::text::field(all, b"0::")?;
    let start = own
        .windows(row.path.len())
        .position(|part| part == row.path)?;
    let below = own.get(start + row.path.len()..)?;
    if !below.starts_with(b"/") {
        return None;
    }
    let mut path = Text::new();
    path.push(row.dir.to_bytes()).ok()?;
    path.push(below).ok()?;
    io::open_dir(path.path()).ok()
}

/// Puts the calling process, which must have one thread, into the planned cgroups; into the v2 one at `place`, unless it
/// was born there; and into that of v1's memory only if it is to be `charged`: see [`charge`].
///
/// # Errors
///
/// The kernel's, with the name of the file system.
pub fn join(
    plan: &CgroupPlan,
    place: Option<BorrowedFd<'_>>,
    born: bool,
    charged: bool,
) -> Result<(), Fault> {
    enter_v1(plan, b"0", &|row| charged || !row.has(MEMORY))?;
    match place {
        Some(dir) if !born => io::write(dir.as_fd(), c"cgroup.procs", b"0").step(Step::JoinCgroup),
        _ => Ok(()),
    }
}

/// What [`join`] has left out, for a process that was cloned since: what a clone takes (on x86-64 some 80 KiB of page
/// tables and stack) is charged to the cgroup of who calls it, and the container's limit may be small.
///
/// # Errors
///
/// As for [`join`].
pub fn charge(plan: &CgroupPlan, pid: &[u8]) -> Result<(), Fault> {
    enter_v1(plan, pid, &|row| row.has(MEMORY))
}

#[cfg(test)]
mod tests {
    use super::{CgroupPlan, Mode, Record, aim};
    use crate::error::Rule;
    use core::ffi::CStr;

    fn aimed(below: &[&'static CStr]) -> Result<Vec<String>, Rule> {
        let mut record = Box::new(Record::new());
        record.mode = Mode::V1;
        let list = &mut record.hierarchies;
        list.push(b"cpu,cpuacct", b"/m/cpu", &[b"/c"]).unwrap();
        list.push(b"pids", b"/m/pids", &[b"/c"]).unwrap();
        list.push(b"", b"/m/unified", &[b"/c"]).unwrap();
        let mut plan = Box::new(CgroupPlan::new());
        let each = |visit: &mut dyn FnMut(&'static CStr)| below.iter().for_each(|it| visit(it));
        aim(&mut plan, &record, &each).map_err(|fault| match fault.cause() {
            crate::error::Cause::Rule(rule) => rule,
            other => panic!("{other:?}"),
        })?;
        let dir = |row: super::Hierarchy<'_>| row.dir.to_str().unwrap().to_owned();
        Ok(plan.hierarchies.iter().map(dir).collect())
    }

    #[test]
    fn paths_below() {
        let all = |cpu: &str, pids: &str, unified: &str| {
            Ok(["cpu", "pids", "unified"]
                .iter()
                .zip([cpu, pids, unified])
                .map(|(name, path)| format!("/m/{name}/c{path}"))
                .collect())
        };
        assert_eq!(aimed(&[]), all("", "", ""));
        assert_eq!(aimed(&[c"/"]), all("", "", ""));
        assert_eq!(aimed(&[c"a/b/"]), all("/a/b", "/a/b", "/a/b"));
        assert_eq!(aimed(&[c"cpuacct:/x"]), all("/x", "", ""));
        assert_eq!(aimed(&[c"cpu,pids:x"]), all("/x", "/x", ""));
        assert_eq!(aimed(&[c"cpu:x", c"pids:y"]), all("/x", "/y", ""));
        for up in [c"..", c"/a/../b", c"pids:/.."] {
            assert_eq!(aimed(&[up]), Err(Rule::CgroupPathUp), "{up:?}");
        }
        for unknown in [c"x:/a", c":/a", c"cpu,:/a"] {
            assert_eq!(aimed(&[unknown]), Err(Rule::NoController), "{unknown:?}");
        }
    }
}
