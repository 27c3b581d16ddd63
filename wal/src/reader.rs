//! Reading records, by index and in a row.

use std::fmt;
use std::ops::{Bound, RangeBounds};
use std::sync::Arc;

use bytes::Bytes;
use quorate_core::{Disk, File};

use crate::error::{Damage, ReadError, Why};
use crate::format::frame::{Frame, HEAD_BYTES, Head, Kind};
use crate::format::seal::Sealed;
use crate::format::{segment_name, to_usize};
use crate::index::{Index, Place, Runs};
use crate::log::Wal;
use crate::segment::{Found, read_full};
use crate::source::Source;

impl<D: Disk> Wal<D> {
    /// Returns the record `index`, also before it is durable. `None`: there is none yet.
    ///
    /// One read of a few KiB, or of the record if that is longer. Does not wait for a sync.
    ///
    /// # Errors
    ///
    /// [`ReadError`]; the log goes on.
    pub fn read(&self, index: Index) -> Result<Option<Bytes>, ReadError> {
        let mut window = None;
        self.read_in(index, &mut window, WINDOW_BYTES_ONE)
    }

    /// Returns the records of `range` in a row, up to the end that the log has when it is reached.
    ///
    /// What is truncated meanwhile may still be returned. After an error it ends.
    #[must_use]
    pub fn records(&self, range: impl RangeBounds<Index>) -> Records<D> {
        let next = match range.start_bound() {
            Bound::Included(first) => *first,
            Bound::Excluded(before) => Index(before.0.saturating_add(1)),
            Bound::Unbounded => self.first_index(),
        };
        let end = match range.end_bound() {
            Bound::Included(last) => Index(last.0.saturating_add(1)),
            Bound::Excluded(end) => *end,
            Bound::Unbounded => Index(u64::MAX),
        };
        Records { wal: self.clone(), next, end, window: None }
    }

    /// Reads `index` out of `window`, or out of a new one of at least `window_bytes`.
    pub(crate) fn read_in(
        &self,
        Index(index): Index,
        window: &mut Option<Window>,
        window_bytes: usize,
    ) -> Result<Option<Bytes>, ReadError> {
        if let Some(record) = window.as_mut().and_then(|it| it.take(index)) {
            return record.map(Some).map_err(|error| self.say_compacted(index, error));
        }
        let found = {
            let state = self.shared().state.lock();
            let first_index = Index(state.tip.first_index);
            if index < first_index.0 {
                return Err(ReadError::Compacted { first_index });
            }
            if let Some(record) = state.tip.in_memory(index) {
                return Ok(Some(record.clone()));
            }
            if state.tip.next_index <= index {
                return Ok(None);
            }
            let Some(mut found) = state.segments.find(index) else {
                let hole = state.segments.hole(index);
                let damage = hole.expect("every live record was found at open, or written since");
                return Err(ReadError::Corrupt(damage));
            };
            // What waits may rewrite the end of a row.
            found.row_end = found.row_end.min(state.tip.in_memory_from());
            found
        };
        let filled = self.window(found, index, window_bytes);
        let mut filled = filled.map_err(|error| self.say_compacted(index, error))?;
        let record = filled.take(index).unwrap_or_else(|| Err(filled.damage(Why::Short)));
        *window = Some(filled);
        // Its file may have got a new life while it was read.
        record.map(Some).map_err(|error| self.say_compacted(index, error))
    }

    /// Reads frames from where `found` says up to the record `index`, and what comes along.
    fn window(
        &self,
        found: Found<D::File>,
        index: u64,
        window_bytes: usize,
    ) -> Result<Window, ReadError> {
        let (segment, salt) = (found.sequence, found.salt);
        let file = match found.file {
            Some(file) => file,
            None => {
                let file = Arc::new(self.shared().disk.open(&segment_name(segment))?);
                self.shared().state.lock().segments.keep_open(segment, &file);
                file
            }
        };
        let place = match found.place {
            Some(place) => place,
            None => self.place(&*file, segment, salt, index)?,
        };
        let (mut offset, mut due) = (place.offset, place.first);
        let row_end = found.row_end.min(place.run_end);
        let mut want = window_bytes;
        loop {
            let mut bytes = vec![0; want];
            let filled = read_full(&*file, offset, &mut bytes)?;
            bytes.truncate(filled);
            let bytes = Bytes::from(bytes);
            let mut window = Window { segment, salt, offset, row_end, at: 0, due, bytes };
            match window.skip_to(index) {
                Some(frame_bytes) if frame_bytes <= window.bytes.len() - window.at => {
                    return Ok(window);
                }
                // Longer than what was read, or past its end: once more, from there. A length is
                // used only if its checksum was right and the file is that long.
                Some(frame_bytes) if window.frame_end(frame_bytes) <= file.len()? => {
                    want = frame_bytes.max(window_bytes);
                }
                Some(_) => return Err(window.damage(Why::Short)),
                None if window.at == 0 => return Err(window.damage(Why::Head)),
                None => want = window_bytes,
            }
            offset += window.at as u64;
            due = window.due;
        }
    }

    /// Reads from the footer of a sealed segment where to look for `index`.
    fn place(
        &self,
        file: &D::File,
        segment: u64,
        salt: u32,
        index: u64,
    ) -> Result<Place, ReadError> {
        let sealed = Sealed::read(&mut Source::look(file)?, salt)?;
        let sealed = sealed.map_err(|(offset, why)| {
            ReadError::Corrupt(Damage { segment, offset, index: None, why })
        })?;
        let places = Arc::new(Runs::from_footer(sealed.footer.runs));
        self.shared().state.lock().segments.keep_places(segment, &places);
        places.find(index).ok_or(ReadError::Corrupt(Damage {
            segment,
            offset: sealed.end,
            index: Some(Index(index)),
            why: Why::Footer,
        }))
    }

    /// Says of a failed read that the record went away meanwhile, if it did.
    fn say_compacted(&self, index: u64, error: ReadError) -> ReadError {
        let first_index = self.first_index();
        if index < first_index.0 { ReadError::Compacted { first_index } } else { error }
    }
}

/// Records in a row. See [`Wal::records`].
///
/// Reads 256 KiB at once; the records share that memory.
pub struct Records<D: Disk> {
    wal: Wal<D>,
    next: Index,
    end: Index,
    window: Option<Window>,
}

impl<D: Disk> Iterator for Records<D> {
    type Item = Result<(Index, Bytes), ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        let index = self.next;
        if self.end <= index {
            return None;
        }
        self.next = index.plus(1);
        match self.wal.read_in(index, &mut self.window, WINDOW_BYTES) {
            Ok(record) => record.map(|record| Ok((index, record))),
            Err(error) => {
                self.end = index;
                Some(Err(error))
            }
        }
    }
}

impl<D: Disk> fmt::Debug for Records<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Records").field("next", &self.next).finish_non_exhaustive()
    }
}

/// Bytes of a segment, within one row of records.
pub(crate) struct Window {
    segment: u64,
    salt: u32,
    /// Where the bytes lie in the segment.
    offset: u64,
    /// What lies behind this record may be dead.
    row_end: u64,
    bytes: Bytes,
    /// Where the next frame is in them.
    at: usize,
    /// The record that is due there.
    due: u64,
}

impl Window {
    /// Moves to the frame of `index`. Returns its length if its head is there.
    fn skip_to(&mut self, index: u64) -> Option<usize> {
        loop {
            let head = Head::decode(&self.bytes, self.at, self.salt).ok()?;
            if head.kind == Kind::Data && head.index == index {
                return Some(head.frame_bytes());
            }
            if head.kind == Kind::Seal || index < head.index {
                return None;
            }
            if self.bytes.len() - self.at < head.frame_bytes() {
                return Some(head.frame_bytes());
            }
            self.at += head.frame_bytes();
            self.due = head.index + u64::from(head.kind == Kind::Data);
        }
    }

    /// Takes the record `index`, if all of it is here.
    fn take(&mut self, index: u64) -> Option<Result<Bytes, ReadError>> {
        if self.row_end <= index {
            return None;
        }
        let frame_bytes = self.skip_to(index)?;
        if self.bytes.len() - self.at < frame_bytes {
            return None;
        }
        let start = self.at + HEAD_BYTES;
        match Frame::decode(&self.bytes, self.at, self.salt) {
            Ok(frame) if frame.head.index == index && frame.head.kind == Kind::Data => {
                let record = self.bytes.slice(start..start + to_usize(frame.head.payload_bytes));
                self.at += frame_bytes;
                self.due = index + 1;
                Some(Ok(record))
            }
            Ok(_) => None,
            Err(why) => Some(Err(self.damage(why))),
        }
    }

    const fn frame_end(&self, frame_bytes: usize) -> u64 {
        self.offset + (self.at + frame_bytes) as u64
    }

    /// Says what is wrong with the frame at `at`.
    fn damage(&self, why: Why) -> ReadError {
        let offset = self.offset + self.at as u64;
        let (segment, index) = (self.segment, Some(Index(self.due)));
        ReadError::Corrupt(Damage { segment, offset, index, why })
    }
}

/// For one record: enough for eight of 512 bytes.
pub(crate) const WINDOW_BYTES_ONE: usize = 4 << 10;

/// For records in a row.
pub(crate) const WINDOW_BYTES: usize = 256 << 10;
