//! Elections of three nodes, in every order of messages, writes, deadlines, losses and crashes.

use quorate_consensus::Majority;
use quorate_consensus::raft::{Body, Config, Message, Raft, Record, Role};
use quorate_core::{Instant, NodeId};

#[path = "../../sim/tests/exhaustive/adapter.rs"]
mod adapter;

use adapter::{Limits, Scope, explore};

/// Elections in at most two terms.
#[derive(Clone, Debug)]
struct Elections(Limits);

impl Scope for Elections {
    type Core = Raft;

    fn nodes(&self) -> u64 {
        3
    }

    fn limits(&self) -> Limits {
        self.0
    }

    fn start(&self, id: NodeId, records: &[Record], now: Instant) -> Raft {
        let voters = Majority::new((1..=3).map(NodeId)).expect("three");
        let config = Config::new(id, voters);
        Raft::restore(config, records.to_vec(), quorate_consensus::Index::ZERO, 7, now)
            .expect("it wrote this itself")
    }

    fn is_symmetric(&self) -> bool {
        true
    }

    /// What a leader says once it leads elects nobody.
    fn carries(&self, message: &Message) -> bool {
        matches!(message.body, Body::VoteRequest { .. } | Body::Vote { .. })
    }

    fn view(&self, core: &Raft) -> String {
        without_times(&format!("{core:?}"))
    }

    /// Election safety: a term has one leader. What is said of a term that is over counts as well.
    fn holds(&self, cores: &[Raft]) -> bool {
        let leaders =
            cores.iter().map(Raft::status).filter(|it| it.role == Role::Leader && it.term.0 == 2);
        let mut terms: Vec<_> = leaders.map(|it| it.term).collect();
        let count = terms.len();
        terms.sort();
        terms.dedup();
        terms.len() == count
    }

    fn is_reached(&self, cores: &[Raft]) -> bool {
        let terms: Vec<_> = cores.iter().map(Raft::status).collect();
        terms.iter().any(|it| it.role == Role::Leader)
    }

    fn is_within(&self, cores: &[Raft]) -> bool {
        cores.iter().all(|core| core.status().term.0 <= 2)
    }
}

/// Takes out what is time, chance or a count: `nanos: 17`, `state: 17` of the generator, `stats`.
fn without_times(text: &str) -> String {
    let mut kept = String::new();
    let mut rest = text;
    while let Some(at) = NOISE.iter().filter_map(|it| Some((rest.find(it)?, *it))).min() {
        let (start, noise) = at;
        kept.push_str(&rest[..start]);
        let tail = &rest[start + noise.len()..];
        let end = tail.find('}').unwrap_or(tail.len());
        rest = &tail[end..];
    }
    kept.push_str(rest);
    kept
}

const NOISE: [&str; 3] = ["Instant {", "SplitMix64 {", "Stats {"];

#[test]
fn two_terms_have_one_leader_each_whatever_happens() {
    let states = explore(Elections(Limits { timeouts: 2, crashes: 0, losses: 0 }));
    assert_eq!(states, 125_639);
}
