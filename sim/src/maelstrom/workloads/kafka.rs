//! `kafka`: logs that clients append to and read from their own positions.
//!
//! In a history a map is a list of pairs in the order of its keys: a poll from
//! `[["0",5],["1",0]]` may return `[["0",[[5,9],[6,3]]],["1",[]]]`.

use std::collections::BTreeMap;

use quorate_core::SplitMix64;
use serde_json::{Map, Value as Json};

use super::{
    Finals, Judged, Keys, Seen, Verdict, Work, invalid, items, json_of, value_of, written,
};
use crate::check::log;
use crate::history::{Value, Vocabulary, Words, lines};
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
    /// Who commits how far it read a key: the first that polled it. So a node may keep the last
    /// commit or the greatest.
    owners: BTreeMap<String, usize>,
    /// For each client, how many messages its last reads returned.
    last_read: BTreeMap<usize, u64>,
    /// How many bytes answers may still add to what is kept.
    room: usize,
}

impl Default for Logs {
    fn default() -> Self {
        Self {
            keys: Keys::new(4, 200),
            message: 0,
            positions: BTreeMap::new(),
            used: BTreeMap::new(),
            owners: BTreeMap::new(),
            last_read: BTreeMap::new(),
            room: ROOM,
        }
    }
}

impl Work for Logs {
    fn next(&mut self, client: usize, draw: &mut SplitMix64) -> Words {
        let key = self.keys.next(draw).to_string();
        self.used.insert(key.clone(), 0);
        match draw.below(10) {
            0..5 => {
                self.message += 1;
                Words { key: Some(Value::from(&*key)), ..Words::new("send", self.message.into()) }
            }
            5..8 => {
                self.owners.entry(key.clone()).or_insert(client);
                let positions = self.positions.entry(client).or_default();
                positions.entry(key).or_insert(0);
                Words::new("poll", pairs(positions))
            }
            8 if self.has_read(client) => Words::new("commit_offsets", self.read(client)),
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

    /// Goes on where the client is, until there is no more.
    fn last(&self, client: usize, before: Option<&Value>) -> Option<Words> {
        let is_rest = |log: &Value| log.as_pair().is_none_or(|(_, log)| !items(log).is_empty());
        if before.is_some_and(|before| !items(before).iter().any(is_rest)) {
            return None;
        }
        let mut positions = self.used.clone();
        positions.extend(self.positions.get(&client).cloned().unwrap_or_default());
        Some(Words::new("poll", pairs(&positions)))
    }

    fn is_read(&self, words: &Words) -> bool {
        matches!(&*words.f, "poll" | "list_committed_offsets")
    }

    /// Nobody can read many more messages than were sent. A few that come twice, or from nowhere,
    /// are left to the judge, which knows more of them.
    fn excess(&mut self, client: usize, value: &Value, is_last: bool) -> Option<String> {
        let log = |pair: &Value| pair.as_pair().map_or(0, |(_, log)| items(log).len() as u64);
        let mut count: u64 = items(value).iter().map(log).sum();
        let mut of = "a poll";
        if is_last {
            let all = self.last_read.entry(client).or_default();
            *all += count;
            (count, of) = (*all, "the last polls");
        }
        let sent = self.message.unsigned_abs();
        if 2 * sent + SPARE < count {
            return Some(format!("{of} returned {count} messages, of {sent} ever sent"));
        }
        match self.room.checked_sub(value.bytes()) {
            Some(room) => self.room = room,
            None => return Some("what clients were told does not fit into memory".to_owned()),
        }
        None
    }

    fn judge(&self, seen: &Seen, _finals: &Finals) -> Judged {
        let judge = log::Logs { is_read_to_the_end: true };
        let history = match lines::read(&judge, &*written(&AsLogs, seen)) {
            Ok(history) => history,
            Err(error) => return invalid(&error.to_string()),
        };
        match judge.check(&history) {
            Ok(report) if report.is_valid() => Judged::new(Verdict::Valid),
            Ok(report) => invalid(&format!("{report}\n{report:#}")),
            Err(error) => invalid(&error.to_string()),
        }
    }
}

/// The words of this workload as those of [`log::Logs`].
struct AsLogs;

impl Vocabulary for AsLogs {
    type Operation = Words;
    type Return = Value;

    fn operation(&self, words: Words) -> Result<Words, &'static str> {
        Ok(words)
    }

    fn returned(&self, _: &Words, value: Value) -> Result<Value, &'static str> {
        Ok(value)
    }

    fn words(&self, words: &Words) -> Words {
        match &*words.f {
            "poll" => Words::new("poll", Value::Null),
            "commit_offsets" => Words::new("commit", words.value.clone()),
            "list_committed_offsets" => Words::new("committed", words.value.clone()),
            _ => words.clone(),
        }
    }

    fn value(&self, _: &Words, value: &Value) -> Value {
        value.clone()
    }
}

impl Logs {
    /// Returns whether a client has read anything that is its own to commit.
    fn has_read(&self, client: usize) -> bool {
        !items(&self.read(client)).is_empty()
    }

    /// Returns how far a client came in the logs that it commits: up to there, inclusive.
    fn read(&self, client: usize) -> Value {
        let positions = self.positions.get(&client).into_iter().flatten();
        let is_own = |key: &String| self.owners.get(key) == Some(&client);
        let own = positions.filter(|(key, next)| is_own(key) && 0 < **next);
        let last = own.map(|(key, next)| Value::list([(&**key).into(), (next - 1).into()]));
        Value::list(last.collect::<Vec<_>>())
    }

    /// Moves a client behind what it has polled; `None` if that is not what a poll returns.
    fn advance(&mut self, client: usize, messages: &Value) -> Option<()> {
        let positions = self.positions.entry(client).or_default();
        for pair in items(messages) {
            let (key, log) = pair.as_pair()?;
            let (Value::Text(key), Value::List(log)) = (key, log) else { return None };
            for entry in log.iter() {
                let (offset, _) = entry.as_pair()?;
                let next = offset.as_integer()?.saturating_add(1);
                // Of a log that nobody asked for, there is nothing to go on with.
                if self.used.contains_key(&**key) {
                    let position = positions.entry(key.to_string()).or_insert(0);
                    *position = next.max(*position);
                }
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

/// How many more messages than were sent may be read, besides each of them once more.
const SPARE: u64 = 1_000;
/// How many bytes of answers are kept. A long run at a high rate needs a tenth of it.
const ROOM: usize = 1 << 30;

#[cfg(test)]
mod tests {
    use super::*;

    fn poll(messages: i64) -> Value {
        let entries = (0..messages).map(|at| Value::list([at.into(), at.into()]));
        Value::list([Value::list(["0".into(), Value::list(entries)])])
    }

    #[test]
    fn what_was_never_sent_is_too_much() {
        let mut logs = Logs { message: 10, ..Logs::default() };
        let why = "a poll returned 1021 messages, of 10 ever sent";
        assert_eq!(logs.excess(0, &poll(1_020), false), None);
        assert_eq!(logs.excess(0, &poll(1_021), false), Some(why.to_owned()));
        assert_eq!(logs.excess(0, &poll(1_000), true), None);
        assert_eq!(logs.excess(1, &poll(1_000), true), None);
        let why = "the last polls returned 1021 messages, of 10 ever sent";
        assert_eq!(logs.excess(0, &poll(21), true), Some(why.to_owned()));
    }

    #[test]
    fn what_is_kept_has_a_limit() {
        let mut logs = Logs { room: 1_000, ..Logs::default() };
        assert_eq!(logs.excess(0, &poll(3), false), None);
        let long = Value::from(&*"x".repeat(1_000));
        assert!(logs.excess(0, &long, false).is_some_and(|why| why.contains("memory")));
    }
}
