//! `ocilet-schemas DIRECTORY`: holds the documents that a run of the tests has collected against the schemas beside this
//! file, and shows that each schema refuses what is not such a document.
//!
//! A document is a line of `DIRECTORY/KIND.*`. The last line is `N passed, N failed, 0 skipped`.

use std::fs;
use std::process::ExitCode;

use jsonschema::Validator;
use serde_json::{Map, Value, json};

/// The kinds of documents, with their schemas.
const SCHEMAS: [(&str, &str); 7] = [
    ("config", include_str!("../config.json")),
    ("events", include_str!("../events.json")),
    ("features", include_str!("../features.json")),
    ("hook", include_str!("../hook.json")),
    ("list", include_str!("../list.json")),
    ("seccomp", include_str!("../seccomp.json")),
    ("state", include_str!("../state.json")),
];

/// One schema in which each kind can refer to the others.
fn validator(kind: &str) -> Validator {
    let all = SCHEMAS.iter().map(|(kind, text)| {
        let mut schema: Value = serde_json::from_str(text).expect(kind);
        schema.as_object_mut().expect(kind).remove("$schema");
        ((*kind).to_owned(), schema)
    });
    let all: Map<String, Value> = all.collect();
    let schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$defs": all,
        "$ref": format!("#/$defs/{kind}"),
    });
    jsonschema::validator_for(&schema).expect(kind)
}

/// What a run has collected of a kind.
fn documents(directory: &str, kind: &str) -> Vec<Value> {
    let mut all = Vec::new();
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.split('.').next() == Some(kind) {
            let text = fs::read_to_string(entry.path()).unwrap_or_default();
            all.extend(
                text.lines()
                    .map(|line| serde_json::from_str(line).expect(&name)),
            );
        }
    }
    all
}

/// The same document with one thing wrong in it: a property less, a strange one, or a value of another type.
fn spoilt(value: &Value) -> Vec<(String, Value)> {
    let mut all = Vec::new();
    let mut put = |what: String, other: Value| all.push((what, other));
    match value {
        Value::Object(object) => {
            for (key, each) in object {
                for (what, other) in spoilt(each) {
                    let mut copy = object.clone();
                    copy.insert(key.clone(), other);
                    put(format!("{key}.{what}"), copy.into());
                }
            }
        }
        Value::Array(list) => {
            if let Some((first, rest)) = list.split_first() {
                for (what, other) in spoilt(first) {
                    let list = std::iter::once(other).chain(rest.iter().cloned());
                    put(format!("0.{what}"), list.collect());
                }
            }
        }
        _ => {}
    }
    all.push(("of another type".to_owned(), json!([[[]]])));
    all
}

/// Objects that hold what the caller likes.
const FREE: [&str; 4] = ["annotations", "raw", "hugetlb", "intel_rdt"];

/// Counts, and says what is wrong.
fn judge(kind: &str, directory: &str) -> (usize, usize) {
    let (validator, documents) = (validator(kind), documents(directory, kind));
    let (mut passed, mut failed) = (0, 0);
    let mut say = |good: bool, text: String| {
        if good {
            passed += 1;
        } else {
            failed += 1;
            println!("{kind}: {text}");
        }
    };
    say(
        !documents.is_empty(),
        "no such document in this run".to_owned(),
    );
    for document in &documents {
        let wrong: Vec<String> = validator
            .iter_errors(document)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        say(
            wrong.is_empty(),
            format!("{}: {document}", wrong.join("; ")),
        );
    }
    // The largest one has most to spoil.
    let Some(largest) = documents.iter().max_by_key(|each| each.to_string().len()) else {
        return (passed, failed);
    };
    for (what, wrong) in spoilt(largest) {
        if !FREE.iter().any(|free| what.contains(&format!("{free}."))) {
            say(
                !validator.is_valid(&wrong),
                format!("{what} is not noticed"),
            );
        }
    }
    let one = largest
        .as_array()
        .and_then(|list| list.first())
        .unwrap_or(largest);
    for key in one.as_object().into_iter().flat_map(Map::keys) {
        let mut wrong = one.clone();
        let name = format!("{key}X");
        let object = wrong.as_object_mut().expect("an object");
        let value = object.remove(key).expect("its own key");
        object.insert(name, value);
        let wrong = if largest.is_array() {
            json!([wrong])
        } else {
            wrong
        };
        say(
            !validator.is_valid(&wrong),
            format!("{key} misspelt is not noticed"),
        );
    }
    println!("# {kind}: {} documents", documents.len());
    (passed, failed)
}

fn main() -> ExitCode {
    let Some(directory) = std::env::args().nth(1) else {
        eprintln!("ocilet-schemas DIRECTORY");
        return ExitCode::from(2);
    };
    let (mut passed, mut failed) = (0, 0);
    for (kind, _) in SCHEMAS {
        let (good, bad) = judge(kind, &directory);
        passed += good;
        failed += bad;
    }
    println!("{passed} passed, {failed} failed, 0 skipped");
    ExitCode::from(u8::from(failed > 0))
}
