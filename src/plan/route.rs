//! Which processes it takes to reach the container's namespaces.
//!
//! A new pid namespace is entered by being born in it, and so is a joined one after setns; a time namespace takes its
//! offsets before its first process. So some mixtures need a process in the middle, and this file says which.
#![forbid(unsafe_code)]

use heapless::Vec;

use super::arena::{Arena, Str};
use super::draft::Draft;
pub use crate::config::NamespaceKind;
use crate::config::{Linux, List, Namespace, TimeOffset};
use crate::error::At;
use crate::limits::FULL;

/// The way from the runtime to the container's first process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// One clone.
    Direct,
    /// A process in the middle joins or makes the namespaces that only take effect on children, and the user namespace
    /// that others belong to; then it clones the container's first process as its own sibling.
    Middle,
}

/// A namespace to join.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Join {
    /// Which.
    pub kind: NamespaceKind,
    /// Its file on the host.
    pub path: Str,
    /// Offset of the entry in config.json.
    pub at: u32,
}

/// The mappings of users or groups of a user namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mappings {
    /// A line for each, as the kernel reads them.
    pub text: Str,
    /// Offset of the first one in config.json.
    pub at: u32,
}

impl Mappings {
    /// None.
    pub const NONE: Self = Self {
        text: Str::EMPTY,
        at: 0,
    };
}

/// A set of namespace kinds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kinds(u8);

impl Kinds {
    /// With one more.
    #[must_use]
    pub fn with(self, kind: NamespaceKind) -> Self {
        Self(self.0 | (1 << kind as u8))
    }

    /// Whether it is among them.
    #[must_use]
    pub fn has(self, kind: NamespaceKind) -> bool {
        self.0 & (1 << kind as u8) != 0
    }
}

/// All namespaces of the container that are not the runtime's own.
pub struct Namespaces {
    /// The way there.
    pub route: Route,
    /// Made for this container.
    pub new: Kinds,
    /// Joined by path, mount last.
    pub joins: Vec<Join, 8>,
    /// The text for `timens_offsets`, empty when there is none.
    pub time_offsets: Str,
    /// For `uid_map` and `gid_map` of a new user namespace.
    pub mappings: [Mappings; 2],
    /// The parent has rights over the host that a process in the user namespace does not have.
    pub aided: bool,
    /// A new network is what hooks make of it, and will be again when the container is restored.
    pub hooked: bool,
}

impl Namespaces {
    /// None at all.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            route: Route::Direct,
            new: Kinds(0),
            joins: Vec::new(),
            time_offsets: Str::EMPTY,
            mappings: [Mappings::NONE; 2],
            aided: false,
            hooked: false,
        }
    }

    /// Whether the container is not in the runtime's namespace of this kind.
    #[must_use]
    pub fn own(&self, kind: NamespaceKind) -> bool {
        self.new.has(kind) || self.joined(kind)
    }

    /// Whether the namespace of this kind is one that existed before.
    #[must_use]
    pub fn joined(&self, kind: NamespaceKind) -> bool {
        self.joins.iter().any(|join| join.kind == kind)
    }
}

impl Default for Namespaces {
    fn default() -> Self {
        Self::new()
    }
}

/// The way for these new and joined kinds.
fn route(new: Kinds, joined: Kinds) -> Route {
    use NamespaceKind::{Pid, Time, User};
    if joined.has(Pid) || joined.has(Time) || new.has(Time) || new.has(User) || joined.has(User) {
        Route::Middle
    } else {
        Route::Direct
    }
}

/// Fills the plan's namespaces from `linux.namespaces` and `linux.timeOffsets`.
pub fn make(draft: &mut Draft<'_>, linux: &Linux) {
    let mut joined = Kinds::default();
    let mut mount = None;
    for &Namespace { at, kind, path } in linux.namespaces.of(&draft.source.pools.namespaces) {
        let Some(path) = path else {
            let new = &mut draft.plan.namespaces.new;
            *new = new.with(kind);
            continue;
        };
        joined = joined.with(kind);
        let path = draft.text(path);
        let join = Join { kind, path, at };
        if kind == NamespaceKind::Mount {
            // setns to a mount namespace changes what paths mean, so it comes after everything else.
            mount = Some(join);
        } else {
            let _ = draft.plan.namespaces.joins.push(join);
        }
    }
    let hooks = draft.source.config.hooks.as_ref();
    let namespaces = &mut draft.plan.namespaces;
    namespaces.hooked = FULL
        && namespaces.new.has(NamespaceKind::Network)
        && hooks
            .is_some_and(|hooks| !hooks.prestart.is_empty() || !hooks.create_runtime.is_empty());
    if let Some(join) = mount {
        let _ = namespaces.joins.push(join);
    }
    namespaces.route = route(namespaces.new, joined);
    namespaces.aided = namespaces.own(NamespaceKind::User) && !draft.request.rootless;
    if namespaces.new.has(NamespaceKind::User) {
        let uids = mappings(draft, linux.uid_mappings);
        let gids = mappings(draft, linux.gid_mappings);
        draft.plan.namespaces.mappings = [uids, gids];
    }
    if let Some(offsets) = linux.time_offsets {
        let arena = &mut draft.plan.arena;
        line(b"monotonic ", offsets.monotonic, arena);
        line(b"boottime ", offsets.boottime, arena);
        draft.plan.namespaces.time_offsets = arena.close(At::Nothing);
    }
}

/// The lines for `/proc/PID/uid_map`, man 7 user_namespaces: first id inside, first id outside, how many.
pub(super) fn mappings(draft: &mut Draft<'_>, list: List) -> Mappings {
    let arena = &mut draft.plan.arena;
    let list = list.of(&draft.source.pools.id_mappings);
    for mapping in list {
        for (number, end) in [
            (mapping.container, b' '),
            (mapping.host, b' '),
            (mapping.size, b'\n'),
        ] {
            arena.put_number(i64::from(number));
            arena.add(end);
        }
    }
    Mappings {
        text: arena.close(At::Nothing),
        at: list.first().map_or(0, |first| first.at),
    }
}

/// Adds one of the two lines for `/proc/self/timens_offsets` to the open string, man 7 time_namespaces: clock, seconds,
/// nanoseconds.
fn line<const N: usize>(clock: &[u8], offset: Option<TimeOffset>, arena: &mut Arena<N>) {
    if let Some(TimeOffset { secs, nanosecs }) = offset {
        arena.put(clock);
        arena.put_number(secs);
        arena.add(b' ');
        arena.put_number(i64::from(nanosecs));
        arena.add(b'\n');
    }
}

#[cfg(test)]
mod tests {
    use super::{Arena, Kinds, Route, line, route};
    use crate::config::{NamespaceKind, TimeOffset};
    use NamespaceKind::{Cgroup, Ipc, Mount, Network, Pid, Time, User, Uts};

    fn kinds(list: &[NamespaceKind]) -> Kinds {
        list.iter()
            .fold(Kinds::default(), |set, kind| set.with(*kind))
    }

    #[test]
    fn who_needs_a_middle() {
        let all = [Pid, Network, Mount, Ipc, Uts, Cgroup];
        let cases: [(&[NamespaceKind], &[NamespaceKind], Route); 9] = [
            (&[], &[], Route::Direct),
            (&all, &[], Route::Direct),
            (&[Mount], &[Network, Ipc, Uts, Cgroup], Route::Direct),
            (&[], &[Mount], Route::Direct),
            (&[Mount], &[Pid], Route::Middle),
            (&[Pid, Time], &[], Route::Middle),
            (&[Pid], &[Time], Route::Middle),
            (&[User, Pid], &[], Route::Middle),
            (&[Mount], &[User], Route::Middle),
        ];
        for (new, joined, way) in cases {
            assert_eq!(route(kinds(new), kinds(joined)), way, "{new:?} {joined:?}");
        }
    }

    #[test]
    fn offsets_as_the_kernel_reads_them() {
        let offset = TimeOffset {
            secs: -5,
            nanosecs: 7,
        };
        let mut arena = Arena::<64>::new();
        line(b"boottime ", Some(offset), &mut arena);
        line(b"boottime ", None, &mut arena);
        assert_eq!(arena.open(), b"boottime -5 7\n");
    }
}
