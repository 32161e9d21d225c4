//! The plan: every decision about a container, made before anything is changed.
//!
//! Plain data of fixed size in .bss; text is offsets into one arena. Fork copies it, so nothing is ever serialised.
//! This is the last room that may say no cheaply; after it there is only doing.
#![forbid(unsafe_code)]

pub mod arena;
pub mod process;
pub mod route;
