//! Rules of the source tree and of the built binary.

pub mod binary;
pub mod rooms;
