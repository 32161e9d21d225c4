//! `create` and `run`: picks the flags; the work is in the room `run`.
#![forbid(unsafe_code)]

use super::flags::{Misuse, bad_value};
use super::{Call, CreateArgs, Stop};
use crate::limits::PRESERVE_FDS;
use crate::run::{self, Told};
use crate::say::Failure;

/// `create ID`.
pub(super) fn create(call: &Call) -> Result<i32, Stop> {
    let args = CreateArgs {
        detach: true,
        ..arguments(call)?
    };
    Ok(run::create(&call.globals, &args, &mut |told| {
        warn(call, told)
    })?)
}

/// `run ID`.
pub(super) fn run(call: &Call) -> Result<i32, Stop> {
    let args = arguments(call)?;
    Ok(run::run(&call.globals, &args, &mut |told| {
        warn(call, told)
    })?)
}

fn warn(call: &Call, told: &Told) {
    call.voice
        .warning_about(call.id().to_bytes(), &Failure::from(*told));
}

fn arguments(call: &Call) -> Result<CreateArgs, Stop> {
    let parsed = &call.parsed;
    let preserve_fds = match parsed.value("preserve-fds") {
        None => 0,
        Some(number) => number
            .to_str()
            .ok()
            .and_then(|text| text.parse().ok())
            .filter(|number| usize::try_from(*number).is_ok_and(|number| number <= PRESERVE_FDS))
            .ok_or_else(|| -> Misuse { bad_value(number, "preserve-fds", ": a number up to 1024") })
            .map_err(Stop::Misuse)?,
    };
    Ok(CreateArgs {
        id: call.id(),
        bundle: parsed.value("bundle"),
        console_socket: parsed.value("console-socket"),
        pid_file: parsed.value("pid-file"),
        preserve_fds,
        no_pivot: parsed.is_on("no-pivot"),
        no_new_keyring: parsed.is_on("no-new-keyring"),
        detach: parsed.is_on("detach"),
        keep: parsed.is_on("keep"),
        no_subreaper: parsed.is_on("no-subreaper"),
    })
}
