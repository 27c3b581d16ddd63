//! Reading a snapshot, chunk by chunk.

use std::fmt;
use std::io;

use bytes::{Buf as _, Bytes};
use quorate_core::{Disk, File};

use super::{SnapshotDamage, SnapshotReadError, SnapshotWhy};
use crate::disk::Directory;
use crate::format::snapshot::{
    CHUNK_BYTES, CHUNK_HEAD_BYTES, END_BYTES, HEADER_BYTES, Header, Piece,
};
use crate::format::{padded, to_usize};
use crate::index::Index;
use crate::segment::read_full;

/// Gives out the data of one snapshot, of which every byte was checked. See
/// [`Snapshots::newest`](super::Snapshots::newest).
///
/// Holds one chunk, 256 KiB. As an [`io::Read`] it fails with
/// [`InvalidData`](io::ErrorKind::InvalidData) where it is damaged. That it is complete is known
/// only at its end: apply what was read when `None` came, or `newest` has checked it.
pub struct SnapshotReader<D: Disk = Directory> {
    file: D::File,
    header: Header,
    meta: Bytes,
    file_bytes: u64,
    /// Where the next chunk is.
    offset: u64,
    chunks: u64,
    total: u64,
    is_over: bool,
    damage: Option<SnapshotDamage>,
    /// What `io::Read` has not given out yet.
    rest: Bytes,
}

impl<D: Disk> SnapshotReader<D> {
    pub(super) fn new(file: D::File, log_id: u64, index: Index) -> Result<Self, SnapshotReadError> {
        let corrupt = |offset, why| {
            SnapshotReadError::Corrupt(SnapshotDamage { index, offset: offset as u64, why })
        };
        let file_bytes = file.len()?;
        let mut fixed = [0; HEADER_BYTES];
        let filled = read_full(&file, 0, &mut fixed)?;
        let header = match Header::decode(&fixed[..filled]) {
            Ok(Ok(header)) => header,
            Ok(Err(version)) => return Err(SnapshotReadError::Unsupported { index, version }),
            Err(why) => return Err(corrupt(0, why)),
        };
        if header.log_id != log_id || header.index != index.0 {
            return Err(corrupt(0, SnapshotWhy::Foreign));
        }
        if file_bytes < header.end() {
            return Err(corrupt(HEADER_BYTES, SnapshotWhy::Short));
        }
        let mut meta = vec![0; padded(to_usize(header.meta_bytes))];
        let filled = read_full(&file, HEADER_BYTES as u64, &mut meta)?;
        let meta_bytes =
            header.check_meta(&meta[..filled]).map_err(|why| corrupt(HEADER_BYTES, why))?.len();
        let meta = Bytes::from(meta).slice(..meta_bytes);
        let offset = header.end();
        Ok(Self {
            file,
            header,
            meta,
            file_bytes,
            offset,
            chunks: 0,
            total: 0,
            is_over: false,
            damage: None,
            rest: Bytes::new(),
        })
    }

    /// Returns which snapshot it is: the records up to here are in it, with this one.
    #[must_use]
    pub const fn index(&self) -> Index {
        Index(self.header.index)
    }

    /// Returns the caller's meta.
    #[must_use]
    pub fn meta(&self) -> Bytes {
        self.meta.clone()
    }

    /// Returns the next data: 256 KiB, the last time what is left. `None`: it was all, and it is
    /// complete.
    ///
    /// # Errors
    ///
    /// [`SnapshotReadError::Corrupt`] and [`SnapshotReadError::Io`].
    pub fn next_chunk(&mut self) -> Result<Option<Bytes>, SnapshotReadError> {
        if let Some(damage) = self.damage {
            return Err(SnapshotReadError::Corrupt(damage));
        }
        if self.is_over {
            return Ok(None);
        }
        let left = self.file_bytes.saturating_sub(self.offset);
        let want = left.min((CHUNK_HEAD_BYTES + CHUNK_BYTES) as u64);
        let mut bytes = vec![0; to_usize(want)];
        let filled = read_full(&self.file, self.offset, &mut bytes)?;
        bytes.truncate(filled);
        match self.step(&bytes) {
            Ok(None) => Ok(None),
            Ok(Some(count)) => {
                let data = CHUNK_HEAD_BYTES..CHUNK_HEAD_BYTES + count;
                Ok(Some(Bytes::from(bytes).slice(data)))
            }
            Err(why) => {
                let (index, offset) = (self.index(), self.offset);
                let damage = SnapshotDamage { index, offset, why };
                self.damage = Some(damage);
                Err(SnapshotReadError::Corrupt(damage))
            }
        }
    }

    /// Checks the piece at the start of `bytes`, and goes behind it. Returns how much data it has,
    /// or `None` at the end.
    fn step(&mut self, bytes: &[u8]) -> Result<Option<usize>, SnapshotWhy> {
        match Piece::decode(bytes, self.chunks, self.header.salt())? {
            Piece::Chunk(data) => {
                // Only the last may be short.
                if self.total != self.chunks * CHUNK_BYTES as u64 {
                    return Err(SnapshotWhy::Chunk);
                }
                self.chunks += 1;
                self.total += data.len() as u64;
                self.offset += (CHUNK_HEAD_BYTES + padded(data.len())) as u64;
                Ok(Some(data.len()))
            }
            Piece::End { total, chunks } => {
                if (total, chunks) != (self.total, self.chunks) {
                    return Err(SnapshotWhy::End);
                }
                if self.file_bytes != self.offset + END_BYTES as u64 {
                    return Err(SnapshotWhy::Long);
                }
                self.is_over = true;
                Ok(None)
            }
        }
    }
}

impl<D: Disk> io::Read for SnapshotReader<D> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.rest.is_empty() && !out.is_empty() {
            let next = self.next_chunk().map_err(|error| match error {
                SnapshotReadError::Io(source) => source,
                other => io::Error::new(io::ErrorKind::InvalidData, other),
            })?;
            self.rest = next.unwrap_or_default();
        }
        let count = out.len().min(self.rest.len());
        self.rest.copy_to_slice(&mut out[..count]);
        Ok(count)
    }
}

impl<D: Disk> fmt::Debug for SnapshotReader<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("SnapshotReader");
        out.field("index", &self.index()).field("offset", &self.offset).finish_non_exhaustive()
    }
}
