//! What is committed, and its way to the application.
//!
//! Source: Raft, section 5.4.2: only an entry of the own term is committed by counting, and the
//! ones before it with it.

use super::{Answer, Asker, Delivery, Raft, State};
use crate::traps::{Trap, planted};
use crate::{Entry, Index};

impl Raft {
    /// Commits what a quorum holds durably, in a leader.
    pub(super) fn commit(&mut self) {
        let State::Lead(lead) = &self.state else { return };
        let own_index = if planted(Trap::CountsItsUnsyncedLog) {
            self.log.last_index()
        } else {
            self.log.durable_index()
        };
        let id = self.config.id;
        let index = Index(self.config.voters.committed(|node| {
            let peer = lead.peers.get(&node).map_or(Index::ZERO, |peer| peer.match_index);
            if node == id { own_index.0 } else { peer.0 }
        }));
        let is_of_this_term =
            self.log.term_at(index) == Some(self.hard_state.term) || planted(Trap::CommitsOldTerms);
        if is_of_this_term && self.commit_index < index {
            self.commit_to(index);
            // Reads that came before the first commit of the term can go on.
            self.is_flush_due = true;
        }
    }

    /// Takes in that the log is committed up to `index`, which this node holds.
    pub(super) fn commit_to(&mut self, index: Index) {
        assert!(index <= self.log.last_index(), "committed {index} behind the log's end");
        if self.commit_index < index {
            self.commit_index = index;
            self.deliver_committed();
        }
    }

    /// Hands the application what it is due, from memory, or else asks storage for it.
    pub(super) fn deliver_committed(&mut self) {
        while self.last_delivered < self.commit_index && !self.is_fetching_deliveries {
            let from = self.last_delivered.next();
            let max_bytes = self.config.max_append_bytes;
            if let Some(entries) = self.log.cached(from, self.commit_index, max_bytes) {
                self.deliver(entries);
            } else if self.fetch_again_at.is_none() {
                self.is_fetching_deliveries = true;
                let fetch = self.outputs.fetch(self.log.query(from, self.commit_index, max_bytes));
                self.fetches.insert(fetch, Asker::Application);
            } else {
                break;
            }
        }
        self.answer_reads();
        self.log.evict(self.last_delivered, self.config.max_cached_bytes);
    }

    pub(super) fn handle_fetched_deliveries(&mut self, answer: Answer) {
        self.is_fetching_deliveries = false;
        match answer {
            Answer::Entries(entries) if self.log.holds(self.last_delivered.next(), &entries) => {
                self.deliver(entries);
            }
            Answer::Entries(_) | Answer::Unavailable => {
                self.stats.ignored_answers += 1;
                self.fetch_again_at = Some(self.now + self.config.heartbeat_interval);
            }
        }
        self.deliver_committed();
    }

    fn deliver(&mut self, mut entries: Vec<Entry>) {
        entries.retain(|entry| entry.index <= self.commit_index);
        let Some(last) = entries.last().map(|entry| entry.index) else { return };
        if let State::Lead(lead) = &mut self.state {
            let own = entries.iter().filter(|entry| lead.first_index <= entry.index);
            lead.uncommitted_bytes -= own.map(Entry::cost_bytes).sum::<usize>();
        }
        self.last_delivered = last;
        self.outputs.deliver(Delivery::Committed(entries));
    }
}
