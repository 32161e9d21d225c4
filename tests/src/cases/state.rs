//! State files that are damaged, and runtimes that die half-way.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::idmap;
use crate::bundle::Bundle;
use crate::case::{Case, cannot, case};
use crate::facts::patience;
use crate::harness::T;
use crate::kernel;
use crate::witness;

pub const CASES: &[Case] = &[
    case!(damaged_files, 120),
    case!(foreign_entries_in_the_root),
    case!(every_truncation, 120),
    case!(every_flipped_byte, 180),
    case!(pid_that_is_someone_elses),
    case!(creator_killed_at_every_syscall, 400, serial),
    case!(
        creator_of_mapped_mounts_killed_at_every_syscall,
        400,
        serial
    ),
    case!(deleter_killed_at_every_syscall, 400, serial),
    case!(starter_killed_at_every_syscall, 300, serial),
    case!(init_killed_at_every_syscall, 400, serial),
    case!(creator_meets_an_error_at_every_syscall, 400, serial),
    case!(
        creator_of_mapped_mounts_meets_an_error_at_every_syscall,
        400,
        serial
    ),
    case!(init_meets_an_error_at_every_syscall, 400, serial),
    case!(foreground_runtime_killed),
    case!(delete_twice_at_once, 60),
];

fn files_of(dir: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(dir)
        .unwrap()
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()))
        .map(|entry| entry.path())
        .collect();
    files.sort();
    files
}

/// `state` fails fast, `list` goes on with the others, `delete --force` cleans up.
fn damaged_is_survived(t: &T, damage: &str, id: &str, other: &str, pid: i32) {
    let began = Instant::now();
    let state = t.cmd(&["state", id]).run();
    assert!(
        began.elapsed() < patience(1),
        "{damage}: state took {:?}",
        began.elapsed()
    );
    let list = t.cmd(&["list", "-q"]).run();
    assert_eq!(list.code(), 0, "{damage}: list: {}", list.stderr);
    assert!(
        list.stdout.lines().any(|line| line == other),
        "{damage}: list lost the other one: {}",
        list.stdout
    );
    if state.code() == 0 {
        // The file was not needed for this; then what it says must still be true.
        assert!(state.stdout.contains(id), "{damage}: {}", state.stdout);
    }
    let out = t.cmd(&["delete", "--force", id]).run();
    assert_eq!(out.code(), 0, "{damage}: delete --force: {}", out.stderr);
    assert!(!t.root.join(id).exists(), "{damage}: state is left");
    assert!(!witness::alive(pid), "{damage}: process {pid} is left");
    assert_eq!(witness::cgroups(id), Vec::<PathBuf>::new(), "{damage}");
}

fn foreign_check(t: &T) {
    if t.foreign() {
        cannot("about ocilet's own files");
    }
}

type Damage = fn(&Path);

fn damaged_files(t: &T) {
    foreign_check(t);
    let kinds: &[(&str, Damage)] = &[
        ("empty", |path| fs::write(path, "").unwrap()),
        ("garbage", |path| {
            fs::write(path, "garbage\n".repeat(20)).unwrap()
        }),
        ("missing", |path| fs::remove_file(path).unwrap()),
        ("longer", |path| {
            let mut text = fs::read(path).unwrap();
            text.extend_from_slice(b"more\n");
            fs::write(path, text).unwrap();
        }),
        ("a directory", |path| {
            fs::remove_file(path).unwrap();
            fs::create_dir(path).unwrap();
        }),
        ("a link to passwd", |path| {
            fs::remove_file(path).unwrap();
            symlink("/etc/passwd", path).unwrap();
        }),
        ("a link to its copy", |path| {
            let copy = path.with_extension("copy");
            fs::rename(path, &copy).unwrap();
            symlink(&copy, path).unwrap();
        }),
        ("a fifo", |path| {
            fs::remove_file(path).unwrap();
            kernel::mknod(path, libc::S_IFIFO | 0o600, 0, 0).unwrap();
        }),
        ("a socket", |path| {
            fs::remove_file(path).unwrap();
            drop(std::os::unix::net::UnixListener::bind(path).unwrap());
        }),
        ("huge", |path| {
            fs::File::create(path).unwrap().set_len(1 << 30).unwrap()
        }),
        ("someone else's", |path| {
            std::os::unix::fs::chown(path, Some(1000), Some(1000)).unwrap()
        }),
    ];
    let other = t.bundle().probe(&["sleep"]).create();
    let bundle = t.bundle().probe(&["sleep"]);
    for (damage, action) in kinds {
        for started in [false, true] {
            let probe = bundle.create();
            let count = files_of(&t.root.join(&probe.id)).len();
            drop(probe);
            for which in 0..count {
                let c = bundle.create();
                if started {
                    c.start();
                }
                let file = files_of(&t.root.join(&c.id)).remove(which);
                let name = file.file_name().unwrap().to_string_lossy().into_owned();
                action(&file);
                damaged_is_survived(t, &format!("{name} is {damage}"), &c.id, &other.id, c.pid());
            }
        }
    }
}

fn foreign_entries_in_the_root(t: &T) {
    foreign_check(t);
    let other = t.bundle().probe(&["sleep"]).create();
    fs::create_dir(t.root.join("empty-dir")).unwrap();
    fs::write(t.root.join("file"), "").unwrap();
    symlink("/etc", t.root.join("link")).unwrap();
    kernel::mknod(t.root.join("fifo"), libc::S_IFIFO | 0o600, 0, 0).unwrap();
    let list = t.cmd(&["list", "-q"]).run().ok();
    assert!(
        list.stdout.lines().any(|line| line == other.id),
        "{}",
        list.stdout
    );
    assert!(
        !list.stdout.contains("file") && !list.stdout.contains("link"),
        "{}",
        list.stdout
    );
    // A half-made one is removed by force; what is no directory of ours is not touched.
    t.cmd(&["delete", "--force", "empty-dir"]).run().ok();
    assert!(!t.root.join("empty-dir").exists());
    for name in ["file", "link", "fifo"] {
        t.cmd(&["delete", "--force", name]).run();
        t.cmd(&["state", name]).run().fails(&[]);
    }
    assert!(Path::new("/etc/passwd").exists() || t.facts.guest);
    for name in ["file", "link", "fifo"] {
        let _ = fs::remove_file(t.root.join(name));
    }
}

/// The files that hold the record: it may be kept twice.
fn records_of(t: &T, id: &str) -> Vec<PathBuf> {
    let mut files = files_of(&t.root.join(id));
    files.retain(|path| path.file_name().is_some_and(|name| name != "config.json"));
    let length = |path: &PathBuf| fs::metadata(path).map_or(0, |meta| meta.len());
    let most = files.iter().map(length).max().expect("a state file");
    files
        .into_iter()
        .filter(|path| 2 * length(path) > most)
        .collect()
}

/// With damage in one copy the state is still the truth or an error; with damage in all of them an error.
fn damage_everywhere(t: &T, damage: &dyn Fn(&[u8], usize) -> Vec<u8>) {
    let c = t.bundle().probe(&["sleep"]).create();
    let files = records_of(t, &c.id);
    let whole: Vec<Vec<u8>> = files.iter().map(|file| fs::read(file).unwrap()).collect();
    for at in 0..whole[0].len() {
        let bytes = damage(&whole[0], at);
        let check = |all: bool| {
            let out = t.cmd(&["state", &c.id]).run();
            if out.code() == 0 {
                let seen: serde_json::Value = serde_json::from_str(&out.stdout).unwrap();
                assert!(!all, "byte {at}: a damaged record was believed: {seen}");
                assert_eq!(
                    (&seen["pid"], &seen["status"]),
                    (&c.pid().into(), &"created".into()),
                    "byte {at}"
                );
            } else {
                assert_eq!(out.code(), 1, "byte {at}: {}", out.stderr);
                assert!(!out.stderr.is_empty());
            }
        };
        for file in &files {
            fs::write(file, &bytes).unwrap();
            check(files.len() == 1);
        }
        check(true);
        for (file, text) in files.iter().zip(&whole) {
            fs::write(file, text).unwrap();
        }
    }
    assert_eq!(c.status(), "created");
}

fn every_truncation(t: &T) {
    foreign_check(t);
    damage_everywhere(t, &|whole, at| whole[..at].to_vec());
}

fn every_flipped_byte(t: &T) {
    foreign_check(t);
    damage_everywhere(t, &|whole, at| {
        let mut bytes = whole.to_vec();
        bytes[at] ^= 1 << (at % 8);
        bytes
    });
}

/// The recorded pid belongs to a stranger by now: nothing is signalled, and the container counts as stopped.
fn pid_that_is_someone_elses(t: &T) {
    foreign_check(t);
    let (a, b) = (
        t.bundle().probe(&["sleep"]).create(),
        t.bundle().probe(&["sleep"]).detach(),
    );
    // The record of the dead one, with its process replaced by nobody: kill the init, its pid is free.
    a.kill("KILL").ok();
    a.wait();
    assert_eq!(a.status(), "stopped");
    a.kill("KILL").fails(&["not running"]);
    // The record of one container in the place of another does not pass for it.
    for file in records_of(t, &a.id) {
        fs::copy(&records_of(t, &b.id)[0], file).unwrap();
    }
    t.cmd(&["kill", &a.id, "KILL"]).run().fails(&[]);
    assert_eq!(b.status(), "running");
    t.cmd(&["delete", "--force", &a.id]).run();
    assert_eq!(
        b.status(),
        "running",
        "the record of another container was believed"
    );
    let _ = fs::remove_dir_all(t.root.join(&a.id));
    for dir in witness::cgroups(&a.id) {
        let _ = fs::remove_dir(dir);
    }
}

/// The name of a system call, and how often it has been called so far.
pub type Point = (String, u32);

/// Those of every call of the traced process.
pub fn points(trace: &str) -> Vec<Point> {
    let mut counts: BTreeMap<String, u32> = BTreeMap::new();
    let mut points = Vec::new();
    for line in trace.lines() {
        let Some((name, _)) = line.split_once('(') else {
            continue;
        };
        if !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            continue;
        }
        let count = counts.entry(name.to_owned()).or_default();
        *count += 1;
        // Of a loop over thousands of descriptors, as on kernels without close_range, a few passes say it all.
        let telling = *count <= 24 || count.is_multiple_of(2000);
        if telling && !["exit_group", "exit"].contains(&name) {
            points.push((name.to_owned(), *count));
        }
    }
    points
}

/// `strace … ocilet --root ROOT WORDS…`, without following children.
pub fn traced(t: &T, options: &[&str], words: &[&str]) -> crate::runtime::Out {
    let trace = t.path("trace").to_string_lossy().into_owned();
    let (ocilet, root) = (t.ocilet.to_string_lossy(), t.root.to_string_lossy());
    let mut all = vec!["-qq", "-o", &*trace];
    all.extend_from_slice(options);
    all.extend([&*ocilet, "--root", &*root]);
    all.extend_from_slice(words);
    t.tool("strace", &all).filtered(t.filter.clone()).run()
}

/// The points of a call that ends with this code.
pub fn trace_points(t: &T, words: &[&str], code: i32) -> Vec<Point> {
    let out = traced(t, &[], words);
    assert_eq!(out.code(), code, "{}", out.stderr);
    let points = points(&fs::read_to_string(t.path("trace")).unwrap());
    assert!(points.len() > 10, "strace recorded {} calls", points.len());
    points
}

fn kill_at(t: &T, point: &Point, words: &[&str]) {
    let inject = format!("inject={}:signal=KILL:when={}", point.0, point.1);
    traced(t, &["-e", &inject], words);
}

/// What must hold after a death or an error at any point; `again` also creates the same id anew.
fn recovered(t: &T, point: &Point, bundle: &Bundle<'_>, id: &str, again: bool) {
    let began = Instant::now();
    t.cmd(&["state", id]).run();
    assert!(
        began.elapsed() < patience(1),
        "{point:?}: state took {:?}",
        began.elapsed()
    );
    let began = Instant::now();
    let out = t.cmd(&["delete", "--force", id]).run();
    assert_eq!(out.code(), 0, "{point:?}: delete --force: {}", out.stderr);
    assert!(
        began.elapsed() < patience(2),
        "{point:?}: delete took {:?}",
        began.elapsed()
    );
    assert!(!t.root.join(id).exists(), "{point:?}: state is left");
    assert_eq!(
        witness::cgroups(id),
        Vec::<PathBuf>::new(),
        "{point:?}: cgroup is left"
    );
    while kernel::wait(-1, libc::WNOHANG).is_some() {}
    crate::runtime::wait_for(&format!("{point:?}: the end of all processes"), || {
        while kernel::wait(-1, libc::WNOHANG).is_some() {}
        witness::descendants(std::process::id().cast_signed())
            .iter()
            .all(|&(_, state)| state == 'Z')
    });
    // The same id can be created again; a sample, since it costs two calls.
    if again && point.1 == 1 {
        bundle.create_cmd(id, &[]).run().ok();
        t.cmd(&["delete", "--force", id]).run().ok();
    }
}

/// A bundle, its directory, and the points of `create` in it.
fn points_of_create<'t>(t: &'t T, bundle: Bundle<'t>) -> (Bundle<'t>, String, Vec<Point>) {
    t.facts.need_tool("strace");
    foreign_check(t);
    let bundle = bundle.probe(&["sleep"]);
    bundle.write();
    let dir = bundle.dir.to_string_lossy().into_owned();
    let first = t.id();
    let points = trace_points(t, &["create", "-b", &dir, &first], 0);
    t.cmd(&["delete", "--force", &first]).run().ok();
    (bundle, dir, points)
}

fn creator_killed_at_every_syscall(t: &T) {
    kill_creator(t, t.bundle());
}

/// It has more children: one that maps ids, and one for each source.
fn creator_of_mapped_mounts_killed_at_every_syscall(t: &T) {
    idmap::need(t);
    kill_creator(t, idmap::mapped_in_both_ways(t));
}

fn kill_creator(t: &T, bundle: Bundle<'_>) {
    let (bundle, dir, points) = points_of_create(t, bundle);
    println!("# {} kill points of create", points.len());
    let id = t.id();
    for point in &points {
        kill_at(t, point, &["create", "-b", &dir, &id]);
        recovered(t, point, &bundle, &id, true);
    }
}

fn deleter_killed_at_every_syscall(t: &T) {
    t.facts.need_tool("strace");
    foreign_check(t);
    let bundle = t.bundle().probe(&["sleep"]);
    let id = t.id();
    let make = || {
        bundle.create_cmd(&id, &[]).run().ok();
        t.cmd(&["start", &id]).run().ok();
    };
    make();
    let points = trace_points(t, &["delete", "--force", &id], 0);
    println!("# {} kill points of delete --force", points.len());
    for point in &points {
        make();
        kill_at(t, point, &["delete", "--force", &id]);
        recovered(t, point, &bundle, &id, true);
    }
}

fn starter_killed_at_every_syscall(t: &T) {
    t.facts.need_tool("strace");
    foreign_check(t);
    let bundle = t.bundle().probe(&["sleep"]);
    let id = t.id();
    bundle.create_cmd(&id, &[]).run().ok();
    let points = trace_points(t, &["start", &id], 0);
    t.cmd(&["delete", "--force", &id]).run().ok();
    println!("# {} kill points of start", points.len());
    for point in &points {
        bundle.create_cmd(&id, &[]).run().ok();
        kill_at(t, point, &["start", &id]);
        recovered(t, point, &bundle, &id, true);
    }
}

/// Calls of the init before it becomes the program, from a trace that follows children.
fn init_points(trace: &str) -> Vec<Point> {
    let split = |line: &str| -> Option<(String, String)> {
        let (pid, rest) = line.split_once(' ')?;
        Some((pid.to_owned(), rest.trim_start().to_owned()))
    };
    let init = trace
        .lines()
        .filter(|line| line.contains("execve") && line.contains("\"/bin/probe\""))
        .find_map(split)
        .map(|(pid, _)| pid)
        .expect("the init executes the probe");
    let calls: Vec<String> = trace
        .lines()
        .filter_map(split)
        .filter(|(pid, _)| *pid == init)
        .map(|(_, rest)| rest)
        .take_while(|rest| !(rest.starts_with("execve") && rest.contains("\"/bin/probe\"")))
        .collect();
    points(&calls.join("\n"))
}

/// What is left although the call said that it failed.
fn remains(t: &T, id: &str) -> Option<String> {
    if t.root.join(id).exists() {
        return Some("its state directory is left".to_owned());
    }
    let cgroups = witness::cgroups(id);
    (!cgroups.is_empty()).then(|| format!("{cgroups:?} is left"))
}

/// A foreground run at the points of its init: whatever happens there, the call ends, says why, and leaves nothing.
fn at_every_point_of_init(t: &T, what: &str, bad: &mut Vec<String>) {
    t.facts.need_tool("strace");
    foreign_check(t);
    let bundle = t.bundle().probe(&["exit"]);
    bundle.write();
    let dir = bundle.dir.to_string_lossy().into_owned();
    let out = traced(t, &["-f"], &["run", "-b", &dir, &t.id()]);
    assert_eq!(out.code(), 0, "{}", out.stderr);
    let points = init_points(&fs::read_to_string(t.path("trace")).unwrap());
    println!("# {} points of the init, {what}", points.len());
    let death = what.starts_with("signal");
    for point in points.iter().filter(|point| death || can_fail(&point.0)) {
        let id = t.id();
        let inject = format!("inject={}:{what}:when={}", point.0, point.1);
        let out = traced(t, &["-f", "-e", &inject], &["run", "-b", &dir, &id]);
        // The injection may have hit the runtime itself, which makes as many such calls.
        let runtime_died = out.code() > 128 || out.status.code().is_none();
        if !runtime_died {
            // The sentence itself is a write of the runtime, which the injection hits, too.
            if out.code() != 0 && out.stderr.is_empty() && point.0 != "write" {
                bad.push(format!("{what} at {point:?}: {} in silence", out.code()));
            }
            if let Some(left) = remains(t, &id) {
                bad.push(format!(
                    "{what} at {point:?}: {left}: {}",
                    out.stderr.trim_end()
                ));
            }
        }
        recovered(t, point, &bundle, &id, false);
    }
}

/// A close that fails has closed all the same, which an injected error cannot imitate; the crt's own calls cannot fail;
/// a clean-up whose own unlinkat fails is a second fault; and whether a name is still ours cannot be known without stat.
pub fn can_fail(name: &str) -> bool {
    ![
        "close",
        "unlinkat",
        "fstat",
        "newfstatat",
        "arch_prctl",
        "set_tid_address",
        "rt_sigprocmask",
        "rt_sigaction",
        "execve",
    ]
    .contains(&name)
}

fn init_killed_at_every_syscall(t: &T) {
    let mut bad = Vec::new();
    at_every_point_of_init(t, "signal=KILL", &mut bad);
    assert!(bad.is_empty(), "{bad:#?}");
}

fn init_meets_an_error_at_every_syscall(t: &T) {
    let mut bad = Vec::new();
    for error in ["EIO", "ENOMEM"] {
        at_every_point_of_init(t, &format!("error={error}"), &mut bad);
    }
    assert!(bad.is_empty(), "{bad:#?}");
}

fn creator_meets_an_error_at_every_syscall(t: &T) {
    errors_of_creator(t, t.bundle(), &["EIO", "ENOMEM", "EINTR"]);
}

fn creator_of_mapped_mounts_meets_an_error_at_every_syscall(t: &T) {
    idmap::need(t);
    errors_of_creator(t, idmap::mapped_in_both_ways(t), &["EIO"]);
}

fn errors_of_creator(t: &T, bundle: Bundle<'_>, errors: &[&str]) {
    let (bundle, dir, points) = points_of_create(t, bundle);
    let mut bad = Vec::new();
    for error in errors {
        println!("# {} points of create, {error}", points.len());
        for point in points.iter().filter(|point| can_fail(&point.0)) {
            let id = t.id();
            let inject = format!("inject={}:error={error}:when={}", point.0, point.1);
            let out = traced(t, &["-e", &inject], &["create", "-b", &dir, &id]);
            let shown = format!(
                "{error} at {point:?}: {} {}",
                out.code(),
                out.stderr.trim_end()
            );
            let told = out.code() == 0 || (out.code() == 1 && out.stderr.lines().count() == 1);
            if !told {
                bad.push(shown);
            } else if out.code() == 1
                && let Some(left) = remains(t, &id)
            {
                bad.push(format!("{shown}: {left}"));
            }
            recovered(t, point, &bundle, &id, false);
        }
    }
    assert!(bad.is_empty(), "{bad:#?}");
}

fn foreground_runtime_killed(t: &T) {
    let (id, cmd) = t
        .bundle()
        .probe(&["echo", "up", "--", "sleep"])
        .run_cmd(&[]);
    let running = cmd.spawn();
    running.until("up");
    kernel::kill(running.pid(), libc::SIGKILL).unwrap();
    assert_eq!(running.wait().code(), 1009);
    // The container goes on, or went with its supervisor; either way it can be cleaned up.
    t.cmd(&["delete", "--force", &id]).run().ok();
}

fn delete_twice_at_once(t: &T) {
    let bundle = t.bundle().probe(&["sleep"]);
    for _ in 0..if t.foreign() { 1 } else { 10 } {
        let c = bundle.detach();
        let all: Vec<_> = (0..6)
            .map(|_| t.cmd(&["delete", "--force", &c.id]).spawn())
            .collect();
        let outs: Vec<_> = all.into_iter().map(crate::runtime::Running::wait).collect();
        if !t.foreign() {
            for out in &outs {
                assert_eq!(out.code(), 0, "{}", out.stderr);
            }
        }
        assert!(!t.root.join(&c.id).exists());
        c.wait();
    }
}
