//! The executors on real mounts, in a mount namespace of their own, on this kernel and on imitated older ones.
#![forbid(unsafe_code)]

mod mounts;
mod protection;

use std::fs;
use std::path::Path;

use linux_raw_sys::general as k;
use rustix::fs::OFlags;
use syscalls::Sysno;

use super::enter;
use crate::error::{Cause, Errno, Fault, Step};
use crate::fs::proc::Proc;
use crate::plan::arena::{Arena, Str};
use crate::plan::mounts::Setup;
use crate::plan::op::{Kind, Mount, Op, Propagation};
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
        draft.setup.near = draft.setup.path;
        draft.setup.near = draft.setup.path;
        draft.setup.propagation = SLAVE;
        draft
    }

    fn text(&mut self, text: &str) -> Str {
        self.arena.push(text.as_bytes())
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
            id_map: None,
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
        let ask = |_| Err(Fault::new(Step::OpenSource, Cause::Errno(Errno::ACCESS)));
        root.run(&self.before, 0, &self.arena, &ask)?;
        root.pivot(&self.setup)?;
        root.run(&self.after, self.setup.before, &self.arena, &ask)?;
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
