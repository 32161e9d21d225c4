//! Processes: exit, fork-like clone3, pidfds, waits, execveat.
//!
//! # Safety
//!
//! The child of a clone without CLONE_VM has its own copy of everything; the process has one thread, so no lock can be
//! held by another.
#![allow(unsafe_code)]

/// `noreturn void exit_group(int status)`, man 2 exit_group.
pub fn exit(status: i32) -> ! {
    loop {
        // SAFETY: exit_group takes a number, touches no memory and does not return.
        let _ = unsafe { syscalls::raw_syscall!(syscalls::Sysno::exit_group, status) };
    }
}
