//! Round trips and damage.
#![forbid(unsafe_code)]

use super::{Content, Crc, Exit, Identity, Kind, Record, Stored, encode};
use crate::error::Rule;

const RECORD: Record<'static> = Record {
    init: Identity {
        boot: b"01234567-89ab-cdef-0123-456789abcdef",
        pid: 4711,
        start: 123_456_789,
        inode: u64::MAX,
    },
    created: 1_700_000_000_123_456_789,
    own_pid_namespace: true,
    own_keyring: true,
    builtin_filter: true,
    config: u32::MAX,
    bundle: b"/tmp/a bundle\nwith a line",
    rootfs: b"/tmp/\xff\xfe/rootfs",
    program: b"sh",
    annotations: b"{\"a\": \"b\"}",
    listener: b"/s\0{}",
    poststart: b"",
    poststop: b"0\x001\x000\0/bin/true\0true\0",
    cgroup: b"v2 /x 12:34\n",
};

fn bytes(content: Content<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(b"c1", content, &mut |piece| bytes.extend_from_slice(piece));
    bytes
}

fn state(record: &Record<'_>) -> Vec<u8> {
    bytes(Content::State(record))
}

fn read_state<'a>(file: &'a [u8], id: &[u8]) -> Result<Record<'a>, Rule> {
    read(file, id, Kind::State)
}

fn read<'a>(file: &'a [u8], id: &[u8], kind: Kind) -> Result<Record<'a>, Rule> {
    let stored = Stored::read(file, id, kind)?;
    Ok(Record {
        init: stored.init(),
        created: stored.created(),
        own_pid_namespace: stored.own_pid_namespace(),
        own_keyring: stored.own_keyring(),
        builtin_filter: stored.builtin_filter(),
        config: stored.config(),
        bundle: stored.bundle(),
        rootfs: stored.rootfs(),
        program: stored.program(),
        annotations: stored.annotations(),
        listener: stored.listener(),
        poststart: stored.poststart(),
        poststop: stored.poststop(),
        cgroup: stored.cgroup(),
    })
}

#[test]
fn crc_is_the_usual_one() {
    let mut crc = Crc::new();
    crc.add(b"123456789");
    assert_eq!(crc.value(), 0xcbf4_3926);
}

#[test]
fn state_round_trip() {
    assert_eq!(read_state(&state(&RECORD), b"c1"), Ok(RECORD));
    let empty = Record {
        annotations: b"",
        cgroup: b"",
        bundle: b"",
        ..RECORD
    };
    assert_eq!(read_state(&state(&empty), b"c1"), Ok(empty));
}

#[test]
fn every_truncation_and_every_flipped_bit_is_found() {
    let bytes = state(&RECORD);
    for end in 0..bytes.len() {
        assert_eq!(
            read_state(&bytes[..end], b"c1"),
            Err(Rule::Corrupt),
            "cut at {end}"
        );
    }
    for at in 0..bytes.len() * 8 {
        let mut bytes = bytes.clone();
        bytes[at / 8] ^= 1 << (at % 8);
        assert_eq!(read_state(&bytes, b"c1"), Err(Rule::Corrupt), "bit {at}");
    }
    let mut longer = bytes.clone();
    longer.push(b'\n');
    assert_eq!(read_state(&longer, b"c1"), Err(Rule::Corrupt));
}

#[test]
fn the_state_of_another_container_is_damage() {
    assert_eq!(read_state(&state(&RECORD), b"c2"), Err(Rule::Corrupt));
}

#[test]
fn intent_round_trip_and_kinds_are_not_confused() {
    let intent = Record {
        created: 0,
        cgroup: b"opaque",
        ..RECORD
    };
    let bytes = bytes(Content::Intent(&intent));
    assert_eq!(read(&bytes, b"c1", Kind::Either), Ok(intent));
    assert_eq!(read_state(&bytes, b"c1"), Err(Rule::Corrupt));
    // The copy of a state that has taken the place of an intent tells as much.
    assert_eq!(read(&state(&RECORD), b"c1", Kind::Either), Ok(RECORD));
}

#[test]
fn an_exit_is_an_exit() {
    let exit = Exit {
        boot: RECORD.init.boot,
        status: 0x8900,
    };
    let bytes = bytes(Content::Exit(&exit));
    let stored = Stored::read(&bytes, b"c1", Kind::Exit).unwrap();
    assert_eq!(stored.exit_status(), 0x8900);
    assert_eq!(read_state(&bytes, b"c1"), Err(Rule::Corrupt));
    assert_eq!(
        Stored::read(&state(&RECORD), b"c1", Kind::Exit),
        Err(Rule::Corrupt)
    );
}

#[test]
fn a_newer_version_is_named() {
    let mut text = state(&RECORD);
    text.truncate(text.len() - super::TRAILER);
    let at = super::STATE.len();
    text[at] = b'2';
    let mut crc = Crc::new();
    crc.add(&text);
    let line = super::trailer(text.len() as u64, crc.value());
    text.extend_from_slice(&line);
    assert_eq!(read_state(&text, b"c1"), Err(Rule::NewerState));
}
