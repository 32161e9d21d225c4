//! Protocol buffers, as far as the talk with criu needs them: numbers, texts and messages within messages. Pure.
//!
//! A field is a key (its number and how it is written) and a value; numbers are written seven bits to a byte, the lowest
//! first, and all but the last byte have the highest bit set. Lengths are always written in three bytes, which readers
//! take though fewer would do: so the inside can be written before its length is known.
#![forbid(unsafe_code)]

/// How a value is written, in the low three bits of a key.
const NUMBER: u64 = 0;
const FIXED_64: u64 = 1;
const BYTES: u64 = 2;
const FIXED_32: u64 = 5;

/// Bytes of a length.
const LENGTH: usize = 3;

/// A message being written.
pub struct Message<'b> {
    buffer: &'b mut [u8],
    used: usize,
}

impl<'b> Message<'b> {
    /// An empty one; what does not fit into the buffer is noticed at the end.
    pub fn new(buffer: &'b mut [u8]) -> Self {
        Self { buffer, used: 0 }
    }

    fn put(&mut self, bytes: &[u8]) {
        let end = self.used.saturating_add(bytes.len());
        if let Some(place) = self.buffer.get_mut(self.used..end) {
            place.copy_from_slice(bytes);
        }
        self.used = end;
    }

    fn varint(&mut self, mut value: u64) {
        while value > 0x7f {
            self.put(&[(value & 0x7f) as u8 | 0x80]);
            value >>= 7;
        }
        self.put(&[(value & 0x7f) as u8]);
    }

    /// A number that is not negative; 1 for true.
    #[inline(never)] // many callers
    pub fn number(&mut self, field: u8, value: u64) {
        self.varint(u64::from(field) << 3 | NUMBER);
        self.varint(value);
    }

    /// A text, in pieces.
    #[inline(never)] // many callers
    pub fn text(&mut self, field: u8, pieces: &[&[u8]]) {
        let start = self.open(field);
        for piece in pieces {
            self.put(piece);
        }
        self.close(start);
    }

    /// Begins a message within the message, which [`Message::close`] ends.
    #[inline(never)] // many callers
    pub fn open(&mut self, field: u8) -> usize {
        self.varint(u64::from(field) << 3 | BYTES);
        self.put(&[0x80, 0x80, 0]);
        self.used
    }

    /// Ends what began at `start`.
    #[inline(never)] // many callers
    pub fn close(&mut self, start: usize) {
        let mut length = self.used.saturating_sub(start) as u64;
        let place = self.buffer.get_mut(start.saturating_sub(LENGTH)..start);
        for byte in place.unwrap_or_default() {
            *byte |= (length & 0x7f) as u8;
            length >>= 7;
        }
    }

    /// The whole; `None` if there was too little room.
    #[must_use]
    pub fn bytes(&self) -> Option<&[u8]> {
        self.buffer.get(..self.used)
    }
}

/// The last value that a message has for a field: a number, or bytes. Nothing and 0 where there is none.
#[must_use]
#[inline(never)] // many callers
pub(super) fn field(message: &[u8], wanted: u64) -> (u64, &[u8]) {
    let mut rest = message;
    let mut found = (0, &[][..]);
    while let Some(key) = varint(&mut rest) {
        let number = match key & 7 {
            NUMBER => varint(&mut rest),
            BYTES => varint(&mut rest),
            FIXED_64 => Some(8),
            FIXED_32 => Some(4),
            _ => None,
        };
        let Some(number) = number else { break };
        let length = if key & 7 == NUMBER { 0 } else { number };
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let Some((bytes, behind)) = rest.split_at_checked(length) else {
            break;
        };
        rest = behind;
        if key >> 3 == wanted {
            found = (number, bytes);
        }
    }
    found
}

/// Takes a number off the front; its bits beyond the 64th are lost.
fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    let mut shift = 0_u32;
    loop {
        let (byte, behind) = rest.split_first()?;
        *rest = behind;
        value |= u64::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            return Some(value);
        }
        shift += 7;
    }
}

#[cfg(test)]
mod tests {
    use super::{Message, field};

    #[test]
    fn what_is_written_is_read() {
        let mut room = [0; 256];
        let mut message = Message::new(&mut room);
        message.number(1, 0);
        message.number(38, 0x4000_0000);
        message.text(37, &[b"mnt[", b"/a", b"]:", b"/b"]);
        let inner = message.open(25);
        message.text(1, &[b""]);
        message.text(2, &[&[b'x'; 130]]);
        message.close(inner);
        message.number(50, u64::MAX);
        let bytes = message.bytes().unwrap();
        assert_eq!(
            bytes[..14],
            *b"\x08\x00\xb0\x02\x80\x80\x80\x80\x04\xaa\x02\x8a\x80\x00"
        );
        assert_eq!(field(bytes, 38), (0x4000_0000, &b""[..]));
        assert_eq!(field(bytes, 37), (10, &b"mnt[/a]:/b"[..]));
        assert_eq!(field(bytes, 50).0, u64::MAX);
        assert_eq!(field(field(bytes, 25).1, 2), (130, &[b'x'; 130][..]));
        assert_eq!(field(bytes, 2), (0, &b""[..]));
    }

    #[test]
    fn the_last_one_counts_and_others_are_skipped() {
        let bytes = b"\x08\x01\x11AAAAAAAA\x1dBBBB\x08\xac\x02\x12\x01x";
        assert_eq!(field(bytes, 1).0, 300);
        assert_eq!(field(bytes, 2).1, b"x");
        assert_eq!(field(bytes, 3).1, b"BBBB");
    }

    #[test]
    fn nonsense_ends_the_reading() {
        for bytes in [
            &b"\x08"[..],
            b"\x12\x05ab",
            b"\x0b\x01",
            b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
            b"\x12\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
        ] {
            assert_eq!(field(bytes, 1), (0, &b""[..]), "{bytes:?}");
            assert_eq!(field(bytes, 2), (0, &b""[..]), "{bytes:?}");
        }
        for length in 0..=u8::MAX {
            let bytes: Vec<u8> = (0..length)
                .map(|n| n.wrapping_mul(37).wrapping_add(length))
                .collect();
            assert!(field(&bytes, 1).1.len() <= bytes.len());
        }
    }

    #[test]
    fn too_little_room_is_noticed() {
        let mut room = [0; 8];
        let mut message = Message::new(&mut room);
        message.text(1, &[b"abcd"]);
        assert!(message.bytes().is_some());
        message.number(1, 1);
        assert!(message.bytes().is_none());
        let mut message = Message::new(&mut []);
        let start = message.open(3);
        message.close(start);
        assert!(message.bytes().is_none());
    }
}
