//! Descriptors that are not needed any more and are closed together.
//!
//! Mounting takes two or three short-lived ones per mount; their numbers follow each other, so that a few close_range
//! calls close what would take fifty calls one by one.
#![forbid(unsafe_code)]

use core::cell::Cell;

use rustix::fd::IntoRawFd;

use super::fdset;
use crate::sys::{AsRawFd, OwnedFd};

/// Numbers from here on are closed at once: whoever runs us may have few descriptors to give.
const FEW: u32 = 48;

/// The descriptors, one bit per number. They are closed when it goes away, at the latest.
pub struct Later(Cell<u64>);

impl Later {
    /// None.
    #[must_use]
    pub const fn new() -> Self {
        Self(Cell::new(0))
    }

    /// Closes a descriptor, in time.
    pub fn close(&self, fd: OwnedFd) {
        let number = u32::try_from(fd.as_raw_fd()).unwrap_or(FEW);
        if number < FEW {
            self.0.set(self.0.get() | 1 << number);
            // It is ours alone, and its number is in the set.
            let _ = fd.into_raw_fd();
        }
    }

    /// Closes all of them now.
    pub fn now(&self) {
        let mut open = self.0.replace(0);
        while open != 0 {
            let first = open.trailing_zeros();
            let count = (open >> first).trailing_ones();
            let _ = fdset::close(first, first + count - 1);
            open &= !(((1 << count) - 1) << first);
        }
    }
}

impl Default for Later {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Later {
    fn drop(&mut self) {
        self.now();
    }
}

#[cfg(test)]
mod tests {
    use super::Later;
    use crate::sys::{AsRawFd, fd, path};
    use rustix::fs::OFlags;

    #[test]
    fn all_are_closed() {
        // In a table of descriptors of its own: other tests open and close all the time.
        std::thread::spawn(|| {
            crate::sys::ns::unshare(linux_raw_sys::general::CLONE_FILES).unwrap();
            let later = Later::new();
            let open = || path::openat(path::cwd(), c"/", OFlags::PATH).unwrap();
            let fds: Vec<_> = (0..60).map(|_| open()).collect();
            let numbers: Vec<_> = fds
                .iter()
                .map(|fd| u32::try_from(fd.as_raw_fd()).unwrap())
                .collect();
            for (place, fd) in fds.into_iter().enumerate() {
                if place % 5 == 3 {
                    drop(fd);
                } else {
                    later.close(fd);
                }
            }
            assert!(fd::is_open(numbers[0]));
            let kept = open();
            later.now();
            for number in numbers {
                let mine = i64::from(number) == i64::from(kept.as_raw_fd());
                assert_eq!(fd::is_open(number), mine, "{number}");
            }
        })
        .join()
        .unwrap();
    }
}
