//! What a node remembers of its log: where each term begins, and the newest entries.
//!
//! ```text
//!            first_cached                durable_index   last_index
//!                 |                            |             |
//!   ... 1@1  2@1  3@1  4@2  5@2  ...  9@2  10@2  11@3  12@3  13@3
//!       \______/  \____________________________________________/
//!       storage                       cached
//! ```

use std::collections::VecDeque;

use super::Query;
use crate::{Entry, Index, LogId, Term};

/// The log in memory. What it does not cache is durable, and can be fetched.
///
/// # Invariants
///
/// - `cached` ends at `last_index`, without gaps; what is before it is at most `durable_index`.
/// - `terms` rises in both index and term.
/// - `start.index <= durable_index <= last_index`.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Log {
    /// The last entry that is gone: all up to it are committed, and in a snapshot.
    start: LogId,
    /// Where each term begins.
    terms: Vec<(Index, Term)>,
    last_index: Index,
    durable_index: Index,
    cached: VecDeque<Entry>,
    /// The cost of `cached`.
    cached_bytes: usize,
}

impl Log {
    /// Makes an empty log behind `start`.
    pub(super) fn after(start: LogId) -> Self {
        let is_begun = start.index == Index::ZERO;
        let terms = if is_begun { Vec::new() } else { vec![(start.index, start.term)] };
        let (last_index, durable_index) = (start.index, start.index);
        Self { start, terms, last_index, durable_index, ..Self::default() }
    }

    /// Returns the last entry that is gone.
    pub(super) const fn start(&self) -> LogId {
        self.start
    }

    /// Adds an entry behind the last.
    pub(super) fn push(&mut self, entry: Entry) {
        assert!(entry.index == self.last_index.next(), "{entry} after {}", self.last_index);
        let last_term = self.last().term;
        assert!(last_term <= entry.term, "{entry} after term {last_term}");
        if last_term < entry.term {
            self.terms.push((entry.index, entry.term));
        }
        self.last_index = entry.index;
        self.cached_bytes += entry.cost_bytes();
        self.cached.push_back(entry);
    }

    /// Removes the entries at `from` and after.
    pub(super) fn truncate_suffix(&mut self, from: Index) {
        while self.cached.back().is_some_and(|last| from <= last.index)
            && let Some(entry) = self.cached.pop_back()
        {
            self.cached_bytes -= entry.cost_bytes();
        }
        self.last_index = self.last_index.min(from.previous());
        while self.terms.last().is_some_and(|(first, _)| from <= *first) {
            self.terms.pop();
        }
        self.durable_index = self.durable_index.min(self.last_index);
    }

    /// Takes in that the entries up to `index` are durable.
    pub(super) fn handle_durable(&mut self, index: Index) {
        self.durable_index = self.durable_index.max(index.min(self.last_index));
    }

    /// Forgets the oldest cached entries, which storage has and nobody here waits for, until at
    /// most `max_bytes` are left.
    pub(super) fn evict(&mut self, last_delivered: Index, max_bytes: usize) {
        let evictable = self.durable_index.min(last_delivered);
        while max_bytes < self.cached_bytes
            && self.cached.front().is_some_and(|first| first.index <= evictable)
            && let Some(entry) = self.cached.pop_front()
        {
            self.cached_bytes -= entry.cost_bytes();
        }
    }

    pub(super) const fn last_index(&self) -> Index {
        self.last_index
    }

    pub(super) const fn durable_index(&self) -> Index {
        self.durable_index
    }

    pub(super) fn last(&self) -> LogId {
        let term = self.terms.last().map_or(Term(0), |(_, term)| *term);
        LogId { term, index: self.last_index }
    }

    /// Returns the term at `index`, 0 before the first entry of all, `None` where the log is not.
    /// O(log t) for t terms.
    pub(super) fn term_at(&self, index: Index) -> Option<Term> {
        if self.last_index < index || index < self.start.index {
            return None;
        }
        let run = self.terms.partition_point(|(first, _)| *first <= index);
        Some(run.checked_sub(1).map_or(Term(0), |run| self.terms[run].1))
    }

    /// Returns the last entry at or before `id.index` whose term is not above `id.term`; the one
    /// that the log begins after, if that is gone.
    pub(super) fn last_at_or_before(&self, id: LogId) -> LogId {
        let mut index = id.index.min(self.last_index);
        loop {
            let run = self.terms.partition_point(|(first, _)| *first <= index);
            let Some(run) = run.checked_sub(1) else { return self.start };
            let (first, term) = self.terms[run];
            if term <= id.term {
                return LogId { term, index };
            }
            index = first.previous();
        }
    }

    /// Returns the entries at `from..=last`, up to `max_bytes` but at least one, or `None` if the
    /// first is not cached.
    pub(super) fn cached(&self, from: Index, last: Index, max_bytes: usize) -> Option<Vec<Entry>> {
        let (first, last) = (self.first_cached(), last.min(self.last_index));
        if from < first || last < from {
            return None;
        }
        let offset = |index| usize::try_from(first.distance_to(index)).expect("it fits memory");
        let mut left = max_bytes;
        let mut entries = Vec::new();
        for entry in self.cached.range(offset(from)..=offset(last)) {
            match left.checked_sub(entry.cost_bytes()) {
                Some(rest) => left = rest,
                None if entries.is_empty() => left = 0,
                None => break,
            }
            entries.push(entry.clone());
        }
        Some(entries)
    }

    /// Returns what to ask the storage for to get at the entry `from`, which is not cached, and at
    /// what follows it up to `last`.
    pub(super) fn query(&self, from: Index, last: Index, max_bytes: usize) -> Query {
        Query::Entries { range: from..self.first_cached().min(last.next()), max_bytes }
    }

    /// Returns whether `entries` are what this log holds from `from` on.
    pub(super) fn holds(&self, from: Index, entries: &[Entry]) -> bool {
        let indexes = (from.0..).map(Index);
        !entries.is_empty()
            && entries.iter().zip(indexes).all(|(entry, index)| {
                entry.index == index && self.term_at(index) == Some(entry.term)
            })
    }

    fn first_cached(&self) -> Index {
        self.cached.front().map_or_else(|| self.last_index.next(), |first| first.index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Payload;

    /// A log with these terms, from index 1 on.
    fn log(terms: &[u64]) -> Log {
        let mut log = Log::default();
        for (index, &term) in (1..).zip(terms) {
            log.push(Entry { index: Index(index), term: Term(term), payload: Payload::Blank });
        }
        log
    }

    fn id(index: u64, term: u64) -> LogId {
        LogId { term: Term(term), index: Index(index) }
    }

    #[test]
    fn a_hint_skips_a_divergent_term_at_once() {
        let log = log(&[1, 1, 1, 4, 4, 6, 6]);
        let cases = [
            (id(7, 6), id(7, 6)),
            (id(7, 5), id(5, 4)),
            (id(5, 3), id(3, 1)),
            (id(9, 6), id(7, 6)),
            (id(2, 1), id(2, 1)),
            (id(7, 0), id(0, 0)),
        ];
        for (asked, expect) in cases {
            assert_eq!(log.last_at_or_before(asked), expect, "asked for {asked}");
        }
    }

    #[test]
    fn a_truncation_takes_back_terms_and_durability() {
        let mut log = log(&[1, 1, 2, 3]);
        log.handle_durable(Index(4));
        log.truncate_suffix(Index(3));
        assert_eq!((log.last(), log.durable_index()), (id(2, 1), Index(2)));
        assert_eq!(log.term_at(Index(3)), None);
        log.truncate_suffix(Index(1));
        assert_eq!((log.last(), log.term_at(Index(0))), (id(0, 0), Some(Term(0))));
    }

    #[test]
    fn only_what_is_durable_and_delivered_is_evicted() {
        let mut log = Log::default();
        for index in 1..=4 {
            let payload = Payload::Data(vec![0; 10].into());
            log.push(Entry { index: Index(index), term: Term(1), payload });
        }
        log.handle_durable(Index(3));
        log.evict(Index(2), 0);
        assert_eq!(log.first_cached(), Index(3));
        let count = |from, last, max_bytes| {
            log.cached(Index(from), Index(last), max_bytes).map(|entries| entries.len())
        };
        assert_eq!(count(2, 4, 1000), None);
        assert_eq!(count(3, 4, 0), Some(1));
        assert_eq!(count(3, 4, 2 * (10 + 32)), Some(2));
        assert_eq!(count(3, 3, 1000), Some(1));
        assert_eq!(count(5, 9, 1000), None);
    }
}
