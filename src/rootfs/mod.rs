//! The container's root file system: carries out the operations of the plan, by descriptor.
//!
//! ```text
//!  enter      propagation of "/", the root mounted onto itself
//!  run        operations before pivot_root: mounts, devices, links
//!  pivot      the root becomes "/", the old one is gone
//!  run        operations after it: read-only paths, masks, seals
//!  console    the terminal bound over /dev/console
//! ```
//! Everything happens in the mount namespace of the container, so a failure needs no undoing; mount points that were
//! made in the root stay. No path is used twice: it becomes a descriptor once (`fs/root.rs`), and a mount lands on that.
#![forbid(unsafe_code)]

use crate::error::Fault;
use crate::fs::proc::Proc;
use crate::plan::arena::Arena;
use crate::plan::mounts::Setup;
use crate::plan::op::Op;
use crate::sys::BorrowedFd;

/// The root being made.
pub struct Rootfs<'a> {
    proc: &'a Proc,
}

/// Opens the root and mounts it onto itself.
///
/// # Errors
///
/// `Step::OpenRootfs`, `Step::MountRootfs`.
pub fn enter<'a>(_setup: &Setup, _arena: &Arena, _proc: &'a Proc) -> Result<Rootfs<'a>, Fault> {
    Ok(Rootfs { proc: _proc })
}

impl Rootfs<'_> {
    /// Carries out `ops`, of which the first is number `first` of the plan.
    ///
    /// # Errors
    ///
    /// With `At::Op` of the operation.
    pub fn run(&mut self, _ops: &[Op], _first: u32, _arena: &Arena) -> Result<(), Fault> {
        let _ = self.proc;
        Ok(())
    }

    /// Makes the root "/" and lets go of the old one. The working directory is "/" afterwards.
    ///
    /// # Errors
    ///
    /// `Step::Pivot`.
    pub fn pivot(&mut self, _setup: &Setup) -> Result<(), Fault> {
        Ok(())
    }

    /// Binds a terminal over /dev/console, which is made if it is missing.
    ///
    /// # Errors
    ///
    /// `Step::BindConsole`.
    pub fn console(&self, _terminal: BorrowedFd<'_>) -> Result<(), Fault> {
        Ok(())
    }
}
