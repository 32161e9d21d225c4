//! Which devices a container may use: a list of rules, folded for cgroup v1 or compiled to a BPF program for v2. Pure.
//!
//! The meaning is the same for both: everything is denied at first, and of several rules that speak about one kind of
//! access to a device the last one decides. v1 cannot express a denied part of an allowed range (or the reverse); that
//! is an error here, never a silent difference. One thing is narrower on v1: one open must be covered by one rule.
#![forbid(unsafe_code)]

use crate::limits::DEVICE_RULES;
use heapless::Vec;

/// Bit of [`Rule::kinds`]: block devices (BPF_DEVCG_DEV_BLOCK).
pub const BLOCK: u8 = 1;
/// Bit of [`Rule::kinds`]: character devices (BPF_DEVCG_DEV_CHAR).
pub const CHAR: u8 = 2;
/// Bit of [`Rule::access`]: mknod (BPF_DEVCG_ACC_MKNOD).
pub const MKNOD: u8 = 1;
/// Bit of [`Rule::access`]: read.
pub const READ: u8 = 2;
/// Bit of [`Rule::access`]: write.
pub const WRITE: u8 = 4;

const ALL_KINDS: u8 = BLOCK | CHAR;
const ALL_ACCESS: u8 = MKNOD | READ | WRITE;

/// One rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Allow or deny.
    pub allow: bool,
    /// Bits [`BLOCK`] and [`CHAR`]; never 0.
    pub kinds: u8,
    /// `None` is every one.
    pub major: Option<u32>,
    /// `None` is every one.
    pub minor: Option<u32>,
    /// Bits [`MKNOD`], [`READ`], [`WRITE`]; never 0.
    pub access: u8,
}

impl Rule {
    const fn allow(kinds: u8, major: Option<u32>, minor: Option<u32>, access: u8) -> Self {
        Self {
            allow: true,
            kinds,
            major,
            minor,
            access,
        }
    }

    /// Whether it speaks about everything, so that no earlier rule matters.
    #[must_use]
    pub fn is_total(&self) -> bool {
        self.kinds == ALL_KINDS
            && self.major.is_none()
            && self.minor.is_none()
            && self.access == ALL_ACCESS
    }
}

/// The rules behind those of every config, as other runtimes have them: making any node, the six default devices,
/// ptmx and the ptys, and tun.
pub const DEFAULTS: &[Rule] = &[
    Rule::allow(CHAR, None, None, MKNOD),
    Rule::allow(BLOCK, None, None, MKNOD),
    Rule::allow(CHAR, Some(1), Some(3), ALL_ACCESS),
    Rule::allow(CHAR, Some(1), Some(8), ALL_ACCESS),
    Rule::allow(CHAR, Some(1), Some(7), ALL_ACCESS),
    Rule::allow(CHAR, Some(5), Some(0), ALL_ACCESS),
    Rule::allow(CHAR, Some(1), Some(5), ALL_ACCESS),
    Rule::allow(CHAR, Some(1), Some(9), ALL_ACCESS),
    Rule::allow(CHAR, Some(136), None, ALL_ACCESS),
    Rule::allow(CHAR, Some(5), Some(2), ALL_ACCESS),
    Rule::allow(CHAR, Some(10), Some(200), ALL_ACCESS),
];

/// Most rules in one list: those of a config, and [`DEFAULTS`].
pub const RULES: usize = DEVICE_RULES + DEFAULTS.len();

/// A v1 list: what happens to devices that it does not name, and the ranges that it names.
pub struct Fold {
    /// Devices that no range covers are allowed.
    pub allow: bool,
    ranges: Vec<Range, { 2 * RULES }>,
}

/// A range of devices of one kind whose access differs from the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// [`BLOCK`] or [`CHAR`].
    pub kind: u8,
    /// `None` is every one.
    pub major: Option<u32>,
    /// `None` is every one.
    pub minor: Option<u32>,
    /// Bits that are allowed (or denied, when the rest is allowed); 0 where all were taken back.
    pub access: u8,
    /// The rule it comes from.
    from: u16,
}

impl Range {
    /// Whether every device of `other` is also in here.
    fn covers(&self, other: &Self) -> bool {
        let wide = |mine: Option<u32>, its: Option<u32>| mine.is_none() || mine == its;
        self.kind == other.kind && wide(self.major, other.major) && wide(self.minor, other.minor)
    }

    /// Whether some device is in both.
    fn meets(&self, other: &Self) -> bool {
        let one = |a: Option<u32>, b: Option<u32>| a.is_none() || b.is_none() || a == b;
        self.kind == other.kind && one(self.major, other.major) && one(self.minor, other.minor)
    }
}

impl Fold {
    /// Nothing is allowed.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            allow: false,
            ranges: Vec::new(),
        }
    }

    /// The ranges that differ from the rest.
    #[must_use]
    pub fn ranges(&self) -> &[Range] {
        &self.ranges
    }

    /// Folds a list of at most [`RULES`] rules.
    ///
    /// # Errors
    /// The number of the rule that v1 cannot express beside a later one, or that is one too many.
    pub fn make(&mut self, rules: &[Rule]) -> Result<(), usize> {
        self.allow = false;
        self.ranges.clear();
        for (n, rule) in rules.iter().enumerate() {
            if rule.is_total() {
                self.allow = rule.allow;
                self.ranges.clear();
                continue;
            }
            for kind in [BLOCK, CHAR] {
                if rule.kinds & kind != 0 {
                    let range = Range {
                        kind,
                        major: rule.major,
                        minor: rule.minor,
                        access: rule.access,
                        from: u16::try_from(n).map_err(|_| n)?,
                    };
                    if rule.allow == self.allow {
                        self.take_back(&range)?;
                    } else {
                        self.add(range)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn add(&mut self, range: Range) -> Result<(), usize> {
        for old in &mut self.ranges {
            if old.access != 0 && old.covers(&range) && range.covers(old) {
                old.access |= range.access;
                return Ok(());
            }
        }
        self.ranges.push(range).map_err(|_| usize::from(range.from))
    }

    /// Makes a range like the rest again. The kernel can only forget whole ranges of its list.
    fn take_back(&mut self, range: &Range) -> Result<(), usize> {
        for old in &mut self.ranges {
            if old.access & range.access != 0 && range.meets(old) {
                if !range.covers(old) {
                    // The default rules come last and are nobody's to mend: name the earlier of the two.
                    return Err(usize::from(old.from));
                }
                old.access &= !range.access;
            }
        }
        Ok(())
    }
}

impl Default for Fold {
    fn default() -> Self {
        Self::new()
    }
}

/// Instructions per rule: three comparisons, the bits, and the decision.
const WORDS: usize = 8 + 5 * RULES;

/// A BPF_PROG_TYPE_CGROUP_DEVICE program: one word per `struct bpf_insn`, in the byte order of this machine.
///
/// ```text
///   r2 = kind, r3 = wanted access, r4 = major, r5 = minor
///   per rule, last one first:  other device? next rule.  deny: any wanted bit of it? refuse.
///                              allow: those bits are no longer wanted; none left? accept.
/// ```
pub struct Program {
    words: Vec<u64, WORDS>,
}

/// Jump offsets that are only known at the end.
const TO_REFUSE: i16 = -1;
const TO_ACCEPT: i16 = -2;

/// Opcodes, linux/bpf.h and linux/bpf_common.h: class, operation and source in one byte.
mod op {
    pub(super) const LOAD_U32: u8 = 0x61; // BPF_LDX | BPF_MEM | BPF_W
    pub(super) const COPY: u8 = 0xbf; // BPF_ALU64 | BPF_MOV | BPF_X
    pub(super) const SET: u8 = 0xb7; // BPF_ALU64 | BPF_MOV | BPF_K
    pub(super) const AND: u8 = 0x57; // BPF_ALU64 | BPF_AND | BPF_K
    pub(super) const SHIFT_RIGHT: u8 = 0x77; // BPF_ALU64 | BPF_RSH | BPF_K
    pub(super) const IF_EQUAL: u8 = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
    pub(super) const IF_NOT_EQUAL: u8 = 0x55; // BPF_JMP | BPF_JNE | BPF_K
    pub(super) const IF_BITS: u8 = 0x45; // BPF_JMP | BPF_JSET | BPF_K
    pub(super) const EXIT: u8 = 0x95; // BPF_JMP | BPF_EXIT
}

const CONTEXT: u8 = 1;
const KIND: u8 = 2;
const ACCESS: u8 = 3;
const MAJOR: u8 = 4;
const MINOR: u8 = 5;

/// `struct bpf_insn`: opcode, two registers of four bits, a jump or memory offset, a constant.
const fn instruction(op: u8, to: u8, from: u8, offset: i16, value: u32) -> u64 {
    let registers = if cfg!(target_endian = "little") {
        from << 4 | to
    } else {
        to << 4 | from
    };
    let ([o0, o1], [v0, v1, v2, v3]) = (offset.to_ne_bytes(), value.to_ne_bytes());
    u64::from_ne_bytes([op, registers, o0, o1, v0, v1, v2, v3])
}

/// Loads what is asked for into the registers.
static START: &[u64] = &[
    instruction(op::LOAD_U32, KIND, CONTEXT, 0, 0),
    instruction(op::COPY, ACCESS, KIND, 0, 0),
    instruction(op::AND, KIND, 0, 0, 0xffff),
    instruction(op::SHIFT_RIGHT, ACCESS, 0, 0, 16),
    instruction(op::LOAD_U32, MAJOR, CONTEXT, 4, 0),
    instruction(op::LOAD_U32, MINOR, CONTEXT, 8, 0),
];
const ACCEPT: [u64; 2] = [
    instruction(op::SET, 0, 0, 0, 1),
    instruction(op::EXIT, 0, 0, 0, 0),
];
const REFUSE: [u64; 2] = [
    instruction(op::SET, 0, 0, 0, 0),
    instruction(op::EXIT, 0, 0, 0, 0),
];

impl Program {
    /// No program.
    #[must_use]
    pub const fn new() -> Self {
        Self { words: Vec::new() }
    }

    /// The instructions; none when everything is allowed.
    #[must_use]
    pub fn words(&self) -> &[u64] {
        &self.words
    }

    /// Compiles a list of at most [`RULES`] rules; `None` when there are more.
    pub fn compile(&mut self, rules: &[Rule]) -> Option<()> {
        self.words.clear();
        self.words.extend_from_slice(START).ok()?;
        let (mut rest, mut denies) = (false, false);
        for rule in rules.iter().rev() {
            if rule.is_total() {
                rest = rule.allow;
                break;
            }
            denies |= !rule.allow;
            self.rule(rule)?;
        }
        if rest && !denies {
            self.words.clear();
            return Some(());
        }
        let end = self.words.len();
        // The two exits lie behind the last rule; what falls through to them is what no rule has decided.
        let (exits, accept, refuse) = if rest {
            ([ACCEPT, REFUSE], end, end + 2)
        } else {
            ([REFUSE, ACCEPT], end + 2, end)
        };
        self.words.extend_from_slice(exits.as_flattened()).ok()?;
        self.patch(accept, refuse)
    }

    fn rule(&mut self, rule: &Rule) -> Option<()> {
        // Numbers of this size do not exist (12 and 20 bits), and the kernel would extend their sign.
        let known = |number: Option<u32>| i32::try_from(number.unwrap_or(0)).is_ok();
        if !known(rule.major) || !known(rule.minor) {
            return Some(());
        }
        let kind = (rule.kinds != ALL_KINDS).then_some(u32::from(rule.kinds));
        let tests = [(KIND, kind), (MAJOR, rule.major), (MINOR, rule.minor)];
        let mut left = tests.iter().filter(|test| test.1.is_some()).count();
        let body = if rule.allow { 2 } else { 1 };
        for (register, value) in tests {
            if let Some(value) = value {
                left -= 1;
                let over = i16::try_from(left + body).ok()?;
                self.put(op::IF_NOT_EQUAL, register, 0, over, value)?;
            }
        }
        let bits = u32::from(rule.access);
        if rule.allow {
            self.put(op::AND, ACCESS, 0, 0, u32::from(!rule.access & ALL_ACCESS))?;
            self.put(op::IF_EQUAL, ACCESS, 0, TO_ACCEPT, 0)
        } else {
            self.put(op::IF_BITS, ACCESS, 0, TO_REFUSE, bits)
        }
    }

    fn put(&mut self, op: u8, to: u8, from: u8, offset: i16, value: u32) -> Option<()> {
        self.words
            .push(instruction(op, to, from, offset, value))
            .ok()
    }

    fn patch(&mut self, accept: usize, refuse: usize) -> Option<()> {
        for (n, word) in self.words.iter_mut().enumerate() {
            let [op, registers, o0, o1, value @ ..] = word.to_ne_bytes();
            let target = match i16::from_ne_bytes([o0, o1]) {
                TO_ACCEPT => accept,
                TO_REFUSE => refuse,
                _ => continue,
            };
            let [o0, o1] = i16::try_from(target - (n + 1)).ok()?.to_ne_bytes();
            let [v0, v1, v2, v3] = value;
            *word = u64::from_ne_bytes([op, registers, o0, o1, v0, v1, v2, v3]);
        }
        Some(())
    }
}

impl Default for Program {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests;
