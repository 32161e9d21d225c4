//! `state`: what the specification says a runtime tells about a container; the shape, order and spelling are runc's.
#![forbid(unsafe_code)]

use super::Call;
use crate::cgroup;
use crate::error::At;
use crate::error::{Context, Errno, Fault, Rule, Step};
use crate::say::{Line, date};
use crate::state::{Root, Status, Stored, boot, buffer};
use crate::sys::memory::TakeOnce;

/// `state ID`.
pub(super) fn state(call: &Call) -> Result<i32, Fault> {
    let root = open_root(call, Step::FindContainer)?;
    let dir = root.find(call.id)?;
    let record = dir.load(buffer().unwrap_or_default())?;
    let status = status(&dir, record, boot(&mut [0; 36])?)?;
    let mut bytes = [0; 1024];
    let mut line = Line::stdout(&mut bytes);
    let mut object = Object::new(&mut line, true);
    object.container(call.id.to_bytes(), record, status);
    object.text("owner", b"");
    object.end();
    line.text("\n");
    line.finish().step(Step::Print)?;
    Ok(0)
}

/// The cgroups of the container that is being looked at.
pub(super) static CGROUPS: TakeOnce<cgroup::Record> = TakeOnce::new(cgroup::Record::new());

/// The state directory of a verb that names a container: without a directory there are none.
pub(super) fn open_root(call: &Call, step: Step) -> Result<Root, Fault> {
    Root::open(call.root, call.args, false).map_err(|fault| match fault.errno() {
        Some(Errno::NOENT) => Fault::rule(step, Rule::NoContainer, At::Nothing),
        _ => fault,
    })
}

/// What a container is doing, frozen cgroups included.
pub(super) fn status(
    dir: &crate::state::Dir<'_>,
    record: Stored<'_>,
    boot: &[u8],
) -> Result<Status, Fault> {
    let status = dir.status(record, boot)?;
    if status == Status::Stopped {
        return Ok(status);
    }
    let Some(cgroups) = CGROUPS.take() else {
        return Ok(status);
    };
    let frozen = cgroups.decode(record.cgroup()).is_some() && cgroup::frozen(cgroups);
    CGROUPS.put_back(cgroups);
    Ok(if frozen { Status::Paused } else { status })
}

/// A JSON object of strings and numbers on its way out.
pub(super) struct Object<'l, 'b> {
    line: &'l mut Line<'b>,
    indent: bool,
    first: bool,
}

impl<'l, 'b> Object<'l, 'b> {
    pub(super) fn new(line: &'l mut Line<'b>, indent: bool) -> Self {
        line.text("{");
        Self {
            line,
            indent,
            first: true,
        }
    }

    /// Text of our own; white space only where it is to be laid out for readers.
    fn put(&mut self, text: &str) {
        for character in text.chars() {
            if self.indent || !character.is_ascii_whitespace() {
                self.line.character(character);
            }
        }
    }

    /// What `state` and `list` have in common.
    pub(super) fn container(&mut self, id: &[u8], record: Stored<'_>, status: Status) {
        let pid = if status == Status::Stopped {
            0
        } else {
            record.pid()
        };
        self.text("ociVersion", b"1.3.0");
        self.text("id", id);
        self.key("pid");
        self.line.number(u64::from(pid));
        self.text("status", status.text().as_bytes());
        self.text("bundle", record.bundle());
        self.text("rootfs", record.rootfs());
        self.key("created");
        self.line.text("\"");
        date::nanoseconds(self.line, record.created());
        self.line.text("\"");
        self.annotations(record.annotations());
    }

    pub(super) fn text(&mut self, key: &str, value: &[u8]) {
        self.key(key);
        self.line.text("\"");
        self.line.escaped(value);
        self.line.text("\"");
    }

    pub(super) fn end(mut self) {
        self.put("\n}");
    }

    fn key(&mut self, key: &str) {
        self.put(if self.first { "\n  \"" } else { ",\n  \"" });
        self.first = false;
        self.put(key);
        self.put("\": ");
    }

    /// Strings of a checked document, with the escapes that they have there.
    fn annotations(&mut self, json: &[u8]) {
        let mut any = false;
        for (n, string) in strings(json).enumerate() {
            any = true;
            match n {
                0 => {
                    self.key("annotations");
                    self.put("{\n    \"");
                }
                n if n % 2 == 0 => self.put(",\n    \""),
                _ => self.put(": \""),
            }
            self.line.raw(string);
            self.put("\"");
        }
        if any {
            self.put("\n  }");
        }
    }
}

/// The insides of all strings in a JSON text, still escaped.
fn strings(json: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = json;
    core::iter::from_fn(move || {
        let open = rest.iter().position(|byte| *byte == b'"')?;
        let inside = rest.get(open.checked_add(1)?..)?;
        let mut escaped = false;
        let close = inside.iter().position(|byte| {
            let ends = *byte == b'"' && !escaped;
            escaped = *byte == b'\\' && !escaped;
            ends
        })?;
        rest = inside.get(close.checked_add(1)?..)?;
        inside.get(..close)
    })
}

#[cfg(test)]
mod tests {
    use super::{Object, strings};
    use crate::say::Line;
    use crate::state::{Identity, Record, Status, stored};

    fn record(annotations: &'static [u8]) -> Record<'static> {
        Record {
            init: Identity {
                boot: b"0",
                pid: 42,
                start: 0,
                inode: 0,
            },
            created: 1_700_000_000_123_000_000,
            own_pid_namespace: true,
            bundle: b"/b\"",
            rootfs: b"/b/rootfs",
            program: b"sh",
            annotations,
            listener: b"",
            cgroup: b"",
        }
    }

    fn json(annotations: &'static [u8], status: Status, indent: bool) -> String {
        let mut buffer = [0; 1024];
        let mut line = Line::new(&mut buffer);
        let mut object = Object::new(&mut line, indent);
        object.container(b"c1", stored(&record(annotations)), status);
        object.text("owner", b"");
        object.end();
        String::from_utf8(line.into_bytes().to_vec()).unwrap()
    }

    #[test]
    fn strings_of_an_object() {
        let all: Vec<&[u8]> = strings(br#"{ "a" : "b\"c\\" , "":"\\\\" }"#).collect();
        assert_eq!(all, [&b"a"[..], br#"b\"c\\"#, b"", br"\\\\"]);
        assert_eq!(strings(b"").count() + strings(b"{ }").count(), 0);
    }

    #[test]
    fn shapes() {
        assert_eq!(
            json(b"", Status::Stopped, true),
            r#"{
  "ociVersion": "1.3.0",
  "id": "c1",
  "pid": 0,
  "status": "stopped",
  "bundle": "/b\"",
  "rootfs": "/b/rootfs",
  "created": "2023-11-14T22:13:20.123Z",
  "owner": ""
}"#
        );
        assert_eq!(
            json(br#"{"a":"\u00e4", "b": ""}"#, Status::Running, true),
            r#"{
  "ociVersion": "1.3.0",
  "id": "c1",
  "pid": 42,
  "status": "running",
  "bundle": "/b\"",
  "rootfs": "/b/rootfs",
  "created": "2023-11-14T22:13:20.123Z",
  "annotations": {
    "a": "\u00e4",
    "b": ""
  },
  "owner": ""
}"#
        );
        assert_eq!(
            json(br#"{"a":"b"}"#, Status::Created, false),
            concat!(
                r#"{"ociVersion":"1.3.0","id":"c1","pid":42,"status":"created","bundle":"/b\"","rootfs":"/b/rootfs","#,
                r#""created":"2023-11-14T22:13:20.123Z","annotations":{"a":"b"},"owner":""}"#
            )
        );
    }
}
