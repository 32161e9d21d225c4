//! Sentences from slices and numbers, each written in one piece: to standard error, and as a record to the `--log` file.
//!
//! One failure is one record. Programs above read it: the last words are the kernel's or the rule's, in the spelling
//! they match on. Only at the edge: children send faults.
#![forbid(unsafe_code)]

pub mod date;
mod errno;
mod hint;
mod line;
pub mod object;
mod system;

pub use line::Line;

use crate::config;
use crate::error::{At, Cause, Errno, Fault, Feature, Rule, Step};
use crate::hooks::SAID;
use crate::limits::FULL;
use crate::plan::op::describe;
use crate::plan::{Plan, Scene};
use crate::sys::file::{stderr, write_whole};
use crate::sys::time;
use crate::text::cut;
use core::ffi::CStr;
use rustix::fs::{CWD, OFlags};

/// The form of a log record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// `time="…" level=error msg="…"`.
    Text,
    /// `{"level":"error","msg":"…","time":"…"}`.
    Json,
}

/// Who speaks, of what, and where it is written.
pub struct Voice {
    /// `--log`: a path, with or without `file:` before it, or a log of the system. Opened when there is something to write.
    pub log: Option<&'static CStr>,
    /// `--log-format`.
    pub format: LogFormat,
    /// `--debug`.
    pub debug: bool,
    /// The verb, or nothing.
    pub verb: &'static [u8],
    /// The name of the container, or nothing.
    pub id: &'static [u8],
    /// What the numbers of a fault point into.
    pub scene: Scene,
}

/// Sentences are cut here; a record of one with escapes fits in twice as much and conmon's 8 KiB.
const SENTENCE: usize = 3 << 10;
const RECORD: usize = 8 << 10;

impl Voice {
    /// Says that the command failed. Once per command, as the last thing.
    pub fn failure(&self, fault: Fault) {
        self.fault("error", self.id, fault);
    }

    /// A fault that does not end the command, about the container `id`.
    ///
    /// It is not written to a `--log` file in JSON without `--debug`: podman reads the whole file as the one record of a
    /// failure.
    pub fn warning_about(&self, id: &[u8], fault: Fault) {
        self.fault("warning", id, fault);
    }

    /// With `--debug`, what is worth knowing to somebody who looks for a reason.
    pub fn debug_about(&self, id: &[u8], fault: Fault) {
        if self.debug {
            self.fault("debug", id, fault);
        }
    }

    fn fault(&self, level: &str, id: &[u8], fault: Fault) {
        let mut buffer = [0; SENTENCE];
        let mut line = self.line(&mut buffer, id);
        sentence(&mut line, fault, &self.scene);
        self.write(level, line.bytes());
    }

    /// Says an error that is no [`Fault`]: about the words of the command line, each in the place of a `%`.
    pub fn error(&self, text: &str, words: &[&[u8]]) {
        let mut buffer = [0; SENTENCE];
        let mut line = self.line(&mut buffer, self.id);
        line.fill(text, words);
        self.write("error", line.bytes());
    }

    /// `ocilet: create c1: `.
    fn line<'b>(&self, buffer: &'b mut [u8], id: &[u8]) -> Line<'b> {
        let mut line = Line::new(buffer);
        line.text(PROGRAM);
        if !self.verb.is_empty() {
            line.foreign(self.verb);
            if !id.is_empty() {
                line.text(" ");
                line.foreign(id);
            }
            line.text(": ");
        }
        line
    }

    /// One write to standard error, and one to the log.
    fn write(&self, level: &str, sentence: &[u8]) {
        let message = sentence
            .strip_prefix(PROGRAM.as_bytes())
            .unwrap_or(sentence);
        let system = |log: &&CStr| FULL && system::send(log, level, self.id, message);
        let file = self.log.filter(|log| !system(log));
        let log = file.and_then(open_log);
        let mut buffer = [0; RECORD];
        if log.is_none() && self.format == LogFormat::Json {
            let _ = write_whole(
                stderr(),
                record(&mut buffer, self.format, level, message, time::wall()),
            );
            return;
        }
        let mut line = Line::new(&mut buffer);
        line.foreign(sentence);
        line.text("\n");
        let _ = write_whole(stderr(), line.bytes());
        if let Some(log) = log
            && (level != "warning" || self.debug || self.format == LogFormat::Text)
        {
            let _ = write_whole(
                log,
                record(&mut buffer, self.format, level, message, time::wall()),
            );
        }
    }
}

const PROGRAM: &str = "ocilet: ";

fn open_log(path: &'static CStr) -> Option<crate::sys::OwnedFd> {
    let plain = path
        .to_bytes_with_nul()
        .strip_prefix(b"file:")
        .and_then(crate::text::c_text);
    let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOCTTY;
    crate::sys::path::open(CWD, plain.unwrap_or(path), flags, 0o644).ok()
}

/// One line for a log: the message has no controls in it already.
fn record<'b>(
    buffer: &'b mut [u8],
    format: LogFormat,
    level: &str,
    message: &[u8],
    time: u64,
) -> &'b [u8] {
    let mut line = Line::new(buffer);
    let form = match format {
        LogFormat::Json => "{\"level\":\"!\",\"msg\":\"%\",\"time\":\"@\"}\n",
        LogFormat::Text => "time=\"@\" level=! msg=\"%\"\n",
    };
    for character in form.chars() {
        match character {
            '!' => line.text(level),
            '%' => line.escaped(message),
            '@' => date::seconds(&mut line, time),
            plain => line.character(plain),
        }
    }
    line.into_bytes()
}

/// `cannot <step> <object>: <cause> (<details>); <hint>`, and the two forms that programs above know.
fn sentence(line: &mut Line<'_>, fault: Fault, scene: &Scene) {
    match (fault.step(), fault.at()) {
        (Step::Exec, At::Arena(at)) => {
            line.text("exec: \"");
            line.foreign(
                scene
                    .plan
                    .map_or(scene.program, |plan| plan.arena.text_at(at)),
            );
            line.text("\": ");
            return match fault.cause() {
                Cause::Errno(errno) => match errno::describe(errno) {
                    Some(text) => line.foreign(cut(text.as_bytes(), b' ').1),
                    None => line.text("unknown error"),
                },
                _ => cause(line, fault),
            };
        }
        (_, At::Byte(byte)) if !scene.document.is_empty() => {
            in_document(line, scene, byte);
            match fault.cause() {
                Cause::Rule(_) | Cause::Limit(_) => return cause(line, fault),
                Cause::Missing(feature, levels) => return missing(line, feature, levels, scene),
                _ => {}
            }
        }
        _ => {}
    }
    line.text("cannot ");
    line.text(fault.step().text());
    object(line, fault.at(), scene);
    if let (Step::SetLimit, At::Arena(at), Some(plan)) = (fault.step(), fault.at(), scene.plan) {
        // The value stands behind the name.
        let name = plan.arena.text_at(at).len();
        let value = at.saturating_add(u32::try_from(name).unwrap_or(0));
        line.text(" to ");
        line.foreign(plan.arena.text_at(value.saturating_add(1)));
    }
    line.text(": ");
    match fault.cause() {
        Cause::Missing(feature, levels) => missing(line, feature, levels, scene),
        Cause::Rule(Rule::SystemdRefused) => {
            cause(line, fault);
            line.text(": ");
            line.foreign(scene.program);
        }
        _ => cause(line, fault),
    }
    if fault.step().has_output() {
        output(line);
    }
    if let (At::Op(n), Some(plan)) = (fault.at(), scene.plan)
        && let Some(op) = plan.ops.get(n as usize)
    {
        line.text(" (");
        describe(op, &plan.arena, &mut |piece| line.foreign(piece));
        line.text(")");
    }
    if let Cause::Errno(errno) = fault.cause()
        && let Some(hint) = hint::hint(fault.step(), errno)
    {
        line.text("; ");
        line.text(hint.text());
    }
}

/// What a hook has written before it failed.
#[inline(never)] // hardly any sentence has it
fn output(line: &mut Line<'_>) {
    let Some(said) = SAID.take() else { return };
    let text = said.bytes().trim_ascii();
    if !text.is_empty() {
        line.text(": ");
        line.foreign(text);
    }
    SAID.put_back(said);
}

/// `config.json:12:17: process.rlimits[3].soft: "abc": `.
#[inline(never)] // half the sentences have none
fn in_document(line: &mut Line<'_>, scene: &Scene, byte: u32) {
    let document = scene.document;
    let (row, column) = config::locate(document, byte);
    if scene.name.is_empty() {
        line.text("config.json");
    } else {
        line.foreign(scene.name);
    }
    line.text(":");
    line.number(u64::from(row));
    line.text(":");
    line.number(u64::from(column));
    line.text(": ");
    let mut named = false;
    config::path(document, byte, &mut |piece| {
        named = true;
        line.foreign(piece);
    });
    if named {
        line.text(": ");
    }
    let snippet = config::snippet(document, byte);
    if !snippet.is_empty() {
        line.foreign(snippet);
        line.text(": ");
    }
}

fn object(line: &mut Line<'_>, at: At, scene: &Scene) {
    let bytes = match (at, scene.plan) {
        (At::Nothing | At::Byte(_), _) => return,
        (At::Number(n), _) => {
            line.text(" ");
            return line.number(u64::from(n));
        }
        (At::Place(place), _) => {
            line.text(" ");
            return line.text(place.text());
        }
        (At::Arena(at), Some(plan)) => plan.arena.text_at(at),
        (At::Op(n), Some(plan)) => match plan.ops.get(n as usize) {
            Some(op) => plan.arena.bytes(op.path()),
            None => return,
        },
        (At::Arena(_) | At::Op(_), None) => return,
    };
    if !bytes.is_empty() {
        line.text(" ");
        line.foreign(bytes);
    }
}

fn cause(line: &mut Line<'_>, fault: Fault) {
    match fault.cause() {
        Cause::Errno(errno) => error(line, errno),
        Cause::Rule(rule) => line.text(rule.text()),
        Cause::Limit(limit) => {
            line.text("at most ");
            line.number(limit.value() as u64);
            line.text(" ");
            line.text(limit.meaning());
            line.text(" are supported");
        }
        Cause::Protocol(want, got) => {
            line.text("message ");
            line.number(u64::from(want));
            line.text(" was due, ");
            line.number(u64::from(got));
            line.text(" came");
        }
        // A wait status as in man 2 wait: the low seven bits are the signal, the next byte the exit status.
        Cause::Ended(status) => {
            let signal = status & 0x7f;
            line.text(if signal == 0 {
                "it exited with status "
            } else {
                "it was killed by signal "
            });
            line.number(u64::from(if signal == 0 { status >> 8 } else { signal }));
        }
        Cause::Missing(..) => {}
        Cause::Timeout(seconds) => {
            line.text("not done within ");
            line.number(u64::from(seconds));
            line.text(" s");
        }
    }
}

/// What the kernel lacks, or which cgroup above the container's keeps it back.
fn missing(line: &mut Line<'_>, feature: Feature, levels: u8, scene: &Scene) {
    let (name, needed) = cut(feature.text().as_bytes(), b' ');
    if levels == 0 {
        return line.fill("there is no % here, which needs %", &[name, needed]);
    }
    let (controller, _) = cut(name, b'.');
    line.fill(
        "the controller % is not in cgroup.subtree_control of ",
        &[controller],
    );
    let cgroup = scene.plan.map_or(&b""[..], Plan::cgroup_v2);
    let mut slashes = 0;
    let end = cgroup.iter().position(|byte| {
        slashes += u32::from(*byte == b'/');
        slashes > u32::from(levels)
    });
    line.foreign(end.and_then(|end| cgroup.get(..end)).unwrap_or(cgroup));
}

/// `EINVAL invalid argument`.
fn error(line: &mut Line<'_>, errno: Errno) {
    if let Some(text) = errno::describe(errno) {
        line.text(text);
    } else {
        line.text("errno ");
        line.number(u64::from(errno.raw_os_error().unsigned_abs()));
    }
}

/// Says that there is a bug.
pub fn panic() {
    let _ = write_whole(stderr(), b"ocilet: internal error, please report it\n");
}

#[cfg(test)]
mod tests;
