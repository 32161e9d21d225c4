//! A seccomp program while it is written: from its last instruction to the first, so that the way of each jump is known.
//!
//! Classic BPF jumps only forward, at most 255 instructions where a condition decides, and any way where none does. A
//! place is how many instructions are behind it; it never changes.
#![forbid(unsafe_code)]

use crate::limits::SECCOMP_INSTRUCTIONS;
use heapless::Vec;

/// How many instructions are behind one of them.
pub(super) type Place = usize;

/// Instructions: `struct sock_filter`, linux/filter.h.
pub struct Program {
    words: Vec<[u8; 8], SECCOMP_INSTRUCTIONS>,
}

/// BPF_JMP | BPF_JEQ | BPF_K: equal.
pub(super) const EQUAL: u16 = 0x15;
/// BPF_JMP | BPF_JGT | BPF_K: greater.
pub(super) const GREATER: u16 = 0x25;
/// BPF_JMP | BPF_JGE | BPF_K: greater or equal.
pub(super) const NOT_LESS: u16 = 0x35;

const LOAD: u16 = 0x20; // BPF_LD | BPF_W | BPF_ABS
const AND: u16 = 0x54; // BPF_ALU | BPF_AND | BPF_K
const JUMP: u16 = 0x05; // BPF_JMP | BPF_JA
const RETURN: u16 = 0x06; // BPF_RET | BPF_K

/// How far a conditional jump is let go: one or two longer jumps may come in between.
const NEAR: usize = 250;

impl Program {
    /// No instructions.
    #[must_use]
    #[allow(
        clippy::new_without_default,
        reason = "a Default would be made on the stack"
    )]
    pub const fn new() -> Self {
        Self { words: Vec::new() }
    }

    /// The instructions, as the kernel takes them.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.words.as_flattened()
    }

    pub(super) fn clear(&mut self) {
        self.words.clear();
    }

    /// From the order in which it was written to that in which it runs; it begins at `entry`.
    pub(super) fn finish(&mut self, entry: Place) -> Option<()> {
        self.fall(entry)?;
        self.words.reverse();
        Some(())
    }

    /// Loads 32 bits of `struct seccomp_data`.
    pub(super) fn load(&mut self, offset: u32, then: Place) -> Option<Place> {
        self.before(LOAD, offset, then)
    }

    /// Clears bits of what was loaded.
    pub(super) fn and(&mut self, mask: u32, then: Place) -> Option<Place> {
        self.before(AND, mask, then)
    }

    /// What has no effect before an end is left out there.
    fn before(&mut self, code: u16, value: u32, then: Place) -> Option<Place> {
        if self.ends(then) {
            return Some(then);
        }
        self.fall(then)?;
        self.put(code, [0, 0], value)
    }

    fn ends(&self, at: Place) -> bool {
        let there = self.words.get(at);
        there.is_some_and(|it| it.starts_with(&RETURN.to_ne_bytes()))
    }

    /// Makes the flow of the next instruction come to `to`.
    fn fall(&mut self, to: Place) -> Option<()> {
        let distance = self.words.len() - to - 1;
        if distance > 0 {
            self.far(to, distance)?;
        }
        Some(())
    }

    /// Ends with an action; one that is near is used again.
    pub(super) fn end(&mut self, action: u32) -> Option<Place> {
        let wanted = word(RETURN, [0, 0], action);
        let near = self.words.iter().rev().take(NEAR - 1);
        match near.enumerate().find(|(_, it)| **it == wanted) {
            Some((distance, _)) => Some(self.words.len() - 1 - distance),
            None => self.put(RETURN, [0, 0], action),
        }
    }

    /// Goes on at one of two places, by comparison of what was loaded with `value`.
    pub(super) fn branch(
        &mut self,
        comparison: u16,
        value: u32,
        holds: Place,
        fails: Place,
    ) -> Option<Place> {
        if holds == fails {
            return Some(holds);
        }
        let holds = self.near(holds)?;
        let fails = self.near(fails)?;
        let way = |to| u8::try_from(self.words.len() - to - 1).ok();
        self.put(comparison, [way(holds)?, way(fails)?], value)
    }

    /// A place from which the flow comes to `to`, near enough for a conditional jump.
    fn near(&mut self, to: Place) -> Option<Place> {
        let distance = self.words.len() - to - 1;
        if distance < NEAR {
            return Some(to);
        }
        self.far(to, distance)
    }

    /// A jump of any length; instead of one to an end it is that end.
    fn far(&mut self, to: Place, distance: usize) -> Option<Place> {
        if self.ends(to) {
            let end = *self.words.get(to)?;
            self.words.push(end).ok()?;
            return Some(self.words.len() - 1);
        }
        self.put(JUMP, [0, 0], u32::try_from(distance).ok()?)
    }

    /// `None` when it is full.
    fn put(&mut self, code: u16, ways: [u8; 2], value: u32) -> Option<Place> {
        self.words.push(word(code, ways, value)).ok()?;
        Some(self.words.len() - 1)
    }
}

fn word(code: u16, [holds, fails]: [u8; 2], value: u32) -> [u8; 8] {
    let [c0, c1] = code.to_ne_bytes();
    let [v0, v1, v2, v3] = value.to_ne_bytes();
    [c0, c1, holds, fails, v0, v1, v2, v3]
}
