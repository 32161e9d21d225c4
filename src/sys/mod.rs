//! Every syscall, and every `unsafe` block of the library.
//!
//! One function per call, thin, with the C signature, the man page, the kernel version and what the usual errors mean
//! here. Opinions only about safety flags (CLOEXEC, NOCTTY, NOFOLLOW). Where rustix has the call, its public modules
//! are used as they are; what it lacks is made with the `syscalls` crate's instruction and linux-raw-sys' layouts.
//! No policy, no retries except EINTR, no path logic.

pub mod args;
pub mod memory;
pub mod proc;

pub use rustix::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
pub use rustix::io::Errno;
