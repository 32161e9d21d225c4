//! Paths in the hand: four kilobytes of text, of which parts are lent to the kernel.
#![forbid(unsafe_code)]

use core::ffi::CStr;

use crate::sys::{AsFd, Errno, OwnedFd, path};

/// Longest path that the kernel takes, with its NUL.
pub const PATH_MAX: usize = 4096;

/// A path that is taken apart: parts of it are lent out with a NUL behind them.
pub struct Text {
    bytes: [u8; PATH_MAX],
    /// Number of bytes.
    pub len: usize,
}

impl Text {
    /// An empty one, to be filled by [`Text::push`]: a result that holds four kilobytes would be copied on the stack.
    #[must_use]
    pub fn new() -> Self {
        Self {
            bytes: [0; PATH_MAX],
            len: 0,
        }
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or(&[])
    }

    /// Appends; the byte behind stays a NUL.
    pub fn push(&mut self, more: &[u8]) -> Result<(), Errno> {
        let end = self.len + more.len();
        if end >= PATH_MAX {
            return Err(Errno::NAMETOOLONG);
        }
        let place = self.bytes.get_mut(self.len..end);
        place.ok_or(Errno::NAMETOOLONG)?.copy_from_slice(more);
        self.len = end;
        Ok(())
    }

    /// The whole room, for another use; it is no path any more.
    pub(super) fn room(&mut self) -> &mut [u8; PATH_MAX] {
        &mut self.bytes
    }

    /// Shortens.
    pub(super) fn truncate(&mut self, len: usize) {
        if let Some(rest) = self.bytes.get_mut(len..self.len) {
            rest.fill(0);
            self.len = len;
        }
    }

    /// The last slash before `end`.
    pub(super) fn last_slash(&self, end: usize) -> Option<usize> {
        self.bytes
            .get(..end)?
            .iter()
            .rposition(|byte| *byte == b'/')
    }

    /// The next component at or after `from` that is neither empty nor ".".
    pub(super) fn component(&self, mut from: usize) -> Option<(usize, usize)> {
        loop {
            let rest = self.bytes().get(from..)?;
            from += rest.iter().position(|byte| *byte != b'/')?;
            let rest = self.bytes().get(from..)?;
            let length = rest
                .iter()
                .position(|byte| *byte == b'/')
                .unwrap_or(rest.len());
            if rest.get(..length) != Some(b".") {
                return Some((from, from + length));
            }
            from += length;
        }
    }

    /// Lends the part up to `end` ("/" for nothing).
    pub(super) fn cut<T>(&mut self, end: usize, f: impl FnOnce(&CStr) -> T) -> T {
        if end == 0 {
            f(c"/")
        } else {
            self.name(0, end, f)
        }
    }

    /// Lends a part.
    pub fn name<T>(&mut self, start: usize, stop: usize, f: impl FnOnce(&CStr) -> T) -> T {
        let kept = self.bytes.get(stop).copied().unwrap_or(0);
        if let Some(byte) = self.bytes.get_mut(stop) {
            *byte = 0;
        }
        let part = self.bytes.get(start..=stop).unwrap_or(&[0]);
        let answer = f(CStr::from_bytes_with_nul(part).unwrap_or(c""));
        if let Some(byte) = self.bytes.get_mut(stop) {
            *byte = kept;
        }
        answer
    }

    /// Puts the text of a link where the component between the two offsets was.
    #[inline(never)]
    pub(super) fn splice(&mut self, from: usize, to: usize, link: &OwnedFd) -> Result<(), Errno> {
        let mut buffer = [0; PATH_MAX];
        let target = path::readlink(link.as_fd(), c"", &mut buffer)?;
        self.replace(from, to, target)
    }

    /// Puts `target` where the part between the two offsets was; an absolute one replaces what is before it, too.
    pub(super) fn replace(&mut self, from: usize, to: usize, target: &[u8]) -> Result<(), Errno> {
        let start = if target.first() == Some(&b'/') {
            0
        } else {
            from
        };
        let rest = self.len.saturating_sub(to);
        let end = start + target.len();
        if end + rest >= PATH_MAX {
            return Err(Errno::NAMETOOLONG);
        }
        self.bytes.copy_within(to..self.len, end);
        let place = self.bytes.get_mut(start..end);
        place.ok_or(Errno::NAMETOOLONG)?.copy_from_slice(target);
        let before = self.len;
        self.len = end + rest;
        if let Some(freed) = self.bytes.get_mut(self.len..before.max(self.len)) {
            freed.fill(0);
        }
        Ok(())
    }
}

impl Default for Text {
    fn default() -> Self {
        Self::new()
    }
}
