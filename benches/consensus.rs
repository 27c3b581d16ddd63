//! What the cores cost by themselves. No network, no disk: messages pass by value, and what is
//! written counts as durable at once. Those two dominate any real cluster.

use std::collections::VecDeque;
use std::hint::black_box;

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use quorate_consensus::raft::{Config, Delivery, Message, Raft};
use quorate_consensus::{Majority, NodeId, Protocol as _};
use quorate_core::{Instant, Output};

fn raft(c: &mut Criterion) {
    let mut group = c.benchmark_group("consensus/raft");

    let mut idle = follower(NodeId(1));
    group.bench_function("poll_idle", |b| {
        b.iter(|| (black_box(&mut idle).poll_output(), black_box(&idle).poll_timeout()));
    });

    let payload = Bytes::from(vec![7; 128]);
    for depth in [1, 64] {
        let mut cluster = Cluster::elect();
        group.throughput(Throughput::Elements(depth));
        group.bench_function(BenchmarkId::new("commit", depth), |b| {
            b.iter(|| cluster.commit(black_box(&payload), depth));
        });
    }
    group.finish();
}

fn quorum(c: &mut Criterion) {
    let mut group = c.benchmark_group("consensus/quorum");
    for count in [3, 5, 7] {
        let voters = Majority::new((1..=count).map(NodeId)).unwrap();
        let reached: Vec<u64> = (1..=count).map(|voter| voter * 7_919 % 11).collect();
        let at = |node: NodeId| usize::try_from(node.0 - 1).unwrap();
        group.bench_function(BenchmarkId::new("committed", count), |b| {
            b.iter(|| voters.committed(|node| black_box(&reached)[at(node)]));
        });
        group.bench_function(BenchmarkId::new("tally", count), |b| {
            b.iter(|| voters.tally(|node| Some(black_box(&reached)[at(node)] < 6)));
        });
    }
    group.finish();
}

/// Three nodes in one thread, of which the first leads.
struct Cluster {
    nodes: Vec<Raft>,
    under_way: VecDeque<(NodeId, NodeId, Message)>,
    now: Instant,
    /// Entries delivered by the leader.
    delivered: u64,
}

impl Cluster {
    fn elect() -> Self {
        let nodes: Vec<Raft> = (1..=VOTERS).map(|id| follower(NodeId(id))).collect();
        let now = nodes[0].poll_timeout().unwrap();
        let mut cluster = Self { nodes, under_way: VecDeque::new(), now, delivered: 0 };
        cluster.nodes[0].handle_timeout(now);
        cluster.settle();
        assert_eq!(cluster.delivered, 1, "the blank entry of the term");
        cluster
    }

    /// Proposes `depth` entries at once and goes on until the leader has delivered them.
    fn commit(&mut self, payload: &Bytes, depth: u64) {
        let expected = self.delivered + depth;
        for _ in 0..depth {
            self.nodes[0].propose(self.now, payload.clone()).unwrap();
        }
        self.settle();
        assert_eq!(self.delivered, expected);
    }

    fn settle(&mut self) {
        self.drain(0);
        while let Some((from, to, message)) = self.under_way.pop_front() {
            let index = usize::try_from(to.0 - 1).unwrap();
            self.nodes[index].handle_message(self.now, from, message);
            self.drain(index);
        }
    }

    fn drain(&mut self, index: usize) {
        let node = &mut self.nodes[index];
        let id = node.status().id;
        while let Some(output) = node.poll_output() {
            match output {
                Output::Send { to, message } => self.under_way.push_back((id, to, message)),
                Output::Persist { write, record } => {
                    drop(black_box(record));
                    node.handle_persisted(self.now, write);
                }
                Output::Deliver(Delivery::Committed(entries)) if index == 0 => {
                    self.delivered += entries.len() as u64;
                }
                Output::Deliver(_) | Output::Event(_) => {}
                Output::Fetch { .. } => unreachable!("nobody lags"),
            }
        }
    }
}

fn follower(id: NodeId) -> Raft {
    let mut config = Config::new(id, Majority::new((1..=VOTERS).map(NodeId)).unwrap());
    // Keeps memory bounded.
    config.max_cached_bytes = 1 << 20;
    Raft::new(config, id.0, Instant::default()).unwrap()
}

const VOTERS: u64 = 3;

criterion_group!(benches, raft, quorum);
criterion_main!(benches);
