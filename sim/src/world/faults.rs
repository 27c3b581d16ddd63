//! Faults that come by themselves, within a budget.
//!
//! Every occasion draws all its numbers, also where the budget forbids the fault: so the next
//! occasion is the same whatever became of this one.

use quorate_core::{Storage, StorageError};

use super::site::{Happening, Trouble};
use super::{Kind, World};
use crate::decision::{Delay, mix, nanos, scale};
use crate::plan::Family;
use crate::stream::{Purpose, Stream};
use crate::system::System;
use crate::trace::What;
use crate::world::drain::ready;

/// When and where faults come.
#[derive(Debug)]
pub(super) struct Chaos {
    /// Until the world is healed for good.
    pub(super) is_on: bool,
    partition: Stream,
    crash: Stream,
    storm: Stream,
    pause: Stream,
    /// The partition that lasts.
    partitioned: Option<u32>,
    partitions: u32,
}

impl Chaos {
    pub(super) const fn new(seed: u64) -> Self {
        Self {
            is_on: true,
            partition: Stream::new(seed, Purpose::Partition, 0, 0),
            crash: Stream::new(seed, Purpose::Crash, 0, 0),
            storm: Stream::new(seed, Purpose::Storm, 0, 0),
            pause: Stream::new(seed, Purpose::Pause, 0, 0),
            partitioned: None,
            partitions: 0,
        }
    }
}

impl<S: System> World<S> {
    /// Lets the first fault of each kind be expected.
    pub(super) fn expect_trouble(&mut self) {
        for trouble in [Trouble::Partition, Trouble::Crash, Trouble::Storm, Trouble::Pause] {
            _ = self.expect(trouble);
        }
    }

    /// Lets the next fault of a kind be expected, and returns the occasion before it.
    fn expect(&mut self, trouble: Trouble) -> Stream {
        let (stream, every) = match trouble {
            Trouble::Partition => (&mut self.chaos.partition, self.plan.partition_every),
            Trouble::Crash => (&mut self.chaos.crash, self.plan.crash_every),
            Trouble::Storm => (&mut self.chaos.storm, self.plan.storm_every),
            Trouble::Pause => (&mut self.chaos.pause, self.plan.pause_every),
        };
        let occasion = *stream;
        if let Some(every) = every {
            let delay = Delay::Exponential { min_nanos: 1, mean_nanos: nanos(every) };
            let at = self.now.saturating_add(delay.draw(stream.next()));
            self.queue.push(at, Happening::Trouble(trouble));
        }
        occasion
    }

    pub(super) fn make_trouble(&mut self, trouble: Trouble) {
        if !self.chaos.is_on {
            return;
        }
        let occasion = self.expect(trouble);
        let victim = scale(occasion.number(Purpose::Next) << 1, self.sites.len() as u64);
        let victim = usize::try_from(victim).expect("below a length");
        let is_up = self.nodes.slots[victim].is_some();
        let is_well = is_up && !self.is_impaired(victim);
        match trouble {
            Trouble::Partition => self.start_partition(victim, occasion),
            Trouble::Crash if is_well && self.may_go_down() => {
                self.crash_for(victim, self.plan.down_for.draw(occasion.number(Purpose::Down)));
            }
            Trouble::Pause if is_well && self.may_go_down() => {
                let pause = self.pause_node(victim);
                let time = self.plan.pause_for.draw(occasion.number(Purpose::Down));
                let at = self.now.saturating_add(time);
                self.queue.push(at, Happening::Resume { node: victim, pause });
            }
            Trouble::Crash | Trouble::Pause => {}
            Trouble::Storm => {
                for node in 0..self.sites.len() {
                    let number = mix(occasion.number(Purpose::Down), 0, node as u64);
                    if self.nodes.slots[node].is_some() {
                        self.crash_for(node, self.plan.down_for.draw(number));
                    }
                }
            }
        }
    }

    fn start_partition(&mut self, victim: usize, occasion: Stream) {
        let shapes = [Family::Split, Family::Isolate, Family::OneWay]
            .into_iter()
            .filter(|shape| self.plan.partitions.contains(*shape));
        let number = occasion.number(Purpose::Partition);
        let count = shapes.clone().count() as u64;
        let chosen = usize::try_from(scale(number, count.max(1))).expect("below 3");
        let Some(shape) = shapes.clone().nth(chosen) else { return };
        let left = self.budget_left();
        if left == 0 || self.chaos.partitioned.is_some() || self.is_impaired(victim) {
            return;
        }
        match shape {
            Family::OneWay => self.cut_one_way(victim, mix(number, 1, 0)),
            Family::Split => {
                let size = 1 + scale(mix(number, 2, 0), left as u64);
                self.cut_away(usize::try_from(size).expect("below a length"), mix(number, 3, 0));
            }
            _ => self.cut_away_one(victim),
        }
        self.stats.partitions += 1;
        self.chaos.partitions += 1;
        self.chaos.partitioned = Some(self.chaos.partitions);
        let time = self.plan.partition_for.draw(occasion.number(Purpose::Down));
        let partition = self.chaos.partitions;
        self.queue.push(self.now.saturating_add(time), Happening::Heal { partition });
    }

    fn cut_away_one(&mut self, victim: usize) {
        self.sites[victim].is_away = true;
        for other in (0..self.sites.len()).filter(|other| *other != victim) {
            self.network.partition(victim, other);
            self.network.partition(other, victim);
        }
        self.note(Kind::Network, victim, || What::World("is isolated"));
    }

    /// Cuts `size` nodes that are well from all others, but not from each other.
    fn cut_away(&mut self, size: usize, number: u64) {
        let mut chosen: Vec<usize> =
            (0..self.sites.len()).filter(|node| !self.is_impaired(*node)).collect();
        chosen.sort_by_key(|node| mix(number, 0, *node as u64));
        chosen.truncate(size);
        for node in &chosen {
            for other in (0..self.sites.len()).filter(|other| !chosen.contains(other)) {
                self.network.partition(*node, other);
                self.network.partition(other, *node);
            }
            self.sites[*node].is_away = true;
            self.note(Kind::Network, *node, || What::World("is split off"));
        }
    }

    /// Cuts what `victim` says, or what it hears, or what it says to one other.
    fn cut_one_way(&mut self, victim: usize, number: u64) {
        self.sites[victim].is_away = true;
        let count = self.sites.len();
        let one = usize::try_from(scale(mix(number, 0, 0), count as u64)).expect("below a length");
        let what = match number >> 62 {
            0 => "is not heard any more",
            1 => "hears nothing any more",
            _ => "is not heard any more by one other",
        };
        for other in (0..count).filter(|other| *other != victim) {
            match number >> 62 {
                0 => self.network.partition(victim, other),
                1 => self.network.partition(other, victim),
                _ if other == one => self.network.partition(victim, other),
                _ => {}
            }
        }
        self.note(Kind::Network, victim, || What::World(what));
    }

    /// Ends `partition`, if it lasts.
    pub(super) fn end_partition(&mut self, partition: u32) {
        if self.chaos.partitioned == Some(partition) {
            self.heal_partition();
        }
    }

    pub(super) fn heal_partition(&mut self) {
        self.chaos.partitioned = None;
        self.network.heal_partition();
        for node in 0..self.sites.len() {
            if std::mem::take(&mut self.sites[node].is_away) {
                self.note(Kind::Network, node, || What::World("is connected again"));
            }
        }
    }

    /// Ends the node's incarnation: what is not durable may be lost.
    pub(super) fn crash_node(&mut self, node: usize) {
        // The disk goes first: a storage that writes when it is dropped writes to nothing.
        self.sites[node].end();
        self.nodes.slots[node] = None;
        self.stats.crashes += 1;
        self.stats.events += 1;
        self.note(Kind::Crash, node, || What::World("crashes"));
    }

    /// Crashes the node, to be started again after `nanos`.
    fn crash_for(&mut self, node: usize, nanos: u64) {
        self.crash_node(node);
        let epoch = self.sites[node].epoch;
        let at = self.now.saturating_add(nanos);
        self.queue.push(at, Happening::Restart { node, epoch });
    }

    /// Crashes the node in the middle of something: its next output is not performed.
    pub(super) fn cut_power(&mut self, node: usize) {
        self.stats.power_cuts += 1;
        let number = self.sites[node].chance.power_cut.number(Purpose::Down);
        self.crash_for(node, self.plan.down_for.draw(number));
    }

    /// Crashes the node in the middle of a sync, or before it reached the disk.
    pub(super) fn cut_sync(&mut self, node: usize, number: u64) {
        if let Some(live) = self.nodes.slots[node].as_ref().filter(|_| number & 1 == 0) {
            self.sites[node].disk.cut_power_after(number >> 61);
            _ = ready(live.storage.sync());
        }
        self.stats.power_cuts += 1;
        self.crash_for(node, self.plan.down_for.draw(mix(number, 0, 0)));
    }

    /// Crashes a node whose storage failed: a driver stops it, and starts it from what is durable.
    pub(super) fn fail(&mut self, node: usize, error: &StorageError) {
        self.note(Kind::Crash, node, || What::Chose(format!("its storage fails: {error}")));
        self.sites[node].chance.disk.advance();
        let number = self.sites[node].chance.disk.number(Purpose::Down);
        self.crash_for(node, self.plan.down_for.draw(number));
    }

    pub(super) fn pause_node(&mut self, node: usize) -> u32 {
        let site = &mut self.sites[node];
        site.pauses += 1;
        site.pause = Some(site.pauses);
        let pause = site.pauses;
        self.stats.pauses += 1;
        self.note(Kind::Pause, node, || What::World("pauses"));
        pause
    }

    /// Lets the node go on: what waited happens now, in order.
    pub(super) fn resume_node(&mut self, node: usize) {
        if self.sites[node].pause.take().is_none() {
            return;
        }
        self.note(Kind::Resume, node, || What::World("resumes"));
        while let Some(happening) = self.sites[node].waiting.pop_front() {
            self.queue.push(self.now, happening);
        }
    }

    /// Returns whether the budget lets one more node go.
    pub(super) fn may_go_down(&self) -> bool {
        self.chaos.is_on && 0 < self.budget_left()
    }

    fn budget_left(&self) -> usize {
        let nodes = self.sites.len();
        let most = self.plan.max_down.unwrap_or_else(|| (nodes.saturating_sub(1) / 2).max(1));
        let impaired = (0..nodes).filter(|node| self.is_impaired(*node)).count();
        most.saturating_sub(impaired)
    }

    fn is_impaired(&self, node: usize) -> bool {
        let site = &self.sites[node];
        self.nodes.slots[node].is_none() || site.pause.is_some() || site.is_away
    }
}
