//! Cgroups: placement, removal, device rules, life without them.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::bundle::Bundle;
use crate::case::{Case, cannot, case};
use crate::facts::Cgroup;
use crate::harness::T;
use crate::runtime::Out;
use crate::{kernel, shim, witness};

pub const CASES: &[Case] = &[
    case!(default_path),
    case!(absolute_path),
    case!(relative_path),
    case!(paths_that_climb),
    case!(removed_with_what_is_below),
    case!(emptied_before_removal),
    case!(busy_cgroup_is_refused),
    case!(existing_empty_cgroup_is_used),
    case!(disabled_manager),
    case!(limits_that_say_nothing),
    case!(host_without_cgroups),
    case!(cgroup_mount),
    case!(devices_deny_first),
    case!(devices_allowed),
    case!(devices_by_access),
    case!(devices_that_are_invalid),
    case!(kernel_without_device_programs),
    case!(placed_before_the_first_instruction),
];

/// `/proc/PID/cgroup` of a fresh container and of this process, for the hierarchies that are in use.
fn paths(pid: i32) -> BTreeMap<String, String> {
    witness::cgroup_of(pid)
}

fn in_use(t: &T) -> Vec<String> {
    let all = witness::cgroup_of("self");
    match t.facts.cgroup {
        Cgroup::V2 => vec![String::new()],
        // A hybrid host: the v1 hierarchies that are mounted; the unified one may or may not be used.
        Cgroup::V1 => {
            let mounts = witness::mountinfo("self").unwrap();
            all.into_keys()
                .filter(|key| !key.is_empty())
                .filter(|key| {
                    let first = key.split(',').next().unwrap().to_owned();
                    mounts
                        .iter()
                        .any(|m| m.kind == "cgroup" && m.data.contains(&first))
                })
                .collect()
        }
        Cgroup::Absent => cannot("no cgroup file system here"),
    }
}

fn join(own: &str, path: &str) -> String {
    format!("{}/{path}", own.trim_end_matches('/'))
}

fn default_path(t: &T) {
    lies_at_the_default(t, t.bundle());
    // As good as none.
    lies_at_the_default(
        t,
        t.bundle().edit(|c| c["linux"]["cgroupsPath"] = json!("")),
    );
}

fn lies_at_the_default(t: &T, bundle: Bundle<'_>) {
    let c = bundle.probe(&["sleep"]).create();
    let (own, seen) = (witness::cgroup_of("self"), paths(c.pid()));
    for key in in_use(t) {
        let base = if t.facts.cgroup == Cgroup::V2 {
            own[&key]
                .rsplit_once('/')
                .map_or("", |(parent, _)| parent)
                .to_owned()
        } else {
            own[&key].clone()
        };
        assert_eq!(seen[&key], join(&base, &c.id), "{key}: {seen:?}");
    }
    assert!(!witness::cgroups(&c.id).is_empty());
    c.delete();
    assert_eq!(witness::cgroups(&c.id), Vec::<PathBuf>::new());
}

fn absolute_path(t: &T) {
    let path = format!("/{}x/deep/er", t.tag);
    let c = t
        .bundle()
        .edit(|c| c["linux"]["cgroupsPath"] = json!(path))
        .probe(&["sleep"])
        .create();
    for key in in_use(t) {
        assert_eq!(paths(c.pid())[&key], path, "{key}");
    }
    c.delete();
    // What was above the container's own cgroup may stay: it was not asked to go, and others may use it.
    for dir in witness::cgroups(&format!("{}x", t.tag)) {
        assert!(!dir.join("deep/er").exists(), "{}", dir.display());
        let _ = fs::remove_dir(dir.join("deep"));
        let _ = fs::remove_dir(dir);
    }
}

fn relative_path(t: &T) {
    let path = format!("{}y", t.tag);
    let c = t
        .bundle()
        .edit(|c| c["linux"]["cgroupsPath"] = json!(path))
        .probe(&["sleep"])
        .create();
    for key in in_use(t) {
        assert!(paths(c.pid())[&key].ends_with(&format!("/{path}")), "{key}");
    }
    c.delete();
    assert_eq!(witness::cgroups(&path), Vec::<PathBuf>::new());
}

fn paths_that_climb(t: &T) {
    if t.foreign() {
        return;
    }
    for path in [
        "/../x",
        "../../x",
        "/a/../../x",
        "..",
        "/",
        "/..",
        "/.",
        "a/..",
        "system.slice:ocilet:x",
    ] {
        t.bundle()
            .edit(|c| c["linux"]["cgroupsPath"] = json!(path))
            .create_fails(&["cgroup"]);
    }
}

/// Directories of the container's cgroup, one for each hierarchy.
fn dirs(t: &T, id: &str) -> Vec<PathBuf> {
    let _ = in_use(t);
    witness::cgroups(id)
}

fn removed_with_what_is_below(t: &T) {
    let c = t.bundle().probe(&["sleep"]).create();
    for dir in dirs(t, &c.id) {
        fs::create_dir_all(dir.join("a/b/c")).unwrap();
        fs::create_dir_all(dir.join("a/d")).unwrap();
    }
    c.kill("9").ok();
    c.wait();
    c.delete();
    assert_eq!(witness::cgroups(&c.id), Vec::<PathBuf>::new());
}

fn emptied_before_removal(t: &T) {
    // Processes that outlive the init, in the container's cgroup and in one below it.
    let c = t
        .bundle()
        .without_namespace("pid")
        .probe(&["fork", "3", "--", "sleep"])
        .detach();
    c.until("forked");
    let dirs = dirs(t, &c.id);
    let child = witness::descendants(c.pid())
        .first()
        .map(|&(pid, _)| pid)
        .unwrap();
    for dir in &dirs {
        fs::create_dir(dir.join("below")).unwrap();
        let _ = fs::write(dir.join("below/cgroup.procs"), child.to_string());
    }
    c.kill("9").ok();
    c.wait();
    c.delete_force();
    assert!(!witness::alive(child));
}

fn busy_cgroup_is_refused(t: &T) {
    let c = t.bundle().probe(&["sleep"]).detach();
    let path = paths(c.pid())[&in_use(t)[0]].clone();
    let other = t
        .bundle()
        .edit(|c| c["linux"]["cgroupsPath"] = json!(path))
        .probe(&["sleep"]);
    if t.foreign() {
        return;
    }
    other.create_fails(&["cgroup"]);
    assert_eq!(c.status(), "running");
    assert!(!witness::cgroups(&c.id).is_empty());
}

fn existing_empty_cgroup_is_used(t: &T) {
    let first = t.bundle().probe(&["sleep"]).create();
    let path = paths(first.pid())[&in_use(t)[0]].clone();
    let dirs = dirs(t, &first.id);
    first.delete();
    for dir in &dirs {
        fs::create_dir(dir).unwrap();
    }
    let c = t
        .bundle()
        .edit(|c| c["linux"]["cgroupsPath"] = json!(path))
        .probe(&["sleep"])
        .create();
    assert_eq!(paths(c.pid())[&in_use(t)[0]], path);
    drop(c);
    for dir in dirs {
        let _ = fs::remove_dir(dir);
    }
}

fn disabled_manager(t: &T) {
    if t.foreign() {
        return;
    }
    let bundle = t.bundle().probe(&["sleep"]);
    bundle.write();
    let (dir, root, id) = (
        bundle.dir.to_string_lossy(),
        t.root.to_string_lossy(),
        t.id(),
    );
    let pid_file = t.path("pid");
    let file = pid_file.to_string_lossy();
    let flags = ["--root", &root, "--cgroup-manager=disabled"];
    let call = |words: &[&str]| {
        let mut all = flags.to_vec();
        all.extend_from_slice(words);
        t.bare(&all).run()
    };
    call(&["create", "-b", &dir, "--pid-file", &file, &id]).ok();
    let pid: i32 = fs::read_to_string(&pid_file).unwrap().parse().unwrap();
    assert_eq!(paths(pid), witness::cgroup_of("self"));
    assert_eq!(witness::cgroups(&id), Vec::<PathBuf>::new());
    call(&["start", &id]).ok();
    call(&["kill", &id, "9"]).ok();
    // Later calls need no flag: the state knows.
    t.cmd(&["delete", "--force", &id]).run().ok();
    for words in [&["--cgroup-manager", "nonsense"][..], &["--cgroup-manager"]] {
        assert_ne!(t.bare(&[words, &["list"]].concat()).run().code(), 0);
    }
}

fn limits_that_say_nothing(t: &T) {
    for resources in [
        json!({}),
        json!({"memory": {}, "cpu": {}, "devices": []}),
        json!({"unified": {}}),
    ] {
        t.bundle()
            .edit(|c| c["linux"]["resources"] = resources)
            .probe(&["exit"])
            .run()
            .ok();
    }
}

fn host_without_cgroups(t: &T) {
    if t.foreign() {
        return;
    }
    // In this namespace only; the harness has looked at the machine's already.
    kernel::mount("empty", "/sys/fs/cgroup", "tmpfs", 0, "").unwrap();
    let out = t.bundle().probe(&["echo", "ran"]).run().ok();
    assert_eq!(out.stdout, "ran\n");
    assert!(
        out.stderr.contains("cgroup"),
        "no warning: {:?}",
        out.stderr
    );
    assert_eq!(out.stderr.lines().count(), 1, "{}", out.stderr);
    t.bundle()
        .edit(|c| c["linux"]["resources"] = json!({"devices": [{"allow": false, "access": "rwm"}]}))
        .probe(&["exit"])
        .run();
    kernel::unmount("/sys/fs/cgroup").unwrap();
}

fn cgroup_mount(t: &T) {
    let keys = in_use(t);
    let bundle = t
        .bundle()
        .namespace("cgroup", None)
        .mount(
            "/sys",
            "sysfs",
            "sysfs",
            &["nosuid", "noexec", "nodev", "ro"],
        )
        .mount(
            "/sys/fs/cgroup",
            "cgroup",
            "cgroup",
            &["nosuid", "noexec", "nodev", "relatime", "ro"],
        )
        .probe(&[
            "ls",
            "/sys/fs/cgroup",
            "--",
            "create",
            "/sys/fs/cgroup/x",
            "--",
            "report",
        ]);
    let out = bundle.run();
    let lines = out.lines();
    assert_eq!(lines.len(), 3, "{}", out.stderr);
    assert!(
        t.foreign() || lines[1]["errno"] == "EROFS",
        "{}",
        out.stdout
    );
    let names = lines[0]["names"].to_string();
    if t.facts.cgroup == Cgroup::V2 {
        assert!(names.contains("cgroup.procs"), "{names}");
        return;
    }
    for key in keys {
        let name = key.strip_prefix("name=").unwrap_or(&key);
        assert!(
            names.contains(&format!("\"{name}\"")),
            "no {name} in {names}"
        );
    }
    // What is mounted is the container's own part.
    let mounts = lines[2]["mounts"].as_array().unwrap();
    let cgroups: Vec<&Value> = mounts.iter().filter(|m| m["kind"] == "cgroup").collect();
    assert!(!cgroups.is_empty());
    for mount in cgroups {
        assert_eq!(mount["root"], "/", "{mount}");
        assert!(mount["options"].to_string().contains("\"ro\""), "{mount}");
    }
}

fn with_rules(t: &T, rules: Option<Value>) -> Bundle<'_> {
    t.bundle().edit(|c| {
        if let Some(rules) = rules {
            c["linux"]["resources"] = json!({"devices": rules});
        }
    })
}

fn attempt(bundle: Bundle<'_>, words: &[&str]) -> Out {
    let out = bundle.probe(words).run();
    assert!(!out.stdout.is_empty(), "{}", out.stderr);
    out
}

/// GHSA-g54h-m393-cpwq: whatever the list, it starts from nothing.
fn devices_deny_first(t: &T) {
    let _ = in_use(t);
    for rules in [
        None,
        Some(json!([])),
        Some(json!([{"allow": false, "access": "rwm"}])),
        Some(json!([{"allow": true, "type": "c", "major": 10, "minor": 229, "access": "rwm"}])),
        Some(json!([{"allow": false, "type": "b", "access": "rwm"}])),
    ] {
        let shown = format!("{rules:?}");
        let out = attempt(
            with_rules(t, rules),
            &[
                "mknod",
                "/tmp/disk",
                "b",
                "8",
                "0",
                "--",
                "open",
                "/tmp/disk",
                "--",
                "mknod",
                "/tmp/mem",
                "c",
                "1",
                "1",
                "--",
                "open",
                "/tmp/mem",
                "--",
                "open",
                "/dev/null",
                "rw",
                "--",
                "open",
                "/dev/zero",
                "rw",
                "--",
                "open",
                "/dev/full",
                "rw",
                "--",
                "open",
                "/dev/random",
                "rw",
                "--",
                "open",
                "/dev/urandom",
                "rw",
            ],
        );
        let lines = out.lines();
        // Making a node is harmless and allowed by default, as in runc; opening it is not.
        for n in [1, 3] {
            assert!(
                ["EPERM", "ENOENT"].contains(&lines[n]["errno"].as_str().unwrap_or("")),
                "{shown}: {}",
                out.stdout
            );
        }
        for line in &lines[4..] {
            assert_eq!(line["ok"], true, "{shown}: {}", out.stdout);
        }
    }
}

fn devices_allowed(t: &T) {
    let _ = in_use(t);
    // 1:11 (kmsg) exists in every kernel; 1:1 does not have to, and then answers ENXIO, which is not EPERM.
    let out = attempt(
        with_rules(
            t,
            Some(json!([
                {"allow": false, "access": "rwm"},
                {"allow": true, "type": "c", "major": 1, "minor": 11, "access": "rwm"},
                {"allow": true, "type": "b", "major": 7, "access": "rw"},
            ])),
        ),
        &[
            "mknod",
            "/tmp/kmsg",
            "c",
            "1",
            "11",
            "--",
            "open",
            "/tmp/kmsg",
            "rw",
            "--",
            "mknod",
            "/tmp/loop",
            "b",
            "7",
            "77",
            "--",
            "open",
            "/tmp/loop",
            "--",
            "mknod",
            "/tmp/other",
            "b",
            "8",
            "0",
            "--",
            "open",
            "/tmp/other",
        ],
    );
    let lines = out.lines();
    assert_eq!(lines[1]["ok"], true, "{}", out.stdout);
    assert_ne!(lines[3]["errno"], "EPERM", "{}", out.stdout);
    assert_eq!(lines[5]["errno"], "EPERM", "{}", out.stdout);
    // Everything, as privileged containers ask for it.
    let out = attempt(
        with_rules(
            t,
            Some(json!([{"allow": true, "type": "a", "access": "rwm"}])),
        ),
        &[
            "mknod", "/tmp/a", "b", "8", "250", "--", "open", "/tmp/a", "--", "mknod", "/tmp/b",
            "c", "1", "11", "--", "open", "/tmp/b",
        ],
    );
    assert_ne!(out.lines()[1]["errno"], "EPERM", "{}", out.stdout);
    assert_eq!(out.lines()[3]["ok"], true, "{}", out.stdout);
    // Everything but one.
    if !t.foreign() && t.facts.cgroup == Cgroup::V2 {
        let out = attempt(
            with_rules(
                t,
                Some(json!([
                    {"allow": true, "access": "rwm"},
                    {"allow": false, "type": "c", "major": 1, "minor": 11, "access": "rwm"},
                ])),
            ),
            &[
                "mknod",
                "/tmp/b",
                "c",
                "1",
                "11",
                "--",
                "open",
                "/tmp/b",
                "--",
                "open",
                "/dev/null",
            ],
        );
        // The node cannot even be made.
        assert_eq!(out.lines()[0]["errno"], "EPERM", "{}", out.stdout);
        assert_eq!(out.lines()[2]["ok"], true, "{}", out.stdout);
    }
}

fn devices_by_access(t: &T) {
    let _ = in_use(t);
    let out = attempt(
        with_rules(
            t,
            Some(json!([
                {"allow": false, "access": "rwm"},
                {"allow": true, "type": "c", "major": 1, "minor": 11, "access": "r"},
            ])),
        ),
        &[
            "mknod", "/tmp/k", "c", "1", "11", "--", "open", "/tmp/k", "r", "--", "open", "/tmp/k",
            "w", "--", "open", "/tmp/k", "rw",
        ],
    );
    let lines = out.lines();
    assert_eq!(lines[1]["ok"], true, "{}", out.stdout);
    assert_eq!(
        (&lines[2]["errno"], &lines[3]["errno"]),
        (&json!("EPERM"), &json!("EPERM")),
        "{}",
        out.stdout
    );
}

fn devices_that_are_invalid(t: &T) {
    if t.foreign() {
        return;
    }
    for (rule, word) in [
        (json!({"allow": true, "type": "z"}), "devices[0].type"),
        (json!({"allow": true, "access": "rwx"}), "devices[0].access"),
        (json!({"type": "c"}), "devices[0]"),
        (
            json!({"allow": true, "type": "c", "major": "1"}),
            "devices[0].major",
        ),
    ] {
        with_rules(t, Some(json!([rule]))).create_fails(&[word]);
    }
}

/// A kernel without CONFIG_CGROUP_BPF, or whose bpf(2) is not for us: device rules cannot be had on cgroup v2.
fn kernel_without_device_programs(t: &T) {
    if t.foreign() {
        return;
    }
    let _ = in_use(t);
    let covered = t.facts.cgroup == Cgroup::V1;
    // In this namespace only, and without controllers.
    if covered && kernel::mount("cgroup2", "/sys/fs/cgroup", "cgroup2", 0, "").is_err() {
        cannot("no cgroup v2 in this kernel");
    }
    let root = t.root.to_string_lossy().into_owned();
    for errno in [libc::ENOSYS, libc::EPERM, libc::EINVAL] {
        let old = || Some(shim::Filter::answering(errno, &[libc::SYS_bpf]));
        let bundle = t.bundle().probe(&["echo", "ran"]);
        let create = bundle.create_cmd(&t.id(), &[]).filtered(old());
        create
            .run()
            .fails(&["devices|device rules", "CONFIG_CGROUP_BPF"]);
        let dir = bundle.dir.to_string_lossy().into_owned();
        let words = [
            "--cgroup-policy=best-effort",
            "--root",
            &root,
            "run",
            "-b",
            &dir,
        ];
        let run = t.bare(&[&words[..], &[&t.id()]].concat());
        let out = run.filtered(old()).run().ok();
        assert_eq!(out.stdout, "ran\n");
        assert!(out.stderr.contains("CONFIG_CGROUP_BPF"), "{}", out.stderr);
        assert_eq!(out.stderr.lines().count(), 1, "{}", out.stderr);
        // Where everything is allowed nothing is needed.
        let free = with_rules(t, Some(json!([{"allow": true, "access": "rwm"}])));
        let run = free.probe(&["exit"]).run_cmd(&[]).1;
        assert_eq!(run.filtered(old()).run().ok().stderr, "");
    }
    if covered {
        kernel::unmount("/sys/fs/cgroup").unwrap();
    }
}

/// The container's own code never ran outside its cgroup: the very first line of its report already says so.
fn placed_before_the_first_instruction(t: &T) {
    let keys = in_use(t);
    let bundle = t.bundle();
    let (id, cmd) = bundle.run_cmd(&[]);
    let text = cmd.run().ok().json()["cgroup"].as_str().unwrap().to_owned();
    for key in keys {
        let line = text
            .lines()
            .find(|line| line.split(':').nth(1) == Some(&key))
            .unwrap();
        assert!(line.ends_with(&id), "{line}");
    }
}
