//! What the runtime does to itself before it touches a container.
#![forbid(unsafe_code)]

use rustix::fs::{CWD, OFlags};
use rustix::process::{DumpableBehavior, set_dumpable_behavior};

use crate::error::{At, Context, Errno, Fault, Place, Rule, Step};
use crate::fs::{fdset, proc::Proc};
use crate::sys::args::Args;
use crate::sys::{AsFd, OwnedFd, exe, path, proc, sig};

/// Runs on from a sealed copy of the binary, closes inherited descriptors for children, and hides from ptrace.
///
/// `preserve` descriptors from 3 on stay open for the container, and must be open.
///
/// # Errors
///
/// A binary that cannot be copied; a descriptor that is not there.
pub fn protect(args: Args, preserve: u32) -> Result<(), Fault> {
    seal(args)?;
    for number in 3..3 + preserve {
        if !fdset::is_open(number) {
            return Err(Fault::rule(
                Step::CheckFds,
                Rule::PreserveFds,
                At::Number(number),
            ));
        }
    }
    fdset::cloexec_from(3 + preserve)?;
    // Where SIGCHLD is ignored children vanish unseen.
    sig::set_default(sig::CHILD).step(Step::Protect)?;
    hide()
}

/// No process of the container may trace us or look through /proc into us, also after it has joined us in a namespace
/// (CVE-2016-9962). Children of clone inherit it, execve of the program resets it.
pub(super) fn hide() -> Result<(), Fault> {
    set_dumpable_behavior(DumpableBehavior::NotDumpable).step(Step::Protect)
}

/// Until [`hide`] our own files in /proc are ours: of a process that is hidden they are root's. Nobody but the same user
/// could trace us then.
pub(super) fn show() -> Result<(), Fault> {
    if rustix::process::geteuid().is_root() {
        return Ok(());
    }
    show_for_good()
}

/// Lets a caller see the process who has no rights over a memory that was made outside of the user namespace: without
/// this an ordinary user could neither `exec` into a created container nor hand on its seccomp listener. The process
/// holds nothing of the host any more, and runs from a file that nobody can write to.
pub(super) fn show_for_good() -> Result<(), Fault> {
    set_dumpable_behavior(DumpableBehavior::Dumpable).step(Step::Protect)
}

/// CVE-2019-5736: whatever runs where a container can see it is an inode that nobody can write to.
fn seal(args: Args) -> Result<(), Fault> {
    let at = At::Place(Place::OwnBinary);
    let own = own_binary().step_at(Step::SealRuntime, at)?;
    if exe::is_immutable(own.as_fd()) {
        return Ok(());
    }
    let copy = match exe::sealed_copy(own.as_fd()) {
        // Executable memfds are forbidden (vm.memfd_noexec), or there are none.
        Err(Errno::ACCESS | Errno::NOSYS) if exe::is_read_only(own.as_fd()) => return Ok(()),
        Err(Errno::ACCESS | Errno::NOSYS) => exe::read_only(own.as_fd()),
        copied => copied,
    }
    .step_at(Step::SealRuntime, at)?;
    Err(proc::reexec(copy.as_fd(), args)).step_at(Step::SealRuntime, at)
}

/// Through /proc, or through an instance of our own where none is mounted yet (an initramfs).
fn own_binary() -> Result<OwnedFd, Errno> {
    match path::openat(CWD, c"/proc/self/exe", OFlags::RDONLY) {
        Err(Errno::NOENT) => Proc::open()
            .map_err(|_| Errno::NOENT)
            .and_then(|proc| exe::open(proc.fd())),
        other => other,
    }
}
