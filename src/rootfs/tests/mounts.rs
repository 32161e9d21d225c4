//! Mounts of every kind, and the ways to the root.
#![forbid(unsafe_code)]

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use linux_raw_sys::general as k;

use super::protection::device;
use super::{Draft, KERNELS, Seen, bundle, everywhere};
use crate::error::{Cause, Rule};
use crate::plan::arena::Str;
use crate::plan::mounts::Way;
use crate::plan::op::{Below, Kind, Op};
use crate::sys::testing::{alone, root};

#[test]
fn the_usual_mounts() {
    everywhere(|_, path, _| {
        let mut draft = Draft::new(path);
        let plain = k::MS_NOSUID | k::MS_NODEV | k::MS_NOEXEC;
        draft.mount(Kind::Proc, "proc", "/proc", "proc", 0);
        draft.mount(
            Kind::New,
            "tmpfs",
            "/dev",
            "tmpfs",
            k::MS_NOSUID | k::MS_STRICTATIME,
        );
        draft.mount(
            Kind::New,
            "devpts",
            "/dev/pts",
            "devpts",
            k::MS_NOSUID | k::MS_NOEXEC,
        );
        draft.mount(Kind::Sysfs, "sysfs", "/sys", "sysfs", plain | k::MS_RDONLY);
        let seen = draft.run().unwrap();
        assert_eq!(seen.at("/proc").2, "proc");
        assert_eq!(seen.flags("/dev"), "rw,nosuid");
        assert_eq!(seen.at("/dev").2, "tmpfs");
        assert_eq!(seen.at("/dev/pts").2, "devpts");
        assert_eq!(seen.flags("/sys"), "ro,nosuid,nodev,noexec,relatime");
        assert!(fs::metadata("/dev/pts/ptmx").is_ok());
        // Nothing of the host is left.
        assert_eq!(seen.0.len(), 5, "{:?}", seen.0);
        assert_eq!(fs::read_to_string("/etc/hosts").unwrap(), "old");
    });
}

#[test]
fn binds() {
    everywhere(|scratch, path, new| {
        let source = scratch.path("source");
        fs::create_dir_all(source.join("sub")).unwrap();
        fs::write(source.join("file"), "new").unwrap();
        let plain = k::MS_NOSUID | k::MS_NODEV;
        let own = c"tmpfs";
        let sub = std::ffi::CString::new(source.join("sub").to_str().unwrap()).unwrap();
        crate::sys::mount::mount(own, &sub, own, plain, c"").unwrap();

        let mut draft = Draft::new(path);
        draft.bind(&source, "/data", 0);
        draft.bind(&source.join("file"), "/etc/hosts", k::MS_RDONLY);
        draft.bind(
            &source.join("file"),
            "/made/deep/file",
            k::MS_NOEXEC | k::MS_NOATIME,
        );
        draft.bind(&source.join("sub"), "/keeps", 0);
        draft.bind(&source.join("sub"), "/replaced", k::MS_RDONLY);
        let mut whole = draft.blank(Kind::Bind, source.to_str().unwrap(), "/whole", "");
        whole.recursive = true;
        let _ = whole.propagation.push(k::MS_SHARED | k::MS_REC);
        if new {
            whole.rec_set = k::MOUNT_ATTR_RDONLY;
        }
        draft.before.push(Op::Mount(whole));
        let seen = draft.run().unwrap();

        assert_eq!(seen.flags("/data"), "rw,relatime");
        assert!(!seen.has("/data/sub") && seen.has("/whole/sub"));
        assert_eq!(seen.flags("/etc/hosts"), "ro,relatime");
        assert_eq!(seen.flags("/made/deep/file"), "rw,noexec,noatime");
        assert_eq!(fs::read_to_string("/etc/hosts").unwrap(), "new");
        assert!(fs::metadata("/made/deep").unwrap().is_dir());
        // Options that name a flag replace those of the source.
        assert_eq!(seen.flags("/keeps"), "rw,nosuid,nodev,relatime");
        assert_eq!(seen.flags("/replaced"), "ro,relatime");
        assert!(seen.propagation("/whole/sub").starts_with("shared:"));
        assert_eq!(seen.propagation("/data"), "");
        if new {
            assert!(seen.flags("/whole/sub").starts_with("ro,nosuid,nodev"));
            assert!(seen.flags("/whole").starts_with("ro"));
        }
    });
}

#[test]
fn recursive_attributes_need_a_kernel() {
    if !root() {
        return;
    }
    let (scratch, path) = bundle();
    let fault = alone(KERNELS[1], move || {
        let mut draft = Draft::new(&path);
        let source = scratch.path("canary");
        let mut mount = draft.blank(Kind::Bind, source.to_str().unwrap(), "/data", "");
        mount.rec_set = k::MOUNT_ATTR_RDONLY;
        draft.before.push(Op::Mount(mount));
        (draft.run().err(), scratch)
    })
    .0;
    assert_eq!(
        fault.map(|fault| fault.cause()),
        Some(Cause::Rule(Rule::NeedsMountSetattr))
    );
}

#[test]
fn tmpfs_modes_copies_and_seals() {
    everywhere(|_, path, _| {
        let data = path.join("data");
        fs::create_dir_all(data.join("a/b")).unwrap();
        fs::write(data.join("a/b/file"), vec![7; 100_000]).unwrap();
        std::os::unix::fs::chown(data.join("a/b/file"), Some(5), Some(6)).unwrap();
        fs::set_permissions(data.join("a/b/file"), fs::Permissions::from_mode(0o4751)).unwrap();
        fs::set_permissions(data.join("a"), fs::Permissions::from_mode(0o2770)).unwrap();
        symlink("/outside", data.join("link")).unwrap();
        fs::hard_link(data.join("a/b/file"), data.join("hard")).unwrap();
        fs::write(data.join("alone"), "").unwrap();
        fs::hard_link(data.join("alone"), path.join("elsewhere")).unwrap();
        let tagged = |of: &Path| {
            // tmpfs has these on every kernel.
            let flags = rustix::fs::XattrFlags::empty();
            rustix::fs::setxattr(of.to_str().unwrap(), "trusted.tag", b"x\0y", flags).is_ok()
        };
        let tags = tagged(&data.join("a/b/file")) && tagged(&data.join("a"));
        for number in 0..200 {
            fs::create_dir(data.join(format!("many-{number}"))).unwrap();
            fs::write(data.join(format!("many-{number}/f")), "x").unwrap();
        }
        fs::set_permissions(path.join("etc"), fs::Permissions::from_mode(0o1711)).unwrap();

        let mut draft = Draft::new(path);
        let mut copy = draft.blank(Kind::New, "tmpfs", "/data", "tmpfs");
        copy.copy_up = true;
        copy.seal = true;
        draft.before.push(Op::Mount(copy));
        let mut etc = draft.blank(Kind::New, "tmpfs", "/etc", "tmpfs");
        etc.inherit_mode = true;
        etc.data = draft.text("size=64k,nr_inodes=77");
        draft.before.push(Op::Mount(etc));
        let (data, slash) = (draft.text("/data"), draft.text("/"));
        draft.after.push(Op::Seal { path: data });
        draft.after.push(Op::Seal { path: slash });
        let seen = draft.run().unwrap();

        assert_eq!(seen.at("/data").2, "tmpfs");
        let file = fs::metadata("/data/a/b/file").unwrap();
        assert_eq!((file.len(), file.mode() & 0o7777), (100_000, 0o4751));
        assert_eq!((file.uid(), file.gid()), (5, 6));
        assert_eq!(fs::metadata("/data/a").unwrap().mode() & 0o7777, 0o2770);
        assert_eq!(fs::read_link("/data/link").unwrap(), Path::new("/outside"));
        assert_eq!(fs::read_dir("/data").unwrap().count(), 204);
        let hard = fs::metadata("/data/hard").unwrap();
        assert_eq!((hard.ino(), hard.nlink()), (file.ino(), 2));
        assert_eq!(fs::metadata("/data/alone").unwrap().nlink(), 1);
        for place in ["/data/hard", "/data/a"] {
            let mut value = [0; 8];
            let read = rustix::fs::getxattr(place, "trusted.tag", &mut value);
            assert_eq!(read.ok(), tags.then_some(3), "{place}");
        }
        assert_eq!(fs::read_to_string("/data/many-199/f").unwrap(), "x");
        assert_eq!(fs::metadata("/etc").unwrap().mode() & 0o7777, 0o1711);
        for place in ["/data/new", "/new"] {
            let error = fs::write(place, "x").unwrap_err();
            assert_eq!(
                error.kind(),
                std::io::ErrorKind::ReadOnlyFilesystem,
                "{place}"
            );
        }
        fs::write("/etc/new", "x").unwrap();
        assert!(seen.flags("/").starts_with("ro"));
    });
}

#[test]
fn too_deep_to_copy() {
    if !root() {
        return;
    }
    let (_scratch, path) = bundle();
    let mut deep = path.join("data");
    for _ in 0..40 {
        deep.push("d");
    }
    fs::create_dir_all(deep).unwrap();
    let fault = alone(&[], move || {
        let mut draft = Draft::new(&path);
        let mut copy = draft.blank(Kind::New, "tmpfs", "/data", "tmpfs");
        copy.copy_up = true;
        draft.before.push(Op::Mount(copy));
        draft.run().err()
    });
    assert_eq!(
        fault.map(|fault| fault.cause()),
        Some(Cause::Rule(Rule::CopyTooDeep))
    );
}

#[test]
fn other_ways_to_the_root() {
    everywhere(|_, path, _| {
        let mut draft = Draft::new(path);
        draft.setup.way = Way::Move;
        draft.mount(Kind::New, "tmpfs", "/dev", "tmpfs", 0);
        let seen = draft.run().unwrap();
        assert_eq!(seen.at("/dev").2, "tmpfs");
        assert_eq!(fs::read_to_string("/etc/hosts").unwrap(), "old");
        assert_eq!(fs::read_to_string("/../../etc/hosts").unwrap(), "old");
        assert!(!Path::new("/usr").exists());
        // Of the host only the first file system is left, under the root.
        assert_eq!(seen.0.len(), 2, "{:?}", seen.0);
    });
    everywhere(|_, path, _| {
        let mut draft = Draft::new(path);
        draft.setup.way = Way::Chroot;
        device(&mut draft, "/dev/null", 0o020_666, 1, 3);
        draft.run().unwrap();
        assert_eq!(fs::read_to_string("/etc/hosts").unwrap(), "old");
    });
}

#[test]
fn a_shared_root() {
    everywhere(|scratch, path, _| {
        let source = scratch.path("canary");
        let spot = std::ffi::CString::new(source.to_str().unwrap()).unwrap();
        crate::sys::mount::mount(c"tmpfs", &spot, c"tmpfs", 0, c"").unwrap();
        crate::sys::mount::mount(c"", &spot, c"", k::MS_SHARED, c"").unwrap();
        let mut draft = Draft::new(path);
        draft.setup.propagation = k::MS_SHARED;
        let mut bind = draft.blank(Kind::Bind, source.to_str().unwrap(), "/data", "");
        let _ = bind.propagation.push(k::MS_SHARED);
        draft.before.push(Op::Mount(bind));
        draft.after.push(Op::Propagation {
            flags: k::MS_SHARED,
        });
        let seen = draft.run().unwrap();
        assert!(seen.propagation("/").starts_with("shared:"));
        assert!(seen.propagation("/data").starts_with("shared:"));
        assert_eq!(seen.0.len(), 2, "{:?}", seen.0);
    });
}

#[test]
fn hierarchies_below_a_base() {
    everywhere(|scratch, path, _| {
        let source = scratch.path("group");
        fs::create_dir_all(source.join("child")).unwrap();
        let mut draft = Draft::new(path);
        let mut base = draft.blank(Kind::Base, "tmpfs", "/sys/fs/cgroup", "tmpfs");
        base.data = draft.text("mode=755");
        base.seal = true;
        draft.before.push(Op::Mount(base));
        let (name, from) = (
            draft.text("cpu,cpuacct"),
            draft.text(source.to_str().unwrap()),
        );
        draft.before.push(Op::Below(Below {
            name,
            source: from,
            fstype: Str::EMPTY,
            data: Str::EMPTY,
            set: k::MS_RDONLY | k::MS_NOSUID,
        }));
        let (link, text) = (draft.text("cpu"), name);
        draft.before.push(Op::LinkBelow { name: link, text });
        let attributes = k::MOUNT_ATTR_RDONLY | k::MOUNT_ATTR_NOSUID;
        draft.before.push(Op::Within { attributes });
        let path = draft.text("/sys/fs/cgroup");
        draft.after.push(Op::Seal { path });
        let seen = draft.run().unwrap();
        assert!(Path::new("/sys/fs/cgroup/cpu/child").is_dir());
        assert_eq!(
            seen.flags("/sys/fs/cgroup/cpu,cpuacct"),
            "ro,nosuid,relatime"
        );
        assert!(fs::create_dir("/sys/fs/cgroup/x").is_err());
    });
}

/// Mounts that are shared with the host stay there, and nothing of the container appears there, on every way out.
#[test]
fn a_shared_host_keeps_its_mounts() {
    everywhere(|_, path, _| {
        let set = |flags| crate::sys::mount::mount(c"", c"/", c"", flags, c"").unwrap();
        // The root lies on a mount of its own, so that "/" is not made private for its sake.
        let dir = path.parent().unwrap().to_str().unwrap();
        let dir = std::ffi::CString::new(dir).unwrap();
        crate::sys::mount::mount(&dir, &dir, c"", k::MS_BIND, c"").unwrap();
        set(k::MS_SHARED | k::MS_REC);
        let proc = crate::fs::proc::Proc::open().unwrap();
        let before = Seen::new(&proc).0.len();
        for way in [Way::Pivot, Way::Move] {
            let path = path.to_path_buf();
            // The kernel that this thread imitates is inherited.
            let container = std::thread::spawn(move || {
                crate::sys::ns::unshare(k::CLONE_NEWNS | k::CLONE_FS).unwrap();
                let mut draft = Draft::new(&path);
                draft.setup.propagation = k::MS_SHARED;
                draft.setup.way = way;
                draft.mount(Kind::New, "tmpfs", "/dev", "tmpfs", 0);
                let flags = k::MS_SHARED;
                draft.after.push(Op::Propagation { flags });
                let seen = draft.run().unwrap();
                assert!(seen.propagation("/").starts_with("shared:"));
                assert_eq!(seen.propagation("/dev"), "");
            });
            container.join().unwrap();
            assert_eq!(Seen::new(&proc).0.len(), before);
        }
        assert!(Path::new("/usr").exists());
    });
}
