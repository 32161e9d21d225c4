//! Waiting for `start` with as little memory as possible: a created container may wait for long, and there may be many.
//!
//! What init has inherited from the parent, and nearly all of its own code, is given back before accept(2) blocks. The
//! pages of a sealed memfd count as dirty and private as long as they are mapped, and one fault maps sixteen of them; so
//! the two pages with the waiting code are cut out as a mapping of their own first.
//!
//! # Safety
//!
//! Nothing returns to the frames whose statics are forgotten; what is still needed is handed in. Code
//! and constants come back from the file when they are next used; the two pages around the waiting code that lose
//! their rights meanwhile hold nothing that it calls: it calls nothing.
#![allow(unsafe_code)]

use super::args::Args;
use super::{AsRawFd, Errno, FromRawFd, OwnedFd};
use crate::limits::FULL;

const PAGE: usize = 4096;

unsafe extern "C" {
    static __bss_start: u8;
    static _end: u8;
    static __ehdr_start: u8;
}

/// Gives all zero-initialised statics back to the kernel, except the pages of `keep`. They read as zero.
///
/// # Safety
///
/// Nobody reads any static again but those in `keep`, or relies on having taken one.
unsafe fn forget_statics(keep: [&[u8]; 3]) {
    let page = |address: usize| address / PAGE * PAGE;
    let mut first = (&raw const __bss_start).addr().next_multiple_of(PAGE);
    let last = page((&raw const _end).addr());
    let mut kept = keep.map(|bytes| {
        let start = bytes.as_ptr().addr();
        (page(start), (start + bytes.len()).next_multiple_of(PAGE))
    });
    kept.sort_unstable();
    for (start, end) in kept.into_iter().chain([(last, last)]) {
        let gap = start.min(last);
        if first < gap {
            // SAFETY: whole pages of .bss between those to keep, which the caller has given up.
            unsafe { discard(first, gap - first) };
        }
        first = first.max(end);
    }
}

/// `madvise(start, length, MADV_DONTNEED)`, man 2 madvise. Where it is refused the memory just stays.
///
/// # Safety
///
/// Nobody needs what is there, or it comes back from the file behind it.
unsafe fn discard(start: usize, length: usize) {
    const DONTNEED: usize = 4;
    // SAFETY: the caller's.
    let _ = unsafe { syscalls::raw_syscall!(syscalls::Sysno::madvise, start, length, DONTNEED) };
}

/// What goes on: with the connection, what was kept, and the numbers.
pub type Next<N> = fn(Result<OwnedFd, Errno>, [&'static [u8]; 3], N) -> !;

/// accept4(2) with SOCK_CLOEXEC, after giving back everything but `keep` and the stack; then goes on with `next`.
///
/// There is no way back to the frames that know other statics: `next` gets numbers, and what was kept.
pub fn accept<N: Copy>(
    socket: OwnedFd,
    args: Args,
    keep: [&'static [u8]; 3],
    numbers: N,
    next: Next<N>,
) -> ! {
    if FULL {
        forget(args, keep);
    }
    // SAFETY: drops only what comes back from the file.
    let fd = unsafe { waiting::accept(socket.as_raw_fd()) };
    drop(socket);
    let connection = match fd {
        // SAFETY: the kernel made this descriptor for us; nothing else owns it.
        0.. => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
        _ => Err(Errno::from_raw_os_error(-fd)),
    };
    next(connection, keep, numbers)
}

/// Gives back the statics but for `keep`, and the stack.
#[inline(always)] // its caller's frame is the last one that is kept
fn forget(args: Args, keep: [&[u8]; 3]) {
    // SAFETY: `next` is a function, not a closure, and never returns: it has no other static than those in `keep`, and
    // those that it takes by name, which are zero as they were at the start.
    unsafe { forget_statics(keep) };
    let here = [0_u8; 1];
    let here = here.as_ptr().addr() / PAGE * PAGE;
    // SAFETY: below the stack pointer and its red zone nothing is alive. The guard gap of the stack (man 2 mmap,
    // MAP_GROWSDOWN) is wider than the range, so no other mapping is in it.
    unsafe { discard(here - 65 * PAGE, 64 * PAGE) };
    // The frame of this function ends in this page or the next one; what calls it never goes on.
    let (dead, alive) = (here + 2 * PAGE, args.argv().addr() / PAGE * PAGE);
    if dead < alive {
        // SAFETY: frames without a way back to them, up to the argument block, which /proc/PID/cmdline shows.
        unsafe { discard(dead, alive - dead) };
    }
}

/// The instruction itself, on architectures where the code has been looked at.
#[cfg(all(target_arch = "x86_64", feature = "full"))]
mod waiting {
    use super::{__ehdr_start, PAGE};
    use core::arch::asm;

    const MPROTECT: usize = 10;
    const MADVISE: usize = 28;
    const ACCEPT4: usize = 288;
    const DONTNEED: usize = 4;
    const READ_EXEC: usize = 5;
    const CLOEXEC: usize = 0o2_000_000;
    const INTR: isize = -4;

    /// One system call, in this very place.
    macro_rules! system_call {
        ($number:expr, $one:expr, $two:expr, $three:expr, $four:expr) => {{
            let result: isize;
            asm!(
                "syscall",
                inlateout("rax") $number => result,
                in("rdi") $one,
                in("rsi") $two,
                in("rdx") $three,
                in("r10") $four,
                lateout("rcx") _,
                lateout("r11") _,
            );
            result
        }};
    }
    /// The segments of the program that are not writable, and the executable one.
    struct Segments {
        file: usize,
        code: (usize, usize),
    }

    /// From the program headers, man 5 elf (64 bits).
    fn segments() -> Option<Segments> {
        let base = &raw const __ehdr_start;
        // SAFETY: the linker puts the ELF header at this symbol, and e_phoff, e_phnum are at 32 and 56 in it.
        let table = unsafe { *base.wrapping_add(32).cast::<u64>() };
        // SAFETY: as above.
        let count = unsafe { *base.wrapping_add(56).cast::<u16>() };
        for n in 0..usize::from(count) {
            let entry = base.wrapping_add(usize::try_from(table).ok()? + n * 56);
            // SAFETY: entry n of the table: p_type and p_flags are two u32 at 0.
            let [kind, flags] = unsafe { *entry.cast::<[u32; 2]>() };
            // SAFETY: p_offset, p_vaddr, p_paddr, p_filesz, p_memsz are five u64 at 8.
            let [_, address, _, _, size] = unsafe { *entry.wrapping_add(8).cast::<[u64; 5]>() };
            if (kind, flags & 1) == (1, 1) {
                let start = base.addr() + usize::try_from(address).ok()?;
                let end = start + usize::try_from(size).ok()?;
                let code = (start / PAGE * PAGE, end.next_multiple_of(PAGE));
                return Some(Segments {
                    file: base.addr(),
                    code,
                });
            }
        }
        None
    }

    /// Drops the code and the constants, and waits.
    pub(super) unsafe fn accept(socket: i32) -> i32 {
        let wait: unsafe fn(usize, usize, usize, usize, usize) -> isize = wait;
        let first = (wait as usize) / PAGE * PAGE;
        let (below, above) = (first - PAGE, first + 2 * PAGE);
        let socket = usize::try_from(socket).unwrap_or(usize::MAX);
        let fd = match segments() {
            // SAFETY: both neighbours are code of this program; `wait` is shorter than a page, so it is in its two.
            Some(it) if below >= it.code.0 && above < it.code.1 => unsafe {
                wait(socket, below, above, it.file, it.code.1 - it.file)
            },
            // SAFETY: a range of length zero: nothing is dropped.
            _ => unsafe { wait(socket, 0, 0, 0, 0) },
        };
        i32::try_from(fd).unwrap_or(-5)
    }

    /// Calls nothing: between the two mprotect the code around it is not accessible.
    #[inline(never)]
    #[allow(
        clippy::multiple_unsafe_ops_per_block,
        reason = "six times the same instruction"
    )]
    unsafe fn wait(socket: usize, below: usize, above: usize, file: usize, length: usize) -> isize {
        let page = if length == 0 { 0 } else { PAGE };
        // SAFETY: takes rights from two pages of code that nothing runs in, gets its own code back from the file, and
        // gives the rights back before anything else runs.
        unsafe {
            system_call!(MPROTECT, below, page, 0, 0);
            system_call!(MPROTECT, above, page, 0, 0);
            system_call!(MADVISE, file, length, DONTNEED, 0);
            let mut fd = INTR;
            while fd == INTR {
                fd = system_call!(ACCEPT4, socket, 0, 0, CLOEXEC);
            }
            system_call!(MPROTECT, below, page, READ_EXEC, 0);
            system_call!(MPROTECT, above, page, READ_EXEC, 0);
            fd
        }
    }
}

/// Elsewhere, and in the smallest program, the code stays.
#[cfg(not(all(target_arch = "x86_64", feature = "full")))]
mod waiting {
    use syscalls::{Sysno, raw_syscall};

    pub(super) unsafe fn accept(socket: i32) -> i32 {
        const CLOEXEC: usize = 0o2_000_000;
        loop {
            // SAFETY: no address is asked for.
            let fd = unsafe { raw_syscall!(Sysno::accept4, socket, 0, 0, CLOEXEC) };
            match crate::sys::raw(fd) {
                Err(super::Errno::INTR) => {}
                Err(errno) => return -errno.raw_os_error(),
                Ok(fd) => return i32::try_from(fd).unwrap_or(-5),
            }
        }
    }
}
