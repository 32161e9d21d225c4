//! Second pass: meaning. serde-json-core walks the document, which `scan` has proved to be JSON, and one visitor, told by
//! the schema what comes, puts each value in its place.
//!
//! serde-json-core delimits strings, converts integers with overflow checks and leads through objects and lists. It does
//! not say where it is, it calls every mismatch the same, it takes the integer part of `1.5`, and it does not decode
//! surrogate pairs; so this file keeps a cursor (from the addresses of keys and strings, which are borrowed from the
//! document), looks at the first byte of a value before it asks for one, and leaves strings escaped ([`Text`]).
//! An error of ours is kept in `wrong`, since serde's carries nothing.
#![forbid(unsafe_code)]

use super::Wrong;
use super::node::Node;
use super::pools::Pools;
use super::schema::Obj;
use super::seed::Draft;
use super::types::{List, Text};
use super::value::Value;
use super::walk::{skip, skip_space};
use crate::error::{Cause, Rule};
use core::fmt;
use serde::de::{self, DeserializeSeed, Deserializer, Visitor};

/// Reads `doc` as an object of this kind; its parts are in the draft that comes back.
pub(super) fn parse(
    doc: &[u8],
    pools: &mut Pools,
    obj: Obj,
    draft: &mut Draft,
) -> Result<(), Wrong> {
    pools.clear();
    let mut parser = Parser {
        doc,
        pools,
        draft,
        cursor: 0,
        bits: 0,
        key: Text::default(),
        wrong: None,
    };
    let mut tokens = serde_json_core::de::Deserializer::new(doc, None);
    let value = Value {
        parser: &mut parser,
        node: Node::Object(obj),
        owner: (obj, u8::MAX),
        optional: false,
    };
    let done = value.deserialize(&mut tokens);
    match parser.wrong {
        Some(wrong) => Err(wrong),
        None if done.is_err() => Err(Wrong::rule(Rule::Never, parser.cursor)),
        None => Ok(()),
    }
}

/// The state of the walk.
pub(super) struct Parser<'d, 'p> {
    pub(super) doc: &'d [u8],
    pub(super) pools: &'p mut Pools,
    pub(super) draft: &'p mut Draft,
    /// Between the last token and the next one.
    pub(super) cursor: usize,
    /// The names of the list that is being read, as bits.
    pub(super) bits: u64,
    /// The key of the map that is being read.
    pub(super) key: Text,
    pub(super) wrong: Option<Wrong>,
}

impl Parser<'_, '_> {
    pub(super) fn fail<E: de::Error>(&mut self, wrong: Wrong) -> E {
        self.wrong = Some(wrong);
        E::custom("")
    }

    /// The range of a string that was borrowed from the document; the cursor moves behind its closing quote.
    pub(super) fn text(&mut self, borrowed: &str) -> Text {
        let start = borrowed
            .as_ptr()
            .addr()
            .wrapping_sub(self.doc.as_ptr().addr());
        self.cursor = start + borrowed.len() + 1;
        Text::new(start, borrowed.len()).unwrap_or_default()
    }

    /// The entries that a list has got since its pool was filled up to `start`.
    pub(super) fn range(&mut self, node: Node, start: usize) -> List {
        let len = self.pools.filled(node) - start;
        List {
            start: u32::try_from(start).unwrap_or(0),
            len: u32::try_from(len).unwrap_or(0),
        }
    }

    /// A text that the kernel will see.
    pub(super) fn check_nul(&self, text: Text) -> Result<(), Wrong> {
        let raw = text.raw(self.doc);
        if raw.contains(&b'\\') && text.bytes(self.doc).any(|byte| byte == 0) {
            return Err(wrong_at(Rule::Nul, text.start() - 1));
        }
        Ok(())
    }

    /// Moves the cursor behind the bracket that closes an object or list.
    pub(super) fn close(&mut self) {
        self.cursor = skip_space(self.doc, self.cursor) + 1;
    }

    /// The kind of value that comes next and its offset.
    pub(super) fn next(&mut self) -> (u8, usize) {
        self.cursor = skip(self.doc, self.cursor, b" \t\n\r:,");
        let first = self.doc.get(self.cursor).copied().unwrap_or(0);
        (first, self.cursor)
    }

    /// The number of the key in the object, and what its value must be.
    pub(super) fn lookup(&self, obj: Obj, key: Text) -> (u8, Node) {
        let keys = obj.keys();
        let mut words = keys.words.as_bytes().split(|byte| *byte == b' ');
        let row = words.position(|word| key.is(self.doc, word) && !word.is_empty());
        let node = row.and_then(|row| keys.nodes.get(row).copied());
        let row = row.and_then(|row| u8::try_from(row).ok());
        (row.unwrap_or(u8::MAX), node.unwrap_or(Node::Unknown))
    }
}

pub(super) fn wrong_at(rule: Rule, at: u32) -> Wrong {
    Wrong {
        cause: Cause::Rule(rule),
        at,
    }
}

/// A key of an object.
pub(super) struct Key<'s, 'd, 'p>(pub(super) &'s mut Parser<'d, 'p>);

impl<'d> DeserializeSeed<'d> for Key<'_, 'd, '_> {
    type Value = Text;

    fn deserialize<D: Deserializer<'d>>(self, tokens: D) -> Result<Text, D::Error> {
        tokens.deserialize_str(self)
    }
}

impl<'d> Visitor<'d> for Key<'_, 'd, '_> {
    type Value = Text;

    fn expecting(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        Ok(())
    }

    fn visit_borrowed_str<E>(self, borrowed: &'d str) -> Result<Text, E> {
        Ok(self.0.text(borrowed))
    }
}
