//! What this environment is: asked, never assumed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::case::{cannot, skip};
use crate::witness;

/// What is mounted at /sys/fs/cgroup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cgroup {
    /// Version 1 hierarchies, with or without an extra unified one.
    V1,
    /// cgroup2 alone.
    V2,
    /// No cgroup file system at all.
    Absent,
}

/// Facts that cases branch on, each with the reason that a skip prints.
pub struct Facts {
    pub cgroup: Cgroup,
    /// A guest that holds nothing but the binaries.
    pub guest: bool,
    /// (major, minor) of the running kernel, or of the kernel that the shim imitates.
    pub kernel: (u32, u32),
}

impl Facts {
    pub fn ask() -> Self {
        let shim = std::env::var("OCILET_TESTS_SHIM").ok();
        let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let text = match shim.as_deref() {
            Some(profile) if profile.starts_with(|c: char| c.is_ascii_digit()) => profile,
            _ => &release,
        };
        let mut numbers = text
            .split(|c: char| !c.is_ascii_digit())
            .map(|word| word.parse().unwrap_or(0));
        let kernel = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
        Self {
            cgroup: cgroup(),
            guest: std::env::var_os("OCILET_GUEST").is_some(),
            kernel,
        }
    }

    /// Ends the case unless the kernel is at least this new.
    pub fn need_kernel(&self, major: u32, minor: u32, what: &str) {
        if self.kernel < (major, minor) {
            let (a, b) = self.kernel;
            cannot(format!(
                "{what} is in Linux {major}.{minor}, this is {a}.{b}"
            ));
        }
    }

    /// Ends the case unless the file system or namespace exists in this kernel.
    pub fn need_path(&self, path: &str, what: &str) {
        if !Path::new(path).exists() {
            cannot(format!("{what}: no {path} in this kernel"));
        }
    }

    /// Path of a host tool; ends the case if it is missing.
    pub fn need_tool(&self, name: &str) -> PathBuf {
        match tool(name) {
            Some(path) => path,
            None if self.guest => cannot(format!("{name}: no host tools in a guest")),
            None => skip(format!("{name} is not installed")),
        }
    }
}

/// A time-out of this many seconds on a machine at its usual pace; `OCILET_TESTS_PATIENCE=N` multiplies it.
pub fn patience(seconds: u64) -> Duration {
    let factor = std::env::var("OCILET_TESTS_PATIENCE").ok();
    let factor = factor.and_then(|text| text.parse().ok()).unwrap_or(1);
    Duration::from_secs(seconds * factor)
}

/// The directory of a criu that works on this kernel: the one that `tests/run tools` has found, or the machine's.
pub fn criu() -> Result<PathBuf, String> {
    let found = std::env::var_os("OCILET_CRIU").map(PathBuf::from);
    let found = found.filter(|dir| dir.join("criu").is_file());
    let found = found.or_else(|| Some(tool("criu")?.parent()?.to_path_buf()));
    let found = found.ok_or("criu is not installed")?;
    let check = Command::new(found.join("criu")).arg("check").output();
    let check = check.map_err(|error| format!("criu: {error}"))?;
    if check.status.success() {
        return Ok(found);
    }
    let said = String::from_utf8_lossy(&check.stderr);
    Err(format!("criu check: {said}"))
}

/// Whether criu says that the kernel has a feature.
pub fn criu_has(feature: &str) -> bool {
    let check = |dir: PathBuf| {
        let mut criu = Command::new(dir.join("criu"));
        criu.args(["check", "--feature", feature]).output().ok()
    };
    let output = criu().ok().and_then(check);
    output.is_some_and(|output| output.status.success())
}

/// Looks a program up in the usual directories.
pub fn tool(name: &str) -> Option<PathBuf> {
    let dirs = [
        "/usr/local/sbin",
        "/usr/local/bin",
        "/usr/sbin",
        "/usr/bin",
        "/sbin",
        "/bin",
    ];
    dirs.iter()
        .map(|dir| Path::new(dir).join(name))
        .find(|path| path.is_file())
}

/// Major and minor number of a disk of the machine.
pub fn disk() -> Option<(u32, u32)> {
    find_disk(|_| true)
}

/// The same, of one whose I/O scheduler knows weights.
pub fn disk_with_bfq() -> Option<(u32, u32)> {
    find_disk(|scheduler| scheduler.contains("[bfq]"))
}

fn find_disk(fits: impl Fn(&str) -> bool) -> Option<(u32, u32)> {
    let disks = fs::read_dir("/sys/block").ok()?.flatten();
    disks.map(|entry| entry.path()).find_map(|disk| {
        let scheduler = fs::read_to_string(disk.join("queue/scheduler")).unwrap_or_default();
        let numbers = fs::read_to_string(disk.join("dev")).ok()?;
        let (major, minor) = numbers.trim().split_once(':')?;
        let numbers = (major.parse().ok()?, minor.parse().ok()?);
        fits(&scheduler).then_some(numbers)
    })
}

fn cgroup() -> Cgroup {
    let mounts = witness::mountinfo("self").unwrap_or_default();
    let root = mounts
        .iter()
        .rfind(|mount| mount.target == "/sys/fs/cgroup");
    if root.is_some_and(|mount| mount.kind == "cgroup2") {
        return Cgroup::V2;
    }
    // A later mount hides what is below it: v1 counts only where its directory is still there.
    let visible = mounts
        .iter()
        .any(|mount| mount.kind == "cgroup" && Path::new(&mount.target).join("tasks").exists());
    if visible { Cgroup::V1 } else { Cgroup::Absent }
}
