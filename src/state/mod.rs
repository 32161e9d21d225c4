//! What is remembered of containers: one directory for each under the root, mode 0700, whose creation is the claim to
//! the name.
//!
//! ```text
//!  <root>/<id>/            mkdir: the reservation; flock on it serializes create, start and delete
//!      intent              boot and cgroup, before the cgroup is made: enough to clean up after a crash
//!      start.sock          bound by the parent; exists until `start`: the difference of created and running
//!      config.json         as it was at `create`, for those who come later (`exec`)
//!      state               everything, once init waits for `start`
//!      exit                how init ended, where somebody has seen it
//! ```
//!
//! Files are written under another name, flushed unless the file system is in memory, and renamed. Readers trust
//! nothing: regular, ours, of limited size, right to the last bit. The only room that knows where all this is.
#![forbid(unsafe_code)]

mod crc;
mod dir;
mod files;
mod owner;
mod process;
mod record;
mod root;
mod writer;

pub use dir::{Dir, START_SOCKET, Status};
pub use owner::user_name;
pub use process::{Live, boot, lives};
pub use record::{Exit, Identity, Record, Stored};
pub use root::{Root, buffer, checked, is_rootless};
