//! Random lists against a plain evaluator: the BPF program through a small interpreter, the v1 list through the rules
//! of the kernel's device controller.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "random numbers and registers are cut on purpose"
)]

use super::{BLOCK, CHAR, DEFAULTS, Fold, Program, Range, Rule, op};
use crate::limits::DEVICE_RULES;

struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % n
    }

    fn number(&mut self) -> Option<u32> {
        match self.below(8) {
            0..=2 => None,
            7 => Some([u32::MAX, 1 << 31, i32::MAX as u32, 4095][self.below(4) as usize]),
            _ => Some(self.below(3) as u32),
        }
    }

    fn rule(&mut self) -> Rule {
        if self.below(12) == 0 {
            return total(self.below(2) == 0);
        }
        Rule {
            allow: self.below(2) == 0,
            kinds: 1 + self.below(3) as u8,
            major: self.number(),
            minor: self.number(),
            access: 1 + self.below(7) as u8,
        }
    }
}

fn total(allow: bool) -> Rule {
    Rule {
        allow,
        kinds: 3,
        major: None,
        minor: None,
        access: 7,
    }
}

#[derive(Clone, Copy, Debug)]
struct Request {
    kind: u8,
    major: u32,
    minor: u32,
    access: u8,
}

/// The meaning: for every wanted bit the last rule that speaks about it decides.
fn allowed(rules: &[Rule], request: Request) -> bool {
    [1, 2, 4]
        .into_iter()
        .filter(|bit| request.access & bit != 0)
        .all(|bit| {
            rules
                .iter()
                .rev()
                .find(|rule| {
                    rule.kinds & request.kind != 0
                        && rule.major.is_none_or(|it| it == request.major)
                        && rule.minor.is_none_or(|it| it == request.minor)
                        && rule.access & bit != 0
                })
                .is_some_and(|rule| rule.allow)
        })
}

fn interpret(words: &[u64], request: Request) -> bool {
    let context = [
        u32::from(request.access) << 16 | u32::from(request.kind),
        request.major,
        request.minor,
    ];
    let mut registers = [0_u64; 11];
    let mut at = 0_usize;
    loop {
        let [code, regs, o0, o1, v0, v1, v2, v3] = words[at].to_ne_bytes();
        let (to, from) = (usize::from(regs & 15), usize::from(regs >> 4));
        let offset = i16::from_ne_bytes([o0, o1]);
        let value = i64::from(i32::from_ne_bytes([v0, v1, v2, v3])) as u64;
        at += 1;
        let mut jump = |yes: bool| {
            if yes {
                assert!(offset >= 0);
                at += offset as usize;
            }
        };
        match code {
            op::LOAD_U32 => registers[to] = u64::from(context[offset as usize / 4]),
            op::COPY => registers[to] = registers[from],
            op::SET => registers[to] = value,
            op::AND => registers[to] &= value,
            op::SHIFT_RIGHT => registers[to] >>= value,
            op::IF_EQUAL => jump(registers[to] == value),
            op::IF_NOT_EQUAL => jump(registers[to] != value),
            op::IF_BITS => jump(registers[to] & value != 0),
            op::EXIT => return registers[0] == 1,
            other => panic!("opcode {other:#x}"),
        }
    }
}

/// security/device_cgroup.c: match_exception and match_exception_partial.
fn v1_allows(fold: &Fold, request: Request) -> bool {
    let same = |range: &&Range| {
        range.kind == request.kind
            && range.major.is_none_or(|it| it == request.major)
            && range.minor.is_none_or(|it| it == request.minor)
    };
    let mut ranges = fold.ranges().iter().filter(same);
    if fold.allow {
        !ranges.any(|range| range.access & request.access != 0)
    } else {
        ranges.any(|range| request.access & !range.access == 0)
    }
}

fn requests(random: &mut Random) -> [Request; 8] {
    core::array::from_fn(|_| Request {
        kind: if random.below(2) == 0 { BLOCK } else { CHAR },
        major: random.below(4) as u32,
        minor: random.below(4) as u32,
        access: 1 + random.below(7) as u8,
    })
}

#[test]
fn programs_mean_what_the_rules_say() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut program = Box::new(Program::new());
    for round in 0..120_000 {
        let count = random.below(10) as usize;
        let mut rules: Vec<Rule> = (0..count).map(|_| random.rule()).collect();
        if round % 2 == 0 {
            rules.extend(DEFAULTS);
        }
        program.compile(&rules).unwrap();
        for request in requests(&mut random) {
            let got = program.words().is_empty() || interpret(program.words(), request);
            assert_eq!(got, allowed(&rules, request), "{rules:?} {request:?}");
        }
    }
}

#[test]
fn folds_mean_what_the_rules_say_or_are_refused() {
    let mut random = Random(0x1234_5678_9abc_def1);
    let mut fold = Box::new(Fold::new());
    let (mut folded, mut refused) = (0, 0);
    for _ in 0..120_000 {
        let count = random.below(6) as usize;
        let mut rules: Vec<Rule> = (0..count).map(|_| random.rule()).collect();
        rules.extend(DEFAULTS);
        if let Err(n) = fold.make(&rules) {
            assert!(n < count, "only rules of the user are named");
            refused += 1;
            continue;
        }
        folded += 1;
        for request in requests(&mut random) {
            // One bit at a time the two agree; several bits at once v1 may refuse, never grant wrongly.
            for bit in [1, 2, 4] {
                let request = Request {
                    access: bit,
                    ..request
                };
                let want = allowed(&rules, request);
                assert_eq!(v1_allows(&fold, request), want, "{rules:?} {request:?}");
            }
            if v1_allows(&fold, request) {
                assert!(allowed(&rules, request), "{rules:?} {request:?}");
            }
        }
    }
    assert!(folded > 10_000 && refused > 10_000, "{folded} {refused}");
}

#[test]
fn everything_allowed_needs_no_program() {
    let mut program = Box::new(Program::new());
    program.compile(&[total(false), total(true)]).unwrap();
    assert!(program.words().is_empty());
    program.compile(&[]).unwrap();
    assert!(!program.words().is_empty(), "no rule: nothing is allowed");
}

#[test]
fn the_longest_list_fits() {
    let worst = Rule {
        allow: true,
        kinds: CHAR,
        major: Some(1),
        minor: Some(2),
        access: 7,
    };
    let rule = |n| Rule {
        minor: Some(n as u32),
        ..worst
    };
    let mut many: Vec<Rule> = (0..DEVICE_RULES).map(rule).collect();
    many.extend(DEFAULTS);
    let mut program = Box::new(Program::new());
    program.compile(&many).unwrap();
    let request = Request {
        kind: CHAR,
        major: 1,
        minor: 0,
        access: 7,
    };
    assert!(interpret(program.words(), request));
    let mut fold = Box::new(Fold::new());
    fold.make(&many).unwrap();
}
