//! A procfs that nobody else can mount on: the way to every file below /proc that the runtime itself needs.
//!
//! A container, or another one that shares mounts with it, may put anything over /proc/self/attr/exec or
//! /proc/sys/kernel/hostname, and "is it procfs?" does not help when that is another file of procfs (CVE-2025-52881).
//! So the files are opened in an instance of our own that is attached nowhere.
//! It refuses to follow links, except those that [`Proc::reopen`] names.
#![forbid(unsafe_code)]

use core::ffi::CStr;

use linux_raw_sys::general::PROC_SUPER_MAGIC;
use rustix::fs::{OFlags, ResolveFlags};
use rustix::mount::{self, FsMountFlags, FsOpenFlags, MountAttrFlags, OpenTreeFlags};
use rustix::path::DecInt;

use crate::error::{At, Context, Errno, Fault, Place, Step};
use crate::limits::ANY_KERNEL;
use crate::sys::{AsFd, BorrowedFd, OwnedFd, is_lacking, path};
use crate::text::{c_text, cut, field, number};

/// A procfs, best a private one.
pub struct Proc {
    fd: OwnedFd,
    /// Not attached anywhere: nothing can be mounted on it.
    private: bool,
}

impl Proc {
    /// Opens one that has the directories of processes only, seen from the pid namespace of the caller: a process
    /// that enters a new pid namespace needs a new one.
    ///
    /// # Errors
    ///
    /// `Step::OpenProc` when /proc is needed and is no procfs.
    pub fn open() -> Result<Self, Fault> {
        Self::instance(true)
    }

    /// Whether the kernel makes new instances for us: as far as that can be told without making one.
    #[must_use]
    pub fn can_be_private() -> bool {
        context().is_ok()
    }

    /// Opens one with everything, for /proc/sys: to be closed before anything else is executed.
    ///
    /// # Errors
    ///
    /// As [`Proc::open`].
    pub fn full() -> Result<Self, Fault> {
        Self::instance(false)
    }

    /// The chain: own instance (Linux 5.2, needs rights over the pid namespace); detached copy of /proc (5.2), which
    /// shares its options with the host; /proc itself, where every look-up has to check that nothing was mounted on
    /// the way.
    fn instance(subset: bool) -> Result<Self, Fault> {
        let at = At::Place(Place::Proc);
        if let Ok(fd) = fresh(subset) {
            return Ok(Self { fd, private: true });
        }
        let copied = mount::open_tree(
            path::cwd(),
            c"/proc",
            OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC,
        );
        let private = copied.is_ok();
        let fd = copied
            .map(OwnedFd::from)
            .or_else(|_| {
                let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::DIRECTORY;
                path::openat(path::cwd(), c"/proc", flags)
            })
            .step_at(Step::OpenProc, at)?;
        let real = path::fs_type(&fd).step_at(Step::OpenProc, at)? == PROC_SUPER_MAGIC;
        // The root of a procfs always has inode 1: anything else is a directory below it that was bound here.
        let root = rustix::fs::fstat(&fd).step_at(Step::OpenProc, at)?.st_ino == 1;
        if real && root {
            Ok(Self { fd, private })
        } else {
            Err(Errno::XDEV).step_at(Step::OpenProc, at)
        }
    }

    /// The directory itself.
    #[must_use]
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Opens a file below the root of the procfs: `self/attr/exec`, `17/uid_map`. `flags` without O_CREAT.
    ///
    /// # Errors
    ///
    /// The kernel's; EXDEV when something was mounted over it.
    pub fn open_file(&self, name: &CStr, flags: OFlags) -> Result<OwnedFd, Errno> {
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_XDEV;
        match path::openat2(&self.fd, name, flags, resolve) {
            Err(errno) if is_lacking(errno) => {}
            answer => return answer,
        }
        // Before Linux 5.6: the file is opened without following a last link, and must be on the same mount.
        let fd = path::openat(&self.fd, name, flags | OFlags::NOFOLLOW)?;
        if path::fs_type(&fd)? != PROC_SUPER_MAGIC || !(self.private || self.same_mount(&fd)?) {
            return Err(Errno::XDEV);
        }
        Ok(fd)
    }

    /// The directory of a process, by its number in the pid namespace of the caller. Magic links in it can be followed.
    ///
    /// # Errors
    ///
    /// ENOENT: there is no such process.
    pub fn process(&self, pid: u32) -> Result<OwnedFd, Errno> {
        let number = DecInt::new(pid);
        self.open_file(number.as_c_str(), OFlags::PATH | OFlags::DIRECTORY)
    }

    /// Opens a namespace of a process: `ns/net`.
    ///
    /// # Errors
    ///
    /// ENOENT: there is no such process, or no such namespace.
    pub fn namespace(&self, pid: u32, name: &CStr) -> Result<OwnedFd, Errno> {
        path::openat(&self.process(pid)?, name, OFlags::RDONLY)
    }

    /// Opens again what a descriptor stands for, with other rights: an O_PATH one for reading or writing.
    ///
    /// # Errors
    ///
    /// The kernel's.
    pub fn reopen(&self, fd: impl AsFd, flags: OFlags) -> Result<OwnedFd, Errno> {
        let number = DecInt::from_fd(fd);
        if self.private {
            let place = SelfFd::new(number.as_bytes());
            return path::openat(&self.fd, place.path(), flags);
        }
        // In the shared /proc the directory of links is checked first; the kernel lets nothing be mounted on its
        // entries since 6.12.
        let links = self.open_file(c"self/fd", OFlags::PATH | OFlags::DIRECTORY)?;
        path::openat(&links, number.as_c_str(), flags)
    }

    /// Writes a value into one file, in one write.
    ///
    /// # Errors
    ///
    /// The kernel's.
    pub fn write(&self, name: &CStr, value: &[u8]) -> Result<(), Errno> {
        let file = self.open_file(name, OFlags::WRONLY)?;
        let written = rustix::io::write(&file, value)?;
        if written == value.len() {
            Ok(())
        } else {
            Err(Errno::IO)
        }
    }

    /// The id of the mount that a descriptor is on: by statx(2) (Linux 5.8), before that from its fdinfo (3.15).
    ///
    /// # Errors
    ///
    /// The kernel's.
    pub fn mount_id(&self, fd: impl AsFd) -> Result<u64, Errno> {
        match path::mount_id(&fd) {
            Err(errno) if is_lacking(errno) => {}
            answer => return Ok(answer?.0),
        }
        let mut name = SelfFd::of(fd);
        name.info();
        // Nothing can be mounted on the files of fdinfo where this matters least; where the procfs is private, nowhere.
        let file = path::openat(&self.fd, name.path(), OFlags::RDONLY | OFlags::NOFOLLOW)?;
        let mut text = [0_u8; 256];
        let length = rustix::io::read(&file, &mut text)?;
        let id = field(text.get(..length).unwrap_or(&[]), b"mnt_id:");
        id.and_then(|id| number(id, 10)).ok_or(Errno::NOSYS)
    }

    /// Whether a file is on the mount of this procfs.
    fn same_mount(&self, fd: &OwnedFd) -> Result<bool, Errno> {
        Ok(self.mount_id(&self.fd)? == self.mount_id(fd)?)
    }
}

/// The text `self/fd/N` with its NUL.
pub struct SelfFd([u8; 24]);

impl SelfFd {
    /// For the digits of a descriptor.
    #[must_use]
    pub fn new(digits: &[u8]) -> Self {
        let mut text = *b"self/fd/\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
        if let Some(place) = text.get_mut(8..8 + digits.len()) {
            place.copy_from_slice(digits);
        }
        Self(text)
    }

    /// For a descriptor.
    #[must_use]
    pub fn of(fd: impl AsFd) -> Self {
        Self::new(DecInt::from_fd(fd).as_bytes())
    }

    /// Makes it `self/fdinfo/N`.
    fn info(&mut self) {
        let Self(text) = self;
        text.copy_within(7..20, 11);
        if let Some(place) = text.get_mut(5..11) {
            place.copy_from_slice(b"fdinfo");
        }
    }

    /// As a path relative to the root of a procfs.
    #[must_use]
    pub fn path(&self) -> &CStr {
        c_text(&self.0).unwrap_or(c"")
    }
}

/// What a new instance is made with.
fn context() -> Result<OwnedFd, Errno> {
    // Distributions carry fsopen back to 4.18, where mounting that way is very slow (libpathrs measured seconds).
    if ANY_KERNEL && !since_5_2() {
        return Err(Errno::NOSYS);
    }
    mount::fsopen(c"proc", FsOpenFlags::FSOPEN_CLOEXEC).map(OwnedFd::from)
}

/// A new, unattached instance.
fn fresh(subset: bool) -> Result<OwnedFd, Errno> {
    let context = context()?;
    // subset= came with Linux 5.8, together with options per instance: an older kernel refuses the word and would
    // apply hidepid= to the host's /proc too, so that is only set after subset= was taken.
    if subset && mount::fsconfig_set_string(&context, c"subset", c"pid").is_ok() {
        let _ = mount::fsconfig_set_string(&context, c"hidepid", c"ptraceable");
    }
    mount::fsconfig_create(&context)?;
    mount::fsmount(
        context.as_fd(),
        FsMountFlags::FSMOUNT_CLOEXEC,
        MountAttrFlags::MOUNT_ATTR_NOSUID
            | MountAttrFlags::MOUNT_ATTR_NODEV
            | MountAttrFlags::MOUNT_ATTR_NOEXEC,
    )
    .map(OwnedFd::from)
}

/// Whether uname(2) tells of Linux 5.2 or later.
fn since_5_2() -> bool {
    let name = rustix::system::uname();
    let (major, rest) = cut(name.release().to_bytes(), b'.');
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let minor = rest.get(..digits).and_then(|minor| number(minor, 10));
    number(major, 10)
        .zip(minor)
        .is_some_and(|version| version >= (5, 2))
}
