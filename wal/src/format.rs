//! What lies on disk, version 1: `docs` of the three parts are the law, golden bytes freeze it.
//!
//! ```text
//! {sequence:020}.wal            header | state | frame frame .. | Seal | trailer
//!                               header | state | frame frame .. | zeros            (the last one)
//! {sequence:020}.wal.tmp        a segment on its way into being; removed at open
//! {sequence:020}-{offset}.cut   what a recovery cut off
//! LOCK                          empty; one opener at a time
//! {index:020}.snapshot          a snapshot; `.tmp` until it is whole
//! SNAPSHOTS                     empty; one opener of the snapshots at a time
//! ```
//!
//! Sequences are from 1, without gaps, and never used again. Integers are little-endian; everything
//! starts at a multiple of 8; padding is zeros. Checksums are CRC-32/ISO-HDLC with a start value,
//! in most places the salt of the segment: bytes of another segment, or of a former life of the
//! same blocks, never validate.

pub(crate) mod frame;
pub(crate) mod header;
pub(crate) mod seal;
pub(crate) mod snapshot;

use quorate_core::SplitMix64;

/// Returns the CRC-32 of `bytes`, started at `start`.
pub(crate) fn crc(start: u32, bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(start);
    hasher.update(bytes);
    hasher.finalize()
}

/// Returns the start value of the checksums of a segment.
pub(crate) fn salt(log_id: u64, sequence: u64) -> u32 {
    let low = SplitMix64::new(log_id ^ sequence).next_u64() & u64::from(u32::MAX);
    u32::try_from(low).expect("the lower half of 64 bits fits 32") | 1
}

/// Returns the name of a segment.
pub(crate) fn segment_name(sequence: u64) -> String {
    format!("{sequence:020}.wal")
}

/// Returns the sequence in a segment's name, if it is one.
pub(crate) fn sequence_of(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".wal").filter(|digits| digits.len() == 20)?;
    let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|sequence| is_number && 0 < *sequence)
}

/// Returns the next multiple of 8.
pub(crate) const fn padded(bytes: usize) -> usize {
    (bytes + 7) & !7
}

pub(crate) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(array_at(bytes, at))
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(array_at(bytes, at))
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(array_at(bytes, at))
}

fn array_at<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes[at..at + N].try_into().expect("the slice is as long as the array")
}

/// Turns a length or an offset into an index of memory.
pub(crate) fn to_usize(number: impl Into<u64>) -> usize {
    usize::try_from(number.into()).expect("what is in memory has an address")
}
