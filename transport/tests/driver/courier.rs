//! A small protocol with all five duties: what one node is given, both keep and deliver.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use quorate_core::{
    DecodeError, FetchId, Instant, NodeId, OutputOf, Outputs, Protocol, Wire, WriteId,
};

pub(crate) struct Courier {
    peer: NodeId,
    /// What is not acknowledged.
    pending: BTreeMap<u64, Bytes>,
    /// Which of it is durable here, and which there.
    here: BTreeMap<WriteId, u64>,
    there: BTreeSet<u64>,
    taken: BTreeSet<u64>,
    last: u64,
    beat_at: Instant,
    outputs: Outputs<OutputOf<Self>>,
}

#[derive(Debug)]
pub(crate) enum Message {
    Put(u64, Bytes),
    Kept(u64),
    Beat,
}

#[derive(Debug, PartialEq)]
pub(crate) enum Event {
    Beat,
    ReadBack(u64, Bytes),
}

impl Courier {
    pub(crate) fn new(peer: NodeId) -> Self {
        Self {
            peer,
            pending: BTreeMap::new(),
            here: BTreeMap::new(),
            there: BTreeSet::new(),
            taken: BTreeSet::new(),
            last: 0,
            beat_at: Instant::default(),
            outputs: Outputs::default(),
        }
    }

    pub(crate) fn submit(&mut self, data: Bytes) -> u64 {
        self.last += 1;
        self.pending.insert(self.last, data.clone());
        let write = self.outputs.persist((self.last, data.clone()));
        self.here.insert(write, self.last);
        self.outputs.send(self.peer, Message::Put(self.last, data));
        self.last
    }

    fn settle(&mut self) {
        let here: BTreeSet<u64> = self.here.values().copied().collect();
        let done = |number: &u64| self.there.contains(number) && !here.contains(number);
        let done: Vec<u64> = self.pending.keys().copied().filter(done).collect();
        for number in done {
            self.pending.remove(&number);
            self.outputs.deliver(number);
            self.outputs.fetch(number);
        }
    }
}

impl Protocol for Courier {
    type Message = Message;
    type Record = (u64, Bytes);
    type Query = u64;
    type Answer = (u64, Bytes);
    type Delivery = u64;
    type Event = Event;

    fn handle_message(&mut self, _now: Instant, from: NodeId, message: Message) {
        match message {
            Message::Put(number, data) => {
                if self.taken.insert(number) {
                    self.outputs.persist((number, data));
                    self.outputs.deliver_when_durable(number);
                }
                self.outputs.send_when_durable(from, Message::Kept(number));
            }
            Message::Kept(number) => {
                self.there.insert(number);
                self.settle();
            }
            Message::Beat => self.outputs.event(Event::Beat),
        }
    }

    fn handle_persisted(&mut self, _now: Instant, write: WriteId) {
        self.outputs.handle_persisted(write);
        self.here = self.here.split_off(&WriteId(write.0 + 1));
        self.settle();
    }

    fn handle_fetched(&mut self, _now: Instant, _fetch: FetchId, (number, data): (u64, Bytes)) {
        self.outputs.event(Event::ReadBack(number, data));
    }

    fn handle_timeout(&mut self, now: Instant) {
        if self.beat_at <= now {
            self.beat_at = now + Duration::from_millis(10);
            self.outputs.send(self.peer, Message::Beat);
            for (number, data) in &self.pending {
                self.outputs.send(self.peer, Message::Put(*number, data.clone()));
            }
        }
    }

    fn poll_output(&mut self) -> Option<OutputOf<Self>> {
        self.outputs.poll()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        Some(self.beat_at)
    }
}

impl Wire for Message {
    fn encode(&self, out: &mut BytesMut) {
        match self {
            Self::Put(number, data) => {
                out.put_u8(1);
                out.put_u64_le(*number);
                out.put_slice(data);
            }
            Self::Kept(number) => {
                out.put_u8(2);
                out.put_u64_le(*number);
            }
            Self::Beat => out.put_u8(3),
        }
    }

    fn decode(input: &mut Bytes) -> Result<Self, DecodeError> {
        match input.try_get_u8()? {
            1 => Ok(Self::Put(input.try_get_u64_le()?, std::mem::take(input))),
            2 => Ok(Self::Kept(input.try_get_u64_le()?)),
            3 => Ok(Self::Beat),
            found => Err(DecodeError::UnknownKind { field: "kind", found }),
        }
    }
}
