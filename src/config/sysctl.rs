//! Kernel parameters: which names a container may set, and the file that a name stands for.
//!
//! A name is written with dots or with slashes; whichever comes first separates, and the other one then is a letter, so
//! that the interface eth0.100 can be named: `net/ipv4/conf/eth0.100/forwarding`, `net.ipv4.conf.eth0/100.forwarding`.
#![forbid(unsafe_code)]

use super::Wrong;
use super::check::text;
use super::check_linux::Kinds;
use super::names::NamespaceKind;
use super::types::{Pair, Text};
use crate::error::Rule;

/// The path below /proc/sys that the key of a sysctl stands for.
pub fn sysctl_path(doc: &[u8], key: Text) -> impl Iterator<Item = u8> + Clone + '_ {
    let dotted = is_dotted(doc, key);
    key.bytes(doc).map(move |byte| match byte {
        b'.' if dotted => b'/',
        b'/' if dotted => b'.',
        other => other,
    })
}

fn is_dotted(doc: &[u8], key: Text) -> bool {
    let separator = key.bytes(doc).find(|byte| matches!(byte, b'.' | b'/'));
    separator != Some(b'/')
}

/// The name is well formed and belongs to a namespace of the container.
pub(super) fn check(doc: &[u8], pair: Pair, kinds: Kinds) -> Result<(), Wrong> {
    let key = pair.key;
    text(is_well_formed(doc, key), Rule::SysctlName, key)?;
    // As much as tells one from the other: none of the names below has 32 letters.
    let (mut path, mut len) = ([0; 32], 0);
    for (letter, byte) in path.iter_mut().zip(sysctl_path(doc, key)) {
        (*letter, len) = (byte, len + 1);
    }
    let path = path.get(..len).unwrap_or(&[]);
    let kernel = path.strip_prefix(b"kernel/").unwrap_or(&[]);
    text(kernel != b"hostname", Rule::SysctlHostname, key)?;
    let ipc = b"msgmax msgmnb msgmni sem shmall shmmax shmmni shm_rmid_forced";
    let mut ipc = ipc.split(|byte| *byte == b' ');
    let scope = if path.starts_with(b"fs/mqueue/") || ipc.any(|name| name == kernel) {
        Some(NamespaceKind::Ipc)
    } else if path.starts_with(b"net/") {
        Some(NamespaceKind::Network)
    } else if kernel == b"domainname" {
        Some(NamespaceKind::Uts)
    } else if path.starts_with(b"user/") {
        Some(NamespaceKind::User)
    } else {
        None
    };
    let good = scope.is_some_and(|kind| kinds.has(kind));
    text(good, Rule::SysctlScope, key)
}

/// At least two components, each with a letter that is not a dot, all of plain letters.
fn is_well_formed(doc: &[u8], key: Text) -> bool {
    let (mut components, mut letters) = (1, 0);
    for byte in sysctl_path(doc, key) {
        match byte {
            b'/' if letters == 0 => return false,
            b'/' => (components, letters) = (components + 1, 0),
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-' => letters += 1,
            b'.' => {}
            _ => return false,
        }
    }
    components > 1 && letters > 0
}
