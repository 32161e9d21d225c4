//! Where parsed values go: [`Draft`] holds one object of each kind while its keys come in, and `commit` moves it to its
//! place in the document's structs or to its pool when it closes. No kind of object nests in itself, so one of each is
//! enough, and no list shares a pool with a list inside it, so every list is one range.
#![forbid(unsafe_code)]

use super::Wrong;
use super::names::{DeviceKind, NamespaceKind, Propagation, SeccompAction, SeccompOp};
use super::pools::{Pools, push};
use super::schema::Obj;
use super::types::{
    BlockIo, Capabilities, Config, ConsoleSize, Cpu, CpuAffinity, Device, DeviceRule, Hook, Hooks,
    HugepageLimit, IdMapping, IntelRdt, IoPriority, Linux, List, Memory, MemoryPolicy, Mount,
    Namespace, NetDevice, NetPriority, Network, Personality, Pids, Process, Rdma, Resources,
    Rlimit, Root, Scheduler, Seccomp, SeccompArg, SeccompRule, Text, ThrottleDevice, TimeOffset,
    TimeOffsets, User, WeightDevice,
};
use crate::error::{Cause, Rule};
use crate::limits::Limit;

/// One object of each kind, as far as it has been read.
#[derive(Default)]
pub(super) struct Draft {
    pub(super) config: Config,
    pub(super) root: Root,
    pub(super) process: Process,
    pub(super) console_size: ConsoleSize,
    pub(super) user: User,
    pub(super) capabilities: Capabilities,
    pub(super) rlimit: Rlimit,
    pub(super) scheduler: Scheduler,
    pub(super) io_priority: IoPriority,
    pub(super) cpu_affinity: CpuAffinity,
    pub(super) mount: Mount,
    pub(super) id_mapping: IdMapping,
    pub(super) hooks: Hooks,
    pub(super) hook: Hook,
    pub(super) linux: Linux,
    pub(super) time_offsets: TimeOffsets,
    pub(super) time_offset: OffsetDraft,
    pub(super) namespace: Namespace,
    pub(super) device: Device,
    pub(super) net_device: NetDevice,
    pub(super) resources: Resources,
    pub(super) device_rule: DeviceRule,
    pub(super) memory: Memory,
    pub(super) cpu: Cpu,
    pub(super) pids: Pids,
    pub(super) block_io: BlockIo,
    pub(super) weight_device: WeightDevice,
    pub(super) throttle_device: ThrottleDevice,
    pub(super) hugepage_limit: HugepageLimit,
    pub(super) network: Network,
    pub(super) net_priority: NetPriority,
    pub(super) rdma: Rdma,
    pub(super) seccomp: Seccomp,
    pub(super) seccomp_rule: SeccompRule,
    pub(super) seccomp_arg: SeccompArg,
    pub(super) personality: Personality,
    pub(super) intel_rdt: IntelRdt,
    pub(super) memory_policy: MemoryPolicy,
}

/// A [`TimeOffset`] with the place that every draft has.
#[derive(Default)]
pub(super) struct OffsetDraft {
    pub(super) at: u32,
    pub(super) secs: i64,
    pub(super) nanosecs: u32,
}

/// A place for a value.
pub(super) enum Slot<'a> {
    /// The value is an object, which commits itself.
    Nothing,
    Text(&'a mut Text),
    MaybeText(&'a mut Option<Text>),
    List(&'a mut List),
    MaybeList(&'a mut Option<List>),
    Bool(&'a mut bool),
    MaybeBool(&'a mut Option<bool>),
    U8(&'a mut u8),
    U16(&'a mut u16),
    U32(&'a mut u32),
    U64(&'a mut u64),
    I32(&'a mut i32),
    I64(&'a mut i64),
    MaybeU16(&'a mut Option<u16>),
    MaybeU32(&'a mut Option<u32>),
    MaybeU64(&'a mut Option<u64>),
    MaybeI32(&'a mut Option<i32>),
    MaybeI64(&'a mut Option<i64>),
    Offset(&'a mut Option<TimeOffset>),
    Namespace(&'a mut NamespaceKind),
    Device(&'a mut DeviceKind),
    Propagation(&'a mut Option<Propagation>),
    Action(&'a mut SeccompAction),
    MaybeAction(&'a mut Option<SeccompAction>),
    Op(&'a mut SeccompOp),
}

macro_rules! places {
    ($($variant:ident $type:ty;)*) => {
        $(impl<'a> From<&'a mut $type> for Slot<'a> {
            fn from(place: &'a mut $type) -> Self {
                Self::$variant(place)
            }
        })*
    };
    (nothing $($type:ty),*) => {
        $(impl<'a> From<&'a mut $type> for Slot<'a> {
            fn from(_: &'a mut $type) -> Self {
                Self::Nothing
            }
        })*
    };
}

places! {
    Text Text;
    MaybeText Option<Text>;
    List List;
    MaybeList Option<List>;
    Bool bool;
    MaybeBool Option<bool>;
    U8 u8;
    U16 u16;
    U32 u32;
    U64 u64;
    I32 i32;
    I64 i64;
    MaybeU16 Option<u16>;
    MaybeU32 Option<u32>;
    MaybeU64 Option<u64>;
    MaybeI32 Option<i32>;
    MaybeI64 Option<i64>;
    Offset Option<TimeOffset>;
    Namespace NamespaceKind;
    Device DeviceKind;
    Propagation Option<Propagation>;
    Action SeccompAction;
    MaybeAction Option<SeccompAction>;
    Op SeccompOp;
}

places!(nothing Option<Root>, Option<Process>, Option<Hooks>, Option<Linux>, Option<ConsoleSize>, User,
    Option<Capabilities>, Option<Scheduler>, Option<IoPriority>, Option<CpuAffinity>, Option<TimeOffsets>,
    Option<Resources>, Option<Seccomp>, Option<Personality>, Option<IntelRdt>, Option<MemoryPolicy>, Option<Memory>,
    Option<Cpu>, Option<Pids>, Option<BlockIo>, Option<Network>);

impl Slot<'_> {
    pub(super) fn put_text(self, text: Text) {
        match self {
            Self::Text(place) => *place = text,
            Self::MaybeText(place) => *place = Some(text),
            _ => {}
        }
    }

    pub(super) fn put_list(self, list: List) {
        match self {
            Self::List(place) => *place = list,
            Self::MaybeList(place) => *place = Some(list),
            _ => {}
        }
    }

    /// A number that its range allows for this place; a negative one comes as its two's complement, and one that the
    /// place cannot hold (the wildcard −1) as absent. Names and bits come as numbers too.
    pub(super) fn put_number(self, number: u64) {
        let [low, ..] = number.to_le_bytes();
        match self {
            Self::Bool(place) => *place = number != 0,
            Self::MaybeBool(place) => *place = Some(number != 0),
            Self::U8(place) => *place = low,
            Self::U16(place) => *place = u16::try_from(number).unwrap_or(0),
            Self::U32(place) => *place = u32::try_from(number).unwrap_or(0),
            Self::U64(place) => *place = number,
            Self::I32(place) => *place = i32::try_from(number.cast_signed()).unwrap_or(0),
            Self::I64(place) => *place = number.cast_signed(),
            Self::MaybeU16(place) => *place = u16::try_from(number).ok(),
            Self::MaybeU32(place) => *place = u32::try_from(number).ok(),
            Self::MaybeU64(place) => *place = Some(number),
            Self::MaybeI32(place) => *place = i32::try_from(number.cast_signed()).ok(),
            Self::MaybeI64(place) => *place = Some(number.cast_signed()),
            Self::Namespace(place) => *place = NamespaceKind::from_number(low),
            Self::Device(place) => *place = DeviceKind::from_number(low / 2),
            Self::Propagation(place) => *place = Some(Propagation::from_number(low)),
            Self::Action(place) => *place = SeccompAction::from_number(low),
            Self::MaybeAction(place) => *place = Some(SeccompAction::from_number(low)),
            Self::Op(place) => *place = SeccompOp::from_number(low),
            _ => {}
        }
    }
}

impl Draft {
    /// Moves a finished object to its place. `owner` is where it stands, `seen` its keys, `key` the key of a map.
    pub(super) fn commit(
        &mut self,
        pools: &mut Pools,
        obj: Obj,
        owner: (Obj, u8),
        seen: u32,
        key: Text,
        at: u32,
    ) -> Result<(), Wrong> {
        let wrong = |rule| {
            Err(Wrong {
                cause: Cause::Rule(rule),
                at,
            })
        };
        // Of these the schema can say what each must have, but not what one of two must have.
        match obj {
            Obj::Device if self.device.kind != DeviceKind::Fifo && seen & 0b1100 != 0b1100 => {
                return wrong(Rule::KeysDevice);
            }
            Obj::WeightDevice if seen & 0b1100 == 0 => return wrong(Rule::KeysWeightDevice),
            Obj::Rdma if seen == 0 => return wrong(Rule::KeysRdma),
            _ => {}
        }
        match obj {
            Obj::Config => {}
            Obj::Root => self.config.root = Some(self.root),
            Obj::Process => self.config.process = Some(self.process),
            Obj::ConsoleSize => self.process.console_size = Some(self.console_size),
            Obj::User => self.process.user = self.user,
            Obj::Capabilities => self.process.capabilities = Some(self.capabilities),
            Obj::Scheduler => self.process.scheduler = Some(self.scheduler),
            Obj::IoPriority => self.process.io_priority = Some(self.io_priority),
            Obj::CpuAffinity => self.process.exec_cpu_affinity = Some(self.cpu_affinity),
            Obj::Hooks => self.config.hooks = Some(self.hooks),
            Obj::Linux => self.config.linux = Some(self.linux),
            Obj::TimeOffsets => self.linux.time_offsets = Some(self.time_offsets),
            Obj::TimeOffset => {
                let OffsetDraft { secs, nanosecs, .. } = self.time_offset;
                let offset = TimeOffset { secs, nanosecs };
                if let Slot::Offset(place) = self.slot(owner.0, owner.1) {
                    *place = Some(offset);
                }
            }
            Obj::Resources => self.linux.resources = Some(self.resources),
            Obj::Memory => self.resources.memory = Some(self.memory),
            Obj::Cpu => self.resources.cpu = Some(self.cpu),
            Obj::Pids => self.resources.pids = Some(self.pids),
            Obj::BlockIo => self.resources.block_io = Some(self.block_io),
            Obj::Network => self.resources.network = Some(self.network),
            Obj::Seccomp => self.linux.seccomp = Some(self.seccomp),
            Obj::Personality => self.linux.personality = Some(self.personality),
            Obj::IntelRdt => self.linux.intel_rdt = Some(self.intel_rdt),
            Obj::MemoryPolicy => self.linux.memory_policy = Some(self.memory_policy),
            _ => return self.commit_entry(pools, obj, key, at),
        }
        Ok(())
    }

    /// Appends a finished entry of a list or map to its pool.
    fn commit_entry(
        &mut self,
        pools: &mut Pools,
        obj: Obj,
        key: Text,
        at: u32,
    ) -> Result<(), Wrong> {
        let full = capacity(obj);
        match obj {
            Obj::Rlimit => push(&mut pools.rlimits, self.rlimit, full, at),
            Obj::Namespace => push(&mut pools.namespaces, self.namespace, full, at),
            Obj::Mount => push(&mut pools.mounts, self.mount, full, at),
            Obj::IdMapping => push(&mut pools.id_mappings, self.id_mapping, full, at),
            Obj::Hook => push(&mut pools.hooks, self.hook, full, at),
            Obj::Device => {
                let mode = &mut self.device.file_mode;
                *mode = mode.map(|bits| bits & 0o7777);
                push(&mut pools.devices, self.device, full, at)
            }
            Obj::NetDevice => {
                self.net_device.host = key;
                push(&mut pools.net_devices, self.net_device, full, at)
            }
            Obj::DeviceRule => push(&mut pools.device_rules, self.device_rule, full, at),
            Obj::WeightDevice => push(&mut pools.weight_devices, self.weight_device, full, at),
            Obj::ThrottleDevice => {
                push(&mut pools.throttle_devices, self.throttle_device, full, at)
            }
            Obj::HugepageLimit => push(&mut pools.hugepage_limits, self.hugepage_limit, full, at),
            Obj::NetPriority => push(&mut pools.net_priorities, self.net_priority, full, at),
            Obj::Rdma => {
                self.rdma.device = key;
                push(&mut pools.rdma, self.rdma, full, at)
            }
            Obj::SeccompRule => push(&mut pools.seccomp_rules, self.seccomp_rule, full, at),
            Obj::SeccompArg => push(&mut pools.seccomp_args, self.seccomp_arg, full, at),
            _ => Ok(()),
        }
    }
}

/// What is broken when the pool of an object is full.
fn capacity(obj: Obj) -> Cause {
    Cause::Limit(match obj {
        // More entries than kinds: one of them comes twice.
        Obj::Rlimit => return Cause::Rule(Rule::RlimitTwice),
        Obj::Namespace => return Cause::Rule(Rule::NamespaceTwice),
        Obj::Mount => Limit::MOUNTS,
        Obj::IdMapping => Limit::ID_MAPPINGS_ALL,
        Obj::Hook => Limit::HOOKS,
        Obj::Device => Limit::DEVICES,
        Obj::NetDevice => Limit::NET_DEVICES,
        Obj::DeviceRule => Limit::DEVICE_RULES,
        Obj::SeccompRule => Limit::SECCOMP_RULES,
        Obj::SeccompArg => Limit::SECCOMP_ARGS,
        _ => Limit::RESOURCE_ROWS,
    })
}
