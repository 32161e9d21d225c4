//! Entry: `sys/start.rs` or musl's crt calls `main`, everything else is in the library.
#![no_std]
#![no_main]
#![allow(
    unsafe_code,
    reason = "the C entry point and the panic handler are defined here"
)]

use core::ffi::{c_char, c_int};

/// Called with the argument block of the process.
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

/// A panic is a bug: say so, and leave with 70 (EX_SOFTWARE) without unwinding.
///
/// It does not say where. Reading the location or the message keeps 17 KiB of places, paths of the machine that built it
/// among them, and `core::fmt` in the file; the same build with `--profile inspect` under a debugger tells more.
#[cfg(not(clippy))]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    ocilet::say::panic();
    ocilet::sys::proc::exit(70)
}
