//! The cases, grouped by what they are about. A new case is a function and one line in the table of its file.

mod cgroups;
mod checkpoint;
mod cli;
mod config;
mod controllers;
mod differ;
mod exec;
mod flags;
mod floors;
mod hooks;
mod hostile;
mod idmap;
mod killed;
mod labels;
mod lifecycle;
mod limits;
mod live;
mod mounts;
mod namespaces;
mod network;
mod process;
mod real;
mod rootfs;
mod seccomp;
mod service;
mod settings;
mod state;
mod systemd;
mod tty;
mod users;
mod wait;

use crate::case::Case;

/// A group is a file.
const GROUPS: &[(&str, &[Case])] = &[
    ("lifecycle", lifecycle::CASES),
    ("cli", cli::CASES),
    ("flags", flags::CASES),
    ("process", process::CASES),
    ("exec", exec::CASES),
    ("checkpoint", checkpoint::CASES),
    ("wait", wait::CASES),
    ("mounts", mounts::CASES),
    ("live", live::CASES),
    ("rootfs", rootfs::CASES),
    ("namespaces", namespaces::CASES),
    ("network", network::CASES),
    ("cgroups", cgroups::CASES),
    ("limits", limits::CASES),
    ("floors", floors::CASES),
    ("controllers", controllers::CASES),
    ("systemd", systemd::CASES),
    ("seccomp", seccomp::CASES),
    ("service", service::CASES),
    ("state", state::CASES),
    ("killed", killed::CASES),
    ("tty", tty::CASES),
    ("users", users::CASES),
    ("settings", settings::CASES),
    ("idmap", idmap::CASES),
    ("config", config::CASES),
    ("differ", differ::CASES),
    ("hooks", hooks::CASES),
    ("hostile", hostile::CASES),
    ("labels", labels::CASES),
    ("real", real::CASES),
];

/// Every case with its full name `group/case`.
pub fn all() -> impl Iterator<Item = (String, &'static Case)> {
    GROUPS.iter().flat_map(|&(group, cases)| {
        cases
            .iter()
            .map(move |case| (format!("{group}/{}", case.name), case))
    })
}
