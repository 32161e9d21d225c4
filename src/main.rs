//! Entry: musl's crt calls `main`, everything else is in the library.
#![no_std]
#![no_main]
#![allow(
    unsafe_code,
    reason = "the C entry point and the panic handler are defined here"
)]

use core::ffi::{c_char, c_int};

/// Called by musl's crt1 with the argument block of the process.
///
/// # Safety
///
/// `argv` holds `argc` pointers to NUL-terminated strings and a null pointer, as the kernel laid them out.
#[unsafe(no_mangle)]
unsafe extern "C" fn main(argc: c_int, argv: *const *const c_char) -> c_int {
    // SAFETY: argc and argv are passed on as the crt gave them; nothing has written to them.
    let args = unsafe { ocilet::sys::args::from_crt(argc, argv) };
    ocilet::cli::main(args)
}

// `clippy --workspace` joins the features of all packages, serde's std among them (tests/ needs it), and std has a handler.
#[cfg(clippy)]
extern crate std;

/// A panic is a bug: say where, and leave with 70 (EX_SOFTWARE) without unwinding.
///
/// Inlined into its one caller, so that the optimiser sees the message of a panic go unread and drops all of `core::fmt`
/// behind it (8 KiB).
#[cfg(not(clippy))]
#[allow(
    unused_attributes,
    reason = "inline is ignored on exported functions in general; with fat LTO it works here (rustc 1.95)"
)]
#[inline(always)]
#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    let (file, line) = info
        .location()
        .map_or(("", 0), |place| (place.file(), place.line()));
    ocilet::say::panic(file, line);
    ocilet::sys::proc::exit(70)
}
