//! What a test says about its system: how a node starts, what it is told, which laws hold.

use std::fmt::{self, Display};
use std::sync::Arc;

use parking_lot::Mutex;
use quorate_core::{Instant, NodeId, Protocol, SplitMix64, Storage};

use crate::Disk;
use crate::records::{Log, Records};

/// The glue between a protocol and a [`World`](crate::World).
///
/// It sees everything, so it may keep what no node could know: every write acknowledged, every
/// leader of a term. That is what laws are stated over.
///
/// # Examples
///
/// See the [crate's front page](crate).
pub trait System: Sized {
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

    /// Starts a node, for the first time or after a crash: there is one path for both.
    ///
    /// # Errors
    ///
    /// Why the node cannot start, such as a storage that cannot be read. It ends the run as a
    /// violation: a disk without rot must always be recovered.
    fn boot(&mut self, boot: &Boot<'_, Self::Core>) -> Result<(Self::Core, Self::Storage), String>;

    /// Applies what `node` delivers. The node may be given commands.
    ///
    /// # Errors
    ///
    /// The law that this breaks, and why.
    fn deliver(
        &mut self,
        node: &mut Node<Self>,
        delivery: DeliveryOf<Self::Core>,
    ) -> Result<(), String>;

    /// Lets a client do something at `node`, as often as [`Plan::act_every`](crate::Plan) says.
    ///
    /// Returns what was done, for the trace, or `None` if nothing was. `random` is the action's
    /// own: what an action draws moves no other decision.
    fn act(&mut self, node: &mut Node<Self>, random: &mut SplitMix64) -> Option<String> {
        _ = (node, random);
        None
    }

    /// Takes in the news that `node` tells.
    ///
    /// # Errors
    ///
    /// The law that this breaks, and why.
    fn event(&mut self, node: &mut Node<Self>, event: EventOf<Self::Core>) -> Result<(), String> {
        _ = (node, event);
        Ok(())
    }

    /// Checks the laws, after every event, of which `changed` was the node.
    ///
    /// # Errors
    ///
    /// The law that is broken, and why.
    fn check(&mut self, nodes: &Nodes<Self>, changed: NodeId) -> Result<(), String>;
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
