//! The search through the operations of one key. It can stop after any step and go on later.

use std::fmt;

use super::super::Model;
use super::super::traps::{Trap, planted};
use super::links::{Interval, Links, READS, UNKNOWN, WRITES, index};
use super::memo::{Budget, Entry, Memo, Taken, spread};
use super::report::{Counterexample, DeadEnds, Scene};
use super::states::{IMPOSSIBLE, States};
use crate::history::{History, Outcome};

/// How far a search came.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Progress {
    /// It found an order.
    Found,
    /// There is none.
    Nothing,
    /// It has more to try.
    Paused,
    /// It has more to try, and no memory left.
    Full,
}

/// # Invariants
///
/// - `frames` are the operations that are taken, in their order; the sets, `hash`, `state`, `last`
///   and `remaining` are functions of them.
#[derive(Clone, Debug)]
pub(super) struct Search<S> {
    /// Which operation of the history each is: first the known ones, then the rest, each in the
    /// order of their calls.
    spans: Vec<u32>,
    links: Links,
    states: States<S>,
    memo: Memo,
    known: Vec<u64>,
    unknown: Vec<u64>,
    /// Of the known operations that are taken.
    hash: u64,
    state: u32,
    /// The last of the known operations that are taken, by their calls.
    last: u32,
    /// How many known operations are not taken.
    remaining: u32,
    frames: Vec<Frame>,
    /// The list that is tried, and the next operation in it.
    list: u32,
    cursor: u32,
    dead_ends: DeadEnds,
    /// What it holds of the budget besides its memory and its states.
    bytes: usize,
}

/// What to go back to.
#[derive(Clone, Copy, Debug)]
struct Frame {
    op: u32,
    /// The list that it was in.
    list: u32,
    state: u32,
    last: u32,
}

impl<S: Clone + Eq + std::hash::Hash> Search<S> {
    /// Prepares the search for an order of `spans`. `None` if there is no memory for it.
    pub(super) fn new<M: Model<State = S>>(
        model: &M,
        history: &History<M::Operation, M::Return>,
        mut spans: Vec<u32>,
        budget: &mut Budget,
    ) -> Option<Self> {
        let bytes = spans.len() * BYTES_PER_OPERATION;
        if !budget.take(bytes) {
            return None;
        }
        let mut all = Vec::with_capacity(spans.len());
        for span_index in spans.drain(..) {
            let span = &history.spans()[span_index as usize];
            let is_read = model.is_read(&span.operation, span.outcome.returned());
            let returned = match &span.outcome {
                Outcome::Ok { at, .. } => Some(at.as_nanos()),
                Outcome::Fail { .. } => continue,
                Outcome::Info { .. } if is_read || planted(Trap::UnknownIsFailed) => continue,
                Outcome::Info { .. } => None,
            };
            let called = span.called.as_nanos();
            all.push(Interval { called, returned, is_read, span: span_index });
        }
        all.sort_by_key(|it| (it.returned.is_none(), it.called, it.span));
        spans.extend(all.iter().map(|it| it.span));
        let links = Links::new(&all);
        let (known, total) = (links.known(), links.total());
        let words = |count: u32| vec![0; count.div_ceil(64) as usize];
        let mut states = States::new(all.len());
        let initial = model.initial();
        let state_bytes = model.state_bytes(&initial);
        let state = states.number(initial, state_bytes, budget)?;
        Some(Self {
            spans,
            states,
            memo: Memo::new(known, total - known),
            known: words(known),
            unknown: words(total - known),
            hash: 0,
            state,
            last: 0,
            remaining: known,
            frames: Vec::with_capacity(all.len()),
            list: READS,
            cursor: links.first(READS),
            links,
            dead_ends: DeadEnds::default(),
            bytes,
        })
    }

    /// Takes up to `max_steps` steps, and returns how far it came and how many it took.
    pub(super) fn advance<M: Model<State = S>>(
        &mut self,
        model: &M,
        history: &History<M::Operation, M::Return>,
        max_steps: u64,
        budget: &mut Budget,
    ) -> (Progress, u64) {
        let mut steps = 0;
        if self.remaining == 0 {
            return (Progress::Found, steps);
        }
        loop {
            let op = self.cursor;
            if self.links.position(op) < self.links.bound() {
                if max_steps <= steps {
                    return (Progress::Paused, steps);
                }
                steps += 1;
                self.cursor = self.links.next(op);
                let Some(next) = self.step(model, history, op, budget) else {
                    return (Progress::Full, steps);
                };
                let is_wanted = next != IMPOSSIBLE && (self.list != UNKNOWN || next != self.state);
                if !is_wanted {
                    continue;
                }
                match self.enter(op, next, budget) {
                    Entry::New if self.remaining == 0 => return (Progress::Found, steps),
                    Entry::New => {}
                    Entry::Full => return (Progress::Full, steps),
                    Entry::Before => {}
                }
            } else if self.list < UNKNOWN {
                self.list += 1;
                self.cursor = self.links.first(self.list);
            } else {
                self.dead_ends.note(self.links.bound(), self.state, &self.frames, |it| it.op);
                if !self.go_back() {
                    return (Progress::Nothing, steps);
                }
            }
        }
    }

    /// Returns the state after `op`, or [`IMPOSSIBLE`]; `None` if there is no memory for it.
    fn step<M: Model<State = S>>(
        &mut self,
        model: &M,
        history: &History<M::Operation, M::Return>,
        op: u32,
        budget: &mut Budget,
    ) -> Option<u32> {
        if let Some(next) = self.states.known_step(self.state, op) {
            return Some(next);
        }
        let span = &history.spans()[self.spans[op as usize] as usize];
        let state = self.states.state(self.state);
        let next = match model.step(state, &span.operation, span.outcome.returned()) {
            None => IMPOSSIBLE,
            Some(_) if self.list == READS => self.state,
            Some(next) => {
                let bytes = model.state_bytes(&next);
                self.states.number(next, bytes, budget)?
            }
        };
        self.states.remember_step(self.state, op, next);
        Some(next)
    }

    /// Takes `op`, which leads to `next`, unless that was tried before.
    fn enter(&mut self, op: u32, next: u32, budget: &mut Budget) -> Entry {
        let known = self.links.known();
        let first = self.links.first(READS).min(self.links.first(WRITES));
        let (mut hash, mut last) = (self.hash, self.last);
        if op < known {
            self.known[(op / 64) as usize] |= 1 << (op % 64);
            hash ^= spread(op.into());
            last = last.max(op);
        } else {
            let op = op - known;
            self.unknown[(op / 64) as usize] |= 1 << (op % 64);
        }
        // What follows from a read is what follows from the pair before it.
        let is_trivial = self.list == READS || next == self.state && planted(Trap::ForgetsTrivial);
        let entry = if is_trivial {
            Entry::New
        } else {
            let end = (last / 64 + 1) as usize;
            let mut start = (first.min(last) / 64) as usize;
            while start < end && self.known[start] == u64::MAX {
                start += 1;
            }
            let words = &self.known[start..end];
            let taken = Taken { first_word: index(start), known: words, unknown: &self.unknown };
            self.memo.enter(hash, next, taken, budget)
        };
        if entry != Entry::New {
            self.forget(op);
            return entry;
        }
        self.frames.push(Frame { op, list: self.list, state: self.state, last: self.last });
        self.links.take(op);
        self.remaining -= u32::from(op < known);
        (self.hash, self.state, self.last) = (hash, next, last);
        (self.list, self.cursor) = (READS, self.links.first(READS));
        entry
    }

    /// Takes `op` out of the sets.
    fn forget(&mut self, op: u32) {
        let known = self.links.known();
        if op < known {
            self.known[(op / 64) as usize] &= !(1 << (op % 64));
        } else {
            let op = op - known;
            self.unknown[(op / 64) as usize] &= !(1 << (op % 64));
        }
    }

    /// Takes back the last operation for which there is another to try, and all after it. Returns
    /// whether there is one.
    fn go_back(&mut self) -> bool {
        while let Some(Frame { op, list, state, last }) = self.frames.pop() {
            let is_trivial = self.state == state;
            self.links.take_back(op);
            self.forget(op);
            if op < self.links.known() {
                self.hash ^= spread(op.into());
                self.remaining += 1;
            }
            (self.state, self.last) = (state, last);
            let is_greedy = planted(Trap::GreedyTrivial) && is_trivial;
            if list != READS && !is_greedy {
                (self.list, self.cursor) = (list, self.links.next(op));
                return true;
            }
        }
        false
    }

    /// Gives back what it holds of the budget.
    pub(super) fn free(self, budget: &mut Budget) {
        budget.give(self.bytes + self.memo.bytes() + self.states.bytes());
    }

    /// Says why there is no order, after [`Progress::Nothing`].
    pub(super) fn report<M: Model<State = S>>(
        &self,
        model: &M,
        history: &History<M::Operation, M::Return>,
        label: fn(&M, &M::Operation) -> String,
    ) -> Counterexample
    where
        M::Operation: fmt::Display,
        M::Return: fmt::Display,
    {
        debug_assert!(self.frames.is_empty(), "all was taken back");
        let scene = Scene {
            spans: history.spans(),
            ops: &self.spans,
            links: &self.links,
            describe: |state| model.describe(self.states.state(state)),
        };
        let key = self.spans.first().map(|it| &history.spans()[*it as usize].operation);
        scene.report(&self.dead_ends, key.map_or_else(String::new, |it| label(model, it)))
    }
}

/// Two nodes with links and positions, a frame, what says which operation it is, and what is there
/// only while the lists are made.
const BYTES_PER_OPERATION: usize = 120;
