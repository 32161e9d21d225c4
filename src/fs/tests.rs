//! Look-ups in hostile roots, each with the kernel's resolver and with our own.
#![forbid(unsafe_code)]

use std::ffi::CString;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use syscalls::Sysno;

use super::proc::Proc;
use super::root::{Leaf, Root};
use crate::sys::testing::{Scratch, alone, root};
use crate::sys::{AsFd, AsRawFd, Errno, OwnedFd};

/// Kernels to imitate: today's, one without openat2, one that is older still.
const KERNELS: [&[Sysno]; 3] = [
    &[],
    &[Sysno::openat2],
    &[
        Sysno::openat2,
        Sysno::statx,
        Sysno::fsopen,
        Sysno::open_tree,
    ],
];

/// A root full of traps.
fn tree(scratch: &Scratch) -> PathBuf {
    let root = scratch.path("root");
    for directory in ["etc", "run", "var", "deep/a/b/c", "sticky"] {
        std::fs::create_dir_all(root.join(directory)).unwrap();
    }
    std::fs::write(root.join("etc/passwd"), "x").unwrap();
    std::fs::write(root.join("file"), "x").unwrap();
    let links = [
        ("var/run", "/run"),
        ("abs", "/etc"),
        ("rel", "../../../../etc"),
        ("up", "../../.."),
        ("out", "/../../../../../../tmp"),
        ("dang", "/nowhere/x"),
        ("dangrel", "deep/nowhere"),
        ("chain", "dang"),
        ("one", "two"),
        ("two", "one"),
        ("deep/a/back", "../../etc/passwd"),
        ("tofile", "file"),
        ("magic", "/proc/self/root"),
        ("swing", "deep/../deep/a"),
    ];
    for (name, text) in links {
        symlink(text, root.join(name)).unwrap();
    }
    std::fs::create_dir(scratch.path("canary")).unwrap();
    root
}

/// Opens a directory by its path on the host.
fn open(path: &Path) -> OwnedFd {
    let flags = rustix::fs::OFlags::PATH;
    let path = CString::new(path.as_os_str().as_encoded_bytes()).unwrap();
    crate::sys::path::openat(crate::sys::path::cwd(), &path, flags).unwrap()
}

/// Where a descriptor is, relative to the root.
fn place(fd: &OwnedFd, root: &Path) -> String {
    let name = std::fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd())).unwrap();
    let rest = name.strip_prefix(root).expect("inside the root");
    format!("/{}", rest.display())
}

/// As the target of a bind mount is made.
fn make_file(root: &Root<'_>, path: &str) -> Result<(OwnedFd, bool), Errno> {
    match root.follow(&c(path)) {
        Err(Errno::NOENT) => Ok((root.make_missing(&c(path), Leaf::File, 0o600)?.0, true)),
        found => Ok((found?, false)),
    }
}

fn c(path: &str) -> CString {
    CString::new(path).unwrap()
}

/// Runs a test on every kernel.
fn everywhere(test: fn(&Path, Root<'_>)) {
    if !root() {
        return;
    }
    for kernel in KERNELS {
        alone(kernel, move || {
            let scratch = Scratch::new();
            let path = tree(&scratch);
            let (fd, proc) = (open(&path), Proc::open().unwrap());
            if kernel.contains(&Sysno::openat2) {
                let how = rustix::fs::ResolveFlags::IN_ROOT;
                let flags = rustix::fs::OFlags::PATH;
                let answer = crate::sys::path::openat2(&fd, c"etc", flags, how);
                assert_eq!(answer.err(), Some(Errno::NOSYS));
            }
            test(&path, Root::new(fd.as_fd(), &proc));
            let canary = std::fs::read_dir(scratch.path("canary")).unwrap();
            assert_eq!(canary.count(), 0, "something was made outside the root");
        });
    }
}

#[test]
fn follows_inside_the_root() {
    everywhere(|path, root| {
        let table = [
            ("/", Ok("/")),
            ("/etc/passwd", Ok("/etc/passwd")),
            ("etc//./passwd", Ok("/etc/passwd")),
            ("/var/run", Ok("/run")),
            ("/abs/passwd", Ok("/etc/passwd")),
            ("/rel/passwd", Ok("/etc/passwd")),
            ("/up", Ok("/")),
            ("/up/etc", Ok("/etc")),
            ("/../../etc", Ok("/etc")),
            ("/deep/a/back", Ok("/etc/passwd")),
            ("/deep/a/b/../../../etc", Ok("/etc")),
            ("/swing/b", Ok("/deep/a/b")),
            ("/tofile", Ok("/file")),
            ("/out", Err(Errno::NOENT)),
            ("/dang", Err(Errno::NOENT)),
            ("/magic", Err(Errno::NOENT)),
            ("/one", Err(Errno::LOOP)),
            ("/missing", Err(Errno::NOENT)),
            ("/file/x", Err(Errno::NOTDIR)),
        ];
        for (name, want) in table {
            let got = root.follow(&c(name)).map(|fd| place(&fd, path));
            assert_eq!(got, want.map(str::to_string), "{name}");
        }
    });
}

#[test]
fn literal_and_last() {
    everywhere(|path, root| {
        let table = [
            (
                "/etc/passwd",
                Ok("/etc/passwd"),
                Err(Errno::NOTDIR),
                Ok("/etc/passwd"),
            ),
            ("/run", Ok("/run"), Ok("/run"), Ok("/run")),
            ("/abs", Err(Errno::LOOP), Err(Errno::LOOP), Ok("/abs")),
            (
                "/abs/passwd",
                Err(Errno::LOOP),
                Err(Errno::LOOP),
                Ok("/etc/passwd"),
            ),
            ("/dang", Err(Errno::LOOP), Err(Errno::LOOP), Ok("/dang")),
            (
                "/missing",
                Err(Errno::NOENT),
                Err(Errno::NOENT),
                Err(Errno::NOENT),
            ),
        ];
        for (name, literal, directory, kept) in table {
            let name = &c(name);
            let show = |got: Result<OwnedFd, Errno>| got.map(|fd| place(&fd, path));
            let want = |text: Result<&str, Errno>| text.map(str::to_string);
            assert_eq!(show(root.literal(name)), want(literal), "{name:?}");
            assert_eq!(
                show(root.plain_directory(name)),
                want(directory),
                "{name:?}"
            );
            assert_eq!(show(root.keep_last(name)), want(kept), "{name:?}");
        }
    });
}

#[test]
fn makes_inside_the_root() {
    everywhere(|path, root| {
        let table = [
            ("/new", Ok(("/new", true))),
            ("/new/a/b", Ok(("/new/a/b", true))),
            ("/etc", Ok(("/etc", false))),
            ("/var/run/x", Ok(("/run/x", true))),
            ("/up/x", Ok(("/x", true))),
            ("/dang/y", Ok(("/nowhere/x/y", true))),
            ("/chain", Ok(("/nowhere/x", false))),
            ("/dangrel", Ok(("/deep/nowhere", true))),
            ("/out/y", Ok(("/tmp/y", true))),
            ("/q/../r", Err(Errno::NOENT)),
            ("/one/x", Err(Errno::LOOP)),
            ("/file/x", Err(Errno::NOTDIR)),
            ("/tofile/x/y", Err(Errno::NOTDIR)),
        ];
        for (name, want) in table {
            let got = root.make_directory(&c(name), 0o755);
            let got = got.map(|(fd, made)| (place(&fd, path), made));
            assert_eq!(got, want.map(|(at, made)| (at.to_string(), made)), "{name}");
        }
        let (fd, made) = make_file(&root, "/magic/f").unwrap();
        assert_eq!(
            (place(&fd, path), made),
            ("/proc/self/root/f".to_string(), true)
        );
        let (fd, made) = make_file(&root, "/deep/f").unwrap();
        assert_eq!((place(&fd, path), made), ("/deep/f".to_string(), true));
        let (_, made) = make_file(&root, "/tofile").unwrap();
        assert!(!made);
        let (dir, name) = root.parent(c"/abs/n/d").unwrap();
        assert_eq!((place(&dir, path).as_str(), name), ("/etc/n", c"d"));
    });
}

#[test]
fn magic_links_are_refused() {
    if !root() {
        return;
    }
    for kernel in KERNELS {
        alone(kernel, || {
            let proc = Proc::open().unwrap();
            let root = Root::new(proc.fd(), &proc);
            for name in [c"self/fd/0", c"self/root", c"self/cwd", c"self/exe"] {
                assert_eq!(root.follow(name).err(), Some(Errno::LOOP), "{name:?}");
            }
        });
    }
}

/// A container that shares the directory exchanges it with a link to the outside, all the time.
#[test]
fn races_never_lead_outside() {
    if !root() {
        return;
    }
    for kernel in KERNELS {
        alone(kernel, || {
            let scratch = Scratch::new();
            let path = tree(&scratch);
            let canary = scratch.path("canary");
            std::fs::create_dir_all(path.join("v/a")).unwrap();
            symlink(&canary, path.join("v/b")).unwrap();
            let stop = Arc::new(AtomicBool::new(false));
            let swap = {
                let (stop, dir) = (Arc::clone(&stop), open(&path.join("v")));
                std::thread::spawn(move || {
                    let flags = rustix::fs::RenameFlags::EXCHANGE;
                    while !stop.load(Ordering::Relaxed) {
                        rustix::fs::renameat_with(&dir, c"a", &dir, c"b", flags).unwrap();
                    }
                })
            };
            let (fd, proc) = (open(&path), Proc::open().unwrap());
            let root = Root::new(fd.as_fd(), &proc);
            let mut inside = 0;
            for round in 0..500 {
                let directory = root.make_directory(&c(&format!("/v/a/{round}/d")), 0o755);
                let file = make_file(&root, &format!("/v/a/{round}/f"));
                inside += usize::from(directory.is_ok()) + usize::from(file.is_ok());
            }
            stop.store(true, Ordering::Relaxed);
            swap.join().unwrap();
            assert_eq!(std::fs::read_dir(&canary).unwrap().count(), 0);
            assert!(inside > 0, "every try was disturbed");
        });
    }
}
