//! What a core asks for, one output after the other, and what comes back to it.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use quorate_core::{
    FetchId, NodeId, Output, OutputOf, Protocol, SplitMix64, Storage, StorageError, WriteId,
};

use super::site::Happening;
use super::{Kind, World};
use crate::decision::{Delay, Ratio, scale};
use crate::law::Broken;
use crate::links::Fate;
use crate::mistake::Mistake;
use crate::stream::Purpose;
use crate::system::{DeliveryOf, MessageOf, QueryOf, RecordOf, System};
use crate::trace::What;
use crate::traps::{Trap, planted};

/// Polls `future` once and returns what it is ready with: that of a storage in memory is.
///
/// # Panics
///
/// If it is not ready. In virtual time there is nothing to wait for.
pub fn ready<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("a storage in a world must answer at once"),
    }
}

impl<S: System> World<S> {
    /// Does all that `node` asks for, and checks the laws.
    pub(super) fn settle(&mut self, node: usize) -> Result<(), Broken> {
        self.drain(node)?;
        self.answer_clients();
        self.set_timer(node);
        let Some(changed) = &self.nodes.slots[node] else { return Ok(()) };
        for law in &mut self.laws {
            law.check(&self.nodes, changed).map_err(|why| Broken::law(law.name(), why))?;
        }
        self.note_badge(node);
        Ok(())
    }

    /// Takes down what the node is, if that is new.
    #[inline]
    fn note_badge(&mut self, node: usize) {
        let Some(live) = self.nodes.slots[node].as_ref().filter(|_| self.trace.is_on()) else {
            return;
        };
        let badge = self.system.badge(&live.core);
        if badge != self.sites[node].badge {
            self.sites[node].badge = badge;
            self.trace.remark(self.now, self.nodes.ids[node], What::Badge(badge));
        }
    }

    pub(super) fn arrive(
        &mut self,
        from: usize,
        to: usize,
        message: MessageOf<S::Core>,
        id: u64,
        connection: u32,
    ) -> Result<(), Broken> {
        if let Some(why) = self.links.arrive(from, to, connection) {
            self.lose(from, to, id, why);
            return Ok(());
        }
        let Some(live) = &mut self.nodes.slots[to] else {
            self.lose(from, to, id, "dead");
            return Ok(());
        };
        self.stats.events += 1;
        self.stats.delivered += 1;
        live.now = self.sites[to].clock.local(self.now);
        let sender = self.nodes.ids[from];
        let receiver = live.id;
        self.trace.push(self.now, Kind::Heard as u64, ((from as u64) << 12) ^ to as u64, || {
            (Some(receiver), What::Heard { from: sender, id, message: message.clone() })
        });
        live.core.handle_message(live.now, sender, message);
        self.settle(to)
    }

    /// Ends the sync of `node` that is under way.
    pub(super) fn synced(&mut self, node: usize) -> Result<(), Broken> {
        let (stream, epoch) = (self.sites[node].chance.sync, self.sites[node].epoch);
        if self.wait_for_disk(node, || Happening::Synced { node, epoch }) {
            return Ok(());
        }
        self.stats.events += 1;
        if self.plan.knobs.sync_cut.is_hit(stream.number(Purpose::SyncCut)) && self.may_go_down() {
            self.cut_sync(node, stream.number(Purpose::Disk));
            return Ok(());
        }
        let Some(live) = &self.nodes.slots[node] else { return Ok(()) };
        let write = match ready(live.storage.sync()) {
            Ok(write) => write,
            Err(StorageError::Full) => {
                let at = self.now + FULL_RETRY_NANOS;
                self.queue.push(at, Happening::Synced { node, epoch });
                return Ok(());
            }
            Err(error) => {
                self.fail(node, &error);
                return Ok(());
            }
        };
        self.stats.syncs += 1;
        self.sites[node].sync.is_under_way = false;
        if self.mistake != Mistake::Hasty {
            // One report may cover many writes; now and then it comes in two.
            let number = stream.number(Purpose::Next);
            let reported = self.sites[node].sync.reported;
            let count = write.0.saturating_sub(reported.0);
            let first = WriteId(reported.0 + scale(number << 4, count));
            if number >> 60 == 0 && reported < first {
                self.tell_persisted(node, first)?;
            }
            if self.is_current(node, epoch) {
                self.tell_persisted(node, write)?;
            }
        }
        if self.is_current(node, epoch) {
            self.start_sync(node);
        }
        Ok(())
    }

    /// Puts off what a disk that stalls would answer. Returns whether it did.
    fn wait_for_disk(
        &mut self,
        node: usize,
        happening: impl FnOnce() -> Happening<S::Core, S::Return>,
    ) -> bool {
        let until = self.sites[node].stalled_until;
        let is_stalled = self.now < until;
        if is_stalled {
            self.queue.push(until, happening());
        }
        is_stalled
    }

    fn tell_persisted(&mut self, node: usize, write: WriteId) -> Result<(), Broken> {
        let site = &mut self.sites[node];
        let Some(live) = &mut self.nodes.slots[node] else { return Ok(()) };
        live.now = site.clock.local(self.now);
        site.sync.reported = write;
        live.core.handle_persisted(live.now, write);
        self.note(Kind::Persisted, node, || What::Persisted(write));
        self.settle(node)
    }

    pub(super) fn fetched(
        &mut self,
        node: usize,
        fetch: FetchId,
        query: QueryOf<S::Core>,
    ) -> Result<(), Broken> {
        let epoch = self.sites[node].epoch;
        if self.now < self.sites[node].stalled_until {
            let at = self.sites[node].stalled_until;
            self.queue.push(at, Happening::Fetched { node, epoch, fetch, query });
            return Ok(());
        }
        let Some(live) = &mut self.nodes.slots[node] else { return Ok(()) };
        self.stats.events += 1;
        let answer = match ready(live.storage.fetch(query)) {
            Ok(answer) => answer,
            Err(error) => {
                self.fail(node, &error);
                return Ok(());
            }
        };
        self.stats.fetches += 1;
        live.now = self.sites[node].clock.local(self.now);
        live.core.handle_fetched(live.now, fetch, answer);
        self.note(Kind::Fetched, node, || What::Fetched(fetch));
        self.settle(node)
    }

    /// Takes outputs until there are none, or the power fails.
    fn drain(&mut self, node: usize) -> Result<(), Broken> {
        let has_power_cuts = self.chaos.is_on
            && self.plan.knobs.power_cut != Ratio::NEVER
            && !planted(Trap::CrashBetweenEvents);
        let is_interleaved = self.chaos.is_on && self.plan.knobs.interleave != Ratio::NEVER;
        while let Some(live) = &mut self.nodes.slots[node] {
            let Some(output) = live.core.poll_output() else { break };
            self.count_at_this_instant()?;
            if has_power_cuts
                && self.sites[node].chance.power_cut.is_hit(self.plan.knobs.power_cut)
                && self.may_go_down()
            {
                self.cut_power(node);
                break;
            }
            self.perform_output(node, output)?;
            if is_interleaved
                && self.sites[node].chance.interleave.is_hit(self.plan.knobs.interleave)
            {
                self.ask_in_between(node);
            }
        }
        Ok(())
    }

    fn perform_output(&mut self, node: usize, output: OutputOf<S::Core>) -> Result<(), Broken> {
        match output {
            Output::Send { to, message } => self.send(node, to, message),
            Output::Persist { write, record } => {
                self.note(Kind::Output, node, || What::Persist { write, record: record.clone() });
                self.append(node, write, record);
            }
            Output::Fetch { fetch, query } => {
                self.note(Kind::Output, node, || What::Fetch { fetch, query: query.clone() });
                self.fetch(node, fetch, query);
            }
            Output::Deliver(delivery) => {
                self.note(Kind::Output, node, || What::Deliver(delivery.clone()));
                self.deliver(node, delivery)?;
            }
            Output::Event(event) => {
                self.note(Kind::Output, node, || What::Event(event.clone()));
                let Some(live) = &mut self.nodes.slots[node] else { return Ok(()) };
                for law in &mut self.laws {
                    law.told(live, &event).map_err(|why| Broken::law(law.name(), why))?;
                }
                self.system.event(live, event, &mut self.done);
            }
        }
        Ok(())
    }

    fn send(&mut self, from: usize, to: NodeId, message: MessageOf<S::Core>) {
        self.stats.sent += 1;
        let id = self.stats.sent;
        self.note(Kind::Output, from, || What::Send { to, id, message: message.clone() });
        let Some(to) = self.nodes.index(to) else {
            self.stats.lost += 1;
            self.note(Kind::Lost, from, || What::Lost { to, id, why: "nobody has this id" });
            return;
        };
        match self.links.send(self.now, from, to, || self.system.bytes(&message)) {
            Fate::Lost { why } => self.lose(from, to, id, why),
            Fate::Arrives { at, again, damage, connection } => {
                if let Some(again) = again {
                    self.stats.repeated += 1;
                    let message = message.clone();
                    let copy = Happening::Arrival { from, to, message, id, connection };
                    self.queue.push(again, copy);
                }
                let Some(message) = self.carry(message, damage) else {
                    _ = self.links.arrive(from, to, connection);
                    return self.lose(from, to, id, "corrupt");
                };
                self.queue.push(at, Happening::Arrival { from, to, message, id, connection });
            }
        }
    }

    /// Returns what arrives of a message that may be damaged on the way.
    #[inline]
    fn carry(
        &mut self,
        message: MessageOf<S::Core>,
        damage: Option<u64>,
    ) -> Option<MessageOf<S::Core>> {
        let Some(damage) = damage else { return Some(message) };
        self.stats.damaged += 1;
        self.system.damage(&message, &mut SplitMix64::new(damage))
    }

    fn lose(&mut self, from: usize, to: usize, id: u64, why: &'static str) {
        self.stats.lost += 1;
        let to = self.nodes.ids[to];
        self.note(Kind::Lost, from, || What::Lost { to, id, why });
    }

    fn append(&mut self, node: usize, write: WriteId, record: RecordOf<S::Core>) {
        let live = self.nodes.slots[node].as_mut().expect("it is up");
        if let Err(error) = live.storage.append(write, record) {
            return self.fail(node, &error);
        }
        let site = &mut self.sites[node];
        site.sync.appended = write;
        if self.mistake == Mistake::Hasty {
            live.core.handle_persisted(live.now, write);
        }
        self.start_sync(node);
    }

    /// Starts a sync, unless one is under way or there is nothing to sync.
    fn start_sync(&mut self, node: usize) {
        let site = &mut self.sites[node];
        let sync = &mut site.sync;
        if sync.is_under_way || sync.appended <= sync.covered {
            return;
        }
        (sync.is_under_way, sync.covered) = (true, sync.appended);
        if !planted(Trap::SyncCoversLater) {
            site.log.lock().begin_sync();
        }
        site.chance.sync.advance();
        let delay = site.sync_latency.draw(site.chance.sync.number(Purpose::Sync));
        let at = self.now.saturating_add(delay);
        self.queue.push(at, Happening::Synced { node, epoch: site.epoch });
    }

    fn fetch(&mut self, node: usize, fetch: FetchId, query: QueryOf<S::Core>) {
        let site = &mut self.sites[node];
        if self.mistake == Mistake::DropsFetches && site.chance.mistake.is_hit(ONE_IN_FOUR) {
            return;
        }
        let delay = site.fetch_latency.draw(site.chance.fetch.next());
        let at = self.now.saturating_add(delay);
        self.queue.push(at, Happening::Fetched { node, epoch: site.epoch, fetch, query });
    }

    fn deliver(&mut self, node: usize, delivery: DeliveryOf<S::Core>) -> Result<(), Broken> {
        self.stats.applied += 1;
        if self.mistake != Mistake::ReordersDeliveries {
            return self.hand_over(node, delivery);
        }
        let site = &mut self.sites[node];
        match site.held.take() {
            None if site.chance.mistake.is_hit(ONE_IN_FOUR) => {
                site.held = Some(delivery);
                Ok(())
            }
            None => self.hand_over(node, delivery),
            Some(held) => {
                self.hand_over(node, delivery)?;
                self.hand_over(node, held)
            }
        }
    }

    fn hand_over(&mut self, node: usize, delivery: DeliveryOf<S::Core>) -> Result<(), Broken> {
        let Some(live) = &mut self.nodes.slots[node] else { return Ok(()) };
        for law in &mut self.laws {
            law.delivered(live, &delivery).map_err(|why| Broken::law(law.name(), why))?;
        }
        self.system.deliver(live, delivery, &mut self.done);
        Ok(())
    }

    /// Sees to it that `node` is woken at its deadline, or before.
    ///
    /// A deadline that moves back, as that of an election does with each heartbeat, leaves the
    /// wake-up where it is: it comes early, and is set again.
    #[inline]
    pub(super) fn set_timer(&mut self, node: usize) {
        let Some(live) = &self.nodes.slots[node] else { return };
        let site = &mut self.sites[node];
        let deadline = live.core.poll_timeout();
        if deadline != site.timer.deadline {
            site.timer.deadline = deadline;
            site.timer.is_forgotten = deadline.is_some()
                && self.mistake == Mistake::ForgetsDeadlines
                && site.chance.mistake.is_hit(ONE_IN_FOUR);
        }
        let Some(deadline) = deadline else { return };
        if site.timer.is_forgotten {
            return;
        }
        let mut at = site.clock.at(deadline).max(self.now);
        if site.timer.at <= at {
            return;
        }
        let late_wake = self.plan.knobs.late_wake;
        if late_wake != Ratio::NEVER && self.chaos.is_on && site.chance.late.is_hit(late_wake) {
            let late = Delay::Exponential { min_nanos: 0, mean_nanos: LATE_NANOS };
            at = at.saturating_add(late.draw(site.chance.late.number(Purpose::Late)));
        }
        (site.timer.at, site.timer.number) = (at, site.timer.number.wrapping_add(1));
        self.queue.push(at, Happening::Timer { node, number: site.timer.number });
    }
}

const ONE_IN_FOUR: Ratio = Ratio::percent(25);

/// How late a wake-up comes that is late, in the mean.
const LATE_NANOS: u64 = 20_000_000;

/// How long a driver waits before it tries a full disk again.
const FULL_RETRY_NANOS: u64 = 10_000_000;
