//! What clients ask for, and who judges what they saw.
//!
//! | workload | operations | judged by |
//! |---|---|---|
//! | `echo` | `echo` | each gets its own text |
//! | `unique-ids` | `generate` | no id comes twice |
//! | `broadcast` | `broadcast`, `read` | final reads have what was acknowledged |
//! | `g-set` | `add`, `read` | the same |
//! | `g-counter`, `pn-counter` | `add`, `read` | final reads are a sum that is possible |
//! | `lin-kv` | `read`, `write`, `cas` | [`Linearizable`](crate::check::Linearizable), by key |
//! | `kafka` | `send`, `poll`, `commit_offsets`, `list_committed_offsets` | [`log`] |
//! | `txn-list-append`, `txn-rw-register` | `txn` | [`transactions`] |
//!
//! [`log`]: crate::check::log
//! [`transactions`]: crate::check::transactions

mod counter;
mod echo;
mod kafka;
mod lin_kv;
mod set;
mod txn;
mod unique;

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use quorate_core::SplitMix64;
use serde_json::Value as Json;

use super::message::Body;
use super::network::{UnknownName, below, shuffle, unknown};
use super::report::{Judged, Verdict};
use crate::History;
use crate::check::transactions::ConsistencyModel;
use crate::history::{Value, Vocabulary, Words, lines};

/// What clients do with a node program.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Workload {
    /// Say something, and get it back.
    Echo,
    /// Ask for an id that nobody else has.
    UniqueIds,
    /// Tell all nodes a number.
    Broadcast,
    /// Add to a set.
    GSet,
    /// Add to a counter that only grows.
    GCounter,
    /// Add to a counter, or take away.
    PnCounter,
    /// Read, write, compare and set.
    LinKv,
    /// Append to logs, read them, commit offsets.
    Kafka,
    /// Transactions that read lists and append to them.
    TxnListAppend,
    /// Transactions that read registers and write them.
    TxnRwRegister,
}

impl Workload {
    /// All, in the order in which they are usually solved.
    pub const ALL: [Self; 10] = [
        Self::Echo,
        Self::UniqueIds,
        Self::Broadcast,
        Self::GSet,
        Self::GCounter,
        Self::PnCounter,
        Self::LinKv,
        Self::Kafka,
        Self::TxnListAppend,
        Self::TxnRwRegister,
    ];

    /// Returns its name, as in `lin-kv`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Echo => "echo",
            Self::UniqueIds => "unique-ids",
            Self::Broadcast => "broadcast",
            Self::GSet => "g-set",
            Self::GCounter => "g-counter",
            Self::PnCounter => "pn-counter",
            Self::LinKv => "lin-kv",
            Self::Kafka => "kafka",
            Self::TxnListAppend => "txn-list-append",
            Self::TxnRwRegister => "txn-rw-register",
        }
    }

    /// Makes what draws its operations, and judges them; transactions by `model`.
    pub(super) fn work(self, model: ConsistencyModel) -> Box<dyn Work> {
        match self {
            Self::Echo => Box::new(echo::Echo::default()),
            Self::UniqueIds => Box::new(unique::UniqueIds),
            Self::Broadcast => Box::new(set::Elements::broadcast()),
            Self::GSet => Box::new(set::Elements::g_set()),
            Self::GCounter => Box::new(counter::Adds::growing()),
            Self::PnCounter => Box::new(counter::Adds::both_ways()),
            Self::LinKv => Box::new(lin_kv::Registers::default()),
            Self::Kafka => Box::new(kafka::Logs::default()),
            Self::TxnListAppend => Box::new(txn::Transactions::list_append(model)),
            Self::TxnRwRegister => Box::new(txn::Transactions::rw_register(model)),
        }
    }
}

impl FromStr for Workload {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, UnknownName> {
        let expected = "echo, unique-ids, broadcast, g-set, g-counter, pn-counter, lin-kv, kafka, \
            txn-list-append or txn-rw-register";
        Self::ALL.into_iter().find(|it| it.name() == name).ok_or_else(|| unknown(expected, name))
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What clients saw, in the words of the file.
pub(super) type Seen = History<Words, Value>;

/// For each node, the position of its last final read in what clients saw.
pub(super) type Finals = BTreeMap<usize, usize>;

/// One workload.
pub(super) trait Work {
    /// Draws the next operation of a client. Those of one client come one after the other.
    fn next(&mut self, client: usize, draw: &mut SplitMix64) -> Words;

    /// Returns the message for an operation.
    fn request(&self, words: &Words) -> Body;

    /// Returns what an answer of the right type says. `client` called the operation.
    ///
    /// # Errors
    ///
    /// What was expected instead.
    fn returned(
        &mut self,
        client: usize,
        words: &Words,
        body: &Body,
    ) -> Result<Value, &'static str>;

    /// Returns what an error with this code says, if it is a result and no failure.
    fn returned_by_error(&self, _words: &Words, _code: u64) -> Option<Value> {
        None
    }

    /// Returns what a client asks its node in the end, if anything: `before` is what it was told
    /// the last time that it asked, if it was.
    fn last(&self, _client: usize, _before: Option<&Value>) -> Option<Words> {
        None
    }

    /// Returns whether an operation changes nothing.
    fn is_read(&self, words: &Words) -> bool {
        words.f == "read"
    }

    /// Counts what an answer adds to the history. Returns why it is too much, if it is.
    fn excess(&mut self, _client: usize, _value: &Value, _is_last: bool) -> Option<String> {
        None
    }

    /// Judges, by what all clients saw and the final reads.
    fn judge(&self, seen: &Seen, finals: &Finals) -> Judged;
}

/// The vocabulary of all workloads: words as they are.
pub(super) struct Plain;

impl Vocabulary for Plain {
    type Operation = Words;
    type Return = Value;

    fn operation(&self, words: Words) -> Result<Words, &'static str> {
        Ok(words)
    }

    fn returned(&self, _: &Words, value: Value) -> Result<Value, &'static str> {
        Ok(value)
    }

    fn words(&self, words: &Words) -> Words {
        words.clone()
    }

    fn value(&self, _: &Words, value: &Value) -> Value {
        value.clone()
    }
}

/// Draws `true` for exactly half of its calls, so that a short run has the mix of a long one.
#[derive(Debug, Default)]
struct Half {
    second: Option<bool>,
}

impl Half {
    fn next(&mut self, draw: &mut SplitMix64) -> bool {
        if let Some(second) = self.second.take() {
            return second;
        }
        let mut pair = [true, false];
        shuffle(&mut pair, draw);
        self.second = Some(pair[1]);
        pair[0]
    }
}

/// Keys of which a few are in use at a time, and each for so many operations: what one key has
/// seen stays short enough to judge.
#[derive(Debug)]
struct Keys {
    /// Each with how many operations it has left.
    open: Vec<(i64, u32)>,
    next: i64,
    uses: u32,
}

impl Keys {
    fn new(open: usize, uses: u32) -> Self {
        let next = i64::try_from(open).unwrap_or(i64::MAX);
        Self { open: (0..next).map(|key| (key, uses)).collect(), next, uses }
    }

    fn next(&mut self, draw: &mut SplitMix64) -> i64 {
        let index = below(draw, self.open.len());
        let (key, left) = &mut self.open[index];
        let drawn = *key;
        *left -= 1;
        if *left == 0 {
            (*key, *left) = (self.next, self.uses);
            self.next += 1;
        }
        drawn
    }
}

/// Returns a value of a message as one of a history. What a history has not becomes its text.
fn value_of(json: &Json) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::Bool(it) => Value::Bool(*it),
        Json::Number(it) => it.as_i64().map_or_else(|| Value::from(&*it.to_string()), Value::from),
        Json::String(it) => Value::from(&**it),
        Json::Array(items) => Value::list(items.iter().map(value_of)),
        Json::Object(_) => Value::from(&*json.to_string()),
    }
}

/// Returns a value of a history as one of a message.
fn json_of(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Bool(it) => Json::from(*it),
        Value::Integer(it) => Json::from(*it),
        Value::Text(it) => Json::from(&**it),
        Value::List(items) => items.iter().map(json_of).collect(),
    }
}

/// Returns the values of a list; none of anything else.
fn items(value: &Value) -> &[Value] {
    match value {
        Value::List(items) => items,
        _ => &[],
    }
}

/// Returns what clients saw as it stands in the file: what is judged here can be judged there.
fn written<V>(vocabulary: &V, seen: &Seen) -> Vec<u8>
where
    V: Vocabulary<Operation = Words, Return = Value>,
{
    let mut file = Vec::new();
    lines::write(vocabulary, seen, &mut file).expect("a vector takes all");
    file
}

/// Returns what is `invalid` in its first line, with the others as notes.
fn invalid(text: &str) -> Judged {
    let first = text.lines().next().unwrap_or_default();
    let judged = Judged::invalid(first.to_owned());
    text.lines().skip(1).fold(judged, |judged, line| judged.note(line.to_owned()))
}
