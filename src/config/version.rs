//! What a document of an earlier version of the specification means, where that is not what the same words mean today.
#![forbid(unsafe_code)]

use super::types::Config;
use crate::limits::FULL;

/// Up to version 1.2 a limit of 0 processes was taken for no limit, and clients of that time write it: podman 4 for
/// `--pids-limit=-1`.
pub(super) fn bring_up_to_date(config: &mut Config, doc: &[u8]) {
    let linux = config.linux.as_mut();
    if FULL
        && let Some(resources) = linux.and_then(|linux| linux.resources.as_mut())
        && let Some(pids) = &mut resources.pids
        && pids.limit == Some(0)
        && let [b'1', b'.', b'0'..=b'2', b'.', ..] = config.oci_version.raw(doc)
    {
        pids.limit = None;
    }
}
