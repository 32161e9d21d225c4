//! The properties of a config, one path each: `linux.devices[].type`, for words that are listed also with the word,
//! `linux.devices[].type=c`; `*` stands for names that the caller chooses.

use std::collections::BTreeSet;

use serde_json::Value;

/// Objects whose keys are no names of properties.
const MAPS: [&str; 5] = [
    "annotations",
    "linux.sysctl",
    "linux.netDevices",
    "linux.resources.unified",
    "linux.resources.rdma",
];

/// What `config` says that `usual` does not.
pub fn paths(config: &Value, usual: &Value) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    walk(String::new(), config, Some(usual), &mut found);
    found
}

fn walk(path: String, value: &Value, usual: Option<&Value>, found: &mut BTreeSet<String>) {
    if usual == Some(value) {
        return;
    }
    match value {
        Value::Object(all) if !all.is_empty() => {
            for (key, each) in all {
                let name = if MAPS.contains(&&*path) { "*" } else { key };
                let dot = if path.is_empty() { "" } else { "." };
                let usual = usual.and_then(|usual| usual.get(key));
                walk(format!("{path}{dot}{name}"), each, usual, found);
            }
        }
        // What is new counts, wherever it stands; where nothing is new, what is left.
        Value::Array(all) if !all.is_empty() => {
            let usual = usual.and_then(Value::as_array);
            let new = |each: &&Value| usual.is_none_or(|usual| !usual.contains(each));
            let less = !all.iter().any(|each| new(&each));
            for each in all.iter().filter(|each| less || new(each)) {
                walk(format!("{path}[]"), each, None, found);
            }
        }
        // As good as not there.
        Value::String(word) if word.is_empty() => {}
        Value::Array(_) => {
            found.insert(format!("{path}[]"));
        }
        Value::String(word) => {
            found.insert(format!("{path}={word}"));
            found.insert(path);
        }
        _ => {
            found.insert(path);
        }
    }
}
