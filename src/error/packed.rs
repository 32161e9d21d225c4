//! The fixed texts, which build.rs packs to half their size: a byte from 128 on stands for the two in its row of `PAIRS`,
//! and those may be such bytes again.
#![forbid(unsafe_code)]

use heapless::Vec;

include!(concat!(env!("OUT_DIR"), "/texts.rs"));

/// The characters of a text (ASCII).
#[derive(Clone, Debug)]
pub struct Packed {
    rest: &'static [u8],
    /// What the last byte stood for and has not been given yet, the next one last.
    pending: Vec<u8, DEPTH>,
}

impl Packed {
    /// Line number `n` of a table.
    #[must_use]
    pub fn line(table: &'static [u8], n: usize) -> Self {
        Self {
            rest: table
                .split(|byte| *byte == b'\n')
                .nth(n)
                .unwrap_or_default(),
            pending: Vec::new(),
        }
    }
}

impl Iterator for Packed {
    type Item = char;

    fn next(&mut self) -> Option<char> {
        let mut byte = match self.pending.pop() {
            Some(byte) => byte,
            None => *self.rest.split_off_first()?,
        };
        while let Some(pair) = byte.checked_sub(128) {
            let [first, second] = *PAIRS.get(usize::from(pair))?;
            let _ = self.pending.push(second);
            byte = first;
        }
        Some(char::from(byte))
    }
}
