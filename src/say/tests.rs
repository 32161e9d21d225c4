//! Golden sentences and records.
#![forbid(unsafe_code)]

use super::{Line, LogFormat, Scene, record, sentence};
use crate::error::{At, Cause, Errno, Fault, Place, Rule, Step};
use crate::limits::Limit;
use crate::plan::Plan;

/// The sentence of a fault, with a plan that holds `foo` at 1.
fn said(step: Step, cause: Cause, at: At) -> String {
    static PLAN: crate::sys::memory::TakeOnce<Plan> =
        crate::sys::memory::TakeOnce::new(Plan::new());
    static READY: std::sync::OnceLock<&'static Plan> = std::sync::OnceLock::new();
    let plan = READY.get_or_init(|| {
        let plan = PLAN.take().unwrap();
        plan.arena.push(b"foo");
        plan
    });
    let scene = Scene {
        plan: Some(plan),
        ..Scene::default()
    };
    let mut buffer = [0; 512];
    let mut line = Line::new(&mut buffer);
    sentence(&mut line, Fault::placed(step, cause, at), &scene);
    String::from_utf8(line.into_bytes().to_vec()).unwrap()
}

#[test]
fn sentences_that_clients_match() {
    for (step, cause, at, text) in [
        (
            Step::OpenProc,
            Cause::Errno(Errno::NOENT),
            At::Place(Place::Proc),
            "cannot open a private procfs /proc: ENOENT no such file or directory",
        ),
        (
            Step::Exec,
            Cause::Errno(Errno::NOENT),
            At::Arena(1),
            "exec: \"foo\": no such file or directory",
        ),
        (
            Step::Exec,
            Cause::Errno(Errno::ACCESS),
            At::Arena(1),
            "exec: \"foo\": permission denied",
        ),
        (
            Step::FindContainer,
            Cause::Rule(Rule::NoContainer),
            At::Nothing,
            "cannot find the container: container does not exist",
        ),
        (
            Step::Signal,
            Cause::Rule(Rule::NotRunning),
            At::Number(7),
            "cannot signal the container 7: container not running",
        ),
        (
            Step::ReserveId,
            Cause::Rule(Rule::Exists),
            At::Nothing,
            "cannot reserve the name of the container: container with given ID already exists",
        ),
    ] {
        assert_eq!(said(step, cause, at), text);
    }
}

#[test]
fn sentences() {
    for (step, cause, at, text) in [
        (
            Step::MakePlan,
            Cause::Limit(Limit::MOUNTS),
            At::Nothing,
            "cannot plan the container: at most 4096 entries of mounts are supported",
        ),
        (
            Step::Clone,
            Cause::Errno(Errno::NOSPC),
            At::Nothing,
            "cannot create the container process: ENOSPC no space left on device; the limit on the number or depth \
                 of namespaces is reached, see /proc/sys/user",
        ),
        (
            Step::Talk,
            Cause::Ended(9),
            At::Nothing,
            "cannot talk to the container process: it was killed by signal 9",
        ),
        (
            Step::Talk,
            Cause::Ended(0x0300),
            At::Nothing,
            "cannot talk to the container process: it exited with status 3",
        ),
        (
            Step::Talk,
            Cause::Protocol(2, 5),
            At::Nothing,
            "cannot talk to the container process: message 2 was due, 5 came",
        ),
        (
            Step::LockContainer,
            Cause::Timeout(10),
            At::Nothing,
            "cannot lock the container: not done within 10 s",
        ),
        (
            Step::OpenRootfs,
            Cause::Errno(Errno::from_raw_os_error(4000)),
            At::Arena(1),
            "cannot open the root filesystem foo: errno 4000",
        ),
    ] {
        assert_eq!(said(step, cause, at), text);
    }
}

#[test]
fn records() {
    let mut buffer = [0; 256];
    assert_eq!(
        record(&mut buffer, LogFormat::Json, "error", b"exec: \"a\\b\"", 0),
        br#"{"level":"error","msg":"exec: \"a\\b\"","time":"1970-01-01T00:00:00Z"}
"#
    );
    assert_eq!(
        record(&mut buffer, LogFormat::Text, "warning", b"a \"b\"", 0),
        br#"time="1970-01-01T00:00:00Z" level=warning msg="a \"b\""
"#
    );
}
