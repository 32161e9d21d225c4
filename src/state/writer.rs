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
}

impl<'f> Writer<'f> {
    pub(super) fn new(file: &'f OwnedFd) -> Self {
        Self {
            file,
            bytes: [0; 1024],
            filled: 0,
            total: 0,
            written: 0,
        }
    }

    pub(super) fn put(&mut self, mut piece: &[u8]) -> Result<(), Errno> {
        self.total = self.total.saturating_add(piece.len());
        if self.total > STATE_BYTES {
            return Err(Errno::FBIG);
        }
        while !piece.is_empty() {
            let room = self.bytes.get_mut(self.filled..).unwrap_or_default();
            if room.is_empty() {
                self.flush()?;
                continue;
            }
            let now = room.len().min(piece.len());
            for (to, from) in room.iter_mut().zip(piece) {
                *to = *from;
            }
            self.filled = self.filled.saturating_add(now);
            piece = piece.get(now..).unwrap_or_default();
        }
        Ok(())
    }

    /// From the start of the file, wherever its position is.
    pub(super) fn flush(&mut self) -> Result<(), Errno> {
        let mut rest = self.bytes.get(..self.filled).unwrap_or_default();
        while !rest.is_empty() {
            match pwrite(self.file, rest, self.written) {
                Ok(0) => return Err(Errno::IO),
                Ok(n) => {
                    self.written = self.written.saturating_add(n as u64);
                    rest = rest.get(n..).unwrap_or_default();
                }
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno),
            }
        }
        self.filled = 0;
        Ok(())
    }
}
