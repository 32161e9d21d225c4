//! How little a container can live in, and how much of it can be emptied: the figures are those of `tests/bench --floors`.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::bundle::Bundle;
use crate::case::{Case, cannot, case};
use crate::facts::Cgroup;
use crate::harness::T;
use crate::runtime::wait_for;
use crate::{kernel, witness};

pub const CASES: &[Case] = &[
    case!(memory_of_a_container, 60),
    case!(memory_of_the_runtime, 60),
    case!(memory_of_exec, 60),
    case!(fork_bomb, 60),
    case!(fork_bomb_in_the_hosts_pid_namespace, 60),
];

/// KiB of limit in which a container starts.
const CONTAINER: u64 = 160;
/// So often it is tried: what the kernel frees on another CPU, or has taken there in advance, counts until that CPU has
/// told, and on a busy machine that may be too late. Once is enough to show that the memory is.
const TRIES: u32 = 20;
/// KiB in which the runtime makes it as well: 320 of them for the sealed copy of its binary, and up to 250 for what the
/// kernel has for a network namespace.
const RUNTIME: u64 = 1280;
/// KiB of limit in which a container that runs takes one more process, on cgroup v1 and v2. On v1 the container is not
/// charged for the clone of that process, and 160 are enough at times, but a busy machine gets back late what the container
/// began with; on v2 a process is born in its cgroup.
const EXEC: [u64; 2] = [320, 400];

fn need(t: &T, controller: &str) {
    let cgroups = fs::read_to_string("/proc/cgroups").unwrap_or_default();
    let v2 = fs::read_to_string("/sys/fs/cgroup/cgroup.controllers").unwrap_or_default();
    let there = match t.facts.cgroup {
        Cgroup::V2 => v2.split_whitespace().any(|word| word == controller),
        Cgroup::V1 => {
            cgroups.lines().any(|line| line.starts_with(controller))
                && Path::new("/sys/fs/cgroup").join(controller).exists()
        }
        Cgroup::Absent => false,
    };
    if !there {
        cannot(format!("no cgroup controller {controller} here"));
    }
}

/// exit(0), and ppoll(NULL, 0, NULL, NULL) for ever: `e_machine`, the first, the second.
#[cfg(target_arch = "x86_64")]
const CODE: (u16, [&[u8]; 2]) = (
    62,
    [
        &[0x31, 0xff, 0xb8, 0x3c, 0, 0, 0, 0x0f, 0x05],
        &[
            0x31, 0xff, 0x31, 0xf6, 0x31, 0xd2, 0x4d, 0x31, 0xd2, 0xb8, 0x0f, 0x01, 0, 0, 0x0f,
            0x05,
        ],
    ],
);
#[cfg(target_arch = "aarch64")]
const CODE: (u16, [&[u8]; 2]) = (
    183,
    [
        &[0, 0, 0x80, 0xd2, 0xa8, 0x0b, 0x80, 0xd2, 1, 0, 0, 0xd4],
        &[
            0, 0, 0x80, 0xd2, 1, 0, 0x80, 0xd2, 2, 0, 0x80, 0xd2, 3, 0, 0x80, 0xd2, 0x28, 0x09,
            0x80, 0xd2, 1, 0, 0, 0xd4,
        ],
    ],
);

/// The smallest program there is: an ELF file whose one page is this code.
fn smallest(code: &[u8]) -> Vec<u8> {
    const BASE: u64 = 0x40_0000;
    let size = 120 + code.len() as u64;
    let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0".to_vec();
    file.extend(CODE.0.to_le_bytes());
    file.extend(1_u32.to_le_bytes());
    for word in [BASE + 120, 64, 0] {
        file.extend(word.to_le_bytes());
    }
    file.extend([0; 4]);
    for half in [64_u16, 56, 1, 0, 0, 0] {
        file.extend(half.to_le_bytes());
    }
    // PT_LOAD, readable and executable.
    file.extend(1_u32.to_le_bytes());
    file.extend(5_u32.to_le_bytes());
    for word in [0, BASE, BASE, size, size, 0x1000] {
        file.extend(word.to_le_bytes());
    }
    file.extend(code);
    file
}

/// What `ocilet spec` writes, with a program that ends at once; /bin/pause never does.
fn default(t: &T) -> Bundle<'_> {
    let mut bundle = t.bundle();
    for (name, code) in ["bin/true", "bin/pause"].into_iter().zip(CODE.1) {
        let program = bundle.rootfs().join(name);
        fs::write(&program, smallest(code)).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    }
    t.bare(&["spec", "-b", &bundle.dir.to_string_lossy()])
        .run()
        .ok();
    let text = fs::read(bundle.dir.join("config.json")).unwrap();
    bundle.config = serde_json::from_slice(&text).unwrap();
    bundle.edit(|c| {
        c["process"]["terminal"] = json!(false);
        c["process"]["args"] = json!(["/bin/true"]);
    })
}

fn limit(bundle: Bundle<'_>, kib: u64) -> Bundle<'_> {
    bundle.edit(|c| c["linux"]["resources"]["memory"] = json!({"limit": kib << 10}))
}

fn memory_of_a_container(t: &T) {
    if t.foreign() {
        return;
    }
    need(t, "memory");
    for flags in [&[][..], &["--seccomp-default"]] {
        let bundle = limit(default(t), CONTAINER);
        // Behind the ways for older kernels it takes some more.
        let runs = t.filter.is_some() || (0..TRIES).any(|_| bundle.run_with(flags).code() == 0);
        assert!(runs, "none of {TRIES} has run in {CONTAINER} KiB");
        // With less it is said how much it takes: by an error, or where the program has begun by a warning.
        for kib in [40, 80] {
            let out = limit(default(t), kib).run_with(flags);
            assert!([1, 137].contains(&out.code()), "{kib}: {}", out.code());
            assert!(out.stderr.contains("160 KiB"), "{kib}: {}", out.stderr);
        }
    }
}

/// A cgroup of its own for the runtime, removed with what it left there.
struct Room(PathBuf);

impl Room {
    fn new(t: &T, kib: u64) -> Self {
        let name = format!("{}-room{}", t.tag, t.next());
        let (dir, file) = if t.facts.cgroup == Cgroup::V2 {
            (Path::new("/sys/fs/cgroup").join(name), "memory.max")
        } else {
            let own = witness::cgroup_of("self")["memory"].clone();
            let root = format!("/sys/fs/cgroup/memory{}", own.trim_end_matches('/'));
            (Path::new(&root).join(name), "memory.limit_in_bytes")
        };
        fs::create_dir(&dir).unwrap();
        fs::write(dir.join(file), (kib << 10).to_string()).unwrap();
        let room = Self(dir);
        if t.facts.cgroup == Cgroup::V2 {
            // The container becomes a sibling of the runtime's cgroup, both below the limit.
            fs::write(room.0.join("cgroup.subtree_control"), "+memory +pids").unwrap();
            fs::create_dir(room.0.join("runtime")).unwrap();
        }
        room
    }

    /// The file that takes the runtime.
    fn door(&self) -> PathBuf {
        let inner = self.0.join("runtime/cgroup.procs");
        if inner.exists() {
            inner
        } else {
            self.0.join("tasks")
        }
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let _ = fs::remove_dir(self.0.join("runtime"));
        let dir = self.0.clone();
        wait_for("an empty cgroup", || fs::remove_dir(&dir).is_ok());
    }
}

fn memory_of_the_runtime(t: &T) {
    if t.foreign() {
        return;
    }
    need(t, "memory");
    for flags in [&[][..], &["--seccomp-default"]] {
        let bundle = default(t);
        let runs = (0..TRIES).any(|_| {
            let room = Room::new(t, RUNTIME);
            let mut door = fs::OpenOptions::new()
                .write(true)
                .open(room.door())
                .unwrap();
            let (id, call) = bundle.run_cmd(flags);
            let out = call.before_exec(move || door.write_all(b"0")).run();
            if out.code() != 0 {
                // The runtime itself may have been killed.
                t.cmd(&["delete", "--force", &id]).run().ok();
            }
            out.code() == 0
        });
        assert!(runs, "none of {TRIES} has run in {RUNTIME} KiB");
    }
}

fn memory_of_exec(t: &T) {
    // Behind the ways for older kernels it takes some more.
    if t.foreign() || t.filter.is_some() {
        return;
    }
    need(t, "memory");
    let (kib, limit) = if t.facts.cgroup == Cgroup::V2 {
        (EXEC[1], "memory.max")
    } else {
        (EXEC[0], "memory.limit_in_bytes")
    };
    let bundle = default(t).edit(|c| c["process"]["args"] = json!(["/bin/pause"]));
    let runs = (0..TRIES).any(|_| {
        let c = bundle.detach();
        let dirs = witness::cgroups(&c.id);
        let mut files = dirs.iter().map(|dir| dir.join(limit));
        let file = files.find(|file| file.exists()).unwrap();
        // Not before the kernel has got back what the container began with.
        wait_for("a limit", || {
            fs::write(&file, (kib << 10).to_string()).is_ok()
        });
        t.cmd(&["exec", &c.id, "/bin/true"]).run().code() == 0
    });
    assert!(runs, "none of {TRIES} has run in {kib} KiB");
}

/// A container whose processes go on forking when they are a thousand (in guests, whose processes are slow, a hundred).
fn bomb(t: &T, edit: impl FnOnce(&mut Value)) {
    need(t, "pids");
    let tasks = if t.facts.guest { 100 } else { 1000 };
    let c = t
        .bundle()
        .edit(|c| c["linux"]["resources"] = json!({"pids": {"limit": tasks}}))
        .edit(edit)
        .probe(&["bomb"])
        .detach();
    let dirs = witness::cgroups(&c.id);
    let mut current = dirs.iter().map(|dir| dir.join("pids.current"));
    let current = current.find(|file| file.exists()).unwrap();
    wait_for("so many tasks", || {
        fs::read_to_string(&current).is_ok_and(|text| text.trim() == tasks.to_string())
    });
    c.delete_force();
    assert_eq!(witness::cgroups(&c.id), Vec::<PathBuf>::new());
    while kernel::wait(-1, libc::WNOHANG).is_some() {}
    wait_for("the end of all", || {
        while kernel::wait(-1, libc::WNOHANG).is_some() {}
        witness::descendants(std::process::id().cast_signed()).is_empty()
    });
}

fn fork_bomb(t: &T) {
    bomb(t, |_| ());
}

/// There the end of the first process is not the end of the others.
fn fork_bomb_in_the_hosts_pid_namespace(t: &T) {
    bomb(t, |c| {
        let list = c["linux"]["namespaces"].as_array_mut().unwrap();
        list.retain(|entry| entry["type"] != "pid");
    });
}
