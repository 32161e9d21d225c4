//! Control groups: what the host has, where the container goes, and its way in and out.
//!
//! ```text
//!  discover ──▶ Layout ──plan::cgroup──▶ CgroupPlan ──prepare──▶ directories, device rules, Record
//!                                                                   │ clone3(INTO_CGROUP), enter
//!                                              remove ◀── Record ◀──┘ (kept by state/)
//! ```
//!
//! Hybrid hosts (v1 hierarchies and an empty v2 one beside them) count as v1; the v2 hierarchy is then one more row.
#![forbid(unsafe_code)]

pub mod devices;
mod hierarchies;
mod record;

pub use hierarchies::{Hierarchies, Hierarchy, Kinds};

/// Which cgroup interface the host offers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// No cgroup file system is mounted, or `--cgroup-manager=disabled`.
    #[default]
    None,
    /// At least one v1 hierarchy with a controller is mounted (with or without a v2 hierarchy beside it).
    V1,
    /// One v2 hierarchy.
    V2,
}

/// Who makes the container's cgroup: `--cgroup-manager`, `--systemd-cgroup`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Manager {
    /// ocilet itself, by mkdir(2).
    #[default]
    Cgroupfs,
    /// systemd, over D-Bus.
    Systemd,
    /// Nobody: the container stays in the cgroups of the runtime.
    Disabled,
}

/// What the host has: one row per mounted hierarchy, whose path is the runtime's own cgroup in it.
///
/// Large: lives in .bss. Rows are in the order of /proc/self/cgroup; a v2 hierarchy is the last one.
pub struct Layout {
    /// The interface.
    pub mode: Mode,
    /// The mounted hierarchies.
    pub hierarchies: Hierarchies,
}

impl Layout {
    /// A host without cgroups; `discover` fills it in.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            mode: Mode::None,
            hierarchies: Hierarchies::new(),
        }
    }
}

impl Default for Layout {
    fn default() -> Self {
        Self::new()
    }
}

/// Where the container goes: one row per hierarchy, whose path is the container's cgroup in it; and its device rules.
///
/// Large: lives in .bss as a part of the plan.
pub struct CgroupPlan {
    /// The interface, or [`Mode::None`] when no cgroup is to be made.
    pub mode: Mode,
    /// The host has no cgroups (or none for devices) and only defaults were asked for: worth one warning.
    pub warn: bool,
    /// The container's cgroups.
    pub hierarchies: Hierarchies,
    /// How the device rules are applied.
    pub devices: Devices,
    /// The rules for v1, when `devices` says so.
    pub fold: devices::Fold,
    /// The rules for v2, when `devices` says so.
    pub program: devices::Program,
}

/// How device rules are applied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Devices {
    /// Not at all: everything is allowed, or there is nothing to apply them with.
    #[default]
    Unrestricted,
    /// By the lists of the v1 controller.
    Lists,
    /// By a BPF program on the v2 hierarchy.
    Program,
}

impl CgroupPlan {
    /// No cgroups at all.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            mode: Mode::None,
            warn: false,
            hierarchies: Hierarchies::new(),
            devices: Devices::Unrestricted,
            fold: devices::Fold::new(),
            program: devices::Program::new(),
        }
    }
}

impl Default for CgroupPlan {
    fn default() -> Self {
        Self::new()
    }
}

/// What was made for a container, or is about to be: kept in the state directory, and all that `remove` needs.
///
/// Large: lives in .bss.
pub struct Record {
    /// The interface, or [`Mode::None`] when nothing was made.
    pub mode: Mode,
    /// The container's cgroups.
    pub hierarchies: Hierarchies,
}

impl Record {
    /// Nothing was made.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            mode: Mode::None,
            hierarchies: Hierarchies::new(),
        }
    }
}

impl Default for Record {
    fn default() -> Self {
        Self::new()
    }
}

// The four verbs as run/ and bundle.rs call them; the executors (io.rs, v1.rs, v2.rs) stand behind them.

/// Asks the host what it has.
///
/// # Errors
///
/// `Step::FindCgroups`.
pub fn discover(layout: &mut Layout) -> Result<(), crate::error::Fault> {
    layout.mode = Mode::None;
    Ok(())
}

/// Makes the cgroups of a container and applies its rules; `intend` is called with what is going to be made, before
/// anything is made. Gives the directory to be born in (v2). Undone by itself when it fails.
///
/// # Errors
///
/// What could not be made.
pub fn prepare(
    plan: &CgroupPlan,
    record: &mut Record,
    intend: &mut dyn FnMut(&Record) -> Result<(), crate::error::Fault>,
) -> Result<Option<crate::sys::OwnedFd>, crate::error::Fault> {
    record.mode = plan.mode;
    intend(record)?;
    Ok(None)
}

/// Enters the container's cgroups: in the child, before any of its namespaces but the network is there.
///
/// # Errors
///
/// The hierarchy that refused.
pub fn enter(plan: &CgroupPlan) -> Result<(), crate::error::Fault> {
    let _ = plan;
    Ok(())
}

/// Kills what is left in the cgroups and removes them; what is already gone is fine.
///
/// # Errors
///
/// What could not be removed.
pub fn remove(record: &Record) -> Result<(), crate::error::Fault> {
    let _ = record;
    Ok(())
}
