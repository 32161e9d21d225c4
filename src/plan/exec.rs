//! The plan of a process that joins a container: from the config that the container was made of, and perhaps a process
//! object of its own.
//!
//! Of a plan it fills the process, the keyring, and in `namespaces.new` the kinds that the container does not share with
//! the runtime, be they made for it or joined.
#![forbid(unsafe_code)]

use super::Plan;
use super::draft::Draft;
use super::environment::Seen;
use super::make::{Request, Source};
use super::process::{self, Extra};
use super::route::{Kinds, NamespaceKind};
use super::{rdt, seccomp};
use crate::error::Fault;
use crate::limits::FULL;
use crate::seccomp::Scratch;

/// Fills an empty plan from `config`, with the process of `own` if there is one.
///
/// # Errors
///
/// What cannot be done, at its place in the document that the process is from; a capacity.
pub fn make(
    request: Request<'_>,
    config: Source<'_>,
    own: Option<Source<'_>>,
    extra: Extra<'_>,
    (seen, scratch): (&mut Seen, &mut Scratch),
    plan: &mut Plan,
) -> Result<(), Fault> {
    let mut draft = Draft {
        request,
        source: own.unwrap_or(config),
        plan,
    };
    let made = fill(&mut draft, config, extra, seen);
    // The filter and the share of caches are the container's, whoever the process is.
    draft.source = config;
    if FULL
        && let Some(linux) = &config.config.linux
        && let Some(groups) = &linux.intel_rdt
    {
        rdt::make(&mut draft, groups);
    }
    let made = made.and_then(|()| seccomp::fill(&mut draft, scratch));
    plan.arena.result().and(made)
}

fn fill(
    draft: &mut Draft<'_>,
    config: Source<'_>,
    extra: Extra<'_>,
    seen: &mut Seen,
) -> Result<(), Fault> {
    let Draft {
        request, source, ..
    } = *draft;
    draft.plan.id = draft.plan.arena.push(request.id);
    draft.plan.bundle = draft.plan.arena.push(request.bundle);
    if !request.no_new_keyring {
        draft.session_keyring();
    }
    if let Some(linux) = &config.config.linux {
        let namespaces = &mut draft.plan.namespaces;
        namespaces.new = joined(config);
        namespaces.aided = namespaces.own(NamespaceKind::User) && !request.rootless;
        if source.config.linux.is_none() {
            process::machine(linux, config.doc, &mut draft.plan.process)?;
        }
    }
    process::make(draft, extra, seen)?;
    match &source.config.process {
        Some(process) => process::affinity(process, source.doc, &mut draft.plan.process),
        None => Ok(()),
    }
}

/// The kinds of namespaces that the container does not share with the runtime.
pub(super) fn joined(config: Source<'_>) -> Kinds {
    let mut kinds = Kinds::default();
    if let Some(linux) = &config.config.linux {
        for entry in linux.namespaces.of(&config.pools.namespaces) {
            kinds = kinds.with(entry.kind);
        }
    }
    kinds
}
