//! What an open log holds in memory: what is durable, and what waits for the disk.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use bytes::BytesMut;
use quorate_core::Disk;

use crate::ack::Group;
use crate::batch::Batch;
use crate::config::{Config, Durability};
use crate::error::WriteError;
use crate::format::frame::{self, Kind};
use crate::hold::Limits;
use crate::index::Index;
use crate::log::Stats;
use crate::log::timer::Timers;
use crate::log::tip::Tip;
use crate::log::watch::Watchers;
use crate::segment::{Active, Segments, Spare};
use crate::sync::Ordering;
use crate::tail::Visible;
use crate::traps::{Trap, planted};

/// Everything behind the lock of a log.
///
/// # Invariants
///
/// A group that is not settled is in flight, in `queue` or in `unsynced`. With `poison`, or once
/// closed, the queue is empty.
pub(crate) struct State<D: Disk> {
    pub(crate) lock: Option<D::Lock>,
    /// Why no change is taken from the start, if so.
    read_only: Option<WriteError>,
    pub(crate) segments: Segments<D::File>,
    pub(crate) synced: Synced,
    pub(crate) tip: Tip,
    /// Oldest first. Each is one write, and one sync if it is to be durable.
    pub(crate) queue: VecDeque<Chunk>,
    pub(crate) in_flight: Option<Arc<Group>>,
    /// Lowest index that changes hands by what is in flight. `u64::MAX`: nothing is.
    pub(crate) flight_floor: u64,
    /// What is in flight becomes durable, and not only written.
    pub(crate) is_flight_synced: bool,
    /// Groups that are written, and settled once they are durable.
    pub(crate) unsynced: Vec<Arc<Group>>,
    /// Bytes of frames in the queue and in flight.
    pub(crate) backlog_bytes: usize,
    pub(crate) poison: Option<WriteError>,
    pub(crate) is_closed: bool,
    /// Groups that failed for want of room, and of which not all may have heard.
    pub(crate) dropped: Vec<Arc<Group>>,
    /// How often groups were dropped for want of room.
    pub(crate) drops: u64,
    /// The last drop of which nobody can hear by an `Ack` any more.
    unheard_drop: u64,
    pub(crate) io_threads: usize,
    /// An I/O thread is to write all that is in the queue.
    pub(crate) is_flush_wanted: bool,
    /// Batches of the last group.
    pub(crate) last_batches: u64,
    pub(crate) stats: Stats,
    pub(crate) limits: Limits,
    pub(crate) watchers: Watchers,
    pub(crate) timers: Timers,
    /// The latest wall time that was heard of, in milliseconds since 1970. 0: none.
    pub(crate) wall_ms: u64,
    /// Files of segments that are gone, to make segments of.
    pub(crate) spares: Vec<Spare>,
    /// A buffer to use again.
    pub(crate) spare: BytesMut,
}

/// How far the active segment, as it was written, is durable.
#[derive(Debug)]
pub(crate) struct Synced {
    /// Offset in the active segment.
    pub(crate) end: u64,
    pub(crate) next_index: u64,
    pub(crate) first_index: u64,
    /// Lowest index from which on records were cut off since. `u64::MAX`: none were.
    pub(crate) cut: u64,
}

impl Synced {
    /// Says that all is durable that is written.
    pub(crate) const fn all<F>(active: &Active<F>) -> Self {
        let content = &active.content;
        let (next_index, first_index) = (content.next_index, content.first_index);
        Self { end: content.end, next_index, first_index, cut: u64::MAX }
    }
}

/// Frames for one segment.
#[derive(Debug)]
pub(crate) struct Chunk {
    pub(crate) sequence: u64,
    pub(crate) salt: u32,
    pub(crate) frames: BytesMut,
    pub(crate) group: Arc<Group>,
    /// Lowest index that changes hands here.
    pub(crate) floor: u64,
    /// Lowest index from which on records are cut off. `u64::MAX`: none are.
    pub(crate) cut: u64,
    pub(crate) records: u64,
    pub(crate) batches: u64,
    /// Whether it is to be durable, and not only written.
    pub(crate) is_synced: bool,
    /// What was durable of the segment when its first record was encoded.
    pub(crate) encoded_at: u64,
}

impl<D: Disk> State<D> {
    pub(crate) fn new(
        lock: Option<D::Lock>,
        mut segments: Segments<D::File>,
        read_only: Option<WriteError>,
    ) -> Self {
        let wall_ms = segments.date();
        Self {
            lock,
            read_only,
            synced: Synced::all(&segments.active),
            tip: Tip::written(&segments),
            segments,
            queue: VecDeque::new(),
            in_flight: None,
            flight_floor: u64::MAX,
            is_flight_synced: false,
            unsynced: Vec::new(),
            backlog_bytes: 0,
            poison: None,
            is_closed: false,
            dropped: Vec::new(),
            drops: 0,
            unheard_drop: 0,
            io_threads: 0,
            is_flush_wanted: false,
            last_batches: 0,
            stats: Stats::default(),
            limits: Limits::default(),
            watchers: Watchers::default(),
            timers: Timers::default(),
            wall_ms,
            spares: Vec::new(),
            spare: BytesMut::new(),
        }
    }

    pub(crate) const fn is_read_only(&self) -> bool {
        self.read_only.is_some()
    }

    /// Returns why no change is taken, if so.
    pub(crate) fn check_open(&self) -> Result<(), WriteError> {
        match &self.poison {
            Some(poison) => Err(poison.clone()),
            None if self.is_closed => Err(WriteError::Closed),
            None => self.read_only.clone().map_or(Ok(()), Err),
        }
    }

    /// Lets go of dropped groups of which all have heard, or nobody can hear any more.
    pub(crate) fn forget_heard(&mut self) {
        let unheard_drop = &mut self.unheard_drop;
        self.dropped.retain(|group| {
            let is_last = Arc::strong_count(group) == 1;
            if is_last && group.has_unheard() {
                let number = group.drop_number.load(Ordering::Relaxed);
                *unheard_drop = number.max(*unheard_drop);
            }
            !is_last && group.has_unheard()
        });
    }

    /// Returns whether a drop after the drop `told` took something that nobody heard of.
    pub(crate) fn was_dropped_unheard(&self, told: u64) -> bool {
        let is_later = |group: &Arc<Group>| told < group.drop_number.load(Ordering::Relaxed);
        told < self.unheard_drop
            || self.dropped.iter().any(|group| is_later(group) && group.has_unheard())
    }

    /// Encodes `batch` behind all that waits. Returns its group and the indexes of its records.
    pub(crate) fn stage(
        &mut self,
        config: &Config,
        batch: Batch,
    ) -> Result<(Option<Arc<Group>>, Range<Index>), WriteError> {
        self.check_open()?;
        let bytes = batch.frame_bytes(config)?;
        self.check_range(&batch)?;
        if bytes == 0 {
            let next_index = Index(self.tip.next_index);
            return Ok((None, next_index..next_index));
        }
        if config.backlog_bytes_max < self.backlog_bytes + bytes {
            return Err(WriteError::Backlog { bytes: self.backlog_bytes });
        }
        self.backlog_bytes += bytes;
        self.timers.take_change(config);
        self.make_room(config, bytes);
        let (tip, chunk) = (&mut self.tip, self.queue.back_mut().expect("room was made in it"));
        let cut = batch.truncate_suffix;
        let first = chunk.put(tip, batch);
        tip.offset += bytes as u64;
        if let Some(Index(from)) = cut {
            self.watchers.cut(Visible::Written, from);
        }
        self.watchers.wake(Visible::Written);
        Ok((Some(Arc::clone(&chunk.group)), first..Index(tip.next_index)))
    }

    fn check_range(&self, batch: &Batch) -> Result<(), WriteError> {
        let (mut first, mut last) = (Index(self.tip.first_index), Index(self.tip.next_index));
        if let Some(from) = batch.truncate_suffix {
            if !(first..=last).contains(&from) {
                return Err(WriteError::OutOfRange { index: from, first, last });
            }
            last = from;
        }
        if let Some(to) = batch.truncate_prefix {
            let max = Index(Index::MAX.0 / 2);
            if !(first..=max).contains(&to) {
                return Err(WriteError::OutOfRange { index: to, first, last: max });
            }
            if let Some(from) = self.limits.held().map(Index)
                && from < to
            {
                return Err(WriteError::Held { from });
            }
            first = to;
        }
        debug_assert!(first <= last || batch.truncate_prefix.is_some());
        Ok(())
    }

    /// Makes sure that the last chunk of the queue is one for `bytes` more.
    fn make_room(&mut self, config: &Config, bytes: usize) {
        let tip = &mut self.tip;
        let is_begun = tip.header_end < tip.offset;
        let is_over = u64::from(config.segment_bytes) < tip.offset + bytes as u64;
        if tip.is_sealed || (is_begun && is_over) {
            tip.roll(self.segments.active.header.log_id);
        }
        if self.queue.back().is_none_or(|chunk| chunk.sequence != tip.sequence) {
            let (sequence, salt, floor) = (tip.sequence, tip.salt, tip.next_index);
            let frames = std::mem::take(&mut self.spare);
            let mut chunk = Chunk::new(sequence, salt, frames, floor);
            chunk.is_synced = config.durability == Durability::Always;
            chunk.encoded_at = self.synced.end;
            self.queue.push_back(chunk);
        }
    }

    /// Returns the group after which all is durable that was appended. `None`: it is.
    pub(crate) fn sync_group(&mut self) -> Option<Arc<Group>> {
        if self.poison.is_some() {
            return self.in_flight.clone();
        }
        if let Some(chunk) = self.queue.back_mut() {
            chunk.is_synced = true;
            return Some(Arc::clone(&chunk.group));
        }
        if let Some(group) = self.in_flight.as_ref().filter(|_| self.is_flight_synced) {
            return Some(Arc::clone(group));
        }
        if self.in_flight.is_none() && self.synced.end == self.segments.active.content.end {
            return None;
        }
        Some(self.stage_sync())
    }

    /// Puts a sync at the end, of the segment that frames go to next.
    fn stage_sync(&mut self) -> Arc<Group> {
        let (sequence, salt, floor) = (self.tip.sequence, self.tip.salt, self.tip.next_index);
        let mut chunk = Chunk::new(sequence, salt, std::mem::take(&mut self.spare), floor);
        chunk.is_synced = true;
        let group = Arc::clone(&chunk.group);
        self.queue.push_back(chunk);
        group
    }

    /// Puts the end of the segment at the end, if it holds anything.
    pub(crate) fn stage_roll(&mut self) -> Option<Arc<Group>> {
        if self.tip.offset == self.tip.header_end {
            return self.sync_group();
        }
        self.tip.roll(self.segments.active.header.log_id);
        Some(self.stage_sync())
    }

    /// Says of what nobody waits for that it need only be written. Returns what is to be written.
    pub(crate) fn flush_group(&mut self, config: &Config) -> Option<Arc<Group>> {
        // In the other modes, what is to be synced is what somebody asked for.
        if config.durability == Durability::Always {
            for chunk in &mut self.queue {
                chunk.is_synced &= chunk.group.is_waited_for();
            }
        }
        let last = self.queue.back().map(|chunk| &chunk.group);
        last.or(self.in_flight.as_ref()).cloned()
    }

    /// Returns whether what `group` covers is still to be written.
    pub(crate) fn is_unwritten(&self, group: &Arc<Group>) -> bool {
        let mut waiting = self.queue.iter().map(|chunk| &chunk.group).chain(&self.in_flight);
        waiting.any(|it| Arc::ptr_eq(it, group))
    }

    /// Asks for a sync, if what `group` covers is written and only that is missing.
    pub(crate) fn want_sync(&mut self, group: &Arc<Group>) {
        if self.unsynced.iter().any(|it| Arc::ptr_eq(it, group))
            && let Some(group) = self.sync_group()
        {
            group.is_wanted.store(true, Ordering::Relaxed);
        }
    }

    /// Returns whether a promise covers all that is written.
    pub(crate) fn is_certified(&self) -> bool {
        let content = &self.segments.active.content;
        content.is_marked || content.end == self.tip.header_end || self.tip.is_sealed
    }

    /// Puts a Mark at the end, if anything stands there that no promise covers.
    pub(crate) fn stage_mark(&mut self) -> Option<Arc<Group>> {
        if self.is_read_only() || self.is_certified() || !self.queue.is_empty() {
            return None;
        }
        let (sequence, salt, floor) = (self.tip.sequence, self.tip.salt, self.tip.next_index);
        let mut frames = BytesMut::new();
        frame::put(&mut frames, Kind::Mark, floor, &[], salt);
        frame::end_batch(&mut frames, 0);
        self.backlog_bytes += frames.len();
        self.tip.offset += frames.len() as u64;
        let mut chunk = Chunk::new(sequence, salt, frames, floor);
        chunk.is_synced = true;
        let group = Arc::clone(&chunk.group);
        self.queue.push_back(chunk);
        Some(group)
    }

    /// Forgets copies of records that are written now.
    pub(crate) fn trim_tail(&mut self, config: &Config) {
        let floors = self.queue.iter().map(|chunk| chunk.floor);
        let floor = floors.min().unwrap_or(self.tip.next_index);
        self.tip.trim(floor, config.tail_cache_bytes);
    }
}

impl Chunk {
    fn new(sequence: u64, salt: u32, frames: BytesMut, floor: u64) -> Self {
        let (group, cut) = (Arc::default(), u64::MAX);
        Self {
            sequence,
            salt,
            frames,
            group,
            floor,
            cut,
            records: 0,
            batches: 0,
            is_synced: false,
            encoded_at: u64::MAX,
        }
    }

    /// Encodes `batch` and applies it to `tip`. Returns the index of its first record.
    fn put(&mut self, tip: &mut Tip, batch: Batch) -> Index {
        let (out, salt) = (&mut self.frames, self.salt);
        let (start, mut is_split) = (out.len(), false);
        let mut last_at = start;
        let mut put = |kind, index, payload: &[u8]| {
            last_at = out.len();
            frame::put(out, kind, index, payload, salt);
        };
        if let Some(Index(from)) = batch.truncate_suffix {
            put(Kind::TruncateSuffix, tip.next_index, &from.to_le_bytes());
            is_split = planted(Trap::BatchInTwo);
            self.floor = self.floor.min(from);
            self.cut = self.cut.min(from);
            tip.truncate_suffix(from);
        }
        if let Some(Index(to)) = batch.truncate_prefix {
            put(Kind::TruncatePrefix, tip.next_index, &to.to_le_bytes());
            tip.truncate_prefix(to);
        }
        if let Some(state) = batch.state {
            put(Kind::State, tip.next_index, &state);
            tip.state = state;
        }
        let first = Index(tip.next_index);
        self.records += batch.records.len() as u64;
        self.batches += 1;
        for record in batch.records {
            put(Kind::Data, tip.next_index, &record);
            tip.append(record);
        }
        frame::end_batch(out, last_at);
        if is_split && last_at != start {
            frame::end_batch(out, start);
        }
        first
    }
}
