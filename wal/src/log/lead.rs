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

use bytes::BytesMut;
use quorate_core::{Disk, File};

use super::Shared;
use super::state::{Chunk, State, Tip};
use crate::ack::Group;
use crate::config::{Config, Preallocate};
use crate::error::WriteError;
use crate::format::frame;
use crate::format::header::Header;
use crate::format::to_usize;
use crate::index::Index;
use crate::segment::{self, Active};
use crate::sync::{MutexGuard, Ordering, WakeUp, forgets, yield_now};
use crate::traps::{Trap, planted};

impl<D: Disk> Shared<D> {
    /// Blocks until `group` is settled. Leads when nobody else does.
    pub(crate) fn wait(&self, group: &Arc<Group>) -> Result<(), WriteError> {
        let mut state = self.state.lock();
        let mut yields = 0;
        loop {
            if let Some(outcome) = group.outcome() {
                return outcome;
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
        let mut job = Job::new(state, chunk);
        let result = MutexGuard::unlocked(state, || {
            let mut unwinding = Unwinding { shared: self, group: &group, is_over: false };
            let result = job.run(&self.disk, &self.config);
            unwinding.is_over = true;
            result
        });
        state.stats.syncs += job.syncs;
        state.stats.bytes_written += job.bytes_written;
        state.in_flight = None;
        job.apply_roll(state);
        let wakers = match result {
            // A sync of the folder failed meanwhile, and this one may have needed it.
            Ok(()) if state.poison.is_some() => {
                state.poison(Some(&group), io::Error::other("the log failed"))
            }
            Ok(()) => state.succeed(job),
            Err(Failure::Full) => state.drop_waiting(&group),
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

    /// Takes note that the frames of `job` are durable.
    fn succeed(&mut self, job: Job<D::File>) -> Vec<Waker> {
        let Job { chunk, file_bytes, .. } = job;
        let first_index = self.segments.active.content.first_index;
        self.segments.apply(&chunk.frames);
        self.segments.active.file_bytes = file_bytes;
        self.backlog_bytes -= chunk.frames.len();
        self.trim_tail();
        self.stats.records += chunk.records;
        self.stats.batches += chunk.batches;
        self.stats.groups += 1;
        self.last_batches = chunk.batches;
        if self.spare.capacity() < chunk.frames.capacity() && chunk.frames.capacity() <= SPARE_MAX {
            self.spare = chunk.frames;
            self.spare.clear();
        }
        self.tell_durable(chunk.cut, first_index);
        let mut wakers = chunk.group.settle(Ok(()));
        wakers.append(&mut self.watchers.take_due());
        wakers
    }

    /// There is no room: everything that waits is gone, and the log is as it is on disk.
    fn drop_waiting(&mut self, group: &Arc<Group>) -> Vec<Waker> {
        self.take_back_waiting();
        let mut groups = vec![Arc::clone(group)];
        groups.extend(self.queue.drain(..).map(|chunk| chunk.group));
        self.drops += 1;
        groups.iter().for_each(|it| it.drop_number.store(self.drops, Ordering::Relaxed));
        self.forget_heard();
        let settled = groups.iter().flat_map(|it| it.settle(Err(WriteError::DiskFull)));
        let wakers = settled.chain(self.watchers.take_due()).collect();
        self.dropped.extend(groups);
        self.backlog_bytes = 0;
        self.tip = Tip::durable(&self.segments);
        wakers
    }

    /// The disk failed: no change is taken any more.
    pub(crate) fn poison(&mut self, group: Option<&Arc<Group>>, error: io::Error) -> Vec<Waker> {
        self.take_back_waiting();
        let since = Index(self.segments.active.content.next_index);
        let poison = WriteError::Poisoned { since, source: Arc::new(error) };
        let poison = self.poison.get_or_insert(poison).clone();
        let waiting: Vec<Chunk> = self.queue.drain(..).collect();
        let groups = group.into_iter().chain(waiting.iter().map(|chunk| &chunk.group));
        let settled = groups.flat_map(|it| it.settle(Err(poison.clone())));
        let wakers = settled.chain(self.watchers.take_due()).collect();
        self.backlog_bytes = 0;
        self.tip = Tip::durable(&self.segments);
        wakers
    }

    /// Wakes one of those who wait for what is still in the queue: it leads next.
    fn pass_on(&self) -> Vec<Waker> {
        if forgets(WakeUp::NextLeader) {
            return Vec::new();
        }
        let groups = || self.queue.iter().map(|chunk| &chunk.group);
        if let Some(group) = groups().find(|it| 0 < it.waiting.load(Ordering::Relaxed)) {
            group.done.notify_one();
        }
        // Of those who await, nobody knows which are still polled: all are woken, one leads.
        groups().flat_map(|group| group.take_wakers()).collect()
    }
}

/// A chunk on its way to the disk.
struct Job<F> {
    chunk: Chunk,
    file: Arc<F>,
    offset: u64,
    /// Length of `file`.
    file_bytes: u64,
    roll: Option<Roll<F>>,
    syncs: u64,
    bytes_written: u64,
}

/// What comes before the chunk, if it begins a segment.
struct Roll<F> {
    old: Arc<F>,
    /// Where the Seal goes, and its bytes. `None`: it is there.
    seal: Option<(u64, BytesMut)>,
    old_bytes: u64,
    seal_crc: u32,
    sealed_at_ms: u64,
    is_sealed: bool,
    header: Header,
    next: Option<Arc<F>>,
}

enum Failure {
    /// There is no room, and the files are as they were.
    Full,
    Broken(io::Error),
}

impl<F: File> Job<F> {
    fn new<D: Disk<File = F>>(state: &State<D>, chunk: Chunk) -> Self {
        let active = &state.segments.active;
        let (mut offset, file_bytes) = (active.content.end, active.file_bytes);
        let file = Arc::clone(&active.file);
        let roll = (chunk.sequence != active.header.sequence).then(|| {
            let (seal, seal_crc) = match active.sealed {
                Some(seal_crc) => (None, seal_crc),
                None => {
                    let (seal, seal_crc) =
                        active.content.footer(state.wall_ms).seal(offset, active.salt);
                    (Some((offset, seal)), seal_crc)
                }
            };
            let sealed_at_ms = if seal.is_none() { active.sealed_at_ms } else { state.wall_ms };
            let (is_sealed, header) = (seal.is_none(), active.next_header(seal_crc));
            offset = header.end();
            let (old, old_bytes) = (Arc::clone(&file), file_bytes);
            Roll { old, seal, old_bytes, seal_crc, sealed_at_ms, is_sealed, header, next: None }
        });
        Self { chunk, file, offset, file_bytes, roll, syncs: 0, bytes_written: 0 }
    }

    fn run<D: Disk<File = F>>(&mut self, disk: &D, config: &Config) -> Result<(), Failure> {
        self.run_roll(disk)?;
        let promise = u32::try_from(self.offset).expect("`Config` keeps segments below 4 GiB");
        frame::finish(&mut self.chunk.frames, promise, self.chunk.salt);
        write_or_cut(&*self.file, self.offset, &self.chunk.frames, &mut self.file_bytes)?;
        self.bytes_written += self.chunk.frames.len() as u64;
        if let Preallocate::ZeroAhead { step } = config.preallocate {
            self.zero_ahead(step.into(), config.segment_bytes.into())?;
        }
        if !planted(Trap::AckBeforeSync) {
            self.file.sync_data().map_err(Failure::Broken)?;
            self.syncs += 1;
        }
        Ok(())
    }

    /// Writes zeros up to the next multiple of `step`, if the frames came up to the end of the
    /// file. Not beyond `segment_bytes`: the Seal cuts the file off behind itself.
    fn zero_ahead(&mut self, step: u64, segment_bytes: u64) -> Result<(), Failure> {
        let end = self.offset + self.chunk.frames.len() as u64;
        let zeros_end = end.next_multiple_of(step).min(segment_bytes);
        if end < self.file_bytes || zeros_end <= end {
            return Ok(());
        }
        let zeros = vec![0; to_usize(zeros_end - end)];
        match write_or_cut(&*self.file, end, &zeros, &mut self.file_bytes) {
            Ok(()) => self.bytes_written += zeros.len() as u64,
            // The frames found room, the zeros need none.
            Err(Failure::Full) => {}
            Err(broken) => return Err(broken),
        }
        Ok(())
    }

    /// Seals the segment, durably, and makes the next one.
    fn run_roll<D: Disk<File = F>>(&mut self, disk: &D) -> Result<(), Failure> {
        let Some(roll) = &mut self.roll else { return Ok(()) };
        if let Some((offset, seal)) = &roll.seal {
            write_or_cut(&*roll.old, *offset, seal, &mut roll.old_bytes)?;
            let end = offset + seal.len() as u64;
            if end < roll.old_bytes {
                roll.old.set_len(end).map_err(Failure::Broken)?;
                roll.old_bytes = end;
            }
            roll.old.sync_data().map_err(Failure::Broken)?;
            roll.is_sealed = true;
            self.syncs += 1;
            self.bytes_written += seal.len() as u64;
        }
        let next = segment::create(disk, &roll.header).map_err(Failure::of)?;
        self.syncs += 2;
        self.bytes_written += roll.header.end();
        self.file = Arc::new(next);
        self.file_bytes = roll.header.end();
        roll.next = Some(Arc::clone(&self.file));
        Ok(())
    }

    /// Takes note of how far the roll came.
    fn apply_roll<D: Disk<File = F>>(&mut self, state: &mut State<D>) {
        let Some(roll) = self.roll.take() else {
            state.segments.active.file_bytes = self.file_bytes;
            return;
        };
        let active = &mut state.segments.active;
        active.file_bytes = roll.old_bytes;
        if roll.is_sealed {
            active.sealed = Some(roll.seal_crc);
            active.sealed_at_ms = roll.sealed_at_ms;
        }
        if let Some(file) = roll.next {
            let mut next = Active::new(roll.header, file);
            next.file_bytes = self.file_bytes;
            state.segments.roll(next);
            state.stats.rolls += 1;
        }
    }
}

impl Failure {
    fn of(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::StorageFull { Self::Full } else { Self::Broken(error) }
    }
}

/// Writes `bytes` at `offset`, the end of the content. Where there is no room, the file is cut back
/// to `offset`, durably: no part of what is reported as not done may show up after a crash.
fn write_or_cut<F: File>(
    file: &F,
    offset: u64,
    bytes: &[u8],
    file_bytes: &mut u64,
) -> Result<(), Failure> {
    match file.write_all_at(offset, bytes).map_err(Failure::of) {
        Ok(()) => *file_bytes = (*file_bytes).max(offset + bytes.len() as u64),
        Err(Failure::Full) => {
            file.set_len(offset).and_then(|()| file.sync_data()).map_err(Failure::Broken)?;
            *file_bytes = offset;
            return Err(Failure::Full);
        }
        Err(broken) => return Err(broken),
    }
    Ok(())
}

/// How often a leader lets others run before it writes. With 8 writers on 2 processors, 8 makes
/// groups of 6 where none makes groups of 4. A writer that is alone never does.
const YIELDS_MAX: u32 = if cfg!(loom) { 1 } else { 8 };

/// The largest buffer that is kept for later.
const SPARE_MAX: usize = 1 << 20;
