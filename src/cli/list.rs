//! `list`: all containers under the root, as a table, as JSON, or only their names.
//!
//! The table takes two rounds, one for the widths of its columns; nothing is kept between them, so a thousand containers
//! cost no more memory than one. A container that comes or goes in between may stand out of its column.
#![forbid(unsafe_code)]

use super::help::spaces;
use super::state::{pid, status, told};
use super::{Call, FAILED};
use crate::error::Cause;
use crate::error::{Context, Errno, Fault, Rule, Step};
use crate::say::object::Object;
use crate::say::{Line, date};
use crate::state::{Root, Status, Stored, boot, buffer, user_name};
use core::ffi::CStr;

/// Least width of a column and least space after its text, as in runc.
const COLUMN: usize = 12;
const PADDING: usize = 3;
/// Room for the longest cell, a path.
const CELL: usize = 4200;
/// Of the columns before the last one; none is as wide as [`COLUMN`] with its space.
const TITLES: &[u8] = b"ID PID STATUS BUNDLE CREATED ";

#[derive(Clone, Copy, PartialEq, Eq)]
enum Format {
    Table,
    Json,
    Quiet,
}

/// `list`.
pub(super) fn list(call: &mut Call) -> Result<i32, Fault> {
    let format = match call.parsed.is_on("quiet") {
        true => Format::Quiet,
        false => match call.parsed.choice("format", "table json ", "table or json") {
            None => return Ok(FAILED),
            Some(1) => Format::Json,
            _ => Format::Table,
        },
    };
    let root = match Root::open(call.root, call.args, false) {
        // A default that nobody has used yet; a directory that was asked for must be there.
        Err(fault) if fault.errno() == Some(Errno::NOENT) && call.root.is_none() => None,
        root => Some(root?),
    };
    let mut text = [0; 1024];
    let mut line = Line::stdout(&mut text);
    let mut id_of_boot = [0; 36];
    let mut lister = Lister {
        call,
        root: root.as_ref(),
        boot: boot(&mut id_of_boot)?,
        buffer: buffer().unwrap_or_default(),
    };
    match format {
        Format::Table => lister.table(&mut line)?,
        Format::Json => lister.json(&mut line)?,
        Format::Quiet => lister.each(true, &mut |entry| {
            line.foreign(entry.id);
            line.text("\n");
        })?,
    }
    line.finish().step(Step::Print)?;
    Ok(0)
}

struct Lister<'l> {
    call: &'l Call,
    root: Option<&'l Root>,
    boot: &'l [u8],
    buffer: &'static mut [u8],
}

struct Entry<'e> {
    id: &'e [u8],
    record: Stored<'e>,
    status: Status,
    owner: u32,
}

impl Lister<'_> {
    /// Calls `show` for each container. One that is gone or still being made is passed over, a broken one with a warning.
    fn each(&mut self, warn: bool, show: &mut dyn FnMut(&Entry<'_>)) -> Result<(), Fault> {
        let Some(root) = self.root else {
            return Ok(());
        };
        root.ids(&mut |id| {
            match entry(root, id, self.buffer, self.boot) {
                Ok(Some(entry)) => show(&entry),
                Ok(None) => {}
                Err(fault) if warn => self.call.voice.warning_about(id.to_bytes(), fault),
                Err(_) => {}
            }
            true
        })
    }

    fn table(&mut self, line: &mut Line<'_>) -> Result<(), Fault> {
        let mut widths = [COLUMN; 5];
        for print in [false, true] {
            if print {
                let titles = TITLES.split_inclusive(|byte| *byte == b' ');
                for (title, width) in titles.zip(widths) {
                    line.foreign(title);
                    spaces(line, width.saturating_sub(title.len()));
                }
                line.text("OWNER\n");
            }
            self.each(print, &mut |entry| {
                let mut buffer = [0; CELL];
                for (n, width) in widths.iter_mut().enumerate() {
                    let text = cell(entry, n, &mut buffer);
                    let length = characters(text);
                    if print {
                        line.raw(text);
                        spaces(line, width.saturating_sub(length));
                    } else {
                        *width = (*width).max(length.saturating_add(PADDING));
                    }
                }
                if print {
                    owner(line, entry.owner);
                }
            })?;
        }
        Ok(())
    }

    fn json(&mut self, line: &mut Line<'_>) -> Result<(), Fault> {
        let mut separator = "[";
        self.each(true, &mut |entry| {
            line.text(separator);
            separator = ",";
            let mut object = Object::new(line, false);
            object.container(&told(entry.id, entry.record, entry.status));
            let mut passwd = [0; 256];
            object.text(
                "owner",
                user_name(entry.owner, &mut passwd).unwrap_or_default(),
            );
            object.end();
        })?;
        line.text(if separator == "[" { "null\n" } else { "]\n" });
        Ok(())
    }
}

/// The last column.
fn owner(line: &mut Line<'_>, uid: u32) {
    match user_name(uid, &mut [0; 256]) {
        Some(name) => line.foreign(name),
        None => {
            line.text("#");
            line.number(u64::from(uid));
        }
    }
    line.text("\n");
}

/// A column of a container, as harmless text.
fn cell<'b>(entry: &Entry<'_>, column: usize, buffer: &'b mut [u8]) -> &'b [u8] {
    let mut line = Line::new(buffer);
    match column {
        0 => line.foreign(entry.id),
        1 => line.number(u64::from(pid(entry.record, entry.status))),
        2 => line.text(entry.status.text()),
        3 => line.foreign(entry.record.bundle()),
        _ => date::nanoseconds(&mut line, entry.record.created()),
    }
    line.into_bytes()
}

/// The number of characters of UTF-8: of bytes that do not continue one.
fn characters(text: &[u8]) -> usize {
    text.iter().filter(|byte| **byte & 0xc0 != 0x80).count()
}

fn entry<'e>(
    root: &Root,
    id: &'e CStr,
    buffer: &'e mut [u8],
    boot: &[u8],
) -> Result<Option<Entry<'e>>, Fault> {
    let is = |fault: &Fault, rule| fault.cause() == Cause::Rule(rule);
    let dir = match root.find(id) {
        Err(fault) if is(&fault, Rule::NoContainer) => return Ok(None),
        dir => dir?,
    };
    let record = match dir.load(buffer) {
        // Its maker holds the lock; without one it was abandoned.
        Err(fault) if is(&fault, Rule::HalfMade) && (dir.is_locked() || !dir.is_linked()) => {
            return Ok(None);
        }
        record => record?,
    };
    let status = status(&dir, record, boot)?;
    Ok(Some(Entry {
        id: id.to_bytes(),
        status,
        owner: dir.owner()?,
        record,
    }))
}
