//! Random profiles and random calls.

use super::evaluator::Evaluator;
use super::interpreter::{check, run};
use super::tables::machines;
use super::{Call, Profile, Rule, X32, arg};
use crate::config::{SeccompAction, SeccompArg, SeccompOp};

/// splitmix64.
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(super) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.word() % end as u64).unwrap()
    }

    pub(super) fn one_in(&mut self, many: usize) -> bool {
        self.below(many) == 0
    }

    pub(super) fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }

    /// A number that a condition or a call has.
    pub(super) fn value(&mut self) -> u64 {
        const HIGH: u64 = 1 << 32;
        let few = [
            0,
            1,
            2,
            5,
            9,
            16,
            40,
            0xff,
            HIGH - 1,
            HIGH,
            HIGH + 5,
            5 * HIGH,
            u64::MAX,
        ];
        match self.below(8) {
            0 => self.word(),
            1 => self.word() & 0xffff_ffff,
            2 => self.of(&few).wrapping_add(1),
            3 => self.of(&few).wrapping_sub(1),
            _ => self.of(&few),
        }
    }
}

/// Calls that are something special, and some that are not.
pub(super) const POPULAR: &str = "socket bind accept send recv sendmsg accept4 socketcall ipc semop shmat msgget \
    clone clone3 personality ioctl read write execve readv preadv2 openat2 set_tls futex mkdir prctl close getpid";

const OPS: [SeccompOp; 7] = [
    SeccompOp::Ne,
    SeccompOp::Lt,
    SeccompOp::Le,
    SeccompOp::Eq,
    SeccompOp::Ge,
    SeccompOp::Gt,
    SeccompOp::MaskedEq,
];

pub(super) fn args(dice: &mut Dice, many: usize) -> Vec<SeccompArg> {
    let one = |dice: &mut Dice| {
        let index = u8::try_from(dice.below(6).min(dice.below(6))).unwrap();
        let (op, value) = (dice.of(&OPS), dice.value());
        let two = if dice.one_in(2) {
            dice.value()
        } else {
            value & dice.value()
        };
        arg(index, op, value, two)
    };
    (0..many).map(|_| one(dice)).collect()
}

fn action(dice: &mut Dice) -> (SeccompAction, Option<u32>) {
    let number = u32::try_from(dice.below(50)).unwrap();
    match dice.below(9) {
        0 => (SeccompAction::Kill, None),
        1 => (SeccompAction::KillProcess, None),
        2 => (SeccompAction::Trap, None),
        3 | 4 => (SeccompAction::Errno, dice.one_in(2).then_some(number)),
        5 => (SeccompAction::Trace, dice.one_in(2).then_some(number)),
        6 => (SeccompAction::Log, None),
        _ => (SeccompAction::Allow, None),
    }
}

fn profile(dice: &mut Dice, names: &[&'static str]) -> Profile {
    let popular: Vec<_> = POPULAR.split_ascii_whitespace().collect();
    let large = dice.one_in(20);
    let count = if large { 40 } else { dice.below(7) };
    let rules = (0..count).map(|_| {
        let length = if large { dice.below(30) } else { dice.below(5) };
        let name = |dice: &mut Dice| match dice.below(3) {
            0 => dice.of(names).to_owned(),
            _ if dice.one_in(15) => "no_such_call".to_owned(),
            _ => dice.of(&popular).to_owned(),
        };
        let many = if dice.one_in(3) {
            dice.below(4)
        } else {
            dice.below(2)
        };
        Rule {
            names: (0..=length).map(|_| name(dice)).collect(),
            action: action(dice),
            args: args(dice, many),
        }
    });
    let rules = rules.collect();
    let all = [0, 1, 2, 3, 4, 18, 5, 8, 15];
    Profile {
        default: action(dice),
        architectures: all.into_iter().filter(|_| !dice.one_in(3)).collect(),
        rules,
    }
}

/// Makes calls that have something to do with a profile.
pub(super) struct Caller<'e> {
    audits: Vec<u32>,
    /// Per ABI the numbers of the names in the profile.
    named: Vec<Vec<u32>>,
    /// The values of its conditions, which are met more often than by chance.
    values: Vec<u64>,
    evaluator: &'e Evaluator,
}

impl<'e> Caller<'e> {
    pub(super) fn new(evaluator: &'e Evaluator, profile: &Profile) -> Self {
        let audits = evaluator.audits();
        let names = || profile.rules.iter().flat_map(|rule| &rule.names);
        let named = (0..audits.len()).map(|abi| {
            names()
                .filter_map(|name| evaluator.number(abi, name))
                .collect()
        });
        let args = profile.rules.iter().flat_map(|rule| &rule.args);
        Self {
            named: named.collect(),
            values: args
                .flat_map(|arg| [arg.value, arg.value_two, arg.value.wrapping_add(1 << 32)])
                .collect(),
            audits,
            evaluator,
        }
    }

    pub(super) fn call(&self, dice: &mut Dice) -> Call {
        let abi = dice.below(self.audits.len());
        let named = &self.named[abi];
        let number = match dice.below(12) {
            0 => u32::MAX,
            1 => u32::try_from(dice.word() >> 32).unwrap(),
            2 => 0x000f_0000 + u32::try_from(dice.below(8)).unwrap(),
            3 => X32 + u32::try_from(dice.below(560)).unwrap(),
            4 => u32::try_from(dice.below(560)).unwrap(),
            5 => self.evaluator.number(abi, "socketcall").unwrap_or(0),
            _ if named.is_empty() => 0,
            _ => dice.of(named),
        };
        let foreign = dice.one_in(30);
        let arch = if foreign {
            dice.of(&[0, 0xc000_0015, 8])
        } else {
            self.audits[abi]
        };
        let narrow = arch & 0x8000_0000 == 0;
        let mut args = [0; 6];
        for arg in &mut args {
            *arg = match dice.below(4) {
                0 | 1 if !self.values.is_empty() => dice.of(&self.values),
                2 => u64::try_from(dice.below(25)).unwrap(),
                _ => dice.value(),
            };
            if narrow {
                *arg &= 0xffff_ffff;
            }
        }
        Call { arch, number, args }
    }
}

/// A quarter of 10,000 profiles, 200 calls each.
fn quarter(seed: u64) {
    let mut dice = Dice(seed);
    let machines = machines();
    let evaluators: Vec<_> = machines
        .iter()
        .map(|(_, machine)| Evaluator::new(machine))
        .collect();
    let names: Vec<_> = machines
        .iter()
        .map(|(_, machine)| super::tables::names(machine))
        .collect();
    for n in 0..2_500 {
        // Two of three are for x86_64.
        let which = if n % 3 == 0 {
            dice.below(machines.len())
        } else {
            0
        };
        let (title, machine) = machines[which];
        let profile = profile(&mut dice, &names[which]);
        let program = profile.compile(machine).expect("short enough");
        check(&program);
        let caller = Caller::new(&evaluators[which], &profile);
        for _ in 0..200 {
            let call = caller.call(&mut dice);
            assert_eq!(
                run(&program, &call),
                evaluators[which].evaluate(&profile, &call),
                "{title}, round {n}: {call:x?} under {profile:#x?}"
            );
        }
    }
}

#[test]
fn random_profiles_mean_what_they_say_1() {
    quarter(1);
}

#[test]
fn random_profiles_mean_what_they_say_2() {
    quarter(2);
}

#[test]
fn random_profiles_mean_what_they_say_3() {
    quarter(3);
}

#[test]
fn random_profiles_mean_what_they_say_4() {
    quarter(4);
}
