//! Documents that are refused: `tests/config/bad/NAME.RULE.json`, and what is said about each in `sentences` beside them.

use super::{documents, name, pools, read, sentence};
use crate::error::{Cause, Step};
use std::fmt::Write as _;

/// `OCILET_BLESS=1` writes the file of sentences anew; read the difference before it is committed.
#[test]
fn bad_documents_get_their_sentences() {
    let mut all = String::new();
    let mut wrong = String::new();
    let files = documents("tests/config/bad");
    assert!(files.len() >= 60, "{} documents", files.len());
    for (path, doc) in files {
        let file = name(&path);
        let rule = file.split('.').nth(1).expect("NAME.RULE.json");
        match read(&doc, &mut pools()) {
            Ok(_) => writeln!(wrong, "{file}: is accepted"),
            Err(fault) => {
                let got = match fault.cause() {
                    Cause::Rule(got) => format!("{got:?}"),
                    Cause::Limit(got) => format!("{got:?}"),
                    other => format!("{other:?}"),
                };
                assert_eq!(fault.step(), Step::ReadConfig);
                writeln!(all, "{file}:{}", sentence(&doc, &fault)).expect("a string");
                if got == rule {
                    Ok(())
                } else {
                    writeln!(wrong, "{file}: {got}")
                }
            }
        }
        .expect("a string");
    }
    assert_eq!(wrong, "");
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/config/bad/sentences");
    if std::env::var_os("OCILET_BLESS").is_some() {
        std::fs::write(golden, &all).expect("writable");
    }
    let wanted = std::fs::read_to_string(golden).expect("OCILET_BLESS=1 makes it");
    for (wanted, got) in wanted.lines().zip(all.lines()) {
        assert_eq!(wanted, got);
    }
    assert_eq!(wanted.lines().count(), all.lines().count());
}

/// Every rule of the room has a document that breaks it.
#[test]
fn every_rule_is_broken_once() {
    let rules = include_str!("../../error/rules.rs");
    let section = rules
        .split("// config/: the bytes")
        .nth(1)
        .and_then(|rest| rest.split("// plan/").next())
        .expect("the section of this room");
    let names: Vec<String> = documents("tests/config/bad")
        .iter()
        .map(|(path, _)| name(path).split('.').nth(1).expect("a rule").to_owned())
        .collect();
    for line in section.lines().filter(|line| line.contains(" = ")) {
        let rule = line.trim().split(' ').next().expect("a name");
        assert!(names.iter().any(|name| name == rule), "{rule}");
    }
}
