//! What a profile says about each system call, before it is a program: for each name the rules that have it.
//!
//! The meaning is libseccomp's, as callers know it from runc:
//! - A rule whose action is the default one says nothing.
//! - Of several rules for one call the first one without conditions decides, wherever it stands. Without such a one it
//!   is the first one whose conditions hold; and if none does, the default action.
//! - The conditions of a rule must all hold, unless two of them are about the same argument: then one is enough.
#![forbid(unsafe_code)]

use super::action;
use super::machine::Machine;
use crate::config::{SeccompArg, SeccompRule};
use crate::limits::SECCOMP_NAMES;
use heapless::Vec;

/// More than any machine has names.
pub(super) const NAMES: usize = 512;

/// The rules, by name.
pub struct Calls {
    /// The last link of each name, from 1 on; 0 is none.
    last: [u16; NAMES],
    links: Vec<Link, { SECCOMP_NAMES + NAMES }>,
}

/// One rule of a name, and the link before it.
#[derive(Clone, Copy)]
struct Link {
    rule: u16,
    before: u16,
}

impl Calls {
    /// No rules.
    #[must_use]
    pub(super) const fn new() -> Self {
        Self {
            last: [0; NAMES],
            links: Vec::new(),
        }
    }

    /// A rule is for the call with this name. Whether there is a call of that name.
    pub fn name(
        &mut self,
        machine: &Machine,
        rule: usize,
        mut name: impl Iterator<Item = u8>,
    ) -> bool {
        match machine.find(&mut name) {
            Some(call) => self.call(rule, call).is_some(),
            None => false,
        }
    }

    /// A rule is for the call at this place; the capacities are those of the document.
    pub(super) fn call(&mut self, rule: usize, call: u16) -> Option<()> {
        let last = self.last.get_mut(usize::from(call))?;
        let rule = u16::try_from(rule).ok()?;
        self.links
            .push(Link {
                rule,
                before: *last,
            })
            .ok()?;
        *last = u16::try_from(self.links.len()).ok()?;
        Some(())
    }

    /// Whether any rule names this call.
    pub(super) fn has(&self, call: u16) -> bool {
        self.last.get(usize::from(call)).is_some_and(|it| *it != 0)
    }

    /// The rules of a call, the last one first.
    fn rules(&self, call: u16) -> impl Iterator<Item = usize> {
        let mut at = self.last.get(usize::from(call)).copied().unwrap_or(0);
        core::iter::from_fn(move || {
            let link = self.links.get(usize::from(at).checked_sub(1)?)?;
            at = link.before;
            Some(usize::from(link.rule))
        })
    }
}

/// A profile.
#[derive(Clone, Copy)]
pub struct Policy<'a> {
    /// SECCOMP_RET_* of calls that no rule is about.
    pub default: u32,
    /// Bit N is word N of `config::Names::Arch`.
    pub architectures: u64,
    /// In their order.
    pub rules: &'a [SeccompRule],
    /// What the lists of the rules are in.
    pub args: &'a [SeccompArg],
}

/// What happens to a call.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Always this action.
    Always(u32),
    /// Its arguments decide.
    Depends,
}

impl<'a> Policy<'a> {
    /// The rules of a call that say something, the last one first.
    pub(super) fn rules(self, calls: &Calls, call: u16) -> impl Iterator<Item = Rule<'a>> {
        calls
            .rules(call)
            .filter_map(move |place| self.rules.get(place))
            .map(move |rule| Rule {
                action: action::word(rule.action, rule.errno),
                conditions: rule.args.of(self.args),
            })
            .filter(move |rule| rule.action != self.default)
    }

    /// What happens to a call, if nothing can be known of its first argument when `inner` (see `compile.rs`).
    pub(super) fn verdict(self, calls: &Calls, call: u16, inner: bool) -> Verdict {
        let mut verdict = Verdict::Always(self.default);
        let mut settled = false;
        for rule in self.rules(calls, call) {
            if rule.always(inner) {
                verdict = Verdict::Always(rule.action);
                settled = true;
            } else if !settled {
                verdict = Verdict::Depends;
            }
        }
        verdict
    }

    /// Whether two calls have the same rules.
    pub(super) fn same(self, calls: &Calls, one: u16, two: u16) -> bool {
        calls.rules(one).eq(calls.rules(two))
    }
}

/// A rule that says something.
#[derive(Clone, Copy)]
pub(super) struct Rule<'a> {
    /// SECCOMP_RET_* with its number.
    pub(super) action: u32,
    /// What must hold of the arguments.
    pub(super) conditions: &'a [SeccompArg],
}

impl Rule<'_> {
    /// Whether one condition is enough: two of them are about the same argument.
    pub(super) fn any(&self) -> bool {
        let mut seen = 0_u8;
        self.conditions.iter().any(|condition| {
            let bit = 1_u8.checked_shl(u32::from(condition.index)).unwrap_or(0);
            let again = seen & bit != 0;
            seen |= bit;
            again
        })
    }

    fn always(&self, inner: bool) -> bool {
        let gone = |condition: &SeccompArg| inner && condition.index == 0;
        if self.any() {
            self.conditions.iter().any(gone)
        } else {
            self.conditions.iter().all(gone)
        }
    }
}
