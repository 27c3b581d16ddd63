//! Laws of the outbound side, over any order of calls.

use proptest::prelude::*;
use quorate_core::{NodeId, Output, Outputs, WriteId};

#[derive(Clone, Debug)]
enum Call {
    Persist,
    Send,
    SendWhenDurable,
    /// Reports the writes so far, but for as many of the last ones.
    PersistedBut(u64),
    DiscardHeld,
    Poll,
}

fn calls() -> impl Strategy<Value = Vec<Call>> {
    let call = prop_oneof![
        Just(Call::Persist),
        Just(Call::Send),
        Just(Call::SendWhenDurable),
        (0..4_u64).prop_map(Call::PersistedBut),
        Just(Call::DiscardHeld),
        Just(Call::Poll),
    ];
    prop::collection::vec(call, 0..200)
}

/// What a message says: how many writes it speaks of.
type Spoken = u64;

proptest! {
    #[test]
    fn no_send_speaks_of_a_pending_write(calls in calls()) {
        let mut outputs: Outputs<Output<Spoken, ()>> = Outputs::default();
        let (mut written, mut durable) = (0, 0);
        for call in calls {
            match call {
                Call::Persist => written = outputs.persist(()).0,
                Call::Send => outputs.send(NodeId(1), 0),
                Call::SendWhenDurable => outputs.send_when_durable(NodeId(1), written),
                Call::PersistedBut(pending) => {
                    let write = written.saturating_sub(pending);
                    outputs.handle_persisted(WriteId(write));
                    durable = durable.max(write);
                }
                Call::DiscardHeld => outputs.discard_held(),
                Call::Poll => {
                    if let Some(Output::Send { message: spoken, .. }) = outputs.poll() {
                        prop_assert!(spoken <= durable);
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_discarded_never_leaves_and_the_rest_does(calls in calls()) {
        let mut outputs: Outputs<Output<u64, ()>> = Outputs::default();
        let (mut written, mut durable, mut last) = (0, 0, 0);
        // What is to leave: after which write, and its number.
        let mut expected: Vec<(u64, u64)> = Vec::new();
        let mut left = Vec::new();
        for call in calls {
            last += 1;
            match call {
                Call::Persist => written = outputs.persist(()).0,
                Call::Send => {
                    outputs.send(NodeId(1), last);
                    expected.push((0, last));
                }
                Call::SendWhenDurable => {
                    outputs.send_when_durable(NodeId(1), last);
                    expected.push((written, last));
                }
                Call::PersistedBut(pending) => {
                    let write = written.saturating_sub(pending);
                    outputs.handle_persisted(WriteId(write));
                    durable = durable.max(write);
                }
                Call::DiscardHeld => {
                    outputs.discard_held();
                    expected.retain(|(write, _)| *write <= durable);
                }
                Call::Poll => left.extend(outputs.poll()),
            }
        }
        outputs.handle_persisted(WriteId(written));
        left.extend(std::iter::from_fn(|| outputs.poll()));
        let sent = |output| match output {
            Output::Send { message, .. } => Some(message),
            _ => None,
        };
        let mut sent: Vec<u64> = left.into_iter().filter_map(sent).collect();
        sent.sort_unstable();
        let expected: Vec<u64> = expected.into_iter().map(|(_, number)| number).collect();
        prop_assert_eq!(sent, expected);
    }

    #[test]
    fn once_all_is_durable_nothing_is_held(calls in calls()) {
        let mut outputs: Outputs<Output<Spoken, ()>> = Outputs::default();
        let mut last = WriteId::default();
        for call in calls {
            match call {
                Call::Persist => last = outputs.persist(()),
                _ => outputs.send_when_durable(NodeId(1), last.0),
            }
        }
        outputs.handle_persisted(last);
        let pending = outputs.len();
        let polled = std::iter::from_fn(|| outputs.poll()).count();
        prop_assert_eq!(polled, pending);
        prop_assert!(outputs.is_empty());
    }
}
