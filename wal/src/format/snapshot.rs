//! How a snapshot lies on disk.
//!
//! ```text
//! header                                              chunk, for each 256 KiB
//! offset  bytes  field         meaning                 0  4  bytes  1 to 262,144
//!      0      8  magic         "QRTSNP\r\n"            4  4  crc    of bytes and data
//!      8      2  version       1                       8  n  data   padded
//!     10      1  checksum      0: CRC-32/ISO-HDLC
//!     11      1  codec         0: none                end mark, the last 24 bytes
//!     12      4  meta_bytes    at most 1 MiB           0  4  bytes  0
//!     16      8  log_id        that of the log         4  4  crc    of all but itself
//!     24      8  index         as in the name          8  8  total  bytes of data
//!     32      4  salt          as of a segment        16  8  chunks how many
//!     36      4  meta_crc      start value salt
//!     40     20                zeros
//!     60      4  header_crc    of 0..60, start 0
//!     64      n  meta          the caller's, padded; chunks follow
//! ```
//!
//! Little-endian; everything starts at a multiple of 8; padding is zeros. The start value of a
//! chunk's checksum is the salt plus the number of the chunk, from 0, so that one that is left out,
//! doubled or swapped is seen; that of the end mark goes on counting. All chunks but the last are
//! full: equal content has equal bytes.

use bytes::{BufMut as _, BytesMut};

use super::{crc, padded, salt, to_usize, u16_at, u32_at, u64_at};
use crate::index::Index;
use crate::snapshot::SnapshotWhy;

/// A header without the meta behind it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Header {
    pub(crate) log_id: u64,
    pub(crate) index: u64,
    pub(crate) meta_bytes: u32,
    meta_crc: u32,
}

/// What follows the meta: chunks, then the end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Piece<'a> {
    Chunk(&'a [u8]),
    End { total: u64, chunks: u64 },
}

impl Header {
    /// Returns the header of a snapshot and its meta, as they lie on disk.
    pub(crate) fn encode(log_id: u64, index: u64, meta: &[u8]) -> BytesMut {
        let mut out = BytesMut::with_capacity(HEADER_BYTES + padded(meta.len()));
        out.put_slice(&MAGIC);
        out.put_u16_le(VERSION);
        out.put_slice(&[0, 0]);
        out.put_u32_le(u32::try_from(meta.len()).expect("the meta is at most 1 MiB"));
        out.put_u64_le(log_id);
        out.put_u64_le(index);
        out.put_u32_le(salt(log_id, index));
        out.put_u32_le(crc(salt(log_id, index), meta));
        out.put_slice(&[0; 20]);
        let header_crc = crc(0, &out);
        out.put_u32_le(header_crc);
        out.put_slice(meta);
        out.resize(HEADER_BYTES + padded(meta.len()), 0);
        out
    }

    /// Reads a header.
    ///
    /// `Ok(Err(version))` is one that is whole, of a version not known here.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Result<Self, u16>, SnapshotWhy> {
        let fixed = bytes.get(..HEADER_BYTES).ok_or(SnapshotWhy::Short)?;
        if fixed[..8] != MAGIC || crc(0, &fixed[..60]) != u32_at(fixed, 60) {
            return Err(SnapshotWhy::Header);
        }
        let is_known = fixed[10] == 0 && fixed[11] == 0 && fixed[40..60] == [0; 20];
        if u16_at(fixed, 8) != VERSION || !is_known {
            return Ok(Err(u16_at(fixed, 8)));
        }
        let header = Self {
            log_id: u64_at(fixed, 16),
            index: u64_at(fixed, 24),
            meta_bytes: u32_at(fixed, 12),
            meta_crc: u32_at(fixed, 36),
        };
        let is_sane = header.salt() == u32_at(fixed, 32) && header.meta_bytes <= META_BYTES_MAX;
        if is_sane { Ok(Ok(header)) } else { Err(SnapshotWhy::Header) }
    }

    /// Returns the meta, which stands at the start of `padded_meta` with its padding.
    pub(crate) fn check_meta<'a>(&self, padded_meta: &'a [u8]) -> Result<&'a [u8], SnapshotWhy> {
        let bytes = to_usize(self.meta_bytes);
        let padding = padded_meta.get(bytes..padded(bytes)).ok_or(SnapshotWhy::Short)?;
        let meta = &padded_meta[..bytes];
        let is_right = crc(self.salt(), meta) == self.meta_crc;
        if is_right && is_zero(padding) { Ok(meta) } else { Err(SnapshotWhy::Meta) }
    }

    pub(crate) fn salt(&self) -> u32 {
        salt(self.log_id, self.index)
    }

    /// Returns where the chunks begin.
    pub(crate) fn end(&self) -> u64 {
        (HEADER_BYTES + padded(to_usize(self.meta_bytes))) as u64
    }
}

impl<'a> Piece<'a> {
    /// Appends the chunk `number` to `out`.
    pub(crate) fn put_chunk(out: &mut BytesMut, data: &[u8], number: u64, salt: u32) {
        let bytes = u32::try_from(data.len()).expect("a chunk is at most 256 KiB").to_le_bytes();
        let crc = crc(crc(start(salt, number), &bytes), data);
        out.reserve(CHUNK_HEAD_BYTES + padded(data.len()));
        out.put_slice(&bytes);
        out.put_u32_le(crc);
        out.put_slice(data);
        out.put_bytes(0, padded(data.len()) - data.len());
    }

    /// Returns the end mark behind `chunks` chunks of `total` bytes.
    pub(crate) fn end_mark(total: u64, chunks: u64, salt: u32) -> [u8; END_BYTES] {
        let mut out = [0; END_BYTES];
        out[8..16].copy_from_slice(&total.to_le_bytes());
        out[16..24].copy_from_slice(&chunks.to_le_bytes());
        let crc = crc(crc(start(salt, chunks), &out[..4]), &out[8..]);
        out[4..8].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// Reads the piece at the start of `bytes`, which is a chunk with `number` or the end behind so
    /// many. Allocates nothing.
    pub(crate) fn decode(bytes: &'a [u8], number: u64, salt: u32) -> Result<Self, SnapshotWhy> {
        let head = bytes.get(..CHUNK_HEAD_BYTES).ok_or(SnapshotWhy::Short)?;
        let data_bytes = to_usize(u32_at(head, 0));
        if CHUNK_BYTES < data_bytes {
            return Err(SnapshotWhy::Chunk);
        }
        let is_end = data_bytes == 0;
        let body_bytes = if is_end { END_BYTES - CHUNK_HEAD_BYTES } else { data_bytes };
        let body_end = CHUNK_HEAD_BYTES + body_bytes;
        let body = bytes.get(CHUNK_HEAD_BYTES..body_end).ok_or(SnapshotWhy::Short)?;
        let padding = bytes.get(body_end..padded(body_end)).ok_or(SnapshotWhy::Short)?;
        if crc(crc(start(salt, number), &head[..4]), body) != u32_at(head, 4) {
            return Err(if is_end { SnapshotWhy::End } else { SnapshotWhy::Chunk });
        }
        if !is_zero(padding) {
            return Err(SnapshotWhy::Padding);
        }
        if is_end {
            return Ok(Self::End { total: u64_at(body, 0), chunks: u64_at(body, 8) });
        }
        Ok(Self::Chunk(body))
    }
}

/// Returns the name of a snapshot.
pub(crate) fn snapshot_name(index: u64) -> String {
    format!("{index:020}.snapshot")
}

/// Returns the index in a snapshot's name, if it is one.
pub(crate) fn index_of(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".snapshot").filter(|digits| digits.len() == 20)?;
    let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|index| is_number && *index < Index::MAX.0)
}

/// Returns the start value of the checksum of the chunk `number`.
const fn start(salt: u32, number: u64) -> u32 {
    let bytes = number.to_le_bytes();
    salt.wrapping_add(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
}

fn is_zero(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte == 0)
}

/// Bytes before the meta.
pub(crate) const HEADER_BYTES: usize = 64;

/// Bytes of a chunk before its data.
pub(crate) const CHUNK_HEAD_BYTES: usize = 8;

/// Bytes of data in a chunk: a read or a write that a disk does at nearly full speed.
pub(crate) const CHUNK_BYTES: usize = 256 << 10;

/// Bytes of the end mark.
pub(crate) const END_BYTES: usize = 24;

/// Longest meta: it is read as a whole.
pub(crate) const META_BYTES_MAX: u32 = 1 << 20;

/// Line ends as in PNG: a transfer that rewrites them is seen.
const MAGIC: [u8; 8] = *b"QRTSNP\r\n";

pub(crate) const VERSION: u16 = 1;
