//! `rooms SRC`: which room imports which, over the `use crate::` and `crate::` paths of the source.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Room and the rooms it may name. A room may always name itself; `error` and `limits` are open to all.
const ALLOWED: &[(&str, &[&str])] = &[
    // Its texts have a place in memory.
    ("error", &["sys", "text"]),
    ("limits", &[]),
    ("text", &[]),
    ("say", &["sys", "config", "plan", "hooks"]),
    ("sys", &[]),
    ("fs", &["sys"]),
    // For `sys::field`: where the values of its table go.
    ("config", &["sys"]),
    ("plan", &["config", "cgroup", "seccomp"]),
    (
        "bundle",
        &["config", "plan", "cgroup", "seccomp", "state", "fs", "sys"],
    ),
    ("rootfs", &["fs", "sys", "plan"]),
    ("cgroup", &["fs", "sys", "plan", "config"]),
    ("seccomp", &["config", "sys"]),
    ("state", &["fs", "sys"]),
    ("hooks", &["fs", "sys"]),
    ("tty", &["fs", "sys"]),
    ("rdt", &["plan", "state", "fs", "sys"]),
    (
        "run",
        &[
            "rootfs", "cgroup", "seccomp", "state", "hooks", "fs", "tty", "sys", "plan", "say",
            "rdt",
        ],
    ),
    (
        "criu",
        &[
            "run", "rootfs", "cgroup", "state", "hooks", "fs", "tty", "sys", "plan", "say", "rdt",
        ],
    ),
    (
        "cli",
        &[
            "criu", "bundle", "config", "plan", "run", "state", "cgroup", "say", "fs", "tty",
            "rootfs", "seccomp", "hooks", "sys", "rdt",
        ],
    ),
    ("main", &["cli", "say", "sys"]),
    ("lib", &[]),
];

fn files(dir: &Path, into: &mut Vec<PathBuf>) {
    let mut entries: Vec<PathBuf> = fs::read_dir(dir)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            files(&path, into);
        } else if path.extension().is_some_and(|kind| kind == "rs") {
            into.push(path);
        }
    }
}

/// Rooms named by a line of code, be it `use crate::a::b`, `use crate::{a, b}` or a path in an expression.
fn named(text: &str) -> Vec<String> {
    let word = |text: &str| -> String {
        text.chars()
            .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
            .collect()
    };
    let mut rooms = Vec::new();
    for part in text.split("crate::").skip(1) {
        if let Some(list) = part.strip_prefix('{') {
            let (mut depth, mut start) = (0_u32, true);
            for (at, c) in list.char_indices() {
                match c {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    ',' if depth == 0 => start = true,
                    c if start && c.is_ascii_alphabetic() => {
                        rooms.push(word(&list[at..]));
                        start = false;
                    }
                    _ => {}
                }
            }
        } else {
            rooms.push(word(part));
        }
    }
    rooms
}

/// The code of a file without comments and without its test module.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
    text.lines()
        .map(|line| line.split("//").next().unwrap_or_default())
        .collect::<Vec<_>>()
        .join("\n")
}

pub fn main(args: &[String]) -> ExitCode {
    let src = PathBuf::from(args.first().map_or("src", String::as_str));
    let mut all = Vec::new();
    files(&src, &mut all);
    if all.is_empty() {
        eprintln!("rooms: no source in {}", src.display());
        return ExitCode::from(2);
    }
    let mut broken = 0;
    for path in all {
        // Test modules in files of their own are std code.
        if path
            .iter()
            .any(|part| part == "tests" || part == "tests.rs")
        {
            continue;
        }
        let short = path.strip_prefix(&src).unwrap_or(&path).to_path_buf();
        let text = fs::read_to_string(&path).unwrap_or_default();
        for line in complaints(&short, &text) {
            println!("{}: {line}", short.display());
            broken += 1;
        }
    }
    println!("rooms: {broken} broken rules");
    ExitCode::from(u8::from(broken > 0))
}

/// What a file does that it may not do.
fn complaints(path: &Path, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let first = path
        .iter()
        .next()
        .map(|part| part.to_string_lossy().into_owned())
        .unwrap_or_default();
    let room = first.strip_suffix(".rs").unwrap_or(&first);
    let Some((_, allowed)) = ALLOWED.iter().find(|(name, _)| *name == room) else {
        return vec![format!(
            "no such room: {room} (the table is in tests/src/checks/rooms.rs)"
        )];
    };
    let always = [room, "error", "limits", "text"];
    for name in named(&code(text)) {
        // Names that are no rooms: macros and items of the root.
        let is_room = ALLOWED.iter().any(|(known, _)| *known == name);
        if is_room && !always.contains(&&*name) && !allowed.contains(&&*name) {
            found.push(format!("{room} may not use {name}"));
        }
    }
    if text.lines().count() > 400 {
        found.push(format!("{} lines, 400 are allowed", text.lines().count()));
    }
    // The entry point is the one place outside sys/ that needs unsafe; lib.rs and the generated limits hold no code.
    let free = ["main", "lib"].contains(&room);
    if room != "sys" && !free && !text.contains("#![forbid(unsafe_code)]") {
        found.push("does not forbid unsafe code".to_owned());
    }
    if !text.starts_with("//!") {
        found.push("does not say what it is in its first line".to_owned());
    }
    found
}
