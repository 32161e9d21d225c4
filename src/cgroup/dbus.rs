//! Messages of D-Bus as bytes (the D-Bus specification, "Message Protocol"): as many types as systemd is asked with.
//! Pure; `systemd.rs` sends and receives.
#![forbid(unsafe_code)]

/// Bytes of a message or of a part of it that starts at a multiple of eight.
pub struct Body<'b> {
    bytes: &'b mut [u8],
    len: usize,
    /// Something did not fit.
    full: bool,
}

/// An array that is not complete: where its length and its first element are.
#[derive(Clone, Copy)]
pub struct Array {
    length: usize,
    start: usize,
}

impl<'b> Body<'b> {
    /// Nothing yet, behind the first `len` bytes of a buffer.
    pub fn new(bytes: &'b mut [u8], len: usize) -> Self {
        Self {
            bytes,
            len,
            full: false,
        }
    }

    /// The number of bytes; `None` when they did not fit.
    #[must_use]
    pub fn used(&self) -> Option<usize> {
        (!self.full).then_some(self.len)
    }

    /// Adds bytes as they are.
    #[inline(never)] // many callers
    pub fn put(&mut self, bytes: &[u8]) {
        let end = self.len.saturating_add(bytes.len());
        match self.bytes.get_mut(self.len..end) {
            Some(room) => {
                room.copy_from_slice(bytes);
                self.len = end;
            }
            None => self.full = true,
        }
    }

    /// Adds zeros up to a multiple of `size`, a power of two.
    #[inline(never)] // many callers
    pub fn align(&mut self, size: usize) {
        while self.len & (size - 1) != 0 && !self.full {
            self.put(&[0]);
        }
    }

    /// Type `u`, and `i` and `b`.
    #[inline(never)] // many callers
    pub fn u32(&mut self, number: u32) {
        self.align(4);
        self.put(&number.to_ne_bytes());
    }

    /// Types `s` and `o`.
    #[inline(never)] // many callers
    pub fn string(&mut self, text: &[u8]) {
        self.u32(u32::try_from(text.len()).unwrap_or(u32::MAX));
        self.put(text);
        self.put(&[0]);
    }

    /// Type `g`.
    #[inline(never)] // many callers
    pub fn signature(&mut self, text: &[u8]) {
        self.put(&[u8::try_from(text.len()).unwrap_or(u8::MAX)]);
        self.put(text);
        self.put(&[0]);
    }

    /// An integer of a basic type: `y`, `b`, `n`, `q`, `i`, `u`, `x`, `t`.
    #[inline(never)] // many callers
    pub fn integer(&mut self, kind: u8, number: u64) {
        let size = size_of_kind(kind);
        self.align(size);
        let bytes = number.to_ne_bytes();
        let part = if cfg!(target_endian = "big") {
            bytes.get(bytes.len() - size..)
        } else {
            bytes.get(..size)
        };
        self.put(part.unwrap_or_default());
    }

    /// Begins an array whose elements are aligned to `align`.
    pub fn open(&mut self, align: usize) -> Array {
        self.u32(0);
        let length = self.len.saturating_sub(4);
        self.align(align);
        Array {
            length,
            start: self.len,
        }
    }

    /// Ends it.
    pub fn close(&mut self, array: Array) {
        let length = self.len.saturating_sub(array.start);
        let length = u32::try_from(length).unwrap_or(u32::MAX);
        if let Some(place) = self.bytes.get_mut(array.length..array.length + 4) {
            place.copy_from_slice(&length.to_ne_bytes());
        }
    }

    /// Begins an entry of `a(sv)`; its value is to follow.
    #[inline(never)] // many callers
    pub fn property(&mut self, name: &[u8], signature: &[u8]) {
        self.align(8);
        self.string(name);
        self.signature(signature);
    }

    /// The same with a name in pieces.
    pub fn name(&mut self, pieces: &[&[u8]], signature: &[u8]) {
        self.align(8);
        let len = pieces.iter().map(|piece| piece.len()).sum::<usize>();
        self.u32(u32::try_from(len).unwrap_or(u32::MAX));
        for piece in pieces {
            self.put(piece);
        }
        self.put(&[0]);
        self.signature(signature);
        if let Some(kind) = signature.first() {
            self.align(size_of_kind(*kind));
        }
    }

    /// An entry of `a(sv)` with an integer.
    #[inline(never)] // many callers
    pub fn number(&mut self, name: &[u8], kind: u8, number: u64) {
        self.property(name, &[kind]);
        self.integer(kind, number);
    }

    /// An entry of `a(sv)` with a string.
    pub fn text(&mut self, name: &[u8], text: &[u8]) {
        self.property(name, b"s");
        self.string(text);
    }
}

/// Bytes of an integer, and its alignment.
fn size_of_kind(kind: u8) -> usize {
    match kind {
        b'y' => 1,
        b'n' | b'q' => 2,
        b'x' | b't' => 8,
        _ => 4,
    }
}

/// The byte order of all numbers in a message.
const ENDIAN: u8 = if cfg!(target_endian = "big") {
    b'B'
} else {
    b'l'
};

/// Writes the head of a method call, whose body is `body` long and of type `signature`. Every destination is the name of
/// an object's owner, every path that with slashes, as for systemd and the bus itself.
pub(super) fn call(
    message: &mut Body<'_>,
    ([owner, path, interface], member, signature): ([&[u8]; 3], &[u8], &[u8]),
    serial: u32,
    body: usize,
) {
    // Method call, no flags, protocol 1.
    message.put(&[ENDIAN, 1, 0, 1]);
    message.u32(u32::try_from(body).unwrap_or(u32::MAX));
    message.u32(serial);
    let fields = message.open(8);
    for (code, kind, value) in [
        (1, b'o', path),
        (2, b's', interface),
        (3, b's', member),
        (6, b's', owner),
        (8, b'g', signature),
    ] {
        message.align(8);
        message.put(&[code]);
        message.signature(&[kind]);
        if kind == b'g' {
            message.signature(value);
        } else {
            message.string(value);
        }
    }
    message.close(fields);
    message.align(8);
}

/// From the first sixteen bytes of a message: how much of its head and of its body is to come.
pub(super) fn sizes(fixed: &[u8]) -> Option<[usize; 2]> {
    let mut reader = Reader {
        bytes: fixed,
        at: 4,
    };
    let (body, _, fields) = (reader.u32()?, reader.u32()?, reader.u32()?);
    let ours = fixed.first() == Some(&ENDIAN);
    // The head ends at a multiple of eight.
    let head = usize::try_from(fields).ok()?.checked_next_multiple_of(8)?;
    ours.then_some([head, usize::try_from(body).ok()?])
}

/// What is of interest in the head of a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Head<'h> {
    /// 2: return, 3: error, 4: signal.
    pub(super) kind: u8,
    /// Of the call that this answers.
    pub(super) reply: u32,
    pub(super) member: &'h [u8],
    pub(super) error: &'h [u8],
}

/// Reads the head of a message as far as it fits `bytes`, whose first sixteen are the fixed part.
pub(super) fn head(bytes: &[u8]) -> Head<'_> {
    let mut head = Head {
        kind: bytes.get(1).copied().unwrap_or(0),
        ..Head::default()
    };
    let mut reader = Reader { bytes, at: 16 };
    while let Some(code) = reader.field() {
        let kind = reader.signature().unwrap_or_default();
        let number = if kind == b"u" { reader.u32() } else { None };
        let text = match kind {
            b"u" => None,
            b"g" => reader.signature(),
            _ => reader.string(),
        };
        match code {
            3 => head.member = text.unwrap_or_default(),
            4 => head.error = text.unwrap_or_default(),
            5 => head.reply = number.unwrap_or(0),
            _ => {}
        }
    }
    head
}

/// Takes values out of bytes.
pub(super) struct Reader<'r> {
    pub(super) bytes: &'r [u8],
    pub(super) at: usize,
}

impl<'r> Reader<'r> {
    fn take(&mut self, len: usize) -> Option<&'r [u8]> {
        let end = self.at.checked_add(len)?;
        let taken = self.bytes.get(self.at..end)?;
        self.at = end;
        Some(taken)
    }

    /// The code of the next field.
    fn field(&mut self) -> Option<u8> {
        self.at = self.at.next_multiple_of(8);
        self.take(1)?.first().copied()
    }

    #[inline(never)] // many callers
    pub(super) fn u32(&mut self) -> Option<u32> {
        self.at = self.at.next_multiple_of(4);
        Some(u32::from_ne_bytes(self.take(4)?.try_into().ok()?))
    }

    #[inline(never)] // many callers
    pub(super) fn string(&mut self) -> Option<&'r [u8]> {
        let len = usize::try_from(self.u32()?).ok()?;
        let text = self.take(len)?;
        self.take(1)?;
        Some(text)
    }

    fn signature(&mut self) -> Option<&'r [u8]> {
        let len = *self.take(1)?.first()?;
        let text = self.take(usize::from(len))?;
        self.take(1)?;
        Some(text)
    }
}

#[cfg(all(test, target_endian = "little"))]
mod tests {
    use super::{Body, Head, Reader, call, head};

    #[test]
    fn values() {
        let mut buffer = [0xff; 128];
        let mut body = Body::new(&mut buffer, 0);
        body.string(b"ab");
        body.number(b"N", b't', 5);
        let array = body.open(1);
        body.put(b"xyz");
        body.close(array);
        let len = body.used().unwrap();
        assert_eq!(
            &buffer[..len],
            b"\x02\0\0\0ab\0\0\x01\0\0\0N\0\x01t\0\0\0\0\0\0\0\0\x05\0\0\0\0\0\0\0\x03\0\0\0xyz"
        );
        let mut body = Body::new(&mut buffer, 0);
        for (kind, number) in [(b'y', 1), (b'n', 2), (b'b', 1), (b'x', u64::MAX)] {
            body.integer(kind, number);
        }
        let len = body.used().unwrap();
        assert_eq!(
            &buffer[..len],
            b"\x01\0\x02\0\x01\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff"
        );
    }

    #[test]
    fn what_does_not_fit_is_known() {
        let mut buffer = [0; 8];
        let mut body = Body::new(&mut buffer, 0);
        body.string(b"abc");
        assert_eq!(body.used(), Some(8));
        body.align(8);
        body.put(b"x");
        body.align(4);
        assert_eq!(body.used(), None);
    }

    /// The bytes of the specification's example of a call, less what nobody needs.
    #[test]
    fn a_call() {
        let mut buffer = [0; 256];
        let mut message = Body::new(&mut buffer, 0);
        let object: [&[u8]; 3] = [b"org.x", b"/org/x", b"org.x.M"];
        let words = (object, &b"Go"[..], &b"s"[..]);
        call(&mut message, words, 7, 6);
        let len = message.used().unwrap();
        assert_eq!(&buffer[..16], b"l\x01\0\x01\x06\0\0\0\x07\0\0\0\x47\0\0\0");
        assert_eq!(len % 8, 0);
        // The last field ends where the array says.
        assert_eq!(&buffer[16 + 0x47 - 5..16 + 0x47], b"g\0\x01s\0");
        let seen = head(&buffer[..len]);
        let want = Head {
            kind: 1,
            member: b"Go",
            ..Head::default()
        };
        assert_eq!(seen, want);
    }

    #[test]
    fn replies_and_nonsense() {
        let mut buffer = [0; 64];
        let mut message = Body::new(&mut buffer, 0);
        message.put(b"l\x03\0\x01");
        message.u32(0);
        message.u32(1);
        let fields = message.open(8);
        message.put(&[5]);
        message.signature(b"u");
        message.u32(9);
        message.align(8);
        message.put(&[4]);
        message.signature(b"s");
        message.string(b"a.Error");
        message.close(fields);
        let len = message.used().unwrap();
        let want = Head {
            kind: 3,
            reply: 9,
            error: b"a.Error",
            member: b"",
        };
        assert_eq!(head(&buffer[..len]), want);
        for end in 0..len {
            let _ = head(&buffer[..end]);
        }
        let mut reader = Reader {
            bytes: b"\xff\xff\xff\xff",
            at: 0,
        };
        assert_eq!(reader.string(), None);
    }
}
