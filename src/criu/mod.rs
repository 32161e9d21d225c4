//! Checkpoint and restore: the program criu freezes a container into files, and makes processes of them again.
//!
//! ```text
//!  request.rs     what both have in common, and what the command line says
//!  mounts.rs      what lies outside of the container: bind mounts, namespaces, pipes
//!  checkpoint.rs  dump      ──▶ talk.rs ──▶ criu swrk FD ──▶ images
//!  restore.rs     bring_back ─▶ talk.rs ──▶ criu swrk FD ──▶ the container's first process, our child
//! ```
//!
//! criu is spoken to as runc does it: one request in protocol buffers over a SEQPACKET pair, answered by notices at which
//! hooks run, the state is written and a terminal arrives as a descriptor, and by the result. The command line of criu
//! would take fewer bytes for a dump, but it has neither those notices, nor restores a container as our child
//! (`rst_sibling`), nor a terminal whose other end is ours. The field numbers are those of `criu_opts` in criu's
//! rpc.proto; images are the same as runc's, `descriptors.json` included, so that either restores the other's.
#![forbid(unsafe_code)]

mod checkpoint;
mod message;
mod mounts;
mod request;
mod restore;
mod talk;

pub use checkpoint::{Dump, checkpoint};
pub use message::Message;
pub use request::{Kind, Request, directory};
pub use restore::bring_back;
