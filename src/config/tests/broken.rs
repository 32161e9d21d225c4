//! Broken documents, made from real ones with a fixed seed: nothing panics, and serde_json agrees on what is JSON.

use super::{documents, pools, read, sentence};
use crate::config::{Wrong, scan::scan};
use crate::error::{At, Cause, Rule};
use crate::limits::{self, Limit};
use serde_json::Value;

/// xorshift64*: the same sequence everywhere.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let high = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(high).expect("31 bits") % sides.max(1)
    }
}

const PIECES: &[&[u8]] = &[
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"\"",
    b"\\",
    b"0",
    b"-",
    b".",
    b"e",
    b" ",
    b"\n",
    b"\0",
    b"\x7f",
    b"\xc3\xa9",
    b"\xc3",
    b"\xed\xa0\x80",
    b"\xff",
    b"null",
    b"true",
    b"fals",
    b"\\u0000",
    b"\\ud83d",
    b"\\ude00",
    b"\\ud83d\\ude00",
    b"1e9",
    b"1.0",
    b"-0",
    b"00",
    b"18446744073709551616",
    b"\"\":0,",
    b"\"root\":{},",
    b"[[[[",
    b"]]]]",
    b"{\"a\":",
    b"4294967295",
    b"-1",
    b"\"x\"",
    b"[]",
    b"{}",
];

/// One small wound.
fn wound(doc: &mut Vec<u8>, dice: &mut Dice) {
    let at = dice.roll(doc.len() + 1);
    match dice.roll(8) {
        0 => doc.truncate(at),
        1 => {
            let end = (at + 1 + dice.roll(8)).min(doc.len());
            doc.drain(at..end);
        }
        2 if at < doc.len() => doc[at] = u8::try_from(dice.roll(256)).expect("a byte"),
        3 if at < doc.len() => doc[at] ^= 1 << dice.roll(8),
        4 => {
            let end = (at + dice.roll(40)).min(doc.len());
            let copy = doc[at..end].to_vec();
            let to = dice.roll(doc.len() + 1);
            doc.splice(to..to, copy);
        }
        _ => {
            let piece = PIECES[dice.roll(PIECES.len())];
            let end = if dice.roll(2) == 0 {
                at
            } else {
                (at + piece.len()).min(doc.len())
            };
            doc.splice(at..end, piece.iter().copied());
        }
    }
}

/// A piece of the document of roughly this length, so that an iteration is cheap.
fn excerpt(doc: &[u8], dice: &mut Dice) -> Vec<u8> {
    let start = dice.roll(doc.len());
    let end = (start + 10 + dice.roll(300)).min(doc.len());
    let mut piece = doc[start..end].to_vec();
    piece.splice(0..0, *b"{\"x\":[");
    piece.extend_from_slice(b"]}");
    piece
}

fn byte(wrong: Wrong) -> u32 {
    match wrong.at() {
        At::Byte(byte) => byte,
        other => panic!("{other:?}"),
    }
}

/// With a table that fits every document of this file.
fn scan_alone(doc: &[u8]) -> Result<(), Wrong> {
    scan(doc, &mut vec![(0, 0); 256])
}

/// What `scan` and serde_json say must be the same, but for what only `scan` refuses.
fn agree(doc: &[u8]) {
    let ours = scan_alone(doc);
    let theirs = serde_json::from_slice::<Value>(doc);
    let cause = ours.as_ref().err().map(|wrong| wrong.cause());
    let stricter = matches!(
        cause,
        Some(Cause::Rule(Rule::JsonTwice) | Cause::Limit(Limit::CONFIG_DEPTH))
    );
    if !stricter {
        let show = String::from_utf8_lossy(doc);
        assert_eq!(ours.is_ok(), theirs.is_ok(), "{ours:?} {theirs:?}\n{show}");
    }
    if let Err(wrong) = ours {
        assert!(byte(wrong) as usize <= doc.len());
    }
}

#[test]
fn serde_json_agrees_on_what_is_json() {
    let docs = documents("tests/corpus");
    let mut dice = Dice(0x0c11_e7c0_ffee);
    let rounds = if cfg!(debug_assertions) {
        200_000
    } else {
        400_000
    };
    for round in 0..rounds {
        let whole = &docs[round % docs.len()].1;
        let mut doc = excerpt(whole, &mut dice);
        for _ in 0..=dice.roll(3) {
            wound(&mut doc, &mut dice);
        }
        agree(&doc);
    }
    // Whole values of single pieces, where most of the grammar's corners are.
    for _ in 0..rounds {
        let mut doc = Vec::new();
        for _ in 0..=dice.roll(7) {
            doc.extend_from_slice(PIECES[dice.roll(PIECES.len())]);
        }
        agree(&doc);
    }
}

#[test]
fn no_document_panics_and_every_complaint_has_a_place() {
    let mut docs = documents("tests/config/good");
    docs.extend(documents("tests/corpus"));
    docs.extend(documents("tests/config/bad"));
    let mut dice = Dice(42);
    let rounds = if cfg!(debug_assertions) {
        6_000
    } else {
        60_000
    };
    let mut pools = pools();
    let (mut good, mut meaning) = (0, 0);
    for round in 0..rounds {
        let mut doc = docs[round % docs.len()].1.clone();
        for _ in 0..=dice.roll(2) {
            wound(&mut doc, &mut dice);
        }
        match read(&doc, &mut pools) {
            Ok(_) => good += 1,
            Err(fault) => {
                let said = sentence(&doc, &fault);
                assert_ne!(fault.cause(), Cause::Rule(Rule::Never), "{said}");
                if serde_json::from_slice::<Value>(&doc).is_ok() {
                    meaning += 1;
                }
            }
        }
    }
    assert!(
        good > rounds / 100 && meaning > rounds / 20,
        "{good} {meaning}"
    );
}

/// Values changed for others, so that the document stays JSON and only the second pass and the checks are asked.
#[test]
fn no_value_in_a_wrong_place_panics() {
    let (_, doc) = documents("tests/config/good")
        .into_iter()
        .find(|(path, _)| path.ends_with("everything.json"))
        .expect("it is there");
    let whole: Value = serde_json::from_slice(&doc).expect("JSON");
    let mut pointers = Vec::new();
    collect(&whole, String::new(), &mut pointers);
    let others = [
        "null",
        "true",
        "-1",
        "0",
        "1.5",
        "1e2",
        "\"\"",
        "\"x\"",
        "\"/a\"",
        "[]",
        "[null]",
        "[[]]",
        "[{}]",
        "{}",
        "{\"a\":{}}",
        "{\"a\":\"b\"}",
        "18446744073709551616",
        "-9223372036854775809",
        "\"\\u0000\"",
    ];
    let mut pools = pools();
    // Unoptimised, every place gets only some of the values.
    let step = if cfg!(debug_assertions) { 7 } else { 1 };
    for (turn, pointer) in pointers.iter().enumerate() {
        for other in others.iter().skip(turn % step).step_by(step) {
            let mut changed = whole.clone();
            let place = changed.pointer_mut(pointer).expect("it was found there");
            *place = serde_json::from_str(other).expect("JSON");
            let text = serde_json::to_vec(&changed).expect("JSON");
            if let Err(fault) = read(&text, &mut pools) {
                let said = sentence(&text, &fault);
                assert_ne!(
                    fault.cause(),
                    Cause::Rule(Rule::Never),
                    "{pointer} {other}: {said}"
                );
            }
        }
    }
    assert!(pointers.len() > 400, "{}", pointers.len());
}

fn collect(value: &Value, pointer: String, all: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let key = key.replace('~', "~0").replace('/', "~1");
                collect(value, format!("{pointer}/{key}"), all);
            }
        }
        Value::Array(list) => {
            for (index, value) in list.iter().enumerate() {
                collect(value, format!("{pointer}/{index}"), all);
            }
        }
        _ => {}
    }
    all.push(pointer);
}

#[test]
fn size_and_depth() {
    let mut doc = br#"{"root":{"path":"r"}}"#.to_vec();
    doc.resize(limits::CONFIG_BYTES, b' ');
    let mut pools = pools();
    assert!(read(&doc, &mut pools).is_ok());
    doc.push(b' ');
    let fault = read(&doc, &mut pools).expect_err("too large");
    assert_eq!(fault.cause(), Cause::Limit(Limit::CONFIG_BYTES));
    for (open, close) in [("[", "]"), (r#"{"a":"#, "}")] {
        for depth in [limits::CONFIG_DEPTH, limits::CONFIG_DEPTH + 1, 100_000] {
            let inner = depth - 1;
            let doc = format!("{{\"x\":{}0{}}}", open.repeat(inner), close.repeat(inner));
            let done = scan_alone(doc.as_bytes());
            assert_eq!(done.is_ok(), depth <= limits::CONFIG_DEPTH, "{depth}");
        }
    }
}

#[test]
fn keys_are_compared_decoded_and_by_object() {
    let twice = |doc: &str| {
        let done = scan_alone(doc.as_bytes());
        done.err().map(|wrong| (wrong.cause(), byte(wrong)))
    };
    let at = |at| Some((Cause::Rule(Rule::JsonTwice), at));
    assert_eq!(twice(r#"{"a":1,"b":2}"#), None);
    assert_eq!(twice(r#"{"a":{"a":{"a":1}},"b":{"a":1}}"#), None);
    assert_eq!(twice(r#"[{"a":1},{"a":1}]"#), None);
    assert_eq!(twice(r#"{"a":1,"ab":1,"abc":1,"":1}"#), None);
    assert_eq!(twice(r#"{"a":1,"a":2}"#), at(7));
    assert_eq!(twice(r#"{"a":{"x":[{}]},"a":2}"#), at(16));
    assert_eq!(twice(r#"{"a":1,"\u0061":2}"#), at(7));
    assert_eq!(twice(r#"{"\u0061":1,"a":2}"#), at(12));
    assert_eq!(twice(r#"{"\ud83d\ude00":1,"😀":2}"#), at(18));
    assert_eq!(twice(r#"{"\/":1,"/":2}"#), at(8));
    assert_eq!(twice(r#"{"\n":1,"\u000a":2}"#), at(8));
    assert_eq!(twice(r#"{"\n":1,"n":2}"#), None);
}
