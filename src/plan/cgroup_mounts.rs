//! A mount of type `cgroup`: what it becomes depends on the host.
#![forbid(unsafe_code)]

use linux_raw_sys::general as k;

use super::Plan;
use super::arena::Str;
use super::mounts::push;
use super::op::{Below, Kind, Mount, Op};
use crate::cgroup::{Kinds, Mode};
use crate::config::NamespaceKind;
use crate::error::Fault;

/// The flags of the hierarchies and of what holds them.
const PLAIN: u32 = k::MS_NOSUID | k::MS_NODEV | k::MS_NOEXEC;

/// Plans a mount of type `cgroup`: whatever the host has.
pub(super) fn plan(mut mount: Mount, plan: &mut Plan) -> Result<(), Fault> {
    mount.data = Str::EMPTY;
    match plan.cgroup.mode {
        Mode::V2 => {
            mount.kind = Kind::Cgroup2;
            mount.fstype = plan.arena.push(b"cgroup2")?;
            mount.source = match plan.cgroup.hierarchies.get(0) {
                Some(row) => plan.arena.push(row.dir.to_bytes())?,
                None => plan.arena.push(b"/sys/fs/cgroup")?,
            };
            mount.recursive = true;
            push(plan, Op::Mount(mount))
        }
        // Nothing to show: an empty directory, so that nothing of the host shows through (CVE-2023-25809).
        Mode::None => {
            tmpfs(&mut mount, plan)?;
            mount.seal = true;
            push(plan, Op::Mount(mount))
        }
        Mode::V1 => {
            let readonly = mount.set & k::MS_RDONLY;
            tmpfs(&mut mount, plan)?;
            mount.kind = Kind::Base;
            mount.seal = readonly != 0;
            push(plan, Op::Mount(mount))?;
            for place in 0..plan.cgroup.hierarchies.len() {
                hierarchy(place, PLAIN | readonly, plan)?;
            }
            if plan.namespaces.own(NamespaceKind::Cgroup) {
                return Ok(());
            }
            // The links are made: the tmpfs may be read-only with what it holds.
            let readonly = if readonly == 0 {
                0
            } else {
                k::MOUNT_ATTR_RDONLY
            };
            let plain = k::MOUNT_ATTR_NOSUID | k::MOUNT_ATTR_NODEV | k::MOUNT_ATTR_NOEXEC;
            let attributes = plain | readonly;
            push(plan, Op::Within { attributes })
        }
    }
}

/// The tmpfs at /sys/fs/cgroup.
fn tmpfs(mount: &mut Mount, plan: &mut Plan) -> Result<(), Fault> {
    mount.fstype = plan.arena.push(b"tmpfs")?;
    mount.source = mount.fstype;
    mount.data = plan.arena.push(b"mode=755")?;
    mount.set = mount.set & !k::MS_RDONLY | PLAIN;
    Ok(())
}

/// One v1 hierarchy in it, under the name that it has on the host; with links for controllers that share it.
fn hierarchy(place: usize, set: u32, plan: &mut Plan) -> Result<(), Fault> {
    let own = plan.namespaces.own(NamespaceKind::Cgroup);
    let Plan { arena, cgroup, .. } = &mut *plan;
    let Some(row) = cgroup.hierarchies.get(place) else {
        return Ok(());
    };
    if row.kinds.has(Kinds::UNIFIED) {
        return Ok(());
    }
    let name = row.mount.rsplit(|byte| *byte == b'/').next();
    let name = arena.push(name.unwrap_or(row.mount))?;
    let below = if own {
        // A new mount of the hierarchy shows the namespace's part of it.
        let title = row.controllers.strip_prefix(b"name=");
        Below {
            name,
            source: arena.push(title.unwrap_or(b"cgroup"))?,
            fstype: arena.push(b"cgroup")?,
            data: arena.push(row.controllers)?,
            set,
        }
    } else {
        Below {
            name,
            source: arena.push(row.dir.to_bytes())?,
            fstype: Str::EMPTY,
            data: Str::EMPTY,
            set,
        }
    };
    let mut links = heapless::Vec::<Str, 16>::new();
    if row.controllers.contains(&b',') {
        for controller in row.controllers.split(|byte| *byte == b',') {
            // More than sixteen controllers do not exist.
            let _ = links.push(arena.push(controller)?);
        }
    }
    push(plan, Op::Below(below))?;
    for link in links {
        let (name, text) = (link, below.name);
        if plan.arena.bytes(name) != plan.arena.bytes(text) {
            push(plan, Op::LinkBelow { name, text })?;
        }
    }
    Ok(())
}
