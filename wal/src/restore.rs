//! Putting back a record that is damaged here, and was fetched elsewhere.

use std::io;
use std::sync::Arc;
use std::task::Waker;

use quorate_core::{Disk, File};
use thiserror::Error;

use crate::error::{Damage, ReadError, Why, WriteError};
use crate::format::frame::{HEAD_BYTES, Head, Kind};
use crate::format::{crc, padded, segment_name, to_usize};
use crate::index::Index;
use crate::log::Wal;
use crate::source::Source;

/// Why a record was not restored.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RestoreError {
    /// There is no record of that index: nothing can be restored.
    #[error("there is no record {index}")]
    NoRecord {
        /// What was asked for.
        index: Index,
    },
    /// Where the record stands is not known: its head is damaged too, or where it was is missing.
    #[error("there is no place for the record: {0}")]
    NoPlace(Damage),
    /// These are not the bytes that stood there. Nothing was changed.
    #[error("expected a record of {expected} bytes with another checksum, found {found} bytes")]
    Mismatch {
        /// The length that the head says.
        expected: usize,
        /// The length that was given.
        found: usize,
    },
    /// The log takes no changes.
    #[error("the log takes no changes")]
    Refused(#[source] WriteError),
    /// The disk failed while the log was read. Nothing was changed.
    #[error("a segment cannot be read")]
    Read(#[source] io::Error),
    /// The disk failed while the record was written: it may be there or not. A failed sync ends
    /// writing to the log for good.
    #[error("the record cannot be written")]
    Write(#[source] io::Error),
}

impl<D: Disk> Wal<D> {
    /// Puts the record `index` back where its damaged bytes are, durably, if `record` is what stood
    /// there: its length and its checksum must be those in the head, which is intact. Nothing
    /// happens if the record is not damaged.
    ///
    /// The sectors of the record are written in place; a power cut meanwhile may damage what shares
    /// the first and the last of them on disks that do not write a sector as a whole. One read, one
    /// write, one sync; no segment is freed meanwhile.
    ///
    /// # Errors
    ///
    /// See [`RestoreError`].
    pub fn restore(&self, index: Index, record: &[u8]) -> Result<(), RestoreError> {
        let damage = match self.read(index) {
            Ok(Some(found)) if found == record => return Ok(()),
            Ok(Some(found)) => {
                return Err(RestoreError::Mismatch { expected: found.len(), found: record.len() });
            }
            Ok(None) | Err(ReadError::Compacted { .. }) => {
                return Err(RestoreError::NoRecord { index });
            }
            Err(ReadError::Io(source)) => return Err(RestoreError::Read(source)),
            Err(ReadError::Corrupt(damage)) => damage,
        };
        let is_here = damage.index == Some(index);
        if !is_here || !matches!(damage.why, Why::Payload | Why::Padding) {
            return Err(RestoreError::NoPlace(damage));
        }
        // Until it is done, the file gets no new life, nor the log another opener.
        let _removing = self.shared().removing.lock();
        let (file, salt) = self.place_of(index, damage)?;
        let head = Source::look(&*file).and_then(|mut it| it.head(damage.offset, salt));
        let head = head.map_err(RestoreError::Read)?;
        let is_due = |head: &Head| head.kind == Kind::Data && head.index == index.0;
        let head = head.ok().filter(is_due).ok_or(RestoreError::NoPlace(damage))?;
        let expected = to_usize(head.payload_bytes);
        if expected != record.len() || crc(salt, record) != head.payload_crc {
            return Err(RestoreError::Mismatch { expected, found: record.len() });
        }
        let mut bytes = record.to_vec();
        bytes.resize(padded(record.len()), 0);
        let at = damage.offset + HEAD_BYTES as u64;
        file.write_all_at(at, &bytes).map_err(RestoreError::Write)?;
        file.sync_data().map_err(|source| self.fail(source))
    }

    /// Returns the file of the record and its salt.
    fn place_of(&self, index: Index, damage: Damage) -> Result<(Arc<D::File>, u32), RestoreError> {
        let found = {
            let state = self.shared().state.lock();
            state.check_open().map_err(RestoreError::Refused)?;
            state.segments.find(index.0)
        };
        let found = found.filter(|it| it.sequence == damage.segment);
        let found = found.ok_or(RestoreError::NoPlace(damage))?;
        let file = match found.file {
            Some(file) => file,
            None => {
                let name = segment_name(found.sequence);
                Arc::new(self.shared().disk.open(&name).map_err(RestoreError::Read)?)
            }
        };
        Ok((file, found.salt))
    }

    /// A sync failed: what else it had to make durable is unknown too.
    fn fail(&self, source: io::Error) -> RestoreError {
        let again = io::Error::new(source.kind(), source.to_string());
        let wakers = self.shared().state.lock().poison(None, again);
        wakers.into_iter().for_each(Waker::wake);
        RestoreError::Write(source)
    }
}
