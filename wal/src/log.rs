//! The log: appending, syncing, truncating.

mod io_thread;
mod job;
mod lead;
mod state;
mod timer;
mod tip;
pub(crate) mod watch;

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::task::Waker;

use bytes::Bytes;
use quorate_core::{Disk, File as _};

pub use io_thread::IoThread;
pub(crate) use state::State;

use crate::ack::{Ack, Group};
use crate::batch::Batch;
use crate::config::{Config, Preallocate};
use crate::disk::Directory;
use crate::error::{OpenError, WriteError};
use crate::format::segment_name;
use crate::index::Index;
use crate::recover::{self, Recovered};
use crate::segment::{Segment, Spare};
use crate::sync::{AtomicU64, Condvar, Mutex, MutexGuard, Ordering};
use crate::traps::{Trap, planted};

/// A write-ahead log. Clones are handles of the same log.
///
/// Appending assigns an index and copies the record into memory; it never waits for the disk.
/// Waiting, for an [`Ack`] or in [`sync`](Self::sync), is what writes: the first who waits leads,
/// writes what has come together, syncs once, and wakes all whose records that covers.
///
/// # Invariants
///
/// `first_index <= durable_end <= next_index`, but between a truncation and its sync: then
/// `next_index` may be the smallest.
///
/// # Closing
///
/// [`close`](Self::close) makes everything durable. Dropping the last handle does not: as after the
/// kill of a process, what nobody waited for is lost.
///
/// Source: Mohan et al., "ARIES" (1992), section 1.1, for the log; `DeWitt` et al., "Implementation
/// Techniques for Main Memory Database Systems" (1984), section 5.2, for the group commit.
#[doc(alias = "commit log")]
#[doc(alias = "journal")]
pub struct Wal<D: Disk = Directory> {
    shared: Arc<Shared<D>>,
    /// The last drop for want of room that this handle told of.
    told: AtomicU64,
}

/// What all handles of a log share.
pub(crate) struct Shared<D: Disk> {
    pub(crate) disk: D,
    pub(crate) config: Config,
    pub(crate) state: Mutex<State<D>>,
    /// Wakes an I/O thread.
    io_turn: Condvar,
    /// Held while segments are removed, so that they go in order, and by who needs that none does.
    /// Taken before `state`.
    pub(crate) removing: Mutex<()>,
}

/// What a log did since it was opened. Numbers only rise. What is only written, by
/// [`Config::durability`], counts as if it was durable.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Stats {
    /// Records made durable.
    pub records: u64,
    /// Batches made durable. `records / batches` is how well the caller batches.
    pub batches: u64,
    /// Groups made durable. `batches / groups` is how well the log does.
    pub groups: u64,
    /// Syncs of files and of the folder.
    pub syncs: u64,
    /// Bytes handed to the disk: frames, headers, seals, and zeros ahead.
    pub bytes_written: u64,
    /// Segments begun.
    pub rolls: u64,
}

impl Wal {
    /// Opens the log in the folder `path`, or begins one.
    ///
    /// Reads the log once if [`Config::verify_sealed`] is set, else only its last segment; holds
    /// one segment in memory meanwhile.
    ///
    /// # Errors
    ///
    /// See [`OpenError`]: damage is named, and nothing is changed.
    pub fn open(path: impl AsRef<Path>, config: Config) -> Result<(Self, Recovered), OpenError> {
        let path = path.as_ref();
        let disk = Directory::new(path)
            .map_err(|source| OpenError::Io { doing: "open the folder", source })?;
        Self::open_on(disk, config).map_err(|error| match error {
            OpenError::Locked { path: name } => {
                OpenError::Locked { path: path.join(name).display().to_string() }
            }
            other => other,
        })
    }
}

impl<D: Disk> Wal<D> {
    /// Opens the log on `disk`, or begins one. See [`Wal::open`].
    ///
    /// # Errors
    ///
    /// See [`OpenError`]: damage is named, and nothing is changed.
    pub fn open_on(disk: D, config: Config) -> Result<(Self, Recovered), OpenError> {
        let opened = recover::open(&disk, &config)?;
        let read_only = opened.recovered.read_only.clone();
        let mut state = State::new(opened.lock, opened.segments, read_only);
        if !state.is_certified() {
            state.timers.take_open(&config);
        }
        let state = Mutex::new(state);
        let (io_turn, removing) = (Condvar::new(), Mutex::new(()));
        let shared = Shared { disk, config, state, io_turn, removing };
        Ok((Self { shared: Arc::new(shared), told: AtomicU64::new(0) }, opened.recovered))
    }

    /// Appends `record`. It is durable once the [`Ack`] says so.
    ///
    /// Copies the record once. Takes a short lock, and waits for no disk.
    ///
    /// # Errors
    ///
    /// [`WriteError::TooLarge`], [`WriteError::Backlog`], [`WriteError::Closed`] and
    /// [`WriteError::Poisoned`]; nothing was appended.
    pub fn append(&self, record: impl Into<Bytes>) -> Result<Ack<D>, WriteError> {
        self.write(Batch::new().append(record))
    }

    /// Appends `records`, of which all survive a crash, or none. See [`append`](Self::append).
    ///
    /// # Errors
    ///
    /// Those of [`append`](Self::append).
    pub fn append_batch<I>(&self, records: I) -> Result<Ack<D>, WriteError>
    where
        I: IntoIterator<Item: Into<Bytes>>,
    {
        let records = records.into_iter().map(Into::into).collect();
        self.write(Batch { records, ..Batch::default() })
    }

    /// Makes the changes of `batch` as one. See [`append`](Self::append).
    ///
    /// # Errors
    ///
    /// Those of [`append`](Self::append), and [`WriteError::OutOfRange`] as the truncations have
    /// it.
    pub fn write(&self, batch: Batch) -> Result<Ack<D>, WriteError> {
        self.stage(self.shared.state.lock(), batch)
    }

    /// Puts `batch` behind all that waits, and tells those who follow.
    pub(crate) fn stage(
        &self,
        mut state: MutexGuard<'_, State<D>>,
        batch: Batch,
    ) -> Result<Ack<D>, WriteError> {
        let (group, indexes) = state.stage(&self.shared.config, batch)?;
        let ack = Ack::new(self.clone(), group, indexes);
        let due = state.watchers.take_due();
        drop(state);
        due.into_iter().for_each(Waker::wake);
        Ok(ack)
    }

    /// Removes the records from `from` on. The next one that is appended takes that index.
    ///
    /// Takes effect in memory at once, and on disk with the [`Ack`]. One frame of 32 bytes; no
    /// space is freed.
    ///
    /// # Errors
    ///
    /// Those of [`append`](Self::append), and [`WriteError::OutOfRange`] unless `from` is in
    /// `first_index..=next_index`.
    pub fn truncate_suffix(&self, from: Index) -> Result<Ack<D>, WriteError> {
        self.write(Batch::new().truncate_suffix(from))
    }

    /// Removes the records before `to`, and frees the segments that hold nothing else. Returns once
    /// that is durable.
    ///
    /// Beyond the end, the log is empty afterwards, and goes on at `to`. A `to` that was passed
    /// before is no error and changes nothing. Two syncs, and one removal per segment.
    ///
    /// # Errors
    ///
    /// Those of [`append`](Self::append) and [`Ack::wait`]; [`WriteError::Held`];
    /// [`WriteError::NotFreed`].
    #[doc(alias = "low water mark")]
    pub fn truncate_prefix(&self, to: Index) -> Result<(), WriteError> {
        if self.first_index() < to {
            let ack = self.write(Batch::new().truncate_prefix(to))?;
            if !planted(Trap::UnlinkBeforeMark) {
                ack.wait()?;
            }
        }
        let is_durable = to.0 <= self.shared.state.lock().synced.first_index;
        if !is_durable && !planted(Trap::UnlinkBeforeMark) {
            self.shared.sync()?;
        }
        self.free_segments(u64::MAX)
    }

    /// Replaces the caller's state: a blob that each segment begins with, so that it outlives any
    /// truncation. For what a replica must know before its first record.
    ///
    /// # Errors
    ///
    /// Those of [`append`](Self::append).
    pub fn set_state(&self, state: impl Into<Bytes>) -> Result<Ack<D>, WriteError> {
        self.write(Batch::new().set_state(state))
    }

    /// Returns the caller's state, as it was last set, durable or not.
    #[must_use]
    pub fn state(&self) -> Bytes {
        self.shared.state.lock().tip.state.clone()
    }

    /// Makes everything durable that was appended before the call, and returns the durable end.
    ///
    /// One write and one sync, shared with all who wait meanwhile; none if there is nothing to do.
    ///
    /// # Errors
    ///
    /// Those of [`Ack::wait`]. [`WriteError::DiskFull`] also if that happened earlier, and an
    /// [`Ack`] that should have told of it was dropped: what was appended before is gone. Each
    /// handle tells of it once, so let each thread that syncs have a clone.
    pub fn sync(&self) -> Result<Index, WriteError> {
        let ack = self.ack()?;
        let group = ack.group();
        let outcome = ack.wait();
        if let (Err(WriteError::DiskFull), Some(group)) = (&outcome, group) {
            self.told.fetch_max(group.drop_number.load(Ordering::Relaxed), Ordering::Relaxed);
        }
        outcome.map(|()| self.durable_end())
    }

    /// Hands everything that was appended before to the operating system, which keeps it when the
    /// process dies, and syncs nothing: what is waited for becomes durable as ever.
    ///
    /// # Errors
    ///
    /// Those of [`Ack::wait`].
    pub fn flush(&self) -> Result<(), WriteError> {
        let group = {
            let mut state = self.shared.state.lock();
            state.check_open()?;
            state.flush_group(&self.shared.config)
        };
        group.map_or(Ok(()), |group| self.shared.flush(&group))
    }

    /// Ends the last segment, if it holds anything, and begins another: so that what it holds can
    /// be let go of, or copied as it is. Makes everything durable. Up to four syncs.
    ///
    /// # Errors
    ///
    /// Those of [`Ack::wait`].
    pub fn roll(&self) -> Result<(), WriteError> {
        let group = {
            let mut state = self.shared.state.lock();
            state.check_open()?;
            state.stage_roll()
        };
        group.map_or(Ok(()), |group| self.shared.wait(&group))
    }

    /// Returns the acknowledgement of everything that was appended before: [`sync`](Self::sync) as
    /// a future. Its indexes are empty.
    ///
    /// # Errors
    ///
    /// Those of [`sync`](Self::sync), as far as they are known already.
    pub fn ack(&self) -> Result<Ack<D>, WriteError> {
        let mut state = self.shared.state.lock();
        state.check_open()?;
        self.tell_dropped(&mut state)?;
        let (group, next_index) = (state.sync_group(), Index(state.tip.next_index));
        Ok(Ack::new(self.clone(), group, next_index..next_index))
    }

    /// Returns the low-water mark: the first record that can be read, durable or not.
    #[must_use]
    pub fn first_index(&self) -> Index {
        Index(self.shared.state.lock().tip.first_index)
    }

    /// Returns the index that the next record takes.
    #[must_use]
    pub fn next_index(&self) -> Index {
        Index(self.shared.state.lock().tip.next_index)
    }

    /// Returns the end of what is durable.
    #[must_use]
    pub fn durable_end(&self) -> Index {
        Index(self.shared.state.lock().synced.next_index)
    }

    /// Returns what the log did since it was opened.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.shared.state.lock().stats
    }

    /// Makes everything durable, and leaves a Mark that says so: damage to any byte before it is
    /// then told from a torn write. Other handles take no changes any more, and the lock ends.
    ///
    /// # Errors
    ///
    /// Those of [`sync`](Self::sync). The log is closed all the same.
    pub fn close(self) -> Result<(), WriteError> {
        let mut outcome = {
            let mut state = self.shared.state.lock();
            if std::mem::replace(&mut state.is_closed, true) {
                return state.check_open();
            }
            self.tell_dropped(&mut state)
        };
        // Whatever went wrong: as long as anything waits or is in flight, someone may write.
        loop {
            let group: Option<Arc<Group>> = {
                let mut state = self.shared.state.lock();
                if let (Ok(()), Some(poison)) = (&outcome, &state.poison) {
                    outcome = Err(poison.clone());
                }
                let is_sound = outcome.is_ok();
                state.sync_group().or_else(|| if is_sound { state.stage_mark() } else { None })
            };
            let Some(group) = group else { break };
            // Waited for also after an error.
            let settled = self.shared.wait(&group);
            outcome = outcome.and(settled);
        }
        let _removing = self.shared.removing.lock();
        let mut state = self.shared.state.lock();
        // What others find in the folder is the log and nothing else. If it stays, it does no harm.
        state.spares.drain(..).for_each(|spare| spare.remove(&self.shared.disk));
        let is_recycled = matches!(self.shared.config.preallocate, Preallocate::Recycle { .. });
        let active = &state.segments.active;
        // A file that is sealed ends with its Seal.
        let is_longer = is_recycled && active.sealed.is_none();
        if is_longer && outcome.is_ok() && !state.is_read_only() {
            _ = active.file.set_len(active.content.end).and_then(|()| active.file.sync_data());
        }
        state.lock = None;
        state.watchers.wake_all();
        let due = state.watchers.take_due();
        drop(state);
        due.into_iter().for_each(Waker::wake);
        outcome
    }

    /// Appends `record` if it takes the index `expected`. Returns whether it did.
    pub(crate) fn append_at(&self, expected: Index, record: Bytes) -> Result<bool, WriteError> {
        let state = self.shared.state.lock();
        if state.tip.next_index != expected.0 {
            state.check_open()?;
            return Ok(false);
        }
        // Nobody hears of this one: the next `ack` tells of it.
        drop(self.stage(state, Batch::new().append(record))?);
        Ok(true)
    }

    /// Removes the segments below the durable low-water mark, oldest first, or keeps their files to
    /// be used again, but not so that all files together have more than `bytes_max`.
    pub(crate) fn free_segments(&self, bytes_max: u64) -> Result<(), WriteError> {
        let _removing = self.shared.removing.lock();
        let (mut count, mut spares) = (0, Vec::new());
        loop {
            let mut state = self.shared.state.lock();
            state.check_open()?;
            let is_early = planted(Trap::UnlinkBeforeMark);
            let durable = state.synced.first_index;
            let first_index = if is_early { state.tip.first_index } else { durable };
            let Some(segment) = state.segments.take_dead(first_index) else { break };
            let before = spares.iter().map(|it: &Spare| it.file_bytes).collect::<Vec<u64>>();
            let is_spare = state.takes_spare(&self.shared.config, &segment, &before, bytes_max);
            drop(state);
            match self.free(&segment, is_spare) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    self.shared.state.lock().segments.sealed.insert(0, segment);
                    // Whether their old names are gone is not known: they are of no use.
                    spares.iter().for_each(|spare| spare.remove(&self.shared.disk));
                    return Err(WriteError::NotFreed { source: Arc::new(error) });
                }
                spare => spares.extend(spare.ok().flatten()),
            }
            count += 1;
        }
        if 0 < count {
            let synced = self.shared.disk.sync_dir();
            let mut state = self.shared.state.lock();
            state.stats.syncs += 1;
            if let Err(error) = synced {
                // What else the folder had to make durable is unknown too.
                let wakers = state.poison(None, error);
                let poisoned = state.check_open();
                drop(state);
                wakers.into_iter().for_each(Waker::wake);
                return poisoned;
            }
        }
        // A file gets a new life only once its old name is gone for good: after a crash, a segment
        // must not have the header of another.
        let over = {
            let mut state = self.shared.state.lock();
            state.spares.append(&mut spares);
            state.take_spares_over(bytes_max)
        };
        over.iter().for_each(|spare| spare.remove(&self.shared.disk));
        Ok(())
    }

    fn free(&self, segment: &Segment<D::File>, is_spare: bool) -> io::Result<Option<Spare>> {
        let disk = &self.shared.disk;
        if is_spare {
            return Spare::take(disk, segment.sequence, segment.file_bytes).map(Some);
        }
        disk.remove(&segment_name(segment.sequence)).map(|()| None)
    }

    /// Forgets that records were dropped for want of room: the caller knows.
    pub(crate) fn forget_dropped(&self) {
        let state = self.shared.state.lock();
        self.told.fetch_max(state.drops, Ordering::Relaxed);
    }

    /// Says that records were dropped unheard, if this handle has not said so before.
    fn tell_dropped(&self, state: &mut State<D>) -> Result<(), WriteError> {
        state.forget_heard();
        let told = self.told.fetch_max(state.drops, Ordering::Relaxed);
        if state.was_dropped_unheard(told) { Err(WriteError::DiskFull) } else { Ok(()) }
    }

    /// Returns what the log was given when it was begun, and no other has.
    pub(crate) fn log_id(&self) -> u64 {
        self.shared.state.lock().segments.active.header.log_id
    }

    pub(crate) const fn shared(&self) -> &Arc<Shared<D>> {
        &self.shared
    }
}

impl<D: Disk> Clone for Wal<D> {
    fn clone(&self) -> Self {
        let told = AtomicU64::new(self.told.load(Ordering::Relaxed));
        Self { shared: Arc::clone(&self.shared), told }
    }
}

impl<D: Disk> fmt::Debug for Wal<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wal").finish_non_exhaustive()
    }
}
