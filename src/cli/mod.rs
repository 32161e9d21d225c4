//! The command line: one table of verbs and flags, one file per verb.
#![forbid(unsafe_code)]

mod command;

pub use command::{CgroupManager, CreateArgs, Globals, LogFormat, Rootless};

use crate::sys::args::Args;

/// Runs the command line and returns the exit code.
#[must_use]
pub fn main(args: Args) -> i32 {
    let _ = args;
    1
}
