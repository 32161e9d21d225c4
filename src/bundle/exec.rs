//! From the config.json that a container was made of to the plan of one more process in it.
#![forbid(unsafe_code)]

use core::ffi::CStr;

use super::kept::{beside, kept};
use super::{PLAN, SCRATCH, SEEN};
use crate::config::{self, Config};
use crate::error::{At, Fault, Rule, Step};
use crate::plan::make::{Request, Source};
use crate::plan::process::Extra;
use crate::plan::service::Service;
use crate::plan::{self, Plan, Scene};
use crate::state::{Dir, Stored};

/// A container to join, and with what.
#[derive(Clone, Copy)]
pub struct Joining<'j> {
    /// Its directory.
    pub dir: &'j Dir<'j>,
    /// Its state.
    pub record: Stored<'j>,
    /// `--process`.
    pub process: Option<&'static CStr>,
    /// `--rootless`, or what we are.
    pub rootless: bool,
    /// What a service manager gives along.
    pub service: Service,
    /// What the command line adds.
    pub extra: Extra<'j>,
}

/// Plans the process, once per process. `change` has the last word.
///
/// # Errors
///
/// A copy of config.json that is not there or damaged, what is wrong with the document of `--process`, or what cannot be
/// done; `scene` gets what that is about.
pub fn exec(
    joining: Joining<'_>,
    change: &mut dyn FnMut(&mut Plan) -> Result<(), Fault>,
    scene: &mut Scene,
) -> Result<&'static Plan, Fault> {
    let never = Fault::rule(Step::MakePlan, Rule::Never, At::Nothing);
    let plan = PLAN.take().ok_or(never)?;
    let made = make(joining, plan, scene).and_then(|()| change(plan));
    let plan: &'static Plan = plan;
    scene.plan = Some(plan);
    made.map(|()| plan)
}

fn make(joining: Joining<'_>, plan: &mut Plan, scene: &mut Scene) -> Result<(), Fault> {
    let never = Fault::rule(Step::MakePlan, Rule::Never, At::Nothing);
    let seen = SEEN.take().ok_or(never)?;
    let scratch = SCRATCH.take().ok_or(never)?;
    let (doc, pools) = kept(joining.dir, joining.record, scene)?;
    let config = config::read(doc, pools)?;
    let config = Source {
        config: &config,
        pools,
        doc,
    };
    let own;
    let own = match joining.process {
        None => None,
        Some(path) => {
            let (doc, pools) = beside(path, Step::ReadProcess, scene)?;
            own = Config {
                process: Some(config::read_process(doc, pools)?),
                ..Config::default()
            };
            Some(Source {
                config: &own,
                pools,
                doc,
            })
        }
    };
    let request = Request {
        id: joining.dir.id().to_bytes(),
        bundle: joining.record.bundle(),
        no_new_keyring: !joining.record.own_keyring(),
        seccomp_default: joining.record.builtin_filter(),
        rootless: joining.rootless,
        service: joining.service,
        ..Request::default()
    };
    plan::exec::make(request, config, own, joining.extra, (seen, scratch), plan)
}
