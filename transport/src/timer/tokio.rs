//! Tokio's timer.

use std::future::pending;

use quorate_core::{Instant, Timer};

use super::Clock;

/// Waits with tokio's timer; its time begins when it is made.
///
/// Needs a tokio runtime with time enabled around the futures it makes.
#[derive(Clone, Copy, Debug)]
pub struct TokioTimer {
    clock: Clock,
}

impl TokioTimer {
    /// Makes a timer whose time begins now.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "the time of its making matters")]
    pub fn new() -> Self {
        Self { clock: Clock::start() }
    }
}

impl Timer for TokioTimer {
    fn now(&self) -> Instant {
        self.clock.now()
    }

    async fn sleep_until(&self, at: Instant) {
        // Tokio's own sleep takes a turn of the runtime even then.
        if at <= self.clock.now() {
            return;
        }
        match self.clock.to_std(at) {
            Some(at) => tokio::time::sleep_until(at.into()).await,
            None => pending().await,
        }
    }
}
