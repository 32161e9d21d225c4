//! Second pass: meaning. The document, which `scan` has proved to be JSON, is walked along the schema, which says what
//! comes and where it goes; `value` reads one value of it.
//!
//! Objects and lists are walked here and strings are left as they stand ([`Text`]): what can be wrong with them `scan`
//! has refused, and a fault wants the byte. serde-json-core reads the numbers, of which `scan` only knows the letters.
#![forbid(unsafe_code)]

use super::node::Node;
use super::pools::Pools;
use super::schema::Obj;
use super::seed::{Draft, Slot};
use super::types::{List, Text};
use super::walk::{key_at, skip};
use super::{Wrong, broken};
use crate::error::Rule;

/// Reads `doc` as an object of this kind; its parts are in the draft that comes back.
pub(super) fn parse(
    doc: &[u8],
    pools: &mut Pools,
    obj: Obj,
    draft: &mut Draft,
) -> Result<(), Wrong> {
    let mut parser = Parser {
        doc,
        pools,
        draft,
        at: 0,
        bits: 0,
        key: Text::default(),
    };
    parser.value(Node::Object(obj), Slot::Nothing, false)?;
    Ok(())
}

/// The state of the walk.
pub(super) struct Parser<'a> {
    pub(super) doc: &'a [u8],
    pub(super) pools: &'a mut Pools,
    pub(super) draft: &'a mut Draft,
    /// Between the last token and the next one.
    pub(super) at: usize,
    /// The names of the list that is being read, as bits.
    pub(super) bits: u64,
    /// The key of the map that is being read.
    pub(super) key: Text,
}

impl Parser<'_> {
    /// The first byte of what comes next, after any comma; 0 at the end.
    pub(super) fn next(&mut self) -> u8 {
        self.at = skip(self.doc, self.at, b" \t\n\r,");
        self.doc.get(self.at).copied().unwrap_or(0)
    }

    /// The next key of an object, from where the cursor goes to its value; behind the object when there is none.
    pub(super) fn next_key(&mut self) -> Option<Text> {
        self.next();
        let Some((key, value)) = key_at(self.doc, self.at) else {
            self.at += 1;
            return None;
        };
        self.at = value;
        Some(key)
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
            return Err(broken(Rule::Nul, text.quote()));
        }
        Ok(())
    }
}
