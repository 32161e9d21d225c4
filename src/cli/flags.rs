//! The table of verbs and flags, and the parser that walks it; `help.rs` prints the same table.
//!
//! `flags.txt` is one text instead of structs: it is read once per run, and costs no relocations. A verb is a line
//! `name|operands|least|most|summary`; its flags follow, `-long|short|VALUE|what it does`, without VALUE for a switch,
//! with `~` for `-` when help does not show it. The first section, without a name, holds the options before the verb.
//!
//! The rules are those of Go's flag package, which callers are used to: one or two dashes, `--flag=value` or
//! `--flag value`, `--flag=true|false` for switches, `--` ends the flags, the last of several wins; and as in runc flags
//! may follow the operands. In addition short ones can be joined: `-bDIR`, `-qfjson`.
#![forbid(unsafe_code)]

use crate::error::{Packed, packed};
use crate::sys::args::Args;
use core::ffi::CStr;
use heapless::Vec;

/// The table without what is only there to be read: the last word of each line is packed.
pub(super) static TABLE: &str = include_str!(concat!(env!("OUT_DIR"), "/flags.txt"));

/// The flags that one command can be given: more than any section has.
const FLAGS: usize = 16;
/// Operands that are kept; more of them are counted.
const OPERANDS: usize = 3;

/// A section of the table.
#[derive(Clone, Copy)]
pub(super) struct Section {
    pub(super) name: &'static str,
    pub(super) operands: &'static str,
    least: &'static str,
    most: &'static str,
    /// The number of its first line in the table.
    line: usize,
    rows: &'static str,
}

/// A row of a section.
#[derive(Clone, Copy)]
pub(super) struct Flag {
    pub(super) long: &'static str,
    pub(super) short: &'static str,
    /// The name of its value; empty for a switch.
    pub(super) value: &'static str,
    /// Its number in the table.
    line: usize,
    pub(super) hidden: bool,
}

/// All sections.
pub(super) fn sections() -> impl Iterator<Item = Section> {
    let mut rest = TABLE;
    let mut line = 0_usize;
    core::iter::from_fn(move || {
        let (head, behind) = rest.split_once('\n')?;
        let (first, mut length) = (line, 0_usize);
        line = line.saturating_add(1);
        for row in behind.split_inclusive('\n') {
            if !row.starts_with(['-', '~']) {
                break;
            }
            length = length.saturating_add(row.len());
            line = line.saturating_add(1);
        }
        let (rows, others) = behind.split_at_checked(length)?;
        rest = others;
        let mut words = head.split('|');
        Some(Section {
            name: words.next()?,
            operands: words.next()?,
            least: words.next()?,
            most: words.next()?,
            line: first,
            rows,
        })
    })
}

/// The section of a verb; of the options before it for the empty name.
pub(super) fn section(name: &[u8]) -> Option<Section> {
    sections().find(|section| section.name.as_bytes() == name)
}

impl Flag {
    /// What it does.
    pub(super) fn summary(self) -> Packed {
        Packed::line(packed::Flags, self.line)
    }
}

impl Section {
    /// What the verb does.
    pub(super) fn summary(self) -> Packed {
        Packed::line(packed::Flags, self.line)
    }

    pub(super) fn flags(self) -> impl Iterator<Item = Flag> {
        let rows = self.rows.lines().zip(self.line.saturating_add(1)..);
        rows.filter_map(|(row, line)| {
            let (mark, row) = row.split_at_checked(1)?;
            let mut words = row.split('|');
            Some(Flag {
                long: words.next()?,
                short: words.next()?,
                value: words.next()?,
                line,
                hidden: mark == "~",
            })
        })
    }

    fn flag(self, name: &[u8]) -> Option<Flag> {
        let is = |text: &str| !text.is_empty() && text.as_bytes() == name;
        self.flags().find(|flag| is(flag.long) || is(flag.short))
    }

    /// Whether there are as many operands as the verb takes.
    pub(super) fn check_count(self, count: usize) -> Result<(), Misuse> {
        let parse = |text: &str| text.parse::<usize>().unwrap_or(0);
        let (least, most) = (parse(self.least), parse(self.most));
        let (words, number) = if (least..=most).contains(&count) {
            return Ok(());
        } else if least == most {
            ("\" requires exactly ", self.least)
        } else if count < least {
            ("\" requires a minimum of ", self.least)
        } else {
            ("\" requires a maximum of ", self.most)
        };
        Err(misuse(&[
            b"\"",
            self.name.as_bytes(),
            words.as_bytes(),
            number.as_bytes(),
            b" argument(s)",
        ]))
    }
}

/// What is wrong with a command line: pieces of a sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Misuse(pub(super) [&'static [u8]; 5]);

pub(super) fn misuse(pieces: &[&'static [u8]]) -> Misuse {
    let mut all: [&'static [u8]; 5] = [b""; 5];
    for (to, from) in all.iter_mut().zip(pieces) {
        *to = *from;
    }
    Misuse(all)
}

/// A value that is not one that the flag can have.
pub(super) fn bad_value(value: &'static CStr, flag: &'static str, allowed: &'static str) -> Misuse {
    misuse(&[
        b"invalid value \"",
        value.to_bytes(),
        b"\" for flag -",
        flag.as_bytes(),
        allowed.as_bytes(),
    ])
}

/// A command line, taken apart.
pub(super) struct Parsed {
    given: Vec<Given, FLAGS>,
    operands: Vec<&'static CStr, OPERANDS>,
    /// The number of operands.
    pub(super) count: usize,
    /// The first word that was not looked at.
    pub(super) next: usize,
}

struct Given {
    long: &'static str,
    value: Option<&'static CStr>,
    on: bool,
}

impl Parsed {
    /// The value of a flag.
    pub(super) fn value(&self, long: &str) -> Option<&'static CStr> {
        self.given.iter().find(|given| given.long == long)?.value
    }

    /// Whether a switch is on.
    pub(super) fn is_on(&self, long: &str) -> bool {
        self.given
            .iter()
            .any(|given| given.long == long && given.on)
    }

    /// An operand.
    pub(super) fn operand(&self, n: usize) -> Option<&'static CStr> {
        self.operands.get(n).copied()
    }

    fn give(&mut self, flag: Flag, value: Option<&'static CStr>, on: bool) {
        let given = Given {
            long: flag.long,
            value,
            on,
        };
        if let Some(old) = self.given.iter_mut().find(|old| old.long == flag.long) {
            *old = given;
        } else {
            // A section has fewer rows than this has places, as a test shows.
            let _ = self.given.push(given);
        }
    }
}

/// Takes the words from `next` on apart, by the rows of `section`; up to the first operand when `stop`.
pub(super) fn parse(
    args: Args,
    next: usize,
    section: Section,
    stop: bool,
) -> Result<Parsed, Misuse> {
    let mut parsed = Parsed {
        given: Vec::new(),
        operands: Vec::new(),
        count: 0,
        next,
    };
    let mut flags = true;
    while let Some(word) = args.get(parsed.next) {
        let name = match word.to_bytes() {
            b"--" if flags => {
                flags = false;
                parsed.next = parsed.next.saturating_add(1);
                continue;
            }
            // A dash alone is an operand.
            [b'-', rest @ ..] if flags && !rest.is_empty() => rest,
            _ if stop => break,
            _ => {
                let _ = parsed.operands.push(word);
                parsed.count = parsed.count.saturating_add(1);
                parsed.next = parsed.next.saturating_add(1);
                continue;
            }
        };
        parsed.next = parsed.next.saturating_add(1);
        let name = name.strip_prefix(b"-").unwrap_or(name);
        take(args, word, name, section, &mut parsed)?;
    }
    Ok(parsed)
}

/// One word with a flag in it; `name` is its rest after the dashes.
fn take(
    args: Args,
    word: &'static CStr,
    name: &'static [u8],
    section: Section,
    parsed: &mut Parsed,
) -> Result<(), Misuse> {
    let key = name.split(|byte| *byte == b'=').next().unwrap_or(name);
    let Some(flag) = section.flag(key) else {
        if word.to_bytes().starts_with(b"--") || !joined(args, word, name, section, parsed) {
            return Err(misuse(&[b"flag provided but not defined: -", key]));
        }
        return Ok(());
    };
    let value = (name.len() > key.len())
        .then(|| tail(word, name.len().saturating_sub(key.len()).saturating_sub(1)))
        .flatten();
    if flag.value.is_empty() {
        let on = match value {
            None => true,
            Some(text) => boolean(text.to_bytes()).ok_or(misuse(&[
                b"invalid boolean value \"",
                text.to_bytes(),
                b"\" for -",
                key,
                b": parse error",
            ]))?,
        };
        parsed.give(flag, None, on);
        return Ok(());
    }
    let value = value
        .or_else(|| following(args, parsed))
        .ok_or(misuse(&[b"flag needs an argument: -", key]))?;
    parsed.give(flag, Some(value), false);
    Ok(())
}

/// Short flags in one word: switches, and behind them one with its value. False if one of them is not known.
fn joined(
    args: Args,
    word: &'static CStr,
    name: &'static [u8],
    section: Section,
    parsed: &mut Parsed,
) -> bool {
    let mut rest = name;
    while let [short, behind @ ..] = rest {
        let Some(flag) = section.flag(core::slice::from_ref(short)) else {
            return false;
        };
        if !flag.value.is_empty() {
            let value = if behind.is_empty() {
                following(args, parsed)
            } else {
                tail(word, behind.len())
            };
            if value.is_some() {
                parsed.give(flag, value, false);
            }
            return value.is_some();
        }
        parsed.give(flag, None, true);
        rest = behind;
    }
    true
}

/// The next word, as a value.
fn following(args: Args, parsed: &mut Parsed) -> Option<&'static CStr> {
    let value = args.get(parsed.next)?;
    parsed.next = parsed.next.saturating_add(1);
    Some(value)
}

/// The last `length` bytes of a word.
fn tail(word: &'static CStr, length: usize) -> Option<&'static CStr> {
    let bytes = word.to_bytes_with_nul();
    let start = bytes.len().checked_sub(length)?.checked_sub(1)?;
    CStr::from_bytes_with_nul(bytes.get(start..)?).ok()
}

/// The words that Go takes for booleans.
pub(super) fn boolean(text: &[u8]) -> Option<bool> {
    match text {
        b"1" | b"t" | b"T" | b"true" | b"TRUE" | b"True" => Some(true),
        b"0" | b"f" | b"F" | b"false" | b"FALSE" | b"False" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
