//! What criu is asked for, as far as both directions have it in common.
#![forbid(unsafe_code)]

use core::ffi::CStr;

use rustix::fd::AsRawFd;
use rustix::fs::{CWD, Mode, OFlags, mkdir};

use super::message::Message;
use crate::error::{At, Context, Errno, Fault, Step};
use crate::fs::text::Text;
use crate::limits::{CRIU_BYTES, Limit};
use crate::plan::Plan;
use crate::say::object::strings;
use crate::sys::memory::TakeOnce;
use crate::sys::{OwnedFd, ns, path};
use crate::text::pieces;

/// Room for the request.
static ROOM: TakeOnce<[u8; CRIU_BYTES]> = TakeOnce::new([0; CRIU_BYTES]);

const _: () = assert!(CRIU_BYTES < 1 << 21, "lengths have three bytes");

/// The annotation with the path of a configuration of criu; an empty one: none.
const CONFIG: &[u8] = b"org.criu.config";
/// Without it.
const DEFAULT_CONFIG: &[u8] = b"/etc/criu/runc.conf";

/// What is asked for: `criu_req_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Images of a container.
    Dump = 1,
    /// A container of images.
    Restore = 2,
    /// Its memory alone; it goes on.
    PreDump = 4,
}

impl Kind {
    /// What a fault names.
    pub(super) fn step(self) -> Step {
        match self {
            Self::Restore => Step::Restore,
            _ => Step::Checkpoint,
        }
    }

    /// The name of criu's log, as runc has it.
    pub(super) fn log(self) -> &'static CStr {
        match self {
            Self::Restore => c"restore.log",
            _ => c"dump.log",
        }
    }
}

/// A request being written.
pub struct Request {
    /// `criu_opts`.
    pub options: Message<'static>,
    pub(super) kind: Kind,
    /// Where the images are, and where the log is; criu finds both through /proc.
    pub directories: [OwnedFd; 2],
    /// The path of the second one.
    pub(super) logs: &'static CStr,
    start: usize,
}

impl Request {
    /// For images at a path, and another one for logs and the like, which is made; as is the first for a dump.
    ///
    /// # Errors
    ///
    /// They cannot be opened.
    pub fn new(kind: Kind, images: &CStr, logs: &'static CStr) -> Result<Self, Fault> {
        let room = ROOM.take().map_or(&mut [][..], |room| room);
        let mut options = Message::new(room);
        options.number(1, kind as u64);
        let start = options.open(2);
        // log_level: warnings and what leads to them.
        options.number(9, 4);
        options.text(10, &[kind.log().to_bytes()]);
        // notify_scripts, manage_cgroups for the old, orphan_pts_master.
        for field in [12, 24, 50] {
            options.number(field, 1);
        }
        Ok(Self {
            options,
            kind,
            directories: [
                directory(images, kind != Kind::Restore)?,
                directory(logs, true)?,
            ],
            logs,
            start,
        })
    }

    /// The configuration of criu that the annotations of a container name, or the one for all; and that it leaves a
    /// network empty for the hooks that have made it: its devices would be there already.
    pub(super) fn configure(&mut self, plan: &Plan, annotations: &[u8]) {
        if plan.namespaces.hooked {
            self.options.number(38, u64::from(ns::flag::NET));
        }
        let mut path = DEFAULT_CONFIG;
        let mut words = strings(annotations);
        while let (Some(key), Some(value)) = (words.next(), words.next()) {
            if key == CONFIG {
                path = value;
            }
        }
        if !path.is_empty() {
            self.options.text(51, &[path]);
        }
    }

    /// Where the images are.
    #[must_use]
    pub fn images(&self) -> &OwnedFd {
        let [images, _] = &self.directories;
        images
    }

    /// Something outside of the container: `mnt[KEY]:VALUE`.
    pub(super) fn mount(&mut self, key: &[u8], value: &[u8]) {
        self.options.text(37, &[b"mnt[", key, b"]:", value]);
    }

    /// A descriptor that criu has inherited, and what it is for.
    pub(super) fn inherit(&mut self, key: &[u8], fd: u64) {
        let start = self.options.open(27);
        self.options.text(1, &[key]);
        self.options.number(2, fd);
        self.options.close(start);
    }

    /// The log.
    pub(super) fn log(&self) -> Result<OwnedFd, Errno> {
        let [_, directory] = &self.directories;
        path::openat(directory, self.kind.log(), OFlags::RDONLY)
    }

    /// The whole.
    pub(super) fn finish(&mut self) -> Result<&[u8], Fault> {
        let [images, logs] = &self.directories;
        self.options.number(1, number(images));
        self.options.number(17, number(logs));
        self.options.close(self.start);
        let full = Fault::limit(self.kind.step(), Limit::CRIU_BYTES, At::Nothing);
        self.options.bytes().ok_or(full)
    }
}

/// The number of a descriptor, as criu wants it.
pub(super) fn number(fd: &OwnedFd) -> u64 {
    u64::from(fd.as_raw_fd().unsigned_abs())
}

/// Opens a directory; `make`: with those above it if they are missing.
///
/// # Errors
///
/// The kernel's.
#[inline(never)] // its buffer would lie in the frame of everything below
pub fn directory(path: &CStr, make: bool) -> Result<OwnedFd, Fault> {
    if make {
        let mut prefix = Text::new();
        for piece in pieces(path.to_bytes(), b'/') {
            prefix.push(piece).step(Step::OpenImages)?;
            // Opening the last one tells what went wrong.
            let _ = mkdir(prefix.path(), Mode::RWXU);
            prefix.push(b"/").step(Step::OpenImages)?;
        }
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    path::open(CWD, path, flags, 0).step(Step::OpenImages)
}
