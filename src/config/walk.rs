//! Walking a document that `scan` has passed, or the part of one before the byte that it refused: where values end, what
//! their path, line and text are. Nothing here can fail; at a byte that makes no sense it stops.
#![forbid(unsafe_code)]

use super::text::Text;
use crate::limits;
use crate::text::Digits;

/// The first byte at or after `at` that is not white space.
pub(super) fn skip_space(doc: &[u8], at: usize) -> usize {
    skip(doc, at, b" \t\n\r")
}

/// The first byte at or after `at` that is not one of `bytes`.
pub(super) fn skip(doc: &[u8], at: usize, bytes: &[u8]) -> usize {
    let rest = doc.get(at..).unwrap_or(&[]);
    let passed = rest.iter().take_while(|byte| bytes.contains(byte)).count();
    at + passed
}

/// The byte after the string whose opening quote is at `at`.
pub(super) fn string_end(doc: &[u8], at: usize) -> usize {
    let mut end = at + 1;
    loop {
        match doc.get(end) {
            Some(b'"') => return end + 1,
            Some(b'\\') => end += 2,
            Some(_) => end += 1,
            None => return doc.len(),
        }
    }
}

/// The key whose opening quote is at `at`, and where its value begins; `None` where there is no string.
pub(super) fn key_at(doc: &[u8], at: usize) -> Option<(Text, usize)> {
    if doc.get(at) != Some(&b'"') {
        return None;
    }
    let end = string_end(doc, at);
    let value = skip(doc, end, b" \t\n\r:");
    Some((Text::between(at + 1, end - 1), value))
}

/// The byte after the number or word that begins at `at`.
pub(super) fn word_end(doc: &[u8], at: usize) -> usize {
    let rest = doc.get(at..).unwrap_or(&[]);
    let ends = |byte: &u8| !b" \t\n\r,]}".contains(byte);
    at + rest.iter().take_while(|byte| ends(byte)).count()
}

/// The byte after the value that begins at `at`.
pub(super) fn value_end(doc: &[u8], at: usize) -> usize {
    let (mut end, mut depth) = (at, 0_usize);
    loop {
        end = match doc.get(end) {
            None => return doc.len(),
            Some(b'"') => string_end(doc, end),
            Some(b'{' | b'[') => {
                depth += 1;
                end + 1
            }
            Some(b'}' | b']') => {
                depth = depth.saturating_sub(1);
                end + 1
            }
            Some(b' ' | b'\t' | b'\n' | b'\r' | b',' | b':') if depth > 0 => end + 1,
            Some(_) => word_end(doc, end).max(end + 1),
        };
        if depth == 0 {
            return end;
        }
    }
}

/// Line and column of a byte, both from 1. A column is a character; a tab is one.
#[must_use]
pub fn locate(doc: &[u8], byte: u32) -> (u32, u32) {
    let (mut line, mut column) = (1, 1);
    for byte in doc.iter().take(byte as usize) {
        match byte {
            b'\n' => (line, column) = (line + 1, 1),
            // Bytes after the first one of a character.
            0x80..0xc0 => {}
            _ => column += 1,
        }
    }
    (line, column)
}

/// The value (or key) at `byte` as it stands in the document: its first line, at most 60 bytes, cut between characters;
/// nothing for an object or list over several lines, whose first line says nothing.
#[must_use]
pub fn snippet(doc: &[u8], byte: u32) -> &[u8] {
    const MOST: usize = 60;
    let value = value(doc, byte);
    let line = |byte: &&u8| !b"\r\n".contains(byte);
    let mut end = value.iter().take_while(line).count();
    if end < value.len() && matches!(value.first(), Some(b'{' | b'[')) {
        end = 0;
    }
    if end > MOST {
        end = MOST;
        while value.get(end).is_some_and(|byte| byte & 0xc0 == 0x80) {
            end -= 1;
        }
    }
    value.get(..end).unwrap_or(&[])
}

/// The whole value at `byte` as it stands in the document.
#[must_use]
pub fn value(doc: &[u8], byte: u32) -> &[u8] {
    let start = byte as usize;
    doc.get(start..value_end(doc, start)).unwrap_or(&[])
}

/// A step of a path.
#[derive(Clone, Copy)]
enum Step {
    /// In an object: before its first key, after a comma, or at the value of a key.
    Key(Option<Text>),
    Index(u32),
}

/// The containers around a byte.
struct Around {
    steps: [Step; limits::CONFIG_DEPTH + 1],
    depth: usize,
}

impl Around {
    fn push(&mut self, step: Step) {
        if let Some(free) = self.steps.get_mut(self.depth) {
            *free = step;
            self.depth += 1;
        }
    }

    fn top(&mut self) -> Option<&mut Step> {
        self.steps.get_mut(self.depth.checked_sub(1)?)
    }

    /// Walks to `byte`, or to the end of the token that it is in.
    fn of(doc: &[u8], byte: usize) -> Self {
        let mut around = Self {
            steps: [Step::Key(None); limits::CONFIG_DEPTH + 1],
            depth: 0,
        };
        let mut at = 0;
        let mut key_next = false;
        loop {
            at = skip_space(doc, at);
            let Some(token) = doc.get(at) else {
                return around;
            };
            if at >= byte && !(key_next && *token == b'"') {
                return around;
            }
            match token {
                b'"' => {
                    let end = string_end(doc, at);
                    if key_next && let Some(Step::Key(key)) = around.top() {
                        *key = Some(Text::between(at + 1, end - 1));
                    }
                    key_next = false;
                    if end > byte {
                        return around;
                    }
                    at = end;
                    continue;
                }
                b'{' => {
                    around.push(Step::Key(None));
                    key_next = true;
                }
                b'[' => around.push(Step::Index(0)),
                b'}' | b']' => {
                    around.depth = around.depth.saturating_sub(1);
                    key_next = false;
                }
                b',' => match around.top() {
                    Some(Step::Index(index)) => *index += 1,
                    _ => key_next = true,
                },
                _ => {}
            }
            at += 1;
        }
    }
}

/// Gives the JSON path of the value at `byte` to `sink`, piece by piece: `process.rlimits[3].soft`,
/// `annotations["a.b"]`; nothing for the whole document. Keys are given as they stand in the document, escapes included.
pub fn path(doc: &[u8], byte: u32, sink: &mut dyn FnMut(&[u8])) {
    let around = Around::of(doc, byte as usize);
    for (depth, step) in around.steps.iter().take(around.depth).enumerate() {
        match step {
            Step::Key(None) => {}
            Step::Key(Some(key)) => {
                let raw = key.raw(doc);
                if is_identifier(raw) {
                    sink(if depth == 0 { b"" } else { b"." });
                    sink(raw);
                } else {
                    sink(b"[\"");
                    sink(raw);
                    sink(b"\"]");
                }
            }
            Step::Index(index) => {
                sink(b"[");
                sink(Digits::new(u64::from(*index)).text());
                sink(b"]");
            }
        }
    }
}

fn is_identifier(key: &[u8]) -> bool {
    let good = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    key.iter().all(good) && key.first().is_some_and(|byte| !byte.is_ascii_digit())
}

/// Offset of the value with this path ("process.scheduler.nice": keys only, none of them with a dot); `None` when it is
/// not there. For complaints about scalars, which keep no offset of their own.
#[must_use]
pub fn find(doc: &[u8], path: &str) -> Option<u32> {
    let mut at = skip_space(doc, 0);
    for wanted in path.split('.') {
        if doc.get(at) != Some(&b'{') {
            return None;
        }
        at += 1;
        loop {
            at = skip(doc, at, b" \t\n\r,");
            let (key, value) = key_at(doc, at)?;
            at = value;
            if key.is(doc, wanted.as_bytes()) {
                break;
            }
            at = value_end(doc, at);
        }
    }
    u32::try_from(at).ok()
}
