//! `create` and `run`: picks the flags, and calls the rooms in order.
#![forbid(unsafe_code)]

use super::flags::{Misuse, bad_value};
use super::{Call, Stop};
use crate::bundle::{self, Wanted};
use crate::limits::PRESERVE_FDS;
use crate::plan::Told;
use crate::run::{self, Caller, Order, Purpose};
use crate::say::Failure;

/// `create ID`.
pub(super) fn create(call: &Call) -> Result<i32, Stop> {
    make(call, Purpose::Create)
}

/// `run ID`.
pub(super) fn run(call: &Call) -> Result<i32, Stop> {
    let purpose = if call.parsed.is_on("detach") {
        Purpose::Detach
    } else {
        Purpose::Foreground {
            keep: call.parsed.is_on("keep"),
            reaper: !call.parsed.is_on("no-subreaper"),
        }
    };
    make(call, purpose)
}

fn make(call: &Call, purpose: Purpose) -> Result<i32, Stop> {
    let (globals, parsed) = (&call.globals, &call.parsed);
    let preserve_fds = preserve_fds(call)?;
    run::protect(globals.args, preserve_fds)?;
    // Its paths start at the working directory, which the bundle replaces.
    let caller = Caller::new(parsed.value("console-socket"), parsed.value("pid-file"))?;
    let bundle = bundle::open(&Wanted {
        directory: parsed.value("bundle"),
        id: call.id(),
        no_pivot: parsed.is_on("no-pivot"),
        no_new_keyring: parsed.is_on("no-new-keyring"),
        cgroup_manager: globals.cgroup_manager,
    })?;
    let told = |fault| Told {
        fault,
        doc: bundle.doc,
        plan: Some(bundle.plan),
        program: &[],
    };
    let mut warn = |fault| {
        let failure = Failure::from(told(fault));
        call.voice.warning_about(call.id().to_bytes(), &failure);
    };
    bundle.warnings.iter().copied().for_each(&mut warn);
    let order = Order {
        args: globals.args,
        state_root: globals.root,
        id: call.id(),
        purpose,
        preserve_fds,
        plan: bundle.plan,
        annotations: bundle.annotations,
        caller,
    };
    Ok(run::make(order, &mut warn).map_err(told)?)
}

fn preserve_fds(call: &Call) -> Result<u32, Stop> {
    let Some(number) = call.parsed.value("preserve-fds") else {
        return Ok(0);
    };
    number
        .to_str()
        .ok()
        .and_then(|text| text.parse().ok())
        .filter(|number| usize::try_from(*number).is_ok_and(|number| number <= PRESERVE_FDS))
        .ok_or_else(|| -> Misuse { bad_value(number, "preserve-fds", ": a number up to 1024") })
        .map_err(Stop::Misuse)
}
