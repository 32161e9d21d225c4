//! The directory of one container.
#![forbid(unsafe_code)]

use super::process::pause;
use super::record::{Content, Record, Stored, decimal, encode};
use super::root::Root;
use super::writer::Writer;
use crate::error::{At, Cause, Context, Errno, Fault, Place, Rule, Step};
use crate::limits::{Limit, STATE_BYTES};
use crate::sys::file::{read_file, read_whole};
use crate::sys::{AsFd, AsRawFd, BorrowedFd, OwnedFd, path, time};
use core::cell::Cell;
use core::ffi::CStr;
use core::mem::MaybeUninit;
use rustix::fs::{
    AtFlags, CWD, FileType, FlockOperation, OFlags, RawDir, fdatasync, flock, fstat, fsync,
    renameat, statat, unlinkat,
};

/// The socket in the directory that the init of a created container listens on.
pub const START_SOCKET: &CStr = c"start.sock";
const STATE: &CStr = c"state";
const INTENT: &CStr = c"intent";
/// Only the holder of the lock writes, so one name is enough.
const NEW: &CStr = c"new";
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
    root: &'r Root,
    id: &'r CStr,
    fd: OwnedFd,
    /// The intent, kept open until it becomes the copy of the state.
    intent: Cell<Option<OwnedFd>>,
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
        let mut wait = 1_000_000;
        loop {
            match flock(&self.fd, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => break,
                Err(Errno::WOULDBLOCK) => {}
                Err(Errno::INTR) => continue,
                Err(errno) => return Err(errno).step(Step::LockContainer),
            }
            // The clock is asked only when there is something to wait for.
            let now = time::monotonic();
            if now
                >= *deadline.get_or_insert(now.saturating_add(u64::from(PATIENCE) * 1_000_000_000))
            {
                return Err(self.holder().map_or(
                    Fault::new(Step::LockContainer, Cause::Timeout(PATIENCE)),
                    |pid| Fault::rule(Step::LockContainer, Rule::Held, At::Number(pid)),
                ));
            }
            pause(wait);
            wait = wait.saturating_mul(2).min(50_000_000);
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
            let number = place.rsplit(|byte| *byte == b':').next()?;
            (decimal(number)? == inode).then(|| u32::try_from(decimal(pid)?).ok())?
        })
    }

    /// Writes what is needed to remove a container whose creation is interrupted; before anything is made for it.
    pub fn intent(&self, intent: &Record<'_>) -> Result<(), Fault> {
        let file = self.write(INTENT, Content::Intent(intent))?;
        self.intent.set(Some(file));
        Ok(())
    }

    /// Writes the state, and from then on the container exists for everybody.
    pub fn commit(&self, record: &Record<'_>) -> Result<(), Fault> {
        let content = Content::State(record);
        self.write(STATE, content)?;
        // The intent has served: a copy of the state, longer than it, takes its place. Where the state is damaged later,
        // `delete --force` still knows what to remove.
        match self.intent.take() {
            Some(file) => self.put(&file, content),
            None => Ok(()),
        }
    }

    /// Reads the state. [`Rule::HalfMade`]: a creation is under way or was interrupted.
    pub fn load<'b>(&self, buffer: &'b mut [u8]) -> Result<Stored<'b>, Fault> {
        let rule = Fault::rule(Step::ReadState, Rule::HalfMade, At::Nothing);
        self.read(STATE, false, buffer)?.ok_or(rule)
    }

    /// Reads the copy of the state, for the removal of a container whose state is damaged.
    pub fn load_copy<'b>(&self, buffer: &'b mut [u8]) -> Result<Stored<'b>, Fault> {
        self.read(INTENT, false, buffer)?.ok_or(corrupt())
    }

    /// Reads the intent, or the copy of the state in its place; `None` where the creation did not get that far.
    pub fn load_intent<'b>(&self, buffer: &'b mut [u8]) -> Result<Option<Stored<'b>>, Fault> {
        self.read(INTENT, true, buffer)
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
        for name in [START_SOCKET, STATE, INTENT] {
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

    /// Reads one of the files into `buffer`; `None` where there is none.
    fn read<'b>(
        &self,
        name: &CStr,
        intent: bool,
        buffer: &'b mut [u8],
    ) -> Result<Option<Stored<'b>>, Fault> {
        // O_NONBLOCK: a fifo in this place does not hold us up.
        let flags =
            OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
        let file = match path::open(&self.fd, name, flags, 0) {
            Ok(file) => file,
            Err(Errno::NOENT) => return Ok(None),
            // A link, or a socket.
            Err(Errno::LOOP | Errno::NXIO) => return Err(corrupt()),
            Err(errno) => return Err(errno).step(Step::ReadState),
        };
        let stat = fstat(&file).step(Step::ReadState)?;
        let size = usize::try_from(stat.st_size).unwrap_or(usize::MAX);
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile
            || stat.st_uid != rustix::process::geteuid().as_raw()
        {
            return Err(corrupt());
        }
        let place = buffer.get_mut(..size).ok_or(corrupt())?;
        let length = read_whole(&file, place).step(Step::ReadState)?;
        let bytes = place.get(..length).unwrap_or_default();
        Stored::read(bytes, self.id.to_bytes(), intent)
            .map(Some)
            .map_err(|rule| Fault::rule(Step::ReadState, rule, At::Nothing))
    }

    /// Writes one of the files: under another name, flushed, renamed.
    fn write(&self, name: &CStr, content: Content<'_>) -> Result<OwnedFd, Fault> {
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let open = || path::open(&self.fd, NEW, flags, 0o600);
        let file = match open() {
            // Left by a writer that was killed: we have the lock, so it is nobody's.
            Err(Errno::EXIST) => {
                unlinkat(&self.fd, NEW, AtFlags::empty()).step(Step::WriteState)?;
                open()
            }
            opened => opened,
        }
        .step(Step::WriteState)?;
        self.put(&file, content)?;
        if self.root.durable {
            fdatasync(&file).step(Step::WriteState)?;
        }
        renameat(&self.fd, NEW, &self.fd, name).step(Step::WriteState)?;
        if self.root.durable {
            fsync(&self.fd).step(Step::WriteState)?;
            fsync(self.root.fd()).step(Step::WriteState)?;
        }
        Ok(file)
    }

    /// Fills a file.
    #[inline(never)] // its buffer would lie in the frame of everything below
    fn put(&self, file: &OwnedFd, content: Content<'_>) -> Result<(), Fault> {
        let mut writer = Writer::new(file);
        encode(self.id.to_bytes(), content, &mut |piece| writer.put(piece));
        if writer.total > STATE_BYTES {
            return Err(Fault::limit(
                Step::WriteState,
                Limit::STATE_BYTES,
                At::Nothing,
            ));
        }
        writer.finish().step(Step::WriteState)
    }
}

fn corrupt() -> Fault {
    Fault::rule(Step::ReadState, Rule::Corrupt, At::Nothing)
}
