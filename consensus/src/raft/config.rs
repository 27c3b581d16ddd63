//! How a node behaves.

use std::ops::Range;
use std::time::Duration;

use quorate_core::NodeId;
use thiserror::Error;

use crate::Majority;

/// How a [`Raft`](super::Raft) behaves. Made by [`Config::new`], changed field by field.
///
/// Limits in bytes count payload, and 32 bytes for each entry.
///
/// All nodes of a cluster need the same voters, and should have the same times.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Config {
    /// This node.
    pub id: NodeId,
    /// The nodes that vote, this one among them.
    pub voters: Majority,
    /// How long a follower waits for its leader before it campaigns, drawn anew each time.
    /// Default: 1 to 2 s.
    ///
    /// Short ones find a lost leader early, and take a slow one for lost. The start is also how
    /// long a leader goes on without a quorum, and how long voters stay loyal; the width is what
    /// keeps two candidates apart.
    pub election_timeout: Range<Duration>,
    /// How often a leader is heard when nothing happens. Default: 150 ms. Several should fit into
    /// an election timeout, so that a few may be lost.
    pub heartbeat_interval: Duration,
    /// Bytes of payload in one proposal. Default: 1 MiB.
    pub max_proposal_bytes: usize,
    /// Bytes in one append, in one answer from storage, and in one delivery; a single
    /// entry may go over it. Default: 1 MiB. Few cost round trips, many delay heartbeats.
    pub max_append_bytes: usize,
    /// Appends on their way to one follower. Default: 256.
    pub max_inflight_appends: usize,
    /// Bytes on their way to one follower. Default: 4 MiB: bandwidth times round trip.
    pub max_inflight_bytes: usize,
    /// Bytes proposed and not yet delivered here; above, proposals are refused as
    /// [`Full`](super::ProposeError::Full). Default: 64 MiB. It bounds what waits for a quorum, and
    /// for an application that lags.
    pub max_uncommitted_bytes: usize,
    /// Bytes handed to storage and not yet durable; above, a follower drops appends, and
    /// a leader refuses proposals. Default: 64 MiB. It bounds what waits for a stuck disk.
    pub max_unpersisted_bytes: usize,
    /// Bytes kept in memory, the newest first. Default: 64 MiB. What is older is read
    /// back from storage for followers that lag. Entries that are not yet durable, or not yet
    /// delivered, are kept beyond it.
    pub max_cached_bytes: usize,
    /// Reads that may wait for their round. Default: 4096.
    pub max_pending_reads: usize,
    /// Outputs that may wait to be taken; messages that come meanwhile are dropped. Default: 8192.
    pub max_outputs: usize,
}

/// Why a [`Config`] is no good.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum ConfigError {
    /// [`Config::id`] is not one of [`Config::voters`].
    #[error("{id} is not one of the voters")]
    NotAVoter {
        /// The node.
        id: NodeId,
    },
    /// [`Config::election_timeout`] is empty, or starts within two heartbeats: every lost one would
    /// cost the leader its office.
    #[error(
        "election_timeout {election_timeout:?} must not be empty, \
         nor start below 2 x {heartbeat_interval:?}"
    )]
    ElectionTimeout {
        /// The range.
        election_timeout: Range<Duration>,
        /// The time it must be well above.
        heartbeat_interval: Duration,
    },
    /// A limit or an interval is zero: nothing could ever happen.
    #[error("{field} must not be zero")]
    Zero {
        /// The field.
        field: &'static str,
    },
}

impl Config {
    /// Makes the default for node `id` among `voters`.
    #[must_use]
    pub const fn new(id: NodeId, voters: Majority) -> Self {
        Self {
            id,
            voters,
            election_timeout: Duration::from_secs(1)..Duration::from_secs(2),
            heartbeat_interval: Duration::from_millis(150),
            max_proposal_bytes: 1 << 20,
            max_append_bytes: 1 << 20,
            max_inflight_appends: 256,
            max_inflight_bytes: 4 << 20,
            max_uncommitted_bytes: 64 << 20,
            max_unpersisted_bytes: 64 << 20,
            max_cached_bytes: 64 << 20,
            max_pending_reads: 4096,
            max_outputs: 8192,
        }
    }

    /// Checks that the fields agree with each other.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        if !self.voters.contains(self.id) {
            return Err(ConfigError::NotAVoter { id: self.id });
        }
        let limits = [
            ("heartbeat_interval", self.heartbeat_interval.is_zero()),
            ("max_proposal_bytes", self.max_proposal_bytes == 0),
            ("max_append_bytes", self.max_append_bytes == 0),
            ("max_inflight_appends", self.max_inflight_appends == 0),
            ("max_inflight_bytes", self.max_inflight_bytes == 0),
            ("max_uncommitted_bytes", self.max_uncommitted_bytes == 0),
            ("max_unpersisted_bytes", self.max_unpersisted_bytes == 0),
            ("max_pending_reads", self.max_pending_reads == 0),
            ("max_outputs", self.max_outputs == 0),
        ];
        if let Some((field, _)) = limits.into_iter().find(|(_, is_zero)| *is_zero) {
            return Err(ConfigError::Zero { field });
        }
        let Range { start, end } = self.election_timeout;
        if end <= start || start < self.heartbeat_interval.saturating_mul(2) {
            return Err(ConfigError::ElectionTimeout {
                election_timeout: start..end,
                heartbeat_interval: self.heartbeat_interval,
            });
        }
        Ok(())
    }
}
