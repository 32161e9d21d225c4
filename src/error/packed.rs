//! The fixed texts, which build.rs packs to a third of their size: tables of lines, behind each other. A table is taken
//! apart when one of its lines is asked for, with all before it; that is milliseconds, and nothing asks that does not end
//! in somebody reading.
//!
//! The packed form is a fraction between 0 and 1. Each bit of the texts in turn divides the part of it that the bits
//! before have left, by the weights of [`Model`]: a zero takes the lower part, a one the rest (arithmetic coding).
#![forbid(unsafe_code)]

use super::model::Model;
use crate::sys::memory::{MadeOnce, TakeOnce};

include!(concat!(env!("OUT_DIR"), "/texts.rs"));

type Table = [u8; LONGEST];

static TABLES: [MadeOnce<Table>; COUNT] = [const { MadeOnce::new([0; LONGEST]) }; COUNT];

struct Unpacker {
    model: Model,
    /// How many bytes of `PACKED` are read.
    read: usize,
    /// What is left of the whole, and how far the fraction is above its lower end, in the unit of the last byte.
    left: u32,
    above: u32,
}

static UNPACKER: TakeOnce<Unpacker> = TakeOnce::new(Unpacker {
    model: Model::new(),
    read: 0,
    left: 0,
    above: 0,
});

/// Line number `n` of a table; empty behind its last.
#[must_use]
#[inline(never)] // many callers
pub fn line(table: usize, n: usize) -> &'static str {
    let mut text = &b""[..];
    for table in TABLES.iter().take(table.saturating_add(1)) {
        text = table.get(|table| {
            if let Some(unpacker) = UNPACKER.take() {
                unpacker.table(table);
                UNPACKER.put_back(unpacker);
            }
        });
    }
    let line = text.split(|byte| *byte == b'\n').nth(n);
    str::from_utf8(line.unwrap_or_default()).unwrap_or_default()
}

impl Unpacker {
    /// The next table; the end of one is an empty line.
    fn table(&mut self, table: &mut Table) {
        let mut before = b'\n';
        for place in table {
            *place = self.character();
            if (before, *place) == (b'\n', b'\n') {
                break;
            }
            before = *place;
        }
    }

    fn character(&mut self) -> u8 {
        loop {
            while self.left >> 24 == 0 {
                let byte = PACKED.get(self.read).copied().unwrap_or(0);
                self.read += 1;
                self.left = self.left << 8 | 0xff;
                self.above = self.above << 8 | u32::from(byte);
            }
            let (zero, one) = self.model.weights();
            let lower = self.left / (zero + one) * zero;
            let is_one = self.above >= lower;
            if is_one {
                self.above -= lower;
                self.left -= lower;
            } else {
                self.left = lower;
            }
            if let Some(character) = self.model.see(is_one) {
                return character;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Errno, Limit, Step, line};

    #[test]
    fn lines_of_tables() {
        assert!(line(Errno, 0).starts_with("EPERM "));
        assert!(line(Errno, 132).starts_with("EHWPOISON "));
        assert_eq!(line(Errno, 133), "");
        assert_eq!(line(Limit, 0), "bytes of config.json");
        assert_eq!(line(Step, usize::MAX), "");
    }
}
