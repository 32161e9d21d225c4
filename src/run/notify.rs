//! sd_notify(3) through the wall of the container: a socket of its own at /run/notify/notify.sock, made by init, kept while
//! it waits for `start`, and read by whoever stands between it and `$NOTIFY_SOCKET`.
//!
//! In the foreground everything that a supervisor acts on is passed on for as long as the container runs; a detached start
//! ends with the first READY=1, or with the container. Lines that would speak for another process, or have descriptors
//! with them, are left out; behind READY=1 comes the pid that the container has outside.
#![forbid(unsafe_code)]

use core::ffi::CStr;

use heapless::Vec;
use rustix::event::{PollFd, PollFlags, epoll, poll};
use rustix::net::SocketAddrUnix;

use crate::error::{Context, Errno, Fault, Step};
use crate::fs::root::Root;
use crate::limits::FULL;
use crate::plan::service::{NOTIFY_DIRECTORY, NOTIFY_NAME};
use crate::state;
use crate::sys::time::{self, MILLISECOND, SECOND};
use crate::sys::{AsFd, BorrowedFd, OwnedFd, sock};
use crate::text::{Digits, pieces};

/// What is passed on.
const LINES: [&[u8]; 8] = [
    b"READY=",
    b"STATUS=",
    b"WATCHDOG=",
    b"RELOADING=",
    b"STOPPING=",
    b"EXTEND_TIMEOUT_USEC=",
    b"MONOTONIC_USEC=",
    b"ERRNO=",
];

/// Longest message, man 3 sd_notify.
const MESSAGE: usize = 4096;
/// Time for the supervisor to have read all, as systemd's own tools wait.
const BARRIER: u64 = 30 * SECOND;
/// Time between two looks at a container whose end cannot be waited for: before Linux 5.3.
const TICK: u64 = 50 * MILLISECOND;

/// Init's part: the socket, in the directory that was mounted for it. The umask is 0, so that any user may write to it.
pub(super) fn listen(root: Root<'_>) -> Result<OwnedFd, Fault> {
    let bound = root.follow(NOTIFY_DIRECTORY).and_then(|directory| {
        let socket = sock::datagrams()?;
        crate::fs::within(directory.as_fd(), || {
            rustix::net::bind(&socket, &SocketAddrUnix::new(NOTIFY_NAME)?)
        })?;
        Ok(socket)
    });
    bound.step(Step::ListenNotify)
}

/// The supervisor's socket, connected: a path, or a name behind `@`.
pub(super) fn connect(name: &CStr) -> Result<OwnedFd, Fault> {
    let address = match name.to_bytes() {
        [b'@', rest @ ..] => SocketAddrUnix::new_abstract_name(rest),
        _ => SocketAddrUnix::new(name),
    };
    address
        .and_then(|address| sock::datagrams_to(&address))
        .step(Step::ConnectNotify)
}

/// From the container to its supervisor.
pub struct Relay {
    pub(super) from: OwnedFd,
    pub(super) to: OwnedFd,
    /// The container's init.
    pub(super) pid: u32,
}

impl Relay {
    /// Passes on what is there. Whether the container is ready now.
    #[inline(never)] // its buffers would lie in the frame of its caller
    pub(super) fn pass(&self) -> bool {
        let mut ready = false;
        if !FULL {
            return ready;
        }
        let mut text = [0; MESSAGE];
        while let Ok(length) = rustix::io::read(&self.from, &mut text) {
            let message = Message::of(text.get(..length).unwrap_or(&[]), self.pid);
            ready |= message.ready;
            if !message.text.is_empty() {
                // A supervisor that is not there any more is not the container's trouble.
                let _ = rustix::io::write(&self.to, &message.text);
            }
        }
        ready
    }

    /// For a detached start: until the container is ready, or has ended.
    pub(super) fn until_ready(&self, init: Option<BorrowedFd<'_>>) -> Result<(), Fault> {
        if !FULL {
            return Ok(());
        }
        let mut fds = Vec::<_, 2>::new();
        for fd in [Some(self.from.as_fd()), init].into_iter().flatten() {
            let _ = fds.push(PollFd::from_borrowed_fd(fd, PollFlags::IN));
        }
        let tick = time::span(TICK);
        let patience = init.is_none().then_some(&tick);
        loop {
            let ended = match poll(&mut fds, patience) {
                Ok(0) => !state::lives(self.pid),
                Ok(_) => fds.get(1).is_some_and(|init| !init.revents().is_empty()),
                Err(Errno::INTR) => false,
                Err(errno) => return Err(errno).step(Step::Supervise),
            };
            if self.pass() {
                self.barrier();
                return Ok(());
            }
            if ended {
                return Ok(());
            }
        }
    }

    /// Waits until the supervisor has read all: it closes the descriptor that goes with the message.
    fn barrier(&self) {
        let Ok((ours, theirs)) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC) else {
            return;
        };
        let sent = sock::send(self.to.as_fd(), b"BARRIER=1", Some(theirs.as_fd()));
        drop(theirs);
        if sent.is_ok() {
            let mut fds = [PollFd::new(&ours, PollFlags::IN)];
            let _ = poll(&mut fds, Some(&time::span(BARRIER)));
        }
    }

    /// A descriptor that is readable when one of these is.
    pub(super) fn beside(&self, other: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
        let both = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        for fd in [self.from.as_fd(), other] {
            let data = epoll::EventData::new_u64(0);
            epoll::add(&both, fd, data, epoll::EventFlags::IN)?;
        }
        Ok(both.into())
    }
}

/// What becomes of one message.
struct Message {
    text: Vec<u8, { MESSAGE + 32 }>,
    ready: bool,
}

impl Message {
    fn of(text: &[u8], pid: u32) -> Self {
        let mut message = Self {
            text: Vec::new(),
            ready: false,
        };
        for line in pieces(text, b'\n') {
            if LINES.iter().any(|known| line.starts_with(known)) {
                message.ready |= line.starts_with(b"READY=");
                message.add(&[line, b"\n"]);
            }
        }
        if message.ready {
            message.add(&[b"MAINPID=", Digits::new(u64::from(pid)).text(), b"\n"]);
        }
        message
    }

    fn add(&mut self, parts: &[&[u8]]) {
        for part in parts {
            // There is room for all lines and the pid.
            let _ = self.text.extend_from_slice(part);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Message, Relay, connect};
    use crate::sys::sock::datagrams;
    use rustix::fd::AsFd;

    #[test]
    fn lines_that_pass() {
        for (text, passed, ready) in [
            ("READY=1", "READY=1\nMAINPID=42\n", true),
            (
                "READY=1\nMAINPID=1\nSTATUS=up",
                "READY=1\nSTATUS=up\nMAINPID=42\n",
                true,
            ),
            (
                "STATUS=a b\n\nWATCHDOG=1\n",
                "STATUS=a b\nWATCHDOG=1\n",
                false,
            ),
            (
                "RELOADING=1\nMONOTONIC_USEC=5",
                "RELOADING=1\nMONOTONIC_USEC=5\n",
                false,
            ),
            (
                "STOPPING=1\nEXTEND_TIMEOUT_USEC=9",
                "STOPPING=1\nEXTEND_TIMEOUT_USEC=9\n",
                false,
            ),
            ("FDSTORE=1\nBARRIER=1\nMAINPID=7\nXREADY=1", "", false),
            ("", "", false),
        ] {
            let message = Message::of(text.as_bytes(), 42);
            assert_eq!((&*message.text, message.ready), (passed.as_bytes(), ready));
        }
    }

    #[test]
    fn messages_go_through() {
        let name = format!("@ocilet-test-{}", std::process::id());
        let host = datagrams().unwrap();
        let address =
            rustix::net::SocketAddrUnix::new_abstract_name(&name.as_bytes()[1..]).unwrap();
        rustix::net::bind(&host, &address).unwrap();
        let to = connect(&std::ffi::CString::new(name).unwrap()).unwrap();
        let (theirs, from) = rustix::net::socketpair(
            rustix::net::AddressFamily::UNIX,
            rustix::net::SocketType::DGRAM,
            rustix::net::SocketFlags::NONBLOCK,
            None,
        )
        .unwrap();
        let relay = Relay {
            from: from.into(),
            to,
            pid: 7,
        };
        let both = relay.beside(theirs.as_fd()).unwrap();
        let readable = || {
            let mut fds = [rustix::event::PollFd::new(
                &both,
                rustix::event::PollFlags::IN,
            )];
            rustix::event::poll(&mut fds, Some(&rustix::event::Timespec::default())).unwrap() == 1
        };
        assert!(!readable() && !relay.pass());
        rustix::io::write(&theirs, b"STATUS=x").unwrap();
        assert!(readable() && !relay.pass() && !readable());
        rustix::io::write(&theirs, b"READY=1").unwrap();
        assert!(relay.pass());
        let mut text = [0; 64];
        let mut next = || {
            let length = rustix::io::read(&host, &mut text).unwrap();
            String::from_utf8(text[..length].to_vec()).unwrap()
        };
        assert_eq!(
            (next(), next()),
            ("STATUS=x\n".into(), "READY=1\nMAINPID=7\n".into())
        );
    }
}
