//! The way of a state file to the disk: few writes, from the start of the file, limited in size.
#![forbid(unsafe_code)]

use crate::limits::STATE_BYTES;
use crate::sys::{Errno, OwnedFd};
use rustix::io::pwrite;

/// Gathers pieces into few writes.
pub(super) struct Writer<'f> {
    file: &'f OwnedFd,
    bytes: [u8; 1024],
    filled: usize,
    pub(super) total: usize,
    written: u64,
    error: Result<(), Errno>,
}

impl<'f> Writer<'f> {
    pub(super) fn new(file: &'f OwnedFd) -> Self {
        Self {
            file,
            bytes: [0; 1024],
            filled: 0,
            total: 0,
            written: 0,
            error: Ok(()),
        }
    }

    /// Adds bytes; [`Writer::finish`] tells the first error of all writing.
    pub(super) fn put(&mut self, mut piece: &[u8]) {
        self.total = self.total.saturating_add(piece.len());
        while !piece.is_empty() && self.total <= STATE_BYTES {
            let room = self.bytes.get_mut(self.filled..).unwrap_or_default();
            let now = room.len().min(piece.len());
            let (start, rest) = piece.split_at_checked(now).unwrap_or_default();
            if let Some(room) = room.get_mut(..now) {
                room.copy_from_slice(start);
            }
            self.filled = self.filled.saturating_add(now);
            piece = rest;
            if self.filled == self.bytes.len() {
                self.flush();
            }
        }
    }

    /// Writes what is still there, and tells whether all is.
    pub(super) fn finish(&mut self) -> Result<(), Errno> {
        self.flush();
        self.error
    }

    /// From the start of the file, wherever its position is.
    fn flush(&mut self) {
        let mut rest = self.bytes.get(..self.filled).unwrap_or_default();
        while self.error.is_ok() && !rest.is_empty() {
            match pwrite(self.file, rest, self.written) {
                Ok(0) => self.error = Err(Errno::IO),
                Ok(n) => {
                    self.written = self.written.saturating_add(n as u64);
                    rest = rest.get(n..).unwrap_or_default();
                }
                Err(Errno::INTR) => {}
                Err(errno) => self.error = Err(errno),
            }
        }
        self.filled = 0;
    }
}
