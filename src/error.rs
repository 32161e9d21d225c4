//! What went wrong, as numbers: which step, why, and where.
//!
//! A [`Fault`] is 16 bytes, `Copy`, and crosses process boundaries as bytes: a child after clone sends one and exits,
//! and whoever owns the same plan turns it into a sentence (`say.rs`). It never holds text made at run time.
#![forbid(unsafe_code)]

use crate::limits::Limit;
pub use rustix::io::Errno;

/// A failed step with its cause and place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The action that could not be done.
    pub step: Step,
    /// Why.
    pub cause: Cause,
    /// On what.
    pub at: At,
}

/// Why a step failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The kernel's answer.
    Errno(Errno),
    /// A rule of the specification, of JSON or of ocilet was broken.
    Rule(Rule),
    /// A capacity was exceeded.
    Limit(Limit),
    /// The other process said something else than what had to come next: (wanted, got).
    Protocol(u8, u8),
    /// The other process ended; the number is a wait status.
    Ended(u16),
    /// A deadline passed, in seconds.
    Timeout(u16),
}

/// The object a step was about. The offsets point into what the printing process has at hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// The step alone says it.
    Nothing,
    /// A byte of config.json: the start of the value that is wrong. JSON path, line and column are derived from it.
    Byte(u32),
    /// A text in the arena of the plan (offset): mostly a path.
    Arena(u32),
    /// An entry of the plan's list of operations.
    Op(u32),
    /// A number that means something to the step: an fd, a pid, a signal, an rlimit.
    Number(u32),
    /// A name from the fixed table of places.
    Place(Place),
}

impl Fault {
    /// A fault without a place.
    #[must_use]
    pub fn new(step: Step, cause: Cause) -> Self {
        Self {
            step,
            cause,
            at: At::Nothing,
        }
    }

    /// A broken rule.
    #[must_use]
    pub fn rule(step: Step, rule: Rule, at: At) -> Self {
        Self {
            step,
            cause: Cause::Rule(rule),
            at,
        }
    }

    /// An exceeded capacity.
    #[must_use]
    pub fn limit(step: Step, limit: Limit, at: At) -> Self {
        Self {
            step,
            cause: Cause::Limit(limit),
            at,
        }
    }

    /// The same fault with a place, unless it has one.
    #[must_use]
    pub fn or_at(mut self, at: At) -> Self {
        if self.at == At::Nothing {
            self.at = at;
        }
        self
    }

    /// The kernel's answer, where that is the cause.
    #[must_use]
    pub fn errno(&self) -> Option<Errno> {
        match self.cause {
            Cause::Errno(errno) => Some(errno),
            _ => None,
        }
    }

    /// Sixteen bytes for the socket between parent and child.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 16] {
        let (class, low) = match self.cause {
            Cause::Errno(errno) => (0_u8, u16::try_from(errno.raw_os_error()).unwrap_or(0)),
            Cause::Rule(rule) => (1, rule as u16),
            Cause::Limit(limit) => (2, u16::from(limit as u8)),
            Cause::Protocol(want, got) => (3, u16::from_le_bytes([want, got])),
            Cause::Ended(status) => (4, status),
            Cause::Timeout(seconds) => (5, seconds),
        };
        let (place, number) = match self.at {
            At::Nothing => (0_u8, 0_u32),
            At::Byte(n) => (1, n),
            At::Arena(n) => (2, n),
            At::Op(n) => (3, n),
            At::Number(n) => (4, n),
            At::Place(name) => (5, u32::from(name as u16)),
        };
        let [s0, s1] = (self.step as u16).to_le_bytes();
        let [l0, l1] = low.to_le_bytes();
        let [n0, n1, n2, n3] = number.to_le_bytes();
        [
            s0, s1, class, place, l0, l1, 0, 0, n0, n1, n2, n3, 0, 0, 0, 0,
        ]
    }

    /// The inverse of [`Fault::to_bytes`]; `None` for bytes that it cannot have made.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 16]) -> Option<Self> {
        let [s0, s1, class, place, l0, l1, _, _, n0, n1, n2, n3, ..] = bytes;
        let low = u16::from_le_bytes([l0, l1]);
        let number = u32::from_le_bytes([n0, n1, n2, n3]);
        let cause = match class {
            0 => Cause::Errno(Errno::from_raw_os_error(i32::from(low))),
            1 => Cause::Rule(Rule::from_number(low)?),
            2 => Cause::Limit(Limit::from_number(l0)?),
            3 => Cause::Protocol(l0, l1),
            4 => Cause::Ended(low),
            5 => Cause::Timeout(low),
            _ => return None,
        };
        let at = match place {
            0 => At::Nothing,
            1 => At::Byte(number),
            2 => At::Arena(number),
            3 => At::Op(number),
            4 => At::Number(number),
            5 => At::Place(Place::from_number(u16::try_from(number).ok()?)?),
            _ => return None,
        };
        Some(Self {
            step: Step::from_number(u16::from_le_bytes([s0, s1]))?,
            cause,
            at,
        })
    }
}

/// Turns the kernel's answer into a [`Fault`] by naming the step.
pub trait Context<T> {
    /// Names the step.
    fn step(self, step: Step) -> Result<T, Fault>;
    /// Names the step and the object.
    fn step_at(self, step: Step, at: At) -> Result<T, Fault>;
}

impl<T> Context<T> for Result<T, Errno> {
    fn step(self, step: Step) -> Result<T, Fault> {
        self.step_at(step, At::Nothing)
    }

    fn step_at(self, step: Step, at: At) -> Result<T, Fault> {
        self.map_err(|errno| Fault {
            step,
            cause: Cause::Errno(errno),
            at,
        })
    }
}

/// A table of names with one text each: the enum, its texts, and the way back from a number.
macro_rules! table {
    ($(#[$meta:meta])* $name:ident { $($variant:ident = $text:literal,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u16)]
        pub enum $name { $(#[doc = $text] $variant,)* }

        impl $name {
            /// Its text.
            #[must_use]
            pub fn text(self) -> &'static str {
                // One string instead of a slice each: no pointers, so no relocations.
                static TEXTS: &str = concat!($($text, "\n",)*);
                TEXTS.split('\n').nth(self as usize).unwrap_or("")
            }

            /// The entry with this discriminant, as it came over the wire.
            #[must_use]
            pub fn from_number(number: u16) -> Option<Self> {
                static ALL: &[$name] = &[$($name::$variant,)*];
                ALL.get(usize::from(number)).copied()
            }
        }
    };
}

mod places;
mod rules;
mod steps;
pub use places::Place;
pub use rules::Rule;
pub use steps::Step;

#[cfg(test)]
mod tests {
    use super::{At, Cause, Errno, Fault, Limit, Place, Rule, Step};

    #[test]
    fn bytes_round_trip() {
        let causes = [
            Cause::Errno(Errno::NOENT),
            Cause::Rule(Rule::Never),
            Cause::Limit(Limit::MOUNTS),
            Cause::Protocol(3, 250),
            Cause::Ended(0x8b00),
            Cause::Timeout(10),
        ];
        let places = [
            At::Nothing,
            At::Byte(u32::MAX),
            At::Arena(7),
            At::Op(4095),
            At::Number(0),
            At::Place(Place::Proc),
        ];
        for cause in causes {
            for at in places {
                let fault = Fault {
                    step: Step::SealRuntime,
                    cause,
                    at,
                };
                assert_eq!(Fault::from_bytes(fault.to_bytes()), Some(fault));
            }
        }
        assert_eq!(Fault::from_bytes([0xff; 16]), None);
    }
}
