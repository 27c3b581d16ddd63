//! Which caller waits for which entry, and how each of them learns its end.
//!
//! ```text
//! propose -> index 7, in term 2     delivered at 7     the caller hears
//!                                   7@2                Done
//!                                   7@3                Lost: another entry took the place
//!                                   6@3                Lost: what follows has a term of 3 or more
//! ```
//!
//! A truncation settles nothing: the entry of a deposed leader can still win.

use std::collections::BTreeMap;

use thiserror::Error;

use crate::{Entry, LogId};

/// Callers `T` that wait for the entries they proposed, each of which gets exactly one [`Outcome`].
///
/// Whoever proposed to a node that crashes, or goes away, hears nothing from here: its outcome is
/// unknown, and the table is gone with the node.
///
/// # Examples
///
/// ```
/// use quorate_consensus::{Entry, Index, LogId, Outcome, Payload, Proposals, Term};
///
/// let mut proposals = Proposals::new(100);
/// proposals.insert(LogId { term: Term(2), index: Index(7) }, "alice")?;
/// proposals.insert(LogId { term: Term(2), index: Index(8) }, "bob")?;
///
/// // Another leader's blank entry came out at 8.
/// let settle = |proposals: &mut Proposals<_>, index, term| {
///     let entry = Entry { index: Index(index), term: Term(term), payload: Payload::Blank };
///     proposals.settle(&entry)
/// };
/// assert_eq!(settle(&mut proposals, 7, 2), [("alice", Outcome::Done)]);
/// assert_eq!(settle(&mut proposals, 8, 3), [("bob", Outcome::Lost)]);
/// # Ok::<(), quorate_consensus::TooMany>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Proposals<T> {
    max_waiting: usize,
    /// By term, then index: what a later term overtakes stands first.
    waiting: BTreeMap<LogId, T>,
}

/// How a proposal ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "a proposal has no other ends")]
pub enum Outcome {
    /// The entry is committed, and is delivered now.
    Done,
    /// The entry is definitely not committed, and never will be.
    Lost,
}

/// As many callers wait as may.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("{max_waiting} proposals wait already")]
pub struct TooMany {
    /// The limit.
    pub max_waiting: usize,
}

impl<T> Proposals<T> {
    /// Makes an empty table, for at most `max_waiting` callers.
    #[must_use]
    pub const fn new(max_waiting: usize) -> Self {
        Self { max_waiting, waiting: BTreeMap::new() }
    }

    /// Lets `caller` wait for the entry `id`. O(log n) time.
    ///
    /// Ask [`is_full`](Self::is_full) before proposing: an entry that is in the log needs a caller.
    ///
    /// # Errors
    ///
    /// [`TooMany`]: the caller is dropped.
    pub fn insert(&mut self, id: LogId, caller: T) -> Result<(), TooMany> {
        if self.is_full() {
            return Err(TooMany { max_waiting: self.max_waiting });
        }
        self.waiting.insert(id, caller);
        Ok(())
    }

    /// Takes in that `entry` is delivered, and returns whose wait is over. Entries come in order.
    pub fn settle(&mut self, entry: &Entry) -> Vec<(T, Outcome)> {
        let mut settled = Vec::new();
        while let Some(first) = self.waiting.first_entry() {
            let outcome = if first.key().term < entry.term {
                // Its index was not delivered before, so it is at or after this one, where terms
                // are at least this one's.
                Outcome::Lost
            } else if *first.key() == entry.id() {
                Outcome::Done
            } else {
                break;
            };
            settled.push((first.remove(), outcome));
        }
        settled
    }

    /// Returns whether no further caller may wait.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.max_waiting <= self.waiting.len()
    }

    /// Returns how many wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Returns whether nobody waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}
