//! The plan: every decision about a container, made before anything is changed.
//!
//! Plain data of fixed size in .bss; text is offsets into one arena. Fork copies it, so nothing is ever serialised.
//! This is the last room that may say no cheaply; after it there is only doing.
#![forbid(unsafe_code)]

pub mod arena;
pub mod bits;
pub mod cgroup;
mod cgroup_mounts;
mod devices;
pub mod draft;
pub mod environment;
pub mod exec;
pub mod hooks;
mod id_map;
pub mod limits;
pub mod live;
pub mod look;
pub mod make;
pub mod mounts;
pub mod op;
pub mod options;
pub mod process;
pub mod rdt;
pub mod route;
pub mod seccomp;
pub mod service;
pub mod systemd;

use arena::{Arena, Str};
use heapless::Vec;
use hooks::Hooks;
use mounts::Setup;
use op::Op;
use process::Process;
use rdt::Rdt;
use route::Namespaces;
use seccomp::Filter;

use crate::cgroup::{CgroupPlan, Kinds};
use crate::limits::{NET_DEVICES, OPS, SYSCTLS};

/// A container as it is going to be.
pub struct Plan {
    /// All text.
    pub arena: Arena,
    /// The container's name.
    pub id: Str,
    /// Absolute path of the bundle.
    pub bundle: Str,
    /// Absolute path of the root filesystem on the host.
    pub rootfs: Str,
    /// Namespaces, and the way into them.
    pub namespaces: Namespaces,
    /// Node name.
    pub hostname: Option<Str>,
    /// NIS domain name.
    pub domainname: Option<Str>,
    /// Name of the session keyring; `None` keeps the caller's.
    pub keyring: Option<Str>,
    /// Its part of caches and memory bandwidth.
    pub rdt: Rdt,
    /// It has a socket for sd_notify.
    pub notify: bool,
    /// Network devices to move: their names on the host and inside.
    pub net_devices: Vec<(Str, Str), NET_DEVICES>,
    /// Paths below /proc, with their values.
    pub sysctls: Vec<(Str, Str), SYSCTLS>,
    /// What becomes of the root filesystem.
    pub root: Setup,
    /// What is done to the root filesystem, in order.
    pub ops: Vec<Op, OPS>,
    /// Where it goes among the cgroups.
    pub cgroup: CgroupPlan,
    /// The process.
    pub process: Process,
    /// Which system calls it may make.
    pub filter: Filter,
    /// What runs at moments of its life.
    pub hooks: Hooks,
}

impl Plan {
    /// An empty plan; all zero or nearly so, and untouched pages cost nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            arena: Arena::new(),
            id: Str::EMPTY,
            bundle: Str::EMPTY,
            rootfs: Str::EMPTY,
            namespaces: Namespaces::new(),
            hostname: None,
            domainname: None,
            keyring: None,
            rdt: Rdt::NONE,
            notify: false,
            net_devices: Vec::new(),
            sysctls: Vec::new(),
            root: Setup::NONE,
            ops: Vec::new(),
            cgroup: CgroupPlan::new(),
            process: Process::new(),
            filter: Filter::new(),
            hooks: Hooks::NONE,
        }
    }
}

impl Plan {
    /// The directory of the container in the v2 hierarchy; empty without one.
    #[must_use]
    pub fn cgroup_v2(&self) -> &[u8] {
        let mut rows = self.cgroup.hierarchies.iter();
        let row = rows.find(|row| row.kinds.has(Kinds::UNIFIED));
        row.map_or(b"", |row| row.dir.to_bytes())
    }
}

/// What the numbers of a fault point into, as far as it exists yet.
#[derive(Clone, Copy, Default)]
pub struct Scene {
    /// config.json as far as it was read, for `At::Byte`.
    pub document: &'static [u8],
    /// The name of the document, where that is not config.json.
    pub name: &'static [u8],
    /// The plan as far as it was made, for `At::Arena` and `At::Op`.
    pub plan: Option<&'static Plan>,
    /// The program of a container that was planned by another process, for `Step::Exec`.
    pub program: &'static [u8],
}

impl Default for Plan {
    fn default() -> Self {
        Self::new()
    }
}
