//! A service manager around the container: what it gives along in the environment.
#![forbid(unsafe_code)]

use core::ffi::CStr;

use linux_raw_sys::general as k;

use super::arena::{Arena, Str};
use super::draft::Draft;
use super::mounts::Way;
use super::op::{Kind, Mount, Op, Propagation};
use crate::error::At;
use crate::limits::FULL;

/// Where the socket for sd_notify is.
pub const NOTIFY_DIRECTORY: &CStr = c"/run/notify";
/// Its name there.
pub const NOTIFY_NAME: &CStr = c"notify.sock";

/// What a service manager gives to a service through the environment.
#[derive(Clone, Copy, Default)]
pub struct Service {
    /// `$NOTIFY_SOCKET`: sd_notify(3) is heard.
    pub notify: bool,
    /// `$LISTEN_FDS`: the number of sockets from descriptor 3 on.
    pub sockets: u32,
    /// `$LISTEN_FDNAMES`: their names.
    pub names: Option<&'static CStr>,
}

impl Service {
    /// The most entries that [`Service::environment`] makes.
    pub(super) const ENTRIES: usize = 4;

    /// What a service manager has for the program goes on as it would to a service, `note` being told of each entry.
    /// sd_listen_fds(3) wants the receiver's own pid, which nobody knows yet: an empty one takes the place of any other.
    pub(super) fn environment<const N: usize>(
        self,
        notify: bool,
        arena: &mut Arena<N>,
        note: &mut dyn FnMut(&Arena<N>, Str),
    ) {
        if notify {
            let entry = arena.push(b"NOTIFY_SOCKET=/run/notify/notify.sock");
            note(arena, entry);
        }
        if !FULL || self.sockets == 0 {
            return;
        }
        arena.put(b"LISTEN_FDS=");
        arena.put_number(i64::from(self.sockets));
        let entry = arena.close(At::Nothing);
        note(arena, entry);
        let entry = arena.push(b"LISTEN_PID=");
        note(arena, entry);
        if let Some(names) = self.names {
            arena.put(b"LISTEN_FDNAMES=");
            let entry = arena.push(names.to_bytes());
            note(arena, entry);
        }
    }
}

/// Plans the directory of the socket for sd_notify, where there are mounts of its own.
pub(super) fn directory(draft: &mut Draft<'_>) {
    let plan = &mut draft.plan;
    plan.notify = FULL && draft.request.service.notify && plan.root.way != Way::Chroot;
    if !plan.notify {
        return;
    }
    let arena = &mut plan.arena;
    let fstype = arena.push(b"tmpfs");
    let mount = Mount {
        kind: Kind::New,
        recursive: false,
        copy_up: false,
        inherit_mode: false,
        seal: true,
        target: arena.push(NOTIFY_DIRECTORY.to_bytes()),
        source: fstype,
        fstype,
        data: arena.push(b"mode=755,size=4k"),
        set: k::MS_NOSUID | k::MS_NODEV | k::MS_NOEXEC,
        cleared: 0,
        rec_set: 0,
        rec_clear: 0,
        id_map: None,
        propagation: Propagation::NONE,
    };
    draft.op(Op::Mount(mount));
}
