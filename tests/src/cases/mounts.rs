//! `mounts`: every option, seen from inside and from the host; destinations; sources; what may not be mounted where.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;

use serde_json::{Value, json};

use crate::bundle::{Bundle, Container};
use crate::case::{Case, cannot, case};
use crate::harness::T;
use crate::kernel;
use crate::witness::Mount;

pub const CASES: &[Case] = &[
    case!(options_of_a_new_file_system),
    case!(options_of_a_bind),
    case!(later_options_win),
    case!(recursive_options),
    case!(recursive_options_taken_away),
    case!(recursive_options_on_one_level_only),
    case!(propagation_options),
    case!(propagation_works),
    case!(inside_and_outside_agree),
    case!(bind_keeps_the_source),
    case!(bind_of_a_file),
    case!(bind_of_a_file_on_a_directory),
    case!(bind_of_special_files),
    case!(bind_source_relative_to_the_bundle),
    case!(bind_refuses_data),
    case!(rbind_takes_submounts),
    case!(type_bind_alone_is_no_bind),
    case!(mount_points_are_made),
    case!(destinations_are_cleaned),
    case!(mounts_in_order),
    case!(symlinks_inside_the_root),
    case!(dangling_symlinks),
    case!(setgid_root),
    case!(tmpfs_data),
    case!(tmpfs_keeps_the_mode_of_its_place),
    case!(tmpfs_read_only_with_mounts_inside),
    case!(tmpcopyup),
    case!(nosymfollow),
    case!(proc_options),
    case!(sysfs_mqueue_devpts),
    case!(sysfs_of_a_shared_network),
    case!(errors_name_the_mount),
    case!(proc_is_protected, 60),
    case!(lxcfs_files_may_cover_proc),
    case!(hundreds_of_mounts, 60),
    case!(remount),
];

/// The mount at `/m` of a container with these options.
fn one(t: &T, kind: &str, source: &str, options: &[&str]) -> Mount {
    let c = t
        .bundle()
        .mount("/m", kind, source, options)
        .probe(&["sleep"])
        .create();
    c.mount_at("/m")
}

fn options_of_a_new_file_system(t: &T) {
    // (option, must be there, must not be there); a leading `s:` is an option of the file system.
    let table: &[(&str, &str, &str)] = &[
        ("ro", "ro", "rw"),
        ("rw", "rw", "ro"),
        ("nosuid", "nosuid", ""),
        ("suid", "", "nosuid"),
        ("nodev", "nodev", ""),
        ("dev", "", "nodev"),
        ("noexec", "noexec", ""),
        ("exec", "", "noexec"),
        ("sync", "s:sync", ""),
        ("async", "", "s:sync"),
        ("dirsync", "s:dirsync", ""),
        ("mand", "", ""),
        ("nomand", "", ""),
        ("noatime", "noatime", "relatime"),
        ("atime", "", "noatime"),
        ("nodiratime", "nodiratime", ""),
        ("diratime", "", "nodiratime"),
        ("relatime", "relatime", "noatime"),
        ("norelatime", "", "noatime"),
        ("strictatime", "", "relatime"),
        ("nostrictatime", "", "noatime"),
        ("iversion", "", ""),
        ("noiversion", "", ""),
        ("lazytime", "s:lazytime", ""),
        ("nolazytime", "", "s:lazytime"),
        ("silent", "", ""),
        ("loud", "", ""),
        ("defaults", "rw", ""),
    ];
    let mut bundle = t.bundle().probe(&["sleep"]);
    for (option, ..) in table {
        bundle = bundle.mount(&format!("/m/{option}"), "tmpfs", "x", &[option]);
    }
    if t.foreign() {
        bundle.config["mounts"]
            .as_array_mut()
            .unwrap()
            .retain(|entry| entry["options"] != json!(["defaults"]));
    }
    let c = bundle.create();
    for (option, with, without) in table {
        if t.foreign() && *option == "defaults" {
            continue;
        }
        let mount = c.mount_at(&format!("/m/{option}"));
        let holds = |word: &str| match word.strip_prefix("s:") {
            Some(word) => mount.data.iter().any(|each| each == word),
            None => mount.has(word),
        };
        assert_eq!((&*mount.kind, &*mount.source), ("tmpfs", "x"), "{option}");
        assert!(
            with.is_empty() || holds(with),
            "{option}: no {with} in {mount:?}"
        );
        assert!(
            without.is_empty() || !holds(without),
            "{option}: {without} in {mount:?}"
        );
    }
}

fn options_of_a_bind(t: &T) {
    let source = t.path("source");
    fs::create_dir(&source).unwrap();
    let source = source.to_string_lossy().into_owned();
    let options = ["ro", "nosuid", "nodev", "noexec", "noatime", "nodiratime"];
    // How times are kept is locked by the mount namespace above.
    let options = &options[..if t.caller.is_root() { 6 } else { 4 }];
    let mut bundle = t.bundle().probe(&["sleep"]);
    for option in options {
        bundle = bundle.mount(&format!("/m/{option}"), "bind", &source, &["bind", option]);
        bundle = bundle.mount(&format!("/r/{option}"), "none", &source, &["rbind", option]);
    }
    let bundle = bundle.mount("/m/plain", "bind", &source, &["bind"]);
    let bundle = bundle.mount(
        "/m/many",
        "bind",
        &source,
        &["bind", "ro", "nosuid", "nodev", "noexec"],
    );
    let c = bundle.create();
    for &option in options {
        assert!(
            c.mount_at(&format!("/m/{option}")).has(option),
            "bind,{option}"
        );
        assert!(
            c.mount_at(&format!("/r/{option}")).has(option),
            "rbind,{option}"
        );
    }
    let plain = c.mount_at("/m/plain");
    for option in options {
        assert!(!plain.has(option), "{plain:?}");
    }
    let many = c.mount_at("/m/many");
    assert!(
        ["ro", "nosuid", "nodev", "noexec"]
            .iter()
            .all(|word| many.has(word)),
        "{many:?}"
    );
    // The source itself stays as it is.
    assert!(fs::write(t.path("source/x"), "").is_ok());
}

fn later_options_win(t: &T) {
    for (options, with, without) in [
        (&["ro", "rw"][..], "rw", "ro"),
        (&["rw", "ro"], "ro", "rw"),
        (&["noexec", "exec", "noexec"], "noexec", ""),
        (&["noexec", "exec"], "rw", "noexec"),
        (&["noatime", "atime"], "rw", "noatime"),
    ] {
        let mount = one(t, "tmpfs", "tmpfs", options);
        assert!(mount.has(with), "{options:?}: {mount:?}");
        assert!(!mount.has(without), "{options:?}: {mount:?}");
    }
}

/// A directory with a tmpfs in it, on the harness's side.
fn nested(t: &T) -> String {
    let outer = t.path(&format!("mnt/n{}", t.next()));
    fs::create_dir_all(&outer).unwrap();
    kernel::mount("outer", &outer, "tmpfs", 0, "").unwrap();
    fs::create_dir(outer.join("sub")).unwrap();
    kernel::mount("inner", outer.join("sub"), "tmpfs", 0, "").unwrap();
    outer.to_string_lossy().into_owned()
}

fn recursive_options(t: &T) {
    if t.foreign() {
        return;
    }
    let source = nested(t);
    let table = [
        ("rro", "ro", "rw"),
        ("rnosuid", "nosuid", "suid"),
        ("rnodev", "nodev", "dev"),
        ("rnoexec", "noexec", "exec"),
        ("rnoatime", "noatime", "relatime"),
        ("rnodiratime", "nodiratime", "diratime"),
        ("rrelatime", "relatime", "noatime"),
        ("rstrictatime", "rw", "relatime"),
        ("rnosymfollow", "nosymfollow", "symfollow"),
    ];
    if t.facts.kernel < (5, 12) {
        t.bundle()
            .mount("/m", "bind", &source, &["rbind", "rro"])
            .create_fails(&["rro|mount_setattr|function not implemented"]);
        return;
    }
    // How times are kept is locked by the mount namespace above.
    let free = |option: &str| t.caller.is_root() || !option.contains("atime");
    for (option, with, without) in table.into_iter().filter(|row| free(row.0)) {
        let c = t
            .bundle()
            .mount("/m", "bind", &source, &["rbind", option])
            .probe(&["sleep"])
            .create();
        for target in ["/m", "/m/sub"] {
            let mount = c.mount_at(target);
            assert!(mount.has(with), "{option}: {mount:?}");
            assert!(!mount.has(without), "{option}: {mount:?}");
        }
    }
}

/// Off again, where the source has them.
fn recursive_options_taken_away(t: &T) {
    if t.foreign() {
        return;
    }
    t.facts.need_kernel(5, 12, "flags of a whole tree");
    let source = nested(t);
    let sub = format!("{source}/sub");
    let flags = libc::MS_REMOUNT | libc::MS_BIND;
    for (off, word, flag) in [
        ("rrw", "ro", libc::MS_RDONLY),
        ("rsuid", "nosuid", libc::MS_NOSUID),
        ("rdev", "nodev", libc::MS_NODEV),
        ("rexec", "noexec", libc::MS_NOEXEC),
    ] {
        kernel::mount("", &sub, "", flags | flag, "").unwrap();
        let c = t
            .bundle()
            .mount("/m", "bind", &source, &["rbind", off])
            .probe(&["sleep"])
            .create();
        assert!(!c.mount_at("/m/sub").has(word), "{off}");
        drop(c);
        let c = t
            .bundle()
            .mount("/m", "bind", &source, &["rbind"])
            .probe(&["sleep"])
            .create();
        assert!(c.mount_at("/m/sub").has(word), "rbind must keep {word}");
    }
    for option in [
        "ratime",
        "rdiratime",
        "rnorelatime",
        "rnostrictatime",
        "rsymfollow",
    ] {
        t.bundle()
            .mount("/m", "bind", &source, &["rbind", option])
            .probe(&["exit"])
            .run()
            .ok();
    }
}

fn recursive_options_on_one_level_only(t: &T) {
    let source = nested(t);
    let c = t
        .bundle()
        .mount("/m", "bind", &source, &["rbind", "ro"])
        .probe(&["sleep"])
        .create();
    assert!(c.mount_at("/m").has("ro"));
    assert!(c.mount_at("/m/sub").has("rw"), "ro is the top mount only");
}

fn propagation_options(t: &T) {
    let source = t.path("source");
    fs::create_dir(&source).unwrap();
    let name = source.to_string_lossy().into_owned();
    for (option, tag) in [
        ("shared", "shared:"),
        ("rshared", "shared:"),
        ("private", ""),
        ("rprivate", ""),
        ("unbindable", "unbindable"),
        ("runbindable", "unbindable"),
    ] {
        let c = t
            .bundle()
            .edit(|c| c["linux"]["rootfsPropagation"] = json!("shared"))
            .mount("/m", "bind", &name, &["rbind", option])
            .probe(&["sleep"])
            .create();
        let mount = c.mount_at("/m");
        if tag.is_empty() {
            assert!(mount.tags.is_empty(), "{option}: {mount:?}");
        } else {
            assert!(mount.tagged(tag), "{option}: {mount:?}");
        }
    }
    let shared = nested(t);
    kernel::mount("", &shared, "", libc::MS_SHARED | libc::MS_REC, "").unwrap();
    for option in ["slave", "rslave"] {
        let c = t
            .bundle()
            .mount("/m", "bind", &shared, &["rbind", option])
            .probe(&["sleep"])
            .create();
        let mount = c.mount_at("/m");
        assert!(
            mount.tagged("master:") && !mount.tagged("shared:"),
            "{option}: {mount:?}"
        );
        let sub = c.mount_at("/m/sub");
        if option == "rslave" {
            assert!(sub.tagged("master:"), "{option}: {sub:?}");
        }
    }
}

fn propagation_works(t: &T) {
    let source = nested(t);
    kernel::mount("", &source, "", libc::MS_SHARED | libc::MS_REC, "").unwrap();
    fs::create_dir(format!("{source}/later")).unwrap();
    let c = t
        .bundle()
        .mount("/m", "bind", &source, &["rbind", "rslave"])
        .probe(&["sleep"])
        .create();
    let quiet = t
        .bundle()
        .mount("/m", "bind", &source, &["rbind", "rprivate"])
        .probe(&["sleep"])
        .create();
    kernel::mount("late", format!("{source}/later"), "tmpfs", 0, "").unwrap();
    assert_eq!(c.mount_at("/m/later").source, "late");
    assert!(!quiet.mounts().iter().any(|mount| mount.source == "late"));
}

fn inside_and_outside_agree(t: &T) {
    let source = nested(t);
    let c = t
        .bundle()
        .mount("/a", "bind", &source, &["rbind", "ro", "nosuid"])
        .mount("/b", "tmpfs", "tmpfs", &["noexec", "size=1m", "mode=700"])
        .probe(&["report", "--", "sleep"])
        .create();
    let outside = c.mounts();
    c.start();
    c.until("\n");
    let inside = c.lines().remove(0)["mounts"].clone();
    let inside: Vec<String> = inside
        .as_array()
        .unwrap()
        .iter()
        .map(|m| {
            format!(
                "{} {} {} {}",
                m["target"], m["options"], m["kind"], m["root"]
            )
        })
        .collect();
    let outside: Vec<String> = outside
        .iter()
        .map(|m| {
            format!(
                "{} {} {} {}",
                json!(m.target),
                json!(m.options),
                json!(m.kind),
                json!(m.root)
            )
        })
        .collect();
    assert_eq!(inside, outside);
    let left = inside
        .iter()
        .find(|line| line.contains("old") || line.contains("cgroup"));
    assert!(
        left.is_none(),
        "something of the host is still mounted: {left:?}"
    );
}

fn bind_keeps_the_source(t: &T) {
    let source = t.path("source");
    fs::create_dir(&source).unwrap();
    fs::write(source.join("f"), "from the host").unwrap();
    let out = t
        .bundle()
        .mount("/m", "bind", &source.to_string_lossy(), &["bind"])
        .probe(&[
            "read",
            "/m/f",
            "--",
            "write",
            "/m/f",
            "from inside",
            "--",
            "create",
            "/m/new",
        ])
        .run()
        .ok();
    assert_eq!(out.json()["data"], "from the host");
    assert_eq!(
        fs::read_to_string(source.join("f")).unwrap(),
        "from insidest"
    );
    assert!(source.join("new").exists());
}

fn bind_of_a_file(t: &T) {
    let file = t.path("file");
    fs::write(&file, "content").unwrap();
    let bundle = t
        .bundle()
        .mount(
            "/etc/made/for/it",
            "bind",
            &file.to_string_lossy(),
            &["bind", "ro"],
        )
        .mount("/bin/over", "bind", &file.to_string_lossy(), &["rbind"])
        .probe(&[
            "read",
            "/etc/made/for/it",
            "--",
            "write",
            "/etc/made/for/it",
            "x",
            "--",
            "read",
            "/bin/over",
        ]);
    fs::write(bundle.rootfs().join("bin/over"), "below").unwrap();
    let out = bundle.run();
    let lines = out.lines();
    assert_eq!(lines[0]["data"], "content", "{}", out.stderr);
    assert_eq!(lines[1]["errno"], "EROFS");
    assert_eq!(lines[2]["data"], "content");
    let made = bundle.rootfs().join("etc/made/for/it");
    assert!(fs::metadata(&made).unwrap().is_file());
    assert_eq!(fs::metadata(made).unwrap().len(), 0);
    assert_eq!(
        fs::read_to_string(bundle.rootfs().join("bin/over")).unwrap(),
        "below"
    );
}

/// Clients tell this from other mistakes by the kernel's words, and explain it.
fn bind_of_a_file_on_a_directory(t: &T) {
    let file = t.path("file");
    fs::write(&file, "content").unwrap();
    let (file, directory) = (file.to_string_lossy(), t.path("."));
    for (place, source) in [
        ("/etc", &*file),
        ("/bin/probe", &*directory.to_string_lossy()),
    ] {
        t.bundle()
            .mount(place, "bind", source, &["rbind"])
            .create_fails(&["not a directory"]);
    }
}

fn bind_of_special_files(t: &T) {
    let socket = t.path("socket");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let fifo = t.path("fifo");
    kernel::mknod(&fifo, libc::S_IFIFO | 0o600, 0, 0).unwrap();
    let out = t
        .bundle()
        .mount("/run/socket", "bind", &socket.to_string_lossy(), &["bind"])
        .mount("/run/fifo", "bind", &fifo.to_string_lossy(), &["bind"])
        .mount("/run/null", "bind", "/dev/null", &["bind"])
        .probe(&[
            "connect",
            "/run/socket",
            "--",
            "stat",
            "/run/fifo",
            "--",
            "stat",
            "/run/null",
        ])
        .run()
        .ok();
    let lines = out.lines();
    assert_eq!(lines[0]["ok"], true);
    assert_eq!(lines[1]["type"], "fifo");
    assert_eq!(lines[2]["rdev"], json!([1, 3]));
}

fn bind_source_relative_to_the_bundle(t: &T) {
    let bundle = t
        .bundle()
        .mount("/m", "bind", "files", &["bind"])
        .mount("/n", "bind", "./files/../files", &["bind"])
        .probe(&["ls", "/m", "--", "ls", "/n"]);
    fs::create_dir(bundle.dir.join("files")).unwrap();
    fs::write(bundle.dir.join("files/x"), "").unwrap();
    for line in bundle.run().ok().lines() {
        assert_eq!(line["names"], json!(["x"]));
    }
}

fn bind_refuses_data(t: &T) {
    if t.foreign() {
        return;
    }
    t.bundle()
        .mount("/m", "bind", "/tmp", &["bind", "size=1m"])
        .create_fails(&["mounts[2]", "size=1m"]);
    t.bundle()
        .mount("/m", "tmpfs", "tmpfs", &["rw", "nosuchoption"])
        .create_fails(&["/m", "invalid argument"]);
}

fn rbind_takes_submounts(t: &T) {
    let source = nested(t);
    let c = t
        .bundle()
        .mount("/r", "bind", &source, &["rbind"])
        .mount("/b", "bind", &source, &["bind"])
        .probe(&["sleep"])
        .create();
    let mounts = c.mounts();
    assert!(mounts.iter().any(|mount| mount.target == "/r/sub"));
    assert!(!mounts.iter().any(|mount| mount.target == "/b/sub"));
}

fn type_bind_alone_is_no_bind(t: &T) {
    t.bundle()
        .mount("/m", "bind", "/tmp", &["ro"])
        .create_fails(&["no such device|unknown|bind"]);
}

fn mount_points_are_made(t: &T) {
    let bundle = t
        .bundle()
        .mount("/a/b/c/d", "tmpfs", "tmpfs", &[])
        .mount("relative/dir", "tmpfs", "tmpfs", &[])
        .probe(&["stat", "/a/b", "--", "report"]);
    let out = bundle.run().ok();
    assert_eq!(out.json()["mode"], 0o755);
    assert!(
        out.lines()[1]["mounts"]
            .to_string()
            .contains("/relative/dir")
    );
    let meta = fs::metadata(bundle.rootfs().join("a/b/c/d")).unwrap();
    let root = t.caller.id(0);
    assert_eq!((meta.uid(), meta.gid()), (root, root));
}

fn destinations_are_cleaned(t: &T) {
    let c = t
        .bundle()
        .mount("//x//y/", "tmpfs", "one", &[])
        .mount("/x/./y2", "tmpfs", "two", &[])
        .mount("/x/../z", "tmpfs", "three", &[])
        .mount("/../../../../up", "tmpfs", "four", &[])
        .probe(&["sleep"])
        .create();
    for (target, source) in [
        ("/x/y", "one"),
        ("/x/y2", "two"),
        ("/z", "three"),
        ("/up", "four"),
    ] {
        assert_eq!(c.mount_at(target).source, source);
    }
}

fn mounts_in_order(t: &T) {
    let c = t
        .bundle()
        .mount("/m", "tmpfs", "below", &[])
        .mount("/m/in", "tmpfs", "inner", &[])
        .mount("/m", "tmpfs", "above", &[])
        .mount("/m/in", "tmpfs", "top", &[])
        .probe(&["sleep"])
        .create();
    assert_eq!(c.mount_at("/m").source, "above");
    assert_eq!(c.mount_at("/m/in").source, "top");
}

/// The positive twin of every symlink test: links that stay inside work.
fn symlinks_inside_the_root(t: &T) {
    let bundle = t.bundle();
    let rootfs = bundle.rootfs();
    fs::create_dir_all(rootfs.join("run")).unwrap();
    fs::create_dir_all(rootfs.join("var")).unwrap();
    symlink("/run", rootfs.join("var/run")).unwrap();
    symlink("../../run/up", rootfs.join("var/up")).unwrap();
    symlink("/etc/real", rootfs.join("etc/resolv.conf")).unwrap();
    fs::write(rootfs.join("etc/real"), "").unwrap();
    fs::create_dir(rootfs.join("run/up")).unwrap();
    let file = t.path("file");
    fs::write(&file, "x").unwrap();
    let c = bundle
        .mount("/var/run/x", "tmpfs", "one", &[])
        .mount("/var/up/y", "tmpfs", "two", &[])
        .mount(
            "/etc/resolv.conf",
            "bind",
            &file.to_string_lossy(),
            &["bind"],
        )
        .probe(&["sleep"])
        .create();
    assert_eq!(c.mount_at("/run/x").source, "one");
    assert_eq!(c.mount_at("/run/up/y").source, "two");
    c.mount_at("/etc/real");
}

fn dangling_symlinks(t: &T) {
    if t.foreign() {
        return;
    }
    let bundle = t.bundle();
    let rootfs = bundle.rootfs();
    symlink("/not/yet", rootfs.join("component")).unwrap();
    symlink("later/dir", rootfs.join("last")).unwrap();
    symlink("/etc/later", rootfs.join("etc/file")).unwrap();
    let file = t.path("file");
    fs::write(&file, "x").unwrap();
    let c = bundle
        .mount("/component/x", "tmpfs", "one", &[])
        .mount("/last", "tmpfs", "two", &[])
        .mount("/etc/file", "bind", &file.to_string_lossy(), &["bind"])
        .probe(&["sleep"])
        .create();
    assert_eq!(c.mount_at("/not/yet/x").source, "one");
    assert_eq!(c.mount_at("/later/dir").source, "two");
    c.mount_at("/etc/later");
}

fn setgid_root(t: &T) {
    let bundle = t.bundle();
    fs::set_permissions(bundle.rootfs(), fs::Permissions::from_mode(0o2755)).unwrap();
    std::os::unix::fs::chown(bundle.rootfs(), Some(0), Some(1234)).unwrap();
    fs::set_permissions(bundle.rootfs(), fs::Permissions::from_mode(0o2755)).unwrap();
    let file = t.path("file");
    fs::write(&file, "x").unwrap();
    bundle
        .mount("/new/dir/m", "tmpfs", "tmpfs", &[])
        .mount("/new/dir/f", "bind", &file.to_string_lossy(), &["bind"])
        .probe(&["exit"])
        .run()
        .ok();
}

fn tmpfs_data(t: &T) {
    let mount = one(
        t,
        "tmpfs",
        "tmpfs",
        &[
            "nosuid",
            "size=4m",
            "mode=1770",
            "uid=5",
            "gid=6",
            "nr_inodes=100",
        ],
    );
    let owner = [("uid", 5), ("gid", 6)].map(|(key, id)| format!("{key}={}", t.caller.id(id)));
    for word in [
        "size=4096k",
        "mode=1770",
        &owner[0],
        &owner[1],
        "nr_inodes=100",
    ] {
        assert!(
            mount.data.iter().any(|each| each == word),
            "no {word} in {mount:?}"
        );
    }
}

fn tmpfs_keeps_the_mode_of_its_place(t: &T) {
    let bundle = t.bundle();
    let place = bundle.rootfs().join("place");
    fs::create_dir(&place).unwrap();
    fs::set_permissions(&place, fs::Permissions::from_mode(0o1771)).unwrap();
    let out = bundle
        .mount("/place", "tmpfs", "tmpfs", &[])
        .mount("/fresh", "tmpfs", "tmpfs", &[])
        .probe(&["stat", "/place"])
        .run()
        .ok();
    assert_eq!(out.json()["mode"], 0o1771);
}

fn tmpfs_read_only_with_mounts_inside(t: &T) {
    let out = t
        .bundle()
        .mount("/m", "tmpfs", "tmpfs", &["ro"])
        .mount("/m/in/side", "tmpfs", "tmpfs", &[])
        .probe(&["create", "/m/x", "--", "create", "/m/in/side/x"])
        .run();
    assert_eq!(out.lines()[0]["errno"], "EROFS", "{}", out.stderr);
    assert_eq!(out.lines()[1]["ok"], true);
}

fn tmpcopyup(t: &T) {
    let bundle = t.bundle();
    let etc = bundle.rootfs().join("etc");
    fs::write(etc.join("a"), "content of a").unwrap();
    fs::set_permissions(etc.join("a"), fs::Permissions::from_mode(0o640)).unwrap();
    std::os::unix::fs::chown(etc.join("a"), Some(7), Some(8)).unwrap();
    fs::create_dir_all(etc.join("deep/er")).unwrap();
    fs::write(etc.join("deep/er/b"), "x".repeat(100_000)).unwrap();
    symlink("a", etc.join("link")).unwrap();
    fs::create_dir(etc.join("closed")).unwrap();
    fs::set_permissions(etc.join("closed"), fs::Permissions::from_mode(0o700)).unwrap();
    let out = bundle
        .mount("/etc", "tmpfs", "tmpfs", &["tmpcopyup"])
        .probe(&[
            "read",
            "/etc/a",
            "--",
            "stat",
            "/etc/a",
            "--",
            "stat",
            "/etc/deep/er/b",
            "--",
            "readlink",
            "/etc/link",
            "--",
            "lstat",
            "/etc/closed",
            "--",
            "write",
            "/etc/a",
            "changed",
            "--",
            "report",
        ])
        .run()
        .ok();
    let lines = out.lines();
    assert_eq!(lines[0]["data"], "content of a");
    assert_eq!(
        (&lines[1]["uid"], &lines[1]["gid"], &lines[1]["mode"]),
        (&json!(7), &json!(8), &json!(0o640))
    );
    assert_eq!(lines[2]["size"], 100_000);
    assert_eq!(lines[3]["target"], "a");
    assert_eq!(lines[4]["mode"], 0o700);
    assert_eq!(fs::read_to_string(etc.join("a")).unwrap(), "content of a");
    let mounts = lines[6]["mounts"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|m| m["target"] == "/etc")
        .count();
    assert_eq!(mounts, 1);
}

fn nosymfollow(t: &T) {
    if t.foreign() {
        return;
    }
    t.facts.need_kernel(5, 10, "nosymfollow");
    let source = t.path("source");
    fs::create_dir(&source).unwrap();
    fs::write(source.join("f"), "x").unwrap();
    symlink("f", source.join("link")).unwrap();
    let name = source.to_string_lossy().into_owned();
    let probe = [
        "open", "/m/link", "--", "open", "/m/f", "--", "readlink", "/m/link",
    ];
    let out = t
        .bundle()
        .mount("/m", "bind", &name, &["bind", "nosymfollow"])
        .probe(&probe)
        .run();
    let lines = out.lines();
    assert_eq!(lines[0]["errno"], "ELOOP", "{}", out.stderr);
    assert_eq!(lines[1]["ok"], true);
    let out = t
        .bundle()
        .mount("/m", "bind", &name, &["bind", "nosymfollow", "symfollow"])
        .probe(&probe)
        .run();
    assert_eq!(out.lines()[0]["ok"], true, "{}", out.stderr);
    assert!(one(t, "tmpfs", "tmpfs", &["nosymfollow"]).has("nosymfollow"));
}

fn proc_options(t: &T) {
    let bundle = t.bundle().edit(|c| {
        c["mounts"][0]["options"] = json!(["nosuid", "noexec", "nodev", "hidepid=2"]);
    });
    let c = bundle.probe(&["sleep"]).create();
    let mount = c.mount_at("/proc");
    assert!(
        ["nosuid", "noexec", "nodev"]
            .iter()
            .all(|word| mount.has(word)),
        "{mount:?}"
    );
    assert!(
        mount.data.iter().any(|word| word.starts_with("hidepid=")),
        "{mount:?}"
    );
    // Its own pid namespace: only the container's processes.
    let out = t
        .bundle()
        .probe(&["ls", "/proc", "--", "ls", "/proc/1/task"])
        .run()
        .ok();
    let names: Vec<String> = serde_json::from_value(out.json()["names"].clone()).unwrap();
    let pids: Vec<&String> = names
        .iter()
        .filter(|name| name.parse::<u32>().is_ok())
        .collect();
    assert_eq!(pids, ["1"]);
    // Options of the container's procfs may not change the host's.
    let host = crate::witness::mountinfo("self").unwrap();
    let host = crate::witness::mount_at(&host, "/proc").unwrap().clone();
    assert!(
        !host
            .data
            .iter()
            .any(|word| word == "hidepid=invisible" || word == "hidepid=2"),
        "{host:?}"
    );
}

fn sysfs_mqueue_devpts(t: &T) {
    let out = t
        .bundle()
        .mount(
            "/sys",
            "sysfs",
            "sysfs",
            &["nosuid", "noexec", "nodev", "ro"],
        )
        .mount(
            "/dev/pts",
            "devpts",
            "devpts",
            &[
                "nosuid",
                "noexec",
                "newinstance",
                "ptmxmode=0666",
                "mode=0620",
                "gid=5",
            ],
        )
        .mount(
            "/dev/shm",
            "tmpfs",
            "shm",
            &["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"],
        )
        .probe(&[
            "report",
            "--",
            "stat",
            "/dev/pts/ptmx",
            "--",
            "stat",
            "/dev/shm",
            "--",
            "ls",
            "/sys/class/net",
        ])
        .run()
        .ok();
    let lines = out.lines();
    assert_eq!(lines[0]["dev"]["ptmx"], "pts/ptmx");
    assert_eq!(
        (&lines[1]["rdev"], &lines[1]["mode"]),
        (&json!([5, 2]), &json!(0o666))
    );
    assert_eq!(lines[2]["mode"], 0o1777);
    assert_eq!(
        lines[3]["names"],
        json!(["lo"]),
        "sysfs of the container's network namespace"
    );
    if Path::new("/proc/sys/fs/mqueue").exists() {
        let out = t
            .bundle()
            .mount(
                "/dev/mqueue",
                "mqueue",
                "mqueue",
                &["nosuid", "noexec", "nodev"],
            )
            .probe(&["mq", "--", "ls", "/dev/mqueue"])
            .run()
            .ok();
        assert_eq!(out.lines()[1]["names"], json!(["probe"]));
    }
}

/// It is one file system: what is read-only in one container can be written by another, as in a pod whose first
/// container is not privileged.
fn sysfs_of_a_shared_network(t: &T) {
    if t.foreign() {
        cannot("developed with ocilet: runc's is read-only everywhere then");
    }
    fn with<'t>(bundle: Bundle<'t>, option: &str) -> Container<'t> {
        let options = ["nosuid", "noexec", "nodev", option];
        let bundle = bundle.mount("/sys", "sysfs", "sysfs", &options);
        bundle.probe(&["sleep"]).detach()
    }
    let opened = |c: &Container<'_>| {
        let words = ["open", "/sys/class/net/lo/ifalias", "w"];
        c.exec(&[], &words).json()["errno"].clone()
    };
    let first = with(t.bundle(), "ro");
    assert_eq!(opened(&first), "EROFS");
    let network = format!("/proc/{}/ns/net", first.pid());
    for (option, want) in [("rw", Value::Null), ("ro", json!("EROFS"))] {
        let other = with(t.bundle().namespace("network", Some(&network)), option);
        assert_eq!(opened(&other), want, "{option}");
        assert!(other.mount_at("/sys").has(option));
        assert_eq!(opened(&first), "EROFS");
    }
    assert!(first.mount_at("/sys").has("ro"));
}

fn errors_name_the_mount(t: &T) {
    let bad = |destination: &str, kind: &str, source: &str, options: &[&str], words: &[&str]| {
        t.bundle()
            .mount(destination, kind, source, options)
            .create_fails(words);
    };
    bad(
        "/m",
        "bind",
        "/no/such/source",
        &["bind"],
        &["/no/such/source|mounts[2]", "no such file or directory"],
    );
    bad(
        "/m",
        "nosuchfs",
        "x",
        &[],
        &["nosuchfs|/m", "no such device"],
    );
    if t.foreign() {
        return;
    }
    bad("/m", "nosuchfs", "x", &[], &["/m"]);
    bad("", "tmpfs", "x", &[], &["mounts[2]", "destination"]);
    bad(
        "/bin/probe",
        "tmpfs",
        "x",
        &[],
        &["/bin/probe", "not a directory"],
    );
    bad(
        "/bin/probe/x",
        "tmpfs",
        "x",
        &[],
        &["/bin/probe/x", "not a directory"],
    );
}

/// CVE-2015-3631, CVE-2019-16884: nothing is mounted at or under /proc but procfs.
fn proc_is_protected(t: &T) {
    let vol = t.path("vol");
    fs::create_dir(&vol).unwrap();
    let vol = vol.to_string_lossy().into_owned();
    let mut destinations = vec![
        "/proc",
        "/proc/",
        "//proc",
        "/./proc",
        "/x/../proc",
        "/proc/../proc",
        "/proc/self",
        "/proc/self/attr",
        "/proc/1",
        "/proc/1/attr",
        "/proc/sys",
        "/proc/sys/kernel",
        "/proc/sysrq-trigger",
        "/proc/self/fd",
        "/proc/thread-self/attr/exec",
        "/./proc/1/attr",
        "/proc/./sys",
        "/proc/cpuinfo/x",
        "/proc/kcore",
    ];
    // Through links of the rootfs.
    destinations.extend(["/p", "/p/sys", "/q/self", "/deep/p/self/attr"]);
    for destination in destinations {
        for kind in ["tmpfs", "bind"] {
            let bundle = t.bundle();
            let rootfs = bundle.rootfs();
            symlink("/proc", rootfs.join("p")).unwrap();
            symlink("proc", rootfs.join("q")).unwrap();
            fs::create_dir(rootfs.join("deep")).unwrap();
            symlink("../../proc", rootfs.join("deep/p")).unwrap();
            let options: &[&str] = if kind == "bind" { &["bind"] } else { &[] };
            let bundle = bundle
                .mount(destination, kind, &vol, options)
                .probe(&["sleep"]);
            let id = t.id();
            let out = bundle.create_cmd(&id, &[]).run();
            if t.foreign() {
                t.cmd(&["delete", "--force", &id]).run();
                continue;
            }
            assert_eq!(
                out.code(),
                1,
                "{kind} at {destination} was allowed: {}",
                out.stderr
            );
        }
    }
}

fn lxcfs_files_may_cover_proc(t: &T) {
    let file = t.path("file");
    fs::write(&file, "fake").unwrap();
    let name = file.to_string_lossy().into_owned();
    let mut names = vec![
        "cpuinfo",
        "diskstats",
        "meminfo",
        "stat",
        "swaps",
        "uptime",
        "loadavg",
    ];
    for optional in [
        "slabinfo",
        "sys/kernel/ns_last_pid",
        "sys/crypto/fips_enabled",
    ] {
        if Path::new("/proc").join(optional).exists() {
            names.push(optional);
        }
    }
    let mut bundle = t.bundle();
    for each in &names {
        bundle = bundle.mount(&format!("/proc/{each}"), "bind", &name, &["bind", "ro"]);
    }
    let out = bundle
        .probe(&["read", "/proc/meminfo", "--", "read", "/proc/uptime"])
        .run()
        .ok();
    assert_eq!(out.json()["data"], "fake");
    // A bind of a real procfs is a procfs.
    if !t.foreign() {
        let bundle = t.bundle().without_namespace("pid").edit(|c| {
            c["mounts"][0] = json!({"destination": "/proc", "type": "bind", "source": "/proc", "options": ["rbind"]});
        });
        let c = bundle.probe(&["sleep"]).create();
        assert_eq!(c.mount_at("/proc").kind, "proc");
    }
}

fn hundreds_of_mounts(t: &T) {
    let source = t.path("source");
    fs::create_dir(&source).unwrap();
    let source = source.to_string_lossy().into_owned();
    let mut bundle = t.bundle().probe(&["sleep"]);
    for n in 0..300 {
        bundle = bundle.mount(&format!("/m/{n}"), "bind", &source, &["rbind", "ro"]);
    }
    let c = bundle.create();
    let seen = c.mounts();
    for n in 0..300 {
        let target = format!("/m/{n}");
        assert!(
            seen.iter()
                .any(|mount| mount.target == target && mount.has("ro")),
            "{target}"
        );
    }
}

fn remount(t: &T) {
    if t.foreign() {
        return;
    }
    let c = t
        .bundle()
        .mount("/m", "tmpfs", "tmpfs", &["rw"])
        .mount("/m", "tmpfs", "tmpfs", &["remount", "ro", "nosuid"])
        .probe(&["sleep"])
        .create();
    let mount = c.mount_at("/m");
    assert!(
        mount.has("nosuid") && (mount.has("ro") || mount.data.iter().any(|word| word == "ro")),
        "{mount:?}"
    );
    let count = c
        .mounts()
        .iter()
        .filter(|mount| mount.target == "/m")
        .count();
    assert_eq!(count, 1);
}
