//! One case in a process of its own: a subreaper in a private mount namespace, with checks of what is left behind.
//!
//! The process supervises: the case runs in a thread, so that a deadline, a panic (the profile aborts on panic, hence
//! the hook parks the thread instead) and the clean-up afterwards are in one place.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use crate::caller::{Caller, Delegated};
use crate::case::{Case, Outcome, Skip};
use crate::facts::patience;
use crate::facts::{Cgroup, Facts};
use crate::runtime::Cmd;
use crate::{cases, kernel, shim, witness};

/// Where the tmpfs of each case is mounted. Every case sees its own.
const PLACE: &str = "/tmp/ocilet-tests";

/// What a case works with.
pub struct T {
    /// A tmpfs that nobody else sees.
    pub dir: PathBuf,
    /// The binary under test.
    pub ocilet: PathBuf,
    /// `--root` of every call.
    pub root: PathBuf,
    pub facts: Facts,
    /// Part of every container id and cgroup path of this case.
    pub tag: String,
    /// Filter for the calls of ocilet, if old kernels are imitated.
    pub filter: Option<shim::Filter>,
    /// Who calls it.
    pub caller: Arc<Caller>,
    count: Cell<u32>,
}

impl T {
    /// A number that this case has not used yet.
    pub fn next(&self) -> u32 {
        self.count.set(self.count.get() + 1);
        self.count.get()
    }

    /// A fresh container id.
    pub fn id(&self) -> String {
        format!("{}-{}", self.tag, self.next())
    }

    /// A path in the directory of the case.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// `ocilet --root ROOT ARGS…`.
    pub fn cmd(&self, args: &[&str]) -> Cmd {
        let root = self.root.to_string_lossy();
        let mut all = vec!["--root", &*root];
        all.extend_from_slice(args);
        self.bare(&all)
    }

    /// `ocilet ARGS…` without `--root`.
    pub fn bare(&self, args: &[&str]) -> Cmd {
        Cmd::new(self, &self.ocilet, args)
            .filtered(self.filter.clone())
            .called(self)
    }

    /// Another program, with the same deadlines and capturing.
    pub fn tool(&self, name: &str, args: &[&str]) -> Cmd {
        Cmd::new(self, &self.facts.need_tool(name), args)
    }

    /// True if the binary under test is another runtime, against which the harness itself is developed.
    pub fn foreign(&self) -> bool {
        !self
            .ocilet
            .file_name()
            .is_some_and(|name| name.to_string_lossy().contains("ocilet"))
    }
}

/// The binary under test as it was before the case.
#[derive(PartialEq)]
struct Exe {
    bytes: Vec<u8>,
    inode: u64,
    device: u64,
    mode: u32,
}

impl Exe {
    fn of(path: &Path) -> Self {
        use std::os::unix::fs::MetadataExt as _;
        let meta = fs::metadata(path).expect("the binary under test");
        Self {
            bytes: fs::read(path).expect("the binary under test"),
            inode: meta.ino(),
            device: meta.dev(),
            mode: meta.mode(),
        }
    }
}

fn fail(reason: impl Into<String>) -> Outcome {
    Outcome::Fail(reason.into())
}

/// `case NAME [--ocilet PATH]`.
pub fn main(args: &[String]) -> ExitCode {
    let Some(name) = args.first() else {
        return ExitCode::from(2);
    };
    let ocilet = args
        .iter()
        .position(|word| word == "--ocilet")
        .and_then(|at| args.get(at + 1))
        .map_or_else(crate::runner::default_ocilet, PathBuf::from);
    let Some((_, case)) = cases::all().find(|(full, _)| full == name) else {
        eprintln!("no case {name}");
        return ExitCode::from(2);
    };
    let outcome = supervise(case, &ocilet);
    if let Outcome::Pass = outcome {
        crate::coverage::record::print();
    }
    let (word, text, code) = match outcome {
        Outcome::Pass => ("pass", String::new(), 0),
        Outcome::Fail(text) => ("fail", text, 1),
        Outcome::Skip(Skip {
            reason,
            excused: true,
        }) => ("excused", reason, 77),
        Outcome::Skip(Skip { reason, .. }) => ("skip", reason, 77),
    };
    if word == "fail" {
        println!("{text}");
        println!("RESULT fail");
    } else {
        println!("RESULT {word} {text}");
    }
    ExitCode::from(code)
}

fn set_up(ocilet: &Path) -> std::io::Result<(T, Option<Delegated>)> {
    let flags = libc::MS_REC | libc::MS_PRIVATE;
    // SAFETY: plain numbers.
    unsafe {
        libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1);
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
        libc::umask(0o022);
    }
    kernel::unshare(libc::CLONE_NEWNS)?;
    kernel::mount("", "/", "", flags, "")?;
    if std::env::var_os("OCILET_TESTS_CGROUP").is_some_and(|mode| mode == "v2") {
        kernel::mount("cgroup2", "/sys/fs/cgroup", "cgroup2", 0, "")?;
    }
    fs::create_dir_all(PLACE)?;
    kernel::mount("ocilet-tests", PLACE, "tmpfs", 0, "mode=0755")?;
    let dir = PathBuf::from(PLACE);
    let caller = Caller::of_this_run()?;
    let root = dir.join("run");
    fs::create_dir(&root)?;
    // SAFETY: no memory is passed.
    let pid = unsafe { libc::getpid() };
    // With an end, so that no other begins like it.
    let tag = format!("ot{pid}x");
    // A run that was killed may have left cgroups of a process with this number.
    for path in witness::cgroups(&format!("{tag}-")) {
        remove_cgroup(&path);
    }
    let facts = Facts::ask();
    let delegated = match facts.cgroup {
        Cgroup::V2 => caller.delegate(&tag)?,
        _ => None,
    };
    let t = T {
        ocilet: caller.binary(ocilet, &dir)?,
        dir,
        root,
        facts,
        tag,
        filter: std::env::var("OCILET_TESTS_SHIM")
            .ok()
            .map(|profile| shim::profile(&profile).expect("a known profile")),
        caller: Arc::new(caller),
        count: Cell::new(0),
    };
    Ok((t, delegated))
}

/// A panic of any thread becomes the outcome; the thread stops there.
fn hook(sender: Sender<Outcome>) {
    std::panic::set_hook(Box::new(move |info| {
        let payload = info.payload();
        let outcome = if let Some(skip) = payload.downcast_ref::<Skip>() {
            Outcome::Skip(Skip {
                reason: skip.reason.clone(),
                excused: skip.excused,
            })
        } else {
            let text = payload
                .downcast_ref::<String>()
                .cloned()
                .or_else(|| {
                    payload
                        .downcast_ref::<&str>()
                        .map(|text| (*text).to_owned())
                })
                .unwrap_or_default();
            let place = info
                .location()
                .map_or(String::new(), |at| format!("{}:{}", at.file(), at.line()));
            fail(format!("{place}: {text}"))
        };
        let _ = sender.send(outcome);
        loop {
            std::thread::park();
        }
    }));
}

fn supervise(case: &'static Case, ocilet: &Path) -> Outcome {
    let (t, delegated) = match set_up(ocilet) {
        Ok(made) => made,
        Err(error) => return fail(format!("harness: {error}")),
    };
    let before = Exe::of(ocilet);
    let mounts = mounts();
    let (sender, receiver) = channel();
    hook(sender.clone());
    let (tag, root, bin) = (t.tag.clone(), t.root.clone(), t.ocilet.clone());
    let run = case.run;
    std::thread::spawn(move || {
        run(&t);
        let _ = sender.send(Outcome::Pass);
        // The case may not be dropped while its thread still runs: the process ends first.
        loop {
            std::thread::park();
        }
    });
    let outcome = await_outcome(&receiver, case.seconds);
    let left = left_behind(&tag, &root, &mounts);
    sweep(&bin, &root, &tag);
    drop(delegated);
    let changed = Exe::of(ocilet) != before;
    match outcome {
        Outcome::Fail(text) => fail(text),
        _ if changed => fail("the binary under test changed"),
        _ if !left.is_empty() => fail(format!("left behind: {}", left.join("; "))),
        other => other,
    }
}

fn await_outcome(receiver: &Receiver<Outcome>, seconds: u64) -> Outcome {
    receiver
        .recv_timeout(patience(seconds))
        .unwrap_or_else(|_| {
            let mut text = format!("no end after {seconds} s; processes:");
            for (pid, state) in witness::descendants(std::process::id() as i32) {
                let line = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
                let place = fs::read_to_string(format!("/proc/{pid}/wchan")).unwrap_or_default();
                text += &format!("\n  {pid} {state} {place} {}", line.replace('\0', " "));
            }
            fail(text)
        })
}

/// Mounts of the harness's own namespace, without what a case has mounted in its directory for itself.
fn mounts() -> BTreeSet<String> {
    let own = format!("{PLACE}/mnt");
    witness::mountinfo("self")
        .unwrap_or_default()
        .into_iter()
        .map(|mount| mount.target)
        .filter(|target| !target.starts_with(&own))
        .collect()
}

/// CLEAN: processes, state directories, cgroups and mounts that outlive the case.
fn left_behind(tag: &str, root: &Path, before: &BTreeSet<String>) -> Vec<String> {
    let mut left = Vec::new();
    let deadline = Instant::now() + patience(1) / 2;
    loop {
        while kernel::wait(-1, libc::WNOHANG).is_some() {}
        let alive: Vec<i32> = witness::descendants(std::process::id() as i32)
            .into_iter()
            .filter(|&(_, state)| state != 'Z')
            .map(|(pid, _)| pid)
            .collect();
        if alive.is_empty() {
            break;
        }
        // A process that has been killed may still be on its way out.
        if Instant::now() > deadline {
            for pid in alive {
                let name = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
                left.push(format!("process {pid} {}", name.replace('\0', " ")));
            }
            break;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    for entry in fs::read_dir(root).into_iter().flatten().flatten() {
        left.push(format!("state {}", entry.path().display()));
    }
    for path in witness::cgroups(tag) {
        left.push(format!("cgroup {}", path.display()));
    }
    for target in mounts().difference(before) {
        left.push(format!("mount {target}"));
    }
    left
}

/// Removes what a failed case has left, so that the next one starts from nothing.
fn sweep(ocilet: &Path, root: &Path, tag: &str) {
    for entry in fs::read_dir(root).into_iter().flatten().flatten() {
        let _ = std::process::Command::new(ocilet)
            .arg("--root")
            .arg(root)
            .args(["delete", "--force"])
            .arg(entry.file_name())
            .stdin(std::process::Stdio::null())
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .status();
    }
    for _ in 0..50 {
        let alive = witness::descendants(std::process::id() as i32);
        if alive.is_empty() {
            break;
        }
        for (pid, _) in alive {
            let _ = kernel::kill(pid, libc::SIGKILL);
        }
        while kernel::wait(-1, libc::WNOHANG).is_some() {}
        std::thread::sleep(Duration::from_millis(2));
    }
    for path in witness::cgroups(tag) {
        remove_cgroup(&path);
    }
}

fn remove_cgroup(path: &Path) {
    for entry in fs::read_dir(path).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_cgroup(&entry.path());
        }
    }
    let _ = fs::remove_dir(path);
}
