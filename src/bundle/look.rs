//! From the config.json that a container was made of to its mounts and namespaces as they were planned then.
#![forbid(unsafe_code)]

use super::PLAN;
use super::kept::kept;
use crate::cgroup;
use crate::config;
use crate::error::{At, Fault, Rule, Step};
use crate::plan::draft::Draft;
use crate::plan::make::{Request, Source};
use crate::plan::{self, Plan, Scene};
use crate::state::{Dir, Stored};

/// Plans them, once per process.
///
/// # Errors
///
/// A copy of config.json that is not there or damaged; `scene` gets what that is about.
pub fn look(
    dir: &Dir<'_>,
    record: Stored<'_>,
    cgroups: &cgroup::Record,
    scene: &mut Scene,
) -> Result<&'static Plan, Fault> {
    let never = Fault::rule(Step::MakePlan, Rule::Never, At::Nothing);
    let plan = PLAN.take().ok_or(never)?;
    let (doc, pools) = kept(dir, record, scene)?;
    let config = config::read(doc, pools)?;
    cgroup::aim(&mut plan.cgroup, cgroups, &|_| ())?;
    let mut draft = Draft {
        request: Request::default(),
        source: Source {
            config: &config,
            pools,
            doc,
        },
        plan,
    };
    plan::look::make(&mut draft).map(|()| &*plan)
}
