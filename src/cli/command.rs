//! What a command line means: one struct of global options and one per verb, all slices of argv.
//!
//! Nothing here is decided or checked beyond the form: the rooms do that.
#![forbid(unsafe_code)]

pub use crate::cgroup::Manager as CgroupManager;
pub use crate::say::LogFormat;
use crate::sys::args::Args;
use core::ffi::CStr;

/// The options that stand before the verb.
#[derive(Clone, Copy)]
pub struct Globals {
    /// The whole command line, and the environment behind it.
    pub args: Args,
    /// `--root DIR`: the state directory; `None` for the default of this user.
    pub root: Option<&'static CStr>,
    /// `--log [file:]PATH`; `None` for standard error.
    pub log: Option<&'static CStr>,
    /// `--log-format text|json`.
    pub log_format: LogFormat,
    /// `--debug`.
    pub debug: bool,
    /// `--cgroup-manager`; `--systemd-cgroup` means [`CgroupManager::Systemd`].
    pub cgroup_manager: CgroupManager,
    /// `--rootless true|false|auto`.
    pub rootless: Rootless,
}

/// Whether errors of the cgroup file systems are expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rootless {
    /// They are, for a user other than root.
    Auto,
    /// They are.
    True,
    /// They are not.
    False,
}
