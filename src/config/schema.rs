//! The shape of the document: for each object its keys, what their values must be, and which of them must be there.
//!
//! A row is `must` or `may`, the field of the draft that the value goes to, the key, the [`Node`]. All rows and all keys
//! are one table and one text, since a pointer costs four times what a number does; the objects know where theirs begin.
#![forbid(unsafe_code)]

use super::names::Names;
use super::node::{Int, Node, Pool};
use super::seed::{Draft, Slot};
use crate::error::Rule;
use crate::sys::field::{Field, field};

/// A key of an object: what its value must be, and where that goes.
#[derive(Clone, Copy)]
pub(super) struct Row {
    pub(super) node: Node,
    pub(super) slot: Slot,
}

/// What there is to know about a kind of object, apart from its rows.
pub(super) struct Shape {
    /// Its first key in `WORDS`.
    word: u16,
    /// Its first row in `ROWS`.
    row: u16,
    /// How many rows.
    rows: u8,
    /// Bit N: key N must be there.
    pub(super) must: u32,
    /// What is broken when one of these is not there.
    pub(super) rule: Rule,
    /// The place for the offset of the object.
    pub(super) at: Field<Draft, u32>,
}

impl Shape {
    /// The number of the key that `is` knows, and its row.
    pub(super) fn find(&self, mut is: impl FnMut(&[u8]) -> bool) -> Option<(u8, Row)> {
        let words = WORDS.as_bytes().get(usize::from(self.word)..)?;
        let mut words = words.split(|byte| *byte == b' ');
        (0..self.rows).find_map(|number| {
            let row = usize::from(self.row) + usize::from(number);
            is(words.next()?).then_some((number, *ROWS.get(row)?))
        })
    }
}

/// The shapes, where `sizes` says how many letters and rows each has.
#[allow(
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    reason = "asserted and evaluated while compiling"
)]
const fn begun<const N: usize>(mut shapes: [Shape; N], sizes: [(usize, usize); N]) -> [Shape; N] {
    let (mut n, mut word, mut row) = (0, 0, 0);
    while n < N {
        let (letters, rows) = sizes[n];
        assert!(word <= u16::MAX as usize && row <= u16::MAX as usize && rows <= 32);
        shapes[n].word = word as u16;
        shapes[n].row = row as u16;
        shapes[n].rows = rows as u8;
        word += letters;
        row += rows;
        n += 1;
    }
    shapes
}

macro_rules! mask {
    () => { 0 };
    (must $($rest:ident)*) => { 1 | mask!($($rest)*) << 1 };
    (may $($rest:ident)*) => { mask!($($rest)*) << 1 };
}

/// A field of an object in the draft.
macro_rules! place {
    (($group:ident.$member:ident) $field:ident) => {
        field!(Draft, $group.$member.$field)
    };
    ($member:ident $field:ident) => {
        field!(Draft, $member.$field)
    };
}

macro_rules! objects {
    ($($obj:ident $rule:ident $member:tt {
        $($need:ident $field:ident $key:literal $node:expr;)*
    })*) => {
        /// A kind of object.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Obj { $($obj,)* }

        /// The keys of all objects, each with a space behind it.
        const WORDS: &str = concat!($($($key, " ",)*)*);

        const SHAPES_LEN: usize = [$(Obj::$obj),*].len();
        static SHAPES: [Shape; SHAPES_LEN] = begun([$(Shape {
            word: 0,
            row: 0,
            rows: 0,
            must: mask!($($need)*),
            rule: Rule::$rule,
            at: place!($member at),
        },)*], [$((concat!($($key, " ",)*).len(), [$($key,)*].len()),)*]);

        static ROWS: &[Row] = {
            use Node::{Access, Bits, Bool, Free, Ids, Map, Name, Object, Objects, Pairs, Text, Texts};
            &[$($(Row { node: $node, slot: place!($member $field).slot() },)*)*]
        };
    };
}

impl Obj {
    pub(super) fn shape(self) -> Option<&'static Shape> {
        SHAPES.get(self as usize)
    }
}

use Int::{
    Argument, I64, Id, IoPriority, Major, Minor, Mode, Nanoseconds, Nice, Oom, Percent, Priority,
    Timeout, U16, U32, U64, Umask, Wildcard,
};
use Node::Int as N;

objects! {
    Config KeysConfig config {
        may oci_version "ociVersion" Text;
        must root "root" Object(Obj::Root);
        may process "process" Object(Obj::Process);
        may hostname "hostname" Text;
        may domainname "domainname" Text;
        may mounts "mounts" Objects(Obj::Mount);
        may hooks "hooks" Object(Obj::Hooks);
        may annotations "annotations" Pairs(Pool::Annotations);
        may linux "linux" Object(Obj::Linux);
    }
    Mounts MountsMissing config {
        must mounts "mounts" Objects(Obj::Mount);
    }
    Root KeysRoot root {
        must path "path" Text;
        may readonly "readonly" Bool;
    }
    Process KeysProcess process {
        may terminal "terminal" Bool;
        may console_size "consoleSize" Object(Obj::ConsoleSize);
        must cwd "cwd" Text;
        may env "env" Texts(Pool::Env);
        must args "args" Texts(Pool::Args);
        may user "user" Object(Obj::User);
        may capabilities "capabilities" Object(Obj::Capabilities);
        may rlimits "rlimits" Objects(Obj::Rlimit);
        may no_new_privileges "noNewPrivileges" Bool;
        may apparmor_profile "apparmorProfile" Text;
        may selinux_label "selinuxLabel" Text;
        may oom_score_adj "oomScoreAdj" N(Oom);
        may scheduler "scheduler" Object(Obj::Scheduler);
        may io_priority "ioPriority" Object(Obj::IoPriority);
        may exec_cpu_affinity "execCPUAffinity" Object(Obj::CpuAffinity);
    }
    ConsoleSize KeysConsoleSize console_size {
        must height "height" N(U16);
        must width "width" N(U16);
    }
    User Never user {
        may uid "uid" N(Id);
        may gid "gid" N(Id);
        may umask "umask" N(Umask);
        may additional_gids "additionalGids" Ids;
    }
    Capabilities Never capabilities {
        may bounding "bounding" Bits(Names::Capability);
        may effective "effective" Bits(Names::Capability);
        may inheritable "inheritable" Bits(Names::Capability);
        may permitted "permitted" Bits(Names::Capability);
        may ambient "ambient" Bits(Names::Capability);
    }
    Rlimit KeysRlimit (entry.rlimit) {
        must resource "type" Name(Names::Rlimit);
        must soft "soft" N(U64);
        must hard "hard" N(U64);
    }
    Scheduler KeysScheduler scheduler {
        must policy "policy" Name(Names::SchedPolicy);
        may nice "nice" N(Nice);
        may priority "priority" N(Priority);
        may flags "flags" Bits(Names::SchedFlag);
        may runtime "runtime" N(U64);
        may deadline "deadline" N(U64);
        may period "period" N(U64);
    }
    IoPriority KeysIoPriority io_priority {
        must class "class" Name(Names::IoClass);
        may priority "priority" N(IoPriority);
    }
    CpuAffinity Never cpu_affinity {
        may initial "initial" Text;
        may last "final" Text;
    }
    Mount KeysMount (entry.mount) {
        must destination "destination" Text;
        may source "source" Text;
        may kind "type" Text;
        may options "options" Texts(Pool::MountOptions);
        may uid_mappings "uidMappings" Objects(Obj::IdMapping);
        may gid_mappings "gidMappings" Objects(Obj::IdMapping);
    }
    IdMapping KeysIdMapping (part.id_mapping) {
        must container "containerID" N(U32);
        must host "hostID" N(U32);
        must size "size" N(U32);
    }
    Hooks Never hooks {
        may prestart "prestart" Objects(Obj::Hook);
        may create_runtime "createRuntime" Objects(Obj::Hook);
        may create_container "createContainer" Objects(Obj::Hook);
        may start_container "startContainer" Objects(Obj::Hook);
        may poststart "poststart" Objects(Obj::Hook);
        may poststop "poststop" Objects(Obj::Hook);
    }
    Hook KeysHook (entry.hook) {
        must path "path" Text;
        may args "args" Texts(Pool::HookWords);
        may env "env" Texts(Pool::HookWords);
        may timeout "timeout" N(Timeout);
    }
    Linux Never linux {
        may namespaces "namespaces" Objects(Obj::Namespace);
        may uid_mappings "uidMappings" Objects(Obj::IdMapping);
        may gid_mappings "gidMappings" Objects(Obj::IdMapping);
        may time_offsets "timeOffsets" Object(Obj::TimeOffsets);
        may devices "devices" Objects(Obj::Device);
        may net_devices "netDevices" Map(Obj::NetDevice);
        may cgroups_path "cgroupsPath" Text;
        may resources "resources" Object(Obj::Resources);
        may sysctl "sysctl" Pairs(Pool::Sysctl);
        may seccomp "seccomp" Object(Obj::Seccomp);
        may rootfs_propagation "rootfsPropagation" Name(Names::Propagation);
        may masked_paths "maskedPaths" Texts(Pool::Paths);
        may readonly_paths "readonlyPaths" Texts(Pool::Paths);
        may mount_label "mountLabel" Text;
        may personality "personality" Object(Obj::Personality);
        may intel_rdt "intelRdt" Object(Obj::IntelRdt);
        may memory_policy "memoryPolicy" Object(Obj::MemoryPolicy);
    }
    TimeOffsets Never time_offsets {
        may boottime "boottime" Object(Obj::TimeOffset);
        may monotonic "monotonic" Object(Obj::TimeOffset);
    }
    TimeOffset Never (entry.time_offset) {
        may secs "secs" N(I64);
        may nanosecs "nanosecs" N(Nanoseconds);
    }
    Namespace KeysNamespace (entry.namespace) {
        must kind "type" Name(Names::Namespace);
        may path "path" Text;
    }
    Device KeysDevice (entry.device) {
        must kind "type" Name(Names::Device);
        must path "path" Text;
        may major "major" N(Major);
        may minor "minor" N(Minor);
        may file_mode "fileMode" N(Mode);
        may uid "uid" N(Id);
        may gid "gid" N(Id);
    }
    NetDevice Never (entry.net_device) {
        may name "name" Text;
    }
    Resources Never resources {
        may devices "devices" Objects(Obj::DeviceRule);
        may memory "memory" Object(Obj::Memory);
        may cpu "cpu" Object(Obj::Cpu);
        may pids "pids" Object(Obj::Pids);
        may block_io "blockIO" Object(Obj::BlockIo);
        may hugepage_limits "hugepageLimits" Objects(Obj::HugepageLimit);
        may network "network" Object(Obj::Network);
        may rdma "rdma" Map(Obj::Rdma);
        may unified "unified" Pairs(Pool::Unified);
    }
    DeviceRule KeysDeviceRule (entry.device_rule) {
        may allow "allow" Bool;
        may kind "type" Name(Names::DeviceRule);
        may major "major" N(Wildcard);
        may minor "minor" N(Wildcard);
        must access "access" Access;
    }
    Memory Never memory {
        may limit "limit" N(I64);
        may reservation "reservation" N(I64);
        may swap "swap" N(I64);
        may kernel "kernel" N(I64);
        may kernel_tcp "kernelTCP" N(I64);
        may swappiness "swappiness" N(Percent);
        may disable_oom_killer "disableOOMKiller" Bool;
        may use_hierarchy "useHierarchy" Bool;
        may check_before_update "checkBeforeUpdate" Bool;
    }
    Cpu Never cpu {
        may shares "shares" N(U64);
        may quota "quota" N(I64);
        may burst "burst" N(U64);
        may period "period" N(U64);
        may realtime_runtime "realtimeRuntime" N(I64);
        may realtime_period "realtimePeriod" N(U64);
        may idle "idle" N(I64);
        may cpus "cpus" Text;
        may mems "mems" Text;
    }
    Pids Never pids {
        may limit "limit" N(I64);
    }
    BlockIo Never block_io {
        may weight "weight" N(U16);
        may leaf_weight "leafWeight" N(U16);
        may weight_devices "weightDevice" Objects(Obj::WeightDevice);
        may read_bps "throttleReadBpsDevice" Objects(Obj::ThrottleDevice);
        may write_bps "throttleWriteBpsDevice" Objects(Obj::ThrottleDevice);
        may read_iops "throttleReadIOPSDevice" Objects(Obj::ThrottleDevice);
        may write_iops "throttleWriteIOPSDevice" Objects(Obj::ThrottleDevice);
    }
    WeightDevice KeysWeightDevice (entry.weight_device) {
        must major "major" N(U32);
        must minor "minor" N(U32);
        may weight "weight" N(U16);
        may leaf_weight "leafWeight" N(U16);
    }
    ThrottleDevice KeysThrottleDevice (entry.throttle_device) {
        must major "major" N(U32);
        must minor "minor" N(U32);
        must rate "rate" N(U64);
    }
    HugepageLimit KeysHugepageLimit (entry.hugepage_limit) {
        must page_size "pageSize" Text;
        must limit "limit" N(U64);
    }
    Network Never network {
        may class_id "classID" N(U32);
        may priorities "priorities" Objects(Obj::NetPriority);
    }
    NetPriority KeysNetPriority (entry.net_priority) {
        must name "name" Text;
        must priority "priority" N(U32);
    }
    Rdma Never (entry.rdma) {
        may hca_handles "hcaHandles" N(U32);
        may hca_objects "hcaObjects" N(U32);
    }
    Seccomp Never seccomp {
        may default_action "defaultAction" Name(Names::SeccompAction);
        may default_errno "defaultErrnoRet" N(U32);
        may architectures "architectures" Bits(Names::Arch);
        may flags "flags" Bits(Names::SeccompFlag);
        may listener_path "listenerPath" Text;
        may listener_metadata "listenerMetadata" Free;
        may rules "syscalls" Objects(Obj::SeccompRule);
    }
    SeccompRule KeysSeccompRule (entry.seccomp_rule) {
        must names "names" Texts(Pool::SeccompNames);
        must action "action" Name(Names::SeccompAction);
        may errno "errnoRet" N(U32);
        may args "args" Objects(Obj::SeccompArg);
    }
    SeccompArg KeysSeccompArg (part.seccomp_arg) {
        must index "index" N(Argument);
        must value "value" N(U64);
        may value_two "valueTwo" N(U64);
        must op "op" Name(Names::SeccompOp);
    }
    Personality KeysPersonality personality {
        must linux32 "domain" Name(Names::Personality);
    }
    IntelRdt Never intel_rdt {
        may clos_id "closID" Text;
        may l3_cache_schema "l3CacheSchema" Text;
        may mem_bw_schema "memBwSchema" Text;
        may schemata "schemata" Texts(Pool::Schemata);
        may enable_monitoring "enableMonitoring" Bool;
    }
    MemoryPolicy KeysMemoryPolicy memory_policy {
        must mode "mode" Name(Names::MemPolicy);
        may nodes "nodes" Text;
        may flags "flags" Bits(Names::MemPolicyFlag);
    }
}
