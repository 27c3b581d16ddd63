//! A cluster, what was proposed to it, and what it must never take back.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use quorate_core::{NodeId, SplitMix64};

use super::{Applied, Conditions, Network, ReplicatedLog, Role};
use crate::kit::{Checked, Stop, ensure};

/// What the cases drive.
///
/// # Invariants
///
/// - What the application of a node knows is the beginning of `log`, or was at the last check.
pub(super) struct Bench<L> {
    cluster: L,
    pub(super) nodes: Vec<NodeId>,
    pub(super) random: SplitMix64,
    network: Network,
    /// How long it runs.
    now: Duration,
    /// How often everybody is looked at.
    tick: Duration,
    up: BTreeSet<NodeId>,
    cut: BTreeSet<NodeId>,
    /// What any node ever applied, in order.
    log: Vec<Applied>,
    /// The index that was promised for each value.
    promised: BTreeMap<u64, u64>,
    /// Who led in each term.
    leaders: BTreeMap<u64, NodeId>,
    /// What each node said since it was started.
    heard: BTreeMap<NodeId, Heard>,
}

/// What a node said last.
#[derive(Clone, Copy, Default)]
struct Heard {
    /// How many entries it had applied.
    applied: usize,
    term: u64,
}

impl<L: ReplicatedLog> Bench<L> {
    pub(super) fn new(cluster: L, conditions: Conditions) -> Self {
        let nodes: Vec<NodeId> = conditions.ids().collect();
        Self {
            cluster,
            up: nodes.iter().copied().collect(),
            nodes,
            random: SplitMix64::new(crate::mix(conditions.seed, 0, 0)),
            network: conditions.network,
            now: Duration::ZERO,
            tick: TICK,
            cut: BTreeSet::new(),
            log: Vec::new(),
            promised: BTreeMap::new(),
            leaders: BTreeMap::new(),
            heard: BTreeMap::new(),
        }
    }

    /// Lets time pass, and looks at everybody again and again.
    pub(super) fn run_for(&mut self, time: Duration) -> Checked {
        let end = self.now + time;
        while self.now < end {
            let step = self.tick.min(end - self.now);
            self.cluster.run_for(step);
            self.now += step;
            self.check()?;
        }
        Ok(())
    }

    /// Looks at everybody each millisecond from now on.
    pub(super) const fn watch_closely(&mut self) {
        self.tick = Duration::from_millis(1);
    }

    /// Looks at everybody now and then again.
    pub(super) const fn watch_loosely(&mut self) {
        self.tick = TICK;
    }

    /// Waits until anybody applies something new, but no longer than `limit`.
    pub(super) fn run_until_news(&mut self, limit: Duration) -> Checked {
        let (end, before) = (self.now + limit, self.log.len());
        while self.now < end && self.log.len() == before {
            self.run_for(self.tick)?;
        }
        Ok(())
    }

    /// Lets any time before `millis` pass.
    pub(super) fn run_for_up_to(&mut self, millis: u64) -> Checked {
        let micros = self.random.below(millis * 1_000);
        self.run_for(Duration::from_micros(micros))
    }

    pub(super) fn crash(&mut self, node: NodeId) -> Checked {
        if self.up.contains(&node) {
            // What it said last counts.
            self.check()?;
            self.cluster.crash(node);
            self.up.remove(&node);
            self.heard.remove(&node);
        }
        Ok(())
    }

    pub(super) fn restart(&mut self, node: NodeId) -> Checked {
        if self.up.insert(node) {
            self.cluster.restart(node);
        }
        self.check()
    }

    pub(super) fn restart_all(&mut self) -> Checked {
        self.nodes.clone().into_iter().try_for_each(|node| self.restart(node))
    }

    pub(super) fn crash_all(&mut self) -> Checked {
        self.nodes.clone().into_iter().try_for_each(|node| self.crash(node))
    }

    pub(super) fn cut(&mut self, node: NodeId) {
        if self.cut.insert(node) {
            self.cluster.cut(node, true);
        }
    }

    pub(super) fn join(&mut self, node: NodeId) {
        if self.cut.remove(&node) {
            self.cluster.cut(node, false);
        }
    }

    pub(super) fn join_all(&mut self) {
        self.nodes.clone().into_iter().for_each(|node| self.join(node));
    }

    /// Returns the nodes that are up and connected.
    pub(super) fn active(&self) -> Vec<NodeId> {
        self.up.difference(&self.cut).copied().collect()
    }

    /// Returns the nodes that are down or cut off.
    pub(super) fn absent(&self) -> Vec<NodeId> {
        let is_absent = |node: &NodeId| !self.up.contains(node) || self.cut.contains(node);
        self.nodes.iter().copied().filter(is_absent).collect()
    }

    /// Returns the node that is `steps` after `node`, in a circle.
    pub(super) fn after(&self, node: NodeId, steps: usize) -> NodeId {
        let at = self.nodes.iter().position(|it| *it == node).unwrap_or_default();
        self.nodes[(at + steps) % self.nodes.len()]
    }

    /// Returns any of `nodes`.
    pub(super) fn pick(&mut self, nodes: &[NodeId]) -> NodeId {
        nodes[usize::try_from(self.random.below(nodes.len() as u64)).expect("below a length")]
    }

    /// Proposes a new value to `node`. Returns where it will be, if the node takes it.
    pub(super) fn propose(&mut self, node: NodeId) -> Option<Applied> {
        if !self.up.contains(&node) {
            return None;
        }
        let value = FIRST_VALUE + self.promised.len() as u64;
        let index = self.cluster.propose(node, value);
        self.promised.insert(value, index.unwrap_or_default());
        Some(Applied { index: index?, value })
    }

    /// Proposes a new value to whoever takes it. Returns who did, and where it will be.
    pub(super) fn propose_anywhere(&mut self) -> Option<(NodeId, Applied)> {
        let active = self.active();
        if active.is_empty() {
            return None;
        }
        let first = self.pick(&active);
        let (before, after): (Vec<NodeId>, Vec<NodeId>) =
            active.into_iter().partition(|node| *node < first);
        after.into_iter().chain(before).find_map(|node| Some((node, self.propose(node)?)))
    }

    /// Has a new value applied by `count` nodes, proposing another one where it is not. Returns its
    /// index.
    pub(super) fn agree(&mut self, count: usize) -> Checked<u64> {
        let end = self.now + self.patience();
        while self.now < end {
            if let Some((_, entry)) = self.propose_anywhere()
                && self.is_applied_in_time(entry, count)?
            {
                return Ok(entry.index);
            }
            self.run_for(5 * TICK)?;
        }
        let limit = self.patience();
        Err(self.broken(&format!("{count} nodes do not agree on a value within {limit:?}")))
    }

    /// Waits until `count` nodes applied `entry`, or something else there.
    pub(super) fn is_applied_in_time(&mut self, entry: Applied, count: usize) -> Checked<bool> {
        let end = self.now + AGREEMENT;
        while self.now < end {
            if count <= self.count_applied(entry.index) {
                return Ok(self.log.contains(&entry));
            }
            self.run_for(self.tick)?;
        }
        Ok(false)
    }

    /// Returns how many nodes, of those that are up, applied what is at `index`.
    pub(super) fn count_applied(&self, index: u64) -> usize {
        let needed = self.log.partition_point(|entry| entry.index < index) + 1;
        self.heard.values().filter(|heard| needed <= heard.applied).count()
    }

    /// Returns the index of what `node` applied last.
    pub(super) fn last_applied(&self, node: NodeId) -> u64 {
        let count = self.heard.get(&node).map_or(0, |heard| heard.applied);
        count.checked_sub(1).map_or(0, |last| self.log[last].index)
    }

    /// Waits until one of those who are connected leads in the latest term of all.
    pub(super) fn leader(&mut self) -> Checked<NodeId> {
        let end = self.now + self.patience();
        while self.now < end {
            let roles: Vec<(Role, NodeId)> =
                self.active().into_iter().map(|node| (self.cluster.role(node), node)).collect();
            let term = roles.iter().map(|(role, _)| role.term).max().unwrap_or_default();
            if let Some((_, leader)) = roles.iter().find(|(it, _)| it.is_leader && it.term == term)
            {
                return Ok(*leader);
            }
            self.run_for(self.tick)?;
        }
        let limit = self.patience();
        Err(self.broken(&format!("nobody leads within {limit:?}")))
    }

    pub(super) fn term(&self, node: NodeId) -> u64 {
        self.cluster.role(node).term
    }

    /// Fails if one of those who are connected leads in the end, or one becomes the leader.
    pub(super) fn nobody_leads_for(&mut self, time: Duration) -> Checked {
        self.run_for(time)?;
        for node in self.active() {
            let role = self.cluster.role(node);
            if role.is_leader {
                let term = role.term;
                return Err(self.broken(&format!("{node} leads in term {term} without a quorum")));
            }
        }
        Ok(())
    }

    /// Fails if anybody applies anything new.
    pub(super) fn nobody_applies_for(&mut self, time: Duration) -> Checked {
        let before = self.log.len();
        self.run_for(time)?;
        match self.log.get(before) {
            None => Ok(()),
            Some(Applied { index, value }) => {
                let (index, value) = (*index, *value);
                Err(self.broken(&format!("value {value} is applied at {index} without a quorum")))
            }
        }
    }

    /// Has everybody up and connected, and waits until all have all that any ever applied.
    pub(super) fn settle(&mut self) -> Checked {
        self.join_all();
        self.restart_all()?;
        // Whoever applied that has applied all before.
        self.agree(self.nodes.len()).map(drop)
    }

    /// Compacts the log of each node that applied `count` values or more since `compacted`.
    pub(super) fn compact(
        &mut self,
        compacted: &mut BTreeMap<NodeId, usize>,
        count: usize,
    ) -> Checked {
        for node in self.up.clone() {
            let applied = self.heard.get(&node).map_or(0, |heard| heard.applied);
            let last = compacted.entry(node).or_default();
            if *last + count <= applied {
                *last = applied;
                if !self.cluster.compact(node, self.log[applied - 1].index) {
                    return Err(Stop::Nothing("it never forgets its log".to_owned()));
                }
            }
        }
        self.check()
    }

    /// How long agreement and elections may take.
    fn patience(&self) -> Duration {
        match self.network {
            Network::Reliable => Duration::from_secs(10),
            Network::Unreliable => Duration::from_secs(30),
            Network::LongReordering => Duration::from_secs(120),
        }
    }

    /// Checks what every node says.
    fn check(&mut self) -> Checked {
        self.up.clone().into_iter().try_for_each(|node| {
            self.check_role(node)?;
            self.check_applied(node)
        })
    }

    fn check_role(&mut self, node: NodeId) -> Checked {
        let Role { term, is_leader } = self.cluster.role(node);
        let heard = self.heard.entry(node).or_default();
        let before = std::mem::replace(&mut heard.term, term);
        ensure(before <= term, || format!("{node} goes from term {before} back to {term}"))?;
        if !is_leader {
            return Ok(());
        }
        let leader = *self.leaders.entry(term).or_insert(node);
        ensure(leader == node, || format!("{leader} and {node} both lead in term {term}"))
    }

    /// What one node applied is the beginning of what another did.
    fn check_applied(&mut self, node: NodeId) -> Checked {
        let applied = self.cluster.applied(node);
        let count = applied.len();
        let before = self.heard.entry(node).or_default();
        let known = std::mem::replace(&mut before.applied, count);
        ensure(known <= count, || {
            format!("{node} had applied {known} values, and now it has {count}")
        })?;
        let both = self.log.iter().zip(&applied);
        if let Some((right, found)) = both.clone().find(|(right, found)| right != found) {
            return Err(Stop::broken(apart(node, *right, *found)));
        }
        for entry in applied.into_iter().skip(self.log.len()) {
            self.take_in(node, entry)?;
        }
        Ok(())
    }

    /// Takes in a value that `node` is the first to apply.
    fn take_in(&mut self, node: NodeId, Applied { index, value }: Applied) -> Checked {
        if let Some(last) = self.log.last() {
            ensure(last.index < index, || {
                format!("{node} applies index {index} after index {}", last.index)
            })?;
        }
        match self.promised.get(&value) {
            Some(&promised) => ensure(promised == index, || match promised {
                0 => format!("{node} applies value {value} at {index}, which was refused"),
                _ => format!("{node} applies value {value} at {index}, {promised} was promised"),
            })?,
            None => {
                let why = format!("{node} applies value {value} at {index}, which nobody proposed");
                return Err(Stop::broken(why));
            }
        }
        self.log.push(Applied { index, value });
        Ok(())
    }

    /// Makes a failure of `why`, with who did what.
    pub(super) fn broken(&self, why: &str) -> Stop {
        let of = |node: &NodeId| {
            let cut = if self.cut.contains(node) { ", cut off" } else { "" };
            if !self.up.contains(node) {
                return format!("{node} is down{cut}");
            }
            let Role { term, is_leader } = self.cluster.role(*node);
            let role = if is_leader { "leads" } else { "follows" };
            let applied = self.last_applied(*node);
            format!("{node} {role} in term {term}, applied up to {applied}{cut}")
        };
        let nodes: Vec<String> = self.nodes.iter().map(of).collect();
        Stop::Broken(format!("after {:?}, {why}: {}", self.now, nodes.join("; ")))
    }
}

/// Says how two logs differ.
fn apart(node: NodeId, right: Applied, found: Applied) -> String {
    let Applied { index, value } = found;
    if right.index == index {
        let other = right.value;
        return format!("{node} applies value {value} at {index}, another node {other}");
    }
    let Applied { index: other, value: right } = right;
    format!("{node} applies value {value} at {index}, where others apply {right}, at {other}")
}

/// Short enough to see each leader, long enough for a cluster in real time.
const TICK: Duration = Duration::from_millis(20);

/// After which time a value that is not applied is given up, and another one proposed.
const AGREEMENT: Duration = Duration::from_secs(2);

/// Not an index, to tell them apart in what is said.
const FIRST_VALUE: u64 = 1_001;
