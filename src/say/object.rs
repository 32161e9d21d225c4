//! The JSON object about a container: its shape, order and spelling are runc's.
#![forbid(unsafe_code)]

use super::{Line, date};

/// What is told of a container.
#[derive(Clone, Copy)]
pub struct Container<'a> {
    /// Its name.
    pub id: &'a [u8],
    /// Its init; 0 when that has ended.
    pub pid: u32,
    /// The word of the specification.
    pub status: &'static str,
    /// Absolute path of the bundle.
    pub bundle: &'a [u8],
    /// Absolute path of the root filesystem; where it is empty, it and `created` are left out.
    pub rootfs: &'a [u8],
    /// Nanoseconds since 1970.
    pub created: u64,
    /// The JSON object as it stands in the document.
    pub annotations: &'a [u8],
}

/// A JSON object of strings and numbers on its way out.
pub struct Object<'l, 'b> {
    line: &'l mut Line<'b>,
    indent: bool,
    first: bool,
}

impl<'l, 'b> Object<'l, 'b> {
    /// Opens it; with `indent` laid out for readers.
    pub fn new(line: &'l mut Line<'b>, indent: bool) -> Self {
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

    /// What `state`, `list` and hooks are told.
    pub fn container(&mut self, container: &Container<'_>) {
        self.text("ociVersion", b"1.3.0");
        self.text("id", container.id);
        self.key("pid");
        self.line.number(u64::from(container.pid));
        self.text("status", container.status.as_bytes());
        self.text("bundle", container.bundle);
        if !container.rootfs.is_empty() {
            self.text("rootfs", container.rootfs);
            self.key("created");
            self.line.text("\"");
            date::nanoseconds(self.line, container.created);
            self.line.text("\"");
        }
        self.annotations(container.annotations);
    }

    /// A string from outside.
    pub fn text(&mut self, key: &str, value: &[u8]) {
        self.key(key);
        self.line.text("\"");
        self.line.escaped(value);
        self.line.text("\"");
    }

    /// Closes it.
    pub fn end(mut self) {
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
pub fn strings(json: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = json;
    core::iter::from_fn(move || string(&mut rest))
}

/// Takes the next one off.
#[inline(never)] // many callers
fn string<'j>(rest: &mut &'j [u8]) -> Option<&'j [u8]> {
    let open = rest.iter().position(|byte| *byte == b'"')?;
    let inside = rest.get(open.checked_add(1)?..)?;
    let mut escaped = false;
    let close = inside.iter().position(|byte| {
        let ends = *byte == b'"' && !escaped;
        escaped = *byte == b'\\' && !escaped;
        ends
    })?;
    *rest = inside.get(close.checked_add(1)?..)?;
    inside.get(..close)
}

#[cfg(test)]
mod tests {
    use super::{Container, Line, Object, strings};

    fn json(annotations: &[u8], stopped: bool, indent: bool) -> String {
        let container = Container {
            id: b"c1",
            pid: if stopped { 0 } else { 42 },
            status: if stopped { "stopped" } else { "running" },
            bundle: b"/b\"",
            rootfs: b"/b/rootfs",
            created: 1_700_000_000_123_000_000,
            annotations,
        };
        let mut buffer = [0; 1024];
        let mut line = Line::new(&mut buffer);
        let mut object = Object::new(&mut line, indent);
        object.container(&container);
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
            json(b"", true, true),
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
            json(br#"{"a":"\u00e4", "b": ""}"#, false, true),
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
            json(br#"{"a":"b"}"#, false, false),
            concat!(
                r#"{"ociVersion":"1.3.0","id":"c1","pid":42,"status":"running","bundle":"/b\"","rootfs":"/b/rootfs","#,
                r#""created":"2023-11-14T22:13:20.123Z","annotations":{"a":"b"},"owner":""}"#
            )
        );
    }
}
