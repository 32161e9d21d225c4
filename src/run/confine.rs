//! The filter that the foreground puts on itself when the container runs: it stays on the host for as long as that, and
//! all that reaches it from the container are bytes of a terminal. What it may do is listed in `calls.rs`.
#![forbid(unsafe_code)]

use crate::error::{Context, Errno, Fault, Step};
use crate::sys::{cred, seccomp};

/// The program that build.rs has compiled for this machine.
static FILTER: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/supervisor.bpf"));

/// From here on there is only waiting, and removing what was made, if that is to be done `alone`: hooks inherit a filter
/// and may do whatever the caller may, and systemd has to be called.
pub(super) fn confine(alone: bool) -> Result<(), Fault> {
    if FILTER.is_empty() || !alone {
        return Ok(());
    }
    // For a caller without CAP_SYS_ADMIN; nothing is executed any more.
    cred::no_new_privileges().step(Step::Supervise)?;
    match seccomp::load(FILTER, 0) {
        // No CONFIG_SECCOMP_FILTER.
        Ok(_) | Err(Errno::NOSYS | Errno::INVAL) => Ok(()),
        Err(errno) => Err(errno).step(Step::Supervise),
    }
}
