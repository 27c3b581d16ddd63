//! Laws over any input.

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;
use quorate_consensus::raft::{Appended, Body, HardState, Message, Record};
use quorate_consensus::{
    Entry, Index, LogId, Majority, NodeId, Outcome, Payload, Proposals, Tally, Term,
};
use quorate_core::{DecodeError, Wire};

#[path = "properties/hostile.rs"]
mod hostile;
#[path = "properties/reads.rs"]
mod reads;

proptest! {
    /// The model: try every value, take the highest that a quorum has reached.
    #[test]
    fn committed_is_the_highest_value_that_a_quorum_reached(
        reached in prop::collection::btree_map((0..50_u64).prop_map(NodeId), 0..20_u64, 1..20),
    ) {
        let voters = Majority::new(reached.keys().copied())?;
        let supporters = |value| reached.values().filter(|&&it| value <= it).count();
        let expect = (0..20).filter(|&value| voters.quorum() <= supporters(value)).max();
        prop_assert_eq!(Some(voters.committed(|node| reached[&node])), expect);
    }

    /// The model: whoever is silent says yes to see whether it can be won, and no to see whether it
    /// can be lost.
    #[test]
    fn a_vote_is_pending_while_the_silent_decide(
        votes in prop::collection::btree_map(
            (0..9_u64).prop_map(NodeId), any::<Option<bool>>(), 1..9,
        ),
    ) {
        let voters = Majority::new(votes.keys().copied())?;
        let wins = |silent| {
            let yes = votes.values().filter(|vote| vote.unwrap_or(silent)).count();
            voters.quorum() <= yes
        };
        let expect = match (wins(false), wins(true)) {
            (true, _) => Tally::Won,
            (false, true) => Tally::Pending,
            (false, false) => Tally::Lost,
        };
        prop_assert_eq!(voters.tally(|node| votes[&node]), expect);
    }

    /// The model: an entry that is delivered at the index of a proposal decides it.
    #[test]
    fn each_proposal_has_exactly_one_outcome(
        terms in prop::collection::vec(1..5_u64, 1..30),
        proposed in prop::collection::btree_set((1..5_u64, 1..30_u64), 0..30),
    ) {
        let mut terms = terms;
        terms.sort_unstable();
        // Whoever leads in a later term has what was committed in an earlier one.
        let is_possible = |&(term, index): &(u64, u64)| {
            let delivered = usize::try_from(index - 1).ok().and_then(|at| terms.get(at));
            delivered.is_none_or(|it| term <= *it)
        };
        let proposed: std::collections::BTreeSet<_> =
            proposed.into_iter().filter(is_possible).collect();
        let mut proposals = Proposals::new(100);
        for &(term, index) in &proposed {
            proposals.insert(id(index, term), (term, index))?;
        }
        let mut settled = Vec::new();
        for (index, &term) in (1..).zip(&terms) {
            let entry = Entry { index: Index(index), term: Term(term), payload: Payload::Blank };
            settled.extend(proposals.settle(&entry));
        }
        for &((term, index), outcome) in &settled {
            let delivered = usize::try_from(index - 1).ok().and_then(|at| terms.get(at));
            match outcome {
                Outcome::Done => prop_assert_eq!(delivered, Some(&term)),
                Outcome::Lost => prop_assert_ne!(delivered, Some(&term)),
            }
        }
        let decided = |&&(term, index): &&(u64, u64)| {
            usize::try_from(index).expect("small") <= terms.len()
                && terms.last().is_some_and(|last| term <= *last)
        };
        let must: Vec<_> = proposed.iter().filter(decided).copied().collect();
        let settled: std::collections::BTreeSet<_> = settled.into_iter().map(|it| it.0).collect();
        prop_assert!(must.iter().all(|it| settled.contains(it)), "{must:?} in {settled:?}");
        prop_assert_eq!(settled.len() + proposals.len(), proposed.len());
    }

    #[test]
    fn decode_undoes_encode(message in message(), record in record(), behind: [u8; 3]) {
        prop_assert_eq!(round_trip(&message, &behind), Ok(message));
        prop_assert_eq!(round_trip(&record, &behind), Ok(record));
    }

    #[test]
    fn a_message_cut_anywhere_is_refused(message in message(), record in record()) {
        prop_assert_eq!(first_good_cut(&message), None);
        prop_assert_eq!(first_good_cut(&record), None);
    }

    #[test]
    fn no_bytes_make_decode_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        _ = Message::decode(&mut Bytes::from(bytes.clone()));
        _ = Record::decode(&mut Bytes::from(bytes));
    }
}

#[test]
fn no_messages_make_a_node_panic() {
    (0..HOSTILE_SEEDS).for_each(hostile::run);
}

const HOSTILE_SEEDS: u64 = 3000;

fn round_trip<W: Wire>(value: &W, behind: &[u8]) -> Result<W, DecodeError> {
    let mut out = BytesMut::new();
    value.encode(&mut out);
    out.extend_from_slice(behind);
    let mut input = out.freeze();
    let decoded = W::decode(&mut input)?;
    assert_eq!(&input[..], behind, "it takes no more than its own");
    Ok(decoded)
}

/// Returns the first place where the value can be cut, and still decodes.
fn first_good_cut<W: Wire>(value: &W) -> Option<usize> {
    let mut out = BytesMut::new();
    value.encode(&mut out);
    let whole = out.freeze();
    (0..whole.len()).find(|&end| W::decode(&mut whole.slice(..end)).is_ok())
}

fn id(index: u64, term: u64) -> LogId {
    LogId { term: Term(term), index: Index(index) }
}

fn log_id() -> impl Strategy<Value = LogId> {
    (number(), 0..6_u64).prop_map(|(index, term)| id(index, term))
}

/// Mostly small, sometimes absurd.
fn number() -> impl Strategy<Value = u64> {
    prop_oneof![8 => 0..8_u64, 1 => u64::MAX - 4..=u64::MAX]
}

fn entries(first: u64) -> impl Strategy<Value = Vec<Entry>> {
    let payload = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..20).prop_map(|it| Payload::Data(it.into())),
        Just(Payload::Blank),
    ];
    let count = usize::try_from(u64::MAX - first).unwrap_or(usize::MAX).min(4);
    prop::collection::vec((0..6_u64, payload), 0..=count).prop_map(move |entries| {
        let indexes = (first..).map(Index);
        let entry = |(index, (term, payload))| Entry { index, term: Term(term), payload };
        indexes.zip(entries).map(entry).collect()
    })
}

fn message() -> impl Strategy<Value = Message> {
    let append = (log_id(), number(), number())
        .prop_filter("an append has an index behind it", |(id, ..)| id.index.0 < u64::MAX)
        .prop_flat_map(|(previous, round, commit)| {
            entries(previous.index.0 + 1).prop_map(move |entries| Body::Append {
                round,
                previous,
                commit_index: Index(commit),
                entries,
            })
        });
    let body = prop_oneof![
        (log_id(), any::<bool>())
            .prop_map(|(last, is_pre_vote)| Body::VoteRequest { last, is_pre_vote }),
        any::<[bool; 2]>().prop_map(|[is_pre_vote, granted]| Body::Vote { is_pre_vote, granted }),
        (number(), number())
            .prop_map(|(round, index)| Body::Beat { round, commit_index: Index(index) }),
        (number(), number(), number()).prop_map(|(round, received, matched)| Body::BeatReply {
            round,
            received: Index(received),
            matched: Index(matched)
        }),
        append,
        (number(), number()).prop_map(|(round, index)| Body::AppendReply {
            round,
            result: Appended::Matched(Index(index))
        }),
        (number(), number(), log_id()).prop_map(|(round, previous, hint)| Body::AppendReply {
            round,
            result: Appended::Rejected { previous: Index(previous), hint }
        }),
    ];
    let term = prop_oneof![9 => 0..6_u64, 1 => Just(u64::MAX)];
    (term, body).prop_map(|(term, body)| Message { term: Term(term), body })
}

fn record() -> impl Strategy<Value = Record> {
    prop_oneof![
        (any::<u64>(), any::<Option<u64>>()).prop_map(|(term, vote)| {
            Record::HardState(HardState { term: Term(term), vote: vote.map(NodeId) })
        }),
        entries(7)
            .prop_filter("a record is never empty", |entries| !entries.is_empty())
            .prop_map(Record::Entries),
    ]
}
