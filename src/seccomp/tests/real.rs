//! Profiles that engines have written.

use super::evaluator::Evaluator;
use super::interpreter::{check, run};
use super::random::{Caller, Dice};
use super::{Profile, Rule, libseccomp, machines::x86_64_little};
use crate::config::{Pools, SeccompArg, Text, read};
use crate::sys::testing::libseccomp::Libseccomp;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// The profile of a document.
pub(super) fn profile(doc: &[u8]) -> Option<Profile> {
    static POOLS: Mutex<Pools> = Mutex::new(Pools::new());
    let mut pools = POOLS.lock().unwrap_or_else(PoisonError::into_inner);
    pools.clear();
    let config = read(doc, &mut pools).expect("a good document");
    let seccomp = config.linux?.seccomp?;
    let placeless = |arg: &SeccompArg| SeccompArg { at: 0, ..*arg };
    let text = |text: &Text| String::from_utf8(text.bytes(doc).collect()).unwrap();
    let rules = seccomp
        .rules
        .of(&pools.seccomp_rules)
        .iter()
        .map(|rule| Rule {
            names: rule
                .names
                .of(&pools.seccomp_names)
                .iter()
                .map(text)
                .collect(),
            action: (rule.action, rule.errno),
            args: rule
                .args
                .of(&pools.seccomp_args)
                .iter()
                .map(placeless)
                .collect(),
        });
    Some(Profile {
        default: (seccomp.default_action?, seccomp.default_errno),
        architectures: (0..64)
            .filter(|n| (seccomp.architectures >> n) & 1 != 0)
            .collect(),
        rules: rules.collect(),
    })
}

#[test]
fn real_profiles_are_short_and_mean_what_they_say() {
    let machine = &x86_64_little::MACHINE;
    let evaluator = Evaluator::new(machine);
    let library = Libseccomp::open();
    let mut dice = Dice(3);
    let mut seen = vec![];
    for directory in ["tests/corpus", "tests/seccomp"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(directory);
        let mut files: Vec<_> = std::fs::read_dir(path)
            .unwrap()
            .map(|it| it.unwrap().path())
            .collect();
        files.sort();
        for file in files
            .iter()
            .filter(|file| file.to_str().unwrap().contains("-config"))
        {
            let doc = std::fs::read(file).unwrap();
            let Some(profile) = profile(&doc) else {
                continue;
            };
            let text = format!("{profile:?}");
            if seen.contains(&text) {
                continue;
            }
            seen.push(text);
            let program = profile.compile(machine).expect("short enough");
            check(&program);
            let name = file.file_name().unwrap().to_str().unwrap();
            let theirs = library
                .as_ref()
                .map(|it| libseccomp::compile(it, &profile, machine));
            let length = theirs.as_ref().map_or(4096, Vec::len);
            eprintln!(
                "{name}: {} instructions, of libseccomp: {length}",
                program.len()
            );
            // Chains of conditions that begin alike are written out here.
            let most = if directory == "tests/corpus" {
                length
            } else {
                length * 11 / 10
            };
            assert!(program.len() <= most, "{name}");
            let caller = Caller::new(&evaluator, &profile);
            for _ in 0..2_000 {
                let call = caller.call(&mut dice);
                assert_eq!(
                    run(&program, &call),
                    evaluator.evaluate(&profile, &call),
                    "{name}: {call:x?}"
                );
            }
        }
    }
    assert!(seen.len() >= 8, "{}", seen.len());
}
