//! Paths in the hand: four kilobytes of text, of which parts are lent to the kernel.
#![forbid(unsafe_code)]

use core::ffi::CStr;

use crate::sys::{AsFd, Errno, OwnedFd, path};
use crate::text::{c_text, pieces};
use rustix::fs::{Access, AtFlags, accessat};

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

    /// Becomes the path of a program: that of the first directory in a list like $PATH that has it.
    #[inline(never)]
    pub fn find_program(&mut self, list: &[u8], name: &[u8]) -> bool {
        pieces(list, b':').any(|dir| {
            self.truncate(0);
            let whole = [dir, b"/", name].iter().try_for_each(|it| self.push(it));
            let flags = AtFlags::empty();
            whole.is_ok()
                && dir.starts_with(b"/")
                && accessat(path::cwd(), self.path(), Access::EXEC_OK, flags).is_ok()
        })
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

    /// The whole as a path.
    #[must_use]
    #[inline(never)]
    pub fn path(&self) -> &CStr {
        c_text(&self.bytes).unwrap_or(c"")
    }

    /// Lends the part up to `end` ("/" for nothing).
    pub(super) fn cut(&mut self, end: usize) -> Part<'_> {
        self.part(0, end)
    }

    /// Lends a part.
    #[inline(never)]
    pub(super) fn part(&mut self, start: usize, stop: usize) -> Part<'_> {
        let kept = self.put(stop, 0);
        Part {
            text: self,
            start,
            stop,
            kept,
        }
    }

    /// Puts a byte, and gives the one that was there.
    fn put(&mut self, at: usize, byte: u8) -> u8 {
        let place = self.bytes.get_mut(at);
        place.map_or(0, |place| core::mem::replace(place, byte))
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

/// A part that ends with a NUL for as long as this lives.
pub(super) struct Part<'t> {
    text: &'t mut Text,
    start: usize,
    stop: usize,
    kept: u8,
}

impl Part<'_> {
    /// The part; "/" for the beginning without a byte.
    #[inline(never)]
    pub(super) fn path(&self) -> &CStr {
        if self.stop == 0 {
            return c"/";
        }
        let part = self.text.bytes.get(self.start..=self.stop);
        part.and_then(c_text).unwrap_or(c"")
    }
}

impl Drop for Part<'_> {
    #[inline(never)]
    fn drop(&mut self) {
        self.text.put(self.stop, self.kept);
    }
}

impl Default for Text {
    fn default() -> Self {
        Self::new()
    }
}
