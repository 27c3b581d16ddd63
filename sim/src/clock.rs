//! The clock of one node: where it starts, and how fast it runs.

use quorate_core::Instant;

use crate::traps::{Trap, planted};

/// `local = offset + elapsed * rate`, in integers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    offset: u64,
    /// Local nanoseconds per true one, in units of 2^-32.
    rate: u64,
}

impl Clock {
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

const TRUE_RATE: u64 = 1 << 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_has_passed_when_it_is_due_and_not_before() {
        for drift in [-500_000, -1, 0, 1, 333_333] {
            let clock = Clock::new(77, drift);
            for nanos in [77, 78, 1_000_000, 123_456_789_012] {
                let at = clock.at(Instant::from_nanos(nanos));
                assert!(nanos <= clock.local(at).as_nanos());
                assert!(at == 0 || clock.local(at - 1).as_nanos() < nanos);
            }
        }
    }
}
