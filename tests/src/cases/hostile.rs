//! Attacks that worked on other runtimes, each with the CVE it stems from, under rounds of renames where there was a race.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::bundle::Bundle;
use crate::canary::{Canary, Swap};
use crate::case::{Case, cannot, case};
use crate::harness::T;
use crate::kernel;
use crate::witness;

pub const CASES: &[Case] = &[
    case!(stdio_of_a_hostile_dev),
    case!(destinations_that_lead_out),
    case!(proc_and_sys_that_are_links),
    case!(dev_that_is_a_link),
    case!(names_made_in_dev_are_links),
    case!(masks_with_a_hostile_null),
    case!(cwd_through_descriptors, 120),
    case!(program_through_descriptors, 60),
    case!(waiting_init_holds_nothing),
    case!(runtime_binary_is_out_of_reach),
    case!(runtime_binary_without_memfds),
    case!(entrypoint_is_the_runtime_itself),
    case!(swapped_destination, 90, serial),
    case!(swapped_parent_of_new_directories, 90, serial),
    case!(swapped_proc, 90, serial),
    case!(swapped_readonly_path, 90, serial),
    case!(swapped_dev_and_masks, 90, serial),
    case!(links_to_the_old_root),
    case!(overmounted_proc_of_the_host),
    case!(abstract_sockets),
    case!(setuid_copy_refuses),
    case!(writes_by_descriptor_only),
    case!(rootfs_is_never_code),
];

const ROUNDS: usize = 60;

fn only_ocilet(t: &T) {
    if t.foreign() {
        cannot("Debian's runtimes have these bugs");
    }
}

/// Creates, starts if that worked, deletes; (created?, stderr of create).
fn attempt(t: &T, bundle: &Bundle<'_>, look: impl FnOnce(i32)) -> (bool, String) {
    let id = t.id();
    let file = t.path("attempt.pid");
    let out = bundle
        .create_cmd(&id, &["--pid-file", &file.to_string_lossy()])
        .run();
    let created = out.code() == 0;
    if created {
        let pid = fs::read_to_string(&file).unwrap().parse().unwrap();
        look(pid);
        t.cmd(&["start", &id]).run();
        t.cmd(&["delete", "--force", &id]).run().ok();
        kernel::wait(pid, 0);
    } else {
        assert_eq!(out.code(), 1, "{}", out.stderr);
    }
    (created, out.stderr)
}

fn without_dev(bundle: Bundle<'_>) -> Bundle<'_> {
    bundle.edit(|c| {
        c["mounts"]
            .as_array_mut()
            .unwrap()
            .retain(|mount| mount["destination"] != "/dev")
    })
}

/// No mount of the container comes from the canary.
fn no_canary(pid: i32, canary: &Canary) {
    // The canary lies in the root of the case's tmpfs; a place of that name inside the rootfs is as good as any other.
    let dir = format!("/{}", canary.dir.file_name().unwrap().to_string_lossy());
    for mount in witness::mountinfo(pid).unwrap_or_default() {
        assert!(!mount.root.starts_with(&dir), "{mount:?}");
    }
    let dir = canary.dir.to_string_lossy();
    for mount in witness::mountinfo("self").unwrap_or_default() {
        assert!(!mount.target.starts_with(&*dir), "{mount:?}");
    }
}

/// CVE-2015-3627, CVE-2026-88265.
fn stdio_of_a_hostile_dev(t: &T) {
    only_ocilet(t);
    let canary = Canary::new(t);
    for target in ["f", "null", "new"] {
        let bundle = without_dev(t.bundle()).probe(&["report"]);
        let dev = bundle.rootfs().join("dev");
        for name in ["null", "console", "stdout", "stdin", "tty"] {
            symlink(canary.path(target), dev.join(name)).unwrap();
        }
        attempt(t, &bundle, |pid| no_canary(pid, &canary));
        canary.intact();
    }
    // The caller's /dev/null keeps its owner.
    let before = fs::metadata("/dev/null").unwrap();
    t.bundle()
        .edit(|c| c["process"]["user"] = json!({"uid": 1000, "gid": 1000}))
        .run()
        .ok();
    let after = fs::metadata("/dev/null").unwrap();
    assert_eq!(
        (before.uid(), before.gid(), before.mode()),
        (after.uid(), after.gid(), after.mode())
    );
}

/// CVE-2015-3629, CVE-2019-18837: the link is resolved inside the root or refused.
fn destinations_that_lead_out(t: &T) {
    only_ocilet(t);
    let canary = Canary::new(t);
    let file = t.path("file");
    fs::write(&file, "x").unwrap();
    let out = canary.dir.to_string_lossy().into_owned();
    let up = format!("{}{out}", "../".repeat(20));
    for link in [
        out.clone(),
        up,
        format!("/proc/self/root{out}"),
        "/proc/self/cwd".to_owned(),
        "..".to_owned(),
    ] {
        for (destination, kind) in [
            ("/data", "dir"),
            ("/data/f", "file"),
            ("/data/d/new", "dir"),
            ("/data/new", "file"),
            ("/data/a/b/c/d", "file"),
        ] {
            let bundle = t.bundle().probe(&["exit"]);
            symlink(&link, bundle.rootfs().join("data")).unwrap();
            let bundle = if kind == "file" {
                bundle.mount(destination, "bind", &file.to_string_lossy(), &["bind"])
            } else {
                bundle.mount(destination, "tmpfs", "tmpfs", &[])
            };
            attempt(t, &bundle, |pid| no_canary(pid, &canary));
            canary.intact();
        }
    }
    let bundle = t.bundle().probe(&["exit"]);
    symlink(canary.path("f"), bundle.rootfs().join("etc/resolv.conf")).unwrap();
    let bundle = bundle.mount(
        "/etc/resolv.conf",
        "bind",
        &file.to_string_lossy(),
        &["bind"],
    );
    attempt(t, &bundle, |pid| no_canary(pid, &canary));
    canary.intact();
}

/// CVE-2019-19921, CVE-2023-27561, CVE-2025-54867.
fn proc_and_sys_that_are_links(t: &T) {
    only_ocilet(t);
    let canary = Canary::new(t);
    let out = canary.path("d").to_string_lossy().into_owned();
    for name in ["proc", "sys"] {
        for target in [
            "tmp",
            "/",
            "/tmp",
            "/missing",
            &*out,
            &*format!("../../../../../..{out}"),
            "/etc/passwd",
            "proc",
            "sys",
        ] {
            if target == name {
                continue;
            }
            let bundle = t
                .bundle()
                .mount("/sys", "sysfs", "sysfs", &["ro"])
                .probe(&["exit"]);
            fs::remove_dir(bundle.rootfs().join(name)).unwrap();
            symlink(target, bundle.rootfs().join(name)).unwrap();
            let (created, text) = attempt(t, &bundle, |pid| no_canary(pid, &canary));
            assert!(!created, "/{name} → {target} was accepted");
            assert!(text.contains(&format!("/{name}")), "{text}");
            canary.intact();
        }
        let bundle = t
            .bundle()
            .mount("/sys", "sysfs", "sysfs", &["ro"])
            .probe(&["exit"]);
        fs::remove_dir(bundle.rootfs().join(name)).unwrap();
        fs::write(bundle.rootfs().join(name), "").unwrap();
        assert!(!attempt(t, &bundle, |_| ()).0, "/{name} is a file");
    }
    // A component above it may be a link, the place itself may be missing.
    let bundle = t.bundle().probe(&["ls", "/proc"]);
    fs::remove_dir(bundle.rootfs().join("proc")).unwrap();
    bundle.run().ok();
}

/// CVE-2026-41579, CVE-2026-47766.
fn dev_that_is_a_link(t: &T) {
    only_ocilet(t);
    let canary = Canary::new(t);
    let relative = "../canary".to_owned()
        + canary
            .dir
            .to_string_lossy()
            .rsplit("canary")
            .next()
            .unwrap();
    for target in [
        canary.dir.to_string_lossy().into_owned(),
        relative,
        "/".to_owned(),
        "tmp".to_owned(),
        "/proc/self/root/tmp".to_owned(),
    ] {
        for terminal in [false, true] {
            let bundle = without_dev(t.bundle()).probe(&["exit"]).edit(|c| {
                if !terminal {
                    c["linux"]["devices"] =
                        json!([{"path": "/dev/extra", "type": "c", "major": 1, "minor": 3}]);
                }
            });
            fs::remove_dir(bundle.rootfs().join("dev")).unwrap();
            symlink(&target, bundle.rootfs().join("dev")).unwrap();
            let (created, _) = attempt(t, &bundle, |pid| no_canary(pid, &canary));
            canary.intact();
            assert!(!created, "/dev → {target} was accepted");
            assert_eq!(bundle.run().code(), 1);
            canary.intact();
        }
    }
}

/// CVE-2025-24965: every name that the runtime may create exists already, as a link out.
fn names_made_in_dev_are_links(t: &T) {
    only_ocilet(t);
    let canary = Canary::new(t);
    let names = [
        "ptmx", "fd", "stdin", "stdout", "stderr", "core", "console", "null", "zero", "full",
        "random", "urandom", "tty", "pts", "shm", "mqueue",
    ];
    for name in names {
        for target in ["f", "d", "null", "not-there"] {
            let bundle = without_dev(t.bundle())
                .mount("/dev/pts", "devpts", "devpts", &["newinstance"])
                .mount("/dev/shm", "tmpfs", "shm", &[])
                .probe(&["exit"]);
            symlink(canary.path(target), bundle.rootfs().join("dev").join(name)).unwrap();
            attempt(t, &bundle, |pid| no_canary(pid, &canary));
            canary.intact();
        }
    }
}

/// CVE-2025-31133: the mask is a device of the runtime's own, never what the root calls /dev/null.
fn masks_with_a_hostile_null(t: &T) {
    only_ocilet(t);
    let pattern = fs::read("/proc/sys/kernel/core_pattern").unwrap();
    type Make = fn(&Path);
    let kinds: &[(&str, Make)] = &[
        ("link", |path| {
            symlink("/proc/sys/kernel/core_pattern", path).unwrap()
        }),
        ("file", |path| fs::write(path, "").unwrap()),
        ("directory", |path| fs::create_dir(path).unwrap()),
        ("fifo", |path| {
            kernel::mknod(path, libc::S_IFIFO | 0o666, 0, 0).unwrap()
        }),
        ("zero", |path| {
            kernel::mknod(path, libc::S_IFCHR | 0o666, 1, 5).unwrap()
        }),
        ("absent", |_| ()),
    ];
    for (name, make) in kinds {
        for bound in [false, true] {
            let bundle = t
                .bundle()
                .edit(|c| {
                    c["linux"]["maskedPaths"] =
                        json!(["/proc/version", "/proc/sys/kernel/core_pattern", "/secret"])
                })
                .probe(&[
                    "stat",
                    "/proc/version",
                    "--",
                    "stat",
                    "/proc/sys/kernel/core_pattern",
                    "--",
                    "stat",
                    "/secret",
                    "--",
                    "write",
                    "/proc/sys/kernel/core_pattern",
                    "evil",
                ]);
            fs::write(bundle.rootfs().join("secret"), "secret").unwrap();
            let bundle = if bound {
                let dev = t.path(&format!("dev{}", t.next()));
                fs::create_dir(&dev).unwrap();
                make(&dev.join("null"));
                bundle.edit(|c| c["mounts"][1] = json!({"destination": "/dev", "type": "bind", "source": dev, "options": ["rbind"]}))
            } else {
                make(&bundle.rootfs().join("dev/null"));
                without_dev(bundle)
            };
            let out = bundle.run();
            assert_eq!(
                fs::read("/proc/sys/kernel/core_pattern").unwrap(),
                pattern,
                "null is a {name}"
            );
            for line in out.lines().iter().take(3) {
                assert_eq!(
                    line["rdev"],
                    json!([1, 3]),
                    "null is a {name}, bound {bound}: {}",
                    out.stdout
                );
            }
            if out.lines().is_empty() {
                assert_eq!(out.code(), 1);
            }
        }
    }
}

/// CVE-2024-21626.
fn cwd_through_descriptors(t: &T) {
    only_ocilet(t);
    let mut paths: Vec<String> = (0..48).map(|k| format!("/proc/self/fd/{k}")).collect();
    paths.extend((3..12).map(|k| format!("/proc/1/fd/{k}")));
    paths.extend(
        [
            "/proc/self/cwd",
            "/proc/1/cwd",
            "/proc/1/root/..",
            "/proc/self/root",
            "/proc/self/task/1/cwd",
            "/proc/thread-self/cwd",
        ]
        .map(str::to_owned),
    );
    paths.extend((3..6).map(|k| format!("/proc/self/fd/{k}/../..")));
    let leak = fs::File::open("/").unwrap();
    for path in paths {
        for flags in [&[][..], &["--preserve-fds", "2"]] {
            if flags.len() > 1
                && !path.ends_with("fd/3")
                && !path.ends_with("fd/5")
                && !path.ends_with("fd/7")
            {
                continue;
            }
            let bundle = t
                .bundle()
                .edit(|c| c["process"]["cwd"] = json!(path))
                .probe(&["report"]);
            let (_, mut cmd) = bundle.run_cmd(flags);
            for number in 3..20 {
                cmd = cmd.with_fd(number, &leak);
            }
            let out = cmd.run();
            if out.code() == 0 {
                let seen = out.json();
                let cwd = seen["cwd"].as_str().unwrap();
                assert!(cwd.starts_with('/'), "cwd {path} ended at {cwd}");
                let fds: Vec<&String> = seen["fds"].as_object().unwrap().keys().collect();
                let most = if flags.is_empty() { 3 } else { 5 };
                assert!(fds.len() <= most, "{path}: {}", seen["fds"]);
            } else {
                assert_eq!(out.code(), 1, "{path}: {}", out.stderr);
            }
        }
    }
}

fn program_through_descriptors(t: &T) {
    only_ocilet(t);
    let leak = fs::File::open("/bin").unwrap_or_else(|_| fs::File::open("/").unwrap());
    for k in 0..24 {
        let bundle = t
            .bundle()
            .edit(|c| c["process"]["args"] = json!([format!("/proc/self/fd/{k}"), "report"]));
        let (_, mut cmd) = bundle.run_cmd(&[]);
        for number in 3..12 {
            cmd = cmd.with_fd(number, &leak);
        }
        let out = cmd.run();
        assert!(
            out.code() != 0 || out.stdout.is_empty(),
            "descriptor {k} was executed: {}",
            out.stdout
        );
    }
}

/// The init between create and start: stdio and what carries the start order, no directory, nothing of the host.
fn waiting_init_holds_nothing(t: &T) {
    let leak = fs::File::open("/").unwrap();
    let bundle = t.bundle().probe(&["sleep"]);
    let id = t.id();
    let file = t.path("pid");
    let mut cmd = bundle.create_cmd(&id, &["--pid-file", &file.to_string_lossy()]);
    for number in 3..41 {
        cmd = cmd.with_fd(number, &leak);
    }
    cmd.run().ok();
    let pid: i32 = fs::read_to_string(&file).unwrap().parse().unwrap();
    let fds = witness::descriptors(pid);
    for (number, target) in fds.iter().filter(|(number, _)| **number > 2) {
        let harmless = ["socket:", "pipe:", "anon_inode:", "/memfd:"]
            .iter()
            .any(|prefix| target.starts_with(prefix));
        assert!(
            harmless || target.ends_with("exec.fifo"),
            "fd {number} is {target}: {fds:?}"
        );
    }
    if !t.foreign() {
        let status = witness::status(pid);
        assert_eq!(status["Threads"], "1");
        // Not dumpable: its /proc files belong to root even for a user with its uid.
        let limit = |key: &str| {
            status[key]
                .split_whitespace()
                .next()
                .unwrap()
                .parse::<u64>()
                .unwrap()
        };
        println!(
            "# waiting init: VmRSS {} kB, {} fds",
            limit("VmRSS"),
            fds.len()
        );
        let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
        for line in rollup
            .lines()
            .filter(|line| line.starts_with("Private_Dirty") || line.starts_with("Pss:"))
        {
            println!("# {line}");
        }
    }
    t.cmd(&["delete", "--force", &id]).run().ok();
}

/// CVE-2019-5736: what runs in the container is not the inode of the runtime, and cannot be written.
fn runtime_binary_is_out_of_reach(t: &T) {
    only_ocilet(t);
    let c = t.bundle().probe(&["sleep"]).create();
    let own = fs::metadata(&t.ocilet).unwrap();
    let exe = fs::metadata(format!("/proc/{}/exe", c.pid())).unwrap();
    assert_ne!((exe.dev(), exe.ino()), (own.dev(), own.ino()));
    let open = fs::OpenOptions::new()
        .write(true)
        .open(format!("/proc/{}/exe", c.pid()));
    if let Ok(file) = open {
        // The seals stop a write even where the open is allowed.
        assert!(std::io::Write::write_all(&mut &file, b"x").is_err());
    }
    // From inside, in the host's pid namespace, while others are created all the time.
    let watcher = t
        .bundle()
        .without_namespace("pid")
        .probe(&["watch-exe", "1500"])
        .detach();
    for _ in 0..20 {
        t.bundle()
            .without_namespace("pid")
            .probe(&["exit"])
            .run()
            .ok();
    }
    assert_eq!(watcher.wait(), 0);
    let seen = watcher.lines().remove(0);
    println!(
        "# {} executables seen",
        seen["seen"].as_array().unwrap().len()
    );
}

/// Where executable memfds are forbidden, the binary is executed by a read-only mount.
fn runtime_binary_without_memfds(t: &T) {
    only_ocilet(t);
    let bundle = t.bundle().without_namespace("pid").probe(&[
        "sleep",
        "100",
        "--",
        "open",
        "/proc/1/exe",
        "w",
        "--",
        "echo",
        "ran",
    ]);
    let (id, _) = bundle.run_cmd(&[]);
    // The sysctl is one of the pid namespace.
    let script = format!(
        "echo 2 > /proc/sys/vm/memfd_noexec || exit 77; exec \"$0\" --root {} run --bundle {} {id}",
        t.root.display(),
        bundle.dir.display()
    );
    let ocilet = t.ocilet.to_string_lossy();
    let words = ["-p", "-f", "--mount-proc", "sh", "-c", &script, &ocilet];
    let out = t.tool("unshare", &words).run();
    if out.code() == 77 {
        cannot("no vm.memfd_noexec (Linux 6.3)");
    }
    assert!(out.stdout.contains("ran"), "{}{}", out.stdout, out.stderr);
    // ETXTBSY or EROFS, but no success.
    assert_ne!(out.lines()[0]["ok"], true, "{}", out.stdout);
}

/// CVE-2019-5736, the other way: the container's program is /proc/self/exe.
fn entrypoint_is_the_runtime_itself(t: &T) {
    only_ocilet(t);
    let link = t.bundle();
    symlink("/proc/self/exe", link.rootfs().join("link")).unwrap();
    let link = link.edit(|c| c["process"]["args"] = json!(["/link", "--version"]));
    let script = t.bundle();
    let file = script.rootfs().join("script");
    fs::write(&file, "#!/proc/self/exe --version\n").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    let script = script.edit(|c| c["process"]["args"] = json!(["/script"]));
    for bundle in [link, script] {
        // Whatever runs then: the harness checks at the end that the binary is unchanged. The inode that the
        // container got hold of must be the sealed copy.
        let out = bundle.run();
        assert!(
            out.code() != 0 || out.stdout.contains("version") || out.stdout.is_empty(),
            "{}",
            out.stdout
        );
    }
}

/// A volume with `a` (real) and `b` (link out), exchanged all the time.
fn volume(t: &T, canary: &Path, inner: &str) -> (PathBuf, Swap) {
    let vol = t.path(&format!("vol{}", t.next()));
    fs::create_dir_all(vol.join("a").join(inner)).unwrap();
    symlink(canary, vol.join("b")).unwrap();
    let swap = Swap::new(vol.join("a"), vol.join("b"));
    (vol, swap)
}

/// Many of them while the swap goes on; `created` makes one, and tells whether that went well.
fn rounds(canary: &Canary, swap: &Swap, mut created: impl FnMut() -> bool) {
    let good = (0..ROUNDS)
        .filter(|_| {
            let created = created();
            canary.intact();
            created
        })
        .count();
    println!(
        "# {good} created, {} refused, {} exchanges",
        ROUNDS - good,
        swap.rounds()
    );
    assert!(swap.rounds() > 100);
}

/// CVE-2021-30465.
fn swapped_destination(t: &T) {
    only_ocilet(t);
    let canary = Canary::new(t);
    let (vol, swap) = volume(t, &canary.dir, "x");
    let source = t.path("source");
    fs::create_dir(&source).unwrap();
    let mut bundle =
        t.bundle()
            .probe(&["exit"])
            .mount("/vol", "bind", &vol.to_string_lossy(), &["rbind"]);
    for n in 0..10 {
        bundle = bundle.mount(
            &format!("/vol/a/x{n}"),
            "bind",
            &source.to_string_lossy(),
            &["bind"],
        );
    }
    rounds(&canary, &swap, || {
        attempt(t, &bundle, |pid| no_canary(pid, &canary)).0
    });
}

/// CVE-2024-45310.
fn swapped_parent_of_new_directories(t: &T) {
    only_ocilet(t);
    let canary = Canary::new(t);
    let (vol, swap) = volume(t, &canary.dir, "x");
    let file = t.path("file");
    fs::write(&file, "").unwrap();
    let mut round = 0;
    rounds(&canary, &swap, || {
        round += 1;
        let bundle = t
            .bundle()
            .probe(&["exit"])
            .mount("/vol", "bind", &vol.to_string_lossy(), &["rbind"])
            .mount(&format!("/vol/a/n{round}/1/2/3/4/5"), "tmpfs", "tmpfs", &[])
            .mount(
                &format!("/vol/a/f{round}/1/2/file"),
                "bind",
                &file.to_string_lossy(),
                &["bind"],
            );
        let (created, _) = attempt(t, &bundle, |pid| no_canary(pid, &canary));
        fs::remove_dir_all(&bundle.dir).unwrap();
        created
    });
}

/// CVE-2019-19921 with two containers that share a volume.
fn swapped_proc(t: &T) {
    only_ocilet(t);
    let canary = Canary::new(t);
    let bundle = t.bundle().probe(&["exit"]).edit(|c| {
        c["linux"]["maskedPaths"] = json!(["/proc/version"]);
        c["linux"]["readonlyPaths"] = json!(["/proc/sys"]);
        c["linux"]["sysctl"] = json!({"kernel.msgmax": "4096"});
    });
    let rootfs = bundle.rootfs();
    symlink(canary.path("d"), rootfs.join("proc2")).unwrap();
    let swap = Swap::new(rootfs.join("proc"), rootfs.join("proc2"));
    rounds(&canary, &swap, || {
        let (created, _) = attempt(t, &bundle, |pid| {
            no_canary(pid, &canary);
            let mounts = witness::mountinfo(pid).unwrap();
            let masked = mounts.iter().any(|m| m.target.ends_with("/version"));
            let sys = mounts
                .iter()
                .any(|m| m.target.ends_with("/sys") && m.has("ro"));
            assert!(masked && sys, "created without its masks: {mounts:#?}");
        });
        created
    });
}

/// GHSA-3q8j-pf29-vwv8.
fn swapped_readonly_path(t: &T) {
    only_ocilet(t);
    let canary = Canary::new(t);
    let (vol, swap) = volume(t, &canary.path("d"), "sub");
    let bundle = t
        .bundle()
        .probe(&["exit"])
        .mount("/vol", "bind", &vol.to_string_lossy(), &["rbind"])
        .edit(|c| c["linux"]["readonlyPaths"] = json!(["/vol/a", "/vol/a/sub"]));
    rounds(&canary, &swap, || {
        attempt(t, &bundle, |pid| no_canary(pid, &canary)).0
    });
}

/// CVE-2025-31133, CVE-2025-52565: a shared /dev whose entries are exchanged.
fn swapped_dev_and_masks(t: &T) {
    only_ocilet(t);
    let canary = Canary::new(t);
    let dev = t.path("dev");
    fs::create_dir(&dev).unwrap();
    kernel::mknod(dev.join("null"), libc::S_IFCHR | 0o666, 1, 3).unwrap();
    symlink("/proc/sys/kernel/core_pattern", dev.join("other")).unwrap();
    let swap = Swap::new(dev.join("null"), dev.join("other"));
    let pattern = fs::read("/proc/sys/kernel/core_pattern").unwrap();
    let bundle = t
        .bundle()
        .probe(&["write", "/proc/version", "evil"])
        .edit(|c| {
            c["mounts"][1] =
                json!({"destination": "/dev", "type": "bind", "source": dev, "options": ["rbind"]});
            c["linux"]["maskedPaths"] = json!(["/proc/version", "/proc/keys"]);
        });
    rounds(&canary, &swap, || {
        let (created, _) = attempt(t, &bundle, |pid| {
            for mount in witness::mountinfo(pid).unwrap() {
                assert!(!mount.root.contains("core_pattern"), "{mount:?}");
            }
        });
        assert_eq!(fs::read("/proc/sys/kernel/core_pattern").unwrap(), pattern);
        created
    });
}

/// CVE-2026-87766: no name of the root reaches the old one while it is being built.
fn links_to_the_old_root(t: &T) {
    only_ocilet(t);
    let canary = Canary::new(t);
    let file = t.path("file");
    fs::write(&file, "").unwrap();
    let out = canary.dir.to_string_lossy().into_owned();
    for target in [
        "/proc/self/root",
        "/proc/1/root",
        "../../..",
        "/oldroot",
        "/.oldroot",
        "/proc/self/cwd",
        "/proc/self/fd/3",
        "/proc/thread-self/root",
    ] {
        for place in [
            format!("/a{out}/made"),
            format!("/a{out}/d"),
            format!("/a{out}/f"),
        ] {
            let bundle = t.bundle().probe(&["exit"]);
            symlink(target, bundle.rootfs().join("a")).unwrap();
            let bundle = if place.ends_with("/f") {
                bundle.mount(&place, "bind", &file.to_string_lossy(), &["bind"])
            } else {
                bundle.mount(&place, "tmpfs", "tmpfs", &[])
            };
            attempt(t, &bundle, |pid| no_canary(pid, &canary));
            canary.intact();
        }
    }
}

/// CVE-2025-52881: other procfs files are mounted over those that the runtime writes.
fn overmounted_proc_of_the_host(t: &T) {
    only_ocilet(t);
    let holes = [
        "/proc/sys/kernel/msgmax",
        "/proc/self/oom_score_adj",
        "/proc/sys/kernel/hostname",
        "/proc/sys/kernel/domainname",
    ];
    let bait = "/proc/sys/kernel/core_pattern";
    let before = fs::read(bait).unwrap();
    let mut made = Vec::new();
    for hole in holes {
        if kernel::mount(bait, hole, "", libc::MS_BIND, "").is_ok() {
            made.push(hole);
        }
    }
    if made.is_empty() {
        cannot("this kernel refuses mounts on procfs files");
    }
    let out = t
        .bundle()
        .edit(|c| {
            c["linux"]["sysctl"] = json!({"kernel.msgmax": "4097"});
            c["process"]["oomScoreAdj"] = json!(321);
        })
        .probe(&["report", "--", "read", "/proc/sys/kernel/msgmax"])
        .run();
    let after = fs::read(bait).unwrap();
    for hole in made {
        kernel::unmount(hole).unwrap();
    }
    assert_eq!(
        after, before,
        "the runtime wrote through a mount over its own /proc"
    );
    if out.code() == 0 {
        assert_eq!(out.json()["oom"], "321");
        assert_eq!(out.lines()[1]["data"], "4097\n");
        assert_eq!(out.json()["uts"]["host"], "inside");
    }
}

/// CVE-2020-15257.
fn abstract_sockets(t: &T) {
    // Where nobody else has any.
    kernel::unshare(libc::CLONE_NEWNET).unwrap();
    let count = || {
        let text = fs::read_to_string("/proc/thread-self/net/unix").unwrap();
        text.lines().filter(|line| line.contains(" @")).count()
    };
    let before = count();
    let c = t
        .bundle()
        .without_namespace("network")
        .probe(&["sleep"])
        .create();
    assert_eq!(count(), before);
    c.start();
    assert_eq!(count(), before);
}

/// Never setuid: a copy with the bit does nothing, whoever calls it.
fn setuid_copy_refuses(t: &T) {
    only_ocilet(t);
    let copy = t.path("copy");
    fs::copy(&t.ocilet, &copy).unwrap();
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o4755)).unwrap();
    let bundle = t.bundle();
    bundle.write();
    let dir = bundle.dir.to_string_lossy().into_owned();
    let out = crate::runtime::Cmd::new(t, &copy, &["run", "-b", &dir, "x"])
        .before_exec(|| {
            // SAFETY: plain numbers.
            unsafe {
                kernel::check(libc::setgid(1000))
                    .and_then(|_| kernel::check(libc::setuid(1000)))
                    .map(drop)
            }
        })
        .run();
    assert_eq!(out.code(), 1, "{}", out.stderr);
    assert!(
        out.stderr.contains("setuid") || out.stderr.contains("set-user-ID"),
        "{}",
        out.stderr
    );
}

/// What strace says of these calls of `run`.
fn traced_run(t: &T, bundle: &Bundle<'_>, calls: &str) -> String {
    t.facts.need_tool("strace");
    bundle.write();
    let (dir, root, id) = (
        bundle.dir.to_string_lossy(),
        t.root.to_string_lossy(),
        t.id(),
    );
    let trace = t.path("trace");
    let (ocilet, file) = (t.ocilet.to_string_lossy(), trace.to_string_lossy());
    t.tool(
        "strace",
        &[
            "-f", "-qq", "-o", &file, "-e", calls, &ocilet, "--root", &root, "run", "-b", &dir, &id,
        ],
    )
    .run()
    .ok();
    fs::read_to_string(trace).unwrap()
}

/// CVE-2025-52881, CVE-2019-16884: nothing is opened for writing by a path that starts with /proc.
fn writes_by_descriptor_only(t: &T) {
    only_ocilet(t);
    let bundle = t.bundle().probe(&["exit"]).edit(|c| {
        c["linux"]["sysctl"] = json!({"kernel.msgmax": "4096"});
        c["process"]["oomScoreAdj"] = json!(5);
        c["linux"]["maskedPaths"] = json!(["/proc/version"]);
        c["linux"]["readonlyPaths"] = json!(["/proc/sys"]);
    });
    let text = traced_run(t, &bundle, "trace=open,openat,openat2,creat");
    for line in text.lines() {
        let writes = line.contains("O_WRONLY") || line.contains("O_RDWR");
        assert!(!(writes && line.contains("\"/proc/")), "{line}");
    }
}

/// CVE-2019-14271: nothing of the root is executed or loaded before the program itself.
fn rootfs_is_never_code(t: &T) {
    only_ocilet(t);
    let bundle = t.bundle().probe(&["exit"]);
    let text = traced_run(t, &bundle, "trace=execve,execveat,clone,clone3,fork,vfork");
    let execs: Vec<&str> = text
        .lines()
        .filter(|line| line.contains("exec") && !line.contains("= -1"))
        .collect();
    // strace's own exec of ocilet, the sealed copy, the program.
    assert!(execs.len() <= 3, "{execs:#?}");
    assert!(execs.last().unwrap().contains("/bin/probe"), "{execs:#?}");
}
