//! The two files of a container as bytes: `intent` (written before anything is made) and `state` (written when all is
//! there).
//!
//! A file is a title line with a version, fields `name length:bytes` one a line in fixed order, and a last line with the
//! length and CRC-32 of all before it. What does not match to the byte is damaged; nothing is guessed. Pure.
#![forbid(unsafe_code)]

use crate::error::Rule;
use crate::text::cut;

/// What is to be remembered of a container; while it is being made, without what is not known yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Its init; pid 0 in an intent.
    pub init: Identity<'a>,
    /// When it was made: nanoseconds since 1970, UTC.
    pub created: u64,
    /// Whether it has a pid namespace of its own: then the end of its init is the end of all its processes.
    pub own_pid_namespace: bool,
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
const VERSION: u64 = 1;
/// The names of the fields in their order, `#` before those of numbers.
const FIELDS: &str = "id boot #pid #start #inode #created #pidns bundle rootfs program annotations listener \
                      poststart poststop cgroup";
/// `end `, ten digits of length, a space, eight digits of CRC, a newline.
const TRAILER: usize = 24;

/// Where the bytes of a file go, piece by piece.
pub(super) type Sink<'s> = dyn FnMut(&[u8]) + 's;

/// What a file tells.
#[derive(Clone, Copy)]
pub(super) enum Content<'a> {
    State(&'a Record<'a>),
    Intent(&'a Record<'a>),
}

/// Makes the bytes of a file about the container `id`.
pub(super) fn encode(id: &[u8], content: Content<'_>, sink: &mut Sink<'_>) {
    let mut file = Encoder {
        sink,
        length: 0,
        crc: Crc::new(),
    };
    let (title, record) = match content {
        Content::State(record) => (STATE, record),
        Content::Intent(record) => (INTENT, record),
    };
    file.put(title);
    file.put(Digits::new(VERSION).text());
    file.put(b"\n");
    file.field(b"id", id);
    file.field(b"boot", record.init.boot);
    file.number(b"pid", u64::from(record.init.pid));
    file.number(b"start", record.init.start);
    file.number(b"inode", record.init.inode);
    file.number(b"created", record.created);
    file.number(b"pidns", u64::from(record.own_pid_namespace));
    file.field(b"bundle", record.bundle);
    file.field(b"rootfs", record.rootfs);
    file.field(b"program", record.program);
    file.field(b"annotations", record.annotations);
    file.field(b"listener", record.listener);
    file.field(b"poststart", record.poststart);
    file.field(b"poststop", record.poststop);
    file.field(b"cgroup", record.cgroup);
    let line = trailer(file.length, file.crc.value());
    (file.sink)(&line);
}

struct Encoder<'e, 's> {
    sink: &'e mut Sink<'s>,
    length: u64,
    crc: Crc,
}

impl Encoder<'_, '_> {
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
    /// Checks the file of the container `id`: the last line, then the title, then that all fields are there. An intent
    /// will do where `intent` says so.
    pub(super) fn read(file: &'a [u8], id: &[u8], intent: bool) -> Result<Self, Rule> {
        let payload = file.len().checked_sub(TRAILER).ok_or(Rule::Corrupt)?;
        let (payload, last) = file.split_at_checked(payload).ok_or(Rule::Corrupt)?;
        let mut crc = Crc::new();
        crc.add(payload);
        if last != trailer(payload.len() as u64, crc.value()) {
            return Err(Rule::Corrupt);
        }
        let rest = match (payload.strip_prefix(STATE), payload.strip_prefix(INTENT)) {
            (Some(rest), _) => rest,
            (_, Some(rest)) if intent => rest,
            _ => return Err(Rule::Corrupt),
        };
        let (version, fields) = cut(rest, b'\n');
        if decimal(version).ok_or(Rule::Corrupt)? != VERSION {
            return Err(Rule::NewerState);
        }
        let fields = Fields(fields);
        if fields.are(FIELDS) && fields.get(b"id") == id {
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
        let length = usize::try_from(decimal(length)?).ok()?;
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
                found == text.unwrap_or(name) && (text.is_none() || decimal(value).is_some())
            })
        }) && self.0.is_empty()
    }

    fn get(mut self, name: &[u8]) -> &'a [u8] {
        self.find(|(found, _)| *found == name)
            .map_or(&[], |(_, value)| value)
    }

    fn number(self, name: &[u8]) -> u64 {
        decimal(self.get(name)).unwrap_or(0)
    }
}

/// An unsigned decimal number.
#[must_use]
pub fn decimal(text: &[u8]) -> Option<u64> {
    crate::text::number(text, 10)
}

fn trailer(length: u64, crc: u32) -> [u8; TRAILER] {
    let mut line = *b"end 0000000000 00000000\n";
    let mut value = length;
    for digit in line.iter_mut().skip(4).take(10).rev() {
        *digit = b'0'.wrapping_add((value % 10) as u8 & 0xf);
        value /= 10;
    }
    let mut rest = crc;
    for digit in line.iter_mut().skip(15).take(8).rev() {
        *digit = char::from_digit(rest & 0xf, 16).map_or(b'0', |it| it as u8);
        rest >>= 4;
    }
    line
}

/// A number as decimal text.
pub struct Digits {
    text: [u8; 20],
    start: usize,
}

impl Digits {
    /// The text of `value`.
    #[must_use]
    pub fn new(mut value: u64) -> Self {
        let mut digits = Self {
            text: [b'0'; 20],
            start: 20,
        };
        for (n, digit) in digits.text.iter_mut().enumerate().rev() {
            *digit = b'0'.wrapping_add((value % 10) as u8 & 0xf);
            digits.start = n;
            value /= 10;
            if value == 0 {
                break;
            }
        }
        digits
    }

    /// The digits.
    #[must_use]
    pub fn text(&self) -> &[u8] {
        self.text.get(self.start..).unwrap_or_default()
    }
}

/// CRC-32 as in IEEE 802.3 and zlib, four bits at a time.
struct Crc(u32);

impl Crc {
    fn new() -> Self {
        Self(!0)
    }

    fn add(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 ^= u32::from(*byte);
            for _ in 0..2 {
                let low = TABLE.get((self.0 & 15) as usize).copied().unwrap_or(0);
                self.0 = (self.0 >> 4) ^ low;
            }
        }
    }

    fn value(&self) -> u32 {
        !self.0
    }
}

/// The remainders of the sixteen values of four bits, for the reversed polynomial 0xedb88320.
static TABLE: [u32; 16] = [
    0x0000_0000,
    0x1db7_1064,
    0x3b6e_20c8,
    0x26d9_30ac,
    0x76dc_4190,
    0x6b6b_51f4,
    0x4db2_6158,
    0x5005_713c,
    0xedb8_8320,
    0xf00f_9344,
    0xd6d6_a3e8,
    0xcb61_b38c,
    0x9b64_c2b0,
    0x86d3_d2d4,
    0xa00a_e278,
    0xbdbd_f21c,
];

#[cfg(test)]
mod tests;
