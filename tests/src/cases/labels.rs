//! Labels of security modules: set without a path that a container could have prepared, and never silently left out.

use std::fs;

use serde_json::json;

use crate::case::{Case, cannot, case};
use crate::harness::T;

pub const CASES: &[Case] = &[
    case!(apparmor_profile),
    case!(selinux_label),
    case!(mount_label),
    case!(labels_do_not_go_where_proc_is_faked),
];

fn only_ocilet(t: &T) {
    if t.foreign() {
        cannot("other words in other runtimes");
    }
}

fn apparmor() -> bool {
    fs::read_to_string("/sys/module/apparmor/parameters/enabled")
        .is_ok_and(|on| on.starts_with('Y'))
}

fn selinux() -> bool {
    fs::read_to_string("/proc/filesystems").is_ok_and(|list| list.contains("selinuxfs"))
}

fn apparmor_profile(t: &T) {
    only_ocilet(t);
    let profile = |name: &'static str| {
        t.bundle()
            .edit(|c| c["process"]["apparmorProfile"] = json!(name))
    };
    // A profile that nobody has loaded, with the kernel or without.
    profile("ocilet-no-such-profile").create_fails(&[
        "AppArmor profile",
        "`/proc/self/attr/apparmor/exec`",
        "ocilet-no-such-profile",
    ]);
    if apparmor() {
        let read = ["read", "/proc/self/attr/current"];
        let seen = profile("unconfined").probe(&read).run().ok();
        assert!(seen.stdout.contains("unconfined"), "{}", seen.stdout);
    } else {
        profile("unconfined").create_fails(&["AppArmor profile", "unconfined"]);
    }
    // Nothing asked for.
    profile("").run().ok();
}

fn selinux_label(t: &T) {
    only_ocilet(t);
    let label = |name: &'static str| {
        t.bundle()
            .edit(|c| c["process"]["selinuxLabel"] = json!(name))
    };
    label("").run().ok();
    if selinux() {
        cannot("which labels are good depends on the policy");
    }
    label("system_u:system_r:container_t:s0:c1,c2")
        .create_fails(&["SELinux label", "container_t:s0:c1,c2"]);
}

/// The label is an option of each file system that can have one; a kernel without SELinux does not know it.
fn mount_label(t: &T) {
    only_ocilet(t);
    let labelled = || {
        t.bundle().edit(|c| {
            c["linux"]["mountLabel"] = json!("system_u:object_r:container_file_t:s0:c1,c2");
        })
    };
    if selinux() {
        cannot("which labels are good depends on the policy");
    }
    labelled().create_fails(&["tmpfs", "container_file_t:s0:c1,c2"]);
    // procfs and bind mounts have labels of their own.
    labelled()
        .edit(|c| {
            let mounts = c["mounts"].as_array_mut().unwrap();
            mounts.retain(|mount| mount["type"] == "proc");
        })
        .mount("/tmp", "bind", "/", &["rbind", "ro"])
        .run()
        .ok();
}

/// CVE-2019-16884: an image whose /proc has files of those names.
fn labels_do_not_go_where_proc_is_faked(t: &T) {
    only_ocilet(t);
    let bundle = t.bundle().edit(|c| {
        c["process"]["apparmorProfile"] = json!("ocilet-no-such-profile");
        let mounts = c["mounts"].as_array_mut().unwrap();
        mounts.retain(|mount| mount["destination"] != "/proc");
    });
    let files = [
        "self/attr/exec",
        "self/attr/apparmor/exec",
        "thread-self/attr/exec",
    ]
    .map(|name| bundle.rootfs().join("proc").join(name));
    for file in &files {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, "fake").unwrap();
    }
    bundle.create_fails(&["AppArmor profile"]);
    for file in &files {
        assert_eq!(fs::read_to_string(file).unwrap(), "fake");
    }
}
