//! Descriptors: a path inside a root, a file of procfs, the table of open ones.
//!
//! The only room that turns text into a descriptor inside a container's root.
#![forbid(unsafe_code)]

pub mod fdset;
pub mod later;
pub mod proc;
pub mod root;
#[cfg(test)]
mod tests;
pub mod text;
mod walk;
