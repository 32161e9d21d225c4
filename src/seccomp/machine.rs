//! What system calls there are: their names, and their numbers in each ABI that the kernel of this machine can run.
//!
//! The tables are made by build.rs out of `generate.rs`. A name is found among those with its first letter, by letters
//! that it does not share with the one before; after that it is a small number, its place in the sorted list.
#![forbid(unsafe_code)]

use crate::config::Names;

/// Names and ABIs of one kind of machine.
pub struct Machine {
    /// How many names there are.
    pub names: usize,
    /// First letter, where its names begin in `packed`, and how many names are before them.
    pub(super) letters: &'static [(u8, u16, u16)],
    /// Per name: letters shared with the one before, then the rest; its last letter has the top bit set.
    pub(super) packed: &'static [u8],
    /// The native ABI first; those of one `audit` behind each other, in the order of their numbers.
    pub(super) abis: &'static [&'static Abi],
}

/// A calling convention with a table of calls.
pub(super) struct Abi {
    /// Its place in the words of `config::Names::Arch`.
    pub(super) oci: u8,
    /// AUDIT_ARCH_*: what a filter finds in `seccomp_data.arch`.
    pub(super) audit: u32,
    /// Added to each number.
    pub(super) base: u32,
    /// Arguments have 32 bits; the kernel fills the upper half of `seccomp_data.args` with zeros.
    pub(super) narrow: bool,
    /// Calls whose first argument is the number of another call.
    pub(super) multiplexers: &'static [Multiplexer],
    /// The name of each number from 0 on; a word with the top bit set skips that many numbers.
    pub(super) calls: &'static [u16],
}

/// socketcall(2) or ipc(2).
pub(super) struct Multiplexer {
    /// Its own name.
    pub(super) call: u16,
    /// First argument, and the name of what is called.
    pub(super) inner: &'static [(u16, u16)],
}

include!(concat!(env!("OUT_DIR"), "/machine.rs"));

/// No name is longer.
const LONGEST: usize = 32;

impl Machine {
    /// The names of its ABIs.
    pub fn architectures(&self) -> impl Iterator<Item = &'static str> {
        self.abis.iter().filter_map(|abi| Names::Arch.word(abi.oci))
    }

    /// The place of a name.
    pub(super) fn find(&self, name: &mut dyn Iterator<Item = u8>) -> Option<u16> {
        let first = name.next()?;
        let mut wanted = [0; LONGEST];
        let mut length = 0;
        for byte in name {
            *wanted.get_mut(length)? = byte;
            length += 1;
        }
        let wanted = wanted.get(..length)?;
        let letter = self.letters.iter().position(|entry| entry.0 == first)?;
        let &(_, start, mut place) = self.letters.get(letter)?;
        let behind = self.letters.get(letter + 1);
        let end = behind.map_or(self.packed.len(), |next| usize::from(next.1));
        let mut packed = self.packed.get(usize::from(start)..end)?.iter();
        // How much of what is wanted the name before has spelled.
        let mut spelled = 0;
        loop {
            let shared = usize::from(*packed.next()?);
            if shared < spelled {
                // Sorted: the wanted one would have been here.
                return None;
            }
            let mut here = shared == spelled;
            loop {
                let letter = *packed.next()?;
                here = here && wanted.get(spelled) == Some(&(letter & 0x7f));
                if here {
                    spelled += 1;
                }
                if letter >= 0x80 {
                    break;
                }
            }
            if here && spelled == length {
                return Some(place);
            }
            place += 1;
        }
    }
}

impl Abi {
    /// Numbers, as the kernel sees them, with the place of their names; ascending.
    pub(super) fn calls(&self) -> impl Iterator<Item = (u32, u16)> {
        let mut next = self.base;
        self.calls.iter().filter_map(move |word| {
            if *word >= 0x8000 {
                next += u32::from(*word & 0x7fff);
                return None;
            }
            next += 1;
            Some((next - 1, *word))
        })
    }

    /// What the first argument of a call chooses.
    pub(super) fn inner(&self, call: u16) -> &'static [(u16, u16)] {
        let it = self.multiplexers.iter().find(|it| it.call == call);
        it.map_or(&[], |it| it.inner)
    }
}
