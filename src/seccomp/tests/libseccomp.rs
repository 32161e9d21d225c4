//! Programs of libseccomp, made of the same rules as runc hands them over.

use super::evaluator::Evaluator;
use super::interpreter::{check, run};
use super::random::{Caller, Dice, args};
use super::tables::{machines, names};
use super::{Profile, Rule, X32, X86_64, machines::x86_64_little, word};
use crate::config::{SeccompAction, SeccompArg, SeccompOp};
use crate::seccomp::Machine;
use crate::sys::testing::libseccomp::{Condition, Libseccomp};

const ENOSYS: u32 = 0x0005_0026;

/// The token of seccomp.h for an ABI, if libseccomp 2.5 knows it.
fn token(oci: u8, audit: u32) -> Option<u32> {
    match oci {
        2 => Some(0x4000_003e),
        // LoongArch came with 2.6.
        19 => None,
        _ => Some(audit),
    }
}

/// What runc makes of a profile.
fn rules(profile: &Profile) -> Vec<(&str, u32, Vec<Condition>)> {
    let default = profile.default_word();
    let mut rules = vec![];
    for rule in &profile.rules {
        let action = word(rule.action.0, rule.action.1);
        let again = (0..6).any(|n| rule.args.iter().filter(|arg| arg.index == n).count() > 1);
        let conditions: Vec<_> = rule.args.iter().map(condition).collect();
        for name in rule.names.iter().filter(|_| action != default) {
            if again {
                rules.extend(
                    conditions
                        .iter()
                        .map(|it| (name.as_str(), action, vec![*it])),
                );
            } else {
                rules.push((name.as_str(), action, conditions.clone()));
            }
        }
    }
    rules
}

fn condition(it: &SeccompArg) -> Condition {
    let op = match it.op {
        SeccompOp::Ne => 1,
        SeccompOp::Lt => 2,
        SeccompOp::Le => 3,
        SeccompOp::Eq => 4,
        SeccompOp::Ge => 5,
        SeccompOp::Gt => 6,
        SeccompOp::MaskedEq => 7,
    };
    Condition {
        arg: u32::from(it.index),
        op,
        first: it.value,
        second: it.value_two,
    }
}

pub(super) fn compile(library: &Libseccomp, profile: &Profile, machine: &Machine) -> Vec<[u8; 8]> {
    let native = machine.abis[0].oci;
    let wanted = machine
        .abis
        .iter()
        .filter(|it| it.oci == native || profile.wants(it.oci));
    let arches: Vec<_> = wanted.filter_map(|it| token(it.oci, it.audit)).collect();
    library
        .compile(profile.default_word(), &arches, &rules(profile))
        .expect("good rules")
}

#[test]
fn numbers_are_those_of_libseccomp() {
    let Some(library) = Libseccomp::open() else {
        return;
    };
    let (mut compared, mut wrong) = (0, vec![]);
    for (title, machine) in machines() {
        let evaluator = Evaluator::new(machine);
        for (n, abi) in machine.abis.iter().enumerate() {
            let Some(token) = token(abi.oci, abi.audit) else {
                continue;
            };
            for name in names(machine) {
                let theirs = library.number(token, name);
                let ours = evaluator
                    .number(n, name)
                    .and_then(|it| i32::try_from(it).ok());
                // Below zero: a name of another architecture, or newer than the library.
                if theirs >= 0 {
                    compared += 1;
                    if ours != Some(theirs) {
                        wrong.push((title, n, name, ours, theirs));
                    }
                }
            }
        }
    }
    assert!(compared > 4000, "{compared}");
    assert!(wrong.is_empty(), "{wrong:?}");
}

/// Rules that do not meet: what libseccomp 2.5.4 makes of several for one call depends on the shape of its tree, and is
/// wrong for some with 64-bit inequalities. Equalities may be alternatives.
fn profile(dice: &mut Dice, names: &[&'static str], wide: bool) -> Profile {
    const CARRIED: &str = "socket bind sendmsg accept4 connect shmat msgget";
    let actions = [
        (SeccompAction::Allow, None),
        (SeccompAction::Errno, None),
        (SeccompAction::Errno, Some(7)),
        (SeccompAction::Trap, None),
        (SeccompAction::Log, None),
    ];
    let carried: Vec<_> = CARRIED.split(' ').collect();
    let (one, two) = (dice.of(&actions), dice.of(&actions));
    let mut free: Vec<_> = names
        .iter()
        .copied()
        .chain(carried.iter().copied())
        .collect();
    let rules = (0..=dice.below(5)).map(|_| {
        let many = if dice.one_in(2) { dice.below(4) } else { 0 };
        let mut conditions = args(dice, many);
        if (0..6).any(|n| conditions.iter().filter(|it| it.index == n).count() > 1) {
            for it in &mut conditions {
                it.op = SeccompOp::Eq;
            }
        }
        if !wide {
            for it in &mut conditions {
                it.value &= 0xffff_ffff;
                it.value_two &= 0xffff_ffff;
            }
        }
        let (action, from) = if dice.one_in(4) {
            (one, &carried[..])
        } else {
            (two, names)
        };
        let mut names = vec![];
        for _ in 0..=dice.below(6) {
            let name = dice.of(from);
            if free.contains(&name) {
                free.retain(|it| *it != name);
                names.push(name.to_owned());
            }
        }
        Rule {
            names,
            action,
            args: conditions,
        }
    });
    let rules = rules.collect();
    Profile {
        default: dice.of(&actions),
        architectures: [0, 1, 2, 3, 4]
            .into_iter()
            .filter(|_| !dice.one_in(3))
            .collect(),
        rules,
    }
}

#[test]
fn random_profiles_mean_what_libseccomp_makes_of_them() {
    let Some(library) = Libseccomp::open() else {
        return;
    };
    let mut dice = Dice(2);
    let (mut ours_all, mut theirs_all) = (0, 0);
    let kinds = [
        ("x86_64", &x86_64_little::MACHINE),
        ("aarch64", &super::machines::aarch64_little::MACHINE),
    ];
    let kinds = kinds.map(|(title, machine)| {
        let evaluator = Evaluator::new(machine);
        // libseccomp 2.5.4 forgets to load the number where the first name is one that an architecture lacks.
        let known = |name: &&str| {
            machine.abis.iter().enumerate().all(|(n, abi)| {
                let token = token(abi.oci, abi.audit).expect("known");
                evaluator.number(n, name).is_some() && library.number(token, name) >= 0
            })
        };
        let names: Vec<_> = names(machine).into_iter().filter(known).collect();
        (title, machine, names)
    });
    let rounds = if cfg!(debug_assertions) { 3000 } else { 10_000 };
    for n in 0..rounds {
        let (title, machine, names) = &kinds[usize::from(n % 4 == 0)];
        let evaluator = Evaluator::new(machine);
        let wide = dice.one_in(2);
        let profile = profile(&mut dice, names, wide);
        let ours = profile.compile(machine).expect("short enough");
        let theirs = compile(&library, &profile, machine);
        check(&ours);
        ours_all += ours.len();
        theirs_all += theirs.len();
        let caller = Caller::new(&evaluator, &profile);
        for _ in 0..200 {
            let mut call = caller.call(&mut dice);
            let x32 = call.arch == X86_64 && call.number >= X32;
            if wide && (x32 || call.arch & 0x8000_0000 == 0) {
                // libseccomp cuts operands to 32 bits there.
                continue;
            }
            if x32 {
                // And it looks at the lower half alone.
                call.args = call.args.map(|arg| arg & 0xffff_ffff);
            }
            let (ours, theirs) = (run(&ours, &call), run(&theirs, &call));
            // What is newer than the profile: runc's addition.
            let newer = ours == ENOSYS && [profile.default_word(), 0].contains(&theirs);
            assert!(
                ours == theirs || newer,
                "{title}, round {n}: {ours:x}, not {theirs:x}: {call:x?} under {profile:#x?}"
            );
        }
    }
    eprintln!("instructions: {ours_all}, of libseccomp: {theirs_all}");
}
