//! Places: line and column, path, the way back from a path, the value as it stands.

use super::{pools, read};
use crate::config::{NamespaceKind, Pools, find, locate, path, snippet, sysctl_path, value};

fn path_of(doc: &str, needle: &str) -> String {
    let byte = u32::try_from(doc.find(needle).expect("it is there")).expect("small");
    let mut out = Vec::new();
    path(doc.as_bytes(), byte, &mut |piece| {
        out.extend_from_slice(piece)
    });
    String::from_utf8(out).expect("UTF-8")
}

#[test]
fn paths() {
    let doc = r#" {"a": [1, {"b": "x"}, [ [], {}, "y"]], "c.d": {"": "z", "e": {"_f1": null}}, "1": 7, "g": "w" } "#;
    for (needle, wanted) in [
        ("{\"a\"", ""),
        ("[1", "a"),
        ("1, {", "a[0]"),
        ("{\"b\"", "a[1]"),
        ("\"x\"", "a[1].b"),
        ("[ [", "a[2]"),
        ("[]", "a[2][0]"),
        ("{}", "a[2][1]"),
        ("\"y\"", "a[2][2]"),
        ("{\"\"", "[\"c.d\"]"),
        ("\"z\"", "[\"c.d\"][\"\"]"),
        ("null", "[\"c.d\"].e._f1"),
        ("7", "[\"1\"]"),
        ("\"g\"", "g"),
        ("\"w\"", "g"),
    ] {
        assert_eq!(path_of(doc, needle), wanted, "{needle}");
    }
    let deep = format!("{}0{}", "[".repeat(40), "]".repeat(40));
    assert!(path_of(&deep, "0").starts_with("[0][0]"));
    let many = format!("[{}9]", "1,".repeat(12_345));
    assert_eq!(path_of(&many, "9"), "[12345]");
}

#[test]
fn lines_and_columns() {
    let doc = "a\nbä€c\n\n\td".as_bytes();
    assert_eq!(locate(doc, 0), (1, 1));
    assert_eq!(locate(doc, 2), (2, 1));
    assert_eq!(locate(doc, 3), (2, 2));
    assert_eq!(locate(doc, 5), (2, 3));
    assert_eq!(locate(doc, 8), (2, 4));
    assert_eq!(locate(doc, 12), (4, 2));
    assert_eq!(locate(doc, 99), (4, 3));
}

#[test]
fn values_are_found_by_path() {
    let doc = br#"{"x":{"b":[{"c":1}],"process":{"nice":9}}, "pro\u0063ess" : { "args":["}"], "scheduler":{"nice" : 5}}}"#;
    let at = find(doc, "process.scheduler.nice").expect("it is there") as usize;
    assert_eq!(doc[at], b'5');
    assert_eq!(find(doc, "process.scheduler.policy"), None);
    assert_eq!(find(doc, "process.args.x"), None);
    assert_eq!(find(b"[]", "a"), None);
    assert_eq!(find(b"", "a"), None);
}

#[test]
fn snippets() {
    let show = |doc: &str, byte| {
        let shown = snippet(doc.as_bytes(), byte);
        let cut = value(doc.as_bytes(), byte) != shown;
        let text = String::from_utf8(shown.to_vec()).expect("UTF-8");
        (text, cut)
    };
    assert_eq!(
        show(r#"{"a": "b\"c" }"#, 6),
        (r#""b\"c""#.to_owned(), false)
    );
    assert_eq!(show("[12 ,3]", 1), ("12".to_owned(), false));
    assert_eq!(
        show("[{\"a\":[1]},3]", 1),
        ("{\"a\":[1]}".to_owned(), false)
    );
    assert_eq!(show("[{\n},3]", 1), (String::new(), true));
    let (text, cut) = show(&format!("\"{}\"", "ä".repeat(50)), 0);
    assert_eq!((text.len(), cut), (59, true));
    assert_eq!(show("", 0), (String::new(), false));
    assert_eq!(show("x", 9), (String::new(), false));
}

#[test]
fn sysctl_names_become_paths() {
    let mut pools = pools();
    for (name, wanted) in [
        ("net.ipv4.ip_forward", "net/ipv4/ip_forward"),
        ("net/ipv4/ip_forward", "net/ipv4/ip_forward"),
        ("net/ipv4/conf/eth0.100/x", "net/ipv4/conf/eth0.100/x"),
        ("net.ipv4.conf.eth0/100.x", "net/ipv4/conf/eth0.100/x"),
    ] {
        let doc = format!(
            r#"{{"root":{{"path":"r"}},"linux":{{"namespaces":[{{"type":"network"}}],"sysctl":{{"{name}":"1"}}}}}}"#
        );
        read(doc.as_bytes(), &mut pools).expect("a good document");
        let key = pools.sysctl[0].key;
        let got: Vec<u8> = sysctl_path(doc.as_bytes(), key).collect();
        assert_eq!(got, wanted.as_bytes());
    }
}

/// Reads a document that must be good.
fn parsed(doc: &str, pools: &mut Pools) -> crate::config::Config {
    read(doc.as_bytes(), pools).expect("a good document")
}

#[test]
fn absence_is_not_emptiness() {
    let mut pools = pools();
    let bare = parsed(r#"{"root":{"path":"r"}}"#, &mut pools);
    assert!(bare.process.is_none() && bare.linux.is_none() && bare.hooks.is_none());
    let doc = r#"{"root":{"path":"r"},"hooks":{"startContainer":[{"path":"/a"},{"path":"/b","env":[]}]},
        "process":{"cwd":"/","args":["a"],"capabilities":{"effective":[],"bounding":["CAP_KILL","CAP_NEW","CAP_OLD"]}},
        "linux":{"resources":{},"seccomp":{"flags":[]}}}"#;
    let full = parsed(doc, &mut pools);
    let caps = full
        .process
        .and_then(|process| process.capabilities)
        .expect("an object");
    assert_eq!((caps.effective, caps.bounding), (Some(0), Some(1 << 5)));
    assert_eq!((caps.ambient, caps.unknown), (None, 2));
    assert!(pools.unknown_capabilities[1].is(doc.as_bytes(), b"CAP_OLD"));
    let linux = full.linux.expect("an object");
    assert!(linux.resources.expect("an object").memory.is_none());
    let seccomp = linux.seccomp.expect("an object");
    assert_eq!((seccomp.flags, seccomp.default_action), (Some(0), None));
    assert_eq!(pools.hooks[0].env, None);
    assert!(pools.hooks[1].env.is_some_and(|env| env.is_empty()));
    // The objects know where they are, and a second document starts from nothing.
    assert_eq!(doc.as_bytes()[linux.at as usize], b'{');
    assert_eq!(find(doc.as_bytes(), "linux"), Some(linux.at));
    let next = parsed(
        r#"{"root":{"path":"r"},"linux":{"namespaces":[{"type":"user","path":"/x"},{"type":"cgroup"}]}}"#,
        &mut pools,
    );
    assert!(pools.hooks.is_empty() && pools.unknown_capabilities.is_empty());
    let linux = next.linux.expect("an object");
    let kinds: Vec<NamespaceKind> = linux
        .namespaces
        .of(&pools.namespaces)
        .iter()
        .map(|entry| entry.kind)
        .collect();
    assert_eq!(kinds, [NamespaceKind::User, NamespaceKind::Cgroup]);
    assert!(linux.resources.is_none());
}
