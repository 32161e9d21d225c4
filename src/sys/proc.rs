//! Processes: exit, clone3 as fork, pidfds, waits, execve.
//!
//! # Safety
//!
//! A clone without CLONE_VM gives the child its own copy of all memory, stack included, and the process has one thread,
//! so no lock can be held by another: both sides may go on in ordinary Rust.
#![allow(unsafe_code)]

use core::ffi::{CStr, c_char};
use core::mem::size_of;

use rustix::process::{Pid, PidfdFlags, WaitId, WaitIdOptions, WaitIdStatus, WaitOptions};
use syscalls::{Sysno, raw_syscall, syscall};

use super::args::Args;
use super::memory::TakeOnce;
use super::{AsRawFd, BorrowedFd, Errno, FromRawFd, OwnedFd, is_lacking, raw};
use crate::limits::{ANY_KERNEL, ARGS, ENV};

/// `noreturn void exit_group(int status)`, man 2 exit_group.
pub fn exit(status: i32) -> ! {
    loop {
        // SAFETY: exit_group takes a number, touches no memory and does not return.
        let _ = unsafe { raw_syscall!(Sysno::exit_group, status) };
    }
}

/// `getcwd(2)`: the working directory as the kernel writes it, without the NUL; "(unreachable)…" outside the root.
///
/// # Errors
///
/// ENOENT: it was removed; ERANGE: the buffer is too small (PATH_MAX is 4096).
pub fn working_directory(buffer: &mut [u8]) -> Result<&[u8], Errno> {
    // SAFETY: the kernel writes at most the given number of bytes into the buffer.
    let len = raw(unsafe { raw_syscall!(Sysno::getcwd, buffer.as_mut_ptr(), buffer.len()) })?;
    buffer.get(..len.saturating_sub(1)).ok_or(Errno::RANGE)
}

/// Which side of a clone this is.
pub enum Fork {
    /// The new process.
    Child,
    /// The old one, with the new one's pid in its own pid namespace, and a pidfd (`None` below kernel 5.2).
    Parent(Pid, Option<OwnedFd>),
}

/// `struct clone_args` up to and with `cgroup` (88 bytes, kernel 5.7), linux/sched.h.
#[repr(C)]
#[derive(Default)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

/// Size of `struct clone_args` in kernel 5.3, which knows neither set_tid nor cgroup.
const CLONE_ARGS_5_3: usize = 64;

/// Be born in the cgroup of this fd (kernel 5.7), linux/sched.h.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;
const CLONE_PIDFD: u64 = 0x1000;
const CLONE_PARENT: u64 = 0x8000;

/// `long clone3(struct clone_args *, size_t)`, man 2 clone3: a fork with namespace flags (kernel 5.3).
///
/// `cgroup` is the directory to be born in (kernel 5.7). `sibling` makes the child a child of our parent. Below kernel
/// 5.3, or where a filter hides the call, it is `clone`, which knows neither the cgroup (ENOSYS then).
///
/// # Errors
///
/// EPERM without CAP_SYS_ADMIN for the namespaces, EINVAL for one the kernel was built without, ENOSPC for too deep
/// nesting, EAGAIN and EBUSY from limits of the cgroup, ENOMEM when a pid namespace has lost its init.
pub fn fork(flags: u32, cgroup: Option<BorrowedFd<'_>>, sibling: bool) -> Result<Fork, Errno> {
    let mut pidfd: i32 = -1;
    let flags = u64::from(flags) | if sibling { CLONE_PARENT } else { 0 };
    // CLONE_PARENT takes over our own exit signal; the kernel wants none in the arguments.
    let exit_signal = if sibling {
        0
    } else {
        u64::from(linux_raw_sys::general::SIGCHLD)
    };
    let mut args = CloneArgs {
        flags: flags | CLONE_PIDFD,
        pidfd: core::ptr::from_mut(&mut pidfd) as u64,
        exit_signal,
        ..CloneArgs::default()
    };
    let mut size = CLONE_ARGS_5_3;
    if let Some(fd) = cgroup {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = u64::try_from(fd.as_raw_fd()).map_err(|_| Errno::BADF)?;
        size = size_of::<CloneArgs>();
    }
    // SAFETY: `args` and `pidfd` live across the call, the size is that of the struct or of its older prefix, and no
    // stack is given, so the child goes on with a copy of ours.
    let made = raw(unsafe { raw_syscall!(Sysno::clone3, core::ptr::from_mut(&mut args), size) });
    match made {
        Ok(pid) => sides(pid, pidfd),
        Err(errno) if cgroup.is_none() && is_lacking(errno) => clone(flags | exit_signal),
        Err(errno) => Err(errno),
    }
}

/// Whether this is how a kernel before 5.7 answers to the wish for a cgroup, or a filter around us.
#[must_use]
pub fn is_not_born_there(errno: Errno) -> bool {
    is_lacking(errno) || ANY_KERNEL && matches!(errno, Errno::INVAL | Errno::TOOBIG)
}

/// `clone` of old: flags and exit signal in one word; the pidfd comes from pidfd_open (5.3) or not at all.
fn clone(flags: u64) -> Result<Fork, Errno> {
    // SAFETY: a null stack continues on a copy of ours; the tid pointers are null and their flags not set. The order of
    // the last two arguments differs between architectures, but both are zero.
    let pid = raw(unsafe { raw_syscall!(Sysno::clone, flags, 0, 0, 0, 0) })?;
    sides(pid, -1)
}

fn sides(pid: usize, pidfd: i32) -> Result<Fork, Errno> {
    let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) else {
        return Ok(Fork::Child);
    };
    let fd = if pidfd >= 0 {
        // SAFETY: the kernel stored a new descriptor there, which nothing else owns.
        Some(unsafe { OwnedFd::from_raw_fd(pidfd) })
    } else {
        pidfd_open(pid).ok()
    };
    Ok(Fork::Parent(pid, fd))
}

/// `int pidfd_open(pid_t pid, unsigned int flags)`, man 2 pidfd_open (kernel 5.3). Close-on-exec by definition.
///
/// # Errors
///
/// ESRCH: no such process, ENOSYS below 5.3.
pub fn pidfd_open(pid: Pid) -> Result<OwnedFd, Errno> {
    rustix::process::pidfd_open(pid, PidfdFlags::empty()).map(OwnedFd::from)
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It returned this status.
    Exited(u8),
    /// This signal killed it.
    Killed(u8),
}

impl Ended {
    /// The exit code a shell would report: the status, or 128 + the signal.
    #[must_use]
    pub fn code(self) -> i32 {
        match self {
            Self::Exited(status) => i32::from(status),
            Self::Killed(signal) => 128 + i32::from(signal),
        }
    }

    /// As wait(2) gives it.
    #[must_use]
    pub fn to_status(self) -> u16 {
        match self {
            Self::Exited(status) => u16::from(status) << 8,
            Self::Killed(signal) => u16::from(signal),
        }
    }

    fn from_waitid(status: &WaitIdStatus) -> Self {
        let byte = |number: Option<i32>| u8::try_from(number.unwrap_or(0) & 0xff).unwrap_or(0);
        if status.exited() {
            Self::Exited(byte(status.exit_status()))
        } else {
            Self::Killed(byte(status.terminating_signal()))
        }
    }
}

/// The number of a process, as the kernel's files and our records have it.
#[must_use]
pub fn number(pid: Pid) -> u32 {
    pid.as_raw_nonzero().get().unsigned_abs()
}

/// `int waitid(P_PID, pid, …, WEXITED)`, man 2 waitid: waits for a child by pid.
///
/// # Errors
///
/// ECHILD: not our child, or already waited for.
pub fn wait(pid: Pid) -> Result<Ended, Errno> {
    loop {
        match rustix::process::waitid(WaitId::Pid(pid), WaitIdOptions::EXITED) {
            Err(Errno::INTR) => {}
            other => {
                return other?
                    .map(|status| Ended::from_waitid(&status))
                    .ok_or(Errno::CHILD);
            }
        }
    }
}

/// [`wait`] with WNOHANG: how it ended, if it has.
///
/// # Errors
///
/// As for [`wait`].
pub fn ended(pid: Pid) -> Result<Option<Ended>, Errno> {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
    let status = rustix::process::waitid(WaitId::Pid(pid), options)?;
    Ok(status.map(|status| Ended::from_waitid(&status)))
}

/// `pid_t waitpid(-1, …, WNOHANG)`, man 2 waitpid: one child that has ended, if there is any.
///
/// # Errors
///
/// ECHILD: there are no children left.
pub fn reap() -> Result<Option<(Pid, Ended)>, Errno> {
    let Some((pid, status)) = rustix::process::wait(WaitOptions::NOHANG)? else {
        return Ok(None);
    };
    let byte = |number: i32| u8::try_from(number & 0xff).unwrap_or(0);
    let ended = match status.exit_status() {
        Some(code) => Ended::Exited(byte(code)),
        None => Ended::Killed(byte(status.terminating_signal().unwrap_or(0))),
    };
    Ok(Some((pid, ended)))
}

/// The most entries of env that are not among the others.
pub const MORE: usize = 2;
/// Room for the addresses that execve takes: args, env, two nulls.
static ADDRESSES: TakeOnce<[usize; ARGS + ENV + MORE + 2]> =
    TakeOnce::new([0; ARGS + ENV + MORE + 2]);

/// `int execve(const char *path, char *const argv[], char *const envp[])`, man 2 execve. Returns only the error.
///
/// `args` and `env` are blocks of NUL-terminated strings; `more` are at most [`MORE`] more entries for env.
#[must_use]
pub fn execve(path: &CStr, args: Strings<'_>, env: Strings<'_>, more: Strings<'_>) -> Errno {
    let Some(addresses) = ADDRESSES.take() else {
        return Errno::BUSY;
    };
    // The nulls behind the two lists are there already: the array started as zeroes.
    let Some((argv, envp)) = addresses.split_at_mut_checked(args.count + 1) else {
        return Errno::TOOBIG;
    };
    if env.count + MORE + 1 > envp.len() {
        return Errno::TOOBIG;
    }
    list(argv, args);
    list(list(envp, env), more);
    exec_raw(path, argv.as_ptr().cast(), envp.as_ptr().cast())
}

/// Puts down the addresses of strings, and gives what is behind them.
#[inline(never)] // three callers
fn list<'s>(slots: &'s mut [usize], texts: Strings<'_>) -> &'s mut [usize] {
    let (slots, behind) = slots.split_at_mut_checked(texts.count).unwrap_or_default();
    for (slot, text) in slots.iter_mut().zip(texts) {
        *slot = text.as_ptr().expose_provenance();
    }
    behind
}

/// `int membarrier(MEMBARRIER_CMD_GLOBAL, 0)`, man 2 membarrier (kernel 4.3): comes back after a grace period of RCU, by
/// which the kernel frees what was given back before: 4 to 8 ms. Without it there is no harm.
pub fn grace_period() {
    const GLOBAL: usize = 1;
    // SAFETY: no memory is passed.
    let _ = unsafe { raw_syscall!(Sysno::membarrier, GLOBAL, 0_usize, 0_usize) };
}

/// [`execve`] with three words, and the environment of the runtime itself.
#[must_use]
pub fn execve_here(path: &CStr, words: [&CStr; 3], own: Args) -> Errno {
    let [one, two, three] = words.map(CStr::as_ptr);
    let argv = [one, two, three, core::ptr::null()];
    exec_raw(path, argv.as_ptr(), own.envp())
}

fn exec_raw(path: &CStr, argv: *const *const c_char, envp: *const *const c_char) -> Errno {
    // SAFETY: path is NUL-terminated; argv and envp are null-terminated arrays of NUL-terminated strings.
    match raw(unsafe { raw_syscall!(Sysno::execve, path.as_ptr(), argv, envp) }) {
        Err(errno) => errno,
        Ok(_) => Errno::INVAL,
    }
}

/// `int execveat(fd, "", argv, envp, AT_EMPTY_PATH)`, man 2 execveat (kernel 3.19): runs the file of a descriptor with
/// the runtime's own arguments. Returns only the error.
#[must_use]
pub fn reexec(file: BorrowedFd<'_>, args: Args) -> Errno {
    // SAFETY: the empty string is NUL-terminated; argv and envp are the arrays the kernel itself made.
    let result = unsafe {
        syscall!(
            Sysno::execveat,
            file.as_raw_fd(),
            c"".as_ptr(),
            args.argv(),
            args.envp(),
            linux_raw_sys::general::AT_EMPTY_PATH
        )
    };
    result.map_or_else(
        |errno| Errno::from_raw_os_error(errno.into_raw()),
        |_| Errno::INVAL,
    )
}

/// A number of NUL-terminated strings that lie one behind the other.
#[derive(Clone, Copy)]
pub struct Strings<'a> {
    bytes: &'a [u8],
    count: usize,
}

impl<'a> Strings<'a> {
    /// The first `count` strings in `bytes`.
    #[must_use]
    pub fn new(bytes: &'a [u8], count: usize) -> Self {
        Self { bytes, count }
    }
}

impl<'a> IntoIterator for Strings<'a> {
    type Item = &'a CStr;
    type IntoIter = StringsIter<'a>;
    fn into_iter(self) -> StringsIter<'a> {
        StringsIter(self)
    }
}

/// Walks [`Strings`].
pub struct StringsIter<'a>(Strings<'a>);

impl<'a> Iterator for StringsIter<'a> {
    type Item = &'a CStr;
    #[inline(never)]
    fn next(&mut self) -> Option<&'a CStr> {
        self.0.count = self.0.count.checked_sub(1)?;
        let text = crate::text::c_text(self.0.bytes)?;
        self.0.bytes = self.0.bytes.get(text.to_bytes_with_nul().len()..)?;
        Some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::{Ended, Fork, Strings, exit, fork, wait};

    #[test]
    fn a_child_ends_as_it_says() {
        match fork(0, None, false).unwrap() {
            Fork::Child => exit(7),
            Fork::Parent(pid, pidfd) => {
                assert!(pidfd.is_some());
                assert_eq!(wait(pid), Ok(Ended::Exited(7)));
            }
        }
    }

    #[test]
    fn a_killed_child_is_128_and_more() {
        match fork(0, None, false).unwrap() {
            Fork::Child => loop {
                let _ = rustix::event::poll(&mut [], None);
            },
            Fork::Parent(pid, pidfd) => {
                crate::sys::pidfd::send_signal(pidfd.unwrap(), 9).unwrap();
                assert_eq!(wait(pid).unwrap().code(), 137);
            }
        }
    }

    #[test]
    fn strings_are_walked() {
        let all: Vec<_> = Strings::new(b"a\0\0bc\0d\0", 3).into_iter().collect();
        assert_eq!(all, [c"a", c"", c"bc"]);
    }
}
