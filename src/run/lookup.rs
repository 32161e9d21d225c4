//! What init looks up in the container: the program, and the home directory. Nothing else is read there.
#![forbid(unsafe_code)]

use core::ffi::CStr;

use heapless::{Vec, VecView};
use rustix::fs::{Access, AtFlags, CWD, FileType, OFlags};

use super::last::own_pid;
use crate::error::{At, Context, Errno, Fault, Rule, Step};
use crate::fs::passwd;
use crate::limits::FULL;
use crate::plan::Plan;
use crate::sys::is_lacking;
use crate::sys::memory::TakeOnce;
use crate::text::Digits;

/// A path of at most PATH_MAX bytes, NUL included.
pub(super) type Path = Vec<u8, 4096>;

/// More entries of env, and behind them the path of the program, each with its NUL.
pub(super) type Found = Vec<u8, { 2 * 4096 }>;

/// Stays when everything else is forgotten.
pub(super) static FOUND: TakeOnce<Found> = TakeOnce::new(Vec::new());

/// Adds the path that execve gets for `args[0]`: as it is when it has a slash, else the first executable of PATH.
///
/// Asked as the user that executes it, so that the answer is the kernel's. Gives the place of the path.
pub(super) fn program(plan: &Plan, found: &mut Found) -> Result<usize, Fault> {
    let start = found.len();
    let name = plan.process.args.first;
    let at = At::Arena(name.at);
    let name = plan.arena.bytes(name);
    if name.contains(&b'/') {
        let path = join(found, start, [name, b"", b""]).ok_or(Errno::NAMETOOLONG);
        return match path.and_then(executable) {
            Ok(()) => Ok(start),
            Err(errno) => Err(errno).step_at(Step::Exec, at),
        };
    }
    let list = plan
        .process
        .path
        .map_or(&[][..], |list| plan.arena.bytes(list));
    if !name.is_empty() && !list.is_empty() {
        for directory in list.split(|byte| *byte == b':') {
            let directory = if directory.is_empty() {
                b"."
            } else {
                directory
            };
            let path = join(found, start, [directory, b"/", name]);
            if path.is_some_and(|file| executable(file).is_ok()) {
                return Ok(start);
            }
        }
    }
    Err(Fault::rule(Step::Exec, Rule::NotInPath, at))
}

/// Puts the pieces of a path, or of an entry, behind the first bytes; `None` when it is too long.
pub(super) fn join<'p>(
    path: &'p mut VecView<u8>,
    start: usize,
    pieces: [&[u8]; 3],
) -> Option<&'p CStr> {
    path.truncate(start);
    for piece in pieces {
        path.extend_from_slice(piece).ok()?;
    }
    path.push(0).ok()?;
    crate::text::c_text(path.get(start..)?)
}

/// Whether execve has a chance: with the effective ids, and not a directory, which may be "executable" too. EACCES is
/// what execve says of one, and what clients make 126 of.
fn executable(file: &CStr) -> Result<(), Errno> {
    match rustix::fs::accessat(CWD, file, Access::EXEC_OK, AtFlags::EACCESS) {
        // faccessat2 (kernel 5.8) is what takes the flag; without it ask for the real ids, which are the same ones.
        Err(errno) if is_lacking(errno) => {
            rustix::fs::accessat(CWD, file, Access::EXEC_OK, AtFlags::empty())?
        }
        other => other?,
    }
    if FileType::from_raw_mode(rustix::fs::stat(file)?.st_mode) == FileType::RegularFile {
        return Ok(());
    }
    Err(Errno::ACCESS)
}

/// Adds what only the container can tell for env. LISTEN_PID is the pid that this process has there; if env has no HOME, it
/// is the directory of the uid in the container's /etc/passwd, or "/".
///
/// Reads at most 64 KiB of a regular file (CVE-2025-4437), and takes nothing but this from it.
#[inline(never)] // its buffer would lie in the frame of everything below
pub(super) fn entries(plan: &Plan, found: &mut Found) {
    if FULL && plan.process.listens {
        let pid = Digits::new(u64::from(own_pid()));
        let _ = join(found, 0, [b"LISTEN_PID=", pid.text(), b""]);
    }
    if !plan.process.has_home {
        let mut room = [0; 4000];
        let home = home_of(plan.process.uid, &mut room).filter(|home| !home.is_empty());
        let start = found.len();
        let _ = join(found, start, [b"HOME=", home.unwrap_or(b"/"), b""]);
    }
}

fn home_of(uid: u32, room: &mut [u8]) -> Option<&[u8]> {
    let flags =
        OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = crate::sys::path::open(CWD, c"/etc/passwd", flags, 0).ok()?;
    let mode = rustix::fs::fstat(&file).ok()?.st_mode;
    if FileType::from_raw_mode(mode) != FileType::RegularFile {
        return None;
    }
    passwd::find(&file, 16, uid, passwd::HOME, room)
}
