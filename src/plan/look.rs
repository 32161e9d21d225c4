//! The mounts and namespaces of a container that exists, and is to be looked at: as they were planned when it was made.
#![forbid(unsafe_code)]

use super::draft::Draft;
use super::{mounts, route};
use crate::error::Fault;

/// Plans them; the cgroups are in the plan already.
///
/// # Errors
///
/// As when it was made.
pub fn make(draft: &mut Draft<'_>) -> Result<(), Fault> {
    if let Some(linux) = &draft.source.config.linux {
        route::make(draft, linux);
    }
    mounts::make(draft)?;
    draft.plan.arena.result()
}
