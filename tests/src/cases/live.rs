//! `mounts add` and `mounts remove`: mounts in a container that is there.

use std::fs;
use std::os::unix::fs::symlink;

use serde_json::{Value, json};

use crate::bundle::Container;
use crate::canary::Canary;
use crate::case::{Case, cannot, case};
use crate::harness::T;
use crate::runtime::Out;
use crate::witness;

pub const CASES: &[Case] = &[
    case!(bind_of_a_directory_comes_and_goes),
    case!(file_and_missing_mount_points),
    case!(tmpfs_with_options),
    case!(created_container),
    case!(user_namespace_of_the_container),
    case!(links_stay_inside),
    case!(nothing_lands_in_proc),
    case!(links_are_not_unmounted),
    case!(what_cannot_be_had),
    case!(container_that_has_ended),
];

fn own(t: &T) {
    if t.foreign() {
        cannot("the crun of Debian has no such command");
    }
    t.facts.need_kernel(5, 2, "detached mounts");
}

/// The verb with a file that has these mounts.
fn change(t: &T, action: &str, id: &str, mounts: &Value) -> Out {
    let file = t.path(&format!("mounts{}.json", t.next()));
    fs::write(&file, json!({"mounts": mounts}).to_string()).unwrap();
    t.cmd(&["mounts", action, id, &file.to_string_lossy()])
        .run()
}

fn running(t: &T) -> Container<'_> {
    let c = t.bundle().probe(&["signal-wait"]).detach();
    c.until("ready");
    c
}

fn mounted(c: &Container<'_>, target: &str) -> bool {
    witness::mount_at(&c.mounts(), target).is_some()
}

fn bind_of_a_directory_comes_and_goes(t: &T) {
    own(t);
    let c = running(t);
    let source = t.path("source");
    fs::create_dir(&source).unwrap();
    fs::write(source.join("file"), "of the host").unwrap();
    let mounts = json!([
        {"destination": "/there", "type": "bind", "source": source, "options": ["bind", "ro", "nosuid"]}
    ]);
    let before = c.mounts().len();
    let outside = witness::mountinfo(std::process::id() as i32).unwrap().len();
    change(t, "add", &c.id, &mounts).ok();
    let mount = c.mount_at("/there");
    assert!(mount.has("ro") && mount.has("nosuid"), "{mount:?}");
    let out = c.exec(&[], &["read", "/there/file", "--", "create", "/there/new"]);
    assert!(out.stdout.contains("of the host"), "{}", out.stdout);
    assert!(out.stdout.contains("EROFS"), "{}", out.stdout);
    // The host sees nothing of it.
    assert_eq!(
        witness::mountinfo(std::process::id() as i32).unwrap().len(),
        outside
    );
    change(t, "remove", &c.id, &mounts).ok();
    assert!(!mounted(&c, "/there"));
    assert_eq!(c.mounts().len(), before);
    change(t, "remove", &c.id, &mounts).fails(&["unmount", "/there", "EINVAL"]);
}

fn file_and_missing_mount_points(t: &T) {
    own(t);
    let c = running(t);
    let source = t.path("a file");
    fs::write(&source, "content").unwrap();
    let mounts = json!([
        {"destination": "/a/b/file", "source": source, "options": ["rbind"]},
        {"destination": "/etc/there", "type": "none", "source": source, "options": ["bind"]}
    ]);
    change(t, "add", &c.id, &mounts).ok();
    for target in ["/a/b/file", "/etc/there"] {
        let out = c.exec(&[], &["read", target]).ok();
        assert!(out.stdout.contains("content"), "{target}: {}", out.stdout);
    }
    change(t, "remove", &c.id, &mounts).ok();
    assert!(!mounted(&c, "/a/b/file") && !mounted(&c, "/etc/there"));
}

fn tmpfs_with_options(t: &T) {
    own(t);
    let c = running(t);
    let mounts = json!([
        {"destination": "/fresh", "type": "tmpfs", "source": "tmpfs", "options": ["mode=711", "size=64k", "noexec"]},
        {"destination": "/sealed", "type": "tmpfs", "options": ["ro"]}
    ]);
    change(t, "add", &c.id, &mounts).ok();
    let mount = c.mount_at("/fresh");
    assert!(mount.kind == "tmpfs" && mount.has("noexec"), "{mount:?}");
    assert!(
        mount.data.iter().any(|word| word == "size=64k"),
        "{mount:?}"
    );
    assert!(c.mount_at("/sealed").has("ro"));
    change(t, "remove", &c.id, &mounts).ok();
    assert!(!mounted(&c, "/fresh") && !mounted(&c, "/sealed"));
}

fn created_container(t: &T) {
    own(t);
    let bundle = t.bundle().probe(&["ls", "/before"]);
    // A path that is not absolute is one of the bundle.
    fs::create_dir(bundle.dir.join("beside")).unwrap();
    fs::write(bundle.dir.join("beside/visible"), "").unwrap();
    let c = bundle.create();
    let mounts = json!([{"destination": "before", "source": "beside", "options": ["bind"]}]);
    change(t, "add", &c.id, &mounts).ok();
    c.start();
    c.wait();
    assert!(c.text().contains("visible"), "{}", c.text());
}

/// What is new belongs to the container's users, what is bound keeps its own.
fn user_namespace_of_the_container(t: &T) {
    own(t);
    super::users::need(t);
    let map = json!([{"containerID": 0, "hostID": 100_000, "size": 65536}]);
    let bundle = t
        .bundle()
        .probe(&["signal-wait"])
        .namespace("user", None)
        .edit(|c| {
            c["linux"]["uidMappings"] = map.clone();
            c["linux"]["gidMappings"] = map.clone();
        });
    std::os::unix::fs::chown(bundle.rootfs(), Some(100_000), Some(100_000)).unwrap();
    let c = bundle.detach();
    c.until("ready");
    // Only root of the host gets there.
    let closed = t.path("closed");
    fs::create_dir_all(closed.join("source")).unwrap();
    fs::set_permissions(&closed, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    fs::write(closed.join("source/file"), "shown").unwrap();
    let mounts = json!([
        {"destination": "/bound", "source": closed.join("source"), "options": ["bind"]},
        {"destination": "/fresh", "type": "tmpfs", "options": ["mode=700"]}
    ]);
    change(t, "add", &c.id, &mounts).ok();
    let out = c
        .exec(&[], &["read", "/bound/file", "--", "create", "/fresh/new"])
        .ok();
    assert!(
        out.stdout.contains("shown") && !out.stdout.contains("\"error\""),
        "{}",
        out.stdout
    );
    change(t, "remove", &c.id, &mounts).ok();
}

/// A root file system with links out of it, and over it.
fn links_stay_inside(t: &T) {
    own(t);
    let canary = Canary::new(t);
    let bundle = t.bundle().probe(&["signal-wait"]);
    let rootfs = bundle.rootfs();
    symlink(&canary.dir, rootfs.join("absolute")).unwrap();
    symlink("../../../../../../../../../tmp", rootfs.join("climbing")).unwrap();
    symlink("/proc/self/root/../etc", rootfs.join("magic")).unwrap();
    let c = bundle.detach();
    c.until("ready");
    let source = t.path("source");
    fs::create_dir(&source).unwrap();
    let outside = witness::mountinfo(std::process::id() as i32).unwrap().len();
    for (destination, lands) in [
        ("/absolute/x", Some(format!("{}/x", canary.dir.display()))),
        ("/climbing/y", Some("/tmp/y".to_owned())),
        ("/magic/z", None),
    ] {
        let mounts = json!([{"destination": destination, "source": source, "options": ["bind"]}]);
        let out = change(t, "add", &c.id, &mounts);
        match lands {
            Some(place) => {
                out.ok();
                assert!(mounted(&c, &place), "{place}");
            }
            None => drop(out.fails(&["mount point"])),
        }
    }
    assert_eq!(
        witness::mountinfo(std::process::id() as i32).unwrap().len(),
        outside
    );
    canary.intact();
}

fn nothing_lands_in_proc(t: &T) {
    own(t);
    let bundle = t.bundle().probe(&["signal-wait"]);
    let rootfs = bundle.rootfs();
    symlink("/proc/self/attr", rootfs.join("attr")).unwrap();
    symlink("/proc/sys", rootfs.join("sysctl")).unwrap();
    let c = bundle.detach();
    c.until("ready");
    let source = t.path("source");
    fs::create_dir(&source).unwrap();
    let before = c.mounts().len();
    for (destination, words) in [
        // There the process that mounts is nobody.
        ("/attr", "mount point"),
        ("/sysctl", "/proc"),
        ("/sysctl/kernel", "/proc"),
        ("/proc/self", "below /proc"),
        ("/proc/sys/kernel", "below /proc"),
        ("/proc", "/proc"),
        ("/", "below \"/\""),
    ] {
        for kind in ["bind", "tmpfs"] {
            let options: &[&str] = if kind == "bind" { &["bind"] } else { &[] };
            let mounts = json!([
                {"destination": destination, "type": kind, "source": source, "options": options}
            ]);
            change(t, "add", &c.id, &mounts).fails(&[words]);
        }
    }
    assert_eq!(c.mounts().len(), before);
}

/// What lies where a link of the container leads is not what the caller has named.
fn links_are_not_unmounted(t: &T) {
    own(t);
    let bundle = t
        .bundle()
        .probe(&["signal-wait"])
        .edit(|c| c["linux"]["maskedPaths"] = json!(["/proc/keys"]));
    symlink("/proc/keys", bundle.rootfs().join("link")).unwrap();
    symlink("/proc", bundle.rootfs().join("way")).unwrap();
    let c = bundle.detach();
    c.until("ready");
    let before = c.mounts().len();
    for destination in ["/link", "/way/keys", "/way"] {
        let mounts = json!([{"destination": destination, "type": "tmpfs"}]);
        change(t, "remove", &c.id, &mounts).fails(&["unmount", "ELOOP"]);
    }
    assert_eq!(c.mounts().len(), before);
}

fn what_cannot_be_had(t: &T) {
    own(t);
    let c = running(t);
    let source = t.path("source");
    fs::create_dir(&source).unwrap();
    let before = c.mounts().len();
    for (mount, words) in [
        (
            json!({"destination": "/p", "type": "proc", "source": "proc"}),
            "procfs",
        ),
        (
            json!({"destination": "/p", "type": "cgroup", "source": "cgroup"}),
            "cgroups",
        ),
        (
            json!({"destination": "/p", "source": source, "options": ["bind"],
                "uidMappings": [{"containerID": 0, "hostID": 1, "size": 1}],
                "gidMappings": [{"containerID": 0, "hostID": 1, "size": 1}]}),
            "id-mapped",
        ),
        (
            json!({"destination": "/p", "source": "/no/such", "options": ["bind"]}),
            "ENOENT",
        ),
        (json!({"destination": "/p", "type": "nosuchfs"}), "ENODEV"),
        (json!({"type": "tmpfs"}), "destination"),
    ] {
        change(t, "add", &c.id, &json!([mount])).fails(&[words]);
    }
    assert_eq!(c.mounts().len(), before);
    let file = t.path("file");
    fs::write(&file, "{}").unwrap();
    let file = file.to_string_lossy();
    t.cmd(&["mounts", "add", &c.id, &file])
        .run()
        .fails(&["mounts"]);
    t.cmd(&["mounts", "replace", &c.id, &file])
        .run()
        .fails(&["neither add nor remove"]);
    t.cmd(&["mounts", "add", &c.id]).run().fails(&["mounts"]);
    t.cmd(&["mounts", "add", "nobody", &file])
        .run()
        .fails(&["does not exist"]);
}

fn container_that_has_ended(t: &T) {
    own(t);
    let c = t.bundle().probe(&["exit", "0"]).detach();
    c.wait();
    let mounts = json!([{"destination": "/p", "type": "tmpfs"}]);
    change(t, "add", &c.id, &mounts).fails(&["not running"]);
}
