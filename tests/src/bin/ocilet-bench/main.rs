//! Compares ocilet with crun and runc, and with bubblewrap for scale, and prints ratios.
//!
//! Every runtime runs the same bundle: the config that `spec` writes, with `terminal` false and a static /bin/true.
//! Rounds are interleaved, so that whatever else the machine does meets all of them alike; medians are compared.
//! What is measured: wall and CPU time (wait4, with the processes that the runtime reaped), the peak RSS of the
//! runtime's own process, the system calls of everything it started, and the memory of the init that waits between
//! `create` and `start`; and what a seccomp filter adds, to a run and to the calls inside.

mod bundle;
mod filter;
mod floors;
mod measure;
mod table;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::{env, fs, thread, time};

use measure::{Cost, reap_all, run};

const USAGE: &str = "\
ocilet-bench [--rounds N] [--ocilet PATH] [--cgroup v2] [--numbers] [--only RUNTIME,...] [--floors]
    --cgroup v2  in a private mount namespace with nothing but cgroup2 at /sys/fs/cgroup
    --numbers    the measured values, too (they are of this machine, at this hour)
    --floors     instead: the least memory that run and exec work with, and the time to empty a fork bomb
";

/// A program to compare, and how to call it.
pub struct Runtime {
    pub name: &'static str,
    pub path: PathBuf,
}

/// The columns that are a command.
pub const COMMANDS: usize = 5;

/// What is compared, in the order of the table. The last ones are sums, or another bundle.
pub const COLUMNS: [&str; COMMANDS + 2] = [
    "run",
    "create",
    "start",
    "delete",
    "exec",
    "create+start+delete",
    "run with Moby's seccomp profile",
];

/// All that was measured of one runtime.
pub struct Measured {
    pub runtime: Runtime,
    /// One list of rounds per column; empty where the runtime has no such command.
    pub costs: [Vec<Cost>; COLUMNS.len()],
    /// Peak RSS in KiB of the commands.
    pub peak: [Option<u64>; COMMANDS],
    /// System calls of the commands.
    pub calls: [Option<u64>; COMMANDS],
    /// Private_Dirty and Pss in KiB of the init between create and start.
    pub waiting: Option<(u64, u64)>,
    /// Calls in a container without a filter, and with one.
    pub filters: [filter::Filter; 2],
}

/// Where a benchmark happens: removed at its end.
pub struct Place {
    pub dir: PathBuf,
}

impl Place {
    pub fn bundle(&self) -> PathBuf {
        self.dir.join("bundle")
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        measure::unmount(&self.dir);
        let _ = fs::remove_dir(&self.dir);
    }
}

impl Runtime {
    fn is_runtime(&self) -> bool {
        self.name != "bwrap"
    }

    /// A command line of this runtime with a state directory of its own.
    pub fn call(&self, place: &Place, words: &[&str]) -> Command {
        self.call_in(place, "bundle", words)
    }

    /// In one of the bundles.
    pub fn call_in(&self, place: &Place, bundle: &str, words: &[&str]) -> Command {
        let mut command = Command::new(&self.path);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        if self.is_runtime() {
            let root = place.dir.join(format!("state-{}", self.name));
            command.arg("--root").arg(root).args(words);
        } else {
            let root = place.bundle().join("rootfs");
            command.args([
                "--unshare-pid",
                "--unshare-ipc",
                "--unshare-uts",
                "--unshare-net",
                "--ro-bind",
            ]);
            command
                .arg(root)
                .args(["/", "--proc", "/proc", "--dev", "/dev", "/bin/true"]);
        }
        command.current_dir(place.dir.join(bundle));
        command
    }
}

fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    let value = |name: &str| {
        let at = words.iter().position(|word| word == name)?;
        words.get(at + 1).cloned()
    };
    if words.iter().any(|word| word == "--help") {
        eprint!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    let rounds = value("--rounds")
        .and_then(|text| text.parse().ok())
        .unwrap_or(40);
    let ocilet = value("--ocilet").unwrap_or_else(|| "target/release/ocilet".into());
    let Ok(ocilet) = fs::canonicalize(&ocilet) else {
        eprintln!("ocilet-bench: {ocilet}: not there; build it first");
        return ExitCode::FAILURE;
    };
    measure::prepare(value("--cgroup").as_deref() == Some("v2"));
    let place = bundle::make(&ocilet);
    let only = value("--only");
    let mut all = Vec::new();
    for name in ["ocilet", "crun", "runc", "bwrap"] {
        if only
            .as_ref()
            .is_some_and(|list| !list.split(',').any(|word| word == name))
        {
            continue;
        }
        let path = if name == "ocilet" {
            Some(ocilet.clone())
        } else {
            find(name)
        };
        let Some(path) = path else {
            eprintln!("ocilet-bench: {name} is not installed");
            continue;
        };
        all.push(Measured {
            runtime: Runtime { name, path },
            costs: Default::default(),
            peak: [None; COMMANDS],
            calls: [None; COMMANDS],
            waiting: None,
            filters: Default::default(),
        });
    }
    all.retain(|one| works(one, &place));
    if words.iter().any(|word| word == "--floors") {
        let all: Vec<&Runtime> = all.iter().map(|one| &one.runtime).collect();
        floors::print(&all, &place);
        return ExitCode::SUCCESS;
    }
    for round in 0..rounds + 2 {
        for at in 0..all.len() {
            let turn = (at + round) % all.len();
            if let Some(one) = all.get_mut(turn) {
                // The first two rounds fill caches.
                time_one(one, &place, round >= 2);
            }
        }
    }
    for one in &mut all {
        look_inside(one, &place);
    }
    table::print(&all, rounds, words.iter().any(|word| word == "--numbers"));
    if all.first().is_some_and(|one| one.runtime.name == "ocilet") {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn find(name: &str) -> Option<PathBuf> {
    [
        "/usr/local/sbin",
        "/usr/local/bin",
        "/usr/sbin",
        "/usr/bin",
        "/sbin",
        "/bin",
    ]
    .iter()
    .map(|dir| Path::new(dir).join(name))
    .find(|path| path.is_file())
}

/// A runtime that cannot run the bundle here is left out, with what it said.
fn works(one: &Measured, place: &Place) -> bool {
    let output = one.runtime.call(place, &["run", "trial"]).output();
    let (good, said) = match &output {
        Ok(output) => (
            output.status.success(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        ),
        Err(error) => (false, error.to_string()),
    };
    if !good {
        eprintln!(
            "ocilet-bench: {} cannot run here: {}",
            one.runtime.name,
            said.trim()
        );
    }
    good
}

/// One more process of /bin/true, in a container of [`asleep`].
const EXEC: [&str; 3] = ["exec", "asleep", "/bin/true"];

/// While there is a container whose program waits.
fn asleep<R>(runtime: &Runtime, place: &Place, look: impl FnOnce() -> R) -> R {
    run(runtime.call_in(place, bundle::ASLEEP, &["create", "asleep"]));
    run(runtime.call(place, &["start", "asleep"]));
    let seen = look();
    run(runtime.call(place, &["delete", "--force", "asleep"]));
    reap_all();
    seen
}

/// One round of one runtime: `run`, then the life of a container in three commands, then `exec`.
fn time_one(one: &mut Measured, place: &Place, keep: bool) {
    let runtime = &one.runtime;
    let mut costs = vec![run(runtime.call(place, &["run", "one"]))];
    if runtime.is_runtime() {
        let before = measure::reaped();
        let start = time::Instant::now();
        let pid_file = place.dir.join("pid");
        let created = run(runtime.call(
            place,
            &["create", "--pid-file", &pid_file.to_string_lossy(), "two"],
        ));
        let started = run(runtime.call(place, &["start", "two"]));
        let wall = start.elapsed();
        reap_all();
        let deleted = run(runtime.call(place, &["delete", "two"]));
        // The init's own time comes with its death, so the sum is taken over everything that was reaped.
        let sum = Cost {
            wall: wall.as_secs_f64() + deleted.wall,
            cpu: measure::reaped() - before,
        };
        let joined = asleep(runtime, place, || run(runtime.call(place, &EXEC)));
        costs.extend([created, started, deleted, joined, sum]);
        costs.push(run(runtime.call_in(
            place,
            bundle::FILTERED,
            &["run", "four"],
        )));
    }
    if keep {
        for (list, cost) in one.costs.iter_mut().zip(costs) {
            list.push(cost);
        }
    }
}

/// Peak RSS, system calls and the waiting init: not timed, so done apart.
fn look_inside(one: &mut Measured, place: &Place) {
    let runtime = &one.runtime;
    one.peak[0] = measure::peak(runtime.call(place, &["run", "one"]));
    one.calls[0] = measure::calls(runtime.call(place, &["run", "one"]), place, None);
    if !runtime.is_runtime() {
        return;
    }
    let pid_file = place.dir.join("pid");
    let pid_text = pid_file.to_string_lossy().into_owned();
    let create = ["create", "--pid-file", pid_text.as_str(), "three"];
    one.peak[1] = measure::peak(runtime.call(place, &create));
    thread::sleep(time::Duration::from_millis(50));
    one.waiting = measure::waiting(&pid_file);
    one.peak[2] = measure::peak(runtime.call(place, &["start", "three"]));
    reap_all();
    one.peak[3] = measure::peak(runtime.call(place, &["delete", "three"]));
    let _ = fs::remove_file(&pid_file);
    one.calls[1] = measure::calls(runtime.call(place, &create), place, Some(&pid_file));
    one.calls[2] = measure::calls(runtime.call(place, &["start", "three"]), place, None);
    reap_all();
    one.calls[3] = measure::calls(runtime.call(place, &["delete", "three"]), place, None);
    one.peak[4] = asleep(runtime, place, || measure::peak(runtime.call(place, &EXEC)));
    one.calls[4] = asleep(runtime, place, || {
        measure::calls(runtime.call(place, &EXEC), place, None)
    });
    one.filters =
        [bundle::LOOPS, bundle::FILTERED_LOOPS].map(|name| filter::look(runtime, place, name));
}
