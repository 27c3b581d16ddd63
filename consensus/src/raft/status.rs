//! What a node says about itself.

use std::fmt;

use quorate_core::NodeId;

use super::{Raft, State};
use crate::{Index, Term};

/// What a node does at the moment.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Role {
    /// It writes what its leader says.
    Follower,
    /// It asks who would vote for it, without a new term.
    PreCandidate,
    /// It asks for votes.
    Candidate,
    /// It takes proposals.
    Leader,
}

/// A node at one moment.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Status {
    /// Which node.
    pub id: NodeId,
    /// What it does.
    pub role: Role,
    /// The latest term it knows; it may not be durable yet.
    pub term: Term,
    /// Who leads in this term, as far as is known.
    pub leader: Option<NodeId>,
    /// The last entry of its log, durable or not.
    pub last_index: Index,
    /// The last entry of its log that is durable here.
    pub durable_index: Index,
    /// How far it knows the log to be committed.
    #[doc(alias = "high-water mark")]
    pub commit_index: Index,
    /// The last entry handed to the application.
    pub last_delivered: Index,
    /// The last entry that is gone: see [`Raft::restore_after`].
    pub start_index: Index,
    /// The last entry that every voter holds durably, as far as this leader knows; 0 elsewhere. Up
    /// to here a storage may let go of entries, once it is applied.
    pub replicated_index: Index,
}

/// What a node let pass. `ignored_strangers` and `ignored_nonsense` say that a peer is broken, or
/// strange; the others rise in good order, too.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Stats {
    /// Messages of an older term, or about something that is over.
    pub ignored_stale: u64,
    /// Candidates while the leader was there: they were cut off, or are slow.
    pub ignored_candidates: u64,
    /// Messages from nodes that are not voters.
    pub ignored_strangers: u64,
    /// Messages that no correct node sends.
    pub ignored_nonsense: u64,
    /// Answers of the storage that do not fit the log.
    pub ignored_answers: u64,
    /// Messages beyond a `max_*` of the [`Config`](super::Config).
    pub dropped_over_limit: u64,
    /// Campaigns begun, questions included.
    pub campaigns: u64,
}

impl Raft {
    /// Returns where this node stands. O(voters).
    #[must_use]
    pub fn status(&self) -> Status {
        Status {
            id: self.config.id,
            role: self.role(),
            term: self.hard_state.term,
            leader: self.leader,
            last_index: self.log.last_index(),
            durable_index: self.log.durable_index(),
            commit_index: self.commit_index,
            last_delivered: self.last_delivered,
            start_index: self.log.start().index,
            replicated_index: self.replicated_index(),
        }
    }

    fn replicated_index(&self) -> Index {
        let State::Lead(lead) = &self.state else { return Index::ZERO };
        let matched = self.config.voters.voters().iter().map(|node| match lead.peers.get(node) {
            Some(peer) => peer.match_index,
            None if *node == self.config.id => self.log.durable_index(),
            None => Index::ZERO,
        });
        matched.min().unwrap_or(Index::ZERO).min(self.commit_index)
    }

    /// Returns what was let pass.
    #[must_use]
    pub const fn stats(&self) -> Stats {
        self.stats
    }

    /// Returns the term of the entry at `index`: 0 at index 0, `None` behind the log's end.
    #[must_use]
    pub fn term_at(&self, index: Index) -> Option<Term> {
        self.log.term_at(index)
    }

    pub(super) const fn role(&self) -> Role {
        match &self.state {
            State::Follower => Role::Follower,
            State::Campaign(campaign) if campaign.is_pre_vote => Role::PreCandidate,
            State::Campaign(_) => Role::Candidate,
            State::Lead(_) => Role::Leader,
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Follower => "follower",
            Self::PreCandidate => "pre-candidate",
            Self::Candidate => "candidate",
            Self::Leader => "leader",
        })
    }
}
