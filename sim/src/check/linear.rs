//! Linearizability: is there one order of all operations that explains what each returned?
//!
//! ```text
//! process 1  |-- write 1 --|                     an order: write 1, write 2, read -> 2
//! process 2         |-------- write 2 --------|
//! process 3                     |- read -> 2 -|
//! ```
//!
//! A search in depth: take an operation that no other has to precede, see whether it can return
//! here what it did, go on; if nothing fits, take the last one back. What was taken, and the state
//! that it led to, is remembered: no such pair is entered twice. The rest is care:
//!
//! - Histories split by key are as many small ones. All are searched in turns, with a budget that
//!   grows: a hard key cannot hide the violation of another.
//! - Reads come first, and no other is tried in their place: they change nothing, so now is as good
//!   as later. This is only true of what changes *no* state. A write of what is there already must
//!   wait its turn, because it may be needed later.
//! - What may have happened comes last, and only if it changes the state. A pair that was entered
//!   with fewer of them before is not entered again.
//!
//! Source: Wing and Gong, "Testing and verifying concurrent objects" (1993); Lowe, "Testing for
//! linearizability" (2017), for the memory; Horn and Kroening, "Faster linearizability checking via
//! P-compositionality" (2015), for partitions. Turns, and what is said of unknown operations, are
//! ours.

mod links;
mod memo;
mod report;
mod search;
mod states;

use std::collections::BTreeMap;
use std::fmt;

pub use self::report::{Counterexample, Prefix, Row};

use self::memo::Budget;
use self::search::{Progress, Search};
use super::traps::{Trap, planted};
use super::{Keyed, Model};
use crate::history::History;

/// A checker of linearizability for histories of the model `M`.
///
/// # Examples
///
/// ```
/// use quorate_sim::check::models::{Register, RegisterOp, RegisterReturn};
/// use quorate_sim::check::{Linearizable, Verdict};
/// use quorate_sim::{History, Instant};
///
/// let at = Instant::from_nanos;
/// let mut history = History::new();
/// let (writer, reader) = (history.start(), history.start());
/// let write = history.invoke(writer, at(1), RegisterOp::Write(7.into()));
/// history.ok(write, at(2), RegisterReturn::Done);
/// let read = history.invoke(reader, at(3), RegisterOp::Read);
/// history.ok(read, at(4), RegisterReturn::Found(5.into())); // nobody wrote it
///
/// let verdict = Linearizable::whole(Register).check(&history);
/// assert!(matches!(verdict, Verdict::Violation(_)));
/// ```
#[doc(alias = "porcupine")]
#[doc(alias = "knossos")]
pub struct Linearizable<M: Model> {
    model: M,
    parts: fn(&M, &HistoryOf<M>) -> Vec<Part>,
    label: fn(&M, &M::Operation) -> String,
    max_steps: u64,
    max_bytes: usize,
}

type HistoryOf<M> = History<<M as Model>::Operation, <M as Model>::Return>;

/// The operations of a key, as positions in the history.
type Part = Vec<u32>;

/// What a checker found.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "a test must answer to each")]
pub enum Verdict {
    /// There is such an order.
    Linearizable,
    /// There is none, and this shows where it ends.
    Violation(Counterexample),
    /// The budget was spent before either was clear.
    Unknown {
        /// How many steps were taken.
        spent: u64,
    },
}

impl<M: Model> Linearizable<M> {
    /// Makes a checker that judges all operations together.
    #[must_use]
    pub const fn whole(model: M) -> Self {
        Self { model, parts: all, label: no_label, max_steps: MAX_STEPS, max_bytes: MAX_BYTES }
    }

    /// Sets how many steps it may take, over all keys; one is to try one operation at one state.
    ///
    /// 20 to 100 million of them are a few seconds. 0 answers [`Verdict::Unknown`] unless there is
    /// nothing to try.
    #[must_use]
    pub fn max_steps(self, max_steps: u64) -> Self {
        Self { max_steps, ..self }
    }

    /// Sets how many bytes it may take, over all keys, besides 4 to 8 per operation.
    ///
    /// What a state holds elsewhere counts as [`Model::state_bytes`] says. A key for which there is
    /// too little is given up; the others are judged.
    #[must_use]
    pub fn max_bytes(self, max_bytes: usize) -> Self {
        Self { max_bytes, ..self }
    }

    /// Judges `history`.
    ///
    /// Takes O(n log n) if clients rarely disagree about what comes first, and exponential time in
    /// the number of concurrent operations at worst: see [`max_steps`](Self::max_steps). The same
    /// history gets the same verdict, on every platform.
    #[must_use]
    pub fn check(&self, history: &History<M::Operation, M::Return>) -> Verdict
    where
        M::Operation: fmt::Display,
        M::Return: fmt::Display,
    {
        let mut budget = Budget::new(self.max_bytes);
        let mut waiting: Vec<Turn<M::State>> =
            (self.parts)(&self.model, history).into_iter().map(Turn::First).collect();
        let (mut spent, mut is_unknown, mut turn) = (0, false, FIRST_TURN_STEPS);
        if planted(Trap::OneAfterAnother) {
            turn = u64::MAX;
        }
        while !waiting.is_empty() {
            let mut next = Vec::new();
            for part in waiting {
                let mut steps = turn;
                let search = match part {
                    Turn::First(spans) => {
                        steps = steps.max(STEPS_PER_CALL.saturating_mul(spans.len() as u64));
                        Search::new(&self.model, history, spans, &mut budget)
                    }
                    Turn::Later(search) => Some(*search),
                };
                let Some(mut search) = search else {
                    is_unknown = true;
                    continue;
                };
                let steps = steps.min(self.max_steps - spent);
                let (progress, used) = search.advance(&self.model, history, steps, &mut budget);
                spent += used;
                match progress {
                    Progress::Found => search.free(&mut budget),
                    Progress::Paused => next.push(Turn::Later(Box::new(search))),
                    Progress::Full => {
                        is_unknown = true;
                        search.free(&mut budget);
                    }
                    Progress::Nothing => {
                        return Verdict::Violation(search.report(&self.model, history, self.label));
                    }
                }
            }
            if !next.is_empty() && self.max_steps <= spent {
                return Verdict::Unknown { spent };
            }
            waiting = next;
            turn = turn.saturating_mul(TURN_GROWTH);
        }
        if is_unknown { Verdict::Unknown { spent } } else { Verdict::Linearizable }
    }
}

impl<M: Keyed> Linearizable<M> {
    /// Makes a checker that judges the operations of each key on their own.
    #[must_use]
    pub const fn by_key(model: M) -> Self {
        let (max_steps, max_bytes) = (MAX_STEPS, MAX_BYTES);
        Self { model, parts: each_key, label: key_label, max_steps, max_bytes }
    }
}

/// A key, before and after its first turn.
enum Turn<S> {
    First(Part),
    Later(Box<Search<S>>),
}

fn all<M: Model>(_model: &M, history: &HistoryOf<M>) -> Vec<Part> {
    let count = u32::try_from(history.spans().len()).expect("a history has below 2^32 operations");
    vec![(0..count).collect()]
}

fn each_key<M: Keyed>(model: &M, history: &HistoryOf<M>) -> Vec<Part> {
    let mut parts: BTreeMap<&M::Key, Part> = BTreeMap::new();
    for (index, span) in (0..).zip(history.spans()) {
        parts.entry(model.key(&span.operation)).or_default().push(index);
    }
    parts.into_values().collect()
}

fn no_label<M: Model>(_model: &M, _operation: &M::Operation) -> String {
    String::new()
}

fn key_label<M: Keyed>(model: &M, operation: &M::Operation) -> String {
    model.describe_key(model.key(operation))
}

impl<M: Model + fmt::Debug> fmt::Debug for Linearizable<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Linearizable")
            .field("model", &self.model)
            .field("max_steps", &self.max_steps)
            .field("max_bytes", &self.max_bytes)
            .finish_non_exhaustive()
    }
}

impl Verdict {
    /// Returns whether there is such an order.
    #[must_use]
    pub const fn is_linearizable(&self) -> bool {
        matches!(self, Self::Linearizable)
    }

    /// Returns whether there is surely none.
    #[must_use]
    pub const fn is_violation(&self) -> bool {
        matches!(self, Self::Violation(_))
    }
}

impl fmt::Display for Verdict {
    /// Writes one line, as in `not linearizable`; `{:#}` adds the table of the violation.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Linearizable => f.write_str("linearizable"),
            Self::Violation(why) if f.alternate() => write!(f, "not linearizable: {why}"),
            Self::Violation(_) => f.write_str("not linearizable"),
            Self::Unknown { spent } => write!(f, "unknown after {spent} steps"),
        }
    }
}

/// What a call may cost in the first turn of its key: what is easy is done and forgotten then,
/// however long it is.
const STEPS_PER_CALL: u64 = 4;

/// The first turn of a key. Most keys of most histories need fewer steps.
const FIRST_TURN_STEPS: u64 = 4_096;

/// Each turn is so much longer than the last, so that a key which stays in memory costs little.
const TURN_GROWTH: u64 = 4;

/// About 10 s.
const MAX_STEPS: u64 = 200_000_000;

/// What a test machine has to spare.
const MAX_BYTES: usize = 1 << 30;
