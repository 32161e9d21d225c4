//! The table of conversions, row by row: resources as JSON, what is written on v1, what on v2.

use super::{Subject, make};
use crate::cgroup::limits::{Entry, How, Limits};
use crate::cgroup::{Hierarchies, Mode, Policy};
use crate::config::{Pools, read_resources};
use crate::error::{At, Cause, Fault, Feature, Rule};
use crate::plan::arena::Arena;
use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};

/// Too large for the stack of a test.
static ROOM: Mutex<(Pools, Arena)> = Mutex::new((Pools::new(), Arena::new()));

/// `file=value`, separated by blanks, with a letter behind the file for other ways than plain.
fn written(mode: Mode, policy: Policy, memory: Option<i64>, json: &str) -> Result<String, Fault> {
    let mut room = ROOM.lock().unwrap_or_else(PoisonError::into_inner);
    let mut limits = Box::new(Limits::new());
    let (pools, arena) = &mut *room;
    limits.policy = policy;
    let mut rows = Box::new(Hierarchies::new());
    let names: &[&str] = match mode {
        Mode::None => &[],
        Mode::V2 => &[""],
        Mode::V1 => &[
            "memory",
            "cpu,cpuacct",
            "cpuset",
            "pids",
            "blkio",
            "hugetlb",
            "rdma",
            "net_cls,net_prio",
            "",
        ],
    };
    for name in names {
        rows.push(name.as_bytes(), b"/m", &[b"/c"]).unwrap();
    }
    let resources = read_resources(json.as_bytes(), pools).unwrap();
    let subject = Subject {
        resources: &resources,
        pools,
        doc: json.as_bytes(),
        mode,
        memory,
    };
    make(subject, &rows, arena, &mut limits);
    arena.result()?;
    let mut all = String::new();
    for entry in limits.entries() {
        let Entry::Value(value) = entry else {
            all += "refused ";
            continue;
        };
        let mark = match value.how {
            How::Plain => "",
            How::Optional => "?",
            How::OrNext => "|",
            How::AfterNext => "<",
            How::BehindFirst => "+",
            How::AtMost => "≤",
        };
        let text = |it| std::str::from_utf8(arena.bytes(it)).unwrap();
        let name = text(value.file);
        // The controller of the file is in the hierarchy.
        let row = rows.get(usize::from(value.row)).unwrap();
        let controllers = std::str::from_utf8(row.controllers).unwrap();
        let first = name.split('.').next().unwrap();
        assert!(
            mode == Mode::V2 || controllers.split(',').any(|it| it == first),
            "{name}"
        );
        assert_eq!(
            arena.text_at(value.file.at + value.file.len + 1),
            arena.bytes(value.text)
        );
        write!(all, "{name}{mark}={}; ", text(value.text)).unwrap();
    }
    Ok(all.trim_end_matches("; ").to_owned())
}

/// Rows: the document, v1, v2; a leading `!` for a rule that is broken.
const TABLE: &[(&str, &str, &str)] = &[
    ("{}", "", ""),
    // pids
    (
        r#"{"pids": {"limit": 100}}"#,
        "pids.max=100",
        "pids.max=100",
    ),
    (r#"{"pids": {"limit": -1}}"#, "pids.max=max", "pids.max=max"),
    (r#"{"pids": {"limit": 0}}"#, "pids.max=1", "pids.max=1"),
    // memory
    (
        r#"{"memory": {"limit": 0, "swap": 0, "reservation": 0}}"#,
        "",
        "",
    ),
    (
        r#"{"memory": {"limit": 4096}}"#,
        "memory.limit_in_bytes<=4096",
        "memory.max=4096",
    ),
    (
        r#"{"memory": {"limit": -1}}"#,
        "memory.limit_in_bytes<=-1; memory.memsw.limit_in_bytes=-1",
        "memory.swap.max=max; memory.max=max",
    ),
    (
        r#"{"memory": {"limit": 100, "swap": 300}}"#,
        "memory.limit_in_bytes<=100; memory.memsw.limit_in_bytes=300",
        "memory.swap.max=200; memory.max=100",
    ),
    (
        r#"{"memory": {"limit": 100, "swap": 100}}"#,
        "memory.limit_in_bytes<=100; memory.memsw.limit_in_bytes=100",
        "memory.swap.max?=0; memory.max=100",
    ),
    (
        r#"{"memory": {"limit": 100, "swap": -1}}"#,
        "memory.limit_in_bytes<=100; memory.memsw.limit_in_bytes=-1",
        "memory.swap.max=max; memory.max=100",
    ),
    (
        r#"{"memory": {"limit": 100, "swap": 99}}"#,
        "!SwapBelowLimit",
        "!SwapBelowLimit",
    ),
    (
        r#"{"memory": {"swap": 99}}"#,
        "memory.memsw.limit_in_bytes=99",
        "!SwapNeedsLimit",
    ),
    (
        r#"{"memory": {"limit": -1, "swap": 99}}"#,
        "memory.limit_in_bytes<=-1; memory.memsw.limit_in_bytes=99",
        "!SwapNeedsLimit",
    ),
    (
        r#"{"memory": {"reservation": 7}}"#,
        "memory.soft_limit_in_bytes=7",
        "memory.low=7",
    ),
    (
        r#"{"memory": {"reservation": -1}}"#,
        "memory.soft_limit_in_bytes=-1",
        "memory.low=max",
    ),
    (
        r#"{"memory": {"kernel": 7}}"#,
        "memory.kmem.limit_in_bytes=7",
        "!OnlyV1",
    ),
    (
        r#"{"memory": {"kernel": -1, "kernelTCP": 0}}"#,
        "memory.kmem.limit_in_bytes=-1",
        "",
    ),
    (
        r#"{"memory": {"kernelTCP": 7}}"#,
        "memory.kmem.tcp.limit_in_bytes=7",
        "!OnlyV1",
    ),
    (
        r#"{"memory": {"swappiness": 0}}"#,
        "memory.swappiness=0",
        "!OnlyV1",
    ),
    (
        r#"{"memory": {"disableOOMKiller": true}}"#,
        "memory.oom_control=1",
        "!OnlyV1",
    ),
    (
        r#"{"memory": {"disableOOMKiller": false, "useHierarchy": true}}"#,
        "",
        "",
    ),
    (
        r#"{"memory": {"limit": 100, "checkBeforeUpdate": true}}"#,
        "memory.usage_in_bytes≤=100; memory.limit_in_bytes<=100",
        "memory.current≤=100; memory.max=100",
    ),
    // cpu
    (
        r#"{"cpu": {"shares": 1024}}"#,
        "cpu.shares=1024",
        "cpu.weight=100",
    ),
    (r#"{"cpu": {"shares": 0}}"#, "", ""),
    (
        r#"{"cpu": {"shares": 1024, "idle": 1}}"#,
        "cpu.idle=1",
        "cpu.idle=1",
    ),
    (
        r#"{"cpu": {"shares": 2, "idle": 0}}"#,
        "cpu.idle?=0; cpu.shares=2",
        "cpu.idle?=0; cpu.weight=1",
    ),
    (
        r#"{"cpu": {"quota": 5000, "period": 10000}}"#,
        "cpu.cfs_period_us<=10000; cpu.cfs_quota_us<=5000",
        "cpu.max<=5000 10000",
    ),
    (
        r#"{"cpu": {"quota": -1, "period": 10000}}"#,
        "cpu.cfs_period_us<=10000; cpu.cfs_quota_us<=-1",
        "cpu.max<=max 10000",
    ),
    (
        r#"{"cpu": {"quota": 5000}}"#,
        "cpu.cfs_quota_us<=5000",
        "cpu.max<=5000",
    ),
    (
        r#"{"cpu": {"quota": -1}}"#,
        "cpu.cfs_quota_us<=-1",
        "cpu.max<=max",
    ),
    (
        r#"{"cpu": {"period": 10000}}"#,
        "cpu.cfs_period_us<=10000",
        "cpu.max+=10000",
    ),
    (
        r#"{"cpu": {"quota": 50, "period": 100, "burst": 20}}"#,
        "cpu.cfs_period_us<=100; cpu.cfs_quota_us<=50; cpu.cfs_burst_us=20",
        "cpu.max<=50 100; cpu.max.burst=20",
    ),
    (
        r#"{"cpu": {"burst": 20}}"#,
        "cpu.cfs_burst_us=20",
        "cpu.max.burst=20",
    ),
    (
        r#"{"cpu": {"realtimeRuntime": 5, "realtimePeriod": 10}}"#,
        "cpu.rt_period_us<=10; cpu.rt_runtime_us=5",
        "!OnlyV1",
    ),
    (
        r#"{"cpu": {"realtimeRuntime": 5}}"#,
        "cpu.rt_runtime_us=5",
        "!OnlyV1",
    ),
    (
        r#"{"cpu": {"realtimeRuntime": 0, "realtimePeriod": 0}}"#,
        "",
        "",
    ),
    (
        r#"{"cpu": {"cpus": "0-1,3", "mems": "0"}}"#,
        "cpuset.cpus=0-1,3; cpuset.mems=0",
        "cpuset.cpus=0-1,3; cpuset.mems=0",
    ),
    // blockIO
    (r#"{"blockIO": {"weight": 0, "leafWeight": 0}}"#, "", ""),
    (
        r#"{"blockIO": {"weight": 100}}"#,
        "blkio.weight|=100; blkio.bfq.weight=100",
        "io.bfq.weight|=100; io.weight=910",
    ),
    (
        r#"{"blockIO": {"leafWeight": 100}}"#,
        "blkio.leaf_weight=100",
        "!OnlyV1",
    ),
    (
        r#"{"blockIO": {"weightDevice": [{"major": 8, "minor": 16, "weight": 500}]}}"#,
        "blkio.weight_device|=8:16 500; blkio.bfq.weight_device=8:16 500",
        "io.bfq.weight|=8:16 500; io.weight=8:16 4950",
    ),
    (
        r#"{"blockIO": {"weightDevice": [{"major": 8, "minor": 16, "leafWeight": 500}]}}"#,
        "blkio.leaf_weight_device=8:16 500",
        "!OnlyV1",
    ),
    (
        r#"{"blockIO": {"throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 1}, {"major": 8, "minor": 1, "rate": 0}],
            "throttleWriteBpsDevice": [{"major": 8, "minor": 0, "rate": 2}],
            "throttleReadIOPSDevice": [{"major": 8, "minor": 0, "rate": 3}],
            "throttleWriteIOPSDevice": [{"major": 8, "minor": 0, "rate": 4}]}}"#,
        "blkio.throttle.read_bps_device=8:0 1; blkio.throttle.read_bps_device=8:1 0; \
         blkio.throttle.write_bps_device=8:0 2; blkio.throttle.read_iops_device=8:0 3; \
         blkio.throttle.write_iops_device=8:0 4",
        "io.max=8:0 rbps=1; io.max=8:1 rbps=max; io.max=8:0 wbps=2; io.max=8:0 riops=3; io.max=8:0 wiops=4",
    ),
    // hugepageLimits
    (
        r#"{"hugepageLimits": [{"pageSize": "2MB", "limit": 4194304}]}"#,
        "hugetlb.2MB.limit_in_bytes=4194304; hugetlb.2MB.rsvd.limit_in_bytes?=4194304",
        "hugetlb.2MB.max=4194304; hugetlb.2MB.rsvd.max?=4194304",
    ),
    // network
    (
        r#"{"network": {"classID": 1048577}}"#,
        "net_cls.classid=1048577",
        "!OnlyV1",
    ),
    (r#"{"network": {"classID": 0, "priorities": []}}"#, "", ""),
    (
        r#"{"network": {"priorities": [{"name": "eth0", "priority": 5}]}}"#,
        "net_prio.ifpriomap=eth0 5",
        "!OnlyV1",
    ),
    // rdma
    (
        r#"{"rdma": {"mlx5_0": {"hcaHandles": 3, "hcaObjects": 4}}}"#,
        "rdma.max=mlx5_0 hca_handle=3; rdma.max=mlx5_0 hca_object=4",
        "rdma.max=mlx5_0 hca_handle=3; rdma.max=mlx5_0 hca_object=4",
    ),
    (
        r#"{"rdma": {"mlx5_0": {"hcaObjects": 4}}}"#,
        "rdma.max=mlx5_0 hca_object=4",
        "rdma.max=mlx5_0 hca_object=4",
    ),
    // unified
    (
        r#"{"unified": {"memory.high": "1000", "io.max": "8:0 rbps=1\n8:16 rbps=2"}}"#,
        "!OnlyV2",
        "memory.high=1000; io.max=8:0 rbps=1\n8:16 rbps=2",
    ),
    // The order: what is unified comes last.
    (
        r#"{"unified": {"pids.max": "7"}, "cpu": {"cpus": "0"}, "memory": {"limit": 1}, "pids": {"limit": 1}}"#,
        "!OnlyV2",
        "pids.max=1; memory.max=1; cpuset.cpus=0; pids.max=7",
    ),
];

#[test]
fn conversions() {
    for (json, v1, v2) in TABLE {
        for (mode, want) in [(Mode::V1, v1), (Mode::V2, v2)] {
            let got = written(mode, Policy::Strict, None, json);
            let got = got.unwrap_or_else(|fault| match fault.cause() {
                Cause::Rule(rule) => format!("!{rule:?}"),
                cause => format!("!{cause:?}"),
            });
            assert_eq!(got, *want, "{mode:?} {json}");
        }
    }
}

#[test]
fn swap_alone_goes_with_the_limit_that_is_there() {
    let json = r#"{"memory": {"swap": 300}}"#;
    let with = |memory| written(Mode::V2, Policy::Strict, memory, json);
    assert_eq!(with(Some(100)).unwrap(), "memory.swap.max=200");
    let cause = |memory| with(memory).unwrap_err().cause();
    assert_eq!(cause(Some(400)), Cause::Rule(Rule::SwapBelowLimit));
    assert_eq!(cause(Some(-1)), Cause::Rule(Rule::SwapNeedsLimit));
}

#[test]
fn without_a_controller_or_any() {
    let wants = r#"{"pids": {"limit": 5}}"#;
    let fault = written(Mode::None, Policy::Strict, None, wants).unwrap_err();
    assert_eq!(fault.cause(), Cause::Rule(Rule::LimitsNeedCgroups));
    assert_eq!(fault.at(), At::Byte(9));
    let says_nothing = r#"{"pids": {"limit": -1}}"#;
    assert_eq!(
        written(Mode::None, Policy::Strict, None, says_nothing).unwrap(),
        ""
    );
    let misc = r#"{"cpu": {"cpus": "0"}}"#;
    assert!(written(Mode::V1, Policy::Strict, None, misc).is_ok());
    let fault = Fault::placed(
        crate::error::Step::PlanLimits,
        Cause::Missing(Feature::Pids, 0),
        At::Byte(9),
    );
    assert_eq!(Fault::from_bytes(fault.to_bytes()), Some(fault));
}

#[test]
fn best_effort_keeps_what_is_refused() {
    let json = r#"{"memory": {"swappiness": 1, "limit": 9}, "network": {"classID": 1}}"#;
    let got = written(Mode::V2, Policy::BestEffort, None, json).unwrap();
    assert_eq!(got, "memory.max=9; refused refused ");
}
