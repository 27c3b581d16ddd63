//! `kafka`: logs that clients append to and read from their own positions.
//!
//! In a history a map is a list of pairs in the order of its keys: a poll from
//! `[["0",5],["1",0]]` may return `[["0",[[5,9],[6,3]]],["1",[]]]`.

use std::collections::BTreeMap;

use quorate_core::SplitMix64;
use serde_json::{Map, Value as Json};

use super::{Judged, Keys, Seen, Work, items, json_of, unjudged, value_of};
use crate::history::{Value, Words};
use crate::maelstrom::message::Body;

#[derive(Debug)]
pub(super) struct Logs {
    keys: Keys,
    /// The next message: each is sent once.
    message: i64,
    /// For each client and each key, the offset that it polls next.
    positions: BTreeMap<usize, BTreeMap<String, i64>>,
    /// All keys so far.
    used: BTreeMap<String, i64>,
}

impl Default for Logs {
    fn default() -> Self {
        let (positions, used) = (BTreeMap::new(), BTreeMap::new());
        Self { keys: Keys::new(4, 200), message: 0, positions, used }
    }
}

impl Work for Logs {
    fn next(&mut self, client: usize, draw: &mut SplitMix64) -> Words {
        let key = self.keys.next(draw).to_string();
        self.used.insert(key.clone(), 0);
        let positions = self.positions.entry(client).or_default();
        match draw.below(10) {
            0..5 => {
                self.message += 1;
                Words { key: Some(Value::from(&*key)), ..Words::new("send", self.message.into()) }
            }
            5..8 => {
                positions.entry(key).or_insert(0);
                Words::new("poll", pairs(positions))
            }
            8 if !positions.is_empty() => Words::new("commit_offsets", pairs(positions)),
            _ => {
                let keys = self.keys.open.iter().map(|(key, _)| Value::from(&*key.to_string()));
                Words::new("list_committed_offsets", Value::list(keys))
            }
        }
    }

    fn request(&self, words: &Words) -> Body {
        let body = Body::new(&words.f);
        match &*words.f {
            "send" => {
                let key = words.key.as_ref().map(json_of).unwrap_or_default();
                body.with("key", key).with("msg", json_of(&words.value))
            }
            "list_committed_offsets" => body.with("keys", json_of(&words.value)),
            _ => body.with("offsets", map_of(&words.value)),
        }
    }

    fn returned(
        &mut self,
        client: usize,
        words: &Words,
        body: &Body,
    ) -> Result<Value, &'static str> {
        match &*words.f {
            "send" => {
                let offset = body.field("offset").filter(|it| it.as_i64().is_some());
                offset.map(value_of).ok_or("a field `offset` with a number")
            }
            "poll" => {
                let messages = body.field("msgs").and_then(list_of).ok_or("an object `msgs`")?;
                self.advance(client, &messages).ok_or("lists of [offset, message] in `msgs`")?;
                Ok(messages)
            }
            "list_committed_offsets" => {
                body.field("offsets").and_then(list_of).ok_or("an object `offsets`")
            }
            _ => Ok(Value::Null),
        }
    }

    fn last(&self) -> Option<Words> {
        Some(Words::new("poll", pairs(&self.used)))
    }

    fn is_read(&self, words: &Words) -> bool {
        matches!(&*words.f, "poll" | "list_committed_offsets")
    }

    fn judge(&self, _seen: &Seen, _finals: &[usize]) -> Judged {
        unjudged("logs")
    }
}

impl Logs {
    /// Moves a client behind what it has polled; `None` if that is not what a poll returns.
    fn advance(&mut self, client: usize, messages: &Value) -> Option<()> {
        let positions = self.positions.entry(client).or_default();
        for pair in items(messages) {
            let (key, log) = pair.as_pair()?;
            let (Value::Text(key), Value::List(log)) = (key, log) else { return None };
            for entry in log.iter() {
                let (offset, _) = entry.as_pair()?;
                let next = offset.as_integer()?.saturating_add(1);
                let position = positions.entry(key.to_string()).or_insert(0);
                *position = next.max(*position);
            }
        }
        Some(())
    }
}

fn pairs(positions: &BTreeMap<String, i64>) -> Value {
    Value::list(positions.iter().map(|(key, at)| Value::list([(&**key).into(), (*at).into()])))
}

/// Returns an object as a list of pairs.
fn list_of(json: &Json) -> Option<Value> {
    let pair = |(key, value): (&String, &Json)| Value::list([(&**key).into(), value_of(value)]);
    Some(Value::list(json.as_object()?.iter().map(pair)))
}

/// Returns a list of pairs as an object.
fn map_of(value: &Value) -> Json {
    let pair = |pair: &Value| match pair.as_pair() {
        Some((Value::Text(key), value)) => Some((key.to_string(), json_of(value))),
        _ => None,
    };
    Json::Object(items(value).iter().filter_map(pair).collect::<Map<_, _>>())
}
