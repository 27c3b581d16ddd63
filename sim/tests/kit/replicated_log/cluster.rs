//! Nodes, links and time, in steps of a millisecond.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use quorate_core::{NodeId, SplitMix64};
use quorate_sim::kit::replicated_log::{Applied, Conditions, Network, ReplicatedLog, Role};

use super::Fault;
use super::node::{Message, Node};

pub(super) struct Cluster {
    nodes: BTreeMap<NodeId, Node>,
    down: BTreeSet<NodeId>,
    cut: BTreeSet<NodeId>,
    /// What is under way, by when it arrives.
    wire: BTreeMap<(Duration, u64), (NodeId, NodeId, Message)>,
    sent: u64,
    now: Duration,
    network: Network,
    random: SplitMix64,
}

impl Cluster {
    pub(super) fn new(conditions: &Conditions, fault: Fault) -> Self {
        let all: Vec<NodeId> = conditions.ids().collect();
        let node = |id: NodeId| (id, Node::new(id, &all, conditions.seed, fault));
        Self {
            nodes: all.iter().map(|id| node(*id)).collect(),
            down: BTreeSet::new(),
            cut: BTreeSet::new(),
            wire: BTreeMap::new(),
            sent: 0,
            now: Duration::ZERO,
            network: conditions.network,
            random: SplitMix64::new(conditions.seed),
        }
    }

    fn node(&mut self, node: NodeId) -> &mut Node {
        self.nodes.get_mut(&node).expect("it is of this cluster")
    }

    /// Puts on the wire what a node wants to send.
    fn send(&mut self, from: NodeId) {
        for (to, message) in std::mem::take(&mut self.node(from).outbox) {
            let is_answer = matches!(message, Message::Voted { .. } | Message::Appended { .. });
            if let Some(delay) = self.network.fate(&mut self.random, is_answer) {
                self.sent += 1;
                self.wire.insert((self.now + delay, self.sent), (from, to, message));
            }
        }
    }

    fn deliver(&mut self) {
        while let Some(first) = self.wire.first_entry()
            && first.key().0 <= self.now
        {
            let (from, to, message) = first.remove();
            let is_cut = self.cut.contains(&from) || self.cut.contains(&to);
            if !is_cut && !self.down.contains(&to) {
                let now = self.now;
                self.node(to).handle(now, from, message);
                self.send(to);
            }
        }
    }
}

impl ReplicatedLog for Cluster {
    fn propose(&mut self, node: NodeId, value: u64) -> Option<u64> {
        let index = self.node(node).propose(value);
        self.send(node);
        index
    }

    fn role(&self, node: NodeId) -> Role {
        self.nodes[&node].role()
    }

    fn applied(&self, node: NodeId) -> Vec<Applied> {
        self.nodes[&node].applied.clone()
    }

    fn crash(&mut self, node: NodeId) {
        self.down.insert(node);
    }

    fn restart(&mut self, node: NodeId) {
        self.down.remove(&node);
        let now = self.now;
        self.node(node).restart(now);
    }

    fn cut(&mut self, node: NodeId, is_cut: bool) {
        if is_cut {
            self.cut.insert(node);
        } else {
            self.cut.remove(&node);
        }
    }

    fn compact(&mut self, node: NodeId, index: u64) -> bool {
        self.node(node).compact(index);
        true
    }

    fn run_for(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.now = end.min(self.now + Duration::from_millis(1));
            self.deliver();
            let ids: Vec<NodeId> = self.nodes.keys().copied().collect();
            for id in ids {
                let now = self.now;
                if !self.down.contains(&id) {
                    self.node(id).tick(now);
                }
                self.send(id);
            }
        }
    }
}
