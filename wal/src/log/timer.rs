//! What is due at a time: syncs by interval, and Marks after a while without changes.
//!
//! The log has no clock. It knows the time that it was told last, which is not later than it is: so
//! what it does after an interval it does in time or too early, never too late.

use quorate_core::{Disk, Instant};

use super::Wal;
use crate::config::{Config, Durability};

/// What is due when.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    /// The time that was told last.
    now: Instant,
    sync_due: Option<Instant>,
    mark_due: Option<Instant>,
}

impl Timers {
    /// Takes note of a change.
    pub(crate) fn take_change(&mut self, config: &Config) {
        if let Durability::Interval(interval) = config.durability {
            self.sync_due.get_or_insert(self.now + interval);
        }
        self.mark_due = config.idle_mark.map(|idle| self.now + idle);
    }

    /// Takes note that what was found at open is not certified.
    pub(crate) fn take_open(&mut self, config: &Config) {
        self.mark_due = config.idle_mark.map(|idle| self.now + idle);
    }

    /// Takes note that all that is written is durable. What else `waits` is not due later for that:
    /// when it came, nobody knows.
    pub(crate) const fn take_sync(&mut self, waits: bool) {
        if !waits {
            self.sync_due = None;
        }
    }
}

impl Timers {
    fn put_off_mark(&mut self, config: &Config) {
        self.mark_due = self.mark_due.or_else(|| config.idle_mark.map(|idle| self.now + idle));
    }
}

impl<D: Disk> Wal<D> {
    /// Says that it is `now`: syncs what is due by [`Durability::Interval`], and leaves the Mark of
    /// [`Config::idle_mark`]. Times that go back are ignored.
    ///
    /// Blocks for a write and a sync if something is due. What fails is told by the next sync, a
    /// failed sync by the next append too.
    pub fn handle_timeout(&self, now: Instant) {
        let (group, is_idle) = {
            let mut state = self.shared.state.lock();
            let timers = &mut state.timers;
            timers.now = timers.now.max(now);
            let is_due = |due: &mut Option<Instant>| due.take_if(|due| *due <= now).is_some();
            let (is_sync_due, is_mark_due) =
                (is_due(&mut timers.sync_due), is_due(&mut timers.mark_due));
            let is_open = state.check_open().is_ok() && (is_sync_due || is_mark_due);
            (if is_open { state.sync_group() } else { None }, is_mark_due && is_open)
        };
        let synced = group.map_or(Ok(()), |group| self.shared.wait(&group));
        let mark = if is_idle && synced.is_ok() {
            let mut state = self.shared.state.lock();
            // It may have failed or been closed meanwhile, and another may hold the lock.
            let mark = if state.check_open().is_ok() { state.stage_mark() } else { None };
            if mark.is_none() && !state.queue.is_empty() {
                // Something came meanwhile, if only a sync: once more, later.
                state.timers.put_off_mark(&self.shared.config);
            }
            mark
        } else {
            None
        };
        // Whoever appends or syncs next hears of a failure.
        _ = mark.map(|group| self.shared.wait(&group));
    }

    /// Returns when [`handle_timeout`](Self::handle_timeout) is to be called next, at the latest.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let state = self.shared.state.lock();
        if state.check_open().is_err() {
            return None;
        }
        let timers = &state.timers;
        timers.sync_due.into_iter().chain(timers.mark_due).min()
    }
}
