//! Whatever peers say, and whenever: a node ignores it or acts on it, and never panics.

use std::time::Duration;

use bytes::Bytes;
use quorate_consensus::raft::{
    Answer, Appended, Body, Config, Delivery, Message, Output, Query, Raft, Record,
};
use quorate_consensus::{
    Entry, Index, Instant, LogId, Majority, NodeId, Payload, Protocol as _, Term, WriteId,
};
use quorate_core::{FetchId, SplitMix64};

/// A node among liars.
struct Victim {
    raft: Raft,
    random: SplitMix64,
    now: Instant,
    stored: Vec<Entry>,
    fetches: Vec<(FetchId, Query)>,
    last_write: Option<WriteId>,
    last_delivered: Index,
}

/// Plays one run. It panics if the node does, or if a delivery leaves a gap.
pub(crate) fn run(seed: u64) {
    let voters = Majority::new((1..=3).map(NodeId)).expect("there are nodes");
    let mut config = Config::new(NodeId(1), voters);
    if seed.is_multiple_of(2) {
        config.max_cached_bytes = 0;
    }
    let raft = Raft::new(config, seed, Instant::default()).expect("the configuration is good");
    let mut victim = Victim {
        raft,
        random: SplitMix64::new(seed),
        now: Instant::default(),
        stored: Vec::new(),
        fetches: Vec::new(),
        last_write: None,
        last_delivered: Index::ZERO,
    };
    for _ in 0..STEPS {
        victim.step();
        victim.drain();
    }
}

impl Victim {
    fn step(&mut self) {
        match self.random.below(12) {
            0 => {
                self.now = self.now + Duration::from_millis(self.random.below(2500));
                self.raft.handle_timeout(self.now);
            }
            1 => {
                if let Some(write) = self.last_write {
                    self.raft.handle_persisted(self.now, write);
                }
            }
            2 => _ = self.raft.propose(self.now, Bytes::from_static(b"x")),
            3 => _ = self.raft.read(self.now),
            4 => self.answer(),
            _ => {
                let message = self.message();
                let from = NodeId(2 + self.random.below(2));
                self.raft.handle_message(self.now, from, message);
            }
        }
    }

    fn answer(&mut self) {
        let Some((fetch, Query::Entries { range, .. })) = self.fetches.pop() else { return };
        let found = self.stored.iter().filter(|entry| range.contains(&entry.index)).cloned();
        let entries: Vec<Entry> = found.collect();
        let is_there = !entries.is_empty() && self.random.below(3) != 0;
        let answer = if is_there { Answer::Entries(entries) } else { Answer::Unavailable };
        self.raft.handle_fetched(self.now, fetch, answer);
    }

    fn drain(&mut self) {
        while let Some(output) = self.raft.poll_output() {
            match output {
                Output::Persist { write, record } => {
                    self.last_write = Some(write);
                    if let Record::Entries(entries) = record {
                        let first = entries.first().expect("a record is never empty").index;
                        self.stored.retain(|entry| entry.index < first);
                        self.stored.extend(entries);
                    }
                }
                Output::Fetch { fetch, query } => self.fetches.push((fetch, query)),
                Output::Deliver(Delivery::Committed(entries)) => {
                    for entry in entries {
                        assert_eq!(entry.index, self.last_delivered.next(), "a gap");
                        self.last_delivered = entry.index;
                    }
                }
                Output::Deliver(_) | Output::Send { .. } | Output::Event(_) => {}
            }
        }
    }

    /// Mostly what could be true, so that it is not refused at the door.
    fn message(&mut self) -> Message {
        let now = self.raft.status().term.0;
        let term = match self.random.below(20) {
            0 => now.saturating_add(1),
            1 => now.saturating_sub(1),
            _ => now,
        };
        let body = match self.random.below(7) {
            0 => Body::VoteRequest { last: self.log_id(term), is_pre_vote: self.coin() },
            1 => Body::Vote { is_pre_vote: self.coin(), granted: self.random.below(4) != 0 },
            2 => Body::Beat { round: self.number(), commit_index: Index(self.number()) },
            3 => Body::BeatReply {
                round: self.number(),
                received: Index(self.number()),
                matched: Index(self.number()),
            },
            4 | 5 => self.append(term),
            _ => {
                let result = if self.coin() {
                    Appended::Matched(Index(self.number()))
                } else {
                    let previous = Index(self.number());
                    Appended::Rejected { previous, hint: self.log_id(term) }
                };
                Body::AppendReply { round: self.number(), result }
            }
        };
        Message { term: Term(term), body }
    }

    fn append(&mut self, term: u64) -> Body {
        let mut previous = self.log_id(term);
        if self.coin() {
            let index = Index(self.random.below(6));
            previous = LogId { index, term: self.raft.term_at(index).unwrap_or_default() };
        }
        let mut last = previous;
        let mut entries = Vec::new();
        for _ in 0..self.random.below(4) {
            let term = Term(last.term.0 + u64::from(self.random.below(3) == 0));
            last = LogId { index: Index(last.index.0.wrapping_add(1)), term };
            entries.push(Entry { index: last.index, term, payload: Payload::Blank });
        }
        let (round, commit_index) = (self.number(), Index(self.number()));
        Body::Append { round, previous, commit_index, entries }
    }

    fn log_id(&mut self, term: u64) -> LogId {
        LogId { index: Index(self.number()), term: Term(self.random.below(term.saturating_add(1))) }
    }

    /// Small, or absurd.
    fn number(&mut self) -> u64 {
        if self.random.below(40) == 0 {
            u64::MAX - self.random.below(2)
        } else {
            self.random.below(8)
        }
    }

    fn coin(&mut self) -> bool {
        self.random.below(2) == 0
    }
}

const STEPS: u32 = 300;
