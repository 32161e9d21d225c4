//! Filters of system calls: seccomp(2).
//!
//! # Safety
//!
//! The kernel copies the program during the call. A descriptor that it gives is new, and nobody else's.
#![allow(unsafe_code)]

use syscalls::{Sysno, raw_syscall};

use super::{Errno, FromRawFd, OwnedFd, raw};

/// SECCOMP_FILTER_FLAG_*, linux/seccomp.h.
pub mod flag {
    /// All threads of the process, kernel 3.17.
    pub const TSYNC: u32 = 1;
    /// Leaves speculation alone, kernel 4.17.
    pub const SPEC_ALLOW: u32 = 4;
    /// Gives a descriptor that is told of calls, kernel 5.0.
    pub const NEW_LISTENER: u32 = 8;
    /// A call that has been received is only left by a deadly signal, kernel 5.19.
    pub const WAIT_KILLABLE_RECV: u32 = 32;
}

/// Whether the kernel knows a flag: without a program the answer is EFAULT then, and EINVAL otherwise.
#[must_use]
pub fn knows(flag: u32) -> bool {
    const SET_MODE_FILTER: usize = 1;
    let flags = match flag {
        // It is one of listeners.
        flag::WAIT_KILLABLE_RECV => flag | flag::NEW_LISTENER,
        _ => flag,
    };
    // SAFETY: the program is a null pointer, which the kernel refuses to read.
    let word = unsafe { raw_syscall!(Sysno::seccomp, SET_MODE_FILTER, flags, 0) };
    raw(word) == Err(Errno::FAULT)
}

/// `struct sock_fprog`, linux/filter.h.
#[repr(C)]
struct Program {
    count: u16,
    instructions: *const u8,
}

/// `seccomp(SECCOMP_SET_MODE_FILTER, flags, program)`, man 2 seccomp, kernel 3.17. `instructions` are
/// `struct sock_filter` one behind the other. The listener, if the flags ask for one, is closed by execve.
///
/// # Errors
///
/// EACCES without CAP_SYS_ADMIN or no_new_privs; EINVAL: a flag that the kernel does not know, a program that it does not
/// take, or no CONFIG_SECCOMP_FILTER; EBUSY: a filter above has a listener.
pub fn load(instructions: &[u8], flags: u32) -> Result<Option<OwnedFd>, Errno> {
    const SET_MODE_FILTER: usize = 1;
    let program = Program {
        count: u16::try_from(instructions.len() / 8).map_err(|_| Errno::INVAL)?,
        instructions: instructions.as_ptr(),
    };
    // SAFETY: the program and its instructions live across the call, and the count is theirs.
    let word =
        raw(unsafe { raw_syscall!(Sysno::seccomp, SET_MODE_FILTER, flags, &raw const program) })?;
    if flags & flag::NEW_LISTENER == 0 {
        return Ok(None);
    }
    let fd = i32::try_from(word).map_err(|_| Errno::BADF)?;
    // SAFETY: the kernel made this descriptor for us; nothing else owns it.
    Ok(Some(unsafe { OwnedFd::from_raw_fd(fd) }))
}
