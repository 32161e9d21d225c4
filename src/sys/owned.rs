//! A descriptor that closes itself, as one word with a niche.
//!
//! rustix' own type for programs without std keeps a plain `int` and looks for −1 whenever it is lent, in a function of
//! its own: with some two hundred places that lend one that is a hundredth of the binary. It is taken over by `From`.
//!
//! # Safety
//!
//! An [`OwnedFd`] is made only of a descriptor that nobody else owns, and lives until it is closed.
#![allow(unsafe_code)]

use core::mem::ManuallyDrop;
use core::num::NonZeroI32;

use rustix::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, RawFd};

/// An open descriptor; dropping it is close(2), whose errors tell nothing that could be acted on.
#[derive(Debug)]
#[repr(transparent)]
pub struct OwnedFd(NonZeroI32);

impl OwnedFd {
    /// One that stays open for the rest of the process.
    #[must_use]
    pub fn keep(self) -> BorrowedFd<'static> {
        // SAFETY: as in `as_fd`; nobody drops it any more.
        unsafe { core::mem::transmute::<RawFd, BorrowedFd<'static>>(self.into_raw_fd()) }
    }

    /// One more than the number: −1, which is none, would be 0.
    fn turned(fd: RawFd) -> NonZeroI32 {
        NonZeroI32::new(fd.wrapping_add(1)).unwrap_or(NonZeroI32::MAX)
    }
}

impl AsRawFd for OwnedFd {
    fn as_raw_fd(&self) -> RawFd {
        self.0.get().wrapping_sub(1)
    }
}

impl AsFd for OwnedFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: a `BorrowedFd` is a transparent `int` that is open for as long as `self` is borrowed and not −1.
        unsafe { core::mem::transmute::<RawFd, BorrowedFd<'_>>(self.as_raw_fd()) }
    }
}

impl IntoRawFd for OwnedFd {
    fn into_raw_fd(self) -> RawFd {
        ManuallyDrop::new(self).as_raw_fd()
    }
}

impl FromRawFd for OwnedFd {
    unsafe fn from_raw_fd(fd: RawFd) -> Self {
        Self(Self::turned(fd))
    }
}

impl From<rustix::fd::OwnedFd> for OwnedFd {
    fn from(fd: rustix::fd::OwnedFd) -> Self {
        Self(Self::turned(fd.into_raw_fd()))
    }
}

impl From<OwnedFd> for rustix::fd::OwnedFd {
    fn from(fd: OwnedFd) -> Self {
        // SAFETY: the ownership goes over.
        unsafe { Self::from_raw_fd(fd.into_raw_fd()) }
    }
}

impl Drop for OwnedFd {
    fn drop(&mut self) {
        close(self.0);
    }
}

/// `close(fd)`, man 2 close, of one that goes out of use: the word as it is kept, since there are so many callers.
#[inline(never)]
fn close(kept: NonZeroI32) {
    // SAFETY: it is ours, open, and not used again.
    unsafe { rustix::io::close(kept.get().wrapping_sub(1)) };
}

#[cfg(test)]
mod tests {
    use super::OwnedFd;
    use rustix::fd::{AsFd, AsRawFd};

    #[test]
    fn is_a_word_with_a_niche_and_closes() {
        let (from, to) = rustix::pipe::pipe().unwrap();
        let to = OwnedFd::from(to);
        assert_eq!(to.as_fd().as_raw_fd(), to.as_raw_fd());
        assert_eq!(size_of::<Option<OwnedFd>>(), 4);
        rustix::io::write(&to, b"a").unwrap();
        drop(to);
        let mut bytes = [0; 2];
        assert_eq!(rustix::io::read(&from, &mut bytes), Ok(1));
        assert_eq!(rustix::io::read(&from, &mut bytes), Ok(0));
    }
}
