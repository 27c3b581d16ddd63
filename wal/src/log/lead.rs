//! Leading: writing what waits, and syncing it, for all who wait.
//!
//! ```text
//! lock    take the oldest chunk, note where it goes, encode the Seal if it begins a segment
//! no lock [Seal, sync, next segment,] promise and checksum of each head, write, sync
//! lock    apply its frames to what is durable, settle its group, wake one who leads next
//! ```
//!
//! One chunk is in flight at a time, so that each promises all before it.

use std::io;
use std::sync::Arc;
use std::task::{Poll, Waker};

use quorate_core::Disk;

use super::Shared;
use super::job::{Failure, Job};
use super::state::{Chunk, State};
use super::tip::Tip;
use crate::ack::Group;
use crate::config::{Config, Durability};
use crate::error::WriteError;
use crate::index::Index;
use crate::sync::{MutexGuard, Ordering, WakeUp, forgets, yield_now};

impl<D: Disk> Shared<D> {
    /// Blocks until `group` is settled. Leads when nobody else does.
    pub(crate) fn wait(&self, group: &Arc<Group>) -> Result<(), WriteError> {
        let mut state = self.state.lock();
        let (mut yields, mut is_delayed) = (0, self.config.group_delay.is_zero());
        loop {
            if let Some(outcome) = group.outcome() {
                return outcome;
            }
            state.want_sync(group);
            if state.can_lead() && !is_delayed {
                is_delayed = true;
                group.waiting.fetch_add(1, Ordering::Relaxed);
                group.done.wait_for(&mut state, self.config.group_delay);
                group.waiting.fetch_sub(1, Ordering::Relaxed);
                continue;
            }
            if state.can_lead() {
                // Those who were woken by the last group are about to append again. One sync for
                // all of them is worth letting them run for a moment.
                if yields < YIELDS_MAX && state.waiting_batches() < state.last_batches {
                    yields += 1;
                    MutexGuard::unlocked(&mut state, yield_now);
                } else {
                    self.lead(&mut state);
                }
                continue;
            }
            self.want(&state, group);
            group.waiting.fetch_add(1, Ordering::Relaxed);
            group.done.wait(&mut state);
            group.waiting.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Blocks until all is durable that was appended before.
    pub(crate) fn sync(&self) -> Result<(), WriteError> {
        let group = self.state.lock().sync_group();
        group.map_or(Ok(()), |group| self.wait(&group))
    }

    /// Blocks until `group` is written.
    pub(crate) fn flush(&self, group: &Arc<Group>) -> Result<(), WriteError> {
        let mut state = self.state.lock();
        while state.is_unwritten(group) {
            if state.can_lead() {
                self.lead(&mut state);
                continue;
            }
            if 0 < state.io_threads {
                state.is_flush_wanted = true;
                self.io_turn.notify_one();
            }
            group.waiting.fetch_add(1, Ordering::Relaxed);
            group.done.wait(&mut state);
            group.waiting.fetch_sub(1, Ordering::Relaxed);
        }
        group.outcome().unwrap_or(Ok(()))
    }

    /// As [`wait`](Self::wait), but where another leads, it returns at once.
    pub(crate) fn poll_wait(
        &self,
        group: &Arc<Group>,
        waker: &Waker,
    ) -> Poll<Result<(), WriteError>> {
        if let Some(outcome) = group.outcome() {
            return Poll::Ready(outcome);
        }
        let mut state = self.state.lock();
        loop {
            if let Some(outcome) = group.outcome() {
                return Poll::Ready(outcome);
            }
            state.want_sync(group);
            if !state.can_lead() {
                group.register(waker);
                self.want(&state, group);
                return Poll::Pending;
            }
            self.lead(&mut state);
        }
    }

    fn want(&self, state: &State<D>, group: &Group) {
        group.is_wanted.store(true, Ordering::Relaxed);
        if 0 < state.io_threads {
            self.io_turn.notify_one();
        }
    }

    /// Writes and syncs the oldest chunk, and settles its group.
    pub(crate) fn lead(&self, state: &mut MutexGuard<'_, State<D>>) {
        let chunk = state.queue.pop_front().expect("whoever leads has seen it");
        let group = Arc::clone(&chunk.group);
        state.in_flight = Some(Arc::clone(&group));
        state.flight_floor = chunk.floor;
        state.is_flight_synced = chunk.is_synced;
        let mut job = Job::new(state, chunk);
        let mut result = self.run(state, &group, &mut job);
        let has_spares = job.spare.is_some() || !state.spares.is_empty();
        if matches!(result, Err(Failure::Full)) && has_spares {
            let mut spares = std::mem::take(&mut state.spares);
            spares.extend(job.spare.take());
            MutexGuard::unlocked(state, || spares.iter().for_each(|it| it.remove(&self.disk)));
            result = self.run(state, &group, &mut job);
        }
        state.in_flight = None;
        let (chunk, file_bytes) = job.finish(state);
        let wakers = match result {
            // Another sync failed meanwhile, and this one may have needed it. What was in doubt
            // then stays so.
            Ok(()) | Err(Failure::Full) if state.poison.is_some() => {
                state.poison(Some(&group), io::Error::other("the log failed"))
            }
            Ok(()) => state.succeed(&self.config, chunk, file_bytes),
            Err(Failure::Full) => state.drop_waiting(&self.config, &group),
            Err(Failure::Broken(error)) => state.poison(Some(&group), error),
        };
        state.flight_floor = u64::MAX;
        let next = state.pass_on();
        if 0 < state.io_threads {
            self.io_turn.notify_all();
        }
        if !wakers.is_empty() || !next.is_empty() {
            MutexGuard::unlocked(state, || wakers.into_iter().chain(next).for_each(Waker::wake));
        }
    }
}

impl<D: Disk> Shared<D> {
    /// Runs `job` without the lock.
    fn run(
        &self,
        state: &mut MutexGuard<'_, State<D>>,
        group: &Arc<Group>,
        job: &mut Job<D::File>,
    ) -> Result<(), Failure> {
        MutexGuard::unlocked(state, || {
            let mut unwinding = Unwinding { shared: self, group, is_over: false };
            let result = job.run(&self.disk, &self.config);
            unwinding.is_over = true;
            result
        })
    }
}

/// Poisons the log if the disk panics below a leader, so that nobody waits for ever.
struct Unwinding<'a, D: Disk> {
    shared: &'a Shared<D>,
    group: &'a Arc<Group>,
    /// The disk returned.
    is_over: bool,
}

impl<D: Disk> Drop for Unwinding<'_, D> {
    fn drop(&mut self) {
        if self.is_over || forgets(WakeUp::Panic) {
            return;
        }
        let mut state = self.shared.state.lock();
        let error = io::Error::other("the disk panicked");
        state.in_flight = None;
        let wakers = state.poison(Some(self.group), error);
        state.flight_floor = u64::MAX;
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }
}

impl<D: Disk> State<D> {
    pub(crate) fn can_lead(&self) -> bool {
        self.in_flight.is_none() && self.io_threads == 0 && !self.queue.is_empty()
    }

    fn waiting_batches(&self) -> u64 {
        self.queue.iter().map(|it| it.batches).sum()
    }

    /// Takes note that the frames of `job` are written, and durable if that was asked for.
    fn succeed(&mut self, config: &Config, chunk: Chunk, file_bytes: u64) -> Vec<Waker> {
        self.segments.apply(&chunk.frames);
        self.segments.active.file_bytes = file_bytes;
        self.synced.cut = self.synced.cut.min(chunk.cut);
        self.backlog_bytes -= chunk.frames.len();
        self.trim_tail(config);
        self.stats.records += chunk.records;
        self.stats.batches += chunk.batches;
        self.stats.groups += 1;
        self.last_batches = chunk.batches;
        if self.spare.capacity() < chunk.frames.capacity() && chunk.frames.capacity() <= SPARE_MAX {
            self.spare = chunk.frames;
            self.spare.clear();
        }
        if chunk.is_synced {
            self.take_sync();
        }
        let mut wakers = if chunk.is_synced || config.durability != Durability::Always {
            chunk.group.settle(Ok(()))
        } else {
            // It was flushed. Who waits for it now has it synced.
            chunk.group.done.notify_all();
            let wakers = chunk.group.take_wakers();
            self.unsynced.push(chunk.group);
            wakers
        };
        wakers.append(&mut self.watchers.take_due());
        wakers
    }

    /// There is no room: everything that waits is gone, and the log is as it is on disk.
    fn drop_waiting(&mut self, config: &Config, group: &Arc<Group>) -> Vec<Waker> {
        self.take_back_waiting();
        let mut groups = vec![Arc::clone(group)];
        groups.extend(self.queue.drain(..).map(|chunk| chunk.group));
        self.drops += 1;
        groups.iter().for_each(|it| it.drop_number.store(self.drops, Ordering::Relaxed));
        self.forget_heard();
        let settled = groups.iter().flat_map(|it| it.settle(Err(WriteError::DiskFull)));
        let mut wakers: Vec<Waker> = settled.chain(self.watchers.take_due()).collect();
        self.dropped.extend(groups);
        // The sync that those wait for whose groups are written is gone: one of them asks for
        // another.
        for group in &self.unsynced {
            group.done.notify_all();
            wakers.append(&mut group.take_wakers());
        }
        self.backlog_bytes = 0;
        self.tip = Tip::written(&self.segments);
        if self.synced.end != self.segments.active.content.end {
            // What is written is still to be synced, and what was due for that is gone.
            self.timers.take_change(config);
        }
        wakers
    }

    /// The disk failed: no change is taken any more.
    pub(crate) fn poison(&mut self, group: Option<&Arc<Group>>, error: io::Error) -> Vec<Waker> {
        self.take_back_waiting();
        let since = Index(self.synced.next_index.min(self.synced.cut));
        let poison = WriteError::Poisoned { since, source: Arc::new(error) };
        let poison = self.poison.get_or_insert(poison).clone();
        let waiting: Vec<Chunk> = self.queue.drain(..).collect();
        let written = std::mem::take(&mut self.unsynced);
        let groups = group.into_iter().chain(&written);
        let groups = groups.chain(waiting.iter().map(|chunk| &chunk.group));
        let settled = groups.flat_map(|it| it.settle(Err(poison.clone())));
        let wakers = settled.chain(self.watchers.take_due()).collect();
        self.backlog_bytes = 0;
        self.tip = Tip::written(&self.segments);
        self.tip.next_index = since.0.max(self.tip.first_index);
        wakers
    }

    /// Wakes one of those who wait for what is still in the queue: it leads next.
    fn pass_on(&self) -> Vec<Waker> {
        if self.queue.is_empty() || forgets(WakeUp::NextLeader) {
            return Vec::new();
        }
        let groups = || self.queue.iter().map(|chunk| &chunk.group).chain(&self.unsynced);
        let waits = |group: &&Arc<Group>| 0 < group.waiting.load(Ordering::Relaxed);
        if let Some(group) = self.queue.iter().map(|chunk| &chunk.group).find(waits) {
            group.done.notify_one();
        }
        // Who only waits to have something written goes away, and leads nobody on: one of each.
        self.unsynced.iter().filter(waits).for_each(|group| _ = group.done.notify_one());
        // Of those who await, nobody knows which are still polled: all are woken, one leads.
        groups().flat_map(|group| group.take_wakers()).collect()
    }
}

/// How often a leader lets others run before it writes. With 8 writers on 2 processors, 8 makes
/// groups of 6 where none makes groups of 4. A writer that is alone never does.
const YIELDS_MAX: u32 = if cfg!(loom) { 1 } else { 8 };

/// The largest buffer that is kept for later.
const SPARE_MAX: usize = 1 << 20;
