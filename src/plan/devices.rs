//! What /dev holds: the six default devices, those of `linux.devices`, and the links that programs expect.
//!
//! A /dev that is bound from elsewhere is left as it is.
#![forbid(unsafe_code)]

use super::Plan;
use super::draft::Draft;
use super::op::{Device, Kind, Op, When};
use crate::config::{DeviceKind, Linux};

/// S_IFIFO, S_IFCHR, S_IFBLK.
const FIFO: u32 = 0o010_000;
/// Character device.
const CHAR: u32 = 0o020_000;
/// Block device.
const BLOCK: u32 = 0o060_000;

/// Devices that every container has: name, major, minor.
static DEFAULT: &[(&[u8], u32, u32)] = &[
    (b"/dev/null", 1, 3),
    (b"/dev/zero", 1, 5),
    (b"/dev/full", 1, 7),
    (b"/dev/random", 1, 8),
    (b"/dev/urandom", 1, 9),
    (b"/dev/tty", 5, 0),
];

/// Links: name, target.
static LINKS: &[(&[u8], &[u8], When)] = &[
    (b"/dev/fd", b"/proc/self/fd", When::Absent),
    (b"/dev/stdin", b"/proc/self/fd/0", When::Absent),
    (b"/dev/stdout", b"/proc/self/fd/1", When::Absent),
    (b"/dev/stderr", b"/proc/self/fd/2", When::Absent),
    (b"/dev/core", b"/proc/kcore", When::InProc),
];

/// The terminal multiplexer of the container's own devpts.
const PTMX: &[u8] = b"/dev/ptmx";

/// Adds the operations.
pub(super) fn make(draft: &mut Draft<'_>, linux: &Linux) {
    let bound = covered(draft.plan, b"/dev", true);
    let first = draft.plan.ops.len();
    for device in linux.devices.of(&draft.source.pools.devices) {
        let path = draft.path(device.path);
        let bytes = draft.plan.arena.bytes(path);
        if bytes == PTMX || bound && bytes.starts_with(b"/dev/") {
            continue;
        }
        let kind = match device.kind {
            DeviceKind::Char => CHAR,
            DeviceKind::Block => BLOCK,
            DeviceKind::Fifo => FIFO,
        };
        draft.op(Op::Device(Device {
            path,
            mode: kind | device.file_mode.unwrap_or(0o666),
            major: device.major,
            minor: device.minor,
            uid: device.uid,
            gid: device.gid,
        }));
    }
    if bound {
        return;
    }
    for &(name, major, minor) in DEFAULT {
        // A listed one of that name has been planned; a mount there is the caller's choice.
        let Plan { ops, arena, .. } = &*draft.plan;
        let mut given = ops.iter().skip(first);
        if given.any(|op| arena.bytes(op.path()) == name) || covered(draft.plan, name, false) {
            continue;
        }
        let path = draft.plan.arena.push(name);
        draft.op(Op::Device(Device {
            path,
            mode: CHAR | 0o666,
            major,
            minor,
            uid: 0,
            gid: 0,
        }));
    }
    for &(name, text, when) in LINKS {
        link(draft, name, text, when);
    }
    if covered(draft.plan, PTMX, false) {
        return;
    }
    // In a new tmpfs there is none to be removed.
    let arena = &draft.plan.arena;
    let empty = draft.plan.ops.iter().any(|op| match op {
        Op::Mount(mount) => {
            arena.bytes(mount.target) == b"/dev"
                && arena.bytes(mount.fstype) == b"tmpfs"
                && !mount.copy_up
        }
        _ => false,
    });
    let when = if empty { When::Absent } else { When::Always };
    link(draft, PTMX, b"pts/ptmx", when);
}

fn link(draft: &mut Draft<'_>, path: &[u8], text: &[u8], when: When) {
    let path = draft.plan.arena.push(path);
    let text = draft.plan.arena.push(text);
    draft.op(Op::Link { path, text, when });
}

/// Whether something is mounted at a path, or only whether it is bound there.
fn covered(plan: &Plan, path: &[u8], bind: bool) -> bool {
    plan.ops.iter().any(|op| match op {
        Op::Mount(mount) => {
            (!bind || mount.kind == Kind::Bind) && plan.arena.bytes(mount.target) == path
        }
        _ => false,
    })
}
