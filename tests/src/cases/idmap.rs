//! Id-mapped mounts, and sources that only root of the host reaches.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::PathBuf;

use serde_json::{Value, json};

use super::users;
use crate::bundle::Bundle;
use crate::case::{Case, case};
use crate::harness::T;
use crate::kernel;

pub const CASES: &[Case] = &[
    case!(mappings_of_the_mount),
    case!(mappings_of_the_container),
    case!(mappings_of_the_mount_in_a_user_namespace),
    case!(mappings_of_a_joined_user_namespace),
    case!(recursive_and_not),
    case!(other_options),
    case!(one_file),
    case!(many_mounts),
    case!(mappings_up_to_the_limit),
    case!(terminal_and_hooks_beside),
    case!(what_cannot_be_mapped),
    case!(mapped_twice),
    case!(kernels_without_it),
    case!(ordinary_user),
    case!(ignored_children),
    case!(closed_directories),
];

pub(super) const FIRST: u32 = 100_000;

pub(super) fn need(t: &T) {
    t.facts.need_kernel(6, 3, "an id-mapped tmpfs");
}

pub(super) fn map(container: u32, host: u32, size: u32) -> Value {
    json!([{"containerID": container, "hostID": host, "size": size}])
}

/// A directory with files of root, of user 1000, and of user 70000; anybody may write to it.
pub(super) fn source(t: &T) -> PathBuf {
    let dir = t.path(&format!("source{}", t.next()));
    fs::create_dir(&dir).unwrap();
    for (name, id) in [("root", 0), ("user", 1000), ("far", 70_000)] {
        fs::write(dir.join(name), name).unwrap();
        chown(dir.join(name), Some(id), Some(id)).unwrap();
    }
    dir
}

/// Appends a bind mount, with its own mappings where there are any.
pub(super) fn bind<'t>(
    bundle: Bundle<'t>,
    source: &std::path::Path,
    target: &str,
    options: &[&str],
    map: Option<&Value>,
) -> Bundle<'t> {
    let mut entry =
        json!({"destination": target, "type": "none", "source": source, "options": options});
    if let Some(map) = map {
        entry["uidMappings"] = map.clone();
        entry["gidMappings"] = map.clone();
    }
    bundle.edit(|c| c["mounts"].as_array_mut().unwrap().push(entry))
}

/// In a user namespace, with its mappings and with others, and from a closed directory.
pub(super) fn mapped_in_both_ways(t: &T) -> Bundle<'_> {
    let source = source(t);
    let closed = t.path("closed");
    fs::create_dir_all(closed.join("dir")).unwrap();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).unwrap();
    let bundle = bind(users::bundle(t), &source, "/own", &["bind", "idmap"], None);
    let other = map(0, 200_000, 10);
    let bundle = bind(bundle, &source, "/other", &["bind", "idmap"], Some(&other));
    bind(bundle, &closed.join("dir"), "/closed", &["bind"], None)
}

/// Verbs for the probe: the owners of files.
fn stats<'p>(paths: &[&'p str]) -> Vec<&'p str> {
    let mut words = Vec::new();
    for path in paths {
        words.extend_from_slice(&["stat", *path, "--"]);
    }
    words.pop();
    words
}

/// The owners of these files, from inside.
#[track_caller]
fn owners(bundle: Bundle<'_>, paths: &[&str]) -> Vec<u64> {
    let out = bundle.probe(&stats(paths)).run().ok();
    let ids = |line: &Value| {
        assert_eq!(line["uid"], line["gid"], "{line}");
        line["uid"].as_u64().unwrap()
    };
    out.lines().iter().map(ids).collect()
}

const FILES: [&str; 3] = ["/m/root", "/m/user", "/m/far"];

fn mappings_of_the_mount(t: &T) {
    need(t);
    let source = source(t);
    for options in [&["bind", "idmap"][..], &["bind", "ridmap"], &["bind"]] {
        let bundle = bind(
            t.bundle(),
            &source,
            "/m",
            options,
            Some(&map(0, FIRST, 65536)),
        );
        // What has no id in the mount belongs to nobody.
        assert_eq!(
            owners(bundle, &FILES),
            [100_000, 101_000, 65534],
            "{options:?}"
        );
    }
    // Who has the id outside of the mapping makes files with the one inside.
    chown(&source, Some(7), Some(7)).unwrap();
    let bundle = bind(
        t.bundle(),
        &source,
        "/m",
        &["bind", "idmap"],
        Some(&map(7, FIRST, 1)),
    )
    .edit(|c| c["process"]["user"] = json!({"uid": FIRST, "gid": FIRST}))
    .probe(&["create", "/m/new"]);
    assert_eq!(bundle.run().ok().json()["ok"], true);
    let made = fs::metadata(source.join("new")).unwrap();
    assert_eq!((made.uid(), made.gid()), (7, 7));
    // Users and groups are mapped each on its own.
    let bundle = bind(
        t.bundle(),
        &source,
        "/m",
        &["bind", "idmap"],
        Some(&map(0, FIRST, 10)),
    )
    .edit(|c| c["mounts"][2]["gidMappings"] = map(0, 200_000, 10))
    .probe(&stats(&FILES[..1]));
    let line = bundle.run().ok().json();
    assert_eq!(
        (&line["uid"], &line["gid"]),
        (&json!(100_000), &json!(200_000))
    );
}

fn mappings_of_the_container(t: &T) {
    need(t);
    let source = source(t);
    fs::set_permissions(&source, fs::Permissions::from_mode(0o755)).unwrap();
    // Without, the files are those of nobody.
    let bundle = bind(users::bundle(t), &source, "/m", &["bind"], None);
    assert_eq!(owners(bundle, &FILES), [65534; 3]);
    for options in [&["bind", "idmap"][..], &["rbind", "ridmap"]] {
        let bundle = bind(users::bundle(t), &source, "/m", options, None);
        assert_eq!(owners(bundle, &FILES), [0, 1000, 65534], "{options:?}");
    }
    // Root of the container makes files of root.
    let bundle = bind(users::bundle(t), &source, "/m", &["bind", "idmap"], None);
    let out = bundle.probe(&["create", "/m/new"]).run().ok();
    assert_eq!(out.json()["ok"], true);
    assert_eq!(
        fs::metadata(source.join("new")).unwrap().uid(),
        t.caller.id(0)
    );
    // Root of the container is nobody to a mount without it.
    let bundle = bind(users::bundle(t), &source, "/m", &["bind"], None);
    let out = bundle.probe(&["create", "/m/other"]).run();
    assert_eq!(out.json()["errno"], "EACCES");
}

fn mappings_of_the_mount_in_a_user_namespace(t: &T) {
    need(t);
    let source = source(t);
    // The user 1000 of the source is root of the container.
    let own = map(1000, FIRST, 1);
    let bundle = bind(
        users::bundle(t),
        &source,
        "/m",
        &["bind", "idmap"],
        Some(&own),
    );
    assert_eq!(owners(bundle, &FILES), [65534, 0, 65534]);
    // The same mapping as that of the container.
    let same = map(0, FIRST, 65536);
    let bundle = bind(users::bundle(t), &source, "/m", &["bind"], Some(&same));
    assert_eq!(owners(bundle, &FILES), [0, 1000, 65534]);
}

fn mappings_of_a_joined_user_namespace(t: &T) {
    need(t);
    let source = source(t);
    let first = users::bundle(t).probe(&["sleep"]).create();
    let path = format!("/proc/{}/ns/user", first.pid());
    let second = t.bundle().namespace("user", Some(&path));
    users::own(&second, FIRST);
    let bundle = bind(second, &source, "/m", &["bind", "idmap"], None);
    assert_eq!(owners(bundle, &FILES), [0, 1000, 65534]);
}

/// A directory with a tmpfs in it, on the harness's side.
fn nested(t: &T) -> PathBuf {
    let outer = t.path(&format!("mnt/n{}", t.next()));
    fs::create_dir_all(outer.join("sub")).unwrap();
    kernel::mount("inner", outer.join("sub"), "tmpfs", 0, "mode=755").unwrap();
    fs::write(outer.join("file"), "").unwrap();
    fs::write(outer.join("sub/file"), "").unwrap();
    outer
}

fn recursive_and_not(t: &T) {
    need(t);
    let source = nested(t);
    let files = ["/m/file", "/m/sub/file"];
    let table = [
        (&["rbind", "idmap"][..], [100_000, 0]),
        (&["rbind", "ridmap"], [100_000, 100_000]),
        (&["rbind"], [100_000, 0]),
        (&["rbind", "ridmap", "idmap"], [100_000, 0]),
    ];
    for (options, want) in table {
        let bundle = bind(
            t.bundle(),
            &source,
            "/m",
            options,
            Some(&map(0, FIRST, 65536)),
        );
        assert_eq!(owners(bundle, &files), want, "{options:?}");
    }
    for (options, want) in [("idmap", [0, 65534]), ("ridmap", [0, 0])] {
        let bundle = bind(users::bundle(t), &source, "/m", &["rbind", options], None);
        assert_eq!(owners(bundle, &files), want, "{options}");
    }
}

fn other_options(t: &T) {
    need(t);
    let source = nested(t);
    let own = map(0, FIRST, 65536);
    let options = [
        "rbind", "ridmap", "ro", "nosuid", "noexec", "rnodev", "rslave",
    ];
    for bundle in [t.bundle(), users::bundle(t)] {
        let c = bind(bundle, &source, "/m", &options, Some(&own))
            .probe(&["sleep"])
            .create();
        let (top, below) = (c.mount_at("/m"), c.mount_at("/m/sub"));
        for option in ["ro", "nosuid", "noexec", "nodev"] {
            assert!(top.has(option), "{option}: {top:?}");
        }
        assert!(below.has("nodev") && !below.has("ro"), "{below:?}");
        for mount in [&top, &below] {
            assert!(mount.has("idmapped"), "{mount:?}");
            assert!(!mount.tagged("shared"), "{mount:?}");
        }
    }
    // Nothing of it is seen in the source.
    assert!(fs::write(source.join("file"), "x").is_ok());
    assert_eq!(fs::metadata(source.join("sub/file")).unwrap().uid(), 0);
}

fn one_file(t: &T) {
    need(t);
    let source = source(t).join("user");
    let bundle = bind(
        users::bundle(t),
        &source,
        "/etc/one",
        &["bind", "idmap"],
        None,
    );
    assert_eq!(owners(bundle, &["/etc/one"]), [1000]);
}

/// Each with mappings of its own, or those of the one before it.
fn many_mounts(t: &T) {
    need(t);
    let source = source(t);
    let mut bundle = users::bundle(t);
    let mut want = Vec::new();
    let mut paths = Vec::new();
    for n in 0..40 {
        let target = format!("/m/{n}");
        let own = map(0, FIRST + n / 2, 1);
        let own = (n % 5 != 0).then_some(&own);
        bundle = bind(bundle, &source, &target, &["bind", "idmap"], own);
        paths.push(format!("{target}/root"));
        want.push(if own.is_some() { u64::from(n / 2) } else { 0 });
    }
    let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
    assert_eq!(owners(bundle, &paths), want);
}

fn mappings_up_to_the_limit(t: &T) {
    need(t);
    let source = source(t);
    let list = |count: u32| -> Value {
        let entry = |n| json!({"containerID": n, "hostID": 2 * n, "size": 1});
        (0..count).map(entry).collect()
    };
    let last = source.join("last");
    fs::write(&last, "").unwrap();
    chown(&last, Some(339), Some(339)).unwrap();
    let bundle = bind(
        t.bundle(),
        &source,
        "/m",
        &["bind", "idmap"],
        Some(&list(340)),
    );
    assert_eq!(owners(bundle, &["/m/last", "/m/user"]), [678, 65534]);
    bind(
        t.bundle(),
        &source,
        "/m",
        &["bind", "idmap"],
        Some(&list(341)),
    )
    .create_fails(&["mounts[2].", "uidMappings or gidMappings list"]);
}

/// Their words come between those about the sources.
fn terminal_and_hooks_beside(t: &T) {
    need(t);
    let source = source(t);
    let bundle = users::bundle(t).mount(
        "/dev/pts",
        "devpts",
        "devpts",
        &["newinstance", "ptmxmode=0666", "mode=0620"],
    );
    let note = bundle.rootfs().join("tmp/note");
    fs::write(&note, "").unwrap();
    fs::set_permissions(&note, fs::Permissions::from_mode(0o666)).unwrap();
    let probe = bundle.rootfs().join("bin/probe");
    let hook = json!([{"path": probe, "args": ["probe", "hook", note, "x"]}]);
    let bundle = bundle.edit(|c| {
        c["hooks"] = json!({"createRuntime": hook, "createContainer": hook});
        c["process"]["terminal"] = json!(true);
    });
    let bundle = bind(bundle, &source, "/m", &["bind", "idmap"], None);
    assert_eq!(owners(bundle, &FILES), [0, 1000, 65534]);
    assert_eq!(fs::read_to_string(note).unwrap().lines().count(), 2);
}

fn what_cannot_be_mapped(t: &T) {
    t.bundle()
        .mount("/m", "bind", "/tmp", &["bind", "idmap"])
        .create_fails(&["mounts[2]", "uidMappings"]);
    t.bundle()
        .mount("/m", "tmpfs", "tmpfs", &["ridmap"])
        .create_fails(&["mounts[2]", "only a bind mount can be id-mapped"]);
    t.facts.need_kernel(5, 12, "mount_setattr");
    let own = map(0, FIRST, 10);
    let sysfs = PathBuf::from("/sys/kernel");
    bind(t.bundle(), &sysfs, "/m", &["bind", "idmap"], Some(&own)).create_fails(&[
        "map the ids of /m",
        "einval",
        "bind mount of /sys/kernel at /m (bind,idmap)",
        "the file system cannot be id-mapped",
    ]);
    let absent = PathBuf::from("/no/such/place");
    bind(t.bundle(), &absent, "/m", &["bind", "idmap"], Some(&own)).create_fails(&[
        "open the source of /m",
        "bind mount of /no/such/place at /m",
        "enoent",
    ]);
    // What the kernel does not take: ids that overlap.
    let twice = json!([
        {"containerID": 0, "hostID": 5, "size": 2},
        {"containerID": 1, "hostID": 9, "size": 2}
    ]);
    bind(
        t.bundle(),
        &source(t),
        "/m",
        &["bind", "idmap"],
        Some(&twice),
    )
    .create_fails(&["mounts[2].uidMappings[0]", "map the ids", "einval"]);
}

/// A mount of the first container, bound into a second one.
fn mapped_twice(t: &T) {
    need(t);
    let source = source(t);
    let own = map(0, FIRST, 65536);
    let first = bind(t.bundle(), &source, "/m", &["bind", "idmap"], Some(&own));
    let first = first.probe(&["sleep"]).create();
    let inside = PathBuf::from(format!("/proc/{}/root/m", first.pid()));
    let refused = bind(t.bundle(), &inside, "/m", &["bind", "idmap"], Some(&own));
    refused.create_fails(&["bind mount of /proc/"]);
}

fn kernels_without_it(t: &T) {
    let own = map(0, FIRST, 10);
    let bundle = bind(t.bundle(), &source(t), "/m", &["bind", "idmap"], Some(&own));
    if t.facts.kernel < (5, 12) {
        bundle.create_fails(&["bind mount of", "/m (bind,idmap)", "linux has since 5.12"]);
        return;
    }
    for calls in ["mount_setattr", "open_tree"] {
        let filter = crate::shim::profile(calls).unwrap();
        let create = bundle.create_cmd(&t.id(), &[]).filtered(Some(filter));
        create
            .run()
            .fails(&["/m (bind,idmap)", "linux has since 5.12"]);
    }
}

/// The file systems of the host are not his.
fn ordinary_user(t: &T) {
    need(t);
    let user = users::User::new(t, 1000);
    let bundle = user.bundle(&user.single());
    let source = source(t);
    let bundle = bind(bundle, &source, "/m", &["bind", "idmap"], None);
    user.run(&bundle)
        .fails(&["map the ids of /m", "not by this user"]);
}

/// Whoever ignores SIGCHLD never sees his children.
fn ignored_children(t: &T) {
    need(t);
    let source = source(t);
    let own = map(0, FIRST, 65536);
    for bundle in [t.bundle(), users::bundle(t)] {
        let bundle = bind(bundle, &source, "/m", &["bind", "idmap"], Some(&own));
        let id = t.id();
        let create = bundle.probe(&["sleep"]).create_cmd(&id, &[]);
        let create = create.before_exec(|| {
            // SAFETY: plain numbers.
            unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
            Ok(())
        });
        create.run().ok();
        t.cmd(&["delete", "--force", &id]).run().ok();
    }
}

/// Root of the container cannot pass what is above them.
fn closed_directories(t: &T) {
    users::need(t);
    let closed = t.path("closed");
    fs::create_dir_all(closed.join("dir/sub")).unwrap();
    fs::write(closed.join("file"), "in a file").unwrap();
    fs::write(closed.join("dir/note"), "in a directory").unwrap();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).unwrap();
    let path = |name: &str| closed.join(name).to_string_lossy().into_owned();
    let bundle = users::bundle(t)
        .mount("/etc/file", "bind", &path("file"), &["bind", "ro"])
        .mount("/m", "bind", &path("dir"), &["rbind", "nosuid"])
        .probe(&[
            "dump",
            "/etc/file",
            "--",
            "echo",
            "",
            "--",
            "dump",
            "/m/note",
            "--",
            "create",
            "/m/new",
        ]);
    let out = bundle.run();
    assert!(
        out.stdout.starts_with("in a file\nin a directory"),
        "{out:?}"
    );
    // They are none of his nevertheless.
    assert!(out.stdout.contains("EACCES"), "{out:?}");
    let c = bundle.probe(&["sleep"]).create();
    assert!(c.mount_at("/etc/file").has("ro"));
    assert!(c.mount_at("/m").has("nosuid"));
    users::bundle(t)
        .mount("/m", "bind", &path("absent"), &["bind"])
        .create_fails(&["open the source of /m", "closed/absent", "enoent"]);
}
