//! What replicas of a log keep and say to each other.

use std::fmt;

use quorate_sim::{NodeId, OpId};

use crate::primary::State;

/// What survives of elections.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Vote {
    pub(crate) view: u64,
    pub(crate) voted_for: Option<NodeId>,
}

/// A place in the log, and the view of the entry there.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Position {
    pub(crate) view: u64,
    pub(crate) index: u64,
}

/// What is to be applied; `None` only starts a view.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Entry {
    pub(crate) view: u64,
    pub(crate) request: Option<Request>,
}

/// A write of a client, and the node that it asked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Request {
    pub(crate) id: OpId,
    pub(crate) gateway: NodeId,
    pub(crate) value: u64,
}

/// What was applied up to a position.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Snapshot {
    pub(crate) at: Position,
    pub(crate) state: State,
}

/// A snapshot, and the entries after it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log {
    pub(crate) snapshot: Snapshot,
    entries: Vec<Entry>,
}

/// What a client asks for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Operation {
    Read,
    Write(u64),
}

/// What a client is told.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Answer {
    Written,
    /// What a read found, if anything was ever written.
    Found(Option<u64>),
}

#[derive(Clone, Debug)]
pub(crate) enum Message {
    RequestVote { view: u64, last: Position },
    Voted { view: u64 },
    Append { view: u64, prev: Position, entries: Vec<Entry>, commit: u64, round: u64 },
    Install { view: u64, snapshot: Snapshot, round: u64 },
    Appended { view: u64, is_match: bool, index: u64, round: u64 },
    Request { id: OpId, operation: Operation },
    Reply { id: OpId, answer: Answer },
}

#[derive(Clone, Debug)]
pub(crate) enum Record {
    Vote(Vote),
    /// These entries from `first` on; what was there is replaced.
    Append {
        first: u64,
        entries: Vec<Entry>,
    },
    Snapshot(Snapshot),
}

#[derive(Clone, Debug)]
pub(crate) enum Delivery {
    Restore(Snapshot),
    Apply { index: u64, entry: Entry },
    Read { id: OpId, gateway: NodeId },
    Reply { id: OpId, answer: Answer },
}

/// The node is the primary of a view.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Elected {
    pub(crate) view: u64,
}

impl Log {
    pub(crate) fn last(&self) -> Position {
        let view = self.entries.last().map_or(self.snapshot.at.view, |entry| entry.view);
        Position { view, index: self.last_index() }
    }

    pub(crate) fn last_index(&self) -> u64 {
        self.snapshot.at.index + self.entries.len() as u64
    }

    fn offset(&self, index: u64) -> Option<usize> {
        usize::try_from(index.checked_sub(self.snapshot.at.index + 1)?).ok()
    }

    pub(crate) fn entry(&self, index: u64) -> Option<Entry> {
        self.entries.get(self.offset(index)?).copied()
    }

    /// Returns the view of the entry at `index`, or `None` if it is not there or in the snapshot.
    pub(crate) fn view_at(&self, index: u64) -> Option<u64> {
        if index == self.snapshot.at.index {
            return Some(self.snapshot.at.view);
        }
        self.entry(index).map(|entry| entry.view)
    }

    pub(crate) fn append(&mut self, first: u64, entries: &[Entry]) {
        let offset = self.offset(first).expect("nothing in a snapshot is replaced");
        self.entries.truncate(offset);
        self.entries.extend(entries);
    }

    /// Puts a snapshot in place of what it covers, and of what does not follow it.
    pub(crate) fn install(&mut self, snapshot: Snapshot) {
        let kept = match self.view_at(snapshot.at.index) {
            Some(view) if view == snapshot.at.view => self.entries_after(snapshot.at.index),
            _ => Vec::new(),
        };
        *self = Self { snapshot, entries: kept };
    }

    pub(crate) fn entries_after(&self, index: u64) -> Vec<Entry> {
        self.offset(index + 1)
            .and_then(|offset| self.entries.get(offset..))
            .unwrap_or_default()
            .to_vec()
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl fmt::Display for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl fmt::Display for Elected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}
