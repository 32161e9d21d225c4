//! `exec` and `wait`, killed or failing at every system call: the container and its state stay as they are.

use std::collections::BTreeSet;
use std::fs;

use super::state::{Point, can_fail, points, trace_points, traced};
use crate::bundle::Container;
use crate::case::{Case, cannot, case};
use crate::harness::T;
use crate::kernel;
use crate::runtime::{Out, wait_for};
use crate::witness;

pub const CASES: &[Case] = &[
    case!(exec_killed_at_every_syscall, 400, serial),
    case!(joining_processes_killed_at_every_syscall, 400, serial),
    case!(exec_meets_an_error_at_every_syscall, 400, serial),
    case!(wait_killed_at_every_syscall, 200, serial),
    case!(wait_meets_an_error_at_every_syscall, 200, serial),
];

fn need(t: &T) {
    t.facts.need_tool("strace");
    if t.foreign() {
        cannot("other runtimes are not made for this");
    }
}

/// The names in the state directory of a container.
fn files(c: &Container<'_>) -> BTreeSet<String> {
    let entries = fs::read_dir(c.t.root.join(&c.id)).unwrap();
    let name = |entry: fs::DirEntry| entry.file_name().into_string().unwrap();
    entries.map(|entry| name(entry.unwrap())).collect()
}

/// Everything that a container is, as others see it.
#[derive(Debug, PartialEq)]
struct Seen {
    status: String,
    pid: i32,
    files: BTreeSet<String>,
    cgroups: Vec<std::path::PathBuf>,
}

impl Seen {
    fn of(c: &Container<'_>) -> Self {
        let (status, pid) = (c.status(), c.pid());
        let (files, cgroups) = (files(c), witness::cgroups(&c.id));
        Self {
            status,
            pid,
            files,
            cgroups,
        }
    }
}

/// Only the init of the container is left, which is what it was; a sample shows that it takes another process.
#[track_caller]
fn unharmed(c: &Container<'_>, before: &Seen, point: &Point) {
    wait_for(&format!("{point:?}: the end of all but the init"), || {
        // Their parent has been killed. Not -1: the init is one of ours.
        let all = witness::descendants(std::process::id().cast_signed());
        for &(pid, state) in &all {
            if pid != before.pid && state == 'Z' {
                kernel::wait(pid, libc::WNOHANG);
            }
        }
        all.iter().all(|&(pid, _)| pid == before.pid)
    });
    assert_eq!(&Seen::of(c), before, "{point:?}");
    if point.1 == 1 {
        assert_eq!(c.exec(&[], &["exit", "3"]).code(), 3, "{point:?}");
    }
}

fn exec_words<'c>(c: &'c Container<'_>) -> [&'c str; 5] {
    ["exec", &c.id, "/bin/probe", "exit", "7"]
}

fn inject(c: &Container<'_>, options: &[&str], what: &str, point: &Point) -> Out {
    let inject = format!("inject={}:{what}:when={}", point.0, point.1);
    let options = [options, &["-e", &inject]].concat();
    traced(c.t, &options, &exec_words(c))
}

fn exec_killed_at_every_syscall(t: &T) {
    need(t);
    let c = t.bundle().probe(&["sleep"]).detach();
    let points = trace_points(t, &exec_words(&c), 7);
    println!("# {} kill points of exec", points.len());
    let before = Seen::of(&c);
    for point in &points {
        inject(&c, &[], "signal=KILL", point);
        unharmed(&c, &before, point);
    }
}

/// The points of all processes, each once, from a trace that follows children.
fn points_of_all(trace: &str) -> BTreeSet<Point> {
    let split = |line: &'_ str| {
        let (pid, rest) = line.split_once(' ')?;
        Some((pid.to_owned(), rest.trim_start().to_owned()))
    };
    let lines: Vec<(String, String)> = trace.lines().filter_map(split).collect();
    let pids: BTreeSet<&String> = lines.iter().map(|(pid, _)| pid).collect();
    let of = |pid: &String| {
        let own = lines.iter().filter(|(each, _)| each == pid);
        let own: Vec<&str> = own.map(|(_, rest)| rest.as_str()).collect();
        points(&own.join("\n"))
    };
    pids.into_iter().flat_map(of).collect()
}

/// The one in the middle, and the one that is born in the container; now and then the runtime, too.
fn at_every_point_of_all(t: &T, what: &str, check: &mut dyn FnMut(&Point, &Out)) {
    need(t);
    let c = t.bundle().probe(&["sleep"]).detach();
    let out = traced(t, &["-f"], &exec_words(&c));
    assert_eq!(out.code(), 7, "{}", out.stderr);
    let points = points_of_all(&fs::read_to_string(t.path("trace")).unwrap());
    assert!(points.len() > 50, "strace recorded {} calls", points.len());
    println!("# {} points of all processes of exec, {what}", points.len());
    let before = Seen::of(&c);
    for point in points {
        if what.starts_with("signal") || can_fail(&point.0) {
            let out = inject(&c, &["-f"], what, &point);
            check(&point, &out);
            unharmed(&c, &before, &point);
        }
    }
}

fn joining_processes_killed_at_every_syscall(t: &T) {
    at_every_point_of_all(t, "signal=KILL", &mut |point, out| {
        // It goes well where nobody gets that far; no code is strace's, which ends as the runtime did.
        let told = match out.status.code() {
            Some(255) => !out.stderr.is_empty(),
            code => [None, Some(7), Some(137)].contains(&code),
        };
        assert!(told, "{point:?}: {out:?}");
    });
}

fn exec_meets_an_error_at_every_syscall(t: &T) {
    for error in ["EIO", "ENOMEM"] {
        let what = format!("error={error}");
        at_every_point_of_all(t, &what, &mut |point, out| {
            // Also those of the program: the probe ends with a code of its own where it cannot go on.
            let told = out.code() != 255 || !out.stderr.is_empty() || point.0 == "write";
            assert!(told, "{what} at {point:?}: {out:?}");
        });
    }
}

/// A container that has ended, and whose end nobody has been told of yet.
fn ended(t: &T) -> Container<'_> {
    need(t);
    let c = t.bundle().probe(&["exit", "9"]).detach();
    wait_for("the end", || !witness::alive(c.pid()));
    c
}

/// What `wait` keeps.
fn forget(c: &Container<'_>) {
    fs::remove_file(c.t.root.join(&c.id).join("exit")).unwrap();
}

fn at_every_point_of_wait(t: &T, what: &str, check: &mut dyn FnMut(&Point, &Out)) {
    let c = ended(t);
    let before = Seen::of(&c);
    let points = trace_points(t, &["wait", &c.id], 9);
    let kept = files(&c);
    println!("# {} points of wait, {what}", points.len());
    assert!(kept.contains("exit") && kept.len() == before.files.len() + 1);
    for point in &points {
        forget(&c);
        if what.starts_with("error") && !can_fail(&point.0) {
            t.cmd(&["wait", &c.id]).run();
            continue;
        }
        let inject = format!("inject={}:{what}:when={}", point.0, point.1);
        let out = traced(t, &["-e", &inject], &["wait", &c.id]);
        check(point, &out);
        assert_eq!((c.status(), c.pid()), ("stopped".into(), before.pid));
        assert_eq!(t.cmd(&["wait", &c.id]).run().code(), 9, "{point:?}");
        assert_eq!(files(&c), kept, "{point:?}");
    }
    assert_eq!(c.wait(), 9);
}

fn wait_killed_at_every_syscall(t: &T) {
    at_every_point_of_wait(t, "signal=KILL", &mut |_, _| ());
}

fn wait_meets_an_error_at_every_syscall(t: &T) {
    for error in ["EIO", "ENOMEM", "EINTR"] {
        let what = format!("error={error}");
        at_every_point_of_wait(t, &what, &mut |point, out| {
            let told = out.code() == 9 || (out.code() == 255 && !out.stderr.is_empty());
            assert!(told || point.0 == "write", "{what} at {point:?}: {out:?}");
        });
    }
}
