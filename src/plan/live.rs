//! Mounts for a container that is there. Of a plan it fills the operations, and in `namespaces.new` what is joined.
#![forbid(unsafe_code)]

use super::Plan;
use super::draft::Draft;
use super::exec::joined;
use super::make::{Request, Source};
use super::mounts::{one, rule, seals};
use super::op::{Kind, Op};
use super::route::NamespaceKind;
use crate::error::{At, Fault, Rule};

/// Fills an empty plan with the mounts of `own`, for the container that `kept` describes.
///
/// # Errors
///
/// What cannot be done, at its place in the document of the mounts; a capacity.
pub fn make(
    request: Request<'_>,
    kept: Source<'_>,
    own: Source<'_>,
    plan: &mut Plan,
) -> Result<(), Fault> {
    plan.namespaces.new = joined(kept);
    if !plan.namespaces.new.has(NamespaceKind::Mount) {
        return Err(rule(Rule::NeedsMountNamespace, At::Nothing));
    }
    let mut draft = Draft {
        request,
        source: own,
        plan,
    };
    for mount in own.config.mounts.of(&own.pools.mounts) {
        // A new procfs would show the processes of the host: nobody who mounts is in the pid namespace of the container.
        let kind = mount.kind.unwrap_or_default();
        let refused = [&b"proc"[..], b"cgroup", b"cgroup2"];
        let mut refused = refused.iter().any(|name| kind.is(own.doc, name));
        one(&mut draft, mount)?;
        if let Some(Op::Mount(made)) = draft.plan.ops.last() {
            refused = made.id_map.is_some() || (refused && made.kind != Kind::Bind);
        }
        if refused {
            return Err(rule(Rule::LiveMount, At::Byte(mount.at)));
        }
    }
    seals(&mut draft);
    plan.arena.result()
}
