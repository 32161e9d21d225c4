//! Flags that few callers give, the short forms of others, and help for each command.

use std::fs;

use serde_json::{Value, json};

use crate::case::{Case, cannot, case};
use crate::harness::T;
use crate::pty::ConsoleSocket;
use crate::runtime::{json_lines, wait_for};
use crate::witness;

pub const CASES: &[Case] = &[
    case!(help_of_each_command),
    case!(version_and_what_is_ignored),
    case!(log_of_a_warning),
    case!(create_root_and_keyring),
    case!(create_with_descriptors),
    case!(run_detached_with_a_pidfd),
    case!(short_forms),
];

fn only_ocilet(t: &T) {
    if t.foreign() {
        cannot("other words in other runtimes");
    }
}

fn help_of_each_command(t: &T) {
    only_ocilet(t);
    let help = t.bare(&["help"]).run().ok().stdout;
    for same in ["--help", "-h"] {
        assert_eq!(t.bare(&[same]).run().ok().stdout, help, "{same}");
    }
    let commands = help.lines().skip_while(|line| *line != "COMMANDS:");
    let commands = commands.skip(1).take_while(|line| !line.is_empty());
    let mut count = 0;
    for line in commands {
        let command = line.split_whitespace().next().unwrap();
        let text = t.bare(&[command, "--help"]).run().ok().stdout;
        assert!(text.contains(&format!("ocilet {command} - ")), "{text}");
        assert!(text.contains("--help, -h"), "{text}");
        assert_eq!(t.bare(&[command, "-h"]).run().ok().stdout, text);
        assert_eq!(t.bare(&["help", command]).run().ok().stdout, text);
        count += 1;
    }
    assert!(count > 15, "{help}");
    t.bare(&["help", "nonsense"])
        .run()
        .fails_with(3, &["nonsense"]);
}

fn version_and_what_is_ignored(t: &T) {
    only_ocilet(t);
    let long = t.bare(&["--version"]).run().ok().stdout;
    assert_eq!(t.bare(&["-v"]).run().ok().stdout, long);
    let out = t.cmd(&["--criu", "/nowhere", "list", "-q"]).run().ok();
    assert_eq!((&*out.stdout, &*out.stderr), ("", ""));
}

/// The file gets what standard error gets, in the form that was asked for: here of a call that ends well.
fn log_of_a_warning(t: &T) {
    only_ocilet(t);
    let bundle = t.bundle().probe(&["exit"]).edit(|c| {
        c["process"]["capabilities"]["bounding"] = json!(["CAP_NOTHING"]);
        c["process"]["capabilities"]["effective"] = json!([]);
        c["process"]["capabilities"]["permitted"] = json!([]);
    });
    bundle.write();
    let dir = bundle.dir.to_string_lossy();
    let root = t.root.to_string_lossy();
    for format in ["json", "text"] {
        let file = t.path(format);
        let log = file.to_string_lossy();
        let words = [
            "--log",
            &log,
            "--log-format",
            format,
            "--debug",
            "--root",
            &root,
            "run",
            "-b",
            &dir,
            "x",
        ];
        let out = t.bare(&words).run().ok();
        assert!(
            out.stderr.contains("process.capabilities"),
            "{}",
            out.stderr
        );
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.contains("process.capabilities"), "{text}");
        assert_eq!(text.lines().count(), 1, "{text}");
        let json = json_lines(&text);
        if format == "json" {
            assert_eq!(json[0]["level"], "warning", "{text}");
            assert!(json[0]["time"].is_string(), "{text}");
        } else {
            assert!(json.is_empty(), "{text}");
        }
    }
}

fn create_root_and_keyring(t: &T) {
    // SAFETY: plain numbers: the serial of the own session keyring.
    let own = unsafe { libc::syscall(libc::SYS_keyctl, 0, -3_i64, 0) };
    let bundle = t
        .bundle()
        .probe(&["report", "--", "stat", "/..", "--", "stat", "/"]);
    let c = bundle.create_with(&["--no-pivot", "--no-new-keyring", "--no-subreaper"]);
    c.start();
    c.wait();
    let lines = c.lines();
    if own >= 0 {
        assert_eq!(lines[0]["keyring"]["serial"], own);
    }
    assert!(
        lines[1]["ino"].is_u64() && lines[1]["ino"] == lines[2]["ino"],
        "{lines:?}"
    );
}

fn create_with_descriptors(t: &T) {
    let file = t.path("kept");
    fs::write(&file, "kept").unwrap();
    let kept = fs::File::open(&file).unwrap();
    let bundle = t.bundle().probe(&["report", "--", "fdread", "3"]);
    let id = t.id();
    let create = bundle
        .create_cmd(&id, &["--preserve-fds", "1"])
        .with_fd(20, &kept);
    let create = create.before_exec(|| {
        // SAFETY: plain numbers.
        unsafe { libc::dup2(20, 3) };
        Ok(())
    });
    let running = create.spawn();
    let out = running.out.clone();
    running.wait().ok();
    t.cmd(&["start", &id]).run().ok();
    let text = || fs::read_to_string(&out).unwrap_or_default();
    wait_for("both lines", || text().lines().count() == 2);
    let lines = json_lines(&text());
    let numbers: Vec<&String> = lines[0]["fds"].as_object().unwrap().keys().collect();
    assert_eq!(numbers, ["0", "1", "2", "3"]);
    assert_eq!(lines[1]["data"], "kept");
    t.cmd(&["delete", "--force", &id]).run().ok();
}

fn run_detached_with_a_pidfd(t: &T) {
    only_ocilet(t);
    t.facts.need_kernel(5, 3, "pidfd_open");
    let socket = ConsoleSocket::new(t);
    let path = socket.path.to_string_lossy();
    let (id, run) = t
        .bundle()
        .probe(&["sleep"])
        .run_cmd(&["-d", "--pidfd-socket", &path]);
    run.run().ok();
    let (payload, fd) = socket.descriptor();
    assert_eq!(payload, b"standard");
    let state: Value = serde_json::from_str(&t.cmd(&["state", &id]).run().ok().stdout).unwrap();
    assert_eq!(state["status"], "running");
    assert_eq!(witness::pid_of(&fd), state["pid"].to_string());
    t.cmd(&["delete", "--force", &id]).run().ok();
}

fn short_forms(t: &T) {
    only_ocilet(t);
    let dir = t.path("spec");
    fs::create_dir(&dir).unwrap();
    t.bare(&["spec", "-b", &dir.to_string_lossy()]).run().ok();
    assert!(dir.join("config.json").exists());
    let c = t.bundle().probe(&["sleep"]).detach();
    let long = t.cmd(&["ps", "--format", "json", &c.id]).run().ok().stdout;
    let short = t.cmd(&["ps", "-f", "json", &c.id]).run().ok().stdout;
    assert_eq!(short, long);
    t.cmd(&["kill", "-a", &c.id, "KILL"]).run().ok();
    assert_eq!(c.wait(), 128 + libc::SIGKILL);
}
