//! What init looks up in the container: the program, and the home directory. Nothing else is read there.
#![forbid(unsafe_code)]

use core::ffi::CStr;

use heapless::Vec;
use rustix::fs::{Access, AtFlags, CWD, FileType, OFlags};

use crate::error::{At, Cause, Errno, Fault, Rule, Step};
use crate::fs::passwd;
use crate::plan::Plan;
use crate::sys::is_lacking;
use crate::sys::memory::TakeOnce;

/// A path of at most PATH_MAX bytes, NUL included.
pub(super) type Path = Vec<u8, 4096>;

/// The path that execve gets for `args[0]`: as it is when it has a slash, else the first executable of PATH.
///
/// Asked as the user that executes it, so that the answer is the kernel's.
#[inline(never)] // its buffer would lie in the frame of everything below
pub(super) fn program(plan: &Plan) -> Result<Path, Fault> {
    let name = plan.process.args.first;
    let at = At::Arena(name.at);
    let name = plan.arena.bytes(name);
    let mut path = Path::new();
    if name.contains(&b'/') {
        return match join(&mut path, [name, b"", b""]).map(executable) {
            Some(Ok(())) => Ok(path),
            Some(Err(errno)) => Err(Fault::placed(Step::Exec, Cause::Errno(errno), at)),
            None => Err(Fault::placed(
                Step::Exec,
                Cause::Errno(Errno::NAMETOOLONG),
                at,
            )),
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
            if join(&mut path, [directory, b"/", name]).is_some_and(|file| executable(file).is_ok())
            {
                return Ok(path);
            }
        }
    }
    Err(Fault::rule(Step::Exec, Rule::NotInPath, at))
}

/// Room for what [`keep`] keeps.
static KEPT: TakeOnce<[u8; 2 * 4096]> = TakeOnce::new([0; 2 * 4096]);

/// The path and the entry for HOME, one behind the other, for the time after everything else is forgotten.
pub(super) fn keep(path: &Path, home: Option<&Path>) -> Result<&'static [u8], Fault> {
    let never = Fault::rule(Step::Exec, Rule::Never, At::Nothing);
    let kept = KEPT.take().ok_or(never)?;
    let home = home.map_or(&[][..], |home| home);
    let kept = kept.get_mut(..path.len() + home.len()).ok_or(never)?;
    let (first, second) = kept.split_at_mut(path.len());
    first.copy_from_slice(path);
    second.copy_from_slice(home);
    Ok(kept)
}

/// The pieces as a path; `None` when it is too long.
pub(super) fn join<'p>(path: &'p mut Path, pieces: [&[u8]; 3]) -> Option<&'p CStr> {
    path.clear();
    for piece in pieces {
        path.extend_from_slice(piece).ok()?;
    }
    path.push(0).ok()?;
    crate::text::c_text(path)
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

/// `HOME=` with the directory of this uid in the container's /etc/passwd, or "/".
///
/// Reads at most 64 KiB of a regular file (CVE-2025-4437), and takes nothing but this from it.
#[inline(never)] // its buffer would lie in the frame of everything below
pub(super) fn home(uid: u32) -> Path {
    let mut entry = Path::new();
    let _ = entry.extend_from_slice(b"HOME=");
    let start = entry.len();
    // Room for the NUL stays.
    let _ = entry.resize(entry.capacity() - 1, 0);
    let room = entry.get_mut(start..).unwrap_or_default();
    let length = home_of(uid, room).map_or(0, <[u8]>::len);
    entry.truncate(start + length);
    if length == 0 {
        let _ = entry.push(b'/');
    }
    let _ = entry.push(0);
    entry
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
