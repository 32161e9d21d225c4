//! `create` and `run`: picks the flags, and calls the rooms in order.
#![forbid(unsafe_code)]

use super::flags::Parsed;
use super::{Call, FAILED};
use crate::bundle::{self, Wanted};
use crate::error::{Fault, Rule, Step};
use crate::limits::{self, FULL, PRESERVE_FDS};
use crate::plan::service::Service;
use crate::run::{self, BringUp, Caller, Order, Purpose};
use crate::state;
use crate::sys::args::Args;
use crate::sys::proc;
use crate::text::number;

/// `create ID`.
pub(super) fn create(call: &mut Call) -> Result<i32, Fault> {
    make(call, Purpose::Create)
}

/// `run ID`.
pub(super) fn run(call: &mut Call) -> Result<i32, Fault> {
    make(call, purpose(&call.parsed))
}

/// What is to become of a container that runs.
pub(super) fn purpose(parsed: &Parsed) -> Purpose {
    if parsed.is_on("detach") {
        Purpose::Detach
    } else {
        Purpose::Foreground {
            keep: parsed.is_on("keep"),
            reaper: !parsed.is_on("no-subreaper"),
        }
    }
}

fn make(call: &mut Call, purpose: Purpose) -> Result<i32, Fault> {
    let service = service(call.args);
    let Some(preserve_fds) = preserve_fds(&mut call.parsed, service.sockets) else {
        return Ok(FAILED);
    };
    run::protect(call.args, preserve_fds)?;
    let caller = caller(&call.parsed)?;
    let given = (service, preserve_fds);
    in_bundle(call, purpose, given, caller, &mut run::bring_up)
}

/// Reads the bundle, and has its container brought up.
pub(super) fn in_bundle(
    call: &mut Call,
    purpose: Purpose,
    (service, preserve_fds): (Service, u32),
    caller: Caller,
    bring_up: BringUp<'_>,
) -> Result<i32, Fault> {
    let (id, parsed) = (call.id, &call.parsed);
    // Before it becomes part of a cgroup's path.
    state::checked(id, Step::ReserveId)?;
    // Its path, too, starts where the caller is.
    let root = state::Root::open(call.root, call.args, true)?;
    let wanted = Wanted {
        directory: parsed.value("bundle"),
        id,
        no_pivot: parsed.is_on("no-pivot"),
        no_new_keyring: parsed.is_on("no-new-keyring"),
        seccomp_default: parsed.is_on("seccomp-default"),
        cgroup_manager: call.cgroup_manager,
        rootless: call.rootless(),
        cgroup_policy: call.cgroup_policy,
        service,
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
        id,
        purpose,
        preserve_fds,
        plan: bundle.plan,
        document: bundle.document,
        builtin_filter: wanted.seccomp_default,
        annotations: bundle.annotations,
        caller,
    };
    run::make(&root, &mut order, bring_up, &mut warn)
}

/// The sockets and the file that are told of the process. Their paths start at the working directory, which the bundle
/// replaces.
pub(super) fn caller(parsed: &Parsed) -> Result<Caller, Fault> {
    Caller::new(
        parsed.value("console-socket"),
        parsed.value("pidfd-socket"),
        parsed.value("pid-file"),
    )
}

/// What a service manager says in the environment; descriptors only where they are meant for this process.
pub(super) fn service(args: Args) -> Service {
    let value = |name: &[u8]| number(args.env(name)?.to_bytes(), 10);
    let own = proc::number(rustix::process::getpid());
    let ours = FULL && value(b"LISTEN_PID") == Some(u64::from(own));
    let sockets = if ours { value(b"LISTEN_FDS") } else { None };
    Service {
        notify: args
            .env(b"NOTIFY_SOCKET")
            .is_some_and(|name| !name.is_empty()),
        // A larger number is refused below.
        sockets: u32::try_from(sockets.unwrap_or(0)).unwrap_or(u32::MAX),
        names: args.env(b"LISTEN_FDNAMES"),
    }
}

/// The descriptors to keep: those of the service manager, and as many as the flag says. `None` for a value that makes no
/// sense.
pub(super) fn preserve_fds(parsed: &mut Parsed, sockets: u32) -> Option<u32> {
    let text = parsed.value("preserve-fds").unwrap_or(c"0");
    let more = number(text.to_bytes(), 10);
    let number = more.and_then(|more| more.checked_add(u64::from(sockets)));
    let number = number.filter(|number| *number <= PRESERVE_FDS as u64);
    if number.is_none() {
        parsed.bad_value(
            text,
            "preserve-fds",
            concat!(
                "a number up to ",
                limits::text!(PRESERVE_FDS),
                ", with $LISTEN_FDS"
            ),
        );
    }
    u32::try_from(number?).ok()
}
