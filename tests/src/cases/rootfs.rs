//! The root of the container and its /dev: read-only root, propagation, pivot, device nodes, masked and read-only paths.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

use serde_json::json;

use crate::caller::Caller;
use crate::case::{Case, cannot, case};
use crate::harness::T;
use crate::kernel;
use crate::runtime::Out;

pub const CASES: &[Case] = &[
    case!(root_is_the_rootfs_and_nothing_else),
    case!(read_only_root),
    case!(root_path_absolute_relative_and_linked),
    case!(rootfs_propagation),
    case!(no_pivot),
    case!(host_mounts_are_unchanged),
    case!(default_devices),
    case!(default_links),
    case!(devices_in_a_plain_dev),
    case!(configured_devices),
    case!(configured_devices_of_the_host),
    case!(devices_that_conflict),
    case!(devices_ignore_the_umask),
    case!(bound_dev_is_left_alone),
    case!(dev_read_only),
    case!(masked_paths),
    case!(masked_paths_many_and_missing),
    case!(readonly_paths),
    case!(paths_need_a_mount_namespace),
    case!(no_mount_namespace),
    case!(rootfs_on_overlay),
];

fn root_is_the_rootfs_and_nothing_else(t: &T) {
    let bundle = t.bundle();
    fs::write(bundle.rootfs().join("marker"), "").unwrap();
    let out = bundle
        .probe(&["report", "--", "ls", "/", "--", "stat", "/.."])
        .run()
        .ok();
    let lines = out.lines();
    let names: Vec<String> = serde_json::from_value(lines[1]["names"].clone()).unwrap();
    assert_eq!(names, ["bin", "dev", "etc", "marker", "proc", "sys", "tmp"]);
    let mounts: Vec<&str> = lines[0]["mounts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|mount| mount["target"].as_str().unwrap())
        // Devices, where they are bound from the host.
        .filter(|target| !target.starts_with("/dev/"))
        .collect();
    assert_eq!(mounts, ["/", "/proc", "/dev"], "{}", lines[0]["mounts"]);
}

fn read_only_root(t: &T) {
    let out = t
        .bundle()
        .edit(|c| c["root"]["readonly"] = json!(true))
        .mount("/tmp", "tmpfs", "tmpfs", &[])
        .probe(&[
            "create", "/x", "--", "create", "/tmp/x", "--", "create", "/dev/x", "--", "report",
        ])
        .run();
    let lines = out.lines();
    assert_eq!(lines[0]["errno"], "EROFS", "{}", out.stderr);
    assert_eq!(lines[1]["ok"], true);
    assert_eq!(lines[2]["ok"], true);
    assert!(
        lines[3]["mounts"][0]["options"]
            .to_string()
            .contains("\"ro\"")
    );
    // Mount points and nodes are made before the root becomes read-only.
    t.bundle()
        .edit(|c| c["root"]["readonly"] = json!(true))
        .mount("/made/here", "tmpfs", "tmpfs", &[])
        .probe(&["create", "/made/here/x"])
        .run()
        .ok();
}

fn root_path_absolute_relative_and_linked(t: &T) {
    let bundle = t.bundle();
    let absolute = bundle.rootfs().to_string_lossy().into_owned();
    bundle
        .edit(|c| c["root"]["path"] = json!(absolute))
        .probe(&["exit"])
        .run()
        .ok();
    let bundle = t.bundle();
    fs::rename(bundle.rootfs(), bundle.dir.join("other")).unwrap();
    symlink("other", bundle.rootfs()).unwrap();
    let bundle = bundle
        .edit(|c| c["root"]["path"] = json!("./other/"))
        .probe(&["exit"]);
    bundle.run().ok();
    if t.foreign() {
        return;
    }
    t.bundle()
        .edit(|c| c["root"]["path"] = json!("bin/probe"))
        .create_fails(&["root"]);
    t.bundle()
        .edit(|c| c["root"]["path"] = json!(""))
        .create_fails(&["root", "path"]);
    t.bundle()
        .edit(|c| c["root"] = json!({}))
        .create_fails(&["root"]);
    t.bundle()
        .edit(|c| {
            c.as_object_mut().unwrap().remove("root");
        })
        .create_fails(&["root"]);
}

fn rootfs_propagation(t: &T) {
    if t.foreign() {
        return;
    }
    for (word, tag) in [
        ("shared", if t.foreign() { "" } else { "shared:" }),
        ("unbindable", "unbindable"),
        ("private", ""),
        ("slave", ""),
    ] {
        let c = t
            .bundle()
            .edit(|c| c["linux"]["rootfsPropagation"] = json!(word))
            .probe(&["sleep"])
            .create();
        let mount = c.mount_at("/");
        if tag.is_empty() {
            assert!(
                !mount.tagged("shared:") && !mount.tagged("unbindable"),
                "{word}: {mount:?}"
            );
        } else {
            assert!(mount.tagged(tag), "{word}: {mount:?}");
        }
    }
    if !t.foreign() {
        t.bundle()
            .edit(|c| c["linux"]["rootfsPropagation"] = json!("public"))
            .create_fails(&["rootfsPropagation"]);
    }
}

fn no_pivot(t: &T) {
    let out = t
        .bundle()
        .probe(&[
            "report", "--", "ls", "/", "--", "open", "/etc", "--", "stat", "/..",
        ])
        .run_with(&["--no-pivot"])
        .ok();
    assert!(
        !out.lines()[1]["names"].to_string().contains("ocilet-tests"),
        "{}",
        out.stdout
    );
    let inode = |line: usize, path: &str| {
        let _ = path;
        out.lines()[line]["ino"].clone()
    };
    assert!(inode(3, "/..").is_u64());
    assert_eq!(out.json()["cwd"], "/");
}

fn host_mounts_are_unchanged(t: &T) {
    // Shared, as on a machine with systemd: whatever the runtime mounts must not come back.
    kernel::mount("", "/", "", libc::MS_REC | libc::MS_SHARED, "").unwrap();
    let shape = || -> Vec<String> {
        crate::witness::mountinfo("self")
            .unwrap()
            .iter()
            .map(|m| format!("{} {:?} {:?}", m.target, m.options, m.tags))
            .collect()
    };
    let before = shape();
    let c = t
        .bundle()
        .mount("/m", "tmpfs", "tmpfs", &[])
        .probe(&["sleep"])
        .create();
    assert_eq!(shape(), before);
    c.start();
    assert_eq!(shape(), before);
    drop(c);
    t.bundle().probe(&["exit"]).run_with(&["--no-pivot"]).ok();
    assert_eq!(shape(), before);
    kernel::mount("", "/", "", libc::MS_REC | libc::MS_PRIVATE, "").unwrap();
}

const DEVICES: [(&str, u32, u32); 6] = [
    ("null", 1, 3),
    ("zero", 1, 5),
    ("full", 1, 7),
    ("random", 1, 8),
    ("urandom", 1, 9),
    ("tty", 5, 0),
];

fn check_devices(t: &T, out: &Out) {
    // Those of the host, bound where none can be made, belong to nobody that the namespace knows.
    let owner = match *t.caller {
        Caller::Root => 0,
        _ => 65534,
    };
    for (line, (name, major, minor)) in out.lines().iter().zip(DEVICES) {
        assert_eq!(line["type"], "char", "{name}: {line}");
        assert_eq!(line["rdev"], json!([major, minor]), "{name}");
        assert_eq!(line["mode"], 0o666, "{name}");
        assert_eq!(
            (&line["uid"], &line["gid"]),
            (&json!(owner), &json!(owner)),
            "{name}"
        );
    }
}

fn stat_devices() -> Vec<String> {
    DEVICES
        .iter()
        .flat_map(|(name, ..)| ["--".into(), "lstat".into(), format!("/dev/{name}")])
        .skip(1)
        .collect()
}

fn default_devices(t: &T) {
    let words = stat_devices();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    check_devices(t, &t.bundle().probe(&words).run().ok());
    let out = t
        .bundle()
        .probe(&[
            "open",
            "/dev/null",
            "rw",
            "--",
            "write",
            "/dev/full",
            "x",
            "--",
            "ls",
            "/dev",
        ])
        .run();
    assert_eq!(out.lines()[0]["ok"], true);
    assert_eq!(out.lines()[1]["errno"], "ENOSPC");
    let names = out.lines()[2]["names"].clone();
    assert!(
        !names.to_string().contains("console"),
        "no terminal, no console: {names}"
    );
}

fn default_links(t: &T) {
    let dev = t.report(|_| ())["dev"].clone();
    for (name, target) in [
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
        ("ptmx", "pts/ptmx"),
    ] {
        assert_eq!(dev[name], target, "{dev}");
    }
}

fn devices_in_a_plain_dev(t: &T) {
    let words = stat_devices();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let bundle = t
        .bundle()
        .edit(|c| {
            c["mounts"].as_array_mut().unwrap().pop();
        })
        .probe(&words);
    // The first run makes them in the rootfs, the second finds them.
    check_devices(t, &bundle.run().ok());
    check_devices(t, &bundle.run().ok());
    assert_eq!(
        fs::read_link(bundle.rootfs().join("dev/ptmx"))
            .unwrap()
            .to_str(),
        Some("pts/ptmx")
    );
    // Where none can be made an empty file is left in its place, which the next run is bound over: by whoever.
    fs::remove_file(bundle.rootfs().join("dev/zero")).unwrap();
    fs::write(bundle.rootfs().join("dev/zero"), "").unwrap();
    bundle.run().ok();
    // A node that is something else is an error.
    fs::remove_file(bundle.rootfs().join("dev/zero")).unwrap();
    fs::write(bundle.rootfs().join("dev/zero"), "x").unwrap();
    if !t.foreign() {
        bundle.create_fails(&["/dev/zero"]);
    }
}

fn configured_devices(t: &T) {
    let foreign = t.foreign();
    let out = t
        .bundle()
        .edit(|c| {
            c["linux"]["devices"] = json!([
                {"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229, "fileMode": 0o640, "uid": 5, "gid": 6},
                {"path": "/dev/sub/loop", "type": "b", "major": 7, "minor": 0},
                {"path": "/elsewhere/fifo", "type": "p", "fileMode": 0o600},
                {"path": "/dev/raw", "type": "u", "major": 1, "minor": 11, "fileMode": 0},
            ]);
            if !foreign {
                let null = json!({"path": "/dev/null", "type": "c", "major": 1, "minor": 3, "fileMode": 0o444, "uid": 9});
                c["linux"]["devices"].as_array_mut().unwrap().push(null);
            }
        })
        .probe(&["stat", "/dev/fuse", "--", "stat", "/dev/sub/loop", "--", "stat", "/elsewhere/fifo", "--", "stat",
                 "/dev/raw", "--", "stat", "/dev/null"])
        .run()
        .ok();
    let lines = out.lines();
    let seen = |n: usize| {
        let l = &lines[n];
        format!(
            "{} {} {:o} {}:{}",
            l["type"].as_str().unwrap(),
            l["rdev"],
            l["mode"].as_u64().unwrap(),
            l["uid"],
            l["gid"]
        )
    };
    assert_eq!(seen(0), "char [10,229] 640 5:6");
    assert_eq!(seen(1), "block [7,0] 666 0:0");
    assert_eq!(seen(2), "fifo [0,0] 600 0:0");
    if !t.foreign() {
        assert_eq!(seen(3), "char [1,11] 0 0:0");
        assert_eq!(seen(4), "char [1,3] 444 9:0");
    }
}

/// They are made, or bound where the caller can make none.
fn configured_devices_of_the_host(t: &T) {
    let numbers = |path: &str| {
        let number = fs::metadata(path).ok()?.rdev();
        Some((libc::major(number), libc::minor(number)))
    };
    let disk = fs::read_dir("/sys/block").ok().and_then(|disks| {
        let names = disks.flatten().map(|disk| disk.file_name());
        let mut paths = names.map(|name| format!("/dev/{}", name.to_string_lossy()));
        paths.find(|path| fs::exists(path).unwrap_or(false))
    });
    let mut devices = vec![
        ("/dev/kmsg".to_owned(), "c", "char"),
        ("/dev/zero".to_owned(), "u", "char"),
    ];
    devices.extend(disk.map(|disk| (disk, "b", "block")));
    let entries = devices.iter().map(|(path, kind, _)| {
        let (major, minor) = numbers(path).unwrap();
        json!({"path": path, "type": kind, "major": major, "minor": minor, "fileMode": 0o640, "uid": 5, "gid": 6})
    });
    let mut entries: Vec<_> = entries.collect();
    entries.push(json!({"path": "/elsewhere/fifo", "type": "p", "fileMode": 0o600}));
    let mut words = vec!["stat", "/elsewhere/fifo"];
    for (path, ..) in &devices {
        words.extend(["--", "stat", path]);
    }
    let bundle = t.bundle().edit(|c| c["linux"]["devices"] = json!(entries));
    let lines = bundle.probe(&words).run().ok().lines();
    assert_eq!(lines[0]["type"], "fifo");
    for (line, (path, _, kind)) in lines[1..].iter().zip(&devices) {
        let (major, minor) = numbers(path).unwrap();
        assert_eq!(line["type"], *kind, "{path}");
        assert_eq!(line["rdev"], json!([major, minor]), "{path}");
        let made = [json!(5), json!(6), json!(0o640)];
        let found = ["uid", "gid", "mode"].map(|key| line[key].clone());
        assert_eq!(found == made, t.caller.is_root(), "{path}: {line}");
    }
}

fn devices_that_conflict(t: &T) {
    if t.foreign() {
        return;
    }
    let bad = |device: serde_json::Value, words: &[&str]| {
        t.bundle()
            .edit(|c| c["linux"]["devices"] = json!([device]))
            .create_fails(words);
    };
    bad(
        json!({"path": "/dev/x", "type": "z", "major": 1, "minor": 3}),
        &["devices[0].type"],
    );
    bad(
        json!({"path": "/dev/x", "type": "c"}),
        &["devices[0]", "major"],
    );
    bad(
        json!({"path": "dev/x", "type": "c", "major": 1, "minor": 3}),
        &["devices[0].path"],
    );
    bad(
        json!({"path": "/bin/probe", "type": "c", "major": 1, "minor": 3}),
        &["/bin/probe"],
    );
}

fn devices_ignore_the_umask(t: &T) {
    let words = stat_devices();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let (_, cmd) = t.bundle().probe(&words).run_cmd(&[]);
    let out = cmd
        .before_exec(|| {
            // SAFETY: plain number.
            unsafe { libc::umask(0o077) };
            Ok(())
        })
        .run()
        .ok();
    check_devices(t, &out);
}

fn bound_dev_is_left_alone(t: &T) {
    let source = t.path("dev");
    fs::create_dir(&source).unwrap();
    fs::write(source.join("ptmx"), "mine").unwrap();
    kernel::mknod(source.join("null"), libc::S_IFCHR | 0o666, 1, 3).unwrap();
    let out = t
        .bundle()
        .edit(|c| {
            c["mounts"][1] = json!({"destination": "/dev", "type": "bind", "source": source, "options": ["rbind"]});
        })
        .probe(&["ls", "/dev", "--", "read", "/dev/ptmx"])
        .run()
        .ok();
    assert_eq!(out.lines()[0]["names"], json!(["null", "ptmx"]));
    assert_eq!(out.lines()[1]["data"], "mine");
}

fn dev_read_only(t: &T) {
    let words = stat_devices();
    let mut words: Vec<&str> = words.iter().map(String::as_str).collect();
    words.extend(["--", "create", "/dev/x"]);
    let out = t
        .bundle()
        .edit(|c| {
            c["mounts"][1]["options"]
                .as_array_mut()
                .unwrap()
                .push(json!("ro"))
        })
        .probe(&words)
        .run();
    check_devices(t, &out);
    assert_eq!(out.lines()[6]["errno"], "EROFS", "{}", out.stderr);
}

fn masked_paths(t: &T) {
    let bundle = t.bundle();
    fs::create_dir(bundle.rootfs().join("secrets")).unwrap();
    fs::write(bundle.rootfs().join("secrets/key"), "secret").unwrap();
    fs::write(bundle.rootfs().join("secret"), "secret").unwrap();
    let out = bundle
        .edit(|c| {
            c["linux"]["maskedPaths"] = json!([
                "/secrets",
                "/secret",
                "/proc/version",
                "/proc/sys",
                "/not/there"
            ])
        })
        .probe(&[
            "ls",
            "/secrets",
            "--",
            "create",
            "/secrets/x",
            "--",
            "stat",
            "/secret",
            "--",
            "read",
            "/secret",
            "--",
            "stat",
            "/proc/version",
            "--",
            "ls",
            "/proc/sys",
            "--",
            "report",
        ])
        .run();
    let lines = out.lines();
    assert_eq!(lines[0]["names"], json!([]), "{}", out.stderr);
    assert_eq!(lines[1]["errno"], "EROFS");
    assert_eq!(lines[2]["rdev"], json!([1, 3]), "{}", out.stdout);
    assert_eq!(lines[3]["data"], "");
    assert_eq!(lines[4]["rdev"], json!([1, 3]));
    assert_eq!(lines[5]["names"], json!([]));
    assert_eq!(
        fs::read_to_string(bundle_path(t).join("rootfs/secret")).unwrap(),
        "secret"
    );
}

/// The directory of the first bundle of this case.
fn bundle_path(t: &T) -> std::path::PathBuf {
    t.path("b1")
}

fn masked_paths_many_and_missing(t: &T) {
    let bundle = t.bundle();
    let mut list = Vec::new();
    for n in 0..150 {
        fs::create_dir(bundle.rootfs().join(format!("d{n}"))).unwrap();
        fs::write(bundle.rootfs().join(format!("f{n}")), "x").unwrap();
        list.extend([
            format!("/d{n}"),
            format!("/f{n}"),
            format!("/missing{n}"),
            format!("/d{n}"),
        ]);
    }
    let c = bundle
        .edit(|c| c["linux"]["maskedPaths"] = json!(list))
        .probe(&["sleep"])
        .create();
    let mounts = c.mounts();
    for n in 0..150 {
        for place in [format!("/d{n}"), format!("/f{n}")] {
            assert!(mounts.iter().any(|mount| mount.target == place), "{place}");
        }
    }
    if !t.foreign() {
        t.bundle()
            .edit(|c| c["linux"]["maskedPaths"] = json!(["relative"]))
            .create_fails(&["maskedPaths[0]"]);
    }
}

fn readonly_paths(t: &T) {
    let bundle = t.bundle();
    fs::create_dir_all(bundle.rootfs().join("ro/sub")).unwrap();
    fs::write(bundle.rootfs().join("ro/sub/f"), "x").unwrap();
    fs::write(bundle.rootfs().join("file"), "x").unwrap();
    let c = bundle
        .mount("/flags", "tmpfs", "tmpfs", &["nosuid", "nodev", "noexec"])
        .edit(|c| {
            c["linux"]["readonlyPaths"] =
                json!(["/ro", "/file", "/proc/sys", "/flags", "/not/there"])
        })
        .probe(&[
            "create",
            "/ro/sub/x",
            "--",
            "write",
            "/ro/sub/f",
            "y",
            "--",
            "write",
            "/file",
            "y",
            "--",
            "write",
            "/proc/sys/kernel/hostname",
            "y",
            "--",
            "create",
            "/flags/x",
            "--",
            "read",
            "/file",
            "--",
            "sleep",
        ])
        .create();
    c.start();
    c.until("data");
    let lines = c.lines();
    for line in &lines[..5] {
        // Who has no right to it anyway is told so first.
        let unwritable = ["EROFS", "EACCES"];
        let known = match *t.caller {
            Caller::Root => &unwritable[..1],
            _ => &unwritable[..],
        };
        assert!(known.iter().any(|name| line["errno"] == *name), "{lines:?}");
    }
    assert_eq!(lines[5]["data"], "x");
    let flags = c.mount_at("/flags");
    assert!(
        ["ro", "nosuid", "nodev", "noexec"]
            .iter()
            .all(|word| flags.has(word)),
        "{flags:?}"
    );
    let sys = c.mount_at("/proc/sys");
    assert_eq!((&*sys.kind, &*sys.root), ("proc", "/sys"));
}

fn paths_need_a_mount_namespace(t: &T) {
    if t.foreign() {
        return;
    }
    for key in ["maskedPaths", "readonlyPaths"] {
        t.bundle()
            .without_namespace("mount")
            .edit(|c| {
                c["mounts"] = json!([]);
                c["linux"][key] = json!(["/proc/kcore"]);
            })
            .create_fails(&["mount namespace|mount"]);
    }
}

fn no_mount_namespace(t: &T) {
    if t.foreign() {
        return;
    }
    let bundle = t
        .bundle()
        .without_namespace("mount")
        .edit(|c| c["mounts"] = json!([]))
        .probe(&["ls", "/"]);
    // Plain chroot: allowed by runc and crun. What must never happen is a mount in the namespace of the caller.
    let before = crate::witness::mountinfo("self").unwrap().len();
    let out = bundle.run();
    assert_eq!(crate::witness::mountinfo("self").unwrap().len(), before);
    if out.code() == 0 {
        assert!(out.stdout.contains("\"bin\""), "{}", out.stdout);
    }
}

fn rootfs_on_overlay(t: &T) {
    let bundle = t.bundle();
    let (upper, work, merged) = (
        t.path("mnt/upper"),
        t.path("mnt/work"),
        t.path("mnt/merged"),
    );
    fs::create_dir_all(t.path("mnt")).unwrap();
    kernel::mount("layers", t.path("mnt"), "tmpfs", 0, "").unwrap();
    for dir in [&upper, &work, &merged] {
        fs::create_dir_all(dir).unwrap();
    }
    let data = format!(
        "lowerdir={},upperdir={},workdir={}",
        bundle.rootfs().display(),
        upper.display(),
        work.display()
    );
    if let Err(error) = kernel::mount("overlay", &merged, "overlay", 0, &data) {
        cannot(format!("no overlayfs: {error}"));
    }
    let out = bundle
        .edit(|c| c["root"]["path"] = json!(merged))
        .mount("/m/n", "tmpfs", "tmpfs", &[])
        .probe(&["create", "/made", "--", "report"])
        .run()
        .ok();
    assert_eq!(out.lines()[1]["mounts"][0]["kind"], "overlay");
    let made = fs::metadata(upper.join("made")).unwrap();
    assert_eq!(made.uid(), t.caller.id(0));
    assert_eq!(made.permissions().mode() & 0o777, 0o644);
}
