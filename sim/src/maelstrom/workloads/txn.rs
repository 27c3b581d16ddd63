//! `txn-list-append` and `txn-rw-register`: transactions of a few reads and writes.
//!
//! In a history a transaction is the list that the protocol has, `[["r",1,null],["append",1,7]]`,
//! and returns the same with what was read.

use quorate_core::SplitMix64;

use super::{Judged, Keys, Seen, Work, items, json_of, unjudged, value_of};
use crate::history::{Value, Words};
use crate::maelstrom::message::Body;

#[derive(Debug)]
pub(super) struct Transactions {
    /// What a write is called.
    write: &'static str,
    keys: Keys,
    /// The last value: each is written once.
    value: i64,
}

impl Transactions {
    pub(super) fn list_append() -> Self {
        Self { write: "append", keys: Keys::new(8, 64), value: 0 }
    }

    pub(super) fn rw_register() -> Self {
        Self { write: "w", ..Self::list_append() }
    }
}

impl Work for Transactions {
    fn next(&mut self, _client: usize, draw: &mut SplitMix64) -> Words {
        let count = 1 + draw.below(4);
        let operation = |_| {
            let (f, value) = match draw.below(2) {
                0 => ("r", Value::Null),
                _ => {
                    self.value += 1;
                    (self.write, Value::from(self.value))
                }
            };
            Value::list([f.into(), self.keys.next(draw).into(), value])
        };
        Words::new("txn", Value::list((0..count).map(operation).collect::<Vec<_>>()))
    }

    fn request(&self, words: &Words) -> Body {
        Body::new("txn").with("txn", json_of(&words.value))
    }

    fn returned(&mut self, _: usize, words: &Words, body: &Body) -> Result<Value, &'static str> {
        let returned = body.field("txn").map(value_of).ok_or("a field `txn`")?;
        let (asked, found) = (items(&words.value), items(&returned));
        let is_answer = |(asked, found): (&Value, &Value)| match (items(asked), items(found)) {
            ([f, key, value], [to_f, to_key, to_value]) => {
                f == to_f && key == to_key && (*value == Value::Null || value == to_value)
            }
            _ => false,
        };
        let is_whole = asked.len() == found.len() && asked.iter().zip(found).all(is_answer);
        if is_whole { Ok(returned) } else { Err("the operations of the transaction in `txn`") }
    }

    fn is_read(&self, words: &Words) -> bool {
        let read = Value::from("r");
        items(&words.value).iter().all(|it| items(it).first() == Some(&read))
    }

    fn judge(&self, _seen: &Seen, _finals: &[usize]) -> Judged {
        unjudged("transactions")
    }
}
