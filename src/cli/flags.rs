//! The table of verbs and flags, and the parser that walks it; `help.rs` prints the same table.
//!
//! `flags.txt` is one text instead of structs, without relocations. A verb is a line `name|operands|COUNTS|summary`, with
//! the least and the most number of operands, a digit each, or `*` where the words behind the first operand are another
//! program's; its flags follow, `-long|short|VALUE|what it does`, without VALUE for a switch, with `...` behind VALUE for
//! one that counts each time, with `~` for `-` when help does not show it. The first section has the options before it.
//!
//! The rules are those of Go's flag package, which callers are used to: one or two dashes, `--flag=value` or
//! `--flag value`, `--flag=true|false` for switches, `--` ends the flags, the last of several wins; and as in runc flags
//! may follow the operands. In addition short ones can be joined: `-bDIR`, `-qfjson`.
#![forbid(unsafe_code)]

use crate::error::packed;
use crate::sys::args::Args;
use crate::text::{c_text, cut};
use core::ffi::CStr;
use heapless::Vec;

/// The table without what is only there to be read: the last word of each line is packed.
pub(super) static TABLE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/flags.txt"));

/// The flags that one command can be given: more than any section has.
const FLAGS: usize = 24;
/// Operands that are kept; more of them are counted.
const OPERANDS: usize = 3;
/// The words that Go takes for booleans, those for true first.
pub(super) const BOOLEANS: &str = "1 t T true TRUE True 0 f F false FALSE False";
pub(super) const TRUE: usize = 6;

/// A line of the table: a verb, or a flag of the verb above it.
#[derive(Clone, Copy)]
pub(super) struct Row {
    /// A flag, and whether help shows it; `None` for a verb.
    shown: Option<bool>,
    /// The name of the verb, or the long one of the flag.
    pub(super) name: &'static [u8],
    /// The operands of the verb, or the short name of the flag.
    pub(super) second: &'static [u8],
    /// The least and the most number of operands, or the name of the flag's value; empty for a switch.
    pub(super) third: &'static [u8],
    /// Its number in the table.
    line: usize,
    behind: Rows,
}

/// The lines of the table from one on.
#[derive(Clone, Copy)]
struct Rows {
    line: usize,
    rest: &'static [u8],
}

impl Iterator for Rows {
    type Item = Row;

    #[inline(never)] // once for all that is made of it
    fn next(&mut self) -> Option<Row> {
        if self.rest.is_empty() {
            return None;
        }
        let (text, rest) = cut(self.rest, b'\n');
        let line = self.line;
        *self = Self {
            line: line.saturating_add(1),
            rest,
        };
        let (shown, text) = match text {
            [mark @ (b'-' | b'~'), text @ ..] => (Some(*mark == b'-'), text),
            text => (None, text),
        };
        let (name, words) = cut(text, b'|');
        let (second, third) = cut(words, b'|');
        Some(Row {
            shown,
            name,
            second,
            third,
            line,
            behind: *self,
        })
    }
}

/// The verbs, and before them the nameless row of the options that stand before a verb.
pub(super) fn sections() -> impl Iterator<Item = Row> {
    let all = Rows {
        line: 0,
        rest: TABLE,
    };
    all.filter(|row| row.shown.is_none())
}

/// The row of a verb; of the options before it for the empty name.
pub(super) fn section(name: &[u8]) -> Option<Row> {
    sections().find(|section| section.name == name)
}

impl Row {
    /// What it does.
    pub(super) fn summary(&self) -> &'static str {
        packed::line(packed::Flags, self.line)
    }

    /// Whether help shows it.
    pub(super) fn is_shown(&self) -> bool {
        self.shown == Some(true)
    }

    /// The flags of a verb.
    pub(super) fn flags(&self) -> impl Iterator<Item = Self> {
        self.behind.take_while(|row| row.shown.is_some())
    }

    fn flag(&self, name: &[u8]) -> Option<Self> {
        self.flags()
            .find(|flag| !name.is_empty() && (flag.name == name || flag.second == name))
    }
}

/// What is wrong with a command line: a sentence, and the words for its `%`s.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Misuse(pub(super) &'static str, pub(super) [&'static [u8]; 3]);

/// The place of a word in a list with spaces between them.
pub(super) fn place(list: &str, word: &[u8]) -> Option<usize> {
    list.as_bytes()
        .split(|byte| *byte == b' ')
        .position(|known| known == word)
}

/// Who wants to see each value of a flag that can be given more than once.
type Visit<'v> = &'v mut dyn FnMut(&'static CStr);
/// The same, of any flag.
type Seen<'s> = &'s mut dyn FnMut(&Row, Option<&'static CStr>);

/// A command line, taken apart.
pub(super) struct Parsed {
    args: Args,
    /// The first word that was looked at.
    first: usize,
    given: Vec<Given, FLAGS>,
    operands: Vec<&'static CStr, OPERANDS>,
    /// The number of operands.
    pub(super) count: usize,
    /// The first word that was not looked at.
    pub(super) next: usize,
    /// Why it makes no sense.
    pub(super) wrong: Option<Misuse>,
}

/// A flag with its value; a switch that is on has an empty one.
struct Given {
    name: &'static [u8],
    value: Option<&'static CStr>,
}

impl Parsed {
    /// Nothing yet.
    pub(super) fn new(args: Args) -> Self {
        Self {
            args,
            first: 0,
            given: Vec::new(),
            operands: Vec::new(),
            count: 0,
            next: 0,
            wrong: None,
        }
    }

    /// Takes the words from `next` on apart, by the rows of `section`; up to the first operand when `stop`. False for a
    /// line that is wrong.
    pub(super) fn read(&mut self, next: usize, section: &Row, stop: bool) -> bool {
        self.given.clear();
        self.first = next;
        self.next = next;
        self.walk(section, stop, "", &mut |_| ())
    }

    /// Gives all values of a flag, in their order. The line has been read, and is right.
    pub(super) fn each(&self, name: &str, section: &Row, visit: Visit<'_>) {
        let mut again = Self::new(self.args);
        again.next = self.first;
        again.walk(section, false, name, visit);
    }

    fn walk(&mut self, section: &Row, stop: bool, name: &str, visit: Visit<'_>) -> bool {
        let mut seen = |flag: &Row, value| {
            if let Some(value) = value
                && flag.name == name.as_bytes()
            {
                visit(value);
            }
        };
        let mut flags = true;
        while self.wrong.is_none()
            && let Some(word) = self.following()
        {
            match word.to_bytes() {
                b"--" if flags => flags = false,
                // A dash alone is an operand.
                [b'-', name @ ..] if flags && !name.is_empty() => {
                    let name = name.strip_prefix(b"-").unwrap_or(name);
                    self.take(word, name, section, &mut seen);
                }
                _ if stop => {
                    self.next = self.next.saturating_sub(1);
                    break;
                }
                _ => {
                    let _ = self.operands.push(word);
                    self.count = self.count.saturating_add(1);
                    if section.third.ends_with(b"*") {
                        break;
                    }
                }
            }
        }
        self.wrong.is_none()
    }

    /// Whether there are as many operands as the verb takes.
    pub(super) fn check_count(&mut self, section: &Row) -> bool {
        let (Some(least), Some(most)) = (section.third.first(), section.third.last()) else {
            return true;
        };
        // A `*` is more than any.
        let allowed = |digit: &u8| usize::from(digit.wrapping_sub(b'0'));
        let (text, number) = if (allowed(least)..=allowed(most)).contains(&self.count) {
            return true;
        } else if least == most {
            ("\"%\" requires exactly % argument(s)", least)
        } else if self.count < allowed(least) {
            ("\"%\" requires a minimum of % argument(s)", least)
        } else {
            ("\"%\" requires a maximum of % argument(s)", most)
        };
        self.misuse(text, section.name, core::slice::from_ref(number), b"");
        false
    }

    /// The value of a flag.
    pub(super) fn value(&self, name: &str) -> Option<&'static CStr> {
        self.value_of(name.as_bytes())
    }

    /// The same for a name as bytes.
    #[inline(never)] // many callers
    pub(super) fn value_of(&self, name: &[u8]) -> Option<&'static CStr> {
        self.given.iter().find(|given| given.name == name)?.value
    }

    /// Whether a flag is there, be it a switch that is off.
    pub(super) fn is_given(&self, name: &str) -> bool {
        self.given.iter().any(|given| given.name == name.as_bytes())
    }

    /// Whether a switch is on.
    pub(super) fn is_on(&self, name: &str) -> bool {
        self.value(name).is_some()
    }

    /// The place of a flag's value among the words that it can be, 0 where it is not given. `None` for another word:
    /// then the line is wrong, and `allowed` tells what it may be.
    pub(super) fn choice(
        &mut self,
        name: &'static str,
        words: &str,
        allowed: &'static str,
    ) -> Option<usize> {
        let Some(value) = self.value(name) else {
            return Some(0);
        };
        let place = place(words, value.to_bytes());
        if place.is_none() {
            self.bad_value(value, name, allowed);
        }
        place
    }

    /// The value is not one that the flag can have.
    pub(super) fn bad_value(
        &mut self,
        value: &'static CStr,
        name: &'static str,
        allowed: &'static str,
    ) {
        self.misuse(
            "invalid value \"%\" for flag -%: %",
            value.to_bytes(),
            name.as_bytes(),
            allowed.as_bytes(),
        );
    }

    /// An operand.
    pub(super) fn operand(&self, n: usize) -> Option<&'static CStr> {
        self.operands.get(n).copied()
    }

    fn give(&mut self, flag: &Row, value: Option<&'static CStr>, seen: Seen<'_>) {
        seen(flag, value);
        let given = Given {
            name: flag.name,
            value,
        };
        if let Some(old) = self.given.iter_mut().find(|old| old.name == flag.name) {
            *old = given;
        } else {
            // A section has fewer rows than this has places, as a test shows.
            let _ = self.given.push(given);
        }
    }

    /// The next word.
    fn following(&mut self) -> Option<&'static CStr> {
        let value = self.args.get(self.next)?;
        self.next = self.next.saturating_add(1);
        Some(value)
    }

    /// One word with a flag in it; `name` is its rest after the dashes.
    fn take(&mut self, word: &'static CStr, name: &'static [u8], section: &Row, seen: Seen<'_>) {
        let (key, _) = cut(name, b'=');
        let Some(flag) = section.flag(key) else {
            if word.to_bytes().starts_with(b"--") || !self.joined(word, name, section, seen) {
                self.misuse("flag provided but not defined: -%", key, b"", b"");
            }
            return;
        };
        let value = name.len().checked_sub(key.len().saturating_add(1));
        let value = value.and_then(|length| tail(word, length));
        if !flag.third.is_empty() {
            match value.or_else(|| self.following()) {
                Some(value) => self.give(&flag, Some(value), seen),
                None => self.misuse("flag needs an argument: -%", key, b"", b""),
            }
            return;
        }
        let text = value.unwrap_or(c"true").to_bytes();
        match place(BOOLEANS, text) {
            Some(place) => self.give(&flag, (place < TRUE).then_some(c""), seen),
            None => self.misuse(
                "invalid boolean value \"%\" for -%: parse error",
                text,
                key,
                b"",
            ),
        }
    }

    /// Short flags in one word: switches, and behind them one with its value. False if one of them is not known.
    fn joined(
        &mut self,
        word: &'static CStr,
        name: &'static [u8],
        section: &Row,
        seen: Seen<'_>,
    ) -> bool {
        let mut rest = name;
        while let Some((short, behind)) = rest.split_at_checked(1) {
            let Some(flag) = section.flag(short) else {
                return false;
            };
            if !flag.third.is_empty() {
                let value = if behind.is_empty() {
                    self.following()
                } else {
                    tail(word, behind.len())
                };
                self.give(&flag, value, seen);
                return value.is_some();
            }
            self.give(&flag, Some(c""), seen);
            rest = behind;
        }
        true
    }

    #[inline(never)] // once for all that can be wrong
    pub(super) fn misuse(
        &mut self,
        text: &'static str,
        one: &'static [u8],
        two: &'static [u8],
        three: &'static [u8],
    ) {
        self.wrong = Some(Misuse(text, [one, two, three]));
    }
}

/// The last `length` bytes of a word.
fn tail(word: &'static CStr, length: usize) -> Option<&'static CStr> {
    let bytes = word.to_bytes_with_nul();
    let start = bytes.len().checked_sub(length)?.checked_sub(1)?;
    c_text(bytes.get(start..)?)
}

#[cfg(test)]
mod tests;
