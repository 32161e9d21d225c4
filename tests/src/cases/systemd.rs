//! The systemd driver, where systemd is the first process: properties as systemctl shows them, limits as the kernel has
//! them.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::users::User;
use crate::case::{Case, cannot, case};
use crate::facts::Cgroup;
use crate::harness::T;
use crate::kernel::{self, become_user};
use crate::runtime::{Cmd, Out, wait_for};

pub const CASES: &[Case] = &[
    case!(without_systemd),
    case!(paths_that_are_none),
    case!(properties, 60),
    case!(limits_that_are_no_properties, 60),
    case!(default_unit, 60),
    case!(annotations, 60),
    case!(bad_annotations),
    case!(over_the_bus, 60),
    case!(changes, 60),
    case!(unit_is_taken, 60),
    case!(foreground, 60),
    case!(manager_of_a_user, 60),
    case!(user_namespace, 60),
];

fn need_systemd(t: &T) {
    t.facts.need_path("/run/systemd/private", "systemd");
    t.facts.need_tool("systemctl");
}

fn call(t: &T, words: &[&str]) -> Out {
    let root = t.root.to_string_lossy();
    t.bare(&[&["--root", &*root, "--systemd-cgroup"], words].concat())
        .run()
}

fn shown(t: &T, unit: &str, property: &str) -> String {
    let out = t
        .tool("systemctl", &["show", "--value", "-p", property, unit])
        .run()
        .ok();
    out.stdout.trim().to_owned()
}

/// The file of a unit's cgroup, in whichever hierarchy.
fn file(path: &str, name: &str) -> String {
    let root = Path::new("/sys/fs/cgroup");
    let mut places: Vec<PathBuf> = vec![root.to_owned()];
    places.extend(
        fs::read_dir(root)
            .unwrap()
            .flatten()
            .map(|entry| entry.path()),
    );
    let found = places
        .iter()
        .map(|place| place.join(path).join(name))
        .find(|it| it.exists());
    let found = found.unwrap_or_else(|| panic!("no {name} in {path}"));
    fs::read_to_string(found).unwrap().trim().to_owned()
}

/// A container with `slice:ocilet:ID`, created.
fn create(t: &T, id: &str, edit: impl FnOnce(&mut serde_json::Value)) -> Out {
    let bundle = t.bundle().probe(&["sleep"]).edit(|c| {
        c["linux"]["cgroupsPath"] = json!(format!("ocilet-test.slice:ocilet:{id}"));
        edit(c);
    });
    bundle.write();
    call(t, &["create", "-b", &bundle.dir.to_string_lossy(), id])
}

fn delete(t: &T, id: &str) {
    t.cmd(&["delete", "--force", id]).run().ok();
    forgotten(t, id);
}

/// systemd forgets a unit that has stopped soon, but not at once.
fn forgotten(t: &T, id: &str) {
    wait_for("systemd to forget the unit", || {
        shown(t, &format!("ocilet-{id}.scope"), "LoadState") == "not-found"
    });
}

fn without_systemd(t: &T) {
    if Path::new("/run/systemd/private").exists() || t.foreign() {
        cannot("there is a systemd");
    }
    if t.facts.cgroup == Cgroup::Absent {
        cannot("no cgroup file system here");
    }
    create(t, &t.id(), |_| ()).fails(&["systemd"]);
}

fn paths_that_are_none(t: &T) {
    if t.foreign() || t.facts.cgroup == Cgroup::Absent {
        cannot("no cgroup file system here");
    }
    for path in [
        "/a/b",
        "a:b",
        "a.slice:b:c:d",
        "a:b:c",
        "a--b.slice:p:x",
        "a.slice:p:",
    ] {
        create(t, &t.id(), |c| c["linux"]["cgroupsPath"] = json!(path)).fails(&["slice"]);
    }
}

fn properties(t: &T) {
    need_systemd(t);
    let id = t.id();
    create(t, &id, |c| {
        c["linux"]["resources"] = json!({
            "memory": {"limit": 33_554_432, "swap": 67_108_864, "reservation": 16_777_216},
            "pids": {"limit": 50},
            "cpu": {"shares": 512, "quota": 20_000, "period": 50_000},
        });
    })
    .ok();
    let unit = format!("ocilet-{id}.scope");
    let path = format!("ocilet.slice/ocilet-test.slice/{unit}");
    let v2 = t.facts.cgroup == Cgroup::V2;
    let mut rows = vec![
        ("ActiveState", "active"),
        ("Delegate", "yes"),
        ("DefaultDependencies", "no"),
        ("Slice", "ocilet-test.slice"),
        ("TasksMax", "50"),
        ("CPUQuotaPerSecUSec", "400ms"),
        ("CPUQuotaPeriodUSec", "50ms"),
        ("MemoryAccounting", "yes"),
        ("CPUAccounting", "yes"),
        ("TasksAccounting", "yes"),
    ];
    if v2 {
        rows.extend([
            ("MemoryMax", "33554432"),
            ("MemorySwapMax", "33554432"),
            ("MemoryLow", "16777216"),
            ("CPUWeight", "59"),
            ("IOAccounting", "yes"),
        ]);
    } else {
        rows.extend([("MemoryLimit", "33554432"), ("CPUShares", "512")]);
    }
    for (property, want) in rows {
        assert_eq!(shown(t, &unit, property), want, "{property}");
    }
    assert_eq!(shown(t, &unit, "ControlGroup"), format!("/{path}"));
    assert_eq!(file(&path, "pids.max"), "50");
    let (memory, cpu) = if v2 {
        (("memory.max", "33554432"), ("cpu.max", "20000 50000"))
    } else {
        (
            ("memory.limit_in_bytes", "33554432"),
            ("cpu.cfs_quota_us", "20000"),
        )
    };
    assert_eq!(file(&path, memory.0), memory.1);
    assert_eq!(file(&path, cpu.0), cpu.1);
    // systemd keeps them when it looks at everything again.
    t.tool("systemctl", &["daemon-reload"]).run().ok();
    assert_eq!(file(&path, memory.0), memory.1);
    t.cmd(&["start", &id]).run().ok();
    delete(t, &id);
    // The same name again.
    create(t, &id, |_| ()).ok();
    delete(t, &id);
}

/// What systemd has no property for is in the files, and stays there.
fn limits_that_are_no_properties(t: &T) {
    need_systemd(t);
    if t.facts.cgroup != Cgroup::V2 {
        cannot("cgroup v2 only");
    }
    let id = t.id();
    create(t, &id, |c| {
        c["linux"]["resources"] = json!({
            "memory": {"limit": 33_554_432},
            "unified": {"memory.high": "16777216", "pids.max": "33"},
        });
    })
    .ok();
    let path = format!("ocilet.slice/ocilet-test.slice/ocilet-{id}.scope");
    let check = || {
        for (name, want) in [
            ("memory.max", "33554432"),
            ("memory.high", "16777216"),
            ("pids.max", "33"),
        ] {
            assert_eq!(file(&path, name), want, "{name}");
        }
    };
    check();
    t.tool("systemctl", &["daemon-reload"]).run().ok();
    check();
    delete(t, &id);
}

fn default_unit(t: &T) {
    need_systemd(t);
    let id = t.id();
    create(t, &id, |c| {
        c["linux"].as_object_mut().unwrap().remove("cgroupsPath");
    })
    .ok();
    assert_eq!(
        shown(t, &format!("ocilet-{id}.scope"), "Slice"),
        "system.slice"
    );
    delete(t, &id);
}

fn annotations(t: &T) {
    need_systemd(t);
    let id = t.id();
    create(t, &id, |c| {
        c["annotations"] = json!({
            "org.systemd.property.TimeoutStopUSec": "uint64 7000000",
            "org.systemd.property.CollectMode": "'inactive-or-failed'",
            "org.systemd.property.SendSIGHUP": "true",
            "org.systemd.property.RuntimeMaxSec": "900",
            "org.systemd.property.After": "['basic.target', 'ocilet-test.target']",
        });
    })
    .ok();
    let unit = format!("ocilet-{id}.scope");
    for (property, want) in [
        ("TimeoutStopUSec", "7s"),
        ("CollectMode", "inactive-or-failed"),
        ("SendSIGHUP", "yes"),
        ("RuntimeMaxUSec", "15min"),
    ] {
        assert_eq!(shown(t, &unit, property), want, "{property}");
    }
    assert!(shown(t, &unit, "After").contains("ocilet-test.target"));
    delete(t, &id);
}

fn bad_annotations(t: &T) {
    if t.foreign() || t.facts.cgroup == Cgroup::Absent {
        cannot("no cgroup file system here");
    }
    for (name, value) in [
        ("A", "1"),
        ("Abc1", "1"),
        ("Abc", "[1, 'a']"),
        ("Abc", "nothing"),
        ("Abc", "byte 256"),
    ] {
        let key = format!("org.systemd.property.{name}");
        create(t, &t.id(), |c| c["annotations"] = json!({key: value})).fails(&["property"]);
    }
    need_systemd(t);
    let id = t.id();
    // Known to nobody: the words are systemd's own.
    create(t, &id, |c| {
        c["annotations"] = json!({"org.systemd.property.Foobar": "1"})
    })
    .fails(&["Foobar"]);
    assert!(!t.root.join(&id).exists());
}

fn over_the_bus(t: &T) {
    need_systemd(t);
    t.facts
        .need_path("/run/dbus/system_bus_socket", "the system bus");
    crate::kernel::mount("empty", "/run/systemd", "tmpfs", 0, "").unwrap();
    let id = t.id();
    create(t, &id, |_| ()).ok();
    t.cmd(&["delete", "--force", &id]).run().ok();
    crate::kernel::unmount("/run/systemd").unwrap();
    assert_eq!(
        shown(t, &format!("ocilet-{id}.scope"), "LoadState"),
        "not-found"
    );
}

fn changes(t: &T) {
    need_systemd(t);
    let id = t.id();
    create(t, &id, |_| ()).ok();
    let unit = format!("ocilet-{id}.scope");
    t.cmd(&["update", "--pids-limit", "77", "--cpu-share", "2048", &id])
        .run()
        .ok();
    assert_eq!(shown(t, &unit, "TasksMax"), "77");
    let path = format!("ocilet.slice/ocilet-test.slice/{unit}");
    assert_eq!(file(&path, "pids.max"), "77");
    t.cmd(&["pause", &id]).run().ok();
    t.cmd(&["resume", &id]).run().ok();
    delete(t, &id);
}

/// A unit of somebody else with this name stays as it is.
fn unit_is_taken(t: &T) {
    need_systemd(t);
    let id = t.id();
    let unit = format!("--unit=ocilet-{id}.scope");
    let mut other = std::process::Command::new("systemd-run")
        .args(["--scope", "--quiet", &unit, "sleep", "1000"])
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    wait_for("the unit", || {
        shown(t, &format!("ocilet-{id}.scope"), "ActiveState") == "active"
    });
    create(t, &id, |_| ()).fails(&["systemd"]);
    assert_eq!(
        shown(t, &format!("ocilet-{id}.scope"), "ActiveState"),
        "active"
    );
    other.kill().unwrap();
    other.wait().unwrap();
    wait_for("its end", || {
        shown(t, &format!("ocilet-{id}.scope"), "LoadState") == "not-found"
    });
}

fn foreground(t: &T) {
    need_systemd(t);
    let id = t.id();
    let bundle = t.bundle().probe(&["exit", "7"]);
    bundle.write();
    let out = call(t, &["run", "-b", &bundle.dir.to_string_lossy(), &id]);
    assert_eq!(out.code(), 7, "{}", out.stderr);
    forgotten(t, &id);
}

/// Without root the manager of the user makes the unit, below its own cgroup.
fn manager_of_a_user(t: &T) {
    need_systemd(t);
    if t.facts.cgroup != Cgroup::V2 {
        cannot("on cgroup v1 users get no controllers");
    }
    t.facts
        .need_path("/run/user/1000/systemd/private", "a manager of user 1000");
    let user = User::new(t, 1000);
    let id = t.id();
    let bundle = user.bundle(&user.single()).probe(&["sleep"]).edit(|c| {
        c["linux"]["cgroupsPath"] = json!(format!("ocilet-test.slice:ocilet:{id}"));
        c["linux"]["resources"] = json!({
            "memory": {"limit": 33_554_432}, "pids": {"limit": 50}, "cpu": {"shares": 512},
        });
    });
    bundle.write();
    let dir = bundle.dir.to_string_lossy().into_owned();
    let pid_file = user.root.join("pid");
    let pid_name = pid_file.to_string_lossy();
    user.cmd(&[
        "--systemd-cgroup",
        "create",
        "-b",
        &dir,
        "--pid-file",
        &pid_name,
        &id,
    ])
    .run()
    .ok();
    let unit = format!("ocilet-{id}.scope");
    let path = format!(
        "user.slice/user-1000.slice/user@1000.service/ocilet.slice/ocilet-test.slice/{unit}"
    );
    let pid = fs::read_to_string(&pid_file).unwrap();
    let seen = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    assert_eq!(seen.trim(), format!("0::/{path}"));
    for (name, want) in [("pids.max", "50"), ("memory.max", "33554432")] {
        assert_eq!(file(&path, name), want, "{name}");
    }
    let shown = |property: &str| {
        let words = ["--user", "show", "--value", "-p", property, &unit];
        let show = Cmd::new(t, &t.facts.need_tool("systemctl"), &words);
        let show = show.env("XDG_RUNTIME_DIR", "/run/user/1000");
        let out = show.before_exec(|| become_user(1000)).run().ok();
        out.stdout.trim().to_owned()
    };
    for (property, want) in [
        ("ActiveState", "active"),
        ("Delegate", "yes"),
        ("Slice", "ocilet-test.slice"),
        ("TasksMax", "50"),
        ("MemoryMax", "33554432"),
        ("CPUWeight", "59"),
    ] {
        assert_eq!(shown(property), want, "{property}");
    }
    user.cmd(&["start", &id]).run().ok();
    // Who is outside of what the manager of the user has may not put anybody inside.
    let door =
        "/sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service/init.scope/cgroup.procs";
    let mut door = fs::OpenOptions::new().write(true).open(door).unwrap();
    let inside = std::io::Write::write_all(&mut door, std::process::id().to_string().as_bytes());
    inside.unwrap();
    user.cmd(&["update", "--pids-limit", "60", &id]).run().ok();
    assert_eq!(
        (shown("TasksMax"), file(&path, "pids.max")),
        ("60".into(), "60".into())
    );
    user.cmd(&["exec", &id, "/bin/probe", "exit"]).run().ok();
    user.cmd(&["pause", &id]).run().ok();
    user.cmd(&["resume", &id]).run().ok();
    user.cmd(&["kill", &id, "KILL"]).run().ok();
    kernel::wait(pid.parse().unwrap(), 0);
    user.cmd(&["delete", &id]).run().ok();
    wait_for("the manager to forget the unit", || {
        shown("LoadState") == "not-found"
    });
}

/// Root with a user namespace: init gives up the rights that it takes to enter before there is a unit.
fn user_namespace(t: &T) {
    need_systemd(t);
    let id = t.id();
    create(t, &id, |c| {
        let map = json!([{"containerID": 0, "hostID": 100_000, "size": 65536}]);
        c["linux"]["namespaces"]
            .as_array_mut()
            .unwrap()
            .push(json!({"type": "user"}));
        (c["linux"]["uidMappings"], c["linux"]["gidMappings"]) = (map.clone(), map);
        c["linux"]["resources"] = json!({"pids": {"limit": 50}});
    })
    .ok();
    let path = format!("ocilet.slice/ocilet-test.slice/ocilet-{id}.scope");
    assert_eq!(file(&path, "pids.max"), "50");
    let pids = if t.facts.cgroup == Cgroup::V2 {
        "pids.current"
    } else {
        "tasks"
    };
    assert_ne!(file(&path, pids), if pids == "tasks" { "" } else { "0" });
    t.cmd(&["start", &id]).run().ok();
    delete(t, &id);
}
