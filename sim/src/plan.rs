//! How a run goes wrong: which faults, how often, how long.
//!
//! Source: Groce et al., "Swarm Testing" (ISSTA 2012): a run in which each fault is on or off by
//! chance finds more than runs with all of them on. Ranges are those of the design notes of
//! `FoundationDB` and `TigerBeetle`, shortened to runs of seconds.

mod family;

use std::fmt;
use std::time::Duration;

pub use self::family::{Family, Faults};
use crate::decision::{Delay, Ratio, mix, scale};
use crate::stream::Purpose;
use crate::traps::{Trap, planted};

/// The knobs of one run. Make one with [`calm`](Self::calm) or [`draw`](Self::draw), then change
/// what a test needs otherwise.
///
/// Intervals are means of exponential times, over all nodes; `None` is never.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Plan {
    /// How long a message is under way.
    pub delay: Delay,
    /// How many messages are lost.
    pub loss: Ratio,
    /// How many messages arrive again.
    pub repeat: Ratio,
    /// How many messages may be overtaken; the others arrive in the order they were sent.
    pub reorder: Ratio,
    /// The time between partitions.
    pub partition_every: Option<Duration>,
    /// How long a partition lasts.
    pub partition_for: Delay,
    /// Which of [`Family::Split`], [`Family::Isolate`] and [`Family::OneWay`] partitions are.
    pub partitions: Faults,
    /// The time between crashes.
    pub crash_every: Option<Duration>,
    /// Before how many outputs the power fails: they and all after them are not performed.
    pub power_cut: Ratio,
    /// During how many syncs the power fails.
    pub sync_cut: Ratio,
    /// The time between crashes of all nodes at once, whatever [`max_down`](Self::max_down) says.
    pub storm_every: Option<Duration>,
    /// How long a node is down.
    pub down_for: Delay,
    /// The time between pauses.
    pub pause_every: Option<Duration>,
    /// How long a node pauses.
    pub pause_for: Delay,
    /// How long a sync takes.
    pub sync_latency: Delay,
    /// How long a fetch takes.
    pub fetch_latency: Delay,
    /// At which of the clock's times, at most, a node is started first.
    pub max_clock_offset: Duration,
    /// How many microseconds per second, at most, a clock gains or loses.
    pub max_drift_ppm: u32,
    /// How many wake-ups that turn out to be early reach the core all the same.
    pub early_wake: Ratio,
    /// Whether what is due at the same time happens in any order.
    pub shuffle_ties: bool,
    /// The time between two actions at one node: see [`System::act`](crate::System::act).
    pub act_every: Option<Duration>,
    /// How many nodes may be down, paused or cut off at the same time; `None`: the largest
    /// minority, but one at least.
    pub max_down: Option<usize>,
    /// Which families were on when the plan was drawn.
    pub drawn: Faults,
}

impl Plan {
    /// Returns a plan without faults: messages take 0.5 to 1.5 ms, syncs 0.1 to 0.3 ms.
    #[must_use]
    pub const fn calm() -> Self {
        Self {
            delay: Delay::Uniform { min_nanos: 500_000, end_nanos: 1_500_000 },
            loss: Ratio::NEVER,
            repeat: Ratio::NEVER,
            reorder: Ratio::NEVER,
            partition_every: None,
            partition_for: Delay::Exponential { min_nanos: MILLI, mean_nanos: SECOND },
            partitions: Faults::none(),
            crash_every: None,
            power_cut: Ratio::NEVER,
            sync_cut: Ratio::NEVER,
            storm_every: None,
            down_for: Delay::Exponential { min_nanos: MILLI, mean_nanos: 300 * MILLI },
            pause_every: None,
            pause_for: Delay::Exponential { min_nanos: MILLI, mean_nanos: 300 * MILLI },
            sync_latency: Delay::Uniform { min_nanos: 100_000, end_nanos: 300_000 },
            fetch_latency: Delay::Uniform { min_nanos: 50_000, end_nanos: 500_000 },
            max_clock_offset: Duration::ZERO,
            max_drift_ppm: 0,
            early_wake: Ratio::NEVER,
            shuffle_ties: false,
            act_every: Some(Duration::from_millis(20)),
            max_down: None,
            drawn: Faults::none(),
        }
    }

    /// Draws a plan: each of `faults` is on with a chance of one in two, and as strong as chance
    /// says. What one draw gives does not depend on which other faults there are.
    #[must_use]
    pub fn draw(seed: u64, faults: &Faults) -> Self {
        let mut plan = Self::calm();
        for family in Family::ALL {
            let number = mix(seed, Purpose::Family as u64, family as u64);
            let is_on = number >> 63 == 0 || planted(Trap::AlwaysOn);
            if faults.contains(family) && is_on {
                plan.drawn = plan.drawn.with(family);
                // Partitions of all shapes share their knobs, which so depend on none of them.
                let knobs = match family {
                    Family::Isolate | Family::OneWay => Family::Split,
                    _ => family,
                };
                plan.turn_on(family, mix(seed, Purpose::Knob as u64, knobs as u64));
            }
        }
        plan
    }

    /// Turns `family` on, as strong as `number` says.
    fn turn_on(&mut self, family: Family, number: u64) {
        let knob = |index, from, to| log_uniform(mix(number, 0, index), from, to);
        let ratio = |index, from, to| Ratio::per_million(low(knob(index, from, to)));
        let every = |from, to| Some(Duration::from_nanos(knob(0, from, to)));
        let mean = |index, from, to| Delay::Exponential {
            min_nanos: 0,
            mean_nanos: knob(index, from, to),
        };
        match family {
            Family::Delay => {
                let (min_nanos, mean_nanos) =
                    (knob(0, MILLI / 10, 30 * MILLI), knob(1, MILLI, 100 * MILLI));
                self.delay = Delay::Exponential { min_nanos, mean_nanos };
            }
            Family::Loss => self.loss = ratio(0, 1_000, 300_000),
            Family::Repeat => self.repeat = ratio(0, 1_000, 500_000),
            Family::Reorder => self.reorder = ratio(0, 1_000, 1_000_000),
            Family::Split | Family::Isolate | Family::OneWay => {
                self.partitions = self.partitions.with(family);
                self.partition_every = every(200 * MILLI, 5 * SECOND);
                self.partition_for = mean(1, 50 * MILLI, 5 * SECOND);
            }
            Family::Crash => {
                self.crash_every = every(200 * MILLI, 10 * SECOND);
                self.down_for = mean(1, MILLI, 2 * SECOND);
                self.power_cut = ratio(2, 10, 5_000);
                self.sync_cut = ratio(3, 100, 20_000);
            }
            Family::CrashStorm => self.storm_every = every(SECOND, 20 * SECOND),
            Family::Pause => {
                self.pause_every = every(200 * MILLI, 10 * SECOND);
                self.pause_for = mean(1, MILLI, 2 * SECOND);
            }
            Family::DiskSlow => {
                self.sync_latency = mean(0, MILLI, 300 * MILLI);
                self.fetch_latency = mean(1, MILLI, 300 * MILLI);
            }
            Family::Skew => self.max_clock_offset = Duration::from_secs(10),
            Family::Drift => self.max_drift_ppm = low(knob(0, 10, 500)),
            Family::Wake => self.early_wake = ratio(0, 10_000, 1_000_000),
            Family::Tie => self.shuffle_ties = true,
        }
    }
}

impl fmt::Display for Plan {
    /// Writes one line: what was drawn, and each knob that is not as in a calm run.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let calm = Self::calm();
        write!(f, "[{}] delay {} sync {}", self.drawn, self.delay, self.sync_latency)?;
        let ratios = [
            ("loss", self.loss),
            ("repeat", self.repeat),
            ("reorder", self.reorder),
            ("power_cut", self.power_cut),
            ("sync_cut", self.sync_cut),
            ("early_wake", self.early_wake),
        ];
        for (name, ratio) in ratios.iter().filter(|(_, ratio)| *ratio != Ratio::NEVER) {
            write!(f, " {name} {ratio}")?;
        }
        let times = [
            ("partition", self.partition_every, self.partition_for),
            ("crash", self.crash_every, self.down_for),
            ("storm", self.storm_every, self.down_for),
            ("pause", self.pause_every, self.pause_for),
        ];
        for (name, every, lasts) in times {
            if let Some(every) = every {
                write!(f, " {name} every {every:?} for {lasts}")?;
            }
        }
        if self.fetch_latency != calm.fetch_latency {
            write!(f, " fetch {}", self.fetch_latency)?;
        }
        if self.max_clock_offset != calm.max_clock_offset || self.max_drift_ppm != 0 {
            write!(f, " clock +{:?} {}ppm", self.max_clock_offset, self.max_drift_ppm)?;
        }
        if self.act_every != calm.act_every {
            write!(f, " act every {:?}", self.act_every)?;
        }
        self.max_down.map_or(Ok(()), |count| write!(f, " max_down {count}"))
    }
}

/// Returns a number from `from` to `to` such that each power of two in between is as likely.
fn log_uniform(number: u64, from: u64, to: u64) -> u64 {
    let doublings = u64::from((to / from).ilog2()) + 1;
    let least = from << scale(number, doublings);
    (least + scale(mix(number, 0, 0), least)).min(to)
}

fn low(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

const MILLI: u64 = 1_000_000;
const SECOND: u64 = 1_000 * MILLI;
