//! Commands to a leader.

use std::ops::Range;

use bytes::Bytes;
use quorate_core::{Certainty, Instant, NodeId};
use thiserror::Error;

use super::{Raft, State, known};
use crate::{Entry, Index, Payload};

/// Why a proposal is refused. It is definitely not done.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum ProposeError {
    /// This node does not lead. Go to `leader`, or try again later.
    #[error("not the leader{}", known(*leader))]
    NotLeader {
        /// Who does, as far as is known.
        leader: Option<NodeId>,
    },
    /// More waits for a quorum, or for the own disk, than may. Try again later.
    #[error("proposals of {limit} bytes wait already")]
    Full {
        /// The limit.
        limit: usize,
    },
    /// It is longer than this cluster takes.
    #[error("proposal has {bytes} bytes, {max} are allowed")]
    TooLarge {
        /// What was proposed.
        bytes: usize,
        /// The limit.
        max: usize,
    },
}

impl Certainty for ProposeError {
    fn is_definite(&self) -> bool {
        true
    }
}

impl Raft {
    /// Appends `data` to the log, and returns where, in the present term
    /// ([`status().term`](super::Status::term)).
    ///
    /// What is [delivered](super::Delivery::Committed) at that index settles it: with this term it
    /// is done; with another it never will be. [`Proposals`](crate::Proposals) keeps count of that.
    /// What is proposed before the outputs are next taken shares one write and one append.
    ///
    /// # Errors
    ///
    /// [`ProposeError`]; nothing is changed.
    pub fn propose(&mut self, now: Instant, data: Bytes) -> Result<Index, ProposeError> {
        self.propose_batch(now, [data]).map(|range| range.start)
    }

    /// Appends all of `data` to the log, or nothing, and returns where. See
    /// [`propose`](Self::propose).
    ///
    /// # Errors
    ///
    /// [`ProposeError`]; nothing is changed.
    pub fn propose_batch(
        &mut self,
        now: Instant,
        data: impl IntoIterator<Item = Bytes>,
    ) -> Result<Range<Index>, ProposeError> {
        self.observe(now);
        let data: Vec<Bytes> = data.into_iter().collect();
        let State::Lead(lead) = &self.state else {
            return Err(ProposeError::NotLeader { leader: self.leader });
        };
        let max = self.config.max_proposal_bytes;
        if let Some(long) = data.iter().find(|data| max < data.len()) {
            return Err(ProposeError::TooLarge { bytes: long.len(), max });
        }
        let bytes: usize = data.iter().map(Bytes::len).sum();
        let limits = [
            (lead.uncommitted_bytes, self.config.max_uncommitted_bytes),
            (self.unpersisted_bytes, self.config.max_unpersisted_bytes),
        ];
        for (used, limit) in limits {
            // One proposal may go over the limit, so that a small limit does not refuse all.
            if limit <= used || (0 < used && limit < used.saturating_add(bytes)) {
                return Err(ProposeError::Full { limit });
            }
        }
        let start = self.log.last_index().next();
        data.into_iter().for_each(|data| self.append(Payload::Data(data)));
        Ok(start..self.log.last_index().next())
    }

    /// Appends to a leader's own log.
    pub(super) fn append(&mut self, payload: Payload) {
        let entry =
            Entry { index: self.log.last_index().next(), term: self.hard_state.term, payload };
        self.unsaved_from.get_or_insert(entry.index);
        self.is_flush_due = true;
        if let State::Lead(lead) = &mut self.state {
            lead.uncommitted_bytes += entry.cost_bytes();
        }
        self.log.push(entry);
    }
}
