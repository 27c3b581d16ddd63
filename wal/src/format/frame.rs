//! One record, or one change of the log, on disk.
//!
//! ```text
//! offset  bytes  field           meaning
//!      0      4  head_crc        of bytes 4..24, start value salt
//!      4      4  payload_bytes   length of the payload
//!      8      8  tag             index << 8 | kind << 4 | flags
//!     16      4  durable_offset  bytes of this segment known to be synced: the promise
//!     20      4  payload_crc     of the payload, start value salt
//!     24      n  payload         padded to a multiple of 8
//!
//! kind  1 Data            payload is the record
//!       2 TruncateSuffix  from u64: records from there on are gone
//!       3 TruncatePrefix  to u64: records before are gone; beyond the end, the log goes on there
//!       4 State           payload is the caller's state
//!       5 Mark            nothing; its promise certifies all before it
//!       6 Seal            the footer: see `seal`
//! flags 1 BatchEnd: what stands between two of them is kept or lost as one
//!       2 Encoded: the codec of the header was applied (not in this version)
//! index a Data frame's own; else that of the record due where the frame stands
//! ```
//!
//! Two checksums: behind a rotten payload the walk goes on, and the head names the record. The
//! promise is filled in when a group is handed to the disk: whoever finds a bad frame before a
//! promise that covers it knows that it was durable, and so that this is damage and no torn write.

use bytes::{BufMut as _, BytesMut};

use crate::error::Why;
use crate::format::{crc, padded, to_usize, u32_at, u64_at};

/// What a frame does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    Data,
    TruncateSuffix,
    TruncatePrefix,
    State,
    Mark,
    Seal,
}

/// A head whose checksum is right.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Head {
    pub(crate) payload_bytes: u32,
    pub(crate) index: u64,
    pub(crate) kind: Kind,
    pub(crate) is_batch_end: bool,
    pub(crate) durable_offset: u32,
    pub(crate) payload_crc: u32,
}

/// A frame in a buffer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame<'a> {
    pub(crate) head: Head,
    /// The 24 bytes of the head.
    pub(crate) head_bytes: &'a [u8],
    pub(crate) payload: &'a [u8],
}

impl Head {
    /// Reads the head at `offset` of a segment.
    ///
    /// A head whose checksum is right but that says what this version does not know is
    /// [`Why::Unknown`]: never a torn write.
    pub(crate) fn decode(segment: &[u8], offset: usize, salt: u32) -> Result<Self, Why> {
        let bytes = segment.get(offset..).and_then(|it| it.get(..HEAD_BYTES)).ok_or(Why::Short)?;
        if crc(salt, &bytes[4..]) != u32_at(bytes, 0) {
            return Err(Why::Head);
        }
        Self::parse(bytes).ok_or(Why::Unknown)
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let tag = u64_at(bytes, TAG_AT);
        let kind = Kind::from_tag(tag).filter(|_| tag & 0xe == 0)?;
        Some(Self {
            payload_bytes: u32_at(bytes, 4),
            index: tag >> 8,
            kind,
            is_batch_end: tag & BATCH_END != 0,
            durable_offset: u32_at(bytes, 16),
            payload_crc: u32_at(bytes, 20),
        })
    }

    /// Returns the bytes from this head to the next.
    pub(crate) fn frame_bytes(&self) -> usize {
        HEAD_BYTES + padded(to_usize(self.payload_bytes))
    }
}

impl Kind {
    const fn from_tag(tag: u64) -> Option<Self> {
        Some(match (tag >> 4) & 0xf {
            1 => Self::Data,
            2 => Self::TruncateSuffix,
            3 => Self::TruncatePrefix,
            4 => Self::State,
            5 => Self::Mark,
            6 => Self::Seal,
            _ => return None,
        })
    }

    const fn number(self) -> u64 {
        match self {
            Self::Data => 1,
            Self::TruncateSuffix => 2,
            Self::TruncatePrefix => 3,
            Self::State => 4,
            Self::Mark => 5,
            Self::Seal => 6,
        }
    }
}

impl<'a> Frame<'a> {
    /// Reads the frame at `offset` of a segment, and checks all of it.
    pub(crate) fn decode(segment: &'a [u8], offset: usize, salt: u32) -> Result<Self, Why> {
        let head = Head::decode(segment, offset, salt)?;
        let frame = segment[offset..].get(..head.frame_bytes()).ok_or(Why::Short)?;
        let (head_bytes, rest) = frame.split_at(HEAD_BYTES);
        let (payload, padding) = rest.split_at(to_usize(head.payload_bytes));
        if crc(salt, payload) != head.payload_crc {
            return Err(Why::Payload);
        }
        if padding.iter().any(|byte| *byte != 0) {
            return Err(Why::Padding);
        }
        Ok(Self { head, head_bytes, payload })
    }

    /// Reads the frame at `offset` of frames that this process made.
    pub(crate) fn trust(frames: &'a [u8], offset: usize) -> Self {
        let head_bytes = &frames[offset..offset + HEAD_BYTES];
        let head = Head::parse(head_bytes).expect("this process made it");
        let payload = &frames[offset + HEAD_BYTES..][..to_usize(head.payload_bytes)];
        Self { head, head_bytes, payload }
    }
}

/// Appends a frame to `out`, but for what [`finish`] fills in.
///
/// # Panics
///
/// If the payload is longer than 4 GiB: sizes are checked where records enter the log.
pub(crate) fn put(out: &mut BytesMut, kind: Kind, index: u64, payload: &[u8], salt: u32) {
    let payload_bytes = u32::try_from(payload.len()).expect("`Config` limits records");
    out.reserve(HEAD_BYTES + padded(payload.len()));
    let mut head = [0; HEAD_BYTES];
    head[4..8].copy_from_slice(&payload_bytes.to_le_bytes());
    head[TAG_AT..16].copy_from_slice(&(index << 8 | kind.number() << 4).to_le_bytes());
    head[20..].copy_from_slice(&crc(salt, payload).to_le_bytes());
    out.put_slice(&head);
    out.put_slice(payload);
    out.put_bytes(0, padded(payload.len()) - payload.len());
}

/// Marks the frame at `at`, the last of its batch.
pub(crate) fn end_batch(frames: &mut [u8], at: usize) {
    frames[at + TAG_AT] |= 1;
}

/// Fills in the promise and the checksum of each head in `frames`.
pub(crate) fn finish(frames: &mut [u8], durable_offset: u32, salt: u32) {
    let mut at = 0;
    while at < frames.len() {
        let head = &mut frames[at..at + HEAD_BYTES];
        head[16..20].copy_from_slice(&durable_offset.to_le_bytes());
        let head_crc = crc(salt, &head[4..]);
        head[..4].copy_from_slice(&head_crc.to_le_bytes());
        at += HEAD_BYTES + padded(to_usize(u32_at(head, 4)));
    }
}

/// Bytes of a frame before its payload.
pub(crate) const HEAD_BYTES: usize = 24;

const TAG_AT: usize = 8;

const BATCH_END: u64 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    fn hello() -> BytesMut {
        let mut out = BytesMut::new();
        put(&mut out, Kind::Data, 7, b"hello", 3);
        end_batch(&mut out, 0);
        finish(&mut out, 64, 3);
        out
    }

    #[test]
    fn a_frame_cut_anywhere_is_short() {
        let whole = hello();
        for len in 0..whole.len() {
            assert_eq!(Frame::decode(&whole[..len], 0, 3).err(), Some(Why::Short), "cut at {len}");
        }
        let frame = Frame::decode(&whole, 0, 3).expect("it is whole");
        assert_eq!(
            (frame.head.index, frame.head.durable_offset, frame.payload),
            (7, 64, &b"hello"[..])
        );
    }

    #[test]
    fn every_flipped_bit_is_seen() {
        for bit in 0..hello().len() * 8 {
            let mut bytes = hello();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(Frame::decode(&bytes, 0, 3).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn zeros_and_other_salts_are_no_frame() {
        for salt in (1..1_000).step_by(2).filter(|salt| *salt != 3) {
            assert_eq!(Head::decode(&[0; HEAD_BYTES], 0, salt).err(), Some(Why::Head));
            assert_eq!(Head::decode(&hello(), 0, salt).err(), Some(Why::Head));
        }
    }
}
