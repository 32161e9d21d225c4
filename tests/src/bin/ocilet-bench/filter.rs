//! What a seccomp filter costs inside: Moby's profile, as each runtime compiles it.

use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::{fs, mem, ptr, thread, time};

use super::{Place, Runtime, measure};

/// A loop of getpid(2), which the kernel knows the answer for once it has seen the filter; and of personality(2), whose
/// argument the filter looks at. Prints nanoseconds per call. With a word it waits instead.
const PROGRAM: &str = r#"
#include <stdio.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
static double loop(long number, long argument) {
    enum { MANY = 300000 };
    struct timespec from, to;
    clock_gettime(CLOCK_MONOTONIC, &from);
    for (int n = 0; n < MANY; n++) syscall(number, argument);
    clock_gettime(CLOCK_MONOTONIC, &to);
    return ((to.tv_sec - from.tv_sec) * 1e9 + (to.tv_nsec - from.tv_nsec)) / MANY;
}
int main(int argc, char **argv) {
    if (argc > 1) pause();
    loop(SYS_getpid, 0);
    printf("%f %f\n", loop(SYS_getpid, 0), loop(SYS_personality, 0xffffffff));
    return 0;
}
"#;

/// Figures of one runtime's filter.
#[derive(Clone, Copy, Default)]
pub struct Filter {
    /// Instructions, where the kernel gives them (CONFIG_CHECKPOINT_RESTORE).
    pub instructions: Option<u64>,
    /// Nanoseconds of a call that the kernel has an answer for, and of one that it asks the filter about.
    pub calls: Option<[f64; 2]>,
}

/// Compiles the program; it needs musl-gcc.
pub fn program(dir: &Path, target: &Path) {
    let source = dir.join("calls.c");
    fs::write(&source, PROGRAM).expect("a temporary file");
    let _ = Command::new("musl-gcc")
        .args(["-static", "-O2", "-s", "-o"])
        .args([target, source.as_path()])
        .status();
}

/// Runs the loops, or nothing comes out of it.
pub fn look(runtime: &Runtime, place: &Place, bundle: &str) -> Filter {
    Filter {
        instructions: instructions(runtime, place, bundle),
        calls: loops(runtime, place, bundle),
    }
}

fn loops(runtime: &Runtime, place: &Place, bundle: &str) -> Option<[f64; 2]> {
    place.words(bundle, &["/bin/calls"]);
    let mut child = runtime.call_in(place, bundle, &["run", "loops"]);
    let mut child = child.stdout(Stdio::piped()).spawn().ok()?;
    let mut text = String::new();
    child.stdout.take()?.read_to_string(&mut text).ok()?;
    let good = child.wait().ok()?.success();
    let mut numbers = text.split_whitespace().map(str::parse);
    let calls = [numbers.next()?.ok()?, numbers.next()?.ok()?];
    good.then_some(calls)
}

/// Asks the kernel for the filter of a container that waits.
fn instructions(runtime: &Runtime, place: &Place, bundle: &str) -> Option<u64> {
    place.words(bundle, &["/bin/calls", "wait"]);
    let pid_file = place.dir.join("pid");
    let create = ["create", "--pid-file", &pid_file.to_string_lossy(), "wait"];
    measure::run(runtime.call_in(place, bundle, &create));
    measure::run(runtime.call_in(place, bundle, &["start", "wait"]));
    let pid = fs::read_to_string(&pid_file).ok()?.trim().parse().ok()?;
    // runc answers before its init has executed the program.
    thread::sleep(time::Duration::from_millis(100));
    let count = filter_length(pid);
    measure::run(runtime.call_in(place, bundle, &["delete", "--force", "wait"]));
    measure::reap_all();
    count
}

fn filter_length(pid: i32) -> Option<u64> {
    const PTRACE_SECCOMP_GET_FILTER: libc::c_uint = 0x420c;
    // SAFETY: the place is valid for what waitpid writes; no other memory is passed.
    unsafe {
        if libc::ptrace(libc::PTRACE_ATTACH, pid, 0, 0) != 0 {
            return None;
        }
        let mut status = mem::zeroed();
        libc::waitpid(pid, &raw mut status, libc::__WALL);
        let count = libc::ptrace(
            PTRACE_SECCOMP_GET_FILTER as _,
            pid,
            0,
            ptr::null_mut::<u8>(),
        );
        libc::ptrace(libc::PTRACE_DETACH, pid, 0, 0);
        u64::try_from(count).ok().filter(|count| *count > 0)
    }
}
