//! Writing a snapshot, chunk by chunk.

use std::fmt;
use std::io;

use bytes::BytesMut;
use quorate_core::{Disk, File};

use super::{SnapshotWriteError, Snapshots};
use crate::disk::Directory;
use crate::format::snapshot::{CHUNK_BYTES, Header, META_BYTES_MAX, Piece, snapshot_name};
use crate::format::{salt, to_usize};
use crate::index::Index;

/// Takes the data of one snapshot. See [`Snapshots::create`].
///
/// Holds two chunks, 512 KiB, however long the snapshot is. As an [`io::Write`] its `flush` does
/// nothing: [`finish`](Self::finish) makes it durable. Dropped before, it removes what it wrote.
#[must_use = "what was written is gone unless this is finished"]
pub struct SnapshotWriter<D: Disk = Directory> {
    snapshots: Snapshots<D>,
    file: D::File,
    index: Index,
    salt: u32,
    /// Where the next chunk goes.
    offset: u64,
    chunks: u64,
    total: u64,
    /// Data that is not written yet.
    data: BytesMut,
    /// A chunk as it lies on disk, used again.
    encoded: BytesMut,
    is_broken: bool,
    is_finished: bool,
}

impl<D: Disk> SnapshotWriter<D> {
    pub(super) fn new(
        snapshots: Snapshots<D>,
        index: Index,
        meta: &[u8],
    ) -> Result<Self, SnapshotWriteError> {
        if to_usize(META_BYTES_MAX) < meta.len() {
            return Err(SnapshotWriteError::MetaTooLarge { bytes: meta.len() });
        }
        if Index::MAX <= index {
            return Err(SnapshotWriteError::OutOfRange { index });
        }
        let (inner, log_id) = (&snapshots.inner, snapshots.inner.wal.log_id());
        let mut store = inner.store.lock();
        store.check_sound()?;
        if store.indexes.contains(&index.0) {
            return Err(SnapshotWriteError::Exists { index });
        }
        if store.writing.contains(&index.0) {
            return Err(SnapshotWriteError::Busy { index });
        }
        let name = temporary(index);
        // One of a writer that could not remove it, when the disk failed.
        match inner.disk.remove(&name) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        let file = inner.disk.create_new(&name)?;
        store.writing.insert(index.0);
        drop(store);
        let header = Header::encode(log_id, index.0, meta);
        let mut writer = Self {
            file,
            index,
            salt: salt(log_id, index.0),
            offset: 0,
            chunks: 0,
            total: 0,
            data: BytesMut::new(),
            encoded: BytesMut::new(),
            is_broken: false,
            is_finished: false,
            snapshots,
        };
        writer.write_out(&header)?;
        Ok(writer)
    }

    /// Returns which snapshot it is.
    #[must_use]
    pub const fn index(&self) -> Index {
        self.index
    }

    /// Adds `data`. Writes each 256 KiB; does not sync.
    ///
    /// # Errors
    ///
    /// [`SnapshotWriteError::DiskFull`] and [`SnapshotWriteError::Io`], after which only
    /// [`SnapshotWriteError::Broken`] comes.
    pub fn append(&mut self, mut data: &[u8]) -> Result<(), SnapshotWriteError> {
        if self.is_broken {
            return Err(SnapshotWriteError::Broken);
        }
        while !data.is_empty() {
            let room = CHUNK_BYTES - self.data.len();
            let (now, later) = data.split_at(room.min(data.len()));
            self.data.extend_from_slice(now);
            data = later;
            if self.data.len() == CHUNK_BYTES {
                self.write_chunk()?;
            }
        }
        Ok(())
    }

    /// Makes the snapshot durable, and then removes those beyond the newest
    /// [`snapshots`](super::SnapshotConfig::snapshots). Two syncs.
    ///
    /// One that cannot be removed stays until the next snapshot is finished.
    ///
    /// # Errors
    ///
    /// See [`SnapshotWriteError`]; after one, the snapshot is not there.
    pub fn finish(mut self) -> Result<(), SnapshotWriteError> {
        self.append(&[])?;
        if !self.data.is_empty() {
            self.write_chunk()?;
        }
        let end_mark = Piece::end_mark(self.total, self.chunks, self.salt);
        self.write_out(&end_mark)?;
        let doing = "sync the snapshot";
        self.file.sync_data().map_err(|source| SnapshotWriteError::Io { doing, source })?;
        self.publish()
    }

    fn publish(&mut self) -> Result<(), SnapshotWriteError> {
        let inner = &self.snapshots.inner;
        let mut store = inner.store.lock();
        store.check_sound()?;
        inner.disk.rename(&temporary(self.index), &snapshot_name(self.index.0))?;
        self.is_finished = true;
        store.writing.remove(&self.index.0);
        if let Err(error) = store.sync(&inner.disk) {
            // The next opener would trust a name that may not be on the medium.
            _ = inner.remove_file(self.index.0);
            return Err(error);
        }
        store.indexes.insert(self.index.0);
        let spare = store.indexes.len().saturating_sub(inner.config.snapshots);
        let old: Vec<u64> = store.indexes.iter().copied().take(spare).collect();
        for index in old {
            // Not synced: a crash that brings it back does no harm.
            if index != self.index.0 && inner.remove_file(index).is_ok() {
                store.indexes.remove(&index);
            }
        }
        inner.tell_limit(&store);
        Ok(())
    }

    fn write_chunk(&mut self) -> Result<(), SnapshotWriteError> {
        let mut encoded = std::mem::take(&mut self.encoded);
        encoded.clear();
        Piece::put_chunk(&mut encoded, &self.data, self.chunks, self.salt);
        let written = self.write_out(&encoded);
        self.encoded = encoded;
        written?;
        self.chunks += 1;
        self.total += self.data.len() as u64;
        self.data.clear();
        Ok(())
    }

    fn write_out(&mut self, bytes: &[u8]) -> Result<(), SnapshotWriteError> {
        let written = self.file.write_all_at(self.offset, bytes);
        self.is_broken = written.is_err();
        self.offset += bytes.len() as u64;
        written.map_err(SnapshotWriteError::from)
    }
}

impl<D: Disk> io::Write for SnapshotWriter<D> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.append(data).map_err(|error| match error {
            SnapshotWriteError::DiskFull => io::ErrorKind::StorageFull.into(),
            SnapshotWriteError::Io { source, .. } => source,
            other => io::Error::other(other),
        })?;
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<D: Disk> Drop for SnapshotWriter<D> {
    fn drop(&mut self) {
        if !self.is_finished {
            let inner = &self.snapshots.inner;
            let mut store = inner.store.lock();
            // If this fails, the next open does it.
            _ = inner.disk.remove(&temporary(self.index));
            store.writing.remove(&self.index.0);
        }
    }
}

impl<D: Disk> fmt::Debug for SnapshotWriter<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SnapshotWriter").field("index", &self.index).finish_non_exhaustive()
    }
}

fn temporary(index: Index) -> String {
    format!("{}.tmp", snapshot_name(index.0))
}
