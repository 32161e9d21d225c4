//! One field of the line of a user in /etc/passwd, man 5 passwd, whatever the rest of the file is.
#![forbid(unsafe_code)]

use crate::sys::OwnedFd;

/// The field with the name of the user.
pub const NAME: u8 = 0;
/// The field with the home directory.
pub const HOME: u8 = 5;
/// The field with the number.
const UID: u8 = 2;

/// A field of the first line that has this number, put into `room`; `None` where there is none or it does not fit. At
/// most `pieces` of 4 KiB are read.
#[inline(never)] // its buffer would lie in the frame of everything below
pub fn find<'r>(
    file: &OwnedFd,
    pieces: usize,
    uid: u32,
    wanted: u8,
    room: &'r mut [u8],
) -> Option<&'r [u8]> {
    let mut search = Search::new(uid, wanted, room);
    let mut buffer = [0; 4096];
    for _ in 0..pieces {
        let length = rustix::io::read(file, &mut buffer).ok()?;
        let bytes = buffer.get(..length).filter(|bytes| !bytes.is_empty())?;
        if bytes.iter().any(|byte| search.feed(*byte)) {
            return search.room.get(..search.length);
        }
    }
    None
}

/// Where in a line we are.
struct Search<'r> {
    uid: u32,
    wanted: u8,
    room: &'r mut [u8],
    /// The bytes of the wanted field so far.
    length: usize,
    field: u8,
    /// The number of the line so far; none before its first digit and after anything else.
    number: Option<u64>,
}

impl<'r> Search<'r> {
    fn new(uid: u32, wanted: u8, room: &'r mut [u8]) -> Self {
        Self {
            uid,
            wanted,
            room,
            length: 0,
            field: 0,
            number: None,
        }
    }

    /// One byte more: true when the field is complete.
    fn feed(&mut self, byte: u8) -> bool {
        let ends = byte == b':' || byte == b'\n';
        if !ends {
            self.inside(byte);
            return false;
        }
        // The number is complete when another field follows; the home directory can be the last one.
        let complete = self.field == self.wanted.max(UID) && (byte == b':' || self.wanted == HOME);
        if complete && self.number == Some(u64::from(self.uid)) {
            return true;
        }
        self.field = self.field.saturating_add(1);
        if byte == b'\n' {
            (self.field, self.length, self.number) = (0, 0, None);
        }
        false
    }

    fn inside(&mut self, byte: u8) {
        if self.field == self.wanted {
            if let Some(place) = self.room.get_mut(self.length) {
                *place = byte;
            }
            // Beyond the room it grows, too, and is not given then.
            self.length = self.length.saturating_add(1);
        }
        if self.field == UID {
            let digit = char::from(byte).to_digit(10);
            // A number that is none, or too large, is never one of a user again.
            let before = self.number.unwrap_or(0);
            self.number = digit.map_or(Some(u64::MAX), |digit| {
                Some(before.saturating_mul(10).saturating_add(u64::from(digit)))
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{HOME, NAME, Search};

    fn found(uid: u32, wanted: u8, text: &str) -> Option<String> {
        let mut room = [0; 16];
        let mut search = Search::new(uid, wanted, &mut room);
        text.bytes().any(|byte| search.feed(byte)).then_some(())?;
        let bytes = search.room.get(..search.length)?;
        Some(String::from_utf8(bytes.to_vec()).unwrap())
    }

    #[test]
    fn homes() {
        let text = "root:x:0:0:root:/root:/bin/sh\nx:x::0::/no:\na:x:7a:7:a:/bad:/\nb:x:7:7:,,:/home/b:/bin/sh\nc:x:8:8::\nd:x:9:9::/d\ne:x:11:9::/longer/than/the/room\n";
        let cases = [
            (0, Some("/root")),
            (7, Some("/home/b")),
            (8, Some("")),
            (9, Some("/d")),
            (10, None),
            (11, None),
        ];
        for (uid, dir) in cases {
            assert_eq!(found(uid, HOME, text).as_deref(), dir, "{uid}");
        }
    }

    #[test]
    fn names() {
        let lines = "root:x:0:0::/:/bin/sh\n:x:7:\nbroken\nann:x:1000:5::\nz:x:99999999999999999999999:1\nbob:x:100";
        for (uid, name) in [
            (0, Some("root")),
            (7, Some("")),
            (1000, Some("ann")),
            (100, None),
        ] {
            assert_eq!(found(uid, NAME, lines).as_deref(), name, "{uid}");
        }
    }
}
