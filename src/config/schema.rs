//! The shape of the document: for each object its keys, what their values must be, and which of them must be there.
//!
//! One table serves three readers: which key is known (`Obj::keys`), where its value goes (`Draft::slot`) and what an
//! object starts as (`Draft::begin`). A row is `must` or `may`, the field of the draft, the key, the [`Node`].
#![forbid(unsafe_code)]

use super::names::Names;
use super::node::{Int, Keys, Node, Pool};
use super::seed::{Draft, Slot};
use crate::error::Rule;

macro_rules! mask {
    () => { 0 };
    (must $($rest:ident)*) => { 1 | mask!($($rest)*) << 1 };
    (may $($rest:ident)*) => { mask!($($rest)*) << 1 };
}

macro_rules! objects {
    ($($obj:ident $rule:ident $member:ident {
        $($need:ident $field:ident $key:literal $node:expr;)*
    })*) => {
        /// A kind of object.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Obj { $($obj,)* }

        impl Obj {
            pub(super) fn keys(self) -> Keys {
                use Node::{Access, Bits, Bool, Free, Ids, Map, Name, Object, Objects, Pairs, Text, Texts};
                match self { $(Self::$obj => {
                    static NODES: &[Node] = &[$($node,)*];
                    Keys {
                        words: concat!($($key, " ",)*),
                        nodes: NODES,
                        must: mask!($($need)*),
                        rule: Rule::$rule,
                    }
                })* }
            }
        }

        impl Draft {
            /// Where the value of key number `index` of an object goes.
            pub(super) fn slot(&mut self, obj: Obj, index: u8) -> Slot<'_> {
                match obj { $(Obj::$obj => {
                    #[allow(non_camel_case_types)]
                    enum Row { $($field,)* }
                    $(if index == Row::$field as u8 {
                        return Slot::from(&mut self.$member.$field);
                    })*
                    Slot::Nothing
                })* }
            }

            /// An empty object at `at`.
            pub(super) fn begin(&mut self, obj: Obj, at: u32) {
                match obj { $(Obj::$obj => {
                    self.$member = Default::default();
                    self.$member.at = at;
                })* }
            }
        }
    };
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
    Rlimit KeysRlimit rlimit {
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
    Mount KeysMount mount {
        must destination "destination" Text;
        may source "source" Text;
        may kind "type" Text;
        may options "options" Texts(Pool::MountOptions);
        may uid_mappings "uidMappings" Objects(Obj::IdMapping);
        may gid_mappings "gidMappings" Objects(Obj::IdMapping);
    }
    IdMapping KeysIdMapping id_mapping {
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
    Hook KeysHook hook {
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
    TimeOffset Never time_offset {
        may secs "secs" N(I64);
        may nanosecs "nanosecs" N(Nanoseconds);
    }
    Namespace KeysNamespace namespace {
        must kind "type" Name(Names::Namespace);
        may path "path" Text;
    }
    Device KeysDevice device {
        must kind "type" Name(Names::Device);
        must path "path" Text;
        may major "major" N(Major);
        may minor "minor" N(Minor);
        may file_mode "fileMode" N(Mode);
        may uid "uid" N(Id);
        may gid "gid" N(Id);
    }
    NetDevice Never net_device {
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
    DeviceRule KeysDeviceRule device_rule {
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
    WeightDevice KeysWeightDevice weight_device {
        must major "major" N(U32);
        must minor "minor" N(U32);
        may weight "weight" N(U16);
        may leaf_weight "leafWeight" N(U16);
    }
    ThrottleDevice KeysThrottleDevice throttle_device {
        must major "major" N(U32);
        must minor "minor" N(U32);
        must rate "rate" N(U64);
    }
    HugepageLimit KeysHugepageLimit hugepage_limit {
        must page_size "pageSize" Text;
        must limit "limit" N(U64);
    }
    Network Never network {
        may class_id "classID" N(U32);
        may priorities "priorities" Objects(Obj::NetPriority);
    }
    NetPriority KeysNetPriority net_priority {
        must name "name" Text;
        must priority "priority" N(U32);
    }
    Rdma Never rdma {
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
    SeccompRule KeysSeccompRule seccomp_rule {
        must names "names" Texts(Pool::SeccompNames);
        must action "action" Name(Names::SeccompAction);
        may errno "errnoRet" N(U32);
        may args "args" Objects(Obj::SeccompArg);
    }
    SeccompArg KeysSeccompArg seccomp_arg {
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
