//! What /dev holds: the six default devices, those of `linux.devices`, and the links that programs expect.
//!
//! A /dev that is bound from elsewhere is left as it is.
#![forbid(unsafe_code)]

use super::Plan;
use super::arena::Str;
use super::make::Source;
use super::mounts::push;
use super::op::{Device, Kind, Op, When};
use super::paths::push_path;
use crate::config::DeviceKind;
use crate::error::Fault;

/// S_IFIFO, S_IFCHR, S_IFBLK.
const FIFO: u32 = 0o010_000;
/// Character device.
const CHAR: u32 = 0o020_000;
/// Block device.
const BLOCK: u32 = 0o060_000;

/// Devices that every container has: name, major, minor.
const DEFAULT: [(&[u8], u32, u32); 6] = [
    (b"/dev/null", 1, 3),
    (b"/dev/zero", 1, 5),
    (b"/dev/full", 1, 7),
    (b"/dev/random", 1, 8),
    (b"/dev/urandom", 1, 9),
    (b"/dev/tty", 5, 0),
];

/// Links: name, target.
const LINKS: [(&[u8], &[u8], When); 5] = [
    (b"/dev/fd", b"/proc/self/fd", When::Absent),
    (b"/dev/stdin", b"/proc/self/fd/0", When::Absent),
    (b"/dev/stdout", b"/proc/self/fd/1", When::Absent),
    (b"/dev/stderr", b"/proc/self/fd/2", When::Absent),
    (b"/dev/core", b"/proc/kcore", When::InProc),
];

/// The terminal multiplexer of the container's own devpts.
const PTMX: &[u8] = b"/dev/ptmx";

/// Adds the operations.
pub(super) fn make(source: Source<'_>, plan: &mut Plan) -> Result<(), Fault> {
    let Source { config, pools, doc } = source;
    let bound = covered(plan, b"/dev", true);
    let listed = config.linux.unwrap_or_default().devices.of(&pools.devices);
    let first = plan.ops.len();
    for device in listed {
        let path = push_path(plan, device.path, doc)?;
        let bytes = plan.arena.bytes(path);
        if bytes == PTMX || bound && bytes.starts_with(b"/dev/") {
            continue;
        }
        let kind = match device.kind {
            DeviceKind::Char => CHAR,
            DeviceKind::Block => BLOCK,
            DeviceKind::Fifo => FIFO,
        };
        let op = Device {
            path,
            mode: kind | device.file_mode.unwrap_or(0o666),
            major: device.major,
            minor: device.minor,
            uid: device.uid,
            gid: device.gid,
        };
        push(plan, Op::Device(op))?;
    }
    if bound {
        return Ok(());
    }
    for (name, major, minor) in DEFAULT {
        // A listed one of that name has been planned; a mount there is the caller's choice.
        let given = plan.ops.get(first..).unwrap_or(&[]);
        if given.iter().any(|op| plan.arena.bytes(op.path()) == name) || covered(plan, name, false)
        {
            continue;
        }
        let op = Device {
            path: plan.arena.push(name)?,
            mode: CHAR | 0o666,
            major,
            minor,
            uid: 0,
            gid: 0,
        };
        push(plan, Op::Device(op))?;
    }
    for (name, text, when) in LINKS {
        link(plan, name, text, when)?;
    }
    if covered(plan, PTMX, false) {
        return Ok(());
    }
    // In a new tmpfs there is none to be removed.
    let empty = plan.ops.iter().any(|op| match op {
        Op::Mount(mount) => {
            plan.arena.bytes(mount.target) == b"/dev"
                && plan.arena.bytes(mount.fstype) == b"tmpfs"
                && !mount.copy_up
        }
        _ => false,
    });
    let when = if empty { When::Absent } else { When::Always };
    link(plan, PTMX, b"pts/ptmx", when)
}

fn link(plan: &mut Plan, path: &[u8], text: &[u8], when: When) -> Result<(), Fault> {
    let path = plan.arena.push(path)?;
    let text: Str = plan.arena.push(text)?;
    push(plan, Op::Link { path, text, when })
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
