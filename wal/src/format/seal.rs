//! How a segment ends, once another follows.
//!
//! ```text
//! footer, the payload of the Seal frame           trailer, the last 16 bytes of the file
//!  0  8  next_index     as the segment ends        0  8  seal_offset
//!  8  8  first_index    as the segment ends        8  4  payload_crc of the Seal
//! 16  8  sealed_at_ms   wall time, 0 is unknown   12  4  crc of these 12, start value salt
//! 24  8  lowest_suffix  lowest `from` of a TruncateSuffix here, else 2^64 - 1
//! 32  4  runs           how many
//! 36  4  stride         8
//! 40  4  content_crc    of the heads of all frames before, start value previous_crc
//! 44  4  0
//! 48  .. per run: first u64, count u32, samples u32
//!     .. per run: offset / 8 (u32) of every 8th record
//! ```
//!
//! Heads hold the checksums of payloads, `content_crc` covers the heads, the Seal's `payload_crc`
//! covers that, and the next header holds the Seal's: a chain over every byte, from segment to
//! segment. A segment of a fork of the same log, such as a restored backup, does not fit in.

use std::io;

use bytes::{BufMut as _, BytesMut};
use quorate_core::File;

use crate::error::Why;
use crate::format::frame::{self, Frame, Kind};
use crate::format::{crc, to_usize, u32_at, u64_at};
use crate::index::{Run, STRIDE};
use crate::source::Source;

/// What a sealed segment says of itself.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Footer {
    pub(crate) next_index: u64,
    pub(crate) first_index: u64,
    pub(crate) sealed_at_ms: u64,
    pub(crate) lowest_suffix: u64,
    pub(crate) content_crc: u32,
    pub(crate) runs: Vec<Run>,
}

/// A Seal frame and its trailer, found at the end of a segment.
#[derive(Clone, Debug)]
pub(crate) struct Sealed {
    pub(crate) footer: Footer,
    /// What the next header holds as `previous_crc`.
    pub(crate) payload_crc: u32,
    /// Where the file ends.
    pub(crate) end: u64,
}

impl Footer {
    /// Where `sealed_at_ms` lies in it.
    pub(crate) const STAMP_AT: usize = 16;

    pub(crate) fn encode(&self) -> BytesMut {
        let mut out = BytesMut::new();
        out.put_u64_le(self.next_index);
        out.put_u64_le(self.first_index);
        out.put_u64_le(self.sealed_at_ms);
        out.put_u64_le(self.lowest_suffix);
        out.put_u32_le(u32::try_from(self.runs.len()).expect("a run has a record of 24 bytes"));
        out.put_u32_le(STRIDE);
        out.put_u32_le(self.content_crc);
        out.put_u32_le(0);
        for run in &self.runs {
            out.put_u64_le(run.first);
            out.put_u32_le(run.count);
            out.put_u32_le(u32::try_from(run.samples.len()).expect("fewer than records"));
        }
        for sample in self.runs.iter().flat_map(|run| &run.samples) {
            out.put_u32_le(*sample);
        }
        out
    }

    /// Reads a footer whose checksum was right. Its numbers are doubted all the same.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Why> {
        let fixed = bytes.get(..FIXED_BYTES).ok_or(Why::Footer)?;
        let run_count = to_usize(u32_at(fixed, 32));
        let heads = bytes[FIXED_BYTES..].get(..run_count.saturating_mul(RUN_BYTES));
        let heads = heads.ok_or(Why::Footer)?;
        let mut samples = bytes[FIXED_BYTES + heads.len()..].chunks_exact(4);
        let mut runs = Vec::new();
        let mut previous_end = 0;
        for head in heads.chunks_exact(RUN_BYTES) {
            let (first, count) = (u64_at(head, 0), u32_at(head, 8));
            let sample_count = u32_at(head, 12);
            let is_sane = previous_end <= first && first < 1 << 56 && 0 < count;
            if !is_sane || sample_count != count.div_ceil(STRIDE) {
                return Err(Why::Footer);
            }
            let taken = samples.by_ref().take(to_usize(sample_count));
            let taken: Vec<u32> = taken.map(|sample| u32_at(sample, 0)).collect();
            if taken.len() != to_usize(sample_count) {
                return Err(Why::Footer);
            }
            previous_end = first + u64::from(count);
            runs.push(Run { first, count, samples: taken });
        }
        let is_whole = samples.next().is_none() && samples.remainder().is_empty();
        if !is_whole || u32_at(fixed, 36) != STRIDE || u32_at(fixed, 44) != 0 {
            return Err(Why::Footer);
        }
        Ok(Self {
            next_index: u64_at(fixed, 0),
            first_index: u64_at(fixed, 8),
            sealed_at_ms: u64_at(fixed, 16),
            lowest_suffix: u64_at(fixed, 24),
            content_crc: u32_at(fixed, 40),
            runs,
        })
    }

    /// Returns the Seal frame at `offset` and the trailer behind it, and the Seal's `payload_crc`.
    pub(crate) fn seal(&self, offset: u64, salt: u32) -> (BytesMut, u32) {
        let promise = u32::try_from(offset).expect("`Config` keeps segments below 4 GiB");
        let payload = self.encode();
        let mut out = BytesMut::new();
        frame::put(&mut out, Kind::Seal, self.next_index, &payload, salt);
        frame::end_batch(&mut out, 0);
        frame::finish(&mut out, promise, salt);
        let payload_crc = crc(salt, &payload);
        let trailer_at = out.len();
        out.put_u64_le(offset);
        out.put_u32_le(payload_crc);
        let trailer_crc = crc(salt, &out[trailer_at..]);
        out.put_u32_le(trailer_crc);
        (out, payload_crc)
    }
}

impl Sealed {
    /// Reads the Seal at the start of `tail`, which lies at `offset` of a segment, and the trailer
    /// behind it.
    pub(crate) fn decode(tail: &[u8], offset: u64, salt: u32) -> Result<Self, Why> {
        let frame = Frame::decode(tail, 0, salt)?;
        if frame.head.kind != Kind::Seal || !frame.head.is_batch_end {
            return Err(Why::Footer);
        }
        if u64::from(frame.head.durable_offset) != offset {
            return Err(Why::Misplaced);
        }
        let trailer_at = frame.head.frame_bytes();
        let end = trailer_at + TRAILER_BYTES;
        let (seal_offset, payload_crc) =
            trailer(tail.get(trailer_at..end).ok_or(Why::Trailer)?, salt)?;
        if seal_offset != offset || payload_crc != frame.head.payload_crc {
            return Err(Why::Trailer);
        }
        let footer = Footer::decode(frame.payload)?;
        if footer.next_index != frame.head.index {
            return Err(Why::Footer);
        }
        Ok(Self { footer, payload_crc, end: offset + end as u64 })
    }

    /// Reads the Seal and the trailer at the end of a file, by a read each, however long it is.
    /// What is wrong is said with its offset.
    pub(crate) fn read<F: File>(
        source: &mut Source<'_, F>,
        salt: u32,
    ) -> io::Result<Result<Self, (u64, Why)>> {
        let file_bytes = source.len();
        let trailer_at = file_bytes.saturating_sub(TRAILER_BYTES as u64);
        let seal_at = match trailer(source.bytes(trailer_at, TRAILER_BYTES)?, salt) {
            Ok((seal_at, _)) if seal_at < trailer_at => seal_at,
            Ok(_) => return Ok(Err((trailer_at, Why::Trailer))),
            Err(why) => return Ok(Err((trailer_at, why))),
        };
        let tail = source.bytes(seal_at, to_usize(file_bytes - seal_at))?;
        Ok(match Self::decode(tail, seal_at, salt) {
            Ok(sealed) if sealed.end == file_bytes => Ok(sealed),
            Ok(_) => Err((trailer_at, Why::Trailer)),
            Err(why) => Err((seal_at, why)),
        })
    }
}

/// Reads a trailer: the offset of the Seal, and its `payload_crc`.
pub(crate) fn trailer(bytes: &[u8], salt: u32) -> Result<(u64, u32), Why> {
    if bytes.len() != TRAILER_BYTES || crc(salt, &bytes[..12]) != u32_at(bytes, 12) {
        return Err(Why::Trailer);
    }
    Ok((u64_at(bytes, 0), u32_at(bytes, 8)))
}

/// Bytes of a trailer.
pub(crate) const TRAILER_BYTES: usize = 16;

/// Bytes of a footer before its runs.
const FIXED_BYTES: usize = 48;

/// Bytes of a run before its samples.
const RUN_BYTES: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn footer() -> Footer {
        Footer {
            next_index: 3,
            first_index: 1,
            sealed_at_ms: 0,
            lowest_suffix: u64::MAX,
            content_crc: 7,
            runs: vec![Run { first: 1, count: 2, samples: vec![9] }],
        }
    }

    #[test]
    fn a_footer_has_one_spelling() {
        let mut encoded = footer().encode();
        assert_eq!(Footer::decode(&encoded), Ok(footer()));
        encoded[44] = 1;
        assert_eq!(Footer::decode(&encoded), Err(Why::Footer), "these four bytes are zeros");
    }

    #[test]
    fn a_seal_that_promises_more_or_less_than_it_may_is_none() {
        for (promise, expected) in [(128, None), (120, Some(Why::Misplaced))] {
            let (mut seal, _) = footer().seal(128, 3);
            let trailer_at = seal.len() - TRAILER_BYTES;
            frame::finish(&mut seal[..trailer_at], promise, 3);
            assert_eq!(Sealed::decode(&seal, 128, 3).err(), expected, "{promise}");
        }
    }
}
