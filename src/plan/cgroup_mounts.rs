//! A mount of type `cgroup`: what it becomes depends on the host.
#![forbid(unsafe_code)]

use linux_raw_sys::general as k;

use super::Plan;
use super::arena::Str;
use super::draft::Draft;
use super::op::{Below, Kind, Mount, Op};
use crate::cgroup::{Kinds, Mode};
use crate::config::NamespaceKind;
use crate::limits::ANY_KERNEL;

/// The flags of the hierarchies and of what holds them.
const PLAIN: u32 = k::MS_NOSUID | k::MS_NODEV | k::MS_NOEXEC;

/// Plans a mount of type `cgroup`: whatever the host has.
pub(super) fn plan(draft: &mut Draft<'_>, mut mount: Mount) {
    mount.data = Str::EMPTY;
    let readonly = mount.set & k::MS_RDONLY;
    let mode = draft.plan.cgroup.mode;
    let arena = &mut draft.plan.arena;
    if mode == Mode::V2 {
        mount.kind = Kind::Cgroup2;
        mount.fstype = arena.push(b"cgroup2");
        let row = draft.plan.cgroup.hierarchies.get(0);
        mount.source = arena.push(row.map_or(b"/sys/fs/cgroup", |row| row.dir.to_bytes()));
        mount.recursive = true;
        return draft.op(Op::Mount(mount));
    }
    mount.fstype = arena.push(b"tmpfs");
    mount.source = mount.fstype;
    mount.data = arena.push(b"mode=755");
    mount.set = mount.set & !k::MS_RDONLY | PLAIN;
    if mode == Mode::None || !ANY_KERNEL {
        // Nothing to show: an empty directory, so that nothing of the host shows through (CVE-2023-25809).
        mount.seal = true;
        return draft.op(Op::Mount(mount));
    }
    mount.kind = Kind::Base;
    mount.seal = readonly != 0;
    draft.op(Op::Mount(mount));
    for place in 0..draft.plan.cgroup.hierarchies.len() {
        hierarchy(draft, place, PLAIN | readonly);
    }
    if draft.plan.namespaces.own(NamespaceKind::Cgroup) {
        return;
    }
    // The links are made: the tmpfs may be read-only with what it holds.
    let mut attributes = k::MOUNT_ATTR_NOSUID | k::MOUNT_ATTR_NODEV | k::MOUNT_ATTR_NOEXEC;
    if readonly != 0 {
        attributes |= k::MOUNT_ATTR_RDONLY;
    }
    draft.op(Op::Within { attributes });
}

/// One v1 hierarchy in it, under the name that it has on the host; with links for controllers that share it.
#[inline(never)] // its locals would lie in the frame of its caller
fn hierarchy(draft: &mut Draft<'_>, place: usize, set: u32) {
    let Plan {
        arena,
        cgroup,
        namespaces,
        ..
    } = &mut *draft.plan;
    let Some(row) = cgroup.hierarchies.get(place) else {
        return;
    };
    if row.kinds.has(Kinds::UNIFIED) {
        return;
    }
    let title = row.mount.rsplit(|byte| *byte == b'/').next();
    let title = title.unwrap_or(row.mount);
    let name = arena.push(title);
    let mut below = Below {
        name,
        source: Str::EMPTY,
        fstype: Str::EMPTY,
        data: Str::EMPTY,
        set,
    };
    if namespaces.own(NamespaceKind::Cgroup) {
        // A new mount of the hierarchy shows the namespace's part of it.
        let named = row.controllers.strip_prefix(b"name=");
        below.source = arena.push(named.unwrap_or(b"cgroup"));
        below.fstype = arena.push(b"cgroup");
        below.data = arena.push(row.controllers);
    } else {
        below.source = arena.push(row.dir.to_bytes());
    }
    let mut links = heapless::Vec::<Str, 16>::new();
    if row.controllers.contains(&b',') {
        for controller in row.controllers.split(|byte| *byte == b',') {
            if controller != title {
                // More than sixteen controllers do not exist.
                let _ = links.push(arena.push(controller));
            }
        }
    }
    draft.op(Op::Below(below));
    for link in links {
        draft.op(Op::LinkBelow {
            name: link,
            text: name,
        });
    }
}
