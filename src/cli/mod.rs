//! The command line: one table of verbs and flags, one file per verb.
//!
//! A verb picks its flags, calls rooms in order, and returns the exit code or what went wrong; that is said here, once.
#![forbid(unsafe_code)]

mod command;
mod create;
mod delete;
mod flags;
mod help;
mod kill;
mod list;
mod spec;
mod start;
mod state;

pub use command::{CgroupManager, Globals, LogFormat, Rootless};

use crate::say::{Failure, Voice};
use crate::sys::args::Args;
use crate::sys::file::standard_descriptors;
use crate::sys::sig::{bit, set_mask};
use core::ffi::CStr;
use flags::{Misuse, Parsed, Section, bad_value, boolean, parse, section};

/// The exit code of a command that could not do what it should.
const FAILED: i32 = 1;
/// The exit code for a verb that does not exist, as runc has it.
const NO_VERB: i32 = 3;
const SIGPIPE: i32 = 13;
const SIGXFSZ: i32 = 25;

/// A verb with its flags and operands.
struct Call {
    globals: Globals,
    parsed: Parsed,
    voice: Voice,
}

impl Call {
    /// The first operand: the name of the container. The table demands it where a verb asks for it.
    fn id(&self) -> &'static CStr {
        self.parsed.operand(0).unwrap_or_default()
    }
}

/// Why a command ends early.
enum Stop {
    /// What a room could not do.
    Failure(Failure<'static>),
    /// A command line that makes no sense.
    Misuse(Misuse),
}

impl<T: Into<Failure<'static>>> From<T> for Stop {
    fn from(failure: T) -> Self {
        Self::Failure(failure.into())
    }
}

/// Runs the command line and returns the exit code.
#[must_use]
pub fn main(args: Args) -> i32 {
    standard_descriptors();
    // A closed pipe and a full disk quota are errors of write(2), not a death in the middle of something.
    let _ = set_mask(bit(SIGPIPE) | bit(SIGXFSZ));
    let mut voice = Voice {
        log: None,
        format: LogFormat::Text,
        debug: false,
        verb: "",
        id: b"",
    };
    // Not made to stand between users of different rights (CVE-2017-5985).
    if args.is_secure() {
        voice.error(&[b"ocilet must not be setuid, setgid or have file capabilities"]);
        return FAILED;
    }
    let Some(top) = section(b"") else {
        return FAILED;
    };
    match before_verb(args, top, &mut voice) {
        Ok((globals, parsed)) => after_options(globals, &parsed, top, voice),
        Err(wrong) => wrong_usage(&voice, wrong, top),
    }
}

/// The options before the verb. `voice` gets those that concern it as soon as they are known.
fn before_verb(args: Args, top: Section, voice: &mut Voice) -> Result<(Globals, Parsed), Misuse> {
    let parsed = parse(args, 1, top, true)?;
    voice.log = parsed.value("log");
    voice.debug = parsed.is_on("debug");
    let mut globals = Globals {
        args,
        root: parsed.value("root"),
        log: voice.log,
        log_format: LogFormat::Text,
        debug: voice.debug,
        cgroup_manager: CgroupManager::Cgroupfs,
        rootless: Rootless::Auto,
    };
    if let Some(format) = parsed.value("log-format") {
        globals.log_format = match format.to_bytes() {
            b"text" | b"" => LogFormat::Text,
            b"json" => LogFormat::Json,
            _ => return Err(bad_value(format, "log-format", ": text or json")),
        };
        voice.format = globals.log_format;
    }
    if parsed.is_on("systemd-cgroup") {
        globals.cgroup_manager = CgroupManager::Systemd;
    }
    if let Some(manager) = parsed.value("cgroup-manager") {
        globals.cgroup_manager = match manager.to_bytes() {
            b"cgroupfs" => CgroupManager::Cgroupfs,
            b"systemd" => CgroupManager::Systemd,
            b"disabled" => CgroupManager::Disabled,
            _ => {
                return Err(bad_value(
                    manager,
                    "cgroup-manager",
                    ": cgroupfs, systemd or disabled",
                ));
            }
        };
    }
    if let Some(rootless) = parsed.value("rootless") {
        globals.rootless = match (rootless.to_bytes(), boolean(rootless.to_bytes())) {
            (b"auto", _) => Rootless::Auto,
            (_, Some(true)) => Rootless::True,
            (_, Some(false)) => Rootless::False,
            _ => return Err(bad_value(rootless, "rootless", ": true, false or auto")),
        };
    }
    Ok((globals, parsed))
}

fn after_options(globals: Globals, options: &Parsed, top: Section, mut voice: Voice) -> i32 {
    let args = globals.args;
    if options.is_on("version") {
        return end(
            &voice,
            help::version(args.get(0).unwrap_or_default().to_bytes()).map(|()| 0),
            top,
        );
    }
    let Some(verb) = args.get(options.next).filter(|_| !options.is_on("help")) else {
        return end(&voice, help::print(None, top).map(|()| 0), top);
    };
    let verb = if verb == c"h" { c"help" } else { verb };
    let Some(section) = section(verb.to_bytes()).filter(|section| !section.name.is_empty()) else {
        voice.error(&[b"No help topic for '", verb.to_bytes(), b"'"]);
        return NO_VERB;
    };
    let parsed = match parse(args, options.next.saturating_add(1), section, false) {
        Ok(parsed) if parsed.is_on("help") => {
            return end(&voice, help::print(None, section).map(|()| 0), section);
        }
        Ok(parsed) => parsed,
        Err(wrong) => return wrong_usage(&voice, wrong, section),
    };
    if let Err(wrong) = section.check_count(parsed.count) {
        return wrong_usage(&voice, wrong, section);
    }
    voice.verb = section.name;
    voice.id = parsed.operand(0).unwrap_or_default().to_bytes();
    let call = Call {
        globals,
        parsed,
        voice,
    };
    let result = match section.name {
        "create" => create::create(&call),
        "run" => create::run(&call),
        "start" => start::start(&call),
        "state" => state::state(&call),
        "kill" => kill::kill(&call),
        "delete" => delete::delete(&call),
        "list" => list::list(&call),
        "spec" => spec::spec(&call),
        _ => help_verb(&call, top),
    };
    end(&call.voice, result, section)
}

/// `help` and `help VERB`.
fn help_verb(call: &Call, top: Section) -> Result<i32, Stop> {
    let verb = call.id().to_bytes();
    let Some(section) = section(verb) else {
        call.voice.error(&[b"No help topic for '", verb, b"'"]);
        return Ok(NO_VERB);
    };
    help::print(None, if verb.is_empty() { top } else { section })?;
    Ok(0)
}

/// Says what went wrong, if anything, and makes the exit code of it.
fn end<E: Into<Stop>>(voice: &Voice, result: Result<i32, E>, section: Section) -> i32 {
    match result.map_err(Into::into) {
        Ok(code) => code,
        Err(Stop::Failure(failure)) => {
            voice.failure(&failure);
            FAILED
        }
        Err(Stop::Misuse(wrong)) => wrong_usage(voice, wrong, section),
    }
}

/// Help on standard output, and the one error record.
fn wrong_usage(voice: &Voice, Misuse(pieces): Misuse, section: Section) -> i32 {
    let _ = help::print(Some(&pieces), section);
    let voice = Voice { verb: "", ..*voice };
    voice.error(&pieces);
    FAILED
}
