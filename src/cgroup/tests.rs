//! The whole way on the real machine, as root: v1 as it is mounted, v2 in a private mount namespace. Skipped elsewhere.

use super::prepare::intend;
use super::{
    CgroupPlan, Devices, Kinds, Layout, Mode, Record, begin, devices, enter, finish, frozen, kill,
    remove,
};
use crate::error::{Cause, Errno, Rule};
use crate::plan::arena::Arena;
use crate::sys::proc::{Fork, exit, fork};
use crate::sys::{AsFd, OwnedFd};
use rustix::process::{Pid, WaitOptions, waitpid};
use std::path::Path;

static ARENA: Arena = Arena::new();

/// A host, a plan for a cgroup of this name, and its record.
struct Way {
    layout: Box<Layout>,
    plan: Box<CgroupPlan>,
    record: Box<Record>,
    birthplace: Option<OwnedFd>,
}

impl Way {
    fn new(path: &str) -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            return None;
        }
        let mut layout = Box::new(Layout::new());
        let mut text = vec![0; 2 * crate::limits::CGROUP_BYTES];
        super::discover::discover_with(&mut layout, &mut text).unwrap();
        if layout.mode == Mode::None {
            return None;
        }
        let mut plan = Box::new(CgroupPlan::new());
        plan.mode = layout.mode;
        for row in layout.hierarchies.iter() {
            let own: &[u8] = if plan.mode == Mode::V1 { row.path } else { b"" };
            plan.hierarchies
                .push(row.controllers, row.mount, &[own, path.as_bytes()])
                .unwrap();
        }
        plan.program.compile(devices::DEFAULTS).unwrap();
        plan.fold.make(devices::DEFAULTS).unwrap();
        plan.devices = if plan.mode == Mode::V2 {
            Devices::Program
        } else {
            Devices::Lists
        };
        Some(Self {
            layout,
            plan,
            record: Box::new(Record::new()),
            birthplace: None,
        })
    }

    fn prepare(&mut self) -> Result<(), Cause> {
        let begun = begin(
            &self.plan,
            &ARENA,
            &mut self.record,
            &mut |_| Ok(()),
            &mut |_| (),
        );
        let done = begun.and_then(|birthplace| {
            self.birthplace = birthplace;
            finish(
                &self.plan,
                &ARENA,
                &mut self.record,
                Some(rustix::process::getpid()),
                &mut |_| (),
            )
        });
        done.map_err(|fault| {
            remove(&self.record).unwrap();
            fault.cause()
        })
    }

    fn dirs(&self) -> Vec<String> {
        let rows = self.record.hierarchies.iter();
        rows.map(|row| row.dir.to_str().unwrap().to_owned())
            .collect()
    }

    fn gone(&self) -> bool {
        self.dirs().iter().all(|dir| !Path::new(dir).exists())
    }

    /// A process in the cgroups that runs `body` and then waits for the end.
    fn child(&self, body: fn()) -> (Pid, OwnedFd) {
        let (reader, writer) = rustix::pipe::pipe().unwrap();
        let birthplace = self.birthplace.as_ref().map(AsFd::as_fd);
        match fork(0, birthplace, false).unwrap() {
            Fork::Child => {
                if enter(&self.plan, birthplace.is_some(), b"0").is_err() {
                    exit(3);
                }
                body();
                let _ = rustix::io::write(&writer, b"x");
                loop {
                    let _ = rustix::event::poll(&mut [], None);
                }
            }
            Fork::Parent(pid, _) => {
                drop(writer);
                assert_eq!(rustix::io::read(&reader, &mut [0; 1]), Ok(1), "it is in");
                (pid, reader.into())
            }
        }
    }
}

fn reap(pid: Pid) -> i32 {
    let (_, status) = waitpid(Some(pid), WaitOptions::empty()).unwrap().unwrap();
    status.terminating_signal().unwrap_or(0)
}

fn round(name: &str) {
    let Some(mut way) = Way::new(&format!("/{name}.{}", std::process::id())) else {
        return;
    };
    way.prepare().unwrap();
    assert!(!way.gone());
    let (pid, _pipe) = way.child(|| {});
    let cgroups =
        std::fs::read_to_string(format!("/proc/{}/cgroup", pid.as_raw_nonzero())).unwrap();
    let mine = cgroups.lines().filter(|line| line.contains(name)).count();
    assert_eq!(mine, way.layout.hierarchies.len(), "{cgroups}");
    assert!(!frozen(&way.record));
    // A second container of this path is refused, and what is there stays.
    let mut other = Way::new(&format!("/{name}.{}", std::process::id())).unwrap();
    assert_eq!(other.prepare(), Err(Cause::Rule(Rule::CgroupBusy)));
    assert!(way.dirs().iter().all(|dir| Path::new(dir).exists()));
    // A record without identity kills nobody.
    let mut intent = Box::new(Record::new());
    intend(&way.plan, &mut intent);
    for n in 0..intent.hierarchies.len() {
        intent.hierarchies.mark(n, 1, 0);
    }
    let fault = remove(&intent).unwrap_err();
    assert_eq!(fault.cause(), Cause::Rule(Rule::CgroupStranger));
    remove(&way.record).unwrap();
    assert!(way.gone());
    assert_eq!(reap(pid), 9);
    remove(&way.record).unwrap();
}

fn nested(name: &str) {
    let Some(mut way) = Way::new(&format!("/{name}.{}/a/b", std::process::id())) else {
        return;
    };
    way.prepare().unwrap();
    let top: Vec<String> = way
        .dirs()
        .iter()
        .map(|dir| dir.trim_end_matches("/a/b").to_owned())
        .collect();
    for row in way.record.hierarchies.iter() {
        assert_eq!(row.made, 3, "{row:?}");
    }
    // What the payload made below, with a process in it, and some levels deep.
    for dir in way.dirs() {
        std::fs::create_dir_all(format!("{dir}/x/{}", ["y"; 40].join("/"))).unwrap();
        std::fs::create_dir(format!("{dir}/z")).unwrap();
    }
    let (pid, _pipe) = way.child(|| {
        let own = std::fs::read_to_string("/proc/self/cgroup").unwrap();
        for line in own.lines().filter(|line| line.contains("/a/b")) {
            let path = line.splitn(3, ':').nth(2).unwrap();
            let unified = Path::new("/sys/fs/cgroup/cgroup.procs").exists();
            let root = if unified {
                "/sys/fs/cgroup".to_owned()
            } else if line.starts_with("0::") {
                "/sys/fs/cgroup/unified".to_owned()
            } else {
                let name = line.split(':').nth(1).unwrap();
                format!("/sys/fs/cgroup/{}", name.trim_start_matches("name="))
            };
            let _ = std::fs::write(format!("{root}{path}/z/cgroup.procs"), "0");
        }
    });
    kill(&way.record).unwrap();
    assert_eq!(reap(pid), 9);
    remove(&way.record).unwrap();
    assert!(way.gone());
    assert!(top.iter().all(|dir| !Path::new(dir).exists()), "{top:?}");
}

fn freezing(name: &str) {
    let Some(mut way) = Way::new(&format!("/{name}.{}", std::process::id())) else {
        return;
    };
    way.prepare().unwrap();
    let (pid, _pipe) = way.child(|| {});
    for row in way.record.hierarchies.iter() {
        let freezer = row.kinds.has(Kinds::FREEZER);
        if freezer || row.kinds.has(Kinds::UNIFIED) && way.plan.mode == Mode::V2 {
            let dir = super::io::open_dir(row.dir).unwrap();
            super::freeze::set(dir.as_fd(), row.kinds, true).unwrap();
        }
    }
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(5);
    while !frozen(&way.record) {
        assert!(std::time::Instant::now() < deadline);
    }
    remove(&way.record).unwrap();
    assert!(way.gone());
    assert_eq!(reap(pid), 9);
}

fn devices_are_restricted(name: &str) {
    let Some(mut way) = Way::new(&format!("/{name}.{}", std::process::id())) else {
        return;
    };
    way.prepare().unwrap();
    let (pid, _pipe) = way.child(|| {
        let open = |path| {
            let flags = rustix::fs::OFlags::RDONLY;
            rustix::fs::openat(rustix::fs::CWD, path, flags, rustix::fs::Mode::empty())
        };
        if open("/dev/null").is_err() || open("/dev/kmsg").err() != Some(Errno::PERM) {
            exit(4);
        }
    });
    remove(&way.record).unwrap();
    assert_eq!(reap(pid), 9);
    assert!(way.gone());
}

fn undone(name: &str) {
    let Some(mut way) = Way::new(&format!("/{name}.{}/x", std::process::id())) else {
        return;
    };
    // The last hierarchy cannot be had.
    let own: &[u8] = b"/x";
    way.plan
        .hierarchies
        .push(b"none", b"/nonexistent", &[own])
        .unwrap();
    assert_eq!(way.prepare(), Err(Cause::Errno(Errno::NOENT)));
    assert!(way.gone());
    let first = way.dirs().remove(0);
    assert!(!Path::new(first.trim_end_matches("/x")).exists());
}

fn all(prefix: &str) {
    round(&format!("{prefix}-round"));
    nested(&format!("{prefix}-nested"));
    freezing(&format!("{prefix}-freezing"));
    devices_are_restricted(&format!("{prefix}-devices"));
    undone(&format!("{prefix}-undone"));
}

#[test]
fn on_this_machine() {
    all("ocilet-test");
}

#[test]
fn on_v2_in_a_private_mount_namespace() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let script = "mount -t cgroup2 none /sys/fs/cgroup || exit 0; \
                  exec \"$0\" --ignored --exact cgroup::tests::inside --test-threads=1";
    let test = std::env::current_exe().unwrap();
    let status = std::process::Command::new("unshare")
        .args(["-m", "sh", "-c", script])
        .arg(test)
        .stdout(std::process::Stdio::null())
        .status();
    assert!(status.is_ok_and(|status| status.success()));
}

#[test]
#[ignore = "run by on_v2_in_a_private_mount_namespace"]
fn inside() {
    assert!(Path::new("/sys/fs/cgroup/cgroup.procs").exists());
    all("ocilet-test-v2");
}

#[test]
fn the_longest_program_passes_the_verifier() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let mut program = Box::new(devices::Program::new());
    for step in [1, 2] {
        let rule = |n: u32| devices::Rule {
            allow: !n.is_multiple_of(3),
            kinds: if n.is_multiple_of(2) { 2 } else { 1 },
            major: Some(n / step),
            minor: (!n.is_multiple_of(5)).then_some(n),
            access: 1 + u8::try_from(n % 7).unwrap(),
        };
        let mut rules: Vec<_> = (0..1024).map(rule).collect();
        rules.extend(devices::DEFAULTS);
        program.compile(&rules).unwrap();
        let loaded = crate::sys::bpf::load_device_program(program.words());
        assert!(loaded.is_ok(), "{loaded:?}");
    }
}
