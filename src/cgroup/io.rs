//! Small files of the cgroup file systems.
//!
//! A cgroup file system holds no symbolic links, and no path here has a ".." component, so a path below a mount point
//! cannot lead anywhere else; the last component is still never followed.
#![forbid(unsafe_code)]

use crate::error::{Context, Errno, Fault, Step};
use crate::sys::{AsFd, OwnedFd, path};
use core::ffi::CStr;
use rustix::fs::{AtFlags, CWD, Mode, OFlags, openat, statat};
use rustix::path::Arg;

/// Opens a directory to stand in.
pub(super) fn open_dir(path: impl Arg) -> Result<OwnedFd, Errno> {
    open_dir_at(CWD, path)
}

/// Opens a directory below another to stand in.
pub(super) fn open_dir_at(dir: impl AsFd, path: impl Arg) -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(dir.as_fd(), path, flags, Mode::empty()).map(OwnedFd::from)
}

/// Opens a file to read.
pub(super) fn open(dir: impl AsFd, name: &CStr) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NOCTTY;
    path::open(dir, name, flags, 0)
}

/// Opens a file to write.
pub(super) fn open_to_write(dir: impl AsFd, name: &CStr) -> Result<OwnedFd, Errno> {
    let flags = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NOCTTY;
    path::open(dir, name, flags, 0)
}

/// Reads a file that the kernel gives in one piece, which spares the look for its end.
pub(super) fn read_small<'b>(
    dir: impl AsFd,
    name: &CStr,
    buffer: &'b mut [u8],
) -> Result<&'b [u8], Errno> {
    let file = open(dir, name)?;
    let n = rustix::io::retry_on_intr(|| rustix::io::read(&file, &mut *buffer))?;
    Ok(buffer.get(..n).unwrap_or(&[]))
}

/// Writes a value in one piece: the kernel takes each write(2) as one command.
pub(super) fn write(dir: impl AsFd, name: &CStr, value: &[u8]) -> Result<(), Errno> {
    put(&open_to_write(dir, name)?, value)
}

/// Writes a value in one piece to an open file.
pub(super) fn put(file: impl AsFd, value: &[u8]) -> Result<(), Errno> {
    loop {
        match rustix::io::write(&file, value) {
            Ok(n) if n == value.len() => return Ok(()),
            Ok(_) => return Err(Errno::IO),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}

/// The inode of an open file.
pub(super) fn inode(fd: impl AsFd) -> Result<u64, Errno> {
    rustix::fs::fstat(fd).map(|stat| stat.st_ino)
}

/// The inode at a path.
pub(super) fn inode_at(path: &CStr) -> Result<u64, Errno> {
    statat(CWD, path, AtFlags::SYMLINK_NOFOLLOW).map(|stat| stat.st_ino)
}

/// Calls `each` with every line of a file; a line longer than the buffer is left out.
pub(super) fn lines(
    file: &OwnedFd,
    buffer: &mut [u8],
    mut each: impl FnMut(&mut [u8]) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let (mut len, mut too_long) = (0, false);
    loop {
        let room = buffer.get_mut(len..).unwrap_or(&mut []);
        let n = match rustix::io::read(file, room) {
            Err(Errno::INTR) => continue,
            other => other.step(Step::FindCgroups)?,
        };
        len += n;
        let mut start = 0;
        while let Some(rest) = buffer.get_mut(start..len).filter(|rest| !rest.is_empty()) {
            let end = match rest.iter().position(|byte| *byte == b'\n') {
                Some(end) => end,
                None if n == 0 => rest.len(),
                None => break,
            };
            if let Some(line) = rest.get_mut(..end).filter(|_| !too_long) {
                each(line)?;
            }
            too_long = false;
            start += end + 1;
        }
        if n == 0 {
            return Ok(());
        }
        buffer.copy_within(start..len, 0);
        len -= start;
        if len == buffer.len() {
            (len, too_long) = (0, true);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::lines;

    fn collect(text: &[u8], size: usize) -> Vec<Vec<u8>> {
        let (reader, writer) = rustix::pipe::pipe().unwrap();
        super::put(&writer, text).unwrap();
        drop(writer);
        let mut got = Vec::new();
        let mut buffer = vec![0; size];
        lines(&reader.into(), &mut buffer, |line| {
            got.push(line.to_vec());
            Ok(())
        })
        .unwrap();
        got
    }

    #[test]
    fn lines_of_all_sizes() {
        let text = b"a\n\nbcdefgh\nij\nk";
        let all = [&b"a"[..], b"", b"bcdefgh", b"ij", b"k"];
        for size in [8, 9, 15, 64] {
            assert_eq!(collect(text, size), all, "{size}");
        }
        for size in 3..8 {
            assert_eq!(collect(text, size), [&b"a"[..], b"", b"ij", b"k"], "{size}");
        }
        assert!(collect(b"", 4).is_empty());
    }
}
