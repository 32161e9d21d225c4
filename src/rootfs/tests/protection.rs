//! Devices, masks, read-only paths, the console, and roots that want to deceive.
#![forbid(unsafe_code)]

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, symlink};
use std::path::Path;

use rustix::fs::OFlags;

use super::super::enter;
use super::{Draft, everywhere};
use crate::error::{Cause, Errno, Rule, Step};
use crate::fs::proc::Proc;
use crate::plan::op::{Device, Kind, Op, When};

/// One device.
pub(super) fn device(draft: &mut Draft, path: &str, mode: u32, major: u32, minor: u32) {
    let path = draft.text(path);
    draft.before.push(Op::Device(Device {
        path,
        mode,
        major,
        minor,
        uid: 1,
        gid: 2,
    }));
}

#[test]
fn devices_and_links() {
    everywhere(|_, path, _| {
        let mut draft = Draft::new(path);
        draft.mount(Kind::New, "tmpfs", "/dev", "tmpfs", 0);
        device(&mut draft, "/dev/null", 0o020_666, 1, 3);
        device(&mut draft, "/dev/null", 0o020_600, 1, 3);
        device(&mut draft, "/dev/net/tun", 0o020_640, 10, 200);
        device(&mut draft, "/data/pipe", 0o010_620, 0, 0);
        for (name, text, when) in [
            ("/dev/fd", "/proc/self/fd", When::Absent),
            ("/dev/ptmx", "pts/ptmx", When::Always),
            ("/dev/core", "/proc/kcore", When::InProc),
        ] {
            let (path, text) = (draft.text(name), draft.text(text));
            draft.before.push(Op::Link { path, text, when });
            draft.before.push(Op::Link { path, text, when });
        }
        let cwd = draft.text("/home/a/b");
        draft.before.push(Op::Directory { path: cwd });
        draft.run().unwrap();
        let null = fs::metadata("/dev/null").unwrap();
        assert!(null.file_type().is_char_device());
        assert_eq!((null.rdev(), null.mode() & 0o7777), (0x103, 0o666));
        assert_eq!((null.uid(), null.gid()), (1, 2));
        assert_eq!(fs::metadata("/dev/net/tun").unwrap().mode() & 0o7777, 0o640);
        assert!(fs::metadata("/data/pipe").unwrap().file_type().is_fifo());
        assert_eq!(fs::read_link("/dev/ptmx").unwrap(), Path::new("pts/ptmx"));
        assert_eq!(
            fs::read_link("/dev/fd").unwrap(),
            Path::new("/proc/self/fd")
        );
        assert!(
            fs::symlink_metadata("/dev/core").is_err(),
            "no procfs was mounted"
        );
        assert_eq!(fs::metadata("/home/a/b").unwrap().mode() & 0o7777, 0o755);
    });
}

/// The rule that a draft breaks.
fn broken(path: &Path, change: impl FnOnce(&mut Draft)) -> (Step, Cause) {
    let mut draft = Draft::new(path);
    change(&mut draft);
    let Err(fault) = draft.run() else {
        panic!("it works");
    };
    (fault.step(), fault.cause())
}

#[test]
fn hostile_roots() {
    everywhere(|scratch, path, _| {
        let canary = scratch.path("canary");
        fs::write(canary.join("ptmx"), "mine").unwrap();
        for name in ["proc", "sys", "dev"] {
            fs::remove_dir(path.join(name)).unwrap();
            symlink(&canary, path.join(name)).unwrap();
        }
        symlink("/", path.join("self")).unwrap();
        let rule = |rule| Cause::Rule(rule);
        // Absolute links lead inside the root, where the canary is not.
        for (target, fstype, kind) in [
            ("/proc", "proc", Kind::Proc),
            ("/sys", "sysfs", Kind::Sysfs),
        ] {
            let got = broken(path, |draft| draft.mount(kind, fstype, target, fstype, 0));
            assert_eq!(got, (Step::MakeMountPoint, rule(Rule::PlainDirectory)));
        }
        let got = broken(path, |draft| {
            device(draft, "/dev/null", 0o020_666, 1, 3);
        });
        assert_eq!(got, (Step::MakeDevice, rule(Rule::DevIsLink)));
        let got = broken(path, |draft| {
            let (path, text) = (draft.text("/dev/ptmx"), draft.text("pts/ptmx"));
            let when = When::Always;
            draft.before.push(Op::Link { path, text, when });
        });
        assert_eq!(got, (Step::MakeLink, rule(Rule::DevIsLink)));
        let names: Vec<_> = fs::read_dir(&canary).unwrap().collect();
        assert_eq!(names.len(), 1);
        assert_eq!(fs::read_to_string(canary.join("ptmx")).unwrap(), "mine");
    });
}

#[test]
fn a_link_into_procfs_is_no_mount_point() {
    everywhere(|scratch, path, _| {
        symlink("/proc/sys", path.join("p")).unwrap();
        let got = broken(path, |draft| {
            draft.mount(Kind::Proc, "proc", "/proc", "proc", 0);
            draft.bind(&scratch.path("canary"), "/p", 0);
        });
        assert_eq!(got, (Step::MakeMountPoint, Cause::Rule(Rule::MountInProc)));
    });
}

#[test]
fn a_device_that_is_another() {
    everywhere(|_, path, _| {
        fs::write(path.join("dev/null"), "x").unwrap();
        let got = broken(path, |draft| {
            device(draft, "/dev/null", 0o020_666, 1, 3);
        });
        assert_eq!(got, (Step::MakeDevice, Cause::Rule(Rule::DeviceDiffers)));
    });
}

#[test]
fn masked_and_readonly_paths() {
    everywhere(|_, path, _| {
        fs::create_dir_all(path.join("data/dir")).unwrap();
        fs::write(path.join("data/file"), "secret").unwrap();
        fs::create_dir_all(path.join("data/other/below")).unwrap();
        let mut draft = Draft::new(path);
        draft.mount(Kind::Proc, "proc", "/proc", "proc", 0);
        draft.mount(Kind::Sysfs, "sysfs", "/sys", "sysfs", 0);
        draft.mount(Kind::New, "tmpfs", "/dev", "tmpfs", 0);
        device(&mut draft, "/dev/null", 0o020_666, 1, 3);
        for name in ["/proc/sys", "/data/other", "/missing", "/etc/hosts"] {
            draft.readonly(name);
        }
        for name in [
            "/data/dir",
            "/data/file",
            "/proc/keys",
            "/proc/timer_list",
            "/sys/firmware",
            "/missing",
            "/etc/hosts/x",
            "/data/dir",
            "/data/file",
        ] {
            draft.mask(name);
        }
        let seen = draft.run().unwrap();
        for file in ["/data/file", "/proc/keys", "/proc/timer_list"] {
            let about = fs::metadata(file).unwrap();
            assert!(about.file_type().is_char_device(), "{file}");
            assert_eq!(about.rdev(), 0x103, "{file}");
        }
        for directory in ["/data/dir", "/sys/firmware"] {
            assert_eq!(fs::read_dir(directory).unwrap().count(), 0, "{directory}");
            assert_eq!(seen.at(directory).2, "tmpfs");
            assert_eq!(seen.flags(directory), "ro,nosuid,nodev,noexec,relatime");
        }
        for place in ["/proc/sys", "/data/other", "/etc/hosts"] {
            assert!(seen.flags(place).starts_with("ro"), "{place}");
        }
        assert!(fs::write("/data/other/below/x", "x").is_err());
        fs::write("/data/new", "x").unwrap();
    });
}

/// A container's null device that is something else never becomes a mask.
#[test]
fn masks_do_not_trust_the_container() {
    everywhere(|_, path, new| {
        fs::remove_dir(path.join("dev")).unwrap();
        fs::create_dir(path.join("dev")).unwrap();
        fs::write(path.join("data/file"), "secret").unwrap();
        symlink("/data/file", path.join("dev/null")).unwrap();
        let mut draft = Draft::new(path);
        draft.mask("/etc/hosts");
        if new {
            draft.run().unwrap();
            assert_eq!(fs::metadata("/etc/hosts").unwrap().rdev(), 0x103);
        } else if let Err(fault) = draft.run() {
            // Without a detached copy of the host's there is none left after pivot_root.
            assert_eq!(fault.cause(), Cause::Rule(Rule::NoNullDevice));
        } else {
            assert_eq!(fs::metadata("/etc/hosts").unwrap().rdev(), 0x103);
        }
    });
}

#[test]
fn the_console() {
    everywhere(|scratch, path, _| {
        let canary = scratch.path("canary");
        let draft = Draft::new(path);
        let proc = Proc::open().unwrap();
        let mut root = enter(&draft.setup, &draft.arena, &proc).unwrap();
        let null = crate::sys::path::openat(crate::sys::path::cwd(), c"/dev/null", OFlags::RDWR);
        let null = null.unwrap();
        let terminal = rustix::fd::AsFd::as_fd(&null);
        symlink(canary.join("x"), path.join("dev/console")).unwrap();
        let fault = root.console(terminal).unwrap_err();
        assert_eq!(fault.errno(), Some(Errno::LOOP));
        fs::remove_file(path.join("dev/console")).unwrap();
        root.console(terminal).unwrap();
        root.pivot(&draft.setup).unwrap();
        assert_eq!(fs::metadata("/dev/console").unwrap().rdev(), 0x103);
    });
}

#[test]
fn a_linked_root_is_refused() {
    everywhere(|scratch, path, _| {
        symlink(path, scratch.path("link")).unwrap();
        let got = broken(&scratch.path("link"), |_| {});
        assert_eq!(got, (Step::OpenRootfs, Cause::Rule(Rule::RootfsIsLink)));
        let got = broken(&scratch.path("missing"), |_| {});
        assert_eq!(got, (Step::OpenRootfs, Cause::Errno(Errno::NOENT)));
    });
}
