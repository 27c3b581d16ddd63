//! What is decided anew for each message, sync, output and wake-up.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Family;
use super::json::nanos;
use crate::clock::Wander;
use crate::decision::{Delay, Ratio};

/// How often, how long and how strong: the part of a [`Plan`](crate::Plan) that has no times.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct Knobs {
    /// How long a message is under way.
    pub delay: Delay,
    /// What a link takes longer than others, at most: each pair has its own.
    #[serde(with = "nanos")]
    pub max_extra: Duration,
    /// How many messages are lost.
    pub loss: Ratio,
    /// How many messages arrive again.
    pub repeat: Ratio,
    /// How many messages may be overtaken; the others arrive in the order they were sent.
    pub reorder: Ratio,
    /// How many messages are damaged on the way: see [`System::damage`](crate::System::damage).
    pub corrupt: Ratio,
    /// Whether links are connections: nothing is overtaken or repeated, and a loss breaks both
    /// directions at once, with all that is under way.
    pub is_stream: bool,
    /// How many messages may be under way on a link; more are dropped.
    pub queue: Option<u32>,
    /// How many bytes a link carries per second.
    pub rate: Option<u64>,
    /// How long a sync takes.
    pub sync_latency: Delay,
    /// How long a fetch takes.
    pub fetch_latency: Delay,
    /// Before how many outputs the power fails: they and all after them are not performed.
    pub power_cut: Ratio,
    /// During how many syncs the power fails.
    pub sync_cut: Ratio,
    /// How long a node is down after a power failure.
    pub down_for: Delay,
    /// At which of the clock's times, at most, a node is started first.
    #[serde(with = "nanos")]
    pub max_clock_offset: Duration,
    /// How many microseconds per second, at most, a clock gains or loses.
    pub max_drift_ppm: u32,
    /// How the error of a wall clock changes by itself.
    pub wander: Wander,
    /// How many wake-ups that turn out to be early reach the core all the same.
    pub early_wake: Ratio,
    /// How many wake-ups come late.
    pub late_wake: Ratio,
    /// Whether what is due at the same time happens in any order.
    pub shuffle_ties: bool,
    /// Between how many outputs of one drain a client's request comes.
    pub interleave: Ratio,
    /// How long a client waits between two operations, in the mean.
    #[serde(with = "nanos")]
    pub think: Duration,
    /// How long a request or a reply is under way between a client and a node.
    pub client_delay: Delay,
    /// After which time a client gives up, not knowing what became of its operation.
    #[serde(with = "nanos")]
    pub client_timeout: Duration,
    /// Whether cores are given limits other than usual: see [`Boot::tuning`](crate::Boot::tuning).
    pub is_tuned: bool,
}

impl Knobs {
    /// Returns the knobs of a run without faults.
    #[must_use]
    pub const fn calm() -> Self {
        Self {
            delay: Delay::Uniform { min_nanos: 500_000, end_nanos: 1_500_000 },
            max_extra: Duration::ZERO,
            loss: Ratio::NEVER,
            repeat: Ratio::NEVER,
            reorder: Ratio::NEVER,
            corrupt: Ratio::NEVER,
            is_stream: false,
            queue: None,
            rate: None,
            sync_latency: Delay::Uniform { min_nanos: 100_000, end_nanos: 300_000 },
            fetch_latency: Delay::Uniform { min_nanos: 50_000, end_nanos: 500_000 },
            power_cut: Ratio::NEVER,
            sync_cut: Ratio::NEVER,
            down_for: Delay::Exponential { min_nanos: 1_000_000, mean_nanos: 300_000_000 },
            max_clock_offset: Duration::ZERO,
            max_drift_ppm: 0,
            wander: Wander::Still,
            early_wake: Ratio::NEVER,
            late_wake: Ratio::NEVER,
            shuffle_ties: false,
            interleave: Ratio::NEVER,
            think: Duration::from_millis(20),
            client_delay: Delay::Uniform { min_nanos: 50_000, end_nanos: 500_000 },
            client_timeout: Duration::from_secs(2),
            is_tuned: false,
        }
    }

    /// Makes everything of `family` as in a calm run.
    pub(crate) fn turn_off(&mut self, family: Family) {
        let calm = Self::calm();
        match family {
            Family::Delay => {
                (self.delay, self.max_extra) = (calm.delay, calm.max_extra);
            }
            Family::Loss => self.loss = calm.loss,
            Family::Repeat => self.repeat = calm.repeat,
            Family::Reorder => self.reorder = calm.reorder,
            Family::Corrupt => self.corrupt = calm.corrupt,
            Family::Stream => self.is_stream = false,
            Family::SlowLink => (self.queue, self.rate) = (None, None),
            Family::Crash => {
                (self.power_cut, self.sync_cut) = (calm.power_cut, calm.sync_cut);
                self.down_for = calm.down_for;
            }
            Family::DiskSlow => {
                (self.sync_latency, self.fetch_latency) = (calm.sync_latency, calm.fetch_latency);
            }
            Family::Skew => self.max_clock_offset = calm.max_clock_offset,
            Family::Drift => self.max_drift_ppm = 0,
            Family::Wander => self.wander = calm.wander,
            Family::Wake => (self.early_wake, self.late_wake) = (calm.early_wake, calm.late_wake),
            Family::Tie => self.shuffle_ties = false,
            Family::Interleave => self.interleave = calm.interleave,
            Family::Tuning => self.is_tuned = false,
            _ => {}
        }
    }

    /// Returns the families of which something is not as in a calm run.
    pub(crate) fn families(&self) -> impl Iterator<Item = Family> + use<'_> {
        Family::ALL.into_iter().filter(|family| {
            let mut without = self.clone();
            without.turn_off(*family);
            without != *self
        })
    }
}

impl Default for Knobs {
    fn default() -> Self {
        Self::calm()
    }
}

impl fmt::Display for Knobs {
    /// Writes each knob that is not as in a calm run, with a space before it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let calm = Self::calm();
        let delays = [
            ("delay", self.delay, calm.delay),
            ("sync", self.sync_latency, calm.sync_latency),
            ("fetch", self.fetch_latency, calm.fetch_latency),
            ("down", self.down_for, calm.down_for),
            ("client", self.client_delay, calm.client_delay),
        ];
        for (name, delay, calm) in delays {
            if delay != calm {
                write!(f, " {name} {delay}")?;
            }
        }
        let ratios = [
            ("loss", self.loss),
            ("repeat", self.repeat),
            ("reorder", self.reorder),
            ("corrupt", self.corrupt),
            ("power_cut", self.power_cut),
            ("sync_cut", self.sync_cut),
            ("early_wake", self.early_wake),
            ("late_wake", self.late_wake),
            ("interleave", self.interleave),
        ];
        for (name, ratio) in ratios.iter().filter(|(_, ratio)| *ratio != Ratio::NEVER) {
            write!(f, " {name} {ratio}")?;
        }
        if self.max_clock_offset != calm.max_clock_offset || self.max_drift_ppm != 0 {
            write!(f, " clock +{:?} {}ppm", self.max_clock_offset, self.max_drift_ppm)?;
        }
        if self.wander != calm.wander {
            write!(f, " wander {}", self.wander)?;
        }
        let limits = [("queue", self.queue.map(u64::from)), ("rate", self.rate)];
        for (name, limit) in limits {
            limit.map_or(Ok(()), |limit| write!(f, " {name} {limit}"))?;
        }
        let flags =
            [("stream", self.is_stream), ("ties", self.shuffle_ties), ("tuned", self.is_tuned)];
        for (name, _) in flags.iter().filter(|(_, is_on)| *is_on) {
            write!(f, " {name}")?;
        }
        Ok(())
    }
}
