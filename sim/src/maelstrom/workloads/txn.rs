//! `txn-list-append` and `txn-rw-register`: transactions of a few reads and writes.
//!
//! In a history a transaction is the list that the protocol has, `[["r",1,null],["append",1,7]]`,
//! and returns the same with what was read.

use quorate_core::SplitMix64;

use super::{
    Finals, Judged, Keys, Plain, Seen, Verdict, Work, invalid, items, json_of, value_of, written,
};
use crate::check::transactions::{ConsistencyModel, ListAppend, RwRegister, Time};
use crate::history::{Value, Words, transactions};
use crate::maelstrom::message::Body;

#[derive(Debug)]
pub(super) struct Transactions {
    /// What a write is called.
    write: &'static str,
    model: ConsistencyModel,
    keys: Keys,
    /// The last value: each is written once.
    value: i64,
}

impl Transactions {
    pub(super) fn list_append(model: ConsistencyModel) -> Self {
        Self { write: APPEND, model, keys: Keys::new(8, 64), value: 0 }
    }

    pub(super) fn rw_register(model: ConsistencyModel) -> Self {
        Self { write: "w", ..Self::list_append(model) }
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

    fn judge(&self, seen: &Seen, _finals: &Finals) -> Judged {
        let file = written(&Plain, seen);
        let verdict = if self.write == APPEND {
            transactions::read(&ListAppend, &*file)
                .map_err(|error| error.to_string())
                .and_then(|it| ListAppend.check(&it).map_err(|error| error.to_string()))
        } else {
            let linearizable_keys = self.model.time == Time::RealTime;
            let registers = RwRegister { linearizable_keys };
            transactions::read(&registers, &*file)
                .map_err(|error| error.to_string())
                .and_then(|it| registers.check(&it).map_err(|error| error.to_string()))
        };
        match verdict {
            Err(why) => invalid(&why),
            Ok(verdict) if verdict.permits(self.model) => Judged::new(Verdict::Valid),
            Ok(verdict) => invalid(&format!("not {}: {verdict}\n{verdict:#}", self.model)),
        }
    }
}

const APPEND: &str = "append";
