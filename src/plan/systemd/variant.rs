//! The value of a property as GVariant text: true, 'text', 5, uint64 5, @t 5, ['a', 'b'], [1, 2].
#![forbid(unsafe_code)]

use crate::cgroup::dbus::Body;
use crate::text::{cut, number, pieces};

/// Names of types, each with its signature before it.
const TYPES: &[u8] = b"bboolean ybyte nint16 quint16 iint32 uuint32 xint64 tuint64 sstring";

/// Adds a property. One in seconds, whose name ends so, is told in microseconds.
pub(super) fn property(name: &[u8], text: &[u8], body: &mut Body<'_>) -> Option<()> {
    let mut reader = Reader {
        rest: text.trim_ascii(),
        kind: 0,
    };
    reader.prefix();
    let list = reader.rest.strip_prefix(b"[");
    reader.rest = list.unwrap_or(reader.rest);
    let mut value = reader.value()?;
    // `TimeoutStopSec`, but not `TimeoutStopUSec`.
    let stem = name.strip_suffix(b"Sec");
    let seconds = stem.filter(|stem| stem.last().is_some_and(u8::is_ascii_lowercase));
    if let Some(stem) = seconds {
        if list.is_some() || matches!(reader.kind, b'b' | b's') {
            return None;
        }
        body.name(&[stem, b"USec"], b"t");
        body.integer(b't', value.number.checked_mul(1_000_000)?);
    } else if list.is_none() {
        body.property(name, &[reader.kind]);
        value.put(reader.kind, body);
    } else {
        // All elements have the type of the first one; so an empty list has none.
        body.property(name, &[b'a', reader.kind]);
        let wide = matches!(reader.kind, b'x' | b't');
        let array = body.open(if wide { 8 } else { 1 });
        value.put(reader.kind, body);
        while let Some(rest) = reader.rest.strip_prefix(b",") {
            reader.rest = rest.trim_ascii_start();
            value = reader.value()?;
            value.put(reader.kind, body);
        }
        body.close(array);
        reader.rest = reader.rest.strip_prefix(b"]")?;
    }
    reader.rest.is_empty().then_some(())
}

/// A value that has been read: a number in two's complement, or what is between quotes, with its escapes.
struct Value<'t> {
    number: u64,
    text: &'t [u8],
}

impl Value<'_> {
    fn put(&self, kind: u8, body: &mut Body<'_>) {
        if kind != b's' {
            return body.integer(kind, self.number);
        }
        let mut escaped = false;
        let mut plain = |byte: &&u8| {
            escaped = **byte == b'\\' && !escaped;
            !escaped
        };
        let length = self.text.iter().filter(&mut plain).count();
        body.u32(u32::try_from(length).unwrap_or(u32::MAX));
        for byte in self.text.iter().filter(plain) {
            body.put(&[*byte]);
        }
        body.put(&[0]);
    }
}

struct Reader<'t> {
    rest: &'t [u8],
    /// The type, 0 as long as it is not known.
    kind: u8,
}

impl<'t> Reader<'t> {
    /// `uint64 ` or `@t `, or `@at ` before a bracket.
    fn prefix(&mut self) {
        let (word, rest) = cut(self.rest, b' ');
        let short = match word {
            [b'@', b'a', kind] | [b'@', kind] => Some(kind),
            _ => None,
        };
        let known = pieces(TYPES, b' ').filter_map(<[u8]>::split_first);
        for (kind, name) in known {
            if name == word || short == Some(kind) {
                self.kind = *kind;
                self.rest = rest.trim_ascii_start();
            }
        }
    }

    fn value(&mut self) -> Option<Value<'t>> {
        if self.kind == 0 {
            self.prefix();
        }
        let mut value = Value {
            number: 0,
            text: b"",
        };
        let natural;
        if let [quote @ (b'\'' | b'"'), rest @ ..] = self.rest {
            let mut escaped = false;
            let end = rest.iter().position(|byte| {
                let ends = byte == quote && !escaped;
                escaped = *byte == b'\\' && !escaped;
                ends
            })?;
            (value.text, natural) = (rest.get(..end)?, b's');
            self.rest = rest.get(end + 1..)?;
        } else {
            let ends = |byte: &u8| matches!(byte, b',' | b']' | b' ');
            let end = self.rest.iter().position(ends).unwrap_or(self.rest.len());
            let (word, rest) = self.rest.split_at_checked(end)?;
            (value.number, natural) = match word {
                b"true" => (1, b'b'),
                b"false" => (0, b'b'),
                [b'-', digits @ ..] => (number(digits, 10)?.wrapping_neg(), b'i'),
                [b'0', b'x', digits @ ..] => (number(digits, 16)?, b'i'),
                digits => (number(digits, 10)?, b'i'),
            };
            self.rest = rest;
        }
        self.rest = self.rest.trim_ascii_start();
        if self.kind == 0 {
            self.kind = natural;
        }
        // Texts are texts and truths are truths.
        let fits = match natural {
            b'i' => fits_type(self.kind, value.number),
            natural => self.kind == natural,
        };
        fits.then_some(value)
    }
}

/// Whether a number in two's complement is one of a type.
#[allow(
    clippy::cast_possible_truncation,
    reason = "what is cut off is what is asked for"
)]
fn fits_type(kind: u8, number: u64) -> bool {
    let signed = number.cast_signed();
    match kind {
        b'y' => number < 1 << 8,
        b'q' => number < 1 << 16,
        b'u' => number < 1 << 32,
        b'n' => signed == i64::from(signed as i16),
        b'i' => signed == i64::from(signed as i32),
        b'x' | b't' => true,
        _ => false,
    }
}
