//! Letting old records go, by their number, their bytes and their age.
//!
//! ```text
//! segments   |  1..40  |  41..90  |  91..120  | 121..  active
//! sealed     |  10:00  |  11:00   |  12:00    |
//! mark             41        91         121       what a retention may choose from
//! ```
//!
//! The mark goes to the start of a segment, so that what it costs is freed at once. A segment goes
//! as soon as one of the three limits lets it, oldest first; the active one never does.
//!
//! A Seal holds the last wall time that the log heard of before, so it is too early, by as much as
//! the caller was silent. A segment counts as sealed at the first time that the log heard of
//! afterwards: in a log that was reopened, the first later stamp that is larger, or else the next
//! time it hears. So nothing goes before its age, and what a clock that was set back has stamped is
//! kept longer.
//!
//! Source: Joshi, "Patterns of Distributed Systems" (2023), "Low-Water Mark", "Time-based"; Kreps
//! et al., "Kafka: a Distributed Messaging System for Log Processing" (2011), section 3.1.

use std::time::Duration;

use quorate_core::Disk;

use crate::batch::Batch;
use crate::config::{Config, Preallocate};
use crate::error::WriteError;
use crate::index::Index;
use crate::log::{State, Wal};
use crate::segment::{Segment, Segments, Spare};

/// What is kept at least, or at most. `None` sets no limit; without any, everything is kept.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "made by callers, with `..Default::default()`")]
pub struct Retention {
    /// Segments go until the files have at most so many bytes; the active one stays.
    pub bytes: Option<u64>,
    /// A segment goes once it is known to be sealed for so long: each record is kept at least so
    /// long. The active segment has no age.
    pub age: Option<Duration>,
    /// A segment goes once so many records are behind it: at least the newest so many are kept.
    pub records: Option<u64>,
}

impl<D: Disk> Wal<D> {
    /// Moves the low-water mark up as far as `policy` lets it, frees the segments below, and
    /// returns the mark. To be called now and then.
    ///
    /// The mark passes no [`hold`](Self::hold), nor what a store of
    /// [`Snapshots`](crate::Snapshots) needs of the log. `wall_ms` is the wall time, in
    /// milliseconds since 1970; without an age it matters only to
    /// [`observe_wall`](Self::observe_wall). O(log's segments); two syncs if anything goes, and
    /// one removal per segment.
    ///
    /// # Errors
    ///
    /// Those of [`truncate_prefix`](Self::truncate_prefix).
    #[doc(alias = "low water mark")]
    pub fn retain(&self, policy: &Retention, wall_ms: u64) -> Result<Index, WriteError> {
        let mut state = self.shared().state.lock();
        state.check_open()?;
        state.observe_wall(wall_ms);
        let to = state.mark_for(policy, wall_ms);
        let ack = if state.tip.first_index < to {
            Some(self.stage(state, Batch::new().truncate_prefix(Index(to)))?)
        } else {
            drop(state);
            None
        };
        // No segment goes before the mark is durable.
        if let Some(ack) = ack {
            ack.wait()?;
            self.shared().sync()?;
        }
        self.free_segments(policy.bytes.unwrap_or(u64::MAX))?;
        Ok(self.first_index())
    }

    /// Tells the log the wall time, in milliseconds since 1970, so that it can date the segments it
    /// seals. For a caller whose [`retain`](Self::retain) is rare: a segment counts as sealed when
    /// the log hears the time next.
    ///
    /// A time before one that it heard of is ignored. O(segments sealed since the last time).
    pub fn observe_wall(&self, wall_ms: u64) {
        self.shared().state.lock().observe_wall(wall_ms);
    }
}

impl<D: Disk> State<D> {
    fn observe_wall(&mut self, wall_ms: u64) {
        self.wall_ms = self.wall_ms.max(wall_ms);
        let undated =
            self.segments.sealed.iter_mut().rev().take_while(|it| it.sealed_by_ms.is_none());
        undated.for_each(|it| it.sealed_by_ms = Some(self.wall_ms));
    }

    /// Returns whether the file of `segment`, which goes, is to be used again, beside others of
    /// `before`.
    pub(crate) fn takes_spare(
        &self,
        config: &Config,
        segment: &Segment<D::File>,
        before: &[u64],
        bytes_max: u64,
    ) -> bool {
        let Preallocate::Recycle { files } = config.preallocate else { return false };
        let all = self.file_bytes() + before.iter().sum::<u64>() + segment.file_bytes;
        // A segment that one batch made longer is not worth keeping.
        segment.file_bytes <= 2 * u64::from(config.segment_bytes)
            && self.spares.len() + before.len() < files
            && all <= bytes_max
    }

    /// Takes out spare files until all files have at most `bytes_max`.
    pub(crate) fn take_spares_over(&mut self, bytes_max: u64) -> Vec<Spare> {
        let mut over = Vec::new();
        while bytes_max < self.file_bytes()
            && let Some(spare) = self.spares.pop()
        {
            over.push(spare);
        }
        over
    }

    /// Returns how long all files are together, spare ones too.
    fn file_bytes(&self) -> u64 {
        let Segments { sealed, active, .. } = &self.segments;
        let spare = self.spares.iter().map(|it| it.file_bytes).sum::<u64>();
        sealed.iter().map(|it| it.file_bytes).sum::<u64>() + active.file_bytes + spare
    }

    /// Returns where the mark should be: the start of a segment, or 0.
    fn mark_for(&self, policy: &Retention, wall_ms: u64) -> u64 {
        let Segments { sealed, active, .. } = &self.segments;
        let start =
            |at: usize| sealed.get(at).map_or(active.header.next_index, |it| it.start_index);
        let is_old = |segment: &Segment<D::File>| {
            let age_ms = segment.sealed_by_ms.map(|sealed| wall_ms.saturating_sub(sealed));
            policy.age.zip(age_ms).is_some_and(|(limit, age)| limit.as_millis() <= age.into())
        };
        let next_index = self.tip.next_index.min(active.content.next_index);
        let is_behind = |at: usize| {
            let behind = next_index.saturating_sub(start(at + 1));
            policy.records.is_some_and(|limit| limit <= behind)
        };
        let mut bytes = sealed.iter().map(|it| it.file_bytes).sum::<u64>() + active.file_bytes;
        let limit = self.limits.retained().min(self.lowest_waiting());
        let mut mark = 0;
        for (at, segment) in sealed.iter().enumerate() {
            let is_over = policy.bytes.is_some_and(|limit| limit < bytes);
            let goes = is_over || is_old(segment) || is_behind(at);
            if !goes || limit < start(at + 1) {
                break;
            }
            bytes -= segment.file_bytes;
            // Where a later segment rewrote the end of this one, records behind it have indexes
            // below its start: the mark must not take them along.
            if segment.end_index == start(at + 1) {
                mark = start(at + 1);
            }
        }
        mark
    }
}

impl<F> Segments<F> {
    /// Says of each segment when it was sealed at the latest, as far as the stamps tell. Returns
    /// the last stamp.
    pub(crate) fn date(&mut self) -> u64 {
        let mut stamp = self.active.sealed_at_ms;
        let mut later = None;
        for segment in self.sealed.iter_mut().rev() {
            if segment.sealed_at_ms < stamp {
                later = Some(stamp);
            }
            segment.sealed_by_ms = later;
            stamp = segment.sealed_at_ms;
        }
        let stamps = self.sealed.iter().map(|it| it.sealed_at_ms);
        stamps.fold(self.active.sealed_at_ms, u64::max)
    }
}
