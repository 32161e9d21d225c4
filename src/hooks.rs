//! Hooks: programs of the caller that run at moments of a container's life, one after another.
//!
//! A list is text, one hook behind the other, so that it can be kept with the state: strings that end with NUL, namely
//! the timeout in seconds (0: none), the number of arguments and of entries of the environment (`-`: the one of the
//! surroundings), the path, the arguments, the environment.
//!
//! The text for standard input is a sealed file in memory: nothing has to be fed to a hook that does not read. What it
//! writes comes over a pipe that is read meanwhile; its end is kept for the sentence about its failure. Its children may
//! outlive it, unless its time runs out: then its process group is killed.
#![forbid(unsafe_code)]

use core::ffi::CStr;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::SeekFrom;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, Signal};

use crate::error::{At, Cause, Context, Errno, Fault, Step};
use crate::fs::fdset::{self, Kept, Left};
use crate::sys::file::write_whole;
use crate::sys::memory::TakeOnce;
use crate::sys::proc::{self, Ended, Fork, Strings};
use crate::sys::time::{self, MILLISECOND, SECOND};
use crate::sys::{AsFd, BorrowedFd, OwnedFd, memfd, sig};
use crate::text::{c_text, cut, number};

/// Bytes of a hook's output that are kept.
const OUTPUT: usize = 1024;
/// How often the end of a hook is asked for without pidfds.
const TICK: u64 = 5 * MILLISECOND;

/// The end of what a hook has written.
#[derive(Clone, Copy)]
pub struct Output {
    bytes: [u8; OUTPUT],
    length: usize,
}

/// What the last hook that failed has written, for the sentence about it.
pub static SAID: TakeOnce<Output> = TakeOnce::new(Output::new());

impl Output {
    /// Nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            bytes: [0; OUTPUT],
            length: 0,
        }
    }

    /// What there is.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }

    /// Forgets it.
    pub fn clear(&mut self) {
        self.length = 0;
    }

    /// Adds what somebody else has read, as far as there is room.
    pub fn add(&mut self, bytes: &[u8]) {
        let room = self.bytes.get_mut(self.length..).unwrap_or_default();
        let length = bytes.len().min(room.len());
        for (to, from) in room.iter_mut().zip(bytes) {
            *to = *from;
        }
        self.length += length;
    }

    /// Reads what is there to be read; whether there may be more later.
    pub fn drain(&mut self, from: &OwnedFd) -> bool {
        loop {
            // The later half is what matters.
            if self.length == OUTPUT {
                self.bytes.copy_within(OUTPUT / 2.., 0);
                self.length = OUTPUT / 2;
            }
            let room = self.bytes.get_mut(self.length..).unwrap_or_default();
            match rustix::io::read(from, room) {
                Ok(0) => return false,
                Ok(more) => self.length += more,
                Err(Errno::INTR) => {}
                Err(errno) => return errno == Errno::AGAIN,
            }
        }
    }

    /// A pipe that holds what there is.
    ///
    /// # Errors
    ///
    /// The kernel's.
    pub fn pipe(&self) -> Result<OwnedFd, Errno> {
        let (from, to) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        write_whole(&to, self.bytes())?;
        Ok(from.into())
    }
}

impl Default for Output {
    fn default() -> Self {
        Self::new()
    }
}

/// A hook of a list.
struct Hook<'a> {
    timeout: u64,
    path: &'a CStr,
    args: Strings<'a>,
    /// `None`: that of the surroundings.
    env: Option<Strings<'a>>,
}

/// A list of hooks.
#[derive(Clone, Copy)]
struct List<'a>(&'a [u8]);

impl<'a> List<'a> {
    fn string(&mut self) -> &'a [u8] {
        let (string, rest) = cut(self.0, 0);
        self.0 = rest;
        string
    }

    fn strings(&mut self, count: u64) -> Strings<'a> {
        let all = self.0;
        for _ in 0..count {
            self.string();
        }
        Strings::new(all, usize::try_from(count).unwrap_or(0))
    }
}

impl<'a> Iterator for List<'a> {
    type Item = Hook<'a>;

    fn next(&mut self) -> Option<Hook<'a>> {
        let timeout = number(self.string(), 10)?;
        let args = number(self.string(), 10)?;
        let env = number(self.string(), 10);
        let path = c_text(self.0)?;
        self.string();
        Some(Hook {
            timeout,
            path,
            args: self.strings(args),
            env: env.map(|count| self.strings(count)),
        })
    }
}

/// Where hooks run.
#[derive(Clone, Copy)]
pub struct Surroundings<'a> {
    /// What a fault names.
    pub step: Step,
    /// The working directory; `None`: the one of the caller.
    pub cwd: Option<&'a CStr>,
    /// The environment of a hook that has none of its own.
    pub env: Strings<'a>,
    /// What may be open besides the first three descriptors.
    pub left: Left,
}

/// Makes the file that is the standard input of hooks; `write` writes the text.
///
/// # Errors
///
/// The kernel's.
pub fn input(write: impl FnOnce(BorrowedFd<'_>) -> Result<(), Errno>) -> Result<OwnedFd, Errno> {
    let file = memfd::new(c"state", false)?;
    write(file.as_fd())?;
    memfd::seal(file.as_fd())?;
    Ok(file)
}

/// Runs the hooks of a list until one fails; with `warn` all of them, and each fault goes there.
///
/// # Errors
///
/// The number of the hook is the place: it could not be executed, its exit status or signal, or the time it had.
pub fn run(
    list: &[u8],
    input: &OwnedFd,
    around: &Surroundings<'_>,
    mut warn: Option<&mut dyn FnMut(Fault)>,
) -> Result<(), Fault> {
    for (hook, n) in List(list).zip(0..) {
        match (one(&hook, input, around, At::Number(n)), &mut warn) {
            (Err(fault), Some(warn)) => warn(fault),
            (ran, _) => ran?,
        }
    }
    Ok(())
}

fn one(hook: &Hook<'_>, input: &OwnedFd, around: &Surroundings<'_>, at: At) -> Result<(), Fault> {
    let step = around.step;
    let deadline = match hook.timeout {
        0 => u64::MAX,
        seconds => time::monotonic().saturating_add(seconds.saturating_mul(SECOND)),
    };
    rustix::fs::seek(input, SeekFrom::Start(0)).step_at(step, at)?;
    // Where SIGCHLD is ignored children vanish unseen.
    sig::set_default(sig::CHILD).step_at(step, at)?;
    let (from, to) = pipe_with(PipeFlags::CLOEXEC).step_at(step, at)?;
    let (output, to) = (OwnedFd::from(from), OwnedFd::from(to));
    // Closed by execve; before that it carries the reason why there is none.
    let (report, theirs) = pipe_with(PipeFlags::CLOEXEC).step_at(step, at)?;
    let (report, theirs) = (OwnedFd::from(report), OwnedFd::from(theirs));
    let (pid, fd) = match proc::fork(0, None, false).step_at(step, at)? {
        Fork::Child => {
            let errno = become_hook(hook, input, &to, &theirs, around);
            let _ = write_whole(&theirs, &errno.raw_os_error().to_le_bytes());
            proc::exit(127)
        }
        Fork::Parent(pid, fd) => (pid, fd),
    };
    drop((to, theirs));
    // In both, so that it holds for both from now on.
    let _ = rustix::process::setpgid(Some(pid), Some(pid));
    let Some(said) = SAID.take() else {
        return Err(Fault::rule(step, crate::error::Rule::Never, at));
    };
    *said = Output::new();
    let ended = attend(pid, fd.as_ref(), &output, said, deadline);
    let failure = match ended {
        Ok(Some(Ended::Exited(0))) => None,
        Ok(Some(ended)) => Some(match reason(&report) {
            Some(errno) => Cause::Errno(errno),
            None => Cause::Ended(ended.to_status()),
        }),
        Ok(None) => {
            let seconds = u16::try_from(hook.timeout).unwrap_or(u16::MAX);
            Some(Cause::Timeout(seconds))
        }
        Err(errno) => {
            // It is not left to itself.
            let _ = end(pid);
            Some(Cause::Errno(errno))
        }
    };
    if failure.is_none() {
        said.length = 0;
    }
    SAID.put_back(said);
    failure.map_or(Ok(()), |cause| Err(Fault::placed(step, cause, at)))
}

/// What went wrong before execve, or with it.
fn reason(report: &OwnedFd) -> Option<Errno> {
    let mut bytes = [0; 4];
    match rustix::io::read(report, &mut bytes) {
        Ok(4) => Some(Errno::from_raw_os_error(i32::from_le_bytes(bytes))),
        _ => None,
    }
}

/// The child's side: a process group of its own, default signals, nothing open that is not the hook's.
fn become_hook(
    hook: &Hook<'_>,
    input: &OwnedFd,
    output: &OwnedFd,
    report: &OwnedFd,
    around: &Surroundings<'_>,
) -> Errno {
    match prepare(input, output, report, around) {
        Ok(()) => proc::execve(
            hook.path,
            hook.args,
            hook.env.unwrap_or(around.env),
            Strings::new(&[], 0),
        ),
        Err(fault) => fault.errno().unwrap_or(Errno::INVAL),
    }
}

fn prepare(
    input: &OwnedFd,
    output: &OwnedFd,
    report: &OwnedFd,
    around: &Surroundings<'_>,
) -> Result<(), Fault> {
    let step = around.step;
    let _ = rustix::process::setpgid(None, None);
    for signal in 1..=sig::LAST {
        let _ = sig::set_default(signal);
    }
    sig::set_mask(0).step(step)?;
    rustix::stdio::dup2_stdin(input).step(step)?;
    rustix::stdio::dup2_stdout(output).step(step)?;
    rustix::stdio::dup2_stderr(output).step(step)?;
    if let Some(cwd) = around.cwd {
        rustix::process::chdir(cwd).step(step)?;
    }
    let mut kept = Kept::default();
    kept.add(report.as_fd());
    fdset::close_all_but(3, &kept, around.left)
}

/// Kills a hook and its process group, and waits for its end.
fn end(pid: Pid) -> Result<(), Errno> {
    let _ = rustix::process::kill_process_group(pid, Signal::KILL);
    let _ = rustix::process::kill_process(pid, Signal::KILL);
    proc::wait(pid).map(drop)
}

/// Reads the output until the hook has ended; `None`: its time was up, and it was killed.
fn attend(
    pid: Pid,
    fd: Option<&OwnedFd>,
    output: &OwnedFd,
    said: &mut Output,
    deadline: u64,
) -> Result<Option<Ended>, Errno> {
    rustix::io::ioctl_fionbio(output, true)?;
    let mut open = true;
    loop {
        // Before the output is read for the last time.
        let ended = proc::ended(pid)?;
        open = open && said.drain(output);
        if ended.is_some() {
            return Ok(ended);
        }
        let left = deadline.saturating_sub(time::monotonic());
        if left == 0 {
            end(pid)?;
            said.drain(output);
            return Ok(None);
        }
        let left = if fd.is_some() { left } else { left.min(TICK) };
        let mut fds = heapless::Vec::<_, 2>::new();
        for each in fd.into_iter().chain(open.then_some(output)) {
            let _ = fds.push(PollFd::new(each, PollFlags::IN));
        }
        match poll(&mut fds, Some(&time::span(left))) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}

#[cfg(test)]
mod tests;
