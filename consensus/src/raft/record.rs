//! What must survive a crash, what is read back, and how a record looks as bytes.
//!
//! ```text
//! offset  bytes  field    meaning
//!      0      1  version  1
//!      1      1  kind     1 = hard state, 2 = entries
//!      2      2  flags    1 = there is a vote; others 0
//!      4      8  number   the term, or the index of the first entry
//!     12      8  vote     of a hard state: the node, or 0
//!     12      .  entries  of entries: count u32, not 0, then each as drawn in `Entry`
//! ```
//!
//! Integers are little-endian.

use std::fmt;
use std::ops::Range;

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use quorate_core::{DecodeError, NodeId, Wire};

use super::message::write_entries;
use crate::entry::{decode_entries, encode_entries};
use crate::{Entry, Index, Term};

/// What must survive a crash. The state of a node is the fold of its records, in order.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "a storage must see every record")]
pub enum Record {
    /// Replaces the one before.
    HardState(HardState),
    /// Replaces everything in the log from its first index on. Never empty.
    Entries(Vec<Entry>),
}

/// What a node must not forget, or it could vote twice.
#[doc(alias = "persistent state")]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct HardState {
    /// The latest term seen.
    pub term: Term,
    /// Who got our vote in `term`, if anyone.
    pub vote: Option<NodeId>,
}

/// A question to the storage.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "a storage must see every question")]
pub enum Query {
    /// The entries at these indexes, from the first on. The answer may hold fewer.
    Entries {
        /// Half open, and not empty.
        range: Range<Index>,
        /// Bytes of payload the answer may hold; but the first entry is in it in any case.
        max_bytes: usize,
    },
}

/// What the storage answers.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Answer {
    /// The entries, from the first one asked for on, without a gap. At least one.
    Entries(Vec<Entry>),
    /// Not now. It is asked again a heartbeat later.
    Unavailable,
}

impl Wire for Record {
    fn encode(&self, out: &mut BytesMut) {
        out.put_u8(VERSION);
        match self {
            Self::HardState(HardState { term, vote }) => {
                out.put_u8(KIND_HARD_STATE);
                out.put_u16_le(if vote.is_some() { FLAG_VOTE } else { 0 });
                out.put_u64_le(term.0);
                out.put_u64_le(vote.map_or(0, |vote| vote.0));
            }
            Self::Entries(entries) => {
                out.put_u8(KIND_ENTRIES);
                out.put_u16_le(0);
                out.put_u64_le(entries.first().map_or(0, |first| first.index.0));
                encode_entries(entries, out);
            }
        }
    }

    fn decode(input: &mut Bytes) -> Result<Self, DecodeError> {
        let version = input.try_get_u8()?;
        if version != VERSION {
            return Err(DecodeError::UnknownKind { field: "version", found: version });
        }
        let kind = input.try_get_u8()?;
        let flags = input.try_get_u16_le()?;
        let number = input.try_get_u64_le()?;
        match (kind, flags) {
            (KIND_HARD_STATE, 0 | FLAG_VOTE) => {
                let vote = NodeId(input.try_get_u64_le()?);
                let vote = (flags == FLAG_VOTE).then_some(vote);
                Ok(Self::HardState(HardState { term: Term(number), vote }))
            }
            (KIND_ENTRIES, 0) if number == 0 => {
                Err(DecodeError::OutOfRange { field: "number", found: number })
            }
            (KIND_ENTRIES, 0) => match decode_entries(Index(number), input)? {
                entries if entries.is_empty() => {
                    Err(DecodeError::OutOfRange { field: "count", found: 0 })
                }
                entries => Ok(Self::Entries(entries)),
            },
            (KIND_HARD_STATE | KIND_ENTRIES, _) => {
                Err(DecodeError::OutOfRange { field: "flags", found: flags.into() })
            }
            (found, _) => Err(DecodeError::UnknownKind { field: "kind", found }),
        }
    }
}

impl fmt::Display for HardState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "term={}", self.term)?;
        match self.vote {
            Some(vote) => write!(f, " vote={vote}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HardState(state) => write!(f, "{state}"),
            Self::Entries(entries) => write_entries(entries, f),
        }
    }
}

impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Entries { range, max_bytes } => {
                write!(f, "entries {}..{} max_bytes={max_bytes}", range.start, range.end)
            }
        }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Entries(entries) => write_entries(entries, f),
            Self::Unavailable => write!(f, "unavailable"),
        }
    }
}

const VERSION: u8 = 1;
const KIND_HARD_STATE: u8 = 1;
const KIND_ENTRIES: u8 = 2;
const FLAG_VOTE: u16 = 1;
