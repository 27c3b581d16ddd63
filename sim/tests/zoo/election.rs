//! Who is the primary: one vote per view and node, durable before it counts.

use std::collections::BTreeSet;

use quorate_sim::{Instant, NodeId};

use super::{Lead, Replica, Role};
use crate::entries::{Elected, Entry, Message, Position, Record, Vote};
use crate::primary::Bug;

impl Replica {
    pub(super) fn wait_for_primary(&mut self, now: Instant) {
        let percent = u32::try_from(300 + self.random.below(300)).expect("below 600");
        self.deadline = now + self.pace * percent / 100;
    }

    pub(super) fn trust(&mut self, now: Instant, primary: NodeId) {
        (self.role, self.primary) = (Role::Backup, Some(primary));
        self.trusted_until = now + self.pace * 3;
        self.wait_for_primary(now);
    }

    /// Steps down if no majority was heard lately: the backups may wait for another primary.
    pub(super) fn retire_or_tell_all(&mut self, now: Instant) {
        let needed = self.majority();
        let Role::Primary(lead) = &self.role else { return };
        let is_recent = |at: &&Instant| now < **at + self.pace * 6;
        if needed <= lead.heard_at.values().filter(is_recent).count() + 1 {
            return self.tell_all(now);
        }
        (self.role, self.primary) = (Role::Backup, None);
        self.wait_for_primary(now);
    }

    pub(super) fn persist_vote(&mut self) {
        let kept = match self.bug {
            Bug::VoteForgotten => Vote { voted_for: None, ..self.vote },
            _ => self.vote,
        };
        self.outputs.persist(Record::Vote(kept));
    }

    pub(super) fn stand(&mut self, now: Instant) {
        self.vote = Vote { view: self.vote.view + 1, voted_for: Some(self.id) };
        self.role = Role::Candidate { votes: BTreeSet::from([self.id]) };
        self.primary = None;
        self.wait_for_primary(now);
        if self.bug != Bug::ViewReused {
            self.persist_vote();
        }
        let request = Message::RequestVote { view: self.vote.view, last: self.log.last() };
        for to in self.others() {
            self.outputs.send_when_durable(to, request.clone());
        }
    }

    /// Follows a later view than its own.
    pub(super) fn follow(&mut self, now: Instant, view: u64) {
        if self.vote.view < view {
            self.vote = Vote { view, voted_for: None };
            self.persist_vote();
            self.role = Role::Backup;
            self.primary = None;
            self.wait_for_primary(now);
        }
    }

    pub(super) fn take_vote_request(
        &mut self,
        now: Instant,
        from: NodeId,
        view: u64,
        last: Position,
    ) {
        let is_free = self.vote.voted_for.is_none_or(|id| id == from);
        if view < self.vote.view || !is_free || last < self.log.last() {
            return;
        }
        self.vote.voted_for = Some(from);
        self.persist_vote();
        self.wait_for_primary(now);
        if self.bug == Bug::VotesBeforeSync {
            self.outputs.send(from, Message::Voted { view });
        } else {
            self.outputs.send_when_durable(from, Message::Voted { view });
        }
    }

    pub(super) fn take_vote(&mut self, now: Instant, from: NodeId, view: u64) {
        let needed = self.majority();
        let Role::Candidate { votes } = &mut self.role else { return };
        if view != self.vote.view {
            return;
        }
        votes.insert(from);
        if votes.len() < needed {
            return;
        }
        self.outputs.event(Elected { view });
        let next = self.log.last_index() + 1;
        let mut lead = Lead::default();
        for id in self.others() {
            lead.next_index.insert(id, next);
            lead.heard_at.insert(id, now);
        }
        self.role = Role::Primary(lead);
        self.primary = Some(self.id);
        self.append(Entry { view, request: None });
        self.tell_all(now);
    }
}
