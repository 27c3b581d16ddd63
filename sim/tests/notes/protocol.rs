//! A protocol that does what it is told, and tells what it sees: the smallest that has every duty.

use std::fmt;

use quorate_core::{FetchId, Instant, NodeId, OutputOf, Outputs, Protocol, WriteId};

/// A word.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Word(pub(crate) String);

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

pub(crate) fn word(text: impl fmt::Display) -> Word {
    Word(text.to_string())
}

/// Sends words, and keeps those that it is to note.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    deadline: Option<Instant>,
    outputs: Outputs<OutputOf<Self>>,
}

impl Notes {
    pub(crate) fn say(&mut self, to: NodeId, text: &str) {
        self.outputs.send(to, word(text));
    }

    /// Keeps a word, and delivers it when it is durable.
    pub(crate) fn note(&mut self, text: &str) {
        self.outputs.persist(word(text));
        self.outputs.deliver_when_durable(word(text));
    }

    /// Asks for the word at `index`, from 0.
    pub(crate) fn read(&mut self, index: u64) {
        self.outputs.fetch(index);
    }

    pub(crate) fn wake_at(&mut self, at: Instant) {
        self.deadline = Some(at);
    }

    pub(crate) fn tell(&mut self, text: impl fmt::Display) {
        self.outputs.event(word(text));
    }
}

impl Protocol for Notes {
    type Message = Word;
    type Record = Word;
    type Query = u64;
    type Answer = Word;
    type Delivery = Word;
    type Event = Word;

    fn handle_message(&mut self, _now: Instant, _from: NodeId, _word: Word) {}

    fn handle_persisted(&mut self, _now: Instant, write: WriteId) {
        self.outputs.handle_persisted(write);
    }

    fn handle_fetched(&mut self, _now: Instant, _fetch: FetchId, found: Word) {
        self.tell(format!("found {found}"));
    }

    fn handle_timeout(&mut self, now: Instant) {
        match self.deadline {
            Some(at) if at <= now => {
                self.deadline = None;
                self.tell(format!("woken at {now} of its own clock"));
            }
            Some(at) => self.tell(format!("woken at {now}, but it waits for {at}")),
            None => {}
        }
    }

    fn poll_output(&mut self) -> Option<OutputOf<Self>> {
        self.outputs.poll()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.deadline
    }
}
