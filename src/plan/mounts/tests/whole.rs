//! Whole documents: what comes from elsewhere than `mounts`, and in which order.
#![forbid(unsafe_code)]

use super::super::{Way, k};
use super::{document, entry, plan, words};
use crate::cgroup::Mode;
use crate::error::{Cause, Fault, Rule};
use crate::plan::op::Op;

#[test]
fn cgroup_mounts() {
    let doc = |namespace: &str| {
        let text = document(
            &entry("/sys/fs/cgroup", "cgroup", "cgroup", "ro nosuid relatime"),
            "",
        );
        text.replace(
            r#"{"type": "mount"}"#,
            &format!(r#"{{"type": "mount"}}{namespace}"#),
        )
    };
    let own = doc(r#", {"type": "cgroup"}"#);
    let ops = |doc: &str, mode| {
        plan(doc, mode, Way::Pivot, |plan| {
            let mut ops = words(plan);
            ops.retain(|op| op.contains("cgroup") || op.contains("cpu") || op.contains("tmpfs"));
            let below = plan.ops.iter().find_map(|op| match op {
                Op::Below(below) => Some(*below),
                _ => None,
            });
            let text = |text| String::from_utf8(plan.arena.bytes(text).to_vec()).unwrap();
            (
                ops,
                below.map(|below| (text(below.source), text(below.fstype), text(below.data))),
            )
        })
        .unwrap()
    };
    let (list, below) = ops(&own, Mode::V1);
    let tmpfs = "mount of tmpfs at /sys/fs/cgroup (nodev,noexec,nosuid,relatime,ro,mode=755)";
    assert_eq!(
        list,
        [
            tmpfs,
            "cgroup hierarchy cpu,cpuacct",
            "symbolic link cpu",
            "symbolic link cpuacct",
            "cgroup hierarchy memory",
            "cgroup hierarchy systemd",
            "read-only mount /sys/fs/cgroup",
        ]
    );
    let three = |a: &str, b: &str, c: &str| Some((a.into(), b.into(), c.into()));
    assert_eq!(below, three("cgroup", "cgroup", "cpu,cpuacct"));
    let (list, below) = ops(&doc(""), Mode::V1);
    assert_eq!(list.get(6).map(String::as_str), Some("cgroup hierarchies"));
    assert_eq!(below, three("/sys/fs/cgroup/cpu,cpuacct/c1", "", ""));
    let (list, _) = ops(&own, Mode::V2);
    let cgroup2 =
        "mount of cgroup2 from /sys/fs/cgroup/unified/c1 at /sys/fs/cgroup (nosuid,relatime,ro)";
    assert_eq!(list, [cgroup2]);
    let (list, _) = ops(&own, Mode::None);
    assert_eq!(list, [tmpfs, "read-only mount /sys/fs/cgroup"]);
}

#[test]
fn what_dev_holds() {
    let devices = r#""devices": [{"type": "c", "path": "/dev/null", "major": 1, "minor": 3, "fileMode": 432, "uid": 7},
        {"type": "p", "path": "/var/pipe"}, {"type": "c", "path": "/dev/ptmx", "major": 5, "minor": 2}]"#;
    let list = |mounts: &str| {
        plan(&document(mounts, devices), Mode::None, Way::Pivot, |plan| {
            let null = plan.ops.iter().find_map(|op| match op {
                Op::Device(device) => Some((device.mode, device.uid)),
                _ => None,
            });
            (words(plan), null)
        })
        .unwrap()
    };
    let (all, null) = list("");
    assert_eq!(null, Some((0o020_660, 7)));
    let want = "device /dev/null,device /var/pipe,device /dev/zero,device /dev/full,device /dev/random,\
                device /dev/urandom,device /dev/tty,symbolic link /dev/fd,symbolic link /dev/stdin,\
                symbolic link /dev/stdout,symbolic link /dev/stderr,symbolic link /dev/core,\
                symbolic link /dev/ptmx,directory /w/x";
    assert_eq!(all.join(","), want);
    // A /dev from elsewhere is left alone; a mount on a device, too.
    let (all, _) = list(&entry("/dev", "", "/dev", "rbind"));
    assert_eq!(
        all,
        [
            "bind mount of /dev at /dev (rbind)",
            "device /var/pipe",
            "directory /w/x"
        ]
    );
    let (all, _) = list(&entry("/dev/random", "", "/dev/urandom", "bind"));
    assert!(!all.contains(&"device /dev/random".to_string()));
}

#[test]
fn order_and_ways() {
    let linux = r#""rootfsPropagation": "shared", "maskedPaths": ["/proc/kcore", "/x/../y"],
                   "readonlyPaths": ["/proc/sys"]"#;
    let doc = document(&entry("/t", "tmpfs", "tmpfs", "ro"), linux);
    let doc = doc.replace(r#""rootfs"}"#, r#""rootfs", "readonly": true}"#);
    let (late, setup) = plan(&doc, Mode::None, Way::Pivot, |plan| {
        (words(plan).split_off(plan.root.before as usize), plan.root)
    })
    .unwrap();
    assert_eq!(
        late,
        [
            "propagation of the root",
            "read-only path /proc/sys",
            "masked path /proc/kcore",
            "masked path /y",
            "read-only mount /t",
            "read-only mount /",
        ]
    );
    assert_eq!((setup.way, setup.masks), (Way::Pivot, true));
    assert_eq!(setup.propagation, k::MS_SHARED);
    // Without a mount namespace all of that would be done to the host.
    let host = document(&entry("/t", "tmpfs", "tmpfs", ""), "");
    let host = host.replace(r#"{"type": "mount"}"#, r#"{"type": "pid"}"#);
    let rule = |fault: Fault| fault.cause();
    let refused = plan(&host, Mode::None, Way::Pivot, |_| ()).map_err(rule);
    assert_eq!(refused, Err(Cause::Rule(Rule::NeedsMountNamespace)));
    let bare = document("", "").replace(r#"{"type": "mount"}"#, "");
    let way = plan(&bare, Mode::None, Way::Pivot, |plan| plan.root.way);
    assert_eq!(way, Ok(Way::Chroot));
    let private = document("", r#""rootfsPropagation": "rprivate""#);
    let refused = plan(&private, Mode::None, Way::Move, |_| ()).map_err(rule);
    assert_eq!(refused, Err(Cause::Rule(Rule::PrivateNoPivot)));
    let way = plan(&document("", ""), Mode::None, Way::Move, |plan| {
        plan.root.way
    });
    assert_eq!(way, Ok(Way::Move));
}
