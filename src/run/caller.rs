//! Who is to be told of a process that is made: by path, from the working directory of the caller.
#![forbid(unsafe_code)]

use core::ffi::CStr;

use rustix::process::Pid;

use super::pidfile::PidFile;
use crate::error::{At, Context, Fault, Rule, Step};
use crate::plan::Plan;
use crate::sys::{AsFd, OwnedFd, proc, sock};
use crate::tty;

/// What the caller has given by path, from its own working directory.
pub struct Caller {
    /// `--console-socket`, connected.
    console: Option<OwnedFd>,
    /// `--pidfd-socket`, connected.
    pidfd: Option<OwnedFd>,
    /// `--pid-file`.
    pid_file: Option<PidFile>,
}

impl Caller {
    /// Before the working directory becomes the bundle.
    ///
    /// # Errors
    ///
    /// Nobody listens on a socket.
    pub fn new(
        console_socket: Option<&'static CStr>,
        pidfd_socket: Option<&'static CStr>,
        pid_file: Option<&'static CStr>,
    ) -> Result<Self, Fault> {
        let connect = |path: Option<&CStr>, step| path.map(|path| tty::connect(path, step));
        Ok(Self {
            console: connect(console_socket, Step::ConnectConsole).transpose()?,
            pidfd: connect(pidfd_socket, Step::ConnectPidfd).transpose()?,
            pid_file: pid_file.map(PidFile::new).transpose()?,
        })
    }

    /// Who gets the master of the terminal of this plan.
    ///
    /// # Errors
    ///
    /// A terminal that nobody would hold; a socket that would get nothing.
    pub(super) fn terminal(&self, plan: &Plan, detach: bool) -> Result<tty::Mode, Fault> {
        tty::check(plan.process.terminal, detach, self.console.is_some())
            .map_err(|rule| Fault::rule(Step::OpenTerminal, rule, At::Nothing))
    }

    /// The console socket, for the process that opens the terminal.
    pub fn take_console(&mut self) -> Option<OwnedFd> {
        self.console.take()
    }

    /// Sends the pidfd of the process off, with the word for the way it was made.
    pub(super) fn send_pidfd(&self, process: &Init, way: &[u8]) -> Result<(), Fault> {
        let Some(socket) = &self.pidfd else {
            return Ok(());
        };
        let rule = Fault::rule(Step::SendPidfd, Rule::NoPidfd, At::Nothing);
        let pidfd = process.fd.as_ref().ok_or(rule)?;
        sock::send(socket.as_fd(), way, Some(pidfd.as_fd())).step(Step::SendPidfd)
    }

    /// Tells the number of the process.
    pub fn write_pid(&self, process: &Init) -> Result<(), Fault> {
        match &self.pid_file {
            Some(file) => file.write(process.pid),
            None => Ok(()),
        }
    }
}

/// The process that is made, our child: mostly the container's first one.
pub struct Init {
    pub(super) pid: Pid,
    /// `None` below kernel 5.3.
    pub(super) fd: Option<OwnedFd>,
}

impl Init {
    /// A child that is known by its number.
    pub(super) fn of(pid: Pid) -> Self {
        Self {
            pid,
            fd: proc::pidfd_open(pid).ok(),
        }
    }

    /// Its pid as the state and the signals take it.
    pub(super) fn number(&self) -> u32 {
        proc::number(self.pid)
    }
}
