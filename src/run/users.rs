//! The id mappings of a new user namespace: written by the parent, because a process cannot give itself ids that its
//! maker does not have.
//!
//! Directly where the kernel lets us: with CAP_SETUID and CAP_SETGID, or a single id that is the caller's own, for which
//! setgroups(2) has to be given up first. Otherwise newuidmap and newgidmap do it, which know /etc/subuid and
//! /etc/subgid (man 7 user_namespaces, man 1 newuidmap).
#![forbid(unsafe_code)]

use rustix::process::Pid;

use super::wire::{Msg, Wire};
use crate::error::{At, Context, Errno, Fault, Rule, Step};
use crate::fs::fdset::Left;
use crate::fs::proc::Proc;
use crate::fs::text::Text;
use crate::hooks::{self, Surroundings};
use crate::limits::FULL;
use crate::plan::Plan;
use crate::plan::route::Mappings;
use crate::say::Line;
use crate::sys::args::Args;
use crate::sys::proc::{self, Strings};
use crate::text::Digits;

/// Seconds that newuidmap and newgidmap may take.
const PATIENCE: &str = "30";
/// Where they are looked for without a PATH.
const PATH: &[u8] = b"/usr/local/bin:/usr/bin:/bin";
/// A list with a helper: its path, its words, and three numbers for each of the most mappings there can be.
const ROOM: usize = 3 * 11 * crate::limits::ID_MAPPINGS + 4096 + 64;

/// Waits until the process has made its user namespace, and gives that its ids.
pub(super) fn serve(plan: &Plan, args: Args, pid: Pid, wire: &Wire) -> Result<(), Fault> {
    wire.expect(Msg::Users, &mut |_| ())?;
    let procfs = Proc::open()?;
    let [uids, gids] = plan.namespaces.mappings;
    match write(&procfs, pid, b"uid_map", plan.arena.bytes(uids.text)) {
        Err(Errno::PERM) => helper(plan, args, b"newuidmap", pid, uids)?,
        done => done.step_at(Step::MapIds, At::Byte(uids.at))?,
    }
    let groups = plan.arena.bytes(gids.text);
    match write(&procfs, pid, b"gid_map", groups) {
        Err(Errno::PERM) if is_own(groups) => write(&procfs, pid, b"setgroups", b"deny")
            .and_then(|()| write(&procfs, pid, b"gid_map", groups))
            .step_at(Step::MapIds, At::Byte(gids.at))?,
        Err(Errno::PERM) => helper(plan, args, b"newgidmap", pid, gids)?,
        done => done.step_at(Step::MapIds, At::Byte(gids.at))?,
    }
    wire.send(Msg::Mapped, None)
}

/// Whether these mappings are the caller's own group alone.
fn is_own(map: &[u8]) -> bool {
    let mut own = [0; 32];
    let mut line = Line::new(&mut own);
    line.number(u64::from(rustix::process::getegid().as_raw()));
    line.text(" 1\n");
    let (_, rest) = crate::text::cut(map, b' ');
    rest == line.bytes()
}

/// Writes one file of the process.
pub(super) fn write(procfs: &Proc, pid: Pid, name: &[u8], text: &[u8]) -> Result<(), Errno> {
    let number = Digits::new(u64::from(proc::number(pid)));
    let mut path = Text::new();
    for part in [number.text(), b"/", name] {
        path.push(part)?;
    }
    procfs.write(path.path(), text)
}

/// Runs newuidmap or newgidmap.
#[inline(never)] // its buffers would lie in the frame of everything below
fn helper(plan: &Plan, args: Args, name: &[u8], pid: Pid, map: Mappings) -> Result<(), Fault> {
    let at = At::Byte(map.at);
    if !FULL {
        return Err(Fault::rule(Step::MapIds, Rule::NotInThisBuild, at));
    }
    let path = args.env(b"PATH").map_or(PATH, |path| path.to_bytes());
    let mut place = Text::new();
    if !place.find_program(path, name) {
        return Err(Fault::rule(Step::MapIds, Rule::NoMapHelper, at));
    }
    let map = plan.arena.bytes(map.text);
    let lines = map.iter().filter(|byte| **byte == b'\n').count();
    let mut room = [0; ROOM];
    let mut list = Line::new(&mut room);
    list.text(PATIENCE);
    list.text("\0");
    list.number(2 + 3 * lines as u64);
    list.text("\x000\0");
    list.raw(place.bytes());
    list.text("\0");
    list.raw(name);
    list.text("\0");
    list.number(u64::from(proc::number(pid)));
    list.text("\0");
    for byte in map {
        let blank = byte.is_ascii_whitespace();
        list.character(if blank { '\0' } else { char::from(*byte) });
    }
    let input = hooks::input(|_| Ok(())).step(Step::MapIds)?;
    let around = Surroundings {
        step: Step::MapIds,
        cwd: None,
        env: Strings::new(b"", 0),
        left: Left::Anything,
    };
    hooks::run(list.bytes(), &input, &around, None).map_err(|fault| fault.with_at(at))
}
