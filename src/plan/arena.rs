//! The text of a plan: NUL-terminated strings, one after another, in one block of fixed size.
//!
//! A [`Str`] is an offset, so the block can be copied by fork and named in a fault. It refuses interior NULs, because
//! every string in it ends up in the kernel.
#![forbid(unsafe_code)]

use core::ffi::CStr;

use crate::error::{At, Fault, Rule, Step};
use crate::limits::{ARENA_BYTES, Limit};

/// A string in the arena. The empty one (`Str::EMPTY`) is always there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Str {
    /// Offset of the first byte.
    pub at: u32,
    /// Length without the NUL.
    pub len: u32,
}

impl Str {
    /// The empty string.
    pub const EMPTY: Self = Self { at: 0, len: 0 };

    /// Whether it has no bytes.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.len == 0
    }
}

/// The block. Byte 0 is the NUL of [`Str::EMPTY`].
pub struct Arena<const N: usize = ARENA_BYTES> {
    used: usize,
    bytes: [u8; N],
}

impl<const N: usize> Default for Arena<N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const N: usize> Arena<N> {
    /// An empty arena; all zero, so a static one costs no space in the file.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            used: 0,
            bytes: [0; N],
        }
    }

    /// Adds a string.
    ///
    /// # Errors
    ///
    /// `Limit::ARENA_BYTES`, or `Rule::Nul` for a string with a NUL in it.
    pub fn push(&mut self, text: &[u8]) -> Result<Str, Fault> {
        self.push_iter(text.iter().copied())
    }

    /// Adds a string byte by byte: decoded JSON, or several pieces joined.
    ///
    /// # Errors
    ///
    /// As [`Arena::push`]; the arena is unchanged then.
    pub fn push_iter(&mut self, mut text: impl Iterator<Item = u8>) -> Result<Str, Fault> {
        self.push_each(&mut || text.next())
    }

    /// The one copy of it for all iterators.
    fn push_each(&mut self, next: &mut dyn FnMut() -> Option<u8>) -> Result<Str, Fault> {
        let full = Fault::limit(Step::MakePlan, Limit::ARENA_BYTES, At::Nothing);
        let start = self.used.max(1);
        let mut end = start;
        while let Some(byte) = next() {
            if byte == 0 {
                return Err(Fault::rule(Step::MakePlan, Rule::Nul, At::Nothing));
            }
            *self.bytes.get_mut(end).ok_or(full)? = byte;
            end += 1;
        }
        // The byte behind may hold a part of an earlier string that was refused.
        *self.bytes.get_mut(end).ok_or(full)? = 0;
        let at = u32::try_from(start).map_err(|_| full)?;
        let len = u32::try_from(end - start).map_err(|_| full)?;
        self.used = end + 1;
        Ok(Str { at, len })
    }

    /// The bytes of a string without the NUL.
    #[must_use]
    pub fn bytes(&self, text: Str) -> &[u8] {
        let start = text.at as usize;
        self.bytes
            .get(start..start + text.len as usize)
            .unwrap_or(&[])
    }

    /// The string as the kernel takes it.
    #[must_use]
    pub fn cstr(&self, text: Str) -> &CStr {
        let start = text.at as usize;
        let with_nul = self
            .bytes
            .get(start..start + text.len as usize + 1)
            .unwrap_or(&[0]);
        CStr::from_bytes_with_nul(with_nul).unwrap_or(c"")
    }

    /// The string that starts at an offset that a fault carries.
    #[must_use]
    pub fn text_at(&self, at: u32) -> &[u8] {
        let rest = self.bytes.get(at as usize..).unwrap_or(&[]);
        rest.split(|byte| *byte == 0).next().unwrap_or(&[])
    }

    /// Bytes in use, NULs included.
    #[must_use]
    pub fn used(&self) -> usize {
        self.used.max(1)
    }

    /// The whole block from one string on: `count` strings that were pushed one after another can be walked there.
    #[must_use]
    pub fn from(&self, text: Str) -> &[u8] {
        self.bytes.get(text.at as usize..self.used).unwrap_or(&[])
    }
}

/// The decimal digits of a number.
pub fn decimal(number: i64) -> impl Iterator<Item = u8> + Clone {
    let mut digits = [0_u8; 20];
    let mut rest = number.unsigned_abs();
    let mut len = 0;
    for slot in digits.iter_mut().rev() {
        *slot = b'0' + u8::try_from(rest % 10).unwrap_or(0);
        rest /= 10;
        len += 1;
        if rest == 0 {
            break;
        }
    }
    (number < 0)
        .then_some(b'-')
        .into_iter()
        .chain(digits.into_iter().skip(20 - len))
}

#[cfg(test)]
mod tests {
    use super::{Arena, Str};
    use crate::error::{Cause, Rule};
    use crate::limits::Limit;

    #[test]
    fn decimals() {
        for number in [0, 7, -7, 10, i64::MAX, i64::MIN] {
            assert_eq!(
                super::decimal(number).collect::<Vec<_>>(),
                number.to_string().as_bytes()
            );
        }
    }

    #[test]
    fn strings_come_back() {
        let mut arena = Arena::<64>::new();
        let one = arena.push(b"one").unwrap();
        let two = arena.push_iter(b"/a".iter().chain(b"/b").copied()).unwrap();
        assert_eq!((arena.bytes(one), arena.cstr(two)), (&b"one"[..], c"/a/b"));
        assert_eq!(arena.cstr(Str::EMPTY), c"");
        assert_eq!(arena.text_at(two.at + 1), b"a/b");
        assert_eq!(arena.from(one), b"one\0/a/b\0");
    }

    #[test]
    fn a_refused_string_leaves_nothing() {
        let mut arena = Arena::<64>::new();
        assert_eq!(
            arena.push(b"long\0er").unwrap_err().cause(),
            Cause::Rule(Rule::Nul)
        );
        let next = arena.push(b"x").unwrap();
        assert_eq!((next.at, arena.cstr(next)), (1, c"x"));
    }

    #[test]
    fn capacity() {
        let mut arena = Arena::<64>::new();
        let fits = [b'x'; 62];
        assert_eq!(
            arena.push(&[b'x'; 63]).unwrap_err().cause(),
            Cause::Limit(Limit::ARENA_BYTES)
        );
        assert_eq!(arena.push(&fits).unwrap().len, 62);
        assert_eq!(
            arena.push(b"").unwrap_err().cause(),
            Cause::Limit(Limit::ARENA_BYTES)
        );
    }
}
