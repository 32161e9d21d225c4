//! Names and numbers.

use super::Machine;

/// All machines that there are tables of, by name.
pub(super) fn machines() -> Vec<(&'static str, &'static Machine)> {
    vec![
        ("x86_64", &super::machines::x86_64_little::MACHINE),
        ("x86", &super::machines::x86_little::MACHINE),
        ("aarch64", &super::machines::aarch64_little::MACHINE),
        ("arm", &super::machines::arm_little::MACHINE),
        ("riscv64", &super::machines::riscv64_little::MACHINE),
        ("loongarch64", &super::machines::loongarch64_little::MACHINE),
        ("mips", &super::machines::mips_big::MACHINE),
        ("mipsel", &super::machines::mips_little::MACHINE),
        ("mips64", &super::machines::mips64_big::MACHINE),
        ("mips64el", &super::machines::mips64_little::MACHINE),
        ("powerpc", &super::machines::powerpc_big::MACHINE),
        ("powerpc64", &super::machines::powerpc64_big::MACHINE),
        ("powerpc64le", &super::machines::powerpc64_little::MACHINE),
        ("s390x", &super::machines::s390x_big::MACHINE),
    ]
}

/// The names of a machine, each at its place.
pub(super) fn names(machine: &Machine) -> Vec<&'static str> {
    let mut names = vec![];
    let ends = machine.letters.iter().skip(1).map(|it| usize::from(it.1));
    for ((letter, start, _), end) in machine
        .letters
        .iter()
        .zip(ends.chain([machine.packed.len()]))
    {
        let mut packed = machine.packed[usize::from(*start)..end].iter();
        let mut name = vec![*letter];
        while let Some(shared) = packed.next() {
            name.truncate(1 + usize::from(*shared));
            for byte in packed.by_ref() {
                name.push(byte & 0x7f);
                if *byte >= 0x80 {
                    break;
                }
            }
            let text = String::from_utf8(name.clone()).unwrap();
            names.push(&*text.leak());
        }
    }
    names
}

#[test]
fn every_name_is_found_and_no_other() {
    for (title, machine) in machines() {
        let names = names(machine);
        assert_eq!(names.len(), machine.names, "{title}");
        assert!(names.is_sorted(), "{title}");
        for (place, name) in names.iter().enumerate() {
            let find = |name: &str| machine.find(&mut name.bytes()).map(usize::from);
            assert_eq!(find(name), Some(place), "{title}: {name}");
            // Cut, longer, and with each letter another one.
            for length in 0..name.len() {
                let changed = |to: char| format!("{}{to}{}", &name[..length], &name[length + 1..]);
                let mut others = vec![
                    name[..length].to_owned(),
                    format!("{name}{}", &name[length..]),
                ];
                others.extend(['a', 'q', 'z', '_', '9', 'Q'].map(changed));
                for other in others.iter().filter(|it| !names.contains(&it.as_str())) {
                    assert_eq!(find(other), None, "{title}: {other}");
                }
            }
        }
    }
}

#[test]
fn numbers_are_those_of_the_kernel() {
    let machine = &super::machines::x86_64_little::MACHINE;
    let number = |abi: usize, name: &str| {
        let place = machine.find(&mut name.bytes())?;
        let mut calls = machine.abis[abi].calls();
        calls
            .find(|(_, call)| *call == place)
            .map(|(number, _)| number)
    };
    for (name, wide, x32, narrow) in [
        ("read", Some(0), Some(0x4000_0000), Some(3)),
        ("execve", Some(59), Some(0x4000_0208), Some(11)),
        ("socket", Some(41), Some(0x4000_0029), Some(359)),
        ("socketcall", None, None, Some(102)),
        ("clone3", Some(435), Some(0x4000_01b3), Some(435)),
        ("pwritev2", Some(328), Some(0x4000_0223), Some(379)),
        ("uselib", Some(134), None, Some(86)),
        ("break", None, None, Some(17)),
        ("set_tls", None, None, None),
        ("send", None, None, None),
    ] {
        let got = (number(0, name), number(1, name), number(2, name));
        assert_eq!(got, (wide, x32, narrow), "{name}");
    }
    let arm = super::machines::aarch64_little::MACHINE.abis[1];
    let last = arm.calls().last().map(|(number, _)| number);
    assert_eq!(last, Some(0x000f_0006));
}
