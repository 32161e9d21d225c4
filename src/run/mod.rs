//! The story of a container's start, told once; both sides are written in this order.
//!
//! ```text
//!  parent.rs                          middle.rs (Route::Middle)       init.rs
//!  sealed copy, descriptors, not dumpable (protect.rs)
//!  (bundle.rs: config.json, plan)
//!  reserve the name, pin namespaces
//!  v2: cgroup
//!  v1 cgroup, if users are mapped
//!  socketpair, clone3 ──────────────▶ setns/unshare, clone ─────────▶ session, keyring, network
//!  v1: cgroup                         ── Born, ends
//!  intent is written before a cgroup is made
//!        ── Enter ──────────────────────────────────────────────────▶ cgroup, joins, names
//!        ◀── Network ──────────────────────────────────────────────── (only for linux.netDevices)
//!        ── Moved ──────────────────────────────────────────────────▶
//!                                                                     operations before pivot_root
//!  a process of its own (source.rs): ◀── Source; Opened ──▶            what only the parent can open or map
//!  prestart, createRuntime hooks: ◀── Mounted; Proceed ──▶             createContainer hooks
//!                                                                     pivot_root, terminal, operations
//!        ◀── Terminal ───────────────────────────────────────────────
//!                                                                     sysctls, priorities, labels, rlimits, identity, lookup
//!        ◀── Ready ──────────────────────────────────────────────────
//!  state is written: the container exists
//!        ── Committed ──────────────────────────────────────────────▶
//!  create: pid file, exit.                                            accept on start.sock
//!  start.rs / run: ── Start ────────────────────────────────────────▶ startContainer hooks, close_range
//!  a filter that notifies: ◀── Listener; Start ──▶                    seccomp, without no_new_privs capset, execve
//!        ◀── Fault at any point, or End: execve has closed the wire
//!  poststart hooks
//!  run: confine.rs, supervise.rs until the end; poststop hooks, by whoever removes it
//! ```
//!
//! The children run on a copy of the parent's memory; they parse, allocate and decide nothing.
#![forbid(unsafe_code)]

mod attributes;
mod birth;
mod caller;
mod confine;
mod device;
mod enter;
mod exec;
mod hook;
mod init;
mod label;
mod last;
mod listener;
mod live;
mod lookup;
mod middle;
mod notify;
mod parent;
mod pidfile;
mod pin;
mod protect;
mod route;
mod source;
mod start;
mod supervise;
mod users;
mod wire;

use crate::cgroup::{Mode, Unit};
use crate::plan::Plan;
use crate::plan::route::NamespaceKind;
use crate::sys::ns::flag as bit;

pub use birth::{Birth, BringUp, Up};
pub use caller::{Caller, Init};
pub use exec::{ExecOrder, exec};
pub use hook::{Hooks, poststop};
pub use init::Joins;
pub use live::mounts;
pub use parent::{Order, bring_up, make};
pub use protect::protect;
pub use source::{ask, serve};
pub use start::start;
pub use wire::{Msg, Wire};

/// What becomes of a container after it was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// It waits for `start`.
    Create,
    /// It runs, and we leave.
    Detach,
    /// It runs, and we stay until it ends; it is removed then, unless it is to be kept.
    Foreground {
        /// `--keep`.
        keep: bool,
        /// Orphans of the container come to us: not with `--no-subreaper`.
        reaper: bool,
    },
}

/// The CLONE_NEW* flag of a kind.
fn flag(kind: NamespaceKind) -> u32 {
    match kind {
        NamespaceKind::Pid => bit::PID,
        NamespaceKind::Network => bit::NET,
        NamespaceKind::Mount => bit::MOUNT,
        NamespaceKind::Ipc => bit::IPC,
        NamespaceKind::Uts => bit::UTS,
        NamespaceKind::User => bit::USER,
        NamespaceKind::Cgroup => bit::CGROUP,
        NamespaceKind::Time => bit::TIME,
    }
}

/// Whether joining a namespace of this kind only takes effect on children.
fn for_children(kind: NamespaceKind) -> bool {
    matches!(kind, NamespaceKind::Pid | NamespaceKind::Time)
}

/// Whether init makes its network namespace by itself, beside the making of the cgroups. On v2 they are there before it,
/// and its memory (up to 250 KiB in the kernel) would count for the container already.
fn network_later(plan: &Plan) -> bool {
    plan.cgroup.mode != Mode::V2 || plan.cgroup.unit.kind != Unit::None
}

/// The namespaces that init is born in. Cgroup comes after the cgroups; time takes a process in the middle.
fn clone_flags(plan: &Plan) -> u32 {
    use NamespaceKind::{Ipc, Mount, Network, Pid, Uts};
    let born = |kind| {
        if plan.namespaces.new.has(kind) {
            flag(kind)
        } else {
            0
        }
    };
    let network = if network_later(plan) {
        0
    } else {
        born(Network)
    };
    born(Pid) | born(Mount) | born(Ipc) | born(Uts) | network
}
