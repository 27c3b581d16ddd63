//! Frozen bytes.

use bytes::BytesMut;
use quorate_core::NodeId;
use quorate_transport::{Decoder, Frame, FrameError, Hello};

/// Released bytes: a change here is a new version of the format.
#[test]
fn frames_as_bytes() {
    let request = Frame::Request { id: 2 << 32 | 1, budget_ms: 250, body: "hello".into() };
    let hello = Hello { node: NodeId(1), cluster: 2, epoch: 3, max_frame_bytes: 4096 }.encode();
    let cases = [
        (Frame::Ping { id: 1 }, "10000000206d584201080000000000000100000000000000"),
        (
            Frame::Message("hello".into()),
            "150000009d57c84a0102000000000000000000000000000068656c6c6f",
        ),
        (request, "150000001a47db3001030000fa000000010000000200000068656c6c6f"),
        (
            Frame::Response { id: 1, status: 7, body: "hi".into() },
            "1400000063519ba60104000000000000010000000000000007006869",
        ),
        (
            Frame::Hello(hello),
            "44000000db59376b010100000000000000000000000000005152543101010000 \
             0100000000000000 0200000000000000 0300000000000000 00100000 \
             00000000 00000000 0000000000000000",
        ),
    ];
    for (frame, expect) in cases {
        let mut out = BytesMut::new();
        frame.encode(&mut out);
        let found: String = out.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(found, expect.replace(' ', ""), "{frame:?}");
    }
}

/// The limit is on what the length says, whatever the rest is.
#[test]
fn an_absurd_length_is_refused_at_once() {
    for length in [0, 15, 1025, u32::MAX] {
        let mut decoder = Decoder::new(1024);
        decoder.buffer().extend_from_slice(&length.to_le_bytes());
        decoder.buffer().extend_from_slice(&[0; 4]);
        let expect = FrameError::Length { found: length, min: 16, max: 1024 };
        assert_eq!(decoder.next_frame(), Err(expect));
        assert!(decoder.buffer().capacity() < 1024);
    }
}
