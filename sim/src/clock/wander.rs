//! How the error of a wall clock changes by itself.
//!
//! ```text
//! Linear      _.-'      Periodic  /\  /\       Irregular  ./\_/'\.
//!          .-'                   /  \/  \                         \/
//! ```

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::decision::{mix, scale};

/// How the error of a wall clock changes while time passes. Times are in nanoseconds.
///
/// Its bound grows with it: as long as nothing [breaks](crate::Clock::break_bound) it, it holds the
/// true time. A clock that loses more than time gives runs backwards.
///
/// # Examples
///
/// ```
/// use quorate_core::TimeSource as _;
/// use quorate_sim::{Clock, Wander};
///
/// let clock = Clock::new();
/// clock.set_wander(Wander::Linear { ppb: 200_000 }, 0);
/// clock.advance(10_000_000_000);
/// assert_eq!(clock.wall().0.abs_diff(clock.true_time().0), 2_000_000);
/// ```
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
#[non_exhaustive]
pub enum Wander {
    /// It stays as it is.
    #[default]
    Still,
    /// It grows without end.
    Linear {
        /// By how many nanoseconds in a second.
        ppb: u32,
    },
    /// It goes to and fro.
    Periodic {
        /// How far, to each side.
        swing_nanos: u64,
        /// How long it takes to be back.
        period_nanos: u64,
    },
    /// It goes anywhere.
    Irregular {
        /// How far, to each side.
        swing_nanos: u64,
        /// How long it goes in one direction.
        every_nanos: u64,
    },
}

impl Wander {
    /// Returns the error after `elapsed` nanoseconds. `number` tells clocks apart: it decides to
    /// which side the error goes, and when.
    pub(crate) fn error(self, number: u64, elapsed: u64) -> i64 {
        let error = match self {
            Self::Still => 0,
            Self::Linear { ppb } => {
                let size = i128::from(grown(ppb, elapsed));
                if number & 1 == 0 { size } else { -size }
            }
            Self::Periodic { swing_nanos, period_nanos } => {
                let period = period_nanos.max(2);
                let at = (elapsed % period + scale(mix(number, 0, 0), period)) % period;
                // From one end to the other in the first half, and back in the second.
                let way = at.min(period - at);
                between(-i128::from(swing_nanos), i128::from(swing_nanos), way, period / 2)
            }
            Self::Irregular { swing_nanos, every_nanos } => {
                let every = every_nanos.max(1);
                let turn = |index: u64| {
                    let place = scale(mix(number, 1, index), swing_nanos.saturating_mul(2).max(1));
                    i128::from(place) - i128::from(swing_nanos)
                };
                let index = elapsed / every;
                between(turn(index), turn(index + 1), elapsed % every, every)
            }
        };
        i64::try_from(error).unwrap_or(if error < 0 { i64::MIN } else { i64::MAX })
    }

    /// Returns how far the error may be from zero after `elapsed` nanoseconds.
    pub(crate) fn margin(self, elapsed: u64) -> u64 {
        match self {
            Self::Still => 0,
            Self::Linear { ppb } => grown(ppb, elapsed),
            Self::Periodic { swing_nanos, .. } | Self::Irregular { swing_nanos, .. } => swing_nanos,
        }
    }
}

impl fmt::Display for Wander {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Still => f.write_str("still"),
            Self::Linear { ppb } => write!(f, "linear({ppb}ppb)"),
            Self::Periodic { swing_nanos, period_nanos } => {
                write!(f, "periodic({swing_nanos}ns in {period_nanos}ns)")
            }
            Self::Irregular { swing_nanos, every_nanos } => {
                write!(f, "irregular({swing_nanos}ns every {every_nanos}ns)")
            }
        }
    }
}

fn grown(ppb: u32, elapsed: u64) -> u64 {
    let nanos = u128::from(elapsed) * u128::from(ppb) / 1_000_000_000;
    u64::try_from(nanos).unwrap_or(u64::MAX)
}

/// Returns what is `way` of `whole` of the way from `from` to `to`.
fn between(from: i128, to: i128, way: u64, whole: u64) -> i128 {
    from + (to - from) * i128::from(way) / i128::from(whole.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    /// The errors of the first minute, ten in a second.
    fn errors(wander: Wander, number: u64) -> Vec<i64> {
        (0..600).map(|tenth| wander.error(number, tenth * SECOND / 10)).collect()
    }

    fn turns(errors: &[i64]) -> usize {
        let goes_up: Vec<bool> = errors.windows(2).map(|pair| pair[0] < pair[1]).collect();
        goes_up.windows(2).filter(|pair| pair[0] != pair[1]).count()
    }

    #[test]
    fn the_margin_holds_every_error() {
        let most = Wander::Irregular { swing_nanos: u64::MAX, every_nanos: 0 };
        let wanders = [
            Wander::Still,
            Wander::Linear { ppb: 500_000 },
            Wander::Linear { ppb: u32::MAX },
            Wander::Periodic { swing_nanos: 3 * SECOND, period_nanos: 7 * SECOND + 1 },
            Wander::Periodic { swing_nanos: 1, period_nanos: 0 },
            Wander::Irregular { swing_nanos: 3 * SECOND, every_nanos: SECOND / 3 },
            most,
        ];
        for wander in wanders {
            for (number, elapsed) in (0..1_000).map(|n| (n % 7, mix(1, 2, n) >> (n % 64))) {
                let error = wander.error(number, elapsed).unsigned_abs();
                assert!(error <= wander.margin(elapsed), "{wander} at {elapsed}: {error}");
            }
        }
    }

    #[test]
    fn each_kind_has_its_shape() {
        let linear = errors(Wander::Linear { ppb: 1_000 }, 1);
        assert!(linear.windows(2).all(|pair| pair[1] < pair[0]), "{linear:?}");
        let to_and_fro = Wander::Periodic { swing_nanos: SECOND, period_nanos: 10 * SECOND };
        let periodic = errors(to_and_fro, 3);
        assert_eq!(periodic[..500], periodic[100..], "it is back after ten seconds");
        assert!((11..=12).contains(&turns(&periodic)), "{}", turns(&periodic));
        let anywhere = Wander::Irregular { swing_nanos: SECOND, every_nanos: SECOND };
        let irregular = errors(anywhere, 3);
        assert!((20..60).contains(&turns(&irregular)), "{}", turns(&irregular));
        assert_ne!(irregular, errors(anywhere, 4), "clocks differ");
    }
}
