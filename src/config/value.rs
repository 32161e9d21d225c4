//! One value of the document, for every kind of value that the schema knows.
#![forbid(unsafe_code)]

use super::names::Names;
use super::node::{Int, Node, Pool};
use super::parse::Parser;
use super::schema::Obj;
use super::seed::Slot;
use super::types::{Pair, Text};
use super::walk::{string_end, value_end, word_end};
use super::{Wrong, broken, refused};
use crate::error::{Cause, Rule};
use crate::limits::{self, Limit};
use serde::Deserialize;
use serde_json_core::de::Deserializer;

impl Parser<'_> {
    /// Reads the value that comes next, which must be a `node`, into `slot`; null may stand for it if it is `optional`.
    ///
    /// Yields whether there was one: null and empty strings and lists are as good as absent where something must be there.
    pub(super) fn value(&mut self, node: Node, slot: Slot, optional: bool) -> Result<bool, Wrong> {
        let first = self.next();
        if node == Node::Unknown {
            self.at = value_end(self.doc, self.at);
            return Ok(false);
        }
        if optional && first == b'n' {
            self.at = word_end(self.doc, self.at);
            return Ok(false);
        }
        let (begins, rule): (&[u8], _) = match node {
            Node::Object(_) | Node::Map(_) | Node::Pairs(_) => (b"{", Rule::MustBeObject),
            Node::Texts(_) | Node::Objects(_) | Node::Ids | Node::Bits(_) => {
                (b"[", Rule::MustBeArray)
            }
            Node::Bool => (b"tf", Rule::MustBeBoolean),
            Node::Int(_) | Node::Id => (b"-0123456789", Rule::MustBeInteger),
            _ => (b"\"", Rule::MustBeString),
        };
        if !begins.contains(&first) {
            return Err(broken(rule, self.at));
        }
        match node {
            Node::Object(obj) => self.object(obj, slot),
            _ if first == b'{' => self.map(node, slot),
            _ if first == b'[' => self.list(node, slot),
            Node::Bool => {
                slot.put_number(self.draft, u64::from(first == b't'));
                self.at = word_end(self.doc, self.at);
                Ok(true)
            }
            Node::Int(int) => {
                let number = self.integer(int)?;
                slot.put_number(self.draft, number);
                Ok(true)
            }
            Node::Id => {
                let at = self.at;
                let id = u32::try_from(self.integer(Int::Id)?).unwrap_or(0);
                self.pools.push_group(id, at)?;
                Ok(true)
            }
            _ => self.string(node, slot),
        }
    }

    /// A number without fraction or exponent, in its range; a negative one as its two's complement.
    fn integer(&mut self, int: Int) -> Result<u64, Wrong> {
        let at = self.at;
        self.at = word_end(self.doc, at);
        let word = self.doc.get(at..self.at).unwrap_or(&[]);
        let (negative, digits) = match word.strip_prefix(b"-") {
            Some(digits) => (true, digits),
            None => (false, word),
        };
        if !digits.iter().all(u8::is_ascii_digit) {
            return Err(broken(Rule::MustBeInteger, at));
        }
        let (lowest, highest, rule) = int.range();
        // It fails when there are too many digits.
        let number = u64::deserialize(&mut Deserializer::new(digits, None)).ok();
        let fits = |number: &u64| {
            if negative {
                lowest < 0 && *number <= lowest.unsigned_abs()
            } else {
                (lowest < 0 || *number >= lowest.unsigned_abs()) && *number <= highest
            }
        };
        let number = number.filter(fits).ok_or_else(|| broken(rule, at))?;
        Ok(if negative {
            number.wrapping_neg()
        } else {
            number
        })
    }

    /// A string; an empty one is as good as absent, unless it is in a list or map.
    fn string(&mut self, node: Node, slot: Slot) -> Result<bool, Wrong> {
        let (doc, at) = (self.doc, self.at);
        self.at = string_end(doc, at);
        let text = Text::between(at + 1, self.at - 1);
        let spelled = text.bytes(doc);
        match node {
            Node::Word(pool) => {
                self.check_nul(text)?;
                self.pools.push_text(pool, text, at)?;
            }
            Node::Pair(pool) => {
                let key = self.key;
                if pool != Pool::Annotations {
                    self.check_nul(key)?;
                    self.check_nul(text)?;
                }
                let pair = Pair { key, value: text };
                self.pools.push_pair(pool, pair, at)?;
            }
            Node::Bit(names) => match names.number(spelled) {
                Some(number) => self.bits |= 1 << number,
                None if names == Names::Capability => {
                    self.draft.capabilities.unknown += 1;
                    // Beyond its capacity the count alone has to do.
                    let _ = self.pools.unknown_capabilities.push(text);
                }
                None => return Err(broken(names.rule(), at)),
            },
            _ if text.is_empty() => return Ok(false),
            Node::Name(names) => {
                let number = names.number(spelled);
                let number = number.ok_or_else(|| broken(names.rule(), at))?;
                slot.put_number(self.draft, u64::from(number));
            }
            Node::Access => {
                let mut access = 0;
                for letter in spelled {
                    access |= match letter {
                        b'r' => 1,
                        b'w' => 2,
                        b'm' => 4,
                        _ => return Err(broken(Rule::NameAccess, at)),
                    };
                }
                slot.put_number(self.draft, access);
            }
            _ => {
                if node == Node::Text {
                    self.check_nul(text)?;
                }
                slot.put_text(self.draft, text);
            }
        }
        Ok(true)
    }

    /// An object with known keys.
    fn object(&mut self, obj: Obj, slot: Slot) -> Result<bool, Wrong> {
        let at = self.at;
        let map_key = self.key;
        let Some(shape) = obj.shape() else {
            return Err(broken(Rule::Never, at));
        };
        *shape.at.of(self.draft) = u32::try_from(at).unwrap_or(0);
        self.at += 1;
        let mut seen = 0_u32;
        while let Some(key) = self.next_key() {
            match shape.find(|word| key.is(self.doc, word)) {
                Some((number, row)) => {
                    if self.value(row.node, row.slot, true)? {
                        seen |= 1 << number;
                    }
                }
                None => {
                    self.value(Node::Unknown, Slot::Nothing, true)?;
                }
            }
        }
        let done = if shape.must & !seen == 0 {
            let (draft, pools) = (&mut *self.draft, &mut *self.pools);
            draft.commit(pools, obj, slot, seen, map_key)
        } else {
            Err(Cause::Rule(shape.rule))
        };
        done.map_err(|cause| refused(cause, at))?;
        Ok(true)
    }

    /// An object with free keys.
    fn map(&mut self, node: Node, slot: Slot) -> Result<bool, Wrong> {
        let start = self.pools.filled(node);
        let value = match node {
            Node::Map(obj) => Node::Object(obj),
            Node::Pairs(pool) => Node::Pair(pool),
            _ => Node::Unknown,
        };
        self.at += 1;
        while let Some(key) = self.next_key() {
            if key.is_empty() {
                return Err(broken(Rule::EmptyKey, key.quote()));
            }
            self.key = key;
            self.value(value, Slot::Nothing, false)?;
        }
        let list = self.range(node, start);
        slot.put_list(self.draft, list);
        Ok(true)
    }

    /// A list.
    fn list(&mut self, node: Node, slot: Slot) -> Result<bool, Wrong> {
        let at = self.at;
        let start = self.pools.filled(node);
        let element = match node {
            Node::Texts(pool) => Node::Word(pool),
            Node::Objects(obj) => Node::Object(obj),
            Node::Bits(names) => Node::Bit(names),
            _ => Node::Id,
        };
        self.bits = 0;
        self.at += 1;
        let mut any = false;
        while !matches!(self.next(), b']' | 0) {
            self.value(element, Slot::Nothing, false)?;
            any = true;
        }
        self.at += 1;
        if let Node::Bits(_) = node {
            slot.put_number(self.draft, self.bits);
            return Ok(any);
        }
        let list = self.range(node, start);
        if element == Node::Object(Obj::IdMapping) && list.len as usize > limits::ID_MAPPINGS {
            return Err(refused(Cause::Limit(Limit::ID_MAPPINGS), at));
        }
        slot.put_list(self.draft, list);
        Ok(any)
    }
}
