//! `wait`: the end of a container and its exit code, for who is not its parent.

use std::fs;
use std::time::Duration;

use crate::case::{Case, cannot, case};
use crate::harness::T;
use crate::kernel;
use crate::runtime::{Running, wait_for};
use crate::witness;

pub const CASES: &[Case] = &[
    case!(waits_for_the_end),
    case!(ended_before_and_not_yet_reaped),
    case!(ended_before_and_reaped),
    case!(status_is_kept_for_later),
    case!(foreground_run_keeps_the_status),
    case!(foreground_run_is_waited_for),
    case!(of_nobody),
];

fn own(t: &T) {
    if t.foreign() {
        cannot("no other runtime has it");
    }
}

/// A `wait` that waits.
fn waiting(t: &T, id: &str) -> Running {
    let running = t.cmd(&["wait", id]).spawn();
    wait_for("wait to wait", || {
        let place = fs::read_to_string(format!("/proc/{}/syscall", running.pid()));
        // In poll(2), or between two looks at it.
        place.is_ok_and(|text| text.starts_with("7 ") || text.starts_with("271 ")) || {
            std::thread::sleep(Duration::from_millis(50));
            true
        }
    });
    running
}

fn waits_for_the_end(t: &T) {
    own(t);
    for code in [0, 7, 255] {
        let c = t.bundle().probe(&["exit", &code.to_string()]).create();
        let running = waiting(t, &c.id);
        c.start();
        let out = running.wait();
        // Nobody has reaped it yet.
        assert_eq!(out.code(), code, "{}", out.stderr);
        assert_eq!(c.wait(), code);
    }
    let c = t.bundle().probe(&["sleep"]).detach();
    let running = waiting(t, &c.id);
    c.kill("KILL").ok();
    assert_eq!(running.wait().code(), 137);
}

fn ended_before_and_not_yet_reaped(t: &T) {
    own(t);
    let c = t.bundle().probe(&["exit", "9"]).detach();
    wait_for("the end", || !witness::alive(c.pid()));
    assert_eq!(t.cmd(&["wait", &c.id]).run().code(), 9);
}

fn ended_before_and_reaped(t: &T) {
    own(t);
    let c = t.bundle().probe(&["exit", "9"]).detach();
    c.wait();
    let out = t.cmd(&["wait", &c.id]).run();
    out.fails_with(255, &["not known"]);
}

/// The kernel tells who has opened a pidfd before (6.15), and `wait` tells everybody after that.
fn status_is_kept_for_later(t: &T) {
    own(t);
    t.facts.need_kernel(6, 15, "PIDFD_INFO_EXIT");
    let c = t.bundle().probe(&["signal-wait"]).detach();
    c.until("ready");
    let running = waiting(t, &c.id);
    // Stopped, it sees the end only when its parent has been told.
    kernel::kill(running.pid(), libc::SIGSTOP).unwrap();
    c.kill("TERM").ok();
    assert_eq!(c.wait(), 7);
    kernel::kill(running.pid(), libc::SIGCONT).unwrap();
    let out = running.wait();
    assert_eq!(out.code(), 7, "{}", out.stderr);
    assert_eq!(t.cmd(&["wait", &c.id]).run().code(), 7);
    assert_eq!(c.status(), "stopped");
}

fn foreground_run_keeps_the_status(t: &T) {
    own(t);
    let (id, cmd) = t.bundle().probe(&["exit", "5"]).run_cmd(&["--keep"]);
    assert_eq!(cmd.run().code(), 5);
    assert_eq!(t.cmd(&["wait", &id]).run().code(), 5);
    t.cmd(&["delete", &id]).run().ok();
    t.cmd(&["wait", &id])
        .run()
        .fails_with(255, &["does not exist"]);
}

/// It is removed at once when it ends.
fn foreground_run_is_waited_for(t: &T) {
    own(t);
    t.facts.need_kernel(6, 15, "PIDFD_INFO_EXIT");
    let (id, cmd) = t
        .bundle()
        .probe(&["echo", "up", "--", "signal-wait"])
        .run_cmd(&[]);
    let run = cmd.spawn();
    run.until("ready");
    let running = waiting(t, &id);
    t.cmd(&["kill", &id, "TERM"]).run().ok();
    assert_eq!(run.wait().code(), 7);
    let out = running.wait();
    assert_eq!((out.code(), &*out.stderr), (7, ""));
}

fn of_nobody(t: &T) {
    own(t);
    t.cmd(&["wait", "nobody"])
        .run()
        .fails_with(255, &["does not exist"]);
    t.cmd(&["wait"]).run().fails(&["exactly 1"]);
}
