//! Who waits, and what the wall clock says.

use thiserror::Error;

use crate::Instant;

/// Monotonic time, and waiting for it.
pub trait Timer: Send + Sync {
    /// Returns the time. It never runs backwards.
    fn now(&self) -> Instant;

    /// Waits until `at`; ready at once if that has passed. Safe to drop.
    fn sleep_until(&self, at: Instant) -> impl Future<Output = ()> + Send;
}

/// Wall time, and how wrong it may be.
pub trait TimeSource: Send + Sync {
    /// Returns the wall time. It may jump, in both directions.
    fn wall(&self) -> Wall;

    /// Returns bounds that hold the true time.
    ///
    /// # Errors
    ///
    /// [`Unbounded`] if nobody knows how wrong the clock is.
    fn bound(&self) -> Result<ClockBound, Unbounded>;
}

/// A wall time, in nanoseconds since 1970-01-01 UTC, without leap seconds.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Wall(pub u64);

/// The true time is in here: `earliest <= true <= latest`.
///
/// Source: Corbett et al., "Spanner" (OSDI 2012), section 3.
#[doc(alias = "truetime")]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct ClockBound {
    /// Not after the true time.
    pub earliest: Wall,
    /// Not before the true time.
    pub latest: Wall,
}

/// The error of the clock is unknown: it was never set, or not for too long.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("the error of the clock is not bounded")]
pub struct Unbounded;
