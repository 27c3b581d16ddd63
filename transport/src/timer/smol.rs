//! Smol's timer.

use std::future::pending;

use quorate_core::{Instant, Timer};

use super::Clock;

/// Waits with smol's timer; its time begins when it is made.
#[derive(Clone, Copy, Debug)]
pub struct SmolTimer {
    clock: Clock,
}

impl SmolTimer {
    /// Makes a timer whose time begins now.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "the time of its making matters")]
    pub fn new() -> Self {
        Self { clock: Clock::start() }
    }
}

impl Timer for SmolTimer {
    fn now(&self) -> Instant {
        self.clock.now()
    }

    async fn sleep_until(&self, at: Instant) {
        match self.clock.to_std(at) {
            Some(at) => _ = smol::Timer::at(at).await,
            None => pending().await,
        }
    }
}
