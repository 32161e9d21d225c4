//! Tables: paths per mode, rules per host, limits.

use super::{Request, Source, Wanted, base, make, normal, wanted};
use crate::cgroup::{CgroupPlan, Devices, Layout, Manager, Mode, Unit};
use crate::config::{Config, DeviceRule, Linux, Pools, Resources};
use crate::error::{At, Cause, Fault, Rule};
use crate::plan::arena::Arena;
use std::sync::{Mutex, PoisonError};

fn path(text: &[u8]) -> Result<Vec<u8>, Rule> {
    let mut buffer = [0; 32];
    normal(&mut text.iter().copied(), &mut buffer).map(<[u8]>::to_vec)
}

#[test]
fn paths_are_normalised() {
    for (text, want) in [
        ("/a", "/a"),
        ("a/b", "/a/b"),
        ("//a///b/", "/a/b"),
        ("./a/./b/.", "/a/b"),
        ("/..a/b../...", "/..a/b../..."),
        (".a", "/.a"),
    ] {
        assert_eq!(
            path(text.as_bytes()),
            Ok(want.as_bytes().to_vec()),
            "{text}"
        );
    }
    for (text, want) in [
        ("..", Rule::CgroupPathUp),
        ("/a/../b", Rule::CgroupPathUp),
        ("a/..", Rule::CgroupPathUp),
        ("/", Rule::CgroupPathRoot),
        (".", Rule::CgroupPathRoot),
        ("//./", Rule::CgroupPathRoot),
        ("a\0", Rule::Nul),
        ("/0123456789/0123456789/0123456789", Rule::CgroupPathLong),
    ] {
        assert_eq!(path(text.as_bytes()), Err(want), "{text:?}");
    }
}

#[test]
fn the_default_is_the_name() {
    let mut buffer = [0; 32];
    let want = Wanted {
        path: b"/c1",
        absolute: false,
    };
    assert_eq!(wanted(None, b"", b"c1", &mut buffer), Ok(want));
}

#[test]
fn bases() {
    for (mode, own, absolute, want) in [
        (Mode::V1, "/own", true, ""),
        (Mode::V1, "/own/x", false, "/own/x"),
        (Mode::V1, "", false, ""),
        (Mode::V2, "/a/b", false, "/a"),
        (Mode::V2, "/a", false, ""),
        (Mode::V2, "", false, ""),
        (Mode::V2, "/a/b", true, ""),
    ] {
        assert_eq!(base(mode, own.as_bytes(), absolute), want.as_bytes());
    }
}

/// Too large for the stack of a test.
static ROOM: Mutex<(Pools, Arena)> = Mutex::new((Pools::new(), Arena::new()));

struct Case {
    layout: Box<Layout>,
    rules: Vec<DeviceRule>,
    plan: Box<CgroupPlan>,
    config: Config,
}

impl Case {
    fn new(mode: Mode, hierarchies: &[&str], rules: &[DeviceRule]) -> Self {
        let mut layout = Box::new(Layout::new());
        layout.mode = mode;
        for name in hierarchies {
            layout
                .hierarchies
                .push(name.as_bytes(), b"/m", &[b"/own"])
                .unwrap();
        }
        let mut resources = Resources::default();
        resources.devices.len = u32::try_from(rules.len()).unwrap();
        let config = Config {
            linux: Some(Linux {
                resources: Some(resources),
                ..Linux::default()
            }),
            ..Config::default()
        };
        Self {
            layout,
            rules: rules.to_vec(),
            plan: Box::new(CgroupPlan::new()),
            config,
        }
    }

    fn make(&mut self, manager: Manager) -> Result<(), Fault> {
        let mut room = ROOM.lock().unwrap_or_else(PoisonError::into_inner);
        let (pools, arena) = &mut *room;
        pools.device_rules.clear();
        pools.device_rules.extend_from_slice(&self.rules).unwrap();
        let source = Source {
            config: &self.config,
            pools,
            doc: b"",
        };
        {
            let request = Request {
                id: b"c1",
                bundle: b"",
                no_pivot: false,
                no_new_keyring: false,
                seccomp_default: false,
                cgroup_manager: manager,
                rootless: false,
                uid: 0,
                cgroup_policy: None,
                service: crate::plan::service::Service::default(),
            };
            make(source, request, &self.layout, arena, &mut self.plan)
        }
    }

    fn rule(&mut self, manager: Manager) -> (Rule, At) {
        let fault = self.make(manager).unwrap_err();
        let Cause::Rule(rule) = fault.cause() else {
            panic!("{fault:?}");
        };
        (rule, fault.at())
    }
}

const DENY: DeviceRule = DeviceRule {
    at: 10,
    allow: false,
    kind: 0,
    major: None,
    minor: None,
    access: 7,
};
const FUSE: DeviceRule = DeviceRule {
    at: 20,
    allow: true,
    kind: 1,
    major: Some(10),
    minor: Some(229),
    access: 3,
};
const EVERYTHING: DeviceRule = DeviceRule {
    allow: true,
    at: 30,
    ..DENY
};

#[test]
fn hosts_and_rules() {
    use Devices::{Lists, Program, Unrestricted};
    let v1 = &["cpu", "devices", "name=systemd", ""][..];
    for (mode, hierarchies, rules, devices, warn) in [
        (Mode::V1, v1, &[DENY, FUSE][..], Lists, false),
        (Mode::V1, v1, &[], Lists, false),
        (Mode::V1, v1, &[EVERYTHING], Unrestricted, false),
        (Mode::V1, &["cpu", ""], &[DENY, FUSE], Program, false),
        (Mode::V1, &["cpu"], &[DENY], Unrestricted, true),
        (Mode::V2, &[""], &[DENY, FUSE], Program, false),
        (Mode::V2, &[""], &[EVERYTHING], Unrestricted, false),
        (Mode::None, &[], &[DENY], Unrestricted, true),
        (Mode::None, &[], &[EVERYTHING], Unrestricted, true),
        (Mode::None, &[], &[], Unrestricted, true),
    ] {
        let mut case = Case::new(mode, hierarchies, rules);
        case.make(Manager::Cgroupfs).unwrap();
        assert_eq!((case.plan.devices, case.plan.warn), (devices, warn));
        assert_eq!(case.plan.hierarchies.len(), hierarchies.len());
        let rows = case.plan.hierarchies.iter();
        let want = if mode == Mode::V2 {
            &b"/c1"[..]
        } else {
            b"/own/c1"
        };
        assert!(rows.into_iter().all(|row| row.path == want));
    }
    for hierarchies in [&[][..], &["cpu"]] {
        let mode = if hierarchies.is_empty() {
            Mode::None
        } else {
            Mode::V1
        };
        let mut case = Case::new(mode, hierarchies, &[DENY, FUSE]);
        let want = (Rule::DevicesNeedCgroups, At::Byte(20));
        assert_eq!(case.rule(Manager::Cgroupfs), want);
    }
    let mut case = Case::new(Mode::V1, v1, &[DENY]);
    case.make(Manager::Disabled).unwrap();
    assert!(case.plan.hierarchies.is_empty() && !case.plan.warn);
    let mut case = Case::new(Mode::V1, v1, &[DENY]);
    case.make(Manager::Systemd).unwrap();
    assert_eq!(case.plan.unit.kind, Unit::Scope);
    let mut rows = case.plan.hierarchies.iter();
    assert!(rows.all(|row| row.path == b"/system.slice/ocilet-c1.scope"));
    let mut case = Case::new(Mode::None, &[], &[DENY]);
    assert_eq!(case.rule(Manager::Systemd).0, Rule::LimitsNeedCgroups);
}

#[test]
fn what_is_taken_out_of_everything_stays_out() {
    let null = DeviceRule {
        allow: false,
        minor: Some(3),
        major: Some(1),
        ..FUSE
    };
    let mut case = Case::new(Mode::V1, &["devices"], &[EVERYTHING, null]);
    case.make(Manager::Cgroupfs).unwrap();
    assert_eq!(case.plan.devices, Devices::Lists);
    assert!(case.plan.fold.allow);
    assert_eq!(case.plan.fold.ranges().len(), 1);
}

#[test]
fn what_v1_cannot_say_is_an_error_there_only() {
    let part = DeviceRule {
        allow: false,
        at: 40,
        minor: Some(3),
        ..FUSE
    };
    let range = DeviceRule {
        minor: None,
        ..FUSE
    };
    let mut case = Case::new(Mode::V1, &["devices"], &[DENY, range, part]);
    assert_eq!(
        case.rule(Manager::Cgroupfs),
        (Rule::DeviceSubset, At::Byte(20))
    );
    let mut case = Case::new(Mode::V2, &[""], &[DENY, range, part]);
    assert_eq!(case.make(Manager::Cgroupfs), Ok(()));
}
