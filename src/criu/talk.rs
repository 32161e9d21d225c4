//! criu as a child, and the talk with it.
#![forbid(unsafe_code)]

use rustix::fs::{SeekFrom, seek};
use rustix::io::{FdFlags, fcntl_setfd};
use rustix::path::DecInt;
use rustix::process::{Pid, Signal, set_parent_process_death_signal};

use super::message::field;
use super::request::Request;
use crate::error::{At, Cause, Context, Errno, Fault, Rule, Step};
use crate::fs::text::Text;
use crate::hooks::SAID;
use crate::run::{Msg, Wire};
use crate::sys::args::Args;
use crate::sys::file::read_whole;
use crate::sys::proc::{self, Fork};
use crate::sys::{AsFd, BorrowedFd, OwnedFd, sig, sock};
use crate::text::{cut, pieces};

/// Where it is looked for without a PATH.
const PATH: &[u8] = b"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// `criu_req_type` of a notice.
const NOTIFY: u64 = 6;
/// The answer to it: the type, and notify_success.
const GO_ON: &[u8] = b"\x08\x06\x18\x01";
/// Longest answer: notices are short, and an error comes with a line of the log.
const ANSWER: usize = 8192;
/// Bytes of the log that are looked at.
const TAIL: usize = 4096;

/// A criu that waits for a request.
pub(super) struct Criu {
    socket: OwnedFd,
    pub(super) pid: Pid,
}

/// What is done at a notice: its name, the process that it is about, and a descriptor that came along.
pub(super) type Notice<'n> = &'n mut dyn FnMut(&[u8], u32, Option<OwnedFd>) -> Result<(), Fault>;

impl Criu {
    /// Clones a child, which becomes criu when `prepare` is done; what is on the wire then are its
    /// words, and [`Msg::End`] when it is criu.
    pub(super) fn start(
        args: Args,
        prepare: &mut dyn FnMut(&Wire) -> Result<(), Fault>,
    ) -> Result<(Self, Wire), Fault> {
        let (wire, theirs) = Wire::pair()?;
        let (socket, other) = sock::pair().step(Step::RunCriu)?;
        match proc::fork(0, None, false).step(Step::RunCriu)? {
            Fork::Child => {
                let ready = prepare(&theirs).and_then(|()| inherit(&other));
                let fault = ready.map_or_else(|fault| fault, |()| become_criu(args, &other));
                let _ = theirs.send(Msg::Fault(fault), None);
                proc::exit(127)
            }
            Fork::Parent(pid, _) => Ok((Self { socket, pid }, wire)),
        }
    }

    /// Asks, and attends to its notices until it is done. Gives the restored process.
    pub(super) fn ask(self, request: &mut Request, notice: Notice<'_>) -> Result<u32, Fault> {
        let mut answer = [0; ANSWER];
        let said = self.converse(request, &mut answer, notice);
        // It ends when it sees that we have nothing more to say, as it does after a pre-dump, or after a fault of ours.
        drop(self.socket);
        let ended = proc::wait(self.pid).step(Step::RunCriu)?;
        match said {
            Err(fault) if fault.cause() == Cause::Protocol(0, 0) => {
                tell(request);
                let cause = Cause::Ended(ended.to_status());
                Err(Fault::new(request.kind.step(), cause))
            }
            said => said,
        }
    }

    fn converse(
        &self,
        request: &mut Request,
        answer: &mut [u8],
        notice: Notice<'_>,
    ) -> Result<u32, Fault> {
        let step = request.kind.step();
        let socket = self.socket.as_fd();
        say(socket, request.finish()?).step(step)?;
        loop {
            let (length, fd) = match sock::receive(socket, answer) {
                Ok((0, _)) | Err(Errno::CONNRESET) => {
                    return Err(Fault::new(step, Cause::Protocol(0, 0)));
                }
                other => other.step(step)?,
            };
            let heard = answer.get(..length).unwrap_or_default();
            if field(heard, 2).0 == 0 {
                tell(request);
                return Err(Fault::rule(step, Rule::CriuRefused, At::Nothing));
            }
            let pid = |message| u32::try_from(field(message, 2).0).unwrap_or(0);
            if field(heard, 1).0 != NOTIFY {
                let restored = field(field(heard, 4).1, 1).0;
                return Ok(u32::try_from(restored).unwrap_or(0));
            }
            let (_, about) = field(heard, 5);
            notice(field(about, 1).1, pid(about), fd)?;
            say(socket, GO_ON).step(step)?;
        }
    }
}

/// Says something. That nobody hears it any more is noticed when there is no answer.
fn say(socket: BorrowedFd<'_>, bytes: &[u8]) -> Result<(), Errno> {
    match sock::send(socket, bytes, None) {
        Err(Errno::PIPE | Errno::CONNRESET) => Ok(()),
        sent => sent,
    }
}

/// Leaves a descriptor open for criu.
pub(super) fn inherit(fd: &OwnedFd) -> Result<(), Fault> {
    fcntl_setfd(fd, FdFlags::empty()).step(Step::RunCriu)
}

/// Keeps the errors at the end of criu's log, and where that is, for the sentence about a failure.
#[inline(never)] // its buffer would lie in the frame of everything below
fn tell(request: &Request) {
    let Some(said) = SAID.take() else { return };
    let mut tail = [0; TAIL];
    let length = request.log().and_then(|log| {
        // A shorter one is read from its start.
        let _ = seek(&log, SeekFrom::End(-(TAIL as i64)));
        read_whole(&log, &mut tail)
    });
    said.clear();
    for line in pieces(tail.get(..length.unwrap_or(0)).unwrap_or_default(), b'\n') {
        // Behind the time.
        let (_, line) = cut(line, b' ');
        if line.starts_with(b"Error") {
            said.add(line);
            said.add(b"; ");
        }
    }
    let name = request.kind.log().to_bytes();
    for piece in [b"its log is ", request.logs.to_bytes(), b"/", name] {
        said.add(piece);
    }
    SAID.put_back(said);
}

/// Executes criu, which does not outlive us, and comes back only with the reason why not.
fn become_criu(args: Args, socket: &OwnedFd) -> Fault {
    let _ = sig::set_mask(0);
    let _ = set_parent_process_death_signal(Some(Signal::KILL));
    let list = args.env(b"PATH").map_or(PATH, |path| path.to_bytes());
    let mut place = Text::new();
    if !place.find_program(list, b"criu") {
        return Fault::rule(Step::RunCriu, Rule::NoCriu, At::Nothing);
    }
    let number = DecInt::from_fd(socket);
    let words = [c"criu", c"swrk", number.as_c_str()];
    let errno = proc::execve_here(place.path(), words, args);
    Fault::new(Step::RunCriu, Cause::Errno(errno))
}
