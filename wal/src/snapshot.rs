//! Snapshots: what the records up to an index add up to, so that these can go.
//!
//! ```text
//! create .. append .. finish      {index}.snapshot.tmp, sync, rename, sync of the folder, then
//!                                 those beyond the newest N are removed
//! install                         the mark of the log moves up to the snapshot
//! newest                          the newest that is whole; damaged ones are named
//! ```
//!
//! A crash at any step leaves the snapshots that were there. The layout of a file is drawn in
//! `format/snapshot.rs`.
//!
//! Source: Joshi, "Patterns of Distributed Systems" (2023), "Low-Water Mark", "Snapshot-based";
//! Ongaro and Ousterhout, "In Search of an Understandable Consensus Algorithm" (2014), section 7.
//! Left out: snapshots that build on one another; what they hold is the caller's.

mod error;
mod reader;
mod writer;

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;
use quorate_core::Disk;

pub use error::{
    InstallError, OpenSnapshotsError, SnapshotDamage, SnapshotReadError, SnapshotWhy,
    SnapshotWriteError,
};
pub use reader::SnapshotReader;
pub use writer::SnapshotWriter;

use crate::config::ConfigError;
use crate::disk::Directory;
use crate::error::WriteError;
use crate::format::snapshot::{index_of, snapshot_name};
use crate::index::Index;
use crate::log::Wal;

/// The snapshots of one log, in a folder. Clones are handles of the same store.
///
/// The folder may be that of the log, whose files have other names; one of its own keeps the syncs
/// of one from waiting for the other. It is a handle of the log: that stays open as long.
///
/// # Invariants
///
/// A snapshot that is listed is durable, and never changes: it is written under another name. A log
/// truncated by [`install`](Self::install) begins at most one behind the newest.
pub struct Snapshots<D: Disk = Directory> {
    inner: Arc<Inner<D>>,
}

struct Inner<D: Disk> {
    disk: D,
    wal: Wal<D>,
    config: SnapshotConfig,
    store: Mutex<Store>,
    /// Where the log is told how far it may go.
    limit_id: u64,
    /// Keeps other openers out.
    _lock: D::Lock,
}

struct Store {
    /// Those that are durable.
    indexes: BTreeSet<u64>,
    /// Those that are being written.
    writing: BTreeSet<u64>,
    /// A sync of the folder failed: which names are durable is not known any more.
    is_failed: bool,
}

/// How many snapshots there are, and how much of the log beside them.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct SnapshotConfig {
    /// The newest so many are kept. With one, nothing is left if it rots. At least 1; default 2.
    pub snapshots: usize,
    /// Which records [`Snapshots::install`] leaves. Default [`Keep::SinceOldest`].
    pub keep: Keep,
}

/// Which of the records that a snapshot stands for stay in the log.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Keep {
    /// Those behind the oldest snapshot that is kept, so that each of them can be gone on from: if
    /// the newest rots, nothing is lost.
    #[default]
    SinceOldest,
    /// The last so many before the snapshot, 0 for none. What a follower that lags so far can be
    /// sent instead of a snapshot. If the newest rots, the one before does not reach the log.
    Records(u64),
}

/// What [`Snapshots::newest`] found.
#[derive(Debug)]
#[non_exhaustive]
pub struct Newest<D: Disk = Directory> {
    /// The newest that is whole, from its start. `None`: there is none.
    pub reader: Option<SnapshotReader<D>>,
    /// Those that are newer and damaged, newest first.
    pub damaged: Vec<SnapshotDamage>,
    /// Records that neither the snapshot nor the log has. Empty, unless a damaged snapshot was the
    /// only one that reached the log.
    pub missing: Range<Index>,
}

impl Snapshots {
    /// Opens the snapshots of `wal` in the folder `path`. See [`open_on`](Self::open_on).
    ///
    /// # Errors
    ///
    /// Those of [`open_on`](Self::open_on).
    pub fn open(
        path: impl AsRef<Path>,
        wal: &Wal,
        config: SnapshotConfig,
    ) -> Result<Self, OpenSnapshotsError> {
        let doing = "open the folder";
        let disk =
            Directory::new(path).map_err(|source| OpenSnapshotsError::Io { doing, source })?;
        Self::open_on(disk, wal, config)
    }
}

impl<D: Disk> Snapshots<D> {
    /// Opens the snapshots of `wal` that lie on `disk`.
    ///
    /// Removes what was being written when the process ended. Reads no snapshot. One sync, of the
    /// folder.
    ///
    /// # Errors
    ///
    /// See [`OpenSnapshotsError`]. Nothing was changed but that unfinished snapshots may be gone.
    pub fn open_on(
        disk: D,
        wal: &Wal<D>,
        config: SnapshotConfig,
    ) -> Result<Self, OpenSnapshotsError> {
        config.check()?;
        let doing = |doing| move |source| OpenSnapshotsError::Io { doing, source };
        let lock = disk.lock(LOCK).map_err(|source| match source.kind() {
            io::ErrorKind::WouldBlock => OpenSnapshotsError::Locked,
            _ => OpenSnapshotsError::Io { doing: "take the lock", source },
        })?;
        let names = disk.list().map_err(doing("list the files"))?;
        let is_unfinished = |name: &&String| name.strip_suffix(".tmp").and_then(index_of).is_some();
        for name in names.iter().filter(is_unfinished) {
            disk.remove(name).map_err(doing("remove an unfinished snapshot"))?;
        }
        // A killed process may have renamed without this. A log is truncated because of a name.
        disk.sync_dir().map_err(doing("sync the folder"))?;
        let indexes = names.iter().filter_map(|name| index_of(name)).collect();
        let store = Store { indexes, writing: BTreeSet::new(), is_failed: false };
        let limit_id = wal.shared().state.lock().limits.add_store(config.limit(&store));
        let (wal, store) = (wal.clone(), Mutex::new(store));
        Ok(Self { inner: Arc::new(Inner { disk, wal, config, store, limit_id, _lock: lock }) })
    }

    /// Begins a snapshot of the records up to `index`, with it; 0 stands for none of them.
    ///
    /// `meta` is the caller's, and read with the header: a configuration, a term. Nothing is seen
    /// of the snapshot before [`SnapshotWriter::finish`]; dropping the writer takes it back.
    ///
    /// # Errors
    ///
    /// See [`SnapshotWriteError`]; nothing is left.
    pub fn create(
        &self,
        index: Index,
        meta: &[u8],
    ) -> Result<SnapshotWriter<D>, SnapshotWriteError> {
        SnapshotWriter::new(self.clone(), index, meta)
    }

    /// Lets the log go on from the snapshot `index`, and returns where it begins now.
    ///
    /// The records that neither [`SnapshotConfig::keep`] nor a [`Wal::hold`] keeps go. If the log
    /// ends before `index`, as when the snapshot is another node's, all of it goes, and it goes on
    /// at `index + 1`. Repeated, it changes nothing. Costs what [`Wal::truncate_prefix`] does.
    ///
    /// # Errors
    ///
    /// [`InstallError`]; the snapshot stays. [`WriteError::Held`] only where all of the log goes.
    pub fn install(&self, index: Index) -> Result<Index, InstallError> {
        let oldest = {
            let store = self.inner.store.lock();
            if !store.indexes.contains(&index.0) {
                return Err(InstallError::Missing { index });
            }
            store.indexes.first().copied().unwrap_or(index.0).min(index.0)
        };
        let wal = &self.inner.wal;
        let (end, behind) = (wal.next_index(), index.plus(1));
        let is_ahead = end < behind;
        let kept = Index(self.inner.config.keep.limit(oldest, index.0));
        let mut to = if is_ahead { behind } else { kept };
        loop {
            match wal.truncate_prefix(to) {
                // It may have been taken just now.
                Err(WriteError::Held { from }) if !is_ahead => to = from,
                result => break result?,
            }
        }
        Ok(wal.first_index())
    }

    /// Returns the newest snapshot that is whole, and names the damaged ones that are newer.
    ///
    /// Each is read to its end before, chunk by chunk, so what comes out of the reader is not only
    /// checked, but known to be complete. Where that is too slow, [`open_at`](Self::open_at) the
    /// last of [`indexes`](Self::indexes).
    ///
    /// # Errors
    ///
    /// [`SnapshotReadError::Unsupported`] and [`SnapshotReadError::Io`]: an older one is not taken
    /// because of these.
    pub fn newest(&self) -> Result<Newest<D>, SnapshotReadError> {
        let mut damaged = Vec::new();
        let mut reader = None;
        for index in self.indexes().into_iter().rev() {
            match self.verify(index).and_then(|()| self.open_at(index)) {
                Ok(found) => {
                    reader = Some(found);
                    break;
                }
                Err(SnapshotReadError::Corrupt(damage)) => damaged.push(damage),
                // Removed meanwhile.
                Err(SnapshotReadError::Missing { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        let behind = reader.as_ref().map_or(Index(1), |it| it.index().plus(1));
        let missing = behind..self.inner.wal.first_index().max(behind);
        Ok(Newest { reader, damaged, missing })
    }

    /// Opens the snapshot `index`. Checks its header; the chunks are checked as they are read.
    ///
    /// # Errors
    ///
    /// See [`SnapshotReadError`].
    pub fn open_at(&self, index: Index) -> Result<SnapshotReader<D>, SnapshotReadError> {
        if !self.inner.store.lock().indexes.contains(&index.0) {
            return Err(SnapshotReadError::Missing { index });
        }
        let file = self.inner.disk.open(&snapshot_name(index.0));
        let file = file.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => SnapshotReadError::Missing { index },
            _ => SnapshotReadError::Io(error),
        })?;
        SnapshotReader::new(file, self.inner.wal.log_id(), index)
    }

    /// Reads the snapshot `index` to its end, with 256 KiB of memory.
    ///
    /// # Errors
    ///
    /// See [`SnapshotReadError`].
    pub fn verify(&self, index: Index) -> Result<(), SnapshotReadError> {
        let mut reader = self.open_at(index)?;
        while reader.next_chunk()?.is_some() {}
        Ok(())
    }

    /// Removes the snapshot `index`: one that is damaged, so that it can be made again. None of
    /// that index is no error. One sync, of the folder.
    ///
    /// # Errors
    ///
    /// [`SnapshotWriteError::Io`] and [`SnapshotWriteError::Failed`].
    pub fn remove(&self, index: Index) -> Result<(), SnapshotWriteError> {
        let mut store = self.inner.store.lock();
        store.check_sound()?;
        if !store.indexes.contains(&index.0) {
            return Ok(());
        }
        self.inner.remove_file(index.0)?;
        store.indexes.remove(&index.0);
        self.inner.tell_limit(&store);
        store.sync(&self.inner.disk)
    }

    /// Returns the indexes of the snapshots there are, oldest first. None of them was read.
    #[must_use]
    pub fn indexes(&self) -> Vec<Index> {
        self.inner.store.lock().indexes.iter().copied().map(Index).collect()
    }
}

impl SnapshotConfig {
    fn check(&self) -> Result<(), ConfigError> {
        let (found, min, max) = (self.snapshots as u64, 1, u64::MAX);
        let field = "snapshots";
        if self.snapshots == 0 {
            return Err(ConfigError::OutOfRange { field, found, min, max });
        }
        Ok(())
    }

    /// Returns how far a retention of the log may go.
    fn limit(&self, store: &Store) -> u64 {
        let ends = store.indexes.first().zip(store.indexes.last());
        ends.map_or(0, |(oldest, newest)| self.keep.limit(*oldest, *newest))
    }
}

impl Keep {
    /// Returns the first record that is kept beside the snapshots from `oldest` to `newest`.
    fn limit(self, oldest: u64, newest: u64) -> u64 {
        let (since_oldest, behind) = (oldest.saturating_add(1), newest.saturating_add(1));
        match self {
            Self::SinceOldest => since_oldest,
            Self::Records(count) => behind.saturating_sub(count).max(1),
        }
    }
}

impl Default for SnapshotConfig {
    fn default() -> Self {
        Self { snapshots: 2, keep: Keep::default() }
    }
}

impl<D: Disk> Inner<D> {
    fn tell_limit(&self, store: &Store) {
        let limit = self.config.limit(store);
        self.wal.shared().state.lock().limits.set_store(self.limit_id, limit);
    }

    fn remove_file(&self, index: u64) -> io::Result<()> {
        match self.disk.remove(&snapshot_name(index)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

impl<D: Disk> Drop for Inner<D> {
    fn drop(&mut self) {
        self.wal.shared().state.lock().limits.remove_store(self.limit_id);
    }
}

impl Store {
    fn check_sound(&self) -> Result<(), SnapshotWriteError> {
        if self.is_failed { Err(SnapshotWriteError::Failed) } else { Ok(()) }
    }

    fn sync<D: Disk>(&mut self, disk: &D) -> Result<(), SnapshotWriteError> {
        disk.sync_dir().map_err(|source| {
            self.is_failed = true;
            SnapshotWriteError::Io { doing: "sync the folder", source }
        })
    }
}

impl<D: Disk> Clone for Snapshots<D> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner) }
    }
}

impl<D: Disk> fmt::Debug for Snapshots<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshots").field("indexes", &self.indexes()).finish_non_exhaustive()
    }
}

/// The name of the lock.
const LOCK: &str = "SNAPSHOTS";
