//! How the leader's log gets to the followers.
//!
//! Source: Raft, section 5.3; pipelining and writing in parallel: thesis, section 10.2. One
//! exchange finds the end of a divergent term (thesis, section 4.1, does one per term too); a lost
//! append is found by the answer to the next beat.

use quorate_core::NodeId;

use super::progress::Progress;
use super::{Answer, Appended, Asker, Body, Message, Raft, Record, State, Unpersisted};
use crate::traps::{Trap, planted};
use crate::{Entry, Index, LogId, Term};

impl Raft {
    pub(super) fn handle_append(
        &mut self,
        from: NodeId,
        round: u64,
        previous: LogId,
        commit_index: Index,
        entries: Vec<Entry>,
    ) {
        if !follows(previous, &entries, self.hard_state.term) {
            self.stats.ignored_nonsense += 1;
            return;
        }
        if !self.hear_leader(from) {
            return;
        }
        if self.log.term_at(previous.index) != Some(previous.term) {
            let hint = self.log.last_at_or_before(previous);
            let result = Appended::Rejected { previous: previous.index, hint };
            self.send(from, Body::AppendReply { round, result });
            return;
        }
        let matched = entries.last().map_or(previous.index, |last| last.index);
        if !self.write_new(entries) {
            return;
        }
        self.received = self.received.max(matched);
        self.commit_to(commit_index.min(matched));

        let answer = Body::AppendReply { round, result: Appended::Matched(matched) };
        if planted(Trap::AcknowledgesBeforeSync) {
            self.send(from, answer);
        } else {
            self.send_when_durable(from, answer);
        }
    }

    /// Writes those of `entries` that are new here. Returns `false` if that cannot be.
    fn write_new(&mut self, mut entries: Vec<Entry>) -> bool {
        let is_known = |entry: &Entry| self.log.term_at(entry.index) == Some(entry.term);
        let is_stale = planted(Trap::TruncatesOnStaleAppend) && entries.iter().all(is_known);
        let known = entries.iter().take_while(|entry| is_known(entry)).count();
        if is_stale && let Some(last) = entries.last() {
            self.log.truncate_suffix(last.index.next());
        }
        entries.drain(..known);
        let Some(first) = entries.first().map(|entry| entry.index) else { return true };
        if first <= self.commit_index {
            // Somebody else committed another entry here, or this leader is a liar.
            self.stats.ignored_nonsense += 1;
            return false;
        }
        if self.config.max_unpersisted_bytes <= self.unpersisted_bytes {
            self.stats.dropped_over_limit += 1;
            return false;
        }
        self.truncate_suffix(first);
        self.persist(entries.clone());
        entries.into_iter().for_each(|entry| self.log.push(entry));
        true
    }

    pub(super) fn handle_append_reply(&mut self, from: NodeId, round: u64, result: Appended) {
        let last_index = self.log.last_index();
        let term = self.hard_state.term;
        let Some(peer) = self.peer_mut(from, round) else { return };
        match result {
            Appended::Matched(index) if index <= last_index => {
                peer.handle_matched(index);
                self.is_flush_due = true;
                self.confirm_rounds();
                self.commit();
            }
            // What it once acknowledged it still has; and what was sent again since is answered
            // apart.
            Appended::Rejected { previous, hint }
                if hint.index < peer.match_index || !peer.is_answer(previous) =>
            {
                self.stats.ignored_stale += 1;
            }
            Appended::Rejected { hint, .. } if hint.term <= term => {
                let common = self.log.last_at_or_before(hint).index;
                if let Some(peer) = self.peer_mut(from, round) {
                    peer.probe_after(common);
                    if hint.index < common {
                        // What it lacks is gone here. It is asked again with every beat.
                        peer.pause();
                    }
                    self.is_flush_due = true;
                }
                self.confirm_rounds();
            }
            Appended::Matched(_) | Appended::Rejected { .. } => self.stats.ignored_nonsense += 1,
        }
    }

    pub(super) fn handle_beat(&mut self, from: NodeId, round: u64, commit_index: Index) {
        if self.hear_leader(from) {
            self.commit_to(commit_index.min(self.received));
            let received = self.received;
            let matched = received.min(self.log.durable_index());
            self.send(from, Body::BeatReply { round, received, matched });
        }
    }

    pub(super) fn handle_beat_reply(
        &mut self,
        from: NodeId,
        round: u64,
        received: Index,
        matched: Index,
    ) {
        let last_index = self.log.last_index();
        let Some(peer) = self.peer_mut(from, round) else { return };
        if last_index < received || received < matched {
            self.stats.ignored_nonsense += 1;
            return;
        }
        // An acknowledgement that was lost would keep the window shut for ever.
        if peer.match_index < matched {
            peer.handle_matched(matched);
        }
        if peer.shows_loss(round, received) {
            peer.probe_after(received);
        }
        self.is_flush_due = true;
        self.confirm_rounds();
        self.commit();
    }

    /// Starts a round, and says so to everybody. It is a heartbeat, too.
    pub(super) fn start_round(&mut self) -> u64 {
        let Self { state: State::Lead(lead), outputs, config, .. } = self else { return 0 };
        let round = lead.rounds.start(self.now);
        lead.beat_at = self.now + config.heartbeat_interval;
        // Reads start rounds as often as a quorum answers; a probe is repeated once a heartbeat.
        let is_heartbeat = lead.heartbeat_at <= self.now;
        if is_heartbeat {
            lead.heartbeat_at = lead.beat_at;
        }
        let body = Body::Beat { round, commit_index: self.commit_index };
        for (&node, peer) in &mut lead.peers {
            if is_heartbeat {
                peer.handle_heartbeat(round);
            }
            outputs.send(node, Message { term: self.hard_state.term, body: body.clone() });
        }
        round
    }

    /// Takes in which rounds a quorum has answered by now.
    pub(super) fn confirm_rounds(&mut self) {
        let id = self.config.id;
        let Self { state: State::Lead(lead), config, .. } = self else { return };
        let newest = lead.rounds.newest();
        let confirmed = config.voters.committed(|node| {
            if node == id { newest } else { lead.peers.get(&node).map_or(0, |it| it.echoed_round) }
        });
        if lead.rounds.confirm(confirmed) {
            let confirmed = lead.rounds.confirmed();
            self.settle_read_round(confirmed);
        }
    }

    /// Hands the leader's new entries to storage.
    pub(super) fn save(&mut self) {
        let Some(mut from) = self.unsaved_from.take() else { return };
        let max_bytes = self.config.max_append_bytes;
        while let Some(entries) = self.log.cached(from, self.log.last_index(), max_bytes) {
            from = Index(from.0 + entries.len() as u64);
            self.persist(entries);
        }
    }

    /// Sends to each follower what it lacks, as far as its limits allow.
    pub(super) fn send_appends(&mut self) {
        let term = self.hard_state.term;
        let Self { state: State::Lead(lead), log, outputs, config, fetches, .. } = self else {
            return;
        };
        let round = lead.rounds.newest();
        for (&node, peer) in &mut lead.peers {
            while peer.is_ready(config)
                && (peer.next_index <= log.last_index() || peer.is_probing())
            {
                let from = peer.next_index;
                let last = log.last_index();
                if last < from {
                    // It lacks nothing, but does not know so: it may have started again since.
                    let (previous, commit_index) = (previous_of(log, from), self.commit_index);
                    let probe = Append { round, previous, commit_index, entries: Vec::new() };
                    outputs.send(node, Message { term, body: append(peer, probe) });
                    break;
                }
                let Some(entries) = log.cached(from, last, config.max_append_bytes) else {
                    if !peer.is_fetching {
                        peer.is_fetching = true;
                        let fetch = outputs.fetch(log.query(from, last, config.max_append_bytes));
                        fetches.insert(fetch, Asker::Peer { node, term });
                    }
                    break;
                };
                let previous = previous_of(log, from);
                let body = append(
                    peer,
                    Append { round, previous, commit_index: self.commit_index, entries },
                );
                outputs.send(node, Message { term, body });
            }
        }
    }

    /// Sends what storage read for a follower, if the follower still lacks just that.
    pub(super) fn handle_fetched_for_peer(&mut self, node: NodeId, term: Term, answer: Answer) {
        if term != self.hard_state.term {
            return;
        }
        let Self { state: State::Lead(lead), log, outputs, config, .. } = self else { return };
        let round = lead.rounds.newest();
        let Some(peer) = lead.peers.get_mut(&node) else { return };
        peer.is_fetching = false;
        match answer {
            Answer::Entries(entries) if log.holds(peer.next_index, &entries) => {
                if peer.is_ready(config) {
                    let previous = previous_of(log, peer.next_index);
                    let commit_index = self.commit_index;
                    let body = append(peer, Append { round, previous, commit_index, entries });
                    outputs.send(node, Message { term, body });
                }
                self.is_flush_due = true;
            }
            // It moved on meanwhile.
            Answer::Entries(entries)
                if entries.first().is_some_and(|first| first.index != peer.next_index) =>
            {
                self.is_flush_due = true;
            }
            Answer::Entries(_) | Answer::Unavailable => {
                self.stats.ignored_answers += 1;
                peer.pause();
            }
        }
    }

    /// Returns what is known of the follower `from`, which answered `round`.
    fn peer_mut(&mut self, from: NodeId, round: u64) -> Option<&mut Progress> {
        let State::Lead(lead) = &mut self.state else {
            self.stats.ignored_stale += 1;
            return None;
        };
        if lead.rounds.newest() < round {
            self.stats.ignored_nonsense += 1;
            return None;
        }
        let peer = lead.peers.get_mut(&from)?;
        peer.echoed_round = peer.echoed_round.max(round);
        Some(peer)
    }

    fn persist(&mut self, entries: Vec<Entry>) {
        let Some(last) = entries.last().map(|entry| entry.index) else { return };
        let bytes = entries.iter().map(Entry::cost_bytes).sum();
        let write = self.outputs.persist(Record::Entries(entries));
        self.unpersisted.push_back(Unpersisted { write, last, bytes });
        self.unpersisted_bytes += bytes;
    }

    fn truncate_suffix(&mut self, from: Index) {
        assert!(self.commit_index < from, "truncated a committed entry at {from}");
        self.log.truncate_suffix(from);
        self.received = self.received.min(from.previous());
        // A write that is still under way makes nothing durable that is replaced already.
        for write in &mut self.unpersisted {
            write.last = write.last.min(from.previous());
        }
    }
}

/// The body of an [`Body::Append`].
struct Append {
    round: u64,
    previous: LogId,
    commit_index: Index,
    entries: Vec<Entry>,
}

/// Makes the message, and takes note of it in `peer`.
fn append(peer: &mut Progress, append: Append) -> Body {
    let Append { round, previous, commit_index, entries } = append;
    let last = entries.last().map_or(previous.index, |last| last.index);
    peer.handle_sent(last, entries.iter().map(Entry::cost_bytes).sum());
    Body::Append { round, previous, commit_index, entries }
}

fn previous_of(log: &super::log::Log, from: Index) -> LogId {
    let index = from.previous();
    LogId { term: log.term_at(index).expect("a follower lacks no more than there is"), index }
}

/// Returns whether `entries` can follow `previous` in a log of a leader in `term`.
fn follows(previous: LogId, entries: &[Entry], term: Term) -> bool {
    let mut last = previous;
    entries.iter().all(|entry| {
        let is_next = last.index.0.checked_add(1) == Some(entry.index.0);
        let is_good = is_next && last.term <= entry.term && entry.term <= term;
        last = entry.id();
        is_good
    }) && last.term <= term
}
