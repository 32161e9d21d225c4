//! The built-in profile, for containers whose document has none: Moby's default one, for the capabilities of the
//! container. Its names are in `moby.rs`.
//!
//! It is compiled when it is asked for, and not by seccompiler when ocilet is built: it has two numbers for ERRNO beside
//! ALLOW, speaks of several architectures, and depends on capabilities. As names it takes a bit for each.
#![forbid(unsafe_code)]

use super::action::{ENOSYS, word};
use super::compile::{Scratch, compile};
use super::machine::MACHINE;
use super::policy::Policy;
use super::program::Program;
use crate::config::{List, SeccompAction, SeccompArg, SeccompOp, SeccompRule};

include!(concat!(env!("OUT_DIR"), "/builtin.rs"));

const ALLOWED: usize = 0;
const PERSONALITIES: usize = 1;
const FAMILIES: usize = 2;
const NO_NAMESPACES: usize = 3;
const LACKING: usize = 4;

static RULES: [SeccompRule; 5] = [
    rule(SeccompAction::Allow, None, 0, 0),
    rule(SeccompAction::Allow, None, 0, 5),
    rule(SeccompAction::Allow, None, 5, 7),
    rule(SeccompAction::Allow, None, 12, 1),
    // C libraries fall back on clone, whose flags can be seen.
    rule(SeccompAction::Errno, Some(ENOSYS & 0xffff), 0, 0),
];

static ARGS: [SeccompArg; 13] = [
    // PER_LINUX, PER_LINUX32, each with UNAME26 too, and the question.
    arg(0, SeccompOp::Eq, 0, 0),
    arg(0, SeccompOp::Eq, 8, 0),
    arg(0, SeccompOp::Eq, 0x2_0000, 0),
    arg(0, SeccompOp::Eq, 0x2_0008, 0),
    arg(0, SeccompOp::Eq, 0xffff_ffff, 0),
    // Families of sockets other than AF_ALG (0b100110) and AF_VSOCK (0b101000). The kernel takes an int: bits above it
    // must not make another number of them, as they do for SCMP_CMP_NE. 32-bit programs go through socketcall(2), which
    // glibc still does there and which nobody can look into.
    arg(0, SeccompOp::MaskedEq, 0b10_0000, 0),
    arg(0, SeccompOp::MaskedEq, 0b01_0000, 0b01_0000),
    arg(0, SeccompOp::MaskedEq, 0b00_0001, 0b00_0001),
    arg(0, SeccompOp::MaskedEq, 0b00_1100, 0),
    arg(0, SeccompOp::MaskedEq, 0b00_1010, 0),
    arg(0, SeccompOp::MaskedEq, 0b00_1100, 0b00_1100),
    arg(0, SeccompOp::MaskedEq, 0b00_1010, 0b00_1010),
    // All CLONE_NEW* but CLONE_NEWTIME, which is none of clone.
    arg(FLAGS, SeccompOp::MaskedEq, 0x7e02_0000, 0),
];

/// Which argument of clone(2) its flags are.
const FLAGS: u8 = if cfg!(target_arch = "s390x") { 1 } else { 0 };

/// Compiles it for a bounding set.
pub fn compile_builtin(bounding: u64, scratch: &mut Scratch, program: &mut Program) -> Option<()> {
    const ADMIN: u64 = 1 << 21;
    let calls = &mut scratch.calls;
    for (n, bits) in (0_u16..).zip(ALWAYS) {
        for bit in (0..8).filter(|bit| *bits & (1 << bit) != 0) {
            calls.call(ALLOWED, n * 8 + bit)?;
        }
    }
    for (capability, call) in BY_CAPABILITY {
        if bounding & (1 << *capability) != 0 {
            calls.call(ALLOWED, *call)?;
        }
    }
    for (rule, call) in [
        (PERSONALITIES, PERSONALITY),
        (FAMILIES, SOCKET),
        (NO_NAMESPACES, CLONE),
        (LACKING, CLONE3),
    ] {
        // With the capability they are allowed above.
        if rule < NO_NAMESPACES || bounding & ADMIN == 0 {
            calls.call(rule, call)?;
        }
    }
    let policy = Policy {
        default: word(SeccompAction::Errno, None),
        architectures: u64::MAX,
        rules: &RULES,
        args: &ARGS,
    };
    compile(&MACHINE, policy, scratch, program)
}

const fn rule(action: SeccompAction, errno: Option<u32>, start: u32, len: u32) -> SeccompRule {
    SeccompRule {
        at: 0,
        names: List { start: 0, len: 0 },
        action,
        errno,
        args: List { start, len },
    }
}

pub(super) const fn arg(index: u8, op: SeccompOp, value: u64, value_two: u64) -> SeccompArg {
    SeccompArg {
        at: 0,
        index,
        value,
        value_two,
        op,
    }
}
