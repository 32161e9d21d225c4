//! At the end of a run: what the cases that passed have used, beside what there is.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use super::flags::{self, Table};
use super::record::MARK;
use crate::facts::{Cgroup, Facts, criu, criu_has, disk_with_bfq};
use crate::runner::cache_dir;

/// What was used, and by which cases.
#[derive(Default)]
pub struct Sum {
    paths: BTreeMap<String, BTreeSet<String>>,
    lines: BTreeMap<String, BTreeSet<String>>,
}

/// A flag that another runtime takes, and why this one does not.
struct Known {
    name: String,
    value: bool,
    reason: &'static str,
}

/// Something that no case uses.
struct Exception {
    name: &'static str,
    condition: &'static str,
}

impl Sum {
    /// The output of a case that has passed.
    pub fn add(&mut self, case: &str, output: &str) {
        for used in output.lines().filter_map(|line| line.strip_prefix(MARK)) {
            let (map, name) = match used.strip_prefix("$ ") {
                Some(line) => (&mut self.lines, line),
                None => (&mut self.paths, used),
            };
            map.entry(name.to_owned())
                .or_default()
                .insert(case.to_owned());
        }
    }

    /// Compares it with the lists, leaves a table of it all, and tells what is wrong.
    pub fn judge(self, ocilet: &Path) -> Vec<String> {
        let mut wrong = Vec::new();
        let known: Vec<Known> = super::lines(include_str!("../../coverage/flags"))
            .map(known)
            .collect();
        let taken = flags::of_binary(ocilet);
        let mut table = taken.clone();
        for each in &known {
            if each.reason.is_empty() {
                table.insert(each.name.clone(), each.value);
            } else if takes(&taken, &each.name) {
                wrong.push(format!(
                    "{} is a difference no more: {}",
                    each.name, each.reason
                ));
            }
        }
        let mut used = self.paths;
        for (line, cases) in self.lines {
            for name in flags::used(&table, &line) {
                used.entry(name).or_default().extend(cases.iter().cloned());
            }
        }
        let exceptions: Vec<Exception> = super::lines(include_str!("../../coverage/exceptions"))
            .map(exception)
            .collect();
        let conditions = conditions();
        let stale = crate::caller::stale().into_iter();
        wrong.extend(stale.map(|name| format!("{name} of the list of callers is no case")));
        for exception in &exceptions {
            let name = exception.name;
            let known = |flag: &String| covers(name, flag);
            if !table.keys().any(known) && !super::paths().any(|path| covers(name, path)) {
                wrong.push(format!("{name} is an exception of nothing"));
            } else if exception.condition == "always" && used.contains_key(name) {
                wrong.push(format!("{name} is an exception, and used"));
            } else if exception.condition != "always"
                && !conditions.contains_key(exception.condition)
            {
                wrong.push(format!("{}: no such condition", exception.condition));
            }
        }
        let excepted = |name: &str| {
            exceptions.iter().any(|each| {
                covers(each.name, name) && conditions.get(each.condition).copied().unwrap_or(true)
            })
        };
        let paths: Vec<&str> = super::paths().collect();
        let flags: Vec<&str> = table.keys().map(String::as_str).collect();
        for (what, all) in [
            ("properties and their words", &paths),
            ("commands and flags", &flags),
        ] {
            let covered = all.iter().filter(|name| used.contains_key(**name)).count();
            let missing: Vec<_> = all
                .iter()
                .filter(|name| !used.contains_key(**name))
                .collect();
            let open: Vec<_> = missing.iter().filter(|name| !excepted(name)).collect();
            println!(
                "# coverage: {covered} of {} {what}, {} excepted",
                all.len(),
                missing.len() - open.len()
            );
            wrong.extend(open.iter().map(|name| format!("{name} is used by no case")));
        }
        let differences = known.iter().filter(|each| !each.reason.is_empty()).count();
        println!(
            "# coverage: {differences} flags of other runtimes are not taken, with a reason each"
        );
        leave(&paths, &table, &used);
        wrong
    }
}

/// Whether an exception is about it: all that begins so, where there is a `*` behind; of a command the name, too.
fn covers(exception: &str, name: &str) -> bool {
    match exception.strip_suffix('*') {
        Some(start) => name.starts_with(start) || name == start.trim_end(),
        None => exception == name,
    }
}

/// Whether the binary has the flag, or the command that another runtime has with a second word.
fn takes(taken: &Table, name: &str) -> bool {
    let command = name.split(' ').next().unwrap_or_default();
    taken.contains_key(name) || (!name.contains('-') && taken.contains_key(command))
}

/// `COMMAND --flag VALUE | why it is not taken`, of which all but the first word and the flag may be missing.
fn known(line: &'static str) -> Known {
    let (text, reason) = line.split_once('|').unwrap_or((line, ""));
    let words: Vec<&str> = text.split_whitespace().collect();
    let length = if words.first().is_some_and(|word| word.starts_with('-')) {
        1
    } else {
        2
    };
    Known {
        name: words[..length.min(words.len())].join(" "),
        value: words.len() > length,
        reason: reason.trim(),
    }
}

/// `NAME | CONDITION | why`.
fn exception(line: &'static str) -> Exception {
    let mut parts = line.split('|').map(str::trim);
    let mut next = || parts.next().unwrap_or_default();
    Exception {
        name: next(),
        condition: next(),
    }
}

/// What can be missing in a place, and whether it is.
fn conditions() -> BTreeMap<&'static str, bool> {
    let facts = Facts::ask();
    let missing = |path: &str| !Path::new(path).exists();
    let caller = crate::caller::word();
    let hidden = std::env::var_os("OCILET_TESTS_CGROUP").is_some();
    BTreeMap::from([
        ("always", true),
        ("no-apparmor", missing("/sys/kernel/security/apparmor")),
        ("no-selinux", missing("/sys/fs/selinux/enforce")),
        ("no-resctrl", missing("/sys/fs/resctrl/schemata")),
        ("no-systemd", missing("/run/systemd/private")),
        ("no-criu", criu().is_err()),
        ("no-dirty-pages", !criu_has("mem_dirty_track")),
        // criu 4.1.1 loses the memory that is asked for.
        ("no-lazy-pages", true),
        (
            "no-clamps",
            missing("/proc/sys/kernel/sched_util_clamp_min"),
        ),
        ("no-bfq", disk_with_bfq().is_none()),
        ("as-user", caller == "user"),
        ("as-another", !caller.is_empty()),
        ("no-controllers", hidden && facts.cgroup != Cgroup::V2),
        ("no-v1", facts.cgroup != Cgroup::V1),
        ("no-v2", facts.cgroup != Cgroup::V2),
    ])
}

/// The table of all that was used, for who wants to know which case does it.
fn leave(paths: &[&str], table: &Table, used: &BTreeMap<String, BTreeSet<String>>) {
    let mut text = String::new();
    for name in paths
        .iter()
        .copied()
        .chain(table.keys().map(String::as_str))
    {
        let cases = used.get(name);
        let some = cases
            .into_iter()
            .flatten()
            .take(5)
            .cloned()
            .collect::<Vec<_>>()
            .join(" ");
        let count = cases.map_or(0, BTreeSet::len);
        text += &format!("{name}\t{count}\t{some}\n");
    }
    let dir = cache_dir();
    let file = dir.join("coverage");
    if fs::create_dir_all(&dir)
        .and_then(|()| fs::write(&file, text))
        .is_ok()
    {
        println!("# coverage: which cases use what is in {}", file.display());
    }
}
