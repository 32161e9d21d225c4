//! What a filter can say of a call: SECCOMP_RET_*, linux/seccomp.h.
#![forbid(unsafe_code)]

use crate::config::SeccompAction;

/// SECCOMP_RET_KILL_THREAD.
pub(super) const KILL_THREAD: u32 = 0;
const KILL_PROCESS: u32 = 0x8000_0000;
const TRAP: u32 = 0x0003_0000;
const ERRNO: u32 = 0x0005_0000;
const NOTIFY: u32 = 0x7fc0_0000;
const TRACE: u32 = 0x7ff0_0000;
const LOG: u32 = 0x7ffc_0000;
const ALLOW: u32 = 0x7fff_0000;

/// SECCOMP_RET_ERRNO with ENOSYS.
pub(super) const ENOSYS: u32 = ERRNO | 38;

/// The word for an action; without a number it is EPERM where there is one.
#[must_use]
pub fn word(action: SeccompAction, number: Option<u32>) -> u32 {
    const EPERM: u32 = 1;
    let number = number.unwrap_or(EPERM) & 0xffff;
    match action {
        SeccompAction::Kill | SeccompAction::KillThread => KILL_THREAD,
        SeccompAction::KillProcess => KILL_PROCESS,
        SeccompAction::Trap => TRAP,
        SeccompAction::Errno => ERRNO | number,
        SeccompAction::Notify => NOTIFY,
        SeccompAction::Trace => TRACE | number,
        SeccompAction::Log => LOG,
        SeccompAction::Allow => ALLOW,
    }
}

/// Whether calls with this default action are meant to be carried out, even those that nobody has heard of. A tracer is
/// expected to know what to do about them.
pub(super) fn permits(word: u32) -> bool {
    matches!(word & 0x7fff_0000, ALLOW | LOG | TRACE)
}
