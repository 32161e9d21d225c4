//! Signals: dispositions and mask back to default, and a descriptor to read them from.
//!
//! # Safety
//!
//! The calls read and write kernel `sigset`s of eight bytes and one `struct sigaction` in the caller's frame; the only
//! handler never returns and touches no memory.
#![allow(unsafe_code)]

use syscalls::{Sysno, raw_syscall};

use super::{AsRawFd, BorrowedFd, Errno, FromRawFd, OwnedFd, done, raw};

/// Number of signals, 64 on every architecture but MIPS (man 7 signal).
pub const LAST: i32 = 64;

/// SIGKILL.
pub const KILL: u32 = 9;

/// SIGCHLD, but for MIPS and the like.
pub const CHILD: i32 = 17;

const SET_BYTES: usize = 8;

/// The bit of a signal in a kernel set.
#[must_use]
pub fn bit(signal: i32) -> u64 {
    u32::try_from(signal - 1)
        .ok()
        .and_then(|shift| 1_u64.checked_shl(shift))
        .unwrap_or(0)
}

/// `rt_sigprocmask(SIG_SETMASK, …)`, man 2 sigprocmask: blocks exactly these; gives what was blocked before.
///
/// # Errors
///
/// None for a valid set.
pub fn set_mask(mask: u64) -> Result<u64, Errno> {
    const SIG_SETMASK: usize = 2;
    let mut old = 0_u64;
    // SAFETY: both sets are eight bytes, as the size says.
    raw(unsafe {
        raw_syscall!(
            Sysno::rt_sigprocmask,
            SIG_SETMASK,
            core::ptr::from_ref(&mask),
            core::ptr::from_mut(&mut old),
            SET_BYTES
        )
    })?;
    Ok(old)
}

/// `rt_sigaction(signal, SIG_DFL)`, man 2 sigaction.
///
/// # Errors
///
/// EINVAL for SIGKILL, SIGSTOP and numbers that are no signals.
pub fn set_default(signal: i32) -> Result<(), Errno> {
    // Handler, flags, restorer, mask: SIG_DFL is 0, everything else zero, whatever the layout.
    let action = [0_usize; 5];
    // SAFETY: the kernel reads at most 32 bytes of the array, and no handler address is in it.
    done(unsafe { raw_syscall!(Sysno::rt_sigaction, signal, action.as_ptr(), 0, SET_BYTES) })
}

/// Ends this process with 128 and the number at a signal that asks for it. The kernel spares the init of a pid namespace
/// what has no handler (man 7 `pid_namespaces`); execve(2) takes the handlers away.
pub fn end_when_asked() {
    const INT: i32 = 2;
    const QUIT: i32 = 3;
    const TERM: i32 = 15;
    const SA_RESTORER: usize = 0x0400_0000;
    extern "C" fn end(signal: i32) -> ! {
        super::proc::exit(signal + 128)
    }
    let handler = end as extern "C" fn(i32) -> ! as usize;
    // Some architectures want a place to return to, and a flag that says so. Where there is no such field it is taken
    // for signals to be blocked meanwhile.
    let action = [handler, SA_RESTORER, handler, 0, 0];
    // Not at SIGHUP: the terminal may be closed by one and opened by another before `start`.
    for signal in [INT, QUIT, TERM] {
        // SAFETY: the kernel reads at most 32 bytes of the array; the handler does not return.
        let _ = unsafe { raw_syscall!(Sysno::rt_sigaction, signal, action.as_ptr(), 0, SET_BYTES) };
    }
}

/// `int signalfd4(-1, mask, 8, SFD_CLOEXEC | SFD_NONBLOCK)`, man 2 signalfd. The signals must be blocked.
///
/// # Errors
///
/// EMFILE, ENFILE, ENOMEM.
pub fn descriptor(mask: u64) -> Result<OwnedFd, Errno> {
    const FLAGS: u32 = linux_raw_sys::general::O_CLOEXEC | linux_raw_sys::general::O_NONBLOCK;
    // SAFETY: the set is eight bytes, as the size says.
    let fd = raw(unsafe {
        raw_syscall!(
            Sysno::signalfd4,
            -1_i32,
            core::ptr::from_ref(&mask),
            SET_BYTES,
            FLAGS
        )
    })?;
    let fd = i32::try_from(fd).map_err(|_| Errno::BADF)?;
    // SAFETY: the kernel made this descriptor for us; nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// One signal from a [`descriptor`]: its number and the pid of the sender (0 when the kernel sent it).
///
/// # Errors
///
/// EAGAIN: none pending.
pub fn read(fd: BorrowedFd<'_>) -> Result<(i32, u32), Errno> {
    // struct signalfd_siginfo is 128 bytes: ssi_signo at 0, ssi_pid at 12 (man 2 signalfd).
    let mut info = [0_u32; 32];
    // SAFETY: the buffer is 128 bytes and the count says so.
    let len = raw(unsafe { raw_syscall!(Sysno::read, fd.as_raw_fd(), info.as_mut_ptr(), 128) })?;
    match (len, info) {
        (128, [signal, _, _, pid, ..]) => {
            Ok((i32::try_from(signal).map_err(|_| Errno::INVAL)?, pid))
        }
        _ => Err(Errno::IO),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn bits() {
        assert_eq!(
            (super::bit(1), super::bit(64), super::bit(0), super::bit(65)),
            (1, 1 << 63, 0, 0)
        );
    }
}
