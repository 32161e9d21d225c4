//! The root filesystem: what is done to it, in order.
#![forbid(unsafe_code)]

use super::arena::Str;

/// What becomes of the root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setup {
    /// Absolute path of the root on the host.
    pub path: Str,
    /// MS_* flags that "/" gets first; 0 without an own mount namespace.
    pub propagation: u32,
    /// How the root becomes "/".
    pub way: Way,
    /// The number of operations that come before pivot_root.
    pub before: u32,
}

impl Setup {
    /// The plain way.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            path: Str::EMPTY,
            propagation: 0,
            way: Way::Pivot,
            before: 0,
        }
    }
}

impl Default for Setup {
    fn default() -> Self {
        Self::new()
    }
}

/// How the root becomes "/".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// pivot_root(2).
    Pivot,
    /// MS_MOVE and chroot(2), asked for with --no-pivot.
    Move,
    /// chroot(2) alone: there is no mount namespace.
    Chroot,
}
