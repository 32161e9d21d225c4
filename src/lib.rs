//! ocilet: an OCI container runtime without heap, shared libraries or threads.
//!
//! ```text
//!  argv ──cli──▶ verb            config.json ──config──▶ Config + Pools (ranges into the bytes)
//!                                                            │ + cgroup::Layout
//!                                                            ▼
//!  state::reserve            plan::make ──▶ Plan (no decision left open; text in one arena)
//!                                                            │
//!                             run::parent ──clone3──▶ [run::middle ──clone──▶] run::init ──execve──▶ program
//!                                  │     16-byte messages, Fault = numbers         │
//!  state::commit ◀─────────────────┘                   rootfs, cgroup, fs, tty ◀───┘
//! ```
//!
//! Arrows go down only. A type made in one room is read-only in the next. After clone nothing is parsed, allocated or
//! decided. `unsafe` lives in `sys/` and at the C entry point in `main.rs`.
//!
//! `bundle` is the room between document and plan: it reads the file, asks for the cgroup hierarchies, and gives the lists
//! back to the kernel when the plan is made, so that `run` knows neither the command line nor the document.
//!
//! There is no room of facts about the host: what a kernel can do is found out by asking it to, in the one function that
//! has the fallback beside it; only the cgroup hierarchies have to be known before anything is done.
#![cfg_attr(not(test), no_std)]

pub mod bundle;
pub mod cgroup;
pub mod cli;
pub mod config;
pub mod criu;
pub mod error;
pub mod fs;
pub mod hooks;
pub mod limits;
pub mod plan;
pub mod rdt;
pub mod rootfs;
pub mod run;
pub mod say;
pub mod seccomp;
pub mod state;
pub mod sys;
pub mod text;
pub mod tty;
