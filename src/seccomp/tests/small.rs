//! Profiles with one thing in each.

use super::evaluator::Evaluator;
use super::interpreter::{check, run};
use super::{Call, Profile, X32, X86, X86_64, arg};
use crate::config::SeccompAction::{Allow, Errno, KillProcess, Log, Notify, Trace, Trap};
use crate::config::SeccompOp::{Eq, Ge, Gt, Le, Lt, MaskedEq, Ne};

const EPERM: u32 = 0x0005_0001;
const ENOSYS: u32 = 0x0005_0026;
const ALLOW: u32 = 0x7fff_0000;
const KILL: u32 = 0;

#[track_caller]
fn expect(profile: &Profile, calls: &[(u32, u32, &[u64], u32)]) {
    let machine = &super::machines::x86_64_little::MACHINE;
    let program = profile.compile(machine).unwrap();
    check(&program);
    let evaluator = Evaluator::new(machine);
    for (arch, number, args, action) in calls {
        let call = Call::new(*arch, *number, args);
        assert_eq!(run(&program, &call), *action, "{call:x?}");
        assert_eq!(
            evaluator.evaluate(profile, &call),
            *action,
            "evaluator: {call:x?}"
        );
    }
}

#[test]
fn actions() {
    for (action, word) in [
        (Trap, 0x0003_0000),
        (Log, 0x7ffc_0000),
        (Notify, 0x7fc0_0000),
        (Trace, 0x7ff0_0001),
        (Errno, 0x0005_0001),
        (KillProcess, 0x8000_0000),
    ] {
        let profile = Profile::new(Allow).rule("mkdir", action, &[]);
        expect(
            &profile,
            &[
                (X86_64, 83, &[], word),
                (X86_64, X32 | 83, &[], word),
                (X86, 39, &[], word),
                (X86_64, 84, &[], ALLOW),
                (0x4000_0028, 39, &[], KILL),
            ],
        );
    }
    let mut numbers = Profile::new(Errno).rule("mkdir", Errno, &[]);
    numbers.default.1 = Some(5);
    numbers.rules[0].action.1 = Some(0);
    let fifth = 0x0005_0005;
    expect(
        &numbers,
        &[(X86_64, 83, &[], 0x0005_0000), (X86_64, 82, &[], fifth)],
    );
}

#[test]
fn all_bits_count() {
    const HIGH: u64 = 1 << 32;
    for (op, value, two, holds, fails) in [
        (Eq, 5, 0, &[5][..], &[4, 6, HIGH | 5][..]),
        (Ne, 5, 0, &[4, HIGH | 5], &[5]),
        (
            Lt,
            HIGH | 5,
            0,
            &[0, HIGH, HIGH | 4, u64::MAX >> 32],
            &[HIGH | 5, HIGH | 6, 2 * HIGH],
        ),
        (
            Le,
            HIGH | 5,
            0,
            &[0, HIGH | 5, u64::MAX >> 32],
            &[HIGH | 6, 2 * HIGH, u64::MAX],
        ),
        (
            Gt,
            HIGH | 5,
            0,
            &[HIGH | 6, 2 * HIGH, u64::MAX],
            &[HIGH | 5, 0, 6],
        ),
        (
            Ge,
            HIGH | 5,
            0,
            &[HIGH | 5, 2 * HIGH, u64::MAX],
            &[HIGH | 4, 0, 6],
        ),
        (MaskedEq, 0xff, 5, &[5, HIGH + 0x1105], &[4, 0xf5]),
        (
            MaskedEq,
            HIGH | 1,
            HIGH,
            &[HIGH, 3 * HIGH + 2],
            &[0, HIGH | 1],
        ),
        (MaskedEq, 0, 0, &[0, u64::MAX], &[]),
        (MaskedEq, 0xf0, 0x1f0, &[0xf0, 0x1f5], &[0x100]),
    ] {
        let profile = Profile::new(Allow).rule("ioctl", Errno, &[arg(1, op, value, two)]);
        for (values, action) in [(holds, EPERM), (fails, ALLOW)] {
            for value in values {
                expect(&profile, &[(X86_64, 16, &[0, *value], action)]);
                if *value < HIGH {
                    expect(&profile, &[(X86, 54, &[0, *value], action)]);
                }
            }
        }
    }
}

#[test]
fn which_rule_decides() {
    // Different arguments: all must hold. The same one: any.
    let both = [arg(0, Eq, 1, 0), arg(1, Eq, 2, 0)];
    let either = [arg(0, Eq, 1, 0), arg(0, Eq, 2, 0), arg(1, Eq, 3, 0)];
    let profile = Profile::new(Errno)
        .rule("fcntl", Allow, &both)
        .rule("flock", Allow, &either);
    expect(
        &profile,
        &[
            (X86_64, 72, &[1, 2], ALLOW),
            (X86_64, 72, &[1, 3], EPERM),
            (X86_64, 72, &[2, 2], EPERM),
            (X86_64, 73, &[1, 0], ALLOW),
            (X86_64, 73, &[2, 0], ALLOW),
            (X86_64, 73, &[0, 3], ALLOW),
            (X86_64, 73, &[0, 0], EPERM),
        ],
    );
    // A rule without conditions wins, wherever it stands; the first of two does; the default action is no rule.
    let profile = Profile::new(Errno)
        .rule("read", Trap, &both)
        .rule("read", Allow, &[])
        .rule("read", Log, &[])
        .rule("write", Errno, &[])
        .rule("write", Allow, &both)
        .rule("close", Log, &[arg(0, Lt, 5, 0)])
        .rule("close", Allow, &[arg(0, Lt, 9, 0)]);
    expect(
        &profile,
        &[
            (X86_64, 0, &[1, 2], ALLOW),
            (X86_64, 1, &[1, 2], ALLOW),
            (X86_64, 1, &[1, 1], EPERM),
            (X86_64, 3, &[4], 0x7ffc_0000),
            (X86_64, 3, &[8], ALLOW),
            (X86_64, 3, &[9], EPERM),
        ],
    );
}

#[test]
fn newer_than_the_profile() {
    let refusing = Profile::new(Errno).rule("openat2 nonesuch", Allow, &[]);
    expect(
        &refusing,
        &[
            (X86_64, 437, &[], ALLOW),
            (X86_64, 438, &[], ENOSYS),
            (X86_64, 435, &[], EPERM),
            (X86, 438, &[], ENOSYS),
            (X86_64, X32 | 437, &[], ALLOW),
            (X86_64, X32 | 512, &[], ENOSYS),
            (X86_64, u32::MAX, &[], ENOSYS),
        ],
    );
    // No stub where the default action lets through.
    let permissive = Profile::new(Log).rule("openat2", Allow, &[]);
    expect(
        &permissive,
        &[
            (X86_64, 438, &[], 0x7ffc_0000),
            (X86_64, u32::MAX, &[], 0x7ffc_0000),
        ],
    );
    let mut nosys = Profile::new(Errno).rule("openat2", Allow, &[]);
    nosys.default.1 = Some(38);
    expect(&nosys, &[(X86_64, 438, &[], ENOSYS)]);
}

#[test]
fn architectures() {
    let mut alone = Profile::new(Allow).rule("read", Trap, &[]);
    alone.architectures = vec![];
    expect(
        &alone,
        &[
            (X86_64, 0, &[], 0x0003_0000),
            (X86, 3, &[], KILL),
            (X86_64, X32, &[], KILL),
            (X86_64, X32 | 1, &[], KILL),
            (X86_64, 0xffff_fffe, &[], KILL),
            (X86_64, u32::MAX, &[], ALLOW),
        ],
    );
    // The stub is told before the ABI.
    let mut refusing = Profile::new(Errno).rule("read", Allow, &[]);
    refusing.architectures = vec![0];
    expect(
        &refusing,
        &[(X86_64, X32, &[], ENOSYS), (X86, 3, &[], ALLOW)],
    );
}

#[test]
fn calls_inside_of_calls() {
    let family = [arg(0, Eq, 16, 0)];
    let protocol = [arg(0, Eq, 16, 0), arg(2, Eq, 9, 0)];
    let profile = Profile::new(Allow)
        .rule("socket", Trap, &family)
        .rule("bind", Log, &protocol)
        .rule("send", Errno, &[])
        .rule("shmat", Errno, &[]);
    expect(
        &profile,
        &[
            (X86, 102, &[1, 0x5000], 0x0003_0000),
            (X86, 102, &[2, 0x5000, 9], 0x7ffc_0000),
            (X86, 102, &[2, 0x5000, 8], ALLOW),
            (X86, 102, &[9], EPERM),
            (X86, 102, &[3], ALLOW),
            (X86, 117, &[21], EPERM),
            (X86, 117, &[22], ALLOW),
            (X86, 397, &[], EPERM),
            (X86, 359, &[16], 0x0003_0000),
            (X86, 359, &[15], ALLOW),
            (X86_64, 41, &[16], 0x0003_0000),
        ],
    );
    // What is said of the outer call itself counts more.
    let outer = profile.rule("socketcall", Log, &[]);
    expect(&outer, &[(X86, 102, &[1], 0x7ffc_0000)]);
}

#[test]
fn too_long() {
    let mut profile = Profile::new(Allow);
    for n in 0..1500 {
        profile = profile.rule("ioctl", Errno, &[arg(1, Gt, (n << 33) | n, 0)]);
    }
    assert_eq!(
        profile.compile(&super::machines::x86_64_little::MACHINE),
        None
    );
}
