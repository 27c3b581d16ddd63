//! What a test says about its system: how a node starts, what clients ask of it.

use std::fmt::{self, Display};
use std::sync::Arc;

use parking_lot::Mutex;
use quorate_core::{Instant, NodeId, Protocol, SplitMix64, Storage};
use thiserror::Error;

use crate::client::{Done, Invoked, OpId};
use crate::clock::Clock;
use crate::disk::Disk;
use crate::records::{Log, Records};

/// The glue between a protocol and a [`World`](crate::World): what a node is, what clients ask for.
///
/// It is one value for all runs, and keeps nothing of any: what a run has to remember is in its
/// [`Law`](crate::Law)s, and what a node has to remember until it crashes, in its
/// [`Application`](Self::Application).
///
/// # Examples
///
/// See the [crate's front page](crate).
pub trait System: Sized + Sync + 'static {
    /// The protocol of every node.
    type Core: Protocol<
            Message: Clone + Display,
            Record: Clone + Display,
            Query: Clone + Display,
            Delivery: Clone + Display,
            Event: Clone + Display,
        >;
    /// Where records survive: [`Records`], or a real storage over [`Boot::disk`].
    #[rustfmt::skip] // It would make one line of it, longer than it may be.
    type Storage: Storage<
            RecordOf<Self::Core>,
            Query = QueryOf<Self::Core>,
            Answer = AnswerOf<Self::Core>,
        >;
    /// What deliveries change. It is volatile: every boot starts with a new one.
    type Application: Default;
    /// What a client asks for.
    type Operation: Clone + Display;
    /// What a client is answered.
    type Return: Clone + Display;

    /// Starts a node, for the first time or after a crash: there is one path for both.
    ///
    /// # Errors
    ///
    /// Why the node cannot start, such as a storage that cannot be read. It ends the run as a
    /// violation, unless what was durable on this disk was destroyed: then the node stays down.
    fn boot(&self, boot: &Boot<'_, Self::Core>) -> Result<(Self::Core, Self::Storage), Refused>;

    /// Hands `operation` to a node, as it gets it from a client.
    ///
    /// If it is [`Started`](Invoked::Started), the node answers with `id`, here or when it
    /// delivers; if it never does, the client does not know what became of it.
    fn invoke(
        &self,
        node: &mut Node<Self>,
        id: OpId,
        operation: &Self::Operation,
        done: &mut Done<Self::Return>,
    ) -> Invoked;

    /// Applies what `node` delivers. The node may be given commands.
    fn deliver(
        &self,
        node: &mut Node<Self>,
        delivery: DeliveryOf<Self::Core>,
        done: &mut Done<Self::Return>,
    );

    /// Takes in the news that `node` tells.
    fn event(
        &self,
        node: &mut Node<Self>,
        event: EventOf<Self::Core>,
        done: &mut Done<Self::Return>,
    ) {
        _ = (node, event, done);
    }

    /// Returns what `core` is now, for pictures: its lane gets a band of this name and number.
    fn badge(&self, core: &Self::Core) -> Badge {
        _ = core;
        Badge::default()
    }

    /// Returns how long a message is, in bytes: what a link with a rate carries.
    fn bytes(&self, message: &MessageOf<Self::Core>) -> u64 {
        _ = message;
        64
    }

    /// Damages a message on its way. Returns what the receiver makes of it, or `None` if its
    /// checksum or decoder notices: see [`damage`](crate::damage).
    fn damage(
        &self,
        message: &MessageOf<Self::Core>,
        random: &mut SplitMix64,
    ) -> Option<MessageOf<Self::Core>> {
        _ = (message, random);
        None
    }

    /// Changes the members, as `node` would be told to. Returns what was asked for, if anything.
    fn reconfigure(&self, node: &mut Node<Self>, random: &mut SplitMix64) -> Option<String> {
        _ = (node, random);
        None
    }
}

/// Why a node cannot start.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("{0}")]
pub struct Refused(pub String);

impl Refused {
    /// Makes one of any error.
    #[must_use]
    pub fn new(error: impl Display) -> Self {
        Self(error.to_string())
    }
}

/// What a node is, in a word and a number, such as `leader` of term 4.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Badge {
    /// The role; empty if there is none.
    pub role: &'static str,
    /// The term, epoch or view.
    pub number: u64,
}

/// The messages of the protocol `P`.
pub type MessageOf<P> = <P as Protocol>::Message;
/// The records of the protocol `P`.
pub type RecordOf<P> = <P as Protocol>::Record;
/// The queries of the protocol `P`.
pub type QueryOf<P> = <P as Protocol>::Query;
/// The answers of the protocol `P`.
pub type AnswerOf<P> = <P as Protocol>::Answer;
/// The deliveries of the protocol `P`.
pub type DeliveryOf<P> = <P as Protocol>::Delivery;
/// The events of the protocol `P`.
pub type EventOf<P> = <P as Protocol>::Event;

/// A node that runs.
pub struct Node<S: System> {
    /// Who it is.
    pub id: NodeId,
    /// Its core. Commands may be called any time; the world drains it afterwards.
    pub core: S::Core,
    /// Its storage.
    pub storage: S::Storage,
    /// Its application.
    pub application: S::Application,
    pub(crate) now: Instant,
    pub(crate) incarnation: u64,
}

impl<S: System> Node<S> {
    /// Returns the time by the node's own clock.
    #[must_use]
    pub const fn now(&self) -> Instant {
        self.now
    }

    /// Returns how often the node was started, from 1.
    #[must_use]
    pub const fn incarnation(&self) -> u64 {
        self.incarnation
    }
}

/// All nodes, of which some may be down.
pub struct Nodes<S: System> {
    pub(crate) ids: Vec<NodeId>,
    pub(crate) slots: Vec<Option<Node<S>>>,
}

impl<S: System> Nodes<S> {
    /// Returns the node `id`, or `None` if it is down or not of this world.
    #[must_use]
    pub fn get(&self, id: NodeId) -> Option<&Node<S>> {
        self.slots[self.index(id)?].as_ref()
    }

    /// Returns the nodes that are up, in the order the world was given them.
    pub fn iter(&self) -> impl Iterator<Item = &Node<S>> {
        self.slots.iter().flatten()
    }

    /// Returns all ids, of nodes that are down as well.
    #[must_use]
    pub fn ids(&self) -> &[NodeId] {
        &self.ids
    }

    /// Returns where the node is, in O(1) if the ids count from 1.
    pub(crate) fn index(&self, id: NodeId) -> Option<usize> {
        let guess = usize::try_from(id.0.wrapping_sub(1)).unwrap_or(usize::MAX);
        if self.ids.get(guess) == Some(&id) {
            return Some(guess);
        }
        self.ids.iter().position(|other| *other == id)
    }
}

/// What a node finds when it starts.
pub struct Boot<'a, P: Protocol> {
    pub(crate) id: NodeId,
    pub(crate) ids: &'a [NodeId],
    pub(crate) now: Instant,
    pub(crate) seed: u64,
    pub(crate) incarnation: u64,
    pub(crate) tuning_number: u64,
    pub(crate) is_tuned: bool,
    pub(crate) clock: &'a Clock,
    pub(crate) disk: &'a Disk,
    pub(crate) log: &'a Arc<Mutex<Log<P::Record>>>,
}

impl<P: Protocol> Boot<'_, P> {
    /// Returns who starts.
    #[must_use]
    pub const fn id(&self) -> NodeId {
        self.id
    }

    /// Returns all nodes of the world, this one included.
    #[must_use]
    pub const fn ids(&self) -> &[NodeId] {
        self.ids
    }

    /// Returns the time by the node's own clock, whose origin may be another at each start.
    #[must_use]
    pub const fn now(&self) -> Instant {
        self.now
    }

    /// Returns a seed for the core, another one at each start.
    #[must_use]
    pub const fn seed(&self) -> u64 {
        self.seed
    }

    /// Returns how often the node was started, from 1.
    #[must_use]
    pub const fn incarnation(&self) -> u64 {
        self.incarnation
    }

    /// Returns what limits of a core may be drawn from, the same for all nodes and starts of a run;
    /// `None` in runs that have the usual ones.
    ///
    /// Batches of one, short segments and tight queues find more than any switch in the code.
    #[must_use]
    pub fn tuning(&self) -> Option<SplitMix64> {
        self.is_tuned.then(|| SplitMix64::new(self.tuning_number))
    }

    /// Returns a number that is the same for all nodes and starts of a run: for limits that are
    /// drawn in every run.
    #[must_use]
    pub const fn tuning_number(&self) -> u64 {
        self.tuning_number
    }

    /// Returns the node's wall clock.
    #[must_use]
    pub fn clock(&self) -> Clock {
        self.clock.clone()
    }

    /// Returns the node's disk, with what survived.
    #[must_use]
    pub fn disk(&self) -> Disk {
        self.disk.clone()
    }

    /// Returns the node's records, with what survived. A core's queries are answered by `answer`,
    /// from the durable records, oldest first.
    #[must_use]
    pub fn records(&self, answer: fn(&[P::Record], P::Query) -> P::Answer) -> Records<P> {
        self.log.lock().restart();
        Records { log: Arc::clone(self.log), answer }
    }
}

impl<P: Protocol<Query = std::convert::Infallible>> Boot<'_, P> {
    /// Returns the node's records, with what survived, for a core that asks for nothing back.
    #[must_use]
    pub fn records_without_fetch(&self) -> Records<P> {
        self.records(|_, query| match query {})
    }
}

impl<S: System> fmt::Debug for Node<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node").field("id", &self.id).field("now", &self.now).finish_non_exhaustive()
    }
}

impl<S: System> fmt::Debug for Nodes<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl<P: Protocol> fmt::Debug for Boot<'_, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Boot").field("id", &self.id).finish_non_exhaustive()
    }
}
