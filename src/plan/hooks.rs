//! Hooks as the room `hooks` runs them: lists of text in the arena.
//!
//! They stand behind the words of the process, together with what a hook is told about the container: that part of the
//! arena is what init keeps while it waits.
#![forbid(unsafe_code)]

use super::arena::{Arena, Str};
use super::draft::Draft;
use crate::config;
use crate::error::{At, Step};

/// When hooks run, in the order of a container's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// In the runtime's namespaces, when the mounts are made.
    Prestart,
    /// The same, after those.
    CreateRuntime,
    /// In the container's namespaces, before pivot_root.
    CreateContainer,
    /// In the container, before execve.
    StartContainer,
    /// In the runtime's namespaces, after execve.
    Poststart,
    /// In the runtime's namespaces, when nothing of the container is left.
    Poststop,
}

impl Moment {
    /// What a fault names.
    #[must_use]
    pub fn step(self) -> Step {
        match self {
            Self::Prestart => Step::PrestartHook,
            Self::CreateRuntime => Step::CreateRuntimeHook,
            Self::CreateContainer => Step::CreateContainerHook,
            Self::StartContainer => Step::StartContainerHook,
            Self::Poststart => Step::PoststartHook,
            Self::Poststop => Step::PoststopHook,
        }
    }

    /// What the container is doing then.
    #[must_use]
    pub fn status(self) -> &'static str {
        match self {
            Self::Prestart | Self::CreateRuntime | Self::CreateContainer => "creating",
            Self::StartContainer => "created",
            Self::Poststart => "running",
            Self::Poststop => "stopped",
        }
    }
}

/// All hooks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hooks {
    /// Where in the arena the lists are.
    lists: [Str; 6],
    /// The name of the container; behind it the path of the bundle, and the object `annotations` as it stands in the
    /// document. Only if there are hooks.
    pub about: Str,
}

impl Hooks {
    /// None.
    pub const NONE: Self = Self {
        lists: [Str::EMPTY; 6],
        about: Str::EMPTY,
    };

    /// The hooks of a moment: a part of the arena.
    #[must_use]
    pub fn list(&self, moment: Moment) -> Str {
        self.lists
            .get(moment as usize)
            .copied()
            .unwrap_or(Str::EMPTY)
    }

    /// The text of [`Hooks::list`].
    #[must_use]
    pub fn text<'a, const N: usize>(&self, moment: Moment, arena: &'a Arena<N>) -> &'a [u8] {
        let list = self.list(moment);
        arena
            .from(list)
            .get(..list.len as usize)
            .unwrap_or_default()
    }

    /// Whether the runtime itself has something to run before pivot_root.
    #[must_use]
    pub fn in_create(&self) -> bool {
        !self.list(Moment::Prestart).is_empty() || !self.list(Moment::CreateRuntime).is_empty()
    }
}

/// Fills the plan's hooks. The words of the process are in the arena already, and nothing but this follows them.
pub(super) fn make(draft: &mut Draft<'_>, hooks: &config::Hooks) {
    let source = draft.source;
    let lists = hooks.all();
    if lists.iter().all(|list| list.is_empty()) {
        return;
    }
    let arena = &mut draft.plan.arena;
    let about = arena.push(draft.request.id);
    arena.push(draft.request.bundle);
    if let Some(at) = config::find(source.doc, "annotations") {
        arena.push(config::value(source.doc, at));
    } else {
        arena.push(b"");
    }
    let lists = lists.map(|list| {
        let start = draft.plan.arena.used();
        for hook in list.of(&source.pools.hooks) {
            one(draft, hook, list == hooks.start_container);
        }
        let length = draft.plan.arena.used() - start;
        Str {
            at: u32::try_from(start).unwrap_or(0),
            len: u32::try_from(length).unwrap_or(0),
        }
    });
    draft.plan.hooks = Hooks { lists, about };
}

fn one(draft: &mut Draft<'_>, hook: &config::Hook, inherits: bool) {
    let pools = draft.source.pools;
    let count = |draft: &mut Draft<'_>, number: u32| {
        draft.plan.arena.put_number(i64::from(number));
        draft.plan.arena.close(At::Byte(hook.at));
    };
    count(draft, hook.timeout.unwrap_or(0));
    count(draft, hook.args.len.max(1));
    match hook.env {
        // As runc: nothing, but a hook in the container has the environment of its process.
        None if inherits => drop(draft.plan.arena.push(b"-")),
        env => count(draft, env.map_or(0, |list| list.len)),
    }
    draft.text(hook.path);
    if hook.args.is_empty() {
        draft.text(hook.path);
    }
    for list in [hook.args, hook.env.unwrap_or_default()] {
        for word in list.of(&pools.hook_words) {
            draft.text(*word);
        }
    }
}
