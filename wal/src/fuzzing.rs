//! Doors to private codecs, for `fuzz/` alone: each asserts what holds of any bytes.
//!
//! ```text
//! as they are   decoded or refused; what is decoded has these bytes and no others
//! mended        the same, once checksums are made to fit: hardly any others do by chance
//! built         what is made of them is encoded, and decoded to what it was
//! ```

use bytes::{Bytes, BytesMut};

use crate::error::Why;
use crate::format::frame::{self, Frame, HEAD_BYTES, Head, Kind};
use crate::format::header::{HEADER_BYTES, Header};
use crate::format::seal::{Footer, Sealed};
use crate::format::{crc, padded, salt, snapshot, to_usize, u32_at, u64_at};
use crate::index::{Run, Runs, STRIDE};

/// Checks `bytes` as the start of a segment.
pub fn header(bytes: &[u8]) {
    check_header(bytes);
    let mut mended = bytes.to_vec();
    mend_header(&mut mended);
    check_header(&mended);
    let mut input = Input(bytes);
    let built = Header {
        log_id: input.u64(),
        sequence: input.u64(),
        next_index: input.u64(),
        first_index: input.u64(),
        previous_crc: input.u32(),
        state: Bytes::copy_from_slice(input.0),
    };
    let encoded = built.encode();
    assert_eq!(Header::decode(&encoded), Ok(Ok(built)));
    check_header(&encoded);
}

fn check_header(bytes: &[u8]) {
    let Ok(Ok(header)) = Header::decode(bytes) else { return };
    let encoded = header.encode();
    assert!(bytes.starts_with(&encoded), "{header:?}");
    assert_eq!(header.end(), encoded.len() as u64);
    assert_eq!(Header::decode(&encoded[..encoded.len() - 1]).err(), Some(short(&header)));
}

fn short(header: &Header) -> Why {
    if header.state.is_empty() { Why::Header } else { Why::State }
}

/// Checks `bytes` as frames in a row, in a segment with the salt `salt`.
pub fn frames(bytes: &[u8], salt: u32) {
    check_frames(bytes, salt);
    let mut mended = bytes.to_vec();
    mend_frames(&mut mended, 0, salt);
    check_frames(&mended, salt);

    let mut input = Input(bytes);
    let (index, durable_offset, tag) = (input.u64() >> 8, input.u32(), input.u32());
    let kind = KINDS[tag as usize % KINDS.len()];
    let is_batch_end = tag >> 16 & 1 != 0;
    let mut built = BytesMut::new();
    frame::put(&mut built, kind, index, input.0, salt);
    if is_batch_end {
        frame::end_batch(&mut built, 0);
    }
    frame::finish(&mut built, durable_offset, salt);
    let frame = Frame::decode(&built, 0, salt).expect("it was encoded just now");
    let head = frame.head;
    assert_eq!((head.kind, head.index, frame.payload), (kind, index, input.0));
    assert_eq!((head.durable_offset, head.is_batch_end), (durable_offset, is_batch_end));
    check_frames(&built, salt);
}

fn check_frames(bytes: &[u8], salt: u32) {
    let mut at = 0;
    while let Ok(head) = Head::decode(bytes, at, salt) {
        let other = Head::decode(bytes, at, salt ^ 1);
        assert_eq!(other.err(), Some(Why::Head), "a head of two segments");
        if let Ok(frame) = Frame::decode(bytes, at, salt) {
            assert_eq!(frame.head, head);
            let mut encoded = BytesMut::new();
            frame::put(&mut encoded, head.kind, head.index, frame.payload, salt);
            if head.is_batch_end {
                frame::end_batch(&mut encoded, 0);
            }
            frame::finish(&mut encoded, head.durable_offset, salt);
            assert_eq!(bytes[at..at + head.frame_bytes()], encoded, "{head:?}");
            let trusted = Frame::trust(bytes, at);
            assert_eq!((trusted.head, trusted.payload), (head, frame.payload));
        }
        at = at.saturating_add(head.frame_bytes());
    }
}

/// Checks `bytes` as a footer, and as a Seal and a trailer at `offset` of a segment.
pub fn footer(bytes: &[u8], offset: u32, salt: u32) {
    check_footer(bytes);
    check_sealed(bytes, offset, salt);
    let mut mended = bytes.to_vec();
    mend_frames(&mut mended, u64::from(offset), salt);
    check_sealed(&mended, offset, salt);

    let mut input = Input(bytes);
    let mut built = Footer {
        next_index: input.u64() >> 8,
        first_index: input.u64(),
        sealed_at_ms: input.u64(),
        lowest_suffix: input.u64(),
        content_crc: input.u32(),
        runs: Vec::new(),
    };
    let mut next = input.u64() >> 9;
    while !input.0.is_empty() {
        let (first, count) = (next + u64::from(input.byte()), u32::from(input.byte()) + 1);
        let samples = (0..count.div_ceil(STRIDE)).map(|_| input.u32()).collect();
        built.runs.push(Run { first, count, samples });
        next = first + u64::from(count);
    }
    let encoded = built.encode();
    assert_eq!(Footer::decode(&encoded).as_ref(), Ok(&built));
    let (seal, payload_crc) = built.seal(offset.into(), salt);
    let sealed = Sealed::decode(&seal, offset.into(), salt).expect("it was encoded just now");
    assert_eq!((&sealed.footer, sealed.payload_crc), (&built, payload_crc));
    assert_eq!(sealed.end, u64::from(offset) + seal.len() as u64);
}

fn check_footer(bytes: &[u8]) {
    let Ok(footer) = Footer::decode(bytes) else { return };
    assert_eq!(footer.encode(), bytes, "{footer:?}");
    let mut runs = Runs::from_footer(footer.runs.clone());
    for run in &footer.runs {
        assert!(runs.find(run.first).is_some() && runs.find(run.end() - 1).is_some(), "{run:?}");
    }
    // What a later segment truncates is not found any more, and the rest is.
    for run in footer.runs.iter().rev() {
        let middle = run.first + u64::from(run.count / 2);
        runs.cut(middle);
        assert_eq!(runs.find(middle), None);
        assert_eq!(runs.find(run.first).is_some(), run.first < middle);
    }
}

fn check_sealed(bytes: &[u8], offset: u32, salt: u32) {
    let Ok(sealed) = Sealed::decode(bytes, offset.into(), salt) else { return };
    let (encoded, payload_crc) = sealed.footer.seal(offset.into(), salt);
    let end = to_usize(sealed.end - u64::from(offset));
    assert_eq!(bytes[..end], encoded, "{sealed:?}");
    assert_eq!(sealed.payload_crc, payload_crc);
    check_footer(&sealed.footer.encode());
}

/// Checks `bytes` as the start of a snapshot, and as the piece `number` of one with `salt`.
pub fn snapshot(bytes: &[u8], number: u64, salt: u32) {
    check_snapshot(bytes);
    check_piece(bytes, number, salt);
    let mut mended = bytes.to_vec();
    mend_snapshot_header(&mut mended);
    check_snapshot(&mended);
    let mut mended = bytes.to_vec();
    mend_piece(&mut mended, number, salt);
    check_piece(&mended, number, salt);

    let mut input = Input(bytes);
    let (log_id, index) = (input.u64(), input.u64());
    let meta = input.0;
    let encoded = snapshot::Header::encode(log_id, index, meta);
    let header = snapshot::Header::decode(&encoded).ok().and_then(Result::ok);
    let header = header.expect("it was encoded just now");
    assert_eq!((header.log_id, header.index), (log_id, index));
    assert_eq!(header.check_meta(&encoded[snapshot::HEADER_BYTES..]), Ok(meta));
    if !bytes.is_empty() {
        let mut chunk = BytesMut::new();
        snapshot::Piece::put_chunk(&mut chunk, bytes, number, salt);
        let found = snapshot::Piece::decode(&chunk, number, salt);
        assert_eq!(found, Ok(snapshot::Piece::Chunk(bytes)));
    }
    let end = snapshot::Piece::end_mark(log_id, index, salt);
    let found = snapshot::Piece::decode(&end, index, salt);
    assert_eq!(found, Ok(snapshot::Piece::End { total: log_id, chunks: index }));
}

fn check_snapshot(bytes: &[u8]) {
    let Ok(Ok(header)) = snapshot::Header::decode(bytes) else { return };
    let Ok(meta) = header.check_meta(&bytes[snapshot::HEADER_BYTES..]) else { return };
    let encoded = snapshot::Header::encode(header.log_id, header.index, meta);
    assert!(bytes.starts_with(&encoded), "{header:?}");
    assert_eq!(header.end(), encoded.len() as u64);
}

fn check_piece(bytes: &[u8], number: u64, salt: u32) {
    let mut encoded = BytesMut::new();
    match snapshot::Piece::decode(bytes, number, salt) {
        Ok(snapshot::Piece::Chunk(data)) => {
            snapshot::Piece::put_chunk(&mut encoded, data, number, salt);
        }
        Ok(snapshot::Piece::End { total, chunks }) if chunks == number => {
            encoded.extend_from_slice(&snapshot::Piece::end_mark(total, chunks, salt));
        }
        // The reader refuses an end behind another number of chunks than it says.
        _ => return,
    }
    assert!(bytes.starts_with(&encoded));
    assert!(
        snapshot::Piece::decode(bytes, number.wrapping_add(1), salt).is_err(),
        "a piece of two places"
    );
}

/// Makes the checksums of a segment fit, as far as it has the shape of one, and what stands in them
/// for the segment before.
pub fn mend(segment: &mut [u8], previous_crc: u32) {
    if HEADER_BYTES <= segment.len() {
        segment[52..56].copy_from_slice(&previous_crc.to_le_bytes());
    }
    mend_header(segment);
    if let Ok(Ok(header)) = Header::decode(segment) {
        let start = to_usize(header.end());
        mend_frames(&mut segment[start..], header.end(), header.salt());
    }
}

/// Returns the `payload_crc` of the Seal at the end of `segment`, if it is whole.
#[must_use]
pub fn seal_crc(segment: &[u8]) -> Option<u32> {
    let header = Header::decode(segment).ok()?.ok()?;
    let trailer = segment.get(segment.len().checked_sub(16)?..)?;
    let offset = u64_at(trailer, 0);
    let tail = segment.get(usize::try_from(offset).ok()?..)?;
    Some(Sealed::decode(tail, offset, header.salt()).ok()?.payload_crc)
}

/// Makes the checksums of a snapshot fit, as far as it has the shape of one.
pub fn mend_snapshot(bytes: &mut [u8]) {
    mend_snapshot_header(bytes);
    let Ok(Ok(header)) = snapshot::Header::decode(bytes) else { return };
    let mut at = to_usize(header.end());
    let mut number = 0;
    while let Some(rest) = bytes.get_mut(at..).filter(|rest| 8 <= rest.len()) {
        let data_bytes = to_usize(u32_at(rest, 0));
        mend_piece(rest, number, header.salt());
        if data_bytes == 0 {
            break;
        }
        at = at.saturating_add(8 + padded(data_bytes));
        number += 1;
    }
}

fn mend_header(bytes: &mut [u8]) {
    if bytes.len() < HEADER_BYTES {
        return;
    }
    bytes[..8].copy_from_slice(b"QRTWAL\r\n");
    let salt = salt(u64_at(bytes, 16), u64_at(bytes, 24));
    bytes[48..52].copy_from_slice(&salt.to_le_bytes());
    let state_end = HEADER_BYTES.saturating_add(to_usize(u32_at(bytes, 12)));
    if let Some(state) = bytes.get(HEADER_BYTES..state_end) {
        let state_crc = crc(salt, state);
        bytes[56..60].copy_from_slice(&state_crc.to_le_bytes());
    }
    let header_crc = crc(0, &bytes[..60]);
    bytes[60..64].copy_from_slice(&header_crc.to_le_bytes());
}

/// Makes the checksums of `frames` fit, which begin at `offset` of a segment, up to a Seal with its
/// trailer, or to a frame that goes beyond the end.
fn mend_frames(frames: &mut [u8], offset: u64, salt: u32) {
    let mut at = 0;
    while let Some(head) = frames.get(at..).and_then(|rest| rest.get(..HEAD_BYTES)) {
        if head.iter().all(|byte| *byte == 0) {
            return;
        }
        let payload_bytes = to_usize(u32_at(head, 4));
        let is_seal = head[8] >> 4 == 6;
        let payload_at = at + HEAD_BYTES;
        let Some(payload) = frames.get(payload_at..payload_at + payload_bytes) else { return };
        let payload_crc = crc(salt, payload);
        frames[at + 20..at + 24].copy_from_slice(&payload_crc.to_le_bytes());
        let head_crc = crc(salt, &frames[at + 4..payload_at]);
        frames[at..at + 4].copy_from_slice(&head_crc.to_le_bytes());
        let seal_offset = offset + at as u64;
        at = payload_at + padded(payload_bytes);
        if is_seal {
            if let Some(trailer) = frames.get_mut(at..at + 16) {
                trailer[..8].copy_from_slice(&seal_offset.to_le_bytes());
                trailer[8..12].copy_from_slice(&payload_crc.to_le_bytes());
                let trailer_crc = crc(salt, &trailer[..12]);
                trailer[12..].copy_from_slice(&trailer_crc.to_le_bytes());
            }
            return;
        }
    }
}

fn mend_snapshot_header(bytes: &mut [u8]) {
    if bytes.len() < snapshot::HEADER_BYTES {
        return;
    }
    bytes[..8].copy_from_slice(b"QRTSNP\r\n");
    let salt = salt(u64_at(bytes, 16), u64_at(bytes, 24));
    bytes[32..36].copy_from_slice(&salt.to_le_bytes());
    let meta_end = snapshot::HEADER_BYTES.saturating_add(to_usize(u32_at(bytes, 12)));
    if let Some(meta) = bytes.get(snapshot::HEADER_BYTES..meta_end) {
        let meta_crc = crc(salt, meta);
        bytes[36..40].copy_from_slice(&meta_crc.to_le_bytes());
    }
    let header_crc = crc(0, &bytes[..60]);
    bytes[60..64].copy_from_slice(&header_crc.to_le_bytes());
}

fn mend_piece(bytes: &mut [u8], number: u64, salt: u32) {
    let Some(head) = bytes.get(..8) else { return };
    let data_bytes = to_usize(u32_at(head, 0));
    let body_bytes = if data_bytes == 0 { 16 } else { data_bytes };
    let Some(body) = bytes.get(8..8 + body_bytes) else { return };
    let start = salt.wrapping_add(u32_at(&number.to_le_bytes(), 0));
    let crc = crc(crc(start, &head[..4]), body);
    bytes[4..8].copy_from_slice(&crc.to_le_bytes());
}

/// Bytes that numbers are taken from. What is missing is zeros.
struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let mut out = [0; N];
        let count = N.min(self.0.len());
        let (taken, rest) = self.0.split_at(count);
        out[..count].copy_from_slice(taken);
        self.0 = rest;
        out
    }

    fn byte(&mut self) -> u8 {
        u8::from_le_bytes(self.take())
    }

    fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.take())
    }

    fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.take())
    }
}

const KINDS: [Kind; 6] =
    [Kind::Data, Kind::TruncateSuffix, Kind::TruncatePrefix, Kind::State, Kind::Mark, Kind::Seal];
