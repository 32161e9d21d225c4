//! Terminals: one for the container out of its own devpts, its way to whoever asked for it, and the relay between it
//! and the caller's terminal.
//!
//! ```text
//!  check            who gets the master: nobody, a console socket, or the relay of a foreground `run`
//!  connect          the console socket, in the parent, before anything else can fail
//!  open             in init, after pivot_root: master and slave from /dev/pts/ptmx, by descriptor
//!  hand_over        the master to the console socket
//!  attach           the slave as controlling terminal and stdio
//!  Relay            in the parent, until the container ends
//! ```
#![forbid(unsafe_code)]

mod relay;

pub use relay::Relay;

use core::ffi::CStr;

use crate::error::{Context, Errno, Fault, Rule, Step};
use crate::fs::proc::Proc;
use crate::fs::root::Root;
use crate::fs::text::Text;
use crate::fs::within;
use crate::limits::FULL;
use crate::sys::path::{cwd, fs_type, openat};
use crate::sys::{AsFd, AsRawFd, BorrowedFd, OwnedFd, sock};
use crate::text::c_text;
use rustix::fs::{FileType, Gid, OFlags, Uid, fchown, fstat};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, socket_with};
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

/// Magic number of statfs(2) for devpts, linux/magic.h.
const DEVPTS: u32 = 0x1cd1;

/// Who gets the master of the container's terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// There is no terminal.
    None,
    /// This process relays it to its own stdio.
    Relay,
    /// The peer of the console socket.
    Socket,
}

/// What `process.terminal`, `create` or `--detach`, and `--console-socket` mean together.
///
/// # Errors
///
/// A terminal that nobody would hold; a socket that would get nothing.
pub fn check(terminal: bool, detach: bool, socket_given: bool) -> Result<Mode, Rule> {
    if !FULL {
        let none = !terminal && !socket_given;
        return none.then_some(Mode::None).ok_or(Rule::NotInThisBuild);
    }
    match (terminal, detach, socket_given) {
        (true, true, false) => Err(Rule::TerminalNeedsSocket),
        (false, _, true) | (_, false, true) => Err(Rule::SocketNeedsTerminal),
        (true, true, true) => Ok(Mode::Socket),
        (true, false, false) => Ok(Mode::Relay),
        (false, _, false) => Ok(Mode::None),
    }
}

/// Connects to a console socket, or another listening stream socket. A path longer than a socket address holds (107
/// bytes) is reached from inside its directory.
///
/// # Errors
///
/// The kernel's: ENOENT, ECONNREFUSED when nobody listens, EPROTOTYPE for another kind of socket, ENAMETOOLONG when the
/// last component alone is too long.
pub fn connect(path: &CStr, step: Step) -> Result<OwnedFd, Fault> {
    connect_to(path).step(step)
}

fn connect_to(path: &CStr) -> Result<OwnedFd, Errno> {
    let unix = AddressFamily::UNIX;
    let socket = socket_with(unix, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    let socket = OwnedFd::from(socket);
    match join(&socket, path) {
        Err(Errno::NAMETOOLONG) => join_from_near(&socket, path)?,
        joined => joined?,
    }
    Ok(socket)
}

fn join(socket: &OwnedFd, path: &CStr) -> Result<(), Errno> {
    rustix::net::connect(socket, &SocketAddrUnix::new(path)?)
}

#[inline(never)] // its buffer would lie in the frame of everything below
fn join_from_near(socket: &OwnedFd, path: &CStr) -> Result<(), Errno> {
    let bytes = path.to_bytes_with_nul();
    let slash = bytes.iter().rposition(|byte| *byte == b'/');
    let (dir, name) = bytes
        .split_at_checked(slash.ok_or(Errno::NAMETOOLONG)? + 1)
        .ok_or(Errno::INVAL)?;
    let name = c_text(name).ok_or(Errno::INVAL)?;
    let mut text = Text::new();
    text.push(dir)?;
    let flags = OFlags::PATH | OFlags::DIRECTORY;
    let dir = openat(cwd(), text.path(), flags)?;
    within(dir.as_fd(), || join(socket, name))
}

/// Both ends of a terminal.
pub struct Terminal {
    /// What is written to it the program reads, and the other way round.
    pub master: OwnedFd,
    /// For the program.
    pub slave: OwnedFd,
}

/// Opens a terminal of the container's devpts, with a size (rows, columns) and an owner.
///
/// The multiplexer is opened without following or using it, examined, and only then opened for real; the slave comes
/// out of the master by ioctl (TIOCGPTPEER, 4.13). No name is looked up twice (CVE-2025-52565).
///
/// # Errors
///
/// The kernel's; a /dev/pts/ptmx that is not the multiplexer of a devpts.
pub fn open(
    root: &Root<'_>,
    proc: &Proc,
    size: Option<(u16, u16)>,
    owner: u32,
) -> Result<Terminal, Fault> {
    let pts = root.plain_directory(c"/dev/pts").step(Step::OpenTerminal)?;
    let flags = OFlags::PATH | OFlags::NOFOLLOW;
    let ptmx = openat(&pts, c"ptmx", flags).step(Step::OpenTerminal)?;
    if !is_multiplexer(&ptmx).step(Step::OpenTerminal)? {
        let at = crate::error::At::Nothing;
        return Err(Fault::rule(Step::OpenTerminal, Rule::NotDevpts, at));
    }
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let master = proc.reopen(&ptmx, flags).step(Step::OpenTerminal)?;
    let slave = other_end(&master, size).step(Step::OpenTerminal)?;
    let owner = Uid::from_raw(owner);
    match fchown(&slave, Some(owner), None::<Gid>) {
        // A read-only devpts, a user that is not mapped, a runtime without the right: the terminal works all the same.
        Ok(()) | Err(Errno::ROFS | Errno::PERM | Errno::INVAL) => {}
        Err(errno) => return Err(errno).step(Step::OpenTerminal),
    }
    Ok(Terminal { master, slave })
}

fn is_multiplexer(file: &OwnedFd) -> Result<bool, Errno> {
    let stat = fstat(file)?;
    Ok(
        FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice
            && stat.st_rdev == rustix::fs::makedev(5, 2)
            && fs_type(file)? == DEVPTS,
    )
}

/// The slave of a new master.
fn other_end(master: &OwnedFd, size: Option<(u16, u16)>) -> Result<OwnedFd, Errno> {
    unlockpt(master)?;
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let slave = ioctl_tiocgptpeer(master, flags).map(OwnedFd::from)?;
    if let Some((rows, columns)) = size {
        let size = Winsize {
            ws_row: rows,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(master, size)?;
    }
    Ok(slave)
}

/// Sends the master to the peer of a console socket, with the name that other runtimes give it.
///
/// # Errors
///
/// The kernel's; EPIPE when the peer has gone.
pub fn hand_over(socket: BorrowedFd<'_>, master: BorrowedFd<'_>) -> Result<(), Fault> {
    sock::send(socket, b"/dev/ptmx", Some(master)).step(Step::SendTerminal)
}

/// Makes the slave the controlling terminal of this session, which must have none, and descriptors 0 to 2.
///
/// # Errors
///
/// The kernel's; EPERM for a process that leads no session.
pub fn attach(slave: OwnedFd) -> Result<(), Fault> {
    take(&slave).step(Step::AttachTerminal)?;
    // Above 2 as long as 0 to 2 are open, which the runtime has seen to.
    debug_assert!(slave.as_raw_fd() > 2);
    Ok(())
}

fn take(slave: &OwnedFd) -> Result<(), Errno> {
    rustix::process::ioctl_tiocsctty(slave)?;
    rustix::stdio::dup2_stdin(slave)?;
    rustix::stdio::dup2_stdout(slave)?;
    rustix::stdio::dup2_stderr(slave)
}

#[cfg(test)]
mod tests;
