//! A copy of a few last-writer registers, which tells the others what they do not have.
//!
//! ```text
//! copy --Update--> copy       what it was not known to have; the later timestamp wins
//!      <--Ack-----            when that is durable
//! ```
//!
//! What is deleted stays as a tombstone until every copy has it. Then nobody may take in an older
//! value any more that was under way: messages name the runs of both ends, and a number, and what
//! comes from or for an older run, or late, is dropped.
//!
//! Source: Johnson and Thomas, "The Maintenance of Duplicate Databases" (RFC 677, 1975), for the
//! registers and why deletions must be seen by all; Kulkarni et al., "Logical Physical Clocks"
//! (2014), for the timestamps.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use quorate_sim::quorate_core::{FetchId, OutputOf, Outputs, WriteId};
use quorate_sim::{Instant, NodeId, OpId, Protocol};

use crate::last_writer::Bug;

/// A hybrid logical clock's time: no two writes have the same.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Timestamp {
    time: u64,
    count: u64,
    node: u64,
}

/// A register; without a value it is a tombstone.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Cell {
    pub(crate) at: Timestamp,
    pub(crate) value: Option<u64>,
}

/// One copy.
#[derive(Debug)]
pub(crate) struct Copy {
    id: NodeId,
    bug: Bug,
    /// How often it was started.
    run: u64,
    /// The latest timestamp that it gave or saw.
    clock: Timestamp,
    cells: BTreeMap<u64, Cell>,
    /// The tombstones that this run dropped: as tombstones they are not taken in again, or copies
    /// would hand them to each other for ever.
    dropped: BTreeMap<u64, Timestamp>,
    peers: BTreeMap<NodeId, Peer>,
    deadline: Instant,
    outputs: Outputs<OutputOf<Self>>,
}

/// What is known of another copy.
#[derive(Clone, Debug, Default)]
struct Peer {
    /// Its run; 0 if it was not heard.
    run: u64,
    /// The numbers of the last message that was sent, and of the last that was taken in.
    sent: u64,
    seen: u64,
    /// From which timestamp on it has each register on disk.
    acked: BTreeMap<u64, Timestamp>,
}

#[derive(Clone, Debug)]
pub(crate) struct Message {
    from_run: u64,
    to_run: u64,
    number: u64,
    body: Body,
}

#[derive(Clone, Debug)]
enum Body {
    /// Nothing but which run it is.
    Hello,
    Update(Vec<(u64, Cell)>),
    Ack(Vec<(u64, Timestamp)>),
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Record {
    /// A run starts.
    Run(u64),
    Cell {
        key: u64,
        cell: Cell,
    },
    /// The tombstone of this time is dropped.
    Dropped {
        key: u64,
        at: Timestamp,
    },
}

/// A client is answered: with the register that it wrote, or found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answer {
    pub(crate) id: OpId,
    pub(crate) key: u64,
    pub(crate) cell: Option<Cell>,
    pub(crate) is_write: bool,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Event {
    /// Something is written, and not durable yet.
    Writes {
        key: u64,
        cell: Cell,
    },
    Drops,
    /// A message from or for another run was refused.
    Refuses,
}

impl Copy {
    pub(crate) fn new(
        id: NodeId,
        ids: &[NodeId],
        records: impl IntoIterator<Item = Record>,
        now: Instant,
        bug: Bug,
    ) -> Self {
        let others = ids.iter().filter(|other| **other != id);
        let mut copy = Self {
            id,
            bug,
            run: 0,
            clock: Timestamp::default(),
            cells: BTreeMap::new(),
            dropped: BTreeMap::new(),
            peers: others.map(|id| (*id, Peer::default())).collect(),
            deadline: now + INTERVAL,
            outputs: Outputs::default(),
        };
        for record in records {
            match record {
                Record::Run(run) => copy.run = run,
                Record::Cell { key, cell } => {
                    copy.clock = copy.clock.max(cell.at);
                    copy.cells.insert(key, cell);
                }
                Record::Dropped { key, at } => {
                    copy.clock = copy.clock.max(at);
                    copy.cells.remove(&key);
                }
            }
        }
        copy.run += 1;
        copy.outputs.persist(Record::Run(copy.run));
        copy
    }

    /// Writes or deletes, for a client.
    pub(crate) fn write(&mut self, now: Instant, id: OpId, key: u64, value: Option<u64>) {
        let time = now.as_nanos();
        let (time, count) = if self.clock.time < time || self.bug == Bug::ClockGoesBack {
            (time, 0)
        } else {
            (self.clock.time, self.clock.count + 1)
        };
        let at = Timestamp { time, count, node: self.id.0 };
        let cell = Cell { at, value };
        self.clock = at;
        self.outputs.event(Event::Writes { key, cell });
        self.keep(key, cell);
        let answer = Answer { id, key, cell: Some(cell), is_write: true };
        if self.bug == Bug::AnswersBeforeSync {
            self.outputs.deliver(answer);
        } else {
            self.outputs.deliver_when_durable(answer);
        }
    }

    /// Reads, for a client.
    pub(crate) fn read(&mut self, id: OpId, key: u64) {
        let cell = self.cells.get(&key).copied();
        self.outputs.deliver_when_durable(Answer { id, key, cell, is_write: false });
    }

    /// Returns the registers, without tombstones.
    pub(crate) fn values(&self) -> BTreeMap<u64, Cell> {
        let is_live = |(_, cell): &(&u64, &Cell)| cell.value.is_some();
        self.cells.iter().filter(is_live).map(|(key, cell)| (*key, *cell)).collect()
    }

    /// Returns whether there are tombstones.
    pub(crate) fn has_tombstones(&self) -> bool {
        self.values().len() < self.cells.len()
    }

    fn keep(&mut self, key: u64, cell: Cell) {
        self.cells.insert(key, cell);
        self.outputs.persist(Record::Cell { key, cell });
    }

    /// Sends what speaks of nothing that is not durable.
    fn send(&mut self, to: NodeId, body: Body) {
        let Some(peer) = self.peers.get_mut(&to) else { return };
        peer.sent += 1;
        let (from_run, to_run, number) = (self.run, peer.run, peer.sent);
        let message = Message { from_run, to_run, number, body };
        if self.bug == Bug::AcksBeforeSync {
            self.outputs.send(to, message);
        } else {
            self.outputs.send_when_durable(to, message);
        }
    }

    /// Returns whether a message is of this run, for this run, and not overtaken.
    fn is_current(&mut self, from: NodeId, message: &Message) -> bool {
        let Some(peer) = self.peers.get_mut(&from) else { return false };
        if self.bug == Bug::TakesOldRuns {
            peer.run = peer.run.max(message.from_run);
            return true;
        }
        if message.from_run < peer.run {
            return false;
        }
        if peer.run < message.from_run {
            (peer.run, peer.seen) = (message.from_run, 0);
        }
        if message.to_run != self.run {
            self.outputs.event(Event::Refuses);
            self.send(from, Body::Hello);
            return false;
        }
        let is_later = peer.seen < message.number;
        peer.seen = peer.seen.max(message.number);
        is_later
    }

    fn take_update(&mut self, from: NodeId, cells: &[(u64, Cell)]) {
        let mut acks = Vec::new();
        for (key, cell) in cells {
            self.note_acked(from, *key, cell.at);
            self.clock = self.clock.max(cell.at);
            let dropped = self.dropped.get(key).filter(|_| cell.value.is_none());
            let mine = self.cells.get(key).map(|mine| mine.at).max(dropped.copied());
            if mine.is_none_or(|mine| self.loses(mine, cell.at)) {
                self.keep(*key, *cell);
            }
            acks.push((*key, mine.max(Some(cell.at)).unwrap_or_default()));
        }
        self.send(from, Body::Ack(acks));
    }

    /// Returns whether what was written at `mine` gives way to what was written at `other`.
    fn loses(&self, mine: Timestamp, other: Timestamp) -> bool {
        match self.bug {
            Bug::LastArrivalWins => mine != other,
            Bug::TiesByArrival => (mine.time, mine.count) <= (other.time, other.count),
            _ => mine < other,
        }
    }

    fn note_acked(&mut self, peer: NodeId, key: u64, at: Timestamp) {
        if let Some(peer) = self.peers.get_mut(&peer) {
            let acked = peer.acked.entry(key).or_default();
            *acked = at.max(*acked);
        }
    }

    /// Drops the tombstones that every copy has.
    fn drop_tombstones(&mut self) {
        let needed = if self.bug == Bug::DropsEarly { 1 } else { self.peers.len() };
        let is_everywhere = |(key, cell): &(&u64, &Cell)| {
            let has = |peer: &&Peer| peer.acked.get(key).is_some_and(|at| cell.at <= *at);
            cell.value.is_none() && needed <= self.peers.values().filter(has).count()
        };
        let dropped: Vec<(u64, Cell)> =
            self.cells.iter().filter(is_everywhere).map(|(key, cell)| (*key, *cell)).collect();
        for (key, Cell { at, .. }) in dropped {
            self.cells.remove(&key);
            self.dropped.insert(key, at);
            self.peers.values_mut().for_each(|peer| _ = peer.acked.remove(&key));
            self.outputs.persist(Record::Dropped { key, at });
            self.outputs.event(Event::Drops);
        }
    }

    fn tell(&mut self, to: NodeId) {
        let peer = &self.peers[&to];
        let is_missing =
            |(key, cell): &(&u64, &Cell)| peer.acked.get(key).is_none_or(|acked| *acked < cell.at);
        let mut cells: Vec<(u64, Cell)> =
            self.cells.iter().filter(is_missing).map(|(key, cell)| (*key, *cell)).collect();
        cells.truncate(CELLS_MAX);
        if self.bug == Bug::CountsSentAsAcked {
            cells.iter().for_each(|(key, cell)| self.note_acked(to, *key, cell.at));
        }
        if !cells.is_empty() {
            self.send(to, Body::Update(cells));
        }
    }
}

impl Protocol for Copy {
    type Message = Message;
    type Record = Record;
    type Query = std::convert::Infallible;
    type Answer = std::convert::Infallible;
    type Delivery = Answer;
    type Event = Event;

    fn handle_message(&mut self, _: Instant, from: NodeId, message: Message) {
        if self.bug == Bug::Idles || !self.is_current(from, &message) {
            return;
        }
        match message.body {
            Body::Hello => {}
            Body::Update(cells) => self.take_update(from, &cells),
            Body::Ack(acks) => acks.iter().for_each(|(key, at)| {
                // What was dropped meanwhile needs no acknowledgement any more.
                if self.cells.contains_key(key) {
                    self.note_acked(from, *key, *at);
                }
            }),
        }
        self.drop_tombstones();
    }

    fn handle_persisted(&mut self, _: Instant, write: WriteId) {
        self.outputs.handle_persisted(write);
    }

    fn handle_fetched(&mut self, _: Instant, _: FetchId, answer: Self::Answer) {
        match answer {}
    }

    fn handle_timeout(&mut self, now: Instant) {
        if now < self.deadline {
            return;
        }
        self.deadline = now + INTERVAL;
        for to in self.peers.keys().copied().collect::<Vec<_>>() {
            if self.bug != Bug::Idles {
                self.tell(to);
            }
        }
    }

    fn poll_output(&mut self) -> Option<OutputOf<Self>> {
        self.outputs.poll()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        Some(self.deadline)
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {} from run {} to {}", self.body, self.number, self.from_run, self.to_run)
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

/// How often a copy tells the others what they may lack.
const INTERVAL: Duration = Duration::from_millis(50);
/// What one message holds.
const CELLS_MAX: usize = 8;
