//! User namespaces, and callers that are not root.

use std::ffi::CStr;
use std::fs;
use std::os::fd::{AsRawFd as _, FromRawFd as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::bundle::Bundle;
use crate::case::{Case, cannot, case};
use crate::harness::T;
use crate::kernel::{self, become_user, check};
use crate::runtime::{Cmd, Out};

pub const CASES: &[Case] = &[
    case!(ids_are_mapped),
    case!(everything_belongs_to_the_namespace),
    case!(other_ids_and_groups),
    case!(joined),
    case!(devices_are_bound),
    case!(sysfs_without_a_network),
    case!(sysfs_of_a_caller_that_may_only_read),
    case!(with_time_and_hooks),
    case!(limits_and_oom_score),
    case!(priorities_of_the_host),
    case!(closed_directories_above),
    case!(terminal_of_a_mapped_user),
    case!(wrong_mappings),
    case!(exec_into_it),
    case!(ordinary_user),
    case!(ordinary_user_with_ranges),
    case!(spec_rootless_runs),
    case!(groups_of_an_ordinary_user),
    case!(inside_a_user_namespace),
    case!(flag_rootless),
    case!(delegated_cgroup),
    case!(cgroup_of_a_mapped_user),
];

pub(super) const FIRST: u32 = 100_000;

pub(super) fn need(t: &T) {
    t.facts.need_path("/proc/self/ns/user", "user namespaces");
    let most = fs::read_to_string("/proc/sys/user/max_user_namespaces").unwrap_or_default();
    if most.trim() == "0" {
        cannot("user namespaces are switched off");
    }
}

/// A user namespace with these mappings of users and groups.
fn mapped(config: &mut Value, map: &Value) {
    let list = config["linux"]["namespaces"].as_array_mut().unwrap();
    list.push(json!({"type": "user"}));
    config["linux"]["uidMappings"] = map.clone();
    config["linux"]["gidMappings"] = map.clone();
}

fn range() -> Value {
    json!([{"containerID": 0, "hostID": FIRST, "size": 65536}])
}

pub(super) fn bundle(t: &T) -> Bundle<'_> {
    need(t);
    let bundle = t.bundle().edit(|c| mapped(c, &range()));
    own(&bundle, FIRST);
    bundle
}

/// The rootfs becomes this user's.
pub(super) fn own(bundle: &Bundle<'_>, id: u32) {
    for name in ["", "bin", "proc", "dev", "sys", "etc", "tmp"] {
        chown(bundle.rootfs().join(name), Some(id), Some(id)).unwrap();
    }
}

fn ids_are_mapped(t: &T) {
    let bundle = bundle(t).probe(&["dump", "/proc/self/uid_map", "--", "report", "--", "sleep"]);
    let container = bundle.detach();
    container.until("\"uids\"");
    let text = container.text();
    let words: Vec<&str> = text.lines().next().unwrap().split_whitespace().collect();
    assert_eq!(words, ["0", "100000", "65536"]);
    let status = fs::read_to_string(format!("/proc/{}/status", container.pid())).unwrap();
    for line in ["Uid:", "Gid:"] {
        let ids = status.lines().find(|it| it.starts_with(line)).unwrap();
        let ids: Vec<&str> = ids.split_whitespace().skip(1).collect();
        assert_eq!(ids, [&*t.caller.named(FIRST).to_string(); 4], "{line}");
    }
    let groups = status.lines().find(|it| it.starts_with("Groups:")).unwrap();
    assert_eq!(groups.split_whitespace().count(), 1, "{groups}");
}

/// The inode of the user namespace that owns a namespace, man 2 ioctl_ns.
fn owner(path: &str) -> u64 {
    const NS_GET_USERNS: libc::Ioctl = 0xb701;
    let file = fs::File::open(path).unwrap();
    // SAFETY: the request takes no argument and gives a new descriptor.
    let fd = check(unsafe { libc::ioctl(file.as_raw_fd(), NS_GET_USERNS) }).unwrap();
    // SAFETY: it is new and nobody else's.
    let file = unsafe { fs::File::from_raw_fd(fd as i32) };
    file.metadata().unwrap().ino()
}

fn everything_belongs_to_the_namespace(t: &T) {
    let bundle = bundle(t).namespace("cgroup", None).probe(&["sleep"]);
    let container = bundle.create();
    let path = |kind: &str| format!("/proc/{}/ns/{kind}", container.pid());
    let user = fs::metadata(path("user")).unwrap().ino();
    assert_ne!(user, fs::metadata("/proc/self/ns/user").unwrap().ino());
    for kind in ["mnt", "pid", "ipc", "uts", "net", "cgroup"] {
        assert_eq!(owner(&path(kind)), user, "{kind}");
    }
}

fn other_ids_and_groups(t: &T) {
    let report = {
        let bundle = bundle(t).edit(|c| {
            c["process"]["user"] = json!({"uid": 7, "gid": 8, "additionalGids": [9, 10]});
        });
        bundle.run().ok().json()
    };
    assert_eq!(
        report["ids"]["uids"].to_string(),
        json!([7, 7, 7]).to_string()
    );
    assert_eq!(report["ids"]["groups"], json!([9, 10]));
    // The directories of the machine are not his.
    let verbs = ["create", "/etc/x", "--", "create", "/proc/sys/kernel/x"];
    let out = bundle(t).probe(&verbs).run();
    assert_eq!(out.lines()[0]["ok"], true, "{out:?}");
    // Root of the container may not do what is root's on the host.
    let out = bundle(t).probe(&["mknod", "/tmp/n", "c", "1", "3"]).run();
    assert_eq!(out.json()["errno"], "EPERM");
    // An id that is not mapped.
    bundle(t)
        .edit(|c| c["process"]["user"]["uid"] = json!(70000))
        .create_fails(&["user and group", "einval"]);
}

fn joined(t: &T) {
    let first = bundle(t).namespace("network", None).probe(&["sleep"]);
    let first = first.detach();
    let path = |kind: &str| format!("/proc/{}/ns/{kind}", first.pid());
    let second = t
        .bundle()
        .namespace("user", Some(&path("user")))
        .namespace("network", Some(&path("net")))
        .namespace("ipc", Some(&path("ipc")))
        .probe(&["report", "--", "sleep"]);
    own(&second, FIRST);
    let second = second.detach();
    for kind in ["user", "net", "ipc"] {
        let theirs = fs::read_link(format!("/proc/{}/ns/{kind}", second.pid())).unwrap();
        assert_eq!(fs::read_link(path(kind)).unwrap(), theirs, "{kind}");
    }
    for kind in ["mnt", "pid", "uts"] {
        let own = format!("/proc/{}/ns/{kind}", second.pid());
        let user = fs::metadata(path("user")).unwrap().ino();
        assert_eq!(owner(&own), user, "{kind}");
    }
    // A pid namespace of the first one, too.
    let third = t
        .bundle()
        .namespace("user", Some(&path("user")))
        .namespace("pid", Some(&path("pid")))
        .probe(&["sleep"]);
    own(&third, FIRST);
    let third = third.detach();
    let theirs = fs::read_link(format!("/proc/{}/ns/pid", third.pid())).unwrap();
    assert_eq!(fs::read_link(path("pid")).unwrap(), theirs);
    third.delete_force();
}

fn devices_are_bound(t: &T) {
    let verbs = [
        "stat",
        "/dev/null",
        "--",
        "stat",
        "/dev/urandom",
        "--",
        "write",
        "/dev/null",
        "x",
        "--",
        "stat",
        "/dev/full",
        "--",
        "readlink",
        "/dev/ptmx",
    ];
    let lines = bundle(t).probe(&verbs).run().ok().lines();
    for (line, minor) in [(&lines[0], 3), (&lines[1], 9), (&lines[3], 7)] {
        assert_eq!(line["type"], "char");
        assert_eq!(line["rdev"], json!([1, minor]), "{line}");
    }
    assert_eq!(lines[2]["ok"], true);
}

fn sysfs_without_a_network(t: &T) {
    t.facts.need_kernel(5, 12, "a whole tree read-only");
    let bundle = bundle(t)
        .without_namespace("network")
        .mount(
            "/sys",
            "sysfs",
            "sysfs",
            &["nosuid", "noexec", "nodev", "ro"],
        )
        .probe(&[
            "ls",
            "/sys",
            "--",
            "create",
            "/sys/x",
            "--",
            "create",
            "/sys/fs/cgroup/x",
        ]);
    let lines = bundle.run().lines();
    let names = lines[0]["names"].as_array().unwrap();
    assert!(names.contains(&json!("kernel")), "{names:?}");
    for line in &lines[1..] {
        let refused = ["EROFS", "EACCES", "EPERM"];
        assert!(refused.iter().any(|it| line["errno"] == *it), "{line}");
    }
}

/// Where /sys is read-only, the kernel lets who has no rights over that mount another one only as such.
fn sysfs_of_a_caller_that_may_only_read(t: &T) {
    let bundle = bundle(t)
        .mount("/sys", "sysfs", "sysfs", &["nosuid", "nodev", "ro"])
        .probe(&["ls", "/sys/class/net", "--", "create", "/sys/x"]);
    let own = |lines: &[Value]| lines[0]["names"] == json!(["lo"]);
    if !own(&bundle.run().lines()) {
        cannot("the /sys of this machine lets nobody have another one");
    }
    let lines = bundle
        .run_cmd(&[])
        .1
        .before_exec(|| {
            kernel::unshare(libc::CLONE_NEWNS)?;
            let change = |place: &CStr, flags| {
                let none = std::ptr::null();
                // SAFETY: C strings, and no data.
                unsafe { check(libc::mount(none, place.as_ptr(), none, flags, none.cast())) }
            };
            change(c"/", libc::MS_PRIVATE | libc::MS_REC)?;
            change(c"/sys", libc::MS_REMOUNT | libc::MS_BIND | libc::MS_RDONLY)?;
            Ok(())
        })
        .run()
        .lines();
    assert!(own(&lines), "{lines:?}");
    assert_eq!(lines[1]["errno"], "EROFS");
}

fn with_time_and_hooks(t: &T) {
    t.facts.need_path("/proc/self/ns/time", "time namespaces");
    let bundle = bundle(t).namespace("time", None);
    let note = bundle.rootfs().join("tmp/note");
    let probe = bundle.rootfs().join("bin/probe");
    // Hooks of both sides write to it.
    fs::write(&note, "").unwrap();
    fs::set_permissions(&note, fs::Permissions::from_mode(0o666)).unwrap();
    let hook = json!([{"path": probe, "args": ["probe", "hook", note, "x"]}]);
    let bundle = bundle
        .edit(|c| {
            c["linux"]["timeOffsets"] = json!({"monotonic": {"secs": 1_000_000}});
            c["hooks"] = json!({"createRuntime": hook, "createContainer": hook, "poststop": hook});
        })
        .probe(&["uptime"]);
    let clocks = bundle.run().ok().json();
    let seconds = clocks["monotonic"].as_i64().unwrap();
    assert!(seconds >= 1_000_000, "{seconds}");
    assert_eq!(fs::read_to_string(note).unwrap().lines().count(), 3);
}

fn limits_and_oom_score(t: &T) {
    let bundle = bundle(t)
        .edit(|c| {
            c["process"]["oomScoreAdj"] = json!(345);
            c["process"]["rlimits"] = json!([
                {"type": "RLIMIT_NOFILE", "soft": 99, "hard": 777},
                {"type": "RLIMIT_NPROC", "soft": 500, "hard": 600}
            ]);
        })
        .probe(&[
            "dump",
            "/proc/self/oom_score_adj",
            "--",
            "dump",
            "/proc/self/limits",
        ]);
    let text = bundle.run().ok().stdout;
    assert!(text.starts_with("345"), "{text}");
    let row = text
        .lines()
        .find(|it| it.starts_with("Max open files"))
        .unwrap();
    let words: Vec<&str> = row.split_whitespace().collect();
    assert_eq!(words[3..5], ["99", "777"]);
}

/// The bundle is in a directory that the mapped root cannot pass.
fn closed_directories_above(t: &T) {
    t.facts
        .need_kernel(5, 2, "a mount that is known by its descriptor");
    let mut bundle = bundle(t).probe(&["echo", "through"]);
    let closed = t.path("closed");
    fs::create_dir(&closed).unwrap();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).unwrap();
    let inside = closed.join("bundle");
    fs::rename(&bundle.dir, &inside).unwrap();
    bundle.dir = inside;
    assert_eq!(bundle.run().ok().stdout, "through\n");
}

fn terminal_of_a_mapped_user(t: &T) {
    let bundle = bundle(t)
        .devpts()
        .edit(|c| c["process"]["terminal"] = json!(true))
        .probe(&["stat", "/dev/console", "--", "stat", "/proc/self/fd/0"]);
    let out = bundle.run().ok();
    let lines = out.lines();
    assert_eq!(lines[0]["rdev"], lines[1]["rdev"], "{lines:?}");
    assert_eq!(lines[1]["uid"], 0);
}

fn wrong_mappings(t: &T) {
    need(t);
    t.bundle()
        .edit(|c| {
            mapped(c, &json!([{"containerID": 0, "hostID": 1, "size": 2}, {"containerID": 1, "hostID": 9, "size": 2}]));
        })
        .create_fails(&["linux.uidMappings[0]", "map the ids"]);
    t.bundle()
        .namespace("user", None)
        .create_fails(&["uidMappings"]);
    t.bundle()
        .edit(|c| c["linux"]["uidMappings"] = range())
        .create_fails(&["user namespace|gidMappings"]);
    t.bundle()
        .namespace("user", Some("/proc/self/ns/net"))
        .create_fails(&["not a namespace of this type"]);
}

/// What an ordinary user needs: a copy of the binary, and directories of his own.
pub(super) struct User<'t> {
    t: &'t T,
    id: u32,
    pub(super) ocilet: PathBuf,
    pub(super) root: PathBuf,
}

impl<'t> User<'t> {
    pub(super) fn new(t: &'t T, id: u32) -> Self {
        need(t);
        let ocilet = t.path("ocilet");
        fs::copy(&t.ocilet, &ocilet).unwrap();
        fs::set_permissions(&ocilet, fs::Permissions::from_mode(0o755)).unwrap();
        let root = t.path("user");
        fs::create_dir(&root).unwrap();
        fs::set_permissions(&root, fs::Permissions::from_mode(0o700)).unwrap();
        chown(&root, Some(id), Some(id)).unwrap();
        Self {
            t,
            id,
            ocilet,
            root,
        }
    }

    pub(super) fn bundle(&self, map: &Value) -> Bundle<'t> {
        let bundle = self.t.bundle().edit(|c| mapped(c, map));
        own(&bundle, self.id);
        chown(&bundle.dir, Some(self.id), Some(self.id)).unwrap();
        bundle
    }

    pub(super) fn single(&self) -> Value {
        json!([{"containerID": 0, "hostID": self.id, "size": 1}])
    }

    pub(super) fn cmd(&self, args: &[&str]) -> Cmd {
        let id = self.id;
        Cmd::new(self.t, &self.ocilet, args)
            .filtered(self.t.filter.clone())
            .env("XDG_RUNTIME_DIR", &self.root.to_string_lossy())
            .before_exec(move || become_user(id))
    }

    pub(super) fn run(&self, bundle: &Bundle<'_>) -> Out {
        bundle.write();
        let dir = bundle.dir.to_string_lossy().into_owned();
        self.cmd(&["run", "--bundle", &dir, &self.t.id()]).run()
    }
}

fn ordinary_user(t: &T) {
    let user = User::new(t, 1000);
    let bundle = user.bundle(&user.single()).probe(&["report"]);
    let report = user.run(&bundle).ok().json();
    assert_eq!(report["ids"]["uids"], json!([0, 0, 0]));
    // All of its life; what cannot be written to is not needed.
    let bundle = bundle.probe(&["echo", "up", "--", "sleep"]);
    bundle.write();
    let (dir, id) = (bundle.dir.to_string_lossy().into_owned(), t.id());
    let create = user.cmd(&["create", "--bundle", &dir, &id]).spawn();
    let out = create.out.clone();
    create.wait().ok();
    let made = user.root.join("ocilet");
    assert_eq!(
        fs::metadata(&made).unwrap().permissions().mode() & 0o7777,
        0o1700
    );
    let state = |word: &str| {
        let text = user.cmd(&["state", &id]).run().ok().stdout;
        let state: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(state["status"], word);
        state["pid"].as_i64().unwrap()
    };
    let pid = state("created");
    let exec = user.cmd(&["exec", &id, "/bin/probe", "report"]).run().ok();
    assert_eq!(exec.json()["ids"]["uids"], json!([0, 0, 0]));
    user.cmd(&["start", &id]).run().ok();
    crate::runtime::wait_for("the program", || {
        fs::read_to_string(&out).unwrap_or_default().contains("up")
    });
    state("running");
    let exec = user.cmd(&["exec", &id, "/bin/probe", "report"]).run().ok();
    assert_eq!(exec.json()["ids"]["uids"], json!([0, 0, 0]));
    assert!(user.cmd(&["list", "-q"]).run().ok().stdout.contains(&id));
    user.cmd(&["kill", &id, "KILL"]).run().ok();
    kernel::wait(i32::try_from(pid).unwrap(), 0);
    state("stopped");
    user.cmd(&["delete", &id]).run().ok();
    user.cmd(&["delete", &id]).run().fails(&["does not exist"]);
    // Without a user namespace it takes root.
    let bundle = bundle.without_namespace("user").edit(|c| {
        let linux = c["linux"].as_object_mut().unwrap();
        linux.remove("uidMappings");
        linux.remove("gidMappings");
    });
    user.run(&bundle).fails(&["eperm"]);
    // Ranges that nobody gave him.
    let bundle = user.bundle(&range());
    bundle.write();
    let dir = bundle.dir.to_string_lossy().into_owned();
    let run = user
        .cmd(&["run", "--bundle", &dir, "x"])
        .env("PATH", "/nowhere");
    run.run().fails(&["linux.uidMappings[0]", "newuidmap"]);
}

fn ordinary_user_with_ranges(t: &T) {
    t.facts.need_tool("newuidmap");
    t.facts.need_tool("newgidmap");
    let user = User::new(t, 65534);
    // In the mount namespace of this case.
    let ranges = t.path("ranges");
    fs::write(&ranges, "nobody:200000:65536\n").unwrap();
    for file in ["/etc/subuid", "/etc/subgid"] {
        t.facts.need_path(file, "ranges of ids");
        let bind = libc::MS_BIND;
        kernel::mount(&ranges.to_string_lossy(), file, "", bind, "").unwrap();
    }
    let map = json!([
        {"containerID": 0, "hostID": 65534, "size": 1},
        {"containerID": 1, "hostID": 200_000, "size": 1000}
    ]);
    let bundle = user
        .bundle(&map)
        .edit(|c| c["process"]["user"] = json!({"uid": 5, "gid": 6, "additionalGids": [7]}));
    let report = user.run(&bundle).ok().json();
    for file in ["/etc/subuid", "/etc/subgid"] {
        kernel::unmount(file).unwrap();
    }
    assert_eq!(report["ids"]["uids"], json!([5, 5, 5]));
    assert_eq!(report["ids"]["groups"], json!([7]));
    // The helper's own words are in the message.
    let bundle = user.bundle(&json!([{"containerID": 0, "hostID": 300_000, "size": 10}]));
    user.run(&bundle)
        .fails(&["linux.uidMappings[0]", "map the ids", "newuidmap:"]);
}

/// `spec --rootless`, and one command.
fn spec_rootless_runs(t: &T) {
    let user = User::new(t, 1000);
    let bundle = user.bundle(&user.single());
    let dir = bundle.dir.to_string_lossy().into_owned();
    let _ = fs::remove_file(bundle.dir.join("config.json"));
    user.cmd(&["spec", "--rootless", "--bundle", &dir])
        .run()
        .ok();
    let path = bundle.dir.join("config.json");
    let text = fs::read_to_string(&path).unwrap();
    let text = text
        .replace("\"sh\"", "\"/bin/probe\", \"report\"")
        .replace("\"terminal\": true", "\"terminal\": false");
    fs::write(path, text).unwrap();
    let report = user
        .cmd(&["run", "--bundle", &dir, "one"])
        .run()
        .ok()
        .json();
    assert_eq!(report["ids"]["uids"], json!([0, 0, 0]));
    assert_eq!(report["ids"]["groups"], json!([]));
}

/// The kernel lets him neither set nor drop groups; he has the group of the process without that.
fn groups_of_an_ordinary_user(t: &T) {
    let user = User::new(t, 1000);
    let with = |groups: Value| {
        let bundle = user.bundle(&user.single());
        user.run(&bundle.edit(|c| c["process"]["user"]["additionalGids"] = groups))
    };
    with(json!([0])).ok();
    with(json!([0, 1])).fails(&["supplementary groups", "eperm"]);
}

/// A container in what is a container already: root of a user namespace, and of nothing else.
fn inside_a_user_namespace(t: &T) {
    need(t);
    let nested = |id: u32| {
        move || {
            if id != 0 {
                become_user(id)?;
                // SAFETY: plain numbers. Its own files in /proc are to be written.
                unsafe { check(libc::prctl(libc::PR_SET_DUMPABLE, 1)) }?;
            }
            kernel::unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNS)?;
            let map: &[u8] = if id == 0 { b"0 0 1" } else { b"0 1000 1" };
            for (file, text) in [
                (c"/proc/self/setgroups", &b"deny"[..]),
                (c"/proc/self/uid_map", map),
                (c"/proc/self/gid_map", map),
            ] {
                // SAFETY: a C string, and bytes with their length.
                unsafe {
                    let fd = check(libc::open(file.as_ptr(), libc::O_WRONLY))? as i32;
                    check(libc::write(fd, text.as_ptr().cast(), text.len()) as i64)?;
                    libc::close(fd);
                }
            }
            Ok(())
        }
    };
    let user = User::new(t, 1000);
    let single = json!([{"containerID": 0, "hostID": 0, "size": 1}]);
    let bundle = user.bundle(&single).probe(&["report"]);
    bundle.write();
    let dir = bundle.dir.to_string_lossy().into_owned();
    let root = user.root.to_string_lossy().into_owned();
    let args = ["--root", &*root, "run", "--bundle", &dir, "nested"];
    let run = Cmd::new(t, &user.ocilet, &args).filtered(t.filter.clone());
    let report = run.before_exec(nested(1000)).run().ok().json();
    assert_eq!(report["ids"]["uids"], json!([0, 0, 0]));
    // Without a user namespace of its own: that of the runtime has all it takes.
    let bundle = bundle.without_namespace("user").edit(|c| {
        let linux = c["linux"].as_object_mut().unwrap();
        linux.remove("uidMappings");
        linux.remove("gidMappings");
    });
    bundle.write();
    let run = Cmd::new(t, &user.ocilet, &args).filtered(t.filter.clone());
    let report = run.before_exec(nested(1000)).run().ok().json();
    assert_eq!(report["ids"]["uids"], json!([0, 0, 0]));
}

fn flag_rootless(t: &T) {
    let user = User::new(t, 1000);
    let bundle = user.bundle(&user.single()).probe(&["exit"]);
    bundle.write();
    let dir = bundle.dir.to_string_lossy().into_owned();
    for word in ["auto", "true", "1"] {
        let flag = format!("--rootless={word}");
        let run = user.cmd(&[&flag, "run", "--bundle", &dir, "x"]);
        run.run().ok();
    }
    user.cmd(&["--rootless=maybe", "list"])
        .run()
        .fails(&["rootless"]);
    if t.facts.cgroup == crate::facts::Cgroup::Absent {
        return;
    }
    // Then he is to have cgroups, and has no right to.
    let run = user.cmd(&["--rootless=false", "run", "--bundle", &dir, "x"]);
    run.run().fails(&["cgroup"]);
}

fn exec_into_it(t: &T) {
    let bundle = bundle(t)
        .edit(|c| c["process"]["oomScoreAdj"] = json!(99))
        .probe(&["sleep"]);
    let container = bundle.detach();
    let exec = |flags: &[&str], words: &[&str]| {
        let mut all = vec!["exec"];
        all.extend_from_slice(flags);
        all.extend_from_slice(&[&container.id, "/bin/probe"]);
        all.extend_from_slice(words);
        t.cmd(&all).run().ok()
    };
    let report = exec(&[], &["report"]).json();
    assert_eq!(report["ids"]["uids"], json!([0, 0, 0]));
    assert_eq!(report["ids"]["groups"], json!([]));
    let report = exec(&["--user", "5:6"], &["report"]).json();
    assert_eq!(report["ids"]["gids"], json!([6, 6, 6]));
    let words = [
        "create",
        "/tmp/mine",
        "--",
        "stat",
        "/tmp/mine",
        "--",
        "dump",
        "/proc/self/oom_score_adj",
    ];
    let out = exec(&[], &words);
    assert_eq!(out.lines()[1]["uid"], 0, "{out:?}");
    assert!(out.stdout.ends_with("99\n"), "{out:?}");
}

/// It takes rights of the host, which nobody has inside.
fn priorities_of_the_host(t: &T) {
    let report = |scheduler: &Value| {
        let bundle = bundle(t).edit(|c| {
            c["process"]["scheduler"] = scheduler.clone();
            c["process"]["ioPriority"] = json!({"class": "IOPRIO_CLASS_RT", "priority": 3});
        });
        bundle.run().ok().json()["sched"].clone()
    };
    let seen = report(&json!({"policy": "SCHED_OTHER", "nice": -7}));
    assert_eq!(seen["nice"], -7);
    assert_eq!(seen["ioprio"], json!([1, 3]));
    let seen = report(&json!({"policy": "SCHED_BATCH", "flags": ["SCHED_FLAG_RESET_ON_FORK"]}));
    assert_eq!((&seen["policy"], &seen["flags"]), (&json!(3), &json!(1)));
    // As `exec` has it.
    let bundle = bundle(t)
        .edit(|c| {
            c["process"]["scheduler"] = json!({"policy": "SCHED_OTHER", "nice": -3});
            c["process"]["ioPriority"] = json!({"class": "IOPRIO_CLASS_RT", "priority": 5});
        })
        .probe(&["sleep"]);
    let container = bundle.detach();
    let seen = container.exec_report(&[])["sched"].clone();
    assert_eq!(seen["nice"], -3);
    assert_eq!(seen["ioprio"], json!([1, 5]));
    // Who has no such rights does it with his own.
    let user = User::new(t, 1000);
    let bundle = user.bundle(&user.single());
    let bundle = bundle.edit(|c| {
        c["process"]["scheduler"] = json!({"policy": "SCHED_OTHER", "nice": 4});
        c["process"]["ioPriority"] = json!({"class": "IOPRIO_CLASS_BE", "priority": 6});
    });
    let seen = user.run(&bundle).ok().json()["sched"].clone();
    assert_eq!(seen["nice"], 4);
    assert_eq!(seen["ioprio"], json!([2, 6]));
    let bundle = bundle.edit(|c| c["process"]["scheduler"]["nice"] = json!(-4));
    user.run(&bundle).fails(&["scheduling policy", "eperm"]);
}

/// A directory of a v2 hierarchy that is another user's, with this process' own in it.
struct Delegated {
    dir: PathBuf,
    session: PathBuf,
}

impl Delegated {
    fn new(t: &T, id: u32) -> Self {
        if t.facts.cgroup != crate::facts::Cgroup::V2 {
            cannot("cgroup v2 only");
        }
        let dir = PathBuf::from(format!("/sys/fs/cgroup/{}d", t.tag));
        let session = dir.join("session");
        fs::create_dir_all(&session).unwrap();
        // As far as there are any.
        for name in ["pids", "memory"] {
            let control = "/sys/fs/cgroup/cgroup.subtree_control";
            let _ = fs::write(control, format!("+{name}"));
        }
        for place in [&dir, &session] {
            kernel::give_cgroup(place, id).unwrap();
        }
        Self { dir, session }
    }

    /// A call of the user from inside.
    fn cmd(&self, user: &User<'_>, args: &[&str]) -> Cmd {
        let procs = kernel::c(self.session.join("cgroup.procs"));
        let id = user.id;
        Cmd::new(user.t, &user.ocilet, args)
            .env("XDG_RUNTIME_DIR", &user.root.to_string_lossy())
            .before_exec(move || {
                // SAFETY: a C string, and bytes with their length.
                unsafe {
                    let fd = check(libc::open(procs.as_ptr(), libc::O_WRONLY))? as i32;
                    check(libc::write(fd, c"0".as_ptr().cast(), 1) as i64)?;
                    libc::close(fd);
                }
                Ok(())
            })
            .filtered(user.t.filter.clone())
            .before_exec(move || become_user(id))
    }
}

impl Drop for Delegated {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.session);
        let _ = fs::remove_dir(&self.dir);
    }
}

/// What systemd does for the sessions of users.
fn delegated_cgroup(t: &T) {
    let user = User::new(t, 1000);
    let place = Delegated::new(t, 1000);
    let bundle = user
        .bundle(&user.single())
        .namespace("cgroup", None)
        .mount("/sys/fs/cgroup", "cgroup", "cgroup", &["rw"])
        .probe(&["mkdir", "/sys/fs/cgroup/below", "--", "sleep"]);
    let limited = fs::read_to_string(place.dir.join("cgroup.controllers"));
    let limited = limited.unwrap().contains("pids");
    let bundle = bundle.edit(|c| {
        if limited {
            c["linux"]["resources"] = json!({"pids": {"limit": 20}});
        }
    });
    bundle.write();
    let (dir, id) = (bundle.dir.to_string_lossy().into_owned(), t.id());
    let call = |words: &[&str]| place.cmd(&user, words).run();
    let create = place.cmd(&user, &["create", "--bundle", &dir, &id]).spawn();
    let out = create.out.clone();
    create.wait().ok();
    let own = place.dir.join(&id);
    assert_eq!(fs::metadata(&own).unwrap().uid(), 1000);
    if limited {
        assert_eq!(fs::read_to_string(own.join("pids.max")).unwrap(), "20\n");
    }
    call(&["start", &id]).ok();
    let said = || fs::read_to_string(&out).unwrap_or_default();
    crate::runtime::wait_for("the program", || said().contains('}'));
    assert!(said().contains("\"ok\":true"), "{}", said());
    assert_eq!(fs::metadata(own.join("below")).unwrap().uid(), 1000);
    let exec = call(&["exec", &id, "/bin/probe", "report"]).ok().json();
    // Beside v1 there are more lines.
    assert!(exec["cgroup"].as_str().unwrap().ends_with("0::/"), "{exec}");
    call(&["pause", &id]).ok();
    let frozen = fs::read_to_string(own.join("cgroup.events")).unwrap();
    assert!(frozen.contains("frozen 1"), "{frozen}");
    call(&["resume", &id]).ok();
    call(&["delete", "--force", &id]).ok();
    assert!(!own.exists());
    // A path that he names is made below what is his, or not at all.
    let bundle = bundle.edit(|c| c["linux"]["cgroupsPath"] = json!("/elsewhere"));
    bundle.write();
    call(&["create", "--bundle", &dir, &t.id()]).fails(&["make the cgroup", "eacces"]);
}

/// Root of the container may make cgroups of its own below the one that it sees.
fn cgroup_of_a_mapped_user(t: &T) {
    if t.facts.cgroup != crate::facts::Cgroup::V2 {
        cannot("cgroup v2 only");
    }
    let bundle = bundle(t)
        .namespace("cgroup", None)
        .mount("/sys/fs/cgroup", "cgroup", "cgroup", &["rw"])
        .probe(&[
            "mkdir",
            "/sys/fs/cgroup/below",
            "--",
            "write",
            "/sys/fs/cgroup/below/cgroup.procs",
            "0",
            "--",
            "report",
        ]);
    let lines = bundle.run().ok().lines();
    assert_eq!(
        (&lines[0]["ok"], &lines[1]["ok"]),
        (&json!(true), &json!(true))
    );
    let seen = lines[2]["cgroup"].as_str().unwrap();
    assert!(seen.ends_with("0::/below"), "{seen}");
}
