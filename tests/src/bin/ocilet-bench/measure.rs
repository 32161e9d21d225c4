//! How things are measured: wait4, ptrace at exit, strace.

use std::ffi::{CStr, CString};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use std::{fs, mem, ptr, thread};

use super::Place;

/// Seconds of one command.
#[derive(Clone, Copy)]
pub struct Cost {
    pub wall: f64,
    /// User and system time of the process and of those that it reaped.
    pub cpu: f64,
}

/// Makes this process the parent of orphans, in a mount namespace of its own.
pub fn prepare(cgroup2: bool) {
    // SAFETY: neither call takes memory.
    let result = unsafe {
        libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) | libc::unshare(libc::CLONE_NEWNS)
    };
    assert_eq!(result, 0, "needs root: {}", std::io::Error::last_os_error());
    mount(c"none", c"/", c"", libc::MS_REC | libc::MS_PRIVATE);
    // Debian's crun refuses a hybrid host whose cgroup2 has a controller, so version 1 is compared without it.
    unmount(Path::new("/sys/fs/cgroup/unified"));
    if cgroup2 {
        mount(c"cgroup2", c"/sys/fs/cgroup", c"cgroup2", 0);
    }
}

/// Mounts without data; seen by this process and what it starts only.
pub fn mount(source: &CStr, target: &CStr, kind: &CStr, flags: libc::c_ulong) {
    // SAFETY: three C strings that live until the call returns; no data.
    let result = unsafe {
        libc::mount(
            source.as_ptr(),
            target.as_ptr(),
            kind.as_ptr(),
            flags,
            ptr::null(),
        )
    };
    assert_eq!(
        result,
        0,
        "mount {target:?}: {}",
        std::io::Error::last_os_error()
    );
}

/// Takes a mount away with all that it held.
pub fn unmount(target: &Path) {
    let target = CString::new(target.as_os_str().as_bytes()).expect("no NUL");
    // SAFETY: a C string that lives until the call returns.
    unsafe { libc::umount2(target.as_ptr(), libc::MNT_DETACH) };
}

fn seconds(usage: &libc::rusage) -> f64 {
    let one = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    one(usage.ru_utime) + one(usage.ru_stime)
}

/// Runs a command to its end; it must succeed.
#[allow(clippy::zombie_processes, reason = "wait4 reaps it, with its usage")]
pub fn run(mut command: Command) -> Cost {
    let start = Instant::now();
    let child = command.spawn().expect("the runtime starts");
    let mut status = 0;
    // SAFETY: an rusage of zeroes is a value of its type.
    let mut usage: libc::rusage = unsafe { mem::zeroed() };
    // SAFETY: both places are valid for what the call writes.
    unsafe { libc::wait4(child.id().cast_signed(), &raw mut status, 0, &raw mut usage) };
    let wall = start.elapsed().as_secs_f64();
    assert_eq!(status, 0, "{command:?} ended with wait status {status:#x}");
    Cost {
        wall,
        cpu: seconds(&usage),
    }
}

/// CPU time of everything reaped so far.
pub fn reaped() -> f64 {
    // SAFETY: an rusage of zeroes is a value of its type.
    let mut usage: libc::rusage = unsafe { mem::zeroed() };
    // SAFETY: the place is valid for what the call writes.
    unsafe { libc::getrusage(libc::RUSAGE_CHILDREN, &raw mut usage) };
    seconds(&usage)
}

/// Waits for every orphan: after `start`, for the container.
pub fn reap_all() {
    // SAFETY: no status is asked for.
    while unsafe { libc::waitpid(-1, ptr::null_mut(), 0) } > 0 {}
}

/// A number of KiB in a file of "Name:  123 kB" lines.
fn kib(path: &str, name: &str) -> Option<u64> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim_start_matches(':')
        .trim()
        .split(' ')
        .next()?
        .parse()
        .ok()
}

/// Private_Dirty and Pss of the init that `create` left waiting.
pub fn waiting(pid_file: &Path) -> Option<(u64, u64)> {
    let pid = fs::read_to_string(pid_file).ok()?;
    let path = format!("/proc/{}/smaps_rollup", pid.trim());
    Some((kib(&path, "Private_Dirty")?, kib(&path, "Pss")?))
}

/// Peak RSS in KiB of the runtime's process, read when it is about to exit.
///
/// Not ru_maxrss: that begins with the memory of whoever forked it, and this program is larger than ocilet.
pub fn peak(mut command: Command) -> Option<u64> {
    let trace_me = || {
        // SAFETY: no memory is passed.
        unsafe { libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0) };
        Ok(())
    };
    // SAFETY: the closure makes one system call.
    unsafe { command.pre_exec(trace_me) };
    let pid = command.spawn().ok()?.id().cast_signed();
    let mut peak = None;
    let mut first = true;
    loop {
        let mut status = 0;
        // SAFETY: the place is valid for what the call writes.
        if unsafe { libc::waitpid(pid, &raw mut status, 0) } < 0 || !libc::WIFSTOPPED(status) {
            return peak;
        }
        if mem::take(&mut first) {
            let options =
                libc::PTRACE_O_TRACEEXIT | libc::PTRACE_O_TRACEEXEC | libc::PTRACE_O_EXITKILL;
            // SAFETY: no memory is passed.
            unsafe { libc::ptrace(libc::PTRACE_SETOPTIONS, pid, 0, options) };
        } else if status >> 8 == libc::SIGTRAP | (libc::PTRACE_EVENT_EXIT << 8) {
            let high = kib(&format!("/proc/{pid}/status"), "VmHWM");
            peak = high.max(kib(&format!("/proc/{pid}/smaps_rollup"), "Rss"));
        }
        let signal = libc::WSTOPSIG(status);
        let passed = if signal == libc::SIGTRAP { 0 } else { signal };
        // SAFETY: no memory is passed.
        unsafe { libc::ptrace(libc::PTRACE_CONT, pid, 0, passed) };
    }
}

/// System calls of a command and all that it starts, counted by strace.
///
/// What stays behind would keep strace waiting: it is told to let go once the pid file is there and nothing moves.
pub fn calls(command: Command, place: &Place, until: Option<&Path>) -> Option<u64> {
    let summary = place.dir.join("calls");
    let mut strace = Command::new("strace");
    strace
        .args(["-I2", "-f", "-c", "-qq", "-o"])
        .arg(&summary)
        .arg(command.get_program())
        .args(command.get_args());
    strace
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .current_dir(place.bundle());
    let mut child = strace.spawn().ok()?;
    if let Some(file) = until {
        let deadline = Instant::now() + Duration::from_secs(10);
        while !file.exists() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(10));
        }
        thread::sleep(Duration::from_millis(300));
        // SAFETY: no memory is passed.
        unsafe { libc::kill(child.id().cast_signed(), libc::SIGTERM) };
    }
    child.wait().ok()?;
    let text = fs::read_to_string(summary).ok()?;
    let total = text.lines().rfind(|line| line.ends_with(" total"))?;
    // % time, seconds, usecs/call, calls, errors (may be absent), "total"
    total.split_whitespace().nth(3)?.parse().ok()
}
