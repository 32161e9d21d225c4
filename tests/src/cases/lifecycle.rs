//! create, start, run, state, kill, delete: the life of a container and its exit codes.

use std::fs;
use std::time::Duration;

use serde_json::json;

use crate::case::{Case, case};
use crate::harness::T;
use crate::runtime::wait_for;
use crate::witness;

pub const CASES: &[Case] = &[
    case!(exit_codes_in_the_foreground, 60),
    case!(death_by_signal_is_128_plus_n),
    case!(states_from_create_to_delete),
    case!(state_has_the_fields_of_the_specification),
    case!(state_after_everything_is_gone),
    case!(start_works_once),
    case!(created_container_can_be_deleted),
    case!(created_container_can_be_killed),
    case!(running_container_cannot_be_deleted),
    case!(delete_force_of_each_state),
    case!(delete_force_of_an_unknown_id_succeeds),
    case!(unknown_id),
    case!(duplicate_id_is_refused),
    case!(id_is_free_after_delete),
    case!(ids_that_are_no_ids),
    case!(kill_takes_names_and_numbers),
    case!(kill_refuses_unknown_signals),
    case!(kill_of_a_stopped_container),
    case!(foreground_run_leaves_nothing),
    case!(detached_run_returns_at_once),
    case!(keep_leaves_a_stopped_container),
    case!(no_subreaper),
    case!(config_is_read_once),
    case!(failed_create_leaves_nothing),
    case!(same_id_in_parallel_has_one_winner, 60, serial),
    case!(children_of_init_die_with_it),
    case!(created_ends_when_asked),
    case!(init_outlives_its_creator),
    case!(twenty_at_once, 60, serial),
];

fn exit_codes_in_the_foreground(t: &T) {
    let bundle = t.bundle();
    let all: Vec<u8> = if t.foreign() || t.facts.guest {
        vec![0, 1, 2, 125, 126, 127, 128, 137, 254, 255]
    } else {
        (0..=255).collect()
    };
    let mut bundle = bundle;
    for code in all {
        bundle = bundle.probe(&["exit", &code.to_string()]);
        assert_eq!(bundle.run().code(), i32::from(code));
    }
}

fn death_by_signal_is_128_plus_n(t: &T) {
    for signal in [1, 6, 9, 11, 15] {
        let out = t
            .bundle()
            // Pid 1 of a namespace of its own would ignore the signal.
            .without_namespace("pid")
            .probe(&["kill-self", &signal.to_string()])
            .run();
        assert_eq!(out.code(), 128 + signal, "signal {signal}: {}", out.stderr);
    }
    let (id, cmd) = t
        .bundle()
        .probe(&["echo", "up", "--", "sleep"])
        .run_cmd(&[]);
    let running = cmd.spawn();
    running.until("up");
    t.cmd(&["kill", &id, "KILL"]).run().ok();
    assert_eq!(running.wait().code(), 137);
}

fn states_from_create_to_delete(t: &T) {
    let c = t.bundle().probe(&["signal-wait"]).create();
    assert_eq!(c.status(), "created");
    assert_eq!(c.text(), "", "the program ran before start");
    c.start();
    c.until("ready");
    assert_eq!(c.status(), "running");
    assert_eq!(c.state()["pid"], c.pid());
    c.kill("TERM").ok();
    assert_eq!(c.wait(), 7);
    assert_eq!(c.status(), "stopped");
    c.delete();
    t.cmd(&["state", &c.id]).run().fails(&["does not exist"]);
}

fn state_has_the_fields_of_the_specification(t: &T) {
    let bundle = t
        .bundle()
        .probe(&["sleep"])
        .edit(|c| c["annotations"] = json!({"org.example.a": "1", "org.example.\u{e9}\"": "x\ny"}));
    let c = bundle.create();
    let state = c.state();
    assert_eq!(state["id"], c.id);
    assert_eq!(state["bundle"], bundle.dir.to_string_lossy().as_ref());
    assert_eq!(state["annotations"], bundle.config["annotations"]);
    assert_eq!(state["pid"], c.pid());
    assert!(state["ociVersion"].as_str().unwrap().starts_with("1."));
    let created = state["created"].as_str().unwrap();
    assert!(created.ends_with('Z') && created.contains('T'), "{created}");
    if !t.foreign() {
        assert_eq!(state["rootfs"], bundle.rootfs().to_string_lossy().as_ref());
        // As in runc: only list says whose it is.
        assert_eq!(state["owner"], "");
    }
}

fn state_after_everything_is_gone(t: &T) {
    let bundle = t.bundle().probe(&["exit", "0"]);
    let c = bundle.create();
    c.start();
    c.wait();
    fs::remove_dir_all(&bundle.dir).unwrap();
    let state = c.state();
    assert_eq!(state["status"], "stopped");
    assert_eq!(state["pid"], 0);
    c.delete();
}

fn start_works_once(t: &T) {
    let c = t.bundle().probe(&["sleep"]).create();
    c.start();
    c.start_out().fails(&["running|not in created|created"]);
    c.kill("9").ok();
    c.wait();
    c.start_out().fails(&["stopped|created|running"]);
    c.delete();
}

fn created_container_can_be_deleted(t: &T) {
    let c = t.bundle().probe(&["sleep"]).create();
    c.delete();
    assert_eq!(c.wait(), 137);
}

fn created_container_can_be_killed(t: &T) {
    let c = t.bundle().probe(&["sleep"]).create();
    c.kill("KILL").ok();
    assert_eq!(c.wait(), 137);
    assert_eq!(c.status(), "stopped");
    c.delete();
}

fn running_container_cannot_be_deleted(t: &T) {
    let c = t.bundle().probe(&["sleep"]).detach();
    c.delete_out().fails(&["not stopped|running"]);
    assert_eq!(c.status(), "running");
}

fn delete_force_of_each_state(t: &T) {
    let bundle = t.bundle().probe(&["sleep"]);
    let created = bundle.create();
    created.delete_force();
    assert_eq!(created.wait(), 137);
    let running = bundle.detach();
    running.delete_force();
    assert_eq!(running.wait(), 137);
    let stopped = bundle.detach();
    stopped.kill("9").ok();
    stopped.wait();
    stopped.delete_force();
}

fn delete_force_of_an_unknown_id_succeeds(t: &T) {
    t.cmd(&["delete", "--force", "nobody"]).run().ok();
    t.cmd(&["delete", "-f", "nobody"]).run().ok();
}

fn unknown_id(t: &T) {
    for verb in ["state", "start", "delete", "kill"] {
        t.cmd(&[verb, "nobody"]).run().fails(&["does not exist"]);
    }
}

fn duplicate_id_is_refused(t: &T) {
    let bundle = t.bundle().probe(&["sleep"]);
    let c = bundle.create();
    bundle.create_cmd(&c.id, &[]).run().fails(&["exist"]);
    assert_eq!(c.status(), "created");
    assert!(witness::alive(c.pid()));
    let dir = bundle.dir.to_string_lossy();
    t.cmd(&["run", "-b", &dir, &c.id]).run().fails(&["exist"]);
    assert_eq!(c.status(), "created");
}

fn id_is_free_after_delete(t: &T) {
    let bundle = t.bundle().probe(&["exit", "0"]);
    let id = t.id();
    for _ in 0..3 {
        bundle.create_cmd(&id, &[]).run().ok();
        t.cmd(&["delete", &id]).run().ok();
    }
}

fn ids_that_are_no_ids(t: &T) {
    let bundle = t.bundle();
    let long = "x".repeat(1025);
    for id in [
        "", ".", "..", "a/b", "../x", "a b", "a\nb", "é", "a\\b", "a:b", &*long,
    ] {
        let out = bundle.create_cmd(id, &[]).run();
        assert_eq!(out.code(), 1, "id {id:?}: {}", out.stderr);
        assert!(!out.stderr.is_empty());
    }
    for id in ["a", "A-Z_0.9+x", "0", "-"] {
        if id == "-" || t.foreign() {
            continue;
        }
        bundle.create_cmd(id, &[]).run().ok();
        t.cmd(&["delete", id]).run().ok();
    }
}

fn kill_takes_names_and_numbers(t: &T) {
    let c = t.bundle().probe(&["signal-wait"]).create();
    c.start();
    c.until("ready");
    let table = [
        ("HUP", 1),
        ("SIGUSR1", 10),
        ("usr2", 12),
        ("sigwinch", 28),
        ("10", 10),
        ("CONT", 18),
    ];
    for (word, number) in table {
        let seen = c.text().matches(&format!("\"signal\":{number}}}")).count();
        c.kill(word).ok();
        wait_for(&format!("signal {word}"), || {
            c.text().matches(&format!("\"signal\":{number}}}")).count() > seen
        });
    }
    // The default is SIGTERM.
    t.cmd(&["kill", &c.id]).run().ok();
    assert_eq!(c.wait(), 7);
    c.delete();
}

fn kill_refuses_unknown_signals(t: &T) {
    let c = t.bundle().probe(&["sleep"]).detach();
    for word in ["NOPE", "SIG", "65", "-1", "9x", "1000"] {
        let out = c.kill(word);
        assert!(out.code() != 0, "signal {word:?} was accepted");
    }
    assert_eq!(c.status(), "running");
}

fn kill_of_a_stopped_container(t: &T) {
    let c = t.bundle().probe(&["exit", "0"]).detach();
    c.wait();
    c.kill("TERM").fails(&["not running"]);
    c.kill("KILL").fails(&["not running"]);
    c.delete();
}

fn foreground_run_leaves_nothing(t: &T) {
    let (id, cmd) = t.bundle().probe(&["echo", "hello"]).run_cmd(&[]);
    let out = cmd.run().ok();
    assert_eq!(out.stdout, "hello\n");
    assert_eq!(out.stderr, "");
    t.cmd(&["state", &id]).run().fails(&["does not exist"]);
    assert!(!t.root.join(&id).exists());
}

fn detached_run_returns_at_once(t: &T) {
    let pid_file = t.path("pid");
    let name = pid_file.to_string_lossy();
    let (id, cmd) = t
        .bundle()
        .probe(&["signal-wait"])
        .run_cmd(&["--detach", "--pid-file", &name]);
    cmd.run().ok();
    let pid: i32 = fs::read_to_string(&pid_file).unwrap().parse().unwrap();
    assert!(witness::alive(pid));
    let state = t.cmd(&["state", &id]).run().ok();
    assert!(state.stdout.contains("running"));
    t.cmd(&["kill", &id, "9"]).run().ok();
    wait_for("the end", || !witness::alive(pid));
    t.cmd(&["delete", &id]).run().ok();
}

fn keep_leaves_a_stopped_container(t: &T) {
    let (id, cmd) = t.bundle().probe(&["exit", "5"]).run_cmd(&["--keep"]);
    assert_eq!(cmd.run().code(), 5);
    let state = t.cmd(&["state", &id]).run();
    if t.foreign() && state.code() != 0 {
        return;
    }
    assert!(state.ok().stdout.contains("stopped"));
    t.cmd(&["delete", &id]).run().ok();
}

fn no_subreaper(t: &T) {
    let out = t
        .bundle()
        .probe(&["exit", "4"])
        .run_with(&["--no-subreaper"]);
    assert_eq!(out.code(), 4);
}

fn config_is_read_once(t: &T) {
    let bundle = t.bundle().probe(&["echo", "first"]);
    let c = bundle.create();
    fs::write(bundle.dir.join("config.json"), "{}").unwrap();
    c.start();
    c.wait();
    assert_eq!(c.text(), "first\n");
    c.delete();
}

fn failed_create_leaves_nothing(t: &T) {
    // The harness looks for cgroups, mounts, processes; each of these fails at another stage.
    let missing = t.path("missing").to_string_lossy().into_owned();
    t.bundle()
        .mount("/x", "bind", &missing, &["bind"])
        .create_fails(&["no such file"]);
    t.bundle()
        .mount("/x", "nosuchfs", "none", &[])
        .create_fails(&["no such device|unknown"]);
    t.bundle()
        .namespace("network", Some(&missing))
        .create_fails(&["no such file|lstat|missing"]);
    t.bundle()
        .edit(|c| c["process"]["args"] = json!(["/nothing"]))
        .create_fails(&["no such file"]);
    t.bundle()
        .edit(|c| c["root"]["path"] = json!("nowhere"))
        .create_fails(&["no such file|nowhere"]);
}

fn same_id_in_parallel_has_one_winner(t: &T) {
    let bundle = t.bundle().probe(&["sleep"]);
    bundle.write();
    let rounds = if t.foreign() { 1 } else { 10 };
    for _ in 0..rounds {
        let id = t.id();
        let running: Vec<_> = (0..16)
            .map(|_| bundle.create_cmd(&id, &[]).seconds(20).spawn())
            .collect();
        let outs: Vec<_> = running
            .into_iter()
            .map(crate::runtime::Running::wait)
            .collect();
        let winners = outs.iter().filter(|out| out.code() == 0).count();
        assert_eq!(winners, 1, "{outs:#?}");
        for out in outs.into_iter().filter(|out| out.code() != 0) {
            out.fails(&["exist"]);
        }
        t.cmd(&["delete", "--force", &id]).run().ok();
    }
}

fn children_of_init_die_with_it(t: &T) {
    for own in [true, false] {
        let mut bundle = t.bundle().probe(&["fork", "5", "--", "sleep"]);
        if !own {
            bundle = bundle.without_namespace("pid");
        }
        let c = bundle.create();
        c.start();
        c.until("forked");
        c.kill("KILL").ok();
        c.wait();
        // Without a pid namespace the children survive until the cgroup is emptied.
        c.delete();
    }
}

/// Init has no default action for signals from outside; who waits for `start` ends all the same.
fn created_ends_when_asked(t: &T) {
    for signal in ["TERM", "INT", "QUIT"] {
        let c = t.bundle().probe(&["sleep"]).create();
        c.kill(signal).ok();
        c.wait();
        assert_eq!(c.status(), "stopped", "{signal}");
        c.delete();
    }
}

fn init_outlives_its_creator(t: &T) {
    let c = t.bundle().probe(&["sleep"]).create();
    std::thread::sleep(Duration::from_millis(50));
    assert!(witness::alive(c.pid()));
    let parent = witness::processes()
        .into_iter()
        .find(|&(pid, ..)| pid == c.pid())
        .map(|(_, parent, _)| parent);
    assert_eq!(
        parent,
        Some(std::process::id().cast_signed()),
        "the init was not reparented to us"
    );
}

fn twenty_at_once(t: &T) {
    let bundle = t.bundle().probe(&["signal-wait"]);
    bundle.write();
    let ids: Vec<String> = (0..20).map(|_| t.id()).collect();
    let all = |make: &dyn Fn(&str) -> crate::runtime::Cmd| {
        let running: Vec<_> = ids.iter().map(|id| make(id).seconds(30).spawn()).collect();
        for each in running {
            each.wait().ok();
        }
    };
    all(&|id| bundle.create_cmd(id, &[]));
    all(&|id| t.cmd(&["start", id]));
    let list = t.cmd(&["list", "-q"]).run().ok();
    assert_eq!(list.stdout.lines().count(), 20, "{}", list.stdout);
    all(&|id| t.cmd(&["delete", "--force", id]));
}
