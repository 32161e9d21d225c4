//! From a file with mounts, and the config.json that a container was made of, to a plan of what is mounted in it.
#![forbid(unsafe_code)]

use core::ffi::CStr;

use super::PLAN;
use super::kept::{beside, kept};
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
    let plan = PLAN.take().ok_or(never)?;
    let (doc, pools) = kept(dir, record, scene)?;
    let kept = config::read(doc, pools)?;
    let kept = Source {
        config: &kept,
        pools,
        doc,
    };
    let (doc, pools) = beside(file, Step::ReadMounts, scene)?;
    let own = config::read_mounts(doc, pools)?;
    let request = Request {
        id: dir.id().to_bytes(),
        bundle: record.bundle(),
        ..Request::default()
    };
    let own = Source {
        config: &own,
        pools,
        doc,
    };
    let made = live::make(request, kept, own, plan);
    let plan: &'static Plan = plan;
    scene.plan = Some(plan);
    made.map(|()| plan)
}
