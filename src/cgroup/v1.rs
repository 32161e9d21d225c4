//! What only v1 hierarchies need: CPUs for a new cpuset, device lists, the freezer file.
#![forbid(unsafe_code)]

use super::devices::{BLOCK, Fold, MKNOD, READ, Range, WRITE};
use super::io;
use crate::error::Errno;
use crate::sys::{AsFd, BorrowedFd};
use crate::text::Digits;
use heapless::Vec;

/// Copies cpus and mems of the parent where a cpuset has none, since it takes no process before: a `fresh` one starts
/// empty (or, where the parent's `cgroup.clone_children` is set, with the same values).
pub(super) fn fill_cpuset(dir: BorrowedFd<'_>, fresh: bool) -> Result<(), Errno> {
    let mut own = [0; 512];
    let mut parent = [0; 512];
    // ".." of a directory of a cgroup file system is its parent cgroup; ours is never the root of a mount.
    for (file, above) in [
        (c"cpuset.cpus", c"../cpuset.cpus"),
        (c"cpuset.mems", c"../cpuset.mems"),
    ] {
        if fresh || io::read_small(dir, file, &mut own)?.trim_ascii().is_empty() {
            io::write(dir, file, io::read_small(dir, above, &mut parent)?)?;
        }
    }
    Ok(())
}

/// Writes the folded device rules: first what holds for everything, then each range that differs.
pub(super) fn device_rules(dir: BorrowedFd<'_>, fold: &Fold) -> Result<(), Errno> {
    let deny = io::open_to_write(dir, c"devices.deny")?;
    let allow = io::open_to_write(dir, c"devices.allow")?;
    let (rest, others) = if fold.allow {
        (allow.as_fd(), deny.as_fd())
    } else {
        (deny.as_fd(), allow.as_fd())
    };
    io::put(rest, b"a")?;
    for range in fold.ranges().iter().filter(|range| range.access != 0) {
        let mut line = Line::default();
        line.range(range);
        io::put(others, &line.0)?;
    }
    Ok(())
}

/// One line of devices.allow: `c 1:3 rwm`. The longest is "c 4294967295:4294967295 rwm".
#[derive(Default)]
struct Line(Vec<u8, 32>);

impl Line {
    fn range(&mut self, range: &Range) {
        self.put(if range.kind == BLOCK { b"b " } else { b"c " });
        self.number(range.major);
        self.put(b":");
        self.number(range.minor);
        self.put(b" ");
        for (bit, letter) in [(READ, b"r"), (WRITE, b"w"), (MKNOD, b"m")] {
            if range.access & bit != 0 {
                self.put(letter);
            }
        }
    }

    fn number(&mut self, number: Option<u32>) {
        match number {
            Some(number) => self.put(Digits::new(u64::from(number)).text()),
            None => self.put(b"*"),
        }
    }

    fn put(&mut self, bytes: &[u8]) {
        let _ = self.0.extend_from_slice(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::{Line, Range};
    use crate::cgroup::devices::{Fold, Rule};

    fn line(major: Option<u32>, minor: Option<u32>, access: u8) -> std::vec::Vec<u8> {
        let mut fold = Box::new(Fold::new());
        let rule = Rule {
            allow: true,
            kinds: 2,
            major,
            minor,
            access,
        };
        fold.make(&[rule]).unwrap();
        let range: &Range = fold.ranges().first().unwrap();
        let mut line = Line::default();
        line.range(range);
        line.0.to_vec()
    }

    #[test]
    fn lines() {
        assert_eq!(line(Some(1), Some(3), 7), b"c 1:3 rwm");
        assert_eq!(line(None, Some(0), 2), b"c *:0 r");
        assert_eq!(line(Some(10), Some(200), 5), b"c 10:200 wm");
        let longest = line(Some(u32::MAX), Some(u32::MAX), 7);
        assert_eq!(longest, b"c 4294967295:4294967295 rwm");
    }
}
