//! A small sound protocol: a primary with a fixed set of backups.
//!
//! A value is committed once every node has it on disk. The primary keeps no more in memory than
//! how far each node is: what a backup lacks it reads back from its own storage.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use quorate_core::{
    FetchId, Instant, NodeId, Output, OutputOf, Outputs, Protocol, Storage, WriteId,
};
use quorate_sim::{
    Boot, Done, Invoked, Law, Node, Nodes, OpId, Plan, Records, Refused, Reply, Suite, System,
    World,
};

/// A bug that an author might write.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Bug {
    None,
    /// A backup acknowledges what it was told to write.
    AcksBeforeDurable,
    /// A backup acknowledges before it asks for the write.
    AcksBeforePersist,
    /// A node does nothing at all.
    Idles,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Copies {
    id: NodeId,
    ids: Vec<NodeId>,
    bug: Bug,
    /// The number of values, written and durable.
    count: u64,
    durable: u64,
    /// The number of values at the start of this run.
    start: u64,
    /// How many values each backup has on disk, as far as the primary knows.
    acked: BTreeMap<NodeId, u64>,
    /// Whose values are being read, and the first of them.
    reads: BTreeMap<FetchId, (NodeId, u64)>,
    committed: u64,
    delivered: u64,
    /// Read, or just written, and not yet delivered.
    values: BTreeMap<u64, u64>,
    deadline: Option<Instant>,
    outputs: Outputs<OutputOf<Self>>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Message {
    Append { first: u64, values: Vec<u64>, committed: u64 },
    Ack { count: u64 },
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Value(pub(crate) u64);

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Delivery {
    index: u64,
    value: u64,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Read {
    first: u64,
}

impl Copies {
    pub(crate) fn new(
        id: NodeId,
        ids: &[NodeId],
        values: &[Value],
        now: Instant,
        bug: Bug,
    ) -> Self {
        let count = values.len() as u64;
        Self {
            id,
            ids: ids.to_vec(),
            bug,
            count,
            durable: count,
            start: count,
            acked: ids.iter().map(|id| (*id, 0)).collect(),
            reads: BTreeMap::new(),
            committed: 0,
            delivered: 0,
            values: (1..).zip(values).map(|(index, value)| (index, value.0)).collect(),
            deadline: (id == PRIMARY).then_some(now),
            outputs: Outputs::default(),
        }
    }

    pub(crate) fn propose(&mut self, value: u64) -> bool {
        if self.id != PRIMARY || self.bug == Bug::Idles || 16 < self.count - self.committed {
            return false;
        }
        self.append(value);
        let values = vec![value];
        self.tell_all(&Message::Append { first: self.count, values, committed: self.committed });
        true
    }

    /// Returns how many values there are, durable or not.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// Returns how many values were handed to the application since the start.
    pub(crate) fn delivered(&self) -> u64 {
        self.delivered
    }

    fn append(&mut self, value: u64) {
        self.count += 1;
        self.values.insert(self.count, value);
        self.outputs.persist(Value(value));
    }

    /// What the backups have the primary must never lose, or it would number another value so.
    fn tell_all(&mut self, message: &Message) {
        for id in self.ids.iter().filter(|id| **id != self.id) {
            self.outputs.send_when_durable(*id, message.clone());
        }
    }

    fn commit(&mut self, committed: u64) {
        self.committed = self.committed.max(committed.min(self.durable));
        while self.delivered < self.committed {
            self.delivered += 1;
            let value = self.values.remove(&self.delivered).expect("what is durable was written");
            self.outputs.deliver(Delivery { index: self.delivered, value });
        }
    }

    fn commit_as_primary(&mut self) {
        self.acked.insert(self.id, self.durable);
        let committed = self.acked.values().min().copied().unwrap_or_default();
        self.commit(committed);
    }

    fn take_in(&mut self, from: NodeId, first: u64, values: &[u64], committed: u64) {
        if self.bug == Bug::AcksBeforePersist && first == self.count + 1 {
            let count = self.count + values.len() as u64;
            self.outputs.send(from, Message::Ack { count });
        }
        for (index, value) in (first..).zip(values) {
            if index == self.count + 1 {
                self.append(*value);
            }
        }
        let ack = Message::Ack { count: self.count };
        if self.bug == Bug::AcksBeforeDurable {
            self.outputs.send(from, ack);
        } else {
            self.outputs.send_when_durable(from, ack);
        }
        self.commit(committed);
    }
}

impl Protocol for Copies {
    type Message = Message;
    type Record = Value;
    type Query = Read;
    type Answer = Vec<u64>;
    type Delivery = Delivery;
    type Event = std::convert::Infallible;

    fn handle_message(&mut self, _now: Instant, from: NodeId, message: Message) {
        match message {
            _ if self.bug == Bug::Idles => {}
            Message::Append { first, values, committed } => {
                self.take_in(from, first, &values, committed);
            }
            Message::Ack { count } => {
                let acked = self.acked.entry(from).or_default();
                *acked = count.max(*acked);
                self.commit_as_primary();
            }
        }
    }

    fn handle_persisted(&mut self, _now: Instant, write: WriteId) {
        self.outputs.handle_persisted(write);
        self.durable = self.durable.max(self.start + write.0);
        if self.id == PRIMARY {
            self.commit_as_primary();
        }
    }

    fn handle_fetched(&mut self, _now: Instant, fetch: FetchId, values: Vec<u64>) {
        let (to, first) = self.reads.remove(&fetch).expect("every answer has a question");
        self.outputs.send(to, Message::Append { first, values, committed: self.committed });
    }

    fn handle_timeout(&mut self, now: Instant) {
        if self.bug == Bug::Idles || self.deadline.is_none_or(|deadline| now < deadline) {
            self.deadline = self.deadline.filter(|_| self.bug != Bug::Idles);
            return;
        }
        self.deadline = Some(now + Duration::from_millis(50));
        for to in self.ids.clone().into_iter().filter(|id| *id != PRIMARY) {
            if self.durable <= self.acked[&to] {
                let ping =
                    Message::Append { first: 1, values: Vec::new(), committed: self.committed };
                self.outputs.send(to, ping);
            } else if !self.reads.values().any(|(reader, _)| *reader == to) {
                let first = self.acked[&to] + 1;
                let fetch = self.outputs.fetch(Read { first });
                self.reads.insert(fetch, (to, first));
            }
        }
    }

    fn poll_output(&mut self) -> Option<OutputOf<Self>> {
        let output = self.outputs.poll();
        if let Some(Output::Fetch { query, .. }) = &output {
            assert!(query.first <= self.durable, "only what is durable may be asked for");
        }
        output
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.deadline
    }
}

/// A storage for the values, in memory or on a disk.
pub(crate) trait Keep:
    Storage<Value, Query = Read, Answer = Vec<u64>> + Sized + 'static
{
    fn open(boot: &Boot<'_, Copies>) -> Result<Self, String>;
}

impl Keep for Records<Copies> {
    fn open(boot: &Boot<'_, Copies>) -> Result<Self, String> {
        Ok(boot.records(|values, read| read.answer(values)))
    }
}

impl Read {
    /// Returns some of `values` from the one asked for on.
    pub(crate) fn answer(&self, values: &[Value]) -> Vec<u64> {
        let first = usize::try_from(self.first - 1).expect("the world is small");
        values.get(first..).unwrap_or_default().iter().take(8).map(|value| value.0).collect()
    }
}

/// The copies, and their clients.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Store<K> {
    bug: Bug,
    keep: PhantomData<fn() -> K>,
}

/// What a node applied, and whom it has to tell.
#[derive(Debug, Default)]
pub(crate) struct Applied {
    pub(crate) count: u64,
    waiting: BTreeMap<u64, OpId>,
}

/// What clients ask for: to keep a value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Put(u64);

impl<K: Keep> System for Store<K> {
    type Core = Copies;
    type Storage = K;
    type Application = Applied;
    type Operation = Put;
    type Return = u64;

    fn boot(&self, boot: &Boot<'_, Copies>) -> Result<(Copies, K), Refused> {
        let storage = K::open(boot).map_err(Refused)?;
        let values: Result<Vec<Value>, _> = storage.replay().collect();
        let values = values.map_err(Refused::new)?;
        Ok((Copies::new(boot.id(), boot.ids(), &values, boot.now(), self.bug), storage))
    }

    fn invoke(&self, node: &mut Node<Self>, id: OpId, put: &Put, _: &mut Done<u64>) -> Invoked {
        if node.id != PRIMARY {
            return Invoked::redirect(Some(PRIMARY));
        }
        if !node.core.propose(put.0) {
            return Invoked::BUSY;
        }
        node.application.waiting.insert(put.0, id);
        Invoked::Started
    }

    fn deliver(&self, node: &mut Node<Self>, delivery: Delivery, done: &mut Done<u64>) {
        node.application.count += 1;
        if let Some(id) = node.application.waiting.remove(&delivery.value) {
            done.ok(id, delivery.index);
        }
    }
}

/// What was committed stays, everywhere, in one order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ledger {
    /// What any node ever delivered.
    pub(crate) committed: Vec<u64>,
}

impl Ledger {
    fn at(&self, index: u64) -> Option<u64> {
        self.committed.get(usize::try_from(index - 1).expect("small")).copied()
    }
}

impl<K: Keep> Law<Store<K>> for Ledger {
    fn name(&self) -> &'static str {
        "ledger"
    }

    fn completed(&mut self, _: OpId, put: &Put, reply: &Reply<u64>) -> Result<(), String> {
        match reply {
            Reply::Ok(index) if self.at(*index) != Some(put.0) => {
                Err(format!("{put} is not at {index}, as its client was told"))
            }
            _ => Ok(()),
        }
    }

    fn delivered(&mut self, node: &Node<Store<K>>, delivery: &Delivery) -> Result<(), String> {
        if delivery.index != node.application.count + 1 {
            return Err(format!("{} delivers {delivery} out of order", node.id));
        }
        match self.at(delivery.index) {
            None => self.committed.push(delivery.value),
            Some(value) if value == delivery.value => {}
            Some(value) => return Err(format!("{value} was committed, not {delivery}")),
        }
        Ok(())
    }

    fn check(&mut self, _: &Nodes<Store<K>>, node: &Node<Store<K>>) -> Result<(), String> {
        if node.core.durable < node.core.delivered() {
            return Err(format!("{} delivered what is not on its disk", node.id));
        }
        let committed = self.committed.len() as u64;
        if node.core.count < committed {
            return Err(format!("{} has {} of {committed} committed", node.id, node.core.count));
        }
        Ok(())
    }
}

/// A suite of three nodes, in memory or on disks, with every fault that does not destroy.
pub(crate) fn suite<K: Keep>(name: &'static str, bug: Bug) -> Suite<Store<K>> {
    Suite::new(name, Store { bug, keep: PhantomData })
        .clients(4)
        .workload(|draw| Put(draw.id().unique() + 1))
        .law(Ledger::default())
        // All three are needed to commit: one may fail, but none is to spare in the end.
        .spare(|_| 0)
        .adjust(|plan| plan.max_down = 1)
        .converges(Duration::from_secs(20), |world| {
            let done = world.law::<Ledger>().map_or(0, |ledger| ledger.committed.len()) as u64;
            for node in world.nodes().iter() {
                if node.application.count != done || node.core.count() != done {
                    return Err(format!("{} has {} of {done}", node.id, node.application.count));
                }
            }
            Ok(())
        })
}

/// Three nodes and four clients in a calm world.
pub(crate) fn world<K: Keep>(plan: Plan, bug: Bug) -> World<Store<K>> {
    World::new(Store { bug, keep: PhantomData }, plan)
        .with_workload(|draw| Put(draw.id().unique() + 1))
        .with_law(Ledger::default())
}

pub(crate) const PRIMARY: NodeId = NodeId(1);

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Append { first, values, committed } => {
                write!(f, "Append {first} {values:?}, committed {committed}")
            }
            Self::Ack { count } => write!(f, "Ack {count}"),
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.value, self.index)
    }
}

impl fmt::Display for Put {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "put {}", self.0)
    }
}

impl fmt::Display for Read {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "from {}", self.first)
    }
}
