//! A line of text of limited length, built from pieces.
#![forbid(unsafe_code)]

use crate::sys::file::{stdout, write_whole};
use crate::sys::{BorrowedFd, Errno};
use crate::text::Digits;

/// What takes the place of the text that did not fit.
const ELLIPSIS: &[u8] = "…".as_bytes();

/// Text in a buffer of the caller. What does not fit is cut off at a character, and an ellipsis says so; or, for a line
/// that leads to a file, what is there is written and the buffer used again.
pub struct Line<'a> {
    bytes: &'a mut [u8],
    used: usize,
    cut: bool,
    sink: Option<BorrowedFd<'a>>,
    error: Result<(), Errno>,
}

impl<'a> Line<'a> {
    /// An empty line.
    pub fn new(bytes: &'a mut [u8]) -> Self {
        Self {
            bytes,
            used: 0,
            cut: false,
            sink: None,
            error: Ok(()),
        }
    }

    /// Text of any length that goes to `sink` in pieces as large as the buffer; [`Line::finish`] writes the last one.
    #[inline(never)] // many callers
    pub fn to(sink: BorrowedFd<'a>, bytes: &'a mut [u8]) -> Self {
        Self {
            sink: Some(sink),
            ..Self::new(bytes)
        }
    }

    /// Text of any length for standard output.
    pub fn stdout(bytes: &'a mut [u8]) -> Self {
        Self::to(stdout(), bytes)
    }

    /// Writes what is still there, and tells the first error of all writing.
    pub fn finish(mut self) -> Result<(), Errno> {
        self.flush();
        self.error
    }

    /// What is there.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.used).unwrap_or_default()
    }

    /// Whether it was too long.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.cut
    }

    /// What is there, for as long as the buffer lives.
    #[must_use]
    pub fn into_bytes(self) -> &'a [u8] {
        let Self { bytes, used, .. } = self;
        bytes.get(..used).unwrap_or_default()
    }

    fn flush(&mut self) {
        if let Some(sink) = self.sink
            && self.error.is_ok()
        {
            self.error = write_whole(sink, self.bytes());
        }
        self.used = 0;
    }

    /// Adds text of our own.
    #[inline(never)] // a hundred callers
    pub fn text(&mut self, text: &str) {
        for character in text.chars() {
            self.character(character);
        }
    }

    /// Adds text of our own, with a word from outside in the place of each `%`.
    pub fn fill(&mut self, text: &str, words: &[&[u8]]) {
        let mut words = words.iter();
        for character in text.chars() {
            match character {
                '%' => self.foreign(words.next().copied().unwrap_or_default()),
                plain => self.character(plain),
            }
        }
    }

    /// Adds text that has been checked to be harmless and UTF-8.
    pub fn raw(&mut self, text: &[u8]) {
        for chunk in text.utf8_chunks() {
            self.text(chunk.valid());
        }
    }

    /// Adds bytes from outside: what would move a cursor or is not UTF-8 appears as `\n`, `\t`, `\x1b`.
    pub fn foreign(&mut self, bytes: &[u8]) {
        self.checked(bytes, false);
    }

    /// Adds text as the inside of a JSON string (or of one that Go quotes): `"` and `\` escaped, no raw controls.
    pub fn escaped(&mut self, bytes: &[u8]) {
        self.checked(bytes, true);
    }

    fn checked(&mut self, bytes: &[u8], json: bool) {
        for chunk in bytes.utf8_chunks() {
            for character in chunk.valid().chars() {
                let letter = match character {
                    '\n' => 'n',
                    '\t' => 't',
                    '\r' if json => 'r',
                    '"' | '\\' if json => character,
                    control if control.is_control() && (control.is_ascii() || !json) => {
                        for byte in control.encode_utf8(&mut [0; 4]).bytes() {
                            self.text(if json { "\\u00" } else { "\\x" });
                            self.nibbles(byte);
                        }
                        continue;
                    }
                    plain => {
                        self.character(plain);
                        continue;
                    }
                };
                self.character('\\');
                self.character(letter);
            }
            if json && !chunk.invalid().is_empty() {
                self.character(char::REPLACEMENT_CHARACTER);
            } else {
                for byte in chunk.invalid() {
                    self.text("\\x");
                    self.nibbles(*byte);
                }
            }
        }
    }

    /// Adds a number.
    pub fn number(&mut self, value: u64) {
        self.padded(value, 1);
    }

    /// Adds a number with at least `width` digits (at most 20).
    pub fn padded(&mut self, value: u64, width: usize) {
        for digit in Digits::new(value).padded(width) {
            self.character(char::from(*digit));
        }
    }

    fn nibbles(&mut self, byte: u8) {
        for nibble in [byte >> 4, byte & 15] {
            self.character(char::from_digit(u32::from(nibble), 16).unwrap_or('?'));
        }
    }

    /// Adds one character of our own.
    pub fn character(&mut self, character: char) {
        let mut buffer = [0; 4];
        let bytes = character.encode_utf8(&mut buffer).as_bytes();
        let end = self.used.saturating_add(bytes.len());
        if self.sink.is_some() {
            if end > self.bytes.len() {
                self.flush();
            }
        } else if self.cut || end.saturating_add(ELLIPSIS.len()) > self.bytes.len() {
            if !self.cut {
                self.cut = true;
                self.append(ELLIPSIS);
            }
            return;
        }
        self.append(bytes);
    }

    fn append(&mut self, bytes: &[u8]) {
        let end = self.used.saturating_add(bytes.len());
        if let Some(place) = self.bytes.get_mut(self.used..end) {
            place.copy_from_slice(bytes);
            self.used = end;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Line;
    use rustix::fd::AsFd;

    fn made<const N: usize>(fill: impl FnOnce(&mut Line<'_>)) -> String {
        let mut buffer = [0; N];
        let mut line = Line::new(&mut buffer);
        fill(&mut line);
        String::from_utf8(line.bytes().to_vec()).unwrap()
    }

    #[test]
    fn numbers() {
        for n in [0, 1, 10, 999, u64::MAX] {
            assert_eq!(made::<64>(|line| line.number(n)), n.to_string());
        }
        assert_eq!(made::<64>(|line| line.padded(7, 3)), "007");
        assert_eq!(made::<64>(|line| line.padded(1234, 3)), "1234");
        assert_eq!(made::<64>(|line| line.padded(0, 2)), "00");
    }

    #[test]
    fn foreign_bytes_are_harmless() {
        let text = made::<128>(|line| line.foreign(b"a\"\\ \x1b[2J\n\t\xff\xc3\xa4\xc2\x9b\x00"));
        assert_eq!(text, "a\"\\ \\x1b[2J\\n\\t\\xffä\\xc2\\x9b\\x00");
    }

    #[test]
    fn json_strings() {
        let text = made::<128>(|line| line.escaped(b"a\"\\/\n\x01\x7f\xffz"));
        assert_eq!(text, "a\\\"\\\\/\\n\\u0001\\u007f\u{fffd}z");
    }

    #[test]
    fn is_cut_at_a_character() {
        assert_eq!(made::<8>(|line| line.text("12345")), "12345");
        assert_eq!(made::<8>(|line| line.text("123456")), "12345…");
        assert_eq!(made::<8>(|line| line.text("1234ä5")), "1234…");
        assert_eq!(
            made::<8>(|line| {
                line.text("12345ä");
                line.text("1")
            }),
            "12345…"
        );
        assert_eq!(made::<2>(|line| line.text("1")), "");
    }

    #[test]
    fn text_for_a_file_is_not_cut() {
        let (from, to) = rustix::pipe::pipe().unwrap();
        let mut buffer = [0; 5];
        let mut line = Line::to(to.as_fd(), &mut buffer);
        line.text("0123ä567890123456789");
        line.number(42);
        line.finish().unwrap();
        drop(to);
        let mut text = [0; 64];
        let length = crate::sys::file::read_whole(from, &mut text).unwrap();
        assert_eq!(
            &text[..length],
            "0123ä567890123456789"
                .as_bytes()
                .iter()
                .chain(b"42")
                .copied()
                .collect::<Vec<_>>()
        );
    }
}
