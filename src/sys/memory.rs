//! Memory that is there from the start: large objects of fixed size in .bss, each handed out once, or made once.
//!
//! # Safety
//!
//! [`TakeOnce`] gives its content away at most once, so the `&'static mut` is unique. [`MadeOnce`] has one maker, and
//! gives its content away, to be read, when that is done.
#![allow(unsafe_code)]

use core::cell::UnsafeCell;
use core::hint::spin_loop;
use core::mem::size_of;
use core::sync::atomic::{AtomicBool, AtomicU8, Ordering};

/// The smallest page size of Linux.
const PAGE: usize = 4096;

/// A static object that one owner takes for the rest of the process.
///
/// Pages of it that are never written to cost no memory.
pub struct TakeOnce<T> {
    taken: AtomicBool,
    content: UnsafeCell<T>,
}

// SAFETY: `take` hands out at most one reference, guarded by an atomic flag.
unsafe impl<T: Send> Sync for TakeOnce<T> {}

impl<T> TakeOnce<T> {
    /// Holds `content` until it is taken.
    #[must_use]
    pub const fn new(content: T) -> Self {
        Self {
            taken: AtomicBool::new(false),
            content: UnsafeCell::new(content),
        }
    }

    /// The content, the first time; `None` after that.
    #[allow(clippy::mut_from_ref, reason = "unique by the flag")]
    pub fn take(&'static self) -> Option<&'static mut T> {
        if self.taken.swap(true, Ordering::AcqRel) {
            return None;
        }
        // SAFETY: the flag was false, so no other reference to the content exists or will be made.
        Some(unsafe { &mut *self.content.get() })
    }

    /// Gives the content back for the next [`TakeOnce::take`].
    pub fn put_back(&'static self, content: &'static mut T) {
        if core::ptr::eq(self.content.get(), content) {
            self.taken.store(false, Ordering::Release);
        }
    }

    /// Ends the use of the content for good: its pages go back to the kernel.
    ///
    /// `int madvise(void *addr, size_t length, int advice)`, man 2 madvise, MADV_DONTNEED, for the whole pages in it.
    pub fn give_back(&'static self, content: &'static mut T) {
        let start = core::ptr::from_mut(content).cast::<u8>();
        let skip = start.align_offset(PAGE).min(size_of::<T>());
        let len = (size_of::<T>() - skip) / PAGE * PAGE;
        if len == 0 {
            return;
        }
        // SAFETY: the caller has handed in the only reference there will ever be (`take` gives no second one), so nobody
        // sees that the pages lose their content. Where pages are larger than PAGE the kernel refuses with EINVAL.
        let _ = unsafe {
            rustix::mm::madvise(
                start.wrapping_add(skip).cast(),
                len,
                rustix::mm::Advice::LinuxDontNeed,
            )
        };
    }
}

/// A static object that is made when it is first asked for, and only read from then on.
pub struct MadeOnce<T> {
    state: AtomicU8,
    content: UnsafeCell<T>,
}

const RAW: u8 = 0;
const BEING_MADE: u8 = 1;
const MADE: u8 = 2;

// SAFETY: the content is written to by one thread, before `get` gives any reference to it.
unsafe impl<T: Send + Sync> Sync for MadeOnce<T> {}

impl<T> MadeOnce<T> {
    /// Holds what the content is made of.
    #[must_use]
    pub const fn new(content: T) -> Self {
        Self {
            state: AtomicU8::new(RAW),
            content: UnsafeCell::new(content),
        }
    }

    /// The content, by `make` if it is not made yet; `make` may not ask for it. Only tests have more than one thread.
    pub fn get(&'static self, make: fn(&mut T)) -> &'static T {
        let begin = || {
            let (ok, failed) = (Ordering::AcqRel, Ordering::Acquire);
            self.state.compare_exchange(RAW, BEING_MADE, ok, failed)
        };
        if begin().is_ok() {
            // SAFETY: the state was RAW, and is not any more: this is the only reference that is ever made here, and no
            // other is made below before the state is MADE.
            make(unsafe { &mut *self.content.get() });
            self.state.store(MADE, Ordering::Release);
        }
        while self.state.load(Ordering::Acquire) != MADE {
            spin_loop();
        }
        // SAFETY: it is made, and nobody writes to it any more.
        unsafe { &*self.content.get() }
    }
}

#[cfg(test)]
mod tests {
    use super::{MadeOnce, TakeOnce};

    #[test]
    fn is_made_once() {
        static ONE: MadeOnce<u32> = MadeOnce::new(1);
        for _ in 0..2 {
            assert_eq!(*ONE.get(|one| *one += 1), 2);
        }
    }

    #[test]
    fn is_taken_once() {
        static ONE: TakeOnce<[u8; 4]> = TakeOnce::new([1, 2, 3, 4]);
        assert_eq!(ONE.take(), Some(&mut [1, 2, 3, 4]));
        assert_eq!(ONE.take(), None);
    }
}
