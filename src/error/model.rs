//! How likely the next bit of a text is a one, judged by what came before it. build.rs packs the texts by it, and
//! `packed.rs` takes them apart.
//!
//! For the last 0, 1, 2 and 3 characters, each with those bits of the present one that are known already, it is counted
//! how often a zero and a one came next. Counts for more characters weigh more, and so do those where only one of the
//! two has ever come.
#![forbid(unsafe_code)]

/// Places for counts. Where two beginnings share one, the guess is worse, no more.
const PLACES: usize = 1 << 18;

/// Bits of a character: the texts are ASCII.
pub(super) const BITS: u32 = 7;

/// What has been seen so far; all zero in the beginning.
pub(super) struct Model {
    /// How often a zero and a one came next.
    seen: [[u8; 2]; PLACES],
    /// The last three characters and more, the last one lowest.
    last: u32,
    /// Where the places for the last 0, 1, 2 and 3 of them are.
    beginnings: [usize; 4],
    /// The bits of the present character, as a way down a tree: below node n are 2n + 1 and 2n + 2.
    node: usize,
}

impl Model {
    /// Nothing seen.
    #[allow(
        clippy::large_stack_arrays,
        reason = "build.rs aside it is only evaluated at build time, for a static"
    )]
    pub(super) const fn new() -> Self {
        Self {
            seen: [[0; 2]; PLACES],
            last: 0,
            beginnings: [0; 4],
            node: 0,
        }
    }

    /// The weights of a zero and of a one as the next bit: neither is 0, and both together have 16 bits.
    pub(super) fn weights(&self) -> (u32, u32) {
        let (mut zero, mut one) = (1, 1);
        for (length, beginning) in (0..).zip(self.beginnings) {
            let counts = self.seen.get(beginning ^ self.node).copied();
            let [zeros, ones] = counts.unwrap_or_default().map(u32::from);
            let weight = length + 1 + u32::from((zeros == 0) != (ones == 0));
            zero += zeros << weight;
            one += ones << weight;
        }
        (zero, one)
    }

    /// Takes notice of the next bit; gives the character, if that was its last one.
    pub(super) fn see(&mut self, one: bool) -> Option<u8> {
        for beginning in self.beginnings {
            let Some([zeros, ones]) = self.seen.get_mut(beginning ^ self.node) else {
                continue;
            };
            let (same, other) = if one { (ones, zeros) } else { (zeros, ones) };
            *same = same.saturating_add(1);
            // What was long ago counts for less.
            *other = other.div_ceil(2);
        }
        self.node = 2 * self.node + 1 + usize::from(one);
        let character = u8::try_from(self.node.checked_sub((1 << BITS) - 1)?).ok()?;
        self.node = 0;
        self.last = self.last << 8 | u32::from(character);
        for (length, beginning) in (0..).zip(&mut self.beginnings) {
            let characters = self.last & !(u32::MAX << (8 * length)) | length << 24;
            *beginning = (characters.wrapping_mul(0x9e37_79b1) >> 14) as usize;
        }
        Some(character)
    }
}
