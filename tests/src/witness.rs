//! The host's view: /proc of a process, parsed, and what is in the cgroup trees.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// One line of mountinfo (proc_pid_mountinfo(5)).
#[derive(Clone, Debug, Default)]
pub struct Mount {
    pub root: String,
    pub target: String,
    /// Per-mount options.
    pub options: Vec<String>,
    /// `shared:N`, `master:N`, `propagate_from:N`, `unbindable`.
    pub tags: Vec<String>,
    pub kind: String,
    pub source: String,
    /// Options of the file system.
    pub data: Vec<String>,
}

impl Mount {
    pub fn has(&self, option: &str) -> bool {
        self.options.iter().any(|word| word == option)
    }

    pub fn tagged(&self, prefix: &str) -> bool {
        self.tags.iter().any(|tag| tag.starts_with(prefix))
    }
}

fn unescape(text: &str) -> String {
    text.replace("\\040", " ")
        .replace("\\011", "\t")
        .replace("\\012", "\n")
        .replace("\\134", "\\")
}

/// Parses mountinfo text.
pub fn parse_mountinfo(text: &str) -> Vec<Mount> {
    let list = |word: &str| word.split(',').map(str::to_owned).collect();
    text.lines()
        .filter_map(|line| {
            let (left, right) = line.split_once(" - ")?;
            let left = left.split(' ');
            let mut right = right.split(' ');
            // Ids of the mount and its parent, and the device.
            let mut left = left.skip(3);
            Some(Mount {
                root: unescape(left.next()?),
                target: unescape(left.next()?),
                options: list(left.next()?),
                tags: left.map(str::to_owned).collect(),
                kind: right.next()?.to_owned(),
                source: unescape(right.next()?),
                data: list(right.next().unwrap_or_default()),
            })
        })
        .collect()
}

/// Mounts that a process sees, as read from here.
pub fn mountinfo(pid: impl std::fmt::Display) -> io::Result<Vec<Mount>> {
    Ok(parse_mountinfo(&fs::read_to_string(format!(
        "/proc/{pid}/mountinfo"
    ))?))
}

/// The topmost mount at a target.
pub fn mount_at<'a>(mounts: &'a [Mount], target: &str) -> Option<&'a Mount> {
    mounts.iter().rfind(|mount| mount.target == target)
}

/// Fields of /proc/PID/status.
pub fn status(pid: impl std::fmt::Display) -> BTreeMap<String, String> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    text.lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(key, value)| (key.to_owned(), value.trim().to_owned()))
        .collect()
}

/// What a namespace link of a process reads, such as `mnt:[4026531841]`.
pub fn namespace(pid: impl std::fmt::Display, name: &str) -> String {
    fs::read_link(format!("/proc/{pid}/ns/{name}"))
        .map(|path| path.to_string_lossy().into_owned())
        .unwrap_or_default()
}

/// Targets of the open descriptors of a process.
pub fn descriptors(pid: impl std::fmt::Display) -> BTreeMap<u32, String> {
    let Ok(dir) = fs::read_dir(format!("/proc/{pid}/fd")) else {
        return BTreeMap::new();
    };
    dir.flatten()
        .filter_map(|entry| {
            let number = entry.file_name().to_str()?.parse().ok()?;
            let target = fs::read_link(entry.path()).ok()?;
            Some((number, target.to_string_lossy().into_owned()))
        })
        .collect()
}

/// (pid, parent, state) of every process.
pub fn processes() -> Vec<(i32, i32, char)> {
    let Ok(dir) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    dir.flatten()
        .filter_map(|entry| {
            let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
            let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
            let (_, rest) = stat.rsplit_once(')')?;
            let mut words = rest.split_whitespace();
            let state = words.next()?.chars().next()?;
            Some((pid, words.next()?.parse().ok()?, state))
        })
        .collect()
}

/// All descendants of a process with their states.
pub fn descendants(of: i32) -> Vec<(i32, char)> {
    let all = processes();
    let mut found: Vec<(i32, char)> = Vec::new();
    loop {
        let before = found.len();
        for &(pid, parent, state) in &all {
            let ours = parent == of || found.iter().any(|&(known, _)| known == parent);
            if ours && !found.iter().any(|&(known, _)| known == pid) {
                found.push((pid, state));
            }
        }
        if found.len() == before {
            return found;
        }
    }
}

/// True while the process exists and is no zombie.
pub fn alive(pid: i32) -> bool {
    processes()
        .iter()
        .any(|&(each, _, state)| each == pid && state != 'Z' && state != 'X')
}

/// Cgroup directories whose path holds the word.
pub fn cgroups(word: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    walk(Path::new("/sys/fs/cgroup"), 0, word, &mut found);
    found
}

fn walk(dir: &Path, depth: u32, word: &str, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(dir) else {
        return;
    };
    for entry in entries.flatten() {
        if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        if entry.file_name().to_string_lossy().contains(word) {
            found.push(entry.path());
        } else if depth < 6 {
            walk(&entry.path(), depth + 1, word, found);
        }
    }
}

/// `/proc/PID/cgroup` as controller list → path; the unified hierarchy has the empty key.
pub fn cgroup_of(pid: impl std::fmt::Display) -> BTreeMap<String, String> {
    let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
    text.lines()
        .filter_map(|line| {
            let mut parts = line.splitn(3, ':');
            let _id = parts.next()?;
            Some((parts.next()?.to_owned(), parts.next()?.to_owned()))
        })
        .collect()
}

/// What a pidfd stands for.
pub fn pid_of(pidfd: &impl std::os::fd::AsRawFd) -> String {
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd()));
    let info = info.expect("an own descriptor");
    let line = info.lines().find_map(|line| line.strip_prefix("Pid:"));
    line.expect("a pidfd").trim().to_owned()
}
