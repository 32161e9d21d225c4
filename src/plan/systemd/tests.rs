//! Units, slices, masks and the properties of annotations.

use super::{Named, Subject, limits, name, variant};
use crate::cgroup::dbus::Body;
use crate::cgroup::{Mode, UnitPlan};
use crate::config::{Pools, Text, read_resources};
use crate::error::Rule;
use crate::plan::arena::Arena;
use std::sync::{Mutex, PoisonError};

/// Too large for the stack of a test.
static ARENA: Mutex<Arena> = Mutex::new(Arena::new());

/// A JSON string in a document, as the parser would have it.
fn named(path: &str, uid: u32) -> Result<(String, String), Rule> {
    let doc = format!("\"{path}\"");
    let text = (!path.is_empty()).then(|| Text::of(1, path.len()));
    let mut arena = ARENA.lock().unwrap_or_else(PoisonError::into_inner);
    let arena = &mut *arena;
    let named = name(text, doc.as_bytes(), (b"c1", uid), arena);
    // What was begun is of no interest any more.
    arena.truncate(0);
    let Named { unit, path, .. } = named?;
    let text = |text| String::from_utf8(arena.bytes(text).to_vec()).unwrap();
    Ok((text(unit), text(path)))
}

#[test]
fn units_and_paths() {
    for (path, uid, unit, place) in [
        ("", 0, "ocilet-c1.scope", "/system.slice/ocilet-c1.scope"),
        ("::x", 0, "x.scope", "/system.slice/x.scope"),
        (
            "a-b.slice:p:x",
            0,
            "p-x.scope",
            "/a.slice/a-b.slice/p-x.scope",
        ),
        (
            "a-b-c.slice:p:x",
            0,
            "p-x.scope",
            "/a.slice/a-b.slice/a-b-c.slice/p-x.scope",
        ),
        ("-.slice:p:x", 0, "p-x.scope", "/p-x.scope"),
        ("a.slice:p:a-x.slice", 0, "a-x.slice", "/a.slice/a-x.slice"),
        (
            "",
            7,
            "ocilet-c1.scope",
            "/user.slice/user-7.slice/user@7.service/user.slice/ocilet-c1.scope",
        ),
    ] {
        assert_eq!(
            named(path, uid),
            Ok((unit.to_owned(), place.to_owned())),
            "{path}"
        );
    }
    for (path, rule) in [
        ("a", Rule::UnitPath),
        ("a:b", Rule::UnitPath),
        ("a:b:c:d", Rule::UnitPath),
        ("a.slice:p:", Rule::UnitPath),
        ("a:p:x", Rule::UnitSlice),
        ("a--b.slice:p:x", Rule::UnitSlice),
        ("-a.slice:p:x", Rule::UnitSlice),
        ("a-.slice:p:x", Rule::UnitSlice),
        ("a/b.slice:p:x", Rule::UnitSlice),
        (".slice:p:x", Rule::UnitSlice),
        ("a.slice:p:x/y", Rule::UnitName),
    ] {
        assert_eq!(named(path, 0), Err(rule), "{path}");
    }
}

/// Signature and value behind the name, in hexadecimal groups of four bytes.
fn value(name: &str, text: &str) -> Option<std::vec::Vec<u8>> {
    let mut buffer = [0; 256];
    let mut body = Body::new(&mut buffer, 0);
    variant::property(name.as_bytes(), text.as_bytes(), &mut body)?;
    let len = body.used()?;
    Some(buffer[4 + name.len() + 1..len].to_vec())
}

#[test]
fn values() {
    // The signature ends at 11 or 12, and what follows it is aligned.
    for (text, want) in [
        ("true", &b"\x01b\0\0\x01\0\0\0"[..]),
        ("'a\\'b'", b"\x01s\0\0\x03\0\0\0a'b\0"),
        ("\"x\"", b"\x01s\0\0\x01\0\0\0x\0"),
        ("-2", b"\x01i\0\0\xfe\xff\xff\xff"),
        ("uint32 7", b"\x01u\0\0\x07\0\0\0"),
        ("@u 7", b"\x01u\0\0\x07\0\0\0"),
        ("byte 0x1f", b"\x01y\0\x1f"),
        (
            "['a', 'b']",
            b"\x02as\0\x0e\0\0\0\x01\0\0\0a\0\0\0\x01\0\0\0b\0",
        ),
        ("[uint16 1, 2]", b"\x02aq\0\x04\0\0\0\x01\0\x02\0"),
        ("[uint64 1]", b"\x02at\0\x08\0\0\0\x01\0\0\0\0\0\0\0"),
    ] {
        assert_eq!(value("Abc", text).as_deref(), Some(want), "{text}");
    }
    // Aligned to eight from the start of the property: 4 bytes of length, 3 + 1 of name, 3 of signature.
    assert_eq!(
        value("Abc", "uint64 5").unwrap(),
        b"\x01t\0\0\0\0\0\0\x05\0\0\0\0\0\0\0"
    );
    for text in [
        "",
        "yes",
        "'a",
        "5 6",
        "uint32 -1",
        "byte 256",
        "boolean 1",
        "string 5",
        "['a', 1]",
        "[",
        "[]",
        "[1",
        "1.5",
        "int32 2147483648",
    ] {
        assert_eq!(value("Abc", text), None, "{text}");
    }
}

#[test]
fn seconds_become_microseconds() {
    let mut buffer = [0; 64];
    let mut body = Body::new(&mut buffer, 0);
    variant::property(b"TimeoutStopSec", b"int32 5", &mut body).unwrap();
    let len = body.used().unwrap();
    assert_eq!(&buffer[4..20], b"TimeoutStopUSec\0");
    assert_eq!(&buffer[len - 8..len], &5_000_000_u64.to_le_bytes());
    assert!(value("TimeoutStopSec", "'5'").is_none());
    assert_eq!(
        value("TimeoutStopUSec", "uint64 5").unwrap()[..2],
        *b"\x01t"
    );
}

/// The value of a property of the resources, an unsigned number of 64 bits.
fn property(json: &str, mode: Mode, had: Option<i64>, name: &str) -> Option<u64> {
    static POOLS: Mutex<Pools> = Mutex::new(Pools::new());
    let mut pools = POOLS.lock().unwrap_or_else(PoisonError::into_inner);
    pools.clear();
    let resources = read_resources(json.as_bytes(), &mut pools).unwrap();
    let subject = Subject {
        resources: &resources,
        pools: &pools,
        doc: json.as_bytes(),
        mode,
        memory: had,
    };
    let mut unit = Box::new(UnitPlan::new());
    limits(subject, &mut unit).unwrap();
    let bytes = &unit.bytes[..unit.all];
    // Behind the zeros of its length: not the end of another name.
    let name = format!("\0{name}\0\x01t\0");
    let at = bytes
        .windows(name.len())
        .position(|it| *it == *name.as_bytes())?;
    let value = (at + name.len()).next_multiple_of(8);
    Some(u64::from_le_bytes(*bytes[value..].first_chunk().unwrap()))
}

#[test]
fn properties_are_what_the_files_are() {
    let most = Some(u64::MAX);
    for (json, name, v1, v2) in [
        (r#"{"pids": {"limit": 0}}"#, "TasksMax", Some(1), Some(1)),
        (r#"{"pids": {"limit": -1}}"#, "TasksMax", most, most),
        (r#"{"pids": {"limit": 7}}"#, "TasksMax", Some(7), Some(7)),
        (r#"{"memory": {"limit": 5}}"#, "MemoryMax", None, Some(5)),
        (r#"{"memory": {"limit": 5}}"#, "MemoryLimit", Some(5), None),
        (r#"{"cpu": {"shares": 1024}}"#, "CPUWeight", None, Some(100)),
        (
            r#"{"cpu": {"shares": 1024}}"#,
            "CPUShares",
            Some(1024),
            None,
        ),
        (
            r#"{"cpu": {"shares": 9, "idle": 1}}"#,
            "CPUWeight",
            None,
            None,
        ),
        (r#"{"blockIO": {"weight": 10}}"#, "IOWeight", None, Some(1)),
    ] {
        let found = [Mode::V1, Mode::V2].map(|mode| property(json, mode, None, name));
        assert_eq!(found, [v1, v2], "{name} of {json}");
    }
}

#[test]
fn swap_is_what_the_file_is() {
    for (memory, had, want) in [
        (r#"{"limit": 5, "swap": 9}"#, None, Some(4)),
        (r#"{"limit": 5, "swap": 5}"#, None, Some(0)),
        (r#"{"limit": 5, "swap": -1}"#, None, Some(u64::MAX)),
        (r#"{"limit": -1}"#, None, Some(u64::MAX)),
        (r#"{"limit": 5}"#, None, None),
        (r#"{"swap": 9}"#, Some(6), Some(3)),
    ] {
        let json = format!("{{\"memory\": {memory}}}");
        let found = property(&json, Mode::V2, had, "MemorySwapMax");
        assert_eq!(found, want, "{memory}");
    }
}
