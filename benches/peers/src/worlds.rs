//! Worlds in virtual time: hosts that send datagrams and answer each.
//!
//! Source: the rows, not a paper; the hosts are as simple as hosts can be.

use std::cell::Cell;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::convert::Infallible;
use std::fmt;
use std::hint::black_box;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::{Duration, Instant as Moment};

use quorate_consensus::raft::Raft;
use quorate_sim::quorate_core::{FetchId, Output, OutputOf, Outputs, WriteId};
use quorate_sim::{
    Boot, Delay, Done, Instant, Invoked, Node, NodeId, OpId, Plan, Protocol, Records, Refused,
    System, World,
};
use turmoil::net::UdpSocket;

use crate::raft;
use crate::report::Row;

/// Runs all rows.
pub fn run(is_quick: bool) -> io::Result<Vec<Row>> {
    let share = if is_quick { 10 } else { 1 };
    let dense = Load { every: Duration::from_millis(1), burst: 20, seconds: 10 / share.min(5) };
    let sparse = Load { every: Duration::from_millis(500), burst: 4, seconds: 600 / share };
    let mut rows = vec![side_by_side("dense", dense)?, side_by_side("sparse", sparse)?];
    rows.push(trivial(if is_quick { 1 } else { 10 }));
    rows.push(raft5(if is_quick { 10 } else { 60 }));
    Ok(rows)
}

/// What each of the hosts does.
#[derive(Clone, Copy)]
struct Load {
    every: Duration,
    burst: usize,
    seconds: u64,
}

const HOSTS: usize = 5;

fn side_by_side(name: &str, load: Load) -> io::Result<Row> {
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let mut counts = (0, 0);
    for _ in 0..3 {
        let start = Moment::now();
        counts.0 = run_ours(load);
        ours.push(start.elapsed().as_secs_f64() * 1e3);
        let start = Moment::now();
        counts.1 = run_theirs(load)?;
        theirs.push(start.elapsed().as_secs_f64() * 1e3);
    }
    let (count, their_count) = (counts.0 as f64, counts.1 as f64);
    // Both stop in the middle of things: a few messages are under way.
    assert!((count - their_count).abs() < 0.02 * count + 50.0, "{count} and {their_count}");
    let median = |mut times: Vec<f64>| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    };
    Ok(Row {
        family: "sim",
        row: format!("world: {name}"),
        peer: "turmoil",
        version: "0.7.2",
        unit: "ms",
        ours: median(ours),
        peer_value: median(theirs),
        target: None,
        note: format!("{count} deliveries in {} virtual s", load.seconds),
    })
}

/// Sends a burst to the others again and again, and answers what it is sent.
struct Echo {
    load: Load,
    id: usize,
    sent: usize,
    deadline: Instant,
    outputs: Outputs<Output<Ping>>,
}

#[derive(Clone, Copy)]
enum Ping {
    Ping,
    Pong,
}

impl Protocol for Echo {
    type Message = Ping;
    type Record = Infallible;
    type Query = Infallible;
    type Answer = Infallible;
    type Delivery = Infallible;
    type Event = Infallible;

    fn handle_message(&mut self, _: Instant, from: NodeId, message: Ping) {
        if let Ping::Ping = message {
            self.outputs.send(from, Ping::Pong);
        }
    }

    fn handle_persisted(&mut self, _: Instant, _: WriteId) {}

    fn handle_fetched(&mut self, _: Instant, _: FetchId, _: Infallible) {}

    fn handle_timeout(&mut self, now: Instant) {
        if now < self.deadline {
            return;
        }
        self.deadline = self.deadline + self.load.every;
        for _ in 0..self.load.burst {
            self.sent += 1;
            let to = next(self.id, self.sent);
            self.outputs.send(NodeId(to as u64 + 1), Ping::Ping);
        }
    }

    fn poll_output(&mut self) -> Option<OutputOf<Self>> {
        self.outputs.poll()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        Some(self.deadline)
    }
}

/// Returns one of the others.
fn next(id: usize, count: usize) -> usize {
    (id + 1 + count % (HOSTS - 1)) % HOSTS
}

impl fmt::Display for Ping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ping => "Ping",
            Self::Pong => "Pong",
        })
    }
}

struct Echoes(Load);

impl System for Echoes {
    type Core = Echo;
    type Storage = Records<Echo>;
    type Application = ();
    type Operation = u64;
    type Return = u64;

    fn boot(&self, boot: &Boot<'_, Echo>) -> Result<(Echo, Records<Echo>), Refused> {
        let id = usize::try_from(boot.id().0 - 1).map_err(Refused::new)?;
        let deadline = boot.now() + self.0.every;
        let echo = Echo { load: self.0, id, sent: 0, deadline, outputs: Outputs::default() };
        Ok((echo, boot.records_without_fetch()))
    }

    fn invoke(&self, _: &mut Node<Self>, _: OpId, _: &u64, _: &mut Done<u64>) -> Invoked {
        Invoked::BUSY
    }

    fn deliver(&self, _: &mut Node<Self>, delivery: Infallible, _: &mut Done<u64>) {
        match delivery {}
    }
}

/// Returns how many messages arrived.
fn run_ours(load: Load) -> u64 {
    let mut plan = Plan::calm(HOSTS).with_seed(7);
    plan.knobs.delay = Delay::uniform(Duration::from_micros(500)..Duration::from_millis(10));
    let mut world = World::new(Echoes(load), plan).without_story();
    world.run_for(Duration::from_secs(load.seconds)).expect("nothing can go wrong");
    world.stats().delivered
}

fn run_theirs(load: Load) -> io::Result<u64> {
    let arrived = Rc::new(Cell::new(0));
    let mut sim = turmoil::Builder::new()
        .tick_duration(Duration::from_millis(1))
        .min_message_latency(Duration::from_micros(500))
        .max_message_latency(Duration::from_millis(10))
        .simulation_duration(Duration::from_secs(load.seconds + 1))
        .udp_capacity(1 << 20)
        .rng_seed(7)
        .build();
    for id in 0..HOSTS {
        let arrived = Rc::clone(&arrived);
        sim.host(format!("host{id}"), move || echo(load, id, Rc::clone(&arrived)));
    }
    sim.client("end", async move {
        tokio::time::sleep(Duration::from_secs(load.seconds)).await;
        Ok(())
    });
    sim.run().map_err(|error| io::Error::other(error.to_string()))?;
    Ok(arrived.get())
}

async fn echo(
    load: Load,
    id: usize,
    arrived: Rc<Cell<u64>>,
) -> Result<(), Box<dyn std::error::Error>> {
    let any = IpAddr::from(Ipv4Addr::UNSPECIFIED);
    let socket = UdpSocket::bind((any, 9000)).await?;
    let others: Vec<SocketAddr> =
        (0..HOSTS).map(|it| (turmoil::lookup(format!("host{it}")), 9000).into()).collect();
    let start = tokio::time::Instant::now() + load.every;
    let mut ticks = tokio::time::interval_at(start, load.every);
    let mut sent = 0;
    let mut bytes = [0; 16];
    loop {
        tokio::select! {
            _ = ticks.tick() => {
                for _ in 0..load.burst {
                    sent += 1;
                    socket.send_to(b"ping", others[next(id, sent)]).await?;
                }
            }
            received = socket.recv_from(&mut bytes) => {
                let (_, from) = received?;
                arrived.set(arrived.get() + 1);
                if &bytes[..4] == b"ping" {
                    socket.send_to(b"pong", from).await?;
                }
            }
        }
    }
}

/// Five nodes that wake up and are answered, and the least that a loop around them can do.
fn trivial(seconds: u64) -> Row {
    let load = Load { every: Duration::from_millis(1), burst: 1, seconds };
    let (mut ours, mut floors) = (Vec::new(), Vec::new());
    for _ in 0..5 {
        let start = Moment::now();
        let mut world = World::new(Echoes(load), Plan::calm(HOSTS)).without_story();
        world.run_for(Duration::from_secs(seconds)).expect("nothing can go wrong");
        let events = world.stats().events;
        ours.push(start.elapsed().as_secs_f64() * 1e9 / events as f64);
        let start = Moment::now();
        black_box(bare_loop(load, events));
        floors.push(start.elapsed().as_secs_f64() * 1e9 / events as f64);
    }
    ours.sort_by(f64::total_cmp);
    floors.sort_by(f64::total_cmp);
    Row {
        family: "sim",
        row: "world: trivial".into(),
        peer: "a bare loop",
        version: "std",
        unit: "ns/event",
        ours: ours[2],
        peer_value: floors[2],
        target: None,
        note: format!("{:.1} M events/s", 1e3 / ours[2]),
    }
}

/// Five nodes of Raft with eight clients: laws after every event, a history, records that survive.
fn raft5(seconds: u64) -> Row {
    let suite = raft::suite::<Records<Raft>>("raft5");
    let (mut times, mut events) = (Vec::new(), 0);
    for _ in 0..5 {
        let start = Moment::now();
        let plan = Plan::calm(5).with_seed(1).with_clients(8);
        let mut world = suite.world(plan).without_story();
        world.run_for(Duration::from_secs(seconds)).expect("the laws hold");
        events = world.stats().events;
        times.push(start.elapsed().as_secs_f64() * 1e9 / events as f64);
    }
    times.sort_by(f64::total_cmp);
    Row {
        family: "sim",
        row: "world: raft5".into(),
        peer: "none",
        version: "",
        unit: "ns/event",
        ours: times[2],
        peer_value: f64::NAN,
        target: None,
        note: format!("{:.1} M events/s, {events} in {seconds} virtual s", 1e3 / times[2]),
    }
}

/// What waits in the heap of the bare loop.
#[derive(Clone, Copy)]
enum Waiting {
    Wake { node: usize },
    Arrival { from: usize, to: usize, message: Ping },
}

/// Pops, dispatches to the same cores, and pushes what they ask for: no network, no clock, no disk,
/// no laws, no faults and no trace.
fn bare_loop(load: Load, events: u64) -> u64 {
    let core = |id| Echo {
        load,
        id,
        sent: 0,
        deadline: Instant::from_nanos(0) + load.every,
        outputs: Outputs::default(),
    };
    let mut cores: Vec<Echo> = (0..HOSTS).map(core).collect();
    let mut heap = BinaryHeap::new();
    let mut slots: Vec<Waiting> = (0..HOSTS).map(|node| Waiting::Wake { node }).collect();
    let mut free = Vec::new();
    let mut pushed = 0_u64;
    for (slot, core) in cores.iter().enumerate() {
        heap.push(Reverse((core.deadline.as_nanos(), pushed, slot)));
        pushed += 1;
    }
    for number in 0..events {
        let Some(Reverse((at, _, slot))) = heap.pop() else { break };
        let now = Instant::from_nanos(at);
        free.push(slot);
        let event = slots[slot];
        let node = match event {
            Waiting::Wake { node } => {
                cores[node].handle_timeout(now);
                node
            }
            Waiting::Arrival { from, to, message } => {
                cores[to].handle_message(now, NodeId(from as u64 + 1), message);
                to
            }
        };
        let mut push = |at: u64, waiting| {
            let slot = free.pop().unwrap_or(slots.len());
            if slot == slots.len() {
                slots.push(waiting);
            } else {
                slots[slot] = waiting;
            }
            pushed += 1;
            heap.push(Reverse((at, pushed, slot)));
        };
        while let Some(output) = cores[node].poll_output() {
            let Output::Send { to, message } = output;
            let delay = 500_000 + (number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 44);
            let to = usize::try_from(to.0 - 1).expect("small");
            push(at + delay, Waiting::Arrival { from: node, to, message });
        }
        if let Waiting::Wake { node } = event
            && let Some(deadline) = cores[node].poll_timeout()
        {
            push(deadline.as_nanos(), Waiting::Wake { node });
        }
    }
    pushed
}
