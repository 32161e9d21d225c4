//! `process.*`: what the program finds itself to be, exactly as config.json says.

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::case::{Case, cannot, case};
use crate::facts::patience;
use crate::harness::T;

pub const CASES: &[Case] = &[
    case!(user_and_groups),
    case!(large_ids),
    case!(groups_of_the_caller_are_dropped),
    case!(umask),
    case!(cwd_is_made),
    case!(cwd_through_links_and_closed_directories),
    case!(environment_is_exact),
    case!(home_comes_from_passwd),
    case!(home_from_hostile_passwd),
    case!(arguments_are_exact),
    case!(large_arguments_and_environment),
    case!(program_is_found_in_path),
    case!(program_that_is_missing),
    case!(program_that_may_not_run),
    case!(script_with_interpreter),
    case!(exec_error_is_reported_by_start),
    case!(capabilities_are_exact),
    case!(capabilities_of_another_user),
    case!(ambient_capabilities),
    case!(capabilities_empty_and_absent),
    case!(unknown_capability_warns),
    case!(rlimits),
    case!(no_new_privileges),
    case!(oom_score_adj),
    case!(scheduler),
    case!(scheduler_with_deadline),
    case!(scheduler_clamps),
    case!(scheduler_that_is_invalid),
    case!(io_priority),
    case!(io_priority_of_real_time),
    case!(personality),
    case!(memory_policy),
    case!(session_keyring),
    case!(signals_are_reset),
    case!(program_is_session_leader),
    case!(descriptors_are_stdio_only),
    case!(preserved_descriptors),
    case!(closed_stdio),
    case!(stdin_reaches_the_program),
    case!(stderr_is_separate),
    case!(pipes_of_a_user_can_be_opened_again),
];

fn user_and_groups(t: &T) {
    let seen = t.report(|c| {
        c["process"]["user"] =
            json!({"uid": 1000, "gid": 1001, "additionalGids": [5, 1001, 70000]});
    });
    assert_eq!(seen["ids"]["uids"], json!([1000, 1000, 1000]));
    assert_eq!(seen["ids"]["gids"], json!([1001, 1001, 1001]));
    let mut groups: Vec<u64> = serde_json::from_value(seen["ids"]["groups"].clone()).unwrap();
    groups.sort_unstable();
    assert_eq!(groups, [5, 1001, 70000]);
}

/// CVE-2024-40635: no wrapping on the way to the kernel.
fn large_ids(t: &T) {
    if t.foreign() {
        return;
    }
    for id in [2_147_483_648_u64, 4_294_967_294] {
        let seen = t.report(|c| c["process"]["user"] = json!({"uid": id, "gid": id}));
        assert_eq!(seen["ids"]["uids"], json!([id, id, id]));
        assert_eq!(seen["ids"]["gids"], json!([id, id, id]));
    }
    for id in [
        json!(4_294_967_295_u64),
        json!(4_294_967_296_u64),
        json!(-1),
        json!(1.5),
        json!("0"),
    ] {
        if t.foreign() {
            continue;
        }
        t.bundle()
            .edit(|c| c["process"]["user"]["uid"] = id)
            .create_fails(&["uid"]);
    }
}

/// CVE-2022-2995.
fn groups_of_the_caller_are_dropped(t: &T) {
    let bundle = t.bundle();
    let (_, cmd) = bundle.run_cmd(&[]);
    let out = cmd
        .before_exec(|| {
            let groups = [1_u32, 2, 3, 4, 5, 6, 7, 8, 9, 10];
            // SAFETY: ten groups.
            crate::kernel::check(unsafe { libc::setgroups(10, groups.as_ptr()) }).map(drop)
        })
        .run()
        .ok();
    assert_eq!(out.json()["ids"]["groups"], json!([]));
}

fn umask(t: &T) {
    assert_eq!(t.report(|_| ())["umask"], 0o022);
    for mask in [0, 0o077, 0o777] {
        let seen = t.report(|c| c["process"]["user"]["umask"] = json!(mask));
        assert_eq!(seen["umask"], mask);
    }
}

fn cwd_is_made(t: &T) {
    let out = t
        .bundle()
        .edit(|c| c["process"]["cwd"] = json!("/made/of/parts"))
        .probe(&["report", "--", "stat", "."])
        .run()
        .ok();
    assert_eq!(out.lines()[0]["cwd"], "/made/of/parts");
    assert_eq!(out.lines()[1]["mode"], 0o755);
    assert_eq!(out.lines()[1]["uid"], 0);
    if !t.foreign() {
        t.bundle()
            .edit(|c| c["process"]["cwd"] = json!("relative"))
            .create_fails(&["cwd", "absolute"]);
        t.bundle()
            .edit(|c| c["process"]["cwd"] = json!(""))
            .create_fails(&["cwd"]);
    }
}

fn cwd_through_links_and_closed_directories(t: &T) {
    let bundle = t.bundle();
    std::os::unix::fs::symlink("/tmp", bundle.rootfs().join("t")).unwrap();
    let out = bundle
        .edit(|c| c["process"]["cwd"] = json!("/t"))
        .run()
        .ok();
    assert_eq!(out.json()["cwd"], "/tmp");
    // Readable by its owner only: entered with the user's own rights.
    let bundle = t.bundle();
    let home = bundle.rootfs().join("home");
    fs::create_dir(&home).unwrap();
    std::os::unix::fs::chown(&home, Some(1000), Some(1000)).unwrap();
    fs::set_permissions(&home, fs::Permissions::from_mode(0o700)).unwrap();
    let out = bundle
        .edit(|c| {
            c["process"]["cwd"] = json!("/home");
            c["process"]["user"] = json!({"uid": 1000, "gid": 1000});
            c["process"]["capabilities"] = json!({});
        })
        .run()
        .ok();
    assert_eq!(out.json()["cwd"], "/home");
}

fn environment_is_exact(t: &T) {
    let env = json!([
        "PATH=/bin",
        "A=1",
        "EMPTY=",
        "Q=a\"b\\c\u{1}\u{20ac}\u{1f600}",
        "HOME=/h",
        "LINE=a\nb"
    ]);
    let seen = t.report(|c| c["process"]["env"] = env.clone());
    assert_eq!(seen["env"], env);
    if !t.foreign() {
        t.bundle()
            .edit(|c| c["process"]["env"] = json!(["PATH=/bin", "NOEQUALS"]))
            .create_fails(&["process.env[1]", "="]);
        t.bundle()
            .edit(|c| c["process"]["env"] = json!(["=x"]))
            .create_fails(&["process.env[0]"]);
        t.bundle()
            .edit(|c| c["process"]["env"] = json!(["A=\u{0}b"]))
            .create_fails(&["process.env[0]"]);
        // Duplicates: the last one wins.
        let seen = t.report(|c| c["process"]["env"] = json!(["A=1", "PATH=/bin", "A=2", "HOME=/"]));
        let env: Vec<&Value> = seen["env"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|e| e.as_str().unwrap().starts_with("A="))
            .collect();
        assert_eq!(env, [&json!("A=2")]);
    }
}

fn passwd(t: &T, text: &str, uid: u32) -> String {
    let bundle = t.bundle();
    fs::write(bundle.rootfs().join("etc/passwd"), text).unwrap();
    let out = bundle
        .edit(|c| c["process"]["user"]["uid"] = json!(uid))
        .probe(&["env", "HOME"])
        .run()
        .ok();
    out.json()["value"].as_str().unwrap_or("").to_owned()
}

fn home_comes_from_passwd(t: &T) {
    let table = "root:x:0:0:root:/root:/bin/sh\nbad line\nuser:x:1000:1000:U:/home/user:/bin/sh\nempty:x:7:7:::\n";
    assert_eq!(passwd(t, table, 0), "/root");
    assert_eq!(passwd(t, table, 1000), "/home/user");
    assert_eq!(passwd(t, table, 1001), "/");
    assert_eq!(passwd(t, "", 0), "/");
    if !t.foreign() {
        // CVE-2016-3697: a name that looks like a number is a name.
        assert_eq!(passwd(t, "1000:x:0:0::/evil:/bin/sh\n", 1000), "/");
        assert_eq!(passwd(t, table.trim_end(), 7), "/");
    }
    let set = t
        .bundle()
        .edit(|c| c["process"]["env"] = json!(["PATH=/bin", "HOME=/given"]))
        .probe(&["env", "HOME"])
        .run()
        .ok();
    assert_eq!(set.json()["value"], "/given");
}

/// CVE-2025-4437: a passwd that is huge, a FIFO, a directory, a link out of the root.
fn home_from_hostile_passwd(t: &T) {
    if t.foreign() {
        return;
    }
    type Make = fn(&std::path::Path);
    let kinds: &[(&str, Make)] = &[
        ("sparse", |path| {
            let file = fs::File::create(path).unwrap();
            file.set_len(8 << 30).unwrap();
        }),
        ("fifo", |path| {
            crate::kernel::mknod(path, libc::S_IFIFO | 0o644, 0, 0).unwrap()
        }),
        ("directory", |path| fs::create_dir(path).unwrap()),
        ("loop", |path| {
            std::os::unix::fs::symlink("passwd", path).unwrap()
        }),
        ("device", |path| {
            crate::kernel::mknod(path, libc::S_IFCHR | 0o644, 1, 5).unwrap()
        }),
        ("magic", |path| {
            std::os::unix::fs::symlink("/proc/self/fd/0", path).unwrap()
        }),
    ];
    for (name, make) in kinds {
        let bundle = t.bundle().probe(&["env", "HOME"]);
        make(&bundle.rootfs().join("etc/passwd"));
        let out = bundle.run().ok();
        assert_eq!(out.json()["value"], "/", "{name}");
        assert!(out.took * 2 < patience(1), "{name}: {:?}", out.took);
    }
}

fn arguments_are_exact(t: &T) {
    let args = json!([
        "/bin/probe",
        "report",
        "--",
        "echo",
        "",
        "a b",
        "\"\\/\u{8}\u{c}\n\r\t",
        "\u{1f600}é",
        "$HOME",
        "-"
    ]);
    let out = t
        .bundle()
        .edit(|c| c["process"]["args"] = args.clone())
        .run()
        .ok();
    assert_eq!(out.json()["args"], args);
    if !t.foreign() {
        t.bundle()
            .edit(|c| c["process"]["args"] = json!([]))
            .create_fails(&["process", "args"]);
        t.bundle()
            .edit(|c| c["process"]["args"] = json!(["/bin/probe", "a\u{0}b"]))
            .create_fails(&["process.args[1]"]);
        t.bundle()
            .edit(|c| c["process"]["args"] = json!([1]))
            .create_fails(&["process.args[0]"]);
    }
}

fn large_arguments_and_environment(t: &T) {
    let long = "x".repeat(120_000);
    let env: Vec<String> = (0..5000)
        .map(|n| format!("SERVICE_{n}_PORT=tcp://10.0.0.{}:{n}", n % 256))
        .collect();
    let out = t
        .bundle()
        .edit(|c| {
            c["process"]["args"].as_array_mut().unwrap().extend([
                json!("--"),
                json!("echo"),
                json!(long),
            ]);
            c["process"]["env"]
                .as_array_mut()
                .unwrap()
                .extend(env.iter().map(|each| json!(each)));
        })
        .run()
        .ok();
    let seen = out.json();
    assert_eq!(seen["args"][4], long);
    assert_eq!(seen["env"].as_array().unwrap().len(), 5002);
}

fn program_is_found_in_path(t: &T) {
    let run = |path: &str, program: &str, cwd: &str| {
        let bundle = t.bundle();
        fs::create_dir_all(bundle.rootfs().join("opt/x")).unwrap();
        fs::copy("/proc/self/exe", bundle.rootfs().join("opt/x/probe-x")).unwrap();
        fs::set_permissions(
            bundle.rootfs().join("opt/x/probe-x"),
            fs::Permissions::from_mode(0o755),
        )
        .unwrap();
        // A file that may not be executed does not end the search.
        fs::create_dir_all(bundle.rootfs().join("first")).unwrap();
        fs::write(bundle.rootfs().join("first/probe-x"), "no").unwrap();
        let out = bundle
            .edit(|c| {
                c["process"]["env"] = json!([path]);
                c["process"]["cwd"] = json!(cwd);
                c["process"]["args"] = json!([program, "report"]);
            })
            .run()
            .ok();
        assert_eq!(out.json()["args"][0], program);
    };
    run("PATH=/nowhere:/first:/opt/x", "probe-x", "/");
    run("PATH=/bin", "/opt/x/probe-x", "/");
    run("PATH=/bin", "./probe-x", "/opt/x");
    run("PATH=/bin", "x/probe-x", "/opt");
}

fn program_that_is_missing(t: &T) {
    let absent = |program: &str| t.bundle().edit(|c| c["process"]["args"] = json!([program]));
    let out = absent("nosuch").create_fails(&["executable file not found in $PATH"]);
    if !t.foreign() {
        assert!(
            out.stderr
                .contains("exec: \"nosuch\": executable file not found in $PATH"),
            "{}",
            out.stderr
        );
        let out = absent("/no/such").create_fails(&[]);
        assert!(
            out.stderr.contains("exec: \"/no/such\": "),
            "{}",
            out.stderr
        );
    }
    absent("/no/such").create_fails(&["no such file or directory"]);
    absent("./such").create_fails(&["no such file or directory"]);
    // Without PATH a bare name is not found.
    let bare = t.bundle().edit(|c| {
        c["process"]["env"] = json!([]);
        c["process"]["args"] = json!(["probe"]);
    });
    if !t.foreign() {
        bare.create_fails(&["executable file not found in $PATH"]);
    }
}

fn program_that_may_not_run(t: &T) {
    let bundle = t.bundle();
    fs::write(bundle.rootfs().join("plain"), "text").unwrap();
    bundle
        .edit(|c| c["process"]["args"] = json!(["/plain"]))
        .create_fails(&["permission denied"]);
    let directory = t.bundle().edit(|c| c["process"]["args"] = json!(["/bin"]));
    directory.create_fails(&["permission denied"]);
    let through = t
        .bundle()
        .edit(|c| c["process"]["args"] = json!(["/bin/probe/x"]));
    through.create_fails(&["not a directory"]);
}

fn script_with_interpreter(t: &T) {
    let bundle = t.bundle();
    let script = bundle.rootfs().join("script");
    fs::write(&script, "#!/bin/probe echo\n").unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let out = bundle
        .edit(|c| c["process"]["args"] = json!(["/script", "more"]))
        .run()
        .ok();
    assert_eq!(out.stdout, "/script more\n");
}

fn exec_error_is_reported_by_start(t: &T) {
    let make = |text: &str| {
        let bundle = t.bundle();
        let file = bundle.rootfs().join("thing");
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        bundle.edit(|c| c["process"]["args"] = json!(["/thing"]))
    };
    if t.foreign() {
        return;
    }
    for (text, words) in [
        ("no format at all\n", "exec format error"),
        ("#!/no/interpreter\n", "no such file or directory"),
    ] {
        let c = make(text).create();
        c.start_out().fails(&[words, "/thing"]);
        c.wait();
        assert_eq!(c.status(), "stopped");
        c.delete();
        let out = make(text).run();
        assert_eq!(out.code(), 1, "{}", out.stderr);
    }
    // Between create and start the file went away, or lost its mode.
    let bundle = make("#!/bin/probe exit\n");
    let c = bundle.create();
    fs::remove_file(bundle.rootfs().join("thing")).unwrap();
    c.start_out().fails(&["no such file or directory"]);
    c.delete_force();
    let bundle = make("#!/bin/probe exit\n");
    let c = bundle.create();
    fs::set_permissions(
        bundle.rootfs().join("thing"),
        fs::Permissions::from_mode(0o644),
    )
    .unwrap();
    c.start_out().fails(&["permission denied"]);
    c.delete_force();
}

const SETS: [&str; 5] = [
    "bounding",
    "effective",
    "permitted",
    "inheritable",
    "ambient",
];

fn caps(seen: &Value, set: &str) -> Vec<String> {
    serde_json::from_value(seen["caps"][set].clone()).unwrap()
}

fn capabilities_are_exact(t: &T) {
    for locked in [true, false] {
        let seen = t.report(|c| {
            c["process"]["noNewPrivileges"] = json!(locked);
            c["process"]["capabilities"] = json!({
                "bounding": ["CAP_CHOWN", "CAP_KILL", "CAP_NET_RAW", "CAP_CHECKPOINT_RESTORE"],
                "permitted": ["CAP_CHOWN", "CAP_KILL"],
                "effective": ["CAP_KILL"],
            });
        });
        let bounding = ["CHOWN", "KILL", "NET_RAW", "CHECKPOINT_RESTORE"];
        assert_eq!(caps(&seen, "bounding"), bounding);
        // Of uid 0, execve grants the bounding set; with no_new_privs no more than was permitted.
        let granted = if locked {
            &bounding[..2]
        } else {
            &bounding[..]
        };
        assert_eq!(caps(&seen, "permitted"), granted);
        assert_eq!(caps(&seen, "effective"), granted);
        assert!(caps(&seen, "inheritable").is_empty());
        assert!(caps(&seen, "ambient").is_empty());
    }
    let seen = t.report(|c| {
        c["process"]["capabilities"] = json!({
            "bounding": ["CAP_CHOWN", "CAP_KILL"], "permitted": ["CAP_CHOWN", "CAP_KILL"],
            "effective": ["CAP_CHOWN"], "inheritable": ["CAP_KILL"],
        });
    });
    assert_eq!(caps(&seen, "inheritable"), ["KILL"]);
}

/// CVE-2016-8867: nothing survives the change of user but what ambient says.
fn capabilities_of_another_user(t: &T) {
    let seen = t.report(|c| {
        c["process"]["user"] = json!({"uid": 1000, "gid": 1000});
        let all = json!(["CAP_CHOWN", "CAP_NET_RAW"]);
        c["process"]["capabilities"] = json!({"bounding": all, "permitted": all, "effective": all});
    });
    assert_eq!(caps(&seen, "bounding"), ["CHOWN", "NET_RAW"]);
    for set in &SETS[1..] {
        assert!(caps(&seen, set).is_empty(), "{set}: {}", seen["caps"]);
    }
}

fn ambient_capabilities(t: &T) {
    let seen = t.report(|c| {
        c["process"]["user"] = json!({"uid": 1000, "gid": 1000});
        let all = json!(["CAP_CHOWN", "CAP_NET_RAW"]);
        c["process"]["capabilities"] = json!({
            "bounding": all, "permitted": all, "effective": all, "inheritable": all, "ambient": ["CAP_NET_RAW"],
        });
    });
    assert_eq!(caps(&seen, "ambient"), ["NET_RAW"]);
    assert_eq!(caps(&seen, "permitted"), ["NET_RAW"]);
    assert_eq!(caps(&seen, "effective"), ["NET_RAW"]);
    assert_eq!(caps(&seen, "inheritable"), ["CHOWN", "NET_RAW"]);
}

fn capabilities_empty_and_absent(t: &T) {
    let seen = t.report(|c| c["process"]["capabilities"] = json!({}));
    for set in SETS {
        assert!(caps(&seen, set).is_empty(), "{set}");
    }
    let seen = t.report(|c| {
        c["process"].as_object_mut().unwrap().remove("capabilities");
    });
    // runc leaves a process of uid 0 what its caller has; crun drops everything. Either is a whole answer.
    let bounding = caps(&seen, "bounding").len();
    println!("# absent capabilities: bounding set of {bounding}");
    assert!(caps(&seen, "ambient").is_empty());
    assert!(caps(&seen, "inheritable").is_empty());
}

fn unknown_capability_warns(t: &T) {
    let out = t
        .bundle()
        .edit(|c| {
            c["process"]["capabilities"]["bounding"] = json!(["CAP_CHOWN", "CAP_NOT_YET_INVENTED"])
        })
        .run()
        .ok();
    assert_eq!(caps(&out.json(), "bounding"), ["CHOWN"]);
    assert!(
        out.stderr.contains("capabilities"),
        "no warning: {:?}",
        out.stderr
    );
}

fn rlimits(t: &T) {
    let names = [
        "AS",
        "CORE",
        "CPU",
        "DATA",
        "FSIZE",
        "LOCKS",
        "MEMLOCK",
        "MSGQUEUE",
        "NICE",
        "NOFILE",
        "NPROC",
        "RSS",
        "RTPRIO",
        "RTTIME",
        "SIGPENDING",
        "STACK",
    ];
    let before = t.report(|_| ())["rlimits"].clone();
    // Lowered only: this machine may lack CAP_SYS_RESOURCE.
    let pair = |name: &str| -> (u64, u64) {
        let hard = before[name][1].as_u64().unwrap();
        let hard = match name {
            "AS" | "DATA" | "STACK" | "RSS" | "FSIZE" => hard.min(1 << 40),
            "CPU" | "RTTIME" => hard.min(1_000_000),
            _ => hard.min(512),
        };
        (
            if name == "STACK" {
                1 << 20
            } else {
                hard.saturating_sub(1).max(1).min(hard)
            },
            hard,
        )
    };
    let list: Vec<Value> = names
        .iter()
        .map(|name| json!({"type": format!("RLIMIT_{name}"), "soft": pair(name).0, "hard": pair(name).1}))
        .collect();
    let seen = t.report(|c| c["process"]["rlimits"] = json!(list));
    for name in names {
        assert_eq!(
            seen["rlimits"][name],
            json!([pair(name).0, pair(name).1]),
            "RLIMIT_{name}"
        );
    }
    let endless = u64::MAX;
    if before["CORE"][1] == endless {
        let seen = t.report(|c| {
            c["process"]["rlimits"] =
                json!([{"type": "RLIMIT_CORE", "soft": endless, "hard": endless}])
        });
        assert_eq!(seen["rlimits"]["CORE"], json!([endless, endless]));
    }
    let bad = |list: Value, words: &[&str]| {
        t.bundle()
            .edit(|c| c["process"]["rlimits"] = list)
            .create_fails(words);
    };
    bad(
        json!([{"type": "RLIMIT_NOPE", "soft": 1, "hard": 1}]),
        &["rlimit"],
    );
    if !t.foreign() {
        bad(
            json!([{"type": "RLIMIT_CPU", "soft": 2, "hard": 1}]),
            &["rlimits[0]|rlimit"],
        );
        bad(
            json!([{"type": "RLIMIT_CPU", "soft": 1, "hard": 1}, {"type": "RLIMIT_CPU", "soft": 1, "hard": 1}]),
            &["rlimits[1]"],
        );
        bad(
            json!([{"type": "RLIMIT_CPU", "soft": -1, "hard": 1}]),
            &["rlimits[0].soft"],
        );
        bad(
            json!([{"type": "RLIMIT_CPU", "hard": 1}]),
            &["rlimits[0]", "soft"],
        );
    }
}

fn no_new_privileges(t: &T) {
    assert_eq!(
        t.report(|c| c["process"]["noNewPrivileges"] = json!(true))["nnp"],
        1
    );
    assert_eq!(
        t.report(|c| c["process"]["noNewPrivileges"] = json!(false))["nnp"],
        0
    );
    let absent = t.report(|c| {
        c["process"]
            .as_object_mut()
            .unwrap()
            .remove("noNewPrivileges");
    });
    assert_eq!(absent["nnp"], 0);
}

fn oom_score_adj(t: &T) {
    let own = fs::read_to_string("/proc/self/oom_score_adj").unwrap();
    assert_eq!(t.report(|_| ())["oom"], own.trim());
    let seen = t.report(|c| c["process"]["oomScoreAdj"] = json!(777));
    assert_eq!(seen["oom"], "777");
    if !t.foreign() {
        t.bundle()
            .edit(|c| c["process"]["oomScoreAdj"] = json!(1001))
            .create_fails(&["oomScoreAdj"]);
        t.bundle()
            .edit(|c| c["process"]["oomScoreAdj"] = json!(-1001))
            .create_fails(&["oomScoreAdj"]);
    }
}

fn scheduler(t: &T) {
    if t.foreign() {
        return;
    }
    let sched = |value: Value| t.report(|c| c["process"]["scheduler"] = value)["sched"].clone();
    let seen = sched(json!({"policy": "SCHED_OTHER", "nice": 5}));
    assert_eq!((&seen["policy"], &seen["nice"]), (&json!(0), &json!(5)));
    let seen = sched(json!({"policy": "SCHED_BATCH", "nice": 3}));
    assert_eq!((&seen["policy"], &seen["nice"]), (&json!(3), &json!(3)));
    let seen = sched(json!({"policy": "SCHED_IDLE"}));
    assert_eq!(seen["policy"], 5);
    let seen = sched(json!({"policy": "SCHED_OTHER", "flags": ["SCHED_FLAG_RESET_ON_FORK"]}));
    assert_eq!(seen["flags"], 1);
    // What there was stays.
    let flags = ["SCHED_FLAG_KEEP_POLICY", "SCHED_FLAG_KEEP_PARAMS"];
    let seen = sched(json!({"policy": "SCHED_BATCH", "nice": 5, "flags": flags}));
    let own = &t.report(|_| ())["sched"];
    assert_eq!(
        (&seen["policy"], &seen["nice"]),
        (&own["policy"], &own["nice"])
    );
}

/// Looked at from outside, since it may hardly run; without time of its own left it would get SIGXCPU.
fn scheduler_with_deadline(t: &T) {
    if t.foreign() {
        return;
    }
    let value = json!({
        "policy": "SCHED_DEADLINE", "runtime": 2_000_000, "deadline": 40_000_000, "period": 50_000_000,
        "flags": ["SCHED_FLAG_RESET_ON_FORK", "SCHED_FLAG_RECLAIM", "SCHED_FLAG_DL_OVERRUN"]
    });
    let bundle = t.bundle().edit(|c| c["process"]["scheduler"] = value);
    if !kernel_has_deadlines() {
        cannot("no deadlines for processes here");
    }
    let c = bundle.create();
    let mut attr = [0_u64; 7];
    // SAFETY: attr is as large as stated.
    let result =
        unsafe { libc::syscall(libc::SYS_sched_getattr, c.pid(), attr.as_mut_ptr(), 56, 0) };
    assert_eq!(result, 0);
    assert_eq!(attr[0] >> 32, 6, "the policy");
    assert_eq!(attr[1], 1 | 2 | 4, "the flags");
    assert_eq!(attr[3..6], [2_000_000, 40_000_000, 50_000_000]);
}

/// Whether a process of ours may have one: not on every CPU set, and not in every guest.
fn kernel_has_deadlines() -> bool {
    let child = std::thread::spawn(|| {
        let attr = [6_u64 << 32 | 48, 0, 0, 2_000_000, 40_000_000, 50_000_000];
        // SAFETY: attr starts with its size. It is for this thread alone.
        unsafe { libc::syscall(libc::SYS_sched_setattr, 0, attr.as_ptr(), 0) == 0 }
    });
    child.join().unwrap_or(false)
}

/// Bounds without values are those that there are; not every kernel has such.
fn scheduler_clamps(t: &T) {
    if t.foreign() {
        return;
    }
    let flags = ["SCHED_FLAG_UTIL_CLAMP_MIN", "SCHED_FLAG_UTIL_CLAMP_MAX"];
    let bundle = t.bundle().edit(|c| {
        c["process"]["scheduler"] = json!({"policy": "SCHED_OTHER", "flags": flags});
    });
    if std::path::Path::new("/proc/sys/kernel/sched_util_clamp_min").exists() {
        bundle.run().ok();
    } else {
        bundle.create_fails(&["set the scheduler|scheduler", "eopnotsupp|not supported"]);
    }
}

fn scheduler_that_is_invalid(t: &T) {
    if t.foreign() {
        return;
    }
    for (value, word) in [
        (json!({"policy": "SCHED_NOPE"}), "scheduler.policy"),
        (json!({"nice": 1}), "policy"),
        (json!({"policy": "SCHED_OTHER", "nice": 20}), "nice"),
        (json!({"policy": "SCHED_OTHER", "priority": 1}), "priority"),
        (
            json!({"policy": "SCHED_FIFO", "nice": 1, "priority": 1}),
            "nice",
        ),
        (
            json!({"policy": "SCHED_OTHER", "flags": ["SCHED_FLAG_NOPE"]}),
            "flags[0]",
        ),
    ] {
        t.bundle()
            .edit(|c| c["process"]["scheduler"] = value)
            .create_fails(&[word]);
    }
}

fn io_priority(t: &T) {
    if t.foreign() {
        return;
    }
    for (class, number) in [("IOPRIO_CLASS_BE", 2), ("IOPRIO_CLASS_IDLE", 3)] {
        has_io_priority(t, class, number);
    }
    let bad = |value: Value| {
        t.bundle()
            .edit(|c| c["process"]["ioPriority"] = value)
            .create_fails(&["ioPriority"])
    };
    bad(json!({"class": "IOPRIO_CLASS_NOPE", "priority": 4}));
    bad(json!({"class": "IOPRIO_CLASS_BE", "priority": 8}));
}

fn has_io_priority(t: &T, class: &str, number: u32) {
    let seen = t.report(|c| c["process"]["ioPriority"] = json!({"class": class, "priority": 4}));
    assert_eq!(seen["sched"]["ioprio"], json!([number, 4]), "{class}");
}

fn io_priority_of_real_time(t: &T) {
    if !t.foreign() {
        has_io_priority(t, "IOPRIO_CLASS_RT", 1);
    }
}

fn personality(t: &T) {
    if t.foreign() {
        return;
    }
    let seen = t.report(|c| c["linux"]["personality"] = json!({"domain": "LINUX32"}));
    assert_eq!(seen["sched"]["personality"], 8);
    let seen = t.report(|c| c["linux"]["personality"] = json!({"domain": "LINUX", "flags": []}));
    assert_eq!(seen["sched"]["personality"], 0);
    t.bundle()
        .edit(|c| c["linux"]["personality"] = json!({"domain": "BSD"}))
        .create_fails(&["personality.domain"]);
}

fn memory_policy(t: &T) {
    if t.foreign() {
        return;
    }
    if t.report(|_| ())["sched"]["mempolicy"].is_null() {
        cannot("no memory policies (CONFIG_NUMA) in this kernel");
    }
    let policy = |value: Value| {
        t.report(|c| c["linux"]["memoryPolicy"] = value)["sched"]["mempolicy"].clone()
    };
    assert_eq!(
        policy(json!({"mode": "MPOL_BIND", "nodes": "0"})),
        json!({"mode": 2, "nodes": 1})
    );
    assert_eq!(
        policy(json!({"mode": "MPOL_INTERLEAVE", "nodes": "0"})),
        json!({"mode": 3, "nodes": 1})
    );
    assert_eq!(policy(json!({"mode": "MPOL_DEFAULT"}))["mode"], 0);
    assert_eq!(
        policy(json!({"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_STATIC_NODES"]}))["mode"],
        2 | 1 << 15
    );
    assert_eq!(policy(json!({"mode": "MPOL_LOCAL"}))["mode"], 4);
    assert_eq!(
        policy(json!({"mode": "MPOL_PREFERRED", "nodes": "0"})),
        json!({"mode": 1, "nodes": 1})
    );
    for (mode, number, since) in [
        ("PREFERRED_MANY", 5, (5, 15)),
        ("WEIGHTED_INTERLEAVE", 6, (6, 9)),
    ] {
        if t.facts.kernel >= since {
            let value = json!({"mode": format!("MPOL_{mode}"), "nodes": "0"});
            assert_eq!(policy(value)["mode"], number, "{mode}");
        }
    }
    let flagged = |flag: &str| {
        let value = json!({"mode": "MPOL_BIND", "nodes": "0", "flags": [format!("MPOL_F_{flag}")]});
        policy(value)["mode"].clone()
    };
    assert_eq!(flagged("RELATIVE_NODES"), 2 | 1 << 14);
    if std::path::Path::new("/proc/sys/kernel/numa_balancing").exists() {
        assert_eq!(flagged("NUMA_BALANCING"), 2 | 1 << 13);
    }
    let bad = |value: Value| {
        t.bundle()
            .edit(|c| c["linux"]["memoryPolicy"] = value)
            .create_fails(&["memoryPolicy"])
    };
    bad(json!({"mode": "MPOL_BIND"}));
    bad(json!({"mode": "MPOL_DEFAULT", "nodes": "0"}));
    bad(json!({"mode": "MPOL_NOPE"}));
    bad(json!({"nodes": "0"}));
}

fn session_keyring(t: &T) {
    // SAFETY: plain numbers: the serial of the own session keyring.
    let own = unsafe { libc::syscall(libc::SYS_keyctl, 0, -3_i64, 0) };
    if own < 0 {
        cannot("no keyrings in this kernel");
    }
    let (id, cmd) = t.bundle().run_cmd(&[]);
    let seen = cmd.run().ok().json();
    let text = seen["keyring"]["description"].as_str().unwrap().to_owned();
    assert!(text.contains(&format!("_ses.{id}")), "{text}");
    assert_ne!(seen["keyring"]["serial"], own);
    let out = t.bundle().run_with(&["--no-new-keyring"]).ok();
    assert_eq!(out.json()["keyring"]["serial"], own);
}

fn signals_are_reset(t: &T) {
    let (_, cmd) = t.bundle().run_cmd(&[]);
    let out = cmd
        .before_exec(|| {
            // SAFETY: all-zero is a valid sigset; the others are plain numbers.
            unsafe {
                let mut all: libc::sigset_t = std::mem::zeroed();
                libc::sigfillset(&raw mut all);
                libc::sigprocmask(libc::SIG_BLOCK, &raw const all, std::ptr::null_mut());
                for signal in [
                    libc::SIGCHLD,
                    libc::SIGPIPE,
                    libc::SIGHUP,
                    libc::SIGUSR1,
                    libc::SIGINT,
                ] {
                    libc::signal(signal, libc::SIG_IGN);
                }
            }
            Ok(())
        })
        .run()
        .ok();
    let seen = out.json()["signals"].clone();
    if t.foreign() {
        return;
    }
    assert_eq!(seen["blocked"], "0000000000000000");
    // The Rust start-up of the probe ignores SIGPIPE itself.
    let ignored = u64::from_str_radix(seen["ignored"].as_str().unwrap(), 16).unwrap();
    assert_eq!(ignored & !(1 << 12), 0, "{seen}");
}

fn program_is_session_leader(t: &T) {
    let seen = t.report(|_| ());
    assert_eq!(seen["terminal"]["pid"], 1);
    assert_eq!(seen["terminal"]["session"], 1);
    assert_eq!(seen["deathsig"], 0);
    assert_eq!(seen["dumpable"], 1);
    assert_eq!(seen["seccomp"], if t.filter.is_some() { "2" } else { "0" });
}

fn numbers(seen: &Value) -> Vec<String> {
    seen["fds"].as_object().unwrap().keys().cloned().collect()
}

/// CVE-2024-21626: what the caller leaked stays out.
fn descriptors_are_stdio_only(t: &T) {
    let leak = fs::File::open("/").unwrap();
    let (_, mut cmd) = t.bundle().run_cmd(&[]);
    for number in 3..41 {
        cmd = cmd.with_fd(number, &leak);
    }
    let seen = cmd.run().ok().json();
    assert_eq!(numbers(&seen), ["0", "1", "2"], "{}", seen["fds"]);
}

fn preserved_descriptors(t: &T) {
    let (file, other) = (t.path("kept"), t.path("dropped"));
    fs::write(&file, "kept").unwrap();
    fs::write(&other, "dropped").unwrap();
    let (kept, dropped) = (
        fs::File::open(&file).unwrap(),
        fs::File::open(&other).unwrap(),
    );
    let bundle = t.bundle().probe(&["report", "--", "fdread", "3"]);
    let (_, cmd) = bundle.run_cmd(&["--preserve-fds", "2"]);
    // From the top down: a source that sits on one of the targets would be overwritten.
    let out = cmd
        .with_fd(20, &kept)
        .with_fd(21, &dropped)
        .before_exec(|| {
            // SAFETY: plain numbers.
            unsafe {
                libc::dup2(20, 3);
                libc::dup2(20, 4);
                libc::dup2(21, 5);
                libc::dup2(21, 6);
            }
            Ok(())
        })
        .run()
        .ok();
    assert_eq!(numbers(&out.json()), ["0", "1", "2", "3", "4"]);
    assert_eq!(out.lines()[1]["data"], "kept");
    if !t.foreign() {
        bundle.run_with(&["--preserve-fds", "3"]).fails(&["3"]);
        bundle
            .run_with(&["--preserve-fds", "x"])
            .fails(&["preserve-fds"]);
    }
}

fn closed_stdio(t: &T) {
    for mask in 1..8 {
        let c = t.bundle().probe(&["report", "--", "create", "/ran"]);
        let ran = c.rootfs().join("ran");
        let (_, cmd) = c.run_cmd(&[]);
        let out = cmd
            .before_exec(move || {
                for fd in 0..3 {
                    if mask >> fd & 1 == 1 {
                        // SAFETY: plain number.
                        unsafe { libc::close(fd) };
                    }
                }
                Ok(())
            })
            .run();
        if t.foreign() {
            continue;
        }
        assert_eq!(out.code(), 0, "closed {mask:03b}: {}", out.stderr);
        assert!(ran.exists(), "closed {mask:03b}");
        if mask & 2 == 0 {
            let seen = out.json();
            assert_eq!(
                numbers(&seen),
                ["0", "1", "2"],
                "closed {mask:03b}: {}",
                seen["fds"]
            );
            if mask & 1 == 1 {
                assert!(
                    seen["fds"]["0"].as_str().unwrap().contains("null"),
                    "{}",
                    seen["fds"]
                );
            }
        }
    }
}

fn stdin_reaches_the_program(t: &T) {
    fs::write(t.path("in"), "through stdin\n").unwrap();
    let (_, cmd) = t.bundle().probe(&["cat"]).run_cmd(&[]);
    let out = cmd.stdin(fs::File::open(t.path("in")).unwrap()).run().ok();
    assert_eq!(out.stdout, "through stdin\n");
}

fn stderr_is_separate(t: &T) {
    let out = t
        .bundle()
        .probe(&["echo", "a", "--", "err", "b"])
        .run()
        .ok();
    assert_eq!((&*out.stdout, &*out.stderr), ("a\n", "b\n"));
}

/// /dev/stdout, where servers log that do not run as root. What is no pipe keeps its owner: it may be the host's.
fn pipes_of_a_user_can_be_opened_again(t: &T) {
    let again = ["open", "/proc/self/fd/1", "w"];
    let bundle = t.bundle().probe(&again).edit(|c| {
        c["process"]["user"] = json!({"uid": 1000, "gid": 1001});
        c["process"]["capabilities"] = json!({});
    });
    let (mut reader, writer) = std::io::pipe().unwrap();
    let (_, cmd) = bundle.run_cmd(&[]);
    let error = writer.try_clone().unwrap();
    cmd.stdio(Stdio::null(), writer.into(), error.into())
        .run()
        .ok();
    let mut said = String::new();
    reader.read_to_string(&mut said).unwrap();
    assert!(said.contains("true"), "{said}");
    // Here it is a file.
    if !t.foreign() {
        assert_eq!(bundle.run().lines()[0]["errno"], "EACCES");
    }
}
