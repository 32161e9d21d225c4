//! What every room does with bytes: numbers, ends, the kernel's texts. Out of line, because each has many callers.
#![forbid(unsafe_code)]

use core::ffi::CStr;

/// An unsigned number: digits only, at least one, within 64 bits.
#[must_use]
#[inline(never)]
pub fn number(digits: &[u8], radix: u32) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    let mut number = 0_u64;
    for digit in digits {
        let digit = char::from(*digit).to_digit(radix)?;
        number = number
            .checked_mul(u64::from(radix))?
            .checked_add(u64::from(digit))?;
    }
    Some(number)
}

/// The text that a NUL ends.
#[must_use]
#[inline(never)]
pub fn c_text(bytes: &[u8]) -> Option<&CStr> {
    CStr::from_bytes_until_nul(bytes).ok()
}

/// What stands before the first `byte`, and what behind it; the whole and nothing without one.
#[must_use]
#[inline(never)]
pub fn cut(bytes: &[u8], byte: u8) -> (&[u8], &[u8]) {
    let at = bytes.iter().position(|it| *it == byte);
    let (before, rest) = bytes
        .split_at_checked(at.unwrap_or(bytes.len()))
        .unwrap_or_default();
    (before, rest.get(1..).unwrap_or_default())
}

/// What stands behind the first line that starts so, up to its end, without the white space around it.
#[must_use]
#[inline(never)]
pub fn field<'t>(mut text: &'t [u8], start: &[u8]) -> Option<&'t [u8]> {
    while !text.is_empty() {
        let (line, rest) = cut(text, b'\n');
        if let Some(value) = line.strip_prefix(start) {
            return Some(value.trim_ascii());
        }
        text = rest;
    }
    None
}

/// What is between the separators: [`pieces`].
pub struct Pieces<'t> {
    rest: Option<&'t [u8]>,
    separator: u8,
}

/// Takes a text apart, as `slice::split` does: one piece more than there are separators.
#[must_use]
pub fn pieces(text: &[u8], separator: u8) -> Pieces<'_> {
    Pieces {
        rest: Some(text),
        separator,
    }
}

impl<'t> Pieces<'t> {
    /// What has not been given yet; `None` behind the last piece.
    #[must_use]
    pub fn rest(self) -> Option<&'t [u8]> {
        self.rest
    }
}

impl<'t> Iterator for Pieces<'t> {
    type Item = &'t [u8];

    #[inline(never)]
    fn next(&mut self) -> Option<&'t [u8]> {
        let text = self.rest?;
        let (piece, rest) = cut(text, self.separator);
        self.rest = (piece.len() < text.len()).then_some(rest);
        Some(piece)
    }
}

/// A number as decimal text.
pub struct Digits {
    text: [u8; 20],
    start: usize,
}

impl Digits {
    /// The text of `value`.
    #[must_use]
    #[inline(never)]
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

    /// The digits, without zeros in front.
    #[must_use]
    pub fn text(&self) -> &[u8] {
        self.padded(1)
    }

    /// The digits, with zeros in front up to `width` of them (at most 20).
    #[must_use]
    pub fn padded(&self, width: usize) -> &[u8] {
        let start = self.start.min(self.text.len().saturating_sub(width));
        self.text.get(start..).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::{Digits, c_text, cut, field, number, pieces};

    #[test]
    fn numbers() {
        assert_eq!(number(b"0", 10), Some(0));
        assert_eq!(number(b"18446744073709551615", 10), Some(u64::MAX));
        assert_eq!(number(b"18446744073709551616", 10), None);
        assert_eq!(number(b"fF", 16), Some(255));
        assert_eq!(number(b"8", 8), None);
        assert_eq!(number(b"", 10), None);
        assert_eq!(number(b"-1", 10), None);
    }

    #[test]
    fn digits() {
        for n in [0, 7, 10, 1234, u64::MAX] {
            assert_eq!(Digits::new(n).text(), n.to_string().as_bytes());
        }
        assert_eq!(Digits::new(7).padded(3), b"007");
        assert_eq!(Digits::new(0).padded(2), b"00");
        assert_eq!(Digits::new(1234).padded(3), b"1234");
    }

    #[test]
    fn parts() {
        assert_eq!(cut(b"a=b=c", b'='), (&b"a"[..], &b"b=c"[..]));
        assert_eq!(cut(b"a", b'='), (&b"a"[..], &b""[..]));
        assert_eq!(cut(b"", b'='), (&b""[..], &b""[..]));
        let all = |text| pieces(text, b',').collect::<Vec<_>>();
        assert_eq!(all(b"a,,b,"), [&b"a"[..], b"", b"b", b""]);
        assert_eq!(all(b""), [b""]);
        let mut fields = pieces(b"1:2:3:4", b':');
        assert_eq!(
            (fields.nth(1), fields.rest()),
            (Some(&b"2"[..]), Some(&b"3:4"[..]))
        );
        assert_eq!(field(b"a:1\nab:\t2 \nab:3\n", b"ab:"), Some(&b"2"[..]));
        assert_eq!(field(b"a:1\n", b"b:"), None);
        assert_eq!(c_text(b"a\0b"), Some(c"a"));
        assert_eq!(c_text(b"a"), None);
    }
}
