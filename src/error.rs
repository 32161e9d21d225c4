//! What went wrong, as numbers: which step, why, and where.
//!
//! A [`Fault`] is a word, `Copy`, and crosses process boundaries as bytes: a child after clone sends one and exits,
//! and whoever owns the same plan turns it into a sentence (`say.rs`). It never holds text made at run time.
#![forbid(unsafe_code)]

use core::fmt;
use core::num::NonZeroU64;

use crate::limits::Limit;
use crate::text::cut;
pub use rustix::io::Errno;

/// A failed step with its cause and place.
///
/// One machine word that is never zero, so that `Result<(), Fault>` is a word too and `?` is a test and a jump: as a
/// struct of three it took a tenth of the binary to pass on. From the low end: the place's number (32 bits), its kind
/// (4), the cause's number (16), its kind (3, never 0), the step (9).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Fault(NonZeroU64);

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
    /// A file of a cgroup is missing: what it belongs to; and the number of components in the path of the cgroup that
    /// does not hand its controller down, 0 where nobody above has it.
    Missing(Feature, u8),
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
    /// What could not be done, why, and on what.
    #[must_use]
    pub fn placed(step: Step, cause: Cause, at: At) -> Self {
        let (kind, low) = match cause {
            Cause::Errno(errno) => (1_u64, u16::try_from(errno.raw_os_error()).unwrap_or(0)),
            Cause::Rule(rule) => (2, rule as u16),
            Cause::Limit(limit) => (3, u16::from(limit as u8)),
            Cause::Protocol(want, got) => (4, u16::from_le_bytes([want, got])),
            Cause::Ended(status) => (5, status),
            Cause::Timeout(seconds) => (6, seconds),
            Cause::Missing(feature, levels) => (7, (feature as u16) << 8 | u16::from(levels)),
        };
        let word = (step as u64) << 55 | kind << 52 | u64::from(low) << 36 | at.to_bits();
        Self(NonZeroU64::new(word).unwrap_or(NonZeroU64::MAX))
    }

    /// A fault without a place.
    #[must_use]
    pub fn new(step: Step, cause: Cause) -> Self {
        Self::placed(step, cause, At::Nothing)
    }

    /// The action that could not be done.
    #[must_use]
    pub fn step(self) -> Step {
        u16::try_from(self.0.get() >> 55)
            .ok()
            .and_then(Step::from_number)
            .unwrap_or(Step::Talk)
    }

    /// Why.
    #[must_use]
    #[inline(never)] // many callers
    pub fn cause(self) -> Cause {
        let low = u16::try_from(self.0.get() >> 36 & 0xffff).unwrap_or(0);
        let [first, second] = low.to_le_bytes();
        let cause = match self.0.get() >> 52 & 7 {
            1 => Some(Cause::Errno(Errno::from_raw_os_error(i32::from(low)))),
            2 => Rule::from_number(low).map(Cause::Rule),
            3 => Limit::from_number(first).map(Cause::Limit),
            4 => Some(Cause::Protocol(first, second)),
            5 => Some(Cause::Ended(low)),
            6 => Some(Cause::Timeout(low)),
            7 => Feature::from_number(u16::from(second)).map(|it| Cause::Missing(it, first)),
            _ => None,
        };
        cause.unwrap_or(Cause::Rule(Rule::Never))
    }

    /// On what.
    #[must_use]
    pub fn at(self) -> At {
        At::from_bits(self.0.get() & PLACE).unwrap_or(At::Nothing)
    }

    /// The same fault at this place.
    #[must_use]
    pub fn with_at(self, at: At) -> Self {
        Self(NonZeroU64::new(self.0.get() & !PLACE | at.to_bits()).unwrap_or(self.0))
    }

    /// The same fault with a place, unless it has one.
    #[must_use]
    pub fn or_at(self, at: At) -> Self {
        if self.0.get() & PLACE == 0 {
            self.with_at(at)
        } else {
            self
        }
    }

    /// A broken rule.
    #[must_use]
    pub fn rule(step: Step, rule: Rule, at: At) -> Self {
        Self::placed(step, Cause::Rule(rule), at)
    }

    /// An exceeded capacity.
    #[must_use]
    pub fn limit(step: Step, limit: Limit, at: At) -> Self {
        Self::placed(step, Cause::Limit(limit), at)
    }

    /// The kernel's answer, where that is the cause.
    #[must_use]
    pub fn errno(self) -> Option<Errno> {
        match self.cause() {
            Cause::Errno(errno) => Some(errno),
            _ => None,
        }
    }

    /// Sixteen bytes for the socket between parent and child.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 16] {
        u128::from(self.0.get()).to_le_bytes()
    }

    /// The inverse of [`Fault::to_bytes`]; `None` for bytes that it cannot have made.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 16]) -> Option<Self> {
        let fault = Self(NonZeroU64::new(
            u64::try_from(u128::from_le_bytes(bytes)).ok()?,
        )?);
        // Whatever an accessor would have to make up was not made here.
        (Self::placed(fault.step(), fault.cause(), fault.at()) == fault).then_some(fault)
    }
}

impl fmt::Debug for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{:?}: {:?} at {:?}",
            self.step(),
            self.cause(),
            self.at()
        )
    }
}

/// The bits of a [`Fault`] that say where.
const PLACE: u64 = (1 << 36) - 1;

impl At {
    fn to_bits(self) -> u64 {
        let (kind, number) = match self {
            Self::Nothing => (0, 0),
            Self::Byte(n) => (1, n),
            Self::Arena(n) => (2, n),
            Self::Op(n) => (3, n),
            Self::Number(n) => (4, n),
            Self::Place(name) => (5, u32::from(name as u16)),
        };
        kind << 32 | u64::from(number)
    }

    fn from_bits(bits: u64) -> Option<Self> {
        let number = u32::try_from(bits & 0xffff_ffff).ok()?;
        Some(match bits >> 32 {
            0 => Self::Nothing,
            1 => Self::Byte(number),
            2 => Self::Arena(number),
            3 => Self::Op(number),
            4 => Self::Number(number),
            5 => Self::Place(Place::from_number(u16::try_from(number).ok()?)?),
            _ => return None,
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
        self.map_err(|errno| refused(step, errno, at))
    }
}

/// Kept out of line: it is at the end of every system call.
#[cold]
#[inline(never)]
fn refused(step: Step, errno: Errno, at: At) -> Fault {
    Fault::placed(step, Cause::Errno(errno), at)
}

/// A table of names with one text each: the enum, its texts, and the way back from a number. A text marked `(full)` is
/// only kept in the whole program: the other one cannot come to say it.
macro_rules! table {
    ($(#[$meta:meta])* $name:ident { $($variant:ident = $(($full:ident))? $text:literal,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub enum $name { $(#[doc = $text] $variant,)* }

        impl $name {
            /// Its text. build.rs reads these tables, too, with a macro of the same name.
            #[must_use]
            pub fn text(self) -> &'static str {
                super::packed::line(super::packed::$name, self as usize)
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

mod features;
mod hints;
mod model;
pub mod packed;
mod places;
mod rules;
mod steps;
pub use features::Feature;
pub use hints::Hint;
pub use places::Place;
pub use rules::Rule;
pub use steps::Step;

impl Step {
    /// Whether it runs a hook.
    #[must_use]
    pub fn is_hook(self) -> bool {
        (Self::PrestartHook as u16..=Self::PoststopHook as u16).contains(&(self as u16))
    }

    /// Whether there may be output of another program that tells why it failed.
    #[must_use]
    pub fn has_output(self) -> bool {
        self.is_hook() || matches!(self, Self::MapIds | Self::Checkpoint | Self::Restore)
    }
}

impl Feature {
    /// The one that a file of a cgroup belongs to.
    #[must_use]
    pub fn of(file: &[u8]) -> Self {
        let fits = |feature: &Self| {
            let (start, _) = cut(feature.text().as_bytes(), b' ');
            file.starts_with(start)
        };
        (0..)
            .map_while(Self::from_number)
            .find(fits)
            .unwrap_or(Self::Other)
    }
}

#[cfg(test)]
mod tests {
    use super::{At, Cause, Errno, Fault, Feature, Limit, Place, Rule, Step};

    #[test]
    fn files_and_their_features() {
        for (file, feature) in [
            ("memory.max", Feature::Memory),
            ("memory.swap.max", Feature::Swap),
            ("memory.memsw.limit_in_bytes", Feature::MemSwap),
            ("cpuset.cpus", Feature::Cpuset),
            ("cpu.shares", Feature::Cpu),
            ("cpu.max", Feature::CpuMax),
            ("cpu.max.burst", Feature::CpuBurst),
            ("io.bfq.weight", Feature::Io),
            ("blkio.bfq.weight", Feature::BlkioWeight),
            ("pids.max", Feature::Pids),
            ("misc.max", Feature::Other),
        ] {
            assert_eq!(Feature::of(file.as_bytes()), feature, "{file}");
        }
    }

    #[test]
    fn bytes_round_trip() {
        let causes = [
            Cause::Errno(Errno::NOENT),
            Cause::Rule(Rule::Never),
            Cause::Limit(Limit::MOUNTS),
            Cause::Protocol(3, 250),
            Cause::Ended(0x8b00),
            Cause::Timeout(10),
            Cause::Missing(Feature::Other, 255),
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
                let fault = Fault::placed(Step::SealRuntime, cause, at);
                assert_eq!(Fault::from_bytes(fault.to_bytes()), Some(fault));
            }
        }
        assert_eq!(Fault::from_bytes([0xff; 16]), None);
        assert_eq!(Fault::from_bytes([0; 16]), None);
        assert_eq!(size_of::<Result<(), Fault>>(), 8);
    }
}
