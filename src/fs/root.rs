//! Paths inside a container's root, as descriptors.
//!
//! What a root contains is hostile: links that point anywhere, and directories that another container swaps for links
//! while we look. So a path is resolved once, by the kernel and as if the root were "/", into a descriptor that only
//! stands for a place (O_PATH); whatever is made or mounted is made and mounted on that. Nothing here returns a path.
//! Before Linux 5.6 `walk.rs` does the kernel's part.
#![forbid(unsafe_code)]

use core::ffi::CStr;

use rustix::fs::{Mode, OFlags, ResolveFlags};

use super::proc::Proc;
use super::text::Text;
use super::walk;
use crate::sys::{BorrowedFd, Errno, OwnedFd, is_lacking, path};
use crate::text::c_text;

/// A rename that races with a ".." makes the kernel say EAGAIN. libpathrs measured that under a full attack 32 tries
/// fail in 3 % of cases and 128 in 0.1 %; without an end a container could keep us busy.
const TRIES: usize = 128;

/// As many links as the kernel itself follows in one path.
pub(super) const LINKS: usize = 40;

/// What may happen on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Links {
    /// All are followed, inside the root.
    Follow,
    /// All but the last.
    KeepLast,
    /// A link anywhere is an error (ELOOP).
    Refuse,
}

/// What the last component is made as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leaf {
    /// A directory.
    Directory,
    /// An empty regular file.
    File,
}

/// A directory that is "/" for every path.
#[derive(Clone, Copy)]
pub struct Root<'a> {
    fd: BorrowedFd<'a>,
    proc: &'a Proc,
}

impl<'a> Root<'a> {
    /// The root at a descriptor.
    #[must_use]
    pub fn new(fd: BorrowedFd<'a>, proc: &'a Proc) -> Self {
        Self { fd, proc }
    }

    /// The place a path leads to, all links followed inside the root.
    ///
    /// # Errors
    ///
    /// The kernel's. ELOOP: too many links, or one of procfs' magic ones. EAGAIN: somebody kept renaming.
    pub fn follow(&self, path: &CStr) -> Result<OwnedFd, Errno> {
        self.resolve(path, Links::Follow, OFlags::empty())
    }

    /// The place a path leads to; a last component that is a link is the place itself.
    ///
    /// # Errors
    ///
    /// As [`Root::follow`].
    pub fn keep_last(&self, path: &CStr) -> Result<OwnedFd, Errno> {
        self.resolve(path, Links::KeepLast, OFlags::NOFOLLOW)
    }

    /// The place that a path names without any link.
    ///
    /// # Errors
    ///
    /// ELOOP for a link.
    pub fn literal(&self, path: &CStr) -> Result<OwnedFd, Errno> {
        self.resolve(path, Links::Refuse, OFlags::empty())
    }

    /// The directory that a path names without any link.
    ///
    /// # Errors
    ///
    /// ELOOP for a link, ENOTDIR for what is no directory.
    pub fn plain_directory(&self, path: &CStr) -> Result<OwnedFd, Errno> {
        self.resolve(path, Links::Refuse, OFlags::DIRECTORY)
    }

    /// Makes a directory and its parents, links followed (dangling ones too) inside the root. True when it was made.
    ///
    /// # Errors
    ///
    /// As [`Root::follow`]; ENOTDIR when something else is in the way.
    pub fn make_directory(&self, path: &CStr, mode: u32) -> Result<(OwnedFd, bool), Errno> {
        match self.follow(path) {
            Err(Errno::NOENT) => Ok((self.make_missing(path, Leaf::Directory, mode)?.0, true)),
            answer => Ok((answer?, false)),
        }
    }

    /// The directory that holds the last component, made if missing, and the name of that component.
    ///
    /// # Errors
    ///
    /// As [`Root::make_directory`]; EINVAL for "/".
    pub fn parent<'p>(&self, path: &'p CStr) -> Result<(OwnedFd, &'p CStr), Errno> {
        let mut buffer = Text::new();
        buffer.push(path.to_bytes())?;
        let cut = buffer.last_slash(buffer.len).ok_or(Errno::INVAL)?;
        let name = name_of(path);
        if name.is_empty() {
            return Err(Errno::INVAL);
        }
        let (fd, _) = self.make_directory(buffer.cut(cut).path(), 0o755)?;
        Ok((fd, name))
    }

    fn resolve(&self, path: &CStr, links: Links, flags: OFlags) -> Result<OwnedFd, Errno> {
        let mut how = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        if links == Links::Refuse {
            how |= ResolveFlags::NO_SYMLINKS;
        }
        for _ in 0..TRIES {
            let answer = match path::openat2(self.fd, path, OFlags::PATH | flags, how) {
                // EPERM: an outer seccomp filter that does not know the call.
                Err(errno) if is_lacking(errno) => {
                    walk::walk(self.fd, self.proc, path, links, flags)
                }
                answer => answer,
            };
            if answer.as_ref().err() != Some(&Errno::AGAIN) {
                return answer;
            }
        }
        Err(Errno::AGAIN)
    }

    /// Makes what a look-up just did not find, with its parent directories; dangling links are followed inside the root.
    /// True when there was no link on the way, so that the place is where the path says.
    ///
    /// # Errors
    ///
    /// As [`Root::make_directory`].
    #[inline(never)]
    pub fn make_missing(
        &self,
        path: &CStr,
        leaf: Leaf,
        mode: u32,
    ) -> Result<(OwnedFd, bool), Errno> {
        let mut literal = true;
        let mut text = Text::new();
        text.push(path.to_bytes())?;
        for _ in 0..LINKS {
            let (dir, end) = self.longest_prefix(&mut text, &mut literal)?;
            match make_below(dir, &mut text, end, leaf, mode)? {
                Made::There(fd) => return Ok((fd, literal)),
                Made::Link { from, to, link } => {
                    literal = false;
                    text.splice(from, to, &link)?;
                }
            }
        }
        Err(Errno::LOOP)
    }

    /// The deepest directory on the way that exists, and where the rest of the text begins.
    fn longest_prefix(
        &self,
        text: &mut Text,
        literal: &mut bool,
    ) -> Result<(OwnedFd, usize), Errno> {
        let mut end = text.len;
        loop {
            end = text.last_slash(end).ok_or(Errno::NOENT)?;
            let prefix = text.cut(end);
            let found = match self.literal(prefix.path()) {
                Err(Errno::LOOP) => {
                    *literal = false;
                    self.follow(prefix.path())
                }
                answer => answer,
            };
            match found {
                Ok(fd) => return Ok((fd, end)),
                // A dangling link in the prefix looks like a missing name: it is found by trying to make it.
                Err(Errno::NOENT) if end > 0 => {}
                Err(errno) => return Err(errno),
            }
        }
    }
}

/// The last component.
#[must_use]
pub fn name_of(path: &CStr) -> &CStr {
    let bytes = path.to_bytes_with_nul();
    let start = bytes
        .iter()
        .rposition(|byte| *byte == b'/')
        .map_or(0, |slash| slash + 1);
    bytes.get(start..).and_then(c_text).unwrap_or(c"")
}

/// How far [`make_below`] came.
enum Made {
    /// The place is there.
    There(OwnedFd),
    /// The component between the two offsets is a link to nowhere.
    Link {
        from: usize,
        to: usize,
        link: OwnedFd,
    },
}

/// Makes the components of `text` from `end` on below `dir`. No link is followed, and ".." is refused: in a path that
/// does not exist it has no meaning that could be checked.
fn make_below(
    mut dir: OwnedFd,
    text: &mut Text,
    end: usize,
    leaf: Leaf,
    mode: u32,
) -> Result<Made, Errno> {
    let mut from = end;
    while let Some((start, stop)) = text.component(from) {
        let last = text.component(stop).is_none();
        let file = last && leaf == Leaf::File;
        from = stop;
        dir = match make_one(&dir, text.part(start, stop).path(), file, last, mode)? {
            Ok(fd) => fd,
            Err(link) => {
                return Ok(Made::Link {
                    from: start,
                    to: stop,
                    link,
                });
            }
        };
    }
    Ok(Made::There(dir))
}

/// Makes and opens one component; the inner error is the link that is there instead.
fn make_one(
    dir: &OwnedFd,
    name: &CStr,
    file: bool,
    last: bool,
    mode: u32,
) -> Result<Result<OwnedFd, OwnedFd>, Errno> {
    if name == c".." {
        return Err(Errno::NOENT);
    }
    let flags = OFlags::PATH | OFlags::NOFOLLOW;
    let made = if file {
        path::create(dir, name, mode).map(drop)
    } else {
        let mode = Mode::from_raw_mode(if last { mode } else { 0o755 });
        rustix::fs::mkdirat(dir, name, mode)
    };
    match made {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(errno) => return Err(errno),
    }
    // O_PATH|O_NOFOLLOW opens a link itself; with O_DIRECTORY it refuses it, and everything else but a directory.
    if !file {
        match path::openat(dir, name, flags | OFlags::DIRECTORY) {
            Err(Errno::NOTDIR | Errno::LOOP) => {}
            answer => return Ok(Ok(answer?)),
        }
    }
    let fd = path::openat(dir, name, flags)?;
    match path::readlink(&fd, c"", &mut [0; 1]) {
        Ok(_) | Err(Errno::NAMETOOLONG) => Ok(Err(fd)),
        Err(_) if file => Ok(Ok(fd)),
        Err(_) => Err(Errno::NOTDIR),
    }
}
