//! What clients saw: which operations they called, when, and how each ended.
//!
//! ```text
//! process 1   |--- write 1 ---| ok        it happened between the two stamps, and returned
//! process 2        |--- write 2 ...  info  nobody knows: it may happen at any time later
//! process 3   |- cas 1 2 -| fail           it definitely never happens
//! process 4                    |- read -| ok, 2
//! ```
//!
//! Stamps are of one clock that all clients share: the world's, never a node's. They are taken
//! before the request is sent and after the answer is there, so that intervals are closed: equal
//! stamps are concurrent, for a checker also those of one process: let time pass between them.
//!
//! Histories are read from files by [`lines`], [`jepsen`], [`kv`] and [`load`], and written by
//! [`lines`] and [`edn`].
//!
//! Source: Herlihy and Wing, "Linearizability" (1990), 2.2; `ok`, `fail` and `info` are Jepsen's.

pub mod edn;
pub mod jepsen;
pub mod kv;
mod ledger;
pub mod lines;
pub mod load;
pub(crate) mod objects;
pub mod transactions;
mod value;

use std::collections::BTreeMap;

use quorate_core::Instant;

pub use self::ledger::{MAX_LINE_BYTES, ReadError};
pub use self::value::Value;

/// The operations `O` of all processes, and what they returned.
///
/// A process does one thing at a time, and never another after `info`, because its last operation
/// may still happen. The types see to that: [`invoke`](Self::invoke) takes the [`Process`] away,
/// and [`info`](Self::info) gives none back.
///
/// # Invariants
///
/// - No operation ends before it was called.
///
/// # Examples
///
/// ```
/// use quorate_sim::{History, Instant};
///
/// let mut history = History::new();
/// let process = history.start();
/// let call = history.invoke(process, Instant::from_nanos(10), "write 1");
/// let process = history.ok(call, Instant::from_nanos(20), "done");
/// let call = history.invoke(process, Instant::from_nanos(30), "write 2");
/// history.info(call, Instant::from_nanos(40)); // no answer: the client goes on under a new number
/// let process = history.start();
/// assert_eq!((process.number(), history.spans().len()), (1, 2));
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct History<O, R> {
    spans: Vec<Span<O, R>>,
    /// The number of the next process.
    next_process: u64,
}

/// One operation: who called it, when, and how it ended.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Span<O, R> {
    /// Who called it.
    pub process: u64,
    /// When, before the request was sent.
    pub called: Instant,
    /// What was called.
    pub operation: O,
    /// How it ended.
    pub outcome: Outcome<R>,
}

/// How an operation ended.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "a checker must answer to each")]
pub enum Outcome<R> {
    /// It happened and returned.
    Ok {
        /// When the answer was there.
        at: Instant,
        /// What it returned.
        returned: R,
    },
    /// It definitely did not happen, and never will.
    Fail {
        /// When that was known.
        at: Instant,
    },
    /// It may have happened, or may happen at any time later.
    Info {
        /// When the client gave up; `None` if the history ends before.
        at: Option<Instant>,
    },
}

/// Leave to call one operation. A client holds one, and starts another after `info`.
#[derive(Debug)]
#[must_use = "a process that is dropped calls nothing any more"]
pub struct Process {
    number: u64,
}

impl Process {
    /// Returns its number.
    #[must_use]
    pub const fn number(&self) -> u64 {
        self.number
    }
}

/// An operation that has not ended. If it is dropped, nobody knows how it ended.
#[derive(Debug)]
#[must_use = "a call that is dropped may happen at any time later"]
pub struct Call {
    index: usize,
}

/// A call or a return, in the order of a history.
#[derive(Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Event<'a, O, R> {
    /// When.
    pub at: Instant,
    /// Whether this is the return.
    pub is_return: bool,
    /// The position of the operation in [`History::spans`].
    pub index: usize,
    /// The operation.
    pub span: &'a Span<O, R>,
}

impl<O, R> Clone for Event<'_, O, R> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<O, R> Copy for Event<'_, O, R> {}

impl<O, R> Default for History<O, R> {
    fn default() -> Self {
        Self::new()
    }
}

impl<O, R> History<O, R> {
    /// Makes a history without operations.
    #[must_use]
    pub const fn new() -> Self {
        Self { spans: Vec::new(), next_process: 0 }
    }

    /// Starts a process under a number that no other has.
    pub const fn start(&mut self) -> Process {
        let number = self.next_process;
        self.next_process = self.next_process.saturating_add(1);
        Process { number }
    }

    /// Notes that `process` is about to call `operation`. O(1).
    #[expect(clippy::needless_pass_by_value, reason = "it is taken until the call returns")]
    pub fn invoke(&mut self, process: Process, at: Instant, operation: O) -> Call {
        Call { index: self.push(process.number, at, operation) }
    }

    /// Notes that `call` happened and returned, and gives its process back.
    ///
    /// An `at` before the call counts as the stamp of the call.
    ///
    /// # Panics
    ///
    /// If the call is of another history.
    #[expect(clippy::needless_pass_by_value, reason = "a call ends once")]
    pub fn ok(&mut self, call: Call, at: Instant, returned: R) -> Process {
        self.end(call.index, |called| Outcome::Ok { at: at.max(called), returned })
    }

    /// Notes that `call` definitely does not happen, and gives its process back.
    ///
    /// # Panics
    ///
    /// If the call is of another history.
    #[expect(clippy::needless_pass_by_value, reason = "a call ends once")]
    pub fn fail(&mut self, call: Call, at: Instant) -> Process {
        self.end(call.index, |called| Outcome::Fail { at: at.max(called) })
    }

    /// Notes that nobody waits for `call` any more: it may have happened, or may happen later.
    ///
    /// Its process is gone; the client goes on under a new one.
    ///
    /// # Panics
    ///
    /// If the call is of another history.
    #[expect(clippy::needless_pass_by_value, reason = "a call ends once")]
    pub fn info(&mut self, call: Call, at: Instant) {
        _ = self.end(call.index, |called| Outcome::Info { at: Some(at.max(called)) });
    }

    /// Appends an operation whose end is not known so far, and returns its index.
    fn push(&mut self, process: u64, called: Instant, operation: O) -> usize {
        self.next_process = self.next_process.max(process.saturating_add(1));
        self.spans.push(Span { process, called, operation, outcome: Outcome::Info { at: None } });
        self.spans.len() - 1
    }

    fn end(&mut self, index: usize, outcome: impl FnOnce(Instant) -> Outcome<R>) -> Process {
        let span = self.spans.get_mut(index).filter(|it| it.outcome.is_open());
        let span = span.expect("a call ends in the history where it began");
        span.outcome = outcome(span.called);
        Process { number: span.process }
    }

    /// Returns the operations, in the order in which they were noted.
    #[must_use]
    pub fn spans(&self) -> &[Span<O, R>] {
        &self.spans
    }

    /// Returns the calls and the returns in the order of their stamps. What is open has no return.
    /// O(n log n).
    ///
    /// Where stamps are equal, calls come before returns, but what one process did stays in order.
    #[must_use]
    pub fn events(&self) -> Vec<Event<'_, O, R>> {
        let mut events = Vec::with_capacity(2 * self.spans.len());
        // For each process its last return: where it is in `events`, and when it was.
        let mut returns: BTreeMap<u64, (usize, Instant)> = BTreeMap::new();
        for (index, span) in self.spans.iter().enumerate() {
            let last = returns.get(&span.process).filter(|(_, at)| *at == span.called);
            let mut rank = CALL;
            if let Some((place, _)) = last {
                rank = BETWEEN;
                let before: &mut (u8, Event<'_, O, R>) = &mut events[*place];
                before.0 = BETWEEN;
            }
            events.push((rank, Event { at: span.called, is_return: false, index, span }));
            if let Some(at) = span.outcome.at() {
                returns.insert(span.process, (events.len(), at));
                events.push((RETURN, Event { at, is_return: true, index, span }));
            }
        }
        events.sort_by_key(|(rank, event)| (event.at, *rank, event.index, event.is_return));
        events.into_iter().map(|(_, event)| event).collect()
    }
}

impl<R> Outcome<R> {
    /// Returns when the client knew; `None` if the history ends before.
    #[must_use]
    pub const fn at(&self) -> Option<Instant> {
        match self {
            Self::Ok { at, .. } | Self::Fail { at } => Some(*at),
            Self::Info { at } => *at,
        }
    }

    /// Returns what came back, if anything did.
    #[must_use]
    pub const fn returned(&self) -> Option<&R> {
        match self {
            Self::Ok { returned, .. } => Some(returned),
            Self::Fail { .. } | Self::Info { .. } => None,
        }
    }

    const fn is_open(&self) -> bool {
        matches!(self, Self::Info { at: None })
    }
}

/// How the operations of a history are written in a file.
///
/// Every reader and writer of this module works with any vocabulary, so a model of your own that
/// has one can be read from each of the formats. Those of [`check`](crate::check) have one.
pub trait Vocabulary {
    /// What is called.
    type Operation;
    /// What comes back.
    type Return;

    /// Returns the operation that the words mean.
    ///
    /// # Errors
    ///
    /// What was expected instead, as in `cas with [old, new]`.
    fn operation(&self, words: Words) -> Result<Self::Operation, &'static str>;

    /// Returns what `operation` returned, if the return has this `value`.
    ///
    /// # Errors
    ///
    /// What was expected instead.
    fn returned(
        &self,
        operation: &Self::Operation,
        value: Value,
    ) -> Result<Self::Return, &'static str>;

    /// Returns the words for `operation`, such that [`operation`](Self::operation) undoes it.
    fn words(&self, operation: &Self::Operation) -> Words;

    /// Returns the value for `returned`, such that [`returned`](Self::returned) undoes it.
    fn value(&self, operation: &Self::Operation, returned: &Self::Return) -> Value;
}

/// An operation as it is written in a file.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "a format that has more cannot be read")]
pub struct Words {
    /// Its name, as in `cas`.
    pub f: String,
    /// What it concerns, if there is more than one thing.
    pub key: Option<Value>,
    /// What it is called with; [`Value::Null`] if nothing.
    pub value: Value,
}

impl Words {
    /// Makes the words for an operation without a key.
    #[must_use]
    pub fn new(f: &str, value: Value) -> Self {
        Self { f: f.to_owned(), key: None, value }
    }
}

/// At equal stamps: a call, what lies between two operations of one process, a return.
const CALL: u8 = 0;
const BETWEEN: u8 = 1;
const RETURN: u8 = 2;
