//! From the rules of one call to comparisons of its arguments.
#![forbid(unsafe_code)]

use super::policy::Rule;
use super::program::{EQUAL, GREATER, NOT_LESS, Place, Program};
use crate::config::{SeccompArg, SeccompOp};

/// The arguments in `struct seccomp_data`, linux/seccomp.h.
const ARGS: u32 = 16;

/// The rules of one call, written from the last one to the first.
pub(super) struct Chain<'p> {
    program: &'p mut Program,
    /// Arguments have 32 bits.
    narrow: bool,
    /// Nothing is known of the first argument: what a rule wants of it is left out.
    inner: bool,
    /// Where those that are written begin.
    way: Place,
    /// Rules that share the loading of what they look at; they come before `way`.
    run: Option<Run>,
}

/// Rules about one argument with a value for it each, which differ in the lower half.
struct Run {
    index: u8,
    mask: (u32, u32),
    above: u32,
    /// Where the comparisons begin.
    values: Place,
}

impl<'p> Chain<'p> {
    /// No rules; `way` is what happens then.
    pub(super) fn new(program: &'p mut Program, narrow: bool, inner: bool, way: Place) -> Self {
        Self {
            program,
            narrow,
            inner,
            way,
            run: None,
        }
    }

    /// Puts a rule before those that are there.
    pub(super) fn rule(&mut self, rule: Rule<'_>) -> Option<()> {
        if !rule.any() {
            return self.all(rule.conditions, rule.action);
        }
        for one in rule.conditions.iter().rev() {
            self.all(core::slice::from_ref(one), rule.action)?;
        }
        Some(())
    }

    /// All conditions must hold.
    fn all(&mut self, conditions: &[SeccompArg], action: u32) -> Option<()> {
        let (inner, narrow) = (self.inner, self.narrow);
        let known = || conditions.iter().filter(move |it| !inner || it.index != 0);
        if let (Some(only), None) = (known().next(), known().nth(1))
            && let Some((mask, value)) = equality(only)
        {
            return self.value(only.index, (halves(mask), halves(value)), action);
        }
        let fails = self.close()?;
        self.way = self.program.end(action)?;
        for it in known().rev() {
            self.way = condition(self.program, narrow, it, self.way, fails)?;
        }
        Some(())
    }

    /// An argument must have a value.
    fn value(
        &mut self,
        index: u8,
        (mask, value): ((u32, u32), (u32, u32)),
        action: u32,
    ) -> Option<()> {
        if self.narrow && value.0 != 0 {
            return Some(());
        }
        let fits = |run: &&Run| (run.index, run.mask, run.above) == (index, mask, value.0);
        let before = match self.run.as_ref().filter(fits) {
            Some(run) => run.values,
            None => self.close()?,
        };
        let holds = self.program.end(action)?;
        let values = self.program.branch(EQUAL, value.1, holds, before)?;
        self.run = Some(Run {
            index,
            mask,
            above: value.0,
            values,
        });
        Some(())
    }

    /// Where the rules begin.
    pub(super) fn close(&mut self) -> Option<Place> {
        let Some(run) = self.run.take() else {
            return Some(self.way);
        };
        let mut way = masked(self.program, low(run.index), run.mask.1, run.values)?;
        if !self.narrow && run.mask.0 != 0 {
            way = self.program.branch(EQUAL, run.above, way, self.way)?;
            way = masked(self.program, high(run.index), run.mask.0, way)?;
        }
        self.way = way;
        Some(way)
    }
}

/// The bits that are looked at and what they must be, if it is about equality and the lower half matters.
fn equality(it: &SeccompArg) -> Option<(u64, u64)> {
    match it.op {
        SeccompOp::Eq => Some((u64::MAX, it.value)),
        // libseccomp masks both sides.
        SeccompOp::MaskedEq => Some((it.value, it.value & it.value_two)),
        _ => None,
    }
    .filter(|it| halves(it.0).1 != 0)
}

/// Where the lower half of an argument is.
pub(super) fn low(index: u8) -> u32 {
    ARGS + 8 * u32::from(index) + if cfg!(target_endian = "little") { 0 } else { 4 }
}

/// Where the upper half of an argument is.
pub(super) fn high(index: u8) -> u32 {
    ARGS + 8 * u32::from(index) + if cfg!(target_endian = "little") { 4 } else { 0 }
}

/// The halves of a number.
fn halves(number: u64) -> (u32, u32) {
    let [a, b, c, d, e, f, g, h] = number.to_be_bytes();
    (
        u32::from_be_bytes([a, b, c, d]),
        u32::from_be_bytes([e, f, g, h]),
    )
}

/// All 64 bits of an argument; of a narrow one the upper half is known to be zero.
fn condition(
    program: &mut Program,
    narrow: bool,
    it: &SeccompArg,
    holds: Place,
    fails: Place,
) -> Option<Place> {
    let index = it.index;
    let (comparison, holds, fails) = match it.op {
        SeccompOp::Eq => return equal(program, narrow, index, (u64::MAX, it.value), holds, fails),
        SeccompOp::Ne => return equal(program, narrow, index, (u64::MAX, it.value), fails, holds),
        SeccompOp::MaskedEq => {
            let masked = (it.value, it.value & it.value_two);
            return equal(program, narrow, index, masked, holds, fails);
        }
        SeccompOp::Ge => (NOT_LESS, holds, fails),
        SeccompOp::Gt => (GREATER, holds, fails),
        SeccompOp::Lt => (NOT_LESS, fails, holds),
        SeccompOp::Le => (GREATER, fails, holds),
    };
    let (above, below) = halves(it.value);
    if narrow && above != 0 {
        return Some(fails);
    }
    let way = program.branch(comparison, below, holds, fails)?;
    let way = program.load(low(index), way)?;
    if narrow {
        return Some(way);
    }
    let way = program.branch(EQUAL, above, way, fails)?;
    let way = program.branch(GREATER, above, holds, way)?;
    program.load(high(index), way)
}

/// Whether the bits of `mask` are those of `value`, which has no others.
fn equal(
    program: &mut Program,
    narrow: bool,
    index: u8,
    (mask, value): (u64, u64),
    holds: Place,
    fails: Place,
) -> Option<Place> {
    let (mask, value) = (halves(mask), halves(value));
    if narrow && value.0 != 0 {
        return Some(fails);
    }
    let mut way = holds;
    if mask.1 != 0 {
        way = program.branch(EQUAL, value.1, way, fails)?;
        way = masked(program, low(index), mask.1, way)?;
    }
    if !narrow && mask.0 != 0 {
        way = program.branch(EQUAL, value.0, way, fails)?;
        way = masked(program, high(index), mask.0, way)?;
    }
    Some(way)
}

/// Loads half an argument, and clears the bits that do not matter.
fn masked(program: &mut Program, offset: u32, mask: u32, mut then: Place) -> Option<Place> {
    if mask != u32::MAX {
        then = program.and(mask, then)?;
    }
    program.load(offset, then)
}
