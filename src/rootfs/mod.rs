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
//!
//! A new file system takes its final form in one mount(2) onto `self/fd/N` of the private procfs, which is the working
//! directory meanwhile: one call instead of fsopen's eight. Where its root is needed afterwards it is made detached.
//! A bind mount is cloned, gets its attributes, and is attached when it is complete (Linux 5.12; before that it is
//! remounted). Each way stands in for the other.
#![forbid(unsafe_code)]

mod attributes;
mod bind;
mod copy_up;
mod dev;
mod fresh;
mod leftover;
mod mask;
mod mount;
mod pivot;
#[cfg(test)]
mod tests;

use core::ffi::CStr;

use rustix::fs::Mode;

use crate::error::{At, Context, Fault, Step};
use crate::fs::later::Later;
use crate::fs::proc::{Proc, SelfFd};
use crate::fs::root::Root;
use crate::limits::ANY_KERNEL;
use crate::plan::arena::Arena;
use crate::plan::mounts::Setup;
use crate::plan::op::Op;
use crate::sys::{AsFd, BorrowedFd, OwnedFd};

/// Gives the source of a bind mount, by the number of its operation: somewhere in the file system of the host, or for an
/// id-mapped mount the detached tree.
pub type Ask<'a> = &'a dyn Fn(u32) -> Result<OwnedFd, Fault>;

/// The root being made.
pub struct Rootfs<'a> {
    /// The mounted root.
    fd: OwnedFd,
    proc: &'a Proc,
    /// The container's procfs and sysfs, once mounted: what is masked below them is found from there, so that nobody
    /// who can rename directories of the root can lead a mask astray.
    procfs: Option<OwnedFd>,
    sysfs: Option<OwnedFd>,
    /// The last mount that others are made in.
    base: Option<OwnedFd>,
    /// The kernel has no mount_setattr; known once there is a base.
    old: bool,
    /// /dev, once something was made in it.
    dev: Option<OwnedFd>,
    masks: mask::Sources,
    pivoted: bool,
    /// The working directory is the procfs, for paths like `self/fd/N`.
    in_proc: bool,
    /// The container is there, and its mount namespace is not where sources are.
    live: bool,
    /// Descriptors that have done their duty.
    done: Later,
}

/// Opens the root from the working directory, and mounts it onto itself. The umask is 0 afterwards and the working
/// directory undefined.
///
/// # Errors
///
/// `Step::SetPropagation`, `Step::OpenRootfs`, `Step::MountRootfs`.
pub fn enter<'a, const N: usize>(
    setup: &Setup,
    arena: &Arena<N>,
    proc: &'a Proc,
) -> Result<Rootfs<'a>, Fault> {
    // Modes of directories and nodes are given exactly; the process sets its own umask later.
    rustix::process::umask(Mode::empty());
    let at = At::Arena(setup.path.at);
    let dir = pivot::open(arena.cstr(setup.near)).map_err(|fault| fault.or_at(at))?;
    rustix::process::fchdir(proc.fd()).step(Step::OpenProc)?;
    let fd = pivot::enter(setup, dir, arena.cstr(setup.path), proc);
    let fd = fd.map_err(|fault| fault.or_at(at))?;
    Ok(Rootfs::new(fd, proc, setup.masks))
}

impl<'a> Rootfs<'a> {
    /// The root of a container that is there, from inside its mount namespace. What is bound is asked for.
    #[must_use]
    pub fn live(fd: OwnedFd, proc: &'a Proc) -> Self {
        rustix::process::umask(Mode::empty());
        Rootfs {
            pivoted: true,
            in_proc: false,
            live: true,
            ..Rootfs::new(fd, proc, false)
        }
    }

    /// A root in which nothing is made yet, with the procfs as the working directory.
    fn new(fd: OwnedFd, proc: &'a Proc, masks: bool) -> Self {
        Rootfs {
            fd,
            proc,
            procfs: None,
            sysfs: None,
            base: None,
            old: false,
            dev: None,
            masks: mask::Sources::prepare(masks),
            pivoted: false,
            in_proc: true,
            live: false,
            done: Later::new(),
        }
    }

    /// Takes away what is mounted at a path without links: where they lead is for the container to say.
    ///
    /// # Errors
    ///
    /// `Step::Unmount`. EINVAL: nothing is.
    pub fn unmount(&mut self, path: &CStr) -> Result<(), Fault> {
        let place = self.root().literal(path).step(Step::Unmount)?;
        self.stand_in_proc()?;
        crate::sys::mount::detach(SelfFd::of(&place).path()).step(Step::Unmount)
    }

    /// Carries out `ops`, of which the first is number `first` of the plan. After pivot_root the working directory is
    /// "/" in the end, before it is undefined. What cannot be opened from here is asked for.
    ///
    /// # Errors
    ///
    /// With `At::Op` of the operation.
    pub fn run<const N: usize>(
        &mut self,
        ops: &[Op],
        first: u32,
        arena: &Arena<N>,
        ask: Ask<'_>,
    ) -> Result<(), Fault> {
        if ops.is_empty() {
            return Ok(());
        }
        self.stand_in_proc()?;
        for (op, number) in ops.iter().zip(first..) {
            self.one(op, arena, &|| ask(number))
                .map_err(|fault| fault.or_at(At::Op(number)))?;
        }
        self.done.now();
        self.leave_proc()
    }

    /// Makes the root "/" and lets go of the old one. The working directory is "/" afterwards.
    ///
    /// # Errors
    ///
    /// `Step::Pivot`.
    pub fn pivot(&mut self, setup: &Setup) -> Result<(), Fault> {
        pivot::leave(setup, self.fd.as_fd(), self.proc)?;
        self.pivoted = true;
        self.in_proc = false;
        Ok(())
    }

    /// Binds a terminal over /dev/console, which is made if it is missing. The working directory is undefined
    /// afterwards before pivot_root, and "/" after it.
    ///
    /// # Errors
    ///
    /// `Step::BindConsole`.
    pub fn console(&mut self, terminal: BorrowedFd<'_>) -> Result<(), Fault> {
        self.stand_in_proc()?;
        dev::console(self, terminal).step(Step::BindConsole)?;
        self.leave_proc()
    }

    /// The container's null device takes the place of the host's where standard streams lead to that, if it can.
    pub fn streams(&self) {
        let _ = dev::streams(self);
    }

    /// The container's root directory, for whatever else must be found in it.
    #[must_use]
    pub fn root(&self) -> Root<'_> {
        Root::new(self.fd.as_fd(), self.proc)
    }

    fn stand_in_proc(&mut self) -> Result<(), Fault> {
        if !self.in_proc {
            rustix::process::fchdir(self.proc.fd()).step(Step::OpenProc)?;
            self.in_proc = true;
        }
        Ok(())
    }

    /// After pivot_root "/" is the working directory; before it, hooks and the like choose their own.
    fn leave_proc(&mut self) -> Result<(), Fault> {
        if self.pivoted {
            rustix::process::chdir(c"/").step(Step::Pivot)?;
            self.in_proc = false;
        }
        Ok(())
    }

    fn one<const N: usize>(
        &mut self,
        op: &Op,
        arena: &Arena<N>,
        ask: &dyn Fn() -> Result<OwnedFd, Fault>,
    ) -> Result<(), Fault> {
        let path = |text| arena.cstr(text);
        match op {
            Op::Directory { path: at } => self.directory(path(*at)),
            Op::Mount(one) => mount::mount(self, one, arena, ask),
            // Of v1, which the plan has none of then.
            Op::Below(_) | Op::Within { .. } | Op::LinkBelow { .. } if !ANY_KERNEL => Ok(()),
            Op::Below(below) => mount::below(self, below, arena),
            Op::Within { attributes } => mount::within(self, *attributes),
            Op::LinkBelow { name, text } => mount::link_below(self, path(*name), path(*text)),
            Op::Device(device) => dev::device(self, device, path(device.path)),
            Op::Link {
                path: at,
                text,
                when,
            } => dev::link(self, path(*at), path(*text), *when),
            Op::Label { path: at, text } => mount::label(self, path(*at), arena.bytes(*text)),
            Op::Propagation { flags } => pivot::propagation(*flags),
            Op::Readonly { path: at } => mask::readonly(self, path(*at)),
            Op::Mask { path: at } => mask::mask(self, path(*at)),
            Op::Seal { path: at } => mask::seal(self, path(*at)),
        }
    }

    fn directory(&self, path: &CStr) -> Result<(), Fault> {
        let made = self.root().make_directory(path, 0o755);
        made.map(drop).step(Step::MakeDirectory)
    }
}
