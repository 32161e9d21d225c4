//! What a document costs: stack, time, memory.

use super::{documents, pools, read};
use crate::config::Pools;
use std::sync::Mutex;
use std::time::Duration;

/// The whole program has 64 KiB; unoptimised frames are several times as large.
const STACK: usize = if cfg!(debug_assertions) {
    256 << 10
} else {
    64 << 10
};

#[test]
fn a_small_stack_is_enough() {
    let deep = format!(
        r#"{{"root":{{"path":"r"}},"x":{}0{}}}"#,
        r#"[{"a":"#.repeat(15),
        "}]".repeat(15)
    );
    let thread = std::thread::Builder::new().stack_size(STACK);
    let work = move || {
        let mut pools = pools();
        for (_, doc) in documents("tests/config/good") {
            assert!(read(&doc, &mut pools).is_ok());
        }
        for (_, doc) in documents("tests/config/bad") {
            assert!(read(&doc, &mut pools).is_err());
        }
        assert!(read(deep.as_bytes(), &mut pools).is_ok());
    };
    let thread = thread.spawn(work).expect("a thread");
    thread.join().expect("no overflow");
}

/// Documents of a size that is mostly one thing each.
fn heavy(size: usize) -> Vec<(&'static str, String)> {
    let fill = |piece: &str, between: &str| {
        vec![piece; size / (piece.len() + between.len())].join(between)
    };
    let frame = |name, inside: String| (name, format!(r#"{{"root":{{"path":"r"}},{inside}}}"#));
    // Long enough for ten megabytes of them to stay below CONFIG_KEYS.
    let keys: Vec<String> = (0..size / 26).map(|n| format!(r#""{n:021x}":0"#)).collect();
    let prefix = "p".repeat(1000);
    let long: Vec<String> = (0..size / 1010)
        .map(|n| format!(r#""{prefix}{n:06x}":0"#))
        .collect();
    vec![
        frame("white space", " ".repeat(size) + r#""x":0"#),
        frame("numbers", format!(r#""x":[{}]"#, fill("1", ","))),
        frame(
            "objects",
            format!(r#""x":[{}]"#, fill(r#"{"a":[{},{},{},{},{}]}"#, ",")),
        ),
        frame("keys", format!(r#""x":{{{}}}"#, keys.join(","))),
        frame("long keys", format!(r#""x":{{{}}}"#, long.join(","))),
        frame("quotes", format!(r#""x":"{}""#, fill("\\\"", ""))),
        frame("backslashes", format!(r#""x":"{}""#, fill("\\\\", ""))),
        frame(
            "escapes",
            format!(r#""annotations":{{"a":"{}"}}"#, fill("\\u00e9", "")),
        ),
        frame(
            "letters",
            format!(r#""annotations":{{"a":"{}"}}"#, fill("é", "")),
        ),
    ]
}

fn seconds(doc: &str, pools: &mut Pools) -> Duration {
    // CPU time of this thread: what else the machine does is not counted.
    let now = || {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
        let (seconds, rest) = (now.tv_sec.unsigned_abs(), now.tv_nsec.unsigned_abs());
        Duration::from_nanos(seconds * 1_000_000_000 + rest)
    };
    let start = now();
    assert!(read(doc.as_bytes(), pools).is_ok());
    now() - start
}

/// Time grows with the size: ten times the bytes take about ten times as long. What is quadratic would take a hundred
/// times as long, and fails; caches and the machine's other work may cost a factor.
#[test]
fn cost_is_linear() {
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock();
    let (small, factor) = if cfg!(debug_assertions) {
        (32 << 10, 10)
    } else {
        (1 << 20, 10)
    };
    let mut pools = pools();
    for ((name, small), (_, large)) in heavy(small).into_iter().zip(heavy(small * factor)) {
        let best = |doc: &str, pools: &mut Pools| (0..3).map(|_| seconds(doc, pools)).min();
        let base = best(&small, &mut pools).expect("three tries");
        let time = best(&large, &mut pools).expect("three tries");
        println!("{name}: {} KiB in {time:?}", large.len() >> 10);
        assert!(
            time < base * 50 + Duration::from_millis(100),
            "{name}: {base:?}, {time:?}"
        );
        assert!(
            cfg!(debug_assertions) || time < Duration::from_secs(2),
            "{name}: {time:?}"
        );
    }
}

/// A small document leaves the table of keys alone beyond a few pages.
#[test]
fn memory_follows_the_document() {
    let mut pools = pools();
    pools.keys.fill((7, 7));
    let doc = br#"{"root":{"path":"r"},"hostname":null,"a":{"b":1,"c":2}}"#;
    assert!(read(doc, &mut pools).is_ok());
    let touched = pools.keys.iter().filter(|slot| **slot != (7, 7)).count();
    assert!(touched <= 64, "{touched} slots");
}
