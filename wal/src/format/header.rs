//! How a segment begins.
//!
//! ```text
//! offset  bytes  field         meaning
//!      0      8  magic         51 52 54 57 41 4c 0d 0a, "QRTWAL\r\n"
//!      8      2  version       1
//!     10      1  checksum      0: CRC-32/ISO-HDLC
//!     11      1  codec         0: none
//!     12      4  state_bytes   bytes of the state behind the header
//!     16      8  log_id        random, the same in all segments of a log
//!     24      8  sequence      as in the name
//!     32      8  next_index    of the first record to come
//!     40      8  first_index   low-water mark when the segment was made
//!     48      4  salt          low half of SplitMix64(log_id ^ sequence), first output, | 1
//!     52      4  previous_crc  payload_crc of the Seal of the segment before, or 0
//!     56      4  state_crc     of the state, start value salt
//!     60      4  header_crc    of bytes 0..60, start value 0
//!     64      n  state         the caller's, padded; frames follow
//! ```
//!
//! A segment is made under another name, synced, and renamed: *a name implies a header*. A header
//! that is bad is damage, never a creation that a crash cut short.

use std::io;

use bytes::{BufMut as _, Bytes, BytesMut};
use quorate_core::File;

use crate::error::Why;
use crate::format::{crc, padded, salt, to_usize, u16_at, u32_at, u64_at};
use crate::source::Source;

/// A header and the state behind it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Header {
    pub(crate) log_id: u64,
    pub(crate) sequence: u64,
    pub(crate) next_index: u64,
    pub(crate) first_index: u64,
    pub(crate) previous_crc: u32,
    pub(crate) state: Bytes,
}

impl Header {
    /// Returns the header as it lies on disk.
    pub(crate) fn encode(&self) -> BytesMut {
        let state_bytes = u32::try_from(self.state.len()).expect("`Config` limits the state");
        let mut out = BytesMut::with_capacity(to_usize(self.end()));
        out.put_slice(&MAGIC);
        out.put_u16_le(VERSION);
        out.put_slice(&[0, 0]);
        out.put_u32_le(state_bytes);
        for number in [self.log_id, self.sequence, self.next_index, self.first_index] {
            out.put_u64_le(number);
        }
        out.put_u32_le(self.salt());
        out.put_u32_le(self.previous_crc);
        out.put_u32_le(crc(self.salt(), &self.state));
        let header_crc = crc(0, &out);
        out.put_u32_le(header_crc);
        out.put_slice(&self.state);
        out.resize(to_usize(self.end()), 0);
        out
    }

    /// Reads the header at the start of `bytes`.
    ///
    /// `Ok(Err(version))` is a header that is whole, of a version not known here.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Result<Self, u16>, Why> {
        let fixed = bytes.get(..HEADER_BYTES).ok_or(Why::Header)?;
        if fixed[..8] != MAGIC || crc(0, &fixed[..60]) != u32_at(fixed, 60) {
            return Err(Why::Header);
        }
        if u16_at(fixed, 8) != VERSION || fixed[10] != 0 || fixed[11] != 0 {
            return Ok(Err(u16_at(fixed, 8)));
        }
        let state_end = HEADER_BYTES + to_usize(u32_at(fixed, 12));
        let state = bytes.get(HEADER_BYTES..state_end).ok_or(Why::State)?;
        let padding = bytes.get(state_end..padded(state_end)).ok_or(Why::State)?;
        let header = Self {
            log_id: u64_at(fixed, 16),
            sequence: u64_at(fixed, 24),
            next_index: u64_at(fixed, 32),
            first_index: u64_at(fixed, 40),
            previous_crc: u32_at(fixed, 52),
            state: Bytes::copy_from_slice(state),
        };
        if header.salt() != u32_at(fixed, 48) {
            return Err(Why::Header);
        }
        let is_state_right = crc(header.salt(), state) == u32_at(fixed, 56);
        if !is_state_right || padding.iter().any(|byte| *byte != 0) {
            return Err(Why::State);
        }
        Ok(Ok(header))
    }

    pub(crate) fn salt(&self) -> u32 {
        salt(self.log_id, self.sequence)
    }

    /// Returns where frames begin.
    pub(crate) fn end(&self) -> u64 {
        (HEADER_BYTES + padded(self.state.len())) as u64
    }

    /// Reads the header of a file, and the state behind it. A length is used only once the checksum
    /// of the header was right.
    pub(crate) fn read<F: File>(
        source: &mut Source<'_, F>,
    ) -> io::Result<Result<Result<Self, u16>, Why>> {
        let fixed = source.bytes(0, HEADER_BYTES)?;
        if Self::decode(fixed) != Err(Why::State) {
            return Ok(Self::decode(fixed));
        }
        let state_bytes = to_usize(u32_at(fixed, 12));
        Ok(Self::decode(source.bytes(0, HEADER_BYTES + padded(state_bytes))?))
    }
}

/// Bytes before the state.
pub(crate) const HEADER_BYTES: usize = 64;

/// Line ends as in PNG: a transfer that rewrites them is seen.
const MAGIC: [u8; 8] = *b"QRTWAL\r\n";

pub(crate) const VERSION: u16 = 1;
