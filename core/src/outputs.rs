//! The outbound side of a core, and the one place where durability order is kept.
//!
//! ```text
//! persist(record) --------> ready  Persist #1            the disk works on #1
//! send(message) ----------> ready  Persist #1, Send      at once: it depends on no write
//! send_when_durable(yes) -> held   (#1, Send yes)        it speaks of #1
//! handle_persisted(#1) ---> ready  ..., Send yes         now it may leave
//! ```

use std::collections::VecDeque;

use crate::{FetchId, NodeId, Output, WriteId};

/// The outputs of one core, in order, with what must wait for the disk held back.
/// [`poll_output`](crate::Protocol::poll_output) answers from it.
///
/// # Invariants
///
/// - `durable <= last_write`.
/// - `held` is in the order of its writes, and holds only what waits for one that is pending.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Outputs<O> {
    ready: VecDeque<O>,
    /// What waits for a write, oldest first.
    held: VecDeque<(WriteId, O)>,
    /// The last write handed out.
    last_write: WriteId,
    /// The last write reported durable.
    durable: WriteId,
    /// The last read handed out.
    last_fetch: FetchId,
}

impl<Message, Record, Query, Delivery, Event>
    Outputs<Output<Message, Record, Query, Delivery, Event>>
{
    /// Sends `message` at once. It must not speak of a write that is pending.
    pub fn send(&mut self, to: NodeId, message: Message) {
        self.ready.push_back(Output::Send { to, message });
    }

    /// Sends `message` once every write so far is durable.
    pub fn send_when_durable(&mut self, to: NodeId, message: Message) {
        self.push_when_durable(Output::Send { to, message });
    }

    /// Asks for a write of `record`.
    pub fn persist(&mut self, record: Record) -> WriteId {
        self.last_write.0 += 1;
        self.ready.push_back(Output::Persist { write: self.last_write, record });
        self.last_write
    }

    /// Asks for `query` to be read back. It must not touch a write that is pending.
    pub fn fetch(&mut self, query: Query) -> FetchId {
        self.last_fetch.0 += 1;
        self.ready.push_back(Output::Fetch { fetch: self.last_fetch, query });
        self.last_fetch
    }

    /// Hands `delivery` to the application at once. It must be durable on enough nodes already.
    pub fn deliver(&mut self, delivery: Delivery) {
        self.ready.push_back(Output::Deliver(delivery));
    }

    /// Hands `delivery` to the application once every write so far is durable.
    pub fn deliver_when_durable(&mut self, delivery: Delivery) {
        self.push_when_durable(Output::Deliver(delivery));
    }

    /// Tells the news.
    pub fn event(&mut self, event: Event) {
        self.ready.push_back(Output::Event(event));
    }
}

impl<O> Outputs<O> {
    /// Releases what waited for the writes up to and including `write`, in O(released) time. A
    /// report that is older than the last changes nothing.
    ///
    /// # Panics
    ///
    /// If `write` was never handed out.
    pub fn handle_persisted(&mut self, write: WriteId) {
        assert!(write <= self.last_write, "write {write} was never handed out");
        self.durable = self.durable.max(write);
        let released = self.held.partition_point(|(after, _)| *after <= self.durable);
        self.ready.extend(self.held.drain(..released).map(|(_, output)| output));
    }

    /// Drops what is held, because it is no longer true: an acknowledgement of entries that a new
    /// leader replaces must not leave once the replacement is durable. Takes O(held) time.
    pub fn discard_held(&mut self) {
        self.held.clear();
    }

    /// Returns whether `write` was reported durable.
    #[must_use]
    pub fn is_durable(&self, write: WriteId) -> bool {
        write <= self.durable
    }

    /// Takes the next output that may leave. Takes O(1) time.
    pub fn poll(&mut self) -> Option<O> {
        self.ready.pop_front()
    }

    /// Returns whether [`poll`](Self::poll) has something to return.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Returns how many outputs there are, held ones included: what a limit is checked against.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ready.len() + self.held.len()
    }

    /// Returns whether nothing is ready and nothing is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn push_when_durable(&mut self, output: O) {
        if self.durable == self.last_write {
            self.ready.push_back(output);
        } else {
            self.held.push_back((self.last_write, output));
        }
    }
}

impl<O> Default for Outputs<O> {
    fn default() -> Self {
        let (last_write, durable, last_fetch) = Default::default();
        let (ready, held) = (VecDeque::new(), VecDeque::new());
        Self { ready, held, last_write, durable, last_fetch }
    }
}
