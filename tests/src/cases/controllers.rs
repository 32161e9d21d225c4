//! Limits of controllers that not every host has: block I/O, network, real-time, and what cgroup v1 alone knows.

use std::fs;
use std::path::Path;

use serde_json::json;

use super::limits::{has, limited, need, place, update, value};
use crate::case::{Case, cannot, case};
use crate::facts::{Cgroup, disk, disk_with_bfq};
use crate::harness::T;
use crate::kernel;

pub const CASES: &[Case] = &[
    case!(memory_of_v1),
    case!(check_before_update),
    case!(real_time),
    case!(io_weight),
    case!(io_weight_of_a_device),
    case!(io_throttling),
    case!(network, 30, serial),
    case!(update_flags),
];

fn only_v1(t: &T) {
    if t.facts.cgroup != Cgroup::V1 {
        cannot("cgroup v1 only");
    }
}

fn memory_of_v1(t: &T) {
    only_v1(t);
    need(t, "memory");
    let c = limited(
        t,
        json!({"memory": {"swappiness": 17, "disableOOMKiller": true}}),
    )
    .create();
    assert_eq!(value(&c, "memory.swappiness"), "17");
    assert!(value(&c, "memory.oom_control").contains("oom_kill_disable 1"));
    // The kernel has its own mind about these.
    let limit = 64 << 20;
    let old = json!({"memory": {"kernel": limit, "kernelTCP": limit, "useHierarchy": true}});
    let bundle = limited(t, old);
    let id = t.id();
    let out = bundle.create_cmd(&id, &[]).run();
    if out.code() != 0 {
        out.fails(&["memory.kmem.limit_in_bytes"]);
        return;
    }
    t.cmd(&["delete", "--force", &id]).run().ok();
    let c = bundle.create();
    assert_eq!(
        value(&c, "memory.kmem.tcp.limit_in_bytes"),
        limit.to_string()
    );
}

/// A new cgroup has used nothing yet, so that no limit is too low for it.
fn check_before_update(t: &T) {
    need(t, "memory");
    let limit = 64 << 20;
    let c = limited(
        t,
        json!({"memory": {"limit": limit, "checkBeforeUpdate": true}}),
    )
    .create();
    let v2 = t.facts.cgroup == Cgroup::V2;
    let file = if v2 {
        "memory.max"
    } else {
        "memory.limit_in_bytes"
    };
    assert_eq!(value(&c, file), limit.to_string());
}

/// A real-time process needs a share of the time that v1 sets aside for such.
fn real_time(t: &T) {
    only_v1(t);
    need(t, "cpu");
    t.facts
        .need_path("/sys/fs/cgroup/cpu/cpu.rt_runtime_us", "real-time groups");
    let share = json!({"cpu": {"realtimePeriod": 500_000, "realtimeRuntime": 10_000}});
    for (policy, number) in [("SCHED_FIFO", 1), ("SCHED_RR", 2)] {
        let bundle = limited(t, share.clone()).edit(|c| {
            c["process"]["scheduler"] = json!({"policy": policy, "priority": 7});
        });
        let seen = bundle.probe(&["report"]).run().ok().json()["sched"].clone();
        assert_eq!(seen["policy"], number, "{seen}");
        assert_eq!(seen["priority"], 7, "{seen}");
    }
    let c = limited(t, share).create();
    assert_eq!(value(&c, "cpu.rt_period_us"), "500000");
    assert_eq!(value(&c, "cpu.rt_runtime_us"), "10000");
    update(
        t,
        &c,
        &["--cpu-rt-period", "400000", "--cpu-rt-runtime", "8000"],
    )
    .ok();
    assert_eq!(value(&c, "cpu.rt_period_us"), "400000");
    assert_eq!(value(&c, "cpu.rt_runtime_us"), "8000");
}

/// The file for the weight, whichever scheduler of the kernel has it.
fn weight_file(t: &T) -> &'static str {
    need(t, "io");
    let c = limited(t, json!({})).create();
    let names = [
        "blkio.bfq.weight",
        "blkio.weight",
        "io.bfq.weight",
        "io.weight",
    ];
    let found = names.into_iter().find(|name| place(&c, name).is_some());
    drop(c);
    found.unwrap_or_else(|| cannot("no I/O scheduler with weights"))
}

fn io_weight(t: &T) {
    let file = weight_file(t);
    let c = limited(t, json!({"blockIO": {"weight": 321}})).create();
    // io.weight has another scale, and a name before the number.
    let shown = value(&c, file);
    let shown = shown.trim_start_matches("default ");
    if file == "io.weight" {
        assert!(
            shown.parse::<u32>().is_ok_and(|number| number > 1000),
            "{shown}"
        );
        return;
    }
    assert_eq!(shown, "321");
    update(t, &c, &["--blkio-weight", "123"]).ok();
    assert_eq!(value(&c, file).trim_start_matches("default "), "123");
}

fn io_weight_of_a_device(t: &T) {
    let file = weight_file(t);
    let Some((major, minor)) = disk_with_bfq() else {
        cannot("no disk has the scheduler that knows weights");
    };
    let device = json!([{"major": major, "minor": minor, "weight": 222}]);
    let c = limited(t, json!({"blockIO": {"weightDevice": device}})).create();
    let file = if file.starts_with("blkio") {
        format!("{file}_device")
    } else {
        file.to_owned()
    };
    assert!(value(&c, &file).contains(&format!("{major}:{minor} 222")));
}

fn io_throttling(t: &T) {
    need(t, "io");
    let Some((major, minor)) = disk() else {
        cannot("no disk here");
    };
    let rate = |rate: u64| json!([{"major": major, "minor": minor, "rate": rate}]);
    let c = limited(
        t,
        json!({"blockIO": {
            "throttleReadBpsDevice": rate(1_000_000), "throttleWriteBpsDevice": rate(2_000_000),
            "throttleReadIOPSDevice": rate(300), "throttleWriteIOPSDevice": rate(400)
        }}),
    );
    let c = c.create();
    if t.facts.cgroup == Cgroup::V2 {
        let wanted = format!("{major}:{minor} rbps=1000000 wbps=2000000 riops=300 wiops=400");
        assert_eq!(value(&c, "io.max"), wanted);
        return;
    }
    for (file, rate) in [
        ("read_bps", 1_000_000),
        ("write_bps", 2_000_000),
        ("read_iops", 300),
        ("write_iops", 400),
    ] {
        let shown = value(&c, &format!("blkio.throttle.{file}_device"));
        assert_eq!(shown, format!("{major}:{minor} {rate}"), "{file}");
    }
}

/// Both controllers, which hosts of today leave alone, in a hierarchy that only this case sees.
fn network(t: &T) {
    only_v1(t);
    let place = t.path("mnt");
    fs::create_dir(&place).unwrap();
    let own = !has(t, "net_cls");
    let target = place.to_string_lossy().into_owned();
    if own && kernel::mount("none", &target, "cgroup", 0, "net_cls,net_prio").is_err() {
        cannot("no cgroup controllers net_cls and net_prio here");
    }
    let resources = json!({"network": {
        "classID": 1_048_577, "priorities": [{"name": "lo", "priority": 5}]
    }});
    let c = limited(t, resources).create();
    let text = fs::read_to_string(format!("/proc/{}/cgroup", c.pid())).unwrap();
    let of = |controller: &str, file: &str| {
        let line = text.lines().find(|line| line.contains(controller)).unwrap();
        let path = line.rsplit(':').next().unwrap();
        let base = if own {
            target.clone()
        } else {
            format!("/sys/fs/cgroup/{controller}")
        };
        fs::read_to_string(Path::new(&(base + path)).join(file)).unwrap()
    };
    assert_eq!(of("net_cls", "net_cls.classid").trim(), "1048577");
    let priorities = of("net_prio", "net_prio.ifpriomap");
    assert!(
        priorities.lines().any(|line| line == "lo 5"),
        "{priorities}"
    );
    c.delete_force();
    if own {
        kernel::unmount(&target).unwrap();
    }
}

/// Those that few callers give.
fn update_flags(t: &T) {
    let v2 = t.facts.cgroup == Cgroup::V2;
    need(t, "memory");
    let c = limited(t, json!({})).create();
    update(t, &c, &["--memory-reservation", "16m"]).ok();
    let file = if v2 {
        "memory.low"
    } else {
        "memory.soft_limit_in_bytes"
    };
    assert_eq!(value(&c, file), (16 << 20).to_string());
    // Taken, as from all who still give them, and without effect.
    let kernel = [
        "--kernel-memory",
        "1m",
        "--kernel-memory-tcp=1m",
        "--memory",
        "64m",
    ];
    update(t, &c, &kernel).ok();
    if has(t, "cpuset") {
        update(t, &c, &["--cpuset-mems", "0"]).ok();
        assert_eq!(value(&c, "cpuset.mems"), "0");
    }
    if !has(t, "cpu") || place(&c, "cpu.idle").is_none() {
        return;
    }
    let burst = if v2 {
        "cpu.max.burst"
    } else {
        "cpu.cfs_burst_us"
    };
    update(t, &c, &["--cpu-quota", "50000", "--cpu-burst", "20000"]).ok();
    assert_eq!(value(&c, burst), "20000");
    update(t, &c, &["--cpu-idle", "1"]).ok();
    assert_eq!(value(&c, "cpu.idle"), "1");
}
