//! The shape of every protocol core, and the five duties it may lay on its driver.
//!
//! ```text
//!   handle_message   ---> +------------+ ---> Send     to another node
//!   handle_persisted ---> |            | ---> Persist  answered by handle_persisted
//!   handle_fetched   ---> |  Protocol  | ---> Fetch    answered by handle_fetched
//!   handle_timeout   ---> |            | ---> Deliver  to the application, in order
//!   commands         ---> +------------+ ---> Event    to whoever cares
//! ```

use std::convert::Infallible;
use std::fmt;

use crate::Instant;

/// A protocol core: a state machine that performs no I/O and reads no clock.
///
/// Tell it what happened (`handle_*`, and commands of its own such as `propose`), then take what
/// must be done from [`poll_output`](Self::poll_output). Calls may come in any order and any
/// number: a core never asks to be drained first. Equal configuration, seed and calls give equal
/// outputs, on every platform.
///
/// `now` must not run backwards between calls; an earlier value is read as the latest seen.
///
/// # Panics
///
/// If a write or a fetch is reported that was never handed out, or a fetch twice: the driver is
/// broken, and going on would lose data.
pub trait Protocol {
    /// What nodes say to each other.
    type Message;
    /// What must survive a crash.
    type Record;
    /// What the core asks its storage to read back.
    type Query;
    /// What the storage answers.
    type Answer;
    /// What the application must apply, in order.
    type Delivery;
    /// News that may be ignored.
    type Event;

    /// Takes in a message. It may be late, repeated, or nonsense: none of these is an error.
    fn handle_message(&mut self, now: Instant, from: NodeId, message: Self::Message);

    /// Takes in that every [`Output::Persist`] up to and including `write` is durable.
    fn handle_persisted(&mut self, now: Instant, write: WriteId);

    /// Takes in the answer to an [`Output::Fetch`]. Answers may come in any order, once each.
    fn handle_fetched(&mut self, now: Instant, fetch: FetchId, answer: Self::Answer);

    /// Runs every deadline at or before `now`. Harmless to call early.
    fn handle_timeout(&mut self, now: Instant);

    /// Returns the next thing to do, or `None` when nothing is pending. Takes O(1) time.
    #[must_use = "an output that is dropped is a message never sent or a write never made"]
    fn poll_output(&mut self) -> Option<OutputOf<Self>>;

    /// Returns when [`handle_timeout`](Self::handle_timeout) is due, if ever. Takes O(1) time.
    fn poll_timeout(&self) -> Option<Instant>;
}

/// What a [`Protocol`] needs done.
///
/// Exhaustive on purpose: a new duty must break every driver. A kind that a protocol does not
/// have is [`Infallible`], and its arm may be left out of a `match`.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "a driver must see every duty")]
pub enum Output<
    Message,
    Record = Infallible,
    Query = Infallible,
    Delivery = Infallible,
    Event = Infallible,
> {
    /// Send `message` to `to`, now. It may be lost, repeated or reordered. It never depends on a
    /// write that is still pending.
    Send {
        /// The receiver.
        to: NodeId,
        /// What to say.
        message: Message,
    },
    /// Make `record` durable, after the writes before it, then report it with
    /// [`Protocol::handle_persisted`]. One report may cover many writes.
    Persist {
        /// Rises by one with every write.
        write: WriteId,
        /// What to write.
        record: Record,
    },
    /// Read `query` back, then answer with [`Protocol::handle_fetched`]. It asks only for what was
    /// reported durable, so that a read may run beside the writes.
    Fetch {
        /// Rises by one with every read.
        fetch: FetchId,
        /// What to read.
        query: Query,
    },
    /// Hand this to the application, in order. It is durable on enough nodes.
    Deliver(Delivery),
    /// News. May be dropped.
    Event(Event),
}

/// The [`Output`] of the protocol `P`.
pub type OutputOf<P> = Output<
    <P as Protocol>::Message,
    <P as Protocol>::Record,
    <P as Protocol>::Query,
    <P as Protocol>::Delivery,
    <P as Protocol>::Event,
>;

/// Numbers the writes of one core, from 1.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct WriteId(pub u64);

/// Numbers the reads of one core, from 1.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct FetchId(pub u64);

/// Identifies a node, for all time: an id is never given to a second node.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct NodeId(pub u64);

impl fmt::Display for WriteId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

impl fmt::Display for FetchId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "n{}", self.0)
    }
}

impl<Message, Record, Query, Delivery, Event> fmt::Display
    for Output<Message, Record, Query, Delivery, Event>
where
    Message: fmt::Display,
    Record: fmt::Display,
    Query: fmt::Display,
    Delivery: fmt::Display,
    Event: fmt::Display,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Send { to, message } => write!(f, "-> {to} {message}"),
            Self::Persist { write, record } => write!(f, "persist {write} {record}"),
            Self::Fetch { fetch, query } => write!(f, "fetch {fetch} {query}"),
            Self::Deliver(delivery) => write!(f, "deliver {delivery}"),
            Self::Event(event) => write!(f, "event {event}"),
        }
    }
}
