//! What the world itself costs per event, without faults: `trivial` is five nodes that wake up, ask
//! a neighbor and are answered, without laws; `raft5` is five of Raft with eight clients, and every
//! law checked after every event. Most of `raft5` is the core and the laws.

// The world of the simulation, as it is: a bench needs only one way into it.
#[expect(dead_code, reason = "the rest is for tests")]
#[path = "../consensus/tests/simulation/raft.rs"]
mod raft;

use std::convert::Infallible;
use std::fmt;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use quorate_core::{FetchId, Instant, NodeId, Output, OutputOf, Outputs, Protocol, WriteId};
use quorate_sim::{Boot, Done, Invoked, Node, OpId, Plan, Records, Refused, System, World};

/// Asks the next node each millisecond, and answers who asks.
struct Asker {
    next: NodeId,
    deadline: Instant,
    outputs: Outputs<Output<Message>>,
}

#[derive(Clone, Copy)]
enum Message {
    Question,
    Answer,
}

impl Protocol for Asker {
    type Message = Message;
    type Record = Infallible;
    type Query = Infallible;
    type Answer = Infallible;
    type Delivery = Infallible;
    type Event = Infallible;

    fn handle_message(&mut self, _now: Instant, from: NodeId, message: Message) {
        if let Message::Question = message {
            self.outputs.send(from, Message::Answer);
        }
    }

    fn handle_persisted(&mut self, _now: Instant, _write: WriteId) {}

    fn handle_fetched(&mut self, _now: Instant, _fetch: FetchId, _answer: Infallible) {}

    fn handle_timeout(&mut self, now: Instant) {
        if self.deadline <= now {
            self.deadline = now + Duration::from_millis(1);
            self.outputs.send(self.next, Message::Question);
        }
    }

    fn poll_output(&mut self) -> Option<OutputOf<Self>> {
        self.outputs.poll()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        Some(self.deadline)
    }
}

struct Ring;

impl System for Ring {
    type Core = Asker;
    type Storage = Records<Asker>;
    type Application = ();
    type Operation = u64;
    type Return = u64;

    fn boot(&self, boot: &Boot<'_, Asker>) -> Result<(Asker, Records<Asker>), Refused> {
        let next = NodeId(boot.id().0 % NODES + 1);
        let deadline = boot.now() + Duration::from_micros(1);
        let asker = Asker { next, deadline, outputs: Outputs::default() };
        Ok((asker, boot.records_without_fetch()))
    }

    fn invoke(&self, _: &mut Node<Self>, _: OpId, _: &u64, _: &mut Done<u64>) -> Invoked {
        Invoked::BUSY
    }

    fn deliver(&self, _: &mut Node<Self>, delivery: Infallible, _: &mut Done<u64>) {
        match delivery {}
    }
}

/// Runs one virtual second and returns how many events that were.
fn run(seed: u64, with_story: bool) -> u64 {
    let plan = Plan::calm(usize::try_from(NODES).expect("five")).with_seed(seed);
    let mut world = World::new(Ring, plan);
    if !with_story {
        world = world.without_story();
    }
    world.run_for(Duration::from_secs(1)).expect("there is no law");
    world.stats().events
}

fn trivial(c: &mut Criterion) {
    let mut group = c.benchmark_group("sim");
    group.throughput(Throughput::Elements(run(1, false)));
    group.bench_function("trivial", |b| b.iter(|| run(1, false)));
    group.bench_function("trivial_with_story", |b| b.iter(|| run(1, true)));
    group.finish();
}

/// Runs ten virtual seconds of Raft and returns how many events that were.
fn run_raft(seed: u64) -> u64 {
    let suite = raft::suite::<Records<quorate_consensus::raft::Raft>>("raft5");
    let plan = Plan::calm(5).with_seed(seed).with_clients(8);
    let mut world = suite.world(plan).without_story();
    world.run_for(Duration::from_secs(10)).expect("the laws hold");
    world.stats().events
}

fn raft5(c: &mut Criterion) {
    let mut group = c.benchmark_group("sim");
    group.throughput(Throughput::Elements(run_raft(1)));
    group.sample_size(20);
    group.bench_function("raft5", |b| b.iter(|| run_raft(1)));
    group.finish();
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Question => "Question",
            Self::Answer => "Answer",
        })
    }
}

const NODES: u64 = 5;

criterion_group!(benches, trivial, raft5);
criterion_main!(benches);
