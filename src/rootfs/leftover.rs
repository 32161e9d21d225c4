//! What stays mounted on the first root of a mount namespace after another root was moved over it.
#![forbid(unsafe_code)]

use core::ffi::CStr;

use linux_raw_sys::general as k;
use rustix::fs::OFlags;

use crate::error::Errno;
use crate::fs::proc::Proc;
use crate::sys::{mount as sys, path};
use crate::text::{c_text, number};

/// Rounds: unmounting while mountinfo is read can hide lines from the reader.
const ROUNDS: usize = 16;
/// A line of mountinfo with two paths and more.
const LINE: usize = 10 * 1024;

/// Detaches every mount on the mount `root` (its id) except the one that covers it. What a more privileged namespace
/// has locked there stays, but procfs and sysfs are covered then. "/" of the caller is still the old root.
///
/// # Errors
///
/// The kernel's.
#[inline(never)]
pub(super) fn detach(proc: &Proc, root: u64) -> Result<(), Errno> {
    for _ in 0..ROUNDS {
        let mut count = 0;
        let file = proc.open_file(c"thread-self/mountinfo", OFlags::RDONLY)?;
        let mut buffer = [0_u8; LINE];
        let mut filled = 0;
        loop {
            let room = buffer.get_mut(filled..).unwrap_or(&mut []);
            let read = rustix::io::read(&file, room)?;
            filled += read;
            let text = buffer.get_mut(..filled).unwrap_or(&mut []);
            let end = text
                .iter()
                .rposition(|byte| *byte == b'\n')
                .map_or(0, |at| at + 1);
            for line in text
                .get_mut(..end)
                .unwrap_or(&mut [])
                .split_mut(|byte| *byte == b'\n')
            {
                count += usize::from(one(line, root));
            }
            if read == 0 {
                break;
            }
            buffer.copy_within(end..filled, 0);
            filled -= end;
        }
        if count == 0 {
            break;
        }
    }
    Ok(())
}

/// Detaches the mount of one line; true when the next round has less to do.
fn one(line: &mut [u8], root: u64) -> bool {
    let hidden = {
        let fstype = fstype(line);
        fstype == b"proc" || fstype == b"sysfs"
    };
    let Some(point) = mount_point(line, root) else {
        return false;
    };
    // What is shared with the host would be unmounted there, too.
    let alone = sys::change(point, k::MS_SLAVE | k::MS_REC);
    if alone.is_ok() && sys::detach(point).is_ok() {
        return true;
    }
    if hidden {
        // Locked: a read-only nothing over it.
        let covered = path::openat(path::cwd(), point, OFlags::PATH).and_then(path::fs_type);
        if covered.is_ok_and(|kind| kind == k::PROC_SUPER_MAGIC || kind == k::SYSFS_MAGIC) {
            let flags = k::MS_RDONLY | k::MS_NOSUID | k::MS_NODEV | k::MS_NOEXEC;
            let _ = sys::mount(c"tmpfs", point, c"tmpfs", flags, c"nr_inodes=1");
        }
    }
    false
}

/// The type in a line: the first word behind " - ".
fn fstype(line: &[u8]) -> &[u8] {
    let at = line.windows(3).position(|three| three == b" - ");
    at.and_then(|at| line.get(at + 3..))
        .and_then(|rest| rest.split(|byte| *byte == b' ').next())
        .unwrap_or(&[])
}

/// The mount point of a line, decoded in place (a space is \\040 there), when the mount is on the mount `root` and not
/// over all of it.
fn mount_point(line: &mut [u8], root: u64) -> Option<&CStr> {
    // id, parent, device, root, mount point
    let mut words = line.split(|byte| *byte == b' ');
    let before: usize = words.clone().take(4).map(|word| word.len() + 1).sum();
    let parent = number(words.nth(1)?, 10)?;
    let length = words.nth(2)?.len();
    let point = line.get_mut(before..=before + length)?;
    if parent != root || *point == *b"/ " {
        return None;
    }
    let (mut from, mut to) = (0, 0);
    while from < length {
        let byte = point.get(from).copied()?;
        let code = point.get(from + 1..from + 4).filter(|_| byte == b'\\');
        let octal = code.and_then(|code| number(code, 8));
        let (value, step) = match octal.and_then(|value| u8::try_from(value).ok()) {
            Some(value) => (value, 4),
            None => (byte, 1),
        };
        *point.get_mut(to)? = value;
        to += 1;
        from += step;
    }
    *point.get_mut(to)? = 0;
    c_text(point)
}

#[cfg(test)]
mod tests {
    use super::{fstype, mount_point};

    #[test]
    fn lines_of_mountinfo() {
        let table: [(&str, Option<&str>, &str); 4] = [
            (
                "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw",
                Some("/mnt2"),
                "ext3",
            ),
            (
                "36 35 0:5 / /a\\040b\\134\\011c rw - proc proc rw",
                Some("/a b\\\tc"),
                "proc",
            ),
            ("36 35 0:5 / / rw - proc proc rw", None, "proc"),
            ("36 34 0:5 / /x rw - sysfs sysfs rw", None, "sysfs"),
        ];
        for (line, point, kind) in table {
            let mut bytes = line.as_bytes().to_vec();
            assert_eq!(fstype(&bytes), kind.as_bytes(), "{line}");
            let got = mount_point(&mut bytes, 35).map(|point| point.to_str().unwrap());
            assert_eq!(got, point, "{line}");
        }
    }
}
