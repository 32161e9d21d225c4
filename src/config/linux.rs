//! The `linux` object and what hangs below it. See [`super::types`] for the conventions.
#![forbid(unsafe_code)]

use super::names::{Propagation, SeccompAction, SeccompOp};
use super::types::{List, Text};

/// `linux`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Linux {
    /// Offset of the object.
    pub at: u32,
    /// In `Pools::namespaces`.
    pub namespaces: List,
    /// In `Pools::id_mappings`.
    pub uid_mappings: List,
    /// In `Pools::id_mappings`.
    pub gid_mappings: List,
    /// Offsets of the clocks in a new time namespace.
    pub time_offsets: Option<TimeOffsets>,
    /// In `Pools::devices`.
    pub devices: List,
    /// In `Pools::net_devices`.
    pub net_devices: List,
    /// No component of it is ".."; an empty one is given as `None`.
    pub cgroups_path: Option<Text>,
    /// `None`: limits are left as they are.
    pub resources: Option<Resources>,
    /// In `Pools::sysctl`; only names that belong to a namespace of the container.
    pub sysctl: List,
    /// The filter.
    pub seccomp: Option<Seccomp>,
    /// Propagation of the container's "/".
    pub rootfs_propagation: Option<Propagation>,
    /// In `Pools::paths`; absolute.
    pub masked_paths: List,
    /// In `Pools::paths`; absolute.
    pub readonly_paths: List,
    /// SELinux context of mounts; an empty one is given as `None`.
    pub mount_label: Option<Text>,
    /// personality(2).
    pub personality: Option<Personality>,
    /// Cache and memory bandwidth allocation.
    pub intel_rdt: Option<IntelRdt>,
    /// set_mempolicy(2).
    pub memory_policy: Option<MemoryPolicy>,
}

/// `linux.timeOffsets`.
#[derive(Clone, Copy, Debug, Default)]
pub struct TimeOffsets {
    /// Offset of the object.
    pub at: u32,
    /// Added to CLOCK_BOOTTIME.
    pub boottime: Option<TimeOffset>,
    /// Added to CLOCK_MONOTONIC.
    pub monotonic: Option<TimeOffset>,
}

/// An offset of a clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct TimeOffset {
    /// Seconds.
    pub secs: i64,
    /// Below 10^9.
    pub nanosecs: u32,
}

/// An entry of `linux.netDevices`.
#[derive(Clone, Copy, Debug, Default)]
pub struct NetDevice {
    /// Offset of the object.
    pub at: u32,
    /// Its name on the host; not empty.
    pub host: Text,
    /// Its name inside; `None` keeps it.
    pub name: Option<Text>,
}

/// `linux.personality`; its flags are not supported by the specification.
#[derive(Clone, Copy, Debug, Default)]
pub struct Personality {
    /// Offset of the object.
    pub at: u32,
    /// LINUX32 instead of LINUX.
    pub linux32: bool,
}

/// `linux.intelRdt`.
#[derive(Clone, Copy, Debug, Default)]
pub struct IntelRdt {
    /// Offset of the object.
    pub at: u32,
    /// Name of the directory; `None` is the container's id, "/" the root group.
    pub clos_id: Option<Text>,
    /// The L3 line.
    pub l3_cache_schema: Option<Text>,
    /// The MB line.
    pub mem_bw_schema: Option<Text>,
    /// Lines for the schemata file, in `Pools::schemata`.
    pub schemata: List,
    /// A monitoring group is made.
    pub enable_monitoring: bool,
}

/// `linux.memoryPolicy`, for set_mempolicy(2).
#[derive(Clone, Copy, Debug, Default)]
pub struct MemoryPolicy {
    /// Offset of the object.
    pub at: u32,
    /// The kernel's number: DEFAULT 0, PREFERRED 1, BIND 2, INTERLEAVE 3, LOCAL 4, PREFERRED_MANY 5,
    /// WEIGHTED_INTERLEAVE 6.
    pub mode: u8,
    /// List of nodes ("0-3,7"); `None` also when it is empty.
    pub nodes: Option<Text>,
    /// MPOL_F_* as the kernel has them.
    pub flags: u64,
}

/// `linux.resources`, also as a document of its own.
#[derive(Clone, Copy, Debug, Default)]
pub struct Resources {
    /// Offset of the object.
    pub at: u32,
    /// In `Pools::device_rules`; later ones win.
    pub devices: List,
    /// Memory.
    pub memory: Option<Memory>,
    /// Processor time.
    pub cpu: Option<Cpu>,
    /// Number of tasks.
    pub pids: Option<Pids>,
    /// Block devices.
    pub block_io: Option<BlockIo>,
    /// In `Pools::hugepage_limits`.
    pub hugepage_limits: List,
    /// Network classes (v1).
    pub network: Option<Network>,
    /// In `Pools::rdma`.
    pub rdma: List,
    /// In `Pools::unified`; no key has a '/'.
    pub unified: List,
}

/// An entry of `linux.resources.devices`.
#[derive(Clone, Copy, Debug, Default)]
pub struct DeviceRule {
    /// Offset of the object.
    pub at: u32,
    /// Allow or deny.
    pub allow: bool,
    /// `a` (0, also when absent), `c` (1) or `b` (2).
    pub kind: u8,
    /// `None` is every one.
    pub major: Option<u32>,
    /// `None` is every one.
    pub minor: Option<u32>,
    /// Bits of r (1), w (2), m (4); never 0.
    pub access: u8,
}

/// `linux.resources.memory`: bytes, −1 is no limit.
#[derive(Clone, Copy, Debug, Default)]
pub struct Memory {
    /// Offset of the object.
    pub at: u32,
    /// Hard limit.
    pub limit: Option<i64>,
    /// Soft limit.
    pub reservation: Option<i64>,
    /// Memory and swap together.
    pub swap: Option<i64>,
    /// Kernel memory; not recommended.
    pub kernel: Option<i64>,
    /// Kernel memory of TCP buffers; not recommended.
    pub kernel_tcp: Option<i64>,
    /// 0 to 100 (v1).
    pub swappiness: Option<u64>,
    /// v1.
    pub disable_oom_killer: Option<bool>,
    /// v1.
    pub use_hierarchy: Option<bool>,
    /// A limit below the present usage is refused.
    pub check_before_update: Option<bool>,
}

/// `linux.resources.cpu`; times in microseconds.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cpu {
    /// Offset of the object.
    pub at: u32,
    /// Relative weight, v1 scale.
    pub shares: Option<u64>,
    /// Time per period; −1 is no limit.
    pub quota: Option<i64>,
    /// What may be saved up.
    pub burst: Option<u64>,
    /// Length of a period.
    pub period: Option<u64>,
    /// v1.
    pub realtime_runtime: Option<i64>,
    /// v1.
    pub realtime_period: Option<u64>,
    /// 1 makes the cgroup SCHED_IDLE.
    pub idle: Option<i64>,
    /// List of CPUs; `None` also when it is empty.
    pub cpus: Option<Text>,
    /// List of memory nodes; `None` also when it is empty.
    pub mems: Option<Text>,
}

/// `linux.resources.pids`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pids {
    /// Offset of the object.
    pub at: u32,
    /// −1 is no limit; 0 is one: in a document of a version before 1.3, where it was none, this is `None`.
    pub limit: Option<i64>,
}

/// `linux.resources.blockIO`.
#[derive(Clone, Copy, Debug, Default)]
pub struct BlockIo {
    /// Offset of the object.
    pub at: u32,
    /// Weight of the cgroup.
    pub weight: Option<u16>,
    /// v1.
    pub leaf_weight: Option<u16>,
    /// In `Pools::weight_devices`.
    pub weight_devices: List,
    /// In `Pools::throttle_devices`.
    pub read_bps: List,
    /// In `Pools::throttle_devices`.
    pub write_bps: List,
    /// In `Pools::throttle_devices`.
    pub read_iops: List,
    /// In `Pools::throttle_devices`.
    pub write_iops: List,
}

/// An entry of `linux.resources.blockIO.weightDevice`; at least one weight is there.
#[derive(Clone, Copy, Debug, Default)]
pub struct WeightDevice {
    /// Offset of the object.
    pub at: u32,
    /// Major number.
    pub major: u32,
    /// Minor number.
    pub minor: u32,
    /// Weight of this device.
    pub weight: Option<u16>,
    /// v1.
    pub leaf_weight: Option<u16>,
}

/// An entry of one of the throttle lists of `linux.resources.blockIO`.
#[derive(Clone, Copy, Debug, Default)]
pub struct ThrottleDevice {
    /// Offset of the object.
    pub at: u32,
    /// Major number.
    pub major: u32,
    /// Minor number.
    pub minor: u32,
    /// Bytes or operations per second.
    pub rate: u64,
}

/// An entry of `linux.resources.hugepageLimits`.
#[derive(Clone, Copy, Debug, Default)]
pub struct HugepageLimit {
    /// Offset of the object.
    pub at: u32,
    /// "2MB": digits, one of K, M, G, and B.
    pub page_size: Text,
    /// Bytes.
    pub limit: u64,
}

/// `linux.resources.network` (v1).
#[derive(Clone, Copy, Debug, Default)]
pub struct Network {
    /// Offset of the object.
    pub at: u32,
    /// net_cls.classid.
    pub class_id: Option<u32>,
    /// In `Pools::net_priorities`.
    pub priorities: List,
}

/// An entry of `linux.resources.network.priorities`.
#[derive(Clone, Copy, Debug, Default)]
pub struct NetPriority {
    /// Offset of the object.
    pub at: u32,
    /// Interface; not empty.
    pub name: Text,
    /// Priority.
    pub priority: u32,
}

/// An entry of `linux.resources.rdma`; at least one number is there.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rdma {
    /// Offset of the object.
    pub at: u32,
    /// Device; not empty.
    pub device: Text,
    /// Most handles.
    pub hca_handles: Option<u32>,
    /// Most objects.
    pub hca_objects: Option<u32>,
}

/// `linux.seccomp`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seccomp {
    /// Offset of the object.
    pub at: u32,
    /// What happens to calls that no rule names; `None` for "" or nothing, which with no rules means no filter.
    pub default_action: Option<SeccompAction>,
    /// errno of the default action.
    pub default_errno: Option<u32>,
    /// Bit N is word N of [`super::names::Names::Arch`].
    pub architectures: u64,
    /// SECCOMP_FILTER_FLAG_* as the kernel has them; `None` when absent.
    pub flags: Option<u64>,
    /// Socket that receives the notification descriptor.
    pub listener_path: Option<Text>,
    /// Text for that socket; only with a path.
    pub listener_metadata: Option<Text>,
    /// In `Pools::seccomp_rules`.
    pub rules: List,
}

/// An entry of `linux.seccomp.syscalls`.
#[derive(Clone, Copy, Debug, Default)]
pub struct SeccompRule {
    /// Offset of the object.
    pub at: u32,
    /// In `Pools::seccomp_names`; at least one.
    pub names: List,
    /// What happens.
    pub action: SeccompAction,
    /// errno or trace message.
    pub errno: Option<u32>,
    /// In `Pools::seccomp_args`.
    pub args: List,
}

/// An entry of `args` in a rule.
#[derive(Clone, Copy, Debug, Default)]
pub struct SeccompArg {
    /// Offset of the object.
    pub at: u32,
    /// Which argument, 0 to 5.
    pub index: u8,
    /// Operand; the mask of MASKED_EQ.
    pub value: u64,
    /// What the masked argument must equal.
    pub value_two: u64,
    /// How they are compared.
    pub op: SeccompOp,
}
