//! Terminals: the console socket, the foreground relay, window sizes, signals, and what an inherited terminal is worth.

use std::os::unix::fs::symlink;
use std::time::Duration;

use serde_json::json;

use crate::bundle::Bundle;
use crate::case::{Case, case};
use crate::harness::T;
use crate::kernel;
use crate::pty::{self, ConsoleSocket};
use crate::runtime::{Running, wait_for};
use crate::witness;

pub const CASES: &[Case] = &[
    case!(console_socket_gives_the_master),
    case!(console_socket_with_a_long_path),
    case!(console_socket_that_is_none),
    case!(console_size),
    case!(terminal_belongs_to_the_container),
    case!(terminal_of_another_user),
    case!(detached_run_with_a_terminal),
    case!(foreground_terminal),
    case!(foreground_terminal_window_size),
    case!(foreground_terminal_is_restored),
    case!(foreground_terminal_passes_control_characters),
    case!(foreground_terminal_with_piped_stdin),
    case!(signals_are_forwarded),
    case!(signals_are_forwarded_with_a_terminal),
    case!(inherited_terminal_cannot_be_fed),
    case!(console_is_a_terminal_whatever_the_root_holds),
    case!(output_is_complete),
];

fn terminal<'t>(t: &'t T, words: &[&str]) -> Bundle<'t> {
    t.bundle()
        .devpts()
        .edit(|c| c["process"]["terminal"] = json!(true))
        .probe(words)
}

fn console_socket_gives_the_master(t: &T) {
    let socket = ConsoleSocket::new(t);
    let c = terminal(t, &["report", "--", "cat"])
        .create_with(&["--console-socket", &socket.path.to_string_lossy()]);
    let (payload, mut master) = socket.receive();
    assert!(!payload.is_empty());
    c.start();
    master.until_line("\"uts\"");
    let line = master
        .text
        .lines()
        .find(|line| line.contains("\"uts\""))
        .unwrap();
    let seen: serde_json::Value = serde_json::from_str(line).unwrap();
    assert_eq!(
        (&seen["terminal"]["tty"], &seen["terminal"]["controlling"]),
        (&json!(true), &json!(true))
    );
    let fds = seen["fds"].as_object().unwrap();
    assert_eq!(fds.keys().collect::<Vec<_>>(), ["0", "1", "2"], "{fds:?}");
    assert!(
        fds["0"].as_str().unwrap().starts_with("/dev/pts/"),
        "{fds:?}"
    );
    assert_eq!(fds["0"], fds["1"]);
    // What is written to the master comes out of the container's standard input, echoed and copied.
    master.write("typed\n");
    master.until("typed\r\ntyped\r\n");
    master.write("\u{4}");
    assert_eq!(c.wait(), 0);
    c.delete();
}

fn console_socket_with_a_long_path(t: &T) {
    if t.foreign() {
        return;
    }
    // 108 bytes is what a socket address takes; the socket is made under a short name and moved.
    let deep = t.path(&"d".repeat(100)).join("e".repeat(100));
    std::fs::create_dir_all(&deep).unwrap();
    let socket = ConsoleSocket::new(t);
    let long = deep.join("socket");
    std::fs::rename(&socket.path, &long).unwrap();
    let c = terminal(t, &["exit"]).create_with(&["--console-socket", &long.to_string_lossy()]);
    // Without it the terminal hangs up, and ends who waits for start.
    let _master = socket.receive();
    c.start();
    c.wait();
}

fn console_socket_that_is_none(t: &T) {
    let file = t.path("file");
    std::fs::write(&file, "").unwrap();
    for path in ["/no/such/socket", &*file.to_string_lossy()] {
        let id = t.id();
        terminal(t, &["exit"])
            .create_cmd(&id, &["--console-socket", path])
            .run()
            .fails(&[]);
        assert!(!t.root.join(&id).exists());
    }
}

fn console_size(t: &T) {
    let socket = ConsoleSocket::new(t);
    let c = terminal(t, &["winch"])
        .edit(|c| c["process"]["consoleSize"] = json!({"height": 33, "width": 77}))
        .create_with(&["--console-socket", &socket.path.to_string_lossy()]);
    let (_, mut master) = socket.receive();
    assert_eq!(master.size(), (33, 77));
    c.start();
    master.until("33x77");
    master.resize(40, 100);
    master.until("\"winch\":\"40x100\"");
    master.write("q\n");
    assert_eq!(c.wait(), 0);
}

fn terminal_belongs_to_the_container(t: &T) {
    let socket = ConsoleSocket::new(t);
    let words = [
        "stat",
        "/dev/console",
        "--",
        "lstat",
        "/dev/console",
        "--",
        "ls",
        "/dev/pts",
        "--",
        "stat",
        "/dev/pts/0",
        "--",
        "sleep",
    ];
    let c = terminal(t, &words).create_with(&["--console-socket", &socket.path.to_string_lossy()]);
    let (_, mut master) = socket.receive();
    c.start();
    master.until("names");
    master.until("\"nlink\":1,\"rdev\":[136,0]");
    let text = master.text.clone();
    let lines = crate::runtime::json_lines(&text);
    assert_eq!(lines[0]["type"], "char");
    assert_eq!(lines[0]["rdev"], json!([136, 0]), "{text}");
    let names = lines[2]["names"].to_string();
    assert!(
        names.contains("\"0\"") && names.contains("\"ptmx\""),
        "{names}"
    );
    assert!(
        !names.contains("\"1\""),
        "the container sees terminals of the host: {names}"
    );
}

fn terminal_of_another_user(t: &T) {
    let socket = ConsoleSocket::new(t);
    let c = terminal(
        t,
        &[
            "stat",
            "/dev/pts/0",
            "--",
            "open",
            "/dev/pts/0",
            "rw",
            "--",
            "sleep",
        ],
    )
    .edit(|c| {
        c["process"]["user"] = json!({"uid": 1000, "gid": 1000});
        c["process"]["capabilities"] = json!({});
    })
    .create_with(&["--console-socket", &socket.path.to_string_lossy()]);
    let (_, mut master) = socket.receive();
    c.start();
    master.until("\"uid\":1000");
    master.until("\"ok\":true");
}

fn detached_run_with_a_terminal(t: &T) {
    let socket = ConsoleSocket::new(t);
    let (id, cmd) = terminal(t, &["winch"]).run_cmd(&[
        "--detach",
        "--console-socket",
        &socket.path.to_string_lossy(),
    ]);
    let running = cmd.spawn();
    let (_, mut master) = socket.receive();
    running.wait().ok();
    master.until("size");
    t.cmd(&["delete", "--force", &id]).run().ok();
}

/// A foreground run whose caller sits at a terminal.
fn foreground(bundle: &Bundle<'_>) -> (String, Running, pty::Master) {
    let (master, slave) = pty::open().unwrap();
    master.resize(24, 80);
    let (id, cmd) = bundle.run_cmd(&[]);
    (id, cmd.terminal(&slave).spawn(), master)
}

fn foreground_terminal(t: &T) {
    let (_, running, mut master) =
        foreground(&terminal(t, &["report", "--", "cat", "--", "exit", "6"]));
    master.until_line("\"uts\"");
    master.until("\n");
    master.write("hello\n");
    master.until("hello\r\nhello\r\n");
    master.write("\u{4}");
    assert_eq!(running.wait().code(), 6);
    let line = master
        .text
        .lines()
        .find(|line| line.contains("\"uts\""))
        .unwrap();
    let seen: serde_json::Value = serde_json::from_str(line).unwrap();
    assert_eq!(seen["terminal"]["tty"], true);
    assert_eq!(seen["terminal"]["session"], 1);
}

fn foreground_terminal_window_size(t: &T) {
    let (_, running, mut master) = foreground(&terminal(t, &["winch"]));
    master.until("24x80");
    master.resize(50, 132);
    master.until("\"winch\":\"50x132\"");
    master.resize(10, 20);
    master.until("\"winch\":\"10x20\"");
    master.write("q\n");
    assert_eq!(running.wait().code(), 0);
}

fn foreground_terminal_is_restored(t: &T) {
    let (master, slave) = pty::open().unwrap();
    let before = master.modes();
    let (_, cmd) = terminal(t, &["echo", "up", "--", "cat"]).run_cmd(&[]);
    let running = cmd.terminal(&slave).spawn();
    let mut master = master;
    master.until("up");
    wait_for("raw mode", || master.modes() != before);
    master.write("\u{4}");
    assert_eq!(running.wait().code(), 0);
    assert_eq!(master.modes(), before);
    // And when the container cannot be made.
    let (_, cmd) = terminal(t, &["exit"])
        .edit(|c| c["process"]["args"] = json!(["/no"]))
        .run_cmd(&[]);
    assert_eq!(cmd.terminal(&slave).run().code(), 1);
    assert_eq!(master.modes(), before);
}

fn foreground_terminal_passes_control_characters(t: &T) {
    // ^C goes through as a character, and the terminal of the container makes the signal of it.
    let (id, running, mut master) = foreground(&terminal(t, &["signal-wait"]));
    master.until("ready");
    master.write("\u{3}");
    master.until("\"signal\":2");
    t.cmd(&["kill", &id, "TERM"]).run().ok();
    assert_eq!(running.wait().code(), 7);
}

fn foreground_terminal_with_piped_stdin(t: &T) {
    let (mut master, slave) = pty::open().unwrap();
    std::fs::write(t.path("in"), "q\n").unwrap();
    let (_, cmd) = terminal(t, &["winch"]).run_cmd(&[]);
    let clone = || std::process::Stdio::from(slave.try_clone().unwrap());
    let running = cmd
        .stdio(
            std::fs::File::open(t.path("in")).unwrap().into(),
            clone(),
            clone(),
        )
        .spawn();
    master.until("quit");
    assert_eq!(running.wait().code(), 0, "{}", master.text);
}

fn signals_are_forwarded(t: &T) {
    let (_, cmd) = t.bundle().probe(&["signal-wait"]).run_cmd(&[]);
    let running = cmd.spawn();
    running.until("ready");
    for signal in [1, 2, 3, 10, 12, 18, 13, 23] {
        if signal == 23 {
            // SIGURG: runc keeps it for itself.
            continue;
        }
        if signal == 13 && t.foreign() {
            continue;
        }
        kernel::kill(running.pid(), signal).unwrap();
        running.until(&format!("\"signal\":{signal}}}"));
    }
    kernel::kill(running.pid(), libc::SIGTERM).unwrap();
    assert_eq!(running.wait().code(), 7);
}

fn signals_are_forwarded_with_a_terminal(t: &T) {
    let (_, running, mut master) = foreground(&terminal(t, &["signal-wait"]));
    master.until("ready");
    kernel::kill(running.pid(), libc::SIGUSR1).unwrap();
    master.until("\"signal\":10");
    kernel::kill(running.pid(), libc::SIGTERM).unwrap();
    assert_eq!(running.wait().code(), 7);
}

/// CVE-2017-5226, CVE-2016-10124: `terminal: false` under a terminal: the session is a new one.
fn inherited_terminal_cannot_be_fed(t: &T) {
    let (mut master, slave) = pty::open().unwrap();
    let (_, cmd) = t
        .bundle()
        .edit(|c| c["process"]["capabilities"] = json!({}))
        .probe(&[
            "ioctl",
            "TIOCSTI",
            "E",
            "--",
            "ioctl",
            "TIOCLINUX",
            "--",
            "report",
        ])
        .run_cmd(&[]);
    let running = cmd.terminal(&slave).spawn();
    master.until_line("\"uts\"");
    running.wait();
    let lines = crate::runtime::json_lines(&master.text);
    assert!(
        ["EPERM", "EIO", "ENOTTY"].contains(&lines[0]["errno"].as_str().unwrap_or("")),
        "{}",
        lines[0]
    );
    assert!(!lines[1]["errno"].is_null());
    assert_eq!(lines[2]["terminal"]["controlling"], false);
    // Nothing was pushed into the caller's terminal.
    assert!(!kernel::readable(std::os::fd::AsRawFd::as_raw_fd(&slave), 50).unwrap());
}

/// CVE-2025-52565, CVE-2026-88264: console and ptmx of a hostile root.
fn console_is_a_terminal_whatever_the_root_holds(t: &T) {
    let canary = crate::canary::Canary::new(t);
    type Make = fn(&std::path::Path, &crate::canary::Canary);
    let kinds: &[(&str, Make)] = &[
        ("console links out", |dev, canary| {
            symlink(canary.path("console"), dev.join("console")).unwrap()
        }),
        ("console links to a new file", |dev, canary| {
            symlink(canary.path("new"), dev.join("console")).unwrap()
        }),
        ("console is a directory", |dev, _| {
            std::fs::create_dir(dev.join("console")).unwrap()
        }),
        ("ptmx links out", |dev, canary| {
            symlink(canary.path("ptmx"), dev.join("ptmx")).unwrap()
        }),
        ("null links out", |dev, canary| {
            symlink(canary.path("null"), dev.join("null")).unwrap()
        }),
    ];
    for (name, make) in kinds {
        let socket = ConsoleSocket::new(t);
        let bundle = terminal(t, &["stat", "/dev/console", "--", "sleep"]).edit(|c| {
            // No tmpfs on /dev: the rootfs's own is used.
            c["mounts"].as_array_mut().unwrap().remove(1);
        });
        let dev = bundle.rootfs().join("dev");
        std::fs::create_dir(dev.join("pts")).unwrap();
        make(&dev, &canary);
        let id = t.id();
        let out = bundle
            .create_cmd(&id, &["--console-socket", &socket.path.to_string_lossy()])
            .run();
        canary.intact();
        if out.code() == 0 {
            let (_, mut master) = socket.receive();
            t.cmd(&["start", &id]).run().ok();
            master.until("rdev");
            assert!(master.text.contains("[136,"), "{name}: {}", master.text);
        }
        t.cmd(&["delete", "--force", &id]).run().ok();
        canary.intact();
        let _ = kernel::wait(-1, libc::WNOHANG);
    }
}

fn output_is_complete(t: &T) {
    // A megabyte through the relay, the last byte included.
    let bundle = terminal(t, &["cat"]);
    let (mut master, slave) = pty::open().unwrap();
    let text: String = (0..20_000).map(|n| format!("line {n}\n")).collect();
    let inside = bundle.rootfs().join("text");
    std::fs::write(&inside, &text).unwrap();
    let bundle = bundle
        .edit(|c| c["process"]["args"] = json!(["/bin/probe", "dump", "/text", "--", "exit", "9"]));
    let (_, cmd) = bundle.run_cmd(&[]);
    let running = cmd.terminal(&slave).spawn();
    drop(slave);
    let pid = running.pid();
    while witness::alive(pid) {
        master.more(20);
    }
    while master.more(20) && master.text.len() < 2 * text.len() {
        if !master.text.is_empty() && !kernel_more(&master) {
            break;
        }
    }
    assert_eq!(running.wait().code(), 9);
    std::thread::sleep(Duration::from_millis(1));
    let seen = master.text.replace("\r\n", "\n");
    assert!(
        seen == text,
        "{} of {} bytes arrived",
        seen.len(),
        text.len()
    );
}

fn kernel_more(master: &pty::Master) -> bool {
    kernel::readable(master.raw(), 50).unwrap_or(false)
}
