//! From a bundle directory to a plan.
#![forbid(unsafe_code)]

use core::ffi::CStr;

use heapless::Vec;
use rustix::fs::{CWD, FileType, Mode, OFlags};

use crate::cgroup::{self, Layout, Manager};
use crate::cli::{CgroupManager, CreateArgs, Globals};
use crate::config::{self, Config, Pools};
use crate::error::{At, Context, Errno, Fault, Place, Rule, Step};
use crate::limits::{ENV, Limit};
use crate::plan::Plan;
use crate::plan::make::{self, Request, Source};
use crate::sys::memory::TakeOnce;
use crate::sys::proc::working_directory;

/// The lists of config.json.
static POOLS: TakeOnce<Pools> = TakeOnce::new(Pools::new());
/// The host's cgroup hierarchies.
static LAYOUT: TakeOnce<Layout> = TakeOnce::new(Layout::new());
/// Scratch of the plan.
static SEEN: TakeOnce<[u32; 2 * ENV]> = TakeOnce::new([0; 2 * ENV]);

/// What is told about a document that is good enough to go on with.
pub(super) type Warnings = Vec<Fault, 4>;

/// Changes to the bundle, reads its config.json into `doc` (`len` bytes of it) and fills `plan`. The lists of the document are given back: nobody needs them after the plan.
pub(super) fn plan(
    globals: &Globals,
    args: &CreateArgs,
    doc: &mut [u8],
    len: &mut usize,
    plan: &mut Plan,
) -> Result<Warnings, Fault> {
    let never = Fault::rule(Step::MakePlan, Rule::Never, At::Nothing);
    let mut path = [0; 4096];
    let bundle = enter(args.bundle, &mut path)?;
    *len = read(doc)?;
    let doc = doc.get(..*len).ok_or(never)?;
    let pools = POOLS.take().ok_or(never)?;
    let seen = SEEN.take().ok_or(never)?;
    let config: Config = config::read(doc, pools)?;
    let layout = LAYOUT.take().ok_or(never)?;
    cgroup::discover(layout)?;
    let request = Request {
        id: args.id.to_bytes(),
        bundle,
        no_pivot: args.no_pivot,
        no_new_keyring: args.no_new_keyring,
        cgroup_manager: manager(globals),
    };
    make::make(
        request,
        Source {
            config: &config,
            pools,
            doc,
        },
        layout,
        seen,
        plan,
    )?;
    POOLS.give_back(pools);
    SEEN.give_back(seen);
    LAYOUT.give_back(layout);
    Ok(warnings(&config, plan))
}

/// What the specification asks to warn of.
fn warnings(config: &Config, plan: &Plan) -> Warnings {
    let mut warnings = Warnings::new();
    let mut warn = |step, rule, at| {
        // There are fewer kinds than places.
        let _ = warnings.push(Fault::rule(step, rule, at));
    };
    if let Some(sets) = config.process.and_then(|process| process.capabilities)
        && sets.unknown > 0
    {
        warn(Step::MakePlan, Rule::UnknownCapability, At::Byte(sets.at));
    }
    if plan.cgroup.warn {
        warn(
            Step::FindCgroups,
            Rule::NoCgroups,
            At::Place(Place::CgroupRoot),
        );
    }
    warnings
}

/// The object of a property as it stands in the document, without the white space that only readers need.
pub(super) fn annotations(doc: &[u8]) -> &[u8] {
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

/// Reads config.json whole.
fn read(doc: &mut [u8]) -> Result<usize, Fault> {
    // A FIFO would wait for a writer.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK;
    let file =
        rustix::fs::openat(CWD, c"config.json", flags, Mode::empty()).step(Step::ReadConfig)?;
    let mode = rustix::fs::fstat(&file).step(Step::ReadConfig)?.st_mode;
    if FileType::from_raw_mode(mode) != FileType::RegularFile {
        return Err(Fault::rule(
            Step::ReadConfig,
            Rule::RegularFile,
            At::Nothing,
        ));
    }
    let mut len = 0;
    loop {
        let Some(space) = doc.get_mut(len..).filter(|space| !space.is_empty()) else {
            return Err(Fault::limit(
                Step::ReadConfig,
                Limit::CONFIG_BYTES,
                At::Nothing,
            ));
        };
        match rustix::io::read(&file, space) {
            Ok(0) => return Ok(len),
            Ok(more) => len += more,
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno).step(Step::ReadConfig),
        }
    }
}

fn manager(globals: &Globals) -> Manager {
    match globals.cgroup_manager {
        CgroupManager::Cgroupfs => Manager::Cgroupfs,
        CgroupManager::Systemd => Manager::Systemd,
        CgroupManager::Disabled => Manager::Disabled,
    }
}
