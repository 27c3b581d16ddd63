//! Transports that break one promise each.

use std::collections::{BTreeMap, VecDeque};
use std::future::{pending, poll_fn};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Poll, Waker};

use bytes::Bytes;
use parking_lot::Mutex;
use quorate_core::{Closed, NodeId, Transport};
use quorate_sim::kit;

use super::expect_failed;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Fault {
    None,
    DropsFrames,
    NamesTheWrongSender,
    CutsFrames,
    JoinsFrames,
    SkipsEmptyFrames,
    WaitsForUnknownNodes,
    TakesFramesBeforeTheyAreAwaited,
    NeverWakes,
    ClosesWhenIdle,
    FlipsABit,
}

#[derive(Default)]
struct Inbox {
    frames: VecDeque<(NodeId, Bytes)>,
    waker: Option<Waker>,
}

type Inboxes = Arc<Mutex<BTreeMap<NodeId, Inbox>>>;

struct Faulty {
    id: NodeId,
    inboxes: Inboxes,
    fault: Fault,
    sent: AtomicU64,
}

fn pair(fault: Fault) -> [(NodeId, Faulty); 2] {
    let inboxes = Inboxes::default();
    [1, 2].map(NodeId).map(|id| {
        inboxes.lock().insert(id, Inbox::default());
        (id, Faulty { id, inboxes: Arc::clone(&inboxes), fault, sent: AtomicU64::new(0) })
    })
}

impl Transport for Faulty {
    async fn send(&self, to: NodeId, mut frame: Bytes) {
        let sent = self.sent.fetch_add(1, Ordering::Relaxed);
        if !self.inboxes.lock().contains_key(&to) {
            if self.fault == Fault::WaitsForUnknownNodes {
                pending::<()>().await;
            }
            return;
        }
        let mut from = self.id;
        match self.fault {
            Fault::DropsFrames if sent % 50 == 49 => return,
            Fault::SkipsEmptyFrames if frame.is_empty() => return,
            Fault::NamesTheWrongSender => from = to,
            Fault::CutsFrames => frame.truncate(65_536),
            Fault::FlipsABit if 200 < frame.len() => {
                let mut bytes = frame.to_vec();
                bytes[200] ^= 1;
                frame = bytes.into();
            }
            _ => {}
        }
        let mut inboxes = self.inboxes.lock();
        let Some(inbox) = inboxes.get_mut(&to) else { return };
        let last = inbox.frames.back_mut().filter(|_| self.fault == Fault::JoinsFrames);
        match last {
            Some((_, last)) => *last = [&last[..], &frame[..]].concat().into(),
            None => inbox.frames.push_back((from, frame)),
        }
        if self.fault != Fault::NeverWakes {
            inbox.waker.take().into_iter().for_each(Waker::wake);
        }
    }

    async fn recv(&self) -> Result<(NodeId, Bytes), Closed> {
        let mut is_asked = false;
        poll_fn(|cx| {
            let mut inboxes = self.inboxes.lock();
            let inbox = inboxes.get_mut(&self.id).expect("it is there");
            let is_first = !std::mem::replace(&mut is_asked, true);
            if self.fault == Fault::TakesFramesBeforeTheyAreAwaited && is_first {
                // It is lost if nobody polls again.
                cx.waker().wake_by_ref();
                _ = (1 < inbox.frames.len()).then(|| inbox.frames.pop_front());
                return Poll::Pending;
            }
            if let Some(frame) = inbox.frames.pop_front() {
                return Poll::Ready(Ok(frame));
            }
            if self.fault == Fault::ClosesWhenIdle && 0 < self.sent.load(Ordering::Relaxed) {
                return Poll::Ready(Err(Closed));
            }
            inbox.waker = Some(cx.waker().clone());
            Poll::Pending
        })
        .await
    }
}

#[test]
fn a_transport_without_a_fault_passes() {
    kit::transport::check(|| pair(Fault::None)).expect_passed();
}

#[test]
fn each_fault_of_a_transport_is_named() {
    let faults: [(Fault, &[&str]); 10] = [
        (Fault::DropsFrames, &["many_frames_under_way_arrive"]),
        (Fault::NamesTheWrongSender, &["the_sender_is_named"]),
        (Fault::CutsFrames, &["a_large_frame_arrives_whole"]),
        (Fault::JoinsFrames, &["frames_are_neither_cut_nor_joined"]),
        (Fault::SkipsEmptyFrames, &["an_empty_frame_arrives"]),
        (Fault::WaitsForUnknownNodes, &["send_to_an_unknown_node_does_not_wait"]),
        (Fault::TakesFramesBeforeTheyAreAwaited, &["a_dropped_recv_loses_no_frame"]),
        (Fault::ClosesWhenIdle, &["recv_waits_while_nothing_comes"]),
        (Fault::NeverWakes, &["recv_is_woken_by_a_frame"]),
        (Fault::FlipsABit, &["a_frame_arrives_as_it_was_sent"]),
    ];
    // They mostly wait.
    std::thread::scope(|scope| {
        for (fault, names) in faults {
            scope.spawn(move || expect_failed(&kit::transport::check(|| pair(fault)), names));
        }
    });
}
