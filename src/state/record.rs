//! The files of a container as bytes: `intent` (written before anything is made), `state` (written when all is there),
//! and `exit` (written by who has seen the end).
//!
//! A file is a title line with a version, fields `name length:bytes` one a line in fixed order, and a last line with the
//! length and CRC-32 of all before it. What does not match to the byte is damaged; nothing is guessed. Pure.
#![forbid(unsafe_code)]

use super::crc::{Crc, checksum};
use crate::error::Rule;
use crate::text::{Digits, cut, number};

/// What is to be remembered of a container; while it is being made, without what is not known yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Its init; pid 0 in an intent.
    pub init: Identity<'a>,
    /// When it was made: nanoseconds since 1970, UTC.
    pub created: u64,
    /// Whether it has a pid namespace of its own: then the end of its init is the end of all its processes.
    pub own_pid_namespace: bool,
    /// Whether it has a session keyring of its own, named after it.
    pub own_keyring: bool,
    /// Whether it has the built-in filter where config.json has none.
    pub builtin_filter: bool,
    /// The checksum of the copy of its config.json.
    pub config: u32,
    /// Absolute path of the bundle.
    pub bundle: &'a [u8],
    /// Absolute path of the root filesystem.
    pub rootfs: &'a [u8],
    /// `process.args[0]`, for the message of a `start` that cannot execute it.
    pub program: &'a [u8],
    /// `annotations` of config.json as the JSON text of the object; empty for none.
    pub annotations: &'a [u8],
    /// Where the listener of its filter goes and with what text, see `run/listener.rs`; empty for none.
    pub listener: &'a [u8],
    /// `hooks.poststart`, for `start`, in the form of the room `hooks`.
    pub poststart: &'a [u8],
    /// `hooks.poststop`, for whoever removes it.
    pub poststop: &'a [u8],
    /// The cgroup's own record, see the room `cgroup`.
    pub cgroup: &'a [u8],
}

/// How a container has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exit<'a> {
    /// The boot in which it was written.
    pub boot: &'a [u8],
    /// The status of its init, as in man 2 wait.
    pub status: u16,
}

/// A process, so that it is never taken for a later one with the same number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity<'a> {
    /// The boot in which it lives: the text of /proc/sys/kernel/random/boot_id.
    pub boot: &'a [u8],
    /// Its number, in the pid namespace of the runtime.
    pub pid: u32,
    /// Field 22 of /proc/PID/stat: clock ticks since boot; 0 where /proc could not be read.
    pub start: u64,
    /// The inode of its pidfd, unique for the uptime; 0 before Linux 6.9.
    pub inode: u64,
}

const STATE: &[u8] = b"ocilet state ";
const INTENT: &[u8] = b"ocilet intent ";
const EXIT: &[u8] = b"ocilet exit ";
const VERSION: u64 = 1;
/// The names of the fields in their order, `#` before those of numbers.
const FIELDS: &str = "id boot #pid #start #inode #created #pidns #keyring #filter #config bundle rootfs program annotations \
                      listener poststart poststop cgroup";
const EXIT_FIELDS: &str = "id boot #status";
/// `end `, ten digits of length, a space, eight digits of CRC, a newline.
const TRAILER: usize = 24;

/// Where the bytes of a file go, piece by piece.
pub(super) type Sink<'s> = dyn FnMut(&[u8]) + 's;

/// What a file tells.
#[derive(Clone, Copy)]
pub(super) enum Content<'a> {
    State(&'a Record<'a>),
    Intent(&'a Record<'a>),
    Exit(&'a Exit<'a>),
}

/// What a file is expected to tell.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    State,
    /// A state, or else an intent.
    Either,
    Exit,
}

/// Makes the bytes of a file about the container `id`.
pub(super) fn encode(id: &[u8], content: Content<'_>, sink: &mut Sink<'_>) {
    let mut file = Encoder {
        sink,
        length: 0,
        crc: Crc::new(),
    };
    match content {
        Content::State(record) => file.record(STATE, id, record),
        Content::Intent(record) => file.record(INTENT, id, record),
        Content::Exit(exit) => {
            file.title(EXIT, id, exit.boot);
            file.number(b"status", u64::from(exit.status));
        }
    }
    let line = trailer(file.length, file.crc.value());
    (file.sink)(&line);
}

struct Encoder<'e, 's> {
    sink: &'e mut Sink<'s>,
    length: u64,
    crc: Crc,
}

impl Encoder<'_, '_> {
    /// All of a container.
    fn record(&mut self, title: &[u8], id: &[u8], record: &Record<'_>) {
        self.title(title, id, record.init.boot);
        self.number(b"pid", u64::from(record.init.pid));
        self.number(b"start", record.init.start);
        self.number(b"inode", record.init.inode);
        self.number(b"created", record.created);
        self.number(b"pidns", u64::from(record.own_pid_namespace));
        self.number(b"keyring", u64::from(record.own_keyring));
        self.number(b"filter", u64::from(record.builtin_filter));
        self.number(b"config", u64::from(record.config));
        self.field(b"bundle", record.bundle);
        self.field(b"rootfs", record.rootfs);
        self.field(b"program", record.program);
        self.field(b"annotations", record.annotations);
        self.field(b"listener", record.listener);
        self.field(b"poststart", record.poststart);
        self.field(b"poststop", record.poststop);
        self.field(b"cgroup", record.cgroup);
    }

    /// What all files begin with.
    fn title(&mut self, title: &[u8], id: &[u8], boot: &[u8]) {
        self.put(title);
        self.put(Digits::new(VERSION).text());
        self.put(b"\n");
        self.field(b"id", id);
        self.field(b"boot", boot);
    }

    fn number(&mut self, name: &[u8], value: u64) {
        self.field(name, Digits::new(value).text());
    }

    fn field(&mut self, name: &[u8], value: &[u8]) {
        self.put(name);
        self.put(b" ");
        self.put(Digits::new(value.len() as u64).text());
        self.put(b":");
        self.put(value);
        self.put(b"\n");
    }

    fn put(&mut self, bytes: &[u8]) {
        self.length = self.length.saturating_add(bytes.len() as u64);
        self.crc.add(bytes);
        (self.sink)(bytes);
    }
}

/// A file that was read and found whole. Its fields are looked up when they are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored<'a> {
    fields: Fields<'a>,
}

impl<'a> Stored<'a> {
    /// Checks the file of the container `id`: the last line, then the title, then that all fields are there.
    pub(super) fn read(file: &'a [u8], id: &[u8], kind: Kind) -> Result<Self, Rule> {
        let payload = file.len().checked_sub(TRAILER).ok_or(Rule::Corrupt)?;
        let (payload, last) = file.split_at_checked(payload).ok_or(Rule::Corrupt)?;
        if last != trailer(payload.len() as u64, checksum(payload)) {
            return Err(Rule::Corrupt);
        }
        let (title, names) = match kind {
            Kind::Exit => (EXIT, EXIT_FIELDS),
            Kind::Either if payload.starts_with(INTENT) => (INTENT, FIELDS),
            _ => (STATE, FIELDS),
        };
        let rest = payload.strip_prefix(title).ok_or(Rule::Corrupt)?;
        let (version, fields) = cut(rest, b'\n');
        if number(version, 10).ok_or(Rule::Corrupt)? != VERSION {
            return Err(Rule::NewerState);
        }
        let fields = Fields(fields);
        if fields.are(names) && fields.get(b"id") == id {
            Ok(Self { fields })
        } else {
            Err(Rule::Corrupt)
        }
    }

    /// The number of its init.
    #[must_use]
    pub fn pid(self) -> u32 {
        u32::try_from(self.fields.number(b"pid")).unwrap_or(0)
    }

    /// Its init.
    #[must_use]
    pub fn init(self) -> Identity<'a> {
        Identity {
            boot: self.boot(),
            pid: self.pid(),
            start: self.fields.number(b"start"),
            inode: self.fields.number(b"inode"),
        }
    }

    /// The boot in which it was written.
    #[must_use]
    pub fn boot(self) -> &'a [u8] {
        self.fields.get(b"boot")
    }

    /// [`Record::created`].
    #[must_use]
    pub fn created(self) -> u64 {
        self.fields.number(b"created")
    }

    /// [`Record::own_pid_namespace`].
    #[must_use]
    pub fn own_pid_namespace(self) -> bool {
        self.fields.number(b"pidns") != 0
    }

    /// [`Record::own_keyring`].
    #[must_use]
    pub fn own_keyring(self) -> bool {
        self.fields.number(b"keyring") != 0
    }

    /// [`Record::builtin_filter`].
    #[must_use]
    pub fn builtin_filter(self) -> bool {
        self.fields.number(b"filter") != 0
    }

    /// [`Record::config`].
    #[must_use]
    pub fn config(self) -> u32 {
        u32::try_from(self.fields.number(b"config")).unwrap_or(0)
    }

    /// [`Record::bundle`].
    #[must_use]
    pub fn bundle(self) -> &'a [u8] {
        self.fields.get(b"bundle")
    }

    /// [`Record::rootfs`].
    #[must_use]
    pub fn rootfs(self) -> &'a [u8] {
        self.fields.get(b"rootfs")
    }

    /// [`Record::program`].
    #[must_use]
    pub fn program(self) -> &'a [u8] {
        self.fields.get(b"program")
    }

    /// [`Record::annotations`].
    #[must_use]
    pub fn annotations(self) -> &'a [u8] {
        self.fields.get(b"annotations")
    }

    /// [`Record::listener`].
    #[must_use]
    pub fn listener(self) -> &'a [u8] {
        self.fields.get(b"listener")
    }

    /// [`Record::poststart`].
    #[must_use]
    pub fn poststart(self) -> &'a [u8] {
        self.fields.get(b"poststart")
    }

    /// [`Record::poststop`].
    #[must_use]
    pub fn poststop(self) -> &'a [u8] {
        self.fields.get(b"poststop")
    }

    /// [`Exit::status`].
    pub(super) fn exit_status(self) -> u16 {
        u16::try_from(self.fields.number(b"status")).unwrap_or(u16::MAX)
    }

    /// The cgroup's own record.
    #[must_use]
    pub fn cgroup(self) -> &'a [u8] {
        self.fields.get(b"cgroup")
    }
}

/// Fields one behind the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Fields<'a>(&'a [u8]);

impl<'a> Iterator for Fields<'a> {
    /// Name and value.
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (name, rest) = cut(self.0, b' ');
        let (length, rest) = cut(rest, b':');
        let length = usize::try_from(number(length, 10)?).ok()?;
        let (value, rest) = rest.split_at_checked(length)?;
        self.0 = rest.strip_prefix(b"\n")?;
        Some((name, value))
    }
}

impl<'a> Fields<'a> {
    /// Whether they are these, with numbers where there have to be numbers, and nothing else is there.
    fn are(mut self, names: &str) -> bool {
        names.as_bytes().split(|byte| *byte == b' ').all(|name| {
            let text = name.strip_prefix(b"#");
            self.next().is_some_and(|(found, value)| {
                found == text.unwrap_or(name) && (text.is_none() || number(value, 10).is_some())
            })
        }) && self.0.is_empty()
    }

    fn get(mut self, name: &[u8]) -> &'a [u8] {
        self.find(|(found, _)| *found == name)
            .map_or(&[], |(_, value)| value)
    }

    fn number(self, name: &[u8]) -> u64 {
        number(self.get(name), 10).unwrap_or(0)
    }
}

fn trailer(length: u64, crc: u32) -> [u8; TRAILER] {
    let mut line = *b"end 0000000000 00000000\n";
    let length = Digits::new(length);
    for (to, digit) in line.iter_mut().skip(4).zip(length.padded(10)) {
        *to = *digit;
    }
    let mut rest = crc;
    for digit in line.iter_mut().skip(15).take(8).rev() {
        *digit = char::from_digit(rest & 0xf, 16).map_or(b'0', |it| it as u8);
        rest >>= 4;
    }
    line
}

#[cfg(test)]
mod tests;
