//! Copying what is right of a damaged log into a new one.
//!
//! ```text
//! damaged  1 2 3 x 5 6      a record cannot be skipped: 5 would be 4 in the copy
//! copy     1 2 3            what follows the damage is counted, and lost
//! ```
//!
//! Batches stay whole: one with a damaged frame is not copied. A truncation behind the damage may
//! make it meaningless, and then the copy goes on.

use std::io;
use std::ops::Range;

use bytes::Bytes;
use quorate_core::{Disk, File};
use thiserror::Error;

use crate::batch::Batch;
use crate::error::{Damage, WriteError};
use crate::format::frame::{Head, Kind};
use crate::format::header::Header;
use crate::format::{segment_name, sequence_of, u64_at};
use crate::index::Index;
use crate::log::Wal;
use crate::source::Source;
use crate::walk::{Step, Walk};

/// What was copied, and what was not.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Copied {
    /// The records of the copy. What stood before is below the low-water mark, or in a segment
    /// whose header is damaged.
    pub range: Range<Index>,
    /// Where those of the damaged log end, as far as its whole frames say.
    pub found_end: Index,
    /// What is damaged.
    pub damaged: Vec<Damage>,
}

/// Why nothing, or not all, was copied.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CopyError {
    /// The damaged log cannot be read.
    #[error("the damaged log cannot be read")]
    Read(#[source] io::Error),
    /// The copy cannot be written.
    #[error("the copy cannot be written")]
    Write(#[source] WriteError),
    /// Copy into a new log: this one is not.
    #[error("the copy has records already, up to {0}")]
    NotEmpty(Index),
}

/// Copies what is right of the log on `from` into `to`, a new log. `from` is not changed, and not
/// locked: nobody may write to it meanwhile. All that was copied is durable in the end.
///
/// Every segment counts whose header is right: a folder with segments
/// of several logs must be sorted out before.
///
/// # Errors
///
/// See [`CopyError`].
///
/// # Examples
///
/// ```
/// use quorate_core::{Disk as _, File as _};
/// use quorate_wal::{Config, Index, Memory, Wal, copy};
///
/// let (disk, config) = (Memory::new(), Config::default());
/// let (wal, _) = Wal::open_on(disk.clone(), config.clone())?;
/// for record in ["one", "two", "three"] {
///     wal.append(record)?.wait()?;
/// }
/// wal.close()?;
/// let file = disk.open("00000000000000000001.wal")?;
/// file.write_all_at(64 + 32 + 24, b"TWO")?; // behind the header, the first record and a head
/// drop(file);
/// assert!(Wal::open_on(disk.clone(), config.clone()).is_err());
///
/// let (wal, _) = Wal::open_on(Memory::new(), config)?;
/// let copied = copy(&disk, &wal)?;
/// assert_eq!((copied.range, copied.found_end), (Index(1)..Index(2), Index(4)));
/// assert_eq!(copied.damaged[0].index, Some(Index(2)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn copy<D: Disk, E: Disk>(from: &D, to: &Wal<E>) -> Result<Copied, CopyError> {
    if to.next_index() != Index(1) {
        return Err(CopyError::NotEmpty(to.next_index()));
    }
    let copied = Copied { range: Index(1)..Index(1), found_end: Index(1), damaged: Vec::new() };
    let mut copying =
        Copying { to, pending: Pending::default(), unsynced: 0, is_begun: false, copied };
    let names = from.list().map_err(CopyError::Read)?;
    for sequence in names.iter().filter_map(|name| sequence_of(name)) {
        let file = from.open(&segment_name(sequence)).map_err(CopyError::Read)?;
        let mut source = Source::scan(&file).map_err(CopyError::Read)?;
        copying.take_segment(sequence, &mut source)?;
    }
    to.sync().map_err(CopyError::Write)?;
    copying.copied.range = to.first_index()..to.next_index();
    Ok(copying.copied)
}

struct Copying<'a, E: Disk> {
    to: &'a Wal<E>,
    pending: Pending,
    /// Bytes that wait for the disk.
    unsynced: usize,
    /// The copy begins where the oldest segment does.
    is_begun: bool,
    copied: Copied,
}

/// The frames of a batch whose end has not come.
#[derive(Default)]
struct Pending {
    batch: Batch,
    /// The index of its first record.
    first: Option<u64>,
    bytes: usize,
    is_damaged: bool,
}

impl<E: Disk> Copying<'_, E> {
    fn take_segment<F: File>(
        &mut self,
        sequence: u64,
        source: &mut Source<'_, F>,
    ) -> Result<(), CopyError> {
        // No batch goes on in another segment.
        self.pending = Pending::default();
        let header = match Header::read(source).map_err(CopyError::Read)? {
            Ok(Ok(header)) => header,
            Ok(Err(_)) => return Ok(()),
            Err(why) => {
                let damage = Damage { segment: sequence, offset: 0, index: None, why };
                self.copied.damaged.push(damage);
                return Ok(());
            }
        };
        if !std::mem::replace(&mut self.is_begun, true) {
            let batch = Batch::new().truncate_prefix(Index(header.next_index));
            self.write(batch.set_state(header.state.clone()), header.state.len())?;
        }
        let mut walk = Walk::new(source, &header).map_err(CopyError::Read)?;
        while let Some(step) = walk.next(source).map_err(CopyError::Read)? {
            match step {
                Step::Frame(_, frame) => self.take_frame(&frame.head, frame.payload)?,
                Step::Damaged(damage, _) => {
                    self.copied.damaged.push(damage);
                    self.pending.is_damaged = true;
                }
            }
        }
        Ok(())
    }

    fn take_frame(&mut self, head: &Head, payload: &[u8]) -> Result<(), CopyError> {
        let Pending { batch, first, bytes, .. } = &mut self.pending;
        *bytes += head.frame_bytes();
        match head.kind {
            Kind::Data => {
                first.get_or_insert(head.index);
                batch.records.push(Bytes::copy_from_slice(payload));
                self.copied.found_end = self.copied.found_end.max(Index(head.index + 1));
            }
            Kind::TruncateSuffix => batch.truncate_suffix = index_of(payload),
            Kind::TruncatePrefix => batch.truncate_prefix = index_of(payload),
            Kind::State => batch.state = Some(Bytes::copy_from_slice(payload)),
            Kind::Mark | Kind::Seal => {}
        }
        if head.is_batch_end { self.apply() } else { Ok(()) }
    }

    /// Applies the batch, if it is whole, and of its records those that follow what was copied.
    fn apply(&mut self) -> Result<(), CopyError> {
        let Pending { mut batch, first, bytes, is_damaged } = std::mem::take(&mut self.pending);
        if is_damaged {
            return Ok(());
        }
        let (first_index, next_index) = (self.to.first_index(), self.to.next_index());
        // What is cut off here may not have been copied in the first place.
        let suffix = batch.truncate_suffix.filter(|from| *from < next_index);
        batch.truncate_suffix = suffix.map(|from| from.max(first_index));
        batch.truncate_prefix = batch.truncate_prefix.filter(|to| first_index < *to);
        let end = batch.truncate_suffix.unwrap_or(next_index);
        let due = batch.truncate_prefix.map_or(end, |to| end.max(to));
        if first.is_some_and(|first| first != due.0) {
            batch.records.clear();
        }
        self.write(batch, bytes)
    }

    fn write(&mut self, batch: Batch, bytes: usize) -> Result<(), CopyError> {
        self.to.write(batch).map(drop).map_err(CopyError::Write)?;
        self.unsynced += bytes;
        if UNSYNCED_MAX < self.unsynced {
            self.unsynced = 0;
            self.to.sync().map_err(CopyError::Write)?;
        }
        Ok(())
    }
}

/// Reads the payload of a truncation; a whole one of another length is not of this crate.
fn index_of(payload: &[u8]) -> Option<Index> {
    (payload.len() == 8).then(|| Index(u64_at(payload, 0)))
}

/// Bytes after which a copy syncs: they wait in memory until then.
const UNSYNCED_MAX: usize = 4 << 20;
