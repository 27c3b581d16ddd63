//! What nodes say to each other, and how that looks as bytes.
//!
//! ```text
//! offset  bytes  field    meaning
//!      0      1  version  1
//!      1      1  kind     below
//!      2      2  flags    1 = pre-vote, 2 = granted or rejected; others 0
//!      4      8  term     the sender's, durable
//!     12      .  body     u64 each, unless said
//!
//! kind                  body
//!    1  VoteRequest     last index, last term                        flag pre-vote
//!    2  Vote            nothing                                      flags pre-vote, granted
//!    3  Beat            round, commit index
//!    4  BeatReply       round, received index, matched index
//!    5  Append          round, previous index, previous term, commit index, count u32, entries
//!    6  AppendReply     round, matched index; or, with flag rejected:
//!                       round, previous index, hint index, hint term
//! ```
//!
//! Integers are little-endian; an entry is drawn in [`Entry`].

use std::fmt;

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use quorate_core::{DecodeError, Wire};

use crate::entry::{decode_entries, encode_entries, encoded_bytes};
use crate::{Entry, Index, LogId, Term};

/// What nodes say to each other.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Message {
    /// The sender's term. It is durable there.
    pub term: Term,
    /// What it says.
    pub body: Body,
}

/// What a [`Message`] says.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Body {
    /// "Vote for me", or, as a pre-vote: "would you, in the next term?"
    VoteRequest {
        /// The end of the candidate's log.
        last: LogId,
        /// Whether it is only a question.
        is_pre_vote: bool,
    },
    /// The answer.
    Vote {
        /// Whether it answers a question only.
        is_pre_vote: bool,
        /// Whether the vote is the receiver's.
        granted: bool,
    },
    /// "I lead." Also the question of a round: "do you still follow?"
    #[doc(alias = "heartbeat")]
    Beat {
        /// Numbers the rounds of a leader in its term, from 1.
        round: u64,
        /// How far the log is committed. The receiver knows how much of it is its own.
        commit_index: Index,
    },
    /// "You do."
    BeatReply {
        /// The newest round seen.
        round: u64,
        /// The last index taken in from this leader, durable or not. Less than was sent before the
        /// round is a loss.
        received: Index,
        /// How much of that is durable: what [`Appended::Matched`] said, should that be lost.
        matched: Index,
    },
    /// "After `previous`, write these."
    #[doc(alias = "AppendEntries")]
    Append {
        /// The newest round.
        round: u64,
        /// What the entries follow.
        previous: LogId,
        /// How far the log is committed.
        commit_index: Index,
        /// The entries, from `previous.index + 1` on.
        entries: Vec<Entry>,
    },
    /// "Up to here my log is yours, and durable", or "it parts before `previous`".
    AppendReply {
        /// The newest round seen.
        round: u64,
        /// What became of it.
        result: Appended,
    },
}

/// What became of an [`Body::Append`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "it fits or it does not")]
pub enum Appended {
    /// The logs agree up to here, and that part is durable.
    Matched(Index),
    /// `previous` is not there. The hint is the last entry that may be in both logs: the greatest
    /// at or before it whose term is not above its term.
    Rejected {
        /// The index of `previous`: which append this answers.
        previous: Index,
        /// Where to go on.
        hint: LogId,
    },
}

impl Wire for Message {
    fn encode(&self, out: &mut BytesMut) {
        let (kind, flags) = self.body.kind_and_flags();
        out.reserve(HEADER_BYTES + self.body.encoded_bytes_max());
        out.put_u8(VERSION);
        out.put_u8(kind);
        out.put_u16_le(flags);
        out.put_u64_le(self.term.0);
        self.body.encode(out);
    }

    fn decode(input: &mut Bytes) -> Result<Self, DecodeError> {
        let version = input.try_get_u8()?;
        if version != VERSION {
            return Err(DecodeError::UnknownKind { field: "version", found: version });
        }
        let kind = input.try_get_u8()?;
        let flags = input.try_get_u16_le()?;
        let term = Term(input.try_get_u64_le()?);
        let body = Body::decode(kind, flags, input)?;
        // A flag that this kind does not have means something that we do not know.
        if body.kind_and_flags() != (kind, flags) {
            return Err(DecodeError::OutOfRange { field: "flags", found: flags.into() });
        }
        Ok(Self { term, body })
    }
}

impl Body {
    fn kind_and_flags(&self) -> (u8, u16) {
        let flags = |pre_vote, second| {
            (if pre_vote { FLAG_PRE_VOTE } else { 0 }) | (if second { FLAG_SECOND } else { 0 })
        };
        match self {
            Self::VoteRequest { is_pre_vote, .. } => {
                (KIND_VOTE_REQUEST, flags(*is_pre_vote, false))
            }
            Self::Vote { is_pre_vote, granted } => (KIND_VOTE, flags(*is_pre_vote, *granted)),
            Self::Beat { .. } => (KIND_BEAT, 0),
            Self::BeatReply { .. } => (KIND_BEAT_REPLY, 0),
            Self::Append { .. } => (KIND_APPEND, 0),
            Self::AppendReply { result: Appended::Matched(_), .. } => (KIND_APPEND_REPLY, 0),
            Self::AppendReply { result: Appended::Rejected { .. }, .. } => {
                (KIND_APPEND_REPLY, FLAG_SECOND)
            }
        }
    }

    fn encoded_bytes_max(&self) -> usize {
        match self {
            Self::Append { entries, .. } => 32 + encoded_bytes(entries),
            _ => 32,
        }
    }

    fn encode(&self, out: &mut BytesMut) {
        match self {
            Self::VoteRequest { last, .. } => {
                out.put_u64_le(last.index.0);
                out.put_u64_le(last.term.0);
            }
            Self::Vote { .. } => {}
            Self::Beat { round, commit_index } => {
                out.put_u64_le(*round);
                out.put_u64_le(commit_index.0);
            }
            Self::BeatReply { round, received, matched } => {
                out.put_u64_le(*round);
                out.put_u64_le(received.0);
                out.put_u64_le(matched.0);
            }
            Self::Append { round, previous, commit_index, entries } => {
                out.put_u64_le(*round);
                out.put_u64_le(previous.index.0);
                out.put_u64_le(previous.term.0);
                out.put_u64_le(commit_index.0);
                encode_entries(entries, out);
            }
            Self::AppendReply { round, result } => {
                out.put_u64_le(*round);
                match result {
                    Appended::Matched(index) => out.put_u64_le(index.0),
                    Appended::Rejected { previous, hint } => {
                        out.put_u64_le(previous.0);
                        out.put_u64_le(hint.index.0);
                        out.put_u64_le(hint.term.0);
                    }
                }
            }
        }
    }

    fn decode(kind: u8, flags: u16, input: &mut Bytes) -> Result<Self, DecodeError> {
        let is_pre_vote = flags & FLAG_PRE_VOTE != 0;
        let second = flags & FLAG_SECOND != 0;
        Ok(match kind {
            KIND_VOTE_REQUEST => Self::VoteRequest { last: take_log_id(input)?, is_pre_vote },
            KIND_VOTE => Self::Vote { is_pre_vote, granted: second },
            KIND_BEAT => {
                Self::Beat { round: input.try_get_u64_le()?, commit_index: take_index(input)? }
            }
            KIND_BEAT_REPLY => Self::BeatReply {
                round: input.try_get_u64_le()?,
                received: take_index(input)?,
                matched: take_index(input)?,
            },
            KIND_APPEND => Self::decode_append(input)?,
            KIND_APPEND_REPLY => {
                let (round, index) = (input.try_get_u64_le()?, take_index(input)?);
                let result = if second {
                    Appended::Rejected { previous: index, hint: take_log_id(input)? }
                } else {
                    Appended::Matched(index)
                };
                Self::AppendReply { round, result }
            }
            found => return Err(DecodeError::UnknownKind { field: "kind", found }),
        })
    }

    fn decode_append(input: &mut Bytes) -> Result<Self, DecodeError> {
        let round = input.try_get_u64_le()?;
        let previous = take_log_id(input)?;
        let commit_index = take_index(input)?;
        let Some(first) = previous.index.0.checked_add(1) else {
            return Err(DecodeError::OutOfRange { field: "index", found: previous.index.0 });
        };
        let entries = decode_entries(Index(first), input)?;
        Ok(Self::Append { round, previous, commit_index, entries })
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let term = self.term;
        let pre = |is_pre_vote: bool| if is_pre_vote { "Pre" } else { "" };
        match &self.body {
            Body::VoteRequest { last, is_pre_vote } => {
                write!(f, "{}VoteRequest term={term} last={last}", pre(*is_pre_vote))
            }
            Body::Vote { is_pre_vote, granted } => {
                write!(f, "{}Vote term={term} granted={granted}", pre(*is_pre_vote))
            }
            Body::Beat { round, commit_index } => {
                write!(f, "Beat term={term} round={round} commit={commit_index}")
            }
            Body::BeatReply { round, received, matched } => {
                write!(f, "BeatReply term={term} round={round} received={received}")?;
                write!(f, " matched={matched}")
            }
            Body::Append { round, previous, commit_index, entries } => {
                write!(f, "Append term={term} round={round} ")?;
                write!(f, "previous={previous} commit={commit_index} ")?;
                write_entries(entries, f)
            }
            Body::AppendReply { round, result } => {
                write!(f, "AppendReply term={term} round={round} ")?;
                match result {
                    Appended::Matched(index) => write!(f, "matched={index}"),
                    Appended::Rejected { previous, hint } => {
                        write!(f, "rejected previous={previous} hint={hint}")
                    }
                }
            }
        }
    }
}

/// Writes a few entries one by one, and of many only the ends.
pub(super) fn write_entries(entries: &[Entry], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match entries {
        [] => write!(f, "[]"),
        [first, .., last] if SHOWN_ENTRIES_MAX < entries.len() => {
            write!(f, "[{} .. {}]", first.id(), last.id())
        }
        [first, rest @ ..] => {
            write!(f, "[{first}")?;
            rest.iter().try_for_each(|entry| write!(f, " {entry}"))?;
            write!(f, "]")
        }
    }
}

fn take_index(input: &mut Bytes) -> Result<Index, DecodeError> {
    Ok(Index(input.try_get_u64_le()?))
}

fn take_log_id(input: &mut Bytes) -> Result<LogId, DecodeError> {
    let index = take_index(input)?;
    Ok(LogId { term: Term(input.try_get_u64_le()?), index })
}

const VERSION: u8 = 1;
const HEADER_BYTES: usize = 12;

const KIND_VOTE_REQUEST: u8 = 1;
const KIND_VOTE: u8 = 2;
const KIND_BEAT: u8 = 3;
const KIND_BEAT_REPLY: u8 = 4;
const KIND_APPEND: u8 = 5;
const KIND_APPEND_REPLY: u8 = 6;

const FLAG_PRE_VOTE: u16 = 1;
/// Granted, of a vote; rejected, of an append.
const FLAG_SECOND: u16 = 2;

/// More would hide the rest of a trace.
const SHOWN_ENTRIES_MAX: usize = 4;
