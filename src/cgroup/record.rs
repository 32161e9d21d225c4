//! The record of a container's cgroups as text, for the state directory.
//!
//! A line for the mode, then one per hierarchy: controllers, mount point, path, number of made components, inode,
//! separated by spaces. Bytes that would break this are written as `%XX`. What does not match to the byte is refused:
//! the numbers decide what is killed and removed.
#![forbid(unsafe_code)]

use super::{Hierarchies, Mode, Record, Unit};
use crate::limits::CGROUP_BYTES;
use crate::sys::memory::TakeOnce;
use crate::text::{Digits, cut, number, pieces};

/// Decoded fields of one line, on their way into the list.
static FIELDS: TakeOnce<[u8; CGROUP_BYTES]> = TakeOnce::new([0; CGROUP_BYTES]);

/// The free end of a buffer.
struct Sink<'b> {
    buffer: &'b mut [u8],
    used: usize,
}

impl Sink<'_> {
    fn put(&mut self, bytes: &[u8]) -> Option<()> {
        let end = self.used.checked_add(bytes.len())?;
        self.buffer.get_mut(self.used..end)?.copy_from_slice(bytes);
        self.used = end;
        Some(())
    }

    fn escaped(&mut self, bytes: &[u8]) -> Option<()> {
        for &byte in bytes {
            if matches!(byte, b'!'..=b'~') && byte != b'%' {
                self.put(&[byte])?;
            } else {
                self.put(&[b'%', hex(byte >> 4), hex(byte & 15)])?;
            }
        }
        Some(())
    }
}

fn hex(nibble: u8) -> u8 {
    char::from_digit(u32::from(nibble), 16).map_or(b'0', |digit| digit as u8)
}

impl Record {
    /// Writes the record as text to the start of `buffer`; `None` when it does not fit.
    pub fn encode<'b>(&self, buffer: &'b mut [u8]) -> Option<&'b [u8]> {
        let mut sink = Sink { buffer, used: 0 };
        sink.put(name(self.mode))?;
        sink.put(match self.unit {
            Unit::None => b"",
            Unit::Scope => b" scope",
            Unit::Slice => b" slice",
        })?;
        sink.put(b"\n")?;
        for row in self.hierarchies.iter() {
            for field in [row.controllers, row.mount, row.path] {
                sink.escaped(field)?;
                sink.put(b" ")?;
            }
            sink.put(Digits::new(u64::from(row.made)).text())?;
            sink.put(b" ")?;
            sink.put(Digits::new(row.inode).text())?;
            sink.put(b"\n")?;
        }
        let Sink { buffer, used } = sink;
        buffer.get(..used)
    }

    /// Reads what [`Record::encode`] wrote; `None` for anything else.
    pub fn decode(&mut self, text: &[u8]) -> Option<()> {
        let fields = FIELDS.take()?;
        let decoded = self.decode_with(text, fields);
        FIELDS.put_back(fields);
        decoded
    }

    fn decode_with(&mut self, text: &[u8], fields: &mut [u8]) -> Option<()> {
        let lines = text.strip_suffix(b"\n")?;
        let mut lines = pieces(lines, b'\n');
        let (mode, unit) = cut(lines.next()?, b' ');
        self.unit = match unit {
            b"scope" => Unit::Scope,
            b"slice" => Unit::Slice,
            b"" => Unit::None,
            _ => return None,
        };
        let modes = [Mode::None, Mode::V1, Mode::V2];
        self.mode = modes.into_iter().find(|it| name(*it) == mode)?;
        self.hierarchies.clear();
        self.fresh = false;
        for line in lines {
            line_into(&mut self.hierarchies, line, fields)?;
        }
        Some(())
    }
}

fn name(mode: Mode) -> &'static [u8] {
    match mode {
        Mode::None => b"none",
        Mode::V1 => b"v1",
        Mode::V2 => b"v2",
    }
}

fn line_into(list: &mut Hierarchies, line: &[u8], fields: &mut [u8]) -> Option<()> {
    let mut words = pieces(line, b' ');
    let (controllers, rest) = unescape(words.next()?, fields)?;
    let (mount, rest) = unescape(words.next()?, rest)?;
    let (path, _) = unescape(words.next()?, rest)?;
    let made = u8::try_from(number(words.next()?, 10)?).ok()?;
    let inode = number(words.next()?, 10)?;
    let sound = |text: &[u8]| {
        text.is_empty() || text.starts_with(b"/") && !text.ends_with(b"/") && !text.contains(&0)
    };
    let up = pieces(path, b'/').any(|part| part == b"..");
    if words.next().is_some() || !sound(mount) || !sound(path) || path.is_empty() || up {
        return None;
    }
    list.push(controllers, mount, &[path]).ok()?;
    list.mark(list.len().checked_sub(1)?, made, inode);
    Some(())
}

/// Decodes a field into the start of `room`; gives it and the room behind it.
fn unescape<'r>(word: &[u8], room: &'r mut [u8]) -> Option<(&'r [u8], &'r mut [u8])> {
    let mut used = 0_usize;
    let mut bytes = word.iter();
    while let Some(&byte) = bytes.next() {
        let byte = if byte == b'%' {
            let mut nibble = || char::from(*bytes.next()?).to_digit(16);
            u8::try_from(nibble()? << 4 | nibble()?).ok()?
        } else {
            byte
        };
        *room.get_mut(used)? = byte;
        used += 1;
    }
    let (field, rest) = room.split_at_mut_checked(used)?;
    Some((field, rest))
}

#[cfg(test)]
mod tests {
    use super::{Mode, Record};

    #[test]
    fn text_round_trip() {
        let mut record = Box::new(Record::new());
        record.mode = Mode::V1;
        let list = &mut record.hierarchies;
        list.push(b"cpu,cpuacct", b"/m/cpu", &[b"/a b%\n", b"/\xff"])
            .unwrap();
        list.push(b"", b"/m/u", &[b"/x"]).unwrap();
        list.mark(0, 1, u64::MAX);
        let mut buffer = [0; 256];
        let text = record.encode(&mut buffer).unwrap();
        assert_eq!(
            text,
            b"v1\ncpu,cpuacct /m/cpu /a%20b%25%0a/%ff 1 18446744073709551615\n /m/u /x 0 0\n"
        );
        let mut again = Box::new(Record::new());
        let mut fields = [0; 64];
        again.decode_with(text, &mut fields).unwrap();
        assert_eq!(again.mode, Mode::V1);
        assert!(again.hierarchies.iter().eq(record.hierarchies.iter()));
        for end in 0..text.len() {
            let cut = again.decode_with(&text[..end], &mut fields);
            assert!(cut.is_none() || text[..end].ends_with(b"\n"), "{end}");
        }
        let mut small = [0; 20];
        assert_eq!(record.encode(&mut small), None);
    }

    #[test]
    fn nonsense_is_refused() {
        let mut record = Box::new(Record::new());
        let mut fields = [0; 64];
        for text in [
            &b""[..],
            b"v3\n",
            b"v2",
            b"v2\n /m /x 0\n",
            b"v2\n /m /x 0 0 0\n",
            b"v2\n /m /x 256 0\n",
            b"v2\n /m /x 0 -1\n",
            b"v2\n /m /x/.. 0 0\n",
            b"v2\n /m x 0 0\n",
            b"v2\n /m/ /x 0 0\n",
            b"v2\n /m  0 0\n",
            b"v2\n /m /%0 0 0\n",
            b"v2\n /m /%00 0 0\n",
            b"v2\n\n",
        ] {
            assert_eq!(record.decode_with(text, &mut fields), None, "{text:?}");
        }
        assert_eq!(record.decode_with(b"none\n", &mut fields), Some(()));
    }
}
