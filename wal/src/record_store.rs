//! The storage of a protocol core, over a log.
//!
//! ```text
//! write      1      2      3        of this run, dense
//! index  base+1 base+2 base+3       of the log: no table is kept
//! ```

use std::collections::VecDeque;
use std::convert::Infallible;
use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::path::Path;

use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;
use quorate_core::{DecodeError, Disk, Storage, StorageError, Wire, WriteId};

use crate::ack::Ack;
use crate::batch::Batch;
use crate::config::Config;
use crate::disk::Directory;
use crate::error::{OpenError, WriteError};
use crate::index::Index;
use crate::log::{IoThread, Wal};
use crate::recover::Recovered;

/// Keeps the records of one core in a log of its own, one log record per write.
///
/// A thread of its own writes and syncs, so that [`Storage::sync`] never blocks its executor. All
/// that is appended between two syncs shares one.
///
/// # Invariants
///
/// Nobody else appends to the log: the write `w` of this run is the log's record `base + w`.
///
/// # Full disk
///
/// The log drops what it cannot write; the store does not. It keeps the encoded records until they
/// are durable, and the next [`Storage::sync`] appends them again, at the same indexes.
pub struct RecordStore<R, D: Disk = Directory> {
    wal: Wal<D>,
    /// Records of former runs end here.
    start: Index,
    pending: Mutex<Pending>,
    /// None if whoever awaits a sync makes it.
    _io_thread: Option<IoThread<D>>,
    _record: PhantomData<fn() -> R>,
}

struct Pending {
    last: WriteId,
    /// The records that are not durable; the last is that of `last`.
    unsynced: VecDeque<Bytes>,
    /// Not all of them are in the log: it dropped some, or had no room for more.
    is_dropped: bool,
}

impl<R: Wire> RecordStore<R> {
    /// Opens the store in the folder `path`, or begins one. See [`Wal::open`].
    ///
    /// # Errors
    ///
    /// [`OpenError`].
    pub fn open(path: impl AsRef<Path>, config: Config) -> Result<(Self, Recovered), OpenError> {
        let (wal, recovered) = Wal::open(path, config)?;
        Ok((Self::over(wal)?, recovered))
    }
}

impl<R: Wire, D: Disk + 'static> RecordStore<R, D> {
    /// Opens the store on `disk`, or begins one. See [`Wal::open_on`].
    ///
    /// # Errors
    ///
    /// [`OpenError`].
    pub fn open_on(disk: D, config: Config) -> Result<(Self, Recovered), OpenError> {
        let (wal, recovered) = Wal::open_on(disk, config)?;
        Ok((Self::over(wal)?, recovered))
    }

    /// Opens the store without a thread: whoever awaits a sync makes it, and blocks meanwhile. For
    /// simulators, whose disks take no time, and tools that do one thing at a time.
    ///
    /// # Errors
    ///
    /// [`OpenError`].
    pub fn open_inline(disk: D, config: Config) -> Result<(Self, Recovered), OpenError> {
        let (wal, recovered) = Wal::open_on(disk, config)?;
        Ok((Self::with_thread(wal, None), recovered))
    }

    fn over(wal: Wal<D>) -> Result<Self, OpenError> {
        let thread = wal.spawn_io_thread();
        let thread =
            thread.map_err(|source| OpenError::Io { doing: "start the I/O thread", source })?;
        Ok(Self::with_thread(wal, Some(thread)))
    }

    fn with_thread(wal: Wal<D>, thread: Option<IoThread<D>>) -> Self {
        let pending =
            Pending { last: WriteId::default(), unsynced: VecDeque::new(), is_dropped: false };
        Self {
            start: wal.next_index(),
            wal,
            pending: Mutex::new(pending),
            _io_thread: thread,
            _record: PhantomData,
        }
    }

    /// Returns the log. Do not append to it, nor truncate its end.
    #[must_use]
    pub const fn wal(&self) -> &Wal<D> {
        &self.wal
    }

    /// Returns where the record of `write`, of this run, lies in the log.
    ///
    /// # Panics
    ///
    /// If `write` is 0: writes are from 1.
    #[must_use]
    pub const fn index_of(&self, write: WriteId) -> Index {
        assert!(0 < write.0, "writes are from 1");
        self.start.plus(write.0 - 1)
    }

    /// Returns the record at `index`, of this run or a former one.
    ///
    /// # Errors
    ///
    /// [`StorageError::Failed`]: it is damaged, compacted, not yet there, or the disk failed.
    pub fn read(&self, index: Index) -> Result<R, StorageError> {
        let record = self.wal.read(index).map_err(StorageError::failed)?;
        let missing = || io::Error::new(io::ErrorKind::NotFound, format!("no record at {index}"));
        decode(record.ok_or_else(|| StorageError::failed(missing()))?)
    }

    /// Returns what former runs left, oldest first, and where it lies in the log.
    ///
    /// As in [`Storage::replay`], an item that is an error ends it.
    pub fn replay_indexed(&self) -> impl Iterator<Item = Result<(Index, R), StorageError>> {
        self.wal.records(..self.start).map(|item| {
            let (index, record) = item.map_err(StorageError::failed)?;
            Ok((index, decode(record)?))
        })
    }

    /// Makes everything durable, and closes the log: see [`Wal::close`]. Dropping the store is like
    /// a crash.
    ///
    /// # Errors
    ///
    /// Those of [`Storage::sync`].
    pub fn close(self) -> Result<(), StorageError> {
        let last = self.pending.lock().last;
        let mut synced = WriteId::default();
        while synced < last {
            let (write, ack) = self.begin_sync()?;
            self.end_sync(write, ack.wait())?;
            synced = write;
        }
        self.wal.close().map_err(StorageError::failed)
    }

    /// Appends again what the log dropped, and returns what to wait for, and up to which write.
    fn begin_sync(&self) -> Result<(WriteId, Ack<D>), StorageError> {
        let mut pending = self.pending.lock();
        if pending.is_dropped {
            let behind = self.index_of(WriteId(pending.last.0 + 1)).0;
            let next_index = self.wal.next_index().0;
            let lost = usize::try_from(behind - next_index).unwrap_or(usize::MAX);
            let kept = pending.unsynced.len().checked_sub(lost);
            let kept = kept.expect("only what is not durable is dropped");
            let mut index = Index(next_index);
            for record in pending.unsynced.iter().skip(kept) {
                if !self.append_at(index, record)? {
                    break;
                }
                index = index.plus(1);
            }
            pending.is_dropped = index.0 < behind;
        }
        let ack = self.wal.ack().map_err(|error| Self::say(&mut pending, &self.wal, error))?;
        Ok((WriteId(ack.indexes().end.0 - self.start.0), ack))
    }

    /// Appends one record if it takes its place. Otherwise it is for the next sync: too much waits
    /// already, or the log has dropped the one before.
    fn append_at(&self, index: Index, record: &Bytes) -> Result<bool, StorageError> {
        match self.wal.append_at(index, record.clone()) {
            Err(WriteError::Backlog { .. }) => Ok(false),
            result => result.map_err(StorageError::failed),
        }
    }

    fn end_sync(
        &self,
        write: WriteId,
        outcome: Result<(), WriteError>,
    ) -> Result<(), StorageError> {
        let mut pending = self.pending.lock();
        if let Err(error) = outcome {
            return Err(Self::say(&mut pending, &self.wal, error));
        }
        let unsynced = usize::try_from(pending.last.0 - write.0).unwrap_or(usize::MAX);
        while unsynced < pending.unsynced.len() {
            pending.unsynced.pop_front();
        }
        Ok(())
    }

    /// Takes note of an error, and says it in the words of the trait.
    fn say(pending: &mut Pending, wal: &Wal<D>, error: WriteError) -> StorageError {
        if !matches!(error, WriteError::DiskFull) {
            return StorageError::failed(error);
        }
        wal.forget_dropped();
        pending.is_dropped = true;
        StorageError::Full
    }
}

impl<R: Wire, D: Disk + 'static> Storage<R> for RecordStore<R, D> {
    type Query = Infallible;
    type Answer = Infallible;

    fn replay(&self) -> impl Iterator<Item = Result<R, StorageError>> {
        self.replay_indexed().map(|item| item.map(|(_, record)| record))
    }

    fn append(&self, write: WriteId, record: R) -> Result<(), StorageError> {
        let mut pending = self.pending.lock();
        assert_eq!(write.0, pending.last.0 + 1, "writes of a run are numbered without gaps");
        let mut bytes = BytesMut::new();
        record.encode(&mut bytes);
        let record = bytes.freeze();
        if !pending.is_dropped {
            // Once one is dropped or held back, all that follow wait for the next sync.
            pending.is_dropped = !self.append_at(self.index_of(write), &record)?;
        }
        pending.last = write;
        pending.unsynced.push_back(record);
        Ok(())
    }

    async fn sync(&self) -> Result<WriteId, StorageError> {
        let last = self.pending.lock().last;
        loop {
            let (write, ack) = self.begin_sync()?;
            self.end_sync(write, ack.await)?;
            if last <= write {
                return Ok(write);
            }
        }
    }

    async fn fetch(&self, query: Infallible) -> Result<Infallible, StorageError> {
        match query {}
    }

    async fn compact(&self, before: WriteId) -> Result<(), StorageError> {
        let to = self.index_of(before);
        if self.wal.first_index() < to {
            let outcome = loop {
                match self.wal.write(Batch::new().truncate_prefix(to)) {
                    Ok(ack) => break ack.await,
                    Err(WriteError::Backlog { .. }) => {}
                    // Nothing is forgotten, which is allowed.
                    Err(WriteError::Held { .. }) => return Ok(()),
                    Err(error) => break Err(error),
                }
                let (write, ack) = match self.begin_sync() {
                    // The next sync says so.
                    Err(StorageError::Full) => return Ok(()),
                    begun => begun?,
                };
                match self.end_sync(write, ack.await) {
                    Err(StorageError::Full) => return Ok(()),
                    ended => ended?,
                }
            };
            if let Err(error) = outcome {
                return match Self::say(&mut self.pending.lock(), &self.wal, error) {
                    // Nothing is forgotten, which is allowed; only a sync is ever `Full`.
                    StorageError::Full => Ok(()),
                    error => Err(error),
                };
            }
        }
        self.wal.free_segments(u64::MAX).map_err(StorageError::failed)
    }
}

impl<R, D: Disk> fmt::Debug for RecordStore<R, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordStore").field("wal", &self.wal).finish_non_exhaustive()
    }
}

fn decode<R: Wire>(mut record: Bytes) -> Result<R, StorageError> {
    let value = R::decode(&mut record).map_err(StorageError::failed)?;
    if record.is_empty() {
        return Ok(value);
    }
    let found = record.len() as u64;
    Err(StorageError::failed(DecodeError::OutOfRange { field: "bytes behind a record", found }))
}
