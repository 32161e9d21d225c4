//! The first instructions, in place of musl's crt: what the kernel mapped is made to fit where it was mapped, then `main`.
//!
//! That crt has a libc to prepare (threads, stdio, atexit), and its older versions know no packed relocations: together
//! 4 KiB for nothing. build.rs chooses this file where the code has been looked at; elsewhere the crt stays.
//!
//! # Safety
//!
//! Nothing here may use a table of pointers, a string constant or a call that could, before `relocate` has come back.
#![allow(unsafe_code)]

use super::proc::exit;
use core::arch::global_asm;
use core::ffi::{c_char, c_int};

// The stack pointer is a multiple of 16 here, and the words that it points to are argc, argv, a null, …; man 7 environ.
// `__ehdr_start` is what the linker calls the first byte of the file, `_DYNAMIC` the table that it wrote.
global_asm!(
    ".globl _start",
    ".hidden __ehdr_start",
    ".hidden _DYNAMIC",
    "_start:",
    "xor ebp, ebp",
    "mov rdi, rsp",
    "lea rsi, [rip + __ehdr_start]",
    "lea rdx, [rip + _DYNAMIC]",
    "call {first}",
    first = sym first,
);

unsafe extern "C" {
    fn main(argc: c_int, argv: *const *const c_char) -> c_int;
}

/// Called once, by `_start`, with the block that the kernel put on the stack.
unsafe extern "C" fn first(block: *const usize, base: *mut u8, dynamic: *const [usize; 2]) -> ! {
    // SAFETY: the linker wrote the table for this very file, whose first byte is at `base`.
    unsafe { relocate(base, dynamic) };
    // SAFETY: the block begins with argc; the kernel counts no more than an int can.
    let argc = unsafe { *block.cast::<c_int>() };
    // SAFETY: argv is behind it.
    exit(unsafe { main(argc, block.wrapping_add(1).cast()) })
}

/// Adds the address of the file to each pointer in it, as `.relr.dyn` lists them: an even word is the place of one, an
/// odd word has a bit for each of the 63 places behind the last.
unsafe fn relocate(base: *mut u8, mut dynamic: *const [usize; 2]) {
    const SIZE: usize = 35;
    const RELR: usize = 36;
    let (mut list, mut left) = (base.cast::<usize>().cast_const(), 0);
    loop {
        // SAFETY: pairs of a tag and a value, up to the tag 0.
        match unsafe { *dynamic } {
            [0, _] => break,
            [SIZE, bytes] => left = bytes / size_of::<usize>(),
            [RELR, offset] => list = base.wrapping_add(offset).cast(),
            _ => {}
        }
        dynamic = dynamic.wrapping_add(1);
    }
    let mut place = base.cast::<usize>();
    while left > 0 {
        // SAFETY: the list has this many words.
        let mut bits = unsafe { *list };
        let mut next = place.wrapping_add(63);
        if bits & 1 == 0 {
            place = base.wrapping_add(bits).cast();
            next = place.wrapping_add(1);
            bits = 2;
        }
        while bits > 1 {
            bits >>= 1;
            if bits & 1 == 1 {
                // SAFETY: a pointer in the writable part of the file, where nothing has looked at it yet.
                let pointer = unsafe { &mut *place };
                *pointer = pointer.wrapping_add(base.addr());
            }
            place = place.wrapping_add(1);
        }
        place = next;
        list = list.wrapping_add(1);
        left -= 1;
    }
}
