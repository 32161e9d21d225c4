//! The conversation with the service manager: connection, calls, and the end of jobs.
#![forbid(unsafe_code)]

use core::time::Duration;

use heapless::Vec;
use rustix::process::geteuid;

use super::dbus::{self, Array, Body, Reader};
use super::{CgroupPlan, Record, UnitPlan};
use crate::error::{At, Cause, Errno, Fault, Place, Rule, Step};
use crate::limits::{FULL, UNIT_BYTES};
use crate::sys::args::Args;
use crate::sys::file::{read_whole, write_whole};
use crate::sys::memory::TakeOnce;
use crate::sys::time::{self, SECOND};
use crate::sys::{AsFd, OwnedFd, sock};
use crate::text::{Digits, cut, pieces};

/// Seconds that a job of systemd, or an answer, is waited for.
const PATIENCE: u16 = 30;
/// Room for a message of ours: names, a process, a properties list.
const ROOM: usize = UNIT_BYTES + 2048;
/// The part of it for the head of a message of ours.
const HEAD: usize = 512;
const MANAGER: [&[u8]; 3] = [
    b"org.freedesktop.systemd1",
    b"/org/freedesktop/systemd1",
    b"org.freedesktop.systemd1.Manager",
];
const BUS: [&[u8]; 3] = [
    b"org.freedesktop.DBus",
    b"/org/freedesktop/DBus",
    b"org.freedesktop.DBus",
];
const NEWS: &[u8] =
    b"type='signal',interface='org.freedesktop.systemd1.Manager',member='JobRemoved'";
/// The end of the name of the error about a unit that systemd does not know.
pub(super) const NO_UNIT: &[u8] = b".NoSuchUnit";

/// What is sent, and then what is received.
static BUFFER: TakeOnce<[u8; ROOM]> = TakeOnce::new([0; ROOM]);
/// Why systemd has refused something, in its words.
static REFUSAL: TakeOnce<Vec<u8, 256>> = TakeOnce::new(Vec::new());

/// The words of systemd for the last thing that it has refused.
#[must_use]
pub fn refusal() -> &'static [u8] {
    REFUSAL.take().map_or(&[], |words| words)
}

/// An error of the conversation: EREMOTEIO is the answer of systemd itself, EAGAIN that there was none.
pub(super) fn fault(errno: Errno) -> Fault {
    let cause = match errno {
        Errno::REMOTEIO => Cause::Rule(Rule::SystemdRefused),
        Errno::AGAIN => Cause::Timeout(PATIENCE),
        errno => Cause::Errno(errno),
    };
    Fault::placed(Step::AskSystemd, cause, At::Place(Place::Systemd))
}

/// A connection to the service manager.
pub(super) struct Bus {
    socket: OwnedFd,
    serial: u32,
    deadline: u64,
    /// The name of the error that the last call was answered with.
    error: Vec<u8, 256>,
    /// The name of the unit whose job has ended last, a blank, and how.
    ended: Vec<u8, 256>,
}

/// What puts arguments before a list of properties, and then behind its elements.
type Around<'a> = dyn FnMut(&mut Body<'_>, Option<Array>) + 'a;

impl Bus {
    pub(super) fn open(record: &Record) -> Result<Self, Errno> {
        if !FULL {
            return Err(Errno::NOSYS);
        }
        let uid = geteuid().as_raw();
        let mut path = Vec::new();
        Self::on(socket(uid, b"systemd/private", &mut path)).or_else(|_| {
            let path = record.bus.unwrap_or_else(|| match uid {
                0 => b"/run/dbus/system_bus_socket",
                uid => socket(uid, b"bus", &mut path),
            });
            let mut bus = Self::on(path)?;
            // What a bus wants that has other clients: a name, and the wish for news.
            bus.call(BUS, b"Hello", b"", &mut |_| ())?;
            bus.call(BUS, b"AddMatch", b"s", &mut |body| body.string(NEWS))?;
            bus.call(MANAGER, b"Subscribe", b"", &mut |_| ())?;
            Ok(bus)
        })
    }

    /// Connects, and says who we are: the socket itself proves it.
    fn on(path: &[u8]) -> Result<Self, Errno> {
        let socket = sock::stream(path)?;
        sock::set_deadline(socket.as_fd(), Some(Duration::from_secs(PATIENCE.into())))?;
        let mut bus = Self {
            socket,
            serial: 0,
            deadline: time::monotonic() + u64::from(PATIENCE) * SECOND,
            error: Vec::new(),
            ended: Vec::new(),
        };
        append(&mut bus.ended, b"\0AUTH EXTERNAL ");
        // The number of the user, each digit in hexadecimal.
        for digit in Digits::new(geteuid().as_raw().into()).text() {
            append(&mut bus.ended, &[b'3', *digit]);
        }
        append(&mut bus.ended, b"\r\nBEGIN\r\n");
        write_whole(&bus.socket, &bus.ended)?;
        bus.ended.clear();
        while !bus.ended.ends_with(b"\n") {
            let mut byte = [0];
            bus.receive(&mut byte)?;
            append(&mut bus.ended, &byte);
        }
        let welcome = bus.ended.starts_with(b"OK ");
        bus.ended.clear();
        if welcome { Ok(bus) } else { Err(Errno::ACCESS) }
    }

    /// A call with a list of properties: all of them, or those that an older version knows, since the rest is in the
    /// cgroup's files as well.
    pub(super) fn properties(
        &mut self,
        member: &[u8],
        signature: &[u8],
        plan: &CgroupPlan,
        around: &mut Around<'_>,
    ) -> Result<(), Errno> {
        let UnitPlan {
            basic, all, bytes, ..
        } = &plan.unit;
        let mut with = |end: usize, bus: &mut Self| {
            bus.call(MANAGER, member, signature, &mut |body| {
                around(body, None);
                let list = body.open(8);
                body.put(bytes.get(..end).unwrap_or_default());
                around(body, Some(list));
            })
        };
        match with(*all, self) {
            Err(_) if all > basic && self.is_error(b".PropertyReadOnly") => with(*basic, self),
            done => done,
        }
    }

    /// A call about a unit, with the word "replace" behind it where the signature says so.
    pub(super) fn about(
        &mut self,
        member: &[u8],
        unit: &[u8],
        signature: &[u8],
    ) -> Result<(), Errno> {
        self.call(MANAGER, member, signature, &mut |body| {
            body.string(unit);
            if signature.len() > 1 {
                body.string(b"replace");
            }
        })
    }

    /// Whether the last call was answered with the error of this end.
    pub(super) fn is_error(&self, end: &[u8]) -> bool {
        self.error.ends_with(end)
    }

    /// Sends a call and waits for the answer, which nobody reads.
    fn call(
        &mut self,
        object: [&[u8]; 3],
        member: &[u8],
        signature: &[u8],
        fill: &mut dyn FnMut(&mut Body<'_>),
    ) -> Result<(), Errno> {
        let buffer = BUFFER.take().ok_or(Errno::BUSY)?;
        self.serial += 1;
        self.error.clear();
        let (head, rest) = buffer.split_at_mut(HEAD);
        let mut body = Body::new(rest, 0);
        fill(&mut body);
        let body = body.used();
        let mut message = Body::new(head, 0);
        let words = (object, member, signature);
        dbus::call(&mut message, words, self.serial, body.unwrap_or(0));
        let head = message.used();
        let mut answered = match (head, body) {
            (Some(head), Some(body)) => {
                let sent = write_whole(&self.socket, buffer.get(..head).unwrap_or_default());
                let body = buffer.get(HEAD..HEAD + body).unwrap_or_default();
                sent.and_then(|()| write_whole(&self.socket, body))
                    .map(|()| false)
            }
            _ => Err(Errno::MSGSIZE),
        };
        while answered == Ok(false) {
            answered = self.message(buffer);
        }
        BUFFER.put_back(buffer);
        answered.map(drop)
    }

    /// Waits for the end of the job of a unit.
    pub(super) fn await_job(&mut self, unit: &[u8]) -> Result<(), Errno> {
        let buffer = BUFFER.take().ok_or(Errno::BUSY)?;
        let mut done = Ok(false);
        while done.is_ok() && cut(&self.ended, b' ').0 != unit {
            done = self.message(buffer);
        }
        BUFFER.put_back(buffer);
        done?;
        if self.ended.ends_with(b" done") {
            return Ok(());
        }
        note(&self.ended);
        Err(Errno::REMOTEIO)
    }

    /// Takes one message; whether it was the answer to the last call. An answer that is an error is one.
    fn message(&mut self, buffer: &mut [u8]) -> Result<bool, Errno> {
        if time::monotonic() > self.deadline {
            return Err(Errno::AGAIN);
        }
        let fixed = buffer.get_mut(..16).unwrap_or_default();
        self.receive(fixed)?;
        let sizes = dbus::sizes(fixed).ok_or(Errno::PROTO)?;
        let mut ends = [16_usize; 3];
        // What does not fit is not for us.
        let mut at = 16;
        for (end, size) in ends.iter_mut().zip(sizes) {
            let room = buffer.get_mut(at..).unwrap_or_default();
            let fits = size.min(room.len());
            self.receive(room.get_mut(..fits).unwrap_or_default())?;
            for _ in fits..size {
                self.receive(&mut [0])?;
            }
            at += fits;
            *end = at;
        }
        let [head, end, _] = ends;
        let body = buffer.get(head..end).unwrap_or_default();
        let head = dbus::head(buffer.get(..head).unwrap_or_default());
        let mut body = Reader { bytes: body, at: 0 };
        if head.kind == 4 && head.member == b"JobRemoved" {
            // Number and path of the job, the unit, how it went.
            let (_, _) = (body.u32(), body.string());
            self.ended.clear();
            append(&mut self.ended, body.string().unwrap_or_default());
            append(&mut self.ended, b" ");
            append(&mut self.ended, body.string().unwrap_or_default());
        }
        if head.reply != self.serial {
            return Ok(false);
        }
        if head.kind == 2 {
            return Ok(true);
        }
        append(&mut self.error, head.error);
        // That would cover why it was not made.
        if !self.is_error(NO_UNIT) {
            note(body.string().unwrap_or(head.error));
        }
        Err(Errno::REMOTEIO)
    }

    /// Exactly as many bytes as there is room.
    fn receive(&self, bytes: &mut [u8]) -> Result<(), Errno> {
        let wanted = bytes.len();
        match read_whole(&self.socket, bytes)? {
            got if got == wanted => Ok(()),
            _ => Err(Errno::CONNRESET),
        }
    }
}

/// As much as fits.
#[inline(never)] // many callers
fn append(to: &mut Vec<u8, 256>, bytes: &[u8]) {
    for byte in bytes {
        let _ = to.push(*byte);
    }
}

/// Keeps the reason for the message about a refusal.
fn note(words: &[u8]) {
    if let Some(refusal) = REFUSAL.take() {
        refusal.clear();
        append(refusal, words);
        REFUSAL.put_back(refusal);
    }
}

/// A socket of the manager: that of the system for root, that of the user for others.
fn socket<'p>(uid: u32, name: &[u8], path: &'p mut Vec<u8, 256>) -> &'p [u8] {
    path.clear();
    append(path, b"/run/");
    if uid != 0 {
        append(path, b"user/");
        append(path, Digits::new(u64::from(uid)).text());
        append(path, b"/");
    }
    append(path, name);
    path
}

/// The socket of the bus that the environment names: `unix:path=/run/x,guid=…`.
#[must_use]
pub fn bus(args: Args) -> Option<&'static [u8]> {
    let name: &[u8] = if geteuid().is_root() {
        b"DBUS_SYSTEM_BUS_ADDRESS"
    } else {
        b"DBUS_SESSION_BUS_ADDRESS"
    };
    let path = args.env(name)?.to_bytes().strip_prefix(b"unix:path=")?;
    pieces(path, b',').next()
}
