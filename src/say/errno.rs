//! Names and texts of errors. Programs above match on the texts, in the lower-case spelling that Go gives them.
//!
//! `errno.txt` has a line per number from 1, `-` for one that Linux does not use.
#![forbid(unsafe_code)]

use crate::error::{Errno, packed};

/// Name and text: `ENOENT no such file or directory`; `None` for a number that Linux does not use.
pub(super) fn describe(errno: Errno) -> Option<&'static str> {
    let number = usize::try_from(errno.raw_os_error()).ok()?;
    let text = packed::line(packed::Errno, number.checked_sub(1)?);
    (text.len() > 1).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::describe;
    use crate::error::Errno;

    #[test]
    fn texts_that_clients_match() {
        for (errno, name, text) in [
            (Errno::PERM, "EPERM", "operation not permitted"),
            (Errno::NOENT, "ENOENT", "no such file or directory"),
            (Errno::SRCH, "ESRCH", "no such process"),
            (Errno::ACCESS, "EACCES", "permission denied"),
            (Errno::NOTDIR, "ENOTDIR", "not a directory"),
            (Errno::ISDIR, "EISDIR", "is a directory"),
            (Errno::NOEXEC, "ENOEXEC", "exec format error"),
            (Errno::INVAL, "EINVAL", "invalid argument"),
            (Errno::AGAIN, "EAGAIN", "resource temporarily unavailable"),
            (
                Errno::HWPOISON,
                "EHWPOISON",
                "memory page has hardware error",
            ),
        ] {
            assert_eq!(describe(errno).unwrap(), format!("{name} {text}"));
        }
        for number in [41, 58, 134, 4095] {
            assert!(describe(Errno::from_raw_os_error(number)).is_none());
        }
    }
}
