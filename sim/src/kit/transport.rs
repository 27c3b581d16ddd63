//! Cases for a [`Transport`]: whole frames, their senders, and calls that do not wait.

use std::collections::BTreeSet;
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use quorate_core::{NodeId, Transport};

use super::{Checked, Report, Stop, done, ensure, expect, poll_once, real_time, wait, wait_for};

/// Checks a transport. `make` returns two ends for each case, and who they are.
///
/// The link works and has room: for a frame of 256 KiB, and for 200 small ones each way. A frame
/// may be late, come twice or overtake others, but not be lost, once one has arrived. Of the
/// frames until then some may be: a connection takes its time.
///
/// A transport that needs a runtime finds it around the call, as a [`timer`](super::timer) does.
pub fn check<T: Transport>(mut make: impl FnMut() -> [(NodeId, T); 2]) -> Report {
    let mut report = Report::new("transport");
    for (name, case) in cases() {
        report.run(name, || {
            let [one, two] = make().map(|(id, transport)| End { id, transport });
            connect(&one, &two)?;
            connect(&two, &one)?;
            case([one, two])
        });
    }
    report
}

struct End<T> {
    id: NodeId,
    transport: T,
}

type TransportCase<T> = (&'static str, fn([End<T>; 2]) -> Checked);

fn cases<T: Transport>() -> Vec<TransportCase<T>> {
    vec![
        ("a_frame_arrives_as_it_was_sent", a_frame_arrives_as_it_was_sent),
        ("the_sender_is_named", the_sender_is_named),
        ("an_empty_frame_arrives", an_empty_frame_arrives),
        ("a_large_frame_arrives_whole", a_large_frame_arrives_whole),
        ("frames_are_neither_cut_nor_joined", frames_are_neither_cut_nor_joined),
        ("many_frames_under_way_arrive", many_frames_under_way_arrive),
        ("recv_waits_while_nothing_comes", recv_waits_while_nothing_comes),
        ("recv_is_woken_by_a_frame", recv_is_woken_by_a_frame),
        ("a_dropped_recv_loses_no_frame", a_dropped_recv_loses_no_frame),
        ("send_to_an_unknown_node_does_not_wait", send_to_an_unknown_node_does_not_wait),
        ("send_to_an_absent_node_does_not_wait", send_to_an_absent_node_does_not_wait),
    ]
}

/// Says hello until it is heard. Hellos that come late are no frames of a case.
fn connect<T: Transport>(from: &End<T>, to: &End<T>) -> Checked {
    let start = real_time();
    while start.elapsed() < super::PATIENCE {
        from.send(to.id, Bytes::from_static(HELLO))?;
        if let Some(heard) = wait_for(HELLO_EVERY, to.transport.recv()) {
            let (_, frame) = done("recv", heard)?;
            return expect("the first frame", frame, Bytes::from_static(HELLO));
        }
    }
    Err(Stop::broken(format!("no frame from {:?} ever reaches {:?}", from.id, to.id)))
}

impl<T: Transport> End<T> {
    fn send(&self, to: NodeId, frame: Bytes) -> Checked {
        wait("send", self.transport.send(to, frame))
    }

    /// Returns the next frame that is no hello.
    fn recv(&self) -> Checked<(NodeId, Bytes)> {
        loop {
            let (from, frame) = done("recv", wait("recv", self.transport.recv())?)?;
            if frame != HELLO {
                return Ok((from, frame));
            }
        }
    }

    fn expect_frame(&self, expected: &Bytes) -> Checked<NodeId> {
        let (from, frame) = self.recv()?;
        ensure(frame == *expected, || {
            let (found, sent) = (frame.len(), expected.len());
            format!("another frame arrives than was sent: {found} bytes, {sent} were sent")
        })?;
        Ok(from)
    }

    /// Receives until all of `expected` have come. Others must not come.
    fn expect_frames(&self, from: NodeId, mut expected: BTreeSet<Bytes>) -> Checked {
        let sent = expected.clone();
        while !expected.is_empty() {
            let (sender, frame) = self.recv().map_err(|stop| match stop {
                Stop::Broken(why) => {
                    let (missing, count) = (expected.len(), sent.len());
                    Stop::Broken(format!("{missing} of {count} frames are missing: {why}"))
                }
                nothing @ Stop::Nothing(_) => nothing,
            })?;
            ensure(sent.contains(&frame), || {
                format!("a frame of {} bytes arrives that nobody sent", frame.len())
            })?;
            expect("the sender", sender, from)?;
            expected.remove(&frame);
        }
        Ok(())
    }
}

fn a_frame_arrives_as_it_was_sent<T: Transport>([one, two]: [End<T>; 2]) -> Checked {
    let every_byte: Vec<u8> = (0..=u8::MAX).collect();
    for (from, to) in [(&one, &two), (&two, &one)] {
        let frame = Bytes::from(every_byte.clone());
        from.send(to.id, frame.clone())?;
        to.expect_frame(&frame)?;
    }
    Ok(())
}

fn the_sender_is_named<T: Transport>([one, two]: [End<T>; 2]) -> Checked {
    for (from, to) in [(&one, &two), (&two, &one)] {
        from.send(to.id, Bytes::from_static(b"it is me"))?;
        expect("the sender", to.recv()?.0, from.id)?;
    }
    Ok(())
}

fn an_empty_frame_arrives<T: Transport>([one, two]: [End<T>; 2]) -> Checked {
    one.send(two.id, Bytes::new())?;
    two.expect_frame(&Bytes::new()).map(drop)
}

fn a_large_frame_arrives_whole<T: Transport>([one, two]: [End<T>; 2]) -> Checked {
    let bytes: Vec<u8> = (0..LARGE_BYTES).map(|at| (at % 251).to_le_bytes()[0]).collect();
    let frame = Bytes::from(bytes);
    one.send(two.id, frame.clone())?;
    two.expect_frame(&frame).map(drop)
}

fn frames_are_neither_cut_nor_joined<T: Transport>([one, two]: [End<T>; 2]) -> Checked {
    let frames: BTreeSet<Bytes> = (1..=64).map(|len| Bytes::from(vec![7; len])).collect();
    for frame in &frames {
        one.send(two.id, frame.clone())?;
    }
    two.expect_frames(one.id, frames)
}

fn many_frames_under_way_arrive<T: Transport>([one, two]: [End<T>; 2]) -> Checked {
    let frames = |name: &str| -> BTreeSet<Bytes> {
        (0..MANY).map(|number| Bytes::from(format!("{name} {number}"))).collect()
    };
    let (there, back) = (frames("there"), frames("back"));
    for (frame, answer) in there.iter().zip(&back) {
        one.send(two.id, frame.clone())?;
        two.send(one.id, answer.clone())?;
    }
    two.expect_frames(one.id, there)?;
    one.expect_frames(two.id, back)
}

fn recv_waits_while_nothing_comes<T: Transport>([one, two]: [End<T>; 2]) -> Checked {
    one.drain()?;
    match wait_for(HELLO_EVERY, one.transport.recv()) {
        None => {}
        Some(heard) => return Err(Stop::broken(format!("{heard:?} came, and was not sent"))),
    }
    // And then it is there.
    two.send(one.id, Bytes::from_static(b"late"))?;
    one.expect_frame(&Bytes::from_static(b"late")).map(drop)
}

fn recv_is_woken_by_a_frame<T: Transport>([one, two]: [End<T>; 2]) -> Checked {
    let frame = Bytes::from_static(b"wake up");
    two.drain()?;
    let mut recv = pin!(two.transport.recv());
    let mut is_sent = false;
    // The frame is sent when the other side waits already.
    let heard = poll_fn(|cx| match recv.as_mut().poll(cx) {
        Poll::Pending if !is_sent => {
            is_sent = true;
            match one.send(two.id, frame.clone()) {
                Ok(()) => Poll::Pending,
                Err(stop) => Poll::Ready(Err(stop)),
            }
        }
        polled => polled.map(|heard| done("recv", heard)),
    });
    let (_, heard) = wait("a recv that waited before the frame was sent", heard)??;
    expect("the frame", heard, frame.clone())
}

fn a_dropped_recv_loses_no_frame<T: Transport>([one, two]: [End<T>; 2]) -> Checked {
    let frames: BTreeSet<Bytes> = (0..DROPS).map(|at| Bytes::from(format!("{at}"))).collect();
    let mut left = frames.clone();
    for frame in &frames {
        // A recv that waits when the frame comes, and is dropped before it is polled again.
        {
            let mut recv = pin!(two.transport.recv());
            match poll_once(recv.as_mut()) {
                Poll::Pending => {
                    one.send(two.id, frame.clone())?;
                    super::pause(Duration::from_millis(2));
                }
                Poll::Ready(heard) => {
                    left.remove(&done("recv", heard)?.1);
                    one.send(two.id, frame.clone())?;
                }
            }
        }
    }
    two.expect_frames_of(&frames, left)
}

impl<T: Transport> End<T> {
    /// Takes what came late.
    fn drain(&self) -> Checked {
        while let Some(heard) = wait_for(HELLO_EVERY, self.transport.recv()) {
            let (_, frame) = done("recv", heard)?;
            expect("a frame before the first of the case", frame, Bytes::from_static(HELLO))?;
        }
        Ok(())
    }

    fn expect_frames_of(&self, sent: &BTreeSet<Bytes>, mut left: BTreeSet<Bytes>) -> Checked {
        while !left.is_empty() {
            let Some(heard) = wait_for(super::PATIENCE, self.transport.recv()) else {
                let (missing, count) = (left.len(), sent.len());
                return Err(Stop::broken(format!("{missing} of {count} frames are lost")));
            };
            left.remove(&done("recv", heard)?.1);
        }
        Ok(())
    }
}

fn send_to_an_unknown_node_does_not_wait<T: Transport>([one, two]: [End<T>; 2]) -> Checked {
    let unknown = NodeId(one.id.0.max(two.id.0).wrapping_add(1));
    for _ in 0..MANY {
        one.send(unknown, Bytes::from_static(b"is anybody there"))?;
    }
    // It did no harm to those who are known.
    one.send(two.id, Bytes::from_static(b"known"))?;
    two.expect_frame(&Bytes::from_static(b"known")).map(drop)
}

fn send_to_an_absent_node_does_not_wait<T: Transport>([one, two]: [End<T>; 2]) -> Checked {
    let absent = two.id;
    drop(two);
    let frame = Bytes::from(vec![7; 1_000]);
    (0..10 * MANY).try_for_each(|_| one.send(absent, frame.clone()))
}

const HELLO: &[u8] = b"hello";

/// What a peer is given to hear a hello, before the next.
const HELLO_EVERY: Duration = Duration::from_millis(20);

const LARGE_BYTES: usize = 256 << 10;

const MANY: usize = 200;

const DROPS: usize = 20;
