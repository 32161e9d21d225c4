//! Clocks.
//!
//! # Safety
//!
//! clock_gettime writes one timespec into memory that the caller of the instruction owns.
#![allow(unsafe_code)]

use linux_raw_sys::general::{__kernel_timespec, CLOCK_MONOTONIC, CLOCK_REALTIME};
use rustix::event::Timespec;

/// Nanoseconds of a second.
pub const SECOND: u64 = 1_000_000_000;
/// Nanoseconds of a millisecond.
pub const MILLISECOND: u64 = 1_000_000;

/// So many nanoseconds, as the kernel takes them.
#[must_use]
#[inline(never)] // many callers
pub fn span(nanoseconds: u64) -> Timespec {
    Timespec {
        tv_sec: (nanoseconds / SECOND).cast_signed(),
        tv_nsec: (nanoseconds % SECOND).cast_signed(),
    }
}

/// Nanoseconds since 1970 (UTC), for timestamps only: this clock jumps.
#[must_use]
pub fn wall() -> u64 {
    nanoseconds(CLOCK_REALTIME)
}

/// Nanoseconds of a clock that never jumps: for deadlines.
#[must_use]
pub fn monotonic() -> u64 {
    nanoseconds(CLOCK_MONOTONIC)
}

/// `int clock_gettime(clockid_t clock, struct timespec *tp)`, man 2 clock_gettime. It cannot fail for these two clocks;
/// a time before 1970 reads as 0. The syscall, not the vDSO: a few calls in a run do not pay for parsing an ELF file.
fn nanoseconds(clock: u32) -> u64 {
    let mut time = __kernel_timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` is a live timespec that nothing else refers to.
    let _ = unsafe { syscalls::raw_syscall!(syscalls::Sysno::clock_gettime, clock, &raw mut time) };
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let rest = u64::try_from(time.tv_nsec).unwrap_or(0);
    seconds.saturating_mul(SECOND).saturating_add(rest)
}
