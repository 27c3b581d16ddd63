//! What can go wrong, one type per operation, and how damage is named.

use std::fmt;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use quorate_core::Certainty;
use thiserror::Error;

use crate::config::ConfigError;
use crate::format;
use crate::index::Index;

/// Bytes that are not what was written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Damage {
    /// The sequence of the segment; [`file`](Self::file) makes a name of it.
    pub segment: u64,
    /// Where in the file, in bytes: the start of the frame, header or trailer that is bad.
    pub offset: u64,
    /// The record that stood there, or was due there. `None` where no record can stand.
    pub index: Option<Index>,
    /// What is wrong.
    pub why: Why,
}

impl Damage {
    /// Returns the name of the file.
    #[must_use]
    pub fn file(&self) -> String {
        format::segment_name(self.segment)
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at offset {}", self.file(), self.offset)?;
        if let Some(index) = self.index {
            write!(f, ", record {index}")?;
        }
        write!(f, ": {}", self.why)
    }
}

/// What is wrong with bytes on disk.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum Why {
    /// Magic, checksum or salt of a segment's header.
    #[error("the header of the segment is bad")]
    Header,
    /// The state behind a segment's header.
    #[error("the state behind the header is bad")]
    State,
    /// The file ends before the frame does.
    #[error("the file ends before the frame does")]
    Short,
    /// The checksum of a frame's head. Its length is then not known either.
    #[error("the checksum of the frame's head does not match")]
    Head,
    /// The checksum of a payload. The record is known by its head.
    #[error("the checksum of the payload does not match")]
    Payload,
    /// Bytes between two frames are not zeros.
    #[error("the padding behind the payload is not zeros")]
    Padding,
    /// A whole frame of a kind, or with flags, that this version does not know.
    #[error("the frame is whole, and of a kind not known here")]
    Unknown,
    /// A whole frame of another record, or one that truncates what is not there.
    #[error("the frame is whole, and belongs elsewhere")]
    Misplaced,
    /// A frame promises that bytes behind it are durable.
    #[error("the frame promises what comes after it")]
    Promise,
    /// A batch without an end, where more was durable.
    #[error("the batch has no end")]
    Unfinished,
    /// The footer of a sealed segment.
    #[error("the footer is bad, or is not that of this segment")]
    Footer,
    /// The last bytes of a sealed segment.
    #[error("the trailer is bad")]
    Trailer,
    /// There is no such file.
    #[error("the segment is missing")]
    Missing,
}

/// Records that are nowhere, by [`Recovery::Salvage`](crate::Recovery::Salvage).
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Lost {
    /// Their indexes.
    pub indexes: Range<Index>,
    /// What became of them.
    pub damage: Damage,
}

/// Why a log does not open. Nothing on disk was changed, but for the file `LOCK`.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The disk failed. Opening again may help.
    #[error("cannot {doing}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// What the disk said.
        source: io::Error,
    },
    /// Another has the log open, in this process or another.
    #[error("{path} is held by another opener")]
    Locked {
        /// The lock.
        path: String,
    },
    /// Something that was acknowledged is damaged. Restore it from a copy.
    #[error("the log is damaged: {0}")]
    Corrupt(Damage),
    /// A segment that holds live records is not there.
    #[error("segment {} is missing", format::segment_name(*sequence))]
    MissingSegment {
        /// Its sequence.
        sequence: u64,
    },
    /// A segment is of another log, of a fork of this one, or under a wrong name.
    #[error("{path} does not belong to this log")]
    ForeignSegment {
        /// The file.
        path: String,
    },
    /// The tail is torn, and [`Recovery::Strict`](crate::Recovery::Strict) does not cut.
    #[error("the tail is torn: {0}")]
    Torn(Damage),
    /// The log ends before [`Config::expect_at_least`](crate::Config::expect_at_least).
    #[error("the log ends at {found}, expected at least {expected}")]
    TailLost {
        /// What was asked for.
        expected: Index,
        /// The end of what is there.
        found: Index,
    },
    /// A newer version wrote the log.
    #[error("the log has version {version}, known here is {}", format::header::VERSION)]
    Unsupported {
        /// The version in the header.
        version: u16,
    },
    /// The log is sound, but none of an [`EntryLog`](crate::EntryLog). A torn tail was cut.
    #[error("the log holds no entries with terms")]
    NotEntries,
    /// The configuration contradicts itself.
    #[error("the configuration is invalid")]
    Invalid(#[from] ConfigError),
}

/// Why a change of the log was not made, or is not known to have been.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum WriteError {
    /// A write or a sync failed, once. The log takes no change any more, for ever: close it, and
    /// open it again. Which of the records from `since` on survive is not known before.
    ///
    /// A failed sync is not tried again: the kernel may have dropped what it did not write, and
    /// would call the next one a success (Rebello et al., "Can Applications Recover from fsync
    /// Failures?", ATC 2020).
    #[error("the log failed, records from {since} on are in doubt")]
    Poisoned {
        /// The durable end when it happened. Reads below it go on.
        since: Index,
        /// What the disk said.
        source: Arc<io::Error>,
    },
    /// There is no room. All that was not yet durable is gone, and
    /// [`next_index`](crate::Wal::next_index) fell back; the log works again once there is room.
    #[error("no room on the disk")]
    DiskFull,
    /// Too much waits for the disk. Nothing was appended: wait for an earlier [`Ack`](crate::Ack).
    #[error("{bytes} bytes wait for the disk already")]
    Backlog {
        /// Bytes that wait.
        bytes: usize,
    },
    /// A record, a batch or a state is over its limit. Nothing was appended.
    #[error("{bytes} bytes are over the limit of {max}")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit, of [`Config`](crate::Config).
        max: usize,
    },
    /// There is no such index to truncate at. Nothing was changed.
    #[error("{index} is outside of {first}..={last}")]
    OutOfRange {
        /// What was asked for.
        index: Index,
        /// The least that makes sense.
        first: Index,
        /// The largest that makes sense.
        last: Index,
    },
    /// A [`Hold`](crate::Hold) keeps records that would go. Nothing was changed: drop it first.
    #[error("the records from {from} on are held")]
    Held {
        /// The first record that is held.
        from: Index,
    },
    /// The log is truncated durably, but a file that is no longer needed is still there. Truncate
    /// again, or leave it to the next open.
    #[error("a segment below the low-water mark cannot be removed")]
    NotFreed {
        /// What the disk said.
        source: Arc<io::Error>,
    },
    /// The log can only be read: the disk takes no changes, or more is damaged than payloads of
    /// records. Then copy what is right into a new log: see [`copy`](crate::copy()).
    #[error("the log can only be read{}", because(damage.as_ref()))]
    ReadOnly {
        /// The first that is damaged. `None`: the disk takes no changes.
        damage: Option<Damage>,
    },
    /// The log was closed, by another handle.
    #[error("the log is closed")]
    Closed,
}

impl Certainty for WriteError {
    /// Only [`Poisoned`](Self::Poisoned) is in doubt. [`NotFreed`](Self::NotFreed) is too: the
    /// truncation is done.
    fn is_definite(&self) -> bool {
        !matches!(self, Self::Poisoned { .. } | Self::NotFreed { .. })
    }
}

fn because(damage: Option<&Damage>) -> String {
    damage.map_or_else(String::new, |damage| format!(": {damage}"))
}

/// Why a record is not read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The record is below the low-water mark.
    #[error("the log begins at {first_index}")]
    Compacted {
        /// The first record there is.
        first_index: Index,
    },
    /// The record is damaged. The others can be read.
    #[error("the record is damaged: {0}")]
    Corrupt(Damage),
    /// The disk failed. Reading again may help.
    #[error("a segment cannot be read")]
    Io(#[from] io::Error),
}
