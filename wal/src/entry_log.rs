//! A log of entries with terms, as Raft and its kin keep one.
//!
//! ```text
//! boundary  entries                      the log's state            a record
//!  3:3      4:4  5:5  6:5                 0  7  "ENTRIES"            0  8  term u64
//!   |        |                            7  1  version 1            8  n  data
//!   |        first_index                  8  8  boundary's index
//!   last that was compacted              16  8  boundary's term
//!                                        24  n  caller's state
//! ```
//!
//! Little-endian, within the records and the state of a [`Wal`]. The boundary changes in the same
//! batch as the low-water mark, so that after any crash it is the entry just before the first.
//!
//! Source: Ongaro and Ousterhout, "In Search of an Understandable Consensus Algorithm" (2014),
//! section 5.3 for the overwriting, section 7 for the boundary. Left out: a cache of terms. Whoever
//! asks for one reads its entry.

use std::fmt;
use std::io;
use std::ops::Range;
use std::path::Path;

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use parking_lot::Mutex;
use quorate_core::Disk;
use thiserror::Error;

use crate::ack::Ack;
use crate::batch::Batch;
use crate::config::Config;
use crate::disk::Directory;
use crate::error::{OpenError, ReadError, WriteError};
use crate::index::Index;
use crate::log::Wal;
use crate::recover::Recovered;

/// Entries that each have an index and a term, on a log of their own.
///
/// What it returns is always what the log holds, durable or not: there is no second copy in memory
/// that a full disk could leave behind.
///
/// # Invariants
///
/// The boundary's index is one before `first_index`. Nobody else appends to the log or truncates
/// it.
pub struct EntryLog<D: Disk = Directory> {
    wal: Wal<D>,
    /// Held while a change is made of what was read.
    changing: Mutex<()>,
}

/// One entry. Its index is where it stands.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "made by callers; more would be another format")]
pub struct Entry {
    /// The term of the leader that made it.
    #[doc(alias = "generation clock")]
    pub term: u64,
    /// What it says. At most 8 bytes less than a record.
    pub data: Bytes,
}

/// The last entry that is gone: what the first one that is there must follow.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "made by callers; more would be another format")]
pub struct Boundary {
    /// Its index, 0 before anything is gone.
    pub index: Index,
    /// Its term, 0 before anything is gone.
    pub term: u64,
}

/// Why entries were not compacted, or not replaced by a snapshot.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CompactError {
    /// The term of the entry cannot be read. Nothing was changed.
    #[error("the boundary's term cannot be read")]
    Read(#[from] ReadError),
    /// The log does not take the change.
    #[error("the log is not truncated")]
    Write(#[from] WriteError),
}

impl EntryLog {
    /// Opens the log in the folder `path`, or begins one. See [`Wal::open`].
    ///
    /// # Errors
    ///
    /// Those of [`open_on`](Self::open_on).
    pub fn open(path: impl AsRef<Path>, config: Config) -> Result<(Self, Recovered), OpenError> {
        let (wal, recovered) = Wal::open(path, wrapped(config))?;
        Ok((Self::over(wal)?, recovered))
    }
}

impl<D: Disk> EntryLog<D> {
    /// Opens the log on `disk`, or begins one. See [`Wal::open_on`].
    ///
    /// [`Config::initial_state`] is the caller's part; the boundary takes 24 bytes of the room for
    /// a state, and the term 8 of that for a record.
    ///
    /// # Errors
    ///
    /// [`OpenError`]; [`OpenError::NotEntries`] for a log of another kind.
    pub fn open_on(disk: D, config: Config) -> Result<(Self, Recovered), OpenError> {
        let (wal, recovered) = Wal::open_on(disk, wrapped(config))?;
        Ok((Self::over(wal)?, recovered))
    }

    fn over(wal: Wal<D>) -> Result<Self, OpenError> {
        let state = wal.state();
        let fixed = state.get(..FIXED_BYTES).ok_or(OpenError::NotEntries)?;
        if fixed[..MAGIC.len()] != MAGIC {
            return Err(OpenError::NotEntries);
        }
        let version = fixed[MAGIC.len()];
        if version != VERSION {
            return Err(OpenError::Unsupported { version: version.into() });
        }
        let (boundary, _) = split(state);
        if boundary.index.0.checked_add(1) != Some(wal.first_index().0) {
            return Err(OpenError::NotEntries);
        }
        Ok(Self { wal, changing: Mutex::new(()) })
    }

    /// Puts `entries` at `from` and behind, in place of all that is there. After a crash, either
    /// the old entries are there or the new ones.
    ///
    /// Those below the first index are left out: they are compacted, and so agree. With no entries,
    /// it truncates. Durable with the [`Ack`]. Costs what [`Wal::write`] does.
    ///
    /// # Errors
    ///
    /// Those of [`Wal::write`]; [`WriteError::OutOfRange`] if `from` is beyond the next index.
    pub fn append(&self, from: Index, entries: &[Entry]) -> Result<Ack<D>, WriteError> {
        let _changing = self.changing.lock();
        let first_index = self.first_index();
        let skip = first_index.0.saturating_sub(from.0);
        let skip = usize::try_from(skip).unwrap_or(usize::MAX).min(entries.len());
        let (from, entries) = (from.plus(skip as u64), &entries[skip..]);
        if from < first_index {
            return self.wal.ack();
        }
        if entries.is_empty() && 0 < skip {
            return self.wal.ack();
        }
        let mut batch = Batch::new();
        if from != self.wal.next_index() {
            batch = batch.truncate_suffix(from);
        }
        self.wal.write(entries.iter().fold(batch, |batch, entry| batch.append(encode(entry))))
    }

    /// Lets go of the entries up to `index`, with it, and returns once that is durable. It becomes
    /// the boundary. Below the boundary, nothing is changed.
    ///
    /// Costs what [`Wal::truncate_prefix`] does, and reads one entry.
    ///
    /// # Errors
    ///
    /// [`CompactError`]; [`WriteError::OutOfRange`] beyond the last entry.
    pub fn compact_to(&self, index: Index) -> Result<(), CompactError> {
        let changing = self.changing.lock();
        let (boundary, caller) = self.parts();
        let ack = if index <= boundary.index {
            self.wal.ack()?
        } else {
            let Some(term) = self.term(index)? else {
                let (first, next) = (boundary.index, self.next_index());
                let last = Index(next.0.saturating_sub(1));
                return Err(WriteError::OutOfRange { index, first, last }.into());
            };
            let state = join(Boundary { index, term }, &caller);
            let batch = Batch::new().truncate_prefix(index.plus(1)).set_state(state);
            self.wal.write(batch)?
        };
        drop(changing);
        ack.wait()?;
        Ok(self.wal.free_segments(u64::MAX)?)
    }

    /// Goes on from a snapshot that another node made up to `boundary`, and returns once that is
    /// durable.
    ///
    /// If the entry there is the boundary's, those behind it stay: see
    /// [`compact_to`](Self::compact_to). Otherwise all entries go, and the next one is the one
    /// behind it. Write the snapshot durably before.
    ///
    /// # Errors
    ///
    /// [`CompactError`]; [`WriteError::OutOfRange`] if the boundary is beyond that already.
    pub fn install(&self, boundary: Boundary) -> Result<(), CompactError> {
        let changing = self.changing.lock();
        let (before, caller) = self.parts();
        if boundary.index < before.index || Index::MAX <= boundary.index {
            let (index, first, last) = (boundary.index, before.index, Index::MAX);
            return Err(WriteError::OutOfRange { index, first, last }.into());
        }
        if self.term(boundary.index)? == Some(boundary.term) {
            drop(changing);
            return self.compact_to(boundary.index);
        }
        let batch = Batch::new().truncate_suffix(self.first_index());
        let batch = batch.truncate_prefix(boundary.index.plus(1));
        let ack = self.wal.write(batch.set_state(join(boundary, &caller)))?;
        drop(changing);
        ack.wait()?;
        Ok(self.wal.free_segments(u64::MAX)?)
    }

    /// Replaces the caller's state: a vote, a term. See [`Wal::set_state`].
    ///
    /// # Errors
    ///
    /// Those of [`Wal::set_state`].
    pub fn set_state(&self, state: &[u8]) -> Result<Ack<D>, WriteError> {
        let _changing = self.changing.lock();
        self.wal.set_state(join(self.boundary(), state))
    }

    /// Returns the caller's state, durable or not.
    #[must_use]
    pub fn state(&self) -> Bytes {
        self.parts().1
    }

    /// Returns the last entry that is gone.
    #[must_use]
    pub fn boundary(&self) -> Boundary {
        self.parts().0
    }

    /// Returns the index of the first entry there is, or will be.
    #[must_use]
    pub fn first_index(&self) -> Index {
        self.wal.first_index()
    }

    /// Returns the index behind the last entry.
    #[must_use]
    pub fn next_index(&self) -> Index {
        self.wal.next_index()
    }

    /// Returns the term of the entry `index`, or of the boundary. `None`: there is none yet.
    ///
    /// Reads the entry: from memory while it is not durable, else 4 KiB of a file.
    ///
    /// # Errors
    ///
    /// [`ReadError::Compacted`] below the boundary, and those of [`Wal::read`].
    pub fn term(&self, index: Index) -> Result<Option<u64>, ReadError> {
        let boundary = self.boundary();
        if index == boundary.index {
            return Ok(Some(boundary.term));
        }
        self.wal.read(index)?.map(|record| Ok(decode(record)?.term)).transpose()
    }

    /// Returns the entries of `range` in a row, as far as there are any, and as long as their data
    /// is at most `max_bytes` together; the first one in any case.
    ///
    /// One read per 256 KiB; the entries share that memory.
    ///
    /// # Errors
    ///
    /// [`ReadError::Compacted`] if the range begins below the first index, and those of
    /// [`Wal::read`].
    pub fn entries(&self, range: Range<Index>, max_bytes: u64) -> Result<Vec<Entry>, ReadError> {
        let mut entries = Vec::new();
        let mut bytes = 0;
        for item in self.wal.records(range) {
            let entry = decode(item?.1)?;
            bytes += entry.data.len() as u64;
            if !entries.is_empty() && max_bytes < bytes {
                break;
            }
            entries.push(entry);
        }
        Ok(entries)
    }

    /// Returns the log: to sync it, to read how it does. Do not append to it, truncate it, or set
    /// its state.
    #[must_use]
    pub const fn wal(&self) -> &Wal<D> {
        &self.wal
    }

    /// Makes everything durable, and closes the log. See [`Wal::close`].
    ///
    /// # Errors
    ///
    /// Those of [`Wal::close`].
    pub fn close(self) -> Result<(), WriteError> {
        self.wal.close()
    }

    fn parts(&self) -> (Boundary, Bytes) {
        split(self.wal.state())
    }
}

impl<D: Disk> fmt::Debug for EntryLog<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EntryLog").field("boundary", &self.boundary()).finish_non_exhaustive()
    }
}

/// Puts the boundary of a new log before the caller's state.
fn wrapped(mut config: Config) -> Config {
    config.initial_state = join(Boundary::default(), &config.initial_state);
    config
}

fn join(boundary: Boundary, caller: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(FIXED_BYTES + caller.len());
    out.put_slice(&MAGIC);
    out.put_u8(VERSION);
    out.put_u64_le(boundary.index.0);
    out.put_u64_le(boundary.term);
    out.put_slice(caller);
    out.freeze()
}

/// Takes a state apart that was looked at when the log was opened.
fn split(mut state: Bytes) -> (Boundary, Bytes) {
    state.advance(MAGIC.len() + 1);
    let boundary = Boundary { index: Index(state.get_u64_le()), term: state.get_u64_le() };
    (boundary, state)
}

fn encode(entry: &Entry) -> Bytes {
    let mut out = BytesMut::with_capacity(8 + entry.data.len());
    out.put_u64_le(entry.term);
    out.put_slice(&entry.data);
    out.freeze()
}

fn decode(mut record: Bytes) -> io::Result<Entry> {
    let term = record.try_get_u64_le().map_err(|_| {
        let found = format!("an entry has at least 8 bytes, {} are there", record.len());
        io::Error::new(io::ErrorKind::InvalidData, found)
    })?;
    Ok(Entry { term, data: record })
}

/// What the state of such a log begins with.
const MAGIC: [u8; 7] = *b"ENTRIES";

const VERSION: u8 = 1;

/// Bytes of a state before the caller's.
const FIXED_BYTES: usize = 24;
