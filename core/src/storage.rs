//! Where the records of a core survive a crash.

use std::error::Error;

use thiserror::Error;

use crate::{Certainty, WriteId};

/// Keeps the records `R` of one core, in the order they were appended.
///
/// Whoever starts a core replays once. Its driver appends every
/// [`Output::Persist`](crate::Output::Persist) and syncs. Writes of one run are numbered from 1
/// without gaps; a restart starts a new run.
///
/// Records are appended, and queries answered, while a sync is under way. A sync that blocks its
/// thread belongs on a thread of the storage's own: a driver goes on sending heartbeats meanwhile.
///
/// # Durability
///
/// A record may be durable before it is synced. After a crash a prefix of the unsynced records may
/// be there, never one record without those before it, and never half a record.
///
/// # Errors
///
/// [`StorageError::Failed`] is final: no further record is taken. Only a sync can be
/// [`StorageError::Full`]: what was appended is kept in memory, and the next call tries it again.
#[expect(clippy::missing_errors_doc, reason = "one contract for all methods, above")]
pub trait Storage<R>: Send + Sync {
    /// What can be asked; [`Infallible`](std::convert::Infallible) if nothing.
    type Query;
    /// What is answered.
    type Answer;

    /// Returns what former runs left, oldest first. Call it before the first append.
    ///
    /// An item that is an error ends the replay: do not start a core from a part of its records.
    fn replay(&self) -> impl Iterator<Item = Result<R, StorageError>>;

    /// Appends `record` behind all others. Copies or encodes; waits for no sync under way.
    ///
    /// # Panics
    ///
    /// If `write` is not the number after the last one of this run.
    fn append(&self, write: WriteId, record: R) -> Result<(), StorageError>;

    /// Makes durable what was appended before the call, and returns the last write of it.
    ///
    /// One sync is under way at a time. One that is dropped half-way may be called again.
    fn sync(&self) -> impl Future<Output = Result<WriteId, StorageError>> + Send;

    /// Answers `query`, which asks only for what was reported durable. A failure that may pass is
    /// an answer, where the protocol has one for it.
    fn fetch(
        &self,
        query: Self::Query,
    ) -> impl Future<Output = Result<Self::Answer, StorageError>> + Send;

    /// Forgets the records before `before`, a durable write of this run. They may be replayed all
    /// the same: space is freed in units of the storage.
    fn compact(&self, before: WriteId) -> impl Future<Output = Result<(), StorageError>> + Send;
}

/// Why a [`Storage`] does not do what it is asked.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StorageError {
    /// There is no room. Nothing is lost: call [`Storage::sync`] again once there is.
    #[error("no room on the disk, what was appended is kept and can be synced later")]
    Full,
    /// Which of the unsynced records survive is unknown. Stop the core; start it again from what is
    /// durable. A failed sync is never tried again: the kernel may have dropped what it did not
    /// write (Rebello et al., "Can Applications Recover from fsync Failures?", ATC 2020).
    #[error("the storage failed, restart from what is durable")]
    Failed(#[source] Box<dyn Error + Send + Sync>),
}

impl StorageError {
    /// Makes a [`Failed`](Self::Failed) of `source`.
    pub fn failed(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Failed(source.into())
    }
}

impl Certainty for StorageError {
    fn is_definite(&self) -> bool {
        matches!(self, Self::Full)
    }
}
