//! The command line: one table of verbs and flags, one file per verb.
//!
//! A verb picks its flags, calls rooms in order, and returns the exit code or what went wrong; that is said here, once. A
//! command line that makes no sense is noted in what was parsed.
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

pub use command::{CgroupManager, Globals, LogFormat};

use crate::error::Fault;
use crate::plan::Scene;
use crate::say::Voice;
use crate::sys::args::Args;
use crate::sys::file::standard_descriptors;
use crate::sys::sig::{bit, set_mask};
use core::ffi::CStr;
use flags::{BOOLEANS, Misuse, Parsed, Row, parse, place, section};

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
        verb: b"",
        id: b"",
        scene: Scene::default(),
    };
    // Not made to stand between users of different rights (CVE-2017-5985).
    if args.is_secure() {
        voice.error(
            "ocilet must not be setuid, setgid or have file capabilities",
            &[],
        );
        return FAILED;
    }
    let Some(top) = section(b"") else {
        return FAILED;
    };
    let mut options = parse(args, 1, &top, true);
    match before_verb(args, &mut options, &mut voice) {
        Some(globals) => after_options(globals, &options, &top, voice),
        None => wrong_usage(&mut voice, options.wrong.as_ref(), &top),
    }
}

/// The options before the verb. `voice` gets those that concern it as soon as they are known.
fn before_verb(args: Args, options: &mut Parsed, voice: &mut Voice) -> Option<Globals> {
    if options.wrong.is_some() {
        return None;
    }
    voice.log = options.value("log");
    voice.debug = options.is_on("debug");
    if options.choice("log-format", "text json ", "text or json")? == 1 {
        voice.format = LogFormat::Json;
    }
    let manager = options.choice(
        "cgroup-manager",
        "cgroupfs systemd disabled",
        "cgroupfs, systemd or disabled",
    )?;
    let rootless = options.value("rootless").unwrap_or(c"auto");
    if rootless != c"auto" && place(BOOLEANS, rootless.to_bytes()).is_none() {
        options.bad_value(rootless, "rootless", "true, false or auto");
        return None;
    }
    Some(Globals {
        args,
        root: options.value("root"),
        cgroup_manager: match manager {
            0 if options.value("cgroup-manager").is_none() && options.is_on("systemd-cgroup") => {
                CgroupManager::Systemd
            }
            0 => CgroupManager::Cgroupfs,
            1 => CgroupManager::Systemd,
            _ => CgroupManager::Disabled,
        },
    })
}

fn after_options(globals: Globals, options: &Parsed, top: &Row, mut voice: Voice) -> i32 {
    let args = globals.args;
    if options.is_on("version") {
        let printed = help::version(args.get(0).unwrap_or_default().to_bytes());
        return end(&voice, printed.map(|()| 0));
    }
    let Some(verb) = args.get(options.next).filter(|_| !options.is_on("help")) else {
        return end(&voice, help::print(None, top).map(|()| 0));
    };
    let verb = if verb == c"h" { c"help" } else { verb };
    let Some(section) = section(verb.to_bytes()).filter(|section| !section.name.is_empty()) else {
        voice.error(NO_TOPIC, &[verb.to_bytes()]);
        return NO_VERB;
    };
    let parsed = parse(args, options.next.saturating_add(1), &section, false);
    if parsed.wrong.is_some() {
        return wrong_usage(&mut voice, parsed.wrong.as_ref(), &section);
    }
    if parsed.is_on("help") {
        return end(&voice, help::print(None, &section).map(|()| 0));
    }
    if let Err(wrong) = section.check_count(parsed.count) {
        return wrong_usage(&mut voice, Some(&wrong), &section);
    }
    voice.verb = section.name;
    voice.id = parsed.operand(0).unwrap_or_default().to_bytes();
    let mut call = Call {
        globals,
        parsed,
        voice,
    };
    let result = match section.name {
        b"create" => create::create(&mut call),
        b"run" => create::run(&mut call),
        b"start" => start::start(&mut call),
        b"state" => state::state(&call),
        b"kill" => kill::kill(&call),
        b"delete" => delete::delete(&call),
        b"list" => list::list(&mut call),
        b"spec" => spec::spec(&call),
        _ => help_verb(&call),
    };
    if call.parsed.wrong.is_some() {
        return wrong_usage(&mut call.voice, call.parsed.wrong.as_ref(), &section);
    }
    end(&call.voice, result)
}

const NO_TOPIC: &str = "No help topic for '%'";

/// `help` and `help VERB`.
fn help_verb(call: &Call) -> Result<i32, Fault> {
    let verb = call.id().to_bytes();
    let Some(section) = section(verb) else {
        call.voice.error(NO_TOPIC, &[verb]);
        return Ok(NO_VERB);
    };
    help::print(None, &section)?;
    Ok(0)
}

/// Says what went wrong, if anything, and makes the exit code of it.
fn end(voice: &Voice, result: Result<i32, Fault>) -> i32 {
    result.unwrap_or_else(|fault| {
        voice.failure(fault);
        FAILED
    })
}

/// Help on standard output, and the one error record.
fn wrong_usage(voice: &mut Voice, wrong: Option<&Misuse>, section: &Row) -> i32 {
    let _ = help::print(wrong, section);
    if let Some(Misuse(text, words)) = wrong {
        voice.verb = b"";
        voice.error(text, words);
    }
    FAILED
}
