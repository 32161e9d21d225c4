//! `exec`: one more process, by its flags, in every state, and what it must not bring along.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::bundle::{Bundle, Container};
use crate::case::{Case, cannot, case};
use crate::facts::Cgroup;
use crate::harness::T;
use crate::kernel;
use crate::pty::{self, ConsoleSocket};
use crate::runtime::wait_for;
use crate::witness;

pub const CASES: &[Case] = &[
    case!(process_is_that_of_the_config),
    case!(user),
    case!(user_is_a_number),
    case!(groups),
    case!(environment),
    case!(working_directory),
    case!(capabilities),
    case!(no_new_privileges),
    case!(labels),
    case!(filter),
    case!(process_file),
    case!(process_file_that_is_wrong),
    case!(command_is_looked_up),
    case!(flags_end_at_the_name),
    case!(exit_codes, 60),
    case!(failures_are_255),
    case!(in_each_state),
    case!(in_a_paused_container),
    case!(namespaces),
    case!(without_a_mount_namespace),
    case!(terminal),
    case!(terminal_for_a_console_socket),
    case!(terminal_that_nobody_gets),
    case!(detached),
    case!(pid_file),
    case!(pidfd_socket),
    case!(preserved_descriptors),
    case!(cgroups),
    case!(cgroup_below),
    case!(cgroup_that_is_divided),
    case!(affinity),
    case!(config_as_it_was),
    case!(kept_config_that_is_damaged),
    case!(signals_are_forwarded),
    case!(subreaper),
    case!(nothing_of_the_host),
    case!(binary_is_out_of_reach, 60),
    case!(many_at_once, 60),
];

/// A container that sleeps.
fn asleep(t: &T) -> Container<'_> {
    t.bundle().probe(&["sleep"]).detach()
}

/// The exit code of failures: crun has no own one.
fn failed(t: &T) -> i32 {
    if t.ocilet.ends_with("crun") { 1 } else { 255 }
}

fn own(t: &T) {
    if t.foreign() {
        cannot("about ocilet's own way");
    }
}

fn process_is_that_of_the_config(t: &T) {
    let c = t
        .bundle()
        .edit(|c| {
            let process = &mut c["process"];
            process["user"] =
                json!({"uid": 1000, "gid": 1001, "additionalGids": [5, 6], "umask": 0o27});
            process["env"] = json!(["PATH=/bin", "A=1", "B=2", "A=3"]);
            process["cwd"] = json!("/tmp");
            process["rlimits"] = json!([{"type": "RLIMIT_NOFILE", "soft": 200, "hard": 300}]);
            process["oomScoreAdj"] = json!(321);
            process["scheduler"] = json!({"policy": "SCHED_BATCH", "nice": 5});
            process["ioPriority"] = json!({"class": "IOPRIO_CLASS_BE", "priority": 6});
            c["linux"]["personality"] = json!({"domain": "LINUX32"});
        })
        .probe(&["report", "--", "sleep"])
        .detach();
    c.until("seccomp");
    let init = c.lines().remove(0);
    let seen = c.exec_report(&[]);
    for key in [
        "ids", "caps", "nnp", "umask", "cwd", "env", "rlimits", "sched", "oom", "uts", "ns",
        "cgroup", "signals", "exe", "dumpable", "deathsig", "mounts",
    ] {
        if t.foreign() && matches!(key, "sched" | "signals" | "env") {
            continue;
        }
        assert_eq!(seen[key], init[key], "{key}");
    }
    if !t.foreign() {
        assert_eq!(seen["keyring"], init["keyring"]);
    }
    assert_eq!(seen["args"], json!(["/bin/probe", "report"]));
    // It leads a session of its own.
    assert_eq!(seen["terminal"]["session"], seen["terminal"]["pid"]);
}

fn user(t: &T) {
    let c = t
        .bundle()
        .edit(|c| c["process"]["user"] = json!({"uid": 1, "gid": 2, "additionalGids": [3]}))
        .probe(&["sleep"])
        .detach();
    let ids = |flags: &[&str]| {
        let seen = c.exec_report(flags);
        json!([
            seen["ids"]["uids"][0],
            seen["ids"]["gids"][0],
            seen["ids"]["groups"]
        ])
    };
    assert_eq!(ids(&[]), json!([1, 2, [3]]));
    assert_eq!(ids(&["--user", "1000:1001"])[0], 1000);
    assert_eq!(ids(&["-u", "1000:1001"])[1], 1001);
    if !t.foreign() {
        assert_eq!(ids(&["-u", "1000:1001"]), json!([1000, 1001, []]));
        assert_eq!(ids(&["--user=1000"]), json!([1000, 0, []]));
    }
}

/// CVE-2016-3697: a user of this name is somebody else. CVE-2026-30892: half a number is none.
fn user_is_a_number(t: &T) {
    let bundle = t.bundle().probe(&["sleep"]);
    fs::write(
        bundle.rootfs().join("etc/passwd"),
        "1000:x:0:0::/:/bin/sh\nroot:x:0:0::/:/bin/sh\nme:x:7:7::/:\n",
    )
    .unwrap();
    let c = bundle.detach();
    assert_eq!(c.exec_report(&["-u", "1000:0"])["ids"]["uids"][0], 1000);
    if t.foreign() {
        return;
    }
    for word in [
        "root",
        "me",
        "",
        ":",
        ":1",
        "1:",
        "-1",
        "+1",
        " 1",
        "1x",
        "0x1",
        "1:x",
        "1:2:3",
        "4294967295",
        "4294967296",
        "18446744073709551616",
    ] {
        c.exec(&["--user", word], &["report"])
            .fails_with(255, &["user"]);
    }
}

fn groups(t: &T) {
    let c = t
        .bundle()
        .edit(|c| c["process"]["user"] = json!({"uid": 1, "gid": 2, "additionalGids": [3]}))
        .probe(&["sleep"])
        .detach();
    own(t);
    let groups = |flags: &[&str]| c.exec_report(flags)["ids"]["groups"].clone();
    assert_eq!(
        groups(&["-g", "70000", "--additional-gids", "5"]),
        json!([3, 5, 70000])
    );
    assert_eq!(groups(&["-u", "1:1", "-g", "9"]), json!([9]));
    c.exec(&["-g", "x"], &[])
        .fails_with(255, &["additional-gids"]);
}

fn environment(t: &T) {
    let c = t
        .bundle()
        .edit(|c| c["process"]["env"] = json!(["PATH=/bin", "A=1", "B=2", "HOME=/h"]))
        .probe(&["sleep"])
        .detach();
    let seen = c.exec_report(&["-e", "A=4", "--env", "C=x=y z", "--env=D="]);
    if t.foreign() {
        return;
    }
    assert_eq!(
        seen["env"],
        json!(["PATH=/bin", "B=2", "HOME=/h", "A=4", "C=x=y z", "D="])
    );
    // A HOME is found when it is taken away.
    let seen = c.exec_report(&["-e", "HOME=", "-u", "5"]);
    assert_eq!(
        seen["env"],
        json!(["PATH=/bin", "A=1", "B=2", "HOME=/"]),
        "{seen}"
    );
    for word in ["", "A", "=x"] {
        c.exec(&["-e", word], &[]).fails_with(255, &["env"]);
    }
    let many: Vec<String> = (0..1000).map(|n| format!("--env=N{n}={n}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert_eq!(
        c.exec_report(&many)["env"].as_array().unwrap().len(),
        1000 + 4
    );
}

fn working_directory(t: &T) {
    let c = t
        .bundle()
        .edit(|c| c["process"]["cwd"] = json!("/tmp"))
        .probe(&["sleep"])
        .detach();
    assert_eq!(c.exec_report(&["--cwd", "/bin"])["cwd"], "/bin");
    c.exec(&["--cwd", "/missing"], &[])
        .fails_with(failed(t), &["missing"]);
    if !t.foreign() {
        c.exec(&["--cwd", "tmp"], &[])
            .fails_with(255, &["absolute"]);
    }
}

/// CVE-2022-29162: nothing is inherited, and ambient is only what can be.
fn capabilities(t: &T) {
    own(t);
    let sets = json!({
        "bounding": ["CAP_KILL", "CAP_CHOWN"], "effective": ["CAP_KILL"], "permitted": ["CAP_KILL"],
        "inheritable": ["CAP_CHOWN"],
    });
    let c = t
        .bundle()
        .edit(|c| c["process"]["capabilities"] = sets)
        .probe(&["sleep"])
        .detach();
    let added = ["--cap", "CAP_NET_RAW", "-c", "CAP_SETUID"];
    let seen = c.exec_report(&added)["caps"].clone();
    assert_eq!(
        seen["bounding"],
        json!(["CHOWN", "KILL", "SETUID", "NET_RAW"])
    );
    assert_eq!(seen["permitted"], json!(["KILL", "SETUID", "NET_RAW"]));
    assert_eq!(seen["effective"], json!(["KILL", "SETUID", "NET_RAW"]));
    assert_eq!(seen["inheritable"], json!(["CHOWN"]));
    assert_eq!(seen["ambient"], json!([]));
    // Of another user execve takes what is not ambient.
    let seen = c.exec_report(&["-u", "1000", "-c", "CAP_NET_RAW"])["caps"].clone();
    assert_eq!(
        (&seen["permitted"], &seen["ambient"]),
        (&json!([]), &json!([]))
    );
    let seen = c.exec_report(&["-u", "1000", "-c", "CAP_CHOWN"])["caps"].clone();
    assert_eq!(
        (&seen["permitted"], &seen["ambient"]),
        (&json!(["CHOWN"]), &json!(["CHOWN"]))
    );
    for word in ["CAP_NONSENSE", "NET_RAW", "cap_net_raw", ""] {
        c.exec(&["--cap", word], &[])
            .fails_with(255, &["capability"]);
    }
}

fn no_new_privileges(t: &T) {
    let c = t
        .bundle()
        .edit(|c| c["process"]["noNewPrivileges"] = json!(false))
        .probe(&["sleep"])
        .detach();
    assert_eq!(c.exec_report(&[])["nnp"], 0);
    assert_eq!(c.exec_report(&["--no-new-privs"])["nnp"], 1);
    if !t.foreign() {
        let c = asleep(t);
        assert_eq!(c.exec_report(&[])["nnp"], 1);
        assert_eq!(c.exec_report(&["--no-new-privs=false"])["nnp"], 0);
    }
}

fn labels(t: &T) {
    own(t);
    let c = asleep(t);
    // Nobody has loaded them, with or without the modules.
    c.exec(&["--apparmor", "ocilet-no-such-profile"], &[])
        .fails_with(255, &["AppArmor profile", "ocilet-no-such-profile"]);
    // SELinux without a policy takes any label; everything is "kernel" then.
    let current = fs::read("/proc/self/attr/current").unwrap_or_default();
    if !current.starts_with(b"kernel") {
        c.exec(&["--process-label", "ocilet:no:such:label"], &[])
            .fails_with(255, &["SELinux label", "ocilet:no:such:label"]);
    }
    c.exec(&["--apparmor", "", "--process-label="], &["report"])
        .ok();
}

/// The container's, whoever the process is.
fn filter(t: &T) {
    let profile = json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 16}],
    });
    for nnp in [true, false] {
        let c = t
            .bundle()
            .edit(|c| {
                c["linux"]["seccomp"] = profile.clone();
                c["process"]["noNewPrivileges"] = json!(nnp);
            })
            .probe(&["sleep"])
            .detach();
        let out = c.exec(&[], &["mkdir", "/tmp/x"]);
        assert_eq!(out.json()["errno"], "EBUSY", "{out:?}");
        let file = process(t, |process| {
            process["args"] = json!(["/bin/probe", "mkdir", "/tmp/x"]);
            process["noNewPrivileges"] = json!(!nnp);
        });
        let out = t
            .cmd(&["exec", "--process", &file.to_string_lossy(), &c.id])
            .run();
        assert_eq!(out.json()["errno"], "EBUSY", "{out:?}");
    }
    // An older kernel is imitated by a filter.
    if t.filter.is_none() {
        assert_eq!(asleep(t).exec_report(&[])["seccomp"], "0");
    }
    if !t.foreign() {
        let c = t
            .bundle()
            .probe(&["sleep"])
            .create_with(&["--seccomp-default"]);
        assert_eq!(c.exec_report(&[])["seccomp"], "2");
    }
}

/// A process of its own, in a file.
fn process(t: &T, edit: impl FnOnce(&mut Value)) -> PathBuf {
    let mut process = crate::bundle::minimal()["process"].clone();
    edit(&mut process);
    let file = t.path(&format!("process{}.json", t.next()));
    fs::write(&file, process.to_string()).unwrap();
    file
}

fn process_file(t: &T) {
    let c = t
        .bundle()
        .edit(|c| {
            c["process"]["user"] = json!({"uid": 5, "gid": 5});
            c["linux"]["personality"] = json!({"domain": "LINUX32"});
        })
        .probe(&["sleep"])
        .detach();
    let file = process(t, |process| {
        process["env"] = json!(["X=\u{e9}\"", "PATH=/bin", "HOME=/"]);
        process["cwd"] = json!("/tmp");
        process["user"] = json!({"uid": 77, "gid": 78, "additionalGids": [79]});
        process["rlimits"] = json!([{"type": "RLIMIT_CORE", "soft": 1, "hard": 2}]);
        process["noNewPrivileges"] = json!(false);
        process["oomScoreAdj"] = json!(7);
    });
    let name = file.to_string_lossy();
    let seen = |words: &[&str]| t.cmd(words).run().ok().json();
    for words in [
        &["exec", "--process", &name, &c.id][..],
        &["exec", "-p", &name, &c.id],
    ] {
        let seen = seen(words);
        assert_eq!(seen["env"][0], "X=\u{e9}\"");
        assert_eq!(seen["cwd"], "/tmp");
        assert_eq!(seen["ids"]["uids"][0], 77);
        assert_eq!(seen["ids"]["groups"], json!([79]));
        assert_eq!(seen["rlimits"]["CORE"], json!([1, 2]));
        assert_eq!((&seen["nnp"], &seen["oom"]), (&json!(0), &json!("7")));
        assert_eq!(seen["args"], json!(["/bin/probe", "report"]));
        if !t.foreign() {
            assert_eq!(seen["sched"]["personality"], 8, "it is the container's");
        }
    }
    // The other flags are for who gives no process.
    if !t.foreign() {
        let seen = seen(&[
            "exec", "-p", &name, "-u", "1", "-e", "Y=1", "--cwd", "/", &c.id,
        ]);
        assert_eq!(
            (&seen["ids"]["uids"][0], &seen["cwd"]),
            (&json!(77), &json!("/tmp"))
        );
        let mut cmd = t.cmd(&[
            "exec",
            "-p",
            file.file_name().unwrap().to_str().unwrap(),
            &c.id,
        ]);
        cmd = cmd.cwd(&t.dir);
        cmd.run().ok();
    }
}

fn process_file_that_is_wrong(t: &T) {
    own(t);
    let c = asleep(t);
    let fails = |file: &Path, words: &[&str]| {
        let name = file.to_string_lossy();
        t.cmd(&["exec", "--process", &name, &c.id])
            .run()
            .fails_with(255, words);
    };
    let file = process(t, |process| process["user"]["uid"] = json!(-1));
    let name = file.to_string_lossy().into_owned();
    fails(&file, &[&name, ":1:", "user.uid", "-1"]);
    let file = process(t, |process| process["cwd"] = json!("x"));
    fails(&file, &["cwd", "absolute"]);
    let file = process(t, |process| {
        process["rlimits"] = json!([{"type": "RLIMIT_NPROC", "soft": 2, "hard": 1}]);
    });
    fails(&file, &["rlimits"]);
    fails(Path::new("/missing"), &["no such file"]);
    fails(Path::new("/dev/null"), &["regular file"]);
    fails(Path::new("/etc"), &["regular file"]);
    fs::write(t.path("half"), "{\"cwd\": \"/\"").unwrap();
    fails(&t.path("half"), &["half:1"]);
}

fn command_is_looked_up(t: &T) {
    let c = asleep(t);
    let run = |words: &[&str]| {
        let mut all = vec!["exec", &c.id];
        all.extend_from_slice(words);
        t.cmd(&all).run()
    };
    run(&["probe", "report"]).ok();
    run(&["nothing"]).fails_with(failed(t), &["exec: \"nothing\": executable file not found in $PATH|executable file `nothing` not found"]);
    run(&["/nothing"]).fails_with(failed(t), &["no such file or directory"]);
    run(&["/etc"]).fails_with(failed(t), &["permission denied|is a directory"]);
}

fn flags_end_at_the_name(t: &T) {
    let c = asleep(t);
    let out = c.exec(&[], &["echo", "-t", "--user", "x"]).ok();
    assert_eq!(out.stdout, "-t --user x\n");
    t.cmd(&["exec", &c.id]).run().fails_with(failed(t), &[]);
    t.cmd(&["exec"]).run().fails(&[]);
    if !t.foreign() {
        t.cmd(&["exec", "--nonsense", &c.id, "x"])
            .run()
            .fails(&["not defined"]);
        t.cmd(&["exec", &c.id])
            .run()
            .fails_with(255, &["needs a command"]);
    }
}

fn exit_codes(t: &T) {
    let c = asleep(t);
    for code in [0, 1, 2, 126, 127, 128, 254, 255] {
        let out = c.exec(&[], &["exit", &code.to_string()]);
        assert_eq!(out.code(), code, "{}", out.stderr);
    }
    for signal in [6, 9, 15] {
        let out = c.exec(&[], &["kill-self", &signal.to_string()]);
        assert_eq!(out.code(), 128 + signal, "{}", out.stderr);
    }
}

fn failures_are_255(t: &T) {
    t.cmd(&["exec", "nobody", "/bin/probe"])
        .run()
        .fails_with(failed(t), &["does not exist"]);
    if !t.foreign() {
        t.cmd(&["exec", "no/body", "/bin/probe"])
            .run()
            .fails_with(255, &["container id"]);
    }
    let c = asleep(t);
    c.exec(&["--preserve-fds", "9"], &[])
        .fails_with(failed(t), &[]);
    assert_eq!(c.status(), "running");
    let log = t.path("log");
    let name = log.to_string_lossy();
    t.cmd(&["--log", &name, "--log-format", "json", "exec", &c.id, "/x"])
        .run()
        .fails_with(failed(t), &[]);
    let text = fs::read_to_string(&log).unwrap();
    assert!(text.contains("\"level\":\"error\""), "{text}");
}

fn in_each_state(t: &T) {
    let c = t.bundle().probe(&["sleep"]).create();
    let seen = c.exec_report(&[]);
    assert_eq!(
        seen["ns"]["mnt"],
        witness::namespace(c.pid(), "mnt"),
        "in a created container"
    );
    assert_eq!(c.status(), "created");
    c.start();
    c.exec(&[], &["report"]).ok();
    c.kill("KILL").ok();
    // The kernel may be killing what is in its pid namespace just now, or about to.
    let meanwhile = c.exec(&[], &["report"]);
    if meanwhile.code() != 0 {
        let words = "stopped container|is not running|killed by signal 9";
        meanwhile.fails_with(failed(t), &[words]);
    }
    c.wait();
    c.exec(&[], &["report"])
        .fails_with(failed(t), &["stopped container|is not running"]);
}

/// Freezes or thaws what a container has.
fn freeze(t: &T, id: &str, frozen: bool) {
    let dirs = witness::cgroups(id);
    for dir in &dirs {
        let (name, word) = if dir.join("freezer.state").exists() {
            ("freezer.state", if frozen { "FROZEN" } else { "THAWED" })
        } else if dir.join("cgroup.freeze").exists() && t.facts.cgroup == Cgroup::V2 {
            ("cgroup.freeze", if frozen { "1" } else { "0" })
        } else {
            continue;
        };
        fs::write(dir.join(name), word).unwrap();
        wait_for("the freezer", || {
            let state = fs::read_to_string(dir.join("freezer.state"))
                .or_else(|_| fs::read_to_string(dir.join("cgroup.events")))
                .unwrap();
            (state.contains("FROZEN") || state.contains("frozen 1")) == frozen
        });
        return;
    }
    cannot("no freezer here");
}

fn in_a_paused_container(t: &T) {
    own(t);
    let c = asleep(t);
    freeze(t, &c.id, true);
    assert_eq!(c.status(), "paused");
    c.exec(&[], &["report"])
        .fails_with(255, &["cannot exec in a paused container"]);
    let running = c
        .exec_cmd(&["--ignore-paused"], &["echo", "thawed"])
        .spawn();
    std::thread::sleep(std::time::Duration::from_millis(100));
    assert_eq!(running.stdout(), "");
    freeze(t, &c.id, false);
    assert_eq!(running.wait().ok().stdout, "thawed\n");
}

fn namespaces(t: &T) {
    let all = ["pid", "mnt", "ipc", "uts", "net", "cgroup", "time"];
    let same = |c: &Container<'_>| {
        let seen = c.exec_report(&[])["ns"].clone();
        for name in all {
            if seen[name].is_null() {
                continue;
            }
            assert_eq!(seen[name], witness::namespace(c.pid(), name), "{name}");
        }
    };
    same(&asleep(t));
    let bundle = |without: &str| t.bundle().without_namespace(without).probe(&["sleep"]);
    for without in ["pid", "ipc", "network"] {
        same(&bundle(without).detach());
    }
    let uts = bundle("uts").edit(|c| drop(c.as_object_mut().unwrap().remove("hostname")));
    same(&uts.detach());
    if Path::new("/proc/self/ns/cgroup").exists() {
        same(
            &t.bundle()
                .namespace("cgroup", None)
                .probe(&["sleep"])
                .detach(),
        );
    }
    if t.facts.kernel >= (5, 6) && Path::new("/proc/self/ns/time").exists() && !t.foreign() {
        let c = t
            .bundle()
            .namespace("time", None)
            .edit(|c| c["linux"]["timeOffsets"] = json!({"boottime": {"secs": 1_000_000}}))
            .probe(&["sleep"])
            .detach();
        same(&c);
        let seen = c.exec(&[], &["uptime"]).ok().json();
        assert!(seen["boottime"].as_i64().unwrap() > 1_000_000, "{seen}");
    }
    // Those of another container.
    let first = asleep(t);
    let path = |name: &str| format!("/proc/{}/ns/{name}", first.pid());
    let second = t
        .bundle()
        .namespace("pid", Some(&path("pid")))
        .namespace("network", Some(&path("net")))
        .probe(&["sleep"])
        .detach();
    same(&second);
}

fn without_a_mount_namespace(t: &T) {
    own(t);
    let c = t
        .bundle()
        .without_namespace("mount")
        .edit(|c| c["mounts"] = json!([]))
        .probe(&["sleep"])
        .detach();
    let out = c.exec(&[], &["ls", "/"]).ok();
    let names = out.json()["names"].to_string();
    assert!(
        names.contains("bin") && !names.contains("usr"),
        "the root is the container's: {names}"
    );
}

fn with_terminals<'t>(t: &'t T) -> Bundle<'t> {
    t.bundle().probe(&["sleep"]).devpts()
}

fn terminal(t: &T) {
    let c = with_terminals(t).detach();
    let (mut master, slave) = pty::open().unwrap();
    master.resize(24, 80);
    let running = c
        .exec_cmd(
            &["-t", "-u", "1000:1000"],
            &["report", "--", "cat", "--", "exit", "6"],
        )
        .terminal(&slave)
        .spawn();
    master.until_line("\"uts\"");
    let seen = crate::runtime::json_lines(&master.text).remove(0);
    assert_eq!(
        (&seen["terminal"]["tty"], &seen["terminal"]["controlling"]),
        (&json!(true), &json!(true))
    );
    assert_eq!(seen["fds"]["0"], "/dev/pts/0", "of the container's devpts");
    master.write("hello\n");
    master.until("hello\r\nhello\r\n");
    master.write("\u{4}");
    assert_eq!(running.wait().code(), 6);
    // Its size follows.
    let running = c.exec_cmd(&["--tty"], &["winch"]).terminal(&slave).spawn();
    master.until("24x80");
    master.resize(50, 132);
    master.until("\"winch\":\"50x132\"");
    master.write("q\n");
    running.wait().ok();
}

fn terminal_for_a_console_socket(t: &T) {
    let c = with_terminals(t).detach();
    let socket = ConsoleSocket::new(t);
    let path = socket.path.to_string_lossy().into_owned();
    let file = t.path("pid");
    let name = file.to_string_lossy().into_owned();
    let flags = ["-t", "-d", "--console-socket", &path, "--pid-file", &name];
    let running = c.exec_cmd(&flags, &["report", "--", "cat"]).spawn();
    let (payload, mut master) = socket.receive();
    assert!(!payload.is_empty());
    running.wait().ok();
    let _cat = Sleeper(read_pid(&file));
    master.until_line("\"uts\"");
    let seen = crate::runtime::json_lines(&master.text).remove(0);
    assert_eq!(seen["fds"]["0"], "/dev/pts/0");
    master.write("typed\n");
    master.until("typed\r\ntyped\r\n");
    // The size is in the process object.
    if t.foreign() {
        return;
    }
    let socket = ConsoleSocket::new(t);
    let path = socket.path.to_string_lossy().into_owned();
    let file = process(t, |process| {
        process["terminal"] = json!(true);
        process["consoleSize"] = json!({"height": 33, "width": 77});
        process["args"] = json!(["/bin/probe", "winch"]);
    });
    let own = file.to_string_lossy().into_owned();
    let running = t
        .cmd(&[
            "exec",
            "--process",
            &own,
            "-d",
            "--console-socket",
            &path,
            "--pid-file",
            &name,
            &c.id,
        ])
        .spawn();
    let (_, mut master) = socket.receive();
    running.wait().ok();
    let _winch = Sleeper(read_pid(Path::new(&name)));
    assert_eq!(master.size(), (33, 77));
    master.until("33x77");
}

fn terminal_that_nobody_gets(t: &T) {
    own(t);
    let c = with_terminals(t).detach();
    c.exec(&["-t", "-d"], &["sleep"])
        .fails_with(255, &["cannot allocate tty"]);
    let socket = ConsoleSocket::new(t);
    let path = socket.path.to_string_lossy().into_owned();
    c.exec(&["-d", "--console-socket", &path], &["sleep"])
        .fails_with(255, &["cannot use console socket"]);
    c.exec(&["-t", "-d", "--console-socket", "/missing"], &["sleep"])
        .fails_with(255, &["console socket"]);
    // Without a devpts there is no terminal.
    asleep(t)
        .exec(&["-t"], &["sleep"])
        .fails_with(255, &["terminal"]);
}

fn read_pid(file: &Path) -> i32 {
    let text = fs::read_to_string(file).unwrap();
    text.parse().unwrap_or_else(|_| panic!("{text:?}"))
}

/// A detached process. As long as its parent, which this process is, has not waited for it, the pid namespace that it
/// is in cannot end.
struct Sleeper(i32);

impl Sleeper {
    /// Detaches one with these flags.
    #[track_caller]
    fn new(c: &Container<'_>, flags: &[&str]) -> Self {
        let file = c.t.path(&format!("pid{}", c.t.next()));
        let name = file.to_string_lossy();
        let mut all = vec!["-d", "--pid-file", &*name];
        all.extend_from_slice(flags);
        c.exec(&all, &["sleep"]).ok();
        Self(read_pid(&file))
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        let _ = kernel::kill(self.0, libc::SIGKILL);
        let _ = kernel::wait(self.0, 0);
    }
}

fn detached(t: &T) {
    let c = asleep(t);
    let file = t.path("pid");
    let name = file.to_string_lossy().into_owned();
    let out = c.exec_cmd(
        &["--detach", "--pid-file", &name],
        &["echo", "up", "--", "signal-wait"],
    );
    let running = out.spawn();
    let text = running.out.clone();
    running.wait().ok();
    let pid = read_pid(&file);
    wait_for("the program", || {
        fs::read_to_string(&text).unwrap().contains("ready")
    });
    assert_eq!(
        witness::namespace(pid, "mnt"),
        witness::namespace(c.pid(), "mnt")
    );
    let mine = |&(each, parent, _): &(i32, i32, char)| {
        each == pid && parent == std::process::id().cast_signed()
    };
    assert!(
        witness::processes().iter().any(mine),
        "it is its caller's subreaper's"
    );
    kernel::kill(pid, libc::SIGTERM).unwrap();
    wait_for("its end", || !witness::alive(pid));
    assert_eq!(
        kernel::wait(pid, 0).map(|status| libc::WEXITSTATUS(status)),
        Some(7)
    );
}

/// conmon takes its absence for a failure.
fn pid_file(t: &T) {
    let c = asleep(t);
    let file = t.path("pid");
    let name = file.to_string_lossy().into_owned();
    for words in [
        &["exec", "-d", "--pid-file", &name, &c.id, "/missing"][..],
        &["exec", "--pid-file", &name, &c.id, "/etc"],
    ] {
        t.cmd(words).run().fails_with(failed(t), &[]);
        assert!(!file.exists());
    }
    let running = c.exec_cmd(&["--pid-file", &name], &["signal-wait"]).spawn();
    running.until("ready");
    wait_for("the pid file", || file.exists());
    let pid = read_pid(&file);
    assert!(witness::alive(pid));
    kernel::kill(pid, libc::SIGTERM).unwrap();
    assert_eq!(running.wait().code(), 7);
}

fn pidfd_socket(t: &T) {
    t.facts.need_kernel(5, 3, "pidfd_open");
    if t.ocilet.ends_with("crun") {
        cannot("crun does not have it");
    }
    let socket = ConsoleSocket::new(t);
    let path = socket.path.to_string_lossy().into_owned();
    let c = t
        .bundle()
        .probe(&["sleep"])
        .create_with(&["--pidfd-socket", &path]);
    let (payload, fd) = socket.descriptor();
    assert_eq!(payload, b"standard");
    assert_eq!(witness::pid_of(&fd), c.pid().to_string());
    let socket = ConsoleSocket::new(t);
    let path = socket.path.to_string_lossy();
    let sleeper = Sleeper::new(&c, &["--pidfd-socket", &path]);
    let (payload, fd) = socket.descriptor();
    assert_eq!(payload, b"setns");
    assert_eq!(witness::pid_of(&fd), sleeper.0.to_string());
    c.exec(&["--pidfd-socket", "/missing"], &["sleep"])
        .fails_with(failed(t), &[]);
}

fn preserved_descriptors(t: &T) {
    let c = asleep(t);
    let file = t.path("kept");
    fs::write(&file, "kept").unwrap();
    let kept = fs::File::open(&file).unwrap();
    let out = c
        .exec_cmd(&["--preserve-fds", "2"], &["report", "--", "fdread", "3"])
        .with_fd(20, &kept)
        .before_exec(|| {
            for number in [3, 4, 5, 6] {
                // SAFETY: plain numbers.
                unsafe { libc::dup2(20, number) };
            }
            Ok(())
        })
        .run()
        .ok();
    let fds = out.json()["fds"].clone();
    let numbers: Vec<&String> = fds.as_object().unwrap().keys().collect();
    assert_eq!(numbers, ["0", "1", "2", "3", "4"]);
    assert_eq!(out.lines()[1]["data"], "kept");
}

fn cgroups(t: &T) {
    let c = asleep(t);
    let sleeper = Sleeper::new(&c, &[]);
    assert_eq!(witness::cgroup_of(sleeper.0), witness::cgroup_of(c.pid()));
    // With the container's end it ends, too.
    c.kill("KILL").ok();
    wait_for("its end", || !witness::alive(sleeper.0));
    drop(sleeper);
    assert_eq!(c.wait(), 137);
    c.delete();
}

fn cgroup_below(t: &T) {
    if t.facts.cgroup == Cgroup::Absent {
        cannot("no cgroups here");
    }
    let c = asleep(t);
    let dirs = witness::cgroups(&c.id);
    for dir in &dirs {
        fs::create_dir_all(dir.join("sub/deep")).unwrap();
        for file in ["cpuset.cpus", "cpuset.mems"] {
            if let Ok(all) = fs::read_to_string(dir.join(file)) {
                for below in ["sub", "sub/deep"] {
                    let _ = fs::write(dir.join(below).join(file), all.trim());
                }
            }
        }
    }
    let placed = |flags: &[&str]| witness::cgroup_of(Sleeper::new(&c, flags).0);
    let own = witness::cgroup_of(c.pid());
    let ours = |path: &str| path.contains(&c.id);
    for (list, path) in placed(&["--cgroup", "/sub/deep"]) {
        assert!(
            !ours(&own[&list]) || path == format!("{}/sub/deep", own[&list]),
            "{list}: {path}"
        );
    }
    assert_eq!(placed(&["--cgroup", "/"]), own);
    if t.foreign() {
        return;
    }
    for (list, path) in placed(&["--cgroup=sub"]) {
        assert!(
            !ours(&own[&list]) || path.ends_with("/sub"),
            "{list}: {path}"
        );
    }
    for up in ["..", "/sub/../..", "sub/.."] {
        c.exec(&["--cgroup", up], &["sleep"])
            .fails_with(255, &["\"..\""]);
    }
    c.exec(&["--cgroup", "/missing"], &["sleep"])
        .fails_with(255, &["no such file"]);
    c.exec(&["--cgroup", "nonsense:/sub"], &["sleep"])
        .fails_with(255, &["controllers"]);
    if t.facts.cgroup == Cgroup::V1 {
        let (one, other) = ("pids", "memory");
        if own.contains_key(one) && own.contains_key(other) {
            let seen = placed(&["--cgroup", "pids:/sub", "--cgroup", "memory:/sub/deep"]);
            assert!(seen[one].ends_with("/sub") && seen[other].ends_with("/sub/deep"));
            let freezer = "freezer";
            assert_eq!(seen.get(freezer), own.get(freezer));
        }
    }
}

/// An init that divides its cgroup (systemd does) leaves no place for processes in the cgroup itself.
fn cgroup_that_is_divided(t: &T) {
    if t.facts.cgroup != Cgroup::V2 {
        cannot("only cgroup v2 has the rule");
    }
    let c = asleep(t);
    let dir = witness::cgroups(&c.id).remove(0);
    let controllers = fs::read_to_string(dir.join("cgroup.controllers")).unwrap();
    let Some(one) = controllers.split_whitespace().next() else {
        cannot("no controller is handed down");
    };
    fs::create_dir(dir.join("init")).unwrap();
    fs::write(dir.join("init/cgroup.procs"), c.pid().to_string()).unwrap();
    fs::write(dir.join("cgroup.subtree_control"), format!("+{one}")).unwrap();
    let sleeper = Sleeper::new(&c, &[]);
    assert_eq!(witness::cgroup_of(sleeper.0), witness::cgroup_of(c.pid()));
    if !t.foreign() {
        c.exec(&["--cgroup", "/"], &["sleep"]).fails_with(255, &[]);
    }
}

fn affinity(t: &T) {
    own(t);
    let allowed = |edit: &dyn Fn(&mut Value)| {
        let c = t.bundle().edit(edit).probe(&["sleep"]).detach();
        let out = c.exec(&[], &["dump", "/proc/self/status"]).ok();
        let line = |name: &str| {
            let text = c.exec(&[], &["dump", "/proc/self/status"]).ok().stdout;
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            line.unwrap_or_default().trim().to_owned()
        };
        assert!(out.stdout.contains("Cpus_allowed_list"));
        let init = witness::status(c.pid())["Cpus_allowed_list"].clone();
        (line("Cpus_allowed_list:"), init)
    };
    let (_, all) = allowed(&|_| ());
    if all == "0" {
        cannot("one CPU is no choice");
    }
    let set = |key: &str, list: &str| {
        let (key, list) = (key.to_owned(), list.to_owned());
        move |c: &mut Value| {
            c["process"]["execCPUAffinity"][&key] = json!(list);
        }
    };
    assert_eq!(allowed(&set("initial", "0")), ("0".into(), all.clone()));
    assert_eq!(allowed(&set("final", "1")), ("1".into(), all.clone()));
    let both = |c: &mut Value| {
        c["process"]["execCPUAffinity"] = json!({"initial": "1", "final": "0"});
    };
    assert_eq!(allowed(&both), ("0".into(), all.clone()));
    assert_eq!(allowed(&set("final", "0-1, 0")).0, "0-1");
    for list in ["9999", "0 1"] {
        let c = t
            .bundle()
            .edit(set("final", list))
            .probe(&["sleep"])
            .detach();
        c.exec(&[], &["report"]).fails_with(255, &["0-3,7"]);
    }
}

fn config_as_it_was(t: &T) {
    own(t);
    let mut bundle = t.bundle().probe(&["sleep"]);
    let c = bundle.detach();
    bundle = bundle.edit(|c| {
        c["process"]["user"] = json!({"uid": 9, "gid": 9});
        c["linux"]["namespaces"] = json!([]);
    });
    bundle.write();
    let seen = c.exec_report(&[]);
    assert_eq!(seen["ids"]["uids"][0], 0);
    assert_eq!(seen["ns"]["mnt"], witness::namespace(c.pid(), "mnt"));
    fs::remove_file(bundle.dir.join("config.json")).unwrap();
    c.exec_report(&[]);
    // Whoever may not see the bundle does not see the copy.
    let copy = t.root.join(&c.id).join("config.json");
    let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(copy).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
}

fn kept_config_that_is_damaged(t: &T) {
    own(t);
    let c = asleep(t);
    let copy = t.root.join(&c.id).join("config.json");
    let whole = fs::read(&copy).unwrap();
    for at in (0..whole.len()).step_by(37) {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        fs::write(&copy, &bytes).unwrap();
        c.exec(&[], &["report"]).fails_with(255, &["damaged"]);
        fs::write(&copy, &whole[..at]).unwrap();
        c.exec(&[], &["report"]).fails_with(255, &["damaged"]);
    }
    fs::remove_file(&copy).unwrap();
    c.exec(&[], &["report"]).fails_with(255, &["damaged"]);
    assert_eq!(c.status(), "running");
    fs::write(&copy, &whole).unwrap();
    c.exec(&[], &["report"]).ok();
}

fn signals_are_forwarded(t: &T) {
    let c = asleep(t);
    let running = c.exec_cmd(&[], &["signal-wait"]).spawn();
    running.until("ready");
    for signal in [libc::SIGUSR1, libc::SIGHUP, libc::SIGINT] {
        kernel::kill(running.pid(), signal).unwrap();
        running.until(&format!("\"signal\":{signal}"));
    }
    kernel::kill(running.pid(), libc::SIGTERM).unwrap();
    assert_eq!(running.wait().code(), 7);
}

/// Without a pid namespace an orphan of the process comes to us; not with `--no-subreaper`.
fn subreaper(t: &T) {
    own(t);
    let c = t
        .bundle()
        .without_namespace("pid")
        .probe(&["sleep"])
        .detach();
    c.exec(&[], &["fork", "3"]).ok();
    c.exec(&["--no-subreaper"], &["fork", "3"]).ok();
    while kernel::wait(-1, libc::WNOHANG).is_some() {}
}

/// CVE-2016-9962, CVE-2024-21626: no descriptor of the host comes along.
fn nothing_of_the_host(t: &T) {
    own(t);
    let c = asleep(t);
    let leak = fs::File::open("/").unwrap();
    let exec = |flags: &[&str], words: &[&str]| {
        let mut cmd = c.exec_cmd(flags, words);
        for number in 3..20 {
            cmd = cmd.with_fd(number, &leak);
        }
        cmd.run()
    };
    let seen = exec(&[], &["report"]).ok().json();
    let fds = seen["fds"].as_object().unwrap();
    assert_eq!(fds.keys().collect::<Vec<_>>(), ["0", "1", "2"], "{fds:?}");
    for k in 3..24 {
        for path in [
            format!("/proc/self/fd/{k}"),
            format!("/proc/self/fd/{k}/.."),
        ] {
            let out = exec(&["--cwd", &path], &["report"]);
            if out.code() == 0 {
                let cwd = out.json()["cwd"].as_str().unwrap().to_owned();
                assert!(cwd.starts_with('/'), "{path} led to {cwd}");
                assert!(
                    cwd.starts_with("/proc/") || cwd == "/",
                    "{path} led to {cwd}"
                );
            }
        }
        let path = format!("/proc/self/fd/{k}");
        let out = t.cmd(&["exec", &c.id, &path]).run();
        assert_eq!(out.code(), 255, "{path} was executed");
    }
    exec(&["--cwd", "/proc/1/root/.."], &["report"]);
}

/// CVE-2019-5736, by `exec`: whoever watches from inside finds a sealed copy at most.
fn binary_is_out_of_reach(t: &T) {
    own(t);
    let c = t.bundle().probe(&["watch-exe", "2000"]).detach();
    // For as long as it surely watches, however slow the machine is.
    let until = std::time::Instant::now() + std::time::Duration::from_millis(1000);
    while std::time::Instant::now() < until {
        c.exec(&[], &["exit"]).ok();
    }
    assert_eq!(c.wait(), 0);
    let seen = c.lines().remove(0);
    let host = fs::metadata(&t.ocilet).unwrap();
    use std::os::unix::fs::MetadataExt as _;
    let pair = json!([host.dev(), host.ino()]);
    assert!(
        !seen["seen"].as_array().unwrap().contains(&pair),
        "the runtime's own inode was seen"
    );
    // And by what is executed: the program, or the interpreter of a script, is the process itself.
    let c = t.bundle().probe(&["sleep"]);
    std::os::unix::fs::symlink("/proc/self/exe", c.rootfs().join("link")).unwrap();
    let c = c.detach();
    let out = t.cmd(&["exec", &c.id, "/link", "--version"]).run();
    assert!(out.code() != 0 || out.stdout.contains("ocilet"), "{out:?}");
}

fn many_at_once(t: &T) {
    let c = asleep(t);
    let running: Vec<_> = (0..20)
        .map(|n| (n, c.exec_cmd(&[], &["exit", &n.to_string()]).spawn()))
        .collect();
    for (n, running) in running {
        assert_eq!(running.wait().code(), n);
    }
}
