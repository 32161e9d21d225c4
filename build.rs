//! Build-time facts: the limits table, and how to link against musl.
//!
//! A limit is overridden with an environment variable `OCILET_LIMIT_<NAME>=<number>`; an unknown name is an error.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a build script may stop the build"
)]

use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

/// Every capacity of the program: name, default, what it counts (the text of the error that names it).
const LIMITS: &[(&str, usize, &str)] = &[
    ("CONFIG_BYTES", 16 << 20, "bytes of config.json"),
    ("CONFIG_DEPTH", 32, "levels of nesting in config.json"),
    (
        "CONFIG_KEYS",
        524_288,
        "keys of all objects in config.json together",
    ),
    ("ENV", 65_536, "entries of process.env"),
    ("ARGS", 65_536, "entries of process.args"),
    (
        "ARG_BYTES",
        2 << 20,
        "bytes of process.args and process.env together",
    ),
    ("MOUNTS", 4_096, "entries of mounts"),
    (
        "MOUNT_OPTIONS",
        32_768,
        "mount options of all mounts together",
    ),
    ("DEVICES", 1_024, "entries of linux.devices"),
    ("DEVICE_RULES", 1_024, "entries of linux.resources.devices"),
    (
        "PATHS",
        4_096,
        "entries of linux.maskedPaths and linux.readonlyPaths together",
    ),
    (
        "ID_MAPPINGS",
        340,
        "entries of one uidMappings or gidMappings list",
    ),
    (
        "ID_MAPPINGS_ALL",
        4_096,
        "entries of all uidMappings and gidMappings lists together",
    ),
    ("HOOKS", 256, "entries of hooks"),
    (
        "HOOK_WORDS",
        8_192,
        "args and env entries of all hooks together",
    ),
    ("GROUPS", 65_536, "entries of process.user.additionalGids"),
    ("ANNOTATIONS", 4_096, "entries of annotations"),
    ("SYSCTLS", 1_024, "entries of linux.sysctl"),
    ("SECCOMP_NAMES", 8_192, "syscall names in linux.seccomp"),
    ("SECCOMP_RULES", 4_096, "entries of linux.seccomp.syscalls"),
    (
        "SECCOMP_ARGS",
        4_096,
        "argument conditions in linux.seccomp",
    ),
    (
        "SECCOMP_INSTRUCTIONS",
        4_096,
        "instructions of the seccomp filter (the kernel takes no more than 4,096)",
    ),
    (
        "RESOURCE_ROWS",
        2_048,
        "entries of each list or object of linux.resources (devices aside) and of linux.intelRdt.schemata",
    ),
    ("NET_DEVICES", 256, "entries of linux.netDevices"),
    ("NET_ADDRESSES", 64, "addresses of one of linux.netDevices"),
    ("CGROUP_HIERARCHIES", 16, "cgroup hierarchies"),
    (
        "CGROUP_BYTES",
        32_768,
        "bytes of cgroup paths, mount points and controller names",
    ),
    (
        "UNIT_BYTES",
        32_768,
        "bytes of the properties of a systemd unit",
    ),
    (
        "CGROUP_LIMITS",
        16_384,
        "values for cgroup files, made of linux.resources",
    ),
    (
        "OPS",
        16_384,
        "mounts, devices, links, masks and read-only paths of the plan together",
    ),
    ("ARENA_BYTES", 4 << 20, "bytes of text in the plan"),
    ("ID_BYTES", 255, "bytes of a container id"),
    (
        "PRESERVE_FDS",
        1_024,
        "descriptors kept by --preserve-fds and LISTEN_FDS together",
    ),
    // Annotations are part of it; Kubernetes alone allows 256 KiB of them, and some engines store them twice.
    ("STATE_BYTES", 1 << 20, "bytes of a state file"),
    ("CRIU_BYTES", 131_072, "bytes of a request to criu"),
];

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    limits();
    texts();
    calls();
    commit();
    link();
}

/// Names the commit that the build is of, for `--version`: `unknown` without git or outside of a clone.
fn commit() {
    let git = |arguments: &[&str]| {
        let output = std::process::Command::new("git")
            .args(arguments)
            .output()
            .ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        output.status.success().then(|| text.trim().to_owned())
    };
    let commit = git(&["rev-parse", "--verify", "--short=12", "HEAD"])
        .unwrap_or_else(|| "unknown".to_owned());
    println!("cargo:rustc-env=OCILET_COMMIT={commit}");
    // Only a new commit runs this again. A path that is not there would do so at each build.
    if let Some(log) = git(&["rev-parse", "--git-path", "logs/HEAD"])
        && Path::new(&log).exists()
    {
        println!("cargo:rerun-if-changed={log}");
    }
}

/// Writes `limits.rs`: one constant per row, the same as a literal, and `enum Limit` with the name, value and meaning of
/// each.
fn limits() {
    for (name, _) in env::vars().filter(|(name, _)| name.starts_with("OCILET_LIMIT_")) {
        let known = LIMITS
            .iter()
            .any(|(row, ..)| name["OCILET_LIMIT_".len()..] == **row);
        assert!(known, "{name}: no such limit; the table is in build.rs");
    }
    let [mut consts, mut texts, mut variants, mut rows, mut all] = [const { String::new() }; 5];
    for &(name, default, meaning) in LIMITS {
        let variable = format!("OCILET_LIMIT_{name}");
        println!("cargo:rerun-if-env-changed={variable}");
        let value = match env::var(&variable) {
            Ok(text) => text
                .parse()
                .unwrap_or_else(|_| panic!("{variable}={text}: not a number")),
            Err(_) => default,
        };
        writeln!(
            consts,
            "/// Most {meaning}.\npub const {name}: usize = {value};"
        )
        .expect("string");
        writeln!(texts, "    ({name}) => {{ \"{value}\" }};").expect("string");
        writeln!(variants, "    /// Most {meaning}.\n    {name},").expect("string");
        writeln!(rows, "    {value},").expect("string");
        writeln!(all, "    Limit::{name},").expect("string");
    }
    let text = format!(
        "{consts}\n/// The value of a capacity as a literal, for texts.\nmacro_rules! text {{\n{texts}}}\npub(crate) use text;\n\
         /// The capacities by name, so that a fault can carry one.\n#[allow(non_camel_case_types)]\n\
         #[derive(Clone, Copy, Debug, PartialEq, Eq)]\n#[repr(u8)]\npub enum Limit {{\n{variants}}}\n\
         /// The value of each `Limit`, in its order.\nstatic VALUES: [u32; {count}] = [\n{rows}];\n\
         static ALL: [Limit; {count}] = [\n{all}];\n",
        count = LIMITS.len()
    );
    let out = env::var("OUT_DIR").expect("OUT_DIR");
    fs::write(Path::new(&out).join("limits.rs"), text).expect("OUT_DIR is writable");
}

/// The tables of texts, as one string each: a line per entry, with a tab before what only the whole program says.
macro_rules! table {
    ($(#[$meta:meta])* $name:ident { $($variant:ident = $(($full:ident))? $text:literal,)* }) => {
        pub(super) const TEXTS: &str = concat!($($(stringify!($full), "\t",)? $text, "\n",)*);
    };
}
#[path = "src/error/features.rs"]
mod features;
#[path = "src/error/hints.rs"]
mod hints;
#[path = "src/error/places.rs"]
mod places;
#[path = "src/error/rules.rs"]
mod rules;
#[path = "src/error/steps.rs"]
mod steps;

#[path = "src/error/model.rs"]
mod model;
#[path = "src/error/pack.rs"]
mod pack;

/// The verbs of the smallest program; the nameless one has the options before a verb.
const BOOT: [&str; 10] = [
    "", "create", "run", "start", "exec", "state", "kill", "delete", "list", "help",
];

/// The options that it has not.
const NOT_BOOT: [&str; 2] = ["-seccomp-default", "-systemd-cgroup"];

/// Writes the texts that are only there to be read, packed, and `texts.rs`: the number of each table. What is wanted most
/// comes first: `src/error/packed.rs` takes them apart as far as it must.
fn texts() {
    let limits: String = LIMITS.iter().map(|row| format!("{}\n", row.2)).collect();
    // The parser reads all but the last word of a line, help alone that one.
    let (mut table, mut summaries) = (String::new(), String::new());
    let full = env::var_os("CARGO_FEATURE_FULL").is_some();
    let mut wanted = true;
    for line in include_str!("src/cli/flags.txt").lines() {
        if !line.starts_with(['-', '~']) {
            let verb = line.split('|').next().unwrap_or_default();
            wanted = full || BOOT.contains(&verb);
        }
        let flag = line.split('|').next().unwrap_or_default();
        if !wanted || (!full && NOT_BOOT.contains(&flag)) {
            continue;
        }
        let (words, summary) = line.rsplit_once('|').expect("a row has words");
        writeln!(table, "{words}").expect("string");
        writeln!(summaries, "{summary}").expect("string");
    }
    // A template for all, and one for each size of huge pages.
    let stats = include_str!("src/cli/stats.txt").trim().split("\n\n");
    let stats: String = stats.map(|text| text.replace('\n', "") + "\n").collect();
    let tables = [
        ("Step", steps::TEXTS),
        ("Rule", rules::TEXTS),
        ("Errno", include_str!("src/say/errno.txt")),
        ("Hint", hints::TEXTS),
        ("Place", places::TEXTS),
        ("Feature", features::TEXTS),
        ("Limit", limits.as_str()),
        // Those of help, and of verbs that only the whole program has.
        ("Flags", if full { &summaries } else { "" }),
        (
            "Features",
            if full {
                include_str!("src/cli/features.txt")
            } else {
                ""
            },
        ),
        (
            "Spec",
            if full {
                include_str!("src/cli/spec.txt")
            } else {
                ""
            },
        ),
        ("Stats", if full { &stats } else { "" }),
    ];
    let (mut text, mut all, mut longest) = (String::new(), String::new(), 0);
    for (number, (name, lines)) in tables.iter().enumerate() {
        assert!(lines.is_ascii(), "{name}: a character has 7 bits");
        writeln!(
            text,
            "/// The texts of each `{name}`.\n#[allow(non_upper_case_globals)]\n\
             pub const {name}: usize = {number};"
        )
        .expect("string");
        let start = all.len();
        for line in lines.trim_end().lines() {
            let line = match line.strip_prefix("full\t") {
                Some(line) if full => line,
                Some(_) => "-",
                None => line,
            };
            writeln!(all, "{line}").expect("string");
        }
        // An empty line ends a table.
        all.push('\n');
        longest = longest.max(all.len() - start);
    }
    let out = env::var("OUT_DIR").expect("OUT_DIR");
    let out = Path::new(&out);
    fs::write(out.join("texts.packed"), pack::pack(all.as_bytes())).expect("OUT_DIR is writable");
    writeln!(
        text,
        "const COUNT: usize = {};\nconst LONGEST: usize = {longest};\n\
         static PACKED: &[u8] = include_bytes!(concat!(env!(\"OUT_DIR\"), \"/texts.packed\"));",
        tables.len()
    )
    .expect("string");
    fs::write(out.join("flags.txt"), table).expect("OUT_DIR is writable");
    fs::write(out.join("texts.rs"), text).expect("OUT_DIR is writable");
    watch();
}

/// Runs this again when one of the texts changes.
fn watch() {
    for file in [
        "cli/features.txt",
        "cli/flags.txt",
        "cli/spec.txt",
        "cli/stats.txt",
        "error/features.rs",
        "error/hints.rs",
        "error/model.rs",
        "error/pack.rs",
        "error/places.rs",
        "error/rules.rs",
        "error/steps.rs",
        "say/errno.txt",
    ] {
        println!("cargo:rerun-if-changed=src/{file}");
    }
}

#[path = "src/run/calls.rs"]
mod calls;
#[path = "src/seccomp/generate.rs"]
mod generate;
#[path = "src/seccomp/moby.rs"]
mod moby;

/// Writes `machine.rs`: the system calls of the target;
/// `machines.rs`: those of all machines, for the tests;
/// `builtin.rs`: those of the built-in profile;
/// `supervisor.bpf`: the filter of the foreground.
fn calls() {
    let target = |name| env::var(format!("CARGO_CFG_TARGET_{name}")).expect("cargo sets it");
    let machine = generate::machine(&target("ARCH"), target("ENDIAN") == "little");
    let out = env::var("OUT_DIR").expect("OUT_DIR");
    fs::write(Path::new(&out).join("machine.rs"), machine).expect("OUT_DIR is writable");
    let mut all = String::new();
    for (arch, little) in generate::MACHINES {
        let endian = if *little { "little" } else { "big" };
        writeln!(
            all,
            "pub(super) mod {arch}_{endian} {{ use crate::seccomp::machine::{{Abi, Machine, Multiplexer}}; {} }}",
            generate::machine(arch, *little)
        )
        .expect("string");
    }
    fs::write(Path::new(&out).join("machines.rs"), all).expect("OUT_DIR is writable");
    let builtin = generate::builtin(&target("ARCH"), target("ENDIAN") == "little");
    fs::write(Path::new(&out).join("builtin.rs"), builtin).expect("OUT_DIR is writable");
    let supervisor = calls::supervisor(&target("ARCH"));
    fs::write(Path::new(&out).join("supervisor.bpf"), supervisor).expect("OUT_DIR is writable");
    println!("cargo:rerun-if-changed=src/seccomp/generate.rs");
    println!("cargo:rerun-if-changed=src/seccomp/moby.rs");
    println!("cargo:rerun-if-changed=src/run/calls.rs");
}

/// Links the bin statically against musl: its `mem*` serve `core`, and where src/sys/start.rs does not, its crt enters `main`.
///
/// With `--target *-linux-musl` rustc brings crt and libc itself. With the host's gnu triple (the default: no other
/// standard library need be installed) both come from the musl-dev package of Debian and Ubuntu.
fn link() {
    println!("cargo:rustc-check-cfg=cfg(own_start)");
    if env::var("CARGO_CFG_TARGET_ENV").as_deref() == Ok("musl") {
        return;
    }
    println!("cargo:rerun-if-env-changed=OCILET_MUSL");
    let arch = env::var("CARGO_CFG_TARGET_ARCH").expect("CARGO_CFG_TARGET_ARCH");
    // src/sys/start.rs in place of the crt, and the relocations that only it understands.
    let own_start = arch == "x86_64";
    let dir = env::var("OCILET_MUSL").unwrap_or_else(|_| format!("/usr/lib/{arch}-linux-musl"));
    for file in ["rcrt1.o", "crti.o", "libc.a", "crtn.o"] {
        if !Path::new(&dir).join(file).exists() {
            println!(
                "cargo:warning=ocilet needs musl to link: {dir}/{file} is missing; install it with \
                 `apt-get install musl-tools`, or name its directory in OCILET_MUSL"
            );
            // Checks and unit tests do not link the bin and go on; the linker would only repeat this at length.
            println!("cargo:rustc-link-arg-bins=ocilet-needs-musl-tools.o");
            return;
        }
    }
    let arg = |text: &str| println!("cargo:rustc-link-arg-bins={text}");
    for flag in [
        "-nostartfiles",
        "-nostdlib",
        "-nodefaultlibs",
        "-static-pie",
        "-Wl,--no-dynamic-linker",
    ] {
        arg(flag);
    }
    // norelro: nothing in a static program would apply it. separate-code, the default, costs no more than an alignment.
    for flag in [
        "-Wl,-z,norelro",
        "-Wl,-O2",
        "-Wl,-z,noexecstack",
        "-Wl,--gc-sections",
        "-Wl,--build-id=none",
    ] {
        arg(flag);
    }
    arg(&discard_unwind_tables());
    // Only tools that look for symbols read the section headers; `--profile inspect` is for these.
    if env::var("DEBUG").as_deref() == Ok("false") {
        arg("-Wl,-z,nosectionheader");
    }
    if own_start {
        println!("cargo:rustc-cfg=own_start");
        arg("-Wl,-z,pack-relative-relocs");
        // Of functions that are alike one stays. GNU ld cannot do it; here rustc brings lld.
        arg("-Wl,--icf=all");
        arg(&format!("{dir}/libc.a"));
        return;
    }
    for file in ["rcrt1.o", "crti.o", "libc.a", "crtn.o"] {
        arg(&format!("{dir}/{file}"));
    }
}

/// A linker script that adds to the default one: with `panic = "abort"` nobody reads the unwind tables that `core` and
/// musl bring along (a seventh of the file).
fn discard_unwind_tables() -> String {
    let script = Path::new(&env::var("OUT_DIR").expect("OUT_DIR")).join("discard.ld");
    let text = "SECTIONS { /DISCARD/ : { *(.eh_frame) *(.eh_frame_hdr) *(.comment) } } INSERT AFTER .text;\n";
    fs::write(&script, text).expect("OUT_DIR is writable");
    format!("-Wl,--no-eh-frame-hdr,-T,{}", script.display())
}
