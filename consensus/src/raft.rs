//! Raft: one log, the same on every node, as long as a majority of them works.
//!
//! Source: Ongaro and Ousterhout, "In Search of an Understandable Consensus Algorithm" (2014);
//! Ongaro, "Consensus: Bridging Theory and Practice" (2014), here called the thesis.
//!
//! ```text
//!  election_at passed       would win            own vote durable, quorum
//!   +----------+       +---------------+       +-----------+       +--------+
//!   | Follower | ----> | pre-candidate | ----> | Candidate | ----> | Leader |
//!   +----------+       +---------------+       +-----------+       +--------+
//!        ^ a later term, or a leader of this one   |                    |
//!        +-----------------------------------------+-- no quorum heard -+
//!
//!  client          leader                  follower              storage of each
//!    | propose       |                        |
//!    | ------------> | persist entries -------------------------> |
//!    |               | Append                 |                   |
//!    |               | ---------------------> | persist entries   |
//!    |               |           AppendReply  |  (then durable)   |
//!    |               | <--------------------- | <---------------- |
//!    |   Committed   | a quorum is durable    |                   |
//!    | <------------ |                        |
//! ```
//!
//! What leaves when: no message carries a term that is not durable. Beyond that, votes and
//! acknowledgements wait for the disk; appends, beats, and questions do not (thesis, 10.2.1). What
//! is proposed between two drains becomes one record and one append per follower.
//!
//! The election is in `raft/election.rs`, the log's way to the followers in
//! `raft/replication.rs`, commit and delivery in `raft/commit.rs`, reads in `raft/read.rs`.
//!
//! Left out so far: snapshots and compaction, change of members, transfer, reads at followers.

mod commit;
mod config;
mod election;
mod log;
mod message;
mod progress;
mod propose;
mod read;
mod record;
mod replication;
mod restore;
mod rounds;
mod status;

use std::collections::{BTreeMap, VecDeque};
use std::fmt;

use quorate_core::{FetchId, Instant, NodeId, OutputOf, Outputs, Protocol, SplitMix64, WriteId};

use crate::{Entry, Index, Term};
use log::Log;
use progress::Progress;
use read::{ConfirmedReads, Reads};
use rounds::Rounds;

pub use config::{Config, ConfigError};
pub use message::{Appended, Body, Message};
pub use propose::ProposeError;
pub use read::{ReadError, ReadId};
pub use record::{Answer, HardState, Query, Record};
pub use restore::RestoreError;
pub use status::{Role, Stats, Status};

/// One node of a Raft cluster.
///
/// # Invariants
///
/// - `hard_state.term` never falls; a vote is given at most once in a term.
/// - `commit_index` and `last_delivered` never fall; what is delivered is committed.
/// - `commit_index <= log.last_index()`; nothing at or before it is ever truncated.
/// - `unsaved_from` is set only in a leader; a leader's term and vote are durable.
///
/// # Examples
///
/// A cluster of one, which needs nobody's consent but its disk's:
///
/// ```
/// use quorate_consensus::raft::{Config, Delivery, Raft, Role};
/// use quorate_consensus::{Instant, Majority, NodeId, Protocol as _};
/// use quorate_core::Output;
///
/// let config = Config::new(NodeId(1), Majority::new([NodeId(1)])?);
/// let mut raft = Raft::new(config, 42, Instant::default())?;
///
/// // Its election timeout passes. It votes for itself, and leads once the vote is durable.
/// let now = raft.poll_timeout().expect("a follower waits for its leader");
/// raft.handle_timeout(now);
/// while let Some(output) = raft.poll_output() {
///     if let Output::Persist { write, .. } = output {
///         raft.handle_persisted(now, write);
///     }
/// }
/// assert_eq!(raft.status().role, Role::Leader);
///
/// // A proposal is delivered once it is durable, too.
/// let index = raft.propose(now, "x=1".into())?;
/// let Some(Output::Persist { write, .. }) = raft.poll_output() else { unreachable!() };
/// assert_eq!(raft.poll_output(), None);
/// raft.handle_persisted(now, write);
/// let Some(Output::Deliver(Delivery::Committed(entries))) = raft.poll_output() else {
///     unreachable!()
/// };
/// assert_eq!(entries.last().map(|entry| entry.index), Some(index));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "replicated log")]
#[doc(alias = "leader and followers")]
#[derive(Clone, Debug, PartialEq)]
pub struct Raft {
    config: Config,
    random: SplitMix64,
    /// The latest time seen.
    now: Instant,
    hard_state: HardState,
    /// The last write of a hard state: what it says may be told once that is durable.
    hard_state_write: WriteId,
    state: State,
    /// Who leads in this term, as far as is known.
    leader: Option<NodeId>,
    /// When a leader was last heard.
    heard_at: Option<Instant>,
    /// The last index taken in from the leader of this term.
    received: Index,
    /// When to campaign, unless a leader is heard.
    election_at: Instant,
    log: Log,
    /// The first entry of the log that is not handed to storage.
    unsaved_from: Option<Index>,
    /// What is handed to storage and not durable, oldest first.
    unpersisted: VecDeque<Unpersisted>,
    unpersisted_bytes: usize,
    commit_index: Index,
    last_delivered: Index,
    last_read: ReadId,
    confirmed_reads: ConfirmedReads,
    /// Who waits for which answer from storage.
    fetches: BTreeMap<FetchId, Asker>,
    /// Whether one of `fetches` is for the application.
    is_fetching_deliveries: bool,
    /// When to ask storage again for what the application is due.
    fetch_again_at: Option<Instant>,
    /// Whether something gathered that leaves as one batch.
    is_flush_due: bool,
    stats: Stats,
    outputs: Outputs<Output>,
}

/// What a [`Raft`] needs done.
pub type Output = OutputOf<Raft>;

/// What the application must take, in order: the order is the meaning.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "an application must see every delivery")]
pub enum Delivery {
    /// These entries are committed, and follow the ones before without a gap.
    Committed(Vec<Entry>),
    /// A read is over. If it is `Ok`, everything up to the index was delivered before.
    Read {
        /// Which.
        read: ReadId,
        /// The index at which its answer is good, or why it has none.
        outcome: Result<Index, ReadError>,
    },
}

/// News from a [`Raft`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// This node has another role.
    RoleChanged {
        /// The new one.
        role: Role,
        /// In which term.
        term: Term,
    },
    /// This node knows of another leader, or of none any more.
    LeaderChanged {
        /// The leader.
        leader: Option<NodeId>,
        /// In which term.
        term: Term,
    },
}

#[derive(Clone, Debug, PartialEq)]
enum State {
    Follower,
    Campaign(Campaign),
    Lead(Box<Lead>),
}

/// What a candidate knows.
#[derive(Clone, Debug, PartialEq)]
struct Campaign {
    /// Whether it only asks who would vote.
    is_pre_vote: bool,
    votes: BTreeMap<NodeId, bool>,
    /// The write that makes the own vote count.
    own_vote: Option<WriteId>,
}

/// What a leader knows.
#[derive(Clone, Debug, PartialEq)]
struct Lead {
    /// Where its blank entry is: the first of its term.
    first_index: Index,
    peers: BTreeMap<NodeId, Progress>,
    rounds: Rounds,
    reads: Reads,
    beat_at: Instant,
    /// From when on the next round is a heartbeat, too.
    heartbeat_at: Instant,
    /// Payload of this term that is not delivered.
    uncommitted_bytes: usize,
}

/// Entries that are handed to storage.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Unpersisted {
    write: WriteId,
    last: Index,
    bytes: usize,
}

/// Who waits for an answer from storage.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Asker {
    /// The log of a follower, in a term that this node leads.
    Peer { node: NodeId, term: Term },
    /// The application.
    Application,
}

impl Raft {
    /// Takes in the time. It does not run backwards.
    fn observe(&mut self, now: Instant) {
        self.now = self.now.max(now);
    }

    fn lead(&self) -> Option<&Lead> {
        match &self.state {
            State::Lead(lead) => Some(lead),
            State::Follower | State::Campaign(_) => None,
        }
    }

    fn lead_mut(&mut self) -> Option<&mut Lead> {
        match &mut self.state {
            State::Lead(lead) => Some(lead),
            State::Follower | State::Campaign(_) => None,
        }
    }

    /// Sends `body` once this node's term is durable, whatever else is pending.
    fn send(&mut self, to: NodeId, body: Body) {
        let message = Message { term: self.hard_state.term, body };
        if self.outputs.is_durable(self.hard_state_write) {
            self.outputs.send(to, message);
        } else {
            self.outputs.send_when_durable(to, message);
        }
    }

    /// Sends `body` once everything handed to storage is durable.
    fn send_when_durable(&mut self, to: NodeId, body: Body) {
        let message = Message { term: self.hard_state.term, body };
        self.outputs.send_when_durable(to, message);
    }

    fn take_in(&mut self, from: NodeId, body: Body) {
        match body {
            Body::VoteRequest { last, is_pre_vote } => {
                self.handle_vote_request(from, last, is_pre_vote);
            }
            Body::Vote { is_pre_vote, granted } => self.handle_vote(from, is_pre_vote, granted),
            Body::Beat { round, commit_index } => self.handle_beat(from, round, commit_index),
            Body::BeatReply { round, received, matched } => {
                self.handle_beat_reply(from, round, received, matched);
            }
            Body::Append { round, previous, commit_index, entries } => {
                self.handle_append(from, round, previous, commit_index, entries);
            }
            Body::AppendReply { round, result } => self.handle_append_reply(from, round, result),
        }
    }

    /// Does what gathered: one record and one append per follower for many proposals.
    fn flush(&mut self) {
        self.is_flush_due = false;
        self.save();
        self.start_read_round();
        self.send_appends();
    }
}

impl Protocol for Raft {
    type Message = Message;
    type Record = Record;
    type Query = Query;
    type Answer = Answer;
    type Delivery = Delivery;
    type Event = Event;

    fn handle_message(&mut self, now: Instant, from: NodeId, message: Message) {
        self.observe(now);
        let Message { term, body } = message;
        if from == self.config.id || !self.config.voters.contains(from) {
            self.stats.ignored_strangers += 1;
        } else if self.config.max_outputs <= self.outputs.len() {
            self.stats.dropped_over_limit += 1;
        } else if term < self.hard_state.term {
            self.answer_stale(from, &body);
        } else if matches!(body, Body::VoteRequest { .. }) && self.hears_another_leader(from) {
            self.stats.ignored_candidates += 1;
        } else {
            if self.hard_state.term < term {
                self.enter_term(HardState { term, vote: None });
                self.follow(None);
            }
            self.take_in(from, body);
        }
    }

    fn handle_persisted(&mut self, now: Instant, write: WriteId) {
        self.observe(now);
        self.outputs.handle_persisted(write);
        while let Some(&Unpersisted { write: oldest, last, bytes }) = self.unpersisted.front()
            && oldest <= write
        {
            self.unpersisted.pop_front();
            self.unpersisted_bytes -= bytes;
            self.log.handle_durable(last);
        }
        self.count_own_vote(write);
        self.commit();
        self.log.evict(self.last_delivered, self.config.max_cached_bytes);
    }

    fn handle_fetched(&mut self, now: Instant, fetch: FetchId, answer: Answer) {
        self.observe(now);
        let asker = self.fetches.remove(&fetch);
        match asker.unwrap_or_else(|| panic!("fetch {fetch} is not under way")) {
            Asker::Application => self.handle_fetched_deliveries(answer),
            Asker::Peer { node, term } => self.handle_fetched_for_peer(node, term, answer),
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.observe(now);
        if self.fetch_again_at.is_some_and(|at| at <= self.now) {
            self.fetch_again_at = None;
            self.deliver_committed();
        }
        match &self.state {
            State::Lead(_) => self.handle_lead_timeout(),
            State::Follower | State::Campaign(_) if self.election_at <= self.now => {
                self.campaign();
            }
            State::Follower | State::Campaign(_) => {}
        }
    }

    fn poll_output(&mut self) -> Option<Output> {
        if self.is_flush_due && !self.outputs.is_ready() {
            self.flush();
        }
        self.outputs.poll()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let at = match &self.state {
            State::Lead(lead) => lead.beat_at.min(self.quorum_lost_at(lead)),
            State::Follower | State::Campaign(_) => self.election_at,
        };
        Some(self.fetch_again_at.map_or(at, |again_at| again_at.min(at)))
    }
}

/// How an error names the leader.
fn known(leader: Option<NodeId>) -> String {
    leader.map_or_else(String::new, |leader| format!(", {leader} is"))
}

impl fmt::Display for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Committed(entries) => {
                write!(f, "Committed ")?;
                message::write_entries(entries, f)
            }
            Self::Read { read, outcome: Ok(index) } => write!(f, "Read {read} index={index}"),
            Self::Read { read, outcome: Err(error) } => write!(f, "Read {read} refused: {error}"),
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RoleChanged { role, term } => write!(f, "RoleChanged {role} term={term}"),
            Self::LeaderChanged { leader: Some(leader), term } => {
                write!(f, "LeaderChanged {leader} term={term}")
            }
            Self::LeaderChanged { leader: None, term } => {
                write!(f, "LeaderChanged none term={term}")
            }
        }
    }
}
