//! A log of one node: it appends, and reads back what is durable to apply it.
//!
//! ```text
//! append ---> Persist ---> durable ---> Fetch ---> Deliver     applied: acknowledged
//! ```

use std::fmt;

use quorate_sim::quorate_core::{FetchId, OutputOf, Outputs, WriteId};
use quorate_sim::{Instant, NodeId, Protocol};

use crate::log::Bug;

/// The log of a node: how many entries there are, and nothing of what is in them.
#[derive(Debug)]
pub(crate) struct Appender {
    bug: Bug,
    /// How many entries there were at the start.
    start: u64,
    count: u64,
    durable: u64,
    applied: u64,
    is_reading: bool,
    outputs: Outputs<OutputOf<Self>>,
}

/// What is appended, and delivered at its index.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Entry(pub(crate) u64);

/// Asks for entries from this index on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Read {
    pub(crate) first: u64,
}

/// An entry to be applied.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Applies {
    pub(crate) index: u64,
    pub(crate) entry: Entry,
}

/// The storage cut a torn tail when it was opened.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cut;

impl Appender {
    /// Makes a log of what `start` entries were read, after a torn tail was cut or not.
    pub(crate) fn new(start: u64, is_cut: bool, bug: Bug) -> Self {
        let mut outputs = Outputs::default();
        if is_cut {
            outputs.event(Cut);
        }
        let mut log = Self {
            bug,
            start,
            count: start,
            durable: start,
            applied: 0,
            is_reading: false,
            outputs,
        };
        log.read_on();
        log
    }

    /// Appends `entry`, and returns its index.
    pub(crate) fn append(&mut self, entry: Entry) -> u64 {
        self.count += 1;
        if self.bug != Bug::Idles {
            self.outputs.persist(entry);
        }
        self.count
    }

    /// Returns how many entries there are.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// Returns whether an application that applied so many has all that was there at the start.
    pub(crate) fn is_caught_up(&self, applied: u64) -> bool {
        self.start <= applied || self.bug == Bug::AnswersWhileReplaying
    }

    fn read_on(&mut self) {
        if !self.is_reading && self.applied < self.durable {
            self.is_reading = true;
            self.outputs.fetch(Read { first: self.applied + 1 });
        }
    }
}

impl Protocol for Appender {
    type Message = std::convert::Infallible;
    type Record = Entry;
    type Query = Read;
    type Answer = Vec<Entry>;
    type Delivery = Applies;
    type Event = Cut;

    fn handle_message(&mut self, _: Instant, _: NodeId, message: Self::Message) {
        match message {}
    }

    fn handle_persisted(&mut self, _: Instant, write: WriteId) {
        self.outputs.handle_persisted(write);
        self.durable = self.durable.max(self.start + write.0);
        self.read_on();
    }

    fn handle_fetched(&mut self, _: Instant, _: FetchId, entries: Vec<Entry>) {
        assert!(!entries.is_empty(), "what is durable can be read");
        self.is_reading = false;
        for entry in entries {
            self.applied += 1;
            self.outputs.deliver(Applies { index: self.applied, entry });
        }
        self.read_on();
    }

    fn handle_timeout(&mut self, _: Instant) {}

    fn poll_output(&mut self) -> Option<OutputOf<Self>> {
        self.outputs.poll()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        None
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "entry {}", self.0)
    }
}

impl fmt::Display for Read {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "from {}", self.first)
    }
}

impl fmt::Display for Applies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.entry, self.index)
    }
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("torn tail cut")
    }
}
