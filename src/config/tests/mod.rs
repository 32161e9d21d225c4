//! Documents through the whole room: real ones, good ones, bad ones, broken ones.

mod bad;
mod broken;
mod capacity;
mod corpus;
mod effort;
mod reprint;
mod said;

use super::{Config, Pools, Process, Resources};
use crate::error::Fault;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The pools are too large for a stack; the tests take turns.
fn pools() -> MutexGuard<'static, Pools> {
    static POOLS: Mutex<Pools> = Mutex::new(Pools::new());
    POOLS.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Pools {
    /// Empties every list; the program reads one document only.
    pub(crate) fn clear(&mut self) {
        self.env.clear();
        self.args.clear();
        self.groups.clear();
        self.rlimits.clear();
        self.unknown_capabilities.clear();
        self.mounts.clear();
        self.mount_options.clear();
        self.id_mappings.clear();
        self.hooks.clear();
        self.hook_words.clear();
        self.annotations.clear();
        self.namespaces.clear();
        self.devices.clear();
        self.net_devices.clear();
        self.sysctl.clear();
        self.paths.clear();
        self.schemata.clear();
        self.device_rules.clear();
        self.weight_devices.clear();
        self.throttle_devices.clear();
        self.hugepage_limits.clear();
        self.net_priorities.clear();
        self.rdma.clear();
        self.unified.clear();
        self.seccomp_rules.clear();
        self.seccomp_names.clear();
        self.seccomp_args.clear();
    }
}

/// As [`super::read`], into pools that may have been used.
fn read(doc: &[u8], pools: &mut Pools) -> Result<Config, Fault> {
    pools.clear();
    super::read(doc, pools)
}

/// As [`super::read_process`], into pools that may have been used.
fn read_process(doc: &[u8], pools: &mut Pools) -> Result<Process, Fault> {
    pools.clear();
    super::read_process(doc, pools)
}

/// As [`super::read_resources`], into pools that may have been used.
fn read_resources(doc: &[u8], pools: &mut Pools) -> Result<Resources, Fault> {
    pools.clear();
    super::read_resources(doc, pools)
}

/// The JSON files of a directory of the project, in order of their names.
fn documents(directory: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(directory);
    let mut files: Vec<PathBuf> = std::fs::read_dir(path)
        .expect("the directory is part of the project")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|end| end == "json"))
        .collect();
    files.sort();
    let read = |path: PathBuf| {
        let bytes = std::fs::read(&path).expect("readable");
        (path, bytes)
    };
    files.into_iter().map(read).collect()
}

fn name(path: &Path) -> &str {
    path.file_name()
        .and_then(|name| name.to_str())
        .expect("a name")
}

/// A complaint as a person would see it.
fn sentence(doc: &[u8], fault: &crate::error::Fault) -> String {
    use crate::error::{At, Cause};
    let At::Byte(byte) = fault.at() else {
        panic!("{fault:?} is nowhere")
    };
    let (line, column) = super::locate(doc, byte);
    let mut path = Vec::new();
    super::path(doc, byte, &mut |piece| path.extend_from_slice(piece));
    let snippet = super::snippet(doc, byte);
    let cut = !snippet.is_empty() && super::value(doc, byte) != snippet;
    let text = match fault.cause() {
        Cause::Rule(rule) => rule.text().to_owned(),
        Cause::Limit(limit) => format!("at most {} {}", limit.value(), limit.meaning()),
        other => panic!("{other:?}"),
    };
    let path = String::from_utf8_lossy(&path).into_owned();
    let snippet = String::from_utf8_lossy(snippet).into_owned() + if cut { "…" } else { "" };
    let mut sentence = format!("{line}:{column}: ");
    for part in [path, snippet].iter().filter(|part| !part.is_empty()) {
        sentence = sentence + part + ": ";
    }
    let plain = |char: char| {
        if char.is_control() || char == '\u{feff}' {
            '?'
        } else {
            char
        }
    };
    (sentence + &text).chars().map(plain).collect()
}
