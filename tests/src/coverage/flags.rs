//! Commands and flags: what the binary takes, by its own help; and which of them a command line uses.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

/// `COMMAND --flag` or `COMMAND -f` for each flag, `--flag` alone for those before the command; and whether a value
/// follows it.
pub type Table = BTreeMap<String, bool>;

fn help(ocilet: &Path, words: &[&str]) -> String {
    let out = Command::new(ocilet).args(words).output();
    out.map_or_else(
        |_| String::new(),
        |out| String::from_utf8_lossy(&out.stdout).into_owned(),
    )
}

/// The key of a flag in the table.
fn key(command: &str, flag: &str) -> String {
    let dashes = if flag.len() == 1 { "-" } else { "--" };
    format!("{command} {dashes}{flag}").trim_start().to_owned()
}

/// Everything that help tells.
pub fn of_binary(ocilet: &Path) -> Table {
    let mut table = Table::new();
    let general = help(ocilet, &["--help"]);
    options(&mut table, "", &general);
    let commands = general.lines().skip_while(|line| *line != "COMMANDS:");
    for line in commands.skip(1).take_while(|line| !line.is_empty()) {
        let Some(command) = line.split_whitespace().next() else {
            continue;
        };
        table.insert(command.to_owned(), false);
        options(&mut table, command, &help(ocilet, &[command, "--help"]));
    }
    table
}

/// Lines like `   --bundle, -b DIR   what it does`.
fn options(table: &mut Table, command: &str, help: &str) {
    for line in help.lines().filter(|line| line.starts_with("   --")) {
        let names = line.trim_start().split("  ").next().unwrap_or_default();
        let (flags, values): (Vec<&str>, Vec<&str>) = names
            .split([' ', ','])
            .filter(|word| !word.is_empty())
            .partition(|word| word.starts_with('-'));
        for flag in flags {
            table.insert(
                key(command, flag.trim_start_matches('-')),
                !values.is_empty(),
            );
        }
    }
}

/// The commands and flags of a recorded line: those of the table, with every way to write them.
pub fn used(table: &Table, line: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut command = "";
    let mut words = line.split(' ');
    while let Some(word) = words.next() {
        let name = word.trim_start_matches('-').trim_end_matches('=');
        if word == "--" {
            break;
        } else if name.is_empty() || name == word {
            if command.is_empty() {
                command = word;
                found.insert(word.to_owned());
            } else if command == "exec" {
                // The rest is another program's.
                break;
            }
        } else if let Some(&value) = table.get(&key(command, name)) {
            found.insert(key(command, name));
            // `--flag=value` has been cut behind the sign.
            if value && !word.ends_with('=') {
                words.next();
            }
        } else {
            joined(table, command, name, &mut found);
        }
    }
    found
}

/// `-qfjson`: switches, and one with its value.
fn joined(table: &Table, command: &str, name: &str, found: &mut BTreeSet<String>) {
    for short in name.chars() {
        let key = key(command, &short.to_string());
        let Some(&value) = table.get(&key) else {
            return;
        };
        found.insert(key);
        if value {
            return;
        }
    }
}
