//! Two-phase commit: every node coordinates what it is asked for, and keeps one list.
//!
//! ```text
//! coordinator --Prepare--> participants       locks its list, makes it durable, votes yes
//!             <--Vote------                   all said yes: the commit is made durable, then told
//!             --Decide--->                    until all have acknowledged it
//! participant --Ask------> coordinator        in doubt: what it does not know was aborted
//! ```
//!
//! Source: Gray, "Notes on Data Base Operating Systems" (1978); Mohan, Lindsay and Obermarck, "R*"
//! (1986), for presumed abort.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use quorate_sim::quorate_core::{FetchId, OutputOf, Outputs, SplitMix64, WriteId};
use quorate_sim::{Instant, NodeId, OpId, Protocol};

use crate::commit::Bug;

/// A transaction: who coordinates it, and a number that the coordinator uses once.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Transaction {
    coordinator: NodeId,
    number: u64,
}

/// One node: a coordinator, and the participant that keeps a list.
#[derive(Debug)]
pub(crate) struct Shard {
    id: NodeId,
    bug: Bug,
    random: SplitMix64,
    last_number: u64,
    coordinated: BTreeMap<Transaction, Coordinated>,
    list: Vec<u64>,
    /// The transaction that has the lock, and what it appends.
    prepared: Option<(Transaction, u64)>,
    /// How transactions ended that this list took part in.
    decided: BTreeMap<Transaction, bool>,
    deadline: Option<Instant>,
    outputs: Outputs<OutputOf<Self>>,
}

/// What a coordinator knows of a transaction. One that it does not know was aborted.
#[derive(Debug)]
struct Coordinated {
    id: Option<OpId>,
    value: u64,
    give_up_at: Instant,
    /// Who did not vote yet, or did not acknowledge the commit.
    missing: BTreeSet<NodeId>,
    /// What the lists were when they were locked.
    found: BTreeMap<NodeId, Vec<u64>>,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Stage {
    Voting,
    /// The commit is on its way to the disk.
    Logging(WriteId),
    Committed,
}

#[derive(Clone, Debug)]
pub(crate) enum Message {
    Prepare { transaction: Transaction, value: u64 },
    Yes { transaction: Transaction, found: Vec<u64> },
    No { transaction: Transaction },
    Decide { transaction: Transaction, is_commit: bool },
    Acknowledge { transaction: Transaction },
    Ask { transaction: Transaction },
}

#[derive(Clone, Debug)]
pub(crate) enum Record {
    /// The coordinator decided to commit.
    Commit {
        transaction: Transaction,
        participants: BTreeSet<NodeId>,
    },
    /// All participants know.
    End {
        transaction: Transaction,
    },
    /// The participant promises to commit if it is told to.
    Prepared {
        transaction: Transaction,
        value: u64,
    },
    Decided {
        transaction: Transaction,
        is_commit: bool,
    },
    /// What a commit appended: only written by a participant with a bug.
    Appended {
        value: u64,
    },
}

#[derive(Clone, Debug)]
pub(crate) enum Delivery {
    /// A participant decides.
    Decided { transaction: Transaction, is_commit: bool },
    /// A coordinator answers its client: what was found if it committed.
    Answer { id: OpId, found: Option<BTreeMap<NodeId, Vec<u64>>> },
}

impl Shard {
    pub(crate) fn new(
        id: NodeId,
        records: impl IntoIterator<Item = Record>,
        (now, seed): (Instant, u64),
        bug: Bug,
    ) -> Self {
        let mut shard = Self {
            id,
            bug,
            random: SplitMix64::new(seed),
            last_number: 0,
            coordinated: BTreeMap::new(),
            list: Vec::new(),
            prepared: None,
            decided: BTreeMap::new(),
            deadline: Some(now + AGAIN_AFTER),
            outputs: Outputs::default(),
        };
        for record in records {
            shard.replay(record, now);
        }
        shard
    }

    fn replay(&mut self, record: Record, now: Instant) {
        match record {
            Record::Commit { transaction, participants: missing } => {
                let (found, stage) = (BTreeMap::new(), Stage::Committed);
                let it = Coordinated { id: None, value: 0, give_up_at: now, missing, found, stage };
                self.coordinated.insert(transaction, it);
            }
            Record::End { transaction } => _ = self.coordinated.remove(&transaction),
            Record::Prepared { transaction, value } => self.prepared = Some((transaction, value)),
            Record::Decided { transaction, is_commit } => {
                if let Some((_, value)) = self.prepared.take_if(|(it, _)| *it == transaction)
                    && is_commit
                    && self.bug != Bug::CommitsInTwoRecords
                {
                    self.list.push(value);
                }
                self.decided.insert(transaction, is_commit);
            }
            Record::Appended { value } => self.list.push(value),
        }
    }

    /// Returns the list.
    pub(crate) fn list(&self) -> &[u64] {
        &self.list
    }

    /// Returns whether no transaction has the lock, and none is coordinated.
    pub(crate) fn is_idle(&self) -> bool {
        self.prepared.is_none() && self.coordinated.is_empty()
    }

    // The coordinator.

    /// Starts a transaction that appends `value` to the list of each participant.
    pub(crate) fn begin(&mut self, now: Instant, id: OpId, value: u64, participants: &[NodeId]) {
        if self.bug == Bug::Idles {
            return;
        }
        self.last_number += 1;
        let number = match self.bug {
            Bug::NumberReused => self.last_number,
            _ => self.random.next_u64(),
        };
        let transaction = Transaction { coordinator: self.id, number };
        let it = Coordinated {
            id: Some(id),
            value,
            give_up_at: now + GIVE_UP_AFTER,
            missing: participants.iter().copied().collect(),
            found: BTreeMap::new(),
            stage: Stage::Voting,
        };
        self.coordinated.insert(transaction, it);
        for to in participants {
            self.outputs.send(*to, Message::Prepare { transaction, value });
        }
    }

    fn take_yes(&mut self, from: NodeId, transaction: Transaction, found: Vec<u64>) {
        let Some(it) = self.coordinated.get_mut(&transaction) else { return };
        if it.stage != Stage::Voting || !it.missing.remove(&from) {
            return;
        }
        it.found.insert(from, found);
        if !it.missing.is_empty() {
            return;
        }
        it.missing = it.found.keys().copied().collect();
        if self.bug == Bug::CommitNotLogged {
            it.stage = Stage::Committed;
            return self.tell_commit(transaction);
        }
        let participants = it.missing.clone();
        let write = self.outputs.persist(Record::Commit { transaction, participants });
        it.stage = Stage::Logging(write);
        if self.bug == Bug::CommitToldBeforeSync {
            self.tell_commit(transaction);
        }
    }

    fn tell_commit(&mut self, transaction: Transaction) {
        let Some(it) = self.coordinated.get_mut(&transaction) else { return };
        let (missing, is_commit) = (it.missing.clone(), true);
        if let Some(id) = it.id.take() {
            let found = Some(it.found.clone());
            self.outputs.deliver(Delivery::Answer { id, found });
        }
        for to in missing {
            self.outputs.send(to, Message::Decide { transaction, is_commit });
        }
    }

    fn abort(&mut self, transaction: Transaction) {
        let is_voting = |it: &&Coordinated| it.stage == Stage::Voting;
        let Some(it) = self.coordinated.get(&transaction).filter(is_voting) else { return };
        let participants: Vec<NodeId> = it.missing.iter().chain(it.found.keys()).copied().collect();
        let id = it.id;
        self.coordinated.remove(&transaction);
        if let Some(id) = id {
            self.outputs.deliver(Delivery::Answer { id, found: None });
        }
        for to in participants {
            self.outputs.send(to, Message::Decide { transaction, is_commit: false });
        }
    }

    fn take_acknowledgement(&mut self, from: NodeId, transaction: Transaction) {
        let Some(it) = self.coordinated.get_mut(&transaction) else { return };
        if it.stage == Stage::Committed && it.missing.remove(&from) && it.missing.is_empty() {
            self.coordinated.remove(&transaction);
            self.outputs.persist(Record::End { transaction });
        }
    }

    fn take_question(&mut self, from: NodeId, transaction: Transaction) {
        let stage = self.coordinated.get(&transaction).map(|it| it.stage);
        let is_commit = match stage {
            Some(Stage::Committed) => true,
            Some(Stage::Logging(_)) if self.bug == Bug::PresumesTooEarly => false,
            // It is not decided, or nobody may know it yet.
            Some(_) => return,
            None => self.bug == Bug::PresumesCommit,
        };
        self.outputs.send(from, Message::Decide { transaction, is_commit });
    }

    // The participant.

    fn prepare(&mut self, transaction: Transaction, value: u64) {
        let from = transaction.coordinator;
        let is_known = self.decided.contains_key(&transaction) && self.bug != Bug::AppliesTwice;
        let is_again = self.prepared.is_some_and(|(it, _)| it == transaction);
        if is_known || self.prepared.is_some() && !is_again {
            return self.outputs.send_when_durable(from, Message::No { transaction });
        }
        if !is_again {
            self.prepared = Some((transaction, value));
            self.outputs.persist(Record::Prepared { transaction, value });
        }
        let yes = Message::Yes { transaction, found: self.list.clone() };
        if self.bug == Bug::VotesBeforeSync {
            self.outputs.send(from, yes);
        } else {
            self.outputs.send_when_durable(from, yes);
        }
        if self.bug == Bug::CommitsAtVote && !is_again {
            self.decide(transaction, true);
        }
    }

    fn decide(&mut self, transaction: Transaction, is_commit: bool) {
        if let Some((_, value)) = self.prepared.take_if(|(it, _)| *it == transaction) {
            self.outputs.persist(Record::Decided { transaction, is_commit });
            self.decided.insert(transaction, is_commit);
            if is_commit {
                self.list.push(value);
                if self.bug == Bug::CommitsInTwoRecords {
                    self.outputs.persist(Record::Appended { value });
                }
            }
            self.outputs.deliver_when_durable(Delivery::Decided { transaction, is_commit });
        }
        if is_commit {
            let acknowledge = Message::Acknowledge { transaction };
            self.outputs.send_when_durable(transaction.coordinator, acknowledge);
        }
    }

    /// Asks again for whatever did not come.
    fn ask_again(&mut self, now: Instant) {
        for transaction in self.coordinated.keys().copied().collect::<Vec<_>>() {
            let it = &self.coordinated[&transaction];
            match it.stage {
                Stage::Voting if it.give_up_at <= now => self.abort(transaction),
                Stage::Voting => {
                    let (missing, value) = (it.missing.clone(), it.value);
                    for to in missing {
                        self.outputs.send(to, Message::Prepare { transaction, value });
                    }
                }
                Stage::Logging(_) => {}
                Stage::Committed => self.tell_commit(transaction),
            }
        }
        if let Some((transaction, _)) = self.prepared {
            if self.bug == Bug::AbortsAlone {
                return self.decide(transaction, false);
            }
            self.outputs.send_when_durable(transaction.coordinator, Message::Ask { transaction });
        }
    }
}

impl Protocol for Shard {
    type Message = Message;
    type Record = Record;
    type Query = std::convert::Infallible;
    type Answer = std::convert::Infallible;
    type Delivery = Delivery;
    type Event = std::convert::Infallible;

    fn handle_message(&mut self, _: Instant, from: NodeId, message: Message) {
        match message {
            _ if self.bug == Bug::Idles => {}
            Message::Prepare { transaction, value } => self.prepare(transaction, value),
            Message::Yes { transaction, found } => self.take_yes(from, transaction, found),
            Message::No { transaction } => self.abort(transaction),
            Message::Decide { transaction, is_commit } => self.decide(transaction, is_commit),
            Message::Acknowledge { transaction } => self.take_acknowledgement(from, transaction),
            Message::Ask { transaction } => self.take_question(from, transaction),
        }
    }

    fn handle_persisted(&mut self, _: Instant, write: WriteId) {
        self.outputs.handle_persisted(write);
        let is_logged = |it: &Coordinated| matches!(it.stage, Stage::Logging(at) if at <= write);
        let logged: Vec<Transaction> = self
            .coordinated
            .iter()
            .filter(|(_, it)| is_logged(it))
            .map(|(transaction, _)| *transaction)
            .collect();
        for transaction in logged {
            if let Some(it) = self.coordinated.get_mut(&transaction) {
                it.stage = Stage::Committed;
            }
            self.tell_commit(transaction);
        }
    }

    fn handle_fetched(&mut self, _: Instant, _: FetchId, answer: Self::Answer) {
        match answer {}
    }

    fn handle_timeout(&mut self, now: Instant) {
        if self.deadline.is_some_and(|at| at <= now) {
            self.deadline = Some(now + AGAIN_AFTER);
            self.ask_again(now);
        }
    }

    fn poll_output(&mut self) -> Option<OutputOf<Self>> {
        self.outputs.poll()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.deadline
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl fmt::Display for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

/// How soon what was not answered is asked again.
const AGAIN_AFTER: Duration = Duration::from_millis(100);
/// How long a coordinator waits for votes.
const GIVE_UP_AFTER: Duration = Duration::from_millis(500);
