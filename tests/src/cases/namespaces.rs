//! `linux.namespaces`, host and domain name, sysctl, loopback: new, shared with the host, and joined by path.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::json;

use crate::caller::Caller;
use crate::case::{Case, case, skip};
use crate::harness::T;
use crate::kernel;
use crate::witness;

pub const CASES: &[Case] = &[
    case!(new_and_shared),
    case!(cgroup_namespace),
    case!(joined_by_path),
    case!(joined_pid_namespace),
    case!(joined_mount_namespace),
    case!(joined_from_another_container),
    case!(paths_that_are_no_namespace),
    case!(listed_twice),
    case!(host_and_domain_name),
    case!(host_name_of_a_joined_namespace),
    case!(loopback_is_up),
    case!(loopback_of_a_joined_namespace_is_left_alone),
    case!(time_offsets),
    case!(joined_time_namespace),
    case!(time_offsets_without_namespace),
    case!(sysctls),
    case!(sysctls_that_are_not_the_containers),
    case!(sysctls_that_smuggle),
];

const KINDS: [(&str, &str); 5] = [
    ("pid", "pid"),
    ("network", "net"),
    ("ipc", "ipc"),
    ("uts", "uts"),
    ("mount", "mnt"),
];

fn own(name: &str) -> String {
    witness::namespace("self", name)
}

fn new_and_shared(t: &T) {
    let c = t.bundle().probe(&["sleep"]).create();
    for (_, name) in KINDS {
        assert_ne!(
            witness::namespace(c.pid(), name),
            own(name),
            "{name} must be new"
        );
    }
    let shared = match *t.caller {
        Caller::Root => &["user", "cgroup", "time"][..],
        // The namespaces of a caller that is not this process.
        _ => &["time"],
    };
    for &name in shared {
        assert_eq!(
            witness::namespace(c.pid(), name),
            own(name),
            "{name} must be the caller's"
        );
    }
    drop(c);
    for (kind, name) in [("network", "net"), ("ipc", "ipc"), ("pid", "pid")] {
        let c = t
            .bundle()
            .without_namespace(kind)
            .probe(&["sleep"])
            .create();
        assert_eq!(
            witness::namespace(c.pid(), name),
            own(name),
            "{name} must be the caller's"
        );
    }
    let c = t
        .bundle()
        .without_namespace("uts")
        .edit(|c| {
            c.as_object_mut().unwrap().remove("hostname");
        })
        .probe(&["sleep"])
        .create();
    assert_eq!(witness::namespace(c.pid(), "uts"), own("uts"));
}

fn cgroup_namespace(t: &T) {
    t.facts
        .need_path("/proc/self/ns/cgroup", "cgroup namespaces");
    let c = t
        .bundle()
        .namespace("cgroup", None)
        .probe(&["report"])
        .create();
    assert_ne!(witness::namespace(c.pid(), "cgroup"), own("cgroup"));
    c.start();
    c.wait();
    let text = c.lines()[0]["cgroup"].as_str().unwrap().to_owned();
    for line in text.lines().filter(|line| !line.is_empty()) {
        // The unified hierarchy of a hybrid host has no cgroup of the container.
        assert!(line.ends_with(":/") || line.starts_with("0::"), "{text}");
    }
}

/// A process of ours in namespaces of its own.
struct Holder(Child);

impl Holder {
    fn new(flags: i32) -> Self {
        let mut command = Command::new("/proc/self/exe");
        command
            .args(["probe", "echo", "up", "--", "sleep"])
            .stdout(Stdio::piped())
            .stdin(Stdio::null());
        // SAFETY: one system call between fork and exec.
        unsafe { command.pre_exec(move || kernel::unshare(flags)) };
        let mut child = command.spawn().expect("a holder of namespaces");
        let mut line = [0_u8; 3];
        std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut line)
            .expect("the holder is up");
        Self(child)
    }

    fn path(&self, name: &str) -> String {
        format!("/proc/{}/ns/{name}", self.0.id())
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn joined_by_path(t: &T) {
    let holder = Holder::new(
        libc::CLONE_NEWNET | libc::CLONE_NEWIPC | libc::CLONE_NEWUTS | libc::CLONE_NEWCGROUP,
    );
    for (kind, name) in [
        ("network", "net"),
        ("ipc", "ipc"),
        ("uts", "uts"),
        ("cgroup", "cgroup"),
    ] {
        let path = holder.path(name);
        let c = t
            .bundle()
            .namespace(kind, Some(&path))
            .probe(&["sleep"])
            .create();
        assert_eq!(
            witness::namespace(c.pid(), name),
            witness::namespace(holder.0.id(), name),
            "{kind}"
        );
        assert_ne!(witness::namespace(c.pid(), name), own(name), "{kind}");
    }
    // All at once.
    let mut bundle = t.bundle().probe(&["sleep"]);
    for (kind, name) in [("network", "net"), ("ipc", "ipc"), ("uts", "uts")] {
        bundle = bundle.namespace(kind, Some(&holder.path(name)));
    }
    let c = bundle.create();
    for name in ["net", "ipc", "uts"] {
        assert_eq!(
            witness::namespace(c.pid(), name),
            witness::namespace(holder.0.id(), name)
        );
    }
    // One that is the caller's own.
    t.bundle()
        .namespace("network", Some("/proc/self/ns/net"))
        .probe(&["exit"])
        .run()
        .ok();
    // A bind mount of a namespace, as `ip netns` makes it.
    let file = t.path("mnt");
    fs::write(&file, "").unwrap();
    kernel::mount(&holder.path("net"), &file, "", libc::MS_BIND, "").unwrap();
    let c = t
        .bundle()
        .namespace("network", Some(&file.to_string_lossy()))
        .probe(&["sleep"])
        .create();
    assert_eq!(
        witness::namespace(c.pid(), "net"),
        witness::namespace(holder.0.id(), "net")
    );
}

fn joined_pid_namespace(t: &T) {
    let first = t.bundle().probe(&["sleep"]).detach();
    let path = format!("/proc/{}/ns/pid", first.pid());
    let second = t
        .bundle()
        .namespace("pid", Some(&path))
        .probe(&["report", "--", "ls", "/proc", "--", "sleep"])
        .create();
    assert_eq!(
        witness::namespace(second.pid(), "pid"),
        witness::namespace(first.pid(), "pid")
    );
    second.start();
    second.until("names");
    let pid = second.lines()[0]["terminal"]["pid"].as_u64().unwrap();
    assert!(pid > 1, "{pid}");
    let names = second.lines()[1]["names"].to_string();
    assert!(
        names.contains("\"1\"") && names.contains(&format!("\"{pid}\"")),
        "{names}"
    );
    // The death of one member is not the death of the namespace.
    second.delete_force();
    assert_eq!(first.status(), "running");
}

fn joined_mount_namespace(t: &T) {
    let holder = Holder::new(libc::CLONE_NEWNS);
    let path = holder.path("mnt");
    let bundle = t
        .bundle()
        .namespace("mount", Some(&path))
        .probe(&["echo", "in"]);
    let bundle = bundle.edit(|c| c["mounts"] = json!([]));
    let before = witness::mountinfo("self").unwrap().len();
    let out = bundle.run();
    if out.code() != 0 && t.foreign() {
        return;
    }
    assert_eq!(out.code(), 0, "{}", out.stderr);
    assert_eq!(out.stdout, "in\n");
    assert_eq!(witness::mountinfo("self").unwrap().len(), before);
}

fn joined_from_another_container(t: &T) {
    let first = t.bundle().probe(&["sleep"]).detach();
    let mut bundle = t.bundle().probe(&["report"]).edit(|c| {
        c.as_object_mut().unwrap().remove("hostname");
    });
    for (kind, name) in [("network", "net"), ("ipc", "ipc"), ("uts", "uts")] {
        bundle = bundle.namespace(kind, Some(&format!("/proc/{}/ns/{name}", first.pid())));
    }
    let seen = bundle.run().ok().json();
    assert_eq!(seen["uts"]["host"], "inside");
    assert_eq!(seen["ns"]["net"], witness::namespace(first.pid(), "net"));
}

fn paths_that_are_no_namespace(t: &T) {
    for path in [
        "/proc/self/ns/uts",
        "/proc/self/exe",
        "/proc/self/ns",
        "/no/such",
        "/dev/null",
    ] {
        t.bundle()
            .namespace("network", Some(path))
            .create_fails(&[]);
    }
    if !t.foreign() {
        t.bundle()
            .namespace("network", Some("/proc/self/ns/uts"))
            .create_fails(&["namespaces[4].path|namespace of this type"]);
        t.bundle()
            .namespace("network", Some("relative"))
            .create_fails(&["namespaces[4].path", "absolute"]);
        t.bundle()
            .namespace("nonsense", None)
            .create_fails(&["namespaces[5].type"]);
    }
    // A fifo must not block.
    let fifo = t.path("fifo");
    kernel::mknod(&fifo, libc::S_IFIFO | 0o600, 0, 0).unwrap();
    if !t.foreign() {
        t.bundle()
            .namespace("network", Some(&fifo.to_string_lossy()))
            .create_fails(&[]);
    }
}

fn listed_twice(t: &T) {
    t.bundle()
        .edit(|c| {
            c["linux"]["namespaces"]
                .as_array_mut()
                .unwrap()
                .push(json!({"type": "uts"}))
        })
        .create_fails(&["namespace|duplicate"]);
}

fn host_and_domain_name(t: &T) {
    let before = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let seen = t.report(|c| {
        c["hostname"] = json!("host-name.example");
        if !t.foreign() {
            c["domainname"] = json!("domain.example");
        }
    });
    assert_eq!(seen["uts"]["host"], "host-name.example");
    if !t.foreign() {
        assert_eq!(seen["uts"]["domain"], "domain.example");
    }
    assert_eq!(
        fs::read_to_string("/proc/sys/kernel/hostname").unwrap(),
        before
    );
    t.bundle().without_namespace("uts").create_fails(&["uts"]);
    if !t.foreign() {
        t.bundle()
            .edit(|c| c["hostname"] = json!("x".repeat(65)))
            .create_fails(&["hostname|host name"]);
        t.bundle()
            .without_namespace("uts")
            .edit(|c| {
                c.as_object_mut().unwrap().remove("hostname");
                c["domainname"] = json!("x");
            })
            .create_fails(&["domainname", "uts"]);
    }
}

/// It is set there.
fn host_name_of_a_joined_namespace(t: &T) {
    if t.foreign() {
        return;
    }
    let holder = Holder::new(libc::CLONE_NEWUTS);
    let bundle = t.bundle().namespace("uts", Some(&holder.path("uts")));
    let seen = bundle.run().ok().json();
    assert_eq!(seen["uts"]["host"], "inside");
}

fn loopback_is_up(t: &T) {
    let out = t.bundle().probe(&["lo"]).run().ok();
    let seen = out.json();
    assert_eq!(
        (&seen["up"], &seen["sent"], &seen["got"]),
        (&json!(true), &json!(true), &json!(true)),
        "{seen}"
    );
    assert_eq!(seen["names"], json!(["lo"]));
}

fn loopback_of_a_joined_namespace_is_left_alone(t: &T) {
    let holder = Holder::new(libc::CLONE_NEWNET);
    let out = t
        .bundle()
        .namespace("network", Some(&holder.path("net")))
        .probe(&["lo"])
        .run()
        .ok();
    assert_eq!(out.json()["up"], false);
}

fn time_offsets(t: &T) {
    if t.foreign() {
        return;
    }
    t.facts.need_path("/proc/self/ns/time", "time namespaces");
    t.facts.need_kernel(5, 6, "the time namespace");
    let out = t
        .bundle()
        .namespace("time", None)
        .edit(|c| {
            c["linux"]["timeOffsets"] = json!({
                "monotonic": {"secs": 86_400, "nanosecs": 5}, "boottime": {"secs": 1_000_000, "nanosecs": 7},
            });
        })
        .probe(&["uptime", "--", "report"])
        .run()
        .ok();
    let clock = |id| {
        // SAFETY: all-zero is a valid timespec, which the call fills.
        unsafe {
            let mut time: libc::timespec = std::mem::zeroed();
            libc::clock_gettime(id, &raw mut time);
            time.tv_sec
        }
    };
    let near = |seen: &serde_json::Value, id, offset: i64| {
        let difference = seen.as_i64().unwrap() - clock(id);
        assert!(
            (difference - offset).abs() < 10,
            "{difference} instead of {offset}"
        );
    };
    near(&out.json()["monotonic"], libc::CLOCK_MONOTONIC, 86_400);
    near(&out.json()["boottime"], libc::CLOCK_BOOTTIME, 1_000_000);
    assert_ne!(out.lines()[1]["ns"]["time"], own("time"));
    let text = out.lines()[1]["timens"]
        .as_str()
        .unwrap()
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ");
    assert_eq!(text, "monotonic 86400 5 boottime 1000000 7");
    // Without offsets; and negative ones within the time since boot.
    t.bundle()
        .namespace("time", None)
        .probe(&["exit"])
        .run()
        .ok();
    t.bundle()
        .namespace("time", None)
        .edit(|c| c["linux"]["timeOffsets"] = json!({"boottime": {"secs": -1}}))
        .probe(&["exit"])
        .run()
        .ok();
}

fn joined_time_namespace(t: &T) {
    if t.foreign() {
        return;
    }
    t.facts.need_path("/proc/self/ns/time", "time namespaces");
    let c = t
        .bundle()
        .namespace("time", None)
        .probe(&["sleep"])
        .create();
    let path = format!("/proc/{}/ns/time", c.pid());
    let seen = t.bundle().namespace("time", Some(&path)).run().ok().json();
    assert_eq!(seen["ns"]["time"], witness::namespace(c.pid(), "time"));
}

fn time_offsets_without_namespace(t: &T) {
    if t.foreign() {
        return;
    }
    let offsets = json!({"monotonic": {"secs": 1}});
    t.bundle()
        .edit(|c| c["linux"]["timeOffsets"] = offsets.clone())
        .create_fails(&["timeOffsets", "time namespace"]);
    if Path::new("/proc/self/ns/time").exists() {
        t.bundle()
            .namespace("time", Some("/proc/self/ns/time"))
            .edit(|c| c["linux"]["timeOffsets"] = offsets.clone())
            .create_fails(&["timeOffsets"]);
    }
    t.bundle()
        .namespace("time", None)
        .edit(|c| c["linux"]["timeOffsets"] = json!({"monotonic": {"nanosecs": 1_000_000_000_u64}}))
        .create_fails(&["nanosecs"]);
}

fn sysctls(t: &T) {
    if !Path::new("/proc/sys/net/ipv4/ip_forward").exists() {
        skip("no IPv4 in this kernel");
    }
    let host = fs::read_to_string("/proc/sys/kernel/shm_rmid_forced").unwrap();
    let out = t
        .bundle()
        .edit(|c| {
            c["linux"]["sysctl"] = json!({
                "net.ipv4.ip_forward": "1", "kernel.shm_rmid_forced": "1", "kernel.msgmax": "4096",
                "kernel.sem": "100 200 30 40", "net/ipv4/conf/lo/forwarding": "0",
            });
            c["linux"]["readonlyPaths"] = json!(["/proc/sys"]);
        })
        .probe(&[
            "read",
            "/proc/sys/net/ipv4/ip_forward",
            "--",
            "read",
            "/proc/sys/kernel/shm_rmid_forced",
            "--",
            "read",
            "/proc/sys/kernel/msgmax",
            "--",
            "read",
            "/proc/sys/kernel/sem",
        ])
        .run()
        .ok();
    let lines = out.lines();
    let value = |n: usize| {
        lines[n]["data"]
            .as_str()
            .unwrap()
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(
        [value(0), value(1), value(2), value(3)],
        ["1", "1", "4096", "100 200 30 40"]
    );
    assert_eq!(
        fs::read_to_string("/proc/sys/kernel/shm_rmid_forced").unwrap(),
        host
    );
}

fn sysctls_that_are_not_the_containers(t: &T) {
    let bad = |key: &str, bundle: crate::bundle::Bundle<'_>| {
        bundle
            .edit(|c| c["linux"]["sysctl"] = json!({key: "1"}))
            .create_fails(&["namespace|sysctl"]);
    };
    for key in [
        "kernel.core_pattern",
        "vm.swappiness",
        "kernel.hostname",
        "fs.file-max",
        "kernel.sysrq",
    ] {
        bad(key, t.bundle());
    }
    bad(
        "net.ipv4.ip_forward",
        t.bundle().without_namespace("network"),
    );
    bad("kernel.msgmax", t.bundle().without_namespace("ipc"));
    if !t.foreign() {
        bad(
            "net.ipv4.ip_forward",
            t.bundle().namespace("network", Some("/proc/self/ns/net")),
        );
        t.bundle()
            .edit(|c| c["linux"]["sysctl"] = json!({"net.no.such": "1"}))
            .create_fails(&["sysctl|net", "no such file"]);
    }
}

/// CVE-2022-0811 and its relatives: one key is one file, a value is one value.
fn sysctls_that_smuggle(t: &T) {
    let before = fs::read("/proc/sys/kernel/core_pattern").unwrap();
    for key in [
        "kernel.../core_pattern",
        "net.ipv4.ip_forward=1+kernel.core_pattern",
        "net/../kernel/core_pattern",
        "net/./ipv4/ip_forward",
        "net..ipv4.ip_forward",
        "",
        ".",
        "/",
        "net.",
        "net/",
        "/net/ipv4/ip_forward",
        "net.ipv4.ip_forward\n",
        "net/ipv4/../../kernel/core_pattern",
        "NET.ipv4",
        "kernel.msgmax/../core_pattern",
        "fs.mqueue.",
        "kernel/../kernel/msgmax",
    ] {
        let bundle = t
            .bundle()
            .edit(|c| c["linux"]["sysctl"] = json!({key: "|/evil"}))
            .probe(&["sleep"]);
        let id = t.id();
        let out = bundle.create_cmd(&id, &[]).run();
        if out.code() == 0 {
            t.cmd(&["delete", "--force", &id]).run();
            assert!(t.foreign(), "sysctl {key:?} was accepted");
        }
        assert_eq!(
            fs::read("/proc/sys/kernel/core_pattern").unwrap(),
            before,
            "sysctl {key:?}"
        );
    }
}
