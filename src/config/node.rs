//! The kinds of values that the schema speaks of.
#![forbid(unsafe_code)]

use super::names::Names;
use super::schema::Obj;
use crate::error::Rule;

/// What a value must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Node {
    /// A string for the kernel: no NUL.
    Text,
    /// A string that the kernel never sees.
    Free,
    Bool,
    Int(Int),
    /// A string that is a name for a number.
    Name(Names),
    /// Letters out of "rwm".
    Access,
    Object(Obj),
    /// A list of strings.
    Texts(Pool),
    /// A list of objects.
    Objects(Obj),
    /// A list of ids.
    Ids,
    /// A list of names, as bits.
    Bits(Names),
    /// An element of such a list.
    Bit(Names),
    /// An element of `Texts`.
    Word(Pool),
    /// An element of `Ids`.
    Id,
    /// An object with free keys and strings.
    Pairs(Pool),
    /// A value in such an object.
    Pair(Pool),
    /// An object with free keys and objects.
    Map(Obj),
    /// Not for us.
    Unknown,
}

/// A list of strings, or of pairs of strings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pool {
    Env,
    Args,
    MountOptions,
    HookWords,
    Paths,
    Schemata,
    SeccompNames,
    Annotations,
    Sysctl,
    Unified,
}

/// Ranges of integers in 32 bits: the enum of the kinds, and a table of what each allows.
macro_rules! ints {
    ($($int:ident $lowest:literal $highest:expr, $rule:ident;)*) => {
        /// A range of integers.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Int { $($int,)* U64, I64 }

        static RANGES: &[(i16, u32, Rule)] = &[$(($lowest, $highest, Rule::$rule),)*];
    };
}

ints! {
    U32 0 u32::MAX, RangeU32;
    U16 0 0xffff, RangeU16;
    Id 0 u32::MAX - 1, RangeId;
    Umask 0 0o777, RangeUmask;
    // Podman copies st_mode, type and all.
    Mode 0 0o177_777, RangeMode;
    Oom -1000 1000, RangeOom;
    Nice -20 19, RangeNice;
    Priority 0 99, RangePriority;
    IoPriority 0 7, RangeIoPriority;
    Nanoseconds 0 999_999_999, RangeNanoseconds;
    Timeout 1 i32::MAX as u32, RangeTimeout;
    Major 0 0xfff, RangeMajor;
    Minor 0 0xf_ffff, RangeMinor;
    Wildcard -1 u32::MAX, RangeWildcard;
    Percent 0 100, RangePercent;
    Argument 0 5, RangeArgument;
}

impl Int {
    /// Lowest and highest value, and the rule that says so.
    pub(super) fn range(self) -> (i64, u64, Rule) {
        match RANGES.get(self as usize) {
            Some(&(lowest, highest, rule)) => (i64::from(lowest), u64::from(highest), rule),
            None if self == Self::I64 => (i64::MIN, i64::MAX as u64, Rule::RangeI64),
            None => (0, u64::MAX, Rule::RangeU64),
        }
    }
}
