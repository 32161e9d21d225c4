//! A plan in the making: the document that it is made from, and what every part of it is added with.
//!
//! What goes wrong with a text or an operation is noted in the arena: the first such fault is asked for once, when the
//! plan is whole.
#![forbid(unsafe_code)]

use super::Plan;
use super::arena::{Arena, Str};
use super::make::{Request, Source};
use super::op::Op;
use crate::config::Text;
use crate::error::{At, Fault, Rule, Step};
use crate::limits::Limit;

/// The document, what the command line adds to it, and the plan as far as it is made.
pub struct Draft<'a> {
    /// What the command line says.
    pub request: Request<'a>,
    /// The document.
    pub source: Source<'a>,
    /// The plan.
    pub plan: &'a mut Plan,
}

impl Draft<'_> {
    /// Adds a text of the document.
    #[inline(never)] // many callers
    pub fn text(&mut self, text: Text) -> Str {
        self.put(text);
        self.plan.arena.close(text.place())
    }

    /// Adds a text of the document to the open string.
    pub fn put(&mut self, text: Text) {
        for byte in text.bytes(self.source.doc) {
            self.plan.arena.add(byte);
        }
    }

    /// Adds a path of the container: absolute and cleaned.
    #[inline(never)] // many callers
    pub fn path(&mut self, text: Text) -> Str {
        let path = &mut text.bytes(self.source.doc);
        clean(path, &mut self.plan.arena);
        if self.plan.arena.open().len() >= PATH_MAX {
            self.refuse(Rule::PathTooLong, text.place());
        }
        self.plan.arena.close(text.place())
    }

    /// Adds a path of the host: absolute, or below the bundle. Its links and ".." are the host's affair.
    pub fn host_path(&mut self, text: Text) -> Str {
        if !text.starts_with(self.source.doc, b'/') {
            self.plan.arena.put(self.request.bundle);
            self.plan.arena.add(b'/');
        }
        self.text(text)
    }

    /// The container's own session keyring, by its name.
    pub fn session_keyring(&mut self) {
        self.plan.arena.put(b"_ses.");
        self.plan.keyring = Some(self.plan.arena.push(self.request.id));
    }

    /// Adds an operation.
    #[inline(never)] // many callers
    pub fn op(&mut self, op: Op) {
        if self.plan.ops.push(op).is_err() {
            self.fail(Fault::limit(Step::MakePlan, Limit::OPS, At::Nothing));
        }
    }

    /// Notes a broken rule.
    #[inline(never)] // many callers
    pub fn refuse(&mut self, rule: Rule, at: At) {
        self.fail(Fault::rule(Step::MakePlan, rule, at));
    }

    /// Notes what is wrong, unless something was before.
    pub fn fail(&mut self, fault: Fault) {
        self.plan.arena.fail(fault);
    }
}

/// Of the kernel, with the NUL.
const PATH_MAX: usize = 4096;

/// Adds a path to the open string, which is empty, cleaned as text: absolute, no empty component, no ".", and ".." takes
/// back the one before. Links are not known here, so that ".." behind one means what it says, as in other runtimes.
fn clean<const N: usize>(path: &mut dyn Iterator<Item = u8>, arena: &mut Arena<N>) {
    // The slash before the component being read.
    let mut start = 0;
    arena.add(b'/');
    // A slash at the end closes the last component.
    for byte in path.chain(*b"/") {
        if byte == b'/' {
            let (before, component) = arena.open().split_at_checked(start).unwrap_or_default();
            start = match component {
                b"/" | b"/." => start,
                b"/.." => before.iter().rposition(|byte| *byte == b'/').unwrap_or(0),
                _ => arena.open().len(),
            };
            arena.truncate(start);
        }
        arena.add(byte);
    }
    // It stays where it is all there is.
    arena.truncate(start.max(1));
}

#[cfg(test)]
mod tests {
    use super::{Arena, clean};
    use crate::error::At;

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
        let mut arena = Arena::<256>::new();
        for (path, want) in table {
            clean(&mut path.bytes(), &mut arena);
            let cleaned = arena.close(At::Nothing);
            assert_eq!(arena.bytes(cleaned), want.as_bytes(), "{path}");
        }
    }
}
