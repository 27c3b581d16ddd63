//! Who follows the tail, and what each must be told.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::Waker;

use quorate_core::Disk;

use super::State;
use super::state::Synced;
use crate::sync::Condvar;
use crate::tail::Visible;

/// Those who follow the tail of a log.
#[derive(Debug, Default)]
pub(crate) struct Watchers {
    last_id: u64,
    /// Rises whenever what stands at an index may have changed.
    pub(crate) epoch: u64,
    slots: BTreeMap<u64, Slot>,
    /// To be woken once the log's lock is let go of.
    due: Vec<Waker>,
}

/// One who follows.
#[derive(Debug)]
pub(crate) struct Slot {
    see: Visible,
    /// The lowest index from which on what was visible was taken back, since it was last told.
    pub(crate) cut: Option<u64>,
    pub(crate) waker: Option<Waker>,
    /// Wakes its thread, under the log's lock.
    ready: Arc<Condvar>,
}

impl Watchers {
    pub(crate) fn add(&mut self, see: Visible) -> (u64, Arc<Condvar>) {
        self.last_id += 1;
        let ready = Arc::default();
        let slot = Slot { see, cut: None, waker: None, ready: Arc::clone(&ready) };
        self.slots.insert(self.last_id, slot);
        (self.last_id, ready)
    }

    pub(crate) fn remove(&mut self, id: u64) -> Option<Slot> {
        self.slots.remove(&id)
    }

    pub(crate) fn slot(&self, id: u64) -> &Slot {
        &self.slots[&id]
    }

    pub(crate) fn slot_mut(&mut self, id: u64) -> &mut Slot {
        self.slots.get_mut(&id).expect("it is removed when its owner is dropped")
    }

    /// Takes note that the records from `from` on are no longer there for those who see `see`.
    pub(crate) fn cut(&mut self, see: Visible, from: u64) {
        self.epoch += 1;
        for slot in self.slots.values_mut().filter(|it| it.see == see) {
            slot.cut = Some(slot.cut.map_or(from, |before| before.min(from)));
        }
    }

    /// Wakes those who see `see`: threads at once, tasks by [`take_due`](Self::take_due). O(slots).
    pub(crate) fn wake(&mut self, see: Visible) {
        for slot in self.slots.values_mut().filter(|it| it.see == see) {
            slot.ready.notify_all();
            self.due.extend(slot.waker.take());
        }
    }

    pub(crate) fn wake_all(&mut self) {
        self.wake(Visible::Written);
        self.wake(Visible::Durable);
    }

    pub(crate) fn take_due(&mut self) -> Vec<Waker> {
        std::mem::take(&mut self.due)
    }
}

impl<D: Disk> State<D> {
    /// Returns the lowest index that may change hands by what waits for the disk.
    pub(crate) fn lowest_waiting(&self) -> u64 {
        self.queue.iter().map(|chunk| chunk.floor).fold(self.flight_floor, u64::min)
    }

    /// Returns where the log begins, durably, and up to where those who see `see` read it.
    pub(crate) fn seen(&self, see: Visible) -> (u64, u64) {
        let Synced { next_index, first_index, cut, .. } = self.synced;
        let end = match see {
            Visible::Written => self.tip.next_index,
            // What a change that is not durable rewrites is not read any more, and the rewriting
            // is not read yet.
            Visible::Durable => next_index.min(cut).min(self.lowest_waiting()),
        };
        (first_index, end)
    }

    /// Takes note that what waits for the disk will not become durable.
    pub(crate) fn take_back_waiting(&mut self) {
        let floor = self.lowest_waiting();
        if floor != u64::MAX {
            self.watchers.cut(Visible::Written, floor);
        }
        self.watchers.wake_all();
    }

    /// Takes note that all that is written is durable.
    pub(crate) fn take_sync(&mut self) {
        let waits = self.queue.iter().any(|chunk| !chunk.frames.is_empty());
        self.timers.take_sync(waits);
        self.take_synced();
    }

    /// As [`take_sync`](Self::take_sync), while more is in flight.
    pub(crate) fn take_synced(&mut self) {
        let all = Synced::all(&self.segments.active);
        let Synced { first_index, cut, .. } = std::mem::replace(&mut self.synced, all);
        if cut != u64::MAX {
            self.watchers.cut(Visible::Durable, cut);
        }
        self.watchers.wake(Visible::Durable);
        for group in std::mem::take(&mut self.unsynced) {
            self.watchers.due.append(&mut group.settle(Ok(())));
        }
        if first_index != self.synced.first_index {
            self.watchers.wake(Visible::Written);
        }
    }
}
