//! Who leads.
//!
//! Source: Raft, section 5.2 and 5.4.1; pre-vote: thesis, section 9.6; loyalty to a leader that is
//! heard: thesis, section 4.2.3; stepping down without a quorum: thesis, section 6.2.

use std::collections::BTreeMap;

use quorate_core::{NodeId, WriteId};

use super::progress::Progress;
use super::read::Reads;
use super::rounds::Rounds;
use super::{Body, Campaign, Event, HardState, Lead, Raft, Record, State};
use crate::traps::{Trap, planted};
use crate::{Index, LogId, Payload, Tally, Term};

impl Raft {
    /// Asks who would vote. Changes nothing that must survive: an isolated node that did would come
    /// back with a term that deposes a good leader.
    pub(super) fn campaign(&mut self) {
        self.draw_election_at();
        self.stats.campaigns += 1;
        self.set_leader(None);
        self.set_state(State::Campaign(Campaign {
            is_pre_vote: true,
            votes: BTreeMap::from([(self.config.id, true)]),
            own_vote: None,
        }));
        self.ask_for_votes(true);
        self.count_votes();
    }

    pub(super) fn handle_vote_request(&mut self, from: NodeId, last: LogId, is_pre_vote: bool) {
        let is_up_to_date = self.log.last() <= last;
        if is_pre_vote {
            self.send(from, Body::Vote { is_pre_vote, granted: is_up_to_date });
            return;
        }
        let vote = self.hard_state.vote;
        let is_free = vote.is_none_or(|vote| vote == from) || planted(Trap::VotesTwice);
        let granted = is_up_to_date && is_free;
        if granted && vote != Some(from) {
            self.set_hard_state(HardState { term: self.hard_state.term, vote: Some(from) });
        }
        if granted {
            self.draw_election_at();
        }
        let answer = Body::Vote { is_pre_vote, granted };
        if planted(Trap::VotesBeforeDurable) {
            let message = super::Message { term: self.hard_state.term, body: answer };
            self.outputs.send(from, message);
        } else {
            self.send_when_durable(from, answer);
        }
    }

    pub(super) fn handle_vote(&mut self, from: NodeId, is_pre_vote: bool, granted: bool) {
        match &mut self.state {
            State::Campaign(campaign) if campaign.is_pre_vote == is_pre_vote => {
                campaign.votes.insert(from, granted);
                self.count_votes();
            }
            State::Follower | State::Campaign(_) | State::Lead(_) => self.stats.ignored_stale += 1,
        }
    }

    /// Counts the own vote once it is durable.
    pub(super) fn count_own_vote(&mut self, durable: WriteId) {
        let id = self.config.id;
        if let State::Campaign(campaign) = &mut self.state
            && campaign.own_vote.is_some_and(|write| write <= durable)
        {
            campaign.own_vote = None;
            campaign.votes.insert(id, true);
            self.count_votes();
        }
    }

    /// Answers who is behind, so that it learns the term.
    pub(super) fn answer_stale(&mut self, from: NodeId, body: &Body) {
        match body {
            Body::VoteRequest { is_pre_vote, .. } => {
                self.send(from, Body::Vote { is_pre_vote: *is_pre_vote, granted: false });
            }
            Body::Append { .. } | Body::Beat { .. } => {
                let (received, matched) = (Index::ZERO, Index::ZERO);
                self.send(from, Body::BeatReply { round: 0, received, matched });
            }
            Body::Vote { .. } | Body::BeatReply { .. } | Body::AppendReply { .. } => {
                self.stats.ignored_stale += 1;
            }
        }
    }

    /// Returns whether a leader other than `candidate` was heard within the shortest election
    /// timeout. Then a candidate is not even answered: its term must not depose that leader.
    pub(super) fn hears_another_leader(&self, candidate: NodeId) -> bool {
        let loyal_for = self.config.election_timeout.start;
        let is_live = self.lead().is_some()
            || self.heard_at.is_some_and(|at| self.now.saturating_duration_since(at) < loyal_for);
        is_live && self.leader.is_some_and(|leader| leader != candidate)
    }

    /// Goes on as a follower, of `leader` if one is known.
    pub(super) fn follow(&mut self, leader: Option<NodeId>) {
        if self.leader != leader {
            self.received = Index::ZERO;
        }
        self.set_leader(leader);
        if !matches!(self.state, State::Follower) {
            self.draw_election_at();
            self.set_state(State::Follower);
        }
    }

    /// Takes in that `leader` leads in this term. Returns `false` if that cannot be.
    pub(super) fn hear_leader(&mut self, leader: NodeId) -> bool {
        if self.lead().is_some() || self.leader.is_some_and(|known| known != leader) {
            self.stats.ignored_nonsense += 1;
            return false;
        }
        self.follow(Some(leader));
        self.heard_at = Some(self.now);
        self.draw_election_at();
        true
    }

    /// Begins a later term.
    pub(super) fn enter_term(&mut self, state: HardState) {
        assert!(self.hard_state.term < state.term, "term fell to {state}");
        self.save();
        // Whoever waits for what was to be said of the older term waits in vain, or does not wait.
        self.outputs.discard_held();
        self.received = Index::ZERO;
        self.set_hard_state(state);
    }

    /// Steps down if no quorum has answered for too long, and beats if it is time.
    pub(super) fn handle_lead_timeout(&mut self) {
        let Some(lead) = self.lead() else { return };
        let beat_at = lead.beat_at;
        if self.quorum_lost_at(lead) <= self.now {
            self.save();
            self.follow(None);
        } else if beat_at <= self.now {
            self.start_round();
            self.confirm_rounds();
            self.is_flush_due = true;
        }
    }

    /// Returns when a leader that hears nothing must step down.
    pub(super) fn quorum_lost_at(&self, lead: &Lead) -> quorate_core::Instant {
        lead.rounds.confirmed_at() + self.config.election_timeout.start
    }

    pub(super) fn draw_election_at(&mut self) {
        let timeout = &self.config.election_timeout;
        let width = (timeout.end - timeout.start).as_nanos();
        let width = u64::try_from(width).unwrap_or(u64::MAX);
        let extra = std::time::Duration::from_nanos(self.random.below(width.max(1)));
        self.election_at = self.now + timeout.start + extra;
    }

    /// Asks for votes in the next term, for real.
    fn stand(&mut self) {
        let Some(term) = self.hard_state.term.0.checked_add(1) else { return };
        self.enter_term(HardState { term: Term(term), vote: Some(self.config.id) });
        let own_vote = Some(self.hard_state_write);
        self.set_state(State::Campaign(Campaign {
            is_pre_vote: false,
            votes: BTreeMap::new(),
            own_vote,
        }));
        self.ask_for_votes(false);
    }

    fn ask_for_votes(&mut self, is_pre_vote: bool) {
        let last = self.log.last();
        for peer in self.peers() {
            self.send(peer, Body::VoteRequest { last, is_pre_vote });
        }
    }

    fn count_votes(&mut self) {
        let State::Campaign(campaign) = &self.state else { return };
        let is_pre_vote = campaign.is_pre_vote;
        match self.config.voters.tally(|node| campaign.votes.get(&node).copied()) {
            Tally::Won if is_pre_vote => self.stand(),
            Tally::Won => self.lead_term(),
            Tally::Lost => self.follow(None),
            Tally::Pending => {}
        }
    }

    /// Begins to lead: with a blank entry, because only an entry of the own term may be committed
    /// by counting.
    fn lead_term(&mut self) {
        let next_index = self.log.last_index().next();
        let peers = self.peers().into_iter().map(|peer| (peer, Progress::new(next_index)));
        let lead = Lead {
            first_index: next_index,
            peers: peers.collect(),
            rounds: Rounds::new(self.now),
            reads: Reads::default(),
            beat_at: self.now,
            heartbeat_at: self.now,
            uncommitted_bytes: 0,
        };
        self.set_state(State::Lead(Box::new(lead)));
        self.set_leader(Some(self.config.id));
        self.append(Payload::Blank);
        self.start_round();
        self.confirm_rounds();
    }

    fn set_hard_state(&mut self, state: HardState) {
        self.hard_state = state;
        self.hard_state_write = self.outputs.persist(Record::HardState(state));
    }

    fn set_leader(&mut self, leader: Option<NodeId>) {
        if self.leader != leader {
            self.leader = leader;
            let term = self.hard_state.term;
            self.outputs.event(Event::LeaderChanged { leader, term });
        }
    }

    fn set_state(&mut self, state: State) {
        let before = self.role();
        let left = std::mem::replace(&mut self.state, state);
        let role = self.role();
        if before != role {
            self.outputs.event(Event::RoleChanged { role, term: self.hard_state.term });
        }
        if let State::Lead(lead) = left {
            self.refuse_reads(lead.reads);
        }
    }

    fn peers(&self) -> Vec<NodeId> {
        let voters = self.config.voters.voters().iter();
        voters.copied().filter(|&voter| voter != self.config.id).collect()
    }
}
