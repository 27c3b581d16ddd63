//! What a replicated log holds, and where.
//!
//! ```text
//! offset  bytes  field    meaning
//!      0      8  term     in which a leader appended it
//!      8      1  kind     1 = data, 2 = blank
//!      9      4  length   bytes of payload, 0 if blank
//!     13      n  payload  opaque
//! ```
//!
//! Integers are little-endian. The index is implied by what stands around the entry.

use std::fmt;

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use quorate_core::{DecodeError, take_bytes};

/// One entry of the log.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Entry {
    /// Where it is.
    pub index: Index,
    /// When a leader appended it.
    pub term: Term,
    /// What it holds.
    pub payload: Payload,
}

/// What an [`Entry`] holds.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Payload {
    /// What was proposed.
    Data(Bytes),
    /// Nothing. A new leader begins its term with it, because it may count replicas only for an
    /// entry of its own term (Raft, section 8).
    Blank,
}

/// A position in the log, from 1. 0 is before the first.
#[doc(alias = "offset")]
#[doc(alias = "lsn")]
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Index(pub u64);

/// A leadership period. 0 comes before the first election.
#[doc(alias = "epoch")]
#[doc(alias = "generation clock")]
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Term(pub u64);

/// Names an entry for all time: two logs that hold it agree on it and on everything before it.
///
/// The order is that of Raft, section 5.4.1: of two logs the one whose last entry is greater is
/// more up to date.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct LogId {
    /// When a leader appended it.
    pub term: Term,
    /// Where it is.
    pub index: Index,
}

impl Index {
    /// Before the first position.
    pub const ZERO: Self = Self(0);

    /// Returns the position after this one.
    ///
    /// # Panics
    ///
    /// If there is none: 2^64 entries are more than any log holds.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.checked_add(1).expect("a log holds fewer than 2^64 entries"))
    }

    /// Returns the position before this one, or [`ZERO`](Self::ZERO) if there is none.
    #[must_use]
    pub const fn previous(self) -> Self {
        Self(self.0.saturating_sub(1))
    }

    /// Returns how many positions `end` is after this one, or 0 if it is before.
    #[must_use]
    pub const fn distance_to(self, end: Self) -> u64 {
        end.0.saturating_sub(self.0)
    }
}

impl Entry {
    /// Returns what makes the entry unique.
    #[must_use]
    pub const fn id(&self) -> LogId {
        LogId { term: self.term, index: self.index }
    }

    /// Returns what every limit counts: the bytes of payload, and 32 for the entry itself.
    #[must_use]
    pub fn cost_bytes(&self) -> usize {
        ENTRY_COST_BYTES + self.payload_bytes()
    }

    /// Returns the bytes of payload.
    #[must_use]
    pub fn payload_bytes(&self) -> usize {
        match &self.payload {
            Payload::Data(data) => data.len(),
            Payload::Blank => 0,
        }
    }
}

/// Appends a count and the entries, whose indexes follow from the first.
pub(crate) fn encode_entries(entries: &[Entry], out: &mut BytesMut) {
    out.put_u32_le(u32::try_from(entries.len()).expect("a batch is below 2^32 entries"));
    for entry in entries {
        out.put_u64_le(entry.term.0);
        let (kind, data) = match &entry.payload {
            Payload::Data(data) => (KIND_DATA, &data[..]),
            Payload::Blank => (KIND_BLANK, &[][..]),
        };
        out.put_u8(kind);
        out.put_u32_le(u32::try_from(data.len()).expect("a payload is below 4 GiB"));
        out.put_slice(data);
    }
}

/// Returns how many bytes [`encode_entries`] appends.
pub(crate) fn encoded_bytes(entries: &[Entry]) -> usize {
    4 + entries.iter().map(|entry| ENTRY_HEAD_BYTES + entry.payload_bytes()).sum::<usize>()
}

/// Takes entries off `input`, the first of which is at `first`.
pub(crate) fn decode_entries(first: Index, input: &mut Bytes) -> Result<Vec<Entry>, DecodeError> {
    let count = input.try_get_u32_le()?;
    // A liar must not make us reserve memory: no entry is shorter than its head.
    let needed = (count as usize).saturating_mul(ENTRY_HEAD_BYTES);
    if input.len() < needed {
        return Err(DecodeError::Truncated { needed, found: input.len() });
    }
    if first.0.checked_add(u64::from(count)).is_none() {
        return Err(DecodeError::OutOfRange { field: "index", found: first.0 });
    }
    (0..u64::from(count)).map(|offset| decode_entry(Index(first.0 + offset), input)).collect()
}

fn decode_entry(index: Index, input: &mut Bytes) -> Result<Entry, DecodeError> {
    let term = Term(input.try_get_u64_le()?);
    let kind = input.try_get_u8()?;
    let length = input.try_get_u32_le()?;
    let data = take_bytes(input, length as usize)?;
    let payload = match kind {
        KIND_DATA => Payload::Data(data),
        KIND_BLANK if data.is_empty() => Payload::Blank,
        KIND_BLANK => {
            return Err(DecodeError::OutOfRange { field: "length", found: length.into() });
        }
        found => return Err(DecodeError::UnknownKind { field: "kind", found }),
    };
    Ok(Entry { index, term, payload })
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.id())?;
        match &self.payload {
            Payload::Data(data) if data.len() <= SHOWN_BYTES_MAX => {
                write!(f, "={}", data.escape_ascii())
            }
            Payload::Data(data) => write!(f, "=({} bytes)", data.len()),
            Payload::Blank => Ok(()),
        }
    }
}

impl fmt::Display for LogId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.index, self.term)
    }
}

impl fmt::Display for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

const KIND_DATA: u8 = 1;
const KIND_BLANK: u8 = 2;

/// Bytes of an entry before its payload.
const ENTRY_HEAD_BYTES: usize = 13;

/// About what an entry takes beside its payload, so that empty ones are not free.
const ENTRY_COST_BYTES: usize = 32;

/// What is longer would hide the rest of a trace.
const SHOWN_BYTES_MAX: usize = 24;
