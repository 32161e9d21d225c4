//! The init of a container as seen from outside: is it the one that was recorded, does it live, signal it, wait for it.
//!
//! A number alone is never trusted: the boot must be the same, and the pidfd's inode (Linux 6.9) or the start time must
//! match, read while a pidfd holds the number. Without pidfds (before 5.3) the number is checked right before its use.
#![forbid(unsafe_code)]

use super::record::{Identity, Stored};
use crate::error::{At, Cause, Context, Errno, Fault, Rule, Step};
use crate::fs::proc::Proc;
use crate::fs::text::Text;
use crate::limits::ANY_KERNEL;
use crate::sys::file::read_file;
use crate::sys::time::{self, MILLISECOND, SECOND};
use crate::sys::{AsFd, BorrowedFd, OwnedFd, is_lacking, pidfd};
use crate::text::{Digits, number};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::CWD;

/// Tick of waiting for a process without a pidfd.
const TICK: u64 = 5 * MILLISECOND;
/// So many nanoseconds that nobody waits to their end.
const FOR_EVER: u64 = u64::MAX;

/// The identity of this boot, from /proc, or from a procfs of our own where none is mounted.
///
/// # Errors
///
/// It cannot be told: then nothing that was recorded could ever be told from a stranger.
pub fn boot(text: &mut [u8; 36]) -> Result<&[u8], Fault> {
    let read = match read_file(CWD, c"/proc/sys/kernel/random/boot_id", text) {
        Err(Errno::NOENT) => {
            let procfs = Proc::full()?;
            read_file(procfs.fd(), c"sys/kernel/random/boot_id", text)
        }
        read => read,
    };
    match read.map(<[u8]>::len) {
        Ok(36) => Ok(text),
        Ok(_) => Err(Errno::IO).step(Step::AskBoot),
        Err(errno) => Err(errno).step(Step::AskBoot),
    }
}

impl<'a> Identity<'a> {
    /// Of a process that is known to live: a child of the caller, or one held by the pidfd.
    #[must_use]
    pub fn of(boot: &'a [u8], pid: u32, pidfd: Option<BorrowedFd<'_>>) -> Self {
        Self {
            boot,
            pid,
            start: stat(pid).map_or(0, |stat| stat.start),
            inode: pidfd.map_or(0, pidfd::inode),
        }
    }

    /// The process if it lives, `None` if it has ended (a zombie counts as ended) or its number is another's by now.
    pub fn find(&self, boot: &[u8]) -> Result<Option<Live>, Fault> {
        if self.boot != boot || self.pid == 0 {
            return Ok(None);
        }
        let handle = match pidfd::open(self.pid) {
            Ok(handle) => Some(handle),
            // EINVAL: the number is that of a thread by now.
            Err(Errno::SRCH | Errno::INVAL) => return Ok(None),
            Err(errno) if is_lacking(errno) => None,
            Err(errno) => return Err(errno).step_at(Step::FindInit, At::Number(self.pid)),
        };
        let live = Live {
            pid: self.pid,
            start: self.start,
            inode: self.inode,
            handle,
        };
        Ok(live.is_the_one()?.then_some(live))
    }
}

impl Identity<'_> {
    /// Waits until the process has ended, for as long as it takes, and gives its wait status (man 2 wait). `None` where
    /// that is not known: it was waited for by its parent before we came, or the kernel is older than 6.15.
    pub fn await_exit(&self, boot: &[u8]) -> Result<Option<u16>, Fault> {
        let at = At::Number(self.pid);
        if self.boot != boot {
            return Ok(None);
        }
        let handle = match pidfd::open(self.pid) {
            Ok(handle) => Some(handle),
            Err(errno) if is_lacking(errno) => None,
            Err(_) => return Ok(None),
        };
        let inode = handle.as_ref().map_or(0, |it| pidfd::inode(it.as_fd()));
        // Of a pidfd it is the one for ever; a number alone is looked at again and again.
        let same = |start| start == self.start && (inode == 0 || inode == self.inode);
        loop {
            let ended = match &handle {
                Some(handle) => readable(handle.as_fd(), FOR_EVER).step_at(Step::AwaitEnd, at)?,
                None => false,
            };
            match stat(self.pid) {
                Ok(stat) if !same(stat.start) => return Ok(None),
                Ok(stat) if ended || handle.is_none() && !stat.alive => return Ok(stat.exit),
                Ok(_) if handle.is_none() => pause(TICK),
                Err(Errno::NOENT | Errno::SRCH) => {
                    let handle = handle.as_ref().map(AsFd::as_fd);
                    return Ok(handle.and_then(pidfd::exit_status));
                }
                Ok(_) => {}
                Err(errno) => return Err(errno).step_at(Step::AwaitEnd, at),
            }
        }
    }
}

impl Stored<'_> {
    /// [`Identity::find`] for the init of a record.
    #[inline(never)] // three callers
    pub fn find_init(self, boot: &[u8]) -> Result<Option<Live>, Fault> {
        self.init().find(boot)
    }
}

/// A process that was alive and the recorded one when it was looked at.
pub struct Live {
    pid: u32,
    start: u64,
    inode: u64,
    handle: Option<OwnedFd>,
}

impl Live {
    /// Its number.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Its pidfd, from Linux 5.3 on: readable when it has ended.
    #[must_use]
    pub fn handle(&self) -> Option<BorrowedFd<'_>> {
        self.handle.as_ref().map(AsFd::as_fd)
    }

    /// Sends it a signal. A process that ended is [`Rule::NotRunning`].
    pub fn signal(&self, signal: u32) -> Result<(), Fault> {
        let by_handle = self.handle.as_ref();
        let by_handle = by_handle.map(|handle| pidfd::send_signal(handle, signal));
        let sent = match by_handle {
            // Linux 5.1 lacks nothing else: a seccomp filter around us may know only kill(2).
            None | Some(Err(Errno::NOSYS)) if ANY_KERNEL => match self.is_the_one()? {
                true => pidfd::kill(self.pid, signal),
                false => Err(Errno::SRCH),
            },
            sent => sent.unwrap_or(Err(Errno::SRCH)),
        };
        match sent {
            Err(Errno::SRCH) => Err(Fault::rule(Step::Signal, Rule::NotRunning, At::Nothing)),
            sent => sent.step_at(Step::Signal, At::Number(self.pid)),
        }
    }

    /// Waits until it has ended, at most `seconds`.
    pub fn await_end(&self, seconds: u16) -> Result<(), Fault> {
        let at = At::Number(self.pid);
        let deadline = time::monotonic().saturating_add(u64::from(seconds) * SECOND);
        loop {
            let left = deadline.saturating_sub(time::monotonic());
            let ended = match &self.handle {
                Some(handle) => readable(handle.as_fd(), left).step_at(Step::AwaitEnd, at)?,
                None => {
                    pause(left.min(TICK));
                    !self.is_the_one()?
                }
            };
            if ended {
                return Ok(());
            }
            if left == 0 {
                return Err(Fault::placed(Step::AwaitEnd, Cause::Timeout(seconds), at));
            }
        }
    }

    /// Whether the number still belongs to the recorded process, and that has not ended.
    pub fn is_the_one(&self) -> Result<bool, Fault> {
        if let Some(handle) = &self.handle {
            // Readable means that the process has ended, reaped or not.
            if readable(handle.as_fd(), 0).step(Step::FindInit)? {
                return Ok(false);
            }
            let inode = if self.inode == 0 {
                0
            } else {
                pidfd::inode(handle.as_fd())
            };
            if inode != 0 {
                return Ok(inode == self.inode);
            }
        }
        match stat(self.pid) {
            Ok(stat) => Ok(stat.alive && stat.start == self.start),
            Err(Errno::NOENT | Errno::SRCH) => Ok(false),
            Err(errno) => Err(errno).step_at(Step::FindInit, At::Number(self.pid)),
        }
    }
}

/// Whether a descriptor becomes readable within `nanoseconds`.
fn readable(fd: BorrowedFd<'_>, nanoseconds: u64) -> Result<bool, Errno> {
    let mut fds = [PollFd::from_borrowed_fd(fd, PollFlags::IN)];
    match poll(&mut fds, Some(&time::span(nanoseconds))) {
        Ok(n) => Ok(n > 0),
        Err(Errno::INTR) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// Lets `nanoseconds` pass, or less when a signal arrives.
pub(super) fn pause(nanoseconds: u64) {
    let _ = poll(&mut [], Some(&time::span(nanoseconds)));
}

/// Three fields of /proc/PID/stat.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    alive: bool,
    start: u64,
    /// The wait status, of a process that has ended; since Linux 3.5.
    exit: Option<u16>,
}

fn stat(pid: u32) -> Result<Stat, Errno> {
    let mut path = Text::new();
    for part in [b"/proc/", Digits::new(u64::from(pid)).text(), b"/stat"] {
        path.push(part)?;
    }
    let mut buffer = [0; 1024];
    parse_stat(read_file(CWD, path.path(), &mut buffer)?).ok_or(Errno::IO)
}

/// Whether a process with this number lives; one that has ended and was not waited for does not.
#[must_use]
pub fn lives(pid: u32) -> bool {
    stat(pid).is_ok_and(|stat| stat.alive)
}

/// The name of the process is in parentheses and may hold any byte: the last parenthesis ends it (man 5 proc).
fn parse_stat(text: &[u8]) -> Option<Stat> {
    let name_end = text.iter().rposition(|byte| *byte == b')')?;
    let mut fields = text
        .get(name_end.checked_add(2)?..)?
        .split(|byte| *byte == b' ');
    let state = fields.next()?;
    // The state is field 3, the start time field 22, the exit code field 52.
    let start = number(fields.nth(18)?, 10)?;
    let exit = fields
        .nth(29)
        .and_then(|code| number(code.trim_ascii(), 10));
    Some(Stat {
        alive: !matches!(state, b"Z" | b"X" | b"x"),
        start,
        exit: exit.and_then(|code| u16::try_from(code).ok()),
    })
}

#[cfg(test)]
mod tests {
    use super::{Identity, Stat, boot, parse_stat, stat};

    #[test]
    fn stat_lines() {
        let line = |name: &str, state: &str| {
            format!("7 ({name}) {state} 1 7 7 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 987654 1 2 3\n")
        };
        let ok = |alive| {
            Some(Stat {
                alive,
                start: 987_654,
                exit: None,
            })
        };
        assert_eq!(parse_stat(line("sh", "S").as_bytes()), ok(true));
        assert_eq!(parse_stat(line("a) Z 1 (b", "R").as_bytes()), ok(true));
        assert_eq!(parse_stat(line("a\nb c", "Z").as_bytes()), ok(false));
        assert_eq!(parse_stat(line("", "X").as_bytes()), ok(false));
        let line = format!("{} {}35072\n", line("sh", "Z").trim_end(), "0 ".repeat(26));
        assert_eq!(
            parse_stat(line.as_bytes()).unwrap().exit,
            Some(137 << 8),
            "{line}"
        );
        assert_eq!(parse_stat(b"7 (sh) S 1 7"), None);
        assert_eq!(parse_stat(b""), None);
    }

    #[test]
    fn a_child_is_found_signalled_and_gone() {
        let mut child = std::process::Command::new("sleep")
            .arg("100")
            .spawn()
            .unwrap();
        let mut text = [0; 36];
        let boot = boot(&mut text).unwrap();
        let handle = crate::sys::pidfd::open(child.id()).unwrap();
        let identity = Identity::of(boot, child.id(), Some(rustix::fd::AsFd::as_fd(&handle)));
        assert!(stat(child.id()).unwrap().alive);

        for stranger in [
            Identity {
                start: identity.start + 1,
                inode: 0,
                ..identity
            },
            Identity {
                boot: b"x",
                ..identity
            },
            Identity { pid: 0, ..identity },
        ] {
            assert!(stranger.find(boot).unwrap().is_none());
        }
        if identity.inode != 0 {
            let stranger = Identity {
                inode: identity.inode + 1,
                ..identity
            };
            assert!(stranger.find(boot).unwrap().is_none());
        }

        let live = identity.find(boot).unwrap().unwrap();
        assert!(live.await_end(0).is_err());
        live.signal(9).unwrap();
        live.await_end(10).unwrap();
        assert!(identity.find(boot).unwrap().is_none(), "a zombie has ended");
        assert_eq!(identity.await_exit(boot).unwrap(), Some(9));
        child.wait().unwrap();
        assert_eq!(identity.await_exit(boot).unwrap(), None);
        assert!(identity.find(boot).unwrap().is_none());
        assert!(live.signal(9).is_err());
    }
}
