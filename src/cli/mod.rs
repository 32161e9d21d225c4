//! The command line: one table of verbs and flags, one file per verb.
//!
//! A verb picks its flags, calls rooms in order, and returns the exit code or what went wrong; that is said here, once. A
//! command line that makes no sense is noted in what was parsed.
#![forbid(unsafe_code)]

mod alive;
mod checkpoint;
mod completion;
mod create;
mod delete;
mod events;
mod exec;
mod features;
mod flags;
mod help;
mod kill;
mod layout;
mod list;
mod mounts;
mod ps;
mod spec;
mod start;
mod state;
mod update;
mod wait;

use crate::cgroup::{self, Manager, Policy};
use crate::error::{Cause, Fault, Rule};
use crate::limits::FULL;
use crate::plan::Scene;
use crate::say::{LogFormat, Voice};
use crate::state::is_rootless;
use crate::sys::args::Args;
use crate::sys::file::standard_descriptors;
use crate::sys::sig::{bit, set_mask};
use core::ffi::CStr;
use flags::{BOOLEANS, Misuse, Parsed, Row, place, section};

/// The exit code of a command that could not do what it should.
const FAILED: i32 = 1;
/// The exit code where every other one may be that of a program.
const FAILED_BEFORE: i32 = 255;
/// The exit code for a verb that does not exist, as runc has it.
const NO_VERB: i32 = 3;
const SIGPIPE: i32 = 13;
const SIGXFSZ: i32 = 25;

/// The verbs that have a file of their own, in the order of `run_verb`;
/// those behind `help` are only in the whole program.
const VERBS: &str = "create run start state kill delete list exec help spec features wait pause resume update events \
                     ps completion mounts checkpoint restore";

/// The place of `help` in it.
const HELP: usize = 8;

/// The command line, as far as it has been taken apart.
struct Call {
    /// All of it, and the environment behind it.
    args: Args,
    /// `--root DIR`: the state directory; `None` for the default of this user.
    root: Option<&'static CStr>,
    /// `--cgroup-manager`; `--systemd-cgroup` means [`Manager::Systemd`].
    cgroup_manager: Manager,
    /// `--rootless=true|false`; see [`Call::rootless`].
    rootless: Option<bool>,
    /// `--cgroup-policy`.
    cgroup_policy: Option<Policy>,
    /// The flags and operands of the verb; before it is known, the options before it.
    parsed: Parsed,
    /// The first operand: the name of the container. The table demands it where a verb asks for it.
    id: &'static CStr,
    voice: Voice,
}

impl Call {
    /// `--rootless`, or what we are: cgroups are done without where they are not ours to make, and devices are not
    /// restricted but by who we are. Only some verbs ask; it takes a look into /proc.
    fn rootless(&self) -> bool {
        self.rootless.unwrap_or_else(|| is_rootless(self.args))
    }
}

/// Runs the command line and returns the exit code.
#[must_use]
pub fn main(args: Args) -> i32 {
    standard_descriptors();
    // A closed pipe and a full disk quota are errors of write(2), not a death in the middle of something.
    let _ = set_mask(bit(SIGPIPE) | bit(SIGXFSZ));
    let mut call = Call {
        args,
        root: None,
        cgroup_manager: Manager::Cgroupfs,
        rootless: None,
        cgroup_policy: None,
        parsed: Parsed::new(args),
        id: c"",
        voice: Voice {
            log: None,
            format: LogFormat::Text,
            debug: false,
            verb: b"",
            id: b"",
            scene: Scene::default(),
        },
    };
    // Not made to stand between users of different rights (CVE-2017-5985).
    if args.is_secure() {
        call.voice.error(
            "ocilet must not be setuid, setgid or have file capabilities",
            &[],
        );
        return FAILED;
    }
    let Some(top) = section(b"") else {
        return FAILED;
    };
    if before_verb(&mut call, &top).is_none() {
        return wrong_usage(&mut call, &top);
    }
    after_options(&mut call, &top).unwrap_or_else(|fault| {
        if fault.cause() == Cause::Rule(Rule::SystemdRefused) {
            call.voice.scene.program = cgroup::refusal();
        }
        call.voice.failure(fault);
        FAILED
    })
}

/// The options before the verb; `None` for those that make no sense. The voice gets what concerns it as soon as it is
/// known.
fn before_verb(call: &mut Call, top: &Row) -> Option<()> {
    let (options, voice) = (&mut call.parsed, &mut call.voice);
    if !options.read(1, top, true) {
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
    let systemd = options.is_on("systemd-cgroup") && options.value("cgroup-manager").is_none();
    call.cgroup_manager = match manager {
        _ if systemd => Manager::Systemd,
        0 => Manager::Cgroupfs,
        1 => Manager::Systemd,
        _ => Manager::Disabled,
    };
    let policy = options.choice(
        "cgroup-policy",
        "strict best-effort",
        "strict or best-effort",
    )?;
    if options.value("cgroup-policy").is_some() {
        let effort = policy == 1;
        call.cgroup_policy = Some(if effort {
            Policy::BestEffort
        } else {
            Policy::Strict
        });
    }
    call.root = options.value("root");
    let rootless = options.value("rootless").unwrap_or(c"auto");
    call.rootless = match place(BOOLEANS, rootless.to_bytes()) {
        Some(place) => Some(place < flags::TRUE),
        None if rootless == c"auto" => None,
        None => {
            options.bad_value(rootless, "rootless", "true, false or auto");
            return None;
        }
    };
    Some(())
}

fn after_options(call: &mut Call, top: &Row) -> Result<i32, Fault> {
    if call.parsed.is_on("version") {
        return help::version(call.args.get(0).unwrap_or_default().to_bytes()).map(|()| 0);
    }
    let next = call.parsed.next;
    let Some(verb) = call.args.get(next).filter(|_| !call.parsed.is_on("help")) else {
        return help::print(None, top).map(|()| 0);
    };
    let verb = if verb == c"h" { c"help" } else { verb };
    let Some(section) = section(verb.to_bytes()).filter(|section| !section.name.is_empty()) else {
        return Ok(no_topic(call, verb));
    };
    if !call.parsed.read(next.saturating_add(1), &section, false) {
        return Ok(wrong_usage(call, &section));
    }
    if call.parsed.is_on("help") {
        return help::print(None, &section).map(|()| 0);
    }
    if !call.parsed.check_count(&section) {
        return Ok(wrong_usage(call, &section));
    }
    call.id = call.parsed.operand(0).unwrap_or_default();
    call.voice.verb = section.name;
    call.voice.id = call.id.to_bytes();
    let code = run_verb(call, &section)?;
    if call.parsed.wrong.is_some() {
        wrong_usage(call, &section);
    }
    Ok(code)
}

fn run_verb(call: &mut Call, section: &Row) -> Result<i32, Fault> {
    match place(VERBS, section.name) {
        Some(0) => create::create(call),
        Some(1) => create::run(call),
        Some(2) => start::start(call),
        Some(3) => state::state(call),
        Some(4) => kill::kill(call),
        Some(5) => delete::delete(call),
        Some(6) => list::list(call),
        Some(7) => exec::exec(call, section),
        Some(HELP) => help_verb(call),
        _ if !FULL => Ok(absent(call, section.name)),
        Some(9) => spec::spec(call),
        Some(10) => features::features(call),
        Some(11) => wait::wait(call),
        Some(12) => alive::pause(call, true),
        Some(13) => alive::pause(call, false),
        Some(14) => update::update(call),
        Some(15) => events::events(call),
        Some(16) => ps::ps(call),
        Some(17) => completion::completion(call),
        Some(18) => mounts::mounts(call),
        Some(19) => checkpoint::checkpoint(call),
        _ => checkpoint::restore(call),
    }
}

/// `help` and `help VERB`.
fn help_verb(call: &mut Call) -> Result<i32, Fault> {
    let Some(section) = section(call.id.to_bytes()) else {
        return Ok(no_topic(call, call.id));
    };
    help::print(None, &section).map(|()| 0)
}

/// A verb of the whole program.
fn absent(call: &mut Call, verb: &'static [u8]) -> i32 {
    call.voice.verb = b"";
    call.voice.error("this build has no `%`", &[verb]);
    FAILED
}

fn no_topic(call: &mut Call, verb: &CStr) -> i32 {
    let names = VERBS.split(' ').skip(HELP);
    for name in names.filter(|_| !FULL) {
        if verb.to_bytes() == name.as_bytes() {
            return absent(call, name.as_bytes());
        }
    }
    call.voice
        .error("No help topic for '%'", &[verb.to_bytes()]);
    NO_VERB
}

/// Help on standard output, and the one error record.
fn wrong_usage(call: &mut Call, section: &Row) -> i32 {
    let wrong = call.parsed.wrong.as_ref();
    let _ = help::print(wrong, section);
    if let Some(Misuse(text, words)) = wrong {
        call.voice.verb = b"";
        call.voice.error(text, words);
    }
    FAILED
}
