//! Linearizable reads without a write.
//!
//! Source: Ongaro, "Consensus: Bridging Theory and Practice" (2014), section 6.4 (`ReadIndex`).
//!
//! ```text
//! read 1 ---> round 7 starts, commit index 40     a quorum answers 7     40 is delivered
//! read 2 ---> waits: shares round 8               round 8 starts         Read 1: Ok(40)
//! ```
//!
//! A round confirms that this node led when it started, so no other leader had committed anything
//! beyond its commit index then. Before the first commit of its term a leader does not know what is
//! committed: reads that come earlier wait for that.

use std::collections::VecDeque;
use std::fmt;

use quorate_core::{Certainty, Instant, NodeId};
use thiserror::Error;

use super::{Delivery, Raft, known};
use crate::Index;
use crate::traps::{Trap, planted};

/// Numbers the reads of one node, from 1, in one run.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ReadId(pub u64);

/// Why a read is refused, or has no answer. It has no effect in any case: try again elsewhere.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum ReadError {
    /// This node does not lead, or no longer.
    #[error("not the leader{}", known(*leader))]
    NotLeader {
        /// Who does, as far as is known.
        leader: Option<NodeId>,
    },
    /// [`max_pending_reads`](super::Config::max_pending_reads) wait already. Try again later.
    #[error("{limit} reads wait already")]
    Full {
        /// The limit.
        limit: usize,
    },
}

impl Certainty for ReadError {
    fn is_definite(&self) -> bool {
        true
    }
}

/// The reads that a leader has not answered.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Reads {
    /// Came while a round was under way, or too early in the term.
    waiting: Vec<ReadId>,
    /// Share a round.
    in_round: Option<Sharing>,
}

#[derive(Clone, Debug, PartialEq)]
struct Sharing {
    round: u64,
    /// The commit index when the round started.
    index: Index,
    reads: Vec<ReadId>,
}

/// Reads that are confirmed, and wait for the application to get that far.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct ConfirmedReads(VecDeque<(ReadId, Index)>);

impl Raft {
    /// Asks from which index on the application's state is at least as new as now.
    ///
    /// The answer is a [`Delivery::Read`]: when it comes, everything up to its index was delivered,
    /// so that the state then is the one to read. It costs a round trip to a quorum, shared by all
    /// reads that come meanwhile, and no write.
    ///
    /// # Errors
    ///
    /// [`ReadError`]; nothing is changed.
    pub fn read(&mut self, now: Instant) -> Result<ReadId, ReadError> {
        self.observe(now);
        let limit = self.config.max_pending_reads;
        let leader = self.leader;
        let confirmed = self.confirmed_reads.0.len();
        let Some(lead) = self.lead_mut() else {
            return Err(ReadError::NotLeader { leader });
        };
        let in_round = lead.reads.in_round.as_ref().map_or(0, |sharing| sharing.reads.len());
        if limit <= lead.reads.waiting.len() + in_round + confirmed {
            return Err(ReadError::Full { limit });
        }
        self.last_read.0 += 1;
        let read = self.last_read;
        if planted(Trap::ReadsWithoutARound) {
            self.confirm_reads(self.commit_index, vec![read]);
        } else if let Some(lead) = self.lead_mut() {
            lead.reads.waiting.push(read);
            self.is_flush_due = true;
        }
        Ok(read)
    }

    /// Starts a round for the reads that wait, unless one is under way.
    pub(super) fn start_read_round(&mut self) {
        let index = self.commit_index;
        let Some(lead) = self.lead() else { return };
        let knows_commit = lead.first_index <= index || planted(Trap::ReadsBeforeItsTermCommits);
        let is_due = lead.reads.in_round.is_none() && !lead.reads.waiting.is_empty();
        if !is_due || !knows_commit {
            return;
        }
        let round = self.start_round();
        if let Some(lead) = self.lead_mut() {
            let reads = std::mem::take(&mut lead.reads.waiting);
            lead.reads.in_round = Some(Sharing { round, index, reads });
        }
        self.confirm_rounds();
    }

    /// Takes in that `round` is confirmed.
    pub(super) fn settle_read_round(&mut self, round: u64) {
        let Some(lead) = self.lead_mut() else { return };
        let is_over = lead.reads.in_round.as_ref().is_some_and(|it| it.round <= round);
        if is_over && let Some(Sharing { index, reads, .. }) = lead.reads.in_round.take() {
            self.confirm_reads(index, reads);
            self.is_flush_due = true;
        }
    }

    /// Refuses all reads that are not confirmed: this node no longer leads.
    pub(super) fn refuse_reads(&mut self, reads: Reads) {
        let in_round = reads.in_round.into_iter().flat_map(|sharing| sharing.reads);
        for read in in_round.chain(reads.waiting) {
            let outcome = Err(ReadError::NotLeader { leader: self.leader });
            self.outputs.deliver(Delivery::Read { read, outcome });
        }
    }

    /// Answers the confirmed reads whose index is delivered.
    pub(super) fn answer_reads(&mut self) {
        while let Some(&(read, index)) = self.confirmed_reads.0.front()
            && index <= self.last_delivered
        {
            self.confirmed_reads.0.pop_front();
            self.outputs.deliver(Delivery::Read { read, outcome: Ok(index) });
        }
    }

    fn confirm_reads(&mut self, index: Index, reads: Vec<ReadId>) {
        self.confirmed_reads.0.extend(reads.into_iter().map(|read| (read, index)));
        self.answer_reads();
    }
}

impl fmt::Display for ReadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "r{}", self.0)
    }
}
