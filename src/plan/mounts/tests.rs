//! Documents to operations.
#![forbid(unsafe_code)]

mod whole;

use std::sync::{Mutex, PoisonError};

use super::{Way, check_target, k, propagation};
use crate::cgroup::{Manager, Mode};
use crate::config::{self, Pools, Propagation};
use crate::error::{At, Cause, Fault, Rule};
use crate::plan::draft::Draft;
use crate::plan::make::{Request, Source};
use crate::plan::op::{Op, describe};
use crate::plan::service::Service;
use crate::plan::{Plan, route};

/// Too large for the stack of a test.
static ROOM: Mutex<(Pools, Plan)> = Mutex::new((Pools::new(), Plan::new()));

/// What `use_plan` sees of the plan for a document, whose host has cgroups of this kind.
fn plan<T>(doc: &str, mode: Mode, way: Way, use_plan: impl FnOnce(&Plan) -> T) -> Result<T, Fault> {
    let mut room = ROOM.lock().unwrap_or_else(PoisonError::into_inner);
    let (pools, plan) = &mut *room;
    pools.clear();
    let config = config::read(doc.as_bytes(), pools)?;
    plan.ops.clear();
    plan.root = super::Setup::NONE;
    plan.root.way = way;
    plan.namespaces = route::Namespaces::new();
    plan.cgroup.mode = mode;
    plan.cgroup.hierarchies.clear();
    let rows = [
        ("cpu,cpuacct", "/sys/fs/cgroup/cpu,cpuacct"),
        ("memory", "/sys/fs/cgroup/memory"),
        ("name=systemd", "/sys/fs/cgroup/systemd"),
        ("", "/sys/fs/cgroup/unified"),
    ];
    let rows = match mode {
        Mode::V1 => &rows[..],
        _ => &rows[3..],
    };
    for (controllers, mount) in rows {
        let hierarchies = &mut plan.cgroup.hierarchies;
        hierarchies.push(controllers.as_bytes(), mount.as_bytes(), &[b"/c1"])?;
    }
    plan.rootfs = plan.arena.push(b"/bundle/rootfs");
    let mut draft = Draft {
        request: Request {
            id: b"c1",
            bundle: b"/bundle",
            no_pivot: false,
            no_new_keyring: false,
            seccomp_default: false,
            cgroup_manager: Manager::Cgroupfs,
            rootless: false,
            uid: 0,
            cgroup_policy: None,
            service: Service::default(),
        },
        source: Source {
            config: &config,
            pools,
            doc: doc.as_bytes(),
        },
        plan,
    };
    let linux = config.linux.as_ref().unwrap();
    route::make(&mut draft, linux);
    let made = super::make(&mut draft);
    plan.arena.result().and(made)?;
    Ok(use_plan(plan))
}

/// A document with these mounts and this in its `linux` object.
fn document(mounts: &str, linux: &str) -> String {
    let comma = if linux.is_empty() { "" } else { "," };
    format!(
        r#"{{"ociVersion": "1.0.2", "root": {{"path": "rootfs"}}, "process": {{"cwd": "/w/x", "args": ["a"]}},
            "mounts": [{mounts}], "linux": {{"namespaces": [{{"type": "mount"}}]{comma} {linux}}}}}"#
    )
}

/// One mount entry.
fn entry(destination: &str, kind: &str, source: &str, options: &str) -> String {
    let options: Vec<_> = options
        .split(' ')
        .filter(|option| !option.is_empty())
        .map(|option| format!("{option:?}"))
        .collect();
    let options = options.join(",");
    format!(
        r#"{{"destination": {destination:?}, "type": {kind:?}, "source": {source:?}, "options": [{options}]}}"#
    )
}

/// All operations in words.
fn words(plan: &Plan) -> Vec<String> {
    let word = |op: &Op| {
        let mut text = Vec::new();
        describe(op, &plan.arena, &mut |piece| text.extend_from_slice(piece));
        String::from_utf8(text).unwrap()
    };
    plan.ops.iter().map(word).collect()
}

/// The words of the operations for one mount, or the rule that it breaks.
fn one(destination: &str, kind: &str, source: &str, options: &str) -> Result<Vec<String>, Rule> {
    let doc = document(&entry(destination, kind, source, options), "");
    let mounts = |plan: &Plan| {
        let not = ["device", "symbolic", "directory"];
        let all = words(plan).into_iter();
        all.filter(|op| !not.iter().any(|start| op.starts_with(start)))
            .collect()
    };
    plan(&doc, Mode::None, Way::Pivot, mounts).map_err(|fault| match (fault.cause(), fault.at()) {
        (Cause::Rule(rule), At::Byte(_)) => rule,
        other => panic!("{other:?}"),
    })
}

#[test]
fn labels_are_options_of_new_file_systems() {
    let mounts = [
        entry("/t", "tmpfs", "", "size=1"),
        entry("/p", "devpts", "", ""),
        entry("/q", "mqueue", "", ""),
        entry("/s", "sysfs", "", "ro"),
        entry("/b", "bind", "/b", "bind"),
        entry("/t", "tmpfs", "", "remount"),
    ];
    let doc = document(&mounts.join(","), r#""mountLabel": "u:r:t:s0:c1,c2""#);
    let all = plan(&doc, Mode::None, Way::Pivot, words).unwrap();
    assert_eq!(
        all.get(..7).unwrap(),
        [
            "mount of tmpfs at /t (size=1,context=\"u:r:t:s0:c1,c2\")",
            "mount of devpts at /p (context=\"u:r:t:s0:c1,c2\")",
            "mount of mqueue at /q",
            "label /q",
            "mount of sysfs at /s (ro)",
            "bind mount of /b at /b (bind)",
            "remount of /t (remount)",
        ]
    );
}

#[test]
#[allow(clippy::too_many_lines, reason = "a table")]
fn mounts_in_words() {
    let table: [(&str, &str, &str, &str, &[&str]); 14] = [
        (
            "/dev/shm",
            "tmpfs",
            "shm",
            "nosuid noexec mode=1777 size=64k",
            &["mount of tmpfs from shm at /dev/shm (noexec,nosuid,mode=1777,size=64k)"],
        ),
        (
            "/t",
            "tmpfs",
            "tmpfs",
            "ro",
            &["mount of tmpfs at /t (ro)", "read-only mount /t"],
        ),
        ("/t", "tmpfs", "", "ro rw", &["mount of tmpfs at /t (rw)"]),
        (
            "/dev",
            "devtmpfs",
            "",
            "ro",
            &["mount of devtmpfs at /dev (ro)", "read-only mount /dev"],
        ),
        (
            "/t",
            "tmpfs",
            "tmpfs",
            "defaults",
            &["mount of tmpfs at /t"],
        ),
        (
            "/t",
            "tmpfs",
            "tmpfs",
            "tmpcopyup private rslave",
            &["mount of tmpfs at /t (private,rslave,tmpcopyup)"],
        ),
        (
            "d/../data/",
            "none",
            "/src",
            "bind ro",
            &["bind mount of /src at /data (bind,ro)"],
        ),
        (
            "/data",
            "bind",
            "src/../x",
            "rbind",
            &["bind mount of /bundle/src/../x at /data (rbind)"],
        ),
        (
            "/data",
            "",
            "/s",
            "rbind rro rnoatime",
            &["bind mount of /s at /data (rbind,rnoatime,rro)"],
        ),
        (
            "/data",
            "",
            "/s",
            "bind nosuid suid",
            &["bind mount of /s at /data (bind,suid)"],
        ),
        ("/proc", "proc", "proc", "", &["mount of proc at /proc"]),
        (
            "/proc/meminfo",
            "",
            "/s",
            "bind",
            &["bind mount of /s at /proc/meminfo (bind)"],
        ),
        (
            "/x",
            "none",
            "none",
            "remount ro nosuid",
            &["remount of /x (nosuid,remount,ro)"],
        ),
        (
            "/o",
            "overlay",
            "overlay",
            "lowerdir=/a:/b upperdir=/c workdir=/d iversion",
            &["mount of overlay at /o (iversion,lowerdir=/a:/b,upperdir=/c,workdir=/d)"],
        ),
    ];
    for (destination, kind, source, options, want) in table {
        let got = one(destination, kind, source, options).unwrap();
        assert_eq!(got, want, "{destination} {kind} {options}");
    }
}

#[test]
fn mounts_that_are_refused() {
    let table = [
        ("/", "tmpfs", "tmpfs", "", Rule::MountOnRoot),
        ("/a/..", "tmpfs", "tmpfs", "", Rule::MountOnRoot),
        ("/proc", "tmpfs", "tmpfs", "", Rule::OnlyProcOnProc),
        ("/./proc/1/attr", "", "/s", "bind", Rule::OnlyLxcfsInProc),
        ("/x", "", "/s", "bind size=5", Rule::BindHasData),
        ("/x", "none", "", "bind", Rule::BindNeedsSource),
        ("/x", "", "/s", "", Rule::MountNeedsType),
        ("/x", "bind", "/s", "ro", Rule::TypeBind),
        ("/x", "", "/s", "bind idmap", Rule::IdMapMissing),
        ("/x", "", "/s", "bind ridmap", Rule::IdMapMissing),
        ("/x", "tmpfs", "tmpfs", "idmap", Rule::IdMapBind),
        ("/x", "", "/s", "remount bind idmap", Rule::IdMapBind),
        ("/x", "proc", "proc", "tmpcopyup", Rule::CopyUpTmpfs),
        (
            "/x",
            "tmpfs",
            "",
            "shared slave shared slave shared slave shared slave shared",
            Rule::TooManyPropagations,
        ),
    ];
    for (destination, kind, source, options, rule) in table {
        let got = one(destination, kind, source, options);
        assert_eq!(got, Err(rule), "{destination} {kind} {options}");
    }
}

#[test]
fn id_mapped_mounts() {
    let pair = r#", "uidMappings": [{"containerID": 0, "hostID": 7, "size": 2}],
                  "gidMappings": [{"containerID": 1, "hostID": 8, "size": 3}]"#;
    let table = [
        ("bind", pair, "idmap", "0 7 2\n", "1 8 3\n"),
        ("rbind ridmap", pair, "ridmap", "0 7 2\n", "1 8 3\n"),
        ("bind ridmap idmap", pair, "idmap", "0 7 2\n", "1 8 3\n"),
        ("bind ridmap", "", "ridmap", "", ""),
    ];
    for (options, mappings, word, uids, gids) in table {
        let mut text = entry("/m", "", "/s", options);
        text.insert_str(text.len() - 1, mappings);
        // Only the last one has none of its own.
        let user = mappings.is_empty();
        let text = document(&text, "").replace(
            r#"{"type": "mount"}"#,
            if user {
                r#"{"type": "mount"}, {"type": "user", "path": "/u"}"#
            } else {
                r#"{"type": "mount"}"#
            },
        );
        let seen = plan(&text, Mode::V2, Way::Pivot, |plan| {
            let Some(Op::Mount(mount)) = plan.ops.first() else {
                panic!("{text}");
            };
            let mappings = mount.id_map.unwrap().mappings;
            let texts = mappings.map(|map| plan.arena.bytes(map.text).to_vec());
            (words(plan).remove(0), texts, plan.root.asks)
        });
        let (said, texts, asks) = seen.unwrap();
        assert!(asks && said.contains(&format!(",{word})")), "{said}");
        assert_eq!(texts, [uids.as_bytes(), gids.as_bytes()], "{options}");
    }
}

#[test]
fn the_longest_path() {
    let longest = format!("/{}", "x".repeat(4094));
    assert!(one(&longest, "proc", "proc", "").is_ok());
    let got = one(&format!("{longest}x"), "proc", "proc", "");
    assert_eq!(got, Err(Rule::PathTooLong));
}

#[test]
fn targets() {
    let table: [(&str, bool, bool, Result<(), Rule>); 16] = [
        ("/", false, false, Err(Rule::MountOnRoot)),
        ("/", true, false, Err(Rule::MountOnRoot)),
        ("/proc", false, true, Ok(())),
        ("/proc", false, false, Err(Rule::OnlyProcOnProc)),
        ("/proc", true, false, Ok(())),
        ("/proc", true, true, Ok(())),
        ("/proc/self", true, false, Err(Rule::OnlyLxcfsInProc)),
        ("/proc/sys", false, false, Err(Rule::OnlyLxcfsInProc)),
        ("/proc/1/attr", true, false, Err(Rule::OnlyLxcfsInProc)),
        ("/proc/cpuinfo/x", true, false, Err(Rule::OnlyLxcfsInProc)),
        ("/proc/cpuinfo", true, false, Ok(())),
        ("/proc/sys/kernel/ns_last_pid", true, false, Ok(())),
        ("/proc/sys/crypto/fips_enabled", true, false, Ok(())),
        ("/procfs", true, false, Ok(())),
        ("/sys", false, false, Ok(())),
        ("/data/proc", false, true, Ok(())),
    ];
    for (target, bind, proc, want) in table {
        assert_eq!(
            check_target(target.as_bytes(), bind, proc),
            want,
            "{target}"
        );
    }
}

#[test]
fn the_first_propagation_never_is_unbindable() {
    use Propagation::{Private, RecShared, RecUnbindable, Shared, Slave};
    let slave = k::MS_SLAVE | k::MS_REC;
    let private = k::MS_PRIVATE | k::MS_REC;
    assert_eq!(propagation(None), (slave, 0));
    assert_eq!(propagation(Some(Slave)), (slave, 0));
    assert_eq!(propagation(Some(Private)), (private, 0));
    assert_eq!(propagation(Some(Shared)), (k::MS_SHARED, k::MS_SHARED));
    let shared = k::MS_SHARED | k::MS_REC;
    assert_eq!(propagation(Some(RecShared)), (shared, shared));
    let last = k::MS_UNBINDABLE | k::MS_REC;
    assert_eq!(propagation(Some(RecUnbindable)), (private, last));
}
