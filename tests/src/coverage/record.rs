//! In the process of a case: the containers it has made, the command lines that were taken, and the documents that came
//! of them.
//!
//! Only a document that the case has built from the minimal config counts, and of it only what differs: documents from
//! elsewhere (whole profiles, `spec`, damaged ones) hold everything and show nothing about a single property. Only
//! calls that did what they were told count: a refusal is no effect.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::Mutex;

use serde_json::Value;

use super::walk;
use crate::bundle::minimal;

/// Starts a line that is for [`super::sum`].
pub const MARK: &str = "USED ";

/// What a bundle holds and says.
struct Written {
    text: String,
    paths: BTreeSet<String>,
}

#[derive(Default)]
struct Record {
    bundles: BTreeMap<PathBuf, Written>,
    paths: BTreeSet<String>,
    lines: BTreeSet<String>,
    /// Kind, and text in one line.
    documents: BTreeSet<(&'static str, String)>,
    whole: bool,
}

static RECORD: Mutex<Option<Record>> = Mutex::new(None);

fn with<R>(act: impl FnOnce(&mut Record) -> R) -> R {
    // A thread that panicked has failed the case anyway.
    let mut record = RECORD.lock().unwrap_or_else(|broken| broken.into_inner());
    act(record.get_or_insert_default())
}

/// A case has written the config of its bundle.
pub fn written(dir: &Path, config: &Value, text: &str) {
    let (paths, text) = (walk::paths(config, &minimal()), text.to_owned());
    with(|record| {
        record
            .bundles
            .insert(dir.to_owned(), Written { text, paths })
    });
}

/// A call of the runtime that is being made.
pub struct Call {
    line: String,
    paths: BTreeSet<String>,
    /// Of the document that the command makes.
    kind: Option<&'static str>,
    /// Where `spec` writes it.
    file: PathBuf,
}

impl Call {
    /// The words without the name of the program, and where it is called.
    pub fn new(words: &[&str], cwd: &Path) -> Self {
        Self {
            line: normal(words),
            paths: bundle(words, cwd).map_or_else(BTreeSet::new, paths_of),
            kind: kind(words),
            file: directory(words, cwd).join("config.json"),
        }
    }

    /// It has ended, and said this.
    pub fn ended(self, status: ExitStatus, stdout: &str, stderr: &str) {
        // The programs of `run`, `exec` and `wait` have statuses of their own, and can say something, too.
        let refused = || stderr.contains("ocilet: ") || stderr.contains("\"level\":\"error\"");
        if !status.success() && (status.code().is_none() || refused()) {
            return;
        }
        match self.kind {
            Some("config") => document(
                "config",
                &fs::read_to_string(&self.file).unwrap_or_default(),
            ),
            Some("events") => stdout.lines().for_each(|line| document("events", line)),
            Some(kind) => document(kind, stdout),
            None => {}
        }
        with(|record| {
            record.lines.insert(self.line);
            record.paths.extend(self.paths);
        });
    }
}

/// A document of a kind that has a schema in tests/schemas; help is none.
pub fn document(kind: &'static str, text: &str) {
    if let Ok(value) = serde_json::from_str::<Value>(text) {
        with(|record| record.documents.insert((kind, value.to_string())));
    }
}

/// The kind of document that a command makes.
fn kind(words: &[&str]) -> Option<&'static str> {
    const COMMANDS: [&str; 8] = [
        "create", "run", "exec", "spec", "state", "list", "features", "events",
    ];
    match *words.iter().find(|word| COMMANDS.contains(word))? {
        "spec" => Some("config"),
        "state" => Some("state"),
        "list" if words.iter().any(|word| word.ends_with("json")) => Some("list"),
        "features" => Some("features"),
        "events" => Some("events"),
        _ => None,
    }
}

/// The words as far as [`super::flags`] needs them: flags up to the `=`, and what may be a command; any other word is `_`.
fn normal(words: &[&str]) -> String {
    let words = words.iter().take(64).map(|word| {
        let flag = word.split_inclusive('=').next().unwrap_or_default();
        if flag.starts_with('-') && flag.len() < 40 {
            flag
        } else if word.bytes().all(|byte| byte.is_ascii_lowercase()) && word.len() < 12 {
            word
        } else {
            "_"
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

/// The bundle of a command that makes a container.
fn bundle(words: &[&str], cwd: &Path) -> Option<PathBuf> {
    let makes = |word: &&str| ["create", "run", "restore"].contains(word);
    let at = words.iter().position(makes)?;
    Some(directory(&words[at + 1..], cwd))
}

/// What --bundle says, or the current directory.
fn directory(words: &[&str], cwd: &Path) -> PathBuf {
    let mut rest = words.iter();
    while let Some(word) = rest.next() {
        let name = word.trim_start_matches('-');
        let (name, value) = name.split_once('=').unwrap_or((name, ""));
        if word.starts_with('-') && ["bundle", "b"].contains(&name) {
            let mut next = || rest.next().copied().unwrap_or_default();
            return cwd.join(if value.is_empty() { next() } else { value });
        }
    }
    cwd.to_owned()
}

/// What the document says, if it is still the one that the case has written.
fn paths_of(dir: PathBuf) -> BTreeSet<String> {
    with(|record| {
        let Some(written) = record.bundles.get(&dir) else {
            return BTreeSet::new();
        };
        let now = fs::read_to_string(dir.join("config.json")).unwrap_or_default();
        if now == written.text {
            written.paths.clone()
        } else {
            BTreeSet::new()
        }
    })
}

/// The documents of this case hold so much that they show nothing about a single property.
pub fn whole_documents() {
    with(|record| record.whole = true);
}

/// The directory for the documents of a run, if it wants them.
pub const DOCUMENTS: &str = "OCILET_TESTS_DOCUMENTS";

fn keep(documents: &BTreeSet<(&'static str, String)>) {
    let Some(dir) = std::env::var_os(DOCUMENTS).map(PathBuf::from) else {
        return;
    };
    for (kind, text) in documents {
        let file = dir.join(format!("{kind}.{}", std::process::id()));
        let file = fs::OpenOptions::new().append(true).create(true).open(file);
        let written = file.and_then(|mut file| writeln!(file, "{text}"));
        written.expect("the directory of the documents");
    }
}

/// Prints what was used, for the run to add up.
pub fn print() {
    with(|record| keep(&record.documents));
    let listed: BTreeSet<&str> = super::paths().collect();
    with(|record| {
        for path in &record.paths {
            if !record.whole && listed.contains(&**path) {
                println!("{MARK}{path}");
            }
        }
        for line in &record.lines {
            println!("{MARK}$ {line}");
        }
    });
}
