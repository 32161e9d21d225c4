//! Programs are run by an interpreter, and profiles by an evaluator that reads them as they are written: they must agree.

mod builtin;
mod evaluator;
mod interpreter;
mod libseccomp;
mod random;
mod real;
mod seccompiler;
mod small;
mod tables;

use super::builtin::arg;
use super::{Machine, Policy, Program, Scratch, compile, word};
use crate::config::{List, SeccompAction, SeccompArg, SeccompRule};

#[allow(
    unreachable_pub,
    unused_imports,
    reason = "written for the one machine of the library"
)]
mod machines {
    include!(concat!(env!("OUT_DIR"), "/machines.rs"));
}

const X86_64: u32 = 0xc000_003e;
const X86: u32 = 0x4000_0003;
const X32: u32 = 0x4000_0000;

/// `linux.seccomp`, with what is needed of it.
#[derive(Clone, Debug)]
struct Profile {
    default: (SeccompAction, Option<u32>),
    /// Numbers of words of `Names::Arch`.
    architectures: Vec<u8>,
    rules: Vec<Rule>,
}

#[derive(Clone, Debug)]
struct Rule {
    names: Vec<String>,
    action: (SeccompAction, Option<u32>),
    args: Vec<SeccompArg>,
}

impl Profile {
    /// With the architectures of x86_64.
    fn new(default: SeccompAction) -> Self {
        Self {
            default: (default, None),
            architectures: vec![1, 0, 2],
            rules: vec![],
        }
    }

    fn rule(mut self, names: &str, action: SeccompAction, args: &[SeccompArg]) -> Self {
        self.rules.push(Rule {
            names: names.split(' ').map(str::to_owned).collect(),
            action: (action, None),
            args: args.to_vec(),
        });
        self
    }

    fn default_word(&self) -> u32 {
        word(self.default.0, self.default.1)
    }

    fn wants(&self, oci: u8) -> bool {
        self.architectures.contains(&oci)
    }

    fn compile(&self, machine: &Machine) -> Option<Vec<[u8; 8]>> {
        let mut scratch = Box::new(Scratch::new());
        let (mut rules, mut args) = (vec![], vec![]);
        for (place, rule) in self.rules.iter().enumerate() {
            let list = List {
                start: u32::try_from(args.len()).unwrap(),
                len: u32::try_from(rule.args.len()).unwrap(),
            };
            args.extend(&rule.args);
            rules.push(SeccompRule {
                action: rule.action.0,
                errno: rule.action.1,
                args: list,
                ..SeccompRule::default()
            });
            for name in &rule.names {
                scratch.calls.name(machine, place, name.bytes());
            }
        }
        let policy = Policy {
            default: self.default_word(),
            architectures: self.architectures.iter().fold(0, |set, it| set | 1 << it),
            rules: &rules,
            args: &args,
        };
        let mut program = Box::new(Program::new());
        compile(machine, policy, &mut scratch, &mut program)?;
        let words = program.bytes().chunks_exact(8);
        Some(words.map(|word| word.try_into().unwrap()).collect())
    }
}

/// `struct seccomp_data`, without the instruction pointer.
#[derive(Clone, Copy, Debug, Default)]
struct Call {
    arch: u32,
    number: u32,
    args: [u64; 6],
}

impl Call {
    fn new(arch: u32, number: u32, args: &[u64]) -> Self {
        let mut all = [0; 6];
        all[..args.len()].copy_from_slice(args);
        Self {
            arch,
            number,
            args: all,
        }
    }
}
