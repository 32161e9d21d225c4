//! Which ids a mount has: `idmap`, `ridmap`, and the mappings of one entry of `mounts`.
#![forbid(unsafe_code)]

use super::draft::Draft;
use super::mounts::rule;
use super::op::IdMap;
use super::options::Flags;
use super::route;
use crate::config::{self, NamespaceKind};
use crate::error::{At, Fault, Rule};
use crate::limits::FULL;

/// The mappings of a mount: its own; without any, those of the container.
///
/// # Errors
///
/// A mount that is no bind mount; no mappings at all.
pub(super) fn of(
    draft: &mut Draft<'_>,
    entry: &config::Mount,
    flags: Flags,
) -> Result<Option<IdMap>, Fault> {
    let own = !entry.uid_mappings.is_empty();
    if !own && flags.id_map.is_none() {
        return Ok(None);
    }
    let at = At::Byte(entry.at);
    if !FULL {
        return Err(rule(Rule::NotInThisBuild, at));
    }
    if flags.bind == 0 || flags.remount {
        return Err(rule(Rule::IdMapBind, at));
    }
    if !own && !draft.plan.namespaces.own(NamespaceKind::User) {
        return Err(rule(Rule::IdMapMissing, at));
    }
    Ok(Some(IdMap {
        recursive: flags.id_map == Some(true),
        mappings: [entry.uid_mappings, entry.gid_mappings].map(|list| route::mappings(draft, list)),
    }))
}
