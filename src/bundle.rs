//! From a bundle directory to a plan: reads config.json, asks the host what cgroups it has, and plans. Or, for `exec`,
//! from the config that was kept.
//!
//! Nothing is changed yet but the working directory, where the relative paths of a bundle start.
#![forbid(unsafe_code)]

mod exec;
mod kept;
mod look;
mod mounts;

pub use exec::{Joining, exec};
pub use look::look;
pub use mounts::mounts;

use core::ffi::CStr;

use rustix::fs::{CWD, FileType, OFlags};

use crate::cgroup::{self, Layout, Manager, Policy};
use crate::config::{self, Config, Pools};
use crate::error::{At, Context, Fault, Place, Rule, Step};
use crate::limits::{CONFIG_BYTES, Limit};
use crate::plan::environment::{SLOTS, Seen};
use crate::plan::make::{self, Request, Source};
use crate::plan::service::Service;
use crate::plan::{Plan, Scene};
use crate::seccomp::Scratch;
use crate::sys::file::read_whole;
use crate::sys::memory::TakeOnce;
use crate::sys::path;
use crate::sys::proc::working_directory;

/// The document; only the pages that it fills are ever touched.
pub(crate) static DOC: TakeOnce<[u8; CONFIG_BYTES]> = TakeOnce::new([0; CONFIG_BYTES]);
/// The plan.
pub(crate) static PLAN: TakeOnce<Plan> = TakeOnce::new(Plan::new());
/// The lists of config.json.
pub(crate) static POOLS: TakeOnce<Pools> = TakeOnce::new(Pools::new());
/// The host's cgroup hierarchies.
static LAYOUT: TakeOnce<Layout> = TakeOnce::new(Layout::new());
/// Scratch of the plan.
static SEEN: TakeOnce<Seen> = TakeOnce::new([0; SLOTS]);
/// Scratch of the filter.
static SCRATCH: TakeOnce<Scratch> = TakeOnce::new(Scratch::new());

/// What the command line says about a bundle.
#[derive(Clone, Copy)]
pub struct Wanted {
    /// Its directory; `None` is the working directory.
    pub directory: Option<&'static CStr>,
    /// The name of the container.
    pub id: &'static CStr,
    /// `--no-pivot`.
    pub no_pivot: bool,
    /// `--no-new-keyring`.
    pub no_new_keyring: bool,
    /// `--seccomp-default`.
    pub seccomp_default: bool,
    /// `--cgroup-manager`, `--systemd-cgroup`.
    pub cgroup_manager: Manager,
    /// `--rootless`, or what we are.
    pub rootless: bool,
    /// `--cgroup-policy`.
    pub cgroup_policy: Option<Policy>,
    /// What a service manager gave along.
    pub service: Service,
}

/// A bundle that was read and planned.
pub struct Bundle {
    /// What is going to be done.
    pub plan: &'static Plan,
    /// config.json.
    pub document: &'static [u8],
    /// The object `annotations` as it stands in the document; empty when there is none.
    pub annotations: &'static [u8],
    /// What is told about a document that is good enough to go on with.
    pub warnings: [Option<Fault>; 2],
}

/// Changes to the bundle directory, reads its config.json, and plans the container.
///
/// Once per process. The lists of the document are given back: nobody needs them after the plan.
///
/// # Errors
///
/// What is wrong with the document, or cannot be done; `scene` gets what that is about.
pub fn open(wanted: &Wanted, scene: &mut Scene) -> Result<Bundle, Fault> {
    let never = Fault::rule(Step::MakePlan, Rule::Never, At::Nothing);
    let (Some(doc), Some(plan)) = (DOC.take(), PLAN.take()) else {
        return Err(never);
    };
    let mut len = 0;
    let planned = make(wanted, doc, &mut len, plan);
    let doc: &'static [u8] = doc.get(..len).unwrap_or(&[]);
    let plan: &'static Plan = plan;
    (scene.document, scene.plan) = (doc, Some(plan));
    Ok(Bundle {
        plan,
        document: doc,
        annotations: annotations(doc),
        warnings: planned?,
    })
}

/// Reads into `doc` (`len` bytes of it), and fills `plan`.
#[inline(never)] // its buffer would lie in the frame of everything below
fn make(
    wanted: &Wanted,
    doc: &mut [u8],
    len: &mut usize,
    plan: &mut Plan,
) -> Result<[Option<Fault>; 2], Fault> {
    let never = Fault::rule(Step::MakePlan, Rule::Never, At::Nothing);
    let mut path = [0; 4096];
    let bundle = enter(wanted.directory, &mut path)?;
    *len = read(c"config.json", Step::ReadConfig, doc)?;
    let doc = doc.get(..*len).ok_or(never)?;
    let pools = POOLS.take().ok_or(never)?;
    let seen = SEEN.take().ok_or(never)?;
    let scratch = SCRATCH.take().ok_or(never)?;
    let config: Config = config::read(doc, pools)?;
    let layout = LAYOUT.take().ok_or(never)?;
    if wanted.cgroup_manager != Manager::Disabled {
        cgroup::discover(layout)?;
    }
    let request = Request {
        id: wanted.id.to_bytes(),
        bundle,
        no_pivot: wanted.no_pivot,
        no_new_keyring: wanted.no_new_keyring,
        seccomp_default: wanted.seccomp_default,
        cgroup_manager: manager(wanted, &config, layout),
        rootless: wanted.rootless,
        uid: rustix::process::geteuid().as_raw(),
        cgroup_policy: wanted.cgroup_policy,
        service: wanted.service,
    };
    let source = Source {
        config: &config,
        pools,
        doc,
    };
    make::make(request, source, layout, seen, scratch, plan)?;
    POOLS.give_back(pools);
    SCRATCH.give_back(scratch);
    Ok(warnings(&config, plan))
}

/// Nobody makes cgroups where they are not ours to make, unless they are asked for.
fn manager(wanted: &Wanted, config: &Config, layout: &Layout) -> Manager {
    let asked = config.linux.and_then(|linux| linux.cgroups_path);
    if wanted.rootless
        && wanted.cgroup_manager == Manager::Cgroupfs
        && asked.is_none()
        && !cgroup::can_make(layout)
    {
        return Manager::Disabled;
    }
    wanted.cgroup_manager
}

/// What the specification asks to warn of.
fn warnings(config: &Config, plan: &Plan) -> [Option<Fault>; 2] {
    let sets = config.process.and_then(|process| process.capabilities);
    let unknown = sets.filter(|sets| sets.unknown > 0);
    let cgroups = At::Place(Place::CgroupRoot);
    [
        unknown.map(|sets| Fault::rule(Step::MakePlan, Rule::UnknownCapability, At::Byte(sets.at))),
        (plan.cgroup.warn).then(|| Fault::rule(Step::FindCgroups, Rule::NoCgroups, cgroups)),
    ]
}

/// The object of a property as it stands in the document, without the white space that only readers need.
fn annotations(doc: &[u8]) -> &[u8] {
    config::find(doc, "annotations").map_or(&[], |at| config::value(doc, at))
}

/// Changes to the bundle directory, where its relative paths start, and gives its absolute path.
fn enter<'p>(bundle: Option<&CStr>, path: &'p mut [u8]) -> Result<&'p [u8], Fault> {
    let at = At::Place(Place::Bundle);
    if let Some(bundle) = bundle {
        rustix::process::chdir(bundle).step_at(Step::OpenBundle, at)?;
    }
    working_directory(path).step_at(Step::OpenBundle, at)
}

/// Reads a document whole.
fn read(path: &CStr, step: Step, doc: &mut [u8]) -> Result<usize, Fault> {
    // A FIFO would wait for a writer.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK;
    let file = path::open(CWD, path, flags, 0).step(step)?;
    let mode = rustix::fs::fstat(&file).step(step)?.st_mode;
    if FileType::from_raw_mode(mode) != FileType::RegularFile {
        return Err(Fault::rule(step, Rule::RegularFile, At::Nothing));
    }
    let len = read_whole(&file, doc).step(step)?;
    if len == doc.len() {
        return Err(Fault::limit(step, Limit::CONFIG_BYTES, At::Nothing));
    }
    Ok(len)
}
