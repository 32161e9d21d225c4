//! The directory that holds one directory per container.
#![forbid(unsafe_code)]

use super::dir::Dir;
use crate::error::{At, Context, Errno, Fault, Rule, Step};
use crate::limits::{ID_BYTES, STATE_BYTES};
use crate::sys::args::Args;
use crate::sys::file::read_file;
use crate::sys::memory::TakeOnce;
use crate::sys::{BorrowedFd, OwnedFd, path};
use core::ffi::CStr;
use core::mem::MaybeUninit;
use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, RawDir, fchmod, fstat, fstatfs, mkdirat, statat, unlinkat,
};
use rustix::process::umask;

const DEFAULT: &[u8] = b"/run/ocilet";
const PATH_MAX: usize = 4096;
const TMPFS: u64 = 0x0102_1994;
const RAMFS: u64 = 0x8584_58f6;

static BUFFERS: [TakeOnce<[u8; STATE_BYTES]>; 2] = [const { TakeOnce::new([0; STATE_BYTES]) }; 2];

/// Room for the largest state file, twice, because a `start` that fails may end in a removal; only the pages that a file
/// fills are ever touched.
pub fn buffer() -> Option<&'static mut [u8]> {
    let buffer = BUFFERS.iter().find_map(TakeOnce::take)?;
    Some(buffer.as_mut_slice())
}

/// The state directory.
pub struct Root {
    fd: OwnedFd,
    /// Whether files must be flushed to survive a power cut: not where they would not survive it anyway.
    pub(super) durable: bool,
}

/// Checks the form of a container's name.
fn check_id(id: &[u8]) -> Result<(), Rule> {
    let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"_+-.".contains(byte);
    if id.is_empty() || id == b"." || id == b".." || id.len() > ID_BYTES || !id.iter().all(allowed)
    {
        return Err(Rule::ContainerId);
    }
    Ok(())
}

impl Root {
    /// Opens the directory: `path` (the option `--root`), or the default of this user. With `create` it is made, with
    /// its parents. Without it, ENOENT means that there are no containers.
    pub fn open(path: Option<&CStr>, args: Args, create: bool) -> Result<Self, Fault> {
        if create {
            // A umask that takes rights from ourselves would lock us out of what we make. What it takes from others stays.
            let mask = umask(Mode::RWXU);
            umask(mask.difference(Mode::RWXU));
        }
        let mut text = [0; PATH_MAX];
        let sticky = location(path, args, &mut text).ok_or(Fault::rule(
            Step::OpenStateRoot,
            Rule::StateRoot,
            At::Nothing,
        ))?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let open = |text: &[u8; PATH_MAX]| path::open(CWD, c_text(text)?, flags, 0);
        let fd = match open(&text) {
            Err(Errno::NOENT) if create => {
                make(&mut text).step(Step::MakeStateRoot)?;
                let fd = open(&text).step(Step::OpenStateRoot)?;
                if sticky {
                    // Keeps systemd-tmpfiles and the like from pruning it (XDG base directory specification).
                    fchmod(&fd, Mode::RWXU | Mode::SVTX).step(Step::MakeStateRoot)?;
                }
                fd
            }
            // O_NOFOLLOW meets a link.
            Err(Errno::LOOP) => {
                return Err(Fault::rule(
                    Step::OpenStateRoot,
                    Rule::StateRoot,
                    At::Nothing,
                ));
            }
            opened => opened.step(Step::OpenStateRoot)?,
        };
        let stat = fstat(&fd).step(Step::OpenStateRoot)?;
        let others = Mode::WGRP | Mode::WOTH;
        if stat.st_uid != rustix::process::geteuid().as_raw()
            || Mode::from_raw_mode(stat.st_mode).intersects(others)
        {
            return Err(Fault::rule(
                Step::OpenStateRoot,
                Rule::StateRoot,
                At::Nothing,
            ));
        }
        let durable = create && !in_memory(&fd);
        Ok(Self { fd, durable })
    }

    /// The directory.
    #[must_use]
    pub fn fd(&self) -> BorrowedFd<'_> {
        crate::sys::AsFd::as_fd(&self.fd)
    }

    /// Claims a name: makes its directory and locks it. One of several that try at once succeeds, the others get
    /// [`Rule::Exists`].
    pub fn reserve<'a>(&'a self, id: &'a CStr) -> Result<Dir<'a>, Fault> {
        checked(id, Step::ReserveId)?;
        match mkdirat(&self.fd, id, Mode::RWXU) {
            Err(Errno::EXIST) => Err(Fault::rule(Step::ReserveId, Rule::Exists, At::Nothing)),
            made => made.step(Step::ReserveId),
        }?;
        let dir = self.open_dir(id).step(Step::ReserveId).inspect_err(|_| {
            let _ = unlinkat(&self.fd, id, AtFlags::REMOVEDIR);
        })?;
        // A `delete` that came in between has removed it again: then the container does not exist. Where it is still
        // ours, a claim that cannot be locked is taken back.
        dir.lock().inspect_err(|_| {
            if dir.is_linked() {
                let _ = unlinkat(&self.fd, id, AtFlags::REMOVEDIR);
            }
        })?;
        Ok(dir)
    }

    /// The directory of a container that exists, not locked. [`Rule::NoContainer`] where there is none.
    pub fn find<'a>(&'a self, id: &'a CStr) -> Result<Dir<'a>, Fault> {
        checked(id, Step::FindContainer)?;
        match self.open_dir(id) {
            Err(Errno::NOENT) => Err(Fault::rule(
                Step::FindContainer,
                Rule::NoContainer,
                At::Nothing,
            )),
            opened => opened.step(Step::FindContainer),
        }
    }

    fn open_dir<'a>(&'a self, id: &'a CStr) -> Result<Dir<'a>, Errno> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = path::open(&self.fd, id, flags, 0)?;
        Ok(Dir::new(self, id, fd))
    }

    /// Calls `visit` with the name of each container, in no particular order; it returns false to stop.
    pub fn ids(&self, visit: &mut dyn FnMut(&CStr) -> bool) -> Result<(), Fault> {
        rustix::fs::seek(&self.fd, rustix::fs::SeekFrom::Start(0)).step(Step::OpenStateRoot)?;
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut entries = RawDir::new(&self.fd, &mut buffer);
        while let Some(entry) = entries.next() {
            let entry = entry.step(Step::OpenStateRoot)?;
            let kind = entry.file_type();
            let may_be = kind == FileType::Directory || kind == FileType::Unknown;
            if may_be && check_id(entry.file_name().to_bytes()).is_ok() && !visit(entry.file_name())
            {
                break;
            }
        }
        Ok(())
    }
}

/// [`check_id`] on the way to a step.
pub fn checked(id: &CStr, step: Step) -> Result<(), Fault> {
    check_id(id.to_bytes()).map_err(|rule| Fault::rule(step, rule, At::Nothing))
}

/// Writes the path into `text`; whether the sticky bit is wanted. `None`: too long, empty, or `/`.
fn location(path: Option<&CStr>, args: Args, text: &mut [u8; PATH_MAX]) -> Option<bool> {
    let runtime_dir = args.env(b"XDG_RUNTIME_DIR").filter(|dir| !dir.is_empty());
    let (first, second, sticky): (&[u8], &[u8], bool) = match (path, runtime_dir) {
        (Some(path), _) => (path.to_bytes(), b"", false),
        (None, Some(dir)) if is_rootless(args) => (dir.to_bytes(), b"/ocilet", true),
        (None, _) => (DEFAULT, b"", false),
    };
    // A slash at the end would make the kernel follow a link in the last place.
    let kept = |path: &[u8]| {
        path.iter()
            .rposition(|byte| *byte != b'/')
            .map_or(0, |at| at.saturating_add(1))
    };
    let first = first.get(..kept(first))?;
    let length = first.len().checked_add(second.len())?;
    if length == 0 || length >= PATH_MAX {
        return None;
    }
    for (to, from) in text.iter_mut().zip(first.iter().chain(second)) {
        *to = *from;
    }
    Some(sticky)
}

/// As runc decides: any user but root; and root of a user namespace, unless `USER` says root.
#[must_use]
pub fn is_rootless(args: Args) -> bool {
    if !rustix::process::geteuid().is_root() {
        return true;
    }
    if args
        .env(b"USER")
        .is_some_and(|user| user.to_bytes() == b"root")
    {
        return false;
    }
    let mut map = [0; 64];
    let Ok(map) = read_file(CWD, c"/proc/self/uid_map", &mut map) else {
        return false;
    };
    let mut words = map
        .split(|byte| b" \n".contains(byte))
        .filter(|word| !word.is_empty());
    let initial: [&[u8]; 3] = [b"0", b"0", b"4294967295"];
    !initial.iter().all(|word| words.next() == Some(*word))
}

/// Makes the directory and its parents, 0700.
fn make(text: &mut [u8; PATH_MAX]) -> Result<(), Errno> {
    for at in 1..PATH_MAX {
        let end = match text.get(at) {
            Some(b'/') => {
                set(text, at, 0);
                true
            }
            Some(0) => false,
            _ => continue,
        };
        match mkdirat(CWD, c_text(text)?, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => {}
            // A read-only or foreign directory on the way is no obstacle if it is there.
            Err(errno) => {
                if statat(CWD, c_text(text)?, AtFlags::empty()).is_err() {
                    return Err(errno);
                }
            }
        }
        if !end {
            return Ok(());
        }
        set(text, at, b'/');
    }
    Err(Errno::NAMETOOLONG)
}

fn set(text: &mut [u8], at: usize, byte: u8) {
    if let Some(place) = text.get_mut(at) {
        *place = byte;
    }
}

fn c_text(text: &[u8; PATH_MAX]) -> Result<&CStr, Errno> {
    crate::text::c_text(text).ok_or(Errno::NAMETOOLONG)
}

/// Whether a file system forgets everything at a power cut.
fn in_memory(fd: &OwnedFd) -> bool {
    fstatfs(fd).is_ok_and(|fs| matches!(u64::try_from(fs.f_type), Ok(TMPFS | RAMFS)))
}

#[cfg(test)]
mod tests {
    use super::{Rule, check_id};

    #[test]
    fn ids() {
        for good in [
            "a",
            "c1",
            "A-b_c.d+e",
            "-x",
            ".hidden",
            "...",
            "0",
            &"x".repeat(255),
        ] {
            assert_eq!(check_id(good.as_bytes()), Ok(()), "{good}");
        }
        for bad in [
            "",
            ".",
            "..",
            "a/b",
            "/",
            "a b",
            "a\n",
            "ä",
            "a:b",
            "a\0",
            "a@b",
            &"x".repeat(256),
        ] {
            assert_eq!(check_id(bad.as_bytes()), Err(Rule::ContainerId), "{bad}");
        }
    }
}
