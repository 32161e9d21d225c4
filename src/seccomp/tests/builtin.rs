//! The built-in profile beside one that Moby has made.

use super::interpreter::{check, run};
use super::{Call, Program, Scratch, X32, X86, X86_64, machines::x86_64_little, real};
use crate::seccomp::builtin::compile_builtin;
use std::path::Path;

const EPERM: u32 = 0x0005_0001;
const ENOSYS: u32 = 0x0005_0026;
const ALLOW: u32 = 0x7fff_0000;

fn program(bounding: u64) -> Vec<[u8; 8]> {
    let mut scratch = Box::new(Scratch::new());
    let mut program = Box::new(Program::new());
    compile_builtin(bounding, &mut scratch, &mut program).unwrap();
    let words = program.bytes().chunks_exact(8);
    let words: Vec<[u8; 8]> = words.map(|word| word.try_into().unwrap()).collect();
    check(&words);
    words
}

/// CAP_SYS_CHROOT and others that the profile does not look at.
const DEFAULT: u64 = 0xa804_25fb;

#[test]
#[cfg(target_arch = "x86_64")]
fn allows_what_moby_allows_and_what_is_newer() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/docker-config-02.json");
    let theirs = real::profile(&std::fs::read(path).unwrap()).unwrap();
    let theirs = theirs.compile(&x86_64_little::MACHINE).unwrap();
    let ours = program(DEFAULT);
    let names = super::tables::names(&x86_64_little::MACHINE);
    let (mut more, mut less) = (vec![], vec![]);
    for abi in x86_64_little::MACHINE.abis {
        for (number, name) in abi.calls() {
            let call = Call::new(abi.audit, number, &[0; 6]);
            let name = names[usize::from(name)];
            match (run(&ours, &call) == ALLOW, run(&theirs, &call) == ALLOW) {
                (true, false) => more.push(name),
                (false, true) => less.push(name),
                _ => {}
            }
        }
    }
    let text = |mut names: Vec<&str>| {
        names.sort_unstable();
        names.dedup();
        names.join(" ")
    };
    assert_eq!(
        text(less),
        "io_uring_enter io_uring_register io_uring_setup"
    );
    assert_eq!(
        text(more),
        "cachestat fchmodat2 futex_requeue futex_wait futex_wake getxattrat listmount listxattrat lsm_get_self_attr \
         lsm_list_modules lsm_set_self_attr map_shadow_stack mseal name_to_handle_at process_vm_readv \
         process_vm_writev removexattrat setxattrat statmount uretprobe"
    );
    eprintln!("{} instructions", ours.len());
}

#[test]
#[cfg(target_arch = "x86_64")]
fn conditions() {
    let high = 1 << 32;
    for (arch, number, args, action) in [
        (X86_64, 41, &[2][..], ALLOW),
        (X86_64, 41, &[1], ALLOW),
        (X86_64, 41, &[16], ALLOW),
        (X86_64, 41, &[38], EPERM),
        (X86_64, 41, &[40], EPERM),
        (X86_64, 41, &[high + 38], EPERM),
        (X86_64, 41, &[high + 40], EPERM),
        (X86_64, X32 + 41, &[high + 40], EPERM),
        (X86, 359, &[40], EPERM),
        (X86, 359, &[2], ALLOW),
        (X86_64, 56, &[0x11], ALLOW),
        (X86_64, 56, &[0x1000_0011], EPERM),
        (X86_64, 56, &[high + 0x0200_0011], EPERM),
        (X86_64, 435, &[], ENOSYS),
        (X86_64, 135, &[0xffff_ffff], ALLOW),
        (X86_64, 135, &[0x004_0000], EPERM),
        (X86_64, 425, &[], EPERM),
        (X86_64, 700, &[], ENOSYS),
    ] {
        let call = Call::new(arch, number, args);
        assert_eq!(run(&program(DEFAULT), &call), action, "{call:x?}");
    }
    // Every family.
    for family in 0..64 {
        let call = Call::new(X86_64, 41, &[family]);
        let allowed = run(&program(DEFAULT), &call) == ALLOW;
        assert_eq!(allowed, family != 38 && family != 40, "{family}");
    }
}

#[test]
#[cfg(target_arch = "x86_64")]
fn capabilities() {
    for (capability, number) in [
        (2, 304),
        (16, 175),
        (17, 172),
        (18, 161),
        (19, 312),
        (20, 163),
        (21, 165),
        (21, 435),
        (22, 169),
        (23, 237),
        (25, 164),
        (26, 153),
        (34, 103),
        (38, 298),
        (39, 321),
    ] {
        let call = Call::new(X86_64, number, &[0x1000_0000]);
        let refused = if number == 435 { ENOSYS } else { EPERM };
        assert_eq!(run(&program(0), &call), refused, "{number}");
        assert_eq!(run(&program(1 << capability), &call), ALLOW, "{number}");
    }
    let clone = Call::new(X86_64, 56, &[0x1000_0011]);
    assert_eq!(run(&program(1 << 21), &clone), ALLOW);
}
