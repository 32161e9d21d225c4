//! Command lines and what they mean.
#![forbid(unsafe_code)]

use super::{FLAGS, Misuse, Parsed, Row, section, sections};
use crate::sys::args::Args;

fn parse(args: Args, next: usize, section: &Row, stop: bool) -> Parsed {
    let mut parsed = Parsed::new(args);
    let good = parsed.read(next, section, stop);
    assert_eq!(good, parsed.wrong.is_none());
    parsed
}

/// All flags and operands, in the order of the command line, of words as the arguments of `create`, `run`, …
fn shown(verb: &str, words: &[&str]) -> String {
    let section = section(verb.as_bytes()).unwrap();
    let parsed = parse(Args::of(words), 0, &section, false);
    if let Some(wrong) = parsed.wrong {
        return sentence(wrong);
    }
    let mut text: Vec<String> = Vec::new();
    for given in &parsed.given {
        let name = std::str::from_utf8(given.name).unwrap();
        let value = given.value.map(|value| value.to_str().unwrap());
        if section.flag(given.name).unwrap().third.is_empty() {
            assert_eq!(value.unwrap_or(""), "");
            text.push(format!("{name}={}", parsed.is_on(name)));
        } else {
            text.push(format!("{name}={}", value.unwrap()));
        }
    }
    for operand in &parsed.operands {
        text.push(operand.to_str().unwrap().to_owned());
    }
    text.join(" ")
}

fn sentence(Misuse(text, words): Misuse) -> String {
    let mut buffer = [0; 256];
    let mut line = crate::say::Line::new(&mut buffer);
    line.fill(text, &words);
    String::from_utf8(line.bytes().to_vec()).unwrap()
}

#[test]
fn lines() {
    for (verb, words, expected) in [
        ("create", &["-b", "DIR", "c1"][..], "bundle=DIR c1"),
        ("create", &["c1", "-b", "DIR"], "bundle=DIR c1"),
        ("create", &["-bDIR", "c1"], "bundle=DIR c1"),
        ("create", &["-b=DIR", "c1"], "bundle=DIR c1"),
        ("create", &["-bundle", "DIR", "c1"], "bundle=DIR c1"),
        ("create", &["--bundle=DIR", "c1"], "bundle=DIR c1"),
        ("create", &["--bundle=", "c1"], "bundle= c1"),
        ("create", &["--bundle=a=b", "c1"], "bundle=a=b c1"),
        (
            "create",
            &["--bundle", "--pid-file", "c1"],
            "bundle=--pid-file c1",
        ),
        (
            "create",
            &["--bundle", "a", "--bundle", "b", "c1"],
            "bundle=b c1",
        ),
        ("create", &["--no-pivot", "c1"], "no-pivot=true c1"),
        ("create", &["--no-pivot=false", "c1"], "no-pivot=false c1"),
        (
            "create",
            &["--no-pivot", "--no-pivot=0", "c1"],
            "no-pivot=false c1",
        ),
        (
            "create",
            &["-no-new-keyring", "c1"],
            "no-new-keyring=true c1",
        ),
        ("create", &["--", "-b"], "-b"),
        ("create", &["c1", "--", "--"], "c1 --"),
        ("create", &["-"], "-"),
        (
            "run",
            &["-d", "c1", "-no-subreaper"],
            "detach=true no-subreaper=true c1",
        ),
        ("run", &["-dbDIR", "c1"], "detach=true bundle=DIR c1"),
        ("run", &["-db", "DIR", "c1"], "detach=true bundle=DIR c1"),
        ("list", &["-qfjson"], "quiet=true format=json"),
        ("kill", &["--all", "c1", "9"], "all=true c1 9"),
        ("kill", &["c1", "KILL", "-a"], "all=true c1 KILL"),
    ] {
        assert_eq!(shown(verb, words), expected, "{verb} {words:?}");
    }
}

#[test]
fn wrong_lines() {
    for (verb, words, expected) in [
        (
            "create",
            &["--foo", "c1"][..],
            "flag provided but not defined: -foo",
        ),
        (
            "create",
            &["-foo=x", "c1"],
            "flag provided but not defined: -foo",
        ),
        ("create", &["--b", "DIR"], "bundle=DIR"),
        (
            "create",
            &["--bDIR"],
            "flag provided but not defined: -bDIR",
        ),
        (
            "create",
            &["--detach", "c1"],
            "flag provided but not defined: -detach",
        ),
        (
            "create",
            &["---bundle", "x"],
            "flag provided but not defined: --bundle",
        ),
        ("create", &["--=x"], "flag provided but not defined: -"),
        (
            "create",
            &["c1", "--bundle"],
            "flag needs an argument: -bundle",
        ),
        (
            "run",
            &["--detach=foo", "c1"],
            "invalid boolean value \"foo\" for -detach: parse error",
        ),
    ] {
        assert_eq!(shown(verb, words), expected, "{verb} {words:?}");
    }
}

#[test]
fn options_before_the_verb_end_there() {
    let words = ["--root", "/r", "--log=l", "create", "--debug", "x"];
    let parsed = parse(Args::of(&words), 0, &section(b"").unwrap(), true);
    assert_eq!(parsed.wrong, None);
    assert_eq!(parsed.next, 3);
    assert_eq!(parsed.value("root"), Some(c"/r"));
    assert_eq!(parsed.value("log"), Some(c"l"));
    assert!(!parsed.is_on("debug"));
}

#[test]
fn counts() {
    let said = |verb: &str, count| {
        let mut parsed = Parsed::new(Args::of(&[]));
        parsed.count = count;
        let good = parsed.check_count(&section(verb.as_bytes()).unwrap());
        assert_eq!(good, parsed.wrong.is_none());
        parsed.wrong.map(sentence).unwrap_or_default()
    };
    assert_eq!(said("create", 1), "");
    assert_eq!(
        said("create", 0),
        "\"create\" requires exactly 1 argument(s)"
    );
    assert_eq!(
        said("kill", 0),
        "\"kill\" requires a minimum of 1 argument(s)"
    );
    assert_eq!(
        said("kill", 3),
        "\"kill\" requires a maximum of 2 argument(s)"
    );
    assert_eq!(said("list", 1), "\"list\" requires exactly 0 argument(s)");
}

#[test]
fn the_table_is_well_formed() {
    assert_eq!(section(b"").unwrap().name, b"");
    assert!(section(b"nonsense").is_none());
    for section in sections() {
        assert!(section.flags().count() <= FLAGS);
        assert!(section.flag(b"help").is_some() && section.flag(b"h").is_some());
        let [least, most] = section.third else {
            panic!("{:?}", section.third)
        };
        assert!(least.is_ascii_digit() && (least <= most || *most == b'*'));
        assert!(!section.summary().is_empty());
        for flag in section.flags() {
            assert!(flag.second.len() <= 1 && flag.name.len() > 1 && !flag.summary().is_empty());
            assert!(!flag.summary().ends_with('.'));
        }
    }
    assert_eq!(super::BOOLEANS.split(' ').count(), 2 * super::TRUE);
    assert!(
        std::str::from_utf8(super::TABLE)
            .unwrap()
            .lines()
            .all(|line| line.split('|').count() == 3)
    );
}

#[test]
fn what_stands_behind_the_name_is_another_programs() {
    let section = section(b"exec").unwrap();
    let words = ["-e", "A=1", "-teB=2", "c1", "-e", "C=3", "--", "-x"];
    let mut parsed = parse(Args::of(&words), 0, &section, false);
    assert!(parsed.check_count(&section));
    assert_eq!((parsed.operand(0), parsed.next), (Some(c"c1"), 4));
    assert!(parsed.is_on("tty") && !parsed.is_given("user"));
    let mut seen = Vec::new();
    parsed.each("env", &section, &mut |value| seen.push(value));
    assert_eq!(seen, [c"A=1", c"B=2"]);
}

#[test]
fn choices() {
    let section = section(b"list").unwrap();
    for (word, expected) in [
        ("json", Some(1)),
        ("table", Some(0)),
        ("", Some(2)),
        ("x", None),
    ] {
        let mut parsed = parse(Args::of(&["-f", word]), 0, &section, false);
        assert_eq!(
            parsed.choice("format", "table json ", "table or json"),
            expected
        );
        let said = parsed.wrong.map(sentence);
        let wrong = "invalid value \"x\" for flag -format: table or json";
        assert_eq!(said.as_deref(), expected.is_none().then_some(wrong));
    }
}
