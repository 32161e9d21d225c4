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

mod bus;
pub mod dbus;
pub mod devices;
mod discover;
mod freeze;
mod hierarchies;
mod io;
mod join;
pub mod limits;
mod prepare;
mod record;
mod remove;
mod stat;
mod systemd;
mod v1;
mod v2;
mod walk;

pub use bus::{bus, refusal};
pub use discover::{can_make, discover};
pub use freeze::{freeze, freezer, frozen};
pub use hierarchies::{Hierarchies, Hierarchy, Kinds};
pub use join::{aim, charge, join, place, place_of};
pub use limits::Policy;
pub use prepare::{begin, change, enter, finish, limit_processes, memory_limit};
pub use remove::{kill, processes, remove, signal};
pub use stat::{OomWatch, oom_kills, read};
pub use systemd::{Unit, UnitPlan};

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
    /// The device rules, in order.
    pub rules: heapless::Vec<devices::Rule, { devices::RULES }>,
    /// The rules for v1, when `devices` says so.
    pub fold: devices::Fold,
    /// The rules for v2, when `devices` says so.
    pub program: devices::Program,
    /// What is written to the cgroups.
    pub limits: limits::Limits,
    /// To whom the v2 cgroup is given.
    pub owner: Option<u32>,
    /// What systemd is asked for.
    pub unit: UnitPlan,
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
            rules: heapless::Vec::new(),
            fold: devices::Fold::new(),
            program: devices::Program::new(),
            limits: limits::Limits::new(),
            owner: None,
            unit: UnitPlan::new(),
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
    /// systemd's part in them.
    pub unit: Unit,
    /// The socket of the bus, where it is not in its usual place.
    pub bus: Option<&'static [u8]>,
    /// systemd has made the unit for this very process.
    started: bool,
    /// This very process has made them.
    fresh: bool,
}

impl Record {
    /// Nothing was made.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            mode: Mode::None,
            hierarchies: Hierarchies::new(),
            unit: Unit::None,
            bus: None,
            started: false,
            fresh: false,
        }
    }
}

impl Default for Record {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests;
