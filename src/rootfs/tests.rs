//! The executors on real mounts, in a mount namespace of their own, on this kernel and on imitated older ones.
#![forbid(unsafe_code)]

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use linux_raw_sys::general as k;
use rustix::fs::OFlags;
use syscalls::Sysno;

use super::enter;
use crate::error::{Cause, Errno, Fault, Rule, Step};
use crate::fs::proc::Proc;
use crate::plan::arena::{Arena, Str};
use crate::plan::mounts::{Setup, Way};
use crate::plan::op::{Below, Device, Kind, Mount, Op, Propagation, When};
use crate::sys::testing::{MOUNT_API, Scratch, alone, root};

/// Kernels to imitate: today's; before 5.12; before 5.2; the same without openat2 and statx.
const KERNELS: [&[Sysno]; 4] = [
    &[],
    &[Sysno::mount_setattr],
    MOUNT_API,
    &[
        Sysno::open_tree,
        Sysno::move_mount,
        Sysno::fsopen,
        Sysno::fsconfig,
        Sysno::fsmount,
        Sysno::mount_setattr,
        Sysno::openat2,
        Sysno::statx,
    ],
];

const SLAVE: u32 = k::MS_SLAVE | k::MS_REC;

/// A plan being written by hand.
struct Draft {
    arena: Arena<16384>,
    before: Vec<Op>,
    after: Vec<Op>,
    setup: Setup,
}

impl Draft {
    fn new(root: &Path) -> Self {
        let mut draft = Self {
            arena: Arena::new(),
            before: Vec::new(),
            after: Vec::new(),
            setup: Setup::NONE,
        };
        draft.setup.path = draft.text(root.to_str().unwrap());
        draft.setup.propagation = SLAVE;
        draft
    }

    fn text(&mut self, text: &str) -> Str {
        self.arena.push(text.as_bytes()).unwrap()
    }

    /// A mount without options.
    fn blank(&mut self, kind: Kind, source: &str, target: &str, fstype: &str) -> Mount {
        Mount {
            kind,
            recursive: false,
            copy_up: false,
            inherit_mode: false,
            seal: false,
            target: self.text(target),
            source: self.text(source),
            fstype: self.text(fstype),
            data: Str::EMPTY,
            set: 0,
            cleared: 0,
            rec_set: 0,
            rec_clear: 0,
            propagation: Propagation::NONE,
        }
    }

    fn mount(&mut self, kind: Kind, source: &str, target: &str, fstype: &str, set: u32) {
        let mut mount = self.blank(kind, source, target, fstype);
        mount.set = set;
        self.before.push(Op::Mount(mount));
    }

    fn bind(&mut self, source: &Path, target: &str, set: u32) {
        self.mount(Kind::Bind, source.to_str().unwrap(), target, "", set);
    }

    fn readonly(&mut self, path: &str) {
        let path = self.text(path);
        self.after.push(Op::Readonly { path });
    }

    fn mask(&mut self, path: &str) {
        let path = self.text(path);
        self.after.push(Op::Mask { path });
        self.setup.masks = true;
    }

    /// Carries it out in this thread; the mounts of the namespace afterwards.
    fn run(&mut self) -> Result<Seen, Fault> {
        let proc = Proc::open()?;
        self.setup.before = u32::try_from(self.before.len()).unwrap();
        let mut root = enter(&self.setup, &self.arena, &proc)?;
        root.run(&self.before, 0, &self.arena)?;
        root.pivot(&self.setup)?;
        root.run(&self.after, self.setup.before, &self.arena)?;
        Ok(Seen::new(&proc))
    }
}

/// What mountinfo says.
struct Seen(Vec<Vec<String>>);

impl Seen {
    fn new(proc: &Proc) -> Self {
        let file = proc.open_file(c"thread-self/mountinfo", OFlags::RDONLY);
        let file = file.unwrap();
        let mut text = Vec::new();
        let mut buffer = [0; 4096];
        loop {
            let read = rustix::io::read(&file, &mut buffer).unwrap();
            if read == 0 {
                break;
            }
            text.extend_from_slice(&buffer[..read]);
        }
        let text = String::from_utf8(text).unwrap();
        Self(
            text.lines()
                .map(|line| line.split(' ').map(str::to_string).collect())
                .collect(),
        )
    }

    /// The mount on top at a place: root inside the file system, flags, type.
    fn at(&self, point: &str) -> (String, String, String) {
        let line = self.0.iter().rfind(|line| line[4] == point);
        let line = line.unwrap_or_else(|| panic!("{point} is no mount point: {:?}", self.0));
        let dash = line.iter().position(|word| word == "-").unwrap();
        (line[3].clone(), line[5].clone(), line[dash + 1].clone())
    }

    fn flags(&self, point: &str) -> String {
        self.at(point).1
    }

    fn has(&self, point: &str) -> bool {
        self.0.iter().any(|line| line[4] == point)
    }

    /// The optional fields, which tell the propagation.
    fn propagation(&self, point: &str) -> String {
        let line = self.0.iter().rfind(|line| line[4] == point).unwrap();
        let dash = line.iter().position(|word| word == "-").unwrap();
        line[6..dash].join(" ")
    }
}

/// A root with the usual directories.
fn bundle() -> (Scratch, std::path::PathBuf) {
    let scratch = Scratch::new();
    let root = scratch.path("rootfs");
    for directory in ["proc", "sys", "dev", "data", "etc"] {
        fs::create_dir_all(root.join(directory)).unwrap();
    }
    fs::write(root.join("etc/hosts"), "old").unwrap();
    fs::create_dir(scratch.path("canary")).unwrap();
    (scratch, root)
}

/// Runs a test on every kernel, in a fresh namespace and bundle.
fn everywhere(test: fn(&Scratch, &Path, bool)) {
    if !root() {
        return;
    }
    for kernel in KERNELS {
        let (scratch, path) = bundle();
        alone(kernel, move || {
            test(&scratch, &path, kernel.is_empty());
            // The scratch directory is out of this thread's sight after pivot_root.
            scratch
        });
    }
}

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
        assert_eq!(fs::read_dir("/data").unwrap().count(), 202);
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

/// One device.
fn device(draft: &mut Draft, path: &str, mode: u32, major: u32, minor: u32) {
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
        fs::write(path.join("dev/null"), "").unwrap();
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
