//! What the frames of a segment add up to.
//!
//! The writer applies the frames it made durable, and recovery the frames it finds, by the same
//! code: a log that is reopened cannot mean anything else than it did.

use bytes::Bytes;

use crate::error::Why;
use crate::format::frame::{Frame, Kind};
use crate::format::header::Header;
use crate::format::seal::Footer;
use crate::format::{crc, u64_at};
use crate::index::Runs;

/// The sum of a header and the frames behind it, up to `end`.
///
/// # Invariants
///
/// `first_index <= next_index`; `promise <= end`.
#[derive(Clone, Debug)]
pub(crate) struct Content {
    pub(crate) next_index: u64,
    pub(crate) first_index: u64,
    pub(crate) state: Bytes,
    pub(crate) lowest_suffix: u64,
    pub(crate) runs: Runs,
    pub(crate) content_crc: u32,
    /// Data frames, whatever became of their records.
    pub(crate) records: u64,
    /// Where the next frame goes.
    pub(crate) end: u64,
    /// Up to where the bytes are known to be synced, by what stands in the segment.
    pub(crate) promise: u64,
    /// The last frame is a Mark: nothing is left that no promise covers.
    pub(crate) is_marked: bool,
}

impl Content {
    pub(crate) fn new(header: &Header) -> Self {
        Self {
            next_index: header.next_index,
            first_index: header.first_index,
            state: header.state.clone(),
            lowest_suffix: u64::MAX,
            runs: Runs::default(),
            content_crc: header.previous_crc,
            records: 0,
            end: header.end(),
            promise: header.end(),
            is_marked: false,
        }
    }

    /// Applies the frame at `end`, the next one.
    ///
    /// # Errors
    ///
    /// The frame is whole but cannot stand here. Nothing is changed.
    pub(crate) fn apply(&mut self, frame: &Frame<'_>) -> Result<(), Why> {
        let head = &frame.head;
        if head.index != self.next_index {
            return Err(Why::Misplaced);
        }
        if self.end < u64::from(head.durable_offset) {
            return Err(Why::Promise);
        }
        match head.kind {
            Kind::Data => {
                self.runs.push(head.index, self.end);
                self.next_index += 1;
                self.records += 1;
            }
            Kind::TruncateSuffix => {
                let from = argument(frame)?;
                if !(self.first_index..=self.next_index).contains(&from) {
                    return Err(Why::Misplaced);
                }
                self.runs.cut(from);
                self.lowest_suffix = self.lowest_suffix.min(from);
                self.next_index = from;
            }
            Kind::TruncatePrefix => {
                let to = argument(frame)?;
                if to < self.first_index || 1 << 56 <= to {
                    return Err(Why::Misplaced);
                }
                self.first_index = to;
                self.next_index = self.next_index.max(to);
            }
            Kind::State => self.state = Bytes::copy_from_slice(frame.payload),
            Kind::Mark if frame.payload.is_empty() => {}
            Kind::Mark | Kind::Seal => return Err(Why::Misplaced),
        }
        self.is_marked = head.kind == Kind::Mark;
        self.promise = self.promise.max(head.durable_offset.into());
        self.content_crc = crc(self.content_crc, frame.head_bytes);
        self.end += head.frame_bytes() as u64;
        Ok(())
    }

    /// Returns the footer of a segment that ends here. No clock is read: the caller of the log says
    /// what time it is, or 0.
    pub(crate) fn footer(&self, sealed_at_ms: u64) -> Footer {
        Footer {
            next_index: self.next_index,
            first_index: self.first_index,
            sealed_at_ms,
            lowest_suffix: self.lowest_suffix,
            content_crc: self.content_crc,
            runs: self.runs.runs.clone(),
        }
    }
}

fn argument(frame: &Frame<'_>) -> Result<u64, Why> {
    if frame.payload.len() == 8 { Ok(u64_at(frame.payload, 0)) } else { Err(Why::Misplaced) }
}
