//! `ps`: the processes of a container, as the host numbers them; their command lines are in /proc.
#![forbid(unsafe_code)]

use super::alive::with;
use super::help::spaces;
use super::{Call, FAILED};
use crate::cgroup;
use crate::error::{Context, Fault, Step};
use crate::say::Line;
use crate::state::Status;
use crate::sys::file::read_file;
use crate::sys::proc;
use crate::text::c_text;
use rustix::fs::CWD;
use rustix::process::Pid;

/// Width of a column.
const COLUMN: usize = 10;

/// `ps ID`.
pub(super) fn ps(call: &mut Call) -> Result<i32, Fault> {
    let Some(format) = call.parsed.choice("format", "table json ", "table or json") else {
        return Ok(FAILED);
    };
    let json = format == 1;
    with(call, false, &mut |found| {
        let mut bytes = [0; 1024];
        let mut line = Line::stdout(&mut bytes);
        if !json {
            row(&mut line, b"PID", b"CMD");
        }
        let mut separator = "[";
        let mut tell = |number: u64| {
            if json {
                line.text(core::mem::replace(&mut separator, ","));
                line.number(number);
            } else {
                let _ = process(&mut line, number);
            }
        };
        if found.status != Status::Stopped {
            if found.cgroups.hierarchies.is_empty() {
                // It has no cgroup of its own, only an init that is known.
                tell(u64::from(found.record.pid()));
            }
            cgroup::processes(found.cgroups, &mut |pid: Pid| {
                tell(u64::from(proc::number(pid)));
            })?;
        }
        if json {
            line.text(if separator == "[" { "null\n" } else { "]\n" });
        }
        line.finish().step(Step::Print).map(|()| 0)
    })
}

/// A line of the table: its number and its command line, or its name in brackets. Nothing for one that has ended.
fn process(line: &mut Line<'_>, number: u64) -> Option<()> {
    let mut words = [0; 4096];
    let (words, cell) = words.split_at_mut_checked(4000)?;
    let mut path = Line::new(cell);
    path.text("/proc/");
    path.number(number);
    let digits = path.bytes().len();
    path.text("/cmdline\0");
    let cell = path.into_bytes();
    let mut length = read_file(CWD, c_text(cell)?, words).ok()?.len();
    if length == 0 {
        let mut name = [0; 32];
        let mut path = Line::new(&mut name);
        path.text("/proc/");
        path.number(number);
        path.text("/comm\0");
        length = read_file(CWD, c_text(path.into_bytes())?, words)
            .ok()?
            .len();
    }
    let command = words.get_mut(..length)?;
    for byte in command.iter_mut().filter(|byte| **byte == 0) {
        *byte = b' ';
    }
    let number = cell.get(b"/proc/".len()..digits)?;
    row(line, number, command.trim_ascii_end());
    Some(())
}

fn row(line: &mut Line<'_>, number: &[u8], command: &[u8]) {
    line.foreign(number);
    spaces(line, COLUMN.saturating_sub(number.len()));
    line.foreign(command);
    line.text("\n");
}
