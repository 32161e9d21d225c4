//! Names of users, for `list`.
#![forbid(unsafe_code)]

use crate::fs::passwd;
use crate::sys::path;
use rustix::fs::{CWD, OFlags};

/// The name of a user in /etc/passwd, put into `room`.
#[must_use]
pub fn user_name(uid: u32, room: &mut [u8]) -> Option<&[u8]> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOCTTY;
    let file = path::open(CWD, c"/etc/passwd", flags, 0).ok()?;
    passwd::find(&file, usize::MAX, uid, passwd::NAME, room)
}

#[cfg(test)]
mod tests {
    use super::user_name;

    #[test]
    fn names() {
        let mut room = [0; 64];
        assert_eq!(user_name(0, &mut room), Some(&b"root"[..]));
        assert_eq!(user_name(65_534, &mut room), Some(&b"nobody"[..]));
        assert_eq!(user_name(4_000_000_000, &mut room), None);
    }
}
