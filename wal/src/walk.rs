//! Every frame of a segment, also behind damaged ones.
//!
//! Behind a damaged payload the walk goes on, because the head says how long it is; behind a
//! damaged head it goes on at the next head whose checksum fits, and that promises no less than
//! those before: a record may hold copies of earlier frames.

use std::io;

use quorate_core::File;

use crate::error::{Damage, Why};
use crate::format::frame::{Frame, HEAD_BYTES, Head, Kind};
use crate::format::header::Header;
use crate::index::Index;
use crate::source::Source;

/// Where a walk is.
#[derive(Clone, Debug)]
pub(crate) struct Walk {
    sequence: u64,
    salt: u32,
    at: u64,
    /// Zeros at the end are room that was made ahead.
    used: u64,
    due: u64,
    /// The highest promise so far. Promises never fall.
    promise: u32,
}

/// What stands at a place of a segment.
#[derive(Debug)]
pub(crate) enum Step<'s> {
    /// A whole frame, and its offset.
    Frame(u64, Frame<'s>),
    /// What is damaged, and the head if that is whole.
    Damaged(Damage, Option<Head>),
}

impl Walk {
    /// Begins behind `header`.
    pub(crate) fn new<F: File>(source: &mut Source<'_, F>, header: &Header) -> io::Result<Self> {
        Ok(Self::up_to(header, source.end_of_content(header.end())?))
    }

    /// Begins behind `header`, and ends at `used`.
    pub(crate) fn up_to(header: &Header, used: u64) -> Self {
        let (sequence, salt, due) = (header.sequence, header.salt(), header.next_index);
        Self { sequence, salt, at: header.end(), used, due, promise: 0 }
    }

    /// Goes on at the first whole head from `from` on.
    pub(crate) fn seek<F: File>(
        &mut self,
        source: &mut Source<'_, F>,
        from: u64,
    ) -> io::Result<()> {
        self.at = next_head(source, from, self.used, self.salt, self.promise)?;
        Ok(())
    }

    pub(crate) const fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Returns where the next step is.
    pub(crate) const fn at(&self) -> u64 {
        self.at
    }

    /// Says what is wrong there.
    pub(crate) const fn damage(&self, why: Why) -> Damage {
        Damage { segment: self.sequence, offset: self.at, index: Some(Index(self.due)), why }
    }

    /// Returns what stands next, up to the Seal: the trailer behind it is no frame.
    pub(crate) fn next<'s, F: File>(
        &mut self,
        source: &'s mut Source<'_, F>,
    ) -> io::Result<Option<Step<'s>>> {
        if self.used <= self.at {
            return Ok(None);
        }
        let offset = self.at;
        let damaged = |index: u64, why, head| {
            let (segment, index) = (self.sequence, Some(Index(index)));
            Step::Damaged(Damage { segment, offset, index, why }, head)
        };
        let head = match source.head(offset, self.salt)? {
            Ok(head) => head,
            Err(why) => {
                let step = damaged(self.due, why, None);
                self.at = next_head(source, offset + 8, self.used, self.salt, self.promise)?;
                return Ok(Some(step));
            }
        };
        self.due = if head.kind == Kind::Data { head.index + 1 } else { head.index };
        self.at += head.frame_bytes() as u64;
        self.promise = self.promise.max(head.durable_offset);
        if head.kind == Kind::Seal {
            self.used = self.at;
        }
        Ok(Some(match source.frame(offset, self.salt)? {
            Ok(frame) => Step::Frame(offset, frame),
            Err(why) => damaged(head.index, why, Some(head)),
        }))
    }
}

/// Returns where the next head is whose checksum is right and that promises `promise` or more, or
/// `end`.
pub(crate) fn next_head<F: File>(
    source: &mut Source<'_, F>,
    from: u64,
    end: u64,
    salt: u32,
    promise: u32,
) -> io::Result<u64> {
    for at in (from..end).step_by(8) {
        if source.head(at, salt)?.is_ok_and(|head| promise <= head.durable_offset) {
            return Ok(at);
        }
    }
    Ok(end)
}

const _: () = assert!(HEAD_BYTES.is_multiple_of(8), "frames are found at multiples of 8");
