//! Seccomp: from what a profile says to the program that the kernel runs before each system call. Pure.
#![forbid(unsafe_code)]

mod action;
mod builtin;
mod compile;
mod conditions;
mod machine;
mod policy;
mod program;
#[cfg(test)]
mod tests;

pub use action::word;
pub use builtin::compile_builtin;
pub use compile::{Scratch, compile};
pub use machine::{MACHINE, Machine};
pub use policy::{Calls, Policy};
pub use program::Program;

pub use crate::sys::seccomp::flag;
