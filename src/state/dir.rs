//! The directory of one container.
#![forbid(unsafe_code)]

use super::files::{CONFIG, EXIT, INTENT, STATE};
use super::process::pause;
use super::record::Stored;
use super::root::Root;
use crate::error::{At, Cause, Context, Errno, Fault, Place, Rule, Step};
use crate::sys::file::read_file;
use crate::sys::time::{self, MILLISECOND, SECOND};
use crate::sys::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use crate::text::number;
use core::cell::Cell;
use core::ffi::CStr;
use core::mem::MaybeUninit;
use rustix::fs::{AtFlags, CWD, FileType, FlockOperation, RawDir, flock, fstat, statat, unlinkat};

/// The socket in the directory that the init of a created container listens on.
pub const START_SOCKET: &CStr = c"start.sock";
/// Seconds that a lock is waited for.
const PATIENCE: u16 = 10;

/// What a container is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Its init waits for `start`.
    Created,
    /// Its program runs.
    Running,
    /// Its cgroup is frozen.
    Paused,
    /// Its init has ended.
    Stopped,
}

impl Status {
    /// The word for it in the specification.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
        }
    }
}

/// The directory of one container.
pub struct Dir<'r> {
    pub(super) root: &'r Root,
    pub(super) id: &'r CStr,
    pub(super) fd: OwnedFd,
    /// The intent, kept open until it becomes the copy of the state.
    pub(super) intent: Cell<Option<OwnedFd>>,
}

impl<'r> Dir<'r> {
    pub(super) fn new(root: &'r Root, id: &'r CStr, fd: OwnedFd) -> Self {
        Self {
            root,
            id,
            fd,
            intent: Cell::new(None),
        }
    }

    /// The directory: the parent of [`START_SOCKET`].
    #[must_use]
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// The name of the container.
    #[must_use]
    pub fn id(&self) -> &'r CStr {
        self.id
    }

    /// The owner of the directory, who made the container.
    pub fn owner(&self) -> Result<u32, Fault> {
        Ok(fstat(&self.fd).step(Step::FindContainer)?.st_uid)
    }

    /// Locks the container against other instances of the runtime, waiting up to ten seconds.
    ///
    /// The lock belongs to the open file: a child that inherits the descriptor keeps it locked, so [`Dir::unlock`]
    /// before leaving. It ends with the last process that has the descriptor.
    /// [`Rule::NoContainer`]: it was deleted in the meantime; [`Rule::Held`]: with the pid of the holder where known.
    pub fn lock(&self) -> Result<(), Fault> {
        let mut deadline = None;
        let mut wait = MILLISECOND;
        loop {
            match flock(&self.fd, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => break,
                Err(Errno::WOULDBLOCK) => {}
                Err(Errno::INTR) => continue,
                Err(errno) => return Err(errno).step(Step::LockContainer),
            }
            // The clock is asked only when there is something to wait for.
            let now = time::monotonic();
            if now >= *deadline.get_or_insert(now.saturating_add(u64::from(PATIENCE) * SECOND)) {
                return Err(self.holder().map_or(
                    Fault::new(Step::LockContainer, Cause::Timeout(PATIENCE)),
                    |pid| Fault::rule(Step::LockContainer, Rule::Held, At::Number(pid)),
                ));
            }
            pause(wait);
            wait = wait.saturating_mul(2).min(50 * MILLISECOND);
        }
        if self.is_linked() {
            return Ok(());
        }
        Err(Fault::rule(
            Step::LockContainer,
            Rule::NoContainer,
            At::Nothing,
        ))
    }

    /// Whether the lock is taken by another process. Without waiting; takes no lock.
    #[must_use]
    pub fn is_locked(&self) -> bool {
        match flock(&self.fd, FlockOperation::NonBlockingLockShared) {
            Ok(()) => {
                self.unlock();
                false
            }
            Err(_) => true,
        }
    }

    /// Gives the lock back, for every process that has the descriptor.
    pub fn unlock(&self) {
        let _ = flock(&self.fd, FlockOperation::Unlock);
    }

    /// Closes the directory in a copy of this process, which never comes back to drop it: an init that waits for `start`
    /// would else keep the lock.
    pub fn close_in_child(&self) {
        if let Ok(number) = u32::try_from(self.fd.as_raw_fd()) {
            let _ = crate::sys::fd::close(number);
        }
    }

    /// Whether the name still leads to this directory: it does not after `delete`.
    #[must_use]
    pub fn is_linked(&self) -> bool {
        let (Ok(here), Ok(there)) = (
            fstat(&self.fd),
            statat(self.root.fd(), self.id, AtFlags::SYMLINK_NOFOLLOW),
        ) else {
            return false;
        };
        here.st_ino == there.st_ino && here.st_dev == there.st_dev
    }

    /// Who has the lock, from /proc/locks: `1: FLOCK  ADVISORY  WRITE PID MAJ:MIN:INODE 0 EOF`.
    #[inline(never)] // its buffer would lie in the frame of everything below
    fn holder(&self) -> Option<u32> {
        let inode = fstat(&self.fd).ok()?.st_ino;
        let mut buffer = [0; 8192];
        let locks = read_file(CWD, c"/proc/locks", &mut buffer).ok()?;
        locks.split(|byte| *byte == b'\n').find_map(|line| {
            let mut words = line
                .split(|byte| *byte == b' ')
                .filter(|word| !word.is_empty());
            let pid = words.nth(4)?;
            let place = words.next()?;
            let held = place.rsplit(|byte| *byte == b':').next()?;
            (number(held, 10)? == inode).then(|| u32::try_from(number(pid, 10)?).ok())?
        })
    }

    /// What the container is doing; [`Status::Paused`] is for the room `cgroup` to tell.
    pub fn status(&self, record: Stored<'_>, boot: &[u8]) -> Result<Status, Fault> {
        Ok(if record.find_init(boot)?.is_none() {
            Status::Stopped
        } else if self.awaits_start()? {
            Status::Created
        } else {
            Status::Running
        })
    }

    /// Whether [`START_SOCKET`] exists.
    pub fn awaits_start(&self) -> Result<bool, Fault> {
        match statat(&self.fd, START_SOCKET, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(FileType::from_raw_mode(stat.st_mode) == FileType::Socket),
            Err(Errno::NOENT) => Ok(false),
            Err(errno) => Err(errno).step_at(Step::ReadState, At::Place(Place::StartSocket)),
        }
    }

    /// Removes [`START_SOCKET`]: the container is running from now on.
    pub fn started(&self) -> Result<(), Fault> {
        match unlinkat(&self.fd, START_SOCKET, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(errno).step_at(Step::WriteState, At::Place(Place::StartSocket)),
        }
    }

    /// Removes the files and the directory; the last thing to be done with a container. What allows to repeat an
    /// interrupted removal goes last.
    pub fn discard(self) -> Result<(), Fault> {
        if !self.is_linked() {
            // It is removed already, and the name may be that of another container by now.
            return Ok(());
        }
        // A half-written NEW is rare, and is swept up below.
        for name in [START_SOCKET, EXIT, CONFIG, STATE, INTENT] {
            match unlinkat(&self.fd, name, AtFlags::empty()) {
                // EISDIR: damaged by somebody; the sweep below handles it.
                Ok(()) | Err(Errno::NOENT | Errno::ISDIR) => {}
                Err(errno) => return Err(errno).step(Step::RemoveState),
            }
        }
        for _ in 0..2 {
            match unlinkat(self.root.fd(), self.id, AtFlags::REMOVEDIR) {
                Ok(()) | Err(Errno::NOENT) => return Ok(()),
                Err(Errno::NOTEMPTY | Errno::EXIST) => self.sweep().step(Step::RemoveState)?,
                Err(errno) => return Err(errno).step(Step::RemoveState),
            }
        }
        Err(Errno::NOTEMPTY).step(Step::RemoveState)
    }

    /// Removes whatever else is in the directory: files, and directories that are empty.
    fn sweep(&self) -> Result<(), Errno> {
        let mut buffer = [MaybeUninit::uninit(); 2048];
        let mut entries = RawDir::new(&self.fd, &mut buffer);
        while let Some(entry) = entries.next() {
            let entry = entry?;
            let name = entry.file_name();
            if name == c"." || name == c".." {
                continue;
            }
            match unlinkat(&self.fd, name, AtFlags::empty()) {
                Err(Errno::ISDIR) => unlinkat(&self.fd, name, AtFlags::REMOVEDIR)?,
                removed => removed?,
            }
        }
        Ok(())
    }
}
