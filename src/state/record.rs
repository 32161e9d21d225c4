//! The two files of a container as bytes: `intent` (written before anything is made) and `state` (written when all is
//! there).
//!
//! A file is a title line with a version, fields `name length:bytes` one a line in fixed order, and a last line with the
//! length and CRC-32 of all before it. What does not match to the byte is damaged; nothing is guessed. Pure.
#![forbid(unsafe_code)]

use crate::error::{Errno, Rule};

/// What is known of a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Its init.
    pub init: Identity,
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
    /// The cgroup's own record, see the room `cgroup`.
    pub cgroup: &'a [u8],
}

/// What is known of a container that is being made: enough to remove it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Intent<'a> {
    /// The boot in which it was written.
    pub boot: Boot,
    /// The cgroup's own record.
    pub cgroup: &'a [u8],
}

/// A process, so that it is never taken for a later one with the same number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The boot in which it lives.
    pub boot: Boot,
    /// Its number, in the pid namespace of the runtime.
    pub pid: u32,
    /// Field 22 of /proc/PID/stat: clock ticks since boot; 0 where /proc could not be read.
    pub start: u64,
    /// The inode of its pidfd, unique for the uptime; 0 before Linux 6.9.
    pub inode: u64,
}

/// The identity of a boot: the text of /proc/sys/kernel/random/boot_id, or zeros where it could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Boot(pub [u8; 36]);

const STATE: &[u8] = b"ocilet state ";
const INTENT: &[u8] = b"ocilet intent ";
const VERSION: u64 = 1;
/// `end `, ten digits of length, a space, eight digits of CRC, a newline.
const TRAILER: usize = 24;

/// Where the bytes of a file go, piece by piece.
pub(super) type Sink<'s> = dyn FnMut(&[u8]) -> Result<(), Errno> + 's;

/// Makes the bytes of a file.
pub(super) struct Encoder<'s> {
    sink: &'s mut Sink<'s>,
    length: u64,
    crc: Crc,
}

impl<'s> Encoder<'s> {
    pub(super) fn new(sink: &'s mut Sink<'s>) -> Self {
        Self {
            sink,
            length: 0,
            crc: Crc::new(),
        }
    }

    /// Writes a whole state file.
    pub(super) fn state(mut self, id: &[u8], record: &Record<'_>) -> Result<(), Errno> {
        self.title(STATE)?;
        self.field(b"id", id)?;
        self.identity(&record.init)?;
        self.number(b"created", record.created)?;
        self.number(b"pidns", u64::from(record.own_pid_namespace))?;
        self.field(b"bundle", record.bundle)?;
        self.field(b"rootfs", record.rootfs)?;
        self.field(b"program", record.program)?;
        self.field(b"annotations", record.annotations)?;
        self.field(b"cgroup", record.cgroup)?;
        self.end()
    }

    /// Writes a whole intent file.
    pub(super) fn intent(mut self, id: &[u8], intent: &Intent<'_>) -> Result<(), Errno> {
        self.title(INTENT)?;
        self.field(b"id", id)?;
        self.field(b"boot", &intent.boot.0)?;
        self.field(b"cgroup", intent.cgroup)?;
        self.end()
    }

    fn identity(&mut self, init: &Identity) -> Result<(), Errno> {
        self.field(b"boot", &init.boot.0)?;
        self.number(b"pid", u64::from(init.pid))?;
        self.number(b"start", init.start)?;
        self.number(b"inode", init.inode)
    }

    fn title(&mut self, name: &[u8]) -> Result<(), Errno> {
        self.put(name)?;
        self.put(Digits::new(VERSION).text())?;
        self.put(b"\n")
    }

    fn number(&mut self, name: &[u8], value: u64) -> Result<(), Errno> {
        self.field(name, Digits::new(value).text())
    }

    fn field(&mut self, name: &[u8], value: &[u8]) -> Result<(), Errno> {
        self.put(name)?;
        self.put(b" ")?;
        self.put(Digits::new(value.len() as u64).text())?;
        self.put(b":")?;
        self.put(value)?;
        self.put(b"\n")
    }

    fn end(self) -> Result<(), Errno> {
        let line = trailer(self.length, self.crc.value());
        (self.sink)(&line)
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), Errno> {
        self.length = self.length.saturating_add(bytes.len() as u64);
        self.crc.add(bytes);
        (self.sink)(bytes)
    }
}

/// Reads the state file of the container `id`.
pub(super) fn read_state<'a>(file: &'a [u8], id: &[u8]) -> Result<Record<'a>, Rule> {
    let mut reader = Reader::new(file, STATE, id)?;
    let record = (|| {
        Some(Record {
            init: Identity {
                boot: reader.boot()?,
                pid: u32::try_from(reader.number(b"pid")?).ok()?,
                start: reader.number(b"start")?,
                inode: reader.number(b"inode")?,
            },
            created: reader.number(b"created")?,
            own_pid_namespace: reader.number(b"pidns")? != 0,
            bundle: reader.field(b"bundle")?,
            rootfs: reader.field(b"rootfs")?,
            program: reader.field(b"program")?,
            annotations: reader.field(b"annotations")?,
            cgroup: reader.field(b"cgroup")?,
        })
    })();
    record
        .filter(|_| reader.rest.is_empty())
        .ok_or(Rule::Corrupt)
}

/// Reads the intent file of the container `id`.
pub(super) fn read_intent<'a>(file: &'a [u8], id: &[u8]) -> Result<Intent<'a>, Rule> {
    let mut reader = Reader::new(file, INTENT, id)?;
    let intent = (|| {
        Some(Intent {
            boot: reader.boot()?,
            cgroup: reader.field(b"cgroup")?,
        })
    })();
    intent
        .filter(|_| reader.rest.is_empty())
        .ok_or(Rule::Corrupt)
}

/// The fields that are still to be read.
struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Checks the last line, then the title, and that it is about this container.
    fn new(file: &'a [u8], title: &[u8], id: &[u8]) -> Result<Self, Rule> {
        let payload = file.len().checked_sub(TRAILER).ok_or(Rule::Corrupt)?;
        let (payload, last) = file.split_at_checked(payload).ok_or(Rule::Corrupt)?;
        let mut crc = Crc::new();
        crc.add(payload);
        if last != trailer(payload.len() as u64, crc.value()) {
            return Err(Rule::Corrupt);
        }
        let rest = payload.strip_prefix(title).ok_or(Rule::Corrupt)?;
        let end = position(rest, b'\n').ok_or(Rule::Corrupt)?;
        let version = rest.get(..end).and_then(decimal).ok_or(Rule::Corrupt)?;
        if version != VERSION {
            return Err(Rule::NewerState);
        }
        let rest = rest.get(end.saturating_add(1)..).unwrap_or_default();
        let mut reader = Self { rest };
        if reader.field(b"id") != Some(id) {
            return Err(Rule::Corrupt);
        }
        Ok(reader)
    }

    fn field(&mut self, name: &[u8]) -> Option<&'a [u8]> {
        let rest = self.rest.strip_prefix(name)?.strip_prefix(b" ")?;
        let colon = position(rest, b':')?;
        let length = usize::try_from(decimal(rest.get(..colon)?)?).ok()?;
        let (value, rest) = rest
            .get(colon.checked_add(1)?..)?
            .split_at_checked(length)?;
        self.rest = rest.strip_prefix(b"\n")?;
        Some(value)
    }

    fn number(&mut self, name: &[u8]) -> Option<u64> {
        decimal(self.field(name)?)
    }

    fn boot(&mut self) -> Option<Boot> {
        self.field(b"boot")?.try_into().ok().map(Boot)
    }
}

fn position(bytes: &[u8], byte: u8) -> Option<usize> {
    bytes.iter().position(|it| *it == byte)
}

/// An unsigned decimal number: digits only, at least one, within 64 bits.
#[must_use]
pub fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0_u64, |number, digit| {
        let digit = char::from(*digit).to_digit(10)?;
        number.checked_mul(10)?.checked_add(u64::from(digit))
    })
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
struct Digits {
    text: [u8; 20],
    start: usize,
}

impl Digits {
    fn new(mut value: u64) -> Self {
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

    fn text(&self) -> &[u8] {
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
