//! From a profile to a program.
//!
//! ```text
//!   load arch     native? ─▶ load nr ─▶ binary search over ranges of numbers ─▶ action, or conditions
//!                 next architecture? ─▶ the same
//!                 else kill, as libseccomp has it
//! ```
//!
//! seccompiler is not used here: a profile has several actions in one filter, numbers of their own for errno and trace,
//! several architectures in one program, and notify. What is known when ocilet is built is compiled by it.
//!
//! Beside what the profile says there are, as in runc:
//! - ENOSYS for numbers above all that the profile names, if its default is to refuse: they are newer than its author
//!   knew, and C libraries fall back on ENOSYS alone.
//! - socketcall(2) and ipc(2), which carry the calls of their families by number: a rule for such a call is one for that
//!   number, too. What the rule wants of the first argument is left out there, since that is in memory, where a filter
//!   cannot look; what it wants of the others is compared with registers that only the caller gives a meaning. A profile
//!   that looks at the family of sockets is to leave out the architectures with socketcall(2), or to refuse that.
#![forbid(unsafe_code)]

use super::action::{ENOSYS, KILL_THREAD, permits};
use super::conditions::{Chain, high, low};
use super::machine::{Abi, Machine};
use super::policy::{Calls, NAMES, Policy, Verdict};
use super::program::{EQUAL, NOT_LESS, Place, Program};
use heapless::Vec;

/// `struct seccomp_data`, linux/seccomp.h: where its members are.
const NUMBER: u32 = 0;
const ARCH: u32 = 4;

/// Ranges that are looked through one by one, where that is shorter.
const FEW: usize = 16;

/// From a number on.
#[derive(Clone, Copy)]
struct Range {
    start: u32,
    outcome: Outcome,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// This action.
    End(u32),
    /// The conditions of the call with this name.
    Conditions(u16),
}

/// Room for the work; only what is filled is ever touched.
pub struct Scratch {
    /// The rules of each name.
    pub calls: Calls,
    /// What happens to the numbers of one architecture; two ABIs share one.
    ranges: Vec<Range, { 4 * NAMES }>,
    /// Calls whose conditions differ from those of all others.
    kinds: Vec<u16, NAMES>,
    /// Where the conditions of each of them are; one more than the place, 0 for not yet.
    places: [u16; NAMES],
}

impl Scratch {
    /// Empty.
    #[must_use]
    #[allow(
        clippy::new_without_default,
        reason = "a Default would be made on the stack"
    )]
    pub const fn new() -> Self {
        Self {
            calls: Calls::new(),
            ranges: Vec::new(),
            kinds: Vec::new(),
            places: [0; NAMES],
        }
    }
}

/// Compiles a profile; `None` if it takes more instructions than there may be.
pub fn compile(
    machine: &Machine,
    policy: Policy<'_>,
    scratch: &mut Scratch,
    program: &mut Program,
) -> Option<()> {
    program.clear();
    let mut way = program.end(KILL_THREAD)?;
    let native = machine.abis.first()?.oci;
    let wants = |abi: &Abi| abi.oci == native || policy.architectures & (1_u64 << abi.oci) != 0;
    for group in machine
        .abis
        .chunk_by(|one, two| one.audit == two.audit)
        .rev()
    {
        let Some(first) = group.first() else { continue };
        if !wants(first) {
            continue;
        }
        scratch.ranges.clear();
        scratch.kinds.clear();
        scratch.places.fill(0);
        let mut section = Section {
            policy,
            scratch,
            program,
            abi: first,
            newer: false,
        };
        for abi in group {
            section.ranges(abi, wants(abi))?;
        }
        let last = section.scratch.ranges.len();
        let start = section.search(0, last)?;
        let start = program.load(NUMBER, start)?;
        way = program.branch(EQUAL, first.audit, start, way)?;
    }
    let entry = program.load(ARCH, way)?;
    program.finish(entry)
}

/// The part of the program for one architecture.
struct Section<'s> {
    policy: Policy<'s>,
    scratch: &'s mut Scratch,
    program: &'s mut Program,
    abi: &'s Abi,
    /// The numbers above those of the ABI before are ENOSYS.
    newer: bool,
}

impl Section<'_> {
    /// What happens to the numbers of an ABI, up to the highest number that there is.
    fn ranges(&mut self, abi: &Abi, wanted: bool) -> Option<()> {
        let default = Outcome::End(self.policy.default);
        let refuse = !permits(self.policy.default) && self.policy.default != ENOSYS;
        if !wanted {
            // x32 is told from x86_64 by its numbers alone. -1 is how a tracer says that there is to be no call.
            if !self.newer {
                self.range(abi.base, Outcome::End(KILL_THREAD))?;
                self.range(u32::MAX, default)?;
            }
            return Some(());
        }
        let mut next = abi.base;
        let mut newer = None;
        for (number, call) in abi.calls() {
            if number != next {
                self.range(next, default)?;
            }
            next = number + 1;
            if self.scratch.calls.has(call) {
                newer = Some(next);
            }
            let outcome = self.outcome(abi, call)?;
            self.range(number, outcome)?;
        }
        self.range(next, default)?;
        let newer = newer.filter(|_| refuse);
        self.newer = newer.is_some();
        match newer {
            Some(newer) => self.range(newer, Outcome::End(ENOSYS)),
            None => Some(()),
        }
    }

    /// From a number on; what was said of this number and those above before is taken back.
    fn range(&mut self, start: u32, outcome: Outcome) -> Option<()> {
        let ranges = &mut self.scratch.ranges;
        while ranges.last().is_some_and(|it| it.start >= start) {
            ranges.pop();
        }
        match ranges.last() {
            Some(below) if below.outcome == outcome => Some(()),
            _ => ranges.push(Range { start, outcome }).ok(),
        }
    }

    /// What happens to a call.
    fn outcome(&mut self, abi: &Abi, call: u16) -> Option<Outcome> {
        let Scratch { calls, kinds, .. } = &mut *self.scratch;
        let verdict = self.policy.verdict(calls, call, false);
        let inner = abi.inner(call);
        let default = Verdict::Always(self.policy.default);
        let silent = |it: &(u16, u16)| self.policy.verdict(calls, it.1, true) == default;
        match verdict {
            Verdict::Always(action) if verdict != default || inner.iter().all(silent) => {
                return Some(Outcome::End(action));
            }
            _ => {}
        }
        let plain = |call| abi.inner(call).is_empty();
        let same = |it: &&u16| plain(call) && plain(**it) && self.policy.same(calls, **it, call);
        if let Some(same) = kinds.iter().find(same) {
            return Some(Outcome::Conditions(*same));
        }
        kinds.push(call).ok()?;
        Some(Outcome::Conditions(call))
    }

    /// Finds the range of a number among those from `first` to below `end`, and takes ranges out of them.
    fn search(&mut self, first: usize, end: usize) -> Option<Place> {
        let range = |at: usize| self.scratch.ranges.get(at).copied();
        let count = end - first;
        if count == 1 {
            return self.leaf(range(first)?.outcome);
        }
        // One number in the midst of others takes a comparison of its own instead of two.
        if count <= FEW
            && let Some(at) = (first + 1..end - 1).find(|at| self.alone(*at))
        {
            let single = range(at)?;
            self.scratch.ranges.remove(at + 1);
            self.scratch.ranges.remove(at);
            let fails = self.search(first, end - 2)?;
            let holds = self.leaf(single.outcome)?;
            return self.program.branch(EQUAL, single.start, holds, fails);
        }
        let split = first + count / 2;
        let start = range(split)?.start;
        let above = self.search(split, end)?;
        let below = self.search(first, split)?;
        self.program.branch(NOT_LESS, start, above, below)
    }

    /// Whether a range is one number, with the same on both sides of it.
    fn alone(&self, at: usize) -> bool {
        match self.scratch.ranges.get(at - 1..at + 2) {
            Some([below, it, above]) => {
                above.start - it.start == 1 && above.outcome == below.outcome
            }
            _ => false,
        }
    }

    fn leaf(&mut self, outcome: Outcome) -> Option<Place> {
        let call = match outcome {
            Outcome::End(action) => return self.program.end(action),
            Outcome::Conditions(call) => call,
        };
        if let Some(place) = self
            .scratch
            .places
            .get(usize::from(call))
            .and_then(|it| it.checked_sub(1))
        {
            return Some(usize::from(place));
        }
        let place = self.conditions(call)?;
        *self.scratch.places.get_mut(usize::from(call))? = u16::try_from(place + 1).ok()?;
        Some(place)
    }

    /// The rules of a call, and of those that it carries.
    fn conditions(&mut self, call: u16) -> Option<Place> {
        let mut way = self.rules(call, false)?;
        let inner = self.abi.inner(call);
        if inner.is_empty() {
            return Some(way);
        }
        let otherwise = way;
        for (number, name) in inner.iter().rev() {
            // Of a call that no rule is about, what is said of the outer one counts.
            let default = Verdict::Always(self.policy.default);
            if self.policy.verdict(&self.scratch.calls, *name, true) != default {
                let there = self.rules(*name, true)?;
                way = self.program.branch(EQUAL, u32::from(*number), there, way)?;
            }
        }
        let way = self.program.load(low(0), way)?;
        if self.abi.narrow {
            return Some(way);
        }
        let way = self.program.branch(EQUAL, 0, way, otherwise)?;
        self.program.load(high(0), way)
    }

    /// The rules of one call, the first one in front; with `inner` nothing is known of its first argument.
    fn rules(&mut self, call: u16, inner: bool) -> Option<Place> {
        if let Verdict::Always(action) = self.policy.verdict(&self.scratch.calls, call, inner) {
            return self.program.end(action);
        }
        let way = self.program.end(self.policy.default)?;
        let mut chain = Chain::new(self.program, self.abi.narrow, inner, way);
        for rule in self.policy.rules(&self.scratch.calls, call) {
            chain.rule(rule)?;
        }
        chain.close()
    }
}
