//! Limits: read back from the kernel, shown by effect, changed, counted; and what a host cannot do.

use std::fs;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::PathBuf;

use serde_json::{Value, json};

use super::users;
use crate::bundle::{Bundle, Container};
use crate::case::{Case, cannot, case};
use crate::facts::Cgroup;
use crate::harness::T;
use crate::runtime::wait_for;
use crate::{kernel, witness};

pub const CASES: &[Case] = &[
    case!(read_back, 60),
    case!(read_back_what_kernels_may_lack),
    case!(no_processes_at_all),
    case!(one_process_in_a_user_namespace),
    case!(read_back_io),
    case!(cannot_be_converted),
    case!(missing_controller),
    case!(kept_back_by_a_cgroup_above),
    case!(best_effort),
    case!(processes),
    case!(memory),
    case!(cpu_time),
    case!(io_rate, 60),
    case!(huge_pages),
    case!(too_little_memory),
    case!(update_flags),
    case!(update_document),
    case!(update_of_what_has_stopped),
    case!(update_without_resctrl_group),
    case!(check_before_update),
    case!(pause_and_resume),
    case!(ps),
    case!(kill_all),
    case!(stats),
    case!(oom_event, 60),
    case!(threaded_cgroup),
    case!(ownership),
];

pub(super) fn limited(t: &T, resources: Value) -> Bundle<'_> {
    t.bundle()
        .edit(|c| c["linux"]["resources"] = resources)
        .probe(&["sleep"])
}

/// Where the container's cgroup has this file; `None` if no hierarchy here has it.
pub(super) fn place(c: &Container<'_>, file: &str) -> Option<PathBuf> {
    witness::cgroups(&c.id)
        .into_iter()
        // Beside v1 it has files of the same names.
        .filter(|dir| !dir.starts_with("/sys/fs/cgroup/unified"))
        .map(|dir| dir.join(file))
        .find(|path| path.exists())
}

pub(super) fn value(c: &Container<'_>, file: &str) -> String {
    let path = place(c, file).unwrap_or_else(|| panic!("no {file}"));
    fs::read_to_string(path).unwrap().trim().to_owned()
}

/// Whether new cgroups here have the files of a controller.
pub(super) fn has(t: &T, controller: &str) -> bool {
    let root = "/sys/fs/cgroup";
    match t.facts.cgroup {
        Cgroup::Absent => cannot("no cgroup file system here"),
        Cgroup::V2 => fs::read_to_string(format!("{root}/cgroup.controllers"))
            .unwrap_or_default()
            .split_whitespace()
            .any(|word| word == controller),
        Cgroup::V1 => {
            let mounts = witness::mountinfo("self").unwrap_or_default();
            let v1 = |word: &str| {
                mounts
                    .iter()
                    .any(|m| m.kind == "cgroup" && m.data.iter().any(|it| it == word))
            };
            v1(if controller == "io" {
                "blkio"
            } else {
                controller
            })
        }
    }
}

pub(super) fn need(t: &T, controller: &str) {
    if !has(t, controller) {
        cannot(format!("no cgroup controller {controller} here"));
    }
}

/// A row of the table: controller, resources, files and values in v1, and in v2.
type Row = (
    &'static str,
    &'static str,
    &'static [(&'static str, &'static str)],
    &'static [(&'static str, &'static str)],
);

const TABLE: &[Row] = &[
    (
        "memory",
        r#"{"memory": {"limit": 33554432, "reservation": 16777216}}"#,
        &[
            ("memory.limit_in_bytes", "33554432"),
            ("memory.soft_limit_in_bytes", "16777216"),
        ],
        &[("memory.max", "33554432"), ("memory.low", "16777216")],
    ),
    (
        "memory",
        r#"{"memory": {"limit": 33554432, "swap": 67108864}}"#,
        &[
            ("memory.limit_in_bytes", "33554432"),
            ("memory.memsw.limit_in_bytes", "67108864"),
        ],
        &[("memory.max", "33554432"), ("memory.swap.max", "33554432")],
    ),
    (
        "memory",
        r#"{"memory": {"limit": 33554432, "swap": 33554432}}"#,
        &[("memory.memsw.limit_in_bytes", "33554432")],
        &[("memory.swap.max", "0")],
    ),
    (
        "memory",
        r#"{"memory": {"limit": -1}}"#,
        &[],
        &[("memory.max", "max"), ("memory.swap.max", "max")],
    ),
    (
        "cpu",
        r#"{"cpu": {"shares": 512}}"#,
        &[("cpu.shares", "512")],
        &[("cpu.weight", "59")],
    ),
    (
        "cpu",
        r#"{"cpu": {"quota": 20000, "period": 50000, "burst": 10000}}"#,
        &[
            ("cpu.cfs_quota_us", "20000"),
            ("cpu.cfs_period_us", "50000"),
            ("cpu.cfs_burst_us", "10000"),
        ],
        &[("cpu.max", "20000 50000"), ("cpu.max.burst", "10000")],
    ),
    (
        "cpu",
        r#"{"cpu": {"period": 50000}}"#,
        &[("cpu.cfs_period_us", "50000")],
        &[("cpu.max", "max 50000")],
    ),
    (
        "cpu",
        r#"{"cpu": {"quota": 20000}}"#,
        &[("cpu.cfs_quota_us", "20000")],
        &[("cpu.max", "20000 100000")],
    ),
    (
        "cpu",
        r#"{"cpu": {"idle": 1, "shares": 512}}"#,
        &[("cpu.idle", "1")],
        &[("cpu.idle", "1")],
    ),
    (
        "cpuset",
        r#"{"cpu": {"cpus": "0", "mems": "0"}}"#,
        &[("cpuset.cpus", "0"), ("cpuset.mems", "0")],
        &[("cpuset.cpus", "0")],
    ),
    (
        "pids",
        r#"{"pids": {"limit": 20}}"#,
        &[("pids.max", "20")],
        &[("pids.max", "20")],
    ),
    (
        "pids",
        r#"{"pids": {"limit": -1}}"#,
        &[("pids.max", "max")],
        &[("pids.max", "max")],
    ),
    (
        "hugetlb",
        r#"{"hugepageLimits": [{"pageSize": "2MB", "limit": 4194304}]}"#,
        &[("hugetlb.2MB.limit_in_bytes", "4194304")],
        &[
            ("hugetlb.2MB.max", "4194304"),
            ("hugetlb.2MB.rsvd.max", "4194304"),
        ],
    ),
    (
        "net_cls",
        r#"{"network": {"classID": 1048577}}"#,
        &[("net_cls.classid", "1048577")],
        &[],
    ),
];

fn read_back(t: &T) {
    let v2 = t.facts.cgroup == Cgroup::V2;
    let mut checked = 0;
    for (controller, resources, v1_files, v2_files) in TABLE {
        let files = if v2 { v2_files } else { v1_files };
        if !has(t, controller) || files.is_empty() {
            continue;
        }
        let resources: Value = serde_json::from_str(resources).unwrap();
        let c = limited(t, resources.clone()).create();
        for (file, want) in *files {
            // What a kernel is built without is not here either for no limit at all.
            if place(&c, file).is_none() && ["max", "0"].contains(want) {
                continue;
            }
            assert_eq!(value(&c, file), *want, "{file} for {resources}");
            checked += 1;
        }
        c.delete();
    }
    if checked == 0 {
        cannot("no controllers here");
    }
}

/// 0 was no limit until version 1.3 of the specification, which has a word for it; none at all would be no container.
fn no_processes_at_all(t: &T) {
    need(t, "pids");
    for (version, want) in [("1.0.2-dev", "max"), ("1.2.1", "max"), ("1.3.0", "1")] {
        let c = limited(t, json!({"pids": {"limit": 0}}))
            .edit(|c| c["ociVersion"] = json!(version))
            .create();
        assert_eq!(value(&c, "pids.max"), want, "{version}");
        c.delete();
    }
}

/// The process that makes the first one in a user namespace is not counted.
fn one_process_in_a_user_namespace(t: &T) {
    need(t, "pids");
    let bundle = users::bundle(t).probe(&["exit", "7"]);
    let bundle = bundle.edit(|c| c["linux"]["resources"] = json!({"pids": {"limit": 1}}));
    let c = bundle.create();
    assert_eq!(value(&c, "pids.max"), "1");
    c.start();
    assert_eq!(c.wait(), 7);
}

/// Rows for what not every kernel has: controller, resources, and the lines one of which is in the file of that name.
const MAYBE: &[Row] = &[
    (
        "memory",
        r#"{"memory": {"swappiness": 10}}"#,
        &[("memory.swappiness", "10")],
        &[],
    ),
    (
        "memory",
        r#"{"memory": {"limit": 33554432, "disableOOMKiller": true}}"#,
        &[("memory.oom_control", "oom_kill_disable 1")],
        &[],
    ),
    (
        "memory",
        r#"{"memory": {"kernelTCP": 33554432}}"#,
        &[("memory.kmem.tcp.limit_in_bytes", "33554432")],
        &[],
    ),
    (
        "cpu",
        r#"{"cpu": {"realtimeRuntime": 1000, "realtimePeriod": 200000}}"#,
        &[
            ("cpu.rt_runtime_us", "1000"),
            ("cpu.rt_period_us", "200000"),
        ],
        &[],
    ),
    (
        "net_prio",
        r#"{"network": {"priorities": [{"name": "lo", "priority": 5}]}}"#,
        &[("net_prio.ifpriomap", "lo 5")],
        &[],
    ),
    (
        "io",
        r#"{"blockIO": {"weight": 500}}"#,
        &[("blkio.weight", "500"), ("blkio.bfq.weight", "500")],
        &[
            ("io.bfq.weight", "default 500"),
            ("io.weight", "default 4950"),
        ],
    ),
    (
        "memory",
        r#"{"unified": {"memory.high": "16777216", "memory.min": "4096"}}"#,
        &[],
        &[("memory.high", "16777216"), ("memory.min", "4096")],
    ),
];

fn read_back_what_kernels_may_lack(t: &T) {
    if t.foreign() {
        return;
    }
    let v2 = t.facts.cgroup == Cgroup::V2;
    let mut checked = 0;
    for (controller, resources, v1_files, v2_files) in MAYBE {
        let files = if v2 { v2_files } else { v1_files };
        if files.is_empty() || !has(t, controller) {
            continue;
        }
        let resources: Value = serde_json::from_str(resources).unwrap();
        let bundle = limited(t, resources.clone());
        let id = t.id();
        let out = bundle.create_cmd(&id, &[]).run();
        if out.stderr.contains("here, which needs") {
            continue;
        }
        out.ok();
        let dirs = witness::cgroups(&id);
        let lines = |name: &str| {
            let found = dirs
                .iter()
                .find_map(|dir| fs::read_to_string(dir.join(name)).ok());
            found.map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>())
        };
        for (file, want) in *files {
            // One of two schedulers has a weight, the other one's file is not there.
            let Some(lines) = lines(file) else { continue };
            assert!(
                lines.iter().any(|line| line == want),
                "{file}: {lines:?} for {resources}"
            );
            checked += 1;
        }
        t.cmd(&["delete", "--force", &id]).run().ok();
    }
    if checked == 0 {
        cannot("this kernel has none of them");
    }
}

/// A disk to read from: a loop device of a file in memory, else one that the machine has.
struct Disk {
    major: u32,
    minor: u32,
    /// To be let go of.
    looped: Option<fs::File>,
}

const LOOP_SET_FD: libc::Ioctl = 0x4c00;
const LOOP_CLR_FD: libc::Ioctl = 0x4c01;
const LOOP_CTL_GET_FREE: libc::Ioctl = 0x4c82;

impl Disk {
    fn find(t: &T) -> Self {
        if let Some(disk) = Self::looped(t) {
            return disk;
        }
        for entry in fs::read_dir("/sys/block").into_iter().flatten().flatten() {
            let read = |file: &str| fs::read_to_string(entry.path().join(file)).unwrap_or_default();
            let size: u64 = read("size").trim().parse().unwrap_or(0);
            let numbers = read("dev");
            let Some((major, minor)) = numbers.trim().split_once(':') else {
                continue;
            };
            let (major, minor) = (major.parse().unwrap(), minor.parse().unwrap());
            // 512 bytes each.
            if size >= 4 << 11 && node(t, major, minor).is_ok() {
                return Self {
                    major,
                    minor,
                    looped: None,
                };
            }
        }
        cannot("no disk here that may be read from")
    }

    fn looped(t: &T) -> Option<Self> {
        let file = fs::File::create_new(t.path(&format!("disk{}", t.next()))).ok()?;
        file.set_len(4 << 20).ok()?;
        let control = fs::File::open("/dev/loop-control").ok()?;
        // Somebody else may be faster with the free one.
        for _ in 0..20 {
            // SAFETY: no memory is passed.
            let minor = unsafe { libc::ioctl(control.as_raw_fd(), LOOP_CTL_GET_FREE) };
            let minor = u32::try_from(minor).ok()?;
            let device = node(t, 7, minor).ok()?;
            // SAFETY: a number is passed.
            if unsafe { libc::ioctl(device.as_raw_fd(), LOOP_SET_FD, file.as_raw_fd()) } == 0 {
                return Some(Self {
                    major: 7,
                    minor,
                    looped: Some(device),
                });
            }
        }
        None
    }
}

impl Disk {
    /// Where the host has it, so that it can be bound.
    fn path(&self) -> String {
        let number = libc::makedev(self.major, self.minor);
        let same = |path: &PathBuf| {
            fs::metadata(path)
                .is_ok_and(|meta| meta.file_type().is_block_device() && meta.rdev() == number)
        };
        let nodes = fs::read_dir("/dev").into_iter().flatten().flatten();
        let path = nodes.map(|entry| entry.path()).find(same);
        path.map_or("/dev/disk".to_owned(), |path| {
            path.to_string_lossy().into_owned()
        })
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if let Some(device) = &self.looped {
            // SAFETY: no memory is passed.
            unsafe { libc::ioctl(device.as_raw_fd(), LOOP_CLR_FD) };
        }
    }
}

/// Opens a block device by its numbers.
fn node(t: &T, major: u32, minor: u32) -> std::io::Result<fs::File> {
    let path = t.path(&format!("node{}", t.next()));
    kernel::mknod(&path, libc::S_IFBLK | 0o600, major, minor)?;
    fs::OpenOptions::new().read(true).write(true).open(path)
}

/// A container with a rate in bytes and one in operations for a disk, both ways.
fn with_rates<'t>(t: &'t T, disk: &Disk, rate: u64) -> Bundle<'t> {
    need(t, "io");
    let (major, minor) = (disk.major, disk.minor);
    let of = |rate: u64| json!([{"major": major, "minor": minor, "rate": rate}]);
    let limits = json!({
        "devices": [
            {"allow": false, "access": "rwm"},
            {"allow": true, "type": "b", "major": major, "minor": minor, "access": "r"},
        ],
        "blockIO": {
            "throttleReadBpsDevice": of(rate), "throttleWriteBpsDevice": of(2 * rate),
            "throttleReadIOPSDevice": of(3000), "throttleWriteIOPSDevice": of(4000),
        },
    });
    let bundle = limited(t, limits).edit(|c| {
        c["linux"]["devices"] =
            json!([{"path": disk.path(), "type": "b", "major": major, "minor": minor}]);
    });
    let probe = bundle.create_cmd("probe", &[]).run();
    if probe.stderr.contains("here, which needs") {
        cannot("a kernel without CONFIG_BLK_DEV_THROTTLING");
    }
    probe.ok();
    t.cmd(&["delete", "--force", "probe"]).run().ok();
    bundle
}

fn read_back_io(t: &T) {
    let disk = Disk::find(t);
    let (major, minor) = (disk.major, disk.minor);
    let c = with_rates(t, &disk, 1 << 20).create();
    let rows: &[(&str, String)] = if t.facts.cgroup == Cgroup::V2 {
        &[(
            "io.max",
            format!("{major}:{minor} rbps=1048576 wbps=2097152 riops=3000 wiops=4000"),
        )]
    } else {
        &[
            (
                "blkio.throttle.read_bps_device",
                format!("{major}:{minor} 1048576"),
            ),
            (
                "blkio.throttle.write_bps_device",
                format!("{major}:{minor} 2097152"),
            ),
            (
                "blkio.throttle.read_iops_device",
                format!("{major}:{minor} 3000"),
            ),
            (
                "blkio.throttle.write_iops_device",
                format!("{major}:{minor} 4000"),
            ),
        ]
    };
    for (file, want) in rows {
        assert_eq!(value(&c, file), *want, "{file}");
    }
}

/// Two seconds' worth of bytes take more than one, and are counted.
fn io_rate(t: &T) {
    const RATE: u64 = 1 << 20;
    let disk = Disk::find(t);
    let (major, minor) = (disk.major, disk.minor);
    let bytes = (2 * RATE).to_string();
    let c = with_rates(t, &disk, RATE)
        .probe(&["read-direct", &disk.path(), &bytes, "--", "sleep"])
        .detach();
    wait_for("a slow read", || !c.lines().is_empty());
    let line = &c.lines()[0];
    assert_eq!(line["bytes"], 2 * RATE, "{line}");
    assert!(line["millis"].as_u64() >= Some(1000), "{line}");
    let (file, word) = if t.facts.cgroup == Cgroup::V2 {
        ("io.stat", format!("{major}:{minor} rbytes="))
    } else {
        (
            "blkio.throttle.io_service_bytes",
            format!("{major}:{minor} Read "),
        )
    };
    let text = value(&c, file);
    let count = text.lines().find_map(|line| line.strip_prefix(&word));
    let count = count.and_then(|rest| rest.split(' ').next()?.parse::<u64>().ok());
    assert!(count >= Some(2 * RATE), "{text}");
}

/// The second page is refused, or ends the program.
fn huge_pages(t: &T) {
    need(t, "hugetlb");
    t.facts.need_path(
        "/sys/kernel/mm/hugepages/hugepages-2048kB",
        "pages of 2 MiB",
    );
    let knob = "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages";
    let number = || {
        fs::read_to_string(knob)
            .unwrap()
            .trim()
            .parse()
            .unwrap_or(0_u64)
    };
    let before = number();
    let _ = fs::write(knob, (before + 4).to_string());
    if number() < before + 4 {
        let _ = fs::write(knob, before.to_string());
        cannot("no memory for four huge pages");
    }
    let resources = json!({"hugepageLimits": [{"pageSize": "2MB", "limit": 2 << 20}]});
    let out = limited(t, resources)
        .probe(&["huge", "1", "--", "huge", "1"])
        .run();
    let _ = fs::write(knob, before.to_string());
    let lines = out.lines();
    assert_eq!(lines[0]["ok"], true, "{}", out.stdout);
    // SIGBUS where pages count at their use, ENOMEM where they do at their reservation.
    let refused = lines
        .get(1)
        .is_some_and(|line| line["code"] == libc::ENOMEM);
    assert!(
        refused || out.code() == 128 + libc::SIGBUS,
        "{} {}",
        out.code(),
        out.stdout
    );
}

fn cannot_be_converted(t: &T) {
    if t.foreign() {
        return;
    }
    need(t, "memory");
    let all: &[(&str, Value)] = match t.facts.cgroup {
        Cgroup::V2 => &[
            ("swappiness", json!({"memory": {"swappiness": 10}})),
            ("kernel", json!({"memory": {"kernel": 4096}})),
            ("realtime", json!({"cpu": {"realtimeRuntime": 1000}})),
            ("network", json!({"network": {"classID": 1}})),
            ("swap", json!({"memory": {"limit": 4096, "swap": 1024}})),
        ],
        _ => &[
            ("unified", json!({"unified": {"memory.high": "1000"}})),
            ("swap", json!({"memory": {"limit": 4096, "swap": 1024}})),
        ],
    };
    for (word, resources) in all {
        limited(t, resources.clone()).create_fails(&[word]);
    }
}

fn missing_controller(t: &T) {
    if t.foreign() {
        return;
    }
    let row = [
        (
            "memory",
            json!({"memory": {"limit": 33_554_432}}),
            "CONFIG_MEMCG",
        ),
        ("pids", json!({"pids": {"limit": 10}}), "CONFIG_CGROUP_PIDS"),
        (
            "hugetlb",
            json!({"hugepageLimits": [{"pageSize": "2MB", "limit": 0}]}),
            "CONFIG_CGROUP_HUGETLB",
        ),
        (
            "rdma",
            json!({"rdma": {"x": {"hcaHandles": 1}}}),
            "CONFIG_CGROUP_RDMA",
        ),
    ];
    let missing: Vec<_> = row.iter().filter(|row| !has(t, row.0)).collect();
    if missing.is_empty() {
        cannot("all of them are here");
    }
    let root = t.root.to_string_lossy();
    for (controller, resources, option) in missing {
        let bundle = limited(t, resources.clone()).probe(&["echo", "ran"]);
        bundle.create_fails(&[controller, option]);
        let dir = bundle.dir.to_string_lossy();
        let words = [
            "--root",
            &root,
            "--cgroup-policy=best-effort",
            "run",
            "-b",
            &dir,
        ];
        let out = t.bare(&[&words[..], &[&t.id()]].concat()).run().ok();
        assert_eq!(out.stdout, "ran\n");
        assert!(out.stderr.contains(option), "{}", out.stderr);
    }
}

/// A cgroup with processes cannot hand controllers down: the error names it.
fn kept_back_by_a_cgroup_above(t: &T) {
    if t.facts.cgroup != Cgroup::V2 || t.foreign() {
        cannot("cgroup v2 only");
    }
    need(t, "memory");
    let above = PathBuf::from(format!("/sys/fs/cgroup/{}-above", t.tag));
    fs::create_dir(&above).unwrap();
    let mut child = std::process::Command::new("sleep").arg("100").spawn();
    let Ok(child) = &mut child else {
        let _ = fs::remove_dir(&above);
        cannot("no sleep(1) here");
    };
    fs::write(above.join("cgroup.procs"), child.id().to_string()).unwrap();
    let path = format!("/{}-above/{}", t.tag, t.id());
    t.bundle()
        .edit(|c| {
            c["linux"]["cgroupsPath"] = json!(path);
            c["linux"]["resources"] = json!({"memory": {"limit": 33_554_432}});
        })
        .create_fails(&["memory.max", "subtree_control", &above.to_string_lossy()]);
    let _ = child.kill();
    let _ = child.wait();
    wait_for("empty", || fs::remove_dir(&above).is_ok());
}

fn best_effort(t: &T) {
    if t.foreign() {
        return;
    }
    let resources = json!({
        "rdma": {"none": {"hcaHandles": 1, "hcaObjects": 2}},
        "pids": {"limit": 10},
        "hugepageLimits": [{"pageSize": "3KB", "limit": 0}],
    });
    let bundle = limited(t, resources);
    bundle.write();
    let dir = bundle.dir.to_string_lossy().into_owned();
    let root = t.root.to_string_lossy().into_owned();
    let id = t.id();
    let strict = [
        "--root",
        &root,
        "--cgroup-policy=strict",
        "create",
        "-b",
        &dir,
        &id,
    ];
    t.bare(&strict).run().fails(&["here, which needs"]);
    let effort = [
        "--root",
        &root,
        "--cgroup-policy=best-effort",
        "create",
        "-b",
        &dir,
        &id,
    ];
    let out = t.bare(&effort).run().ok();
    let lines = out
        .stderr
        .lines()
        .filter(|line| line.contains("hugetlb"))
        .count();
    assert!(lines >= 1, "{}", out.stderr);
    t.cmd(&["delete", "--force", &id]).run().ok();
    // The annotation says the same, and the command line is stronger.
    let noted = bundle.edit(|c| {
        c["annotations"] = json!({"org.ocilet.cgroup-policy": "best-effort"});
    });
    noted.write();
    t.bare(&strict).run().fails(&["here, which needs"]);
    t.cmd(&["create", "-b", &dir, &id]).run().ok();
    t.cmd(&["delete", "--force", &id]).run().ok();
}

fn processes(t: &T) {
    need(t, "pids");
    let out = limited(t, json!({"pids": {"limit": 4}}))
        .probe(&["fork", "10"])
        .run();
    assert_eq!(out.lines()[0]["code"], libc::EAGAIN, "{}", out.stdout);
}

fn memory(t: &T) {
    need(t, "memory");
    let limit = json!({"memory": {"limit": 33_554_432, "swap": 33_554_432}});
    let out = limited(t, limit.clone())
        .probe(&["eat", "8", "--", "eat", "64"])
        .run();
    assert_eq!(out.lines()[0]["ok"], true, "{}", out.stdout);
    assert_eq!(out.code(), 137, "{}", out.stdout);
}

fn cpu_time(t: &T) {
    need(t, "cpu");
    let c = limited(t, json!({"cpu": {"quota": 5000, "period": 50_000}}))
        .probe(&["spin", "400", "--", "sleep"])
        .detach();
    let throttled = || {
        let text = value(&c, "cpu.stat");
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("nr_throttled "));
        line.is_some_and(|count| count != "0")
    };
    wait_for("throttling", throttled);
}

/// What is too little for a container to start is said so.
fn too_little_memory(t: &T) {
    if t.foreign() {
        return;
    }
    need(t, "memory");
    let out = limited(t, json!({"memory": {"limit": 40_960, "swap": 40_960}}))
        .probe(&["exit"])
        .run();
    // What was used before it was moved there does not count, and then it is the program that dies.
    assert!(
        out.code() == 137 || out.stderr.contains("160 KiB"),
        "{}",
        out.stderr
    );
}

pub(super) fn update(t: &T, c: &Container<'_>, flags: &[&str]) -> crate::runtime::Out {
    let mut words = vec!["update"];
    words.extend_from_slice(flags);
    words.push(&c.id);
    t.cmd(&words).run()
}

fn update_flags(t: &T) {
    need(t, "pids");
    let c = t.bundle().probe(&["sleep"]).detach();
    let v2 = t.facts.cgroup == Cgroup::V2;
    update(t, &c, &["--pids-limit", "33"]).ok();
    assert_eq!(value(&c, "pids.max"), "33");
    update(t, &c, &["--pids-limit=-1"]).ok();
    assert_eq!(value(&c, "pids.max"), "max");
    if has(t, "cpu") {
        let files = if v2 {
            ("cpu.weight", "cpu.max")
        } else {
            ("cpu.shares", "cpu.cfs_quota_us")
        };
        update(
            t,
            &c,
            &[
                "--cpu-share",
                "2048",
                "--cpu-period",
                "20000",
                "--cpu-quota",
                "7000",
            ],
        )
        .ok();
        assert_eq!(value(&c, files.0), if v2 { "174" } else { "2048" });
        assert_eq!(value(&c, files.1), if v2 { "7000 20000" } else { "7000" });
        // One of the two keeps the other.
        update(t, &c, &["--cpu-period", "10000"]).ok();
        assert_eq!(value(&c, files.1), if v2 { "7000 10000" } else { "7000" });
        update(t, &c, &["--cpu-quota", "-1"]).ok();
        assert_eq!(value(&c, files.1), if v2 { "max 10000" } else { "-1" });
    }
    if has(t, "cpuset") {
        update(t, &c, &["--cpuset-cpus", "0"]).ok();
        assert_eq!(value(&c, "cpuset.cpus"), "0");
    }
    if has(t, "memory") {
        let files = if v2 {
            "memory.max"
        } else {
            "memory.limit_in_bytes"
        };
        update(t, &c, &["--memory", "64m", "--memory-swap", "128m"]).ok();
        assert_eq!(value(&c, files), (64 << 20).to_string());
        // Up and down, past what the other one was.
        update(t, &c, &["--memory", "256m", "--memory-swap", "512m"]).ok();
        assert_eq!(value(&c, files), (256 << 20).to_string());
        update(t, &c, &["--memory", "32m", "--memory-swap", "64m"]).ok();
        assert_eq!(value(&c, files), (32 << 20).to_string());
        if v2 {
            update(t, &c, &["--memory-swap", "48m"]).ok();
            assert_eq!(value(&c, "memory.swap.max"), (16 << 20).to_string());
        }
        update(t, &c, &["--memory", "-1"]).ok();
    }
    for wrong in [
        &["--memory", "1x"][..],
        &["--pids-limit", "many"],
        &["--nothing", "1"],
    ] {
        assert_ne!(update(t, &c, wrong).code(), 0);
    }
}

fn update_document(t: &T) {
    need(t, "pids");
    let c = t.bundle().probe(&["sleep"]).detach();
    let file = t.path("resources.json");
    fs::write(
        &file,
        r#"{"pids": {"limit": 44}, "devices": [{"allow": true, "access": "rwm"}]}"#,
    )
    .unwrap();
    update(
        t,
        &c,
        &["--resources", &file.to_string_lossy(), "--pids-limit", "7"],
    )
    .ok();
    assert_eq!(value(&c, "pids.max"), "44");
    let (reader, writer) = std::io::pipe().unwrap();
    std::io::Write::write_all(&mut &writer, br#"{"pids": {"limit": 55}}"#).unwrap();
    drop(writer);
    t.cmd(&["update", "-r", "-", &c.id])
        .stdin(reader)
        .run()
        .ok();
    assert_eq!(value(&c, "pids.max"), "55");
    fs::write(&file, r#"{"pids": {"limit": "x"}}"#).unwrap();
    update(t, &c, &["-r", &file.to_string_lossy()]).fails(&["pids.limit"]);
    assert_eq!(value(&c, "pids.max"), "55");
}

fn update_of_what_has_stopped(t: &T) {
    let c = t.bundle().probe(&["exit"]).detach();
    c.wait();
    update(t, &c, &["--pids-limit", "5"]).fails(&["container not running"]);
    t.cmd(&["update", "--pids-limit", "5", "nobody"])
        .run()
        .fails(&["does not exist"]);
}

/// Nothing is changed by what cannot be done whole.
fn update_without_resctrl_group(t: &T) {
    if t.foreign() {
        return;
    }
    need(t, "pids");
    let c = limited(t, json!({"pids": {"limit": 20}})).create();
    for flags in [
        &["--l3-cache-schema", "L3:0=f"][..],
        &["--mem-bw-schema=MB:0=20", "--pids-limit", "21"],
    ] {
        update(t, &c, flags).fails(&["intelRdt", "resctrl"]);
    }
    assert_eq!(value(&c, "pids.max"), "20");
}

fn check_before_update(t: &T) {
    need(t, "memory");
    let c = t.bundle().probe(&["eat", "16", "--", "sleep"]).detach();
    c.until("ok");
    let file = t.path("resources.json");
    fs::write(
        &file,
        r#"{"memory": {"limit": 1048576, "checkBeforeUpdate": true}}"#,
    )
    .unwrap();
    update(t, &c, &["-r", &file.to_string_lossy()]).fails(&["1048576"]);
    assert_eq!(c.status(), "running");
}

fn pause_and_resume(t: &T) {
    if t.facts.cgroup == Cgroup::Absent {
        cannot("no cgroup file system here");
    }
    let c = t.bundle().probe(&["sleep"]).create();
    let call = |verb: &str| t.cmd(&[verb, &c.id]).run();
    call("resume").fails(&["not paused"]);
    call("pause").ok();
    assert_eq!(c.status(), "paused");
    call("pause").fails(&["not running"]);
    call("resume").ok();
    assert_eq!(c.status(), "created");
    c.start();
    call("pause").ok();
    assert_eq!(c.status(), "paused");
    c.delete_out().fails(&["paused"]);
    call("resume").ok();
    assert_eq!(c.status(), "running");
    call("pause").ok();
    // A paused one goes, too.
    c.delete_force();
    t.cmd(&["pause", &c.id]).run().fails(&["does not exist"]);
}

fn ps(t: &T) {
    let c = t.bundle().probe(&["fork", "2", "--", "sleep"]).detach();
    c.until("forked");
    let json = t.cmd(&["ps", "--format", "json", &c.id]).run().ok().json();
    let mut got: Vec<i64> = json
        .as_array()
        .unwrap()
        .iter()
        .filter_map(Value::as_i64)
        .collect();
    got.sort_unstable();
    let mut want: Vec<i64> = witness::descendants(c.pid())
        .iter()
        .map(|it| i64::from(it.0))
        .collect();
    want.push(i64::from(c.pid()));
    want.sort_unstable();
    assert_eq!(got, want);
    let table = t.cmd(&["ps", &c.id]).run().ok().stdout;
    assert!(table.starts_with("PID"), "{table}");
    assert_eq!(table.lines().count(), 4, "{table}");
    assert!(table.contains("sleep"), "{table}");
    c.kill("9").ok();
    c.wait();
    // Nobody is left of it.
    let none = t.cmd(&["ps", "--format", "json", &c.id]).run().ok();
    assert_eq!(none.stdout, "null\n");
}

fn kill_all(t: &T) {
    let c = t
        .bundle()
        .without_namespace("pid")
        .probe(&["fork", "3", "--", "sleep"])
        .detach();
    c.until("forked");
    let children: Vec<i32> = witness::descendants(c.pid())
        .iter()
        .map(|it| it.0)
        .collect();
    assert_eq!(children.len(), 3);
    t.cmd(&["kill", "--all", &c.id, "TERM"]).run().ok();
    c.wait();
    wait_for("their end", || {
        children.iter().all(|pid| !witness::alive(*pid))
    });
    t.cmd(&["kill", "--all", &c.id, "KILL"]).run().ok();
    t.cmd(&["kill", &c.id, "KILL"])
        .run()
        .fails(&["container not running"]);
}

fn stats(t: &T) {
    need(t, "pids");
    let c = limited(t, json!({"pids": {"limit": 20}})).detach();
    let event = t.cmd(&["events", "--stats", &c.id]).run().ok().json();
    assert_eq!(event["type"], "stats");
    assert_eq!(event["id"], *c.id);
    let data = &event["data"];
    assert_eq!(data["pids"], json!({"current": 1, "limit": 20}), "{event}");
    if has(t, "memory") {
        assert!(
            data["memory"]["usage"]["usage"].as_u64() > Some(0),
            "{event}"
        );
        assert!(
            data["memory"]["raw"].as_object().unwrap().len() > 5,
            "{event}"
        );
    }
    for key in ["cpuset", "blkio", "hugetlb", "intel_rdt"] {
        assert!(data[key].is_object(), "{key}: {event}");
    }
    // A line each interval, until the container ends.
    let running = t.cmd(&["events", "--interval", "100ms", &c.id]).spawn();
    running.until("stats");
    c.kill("9").ok();
    c.wait();
    let out = running.wait().ok();
    assert!(
        out.lines().iter().all(|line| line["type"] == "stats"),
        "{}",
        out.stdout
    );
    t.cmd(&["events", "--stats", &c.id])
        .run()
        .fails(&["container not running"]);
    for wrong in ["0s", "5", "x"] {
        assert_ne!(
            t.cmd(&["events", "--interval", wrong, &c.id]).run().code(),
            0
        );
    }
}

fn oom_event(t: &T) {
    need(t, "memory");
    let limit = json!({"memory": {"limit": 33_554_432, "swap": 33_554_432}});
    let c = limited(t, limit)
        .probe(&["fork-eat", "64", "--", "sleep"])
        .create();
    let running = t.cmd(&["events", "--interval", "1h", &c.id]).spawn();
    // It has to be watching before that happens.
    wait_for("events that watches", || {
        witness::descriptors(running.pid())
            .values()
            .any(|file| file.contains("[eventfd]") || file.ends_with("/memory.events"))
    });
    c.start();
    running.until("oom");
    c.kill("9").ok();
    c.wait();
    let lines = running.wait().ok().lines();
    assert_eq!(lines[0]["type"], "oom");
    assert_eq!(lines[0]["id"], *c.id);
}

/// Below a threaded cgroup a container is threaded as well, and can have no limit of memory.
fn threaded_cgroup(t: &T) {
    if t.facts.cgroup != Cgroup::V2 || t.foreign() {
        cannot("cgroup v2 only");
    }
    let above = PathBuf::from(format!("/sys/fs/cgroup/{}-above", t.tag));
    fs::create_dir_all(above.join("threaded")).unwrap();
    fs::write(above.join("threaded/cgroup.type"), "threaded").unwrap();
    let path = format!("/{}-above/{}", t.tag, t.id());
    let bundle = |resources: Value| {
        t.bundle()
            .edit(|c| {
                c["linux"]["cgroupsPath"] = json!(path);
                c["linux"]["resources"] = resources;
            })
            .probe(&["sleep"])
    };
    bundle(json!({"unified": {"memory.high": "1000000"}})).create_fails(&["threaded"]);
    let c = bundle(json!({})).create();
    let kind = fs::read_to_string(format!("/sys/fs/cgroup{path}/cgroup.type")).unwrap();
    assert_eq!(kind.trim(), "threaded");
    c.delete_force();
    fs::remove_dir(above.join("threaded")).unwrap();
    fs::remove_dir(&above).unwrap();
}

/// The user of the process gets the v2 cgroup exactly where it may use it.
fn ownership<'t>(t: &'t T) {
    if t.facts.cgroup != Cgroup::V2 || t.foreign() {
        cannot("cgroup v2 only");
    }
    let id = |inside| t.caller.id(inside);
    let owner = |bundle: Bundle<'_>, own: bool, options: &[&str]| {
        use std::os::unix::fs::MetadataExt as _;
        let mut bundle = bundle
            .mount("/sys", "sysfs", "sysfs", &["ro"])
            .mount("/sys/fs/cgroup", "cgroup", "cgroup", options)
            .probe(&["sleep"]);
        if own {
            bundle = bundle.namespace("cgroup", None);
        }
        let c = bundle.create();
        let uid = |file: &str| fs::metadata(place(&c, file).unwrap()).unwrap().uid();
        [
            ".",
            "cgroup.procs",
            "cgroup.subtree_control",
            "cgroup.freeze",
        ]
        .map(uid)
    };
    let user = |bundle: Bundle<'t>| {
        bundle.edit(|c| c["process"]["user"] = json!({"uid": 1000, "gid": 1000}))
    };
    assert_eq!(
        owner(user(t.bundle()), true, &["rw"]),
        [id(1000), id(1000), id(1000), id(0)]
    );
    assert_eq!(owner(user(t.bundle()), true, &["ro"]), [id(0); 4]);
    assert_eq!(owner(user(t.bundle()), false, &["rw"]), [id(0); 4]);
    assert_eq!(owner(t.bundle(), true, &["rw"]), [id(0); 4]);
    // In a user namespace it is who he is on the host.
    let first = t.caller.named(users::FIRST);
    let root = users::bundle(t);
    assert_eq!(owner(root, true, &["rw"]), [first, first, first, id(0)]);
    let other = first + 1000;
    let seen = owner(user(users::bundle(t)), true, &["rw"]);
    assert_eq!(seen, [other, other, other, id(0)]);
    assert_eq!(owner(users::bundle(t), true, &["ro"]), [id(0); 4]);
}
