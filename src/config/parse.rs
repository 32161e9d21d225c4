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
use super::names::Names;
use super::pools::Pools;
use super::schema::{Int, Node, Obj, Pool};
use super::seed::Draft;
use super::types::{List, Pair, Text};
use super::walk::{skip, skip_space, value_end, word_end};
use crate::error::{Cause, Rule};
use crate::limits::{self, Limit};
use core::fmt;
use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

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

struct Parser<'d, 'p> {
    doc: &'d [u8],
    pools: &'p mut Pools,
    draft: &'p mut Draft,
    /// Between the last token and the next one.
    cursor: usize,
    /// The names of the list that is being read, as bits.
    bits: u64,
    /// The key of the map that is being read.
    key: Text,
    wrong: Option<Wrong>,
}

impl Parser<'_, '_> {
    fn fail<E: de::Error>(&mut self, wrong: Wrong) -> E {
        self.wrong = Some(wrong);
        E::custom("")
    }

    /// The range of a string that was borrowed from the document; the cursor moves behind its closing quote.
    fn text(&mut self, borrowed: &str) -> Text {
        let start = borrowed
            .as_ptr()
            .addr()
            .wrapping_sub(self.doc.as_ptr().addr());
        self.cursor = start + borrowed.len() + 1;
        Text::new(start, borrowed.len()).unwrap_or_default()
    }

    /// The entries that a list has got since its pool was filled up to `start`.
    fn range(&mut self, node: Node, start: usize) -> List {
        let len = self.pools.filled(node) - start;
        List {
            start: u32::try_from(start).unwrap_or(0),
            len: u32::try_from(len).unwrap_or(0),
        }
    }

    /// A text that the kernel will see.
    fn check_nul(&self, text: Text) -> Result<(), Wrong> {
        let raw = text.raw(self.doc);
        if raw.contains(&b'\\') && text.bytes(self.doc).any(|byte| byte == 0) {
            return Err(wrong_at(Rule::Nul, text.start() - 1));
        }
        Ok(())
    }

    /// Moves the cursor behind the bracket that closes an object or list.
    fn close(&mut self) {
        self.cursor = skip_space(self.doc, self.cursor) + 1;
    }

    /// The kind of value that comes next and its offset.
    fn next(&mut self) -> (u8, usize) {
        self.cursor = skip(self.doc, self.cursor, b" \t\n\r:,");
        let first = self.doc.get(self.cursor).copied().unwrap_or(0);
        (first, self.cursor)
    }

    /// The number of the key in the object, and what its value must be.
    fn lookup(&self, obj: Obj, key: Text) -> (u8, Node) {
        let keys = obj.keys();
        let mut words = keys.words.as_bytes().split(|byte| *byte == b' ');
        let row = words.position(|word| key.is(self.doc, word) && !word.is_empty());
        let node = row.and_then(|row| keys.nodes.get(row).copied());
        let row = row.and_then(|row| u8::try_from(row).ok());
        (row.unwrap_or(u8::MAX), node.unwrap_or(Node::Unknown))
    }
}

fn wrong_at(rule: Rule, at: u32) -> Wrong {
    Wrong {
        cause: Cause::Rule(rule),
        at,
    }
}

/// A key of an object.
struct Key<'s, 'd, 'p>(&'s mut Parser<'d, 'p>);

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

/// A value of the kind `node`, for key number `owner.1` of an object of the kind `owner.0`.
///
/// Yields whether there was one: null and empty strings and lists are as good as absent where something must be there.
struct Value<'s, 'd, 'p> {
    parser: &'s mut Parser<'d, 'p>,
    node: Node,
    owner: (Obj, u8),
    /// null may stand for it.
    optional: bool,
}

impl<'d> DeserializeSeed<'d> for Value<'_, 'd, '_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'d>>(self, tokens: D) -> Result<bool, D::Error> {
        let (first, at) = self.parser.next();
        let doc = self.parser.doc;
        let rule = match (self.node, first) {
            (Node::Unknown, _) => {
                self.parser.cursor = value_end(doc, at);
                return tokens.deserialize_ignored_any(IgnoredAny).map(|_| false);
            }
            (_, b'n') if self.optional => {
                self.parser.cursor = word_end(doc, at);
                return tokens.deserialize_unit(IgnoredAny).map(|_| false);
            }
            (
                Node::Text
                | Node::Free
                | Node::Name(_)
                | Node::Access
                | Node::Bit(_)
                | Node::Word(_)
                | Node::Pair(_),
                byte,
            ) => {
                if byte == b'"' {
                    return tokens.deserialize_str(self);
                }
                Rule::MustBeString
            }
            (Node::Object(_) | Node::Map(_) | Node::Pairs(_), byte) => {
                if byte == b'{' {
                    self.parser.cursor = at + 1;
                    return tokens.deserialize_map(self);
                }
                Rule::MustBeObject
            }
            (Node::Texts(_) | Node::Objects(_) | Node::Ids | Node::Bits(_), byte) => {
                if byte == b'[' {
                    self.parser.cursor = at + 1;
                    return tokens.deserialize_seq(self);
                }
                Rule::MustBeArray
            }
            (Node::Bool, byte) => {
                if byte == b't' || byte == b'f' {
                    self.parser.cursor = word_end(doc, at);
                    return tokens.deserialize_bool(self);
                }
                Rule::MustBeBoolean
            }
            (Node::Int(_) | Node::Id, _) => {
                return self.integer(tokens, at);
            }
        };
        Err(self.parser.fail(Wrong::rule(rule, at)))
    }
}

impl<'d> Value<'_, 'd, '_> {
    fn range(&self) -> (i64, u64, Rule) {
        match self.node {
            Node::Int(int) => int.range(),
            _ => Int::Id.range(),
        }
    }

    /// A number without fraction or exponent, in its range.
    fn integer<D: Deserializer<'d>>(self, tokens: D, at: usize) -> Result<bool, D::Error> {
        let end = word_end(self.parser.doc, at);
        let digits = self.parser.doc.get(at..end).unwrap_or(&[]);
        let negative = digits.first() == Some(&b'-');
        if !digits
            .iter()
            .skip(usize::from(negative))
            .all(u8::is_ascii_digit)
        {
            return Err(self.parser.fail(Wrong::rule(Rule::MustBeInteger, at)));
        }
        let (lowest, _, rule) = self.range();
        self.parser.cursor = end;
        // Should the conversion overflow, this is why; `number` takes it back.
        self.parser.wrong = Some(Wrong::rule(rule, at));
        if lowest < 0 {
            tokens.deserialize_i64(self)
        } else {
            tokens.deserialize_u64(self)
        }
    }

    /// Stores an integer, a negative one as its two's complement.
    fn number<E: de::Error>(self, number: u64) -> Result<bool, E> {
        let (lowest, highest, _) = self.range();
        let fits = if lowest < 0 {
            let number = number.cast_signed();
            lowest <= number && number <= highest.cast_signed()
        } else {
            lowest.cast_unsigned() <= number && number <= highest
        };
        if !fits {
            return Err(E::custom(""));
        }
        let Some(Wrong { at, .. }) = self.parser.wrong.take() else {
            return Err(E::custom(""));
        };
        if self.node == Node::Id {
            let id = u32::try_from(number).unwrap_or(0);
            if let Err(wrong) = self.parser.pools.push_group(id, at) {
                return Err(self.parser.fail(wrong));
            }
        } else {
            let (obj, row) = self.owner;
            self.parser.draft.slot(obj, row).put_number(number);
        }
        Ok(true)
    }

    /// Stores a string.
    fn string(&mut self, text: Text) -> Result<(), Wrong> {
        let (obj, row) = self.owner;
        let at = text.start() - 1;
        let parser = &mut *self.parser;
        let spelled = text.bytes(parser.doc);
        match self.node {
            Node::Free => parser.draft.slot(obj, row).put_text(text),
            Node::Text => {
                parser.check_nul(text)?;
                parser.draft.slot(obj, row).put_text(text);
            }
            Node::Word(pool) => {
                parser.check_nul(text)?;
                parser.pools.push_text(pool, text, at)?;
            }
            Node::Pair(pool) => {
                let key = parser.key;
                if pool != Pool::Annotations {
                    parser.check_nul(key)?;
                    parser.check_nul(text)?;
                }
                let pair = Pair { key, value: text };
                parser.pools.push_pair(pool, pair, at)?;
            }
            Node::Name(names) => {
                let number = names.number(spelled);
                let number = number.ok_or(wrong_at(names.rule(), at))?;
                parser.draft.slot(obj, row).put_number(u64::from(number));
            }
            Node::Bit(Names::Capability) => match Names::Capability.number(spelled) {
                Some(number) => parser.bits |= 1 << number,
                None => {
                    parser.draft.capabilities.unknown += 1;
                    // Beyond its capacity the count alone has to do.
                    let _ = parser.pools.unknown_capabilities.push(text);
                }
            },
            Node::Bit(names) => {
                let number = names.number(spelled);
                parser.bits |= 1 << number.ok_or(wrong_at(names.rule(), at))?;
            }
            Node::Access => {
                let mut access = 0;
                for letter in spelled {
                    access |= match letter {
                        b'r' => 1,
                        b'w' => 2,
                        b'm' => 4,
                        _ => return Err(wrong_at(Rule::NameAccess, at)),
                    };
                }
                parser.draft.slot(obj, row).put_number(access);
            }
            _ => {}
        }
        Ok(())
    }

    /// An object with known keys.
    fn object<A: MapAccess<'d>>(self, obj: Obj, mut map: A) -> Result<bool, A::Error> {
        let parser = self.parser;
        let at = u32::try_from(parser.cursor - 1).unwrap_or(0);
        let map_key = parser.key;
        parser.draft.begin(obj, at);
        let mut seen = 0_u32;
        while let Some(key) = map.next_key_seed(Key(parser))? {
            let (row, node) = parser.lookup(obj, key);
            let value = Value {
                parser,
                node,
                owner: (obj, row),
                optional: true,
            };
            if map.next_value_seed(value)? {
                seen |= 1 << row;
            }
        }
        parser.close();
        let keys = obj.keys();
        let done = if keys.must & !seen == 0 {
            let (draft, pools) = (&mut *parser.draft, &mut *parser.pools);
            draft.commit(pools, obj, self.owner, seen, map_key, at)
        } else {
            Err(wrong_at(keys.rule, at))
        };
        done.map_err(|wrong| parser.fail(wrong)).map(|()| true)
    }

    /// An object with free keys.
    fn map<A: MapAccess<'d>>(self, mut map: A) -> Result<bool, A::Error> {
        let parser = self.parser;
        let start = parser.pools.filled(self.node);
        while let Some(key) = map.next_key_seed(Key(parser))? {
            if key.is_empty() {
                return Err(parser.fail(wrong_at(Rule::EmptyKey, key.start() - 1)));
            }
            parser.key = key;
            let node = match self.node {
                Node::Map(obj) => Node::Object(obj),
                Node::Pairs(pool) => Node::Pair(pool),
                _ => Node::Unknown,
            };
            let value = Value {
                parser,
                node,
                owner: self.owner,
                optional: false,
            };
            map.next_value_seed(value)?;
        }
        parser.close();
        let (obj, row) = self.owner;
        let list = parser.range(self.node, start);
        parser.draft.slot(obj, row).put_list(list);
        Ok(true)
    }
}

impl<'d> Visitor<'d> for Value<'_, 'd, '_> {
    type Value = bool;

    fn expecting(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        Ok(())
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<bool, E> {
        let (obj, row) = self.owner;
        let slot = self.parser.draft.slot(obj, row);
        slot.put_number(u64::from(value));
        Ok(true)
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<bool, E> {
        self.number(number)
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<bool, E> {
        self.number(number.cast_unsigned())
    }

    fn visit_borrowed_str<E: de::Error>(mut self, borrowed: &'d str) -> Result<bool, E> {
        let text = self.parser.text(borrowed);
        let scalar = matches!(
            self.node,
            Node::Text | Node::Free | Node::Name(_) | Node::Access
        );
        if text.is_empty() && scalar {
            return Ok(false);
        }
        let stored = self.string(text);
        stored
            .map_err(|wrong| self.parser.fail(wrong))
            .map(|()| true)
    }

    fn visit_map<A: MapAccess<'d>>(self, map: A) -> Result<bool, A::Error> {
        match self.node {
            Node::Object(obj) => self.object(obj, map),
            _ => self.map(map),
        }
    }

    fn visit_seq<A: SeqAccess<'d>>(self, mut seq: A) -> Result<bool, A::Error> {
        let parser = self.parser;
        let at = parser.cursor - 1;
        let (obj, row) = self.owner;
        let start = parser.pools.filled(self.node);
        let node = match self.node {
            Node::Texts(pool) => Node::Word(pool),
            Node::Objects(obj) => Node::Object(obj),
            Node::Bits(names) => Node::Bit(names),
            _ => Node::Id,
        };
        parser.bits = 0;
        let mut any = false;
        loop {
            let value = Value {
                parser,
                node,
                owner: self.owner,
                optional: false,
            };
            if seq.next_element_seed(value)?.is_none() {
                break;
            }
            any = true;
        }
        parser.close();
        if let Node::Bits(_) = self.node {
            let bits = parser.bits;
            parser.draft.slot(obj, row).put_number(bits);
            return Ok(any);
        }
        let list = parser.range(self.node, start);
        if node == Node::Object(Obj::IdMapping) && list.len as usize > limits::ID_MAPPINGS {
            return Err(parser.fail(Wrong::limit(Limit::ID_MAPPINGS, at)));
        }
        parser.draft.slot(obj, row).put_list(list);
        Ok(any)
    }
}
