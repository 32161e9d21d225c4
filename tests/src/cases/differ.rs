//! The same command lines for ocilet and for Debian's runc: exit status, stdout, kind of error, and the state afterwards.
//!
//! `tests/differ` holds the command lines and, in one table, every difference that is meant. A difference that is not in
//! it fails, and so does one that is in it and is not seen.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::bundle::minimal;
use crate::case::{Case, cannot, case};
use crate::facts::Cgroup;
use crate::harness::T;
use crate::kernel;
use crate::runtime::{Cmd, Out, wait_for};

pub const CASES: &[Case] = &[
    case!(without_a_container, 120),
    case!(created, 120),
    case!(running, 120),
    case!(stopped, 120),
    case!(paused, 120),
    case!(bundles, 120),
];

const LINES: &str = include_str!("../../differ");

/// One command line, with what is known to be different.
struct Line {
    number: usize,
    /// What is there before.
    scene: &'static str,
    words: &'static str,
    differs: &'static str,
}

/// The lines of a scene, after a look at the table of reasons.
fn lines(group: &str) -> Vec<Line> {
    let mut reasons = Vec::new();
    let mut all = Vec::new();
    let told = |line: &&str| !line.is_empty() && !line.starts_with('#');
    for (at, line) in LINES.lines().enumerate().filter(|(_, line)| told(line)) {
        let fields: Vec<&str> = line.split('|').map(str::trim).collect();
        match *fields {
            [reason, _] if line.starts_with('=') => {
                reasons.push(reason.trim_start_matches('=').trim());
            }
            [scene, words, ref rest @ ..] if rest.len() < 2 => {
                let differs = rest.first().copied().unwrap_or("");
                for word in differs.split_whitespace() {
                    let reason = word.split_once(':').map_or(word, |(_, reason)| reason);
                    assert!(reasons.contains(&reason), "line {}: {reason}", at + 1);
                }
                all.push(Line {
                    number: at + 1,
                    scene,
                    words,
                    differs,
                });
            }
            _ => panic!("line {}: {line}", at + 1),
        }
    }
    for reason in reasons {
        let used = |line: &Line| line.differs.split([' ', ':']).any(|word| word == reason);
        assert!(all.iter().any(used), "nothing differs by {reason}");
    }
    all.retain(|line| line.scene.split('/').next() == Some(group));
    all
}

/// What one call did.
type Seen = BTreeMap<&'static str, String>;

/// A runtime with a root and a bundle of its own.
struct Side<'t> {
    t: &'t T,
    program: PathBuf,
    dir: PathBuf,
    id: String,
    /// What the container is in, if there is one.
    scene: &'static str,
}

impl<'t> Side<'t> {
    fn new(t: &'t T, program: PathBuf, name: &str) -> Self {
        let dir = t.path(name);
        let rootfs = dir.join("rootfs");
        for name in [
            "rootfs/bin",
            "rootfs/proc",
            "rootfs/dev",
            "rootfs/tmp",
            "root",
        ] {
            fs::create_dir_all(dir.join(name)).unwrap();
        }
        fs::copy("/proc/self/exe", rootfs.join("bin/probe")).unwrap();
        fs::write(rootfs.join("bin/text"), "no program").unwrap();
        fs::set_permissions(rootfs.join("bin/text"), fs::Permissions::from_mode(0o644)).unwrap();
        fs::write(dir.join("process.json"), process().to_string()).unwrap();
        fs::write(dir.join("resources.json"), r#"{"pids": {"limit": 77}}"#).unwrap();
        fs::write(dir.join("garbage.json"), "{\"pids\": ").unwrap();
        let id = format!("{}-{name}", t.tag);
        let scene = "";
        Self {
            t,
            program,
            dir,
            id,
            scene,
        }
    }

    fn call(&self, words: &[&str]) -> Cmd {
        let root = self.dir.join("root");
        let root = root.to_string_lossy();
        let mut all = vec!["--root", &*root];
        all.extend_from_slice(words);
        Cmd::new(self.t, &self.program, &all).cwd(&self.dir)
    }

    /// Brings about what the line wants to find.
    fn stage(&mut self, scene: &'static str) {
        if self.scene == scene && !scene.is_empty() {
            return;
        }
        self.clear();
        let (state, bundle) = scene.split_once('/').unwrap_or((scene, ""));
        let mut config = minimal();
        let short = state == "bundle" && !bundle.is_empty();
        let words = if short { "exit 3" } else { "sleep" };
        config["process"]["args"] =
            json!(format!("/bin/probe {words}").split(' ').collect::<Vec<_>>());
        edit(&mut config, bundle);
        let text = match bundle {
            "garbage" => "{\"ociVersion\": ".to_owned(),
            "empty" => String::new(),
            _ => config.to_string(),
        };
        fs::write(self.dir.join("config.json"), text).unwrap();
        match state {
            "none" | "bundle" => {}
            "created" => self.create(),
            _ => {
                self.create();
                self.call(&["start", &self.id]).run().ok();
                // Before that signals may meet the runtime, whose init does with them what it wants.
                let place = format!("/proc/{}/cmdline", self.pid());
                wait_for("the program", || {
                    fs::read(&place).is_ok_and(|words| words == b"/bin/probe\0sleep\0")
                });
            }
        }
        if state == "stopped" {
            let pid = self.pid();
            self.call(&["kill", &self.id, "KILL"]).run().ok();
            kernel::wait(pid, 0);
            wait_for("a stopped container", || self.status() == "stopped");
        }
        if state == "paused" {
            self.call(&["pause", &self.id]).run().ok();
        }
        self.scene = scene;
    }

    fn create(&self) {
        self.call(&["create", &self.id]).run().ok();
    }

    fn state(&self) -> Option<Value> {
        let out = self.call(&["state", &self.id]).run();
        (out.code() == 0).then(|| serde_json::from_str(&out.stdout).expect("state is JSON"))
    }

    fn pid(&self) -> i32 {
        let pid = self.state().and_then(|state| state["pid"].as_i64());
        i32::try_from(pid.unwrap_or(0)).unwrap()
    }

    fn status(&self) -> String {
        self.state().map_or("none".into(), |state| {
            state["status"].as_str().unwrap_or("").to_owned()
        })
    }

    fn clear(&mut self) {
        // runc leaves a paused container alone.
        self.call(&["resume", &self.id]).run();
        // The init ends when those that `exec` left to us have been waited for, see man 7 pid_namespaces.
        reap();
        self.call(&["delete", "--force", &self.id]).run();
        reap();
        self.scene = "";
    }

    fn play(&mut self, line: &Line) -> Seen {
        self.stage(line.scene);
        let dir = self.dir.to_string_lossy().into_owned();
        let words: Vec<String> = line
            .words
            .split_whitespace()
            .map(|word| match word {
                "''" => String::new(),
                word => word.replace("ID", &self.id).replace("DIR", &dir),
            })
            .collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let out = self.call(&words).run();
        let after = self.settled(line.words);
        let mut seen = Seen::from([
            ("code", out.code().to_string()),
            ("stdout", normal(&out.stdout, &self.id, &dir)),
            ("after", after.clone()),
        ]);
        if out.code() != 0 && !out.stderr.is_empty() {
            seen.insert("error", kind(&out).to_owned());
            seen.insert("said", out.stderr);
        }
        let before = line.scene.split('/').next().unwrap_or("");
        if after != before && !(after == "none" && before == "bundle") {
            self.clear();
        }
        seen
    }

    /// The state, once a signal has had its effect.
    fn settled(&self, words: &str) -> String {
        let tries = if words.starts_with("kill") { 30 } else { 0 };
        for _ in 0..tries {
            if matches!(&*self.status(), "stopped" | "none") {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        self.status()
    }
}

/// Waits for every child that has ended.
fn reap() {
    let mut status = 0;
    // SAFETY: the kernel writes the status.
    while unsafe { libc::waitpid(-1, &raw mut status, libc::WNOHANG) } > 0 {}
}

/// A change of the smallest config, by the name in a line.
fn edit(c: &mut Value, name: &str) {
    let process = &mut c["process"];
    match name {
        "" | "exit" | "garbage" | "empty" => {}
        "echo" => process["args"] = json!(["/bin/probe", "echo", "hello"]),
        "missing" => process["args"] = json!(["/bin/nothing"]),
        "unfound" => process["args"] = json!(["nothing"]),
        "text" => process["args"] = json!(["/bin/text"]),
        "directory" => process["args"] = json!(["/bin"]),
        "noargs" => process["args"] = json!([]),
        "nocwd" => process["cwd"] = json!("/nothing"),
        "relcwd" => process["cwd"] = json!("bin"),
        "notdir" => process["cwd"] = json!("/bin/probe"),
        "capability" => process["capabilities"]["bounding"] = json!(["CAP_NOTHING"]),
        "rlimit" => {
            process["rlimits"] = json!([{"type": "RLIMIT_NOTHING", "soft": 1, "hard": 1}]);
        }
        "rlimits" => {
            let limit = json!({"type": "RLIMIT_CORE", "soft": 1, "hard": 1});
            process["rlimits"] = json!([limit, limit]);
        }
        "terminal" => process["terminal"] = json!(true),
        "noprocess" => drop(c.as_object_mut().unwrap().remove("process")),
        "noroot" => c["root"]["path"] = json!("nothing"),
        "noversion" => drop(c.as_object_mut().unwrap().remove("ociVersion")),
        "version" => c["ociVersion"] = json!("2.0.0"),
        "namespace" => c["linux"]["namespaces"][0]["type"] = json!("nothing"),
        "namespaces" => c["linux"]["namespaces"][1] = json!({"type": "pid"}),
        "joined" => c["linux"]["namespaces"][4]["path"] = json!("/nothing"),
        "hostname" => drop(c["linux"]["namespaces"].as_array_mut().unwrap().remove(3)),
        "mount" => c["mounts"][1]["type"] = json!("nothing"),
        "relative" => c["mounts"][1]["destination"] = json!("dev"),
        "source" => {
            c["mounts"][1] = json!({"destination": "/m", "type": "bind", "source": "/nothing", "options": ["bind"]});
        }
        "sysctl" => c["linux"]["sysctl"] = json!({"kernel.nothing": "1"}),
        "hook" => c["hooks"] = json!({"prestart": [{"path": "/nothing"}]}),
        "syscall" => {
            c["linux"]["seccomp"] = json!({"defaultAction": "SCMP_ACT_NOTHING"});
        }
        "unknown" => c["nothing"] = json!({"of": ["the", "kind"]}),
        name => panic!("no bundle {name}"),
    }
}

/// For `exec --process`.
fn process() -> Value {
    let mut process = minimal()["process"].take();
    process["args"] = json!(["/bin/probe", "echo", "from the file"]);
    process
}

/// What is said on stdout, without what is another's by nature: pids, times, places, names.
fn normal(text: &str, id: &str, dir: &str) -> String {
    if let Ok(mut value) = serde_json::from_str::<Value>(text) {
        blank(&mut value);
        return value.to_string();
    }
    let first: Vec<&str> = text.split_whitespace().take(2).collect();
    match *first {
        // How to call it, for who does not know: each in its own words.
        ["Incorrect", _] => return String::new(),
        [_, "version"] => return "version".into(),
        _ => {}
    }
    let text = text.replace(dir, "DIR").replace(id, "ID");
    let words = text.split_whitespace().map(|word| match word {
        word if word.parse::<u32>().is_ok() => "N",
        word if word.len() > 19 && word.ends_with('Z') => "TIME",
        word => word,
    });
    words.collect::<Vec<_>>().join(" ")
}

/// Leaves the kinds of values, and the words that are answers.
fn blank(value: &mut Value) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                if key == "raw" {
                    *value = Value::Null;
                } else if key != "status" && key != "ociVersion" || value.is_object() {
                    blank(value);
                }
            }
        }
        Value::Array(list) => {
            list.truncate(1);
            list.iter_mut().for_each(blank);
        }
        Value::Number(_) => *value = json!(0),
        Value::String(_) => *value = json!(""),
        _ => {}
    }
}

/// What went wrong, by the words that callers look for and the ones that people know.
fn kind(out: &Out) -> &'static str {
    let text = out.stderr.to_lowercase();
    KINDS
        .iter()
        .find(|(_, words)| words.split('|').any(|word| text.contains(word)))
        .map_or("other", |(kind, _)| kind)
}

const KINDS: [(&str, &str); 9] = [
    ("unknown", "container does not exist|no such container"),
    ("exists", "already exists|already in use|file exists"),
    ("systemd", "systemd not running|unit from systemd"),
    (
        "state",
        "not running|not paused|stopped|process already finished|in the paused state|already running|not stopped",
    ),
    ("console", "console socket"),
    ("found", "executable file not found"),
    ("path", "no such file|no such device"),
    (
        "denied",
        "permission denied|is a directory|operation not permitted",
    ),
    // Whatever is wrong with the call or with config.json.
    (
        "input",
        "incorrect usage|config.json|flag provided but not defined|requires|no help topic|invalid|unknown|must be|needs|\
         must not|not a valid|cannot be empty|wrong rlimit|separate kernel namespace|does not exist|not absolute|\
         unexpected eof|: eof|malformed|without a private|needs an argument",
    ),
];

/// Plays the lines of a scene on both sides.
fn play(t: &T, group: &str) {
    if t.foreign() || t.filter.is_some() || t.facts.cgroup != Cgroup::V1 {
        cannot("compares the runtime of this build on this machine, with cgroup v1");
    }
    let runc = t.facts.need_tool("runc");
    let mut ours = Side::new(t, t.ocilet.clone(), "ours");
    let mut theirs = Side::new(t, runc, "theirs");
    let mut wrong = String::new();
    for line in lines(group) {
        let (a, b) = (ours.play(&line), theirs.play(&line));
        let meant: Vec<&str> = line.differs.split([' ', ':']).collect();
        for key in ["code", "stdout", "after", "error"] {
            let seen = a.get(key) != b.get(key);
            if seen != meant.contains(&key) {
                let verb = if seen { "differs" } else { "does not differ" };
                wrong += &format!(
                    "line {}: {} | {}: {key} {verb}\n  ocilet {a:?}\n  runc   {b:?}\n",
                    line.number, line.scene, line.words
                );
            }
        }
    }
    ours.clear();
    theirs.clear();
    assert!(wrong.is_empty(), "{wrong}");
}

fn without_a_container(t: &T) {
    play(t, "none");
}

fn created(t: &T) {
    play(t, "created");
}

fn running(t: &T) {
    play(t, "running");
}

fn stopped(t: &T) {
    play(t, "stopped");
}

fn paused(t: &T) {
    play(t, "paused");
}

fn bundles(t: &T) {
    play(t, "bundle");
}
