//! Names of users, for `list`.
#![forbid(unsafe_code)]

use super::record::decimal;
use crate::sys::path;
use core::ffi::CStr;
use rustix::fs::{CWD, OFlags};

const PASSWD: &CStr = c"/etc/passwd";

/// The name of a user in /etc/passwd, read into `buffer` piece by piece; a line longer than that is not understood.
#[must_use]
pub fn user_name(uid: u32, buffer: &mut [u8]) -> Option<&[u8]> {
    let file = path::openat(CWD, PASSWD, OFlags::RDONLY).ok()?;
    let mut kept = 0_usize;
    let (start, end) = loop {
        let read = rustix::io::read(&file, buffer.get_mut(kept..)?).ok()?;
        let filled = kept.saturating_add(read);
        let bytes = buffer.get(..filled)?;
        if let Some(found) = find(bytes, uid) {
            break found;
        }
        if read == 0 {
            return None;
        }
        // The unfinished line at the end is looked at again when its rest is there.
        let next = bytes
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(filled, |at| at.saturating_add(1));
        let next = if next == filled && !bytes.ends_with(b"\n") {
            0
        } else {
            next
        };
        kept = filled.saturating_sub(next);
        for to in 0..kept {
            let byte = buffer.get(next.saturating_add(to)).copied().unwrap_or(0);
            if let Some(place) = buffer.get_mut(to) {
                *place = byte;
            }
        }
        if kept == buffer.len() {
            kept = 0;
        }
    };
    buffer.get(start..end)
}

/// Where the name is in lines `name:password:uid:…`.
fn find(lines: &[u8], uid: u32) -> Option<(usize, usize)> {
    let mut at = 0_usize;
    for line in lines.split(|byte| *byte == b'\n') {
        let mut fields = line.split(|byte| *byte == b':');
        let name = fields.next()?;
        // A field after it shows that the number is complete.
        if let (Some(number), Some(_)) = (fields.nth(1), fields.next())
            && decimal(number) == Some(u64::from(uid))
        {
            return Some((at, at.saturating_add(name.len())));
        }
        at = at.saturating_add(line.len()).saturating_add(1);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::{find, user_name};

    #[test]
    fn names() {
        let lines = b"root:x:0:0::/:/bin/sh\n:x:7:\nbroken\nann:x:1000:5::\nbob:x:100";
        assert_eq!(find(lines, 0), Some((0, 4)));
        assert_eq!(
            find(lines, 1000).map(|(start, end)| &lines[start..end]),
            Some(&b"ann"[..])
        );
        assert_eq!(find(lines, 100), None);
        for size in [64, 100, 4096] {
            let mut buffer = vec![0; size];
            assert_eq!(user_name(0, &mut buffer), Some(&b"root"[..]));
            assert_eq!(user_name(65_534, &mut buffer), Some(&b"nobody"[..]));
            assert_eq!(user_name(4_000_000_000, &mut buffer), None);
        }
    }
}
