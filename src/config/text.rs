//! A string of the document as a range of its bytes, decoded on the way out.
//!
//! `scan` has proved that every escape is well formed and every surrogate has its other half, so decoding cannot fail.
#![forbid(unsafe_code)]

use crate::error::At;
use core::num::NonZeroU32;

/// The contents of a JSON string, without its quotes and still escaped, as a range of the document.
///
/// The default is the empty text of no place. An `Option` of it takes no extra space, since a string never starts at 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Text {
    at: NonZeroU32,
    len: u32,
}

impl Default for Text {
    fn default() -> Self {
        Self {
            at: NonZeroU32::MIN,
            len: 0,
        }
    }
}

impl Text {
    /// For tests: the `len` bytes at `at`.
    #[cfg(test)]
    #[must_use]
    pub fn of(at: usize, len: usize) -> Self {
        Self::between(at, at + len)
    }

    /// The bytes from `start`, the first one after the opening quote, to the closing quote at `end`.
    pub(super) fn between(start: usize, end: usize) -> Self {
        let number = |at| u32::try_from(at).unwrap_or(0);
        Self {
            at: NonZeroU32::new(number(start)).unwrap_or(NonZeroU32::MIN),
            len: number(end.saturating_sub(start)),
        }
    }

    /// Offset of the opening quote.
    pub(super) fn quote(self) -> usize {
        self.at.get() as usize - 1
    }

    /// Offset of the first byte of the contents in the document.
    #[must_use]
    pub fn start(self) -> u32 {
        self.at.get()
    }

    /// Where the value is, for a [`crate::error::Fault`]: the opening quote.
    #[must_use]
    pub fn place(self) -> At {
        At::Byte(self.at.get() - 1)
    }

    /// Whether it has no bytes.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.len == 0
    }

    /// The contents as they stand in the document, escapes included.
    #[must_use]
    #[inline(never)] // checked arithmetic and a checked slice, for a few dozen callers
    pub fn raw(self, doc: &[u8]) -> &[u8] {
        let start = self.at.get() as usize;
        doc.get(start..start + self.len as usize).unwrap_or(&[])
    }

    /// The decoded bytes (UTF-8).
    pub fn bytes(self, doc: &[u8]) -> Bytes<'_> {
        Bytes {
            raw: self.raw(doc),
            pending: 0,
        }
    }

    /// Whether the decoded bytes are exactly `bytes`.
    #[must_use]
    pub fn is(self, doc: &[u8], bytes: &[u8]) -> bool {
        self.bytes(doc).eq(bytes.iter().copied())
    }

    /// Whether `byte` is among the decoded bytes.
    #[must_use]
    pub fn has(self, doc: &[u8], byte: u8) -> bool {
        self.bytes(doc).any(|other| other == byte)
    }

    /// Whether the decoded bytes begin with `byte`.
    #[must_use]
    pub fn starts_with(self, doc: &[u8], byte: u8) -> bool {
        self.bytes(doc).next() == Some(byte)
    }
}

/// The decoded bytes of a [`Text`], in order.
#[derive(Clone, Debug)]
pub struct Bytes<'a> {
    raw: &'a [u8],
    /// Bytes of a decoded escape that are still to be given, first one lowest; none of them is zero, except that a
    /// lone NUL is given at once.
    pending: u32,
}

impl Iterator for Bytes<'_> {
    type Item = u8;

    #[inline(never)]
    fn next(&mut self) -> Option<u8> {
        if self.pending != 0 {
            let [low, ..] = self.pending.to_le_bytes();
            self.pending >>= 8;
            return Some(low);
        }
        let (&first, rest) = self.raw.split_first()?;
        self.raw = rest;
        if first != b'\\' {
            return Some(first);
        }
        let (&kind, rest) = self.raw.split_first()?;
        self.raw = rest;
        Some(match kind {
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => {
                let mut utf8 = [0; 4];
                let char = self.unicode()?;
                char.encode_utf8(&mut utf8);
                let packed = u32::from_le_bytes(utf8);
                self.pending = packed >> 8;
                let [low, ..] = utf8;
                low
            }
            // A quote, a backslash or a slash stand for themselves.
            other => other,
        })
    }
}

impl Bytes<'_> {
    /// The scalar value after `\u`, from one escape or from a pair of surrogates.
    fn unicode(&mut self) -> Option<char> {
        let high = self.four_digits()?;
        if high & 0xfc00 != 0xd800 {
            return char::from_u32(high);
        }
        self.raw = self.raw.get(2..)?;
        let low = self.four_digits()?;
        char::from_u32(0x1_0000 + ((high & 0x3ff) << 10) + (low & 0x3ff))
    }

    fn four_digits(&mut self) -> Option<u32> {
        let number = four_digits(self.raw);
        self.raw = self.raw.get(4..)?;
        number
    }
}

/// The number that the next four hexadecimal digits are.
pub(super) fn four_digits(raw: &[u8]) -> Option<u32> {
    raw.first_chunk::<4>()?.iter().try_fold(0, |value, digit| {
        Some(value * 16 + char::from(*digit).to_digit(16)?)
    })
}

#[cfg(test)]
mod tests {
    use super::Text;

    fn decode(json: &str) -> Vec<u8> {
        Text::between(1, json.len() - 1)
            .bytes(json.as_bytes())
            .collect()
    }

    #[test]
    fn escapes_are_decoded() {
        assert_eq!(decode(r#""plain""#), b"plain");
        assert_eq!(decode(r#""\"\\\/\b\f\n\r\t""#), b"\"\\/\x08\x0c\n\r\t");
        assert_eq!(decode(r#""a\u0000b""#), b"a\0b");
        assert_eq!(decode(r#""\u0041\u00e4\u20AC""#), "Aä€".as_bytes());
        assert_eq!(decode(r#""\ud83d\ude00!""#), "😀!".as_bytes());
        assert_eq!(decode(r#""\uD83D\uDE00""#), "😀".as_bytes());
        assert_eq!(decode("\"ä€😀\""), "ä€😀".as_bytes());
        assert_eq!(decode("\"\""), b"");
    }

    #[test]
    fn compares_decoded() {
        let doc = br#""a\u0062c""#;
        let text = Text::between(1, doc.len() - 1);
        assert!(text.is(doc, b"abc"));
        assert!(!text.is(doc, b"ab"));
        assert!(!text.is(doc, b"abcd"));
        assert!(text.starts_with(doc, b'a'));
        assert!(Text::default().is(doc, b""));
        assert_eq!(size_of::<Option<Text>>(), 8);
    }
}
