//! One node of a small Raft, with a fault. Whatever is durable is so at once.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use quorate_core::{NodeId, SplitMix64};
use quorate_sim::kit::replicated_log::{Applied, Role};

use super::Fault;

#[derive(Clone, Debug)]
pub(super) enum Message {
    Vote {
        term: u64,
        last: (u64, u64),
    },
    Voted {
        term: u64,
        is_granted: bool,
    },
    Append {
        term: u64,
        previous: (u64, u64),
        entries: Vec<Entry>,
        commit: u64,
    },
    Install {
        term: u64,
        snapshot: Snapshot,
    },
    /// What is equal up to `matched`, or where to look for it.
    Appended {
        term: u64,
        matched: u64,
        is_equal: bool,
    },
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Entry {
    term: u64,
    value: u64,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Snapshot {
    index: u64,
    term: u64,
    applied: Vec<Applied>,
}

#[derive(Clone, Debug)]
enum State {
    Follower,
    Candidate(BTreeSet<NodeId>),
    /// What each follower has for sure, and what it is sent next.
    Leader(BTreeMap<NodeId, (u64, u64)>),
}

pub(super) struct Node {
    id: NodeId,
    others: Vec<NodeId>,
    fault: Fault,
    random: SplitMix64,
    // Durable.
    term: u64,
    vote: Option<NodeId>,
    snapshot: Snapshot,
    /// What follows the snapshot.
    log: Vec<Entry>,
    // Not durable.
    state: State,
    commit: u64,
    deadline: Duration,
    pub(super) applied: Vec<Applied>,
    pub(super) outbox: Vec<(NodeId, Message)>,
}

impl Node {
    pub(super) fn new(id: NodeId, all: &[NodeId], seed: u64, fault: Fault) -> Self {
        let mut node = Self {
            id,
            others: all.iter().copied().filter(|other| *other != id).collect(),
            fault,
            random: SplitMix64::new(quorate_sim::mix(seed, 1, id.0)),
            term: 0,
            vote: None,
            snapshot: Snapshot::default(),
            log: Vec::new(),
            state: State::Follower,
            commit: 0,
            deadline: Duration::ZERO,
            applied: Vec::new(),
            outbox: Vec::new(),
        };
        node.restart(Duration::ZERO);
        node
    }

    pub(super) fn restart(&mut self, now: Duration) {
        match self.fault {
            Fault::ForgetsItsVote => self.vote = None,
            Fault::ForgetsItsLog => self.log.clear(),
            Fault::ForgetsItsSnapshot => self.snapshot.applied.clear(),
            _ => {}
        }
        self.state = State::Follower;
        self.outbox.clear();
        self.commit = self.snapshot.index;
        self.applied = self.snapshot.applied.clone();
        self.wait(now);
    }

    pub(super) fn role(&self) -> Role {
        Role { term: self.term, is_leader: matches!(self.state, State::Leader(_)) }
    }

    pub(super) fn propose(&mut self, value: u64) -> Option<u64> {
        if !self.role().is_leader {
            return None;
        }
        self.log.push(Entry { term: self.term, value });
        self.apply();
        self.beat();
        Some(self.last().0 + u64::from(self.fault == Fault::PromisesTheNextIndex))
    }

    pub(super) fn compact(&mut self, index: u64) {
        let term = self.term_at(index).expect("it was applied");
        let count = usize::try_from(index - self.snapshot.index).expect("it fits memory");
        self.log.drain(..count);
        if self.fault == Fault::LosesTheTail {
            self.log.clear();
        }
        self.snapshot = Snapshot { index, term, applied: self.applied.clone() };
    }

    pub(super) fn tick(&mut self, now: Duration) {
        if now < self.deadline {
            return;
        }
        if self.role().is_leader {
            self.deadline = now + HEARTBEAT;
            return self.beat();
        }
        (self.term, self.vote) = (self.term + 1, Some(self.id));
        self.state = State::Candidate(BTreeSet::from([self.id]));
        self.wait(now);
        self.send_all(&Message::Vote { term: self.term, last: self.last() });
    }

    pub(super) fn handle(&mut self, now: Duration, from: NodeId, message: Message) {
        let (Message::Vote { term, .. }
        | Message::Voted { term, .. }
        | Message::Append { term, .. }
        | Message::Install { term, .. }
        | Message::Appended { term, .. }) = message;
        if self.term < term {
            (self.term, self.vote, self.state) = (term, None, State::Follower);
        }
        match message {
            Message::Vote { last, .. } => self.handle_vote(now, from, term, last),
            Message::Voted { is_granted, .. } if term == self.term => {
                self.handle_voted(now, from, is_granted);
            }
            Message::Append { previous, entries, commit, .. } if term == self.term => {
                self.follow(now);
                self.handle_append(from, previous, &entries, commit);
            }
            Message::Install { snapshot, .. } if term == self.term => {
                self.follow(now);
                self.handle_install(from, snapshot);
            }
            Message::Appended { matched, is_equal, .. } if term == self.term => {
                self.handle_appended(from, matched, is_equal);
            }
            _ => {}
        }
    }

    fn handle_vote(&mut self, now: Duration, from: NodeId, term: u64, last: (u64, u64)) {
        let (index, own) = (last.0, self.last());
        let is_behind = (last.1, index) < (own.1, own.0) && self.fault != Fault::VotesForAnybody;
        let is_free = self.vote.is_none_or(|vote| vote == from);
        let is_granted = term == self.term && is_free && !is_behind;
        if is_granted {
            self.vote = Some(from);
            self.wait(now);
        }
        self.outbox.push((from, Message::Voted { term: self.term, is_granted }));
    }

    fn handle_voted(&mut self, now: Duration, from: NodeId, is_granted: bool) {
        let needed = self.majority() - usize::from(self.fault == Fault::LeadsWithoutAMajority);
        let next = self.last().0 + 1;
        let State::Candidate(votes) = &mut self.state else { return };
        if is_granted {
            votes.insert(from);
        }
        if needed <= votes.len() {
            self.state = State::Leader(self.others.iter().map(|it| (*it, (0, next))).collect());
            self.deadline = now + HEARTBEAT;
            self.beat();
        }
    }

    /// Takes in entries that follow `previous`, if that is here.
    fn handle_append(
        &mut self,
        from: NodeId,
        (mut index, term): (u64, u64),
        entries: &[Entry],
        commit: u64,
    ) {
        let is_here = self.term_at(index) == Some(term) || index < self.snapshot.index;
        if !is_here && (self.fault != Fault::BelievesAnyLog || self.last().0 < index) {
            // Nothing of this term is equal.
            let mut matched = index.min(self.last().0 + 1).saturating_sub(1);
            let other = self.term_at(matched);
            while self.commit < matched && self.term_at(matched) == other {
                matched -= 1;
            }
            return self.reply(from, matched, false);
        }
        for entry in entries {
            index += 1;
            if self.snapshot.index < index && self.term_at(index) != Some(entry.term) {
                let kept = usize::try_from(index - self.snapshot.index - 1).expect("it fits");
                self.log.truncate(kept);
                self.log.push(*entry);
            }
        }
        self.commit = self.commit.max(commit.min(index));
        self.apply();
        self.reply(from, index, true);
    }

    fn handle_install(&mut self, from: NodeId, snapshot: Snapshot) {
        let index = snapshot.index;
        if self.commit < index || self.fault == Fault::InstallsWhatIsOld {
            if self.term_at(index) == Some(snapshot.term) && self.snapshot.index < index {
                let count = usize::try_from(index - self.snapshot.index).expect("it fits");
                self.log.drain(..count);
            } else {
                self.log.clear();
            }
            self.applied.clone_from(&snapshot.applied);
            (self.snapshot, self.commit) = (snapshot, index);
        }
        self.reply(from, index, true);
    }

    fn handle_appended(&mut self, from: NodeId, matched: u64, is_equal: bool) {
        let is_stubborn = self.fault == Fault::NeverBacksUp;
        let State::Leader(peers) = &mut self.state else { return };
        let (known, next) = peers.get_mut(&from).expect("it is one of us");
        if is_equal {
            *known = matched.max(*known);
            *next = (*known + 1).max(*next);
        } else if !is_stubborn {
            *next = (*known + 1).max(matched + 1);
        }
        let mut all: Vec<u64> = peers.values().map(|(known, _)| *known).collect();
        all.push(self.last().0);
        all.sort_unstable();
        let index = all[all.len() - self.majority()];
        let is_new = self.term_at(index) == Some(self.term);
        if self.commit < index && (is_new || self.fault == Fault::CountsOldTerms) {
            self.commit = index;
            self.apply();
            self.beat();
        } else if !is_equal {
            self.append_to(from);
        }
    }

    /// Applies what is committed.
    fn apply(&mut self) {
        let end = match self.fault {
            Fault::AppliesBeforeItIsCommitted => self.last().0,
            _ => self.commit,
        };
        let mut index = self.applied.last().map_or(0, |applied| applied.index);
        index = index.max(self.snapshot.index);
        while index < end {
            index += 1;
            let value = self.entry(index).expect("what is committed is here").value;
            let is_wrong = self.fault == Fault::MakesUpValues && index % 7 == 2;
            self.applied.push(Applied { index, value: if is_wrong { 7 } else { value } });
            if self.fault == Fault::AppliesTwice && index % 7 == 2 {
                self.applied.push(Applied { index, value });
            }
        }
    }

    fn beat(&mut self) {
        for other in self.others.clone() {
            self.append_to(other);
        }
    }

    /// Sends what follows what the other has; a snapshot, if that is not here any more.
    fn append_to(&mut self, other: NodeId) {
        let State::Leader(peers) = &self.state else { return };
        let (term, next) = (self.term, peers[&other].1);
        let Some(before) = self.term_at(next - 1) else {
            if self.fault != Fault::SendsNoSnapshot {
                let snapshot = self.snapshot.clone();
                self.outbox.push((other, Message::Install { term, snapshot }));
            }
            return;
        };
        let skipped = usize::try_from(next - 1 - self.snapshot.index).expect("it fits memory");
        let (previous, entries) = ((next - 1, before), self.log[skipped..].to_vec());
        let commit = self.commit;
        self.outbox.push((other, Message::Append { term, previous, entries, commit }));
    }

    fn reply(&mut self, to: NodeId, matched: u64, is_equal: bool) {
        self.outbox.push((to, Message::Appended { term: self.term, matched, is_equal }));
    }

    fn send_all(&mut self, message: &Message) {
        self.outbox.extend(self.others.iter().map(|other| (*other, message.clone())));
    }

    fn follow(&mut self, now: Duration) {
        self.state = State::Follower;
        self.wait(now);
    }

    fn wait(&mut self, now: Duration) {
        self.deadline = now + Duration::from_millis(150 + self.random.below(150));
    }

    fn majority(&self) -> usize {
        self.others.len().div_ceil(2) + 1
    }

    /// Returns the last index, and its term.
    fn last(&self) -> (u64, u64) {
        let term = self.log.last().map_or(self.snapshot.term, |entry| entry.term);
        (self.snapshot.index + self.log.len() as u64, term)
    }

    fn entry(&self, index: u64) -> Option<Entry> {
        let at = index.checked_sub(self.snapshot.index + 1)?;
        self.log.get(usize::try_from(at).ok()?).copied()
    }

    /// Returns the term of an entry that is here, or was the last of the snapshot.
    fn term_at(&self, index: u64) -> Option<u64> {
        if index == self.snapshot.index {
            return Some(self.snapshot.term);
        }
        self.entry(index).map(|entry| entry.term)
    }
}

const HEARTBEAT: Duration = Duration::from_millis(40);
