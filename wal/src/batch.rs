//! Changes that are made as one.

use bytes::Bytes;

use crate::config::Config;
use crate::error::WriteError;
use crate::format::frame::HEAD_BYTES;
use crate::format::padded;
use crate::index::Index;

/// Changes of the log of which all survive a crash, or none.
///
/// They take effect in this order, in whatever order they were added: the suffix is cut, the prefix
/// is cut, the state is set, the records are appended.
///
/// A conflict in a replicated log is one batch: cut what disagrees, append what the leader sent.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Batch {
    pub(crate) truncate_suffix: Option<Index>,
    pub(crate) truncate_prefix: Option<Index>,
    pub(crate) state: Option<Bytes>,
    pub(crate) records: Vec<Bytes>,
}

impl Batch {
    /// Makes a batch that changes nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a record, behind the others.
    #[must_use]
    pub fn append(mut self, record: impl Into<Bytes>) -> Self {
        self.records.push(record.into());
        self
    }

    /// Removes the records from `from` on. The first one that is appended takes its index.
    #[must_use]
    pub const fn truncate_suffix(mut self, from: Index) -> Self {
        self.truncate_suffix = Some(from);
        self
    }

    /// Removes the records before `to`. Beyond the end, the log is then empty and goes on at `to`.
    ///
    /// Space is freed by [`Wal::truncate_prefix`](crate::Wal::truncate_prefix) alone.
    #[must_use]
    pub const fn truncate_prefix(mut self, to: Index) -> Self {
        self.truncate_prefix = Some(to);
        self
    }

    /// Replaces the caller's state.
    #[must_use]
    pub fn set_state(mut self, state: impl Into<Bytes>) -> Self {
        self.state = Some(state.into());
        self
    }

    /// Returns how many bytes the frames take, if every part is within its limit.
    pub(crate) fn frame_bytes(&self, config: &Config) -> Result<usize, WriteError> {
        let limit = |bytes: usize, max: u32| {
            let max = max as usize;
            if bytes <= max { Ok(()) } else { Err(WriteError::TooLarge { bytes, max }) }
        };
        let cuts = [self.truncate_suffix, self.truncate_prefix];
        let mut total = cuts.iter().flatten().count() * (HEAD_BYTES + 8);
        if let Some(state) = &self.state {
            limit(state.len(), config.state_bytes_max)?;
            total += HEAD_BYTES + padded(state.len());
        }
        for record in &self.records {
            limit(record.len(), config.record_bytes_max)?;
            total += HEAD_BYTES + padded(record.len());
        }
        limit(total, config.batch_bytes_max)?;
        Ok(total)
    }
}
