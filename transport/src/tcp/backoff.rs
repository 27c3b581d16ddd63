//! How long to wait between dials.

use std::time::Duration;

use quorate_core::{NodeId, SplitMix64};

use super::Config;

/// Decorrelated jitter: nodes that lost the same peer do not dial it at the same moments.
#[derive(Debug)]
pub(super) struct Backoff {
    min: u64,
    max: u64,
    last: u64,
    random: SplitMix64,
}

impl Backoff {
    pub(super) fn new(config: &Config, peer: NodeId) -> Self {
        let nanos = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        // Two nodes that were started together must not dial the same peer in step.
        let seed = config.seed ^ config.node.0.rotate_left(32) ^ peer.0;
        let (min, max) = (nanos(config.min_backoff).max(1), nanos(config.max_backoff));
        Self { min, max: max.max(min), last: min, random: SplitMix64::new(seed) }
    }

    pub(super) fn reset(&mut self) {
        self.last = self.min;
    }

    /// Draws a wait between the shortest and three times the last.
    pub(super) fn next_wait(&mut self) -> Duration {
        let end = self.last.saturating_mul(3).clamp(self.min + 1, self.max.max(self.min + 1));
        self.last = self.min + self.random.below(end - self.min);
        Duration::from_nanos(self.last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn waits_stay_within_their_bounds_and_grow() {
        let address = "127.0.0.1:1".parse().expect("an address");
        let config = Config::new(NodeId(1), address, BTreeMap::new(), 7);
        let mut backoff = Backoff::new(&config, NodeId(2));
        let waits: Vec<Duration> = (0..1000).map(|_| backoff.next_wait()).collect();
        assert!(waits.iter().all(|it| (config.min_backoff..=config.max_backoff).contains(it)));
        assert!(waits.iter().any(|it| config.max_backoff / 2 < *it));
        backoff.reset();
        assert!(backoff.next_wait() <= config.min_backoff * 3);
    }
}
