//! Where parsed values go: [`Draft`] holds one object of each kind while its keys come in, and `commit` moves it to its
//! place in the document's structs or to its pool when it closes. No kind of object nests in itself, so one of each is
//! enough, and no list shares a pool with a list inside it, so every list is one range. A draft is for one document.
#![forbid(unsafe_code)]

use super::names::{DeviceKind, NamespaceKind, Propagation, SeccompAction, SeccompOp};
use super::pools::Pools;
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
use crate::sys::field::Field;

/// One object of each kind, as far as it has been read.
#[derive(Default)]
pub(super) struct Draft {
    pub(super) config: Config,
    pub(super) root: Root,
    pub(super) process: Process,
    pub(super) console_size: ConsoleSize,
    pub(super) user: User,
    pub(super) capabilities: Capabilities,
    pub(super) scheduler: Scheduler,
    pub(super) io_priority: IoPriority,
    pub(super) cpu_affinity: CpuAffinity,
    pub(super) hooks: Hooks,
    pub(super) linux: Linux,
    pub(super) time_offsets: TimeOffsets,
    pub(super) resources: Resources,
    pub(super) memory: Memory,
    pub(super) cpu: Cpu,
    pub(super) pids: Pids,
    pub(super) block_io: BlockIo,
    pub(super) network: Network,
    pub(super) seccomp: Seccomp,
    pub(super) personality: Personality,
    pub(super) intel_rdt: IntelRdt,
    pub(super) memory_policy: MemoryPolicy,
    pub(super) entry: Entry,
    pub(super) part: Part,
}

/// The objects that there can be several of; none of them is in another one.
#[derive(Default)]
pub(super) struct Entry {
    pub(super) rlimit: Rlimit,
    pub(super) mount: Mount,
    pub(super) hook: Hook,
    pub(super) time_offset: OffsetDraft,
    pub(super) namespace: Namespace,
    pub(super) device: Device,
    pub(super) net_device: NetDevice,
    pub(super) device_rule: DeviceRule,
    pub(super) weight_device: WeightDevice,
    pub(super) throttle_device: ThrottleDevice,
    pub(super) hugepage_limit: HugepageLimit,
    pub(super) net_priority: NetPriority,
    pub(super) rdma: Rdma,
    pub(super) seccomp_rule: SeccompRule,
}

/// Objects in an [`Entry`]: the mappings of a mount, the arguments of a rule.
#[derive(Default)]
pub(super) struct Part {
    pub(super) id_mapping: IdMapping,
    pub(super) seccomp_arg: SeccompArg,
}

/// A [`TimeOffset`] with the place that every draft has.
#[derive(Clone, Copy, Default)]
pub(super) struct OffsetDraft {
    pub(super) at: u32,
    pub(super) secs: i64,
    pub(super) nanosecs: u32,
}

/// The types that a field can have, one [`Slot`] for each.
macro_rules! slots {
    ($($variant:ident $type:ty;)*) => {
        /// A place for a value.
        #[derive(Clone, Copy)]
        pub(super) enum Slot {
            /// The value is an object, which commits itself.
            Nothing,
            $($variant(Field<Draft, $type>),)*
        }

        $(impl Field<Draft, $type> {
            pub(super) const fn slot(self) -> Slot {
                Slot::$variant(self)
            }
        })*
    };
    (nothing $($type:ty),*) => {
        $(impl Field<Draft, $type> {
            pub(super) const fn slot(self) -> Slot {
                Slot::Nothing
            }
        })*
    };
}

slots! {
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

slots!(nothing Option<Root>, Option<Process>, Option<Hooks>, Option<Linux>, Option<ConsoleSize>, User,
    Option<Capabilities>, Option<Scheduler>, Option<IoPriority>, Option<CpuAffinity>, Option<TimeOffsets>,
    Option<Resources>, Option<Seccomp>, Option<Personality>, Option<IntelRdt>, Option<MemoryPolicy>, Option<Memory>,
    Option<Cpu>, Option<Pids>, Option<BlockIo>, Option<Network>);

impl Slot {
    pub(super) fn put_text(self, draft: &mut Draft, text: Text) {
        match self {
            Self::Text(place) => *place.of(draft) = text,
            Self::MaybeText(place) => *place.of(draft) = Some(text),
            _ => {}
        }
    }

    pub(super) fn put_list(self, draft: &mut Draft, list: List) {
        match self {
            Self::List(place) => *place.of(draft) = list,
            Self::MaybeList(place) => *place.of(draft) = Some(list),
            _ => {}
        }
    }

    /// A number that its range allows for this place; a negative one comes as its two's complement, and one that the
    /// place cannot hold (the wildcard −1) as absent. Names and bits come as numbers too.
    pub(super) fn put_number(self, draft: &mut Draft, number: u64) {
        let [low, ..] = number.to_le_bytes();
        let signed = number.cast_signed();
        match self {
            Self::Bool(place) => *place.of(draft) = number != 0,
            Self::MaybeBool(place) => *place.of(draft) = Some(number != 0),
            Self::U8(place) => *place.of(draft) = low,
            Self::U16(place) => *place.of(draft) = u16::try_from(number).unwrap_or(0),
            Self::U32(place) => *place.of(draft) = u32::try_from(number).unwrap_or(0),
            Self::U64(place) => *place.of(draft) = number,
            Self::I32(place) => *place.of(draft) = i32::try_from(signed).unwrap_or(0),
            Self::I64(place) => *place.of(draft) = signed,
            Self::MaybeU16(place) => *place.of(draft) = u16::try_from(number).ok(),
            Self::MaybeU32(place) => *place.of(draft) = u32::try_from(number).ok(),
            Self::MaybeU64(place) => *place.of(draft) = Some(number),
            Self::MaybeI32(place) => *place.of(draft) = i32::try_from(signed).ok(),
            Self::MaybeI64(place) => *place.of(draft) = Some(signed),
            Self::Namespace(place) => *place.of(draft) = NamespaceKind::from_number(low),
            Self::Device(place) => *place.of(draft) = DeviceKind::from_number(low / 2),
            Self::Propagation(place) => *place.of(draft) = Some(Propagation::from_number(low)),
            Self::Action(place) => *place.of(draft) = SeccompAction::from_number(low),
            Self::MaybeAction(place) => *place.of(draft) = Some(SeccompAction::from_number(low)),
            Self::Op(place) => *place.of(draft) = SeccompOp::from_number(low),
            _ => {}
        }
    }
}

impl Draft {
    /// Moves a finished object to its place. `slot` is where it stands, `seen` its keys, `key` the key of a map.
    pub(super) fn commit(
        &mut self,
        pools: &mut Pools,
        obj: Obj,
        slot: Slot,
        seen: u32,
        key: Text,
    ) -> Result<(), Cause> {
        // Of these the schema can say what each must have, but not what one of two must have.
        let lacks = match obj {
            Obj::Device if self.entry.device.kind != DeviceKind::Fifo => {
                (seen & 0b1100 != 0b1100).then_some(Rule::KeysDevice)
            }
            Obj::WeightDevice => (seen & 0b1100 == 0).then_some(Rule::KeysWeightDevice),
            Obj::Rdma => (seen == 0).then_some(Rule::KeysRdma),
            _ => None,
        };
        if let Some(rule) = lacks {
            return Err(Cause::Rule(rule));
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
            Obj::IdMapping | Obj::SeccompArg => {
                if !self.part.commit(pools, obj) {
                    return Err(capacity(obj));
                }
                self.part = Part::default();
            }
            Obj::TimeOffset => {
                let OffsetDraft { secs, nanosecs, .. } = self.entry.time_offset;
                if let Slot::Offset(place) = slot {
                    *place.of(self) = Some(TimeOffset { secs, nanosecs });
                }
                self.entry.time_offset = OffsetDraft::default();
            }
            _ => {
                if !self.entry.commit(pools, obj, key) {
                    return Err(capacity(obj));
                }
                self.entry = Entry::default();
            }
        }
        Ok(())
    }
}

impl Part {
    /// Appends the part to its pool, if there is room.
    fn commit(&self, pools: &mut Pools, obj: Obj) -> bool {
        match obj {
            Obj::IdMapping => pools.id_mappings.push(self.id_mapping).is_ok(),
            _ => pools.seccomp_args.push(self.seccomp_arg).is_ok(),
        }
    }
}

impl Entry {
    /// Appends the entry to its pool, if there is room; `key` is that of a map.
    fn commit(&mut self, pools: &mut Pools, obj: Obj, key: Text) -> bool {
        match obj {
            Obj::Rlimit => pools.rlimits.push(self.rlimit).is_ok(),
            Obj::Namespace => pools.namespaces.push(self.namespace).is_ok(),
            Obj::Mount => pools.mounts.push(self.mount).is_ok(),
            Obj::Hook => pools.hooks.push(self.hook).is_ok(),
            Obj::Device => {
                let mode = &mut self.device.file_mode;
                *mode = mode.map(|bits| bits & 0o7777);
                pools.devices.push(self.device).is_ok()
            }
            Obj::NetDevice => {
                self.net_device.host = key;
                pools.net_devices.push(self.net_device).is_ok()
            }
            Obj::DeviceRule => pools.device_rules.push(self.device_rule).is_ok(),
            Obj::WeightDevice => pools.weight_devices.push(self.weight_device).is_ok(),
            Obj::ThrottleDevice => pools.throttle_devices.push(self.throttle_device).is_ok(),
            Obj::HugepageLimit => pools.hugepage_limits.push(self.hugepage_limit).is_ok(),
            Obj::NetPriority => pools.net_priorities.push(self.net_priority).is_ok(),
            Obj::Rdma => {
                self.rdma.device = key;
                pools.rdma.push(self.rdma).is_ok()
            }
            _ => pools.seccomp_rules.push(self.seccomp_rule).is_ok(),
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
