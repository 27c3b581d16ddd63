//! Nodes whose storage let go of what every node holds.

use std::collections::VecDeque;
use std::time::Duration;

use quorate_consensus::raft::{
    Answer, Config, Delivery, HardState, Message, Raft, Record, RestoreError, Role,
};
use quorate_consensus::{Entry, Index, LogId, Majority, NodeId, Payload, Term};
use quorate_core::{Instant, Output, Protocol as _};

/// Three nodes in one room: all that is said is heard, in order, and disks take no time.
struct Room {
    nodes: Vec<Raft>,
    records: Vec<Vec<Record>>,
    delivered: Vec<Vec<Entry>>,
    messages: VecDeque<(usize, NodeId, Message)>,
    now: Instant,
}

fn config(id: usize) -> Config {
    let voters = Majority::new((1..=3).map(NodeId)).expect("there are three");
    let mut config = Config::new(NodeId(id as u64 + 1), voters);
    // So that what is behind is read from storage.
    config.max_cached_bytes = 0;
    config
}

impl Room {
    fn new() -> Self {
        let now = Instant::default();
        let node = |id| Raft::new(config(id), id as u64, now).expect("the configuration is good");
        Self {
            nodes: (0..3).map(node).collect(),
            records: vec![Vec::new(); 3],
            delivered: vec![Vec::new(); 3],
            messages: VecDeque::new(),
            now,
        }
    }

    /// Does what there is to do at one node.
    fn drain(&mut self, at: usize) {
        while let Some(output) = self.nodes[at].poll_output() {
            match output {
                Output::Send { to, message } => {
                    let to = usize::try_from(to.0 - 1).expect("small");
                    self.messages.push_back((to, NodeId(at as u64 + 1), message));
                }
                Output::Persist { write, record } => {
                    self.records[at].push(record);
                    self.nodes[at].handle_persisted(self.now, write);
                }
                Output::Fetch { fetch, query } => {
                    let quorate_consensus::raft::Query::Entries { range, .. } = query;
                    let found: Vec<Entry> = entries(&self.records[at])
                        .into_iter()
                        .filter(|entry| range.contains(&entry.index))
                        .collect();
                    let is_there = found.first().is_some_and(|it| it.index == range.start);
                    let answer =
                        if is_there { Answer::Entries(found) } else { Answer::Unavailable };
                    self.nodes[at].handle_fetched(self.now, fetch, answer);
                }
                Output::Deliver(Delivery::Committed(entries)) => self.delivered[at].extend(entries),
                Output::Deliver(_) | Output::Event(_) => {}
            }
        }
    }

    /// Lets time pass, and hears what is said.
    fn pass(&mut self, millis: u64) {
        for _ in 0..millis / 10 {
            self.now = self.now + Duration::from_millis(10);
            for at in 0..3 {
                self.nodes[at].handle_timeout(self.now);
                self.drain(at);
            }
            while let Some((to, from, message)) = self.messages.pop_front() {
                self.nodes[to].handle_message(self.now, from, message);
                self.drain(to);
            }
        }
    }

    fn leader(&self) -> usize {
        let is_leader = |node: &Raft| node.status().role == Role::Leader;
        self.nodes.iter().position(is_leader).expect("one leads")
    }

    fn propose(&mut self, count: u64) {
        let leader = self.leader();
        for _ in 0..count {
            self.nodes[leader].propose(self.now, "x".into()).expect("it leads");
            self.drain(leader);
        }
        self.pass(1_000);
    }

    /// Lets each storage forget up to `to`, and starts its node again from the rest.
    fn forget_and_restart(&mut self, to: Index) {
        for at in 0..3 {
            let all = entries(&self.records[at]);
            let term = all.iter().find(|it| it.index == to).expect("it is there").term;
            let (start, hard_state) = (LogId { term, index: to }, hard_state(&self.records[at]));
            let rest: Vec<Entry> = all.into_iter().filter(|it| to < it.index).collect();
            let mut records = vec![Record::HardState(hard_state)];
            records.extend((!rest.is_empty()).then_some(Record::Entries(rest)));
            let applied = self.delivered[at].last().expect("something was").index;
            let raft = Raft::restore_after(
                config(at),
                start,
                records.clone(),
                applied,
                at as u64,
                self.now,
            );
            self.nodes[at] = raft.expect("it holds the rest");
            self.records[at] = records;
            assert_eq!(self.nodes[at].status().start_index, to);
        }
        self.messages.clear();
    }
}

/// What the log of these records is.
fn entries(records: &[Record]) -> Vec<Entry> {
    let mut all: Vec<Entry> = Vec::new();
    for record in records {
        if let Record::Entries(entries) = record {
            let first = entries.first().map_or(Index(u64::MAX), |it| it.index);
            all.retain(|entry| entry.index < first);
            all.extend(entries.iter().cloned());
        }
    }
    all
}

fn hard_state(records: &[Record]) -> HardState {
    let states = records.iter().filter_map(|record| match record {
        Record::HardState(state) => Some(*state),
        Record::Entries(_) => None,
    });
    states.fold(HardState::default(), |_, state| state)
}

#[test]
fn a_cluster_goes_on_from_where_its_logs_begin() {
    let mut room = Room::new();
    room.pass(3_000);
    for round in 1..=4 {
        room.propose(20);
        let status = room.nodes[room.leader()].status();
        assert_eq!(status.replicated_index, status.last_index, "all have all");
        let to = Index(status.last_index.0 - 5);
        room.forget_and_restart(to);
        room.pass(3_000);
        room.propose(1);
        let counts: Vec<usize> = room.delivered.iter().map(Vec::len).collect();
        assert!(counts.iter().all(|count| *count == counts[0]), "round {round}: {counts:?}");
        let dense = room.delivered[0].iter().zip(1..).all(|(entry, index)| entry.index.0 == index);
        assert!(dense, "round {round}: each once, in order");
    }
    assert_eq!(room.delivered[0], room.delivered[1]);
    assert_eq!(room.delivered[0], room.delivered[2]);
}

#[test]
fn one_that_lags_holds_the_replicated_index_down() {
    let mut room = Room::new();
    room.pass(3_000);
    room.propose(5);
    let leader = room.leader();
    let before = room.nodes[leader].status().replicated_index;
    let lame = (leader + 1) % 3;
    for _ in 0..5 {
        room.nodes[leader].propose(room.now, "x".into()).expect("it leads");
    }
    for _ in 0..10 {
        room.now = room.now + Duration::from_millis(10);
        room.drain(leader);
        room.messages.retain(|(to, from, _)| *to != lame && from.0 != lame as u64 + 1);
        while let Some((to, from, message)) = room.messages.pop_front() {
            room.nodes[to].handle_message(room.now, from, message);
            room.drain(to);
            room.messages.retain(|(to, _, _)| *to != lame);
        }
    }
    let status = room.nodes[leader].status();
    assert!(before < status.commit_index, "two of three are enough to commit");
    assert_eq!(status.replicated_index, before, "and not to forget");
    assert_eq!(room.nodes[lame].status().replicated_index, Index::ZERO, "only a leader knows");
}

#[test]
fn a_follower_that_lost_what_is_gone_is_asked_once_a_beat() {
    let mut room = Room::new();
    room.pass(3_000);
    room.propose(20);
    let leader = room.leader();
    let to = room.nodes[leader].status().last_index;
    room.forget_and_restart(to);
    let empty = (leader + 1) % 3;
    room.nodes[empty] = Raft::new(config(empty), 3, room.now).expect("the configuration is good");
    room.records[empty].clear();
    room.pass(3_000);
    let commit = |room: &Room| room.nodes[room.leader()].status().commit_index;
    let before = commit(&room);
    room.propose(3);
    assert!(before < commit(&room), "the other two go on");
    assert_eq!(room.nodes[empty].status().last_index, Index::ZERO, "nothing can be sent to it");
    // No storm of messages: a beat and a probe for each of both, and their answers.
    let mut sent = 0;
    for _ in 0..100 {
        room.now = room.now + Duration::from_millis(10);
        for at in 0..3 {
            room.nodes[at].handle_timeout(room.now);
            room.drain(at);
        }
        while let Some((to, from, message)) = room.messages.pop_front() {
            sent += 1;
            room.nodes[to].handle_message(room.now, from, message);
            room.drain(to);
        }
    }
    assert!(sent < 200, "{sent} messages in a second");
}

#[test]
fn a_state_that_lacks_what_is_gone_is_refused() {
    let start = LogId { term: Term(2), index: Index(10) };
    let records = || {
        let entry = Entry { index: Index(11), term: Term(2), payload: Payload::Blank };
        let state = HardState { term: Term(2), vote: None };
        vec![Record::HardState(state), Record::Entries(vec![entry])]
    };
    let restore = |start, records, applied| {
        Raft::restore_after(config(0), start, records, Index(applied), 1, Instant::default())
    };
    assert!(restore(start, records(), 10).is_ok());
    let behind = restore(start, records(), 9).map(drop);
    let (applied, index) = (Index(9), Index(10));
    assert_eq!(behind, Err(RestoreError::AppliedBeforeLog { applied, start: index }));
    let before = restore(LogId { index: Index(11), ..start }, records(), 11).map(drop);
    assert_eq!(before, Err(RestoreError::Gap { last: Index(11), found: Index(11) }));
    let stateless = restore(start, Vec::new(), 10).map(drop);
    assert!(matches!(stateless, Err(RestoreError::TermFell { .. })), "{stateless:?}");
}
