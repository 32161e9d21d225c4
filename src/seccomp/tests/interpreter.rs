//! What the kernel does with a program, with the checks of `seccomp_check_filter` and `bpf_check_classic`.

use super::Call;

/// Runs a program; gives the action.
pub(super) fn run(program: &[[u8; 8]], call: &Call) -> u32 {
    let mut data = [0; 64];
    data[..4].copy_from_slice(&call.number.to_ne_bytes());
    data[4..8].copy_from_slice(&call.arch.to_ne_bytes());
    for (n, arg) in call.args.iter().enumerate() {
        data[16 + 8 * n..24 + 8 * n].copy_from_slice(&arg.to_ne_bytes());
    }
    let (mut at, mut loaded) = (0, 0);
    loop {
        let (code, [holds, fails], value) = parts(program[at]);
        at += 1;
        let mut either = |holds_now| at += usize::from(if holds_now { holds } else { fails });
        match code {
            0x20 => {
                let offset = value as usize;
                loaded = u32::from_ne_bytes(data[offset..offset + 4].try_into().unwrap());
            }
            0x54 => loaded &= value,
            0x05 => at += value as usize,
            0x15 => either(loaded == value),
            0x25 => either(loaded > value),
            0x35 => either(loaded >= value),
            0x45 => either(loaded & value != 0),
            0x06 => return value,
            _ => panic!("code {code:#x}"),
        }
    }
}

/// Whether the kernel takes it.
pub(super) fn check(program: &[[u8; 8]]) {
    assert!(
        !program.is_empty() && program.len() <= 4096,
        "{}",
        program.len()
    );
    for (at, word) in program.iter().enumerate() {
        let (code, ways, value) = parts(*word);
        let behind = program.len() - at - 1;
        match code {
            0x20 => assert!(value < 64 && value.is_multiple_of(4), "load of {value}"),
            0x54 | 0x06 => {}
            0x05 => assert!((value as usize) < behind, "jump"),
            0x15 | 0x25 | 0x35 | 0x45 => {
                assert!(ways.iter().all(|way| usize::from(*way) < behind), "branch");
            }
            _ => panic!("code {code:#x}"),
        }
    }
    assert_eq!(
        parts(*program.last().unwrap()).0,
        0x06,
        "the last one returns"
    );
}

fn parts([c0, c1, holds, fails, value @ ..]: [u8; 8]) -> (u16, [u8; 2], u32) {
    let code = u16::from_ne_bytes([c0, c1]);
    (code, [holds, fails], u32::from_ne_bytes(value))
}
