//! From a file with mounts, and the config.json that a container was made of, to a plan of what is mounted in it.
#![forbid(unsafe_code)]

use core::ffi::CStr;

use super::exec::{OWN_DOC, OWN_POOLS};
use super::{DOC, PLAN, POOLS, read};
use crate::config;
use crate::error::{At, Fault, Rule, Step};
use crate::plan::make::{Request, Source};
use crate::plan::{Plan, Scene, live};
use crate::state::{Dir, Stored};

/// Plans the mounts, once per process.
///
/// # Errors
///
/// A copy of config.json that is not there or damaged, what is wrong with the file, or what cannot be done; `scene` gets
/// what that is about.
pub fn mounts(
    dir: &Dir<'_>,
    record: Stored<'_>,
    file: &'static CStr,
    scene: &mut Scene,
) -> Result<&'static Plan, Fault> {
    let never = Fault::rule(Step::MakePlan, Rule::Never, At::Nothing);
    let (doc, pools) = (DOC.take().ok_or(never)?, POOLS.take().ok_or(never)?);
    let (own_doc, own_pools) = (OWN_DOC.take().ok_or(never)?, OWN_POOLS.take().ok_or(never)?);
    let plan = PLAN.take().ok_or(never)?;
    let doc = dir.load_config(record, doc)?;
    let kept = config::read(doc, pools)?;
    let length = read(file, Step::ReadMounts, own_doc)?;
    let own_doc: &'static [u8] = own_doc.get(..length).unwrap_or(&[]);
    (scene.document, scene.name) = (own_doc, file.to_bytes());
    let own = config::read_mounts(own_doc, own_pools)?;
    let request = Request {
        id: dir.id().to_bytes(),
        bundle: record.bundle(),
        ..Request::default()
    };
    let kept = Source {
        config: &kept,
        pools,
        doc,
    };
    let own = Source {
        config: &own,
        pools: own_pools,
        doc: own_doc,
    };
    let made = live::make(request, kept, own, plan);
    let plan: &'static Plan = plan;
    scene.plan = Some(plan);
    made.map(|()| plan)
}
