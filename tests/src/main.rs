//! Black-box tests of ocilet: one static binary that is the runner, the test cases, and the probe inside containers.
//!
//! ```text
//! ocilet-tests run     one supervised process per case, TAP on stdout
//!   └─ case NAME       subreaper in a private mount namespace with a tmpfs of its own; checks what is left behind
//!        ├─ ocilet …   the binary under test, every call with a deadline
//!        └─ /bin/probe this same file inside the bundle: says what a container sees, as JSON lines
//! ```
//!
//! Nothing outside this file is needed, so the same cases run natively and in guests that hold nothing else.

mod bundle;
mod caller;
mod canary;
mod case;
mod cases;
mod checks;
mod coverage;
mod facts;
mod harness;
mod kernel;
mod probe;
mod pty;
mod runner;
mod runtime;
mod shim;
mod witness;

use std::process::ExitCode;

const USAGE: &str = "\
ocilet-tests run [--filter WORD]... [--skip WORD]... [--ocilet PATH] [--cgroup v2] [--shim PROFILE] [--as CALLER] [--jobs N]
                  [--tap] [--coverage]
    runs the cases whose name holds one of the words; last line: N passed, N failed, N skipped
    --cgroup v2      hides the cgroup mounts of the machine behind a fresh cgroup2 (private mount namespaces)
    --shim PROFILE   ocilet meets a kernel of that age: 5.10, 5.4, 4.19 (later syscalls answer ENOSYS)
    --as CALLER      who calls the runtime: user (an ordinary one, with ranges of ids), userns (root of a user namespace);
                     what cannot be shown so is in tests/coverage/callers
    --coverage       a property of config.json or a flag that no case has used is a failure
    OCILET_MUST_WORK=1 turns a skip into a failure unless the environment itself cannot have the feature
    OCILET_TESTS_PATIENCE=N multiplies every time-out
    OCILET_TESTS_DOCUMENTS=DIR keeps what the runtime prints as JSON, for tests/schemas
    OCILET_GUEST=1   says that no host tools are to be expected
ocilet-tests list                        names of the cases
ocilet-tests case NAME --ocilet PATH     one case with its output
ocilet-tests shim (--profile P | --enosys NAME,NAME...) -- COMMAND...
ocilet-tests binary PATH INSPECT SIZE    static rules of the built binary; SIZE is the file with the committed number
ocilet-tests rooms SRC                   import rules of the source tree
ocilet-tests probe VERB...               the probe (also when called as `probe`)
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().collect();
    let name = args
        .first()
        .map_or("", |path| path.rsplit('/').next().unwrap_or(path));
    if name.starts_with("probe") {
        return probe::main(&args[1..]);
    }
    let rest = args.get(2..).unwrap_or_default();
    match args.get(1).map(String::as_str) {
        Some("run") => runner::run(rest),
        Some("list") => runner::list(rest),
        Some("case") => harness::main(rest),
        Some("shim") => shim::main(rest),
        Some("binary") => checks::binary::main(rest),
        Some("rooms") => checks::rooms::main(rest),
        Some("probe") => probe::main(rest),
        // A container whose entry point is not called `probe` still reaches it (`/proc/self/exe` cases).
        _ if std::env::var_os("OCILET_PROBE").is_some() => probe::main(&args[1..]),
        _ => {
            eprint!("{USAGE}");
            ExitCode::from(2)
        }
    }
}
