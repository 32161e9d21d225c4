//! `create` and `run`: picks the flags, and calls the rooms in order.
#![forbid(unsafe_code)]

use super::flags::Parsed;
use super::{Call, FAILED};
use crate::bundle::{self, Wanted};
use crate::error::{Fault, Rule, Step};
use crate::limits::PRESERVE_FDS;
use crate::run::{self, Caller, Order, Purpose};
use crate::state::decimal;

/// `create ID`.
pub(super) fn create(call: &mut Call) -> Result<i32, Fault> {
    make(call, Purpose::Create)
}

/// `run ID`.
pub(super) fn run(call: &mut Call) -> Result<i32, Fault> {
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

fn make(call: &mut Call, purpose: Purpose) -> Result<i32, Fault> {
    let Some(preserve_fds) = preserve_fds(&mut call.parsed) else {
        return Ok(FAILED);
    };
    let (id, parsed) = (call.id, &call.parsed);
    run::protect(call.args, preserve_fds)?;
    // Its paths start at the working directory, which the bundle replaces.
    let caller = caller(parsed)?;
    let wanted = Wanted {
        directory: parsed.value("bundle"),
        id,
        no_pivot: parsed.is_on("no-pivot"),
        no_new_keyring: parsed.is_on("no-new-keyring"),
        seccomp_default: parsed.is_on("seccomp-default"),
        cgroup_manager: call.cgroup_manager,
        rootless: call.rootless,
        cgroup_policy: call.cgroup_policy,
    };
    let bundle = bundle::open(&wanted, &mut call.voice.scene)?;
    let mut warn = |fault| call.voice.warning_about(id.to_bytes(), fault);
    bundle.warnings.into_iter().flatten().for_each(&mut warn);
    for name in &bundle.plan.filter.unknown {
        let fault = Fault::rule(Step::MakePlan, Rule::UnknownCall, name.place());
        call.voice.debug_about(id.to_bytes(), fault);
    }
    let mut order = Order {
        args: call.args,
        state_root: call.root,
        id,
        purpose,
        preserve_fds,
        plan: bundle.plan,
        document: bundle.document,
        builtin_filter: wanted.seccomp_default,
        annotations: bundle.annotations,
        caller,
    };
    run::make(&mut order, &mut warn)
}

/// The sockets and the file that are told of the process.
pub(super) fn caller(parsed: &Parsed) -> Result<Caller, Fault> {
    Caller::new(
        parsed.value("console-socket"),
        parsed.value("pidfd-socket"),
        parsed.value("pid-file"),
    )
}

/// `None` for a value that makes no sense.
pub(super) fn preserve_fds(parsed: &mut Parsed) -> Option<u32> {
    let Some(text) = parsed.value("preserve-fds") else {
        return Some(0);
    };
    let number = decimal(text.to_bytes()).filter(|number| *number <= PRESERVE_FDS as u64);
    if number.is_none() {
        parsed.bad_value(text, "preserve-fds", "a number up to 1024");
    }
    u32::try_from(number?).ok()
}
