//! The text of a plan: NUL-terminated strings, one after another, in one block of fixed size.
//!
//! A [`Str`] is an offset, so the block can be copied by fork and named in a fault. It refuses interior NULs, because
//! every string in it ends up in the kernel.
#![forbid(unsafe_code)]

use core::ffi::CStr;

use crate::error::{At, Fault, Rule, Step};
use crate::limits::{ARENA_BYTES, Limit};
use crate::text::Digits;

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
///
/// It remembers the first thing that went wrong, so that whoever fills it asks once, at the end. A string is put
/// together at the free end and then closed.
pub struct Arena<const N: usize = ARENA_BYTES> {
    /// Where the last string's NUL is.
    used: usize,
    /// Bytes of the string that is being put together.
    open: usize,
    /// What is wrong with that one.
    broken: Option<Fault>,
    /// The first fault of all.
    fault: Option<Fault>,
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
            open: 0,
            broken: None,
            fault: None,
            bytes: [0; N],
        }
    }

    /// Adds a byte to the open string.
    #[inline(never)] // many callers
    pub fn add(&mut self, byte: u8) {
        let place = self.used + 1 + self.open;
        match self.bytes.get_mut(place) {
            _ if byte == 0 => {
                self.broken = Some(Fault::rule(Step::MakePlan, Rule::Nul, At::Nothing));
            }
            // The NUL has to have room, too.
            Some(slot) if place + 1 < N => {
                *slot = byte;
                self.open += 1;
            }
            _ => {
                self.broken = Some(Fault::limit(
                    Step::MakePlan,
                    Limit::ARENA_BYTES,
                    At::Nothing,
                ));
            }
        }
    }

    /// Adds bytes to the open string.
    #[inline(never)] // many callers
    pub fn put(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.add(*byte);
        }
    }

    /// Adds the decimal digits of a number to the open string.
    pub fn put_number(&mut self, number: i64) {
        if number < 0 {
            self.add(b'-');
        }
        self.put(Digits::new(number.unsigned_abs()).text());
    }

    /// Adds a string that is here already.
    pub fn put_again(&mut self, text: Str) {
        for n in 0..text.len as usize {
            let byte = self.from(text).get(n).copied();
            self.add(byte.unwrap_or_default());
        }
    }

    /// The open string as far as it goes.
    #[must_use]
    pub fn open(&self) -> &[u8] {
        let start = self.used + 1;
        self.bytes.get(start..start + self.open).unwrap_or(&[])
    }

    /// Shortens the open string.
    pub fn truncate(&mut self, length: usize) {
        self.open = self.open.min(length);
    }

    /// Ends the open string; where it is wrong, that is noted with this place, and it is empty.
    #[inline(never)] // many callers
    pub fn close(&mut self, at: At) -> Str {
        let length = core::mem::take(&mut self.open);
        if let Some(fault) = self.broken.take() {
            self.fail(fault.with_at(at));
            return Str::EMPTY;
        }
        let start = self.used + 1;
        let end = start + length;
        let (Some(nul), Ok(at), Ok(len)) = (
            self.bytes.get_mut(end),
            u32::try_from(start),
            u32::try_from(length),
        ) else {
            self.fail(Fault::limit(Step::MakePlan, Limit::ARENA_BYTES, at));
            return Str::EMPTY;
        };
        // The byte may be a part of an earlier string that was refused.
        *nul = 0;
        self.used = end;
        Str { at, len }
    }

    /// Adds a string.
    pub fn push(&mut self, text: &[u8]) -> Str {
        self.put(text);
        self.close(At::Nothing)
    }

    /// Moves the string of `from..next`, its NUL included, down to where it is to begin.
    pub fn move_down(&mut self, from: usize, next: usize, to: usize) -> Str {
        if next <= N && to < from {
            self.bytes.copy_within(from..next, to);
        }
        let number = |it| u32::try_from(it).unwrap_or(0);
        Str {
            at: number(to),
            len: number(next.saturating_sub(from + 1)),
        }
    }

    /// Takes back all strings from this offset on.
    pub fn end_at(&mut self, end: usize) {
        self.used = end.saturating_sub(1).min(self.used);
    }

    /// Notes what is wrong, unless something was before.
    pub fn fail(&mut self, fault: Fault) {
        self.fault = self.fault.or(Some(fault));
    }

    /// Whether all went well; only asked once.
    ///
    /// # Errors
    ///
    /// `Limit::ARENA_BYTES`, `Rule::Nul` for a string with a NUL in it, or what was given to [`Arena::fail`]: the first.
    pub fn result(&mut self) -> Result<(), Fault> {
        self.fault.take().map_or(Ok(()), Err)
    }

    /// The bytes of a string without the NUL.
    #[must_use]
    #[inline(never)] // many callers
    pub fn bytes(&self, text: Str) -> &[u8] {
        self.cstr(text).to_bytes()
    }

    /// The string as the kernel takes it.
    #[must_use]
    #[inline(never)] // many callers
    pub fn cstr(&self, text: Str) -> &CStr {
        let start = text.at as usize;
        let with_nul = self.bytes.get(start..start + text.len as usize + 1);
        with_nul.and_then(crate::text::c_text).unwrap_or_default()
    }

    /// The string that starts at an offset that a fault carries.
    #[must_use]
    pub fn text_at(&self, at: u32) -> &[u8] {
        let rest = self.bytes.get(at as usize..).unwrap_or(&[]);
        CStr::from_bytes_until_nul(rest).map_or(&[], CStr::to_bytes)
    }

    /// Bytes in use, NULs included.
    #[must_use]
    pub fn used(&self) -> usize {
        self.used + 1
    }

    /// The whole block from one string on: `count` strings that were pushed one after another can be walked there.
    #[must_use]
    pub fn from(&self, text: Str) -> &[u8] {
        self.bytes.get(text.at as usize..=self.used).unwrap_or(&[])
    }
}

#[cfg(test)]
mod tests {
    use super::{Arena, Str};
    use crate::error::{At, Cause, Fault, Rule, Step};
    use crate::limits::Limit;

    #[test]
    fn decimals() {
        let mut arena = Arena::<32>::new();
        for number in [0, 7, -7, 10, i64::MAX, i64::MIN] {
            arena.put_number(number);
            assert_eq!(arena.open(), number.to_string().as_bytes());
            arena.truncate(0);
        }
    }

    #[test]
    fn strings_come_back() {
        let mut arena = Arena::<64>::new();
        let one = arena.push(b"one");
        arena.put(b"/a/x");
        arena.truncate(2);
        arena.add(b'/');
        assert_eq!(arena.open(), b"/a/");
        arena.put(b"b");
        let two = arena.close(At::Nothing);
        assert_eq!((arena.bytes(one), arena.cstr(two)), (&b"one"[..], c"/a/b"));
        assert_eq!(arena.cstr(Str::EMPTY), c"");
        assert_eq!(arena.text_at(two.at + 1), b"a/b");
        assert_eq!(arena.from(one), b"one\0/a/b\0");
        assert_eq!(arena.result(), Ok(()));
    }

    #[test]
    fn a_refused_string_leaves_nothing() {
        let mut arena = Arena::<64>::new();
        arena.put(b"long\0er");
        assert_eq!(arena.close(At::Byte(7)), Str::EMPTY);
        let next = arena.push(b"x");
        assert_eq!((next.at, arena.cstr(next)), (1, c"x"));
        arena.fail(Fault::rule(Step::MakePlan, Rule::Never, At::Nothing));
        let first = Fault::rule(Step::MakePlan, Rule::Nul, At::Byte(7));
        assert_eq!(arena.result(), Err(first));
    }

    #[test]
    fn capacity() {
        let limit = |arena: &mut Arena<64>| arena.result().map_err(|fault| fault.cause());
        let mut arena = Arena::<64>::new();
        arena.push(&[b'x'; 63]);
        assert_eq!(limit(&mut arena), Err(Cause::Limit(Limit::ARENA_BYTES)));
        assert_eq!(
            (arena.push(&[b'x'; 62]).len, limit(&mut arena)),
            (62, Ok(()))
        );
        arena.push(b"");
        assert_eq!(limit(&mut arena), Err(Cause::Limit(Limit::ARENA_BYTES)));
    }
}
