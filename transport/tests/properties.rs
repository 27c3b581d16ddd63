//! Laws of frames, over any input.

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;
use quorate_core::NodeId;
use quorate_transport::{Decoder, Frame, FrameError, Hello};

proptest! {
    /// Whatever the socket gives at a time, the same frames come out.
    #[test]
    fn frames_do_not_depend_on_how_the_stream_is_cut(
        frames in prop::collection::vec(frame(), 0..5),
        cuts in prop::collection::vec(1..40_usize, 1..20),
    ) {
        let bytes = encode(&frames);
        let mut decoder = Decoder::new(MAX);
        let (mut found, mut rest, mut cuts) = (Vec::new(), &bytes[..], cuts.into_iter().cycle());
        while !rest.is_empty() {
            let (stretch, behind) = rest.split_at(cuts.next().unwrap_or(1).min(rest.len()));
            decoder.buffer().extend_from_slice(stretch);
            rest = behind;
            while let Some(frame) = decoder.next_frame()? {
                found.push(frame);
            }
        }
        prop_assert_eq!(found, frames);
        prop_assert_eq!(decoder.finish(), Ok(()));
    }

    /// Any flipped bit is seen, or only delays: the length may say that more is to come.
    #[test]
    fn no_flipped_bit_makes_another_frame(frame in frame(), bit in any::<prop::sample::Index>()) {
        let mut bytes = encode(std::slice::from_ref(&frame));
        let bit = bit.index(bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        let mut decoder = Decoder::new(MAX);
        decoder.buffer().extend_from_slice(&bytes);
        match decoder.next_frame() {
            Ok(Some(found)) => prop_assert!(false, "{found:?} for {frame:?}"),
            Ok(None) => {
                let is_torn = matches!(decoder.finish(), Err(FrameError::Torn { .. }));
                prop_assert!(is_torn);
            }
            Err(_) => {}
        }
    }

    /// The length is checked before room is made for it.
    #[test]
    fn no_bytes_make_the_decoder_panic_or_reserve(
        bytes in prop::collection::vec(any::<u8>(), 0..80),
    ) {
        let mut decoder = Decoder::new(MAX);
        decoder.buffer().extend_from_slice(&bytes);
        while let Ok(Some(_)) = decoder.next_frame() {}
        prop_assert!(decoder.buffer().capacity() <= 2 * MAX as usize);
        _ = Hello::decode(Bytes::from(bytes));
    }

    #[test]
    fn hello_comes_back(node: u64, cluster: u64, epoch: u64, max_frame_bytes: u32) {
        let hello = Hello { node: NodeId(node), cluster, epoch, max_frame_bytes };
        prop_assert_eq!(Hello::decode(hello.encode()), Ok(hello));
    }
}

const MAX: u32 = 1024;

fn encode(frames: &[Frame]) -> BytesMut {
    let mut out = BytesMut::new();
    frames.iter().for_each(|frame| frame.encode(&mut out));
    out
}

fn frame() -> impl Strategy<Value = Frame> {
    let body = || prop::collection::vec(any::<u8>(), 0..100).prop_map(Bytes::from);
    prop_oneof![
        body().prop_map(Frame::Hello),
        body().prop_map(Frame::Message),
        (any::<u64>(), any::<u32>(), body()).prop_map(|(id, budget_ms, body)| Frame::Request {
            id,
            budget_ms,
            body
        }),
        (any::<u64>(), any::<u16>(), body()).prop_map(|(id, status, body)| Frame::Response {
            id,
            status,
            body
        }),
        any::<u64>().prop_map(|id| Frame::Ping { id }),
    ]
}
