//! What can be chosen when a log is opened.

use std::time::Duration;

use bytes::Bytes;
use thiserror::Error;

use crate::index::Index;

/// Limits and choices. The defaults suit a consensus log on a local disk.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Config {
    /// A segment that would grow beyond is sealed, and the next one begun. Small ones are freed
    /// sooner, and cost three syncs each. 1 KiB to 2 GiB; default 64 MiB.
    pub segment_bytes: u32,
    /// Longest record. Default 16 MiB.
    pub record_bytes_max: u32,
    /// Longest batch, frames included. One that is longer than a segment makes a longer segment. At
    /// most 1 GiB; default 64 MiB.
    pub batch_bytes_max: u32,
    /// Longest state. Default 64 KiB.
    pub state_bytes_max: u32,
    /// Bytes that may wait for the disk, frames included. Must hold a batch; default 64 MiB.
    pub backlog_bytes_max: usize,
    /// When an [`Ack`](crate::Ack) is given. Default [`Durability::Always`].
    pub durability: Durability,
    /// How long a thread that is about to write lets others append first, so that one sync covers
    /// more of them. A future does not wait, nor does an I/O thread. Default 0: those who came
    /// meanwhile share a sync anyway.
    pub group_delay: Duration,
    /// After so long without a change, [`Wal::handle_timeout`](crate::Wal::handle_timeout) leaves a
    /// Mark behind the last group, so that damage in it is told from a torn write. Default `None`.
    pub idle_mark: Option<Duration>,
    /// Where the room for frames comes from. Default [`Preallocate::ZeroAhead`] by 1 MiB.
    pub preallocate: Preallocate,
    /// Bytes of durable records that stay in memory, the newest, for those who follow the tail.
    /// Default 4 MiB.
    pub tail_cache_bytes: usize,
    /// What to do about a torn tail. Default [`Recovery::CutTail`].
    pub recovery: Recovery,
    /// Whether opening reads all of the sealed segments. `false` reads their headers and footers
    /// only: opening costs the same however long the log is, and a damaged record is found when it
    /// is read, or by [`Wal::verify`](crate::Wal::verify). Default `false`.
    pub verify_sealed: bool,
    /// Bytes of memory for footers of sealed segments, which say where their records lie: about
    /// half a byte per record. A read in a segment whose footer is not in memory reads it first.
    /// Default 16 MiB.
    pub footer_cache_bytes: usize,
    /// Refuses a log that ends before this index: what the caller knows to have been acknowledged.
    /// Default `None`.
    pub expect_at_least: Option<Index>,
    /// The state of a log that does not exist yet. Default empty.
    pub initial_state: Bytes,
    /// The id of a log that does not exist yet. `None` draws it from the system; a fixed one makes
    /// equal runs write equal bytes. Default `None`.
    pub seed: Option<u64>,
}

/// When an [`Ack`](crate::Ack) is given. [`Wal::sync`](crate::Wal::sync) makes everything durable
/// in each of them, and so do a roll, a truncation of the front, and a close.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Durability {
    /// Once it is durable.
    #[default]
    Always,
    /// Once it is handed to the operating system, which keeps it when the process dies. It is
    /// durable at most so long after it was appended, as long as
    /// [`Wal::handle_timeout`](crate::Wal::handle_timeout) is called when
    /// [`Wal::poll_timeout`](crate::Wal::poll_timeout) says.
    Interval(Duration),
    /// Once it is handed to the operating system. It is durable when somebody syncs.
    Never,
}

/// What to do about a torn tail: a group of records whose write a crash cut short, none of which
/// was acknowledged.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Recovery {
    /// Refuse to open.
    Strict,
    /// Cut it off, keep its bytes in a `.cut` file, and go on.
    #[default]
    CutTail,
    /// As `CutTail`, but a damaged log opens too: all of it is read, and what is damaged or lost is
    /// listed in [`Recovered`](crate::Recovered). Everything else reads, and
    /// [`Wal::restore`](crate::Wal::restore) heals a record whose payload is damaged. Where more is
    /// damaged than payloads of records, nothing on disk is changed, and the log can only be read.
    Salvage,
}

/// Where the room for frames comes from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Preallocate {
    /// Each write extends the file. Each sync then writes the file's metadata too.
    None,
    /// Writes `step` bytes of zeros ahead, with the same sync, so that the syncs that follow move
    /// data alone. Costs each byte of the log to be written twice. At least 4 KiB.
    ZeroAhead {
        /// How many bytes at once.
        step: u32,
    },
    /// Asks the file system for room for a whole segment when it is begun, where it can. A sync
    /// then moves no length, but most file systems still take note of what was never written
    /// before.
    Reserve,
    /// Makes segments of the files of those that are no longer needed: their room is there, and was
    /// written. Up to `files` of them are kept, fewer if [`Retention::bytes`] has no room for them;
    /// on a full disk they go. A log that was killed has bytes of a former life behind its end,
    /// which are told from a torn tail only if this is chosen again.
    ///
    /// [`Retention::bytes`]: crate::Retention::bytes
    Recycle {
        /// How many files are kept. At least 1.
        files: usize,
    },
}

/// What contradicts itself.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum ConfigError {
    /// A number is not between its limits.
    #[error("{field} is {found}, expected {min} to {max}")]
    OutOfRange {
        /// The field.
        field: &'static str,
        /// Its value.
        found: u64,
        /// The least that is possible.
        min: u64,
        /// The most that is possible.
        max: u64,
    },
}

impl Config {
    /// Checks each field.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        let check = |field, found: u64, min, max| {
            let is_inside = (min..=max).contains(&found);
            if is_inside { Ok(()) } else { Err(ConfigError::OutOfRange { field, found, min, max }) }
        };
        let batch_bytes_max = u64::from(self.batch_bytes_max);
        check("segment_bytes", self.segment_bytes.into(), 1 << 10, 2 << 30)?;
        check("batch_bytes_max", batch_bytes_max, 1 << 10, 1 << 30)?;
        check("record_bytes_max", self.record_bytes_max.into(), 0, 1 << 30)?;
        check("state_bytes_max", self.state_bytes_max.into(), 0, 16 << 20)?;
        check("backlog_bytes_max", self.backlog_bytes_max as u64, batch_bytes_max, u64::MAX)?;
        let state_bytes = self.initial_state.len() as u64;
        check("initial_state", state_bytes, 0, self.state_bytes_max.into())?;
        if let Preallocate::ZeroAhead { step } = self.preallocate {
            check("step", step.into(), 4 << 10, 1 << 30)?;
        }
        if let Preallocate::Recycle { files } = self.preallocate {
            check("files", files as u64, 1, 1 << 10)?;
        }
        Ok(())
    }
}

impl Default for Preallocate {
    /// A MiB of zeros ahead.
    fn default() -> Self {
        Self::ZeroAhead { step: 1 << 20 }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            segment_bytes: 64 << 20,
            record_bytes_max: 16 << 20,
            batch_bytes_max: 64 << 20,
            state_bytes_max: 64 << 10,
            backlog_bytes_max: 64 << 20,
            durability: Durability::default(),
            group_delay: Duration::ZERO,
            idle_mark: None,
            preallocate: Preallocate::default(),
            tail_cache_bytes: 4 << 20,
            recovery: Recovery::default(),
            verify_sealed: false,
            footer_cache_bytes: 16 << 20,
            expect_at_least: None,
            initial_state: Bytes::new(),
            seed: None,
        }
    }
}
