//! One value of the document: the visitor behind `parse`, for every kind of value that the schema knows.
#![forbid(unsafe_code)]

use super::Wrong;
use super::names::Names;
use super::node::{Int, Node, Pool};
use super::parse::{Key, Parser, wrong_at};
use super::schema::Obj;
use super::types::{Pair, Text};
use super::walk::{value_end, word_end};
use crate::error::Rule;
use crate::limits::{self, Limit};
use core::fmt;
use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// A value of the kind `node`, for key number `owner.1` of an object of the kind `owner.0`.
///
/// Yields whether there was one: null and empty strings and lists are as good as absent where something must be there.
pub(super) struct Value<'s, 'd, 'p> {
    pub(super) parser: &'s mut Parser<'d, 'p>,
    pub(super) node: Node,
    pub(super) owner: (Obj, u8),
    /// null may stand for it.
    pub(super) optional: bool,
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
