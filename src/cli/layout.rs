//! JSON as indented text: the templates of `spec` and `features` are kept without white space.
#![forbid(unsafe_code)]

use crate::say::Line;

/// Lays out what comes character by character. Strings in it have no escaped quotes.
pub(super) struct Layout<'l, 'b> {
    pub(super) line: &'l mut Line<'b>,
    /// One level.
    indent: &'static str,
    depth: usize,
    quoted: bool,
    /// The last character asked for a new line behind it.
    ended: bool,
}

impl<'l, 'b> Layout<'l, 'b> {
    pub(super) fn new(line: &'l mut Line<'b>, indent: &'static str) -> Self {
        Self {
            line,
            indent,
            depth: 0,
            quoted: false,
            ended: false,
        }
    }

    /// The next character.
    pub(super) fn put(&mut self, character: char) {
        self.quoted ^= character == '"';
        let inside = self.quoted;
        let closes = !inside && matches!(character, '}' | ']');
        if closes {
            self.depth = self.depth.saturating_sub(1);
        }
        // Nothing between brackets: they stay together.
        if self.ended != closes {
            self.line.text("\n");
            for _ in 0..self.depth {
                self.line.text(self.indent);
            }
        }
        self.line.character(character);
        let opens = !inside && matches!(character, '{' | '[');
        if opens {
            self.depth = self.depth.saturating_add(1);
        }
        self.ended = opens || (!inside && character == ',');
        if !inside && character == ':' {
            self.line.text(" ");
        }
    }
}
