//! The lists of a document: one vector of fixed capacity per kind of entry, in .bss, touched as far as it is filled.
#![forbid(unsafe_code)]

use super::node::{Node, Pool};
use super::schema::Obj;
use super::types::{
    Device, DeviceRule, Hook, HugepageLimit, IdMapping, Mount, Namespace, NetDevice, NetPriority,
    Pair, Rdma, Rlimit, SeccompArg, SeccompRule, Text, ThrottleDevice, WeightDevice,
};
use super::{Wrong, full};
use crate::limits::{self, Limit};
use heapless::{Vec, VecView};

/// Namespaces and rlimits are bounded by their kinds; the names of unknown capabilities are only remembered for a warning.
const KINDS: usize = 16;

/// Slots of the table of keys, which is at most half full.
const KEY_SLOTS: usize = (2 * limits::CONFIG_KEYS).next_power_of_two();

/// The entries that the [`super::List`]s of a [`super::Config`] are ranges of.
pub struct Pools {
    /// `process.env`.
    pub env: Vec<Text, { limits::ENV }>,
    /// `process.args`.
    pub args: Vec<Text, { limits::ARGS }>,
    /// `process.user.additionalGids`.
    pub groups: Vec<u32, { limits::GROUPS }>,
    /// `process.rlimits`.
    pub rlimits: Vec<Rlimit, KINDS>,
    /// The first names in `process.capabilities` that ocilet does not know.
    pub unknown_capabilities: Vec<Text, KINDS>,
    /// `mounts`.
    pub mounts: Vec<Mount, { limits::MOUNTS }>,
    /// `mounts[].options`.
    pub mount_options: Vec<Text, { limits::MOUNT_OPTIONS }>,
    /// Every uidMappings and gidMappings.
    pub id_mappings: Vec<IdMapping, { limits::ID_MAPPINGS_ALL }>,
    /// All of `hooks`.
    pub hooks: Vec<Hook, { limits::HOOKS }>,
    /// args and env of hooks.
    pub hook_words: Vec<Text, { limits::HOOK_WORDS }>,
    /// `annotations`.
    pub annotations: Vec<Pair, { limits::ANNOTATIONS }>,
    /// `linux.namespaces`.
    pub namespaces: Vec<Namespace, KINDS>,
    /// `linux.devices`.
    pub devices: Vec<Device, { limits::DEVICES }>,
    /// `linux.netDevices`.
    pub net_devices: Vec<NetDevice, { limits::NET_DEVICES }>,
    /// `linux.sysctl`.
    pub sysctl: Vec<Pair, { limits::SYSCTLS }>,
    /// `linux.maskedPaths` and `linux.readonlyPaths`.
    pub paths: Vec<Text, { limits::PATHS }>,
    /// `linux.intelRdt.schemata`.
    pub schemata: Vec<Text, { limits::RESOURCE_ROWS }>,
    /// `linux.resources.devices`.
    pub device_rules: Vec<DeviceRule, { limits::DEVICE_RULES }>,
    /// `linux.resources.blockIO.weightDevice`.
    pub weight_devices: Vec<WeightDevice, { limits::RESOURCE_ROWS }>,
    /// The throttle lists of `linux.resources.blockIO`.
    pub throttle_devices: Vec<ThrottleDevice, { limits::RESOURCE_ROWS }>,
    /// `linux.resources.hugepageLimits`.
    pub hugepage_limits: Vec<HugepageLimit, { limits::RESOURCE_ROWS }>,
    /// `linux.resources.network.priorities`.
    pub net_priorities: Vec<NetPriority, { limits::RESOURCE_ROWS }>,
    /// `linux.resources.rdma`.
    pub rdma: Vec<Rdma, { limits::RESOURCE_ROWS }>,
    /// `linux.resources.unified`.
    pub unified: Vec<Pair, { limits::RESOURCE_ROWS }>,
    /// `linux.seccomp.syscalls`.
    pub seccomp_rules: Vec<SeccompRule, { limits::SECCOMP_RULES }>,
    /// `linux.seccomp.syscalls[].names`.
    pub seccomp_names: Vec<Text, { limits::SECCOMP_NAMES }>,
    /// `linux.seccomp.syscalls[].args`.
    pub seccomp_args: Vec<SeccompArg, { limits::SECCOMP_ARGS }>,
    /// Keys of the objects seen so far, for `scan`: offset of the object plus one, offset of the key.
    pub(super) keys: [(u32, u32); KEY_SLOTS],
}

impl Pools {
    /// Empty pools, for a static: all bytes that are not inside a vector are zero.
    #[must_use]
    #[allow(
        clippy::new_without_default,
        reason = "a Default would be made on the stack"
    )]
    #[allow(
        clippy::large_stack_arrays,
        reason = "evaluated by the compiler, into .bss"
    )]
    pub const fn new() -> Self {
        Self {
            env: Vec::new(),
            args: Vec::new(),
            groups: Vec::new(),
            rlimits: Vec::new(),
            unknown_capabilities: Vec::new(),
            mounts: Vec::new(),
            mount_options: Vec::new(),
            id_mappings: Vec::new(),
            hooks: Vec::new(),
            hook_words: Vec::new(),
            annotations: Vec::new(),
            namespaces: Vec::new(),
            devices: Vec::new(),
            net_devices: Vec::new(),
            sysctl: Vec::new(),
            paths: Vec::new(),
            schemata: Vec::new(),
            device_rules: Vec::new(),
            weight_devices: Vec::new(),
            throttle_devices: Vec::new(),
            hugepage_limits: Vec::new(),
            net_priorities: Vec::new(),
            rdma: Vec::new(),
            unified: Vec::new(),
            seccomp_rules: Vec::new(),
            seccomp_names: Vec::new(),
            seccomp_args: Vec::new(),
            keys: [(0, 0); KEY_SLOTS],
        }
    }
}

impl Pools {
    /// Entries in the pool of a list or map so far.
    pub(super) fn filled(&mut self, node: Node) -> usize {
        match node {
            Node::Texts(pool) => self.texts(pool).0.len(),
            Node::Pairs(pool) => self.pairs(pool).0.len(),
            Node::Ids => self.groups.len(),
            Node::Objects(obj) | Node::Map(obj) => match obj {
                Obj::Rlimit => self.rlimits.len(),
                Obj::Namespace => self.namespaces.len(),
                Obj::Mount => self.mounts.len(),
                Obj::IdMapping => self.id_mappings.len(),
                Obj::Hook => self.hooks.len(),
                Obj::Device => self.devices.len(),
                Obj::NetDevice => self.net_devices.len(),
                Obj::DeviceRule => self.device_rules.len(),
                Obj::WeightDevice => self.weight_devices.len(),
                Obj::ThrottleDevice => self.throttle_devices.len(),
                Obj::HugepageLimit => self.hugepage_limits.len(),
                Obj::NetPriority => self.net_priorities.len(),
                Obj::Rdma => self.rdma.len(),
                Obj::SeccompRule => self.seccomp_rules.len(),
                Obj::SeccompArg => self.seccomp_args.len(),
                _ => 0,
            },
            _ => 0,
        }
    }

    fn texts(&mut self, pool: Pool) -> (&mut VecView<Text>, Limit) {
        match pool {
            Pool::Env => (&mut self.env, Limit::ENV),
            Pool::MountOptions => (&mut self.mount_options, Limit::MOUNT_OPTIONS),
            Pool::HookWords => (&mut self.hook_words, Limit::HOOK_WORDS),
            Pool::Paths => (&mut self.paths, Limit::PATHS),
            Pool::Schemata => (&mut self.schemata, Limit::RESOURCE_ROWS),
            Pool::SeccompNames => (&mut self.seccomp_names, Limit::SECCOMP_NAMES),
            _ => (&mut self.args, Limit::ARGS),
        }
    }

    fn pairs(&mut self, pool: Pool) -> (&mut VecView<Pair>, Limit) {
        match pool {
            Pool::Sysctl => (&mut self.sysctl, Limit::SYSCTLS),
            Pool::Unified => (&mut self.unified, Limit::RESOURCE_ROWS),
            _ => (&mut self.annotations, Limit::ANNOTATIONS),
        }
    }

    pub(super) fn push_text(&mut self, pool: Pool, text: Text, at: usize) -> Result<(), Wrong> {
        let (texts, limit) = self.texts(pool);
        texts.push(text).map_err(|_| full(limit, at))
    }

    pub(super) fn push_pair(&mut self, pool: Pool, pair: Pair, at: usize) -> Result<(), Wrong> {
        let (pairs, limit) = self.pairs(pool);
        pairs.push(pair).map_err(|_| full(limit, at))
    }

    pub(super) fn push_group(&mut self, id: u32, at: usize) -> Result<(), Wrong> {
        self.groups.push(id).map_err(|_| full(Limit::GROUPS, at))
    }
}
