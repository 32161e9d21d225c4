//! First pass: the bytes are one JSON value of RFC 8259, in UTF-8, not nested too deeply, without a key twice in an object.
//!
//! After it nothing in the document can surprise a reader: every string ends, every escape is good, every bracket has its
//! mate. It is strict where the RFC leaves a choice: no byte order mark, no lone surrogate, no duplicate key. Not
//! recursive: the open containers are a stack of `CONFIG_DEPTH` numbers.
//!
//! Duplicate keys: one open-addressing table for the whole document, (object, key) by a hash that starts from the
//! address of the document, which the loader randomises. Its used part grows with the number of keys, so that a small
//! document touches little memory; it is at most half full, and a hit is verified by comparing the decoded keys.
#![forbid(unsafe_code)]

use super::text::{Text, four_digits};
use super::walk::string_end;
use super::{Wrong, broken, full};
use crate::error::Rule;
use crate::limits::{self, Limit};

/// A slot of the table of keys: offset of the object plus one (0 is a free slot), offset of the quote before the key.
pub(super) type Slot = (u32, u32);

/// Checks the bytes; `slots` is scratch space, whatever it holds.
pub(super) fn scan(doc: &[u8], slots: &mut [Slot]) -> Result<(), Wrong> {
    if doc.len() > limits::CONFIG_BYTES {
        return Err(full(Limit::CONFIG_BYTES, limits::CONFIG_BYTES));
    }
    if doc.starts_with(b"\xef\xbb\xbf") {
        return Err(broken(Rule::JsonBom, 0));
    }
    if let Err(error) = core::str::from_utf8(doc) {
        return Err(broken(Rule::JsonUtf8, error.valid_up_to()));
    }
    let keys = Keys::new(doc, slots);
    Scanner { doc, at: 0, keys }.document()
}

struct Scanner<'a> {
    doc: &'a [u8],
    at: usize,
    keys: Keys<'a>,
}

/// The open containers: offset of an object plus one, or 0 for an array.
struct Open {
    stack: [u32; limits::CONFIG_DEPTH],
    depth: usize,
}

impl Open {
    fn push(&mut self, container: u32) -> Option<()> {
        *self.stack.get_mut(self.depth)? = container;
        self.depth += 1;
        Some(())
    }

    fn top(&self) -> Option<u32> {
        self.stack.get(self.depth.checked_sub(1)?).copied()
    }
}

impl Scanner<'_> {
    fn document(&mut self) -> Result<(), Wrong> {
        let mut open = Open {
            stack: [0; limits::CONFIG_DEPTH],
            depth: 0,
        };
        if self.skip().is_none() {
            return Err(broken(Rule::JsonEmpty, 0));
        }
        loop {
            if !self.value(&mut open)? {
                continue;
            }
            loop {
                let next = self.skip();
                match (open.top(), next) {
                    (None, None) => return Ok(()),
                    (None, _) => return self.wrong(Rule::JsonTrailing),
                    (_, None) => return self.wrong(Rule::JsonEnd),
                    (Some(container), Some(b',')) => {
                        self.comma(container)?;
                        break;
                    }
                    (Some(0), Some(b']')) | (Some(1..), Some(b'}')) => {
                        self.at += 1;
                        open.depth -= 1;
                    }
                    _ => return self.wrong(Rule::JsonComma),
                }
            }
        }
    }

    /// Passes a scalar or an empty container (true), or the opening bracket of a container and, in an object, the first
    /// key (false).
    fn value(&mut self, open: &mut Open) -> Result<bool, Wrong> {
        match self.skip() {
            Some(bracket @ (b'{' | b'[')) => {
                let object = if bracket == b'{' {
                    offset(self.at) + 1
                } else {
                    0
                };
                if open.push(object).is_none() {
                    return Err(full(Limit::CONFIG_DEPTH, self.at));
                }
                self.at += 1;
                if self.skip() == Some(if object == 0 { b']' } else { b'}' }) {
                    self.at += 1;
                    open.depth -= 1;
                    return Ok(true);
                }
                if object != 0 {
                    self.key(object)?;
                }
                return Ok(false);
            }
            Some(b'"') => {
                self.string()?;
            }
            Some(b'-' | b'+' | b'.' | b'0'..=b'9') => self.number()?,
            Some(b't') => self.literal(b"true")?,
            Some(b'f') => self.literal(b"false")?,
            Some(b'n') => self.literal(b"null")?,
            Some(_) => return self.wrong(Rule::JsonValue),
            None => return self.wrong(Rule::JsonEnd),
        }
        Ok(true)
    }

    /// Passes the comma and, in an object, the key after it.
    fn comma(&mut self, container: u32) -> Result<(), Wrong> {
        let comma = self.at;
        self.at += 1;
        if let Some(b'}' | b']') = self.skip() {
            return Err(broken(Rule::JsonTrailingComma, comma));
        }
        if container != 0 {
            self.key(container)?;
        }
        Ok(())
    }

    /// Passes a key, which must be new in its object, and the colon.
    fn key(&mut self, object: u32) -> Result<(), Wrong> {
        match self.skip() {
            Some(b'"') => {}
            Some(_) => return self.wrong(Rule::JsonKey),
            None => return self.wrong(Rule::JsonEnd),
        }
        let quote = self.at;
        let key = self.string()?;
        let Some(left) = self.keys.left.checked_sub(1) else {
            return Err(full(Limit::CONFIG_KEYS, quote));
        };
        self.keys.left = left;
        if !self.keys.insert(object, quote, key) {
            return Err(broken(Rule::JsonTwice, quote));
        }
        match self.skip() {
            Some(b':') => self.at += 1,
            Some(_) => return self.wrong(Rule::JsonColon),
            None => return self.wrong(Rule::JsonEnd),
        }
        Ok(())
    }

    /// Passes a string that begins here.
    fn string(&mut self) -> Result<Text, Wrong> {
        let start = self.at + 1;
        self.at = start;
        loop {
            match self.peek() {
                Some(b'"') => {
                    let text = Text::between(start, self.at);
                    self.at += 1;
                    return Ok(text);
                }
                Some(b'\\') => self.escape()?,
                Some(0..0x20) => return self.wrong(Rule::JsonControl),
                Some(_) => self.at += 1,
                None => {
                    self.at = self.doc.len();
                    return self.wrong(Rule::JsonEnd);
                }
            }
        }
    }

    /// Passes an escape; a high surrogate passes together with the low one.
    fn escape(&mut self) -> Result<(), Wrong> {
        let backslash = self.at;
        let wrong = |rule| Err(broken(rule, backslash));
        // That of `uXXXX`.
        let number = |escape: &[u8]| four_digits(escape.strip_prefix(b"u")?);
        let rest = self.doc.get(backslash + 1..).unwrap_or(&[]);
        match rest.first() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 2,
            Some(b'u') => match (number(rest), rest.get(5..)) {
                (Some(0xd800..=0xdbff), Some([b'\\', low @ ..])) => {
                    if !matches!(number(low), Some(0xdc00..=0xdfff)) {
                        return wrong(Rule::JsonSurrogate);
                    }
                    self.at += 12;
                }
                (Some(0xd800..=0xdfff), _) => return wrong(Rule::JsonSurrogate),
                (Some(_), _) => self.at += 6,
                (None, _) => return wrong(Rule::JsonEscape),
            },
            _ => return wrong(Rule::JsonEscape),
        }
        Ok(())
    }

    fn number(&mut self) -> Result<(), Wrong> {
        let start = self.at;
        self.eat(b"-");
        let zero = self.peek() == Some(b'0');
        let whole = self.digits();
        let mut good = whole > 0 && !(zero && whole > 1);
        if self.eat(b".") {
            good &= self.digits() > 0;
        }
        if self.eat(b"eE") {
            self.eat(b"+-");
            good &= self.digits() > 0;
        }
        if let Some(b'+' | b'-' | b'.' | b'_' | b'a'..=b'z' | b'A'..=b'Z') = self.peek() {
            good = false;
        }
        if good {
            return Ok(());
        }
        Err(broken(Rule::JsonNumber, start))
    }

    fn digits(&mut self) -> usize {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        self.at - start
    }

    /// Passes one byte if it is one of `bytes`.
    fn eat(&mut self, bytes: &[u8]) -> bool {
        let found = self.peek().is_some_and(|byte| bytes.contains(&byte));
        if found {
            self.at += 1;
        }
        found
    }

    fn literal(&mut self, word: &[u8]) -> Result<(), Wrong> {
        if !self.doc.get(self.at..).unwrap_or(&[]).starts_with(word) {
            return self.wrong(Rule::JsonValue);
        }
        self.at += word.len();
        Ok(())
    }

    /// Passes white space; what comes then.
    fn skip(&mut self) -> Option<u8> {
        loop {
            match self.peek() {
                Some(b' ' | b'\t' | b'\n' | b'\r') => self.at += 1,
                other => return other,
            }
        }
    }

    fn peek(&self) -> Option<u8> {
        self.doc.get(self.at).copied()
    }

    fn wrong<T>(&self, rule: Rule) -> Result<T, Wrong> {
        Err(broken(rule, self.at))
    }
}

/// An offset into a document, whose length is checked first of all.
fn offset(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

struct Keys<'a> {
    doc: &'a [u8],
    slots: &'a mut [Slot],
    seed: u64,
    /// How many more keys there may be.
    left: usize,
}

impl<'a> Keys<'a> {
    /// A table for the keys of `doc`: there are at most as many as colons, and each takes five bytes (`"":0,`). `slots`
    /// has room for twice `CONFIG_KEYS`.
    fn new(doc: &'a [u8], slots: &'a mut [Slot]) -> Self {
        let colons = doc.iter().filter(|byte| **byte == b':').count();
        let most = colons.min(doc.len() / 5 + 1);
        let used = (2 * most).next_power_of_two().min(slots.len());
        let (slots, _) = slots.split_at_mut_checked(used).unwrap_or_default();
        slots.fill((0, 0));
        Self {
            doc,
            slots,
            seed: doc.as_ptr().addr() as u64,
            left: limits::CONFIG_KEYS,
        }
    }

    /// Remembers the key of the object; false if it is there already.
    fn insert(&mut self, object: u32, quote: usize, key: Text) -> bool {
        let mask = self.slots.len().wrapping_sub(1);
        let mut place = self.hash(object, key);
        // The table is never full, so a free slot ends the search; the bound only makes that plain.
        for _ in 0..=mask {
            place &= mask;
            let Some(slot) = self.slots.get_mut(place) else {
                return true;
            };
            if slot.0 == 0 {
                *slot = (object, offset(quote));
                return true;
            }
            if slot.0 == object && same(self.doc, key, slot.1 as usize) {
                return false;
            }
            place += 1;
        }
        true
    }

    fn hash(&self, object: u32, key: Text) -> usize {
        const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
        let mix = |hash: u64, word: u64| (hash ^ word).wrapping_mul(ODD).rotate_left(29);
        let start = mix(self.seed, u64::from(object));
        let hash = key
            .bytes(self.doc)
            .fold(start, |hash, byte| mix(hash, u64::from(byte)));
        (hash.wrapping_mul(ODD) >> 32) as usize
    }
}

/// Whether the key spells the same as the one whose opening quote is at `quote`.
fn same(doc: &[u8], key: Text, quote: usize) -> bool {
    let stored = doc.get(quote + 1..).unwrap_or(&[]);
    let raw = key.raw(doc);
    // Without an escape the bytes and the closing quote decide, at the cost of the common prefix.
    for (left, right) in raw.iter().zip(stored) {
        if *left == b'\\' || *right == b'\\' {
            let stored = Text::between(quote + 1, string_end(doc, quote) - 1);
            return key.bytes(doc).eq(stored.bytes(doc));
        }
        if left != right {
            return false;
        }
    }
    stored.get(raw.len()) == Some(&b'"')
}
