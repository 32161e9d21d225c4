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

/// A range of integers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Int {
    U64,
    U32,
    U16,
    I64,
    Id,
    Umask,
    Mode,
    Oom,
    Nice,
    Priority,
    IoPriority,
    Nanoseconds,
    Timeout,
    Major,
    Minor,
    Wildcard,
    Percent,
    Argument,
}

impl Int {
    /// Lowest and highest value, and the rule that says so.
    pub(super) fn range(self) -> (i64, u64, Rule) {
        let max = u64::from(u32::MAX);
        match self {
            Self::U64 => (0, u64::MAX, Rule::RangeU64),
            Self::U32 => (0, max, Rule::RangeU32),
            Self::U16 => (0, 0xffff, Rule::RangeU16),
            Self::I64 => (i64::MIN, i64::MAX as u64, Rule::RangeI64),
            Self::Id => (0, max - 1, Rule::RangeId),
            Self::Umask => (0, 0o777, Rule::RangeUmask),
            // Podman copies st_mode, type and all.
            Self::Mode => (0, 0o177_777, Rule::RangeMode),
            Self::Oom => (-1000, 1000, Rule::RangeOom),
            Self::Nice => (-20, 19, Rule::RangeNice),
            Self::Priority => (0, 99, Rule::RangePriority),
            Self::IoPriority => (0, 7, Rule::RangeIoPriority),
            Self::Nanoseconds => (0, 999_999_999, Rule::RangeNanoseconds),
            Self::Timeout => (1, i32::MAX as u64, Rule::RangeTimeout),
            Self::Major => (0, 0xfff, Rule::RangeMajor),
            Self::Minor => (0, 0xf_ffff, Rule::RangeMinor),
            Self::Wildcard => (-1, max, Rule::RangeWildcard),
            Self::Percent => (0, 100, Rule::RangePercent),
            Self::Argument => (0, 5, Rule::RangeArgument),
        }
    }
}
