//! Syscalls that the harness and the probe need, with errors as `io::Error`.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The last error unless the result is non-negative.
pub fn check(result: impl Into<i64>) -> io::Result<i64> {
    let result = result.into();
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

/// A path as a C string; a NUL in it is a bug of the caller.
pub fn c(path: impl AsRef<Path>) -> CString {
    CString::new(path.as_ref().as_os_str().as_bytes()).expect("no NUL in a path")
}

pub fn mount(
    source: &str,
    target: impl AsRef<Path>,
    kind: &str,
    flags: libc::c_ulong,
    data: &str,
) -> io::Result<()> {
    let (source, target, kind, data) = (c(source), c(target), c(kind), c(data));
    // SAFETY: four NUL-terminated strings that live until the call returns.
    let result = unsafe {
        libc::mount(
            source.as_ptr(),
            target.as_ptr(),
            kind.as_ptr(),
            flags,
            data.as_ptr().cast(),
        )
    };
    check(result).map(drop)
}

pub fn unmount(target: impl AsRef<Path>) -> io::Result<()> {
    let target = c(target);
    // SAFETY: a NUL-terminated string that lives until the call returns.
    check(unsafe { libc::umount2(target.as_ptr(), libc::MNT_DETACH) }).map(drop)
}

pub fn unshare(flags: i32) -> io::Result<()> {
    // SAFETY: no memory is passed.
    check(unsafe { libc::unshare(flags) }).map(drop)
}

pub fn mknod(path: impl AsRef<Path>, mode: u32, major: u32, minor: u32) -> io::Result<()> {
    let path = c(path);
    let device = libc::makedev(major, minor);
    // SAFETY: a NUL-terminated string that lives until the call returns.
    check(unsafe { libc::mknod(path.as_ptr(), mode, device) }).map(drop)
}

/// Exchanges two names atomically.
pub fn exchange(a: impl AsRef<Path>, b: impl AsRef<Path>) -> io::Result<()> {
    let (a, b) = (c(a), c(b));
    // SAFETY: two NUL-terminated strings that live until the call returns.
    let result = unsafe {
        libc::syscall(
            libc::SYS_renameat2,
            libc::AT_FDCWD,
            a.as_ptr(),
            libc::AT_FDCWD,
            b.as_ptr(),
            libc::RENAME_EXCHANGE,
        )
    };
    check(result).map(drop)
}

pub fn kill(pid: i32, signal: i32) -> io::Result<()> {
    // SAFETY: no memory is passed.
    check(unsafe { libc::kill(pid, signal) }).map(drop)
}

/// Wait status of a child; `None` if it has not ended (with `WNOHANG`) or is no child.
pub fn wait(pid: i32, flags: i32) -> Option<i32> {
    let mut status = 0;
    // SAFETY: status is a valid place for an int.
    let result = unsafe { libc::waitpid(pid, &raw mut status, flags) };
    (result > 0).then_some(status)
}

/// Reads what is there, at most `limit` bytes, waiting at most `millis` for the first byte. Empty on hang-up.
pub fn read_some(fd: RawFd, limit: usize, millis: i32) -> io::Result<Option<Vec<u8>>> {
    let mut poll = libc::pollfd {
        fd,
        events: libc::POLLIN,
        revents: 0,
    };
    // SAFETY: one valid pollfd.
    if check(unsafe { libc::poll(&raw mut poll, 1, millis) })? == 0 {
        return Ok(None);
    }
    let mut bytes = vec![0_u8; limit];
    // SAFETY: the buffer is valid for limit bytes.
    let got = unsafe { libc::read(fd, bytes.as_mut_ptr().cast(), limit) };
    let got = match check(got as i64) {
        // A pty master answers EIO when the last slave is closed.
        Err(error) if error.raw_os_error() == Some(libc::EIO) => 0,
        other => other?,
    };
    bytes.truncate(usize::try_from(got).unwrap_or(0));
    Ok(Some(bytes))
}

/// An anonymous file.
pub fn memfd(name: &str) -> io::Result<OwnedFd> {
    let name = c(name);
    // SAFETY: a NUL-terminated string that lives until the call returns.
    let fd = check(unsafe { libc::memfd_create(name.as_ptr(), libc::MFD_CLOEXEC) })?;
    // SAFETY: the kernel has just given this descriptor to us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}

/// Drops or sets close-on-exec.
pub fn cloexec(fd: &impl AsRawFd, on: bool) {
    // SAFETY: no memory is passed.
    unsafe {
        libc::fcntl(
            fd.as_raw_fd(),
            libc::F_SETFD,
            if on { libc::FD_CLOEXEC } else { 0 },
        )
    };
}

/// The current directory as the kernel says it: `(unreachable)/…` outside the root.
pub fn raw_getcwd() -> io::Result<String> {
    let mut bytes = vec![0_u8; 8192];
    // SAFETY: the buffer is valid for its length.
    let got = check(unsafe { libc::syscall(libc::SYS_getcwd, bytes.as_mut_ptr(), bytes.len()) })?;
    bytes.truncate(usize::try_from(got).unwrap_or(1).saturating_sub(1));
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

pub fn chown(path: impl AsRef<Path>, uid: u32, gid: u32) -> io::Result<()> {
    std::os::unix::fs::lchown(path, Some(uid), Some(gid))
}

/// Waits at most `millis` for input or hang-up.
pub fn readable(fd: RawFd, millis: i32) -> io::Result<bool> {
    let mut poll = libc::pollfd {
        fd,
        events: libc::POLLIN,
        revents: 0,
    };
    // SAFETY: one valid pollfd.
    Ok(check(unsafe { libc::poll(&raw mut poll, 1, millis) })? > 0)
}

/// Seconds of CPU time of all children that have been waited for.
pub fn children_cpu() -> f64 {
    // SAFETY: all-zero is a valid rusage, which the call fills.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_CHILDREN, &raw mut usage);
        usage
    };
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    seconds(usage.ru_utime) + seconds(usage.ru_stime)
}

/// This process becomes an ordinary user, or root of the user namespace that it is in. Allocates nothing.
pub fn become_user(id: u32) -> io::Result<()> {
    // SAFETY: plain numbers, and an empty list.
    unsafe {
        check(libc::setgroups(0, std::ptr::null()))?;
        check(libc::setresgid(id, id, id))?;
        check(libc::setresuid(id, id, id)).map(drop)
    }
}

/// Hands a v2 cgroup over, by the files that cgroups(7) names for delegation.
pub fn give_cgroup(dir: &Path, id: u32) -> io::Result<()> {
    let files = [
        "",
        "cgroup.procs",
        "cgroup.subtree_control",
        "cgroup.threads",
    ];
    files
        .iter()
        .try_for_each(|file| chown(dir.join(file), id, id))
}
