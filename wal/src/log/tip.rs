//! The log as those who append see it: what is on disk, and what waits.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::format;
use crate::format::header::HEADER_BYTES;
use crate::segment::Segments;

/// The log as it will be once all that waits is durable.
#[derive(Debug)]
pub(crate) struct Tip {
    pub(super) sequence: u64,
    pub(super) salt: u32,
    /// Where the next frame goes.
    pub(super) offset: u64,
    /// Frames begin here in the segment.
    pub(super) header_end: u64,
    /// The segment takes no more frames.
    pub(super) is_sealed: bool,
    pub(crate) next_index: u64,
    pub(crate) first_index: u64,
    pub(crate) state: Bytes,
    /// Records that are not written yet, and some before them, without a gap, to `next_index`.
    tail: VecDeque<Bytes>,
    tail_first: u64,
    tail_bytes: usize,
}

impl Tip {
    /// Returns the log as it is written, with nothing waiting.
    pub(crate) fn written<F>(segments: &Segments<F>) -> Self {
        let (active, content) = (&segments.active, &segments.active.content);
        Self {
            sequence: active.header.sequence,
            salt: active.salt,
            offset: content.end,
            header_end: active.header.end(),
            is_sealed: active.sealed.is_some(),
            next_index: content.next_index,
            first_index: content.first_index,
            state: content.state.clone(),
            tail: VecDeque::new(),
            tail_first: content.next_index,
            tail_bytes: 0,
        }
    }

    /// Returns the record `index`, if it is in memory.
    pub(crate) fn in_memory(&self, index: u64) -> Option<&Bytes> {
        let at = usize::try_from(index.checked_sub(self.tail_first)?).ok()?;
        self.tail.get(at)
    }

    /// Returns from where on records are in memory, or would be. Those before are written.
    pub(crate) const fn in_memory_from(&self) -> u64 {
        self.tail_first
    }

    /// Forgets the oldest records below `floor`, which are written, until those that are in memory
    /// have at most `bytes_max`.
    pub(super) fn trim(&mut self, floor: u64, bytes_max: usize) {
        while bytes_max < self.tail_bytes && self.tail_first < floor {
            self.forget_first();
        }
    }

    fn forget_first(&mut self) {
        if let Some(record) = self.tail.pop_front() {
            self.tail_bytes -= record.len() + RECORD_BYTES;
        }
        self.tail_first += 1;
    }

    pub(super) fn truncate_suffix(&mut self, from: u64) {
        let kept = usize::try_from(from.saturating_sub(self.tail_first)).unwrap_or(usize::MAX);
        while kept < self.tail.len()
            && let Some(record) = self.tail.pop_back()
        {
            self.tail_bytes -= record.len() + RECORD_BYTES;
        }
        self.tail_first = self.tail_first.min(from);
        self.next_index = from;
    }

    pub(super) fn truncate_prefix(&mut self, to: u64) {
        self.first_index = self.first_index.max(to);
        self.next_index = self.next_index.max(to);
        while self.tail_first < to && !self.tail.is_empty() {
            self.forget_first();
        }
        // Beyond the end there is nothing to forget, however far it is.
        self.tail_first = self.tail_first.max(to);
    }

    /// Goes on in the next segment.
    pub(super) fn roll(&mut self, log_id: u64) {
        self.sequence += 1;
        self.salt = format::salt(log_id, self.sequence);
        self.header_end = (HEADER_BYTES + format::padded(self.state.len())) as u64;
        self.offset = self.header_end;
        self.is_sealed = false;
    }

    pub(super) fn append(&mut self, record: Bytes) {
        self.tail_bytes += record.len() + RECORD_BYTES;
        self.tail.push_back(record);
        self.next_index += 1;
    }
}

/// What a record in memory costs beside its bytes.
const RECORD_BYTES: usize = size_of::<Bytes>();
