//! CANARY: host files outside the rootfs that no attack may touch; SWAP: a helper that exchanges a directory and a
//! symlink as fast as it can.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

use crate::harness::T;
use crate::kernel;

/// A directory of the host with a manifest of what it held.
pub struct Canary {
    pub dir: PathBuf,
    manifest: BTreeMap<PathBuf, String>,
}

fn manifest(dir: &Path, into: &mut BTreeMap<PathBuf, String>) {
    for entry in fs::read_dir(dir).expect("canary").flatten() {
        let path = entry.path();
        let meta = fs::symlink_metadata(&path).expect("canary");
        let content = if meta.is_file() {
            format!("{:?}", fs::read(&path).unwrap_or_default())
        } else {
            String::new()
        };
        let line = format!(
            "{:o} {} {} {} {} {} {content}",
            meta.mode(),
            meta.uid(),
            meta.gid(),
            meta.size(),
            meta.ino(),
            meta.rdev()
        );
        if meta.is_dir() {
            manifest(&path, into);
        }
        into.insert(path, line);
    }
}

impl Canary {
    pub fn new(t: &T) -> Self {
        let dir = t.path(&format!("canary{}", t.next()));
        fs::create_dir_all(dir.join("d/sub")).expect("tmpfs");
        for name in ["f", "ptmx", "console", "tty", "x", "d/f"] {
            fs::write(dir.join(name), format!("host {name}")).expect("tmpfs");
        }
        for name in ["fd", "stdin", "stdout", "stderr", "core"] {
            fs::write(dir.join(name), "host").expect("tmpfs");
        }
        kernel::mknod(dir.join("null"), libc::S_IFCHR | 0o640, 1, 3).expect("mknod");
        kernel::chown(dir.join("null"), 1234, 4321).expect("chown");
        t.caller.own(&dir);
        let mut map = BTreeMap::new();
        manifest(&dir, &mut map);
        Self { dir, manifest: map }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Asserts that nothing changed and nothing was added.
    #[track_caller]
    pub fn intact(&self) {
        let mut now = BTreeMap::new();
        manifest(&self.dir, &mut now);
        for (path, line) in &self.manifest {
            let seen = now.remove(path);
            assert_eq!(
                seen.as_ref(),
                Some(line),
                "canary changed: {}",
                path.display()
            );
        }
        assert!(now.is_empty(), "canary grew: {now:?}");
    }
}

/// Exchanges two names until dropped.
pub struct Swap {
    stop: Arc<AtomicBool>,
    rounds: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Swap {
    pub fn new(a: PathBuf, b: PathBuf) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let rounds = Arc::new(AtomicU64::new(0));
        let (flag, count) = (stop.clone(), rounds.clone());
        let thread = std::thread::spawn(move || {
            while !flag.load(Ordering::Relaxed) {
                if kernel::exchange(&a, &b).is_ok() {
                    count.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        Self {
            stop,
            rounds,
            thread: Some(thread),
        }
    }

    pub fn rounds(&self) -> u64 {
        self.rounds.load(Ordering::Relaxed)
    }
}

impl Drop for Swap {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
