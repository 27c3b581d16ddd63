//! The faults of the plan, as they begin and end, within a budget.
//!
//! What a fault does is a function of the plan alone; whether the budget lets it happen depends on
//! what is wrong already.

use quorate_core::{NodeId, SplitMix64, Storage, StorageError};

use super::site::Happening;
use super::{Kind, World};
use crate::decision::{mix, nanos};
use crate::disk::Op;
use crate::law::Broken;
use crate::plan::{Fault, FaultKind};
use crate::stream::Purpose;
use crate::system::System;
use crate::trace::What;
use crate::world::drain::ready;

/// Which faults last.
#[derive(Debug)]
pub(super) struct Chaos {
    /// Until the world is healed.
    pub(super) is_on: bool,
    /// By the index of the fault in the plan.
    is_active: Vec<bool>,
    /// Nodes outside of the core that was healed: they stay as they are.
    pub(super) frozen: Vec<bool>,
}

impl Chaos {
    pub(super) fn new(faults: usize) -> Self {
        Self { is_on: true, is_active: vec![false; faults], frozen: Vec::new() }
    }

    /// Takes in that the plan has one more fault.
    pub(super) fn add(&mut self) {
        self.is_active.push(false);
    }

    fn is_frozen(&self, node: usize) -> bool {
        self.frozen.get(node).copied().unwrap_or_default()
    }
}

impl<S: System> World<S> {
    pub(super) fn begin_fault(&mut self, index: usize) -> Result<(), Broken> {
        if !self.chaos.is_on {
            return Ok(());
        }
        let Fault { at, lasts, kind } = self.plan.faults[index].clone();
        if !self.is_within_budget(&kind) {
            self.stats.vetoed += 1;
            return Ok(());
        }
        self.stats.faults += 1;
        self.chaos.is_active[index] = true;
        let until = self.now.saturating_add(nanos(lasts));
        self.note_all(Kind::Fault, || What::FaultBegins { index, kind: kind.clone(), until });
        self.queue.push(until, Happening::FaultEnds { index });
        // Not the index: a fault that is taken out must not change the others.
        let key = nanos(at) ^ ((kind.family() as u64) << 56);
        let number = mix(self.plan.seed, Purpose::Fault as u64, key);
        self.inflict(&kind, until, number)
    }

    /// Does what a fault begins with.
    pub(super) fn inflict(
        &mut self,
        kind: &FaultKind,
        until: u64,
        number: u64,
    ) -> Result<(), Broken> {
        match kind {
            FaultKind::Crash { node } => self.crash_until(self.at(*node), until),
            FaultKind::CrashStorm => {
                for node in 0..self.sites.len() {
                    let more = self.plan.knobs.down_for.draw(mix(number, 0, node as u64));
                    self.crash_until(node, until.saturating_add(more));
                }
            }
            FaultKind::Wipe { node } => {
                let node = self.at(*node);
                self.crash_until(node, until);
                self.sites[node].wipe();
            }
            FaultKind::Pause { node } => self.pause_node(self.at(*node)),
            FaultKind::Clog { from, to } => self.links.clog(self.at(*from), self.at(*to), until),
            FaultKind::Reset { from, to } => {
                self.links.reset(self.now, self.at(*from), self.at(*to));
            }
            FaultKind::DiskStall { node } => {
                let site = self.at(*node);
                self.sites[site].stalled_until = self.sites[site].stalled_until.max(until);
            }
            FaultKind::Step { node, by } => self.sites[self.at(*node)].wall.step(*by),
            FaultKind::BrokenBound { node, by } => {
                self.sites[self.at(*node)].wall.break_bound(*by);
            }
            FaultKind::Reconfigure { node } => return self.reconfigure(self.at(*node), number),
            FaultKind::Isolate { .. }
            | FaultKind::Split { .. }
            | FaultKind::OneWay { .. }
            | FaultKind::Bridge { .. }
            | FaultKind::Ring => self.partition(kind),
            _ => self.spoil(kind, number),
        }
        Ok(())
    }

    /// Arms or performs a fault of a disk.
    fn spoil(&mut self, kind: &FaultKind, number: u64) {
        let nodes = kind.nodes();
        let Some(node) = nodes.first() else { return };
        let index = self.at(*node);
        let site = &mut self.sites[index];
        let disk = &site.disk;
        match kind {
            FaultKind::ReadError { .. } => disk.fail(Op::Read, 1, std::io::ErrorKind::Other),
            FaultKind::Misread { .. } => {
                disk.misread(number);
                site.is_spoiled = true;
            }
            FaultKind::SyncError { reverts: true, .. } => disk.fail_sync_reverting(1),
            FaultKind::SyncError { .. } => disk.fail(Op::Sync, 1, std::io::ErrorKind::Other),
            FaultKind::ShortWrite { .. } => disk.fail(Op::Write, 1, std::io::ErrorKind::Other),
            FaultKind::Full { .. } => disk.set_capacity(0),
            FaultKind::Rot { .. } => {
                site.is_spoiled |= disk.rot(number);
            }
            FaultKind::Misdirect { .. } => {
                disk.misdirect_write(number);
                site.is_spoiled = true;
            }
            FaultKind::LostWrite { .. } => {
                disk.lose_write();
                site.is_spoiled = true;
            }
            _ => {}
        }
    }

    pub(super) fn end_fault(&mut self, index: usize) -> Result<(), Broken> {
        if !std::mem::take(&mut self.chaos.is_active[index]) {
            return Ok(());
        }
        let kind = self.plan.faults[index].kind.clone();
        if kind.nodes().iter().any(|node| self.chaos.is_frozen(self.at(*node))) {
            return Ok(());
        }
        self.note_all(Kind::Fault, || What::FaultEnds { index });
        match &kind {
            FaultKind::Pause { node } => self.resume_node(self.at(*node)),
            FaultKind::Full { node } => self.sites[self.at(*node)].disk.clear_capacity(),
            FaultKind::BrokenBound { node, .. } => self.sites[self.at(*node)].wall.break_bound(0),
            FaultKind::Isolate { .. }
            | FaultKind::Split { .. }
            | FaultKind::OneWay { .. }
            | FaultKind::Bridge { .. }
            | FaultKind::Ring => self.end_partition(&kind),
            _ => {}
        }
        Ok(())
    }

    fn partition(&mut self, kind: &FaultKind) {
        self.stats.partitions += 1;
        for (from, to) in self.links(kind) {
            self.links.cut(from, to);
        }
        for node in self.parted(kind) {
            self.sites[node].away += 1;
        }
    }

    fn end_partition(&mut self, kind: &FaultKind) {
        for (from, to) in self.links(kind) {
            self.links.mend(from, to);
        }
        for node in self.parted(kind) {
            self.sites[node].away = self.sites[node].away.saturating_sub(1);
        }
    }

    /// Returns the links that a partition cuts.
    fn links(&self, kind: &FaultKind) -> Vec<(usize, usize)> {
        let count = self.sites.len();
        let is_cut = |from: usize, to: usize| match kind {
            FaultKind::Isolate { node } => {
                let node = self.at(*node);
                from == node || to == node
            }
            FaultKind::Split { nodes } => self.is_in(nodes, from) != self.is_in(nodes, to),
            FaultKind::OneWay { from: speaker, to: listener } => {
                speaker.is_none_or(|node| self.at(node) == from)
                    && listener.is_none_or(|node| self.at(node) == to)
            }
            FaultKind::Bridge { node, half } => {
                let bridge = self.at(*node);
                let is_bridge = from == bridge || to == bridge;
                !is_bridge && self.is_in(half, from) != self.is_in(half, to)
            }
            FaultKind::Ring => {
                let apart = from.abs_diff(to);
                let apart = apart.min(count - apart);
                (count / 2).div_ceil(2) < apart
            }
            _ => false,
        };
        let pairs = (0..count).flat_map(|from| (0..count).map(move |to| (from, to)));
        pairs.filter(|(from, to)| from != to && is_cut(*from, *to)).collect()
    }

    /// Returns the nodes that a partition takes from a quorum.
    fn parted(&self, kind: &FaultKind) -> Vec<usize> {
        match kind {
            FaultKind::Isolate { node } => vec![self.at(*node)],
            FaultKind::Split { nodes } => nodes.iter().map(|node| self.at(*node)).collect(),
            FaultKind::OneWay { from, to } => {
                from.or(*to).into_iter().map(|node| self.at(node)).collect()
            }
            _ => Vec::new(),
        }
    }

    fn reconfigure(&mut self, node: usize, number: u64) -> Result<(), Broken> {
        let Some(live) = &mut self.nodes.slots[node] else { return Ok(()) };
        live.now = self.sites[node].clock.local(self.now);
        let what = self.system.reconfigure(live, &mut SplitMix64::new(number));
        if let Some(what) = what {
            self.note(Kind::Command, node, || What::Chose(what));
        }
        self.settle(node)
    }

    /// Ends the node's incarnation: what is not durable may be lost.
    pub(super) fn crash_node(&mut self, node: usize) {
        // The disk goes first: a storage that writes when it is dropped writes to nothing.
        self.sites[node].end();
        self.nodes.slots[node] = None;
        self.stats.crashes += 1;
        self.stats.events += 1;
        self.note(Kind::Crash, node, || What::Crashes);
    }

    /// Crashes the node, if it is up, to be started again at `until`.
    fn crash_until(&mut self, node: usize, until: u64) {
        if self.nodes.slots[node].is_none() {
            return;
        }
        self.crash_node(node);
        let epoch = self.sites[node].epoch;
        self.queue.push(until, Happening::Restart { node, epoch });
    }

    fn crash_for(&mut self, node: usize, nanos: u64) {
        self.crash_until(node, self.now.saturating_add(nanos));
    }

    pub(super) fn restart_if_due(&mut self, node: usize, epoch: u32) -> Result<(), Broken> {
        let site = &self.sites[node];
        let is_due = self.nodes.slots[node].is_none() && site.epoch == epoch && !site.is_refusing;
        if is_due && !self.chaos.is_frozen(node) { self.boot(node) } else { Ok(()) }
    }

    /// Crashes the node in the middle of something: its next output is not performed.
    pub(super) fn cut_power(&mut self, node: usize) {
        self.stats.power_cuts += 1;
        let number = self.sites[node].chance.power_cut.number(Purpose::Down);
        self.crash_for(node, self.plan.knobs.down_for.draw(number));
    }

    /// Crashes the node in the middle of a sync, or before it reached the disk.
    pub(super) fn cut_sync(&mut self, node: usize, number: u64) {
        if let Some(live) = self.nodes.slots[node].as_ref().filter(|_| number & 1 == 0) {
            let [.., chosen] = number.to_le_bytes();
            self.sites[node].disk.cut_power_after(CHANGES[usize::from(chosen) % CHANGES.len()]);
            _ = ready(live.storage.sync());
        }
        self.stats.power_cuts += 1;
        self.crash_for(node, self.plan.knobs.down_for.draw(mix(number, 0, 0)));
    }

    /// Crashes a node whose storage failed: a driver stops it, and starts it from what is durable.
    pub(super) fn fail(&mut self, node: usize, error: &StorageError) {
        self.note(Kind::Crash, node, || What::Chose(format!("its storage fails: {error}")));
        self.sites[node].chance.disk.advance();
        let number = self.sites[node].chance.disk.number(Purpose::Down);
        self.crash_for(node, self.plan.knobs.down_for.draw(number));
    }

    pub(super) fn pause_node(&mut self, node: usize) {
        self.sites[node].pauses += 1;
        self.stats.pauses += 1;
        self.note(Kind::Pause, node, || What::Pauses);
    }

    /// Ends one pause. If it was the last, what waited happens now, in order.
    pub(super) fn resume_node(&mut self, node: usize) {
        let site = &mut self.sites[node];
        if site.pauses == 0 {
            return;
        }
        site.pauses -= 1;
        if site.pauses == 0 {
            self.note(Kind::Resume, node, || What::Resumes);
            while let Some(happening) = self.sites[node].waiting.pop_front() {
                self.queue.push(self.now, happening);
            }
        }
    }

    /// Returns whether one more node may go.
    pub(super) fn may_go_down(&self) -> bool {
        self.chaos.is_on && 0 < self.budget_left()
    }

    /// Returns whether the system can be expected to bear this as well.
    fn is_within_budget(&self, kind: &FaultKind) -> bool {
        let is_well = |node: &NodeId| !self.is_impaired(self.at(*node));
        let left = self.budget_left();
        match kind {
            FaultKind::Crash { node } | FaultKind::Pause { node } | FaultKind::Isolate { node } => {
                0 < left && is_well(node)
            }
            FaultKind::OneWay { from, to } => {
                0 < left && from.iter().chain(to).take(1).all(is_well)
            }
            FaultKind::Split { nodes } => nodes.len() <= left && nodes.iter().all(is_well),
            // What was acknowledged is gone there for good: the others must have it.
            FaultKind::Wipe { node }
            | FaultKind::Misread { node }
            | FaultKind::Rot { node }
            | FaultKind::Misdirect { node }
            | FaultKind::LostWrite { node } => {
                let site = &self.sites[self.at(*node)];
                site.is_spoiled || self.count_spoiled() < self.plan.max_down && 0 < left
            }
            _ => true,
        }
    }

    fn count_spoiled(&self) -> usize {
        self.sites.iter().filter(|site| site.is_spoiled).count()
    }

    fn budget_left(&self) -> usize {
        let impaired = (0..self.sites.len()).filter(|node| self.is_impaired(*node)).count();
        self.plan.max_down.saturating_sub(impaired)
    }

    fn is_impaired(&self, node: usize) -> bool {
        let site = &self.sites[node];
        self.nodes.slots[node].is_none() || 0 < site.pauses || 0 < site.away || site.is_spoiled
    }

    fn is_in(&self, nodes: &[NodeId], node: usize) -> bool {
        nodes.contains(&self.nodes.ids[node])
    }

    /// Returns where a node of this world is.
    pub(super) fn at(&self, id: NodeId) -> usize {
        self.nodes.index(id).unwrap_or_else(|| panic!("{id} is not of this world"))
    }
}

/// After how many changes of a disk the power fails in the middle of a sync. Most syncs are a write
/// and the sync itself: between them the write is torn.
const CHANGES: [u64; 8] = [0, 1, 1, 1, 2, 2, 3, 6];
