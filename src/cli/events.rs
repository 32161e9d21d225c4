//! `events`: what the kernel counts for a container, once or every few seconds, and the news that memory ran out.
//!
//! `stats.txt` is what is printed, with directives in it: `@`, a letter, words, `;`; those for v2 stand behind a `|` where
//! they differ. Files that this kernel lacks count as 0 or nothing.
#![forbid(unsafe_code)]

use super::alive::{Found, refuse, with};
use super::{Call, FAILED};
use crate::cgroup::{self, Mode};
use crate::error::{Context, Errno, Fault, Rule, Step, packed};
use crate::say::Line;
use crate::state::Status;
use crate::sys::memory::TakeOnce;
use crate::sys::time::{self, MILLISECOND, SECOND};
use crate::sys::{AsFd, path};
use crate::text::{c_text, cut, number, pieces};
use heapless::Vec;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{CWD, OFlags, RawDir};

/// Room for the longest file: one number for each CPU, or memory.stat.
static TEXT: TakeOnce<[u8; 65_536]> = TakeOnce::new([0; 65_536]);

/// `events ID`.
pub(super) fn events(call: &mut Call) -> Result<i32, Fault> {
    let once = call.parsed.is_on("stats");
    let interval = call.parsed.value("interval").unwrap_or(c"5s");
    let Some(interval) = duration(interval.to_bytes()).filter(|it| *it > 0) else {
        call.parsed
            .bad_value(interval, "interval", "a time such as 500ms, 5s or 1m");
        return Ok(FAILED);
    };
    with(call, false, &mut |found| {
        if found.status == Status::Stopped {
            return refuse(Step::ReadStats, Rule::NotRunning);
        }
        let never = Fault::rule(Step::ReadStats, Rule::Never, crate::error::At::Nothing);
        let text = TEXT.take().ok_or(never)?;
        let id = call.id.to_bytes();
        if once {
            stats(id, found.cgroups, text)?;
        } else {
            stream(id, &found, interval, text)?;
        }
        Ok(0)
    })
}

/// A time as Go writes it: numbers, each with a unit.
fn duration(text: &[u8]) -> Option<u64> {
    let mut rest = text;
    let mut all = 0_u64;
    while !rest.is_empty() {
        let end = |text: &[u8], digits| {
            let other = text.iter().position(|byte| byte.is_ascii_digit() != digits);
            other.unwrap_or(text.len())
        };
        let (count, behind) = rest.split_at_checked(end(rest, true))?;
        let (unit, behind) = behind.split_at_checked(end(behind, false))?;
        let unit = match unit {
            b"ms" => MILLISECOND,
            b"s" => SECOND,
            b"m" => 60 * SECOND,
            b"h" => 3600 * SECOND,
            _ => return None,
        };
        all = all.checked_add(number(count, 10)?.checked_mul(unit)?)?;
        rest = behind;
    }
    Some(all)
}

/// Until the container ends.
fn stream(id: &[u8], found: &Found<'_>, interval: u64, text: &mut [u8]) -> Result<(), Fault> {
    let mut watch = cgroup::OomWatch::new(found.cgroups);
    let mut next = time::monotonic().saturating_add(interval);
    while let Some(init) = found.record.find_init(found.boot)? {
        let now = time::monotonic();
        if now >= next {
            stats(id, found.cgroups, text)?;
            next = now.saturating_add(interval);
        }
        // Without a pidfd, before Linux 5.3, its end is looked for ten times a second.
        let longest = if init.handle().is_some() {
            u64::MAX
        } else {
            SECOND / 10
        };
        let left = next.saturating_sub(now).min(longest);
        let mut fds = Vec::<PollFd<'_>, 2>::new();
        if let Some(watch) = &watch {
            let (fd, flags) = watch.poll();
            let _ = fds.push(PollFd::from_borrowed_fd(fd, flags));
        }
        if let Some(handle) = init.handle() {
            let _ = fds.push(PollFd::from_borrowed_fd(handle, PollFlags::IN));
        }
        match poll(&mut fds, Some(&time::span(left))) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno).step(Step::ReadStats),
        }
        let news = watch.is_some() && fds.first().is_some_and(|fd| !fd.revents().is_empty());
        drop(fds);
        if let Some(watch) = watch.as_mut().filter(|_| news)
            && watch.take(found.cgroups)
        {
            print("oom", id, &mut |_| ())?;
        }
    }
    Ok(())
}

/// One line of statistics.
fn stats(id: &[u8], record: &cgroup::Record, text: &mut [u8]) -> Result<(), Fault> {
    print("stats", id, &mut |line| {
        line.text(",\"data\":");
        let size = b"";
        let mut printer = Printer {
            line,
            record,
            text,
            size,
        };
        printer.fill(packed::line(packed::Stats, 0));
    })
}

/// `{"type":…,"id":…}`, with something behind.
fn print(kind: &str, id: &[u8], more: &mut dyn FnMut(&mut Line<'_>)) -> Result<(), Fault> {
    let mut bytes = [0; 4096];
    let mut line = Line::stdout(&mut bytes);
    line.fill("{\"type\":\"%\",\"id\":\"%\"", &[kind.as_bytes(), id]);
    more(&mut line);
    line.text("}\n");
    line.finish().step(Step::Print)
}

struct Printer<'p, 'l> {
    line: &'p mut Line<'l>,
    record: &'p cgroup::Record,
    text: &'p mut [u8],
    /// What stands for `^`: a size of pages.
    size: &'p [u8],
}

impl Printer<'_, '_> {
    /// The template, with what its directives stand for.
    fn fill(&mut self, template: &str) {
        let mut template = template.chars();
        while let Some(character) = template.next() {
            match character {
                '@' => {
                    let mut words = Vec::<u8, 128>::new();
                    for character in template.by_ref().take_while(|it| *it != ';') {
                        // The longest has 80 letters.
                        let _ = match character {
                            '^' => words.extend_from_slice(self.size).is_ok(),
                            plain => words.push(u8::try_from(plain).unwrap_or(0)).is_ok(),
                        };
                    }
                    let (v1, other) = cut(&words, b'|');
                    let v2 = self.record.mode == Mode::V2 && !other.is_empty();
                    let words = if v2 { other } else { v1 };
                    if let Some((kind, words)) = words.split_first() {
                        self.directive(*kind, words);
                    }
                }
                '^' => self.line.foreign(self.size),
                plain => self.line.character(plain),
            }
        }
    }

    fn directive(&mut self, kind: u8, words: &[u8]) {
        match kind {
            b'n' | b'm' => {
                let sum = pieces(words, b'+').fold(0_u64, |sum, spec| {
                    sum.saturating_add(self.number(spec).unwrap_or(0))
                });
                let no_limit = kind == b'm' && sum == u64::MAX;
                self.line.number(if no_limit { 0 } else { sum });
            }
            b'h' => self.huge_pages(),
            kind => {
                let (file, second) = cut(words, b' ');
                let text = read(self.record, file, self.text);
                if text.is_some() || kind != b'p' {
                    list(self.line, kind, text.unwrap_or_default(), second);
                }
            }
        }
    }

    /// `file`, `file word` or `file word factor`; "max" is the highest number.
    fn number(&mut self, spec: &[u8]) -> Option<u64> {
        let (file, words) = cut(spec, b' ');
        let (word, factor) = cut(words, b' ');
        let text = read(self.record, file, self.text)?;
        let text = if word.is_empty() {
            text
        } else {
            let mut lines = pieces(text, b'\n');
            lines.find_map(|line| line.strip_prefix(word)?.strip_prefix(b" "))?
        };
        match text.trim_ascii() {
            b"max" => Some(u64::MAX),
            digits => Some(number(digits, 10)?.saturating_mul(number(factor, 10).unwrap_or(1))),
        }
    }

    /// An object for each size of pages that the kernel has: /sys/kernel/mm/hugepages/hugepages-2048kB is 2MB.
    fn huge_pages(&mut self) {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let Ok(dir) = path::open(CWD, c"/sys/kernel/mm/hugepages", flags, 0) else {
            return;
        };
        let mut room = [core::mem::MaybeUninit::uninit(); 512];
        let mut entries = RawDir::new(dir.as_fd(), &mut room);
        let mut separator = "";
        while let Some(Ok(entry)) = entries.next() {
            let (_, size) = cut(entry.file_name().to_bytes(), b'-');
            let size = size.strip_suffix(b"kB");
            let Some(size) = size.and_then(|size| number(size, 10)) else {
                continue;
            };
            let (size, unit) = match size.trailing_zeros() {
                20.. => (size >> 20, "GB"),
                10.. => (size >> 10, "MB"),
                _ => (size, "KB"),
            };
            let mut title = [0; 24];
            let mut title = Line::new(&mut title);
            title.number(size);
            title.text(unit);
            self.line.text(core::mem::replace(&mut separator, ","));
            let template = packed::line(packed::Stats, 1);
            Printer {
                line: self.line,
                record: self.record,
                text: self.text,
                size: title.bytes(),
            }
            .fill(template);
        }
    }
}

fn read<'t>(record: &cgroup::Record, file: &[u8], text: &'t mut [u8]) -> Option<&'t [u8]> {
    let mut name = [0; 64];
    name.get_mut(..file.len())?.copy_from_slice(file);
    cgroup::read(record, c_text(&name)?, text)
}

/// A file of lists or lines: `l` numbers and ranges of numbers, `r` words with numbers, `b` lines of v1's blkio, `i` of
/// v2's io.stat, `p` of a pressure file, `s` a number that may be negative.
fn list(line: &mut Line<'_>, kind: u8, text: &[u8], second: &[u8]) {
    let (open, close) = match kind {
        b's' => {
            return line.foreign(if text.is_empty() {
                b"0"
            } else {
                text.trim_ascii()
            });
        }
        b'r' => ("{", "}"),
        b'p' => (",\"psi\":{", "}"),
        _ => ("[", "]"),
    };
    line.text(open);
    let mut separator = "";
    let mut item = |line: &mut Line<'_>, form: &str, words: &[&[u8]]| {
        line.text(core::mem::replace(&mut separator, ","));
        line.fill(form, words);
    };
    for row in pieces(text, if kind == b'l' { b',' } else { b'\n' }) {
        let (first, rest) = cut(row, b' ');
        let (major, minor) = cut(first, b':');
        match kind {
            // One number for each CPU, or ranges between commas.
            b'l' => {
                for word in pieces(row.trim_ascii(), b' ').filter(|word| !word.is_empty()) {
                    let (low, high) = cut(word, b'-');
                    let low = number(low, 10).unwrap_or(0);
                    for cpu in low..=number(high, 10).unwrap_or(low) {
                        item(line, "", &[]);
                        line.number(cpu);
                    }
                }
            }
            _ if rest.is_empty() => {}
            b'r' => item(line, "\"%\":%", &[first, rest]),
            b'b' => {
                let (op, value) = cut(rest, b' ');
                match (minor, value) {
                    (b"", _) => {}
                    (_, b"") => item(line, DEVICE, &[major, minor, b"", op]),
                    _ => item(line, DEVICE, &[major, minor, op, value]),
                }
            }
            _ => {
                let mut inner = "{";
                if kind == b'p' {
                    item(line, "\"%\":", &[first]);
                }
                for pair in pieces(rest, b' ') {
                    let (key, value) = cut(pair, b'=');
                    let op = match key.strip_suffix(second) {
                        _ if kind == b'p' => {
                            line.text(core::mem::replace(&mut inner, ","));
                            line.fill("\"%\":%", &[key, value]);
                            continue;
                        }
                        Some(b"r") => &b"Read"[..],
                        Some(b"w") => b"Write",
                        _ => continue,
                    };
                    item(line, DEVICE, &[major, minor, op, value]);
                }
                if kind == b'p' {
                    line.text("}");
                }
            }
        }
    }
    line.text(close);
}

/// A count of a block device.
const DEVICE: &str = "{\"major\":%,\"minor\":%,\"op\":\"%\",\"value\":%}";

#[cfg(test)]
mod tests {
    use super::{Line, duration, list};

    #[test]
    fn durations() {
        for (text, want) in [
            ("5s", Some(5_000_000_000)),
            ("1m30s", Some(90_000_000_000)),
            ("250ms", Some(250_000_000)),
            ("", Some(0)),
            ("5", None),
            ("s", None),
            ("5x", None),
        ] {
            assert_eq!(duration(text.as_bytes()), want, "{text}");
        }
    }

    #[test]
    fn lists() {
        for (kind, second, text, want) in [
            (b'l', "", "1 22 333 \n", "[1,22,333]"),
            (b'l', "", "0-2,7\n", "[0,1,2,7]"),
            (b'l', "", "\n", "[]"),
            (b'r', "", "a 1\nb_c 2\n", r#"{"a":1,"b_c":2}"#),
            (b'r', "", "", "{}"),
            (b's', "", "-1\n", "-1"),
            (
                b'b',
                "",
                "8:0 Read 5\n8:0 Total 5\nTotal 5\n",
                r#"[{"major":8,"minor":0,"op":"Read","value":5},{"major":8,"minor":0,"op":"Total","value":5}]"#,
            ),
            (
                b'b',
                "",
                "8:0 77\n",
                r#"[{"major":8,"minor":0,"op":"","value":77}]"#,
            ),
            (
                b'i',
                "ios",
                "8:16 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0\n",
                r#"[{"major":8,"minor":16,"op":"Read","value":3},{"major":8,"minor":16,"op":"Write","value":4}]"#,
            ),
            (
                b'p',
                "",
                "some avg10=0.00 total=7\nfull avg10=1.50 total=8\n",
                r#","psi":{"some":{"avg10":0.00,"total":7},"full":{"avg10":1.50,"total":8}}"#,
            ),
        ] {
            let mut buffer = [0; 512];
            let mut line = Line::new(&mut buffer);
            list(&mut line, kind, text.as_bytes(), second.as_bytes());
            assert_eq!(std::str::from_utf8(line.bytes()).unwrap(), want);
        }
    }
}
