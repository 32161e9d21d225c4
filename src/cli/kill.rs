//! `kill`: sends a signal to the init of a container. SIGKILL reaches all its processes, as any does with `--all`.
#![forbid(unsafe_code)]

use super::Call;
use super::flags::place;
use super::state::{CGROUPS, open_root};
use crate::cgroup;
use crate::error::{At, Cause, Fault, Rule, Step};
use crate::state::{Live, boot, buffer};
use crate::sys::sig::KILL;

/// Signals 1 to 31 by their place, and other names of some.
static NAMES: &str = "HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT CHLD CONT STOP TSTP \
                      TTIN TTOU URG XCPU XFSZ VTALRM PROF WINCH IO PWR SYS IOT CLD POLL";
const TERM: u32 = 15;
/// The kernel's first and last real-time signal.
const RTMIN: u32 = 34;
const RTMAX: u32 = 64;

/// `kill ID [SIGNAL]`.
pub(super) fn kill(call: &Call) -> Result<i32, Fault> {
    let all = call.parsed.is_on("all");
    let root = open_root(call, Step::FindContainer)?;
    let dir = root.find(call.id)?;
    let record = dir.load(buffer().unwrap_or_default())?;
    let signal = match call.parsed.operand(1) {
        None => TERM,
        Some(word) => match number(word.to_bytes()) {
            Some(signal) => signal,
            None => {
                call.voice.error("unknown signal \"%\"", &[word.to_bytes()]);
                return Ok(super::FAILED);
            }
        },
    };
    let mut text = [0; 36];
    let boot = boot(&mut text)?;
    let sent = match record.find_init(boot)? {
        // It is one of them.
        Some(_) if all && !record.cgroup().starts_with(b"none") => Ok(()),
        Some(init) => send(&init, signal),
        None => Err(Fault::rule(Step::Signal, Rule::NotRunning, At::Nothing)),
    };
    // Without a pid namespace of its own the end of its init ends nobody else.
    let everybody = all || signal == KILL && !record.own_pid_namespace() && sent.is_ok();
    if (everybody && signal != 0 || signal == KILL)
        && record.boot() == boot
        && let Some(cgroups) = CGROUPS.take()
        && cgroups.decode(record.cgroup()).is_some()
    {
        match signal {
            KILL if everybody => cgroup::kill(cgroups)?,
            // On cgroup v1 what is frozen does not even die.
            KILL if cgroup::frozen(cgroups) => cgroup::freeze(cgroups, false)?,
            KILL => {}
            signal => cgroup::signal(cgroups, signal)?,
        }
    }
    match sent {
        Err(fault) if all && fault.cause() == Cause::Rule(Rule::NotRunning) => Ok(0),
        sent => sent.map(|()| 0),
    }
}

/// Signal 0 only asks whether there is somebody to signal: that has been seen.
fn send(init: &Live, signal: u32) -> Result<(), Fault> {
    if signal == 0 {
        Ok(())
    } else {
        init.signal(signal)
    }
}

/// A signal by number or name: `9`, `KILL`, `sigkill`, `RTMIN+3`, `SIGRTMAX-1`.
#[inline(never)] // smaller, measured
pub(super) fn number(word: &[u8]) -> Option<u32> {
    let mut buffer = [0; 16];
    let name = buffer.get_mut(..word.len())?;
    name.copy_from_slice(word);
    name.make_ascii_uppercase();
    if name.first().is_some_and(u8::is_ascii_digit) {
        return digits(name).filter(|signal| *signal <= RTMAX);
    }
    let (first, sign, offset) = match name.strip_prefix(b"SIG").unwrap_or(name) {
        [b'R', b'T', b'M', b'I', b'N', offset @ ..] => (RTMIN, b'+', offset),
        [b'R', b'T', b'M', b'A', b'X', offset @ ..] => (RTMAX, b'-', offset),
        name => {
            return match u32::try_from(place(NAMES, name)?).ok()? {
                31 => Some(6),
                32 => Some(17),
                33 => Some(29),
                before => before.checked_add(1),
            };
        }
    };
    let offset = match offset.split_first() {
        None => 0,
        Some((mark, number)) if *mark == sign => digits(number)?,
        _ => return None,
    };
    let signal = if sign == b'+' {
        first.checked_add(offset)
    } else {
        first.checked_sub(offset)
    };
    signal.filter(|signal| (RTMIN..=RTMAX).contains(signal))
}

/// Digits only: no sign, no blanks.
fn digits(text: &[u8]) -> Option<u32> {
    u32::try_from(crate::text::number(text, 10)?).ok()
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn signals() {
        for (word, expected) in [
            ("9", Some(9)),
            ("09", Some(9)),
            ("0", Some(0)),
            ("64", Some(64)),
            ("65", None),
            ("4294967296", None),
            ("-9", None),
            ("+9", None),
            ("", None),
            ("SIG", None),
            ("KILL", Some(9)),
            ("SIGKILL", Some(9)),
            ("sigkill", Some(9)),
            ("Term", Some(15)),
            ("hup", Some(1)),
            ("SYS", Some(31)),
            ("WINCH", Some(28)),
            ("IO", Some(29)),
            ("POLL", Some(29)),
            ("IOT", Some(6)),
            ("CLD", Some(17)),
            ("RTMIN", Some(34)),
            ("SIGRTMIN+3", Some(37)),
            ("rtmin+30", Some(64)),
            ("RTMIN+31", None),
            ("RTMIN-1", None),
            ("RTMIN+", None),
            ("RTMIN++1", None),
            ("RTMAX", Some(64)),
            ("RTMAX-30", Some(34)),
            ("RTMAX-31", None),
            ("SIGSIGKILL", None),
            ("KILL ", None),
            ("SIGKILLSIGKILLSIGKILL", None),
        ] {
            assert_eq!(number(word.as_bytes()), expected, "{word}");
        }
    }
}
