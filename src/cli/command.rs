//! What a command line means: the global options that the verbs need, slices of argv.
//!
//! Nothing here is decided or checked beyond the form: the rooms do that.
#![forbid(unsafe_code)]

pub use crate::cgroup::Manager as CgroupManager;
pub use crate::say::LogFormat;
use crate::sys::args::Args;
use core::ffi::CStr;

/// The options that stand before the verb; what concerns the log is in the voice. `--rootless` is only checked.
#[derive(Clone, Copy)]
pub struct Globals {
    /// The whole command line, and the environment behind it.
    pub args: Args,
    /// `--root DIR`: the state directory; `None` for the default of this user.
    pub root: Option<&'static CStr>,
    /// `--cgroup-manager`; `--systemd-cgroup` means [`CgroupManager::Systemd`].
    pub cgroup_manager: CgroupManager,
}
