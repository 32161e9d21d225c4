//! `linux.intelRdt`: which group, what is written to it, and what has to be removed with the container.
#![forbid(unsafe_code)]

use super::arena::Str;
use super::draft::Draft;
use crate::config::{IntelRdt, Text};
use crate::error::At;

/// The groups of a container; paths are relative to the mount point of resctrl.
#[derive(Clone, Copy)]
pub struct Rdt {
    /// The control group; `None` leaves resctrl alone.
    pub group: Option<Str>,
    /// It may be made if it is missing.
    pub makes: bool,
    /// config.json names it.
    pub named: bool,
    /// The lines for its file `schemata`.
    pub schemata: Str,
    /// Those that a group that was there must have.
    pub wanted: Str,
    /// The monitoring group.
    pub monitor: Option<Str>,
    /// What goes with the container.
    pub removed: Option<Str>,
}

impl Rdt {
    /// Nothing to do.
    pub const NONE: Self = Self {
        group: None,
        makes: false,
        named: false,
        schemata: Str::EMPTY,
        wanted: Str::EMPTY,
        monitor: None,
        removed: None,
    };
}

/// Fills `plan.rdt`.
pub(super) fn make(draft: &mut Draft<'_>, rdt: &IntelRdt) {
    let pools = draft.source.pools;
    let id = draft.plan.id;
    let group = match rdt.clos_id {
        None => id,
        // "/" is the root group.
        Some(name) if name.is(draft.source.doc, b"/") => draft.plan.arena.push(b"."),
        Some(name) => draft.text(name),
    };
    let wanted = lines(draft, rdt, &[]);
    let schemata = lines(draft, rdt, rdt.schemata.of(&pools.schemata));
    let monitor = rdt.enable_monitoring.then(|| {
        let arena = &mut draft.plan.arena;
        arena.put_again(group);
        arena.put(b"/mon_groups/");
        arena.put_again(id);
        arena.close(At::Byte(rdt.at))
    });
    let named = rdt.clos_id.is_some();
    draft.plan.rdt = Rdt {
        group: Some(group),
        makes: !named || !schemata.is_empty(),
        named,
        schemata,
        wanted,
        monitor,
        // With a control group goes its monitoring group.
        removed: if named { monitor } else { Some(group) },
    };
}

/// The lines of the two properties, and more.
fn lines(draft: &mut Draft<'_>, rdt: &IntelRdt, more: &[Text]) -> Str {
    let two = [rdt.l3_cache_schema, rdt.mem_bw_schema];
    for line in two.iter().flatten().chain(more) {
        draft.put(*line);
        draft.plan.arena.add(b'\n');
    }
    if draft.plan.arena.open().is_empty() {
        return Str::EMPTY;
    }
    draft.plan.arena.close(At::Byte(rdt.at))
}
