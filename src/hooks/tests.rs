//! Lists, and hooks made of a shell.
#![forbid(unsafe_code)]

use super::{List, Output, SAID, Surroundings, input, run};
use crate::error::{At, Cause, Errno, Fault, Step};
use crate::fs::fdset::Left;
use crate::sys::file::write_whole;
use crate::sys::proc::Strings;
use std::sync::Mutex;

/// There is one place for what a hook says.
static ONE: Mutex<()> = Mutex::new(());

/// Timeout, path, arguments, environment.
type Entry<'a> = (&'a str, &'a str, &'a [&'a str], Option<&'a [&'a str]>);

fn list(hooks: &[Entry<'_>]) -> Vec<u8> {
    let mut list = String::new();
    for (timeout, path, args, env) in hooks {
        let count = env.map_or("-".to_owned(), |env| env.len().to_string());
        list += &format!("{timeout}\0{}\0{count}\0{path}\0", args.len());
        for word in args.iter().chain(env.unwrap_or_default()) {
            list += &format!("{word}\0");
        }
    }
    list.into_bytes()
}

fn go(list: &[u8]) -> (Result<(), Fault>, String) {
    let text = input(|file| write_whole(file, b"text")).unwrap();
    let around = Surroundings {
        step: Step::PrestartHook,
        cwd: Some(c"/usr"),
        env: Strings::new(b"A=around\0", 1),
        left: Left::Anything,
    };
    let ran = run(list, &text, &around, None);
    let said = SAID.take().unwrap();
    let words = String::from_utf8_lossy(said.bytes()).into_owned();
    *said = Output::new();
    SAID.put_back(said);
    (ran, words)
}

fn shell(script: &str) -> Vec<u8> {
    list(&[("0", "/bin/sh", &["sh", "-c", script], Some(&["B=own"]))])
}

fn failed(n: u32, status: u16) -> Result<(), Fault> {
    let (step, at) = (Step::PrestartHook, At::Number(n));
    Err(Fault::placed(step, Cause::Ended(status), at))
}

#[test]
fn lists_are_walked() {
    let text = list(&[
        ("0", "/a", &["a", "", "c"], Some(&[])),
        ("7", "/b", &["b"], None),
        ("0", "/c", &["c"], Some(&["X=", "Y=1"])),
    ]);
    let all: Vec<_> = List(&text)
        .map(|hook| {
            let words = |strings: Strings<'_>| -> Vec<String> {
                let each = strings.into_iter();
                each.map(|word| word.to_str().unwrap().to_owned()).collect()
            };
            let (args, env) = (words(hook.args), hook.env.map(words));
            (hook.timeout, hook.path.to_str().unwrap(), args, env)
        })
        .collect();
    let words = |list: &[&str]| list.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>();
    assert_eq!(
        all,
        [
            (0, "/a", words(&["a", "", "c"]), Some(words(&[]))),
            (7, "/b", words(&["b"]), None),
            (0, "/c", words(&["c"]), Some(words(&["X=", "Y=1"]))),
        ]
    );
    assert_eq!(List(b"").count() + List(b"x\0").count(), 0);
}

#[test]
fn surroundings_of_a_hook() {
    let _one = ONE.lock().unwrap();
    let (ran, said) = go(&shell(
        "cat; pwd; echo $A$B; echo err >&2; ls /proc/self/fd; exit 3",
    ));
    assert_eq!(ran, failed(0, 3 << 8));
    assert_eq!(said, "text/usr\nown\nerr\n0\n1\n2\n3\n");
    assert_eq!(go(&shell("echo unheard")), (Ok(()), String::new()));
    let inherits = list(&[("0", "/bin/sh", &["sh", "-c", "echo $A; exit 1"], None)]);
    assert_eq!(go(&inherits), (failed(0, 1 << 8), "around\n".to_owned()));
}

#[test]
fn each_reads_from_the_start_and_the_first_failure_ends_it() {
    let _one = ONE.lock().unwrap();
    let each: &[&str] = &["sh", "-c", "read X; test $X = text"];
    let text = list(&[
        ("0", "/bin/sh", each, Some(&[])),
        ("0", "/bin/sh", each, Some(&[])),
        ("0", "/no/such/file", &["x"], Some(&[])),
        ("0", "/bin/sh", &["sh", "-c", "exit 9"], Some(&[])),
    ]);
    let errno = Cause::Errno(Errno::NOENT);
    let fault = Fault::placed(Step::PrestartHook, errno, At::Number(2));
    assert_eq!(go(&text), (Err(fault), String::new()));
}

#[test]
fn a_signal_and_much_output() {
    let _one = ONE.lock().unwrap();
    let (ran, said) = go(&shell("seq 100000; kill -15 $$"));
    assert_eq!(ran, failed(0, 15));
    assert!(
        said.ends_with("99999\n100000\n") && said.len() >= 512,
        "{said}"
    );
}

#[test]
fn a_timeout_kills_the_group() {
    let _one = ONE.lock().unwrap();
    let script = "sleep 100 & echo $!; wait";
    let text = list(&[(
        "1",
        "/bin/sh",
        &["sh", "-c", script],
        Some(&["PATH=/bin:/usr/bin"]),
    )]);
    let (ran, said) = go(&text);
    let cause = Cause::Timeout(1);
    let fault = Fault::placed(Step::PrestartHook, cause, At::Number(0));
    assert_eq!(ran, Err(fault));
    let child = format!("/proc/{}/stat", said.trim());
    let gone = || std::fs::read_to_string(&child).map_or(true, |stat| stat.contains(") Z"));
    for _ in 0..500 {
        if gone() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("{child} lives");
}

#[test]
fn a_child_of_a_hook_is_not_waited_for() {
    let _one = ONE.lock().unwrap();
    let began = std::time::Instant::now();
    assert_eq!(go(&shell("sleep 3 &")), (Ok(()), String::new()));
    assert!(began.elapsed().as_secs() < 2);
}
