//! What can go wrong with snapshots, one type per operation, and how damage is named.

use std::fmt;
use std::io;

use thiserror::Error;

use crate::config::ConfigError;
use crate::error::WriteError;
use crate::format::snapshot::{META_BYTES_MAX, VERSION, snapshot_name};
use crate::index::Index;

/// Bytes of a snapshot that are not what was written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct SnapshotDamage {
    /// The snapshot; [`file`](Self::file) makes a name of it.
    pub index: Index,
    /// Where in the file, in bytes: the start of the header, the meta, the chunk or the end mark
    /// that is bad.
    pub offset: u64,
    /// What is wrong.
    pub why: SnapshotWhy,
}

impl SnapshotDamage {
    /// Returns the name of the file.
    #[must_use]
    pub fn file(&self) -> String {
        snapshot_name(self.index.0)
    }
}

impl fmt::Display for SnapshotDamage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at offset {}: {}", self.file(), self.offset, self.why)
    }
}

/// What is wrong with the bytes of a snapshot.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum SnapshotWhy {
    /// Magic, checksum or salt of the header.
    #[error("the header is bad")]
    Header,
    /// The snapshot is of another log, or under a wrong name.
    #[error("it does not belong here")]
    Foreign,
    /// The caller's meta behind the header.
    #[error("the checksum of the meta does not match")]
    Meta,
    /// Length or checksum of a chunk, or one that is not where it belongs.
    #[error("the checksum of the chunk does not match")]
    Chunk,
    /// Bytes between two chunks are not zeros.
    #[error("the padding behind the chunk is not zeros")]
    Padding,
    /// The end mark, or what it says of the chunks before.
    #[error("the end mark does not match")]
    End,
    /// The file ends before the end mark.
    #[error("the file ends too early")]
    Short,
    /// The file goes on behind the end mark.
    #[error("the file goes on behind the end mark")]
    Long,
}

/// Why the snapshots of a log do not open.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OpenSnapshotsError {
    /// The disk failed. Opening again may help.
    #[error("cannot {doing}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// What the disk said.
        source: io::Error,
    },
    /// Another has them open, in this process or another.
    #[error("the snapshots are held by another opener")]
    Locked,
    /// The configuration contradicts itself.
    #[error("the configuration is invalid")]
    Invalid(#[from] ConfigError),
}

/// Why a snapshot was not made, or not removed. Those that were there before stay.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SnapshotWriteError {
    /// There is no room. What was written is removed; begin again once there is room.
    #[error("no room on the disk")]
    DiskFull,
    /// The disk failed. If it was the folder that could not be synced, the store takes no change
    /// any more: [`Failed`](Self::Failed). Otherwise begin again.
    #[error("cannot {doing}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// What the disk said.
        source: io::Error,
    },
    /// A sync of the folder failed earlier, so that it is not known which names are durable. Close
    /// the store, and open it again.
    #[error("a sync of the folder failed earlier")]
    Failed,
    /// A write of this snapshot failed earlier. Begin again.
    #[error("a write of this snapshot failed earlier")]
    Broken,
    /// There is one of this index, and it may be damaged: [`remove`](super::Snapshots::remove) it
    /// if so.
    #[error("there is a snapshot of {index}")]
    Exists {
        /// Its index.
        index: Index,
    },
    /// One of this index is being written.
    #[error("a snapshot of {index} is being written")]
    Busy {
        /// Its index.
        index: Index,
    },
    /// The meta is over its limit. Put it into the data.
    #[error("{bytes} bytes of meta are over the limit of {META_BYTES_MAX}")]
    MetaTooLarge {
        /// Its size.
        bytes: usize,
    },
    /// No record can have this index.
    #[error("{index} is outside of 0..={}", Index::MAX)]
    OutOfRange {
        /// What was asked for.
        index: Index,
    },
}

impl From<io::Error> for SnapshotWriteError {
    fn from(source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::StorageFull => Self::DiskFull,
            _ => Self::Io { doing: "write or remove a snapshot", source },
        }
    }
}

/// Why a snapshot is not read. It is not changed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SnapshotReadError {
    /// There is none of this index.
    #[error("there is no snapshot of {index}")]
    Missing {
        /// What was asked for.
        index: Index,
    },
    /// It is damaged. Reading on says so again.
    #[error("the snapshot is damaged: {0}")]
    Corrupt(SnapshotDamage),
    /// A newer version wrote it.
    #[error("snapshot {index} has version {version}, known here is {VERSION}")]
    Unsupported {
        /// Its index.
        index: Index,
        /// The version in the header.
        version: u16,
    },
    /// The disk failed. Reading on may help.
    #[error("a snapshot cannot be read")]
    Io(#[from] io::Error),
}

/// Why a log does not go on from a snapshot.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum InstallError {
    /// There is no snapshot of this index, finished and durable. The log is as it was.
    #[error("there is no snapshot of {index}")]
    Missing {
        /// What was asked for.
        index: Index,
    },
    /// The log does not take the truncation.
    #[error("the log is not truncated")]
    Write(#[from] WriteError),
}
