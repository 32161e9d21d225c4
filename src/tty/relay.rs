//! Between the caller's stdio and the master of the container's terminal, both ways, from the poll of a supervisor.
//!
//! The caller's descriptors are shared with other processes, so their flags are left alone: a terminal or a pipe is
//! opened once more, without blocking, through /proc; what cannot be is only touched after poll(2) has said so.
#![forbid(unsafe_code)]

use crate::error::{Context, Errno, Fault, Rule, Step};
use crate::limits::FULL;
use crate::sys::file::{stdin, stdout};
use crate::sys::memory::TakeOnce;
use crate::sys::path::{cwd, openat};
use crate::sys::term::Settings;
use crate::sys::time::{self, MILLISECOND, SECOND};
use crate::sys::{AsFd, BorrowedFd, OwnedFd};
use core::ffi::CStr;
use heapless::Vec;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, OFlags, fstat};
use rustix::io::{ioctl_fionbio, read, write};
use rustix::termios::{isatty, tcgetwinsize, tcsetwinsize};

/// Bytes on the way in each direction; a pipe that is ready takes this many at once.
const BUFFER: usize = 8192;
/// Most bytes in one write to a descriptor that may block: what a ready pipe takes without blocking (PIPE_BUF).
const PIECE: usize = 4096;
/// Time without any output after which a terminal that other processes hold open counts as quiet.
const QUIET: u64 = 100 * MILLISECOND;
/// Time that a caller's terminal may take for a piece of the output of a container that has ended.
const SLOW: u64 = 10 * SECOND;

static BUFFERS: TakeOnce<[[u8; BUFFER]; 2]> = TakeOnce::new([[0; BUFFER]; 2]);

/// A descriptor of the caller.
enum Caller {
    /// Opened again, without blocking.
    Own(OwnedFd),
    /// As it was inherited.
    Shared(BorrowedFd<'static>),
}

impl Caller {
    fn new(fd: BorrowedFd<'static>, name: &CStr, flags: OFlags) -> Self {
        // A regular file opened again would start at its beginning; a socket cannot be.
        let kind = fstat(fd).map(|stat| FileType::from_raw_mode(stat.st_mode));
        let again = kind == Ok(FileType::Fifo) || isatty(fd);
        let flags = flags | OFlags::NONBLOCK | OFlags::NOCTTY;
        match openat(cwd(), name, flags) {
            Ok(own) if again => Self::Own(own),
            _ => Self::Shared(fd),
        }
    }

    fn fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Own(fd) => fd.as_fd(),
            Self::Shared(fd) => *fd,
        }
    }
}

/// Bytes in one direction: read until there is nothing left in the buffer, written until there is nothing left.
pub(super) struct Flow {
    buffer: &'static mut [u8; BUFFER],
    start: usize,
    end: usize,
    /// Nothing more will be read.
    pub(super) ended: bool,
}

impl Flow {
    fn new(buffer: &'static mut [u8; BUFFER]) -> Self {
        Self {
            buffer,
            start: 0,
            end: 0,
            ended: false,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Reads into the empty buffer; gives the last byte.
    fn fill(&mut self, from: BorrowedFd<'_>) -> Option<u8> {
        match read(from, self.buffer.as_mut_slice()) {
            // EIO: the other end of a terminal is closed. Anything else will not get better either.
            Ok(0) => self.ended = true,
            Ok(n) => (self.start, self.end) = (0, n),
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(_) => self.ended = true,
        }
        self.buffer.get(..self.end)?.last().copied()
    }

    /// Writes as much as goes. A reader that has gone is no reason to stop the container: its output is dropped.
    fn drain(&mut self, to: BorrowedFd<'_>) {
        let end = self.end.min(self.start + PIECE);
        let bytes = self.buffer.get(self.start..end).unwrap_or(&[]);
        match write(to, bytes) {
            Ok(n) => self.start += n,
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(_) => self.start = self.end,
        }
    }

    /// Puts bytes into the empty buffer.
    fn put(&mut self, bytes: &[u8]) {
        if let Some(room) = self.buffer.get_mut(..bytes.len()) {
            room.copy_from_slice(bytes);
            (self.start, self.end) = (0, bytes.len());
        }
    }
}

/// The relay. Dropping it gives the caller's terminal its settings back.
pub struct Relay {
    master: OwnedFd,
    input: Caller,
    output: Caller,
    inward: Flow,
    pub(super) outward: Flow,
    last_in: u8,
    /// The caller's terminal, where there is one, with the settings it had.
    terminal: Option<(BorrowedFd<'static>, Settings)>,
}

impl Relay {
    /// Takes the master of the container's terminal, and puts the caller's into raw mode: every key is for the
    /// program. `resize` gives the container's the size of the caller's.
    ///
    /// # Errors
    ///
    /// The kernel's for the master. Once per process.
    pub fn start(master: OwnedFd, resize: bool) -> Result<Self, Fault> {
        let never = Fault::rule(Step::RelayTerminal, Rule::Never, crate::error::At::Nothing);
        let [inward, outward] = BUFFERS.take().filter(|_| FULL).ok_or(never)?;
        ioctl_fionbio(&master, true).step(Step::RelayTerminal)?;
        let stdin = stdin();
        let terminal = [stdin, stdout()].into_iter().find(|fd| isatty(*fd));
        let terminal = terminal.and_then(|fd| Some((fd, Settings::of(fd).ok()?)));
        let mut relay = Self {
            master,
            input: Caller::new(stdin, c"/proc/self/fd/0", OFlags::RDONLY),
            output: Caller::new(stdout(), c"/proc/self/fd/1", OFlags::WRONLY),
            inward: Flow::new(inward),
            outward: Flow::new(outward),
            last_in: b'\n',
            terminal,
        };
        if resize {
            relay.resize();
        }
        relay.raw();
        Ok(relay)
    }

    fn raw(&mut self) {
        if let Some((fd, old)) = &self.terminal {
            // A caller without the right to change it (a background job whose group was orphaned) keeps its settings.
            let _ = old.raw().set(fd);
        }
    }

    /// SIGWINCH: the caller's terminal has another size.
    pub fn resize(&self) {
        if let Some((fd, _)) = &self.terminal
            && let Ok(size) = tcgetwinsize(fd)
        {
            let _ = tcsetwinsize(&self.master, size);
        }
    }

    /// Relays until `other` (a signalfd) is readable.
    ///
    /// # Errors
    ///
    /// The kernel's for poll(2).
    pub fn wait(&mut self, other: BorrowedFd<'_>) -> Result<(), Errno> {
        while !self.round(Some(other), None)? {}
        Ok(())
    }

    /// After the end of the container: writes what it has still written, until its terminal is closed or quiet.
    pub fn finish(&mut self) {
        self.inward.ended = true;
        self.inward.start = self.inward.end;
        while !(self.outward.ended && self.outward.is_empty()) {
            // Silence is an end; a reader that is slow to take what is there is not.
            let patience = if self.outward.is_empty() { QUIET } else { SLOW };
            if self.round(None, Some(&time::span(patience))) != Ok(false) {
                return;
            }
        }
    }

    /// One poll, and what it says can be done. True when `other` is readable or the time is over.
    pub(super) fn round(
        &mut self,
        other: Option<BorrowedFd<'_>>,
        time: Option<&Timespec>,
    ) -> Result<bool, Errno> {
        let wants = self.wants();
        let mut fds = Vec::<_, 5>::new();
        let ours = [
            (self.input.fd(), PollFlags::IN),
            (self.master.as_fd(), PollFlags::OUT),
            (self.master.as_fd(), PollFlags::IN),
            (self.output.fd(), PollFlags::OUT),
        ];
        // One that waits for nothing must be left out: its hang-up would be reported for ever.
        for ((fd, flags), wants) in ours.into_iter().zip(wants) {
            if wants {
                let _ = fds.push(PollFd::from_borrowed_fd(fd, flags));
            }
        }
        if let Some(fd) = other {
            let _ = fds.push(PollFd::from_borrowed_fd(fd, PollFlags::IN));
        }
        match poll(&mut fds, time) {
            Ok(0) => return Ok(true),
            Ok(_) => {}
            Err(Errno::INTR) => return Ok(false),
            Err(errno) => return Err(errno),
        }
        let mut events = fds.iter().map(|fd| !fd.revents().is_empty());
        let ready = wants.map(|wants| wants && events.next() == Some(true));
        let stop = events.next() == Some(true);
        drop(fds);
        self.step(ready);
        Ok(stop)
    }

    /// Which can go on: read input, write to the master, read from it, write output.
    fn wants(&self) -> [bool; 4] {
        [
            self.inward.is_empty() && !self.inward.ended,
            !self.inward.is_empty(),
            self.outward.is_empty() && !self.outward.ended,
            !self.outward.is_empty(),
        ]
    }

    fn step(&mut self, [input, to_master, from_master, output]: [bool; 4]) {
        if input {
            self.last_in = self.inward.fill(self.input.fd()).unwrap_or(self.last_in);
            if self.inward.ended {
                self.end_of_input();
            }
        }
        if to_master {
            self.inward.drain(self.master.as_fd());
        }
        if from_master {
            self.outward.fill(self.master.as_fd());
        }
        if output {
            self.outward.drain(self.output.fd());
        }
    }

    /// The program sees the end of its input where its terminal reads lines: the end-of-file character at the start of
    /// a line. One before it sends off what stands on an unfinished line.
    fn end_of_input(&mut self) {
        let settings = Settings::of(&self.master).ok();
        if let Some(end) = settings.and_then(Settings::end_of_file) {
            let twice = [end, end];
            let (_, once) = twice.split_at(1);
            let line = self.last_in == b'\n';
            self.inward.put(if line { once } else { &twice });
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        if let Some((fd, old)) = &self.terminal {
            let _ = old.set(fd);
        }
    }
}
