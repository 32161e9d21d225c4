//! The six kinds of hooks: when they run, where, what they are told, and what follows when one fails.

use std::fs;
use std::time::Duration;

use serde_json::{Value, json};

use crate::bundle::Bundle;
use crate::case::{Case, case};
use crate::coverage::record;
use crate::facts::patience;
use crate::harness::T;
use crate::kernel;
use crate::runtime::{json_lines, wait_for};

pub const CASES: &[Case] = &[
    case!(order_and_what_they_are_told),
    case!(environment_and_arguments),
    case!(failure_before_pivot),
    case!(failure_of_start_container),
    case!(failure_of_poststart),
    case!(failure_of_poststop),
    case!(poststop_once, 60),
    case!(timeout_kills_the_group),
    case!(no_program_no_container),
    case!(creator_killed_in_a_hook),
    case!(one_by_one_until_one_fails),
    case!(long_output_and_background),
];

const KINDS: [&str; 6] = [
    "prestart",
    "createRuntime",
    "createContainer",
    "startContainer",
    "poststart",
    "poststop",
];

/// Where hooks write, as the host sees it and as the container does.
const INSIDE: &str = "/tmp/hooks";

fn log(bundle: &Bundle<'_>) -> String {
    let path = bundle.rootfs().join("tmp/hooks");
    path.to_string_lossy().into_owned()
}

/// A hook of the probe with verbs behind the note.
fn hook(bundle: &Bundle<'_>, kind: &str, tail: &[&str]) -> Value {
    let (path, file) = if kind == "startContainer" {
        ("/bin/probe".to_owned(), INSIDE.to_owned())
    } else {
        let probe = bundle.rootfs().join("bin/probe");
        (probe.to_string_lossy().into_owned(), log(bundle))
    };
    let mut args = vec!["probe", "hook", &file, kind];
    if !tail.is_empty() {
        args.push("--");
        args.extend_from_slice(tail);
    }
    json!({"path": path, "args": args})
}

/// All six kinds; `change` is given to each hook.
fn all<'t>(t: &'t T, change: impl Fn(&str, &mut Value)) -> Bundle<'t> {
    let bundle = t.bundle().probe(&["echo", "program", "--", "sleep"]);
    let mut hooks = json!({});
    for kind in KINDS {
        let mut entry = hook(&bundle, kind, &[]);
        change(kind, &mut entry);
        hooks[kind] = json!([entry]);
    }
    bundle.edit(|c| {
        c["hooks"] = hooks;
        c["annotations"] = json!({"key": "a \"value\"\n"});
    })
}

fn lines(bundle: &Bundle<'_>) -> Vec<Value> {
    json_lines(&fs::read_to_string(log(bundle)).unwrap_or_default())
}

/// The kinds that have run, in order.
fn ran(bundle: &Bundle<'_>) -> Vec<String> {
    lines(bundle)
        .iter()
        .map(|line| line["words"][0].as_str().unwrap_or("?").to_owned())
        .collect()
}

fn order_and_what_they_are_told(t: &T) {
    let bundle = all(t, |_, _| ());
    let container = bundle.create();
    assert_eq!(ran(&bundle), KINDS[..3], "after create");
    assert_eq!(container.status(), "created");
    assert!(!container.text().contains("program"));
    container.start();
    container.until("program");
    assert_eq!(ran(&bundle), KINDS[..5], "after start");
    let (id, pid) = (container.id.clone(), container.pid());
    container.kill("KILL").ok();
    container.wait();
    container.delete();
    assert_eq!(ran(&bundle), KINDS, "after delete");

    let own = fs::read_link("/proc/self/ns/mnt").unwrap();
    let own = json!(own);
    let all = lines(&bundle);
    let directory = json!(bundle.dir);
    let status = [
        "creating", "creating", "creating", "created", "running", "stopped",
    ];
    for ((line, kind), status) in all.iter().zip(KINDS).zip(status) {
        let state = &line["state"];
        record::document("hook", &state.to_string());
        assert_eq!(state["ociVersion"], "1.3.0", "{kind}");
        assert_eq!(state["id"], json!(id), "{kind}");
        assert_eq!(state["status"], status, "{kind}");
        assert_eq!(state["bundle"], directory, "{kind}");
        assert_eq!(
            state["annotations"],
            json!({"key": "a \"value\"\n"}),
            "{kind}"
        );
        assert_eq!(line["fds"], json!([0, 1, 2]), "{kind}");
        assert_eq!(line["group"], true, "{kind}");
        assert_eq!(line["argv0"], "probe", "{kind}");
        let inside = matches!(kind, "createContainer" | "startContainer");
        let told = match kind {
            _ if inside => 1,
            "poststop" => 0,
            _ => pid,
        };
        assert_eq!(state["pid"], json!(told), "{kind}");
        assert_eq!(line["mount"] == own, !inside, "{kind}");
        let cwd = if kind == "startContainer" {
            json!("/")
        } else {
            directory.clone()
        };
        assert_eq!(line["cwd"], cwd, "{kind}");
    }
    for name in ["mount", "pid", "network"] {
        assert_eq!(
            all[2][name], all[3][name],
            "the namespaces of the container: {name}"
        );
    }
}

fn environment_and_arguments(t: &T) {
    let bundle = all(t, |_, _| ()).edit(|c| c["process"]["env"] = json!(["PATH=/bin", "OWN=1"]));
    bundle.create().start();
    for line in lines(&bundle) {
        let wanted = if line["words"][0] == "startContainer" {
            json!({"PATH": "/bin", "OWN": "1"})
        } else {
            json!({})
        };
        assert_eq!(line["env"], wanted, "{line}");
    }
    let bundle = all(t, |_, entry| entry["env"] = json!(["X=1", "Y="]));
    drop(bundle.create());
    assert_eq!(lines(&bundle).len(), 4);
    for line in lines(&bundle) {
        assert_eq!(line["env"], json!({"X": "1", "Y": ""}), "{line}");
    }
    let bundle = all(t, |_, entry| entry["env"] = json!([]));
    drop(bundle.detach());
    for line in lines(&bundle) {
        assert_eq!(line["env"], json!({}), "{line}");
    }
    // Without arguments the path is the name.
    let probe = t.bundle();
    let path = probe.rootfs().join("bin/probe");
    let probe = probe.edit(|c| c["hooks"] = json!({"prestart": [{"path": path}]}));
    drop(probe.create());
}

/// The kinds before start: the call fails, what the hook said is in the message, poststop runs, nothing is left.
fn failure_before_pivot(t: &T) {
    for (n, kind) in KINDS[..3].iter().enumerate() {
        for run in [false, true] {
            let bundle = all(t, |_, _| ());
            let failing = hook(&bundle, kind, &["err", "no way", "--", "exit", "3"]);
            let bundle = bundle.edit(|c| c["hooks"][kind] = json!([failing]));
            if run {
                bundle
                    .run()
                    .fails(&[&format!("{kind} hook 0"), "status 3", "no way"]);
            } else {
                bundle.create_fails(&[&format!("{kind} hook 0"), "status 3", "no way"]);
            }
            let mut wanted = KINDS[..=n].to_vec();
            wanted.push("poststop");
            assert_eq!(ran(&bundle), wanted, "{kind}");
        }
    }
}

fn failure_of_start_container(t: &T) {
    let bundle = all(t, |_, _| ());
    let failing = hook(
        &bundle,
        "startContainer",
        &["err", "not now", "--", "exit", "4"],
    );
    let bundle = bundle.edit(|c| c["hooks"]["startContainer"] = json!([failing]));
    let words = ["startContainer hook 0", "status 4", "not now"];
    let container = bundle.create();
    container.start_out().fails(&words);
    let wanted = [KINDS[0], KINDS[1], KINDS[2], KINDS[3], "poststop"];
    assert_eq!(ran(&bundle), wanted);
    assert!(!container.text().contains("program"));
    assert!(!t.root.join(&container.id).exists(), "it is removed");
    container.delete_force();
    assert_eq!(ran(&bundle), wanted, "poststop runs once");
    fs::remove_file(log(&bundle)).unwrap();
    let out = bundle.run().fails(&words);
    assert!(!out.stdout.contains("program"));
    assert_eq!(ran(&bundle), wanted);
}

fn failure_of_poststart(t: &T) {
    let bundle = all(t, |_, _| ());
    let failing = hook(&bundle, "poststart", &["echo", "sorry", "--", "exit", "5"]);
    let bundle = bundle.edit(|c| c["hooks"]["poststart"] = json!([failing]));
    let words = ["poststart hook 0", "status 5", "sorry"];
    let container = bundle.create();
    container.start_out().fails(&words);
    assert_eq!(container.wait(), 137, "it was killed");
    assert_eq!(ran(&bundle), KINDS);
    assert!(!t.root.join(&container.id).exists(), "it is removed");
    container.delete_force();
    for flags in [&[][..], &["--detach"]] {
        fs::remove_file(log(&bundle)).unwrap();
        bundle.run_with(flags).fails(&words);
        assert_eq!(ran(&bundle), KINDS);
    }
}

fn failure_of_poststop(t: &T) {
    let bundle = all(t, |_, _| ());
    let list = [
        hook(&bundle, "poststop", &["err", "too late", "--", "exit", "6"]),
        json!({"path": "/no/such/hook"}),
        hook(&bundle, "last", &[]),
    ];
    let bundle = bundle.edit(|c| c["hooks"] = json!({"poststop": list}));
    let container = bundle.create();
    let out = t.cmd(&["delete", "--force", &container.id]).run().ok();
    for word in ["poststop hook 0", "too late", "poststop hook 1"] {
        assert!(out.stderr.contains(word), "{}", out.stderr);
    }
    assert_eq!(ran(&bundle), ["poststop", "last"]);
}

fn poststop_once(t: &T) {
    // The end of run, kept or not.
    let bundle = all(t, |_, _| ()).probe(&["echo", "program"]);
    bundle.run().ok();
    assert_eq!(ran(&bundle), KINDS);
    let (id, cmd) = bundle.run_cmd(&["--keep"]);
    cmd.run().ok();
    assert_eq!(ran(&bundle).len(), 11);
    t.cmd(&["delete", &id]).run().ok();
    assert_eq!(ran(&bundle).len(), 12);
    // Many deletes at once.
    let bundle = all(t, |_, _| ());
    for round in 1..=5 {
        let container = bundle.detach();
        let deletes: Vec<_> = (0..4)
            .map(|_| t.cmd(&["delete", "--force", &container.id]).spawn())
            .collect();
        for delete in deletes {
            delete.wait().ok();
        }
        let runs = ran(&bundle);
        let stops = runs.iter().filter(|kind| *kind == "poststop");
        assert_eq!(stops.count(), round);
    }
    // A delete during run.
    fs::remove_file(log(&bundle)).unwrap();
    let (id, cmd) = bundle.run_cmd(&[]);
    let running = cmd.spawn();
    running.until("program");
    t.cmd(&["delete", "--force", &id]).run().ok();
    assert_eq!(running.wait().code(), 137);
    assert_eq!(ran(&bundle), KINDS);
}

fn timeout_kills_the_group(t: &T) {
    for kind in ["createRuntime", "createContainer"] {
        let bundle = all(t, |_, _| ());
        let mut slow = hook(&bundle, kind, &["fork", "2", "--", "sleep", "60000"]);
        slow["timeout"] = json!(1);
        let bundle = bundle.edit(|c| c["hooks"][kind] = json!([slow]));
        let out = bundle.create_fails(&[&format!("{kind} hook 0"), "1 s"]);
        assert!(
            out.took >= Duration::from_secs(1) && out.took < patience(8),
            "{:?}",
            out.took
        );
        assert_eq!(ran(&bundle).last().map(String::as_str), Some("poststop"));
    }
    let bundle = all(t, |_, entry| entry["timeout"] = json!(30));
    drop(bundle.detach());
    assert_eq!(ran(&bundle), KINDS);
}

fn no_program_no_container(t: &T) {
    for kind in KINDS[..3].iter() {
        let bundle = t
            .bundle()
            .edit(|c| c["hooks"] = json!({*kind: [{"path": "/no/such/file"}]}));
        bundle.create_fails(&[&format!("{kind} hook 0"), "no such file"]);
    }
    t.bundle()
        .edit(|c| c["hooks"] = json!({"prestart": [{"path": "bin/true"}]}))
        .create_fails(&["hooks.prestart[0].path", "absolute"]);
}

/// What is needed for poststop is there before the first hook runs.
fn creator_killed_in_a_hook(t: &T) {
    let bundle = all(t, |_, _| ());
    let slow = hook(&bundle, "createRuntime", &["sleep", "1000"]);
    let bundle = bundle.edit(|c| c["hooks"]["createRuntime"] = json!([slow]));
    let id = t.id();
    let running = bundle.create_cmd(&id, &[]).spawn();
    wait_for("the hook", || ran(&bundle).len() == 2);
    kernel::kill(running.pid(), libc::SIGKILL).unwrap();
    running.wait();
    t.cmd(&["delete", "--force", &id]).run().ok();
    assert_eq!(ran(&bundle), ["prestart", "createRuntime", "poststop"]);
    std::thread::sleep(Duration::from_millis(1000));
}

fn one_by_one_until_one_fails(t: &T) {
    let bundle = t.bundle();
    let names: Vec<String> = (0..20).map(|n| format!("n{n}")).collect();
    let mut list: Vec<Value> = names.iter().map(|name| hook(&bundle, name, &[])).collect();
    let bundle = bundle.edit(|c| c["hooks"] = json!({"createRuntime": list}));
    drop(bundle.create());
    assert_eq!(ran(&bundle), names);
    fs::remove_file(log(&bundle)).unwrap();
    list.insert(7, hook(&bundle, "bad", &["exit", "1"]));
    let bundle = bundle.edit(|c| c["hooks"] = json!({"createRuntime": list}));
    bundle.create_fails(&["createRuntime hook 7"]);
    assert_eq!(ran(&bundle)[7..], ["bad"]);
}

fn long_output_and_background(t: &T) {
    // More than a pipe holds.
    let bundle = t.bundle();
    let probe = bundle.rootfs().join("bin/probe");
    let (file, path) = (
        bundle.dir.join("long"),
        probe.to_string_lossy().into_owned(),
    );
    fs::write(&file, "x".repeat(1 << 20) + "the end").unwrap();
    let file = file.to_string_lossy().into_owned();
    let entry = json!({"path": path, "args": ["probe", "dump", file, "--", "exit", "1"]});
    let bundle = bundle.edit(|c| c["hooks"] = json!({"prestart": [entry]}));
    let out = bundle.create_fails(&["prestart hook 0", "the end"]);
    assert!(out.stderr.len() < 4096, "{} bytes", out.stderr.len());
}
