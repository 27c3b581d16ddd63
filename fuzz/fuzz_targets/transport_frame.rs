//! A stream of any bytes, or of whole frames, cut anywhere: no panic, no memory beyond the limit,
//! and whole frames come out as they went in.

#![no_main]

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use libfuzzer_sys::fuzz_target;
use quorate_transport::{Decoder, Frame};

fuzz_target!(|input: (bool, u16, u16, u8, &[u8])| {
    let (is_raw, max_frame_bytes, stretch_bytes, chunk_bytes, bytes) = input;
    let stretch_bytes = usize::from(stretch_bytes).max(1);
    let mut stream = BytesMut::new();
    let mut expected = VecDeque::new();
    if is_raw {
        stream.extend_from_slice(bytes);
    } else {
        for chunk in bytes.chunks(usize::from(chunk_bytes).max(1)) {
            let frame = frame(chunk);
            frame.encode(&mut stream);
            expected.push_back(frame);
        }
    }

    let mut decoder = Decoder::new(max_frame_bytes.into());
    let held_max = 8 + usize::from(max_frame_bytes) + stretch_bytes;
    for stretch in stream.chunks(stretch_bytes) {
        decoder.buffer().extend_from_slice(stretch);
        loop {
            match decoder.next_frame() {
                Ok(Some(found)) if is_raw => drop(found),
                Ok(Some(found)) => assert_eq!(Some(found), expected.pop_front()),
                Ok(None) => break,
                // A frame may be beyond the limit, but none of ours is damaged.
                Err(error) => {
                    let is_ours = matches!(error, quorate_transport::FrameError::Length { .. });
                    assert!(is_raw || is_ours, "{error}");
                    return;
                }
            }
        }
        assert!(decoder.buffer().len() <= held_max);
        assert!(decoder.buffer().capacity() <= (2 * held_max).max(BUFFER_BYTES));
    }
    assert!(is_raw || (decoder.finish().is_ok() && expected.is_empty()));
});

/// Makes a frame whose kind is drawn from its body.
fn frame(body: &[u8]) -> Frame {
    let id = body.len() as u64;
    let kind = body[0];
    let body = Bytes::copy_from_slice(body);
    match kind % 5 {
        0 => Frame::Hello(body),
        1 => Frame::Message(body),
        2 => Frame::Request { id, budget_ms: kind.into(), body },
        3 => Frame::Response { id, status: kind.into(), body },
        _ => Frame::Ping { id },
    }
}

/// What `BytesMut` takes at once for its next buffer, however little it is asked for.
const BUFFER_BYTES: usize = 64 << 10;
