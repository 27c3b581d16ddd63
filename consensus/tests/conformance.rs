//! Other people's cases, and our own frozen bytes.

use std::time::Duration;

use bytes::BytesMut;
use quorate_consensus::raft::{
    Appended, Body, Config, ConfigError, HardState, Message, Output, Raft, Record, RestoreError,
    Role,
};
use quorate_consensus::{
    Entry, Index, Instant, LogId, Majority, NodeId, Payload, Protocol as _, Tally, Term,
};
use quorate_core::{DecodeError, Wire};

type AnyError = Box<dyn std::error::Error>;

/// Source: etcd-io/raft, `quorum/testdata/majority_commit.txt`. `None` is a voter not heard of.
#[test]
fn majority_commit() -> Result<(), AnyError> {
    let cases: [(&[Option<u64>], u64); 6] = [
        (&[Some(12), Some(5)], 5),
        (&[Some(100), Some(101), Some(99)], 100),
        (&[Some(12), Some(5), None], 5),
        (&[Some(101), Some(104), Some(103), Some(103), None], 103),
        (&[Some(7)], 7),
        (&[None, None], 0),
    ];
    for (reached, expect) in cases {
        let voters = Majority::new((0..reached.len() as u64).map(NodeId))?;
        let found = voters.committed(|node| reached[at(node)].unwrap_or(0));
        assert_eq!(found, expect, "{reached:?}");
    }
    Ok(())
}

/// Source: etcd-io/raft, `quorum/testdata/majority_vote.txt`.
#[test]
fn majority_vote() -> Result<(), AnyError> {
    let cases: [(&[Option<bool>], Tally); 3] = [
        (&[Some(false), None], Tally::Lost),
        (&[Some(true), None], Tally::Pending),
        (&[Some(true), Some(true), Some(false)], Tally::Won),
    ];
    for (votes, expect) in cases {
        let voters = Majority::new((0..votes.len() as u64).map(NodeId))?;
        assert_eq!(voters.tally(|node| votes[at(node)]), expect, "{votes:?}");
    }
    Ok(())
}

/// Source: etcd-io/raft, `raft_paper_test.go`, `TestFollowerVote`.
#[test]
fn a_follower_votes_first_come_first_served() -> Result<(), AnyError> {
    let cases = [
        (None, 1, true),
        (None, 2, true),
        (Some(1), 1, true),
        (Some(2), 2, true),
        (Some(1), 2, false),
        (Some(2), 1, false),
    ];
    for (vote, asker, expect) in cases {
        let state = HardState { term: Term(1), vote: vote.map(NodeId) };
        let mut raft = restore([Record::HardState(state)])?;
        let body = Body::VoteRequest { last: LogId::default(), is_pre_vote: false };
        let answers = told(&mut raft, NodeId(asker), Message { term: Term(1), body });
        let granted = Body::Vote { is_pre_vote: false, granted: expect };
        assert_eq!(answers, [granted], "voted for {vote:?}, asked by {asker}");
    }
    Ok(())
}

/// Source: etcd-io/raft, `raft_paper_test.go`, `TestFollowerAppendEntries`.
#[test]
fn a_follower_replaces_what_conflicts_and_nothing_else() -> Result<(), AnyError> {
    // The entry before, what is appended as (index, term), the terms then.
    type Case<'a> = ((u64, u64), &'a [(u64, u64)], &'a [u64]);
    let cases: [Case<'_>; 4] = [
        ((2, 2), &[(3, 3)], &[1, 2, 3]),
        ((1, 1), &[(2, 3), (3, 4)], &[1, 3, 4]),
        ((0, 0), &[(1, 1)], &[1, 2]),
        ((0, 0), &[(1, 3)], &[3]),
    ];
    for (previous, appended, expect) in cases {
        let state = HardState { term: Term(2), vote: None };
        let before = Record::Entries(vec![entry(1, 1), entry(2, 2)]);
        let mut raft = restore([Record::HardState(state), before])?;
        let body = Body::Append {
            round: 1,
            previous: LogId { index: Index(previous.0), term: Term(previous.1) },
            commit_index: Index::ZERO,
            entries: appended.iter().map(|&(index, term)| entry(index, term)).collect(),
        };
        told(&mut raft, NodeId(2), Message { term: Term(4), body });
        let last = raft.status().last_index.0;
        let found: Vec<_> = (1..=last).filter_map(|index| raft.term_at(Index(index))).collect();
        assert_eq!(found, expect.iter().copied().map(Term).collect::<Vec<_>>(), "{previous:?}");
    }
    Ok(())
}

/// Source: etcd-io/raft, `raft_test.go`, `TestCommit`: match indexes of the followers and the
/// leader, terms of the log, term of the leader, commit index.
#[test]
fn only_an_entry_of_its_own_term_is_committed_by_counting() -> Result<(), AnyError> {
    // A new leader of term 3 whose log has terms 1 and 2 appends a blank entry at 3.
    let state = HardState { term: Term(2), vote: None };
    let before = Record::Entries(vec![entry(1, 1), entry(2, 2)]);
    let mut raft = restore([Record::HardState(state), before])?;
    let now = raft.poll_timeout().ok_or("no deadline")?;
    raft.handle_timeout(now);
    drain(&mut raft);
    let vote = |is_pre_vote| Body::Vote { is_pre_vote, granted: true };
    told(&mut raft, NodeId(2), Message { term: Term(2), body: vote(true) });
    told(&mut raft, NodeId(2), Message { term: Term(3), body: vote(false) });
    assert_eq!(raft.status().role, Role::Leader);

    for (matched, committed) in [(1, 0), (2, 0), (3, 3)] {
        let result = Appended::Matched(Index(matched));
        let body = Body::AppendReply { round: 1, result };
        told(&mut raft, NodeId(2), Message { term: Term(3), body });
        assert_eq!(raft.status().commit_index, Index(committed), "matched to {matched}");
    }
    Ok(())
}

/// Our own: what contradicts itself is refused before anything starts.
#[test]
fn a_node_does_not_start_from_what_cannot_be() -> Result<(), AnyError> {
    let one = Config::new(NodeId(1), Majority::new([NodeId(1)])?);
    let ahead = Raft::restore(one.clone(), [], Index(10), 1, Instant::default());
    let expect = RestoreError::AppliedBeyondLog { applied: Index(10), last: Index::ZERO };
    assert_eq!(ahead.err(), Some(expect));
    let gap = Record::Entries(vec![entry(2, 0)]);
    let gap = Raft::restore(one.clone(), [gap], Index::ZERO, 1, Instant::default());
    assert_eq!(gap.err(), Some(RestoreError::Gap { last: Index::ZERO, found: Index(2) }));
    let mut endless = one.clone();
    endless.heartbeat_interval = Duration::MAX;
    assert!(matches!(
        Raft::new(endless, 1, Instant::default()),
        Err(ConfigError::ElectionTimeout { .. })
    ));
    let mut stranger = one;
    stranger.id = NodeId(2);
    let refused = Raft::new(stranger, 1, Instant::default());
    assert_eq!(refused.err(), Some(ConfigError::NotAVoter { id: NodeId(2) }));
    Ok(())
}

/// Released bytes: a change here is a new version of the format.
#[test]
fn messages_and_records_as_bytes() {
    let previous = LogId { index: Index(3), term: Term(2) };
    let entries = vec![entry(4, 2), entry(5, 2)];
    let hi = Payload::Data("hi".into());
    let data = vec![Entry { index: Index(4), term: Term(2), payload: hi }];
    let message = |body| Message { term: Term(2), body };
    let cases: [(&dyn Encode, &str); 9] = [
        (
            &message(Body::VoteRequest { last: previous, is_pre_vote: true }),
            "01010100 0200000000000000 0300000000000000 0200000000000000",
        ),
        (&message(Body::Vote { is_pre_vote: false, granted: true }), "01020200 0200000000000000"),
        (
            &message(Body::Beat { round: 7, commit_index: Index(3) }),
            "01030000 0200000000000000 0700000000000000 0300000000000000",
        ),
        (
            &message(Body::BeatReply { round: 7, received: Index(3), matched: Index(2) }),
            "01040000 0200000000000000 0700000000000000 0300000000000000 0200000000000000",
        ),
        (
            &message(Body::Append { round: 7, previous, commit_index: Index(3), entries: data }),
            "01050000 0200000000000000 0700000000000000 0300000000000000 0200000000000000 \
             0300000000000000 01000000 0200000000000000 01 02000000 6869",
        ),
        (
            &message(Body::AppendReply { round: 7, result: Appended::Matched(Index(4)) }),
            "01060000 0200000000000000 0700000000000000 0400000000000000",
        ),
        (
            &message(Body::AppendReply {
                round: 7,
                result: Appended::Rejected { previous: Index(9), hint: previous },
            }),
            "01060200 0200000000000000 0700000000000000 0900000000000000 0300000000000000 \
             0200000000000000",
        ),
        (
            &Record::HardState(HardState { term: Term(2), vote: Some(NodeId(3)) }),
            "01010100 0200000000000000 0300000000000000",
        ),
        (
            &Record::Entries(entries),
            "01020000 0400000000000000 02000000 0200000000000000 02 00000000 \
             0200000000000000 02 00000000",
        ),
    ];
    for (value, expect) in cases {
        assert_eq!(value.hex(), expect.replace(' ', ""));
    }
}

#[test]
fn a_record_without_entries_is_refused() {
    let mut bytes = BytesMut::new();
    Record::Entries(vec![entry(4, 2)]).encode(&mut bytes);
    bytes[12] = 0;
    let refused = DecodeError::OutOfRange { field: "count", found: 0 };
    assert_eq!(Record::decode(&mut bytes.freeze()), Err(refused));
}

trait Encode {
    fn hex(&self) -> String;
}

impl<W: Wire> Encode for W {
    fn hex(&self) -> String {
        let mut out = BytesMut::new();
        self.encode(&mut out);
        out.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

fn at(node: NodeId) -> usize {
    usize::try_from(node.0).expect("a table is small")
}

fn entry(index: u64, term: u64) -> Entry {
    Entry { index: Index(index), term: Term(term), payload: Payload::Blank }
}

/// Node 3 of three, from its records.
fn restore<const N: usize>(records: [Record; N]) -> Result<Raft, AnyError> {
    let config = Config::new(NodeId(3), Majority::new((1..=3).map(NodeId))?);
    Ok(Raft::restore(config, records, Index::ZERO, 1, Instant::default())?)
}

/// What it says to `from`, once its disk is done.
fn told(raft: &mut Raft, from: NodeId, message: Message) -> Vec<Body> {
    raft.handle_message(Instant::default(), from, message);
    let all = drain(raft);
    all.into_iter().filter(|(to, _)| *to == from).map(|(_, message)| message.body).collect()
}

fn drain(raft: &mut Raft) -> Vec<(NodeId, Message)> {
    let mut sent = Vec::new();
    while let Some(output) = raft.poll_output() {
        match output {
            Output::Send { to, message } => sent.push((to, message)),
            Output::Persist { write, .. } => raft.handle_persisted(Instant::default(), write),
            Output::Fetch { .. } | Output::Deliver(_) | Output::Event(_) => {}
        }
    }
    sent
}
