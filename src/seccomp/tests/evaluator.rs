//! What a profile means, read as it is written.

use super::tables::names;
use super::{Call, Machine, Profile, Rule, word};
use crate::config::{SeccompAction, SeccompArg, SeccompOp};
use crate::seccomp::machine::Abi;
use std::collections::BTreeMap;

const ENOSYS: u32 = 0x0005_0026;

/// The numbers of one ABI, by name and the other way round.
struct Numbers {
    abi: &'static Abi,
    by_number: BTreeMap<u32, &'static str>,
    by_name: BTreeMap<&'static str, u32>,
}

/// What is known of a machine.
pub(super) struct Evaluator {
    names: Vec<&'static str>,
    abis: Vec<Numbers>,
}

impl Evaluator {
    pub(super) fn new(machine: &'static Machine) -> Self {
        let names = names(machine);
        let abis = machine.abis.iter().map(|abi| {
            let pairs = abi
                .calls()
                .map(|(number, call)| (number, names[usize::from(call)]));
            let by_number: BTreeMap<_, _> = pairs.collect();
            let by_name = by_number
                .iter()
                .map(|(number, name)| (*name, *number))
                .collect();
            Numbers {
                abi,
                by_number,
                by_name,
            }
        });
        Self {
            abis: abis.collect(),
            names,
        }
    }

    pub(super) fn audits(&self) -> Vec<u32> {
        self.abis.iter().map(|it| it.abi.audit).collect()
    }

    /// The number of a name in one of the ABIs.
    pub(super) fn number(&self, abi: usize, name: &str) -> Option<u32> {
        self.abis[abi].by_name.get(name).copied()
    }

    pub(super) fn evaluate(&self, profile: &Profile, call: &Call) -> u32 {
        const KILL_THREAD: u32 = 0;
        let default = profile.default_word();
        let native = self.abis[0].abi.oci;
        let wanted = |it: &&Numbers| it.abi.oci == native || profile.wants(it.abi.oci);
        let here = |it: &&Numbers| it.abi.audit == call.arch;
        let mut numbers = match self.abis.iter().filter(here).find(wanted) {
            Some(numbers) => numbers,
            None => return KILL_THREAD,
        };
        for other in self.abis.iter().filter(here) {
            let there = call.number >= other.abi.base && other.abi.base > 0;
            if there && wanted(&other) {
                numbers = other;
            } else if there && self.newest(profile, numbers).is_none() && call.number != u32::MAX {
                return KILL_THREAD;
            }
        }
        if self
            .newest(profile, numbers)
            .is_some_and(|newest| call.number > newest)
        {
            return ENOSYS;
        }
        let Some(name) = numbers.by_number.get(&call.number) else {
            return default;
        };
        self.rules(profile, numbers.abi, name, call)
    }

    /// The highest number that the profile names, if those above are refused.
    fn newest(&self, profile: &Profile, numbers: &Numbers) -> Option<u32> {
        let permits = matches!(
            profile.default.0,
            SeccompAction::Allow | SeccompAction::Log | SeccompAction::Trace
        );
        if permits || profile.default_word() == ENOSYS {
            return None;
        }
        let names = profile.rules.iter().flat_map(|rule| &rule.names);
        names
            .filter_map(|name| numbers.by_name.get(name.as_str()).copied())
            .max()
    }

    fn rules(&self, profile: &Profile, abi: &Abi, name: &str, call: &Call) -> u32 {
        let own: Vec<_> = rules(profile, name).collect();
        if let Some(rule) = own.iter().find(|rule| rule.args.is_empty()) {
            return word(rule.action.0, rule.action.1);
        }
        let carries = abi
            .multiplexers
            .iter()
            .find(|it| self.names[usize::from(it.call)] == name);
        for (number, inner) in carries.map_or(&[][..], |it| it.inner) {
            let inner: Vec<_> = rules(profile, self.names[usize::from(*inner)]).collect();
            if call.args[0] == u64::from(*number) && !inner.is_empty() {
                return decide(profile, &inner, call, true);
            }
        }
        decide(profile, &own, call, false)
    }
}

/// The rules of a name that say something.
fn rules<'p>(profile: &'p Profile, name: &str) -> impl Iterator<Item = &'p Rule> {
    profile.rules.iter().filter(move |rule| {
        let says = word(rule.action.0, rule.action.1) != profile.default_word();
        says && rule.names.iter().any(|it| it == name)
    })
}

/// The first rule without conditions, or else the first one that holds.
fn decide(profile: &Profile, rules: &[&Rule], call: &Call, inner: bool) -> u32 {
    let always = rules.iter().find(|rule| {
        let gone = |arg: &SeccompArg| inner && arg.index == 0;
        if again(&rule.args) {
            rule.args.iter().any(gone)
        } else {
            rule.args.iter().all(gone)
        }
    });
    let first = always.or_else(|| rules.iter().find(|rule| holds(rule, call, inner)));
    first.map_or(profile.default_word(), |rule| {
        word(rule.action.0, rule.action.1)
    })
}

/// Two conditions are about the same argument.
fn again(args: &[SeccompArg]) -> bool {
    (0..6).any(|index| args.iter().filter(|arg| arg.index == index).count() > 1)
}

fn holds(rule: &Rule, call: &Call, inner: bool) -> bool {
    let mut each = rule
        .args
        .iter()
        .map(|arg| (inner && arg.index == 0) || compare(arg, call));
    if again(&rule.args) {
        each.any(|it| it)
    } else {
        each.all(|it| it)
    }
}

fn compare(it: &SeccompArg, call: &Call) -> bool {
    let arg = call.args[usize::from(it.index)];
    match it.op {
        SeccompOp::Ne => arg != it.value,
        SeccompOp::Lt => arg < it.value,
        SeccompOp::Le => arg <= it.value,
        SeccompOp::Eq => arg == it.value,
        SeccompOp::Ge => arg >= it.value,
        SeccompOp::Gt => arg > it.value,
        SeccompOp::MaskedEq => arg & it.value == it.value_two & it.value,
    }
}
