//! The story of a container's start, told once; both sides are written in this order.
//!
//! ```text
//!  parent.rs                          middle.rs (Route::Middle)       init.rs
//!  sealed copy, descriptors, not dumpable (protect.rs)
//!  bundle, config.json, plan
//!  reserve the name, pin namespaces
//!  v2: cgroup
//!  socketpair, clone3 ──────────────▶ setns/unshare, clone ─────────▶ session, keyring, network
//!  v1: cgroup                         ── Born, ends
//!  intent is written before a cgroup is made
//!        ── Enter ──────────────────────────────────────────────────▶ cgroup, joins, names
//!                                                                     operations, pivot_root, terminal, operations
//!        ◀── Terminal ───────────────────────────────────────────────
//!                                                                     sysctls, priorities, rlimits, identity, lookup
//!        ◀── Ready ──────────────────────────────────────────────────
//!  state is written: the container exists
//!        ── Committed ──────────────────────────────────────────────▶
//!  create: pid file, exit.                                            accept on start.sock
//!  start.rs / run: ── Start ────────────────────────────────────────▶ close_range, execve
//!        ◀── Fault at any point, or End: execve has closed the wire
//!  run: supervise.rs until the end
//! ```
//!
//! The children run on a copy of the parent's memory; they parse, allocate and decide nothing.
#![forbid(unsafe_code)]

mod attributes;
mod bundle;
mod init;
mod lookup;
mod middle;
mod parent;
mod pidfile;
mod protect;
mod start;
mod supervise;
mod wire;

use crate::cli::{CreateArgs, Globals};
use crate::config::NamespaceKind;
use crate::error::{At, Fault, Rule, Step};
use crate::limits::CONFIG_BYTES;
use crate::plan::Plan;
use crate::sys::memory::TakeOnce;
use crate::sys::ns::flag as bit;
use crate::tty;

pub use start::start;

/// The document; only the pages that it fills are ever touched.
static DOC: TakeOnce<[u8; CONFIG_BYTES]> = TakeOnce::new([0; CONFIG_BYTES]);
/// The plan.
static PLAN: TakeOnce<Plan> = TakeOnce::new(Plan::new());

/// A fault, with what its numbers point into.
#[derive(Clone, Copy)]
pub struct Told {
    /// What went wrong.
    pub fault: Fault,
    /// config.json as far as it was read.
    pub doc: &'static [u8],
    /// The plan as far as it was made.
    pub plan: Option<&'static Plan>,
    /// The program of a container that was planned by another process.
    pub program: &'static [u8],
}

/// What becomes of a container after it was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    /// It waits for `start`.
    Create,
    /// It runs, and we leave.
    Detach,
    /// It runs, and we stay until it ends.
    Foreground,
}

/// `create`: everything but executing the program. The exit code is 0.
///
/// # Errors
///
/// A fault; the host is as it was before.
pub fn create(
    globals: &Globals,
    args: &CreateArgs,
    warn: &mut dyn FnMut(&Told),
) -> Result<i32, Told> {
    make(globals, args, Purpose::Create, warn)
}

/// `run`: create and start; in the foreground the exit code is that of the program, 128 + N for signal N.
///
/// # Errors
///
/// A fault; the host is as it was before.
pub fn run(globals: &Globals, args: &CreateArgs, warn: &mut dyn FnMut(&Told)) -> Result<i32, Told> {
    make(
        globals,
        args,
        if args.detach {
            Purpose::Detach
        } else {
            Purpose::Foreground
        },
        warn,
    )
}

fn make(
    globals: &Globals,
    args: &CreateArgs,
    purpose: Purpose,
    warn: &mut dyn FnMut(&Told),
) -> Result<i32, Told> {
    let told = |fault| Told {
        fault,
        doc: &[],
        plan: None,
        program: &[],
    };
    protect::protect(globals.args, args.preserve_fds).map_err(told)?;
    // The caller's paths start at the caller's directory, which the bundle replaces.
    let console = args
        .console_socket
        .map(tty::connect)
        .transpose()
        .map_err(told)?;
    let pid_file = args
        .pid_file
        .map(pidfile::PidFile::new)
        .transpose()
        .map_err(told)?;
    let (Some(doc), Some(plan)) = (DOC.take(), PLAN.take()) else {
        return Err(told(Fault::rule(Step::MakePlan, Rule::Never, At::Nothing)));
    };
    let mut len = 0;
    let planned = bundle::plan(globals, args, doc, &mut len, plan);
    let doc: &'static [u8] = doc.get(..len).unwrap_or(&[]);
    let plan: &'static Plan = plan;
    let told = |fault| Told {
        fault,
        doc,
        plan: Some(plan),
        program: &[],
    };
    for fault in planned.map_err(told)? {
        warn(&told(fault));
    }
    let mode = tty::check(
        plan.process.terminal,
        purpose != Purpose::Foreground,
        console.is_some(),
    );
    let order = parent::Order {
        globals,
        args,
        purpose,
        plan,
        annotations: bundle::annotations(doc),
        terminal: mode.map_err(|rule| told(Fault::rule(Step::OpenTerminal, rule, At::Nothing)))?,
        console,
        pid_file,
    };
    parent::make(order, &mut |fault| warn(&told(fault))).map_err(told)
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

/// The namespaces that init is born in. Network comes later, beside the making of the cgroups; cgroup after them; time
/// takes a process in the middle.
fn clone_flags(plan: &Plan) -> u32 {
    use NamespaceKind::{Ipc, Mount, Pid, Uts};
    let born = |kind| {
        if plan.namespaces.new.has(kind) {
            flag(kind)
        } else {
            0
        }
    };
    born(Pid) | born(Mount) | born(Ipc) | born(Uts)
}
