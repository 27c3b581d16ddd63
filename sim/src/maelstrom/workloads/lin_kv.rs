//! `lin-kv`: registers with compare-and-set, linearizable each.
//!
//! A missing key is a register that holds null, so that the errors 20 and 22 are results: a store
//! that says of what it has that it is not there, is wrong.

use quorate_core::SplitMix64;

use super::{
    Finals, Judged, Keys, Plain, Seen, Verdict, Work, invalid, json_of, value_of, written,
};
use crate::check::models::Register;
use crate::check::{self, Each, Linearizable};
use crate::history::{Value, Words, lines};
use crate::maelstrom::message::{Body, KEY_DOES_NOT_EXIST, PRECONDITION_FAILED};

#[derive(Debug)]
pub(super) struct Registers {
    keys: Keys,
}

impl Default for Registers {
    fn default() -> Self {
        Self { keys: Keys::new(4, 100) }
    }
}

impl Work for Registers {
    fn next(&mut self, _client: usize, draw: &mut SplitMix64) -> Words {
        let mut number = || Value::from(draw.below(VALUES).cast_signed());
        let words = match number().as_natural() {
            Some(0 | 1) => Words::new("read", Value::Null),
            Some(2) => Words::new("write", number()),
            _ => Words::new("cas", Value::list([number(), number()])),
        };
        Words { key: Some(self.keys.next(draw).into()), ..words }
    }

    fn request(&self, words: &Words) -> Body {
        let key = words.key.as_ref().map(json_of);
        let body = Body::new(&words.f).with("key", key.unwrap_or_default());
        match (&*words.f, words.value.as_pair()) {
            ("cas", Some((from, to))) => body.with("from", json_of(from)).with("to", json_of(to)),
            ("write", _) => body.with("value", json_of(&words.value)),
            _ => body,
        }
    }

    fn returned(&mut self, _: usize, words: &Words, body: &Body) -> Result<Value, &'static str> {
        match &*words.f {
            "read" => body.field("value").map(value_of).ok_or("a field `value`"),
            _ => Ok(Value::Null),
        }
    }

    fn returned_by_error(&self, words: &Words, code: u64) -> Option<Value> {
        match (&*words.f, code) {
            ("read", KEY_DOES_NOT_EXIST) => Some(Value::Null),
            ("cas", KEY_DOES_NOT_EXIST | PRECONDITION_FAILED) => Some(Value::Bool(false)),
            _ => None,
        }
    }

    fn judge(&self, seen: &Seen, _finals: &Finals) -> Judged {
        let file = written(&Plain, seen);
        let history = lines::read(&Each(Register), &*file).expect("what is written is read");
        match Linearizable::by_key(Each(Register)).check(&history) {
            check::Verdict::Linearizable => Judged::new(Verdict::Valid),
            check::Verdict::Violation(why) => invalid(&format!("not linearizable: {why}")),
            check::Verdict::Unknown { spent } => {
                Judged::new(Verdict::Unjudged(format!("undecided after {spent} steps")))
            }
        }
    }
}

/// So few that a compare-and-set succeeds now and then.
const VALUES: u64 = 5;
