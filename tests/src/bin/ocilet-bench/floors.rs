//! How little memory each runtime can do with, and how long it takes to empty a container of a thousand tasks.
//!
//! The least limit is one with which ten tries go well, to 8 KiB: what the kernel frees late counts for a while, so a limit
//! near the edge works at times.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use std::{fs, thread};

use serde_json::{Value, json};

use super::{Place, Runtime, bundle, measure};

/// Tries that must go well, and the step in KiB.
const TRIES: usize = 10;
const STEP: u64 = 8;
/// Nobody needs more than 32 MiB.
const MOST: u64 = 32 << 10;
const TASKS: u64 = 1000;

/// Enters a cgroup, and becomes the runtime; waits; or forks for ever, and so do its children.
const PROGRAM: &str = r#"
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
int main(int argc, char **argv) {
    if (argc > 2) {
        int file = open(argv[1], O_WRONLY);
        if (file < 0 || write(file, "0", 1) != 1) return 125;
        close(file);
        execv(argv[2], argv + 2);
        return 126;
    }
    if (argc > 1 && !strcmp(argv[1], "bomb"))
        for (;;) if (fork() < 0) usleep(100000);
    pause();
}
"#;

/// A cgroup for the limits of this program, with everything that runtimes put below it.
struct Cgroup {
    /// Its directory in the hierarchy of the memory controller.
    dir: PathBuf,
    v2: bool,
}

impl Cgroup {
    fn new(kib: u64) -> Self {
        sweep();
        let name = format!("ocilet-bench-{}", std::process::id());
        let root = Path::new("/sys/fs/cgroup");
        let v2 = root.join("cgroup.controllers").exists();
        let dir = if v2 {
            root.join(name)
        } else {
            root.join("memory").join(name)
        };
        fs::create_dir(&dir).expect("a cgroup with the memory controller");
        let file = if v2 {
            "memory.max"
        } else {
            "memory.limit_in_bytes"
        };
        fs::write(dir.join(file), (kib << 10).to_string()).expect("a limit");
        if v2 {
            fs::write(dir.join("cgroup.subtree_control"), "+memory +pids").expect("controllers");
            fs::create_dir(dir.join("runtime")).expect("a cgroup");
        }
        Self { dir, v2 }
    }

    fn door(&self) -> PathBuf {
        self.dir.join(if self.v2 {
            "runtime/cgroup.procs"
        } else {
            "tasks"
        })
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        sweep();
    }
}

/// Removes our cgroups in all hierarchies; runtimes leave what is above a container's.
fn sweep() {
    let name = format!("ocilet-bench-{}", std::process::id());
    let roots = fs::read_dir("/sys/fs/cgroup")
        .into_iter()
        .flatten()
        .flatten();
    for root in roots
        .map(|entry| entry.path())
        .chain(["/sys/fs/cgroup".into()])
    {
        let place = root.join(&name);
        if !root.join("cgroup.procs").exists() {
            // No hierarchy is mounted there; runc makes plain files.
            let _ = fs::remove_dir_all(&place);
        }
        for _ in 0..3000 {
            remove(&place);
            if !place.exists() {
                break;
            }
            thread::sleep(Duration::from_millis(10));
        }
    }
}

fn remove(dir: &Path) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove(&entry.path());
        }
    }
    let _ = fs::remove_dir(dir);
}

/// The config of a bundle with another `linux.resources`, and what `edit` does.
fn configure(place: &Place, from: &str, edit: impl FnOnce(&mut Value)) {
    let text = fs::read(place.dir.join(from).join("config.json")).expect("config.json");
    let mut config: Value = serde_json::from_slice(&text).expect("JSON");
    config["root"]["path"] = place.bundle().join("rootfs").to_string_lossy().into();
    // Below the cgroup that this program makes; runtimes make it where it is not.
    let path = format!("/ocilet-bench-{}/container", std::process::id());
    config["linux"]["cgroupsPath"] = path.into();
    edit(&mut config);
    let dir = place.dir.join("floor");
    fs::create_dir_all(&dir).expect("a temporary directory");
    fs::write(dir.join("config.json"), config.to_string()).expect("config.json");
}

fn quiet(mut command: Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// The least number of KiB with which all tries go well; `None` where nothing is enough.
fn least(works: impl Fn(u64) -> bool) -> Option<u64> {
    let good = |kib: u64| (0..TRIES).all(|_| works(kib));
    let (mut low, mut high) = (0, MOST);
    if !good(high) {
        return None;
    }
    while high - low > STEP.max(high / 64) {
        let middle = (low + high) / 2 / STEP * STEP;
        if good(middle) {
            high = middle
        } else {
            low = middle
        }
    }
    Some(high)
}

fn limited(place: &Place, from: &str, kib: u64, words: &[&str]) {
    configure(place, from, |config| {
        config["linux"]["resources"]["memory"] = json!({"limit": kib << 10});
        config["process"]["args"] = words.into();
    });
}

fn call(runtime: &Runtime, place: &Place, words: &[&str]) -> bool {
    quiet(runtime.call_in(place, "floor", words))
}

fn delete(runtime: &Runtime, place: &Place) {
    call(runtime, place, &["delete", "--force", "floor"]);
    // Orphans of a container come to this program.
    measure::reap_all();
}

/// The limit of the container for `run`.
fn of_run(runtime: &Runtime, place: &Place, from: &str) -> Option<u64> {
    least(|kib| {
        limited(place, from, kib, &["/bin/true"]);
        let good = call(runtime, place, &["run", "floor"]);
        delete(runtime, place);
        good
    })
}

/// The limit of the container for `exec` into it.
fn of_exec(runtime: &Runtime, place: &Place, from: &str) -> Option<u64> {
    least(|kib| {
        limited(place, from, kib, &["/bin/floor"]);
        let good = call(runtime, place, &["create", "floor"])
            && call(runtime, place, &["start", "floor"])
            && call(runtime, place, &["exec", "floor", "/bin/true"]);
        delete(runtime, place);
        good
    })
}

/// The limit of a cgroup that holds the runtime and the container.
fn of_both(runtime: &Runtime, place: &Place, from: &str) -> Option<u64> {
    let program = place.bundle().join("rootfs/bin/floor");
    configure(place, from, |config| {
        config["process"]["args"] = json!(["/bin/true"])
    });
    least(|kib| {
        let cgroup = Cgroup::new(kib);
        let inner = runtime.call_in(place, "floor", &["run", "floor"]);
        let mut command = Command::new(&program);
        command
            .arg(cgroup.door())
            .arg(inner.get_program())
            .args(inner.get_args());
        command.current_dir(place.dir.join("floor"));
        let good = quiet(command);
        delete(runtime, place);
        good
    })
}

/// Seconds of `delete --force` for a container whose thousand tasks go on forking: the middle of five.
fn of_bomb(runtime: &Runtime, place: &Place, own: bool) -> Option<f64> {
    configure(place, "bundle", |config| {
        config["linux"]["resources"]["pids"] = json!({"limit": TASKS});
        config["process"]["args"] = json!(["/bin/floor", "bomb"]);
        if !own {
            let list = config["linux"]["namespaces"]
                .as_array_mut()
                .expect("namespaces");
            list.retain(|entry| entry["type"] != "pid");
        }
    });
    let name = format!("ocilet-bench-{}/container/pids.current", std::process::id());
    let places = ["/sys/fs/cgroup/pids", "/sys/fs/cgroup"].map(|root| Path::new(root).join(&name));
    let full = || {
        let mut text = places
            .iter()
            .filter_map(|file| fs::read_to_string(file).ok());
        text.any(|text| text.trim() == TASKS.to_string())
    };
    let mut times = Vec::new();
    for _ in 0..5 {
        let cgroup = Cgroup::new(MOST << 10);
        if !call(runtime, place, &["create", "floor"]) || !call(runtime, place, &["start", "floor"])
        {
            return None;
        }
        let deadline = Instant::now() + Duration::from_secs(60);
        while !full() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(5));
        }
        let start = Instant::now();
        let good = call(runtime, place, &["delete", "--force", "floor"]);
        let time = start.elapsed().as_secs_f64();
        measure::reap_all();
        drop(cgroup);
        times.push(good.then_some(time)?);
    }
    times.sort_by(f64::total_cmp);
    times.get(2).copied()
}

/// Measures, and prints a table.
pub fn print(all: &[&Runtime], place: &Place) {
    let source = place.dir.join("floor.c");
    fs::write(&source, PROGRAM).expect("a temporary file");
    let made = Command::new("musl-gcc")
        .args(["-static", "-Os", "-s", "-o"])
        .args([&place.bundle().join("rootfs/bin/floor"), &source])
        .status();
    assert!(
        made.is_ok_and(|status| status.success()),
        "it takes musl-gcc"
    );
    let names: Vec<&str> = all.iter().map(|runtime| runtime.name).collect();
    println!(
        "| | {} |\n|---|{}",
        names.join(" | "),
        "---|".repeat(names.len())
    );
    type Of = fn(&Runtime, &Place, &str) -> Option<u64>;
    let rows: [(&str, Of); 3] = [
        ("limit of the container, run", of_run),
        ("limit of the container, exec", of_exec),
        ("limit of runtime and container, run", of_both),
    ];
    for (name, of) in rows {
        for (from, filter) in [
            ("bundle", ""),
            (bundle::FILTERED, ", Moby's seccomp profile"),
        ] {
            let cell = |runtime: &&Runtime| {
                of(runtime, place, from).map_or("-".into(), |kib| kib.to_string())
            };
            let cells: Vec<String> = all.iter().map(cell).collect();
            println!("| {name}{filter}: KiB | {} |", cells.join(" | "));
        }
    }
    sweep();
    for (name, own) in [
        ("a pid namespace", true),
        ("the host's pid namespace", false),
    ] {
        let cell = |runtime: &&Runtime| {
            of_bomb(runtime, place, own).map_or("-".into(), |time| format!("{:.0}", time * 1e3))
        };
        let cells: Vec<String> = all.iter().map(cell).collect();
        println!(
            "| delete --force, {TASKS} tasks that fork, {name}: ms | {} |",
            cells.join(" | ")
        );
    }
}
