//! Processes by descriptor: what `state`, `kill`, `wait` and `delete` need of them.
//!
//! # Safety
//!
//! Signals are sent to other processes; of this one the kernel fills an array that it is told the size of.
#![allow(unsafe_code)]

use super::{AsFd, AsRawFd, BorrowedFd, OwnedFd, done};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, Signal};
use syscalls::{Sysno, raw_syscall};

/// The type that fstatfs(2) reports for pidfs: `PIDFS_MAGIC` of linux/magic.h.
const PIDFS: u64 = 0x5049_4446;

/// `int pidfd_open(pid_t pid, unsigned int flags)`, man 2 pidfd_open, Linux 5.3. ESRCH: no such process.
pub fn open(pid: u32) -> Result<OwnedFd, Errno> {
    rustix::process::pidfd_open(number(pid)?, PidfdFlags::empty()).map(OwnedFd::from)
}

/// The inode of a pidfd where it identifies the process for the whole uptime (pidfs, Linux 6.9); 0 where it does not.
#[must_use]
pub fn inode(pidfd: BorrowedFd<'_>) -> u64 {
    match rustix::fs::fstatfs(pidfd) {
        Ok(fs) if u64::try_from(fs.f_type) == Ok(PIDFS) => {
            rustix::fs::fstat(pidfd).map_or(0, |stat| stat.st_ino)
        }
        _ => 0,
    }
}

/// `int pidfd_send_signal(int pidfd, int sig, siginfo_t *info, unsigned int flags)`, man 2, Linux 5.1.
/// ESRCH: it has ended; EPERM: not ours to signal; EINVAL: no such signal.
pub fn send_signal(pidfd: impl AsFd, signal: u32) -> Result<(), Errno> {
    rustix::process::pidfd_send_signal(pidfd, by_number(signal)?)
}

/// `int kill(pid_t pid, int sig)`, man 2 kill: for kernels without pidfds.
pub fn kill(pid: u32, signal: u32) -> Result<(), Errno> {
    rustix::process::kill_process(number(pid)?, by_number(signal)?)
}

/// `int pidfd_getfd(int pidfd, int targetfd, unsigned int flags)`, man 2 pidfd_getfd, Linux 5.6: a descriptor of another
/// process, as if it had sent it. EBADF: it has none with this number; ESRCH: it has ended; EPERM: we may not trace it.
pub fn descriptor(pidfd: impl AsFd, number: u32) -> Result<OwnedFd, Errno> {
    let number = i32::try_from(number).map_err(|_| Errno::BADF)?;
    rustix::process::pidfd_getfd(pidfd, number, PidfdGetfdFlags::empty()).map(OwnedFd::from)
}

/// `ioctl(pidfd, PIDFD_GET_INFO)` for how a process has ended, its parent or not: Linux 6.15, once it has been waited
/// for. A status as in man 2 wait; `None` before that, and on older kernels.
#[must_use]
pub fn exit_status(pidfd: BorrowedFd<'_>) -> Option<u16> {
    /// `_IOWR(0xff, 11, struct pidfd_info)` with the 64 bytes that the struct had first, linux/pidfd.h.
    const GET_INFO: u32 = 0xc040_ff0b;
    const EXIT: u64 = 1 << 3;
    // `mask` comes first, `exit_code` last.
    let mut info = [0_u64; 8];
    if let Some(mask) = info.first_mut() {
        *mask = EXIT;
    }
    // SAFETY: the request's size is that of the array, which the kernel reads and fills.
    let asked =
        unsafe { raw_syscall!(Sysno::ioctl, pidfd.as_raw_fd(), GET_INFO, info.as_mut_ptr()) };
    done(asked).ok()?;
    let [mask, .., last] = info;
    let [_, _, _, _, code @ ..] = last.to_ne_bytes();
    let status = u16::try_from(u32::from_ne_bytes(code)).ok();
    status.filter(|_| mask & EXIT != 0)
}

/// A process id other than 0, which would mean the caller's own group.
fn number(pid: u32) -> Result<Pid, Errno> {
    i32::try_from(pid)
        .ok()
        .and_then(Pid::from_raw)
        .ok_or(Errno::SRCH)
}

/// Signals 1 to 64, those of musl's own use included: they go to other processes.
fn by_number(signal: u32) -> Result<Signal, Errno> {
    match i32::try_from(signal) {
        // SAFETY: the number is in the range of the kernel's signals; it is only passed to a syscall.
        Ok(raw @ 1..=64) => Ok(unsafe { Signal::from_raw_unchecked(raw) }),
        _ => Err(Errno::INVAL),
    }
}

#[cfg(test)]
mod tests {
    use super::{AsFd, exit_status, open};

    #[test]
    fn the_end_of_a_child_is_told() {
        let mut child = std::process::Command::new("sh")
            .args(["-c", "read x; exit 7"])
            .stdin(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let handle = open(child.id()).unwrap();
        assert_eq!(exit_status(handle.as_fd()), None);
        drop(child.stdin.take());
        child.wait().unwrap();
        // Kernels before 6.15 do not tell.
        let told = exit_status(handle.as_fd());
        assert!(told.is_none() || told == Some(7 << 8), "{told:?}");
    }
}
