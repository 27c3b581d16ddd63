//! A small sound protocol: a primary with a fixed set of backups.
//!
//! A value is committed once every node has it on disk. The primary keeps no more in memory than
//! how far each node is: what a backup lacks it reads back from its own storage.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use quorate_core::{
    FetchId, Instant, NodeId, Output, OutputOf, Outputs, Protocol, SplitMix64, Storage, WriteId,
};
use quorate_sim::{Boot, Mistake, Node, Nodes, Plan, Records, System, Trace, Violation, World};

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
    fn new(id: NodeId, ids: &[NodeId], values: &[Value], now: Instant, bug: Bug) -> Self {
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
pub(crate) trait Keep: Storage<Value, Query = Read, Answer = Vec<u64>> + Sized {
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

/// The clients' view.
#[derive(Debug)]
pub(crate) struct Store<K> {
    bug: Bug,
    next: u64,
    /// What any node ever delivered.
    pub(crate) committed: Vec<u64>,
    keep: PhantomData<K>,
}

/// What a node applied.
#[derive(Debug, Default)]
pub(crate) struct Applied(pub(crate) u64);

impl<K: Keep> System for Store<K> {
    type Core = Copies;
    type Storage = K;
    type Application = Applied;

    fn boot(&mut self, boot: &Boot<'_, Copies>) -> Result<(Copies, K), String> {
        let storage = K::open(boot)?;
        let values: Result<Vec<Value>, _> = storage.replay().collect();
        let values = values.map_err(|error| error.to_string())?;
        Ok((Copies::new(boot.id(), boot.ids(), &values, boot.now(), self.bug), storage))
    }

    fn act(&mut self, node: &mut Node<Self>, _random: &mut SplitMix64) -> Option<String> {
        let value = self.next + 1;
        node.core.propose(value).then(|| {
            self.next = value;
            format!("proposes {value}")
        })
    }

    fn deliver(&mut self, node: &mut Node<Self>, delivery: Delivery) -> Result<(), String> {
        let Applied(applied) = &mut node.application;
        *applied += 1;
        if delivery.index != *applied {
            return Err(format!("delivered in order: {} delivers {delivery}", node.id));
        }
        match self.committed.get(usize::try_from(delivery.index - 1).expect("small")) {
            None => self.committed.push(delivery.value),
            Some(value) if *value == delivery.value => {}
            Some(value) => {
                return Err(format!("committed is for ever: {value} was, not {delivery}"));
            }
        }
        Ok(())
    }

    fn check(&mut self, nodes: &Nodes<Self>, changed: NodeId) -> Result<(), String> {
        let Some(node) = nodes.get(changed) else { return Ok(()) };
        if node.core.durable < node.core.delivered {
            return Err(format!("delivered is durable: {changed} has too little on disk"));
        }
        let committed = self.committed.len() as u64;
        if node.core.count < committed {
            let count = node.core.count;
            return Err(format!("committed is everywhere: {changed} has {count} of {committed}"));
        }
        Ok(())
    }
}

/// Runs in memory, with faults, then without, and asks for progress at the end.
pub(crate) fn run_with(
    seed: u64,
    plan: Plan,
    bug: Bug,
    mistake: Mistake,
) -> Result<Trace<Copies>, Violation> {
    run(world::<Records<Copies>>(seed, plan, bug).with_mistake(mistake))
}

pub(crate) fn run<K: Keep>(mut world: World<Store<K>>) -> Result<Trace<Copies>, Violation> {
    world.run_for(Duration::from_secs(20))?;
    world.heal_all()?;
    world.run_for(Duration::from_secs(20))?;
    world.stop_acts();
    world.run_for(Duration::from_secs(20))?;
    let done = world.system().committed.len() as u64;
    if done == 0 {
        return Err(world.violation("progress: nothing was ever committed"));
    }
    for node in world.nodes().iter() {
        if node.application.0 != done || node.core.count() != done {
            let law = format!("progress: {} has {} of {done}", node.id, node.application.0);
            return Err(world.violation(law));
        }
    }
    Ok(world.into_trace())
}

pub(crate) fn world<K: Keep>(seed: u64, plan: Plan, bug: Bug) -> World<Store<K>> {
    let system = Store { bug, next: 0, committed: Vec::new(), keep: PhantomData };
    World::new(system, &[PRIMARY, NodeId(2), NodeId(3)], seed, plan)
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

impl fmt::Display for Read {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "from {}", self.first)
    }
}
