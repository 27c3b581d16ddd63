//! A replica of a primary and its backups: votes by view, one log, answers from a quorum.
//!
//! ```text
//! gateway --Request--> primary --Append--> backups    a gateway asks again until it is answered
//!    ^                    |   <--Appended--            durable on a majority: committed
//!    +------Reply---------+                            a read waits for a round of the primary
//! ```
//!
//! Entries are appended as often as they are asked for: who applies them keeps what it answered
//! each client, in its state and so in each snapshot.
//!
//! Source: Liskov and Cowling, "Viewstamped Replication Revisited" (2012); which entries count is
//! as in Ongaro and Ousterhout, "Raft" (2014), 5.4.

mod election;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use quorate_sim::quorate_core::{FetchId, OutputOf, Outputs, SplitMix64, WriteId};
use quorate_sim::{Instant, NodeId, OpId, Protocol};

use crate::entries::{
    Answer, Delivery, Elected, Entry, Log, Message, Operation, Position, Record, Request, Snapshot,
    Vote,
};
use crate::primary::{Bug, State};

/// One of the replicas.
#[derive(Debug)]
pub(crate) struct Replica {
    id: NodeId,
    ids: Vec<NodeId>,
    bug: Bug,
    random: SplitMix64,
    /// How often a primary speaks; all else takes a few times as long.
    pace: Duration,
    max_entries: usize,
    vote: Vote,
    role: Role,
    /// Who was heard of as the primary of this view.
    primary: Option<NodeId>,
    /// Until when the primary is trusted: no vote is given against it.
    trusted_until: Instant,
    log: Log,
    /// The last index that is durable here.
    durable: u64,
    /// Which index is durable after which write.
    writes: VecDeque<(WriteId, u64)>,
    commit: u64,
    delivered: u64,
    /// What clients asked this node for, and until when it asks the primary.
    requests: BTreeMap<OpId, (Operation, Instant)>,
    deadline: Instant,
    ask_again: Option<Instant>,
    outputs: Outputs<OutputOf<Self>>,
}

#[derive(Debug)]
enum Role {
    Backup,
    Candidate { votes: BTreeSet<NodeId> },
    Primary(Lead),
}

/// What a primary knows of its backups.
#[derive(Clone, Debug, Default)]
struct Lead {
    match_index: BTreeMap<NodeId, u64>,
    next_index: BTreeMap<NodeId, u64>,
    /// The last round that each backup took part in.
    heard: BTreeMap<NodeId, u64>,
    round: u64,
    reads: Vec<Read>,
    /// When each backup was heard last.
    heard_at: BTreeMap<NodeId, Instant>,
}

/// A read that waits until the primary is known to be it still.
#[derive(Clone, Copy, Debug)]
struct Read {
    id: OpId,
    gateway: NodeId,
    round: u64,
    index: u64,
}

impl Replica {
    pub(crate) fn new(
        (id, ids): (NodeId, &[NodeId]),
        records: impl IntoIterator<Item = Record>,
        (now, seed): (Instant, u64),
        is_hurried: bool,
        bug: Bug,
    ) -> Self {
        let (mut vote, mut log) = (Vote::default(), Log::default());
        for record in records {
            match record {
                Record::Vote(newer) => vote = newer,
                Record::Append { first, entries } => log.append(first, &entries),
                Record::Snapshot(snapshot) => log.install(snapshot),
            }
        }
        let mut outputs = Outputs::default();
        outputs.deliver(Delivery::Restore(log.snapshot.clone()));
        let start = log.snapshot.at.index;
        let mut replica = Self {
            id,
            ids: ids.to_vec(),
            bug,
            random: SplitMix64::new(seed),
            pace: Duration::from_millis(if is_hurried { 20 } else { 100 }),
            max_entries: if is_hurried { 1 } else { 8 },
            vote,
            role: Role::Backup,
            primary: None,
            trusted_until: now,
            durable: log.last_index(),
            log,
            writes: VecDeque::new(),
            commit: start,
            delivered: start,
            requests: BTreeMap::new(),
            deadline: now,
            ask_again: None,
            outputs,
        };
        replica.wait_for_primary(now);
        replica
    }

    /// Takes a client's request. It is passed on until it is answered or too old.
    pub(crate) fn request(&mut self, now: Instant, id: OpId, operation: Operation) {
        self.requests.insert(id, (operation, now + GIVES_UP_AFTER));
        self.ask_again.get_or_insert(now + ASKS_AGAIN_AFTER);
        self.ask(now, id, operation);
    }

    /// Answers a client through the node that it asked, if this node is the primary.
    pub(crate) fn reply(&mut self, gateway: NodeId, id: OpId, answer: Answer) {
        match self.role {
            Role::Primary(_) if gateway == self.id => self.take_reply(id, answer),
            Role::Primary(_) => self.outputs.send(gateway, Message::Reply { id, answer }),
            _ => {}
        }
    }

    /// Takes what was applied so far, in place of the log up to there.
    pub(crate) fn compact(&mut self, index: u64, mut state: State) {
        if index < self.log.snapshot.at.index + SNAPSHOT_EVERY || self.durable < index {
            return;
        }
        if self.bug == Bug::AnswersNotInSnapshot {
            state.answers.clear();
        }
        let view = self.log.view_at(index).expect("what was applied is in the log");
        let snapshot = Snapshot { at: Position { view, index }, state };
        self.log.install(snapshot.clone());
        self.outputs.persist(Record::Snapshot(snapshot));
    }

    /// Returns the view.
    pub(crate) fn view(&self) -> u64 {
        self.vote.view
    }

    /// Returns up to which index all was committed, and the views of the durable entries after it.
    pub(crate) fn durable(&self) -> (u64, Vec<u64>) {
        let start = self.log.snapshot.at.index;
        (start, (start + 1..=self.durable).filter_map(|index| self.log.view_at(index)).collect())
    }

    /// Returns whether the node is the primary, as far as it knows.
    pub(crate) fn is_primary(&self) -> bool {
        matches!(self.role, Role::Primary(_))
    }

    fn majority(&self) -> usize {
        self.ids.len() / 2 + 1
    }

    fn others(&self) -> Vec<NodeId> {
        self.ids.iter().copied().filter(|id| *id != self.id).collect()
    }

    // The log.

    fn append(&mut self, entry: Entry) {
        self.write(self.log.last_index() + 1, vec![entry]);
        if self.bug == Bug::AppliesBeforeCommit {
            self.commit_to(self.log.last_index());
        }
    }

    fn write(&mut self, first: u64, entries: Vec<Entry>) {
        if first <= self.log.last_index() {
            self.durable = self.durable.min(first - 1);
            self.writes.clear();
        }
        self.log.append(first, &entries);
        let write = self.outputs.persist(Record::Append { first, entries });
        self.writes.push_back((write, self.log.last_index()));
    }

    fn tell_all(&mut self, now: Instant) {
        self.deadline = now + self.pace;
        for to in self.others() {
            self.tell(to);
        }
    }

    fn tell(&mut self, to: NodeId) {
        let Role::Primary(lead) = &mut self.role else { return };
        let (view, round) = (self.vote.view, lead.round);
        let next = lead.next_index.get(&to).copied().unwrap_or(1);
        let Some(prev_view) = self.log.view_at(next - 1) else {
            let snapshot = self.log.snapshot.clone();
            self.outputs.send(to, Message::Install { view, snapshot, round });
            return;
        };
        let prev = Position { view: prev_view, index: next - 1 };
        let mut entries = self.log.entries_after(prev.index);
        entries.truncate(self.max_entries);
        let commit = self.commit;
        self.outputs.send(to, Message::Append { view, prev, entries, commit, round });
    }

    fn take_append(&mut self, from: NodeId, prev: Position, entries: &[Entry], commit: u64) -> u64 {
        let start = self.log.snapshot.at.index;
        let mut index = prev.index;
        for (at, entry) in entries.iter().enumerate() {
            index += 1;
            // What is in a snapshot was committed: it is the same.
            if start < index && self.log.view_at(index) != Some(entry.view) {
                self.write(index, entries[at..].to_vec());
                index = self.log.last_index();
                break;
            }
        }
        self.primary = Some(from);
        self.commit_to(commit.min(index));
        if self.bug == Bug::StaleMatchIndex { self.log.last_index() } else { index }
    }

    fn take_snapshot(&mut self, snapshot: Snapshot) {
        if snapshot.at.index <= self.commit {
            return;
        }
        let index = snapshot.at.index;
        if self.log.view_at(index) != Some(snapshot.at.view) {
            self.writes.clear();
            self.durable = self.durable.min(index);
        }
        self.log.install(snapshot.clone());
        let write = self.outputs.persist(Record::Snapshot(snapshot.clone()));
        self.writes.push_back((write, self.log.last_index()));
        (self.commit, self.delivered) = (index, index);
        self.outputs.deliver(Delivery::Restore(snapshot));
    }

    fn acknowledge(&mut self, to: NodeId, is_match: bool, index: u64, round: u64) {
        let message = Message::Appended { view: self.vote.view, is_match, index, round };
        if self.bug == Bug::AcksBeforeSync {
            self.outputs.send(to, message);
        } else {
            self.outputs.send_when_durable(to, message);
        }
    }

    fn hear(&mut self, now: Instant, from: NodeId) {
        if let Role::Primary(lead) = &mut self.role {
            lead.heard_at.insert(from, now);
        }
    }

    fn take_acknowledgement(&mut self, from: NodeId, is_match: bool, index: u64, round: u64) {
        let Role::Primary(lead) = &mut self.role else { return };
        let heard = lead.heard.entry(from).or_default();
        *heard = round.max(*heard);
        let matched = lead.match_index.entry(from).or_default();
        // An acknowledgement that says nothing new is no reason to send the same again.
        let next = lead.next_index.get(&from).copied().unwrap_or_default();
        let is_news = if is_match { *matched < index } else { index + 1 < next };
        if is_match {
            *matched = index.max(*matched);
        }
        lead.next_index.insert(from, index.max(*matched) + 1);
        self.count();
        if is_news && index < self.log.last_index() {
            self.tell(from);
        }
    }

    /// Commits what a majority has, and answers reads whose round a majority took part in.
    fn count(&mut self) {
        let (needed, durable) = (self.majority(), self.durable);
        let Role::Primary(lead) = &self.role else { return };
        let mut indexes: Vec<u64> = lead.match_index.values().copied().chain([durable]).collect();
        indexes.sort_unstable_by(|a, b| b.cmp(a));
        if let Some(index) = indexes.get(needed - 1).copied()
            && self.log.view_at(index) == Some(self.vote.view)
        {
            self.commit_to(index);
        }
        let (needed, delivered) = (self.majority(), self.delivered);
        let Role::Primary(lead) = &mut self.role else { return };
        let heard = lead.heard.clone();
        let is_confirmed = |read: &Read| {
            let count = heard.values().filter(|round| read.round <= **round).count();
            needed <= count + 1 && read.index <= delivered
        };
        let (ready, waiting) = lead.reads.iter().copied().partition(is_confirmed);
        lead.reads = waiting;
        for Read { id, gateway, .. } in ready {
            self.outputs.deliver(Delivery::Read { id, gateway });
        }
    }

    fn commit_to(&mut self, commit: u64) {
        self.commit = self.commit.max(commit);
        while self.delivered < self.commit {
            self.delivered += 1;
            let index = self.delivered;
            let entry = self.log.entry(index).expect("what is committed is in the log");
            self.outputs.deliver(Delivery::Apply { index, entry });
        }
    }

    // Requests.

    fn ask(&mut self, now: Instant, id: OpId, operation: Operation) {
        match self.primary {
            Some(primary) if primary != self.id => {
                self.outputs.send(primary, Message::Request { id, operation });
            }
            Some(_) => self.take_request(now, self.id, id, operation),
            None => {}
        }
    }

    fn ask_all_again(&mut self, now: Instant) {
        self.requests.retain(|_, (_, until)| now < *until);
        self.ask_again = (!self.requests.is_empty()).then(|| now + ASKS_AGAIN_AFTER);
        for (id, (operation, _)) in self.requests.clone() {
            self.ask(now, id, operation);
        }
    }

    fn take_request(&mut self, now: Instant, gateway: NodeId, id: OpId, operation: Operation) {
        let view = self.vote.view;
        let is_settled = self.log.view_at(self.commit) == Some(view);
        let Role::Primary(lead) = &mut self.role else { return };
        match operation {
            Operation::Write(value) => {
                self.append(Entry { view, request: Some(Request { id, gateway, value }) });
            }
            Operation::Read if self.bug == Bug::ReadsWithoutRound => {
                self.outputs.deliver(Delivery::Read { id, gateway });
            }
            Operation::Read if !is_settled => return,
            Operation::Read => {
                lead.round += 1;
                lead.reads.push(Read { id, gateway, round: lead.round, index: self.commit });
            }
        }
        self.tell_all(now);
    }

    fn take_reply(&mut self, id: OpId, answer: Answer) {
        if self.requests.remove(&id).is_some() {
            self.outputs.deliver(Delivery::Reply { id, answer });
        }
    }

    fn take_in(&mut self, now: Instant, from: NodeId, message: Message) {
        match message {
            // Else a node that hears nobody would end one view after the other.
            Message::RequestVote { .. } if now < self.trusted_until || self.is_primary() => {}
            Message::RequestVote { view, last } => {
                self.follow(now, view);
                self.take_vote_request(now, from, view, last);
            }
            Message::Voted { view } => self.take_vote(now, from, view),
            Message::Append { view, prev, entries, commit, round } => {
                self.follow(now, view);
                if view < self.vote.view {
                    return;
                }
                self.trust(now, from);
                let is_match = prev.index <= self.log.snapshot.at.index
                    || self.log.view_at(prev.index) == Some(prev.view);
                let index = if is_match {
                    self.take_append(from, prev, &entries, commit)
                } else {
                    self.commit
                };
                self.acknowledge(from, is_match, index, round);
            }
            Message::Install { view, snapshot, round } => {
                self.follow(now, view);
                if view == self.vote.view {
                    self.trust(now, from);
                    let index = snapshot.at.index;
                    self.take_snapshot(snapshot);
                    self.acknowledge(from, true, index, round);
                }
            }
            Message::Appended { view, is_match, index, round } => {
                self.follow(now, view);
                if view == self.vote.view {
                    self.hear(now, from);
                    self.take_acknowledgement(from, is_match, index, round);
                }
            }
            Message::Request { id, operation } => self.take_request(now, from, id, operation),
            Message::Reply { id, answer } => self.take_reply(id, answer),
        }
    }
}

impl Protocol for Replica {
    type Message = Message;
    type Record = Record;
    type Query = std::convert::Infallible;
    type Answer = std::convert::Infallible;
    type Delivery = Delivery;
    type Event = Elected;

    fn handle_message(&mut self, now: Instant, from: NodeId, message: Message) {
        if self.bug != Bug::Idles {
            self.take_in(now, from, message);
        }
    }

    fn handle_persisted(&mut self, _: Instant, write: WriteId) {
        self.outputs.handle_persisted(write);
        while let Some((of, index)) = self.writes.front()
            && *of <= write
        {
            self.durable = self.durable.max(*index);
            self.writes.pop_front();
        }
        self.count();
    }

    fn handle_fetched(&mut self, _: Instant, _: FetchId, answer: Self::Answer) {
        match answer {}
    }

    fn handle_timeout(&mut self, now: Instant) {
        if self.ask_again.is_some_and(|at| at <= now) {
            self.ask_all_again(now);
        }
        if now < self.deadline {
            return;
        }
        match self.role {
            _ if self.bug == Bug::Idles => self.wait_for_primary(now),
            Role::Primary(_) => self.retire_or_tell_all(now),
            _ => self.stand(now),
        }
    }

    fn poll_output(&mut self) -> Option<OutputOf<Self>> {
        self.outputs.poll()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        Some(self.ask_again.map_or(self.deadline, |at| at.min(self.deadline)))
    }
}

const ASKS_AGAIN_AFTER: Duration = Duration::from_millis(150);
/// Longer than a client waits: it does not matter any more.
const GIVES_UP_AFTER: Duration = Duration::from_secs(3);
/// So often that snapshots are installed in most runs.
const SNAPSHOT_EVERY: u64 = 8;
