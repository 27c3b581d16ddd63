//! Transactions that append to lists and read them.

#[expect(clippy::disallowed_types, reason = "its hasher is fixed, and it is not iterated")]
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, DefaultHasher};

use super::explain::Words as _;
use super::list_key::ListKey;
use super::verdict::{Findings, judge};
use super::{Status, Verdict, WrittenTwice, explain, times};
use crate::check::cycles::Edges;
use crate::history::{History, Value, Vocabulary, Words};

/// A judge of histories whose transactions append to lists, and read whole lists.
///
/// Each element is appended to a list at most once. A list that nobody appended to is empty.
///
/// # Examples
///
/// ```
/// use quorate_sim::check::transactions::{ConsistencyModel, ListAppend};
/// use quorate_sim::history::transactions;
///
/// let text = r#"
/// {"process":0,"type":"invoke","value":[["append","x",1],["r","y",null]]}
/// {"process":1,"type":"invoke","value":[["append","y",1],["r","x",null]]}
/// {"process":0,"type":"ok","value":[["append","x",1],["r","y",[]]]}
/// {"process":1,"type":"ok","value":[["append","y",1],["r","x",[]]]}"#;
/// let history = transactions::read(&ListAppend, text.as_bytes())?;
/// let verdict = ListAppend.check(&history)?;
/// assert_eq!(verdict.to_string(), "G2-item");
/// assert!(verdict.permits(ConsistencyModel::SNAPSHOT));
/// assert!(!verdict.permits(ConsistencyModel::SERIALIZABLE));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "there is nothing to configure")]
#[doc(alias = "elle")]
pub struct ListAppend;

/// What a transaction does to a list.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "tests make them")]
pub enum ListOp {
    /// Appends an element, which nobody else appends to this list.
    Append {
        /// Which list.
        key: Value,
        /// What.
        element: i64,
    },
    /// Reads a whole list.
    Read {
        /// Which list.
        key: Value,
    },
}

/// What transactions did, and what each of their reads found, in the order of the reads. Of a read
/// that is missing there nothing is known.
pub type ListHistory = History<Vec<ListOp>, Vec<Vec<i64>>>;

impl ListAppend {
    /// Judges `history`. O(n log n) in all that was read and written, if nothing is wrong.
    ///
    /// # Errors
    ///
    /// An element was appended twice.
    pub fn check(&self, history: &ListHistory) -> Result<Verdict, WrittenTwice> {
        let keys = Keys::new(history.spans().iter().flat_map(|span| &span.operation), ListOp::key);
        let mut edges = Edges::new(history.spans().len());
        let mut findings = Findings::default();
        let statuses: Vec<Status> = history.spans().iter().map(Status::of).collect();
        let acts = acts(history, &keys, &statuses);
        for (id, key) in (0..).zip(&keys.names) {
            let acts = acts.of(id);
            findings.steps += acts.len() as u64;
            ListKey::new(key, id, acts, &statuses)?.scan(&mut edges, &mut findings);
        }
        times::add(history, &mut edges);
        let words = explain::Lists { history, keys: &keys.names };
        Ok(judge(&edges, findings, &words))
    }

    /// Returns a transaction in words, as in `T3 (process 1): append x 4, read y -> [1,2]`.
    ///
    /// # Panics
    ///
    /// If there is no transaction `index`.
    #[must_use]
    pub fn describe(&self, history: &ListHistory, index: usize) -> String {
        explain::Lists { history, keys: &[] }.transaction(index)
    }
}

impl ListOp {
    /// Returns the list that it is about.
    #[must_use]
    pub const fn key(&self) -> &Value {
        match self {
            Self::Append { key, .. } | Self::Read { key } => key,
        }
    }
}

/// What a transaction did to a key.
#[derive(Clone, Copy, Debug)]
pub(super) struct Act<W> {
    pub(super) transaction: u32,
    pub(super) what: W,
}

/// An append, or a read of what is known.
#[derive(Clone, Copy, Debug)]
pub(super) enum ListAct<'a> {
    Append(i64),
    Read(&'a [i64]),
}

/// Keys by their numbers.
#[derive(Debug)]
pub(super) struct Keys<'a> {
    pub(super) names: Vec<&'a Value>,
    /// Of each operation, in the order of the history, the number of its key.
    pub(super) numbers: Vec<u32>,
}

impl<'a> Keys<'a> {
    /// Numbers keys in the order in which they come.
    pub(super) fn new<O: 'a>(
        ops: impl Iterator<Item = &'a O>,
        key: impl Fn(&'a O) -> &'a Value,
    ) -> Self {
        let (mut names, mut numbers) = (Vec::new(), Vec::new());
        #[expect(clippy::disallowed_types, reason = "its hasher is fixed, and it is not iterated")]
        let mut known: HashMap<_, u32, BuildHasherDefault<DefaultHasher>> = HashMap::default();
        for op in ops {
            let key = key(op);
            numbers.push(*known.entry(key).or_insert_with(|| {
                names.push(key);
                u32::try_from(names.len() - 1).expect("edges have counted them")
            }));
        }
        Self { names, numbers }
    }
}

/// What was done to each key, in the order of transactions, and within one in its own.
#[derive(Debug)]
pub(super) struct Acts<W> {
    acts: Vec<Act<W>>,
    offsets: Vec<u32>,
}

impl<W: Copy> Acts<W> {
    /// Sorts by key. O(n).
    pub(super) fn new(keys: usize, unsorted: &[(u32, Act<W>)]) -> Self {
        let mut offsets = vec![0_u32; keys + 1];
        for (key, _) in unsorted {
            offsets[*key as usize] += 1;
        }
        let mut sum = 0;
        for offset in &mut offsets {
            sum += *offset;
            *offset = sum;
        }
        let mut acts: Vec<Act<W>> = unsorted.iter().map(|(_, act)| *act).collect();
        for (key, act) in unsorted.iter().rev() {
            offsets[*key as usize] -= 1;
            acts[offsets[*key as usize] as usize] = *act;
        }
        Self { acts, offsets }
    }

    pub(super) fn of(&self, key: u32) -> &[Act<W>] {
        let key = key as usize;
        &self.acts[self.offsets[key] as usize..self.offsets[key + 1] as usize]
    }
}

fn acts<'a>(history: &'a ListHistory, keys: &Keys<'_>, statuses: &[Status]) -> Acts<ListAct<'a>> {
    let mut unsorted = Vec::with_capacity(keys.numbers.len());
    let mut numbers = keys.numbers.iter();
    for ((transaction, span), status) in (0..).zip(history.spans()).zip(statuses) {
        let mut found = span.outcome.returned().into_iter().flatten();
        for (op, key) in span.operation.iter().zip(&mut numbers) {
            let what = match op {
                ListOp::Append { element, .. } => ListAct::Append(*element),
                ListOp::Read { .. } => match found.next() {
                    Some(list) if *status == Status::Ok => ListAct::Read(list),
                    _ => continue,
                },
            };
            unsorted.push((*key, Act { transaction, what }));
        }
    }
    Acts::new(keys.names.len(), &unsorted)
}

impl Vocabulary for ListAppend {
    type Operation = Vec<ListOp>;
    type Return = Vec<Vec<i64>>;

    fn operation(&self, words: Words) -> Result<Vec<ListOp>, &'static str> {
        let Value::List(ops) = words.value else { return Err(EXPECTED) };
        ops.iter().map(|op| parse(op).map(|(op, _)| op)).collect()
    }

    fn returned(
        &self,
        operation: &Vec<ListOp>,
        value: Value,
    ) -> Result<Vec<Vec<i64>>, &'static str> {
        let Value::List(ops) = value else { return Err(EXPECTED) };
        if ops.len() != operation.len() {
            return Err(SAME);
        }
        let mut found = Vec::new();
        for (called, op) in operation.iter().zip(&*ops) {
            let (op, list) = parse(op)?;
            if op != *called {
                return Err(SAME);
            }
            if let ListOp::Read { .. } = op {
                found.push(elements(list)?);
            }
        }
        Ok(found)
    }

    fn words(&self, operation: &Vec<ListOp>) -> Words {
        Words::new("txn", Value::list(operation.iter().map(|op| op.value(Value::Null))))
    }

    fn value(&self, operation: &Vec<ListOp>, returned: &Vec<Vec<i64>>) -> Value {
        let mut found = returned.iter();
        let mut next = || found.next().map(|list| Value::list(list.iter().map(|it| (*it).into())));
        Value::list(operation.iter().map(|op| match op {
            ListOp::Append { .. } => op.value(Value::Null),
            ListOp::Read { .. } => op.value(next().unwrap_or_default()),
        }))
    }
}

impl ListOp {
    fn value(&self, found: Value) -> Value {
        match self {
            Self::Append { key, element } => {
                Value::list(["append".into(), key.clone(), (*element).into()])
            }
            Self::Read { key } => Value::list(["r".into(), key.clone(), found]),
        }
    }
}

fn parse(op: &Value) -> Result<(ListOp, &Value), &'static str> {
    let Value::List(parts) = op else { return Err(EXPECTED) };
    let [Value::Text(f), key, value] = &**parts else { return Err(EXPECTED) };
    match (&**f, value) {
        ("append", Value::Integer(element)) => {
            Ok((ListOp::Append { key: key.clone(), element: *element }, value))
        }
        ("r", _) => Ok((ListOp::Read { key: key.clone() }, value)),
        _ => Err(EXPECTED),
    }
}

/// Returns the elements of a list that was read; nothing there is an empty one.
fn elements(list: &Value) -> Result<Vec<i64>, &'static str> {
    match list {
        Value::Null => Ok(Vec::new()),
        Value::List(elements) => {
            elements.iter().map(|it| it.as_integer().ok_or(EXPECTED)).collect()
        }
        Value::Bool(_) | Value::Integer(_) | Value::Text(_) => Err(EXPECTED),
    }
}

const EXPECTED: &str = "a list of [\"append\", key, number] and [\"r\", key, list of numbers]";
const SAME: &str = "the operations of the call, with what each read found";
