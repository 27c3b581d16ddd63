//! Monotonic time, and waiting for it, on each runtime.

#[cfg(feature = "smol")]
pub(crate) mod smol;
mod thread;
#[cfg(feature = "tokio")]
pub(crate) mod tokio;

use std::time;

use quorate_core::Instant;

pub use thread::ThreadTimer;

/// A clock whose origin is its making.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    origin: time::Instant,
}

impl Clock {
    #[expect(clippy::disallowed_methods, reason = "a timer is where time comes from")]
    pub(crate) fn start() -> Self {
        Self { origin: time::Instant::now() }
    }

    pub(crate) fn now(&self) -> Instant {
        Instant::default() + self.origin.elapsed()
    }

    /// Returns `at` as the runtimes know it, or `None` past the end of their time.
    pub(crate) fn to_std(self, at: Instant) -> Option<time::Instant> {
        self.origin.checked_add(at.saturating_duration_since(Instant::default()))
    }
}
