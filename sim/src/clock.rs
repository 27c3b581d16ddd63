//! Clocks: the one that a node measures time with, and the one on its wall.
//!
//! ```text
//! local = offset + elapsed * rate                timers, `now` of every call: never backwards
//! wall  = true time + error + wander             a `TimeSource`: may jump
//! bound = wall - margin ..= wall + margin        holds the true time, unless it is broken
//! ```

mod wander;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use parking_lot::Mutex;
use quorate_core::{ClockBound, Instant, TimeSource, Unbounded, Wall};

pub use self::wander::Wander;
use crate::traps::{Trap, planted};

/// `local = offset + elapsed * rate`, in integers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LocalClock {
    offset: u64,
    /// Local nanoseconds per true one, in units of 2^-32.
    rate: u64,
}

impl LocalClock {
    /// Makes a clock that gains `drift_ppb` nanoseconds per second.
    pub(crate) fn new(offset: u64, drift_ppb: i64) -> Self {
        let gain = (i128::from(drift_ppb) << 32) / 1_000_000_000;
        let gain = if planted(Trap::TrueTimers) { 0 } else { gain };
        let rate = u64::try_from((1 << 32) + gain).expect("a clock runs forward");
        Self { offset, rate }
    }

    /// Returns the clock of a machine that starts anew: it shows at least `offset`.
    pub(crate) const fn with_offset(self, offset: u64) -> Self {
        Self { offset, ..self }
    }

    /// Returns what the clock shows at the true time `at`.
    pub(crate) fn local(self, at: u64) -> Instant {
        let elapsed = if self.rate == TRUE_RATE {
            at
        } else {
            u64::try_from((u128::from(at) * u128::from(self.rate)) >> 32).unwrap_or(u64::MAX)
        };
        Instant::from_nanos(self.offset.saturating_add(elapsed))
    }

    /// Returns the first true time at which the clock shows `local` or more.
    pub(crate) fn at(self, local: Instant) -> u64 {
        let elapsed = local.as_nanos().saturating_sub(self.offset);
        if self.rate == TRUE_RATE {
            return elapsed;
        }
        let at = (u128::from(elapsed) << 32).div_ceil(u128::from(self.rate));
        u64::try_from(at).unwrap_or(u64::MAX)
    }
}

/// A wall clock in virtual time, with its error. Clones are the same clock.
///
/// The clocks of a [`World`](crate::World) follow its time; one made by hand stands still until it
/// is moved.
///
/// # Examples
///
/// ```
/// use quorate_core::{TimeSource as _, Wall};
/// use quorate_sim::Clock;
///
/// let clock = Clock::new();
/// clock.set_error(-3_000_000, 5_000_000);
/// let bound = clock.bound()?;
/// assert!(bound.earliest <= clock.true_time() && clock.true_time() <= bound.latest);
/// assert!(clock.wall() < clock.true_time());
/// # Ok::<(), quorate_core::Unbounded>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Clock {
    /// Nanoseconds since the start, of the world or of this clock alone.
    elapsed: Arc<AtomicU64>,
    face: Arc<Face>,
}

/// What one clock shows.
#[derive(Debug, Default)]
struct Face {
    error: AtomicI64,
    margin: AtomicU64,
    /// How far beyond the margin the error is, unknown to the clock.
    hidden: AtomicI64,
    /// How the error changes by itself, and what tells it from that of other clocks.
    wander: Mutex<(Wander, u64)>,
}

impl Clock {
    /// Makes a clock without error that stands still.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes another clock that follows the same time.
    pub(crate) fn following(elapsed: &Arc<AtomicU64>) -> Self {
        Self { elapsed: Arc::clone(elapsed), face: Arc::default() }
    }

    /// Lets `nanos` pass.
    pub fn advance(&self, nanos: u64) {
        self.elapsed.fetch_add(nanos, Ordering::Relaxed);
    }

    /// Sets how many nanoseconds the clock is ahead, and how wrong it says that it may be.
    ///
    /// The bound holds the true time as long as the margin is not less than the error.
    pub fn set_error(&self, error_nanos: i64, margin_nanos: u64) {
        self.face.error.store(error_nanos, Ordering::Relaxed);
        self.face.margin.store(margin_nanos, Ordering::Relaxed);
    }

    /// Lets the error change by itself from now on, and the margin with it, on top of what
    /// [`set_error`](Self::set_error) says. Clocks of different `number`s go their own ways.
    pub fn set_wander(&self, wander: Wander, number: u64) {
        *self.face.wander.lock() = (wander, number);
    }

    /// Lets the clock jump, and know about it.
    pub fn step(&self, by_nanos: i64) {
        let error = self.face.error.load(Ordering::Relaxed).saturating_add(by_nanos);
        let margin = self.face.margin.load(Ordering::Relaxed).max(error.unsigned_abs());
        self.set_error(error, margin);
    }

    /// Lets the clock be wrong by so much more than it says. 0 ends it.
    pub fn break_bound(&self, by_nanos: i64) {
        self.face.hidden.store(by_nanos, Ordering::Relaxed);
    }

    /// Returns the time that the clock should show. No node knows it.
    #[must_use]
    pub fn true_time(&self) -> Wall {
        Wall(EPOCH_NANOS.saturating_add(self.elapsed.load(Ordering::Relaxed)))
    }
}

impl TimeSource for Clock {
    fn wall(&self) -> Wall {
        let error = self.face.error.load(Ordering::Relaxed);
        let hidden = self.face.hidden.load(Ordering::Relaxed);
        let (wander, number) = *self.face.wander.lock();
        let wandered = wander.error(number, self.elapsed.load(Ordering::Relaxed));
        let error = error.saturating_add(hidden).saturating_add(wandered);
        Wall(self.true_time().0.saturating_add_signed(error))
    }

    fn bound(&self) -> Result<ClockBound, Unbounded> {
        let (wander, _) = *self.face.wander.lock();
        let wandered = wander.margin(self.elapsed.load(Ordering::Relaxed));
        let margin = self.face.margin.load(Ordering::Relaxed).saturating_add(wandered);
        let wall = self.wall().0;
        Ok(ClockBound {
            earliest: Wall(wall.saturating_sub(margin)),
            latest: Wall(wall.saturating_add(margin)),
        })
    }
}

const TRUE_RATE: u64 = 1 << 32;

/// The start of every run: 2020-01-01 UTC.
const EPOCH_NANOS: u64 = 1_577_836_800_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_has_passed_when_it_is_due_and_not_before() {
        for drift in [-500_000, -1, 0, 1, 333_333] {
            let clock = LocalClock::new(77, drift);
            for nanos in [77, 78, 1_000_000, 123_456_789_012] {
                let at = clock.at(Instant::from_nanos(nanos));
                assert!(nanos <= clock.local(at).as_nanos());
                assert!(at == 0 || clock.local(at - 1).as_nanos() < nanos);
            }
        }
    }

    #[test]
    fn a_bound_holds_the_true_time_until_it_is_broken() {
        let clock = Clock::new();
        let holds = || {
            let bound = clock.bound().expect("it always has one");
            bound.earliest <= clock.true_time() && clock.true_time() <= bound.latest
        };
        clock.set_error(700, 700);
        clock.advance(10);
        assert!(holds());
        clock.step(-3_600_000_000_000);
        assert!(holds() && clock.wall() < clock.true_time());
        clock.break_bound(-1_000);
        assert!(!holds());
        clock.break_bound(0);
        assert!(holds());
    }
}
