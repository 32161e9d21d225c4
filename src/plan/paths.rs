//! Paths of the document as the plan keeps them.
#![forbid(unsafe_code)]

use super::Plan;
use super::arena::Str;
use crate::config::Text;
use crate::error::{Fault, Rule, Step};

/// Adds a path of the container: absolute and cleaned.
pub(super) fn push_path(plan: &mut Plan, text: Text, doc: &[u8]) -> Result<Str, Fault> {
    let mut path = Path::new();
    for byte in text.bytes(doc) {
        path.byte(byte);
    }
    match path.finish() {
        Some(bytes) => plan
            .arena
            .push(bytes)
            .map_err(|fault| fault.or_at(text.place())),
        None => Err(too_long(text)),
    }
}

/// Adds a path of the host: absolute, or below the bundle. Its links and ".." are the host's affair.
pub(super) fn push_host_path(plan: &mut Plan, text: Text, doc: &[u8]) -> Result<Str, Fault> {
    if text.starts_with(doc, b'/') {
        return push_text(plan, text, doc);
    }
    let mut prefix = [0; PATH];
    let bundle = plan.arena.bytes(plan.bundle);
    let length = bundle.len();
    prefix
        .get_mut(..length)
        .ok_or(too_long(text))?
        .copy_from_slice(bundle);
    let prefix = prefix.iter().take(length).copied();
    let whole = prefix.chain(*b"/").chain(text.bytes(doc));
    let pushed = plan.arena.push_iter(whole);
    pushed.map_err(|fault| fault.or_at(text.place()))
}

pub(super) fn push_text(plan: &mut Plan, text: Text, doc: &[u8]) -> Result<Str, Fault> {
    super::route::push(&mut plan.arena, text, doc)
}

fn too_long(text: Text) -> Fault {
    Fault::rule(Step::MakePlan, Rule::PathTooLong, text.place())
}

/// PATH_MAX of the kernel.
const PATH: usize = 4096;

/// A path being cleaned, as text: absolute, no empty component, no ".", and ".." takes back the one before. Links are
/// not known here, so that ".." behind one means what it says, as in other runtimes.
struct Path {
    bytes: [u8; PATH],
    length: usize,
    /// The slash before the component being read.
    start: usize,
    fits: bool,
}

impl Path {
    fn new() -> Self {
        let mut bytes = [0; PATH];
        if let Some(first) = bytes.first_mut() {
            *first = b'/';
        }
        Self {
            bytes,
            length: 1,
            start: 0,
            fits: true,
        }
    }

    fn byte(&mut self, byte: u8) {
        if byte == b'/' {
            self.close();
            self.start = self.length;
        }
        // One byte is left for the NUL.
        match self.bytes.get_mut(self.length) {
            Some(place) if self.length + 1 < PATH => *place = byte,
            _ => self.fits = false,
        }
        self.length += usize::from(self.fits);
    }

    /// Ends a component.
    fn close(&mut self) {
        match self.bytes.get(self.start + 1..self.length) {
            Some(b"" | b".") => self.length = self.start,
            Some(b"..") => {
                let before = self.bytes.get(..self.start).unwrap_or(&[]);
                self.length = before.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
            }
            _ => {}
        }
    }

    /// The whole; `None` when it does not fit.
    fn finish(&mut self) -> Option<&[u8]> {
        self.close();
        if self.length == 0 {
            return Some(b"/");
        }
        self.bytes.get(..self.length).filter(|_| self.fits)
    }
}

#[cfg(test)]
mod tests {
    use super::Path;

    fn clean(path: &str) -> Option<String> {
        let mut cleaned = Path::new();
        for byte in path.bytes() {
            cleaned.byte(byte);
        }
        let bytes = cleaned.finish()?;
        Some(String::from_utf8(bytes.to_vec()).unwrap())
    }

    #[test]
    fn paths_are_cleaned() {
        let table = [
            ("/dev/pts", "/dev/pts"),
            ("dev//pts/", "/dev/pts"),
            ("/./proc/", "/proc"),
            ("/proc/../proc", "/proc"),
            ("/..", "/"),
            ("/a/b/../../../c", "/c"),
            ("/a/..", "/"),
            ("/a/...", "/a/..."),
            ("/a/.b/..c", "/a/.b/..c"),
            ("", "/"),
            (".", "/"),
            ("..", "/"),
            ("//", "/"),
            ("a", "/a"),
        ];
        for (path, want) in table {
            assert_eq!(clean(path).as_deref(), Some(want), "{path}");
        }
        let longest = format!("/{}", "x".repeat(4094));
        assert_eq!(clean(&longest).as_deref(), Some(&longest[..]));
        assert_eq!(clean(&format!("{longest}x")), None);
    }
}
