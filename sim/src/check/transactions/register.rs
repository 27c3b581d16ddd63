//! Transactions that write registers and read them.

use super::explain::Words as _;
use super::list_append::{Act, Acts, Keys};
use super::register_key::RegisterKey;
use super::verdict::{Findings, judge};
use super::{Status, Verdict, WrittenTwice, explain, times};
use crate::check::cycles::Edges;
use crate::history::{History, Value, Vocabulary, Words};

/// A judge of histories whose transactions read and write registers.
///
/// Each value is written to a register at most once, and at first there is nothing in it. Which
/// value came before which is often unknown: only what a transaction read and then overwrote is
/// used, and that nothing came before all. What is found is certain; what is not found may be there
/// all the same.
///
/// # Examples
///
/// ```
/// use quorate_sim::check::transactions::RwRegister;
/// use quorate_sim::history::transactions;
///
/// let text = r#"
/// {"process":0,"type":"invoke","value":[["w","x",1],["r","y",null]]}
/// {"process":1,"type":"invoke","value":[["w","y",1],["r","x",null]]}
/// {"process":0,"type":"ok","value":[["w","x",1],["r","y",1]]}
/// {"process":1,"type":"ok","value":[["w","y",1],["r","x",1]]}"#;
/// let judge = RwRegister::default();
/// let history = transactions::read(&judge, text.as_bytes())?;
/// assert_eq!(judge.check(&history)?.to_string(), "G1c");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct RwRegister {
    /// Whether each register alone is said to be linearizable: then a value whose transaction was
    /// over before another's began came before it.
    pub linearizable_keys: bool,
}

/// What a transaction does to a register.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "tests make them")]
pub enum RwOp {
    /// Writes a value, which nobody else writes there.
    Write {
        /// Which register.
        key: Value,
        /// What.
        value: i64,
    },
    /// Reads what is there.
    Read {
        /// Which register.
        key: Value,
    },
}

/// What transactions did, and what each of their reads found, in the order of the reads: a value,
/// or nothing. Of a read that is missing there nothing is known.
pub type RegisterHistory = History<Vec<RwOp>, Vec<Option<i64>>>;

impl RwRegister {
    /// Makes a judge that takes each register alone as linearizable.
    #[must_use]
    pub const fn with_linearizable_keys() -> Self {
        Self { linearizable_keys: true }
    }

    /// Judges `history`. O(n log n) in all that was read and written, if nothing is wrong.
    ///
    /// # Errors
    ///
    /// A value was written twice.
    pub fn check(&self, history: &RegisterHistory) -> Result<Verdict, WrittenTwice> {
        let keys = Keys::new(history.spans().iter().flat_map(|span| &span.operation), RwOp::key);
        let mut edges = Edges::new(history.spans().len());
        let mut findings = Findings::default();
        let statuses: Vec<Status> = history.spans().iter().map(Status::of).collect();
        let acts = acts(history, &keys, &statuses);
        for (id, key) in (0..).zip(&keys.names) {
            let acts = acts.of(id);
            findings.steps += acts.len() as u64;
            let register = RegisterKey::new(key, id, acts, &statuses)?;
            register.scan(&mut edges, &mut findings);
            if self.linearizable_keys {
                register.add_times(history, &mut edges);
            }
        }
        times::add(history, &mut edges);
        let words = explain::Registers { history, keys: &keys.names };
        Ok(judge(&edges, findings, &words))
    }

    /// Returns a transaction in words, as in `T3 (process 1): write x 4, read y -> nothing`.
    ///
    /// # Panics
    ///
    /// If there is no transaction `index`.
    #[must_use]
    pub fn describe(&self, history: &RegisterHistory, index: usize) -> String {
        explain::Registers { history, keys: &[] }.transaction(index)
    }
}

impl RwOp {
    /// Returns the register that it is about.
    #[must_use]
    pub const fn key(&self) -> &Value {
        match self {
            Self::Write { key, .. } | Self::Read { key } => key,
        }
    }

    fn value(&self, found: Value) -> Value {
        match self {
            Self::Write { key, value } => Value::list(["w".into(), key.clone(), (*value).into()]),
            Self::Read { key } => Value::list(["r".into(), key.clone(), found]),
        }
    }
}

/// A write, or a read of what is known.
#[derive(Clone, Copy, Debug)]
pub(super) enum RegisterAct {
    Write(i64),
    Read(Option<i64>),
}

fn acts(history: &RegisterHistory, keys: &Keys<'_>, statuses: &[Status]) -> Acts<RegisterAct> {
    let mut unsorted = Vec::with_capacity(keys.numbers.len());
    let mut numbers = keys.numbers.iter();
    for ((transaction, span), status) in (0..).zip(history.spans()).zip(statuses) {
        let mut found = span.outcome.returned().into_iter().flatten();
        for (op, key) in span.operation.iter().zip(&mut numbers) {
            let what = match op {
                RwOp::Write { value, .. } => RegisterAct::Write(*value),
                RwOp::Read { .. } => match found.next() {
                    Some(value) if *status == Status::Ok => RegisterAct::Read(*value),
                    _ => continue,
                },
            };
            unsorted.push((*key, Act { transaction, what }));
        }
    }
    Acts::new(keys.names.len(), &unsorted)
}

impl Vocabulary for RwRegister {
    type Operation = Vec<RwOp>;
    type Return = Vec<Option<i64>>;

    fn operation(&self, words: Words) -> Result<Vec<RwOp>, &'static str> {
        let Value::List(ops) = words.value else { return Err(EXPECTED) };
        ops.iter().map(|op| parse(op).map(|(op, _)| op)).collect()
    }

    fn returned(
        &self,
        operation: &Vec<RwOp>,
        value: Value,
    ) -> Result<Vec<Option<i64>>, &'static str> {
        let Value::List(ops) = value else { return Err(EXPECTED) };
        if ops.len() != operation.len() {
            return Err(SAME);
        }
        let mut found = Vec::new();
        for (called, op) in operation.iter().zip(&*ops) {
            let (op, value) = parse(op)?;
            if op != *called {
                return Err(SAME);
            }
            if let RwOp::Read { .. } = op {
                found.push(match value {
                    Value::Null => None,
                    value => Some(value.as_integer().ok_or(EXPECTED)?),
                });
            }
        }
        Ok(found)
    }

    fn words(&self, operation: &Vec<RwOp>) -> Words {
        Words::new("txn", Value::list(operation.iter().map(|op| op.value(Value::Null))))
    }

    fn value(&self, operation: &Vec<RwOp>, returned: &Vec<Option<i64>>) -> Value {
        let mut found = returned.iter();
        let mut next = || found.next().copied().flatten().map(Value::Integer).unwrap_or_default();
        Value::list(operation.iter().map(|op| match op {
            RwOp::Write { .. } => op.value(Value::Null),
            RwOp::Read { .. } => op.value(next()),
        }))
    }
}

fn parse(op: &Value) -> Result<(RwOp, &Value), &'static str> {
    let Value::List(parts) = op else { return Err(EXPECTED) };
    let [Value::Text(f), key, value] = &**parts else { return Err(EXPECTED) };
    match (&**f, value) {
        ("w", Value::Integer(written)) => {
            Ok((RwOp::Write { key: key.clone(), value: *written }, value))
        }
        ("r", _) => Ok((RwOp::Read { key: key.clone() }, value)),
        _ => Err(EXPECTED),
    }
}

const EXPECTED: &str = "a list of [\"w\", key, number] and [\"r\", key, number or null]";
const SAME: &str = "the operations of the call, with what each read found";
