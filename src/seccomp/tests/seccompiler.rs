//! Programs of seccompiler, for what it can express: one action beside the default one, one architecture.

use super::evaluator::Evaluator;
use super::interpreter::run;
use super::random::{Caller, Dice, args};
use super::tables::names;
use super::{Profile, Rule, X32, X86_64, machines::x86_64_little};
use crate::config::{SeccompAction, SeccompArg, SeccompOp};
use seccompiler::{
    BpfProgram, SeccompAction as Action, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition,
    SeccompFilter, SeccompRule, TargetArch,
};
use std::collections::BTreeMap;

const ENOSYS: u32 = 0x0005_0026;

fn condition(it: &SeccompArg) -> SeccompCondition {
    let (op, value) = match it.op {
        SeccompOp::Ne => (SeccompCmpOp::Ne, it.value),
        SeccompOp::Lt => (SeccompCmpOp::Lt, it.value),
        SeccompOp::Le => (SeccompCmpOp::Le, it.value),
        SeccompOp::Eq => (SeccompCmpOp::Eq, it.value),
        SeccompOp::Ge => (SeccompCmpOp::Ge, it.value),
        SeccompOp::Gt => (SeccompCmpOp::Gt, it.value),
        SeccompOp::MaskedEq => (SeccompCmpOp::MaskedEq(it.value), it.value_two & it.value),
    };
    SeccompCondition::new(it.index, SeccompCmpArgLen::Qword, op, value).unwrap()
}

fn compile(profile: &Profile, evaluator: &Evaluator) -> Vec<[u8; 8]> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
    for rule in &profile.rules {
        for number in rule
            .names
            .iter()
            .filter_map(|name| evaluator.number(0, name))
        {
            let those = rules.entry(i64::from(number)).or_default();
            if !rule.args.is_empty() {
                let conditions = rule.args.iter().map(condition).collect();
                those.push(SeccompRule::new(conditions).unwrap());
            }
        }
    }
    let refuse = Action::Errno(1);
    let (default, action) = match profile.default.0 {
        SeccompAction::Allow => (Action::Allow, refuse),
        _ => (refuse, Action::Allow),
    };
    let filter = SeccompFilter::new(rules, default, action, TargetArch::x86_64).unwrap();
    let program: BpfProgram = filter.try_into().unwrap();
    let word = |it: &seccompiler::sock_filter| {
        let ([c0, c1], [k0, k1, k2, k3]) = (it.code.to_ne_bytes(), it.k.to_ne_bytes());
        [c0, c1, it.jt, it.jf, k0, k1, k2, k3]
    };
    program.iter().map(word).collect()
}

#[test]
fn random_profiles_mean_what_seccompiler_makes_of_them() {
    let machine = &x86_64_little::MACHINE;
    let evaluator = Evaluator::new(machine);
    let names: Vec<_> = names(machine);
    let mut dice = Dice(5);
    for n in 0..3_000 {
        // A call with rules of both kinds is left alone: seccompiler asks the conditions of all of them.
        let mut free = names.clone();
        let rules = (0..dice.below(7)).map(|_| {
            let many = if dice.one_in(2) { dice.below(4) } else { 0 };
            let mut args = args(&mut dice, many);
            args.sort_by_key(|arg| arg.index);
            args.dedup_by_key(|arg| arg.index);
            let own = (0..=dice.below(9)).map(|_| free.remove(dice.below(free.len())).to_owned());
            Rule {
                names: own.collect(),
                action: (SeccompAction::Allow, None),
                args,
            }
        });
        let mut rules: Vec<_> = rules.collect();
        let permissive = dice.one_in(2);
        if permissive {
            rules
                .iter_mut()
                .for_each(|rule| rule.action.0 = SeccompAction::Errno);
        }
        let default = if permissive {
            SeccompAction::Allow
        } else {
            SeccompAction::Errno
        };
        let profile = Profile {
            default: (default, None),
            architectures: vec![],
            rules,
        };
        let ours = profile.compile(machine).unwrap();
        let theirs = compile(&profile, &evaluator);
        let caller = Caller::new(&evaluator, &profile);
        for _ in 0..200 {
            let call = caller.call(&mut dice);
            if call.arch != X86_64 || call.number >= X32 {
                continue;
            }
            let (ours, theirs) = (run(&ours, &call), run(&theirs, &call));
            let newer = ours == ENOSYS && theirs == profile.default_word();
            assert!(
                ours == theirs || newer,
                "round {n}: {ours:x}, not {theirs:x}: {call:x?} under {profile:#x?}"
            );
        }
    }
}
