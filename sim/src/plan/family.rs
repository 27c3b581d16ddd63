//! Kinds of faults, and sets of them.

use std::fmt;

/// A kind of fault that a run may have.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Family {
    /// Messages take long, and some very long.
    Delay,
    /// Messages are lost.
    Loss,
    /// Messages arrive twice and more.
    Repeat,
    /// Messages overtake others.
    Reorder,
    /// Some nodes are cut off from the others.
    Split,
    /// One node is cut off.
    Isolate,
    /// One node is not heard, or hears nothing, or not from one other.
    OneWay,
    /// Nodes crash, also between any two outputs, and start again.
    Crash,
    /// All nodes crash at once.
    CrashStorm,
    /// Nodes stop for a while, and go on with all that came meanwhile.
    Pause,
    /// Writes take long to become durable, reads to be answered.
    DiskSlow,
    /// Clocks start anywhere.
    Skew,
    /// Clocks run at different speeds.
    Drift,
    /// Nodes are woken before their deadline.
    Wake,
    /// What is due at the same time happens in any order.
    Tie,
}

impl Family {
    /// Every family.
    pub const ALL: [Self; 15] = [
        Self::Delay,
        Self::Loss,
        Self::Repeat,
        Self::Reorder,
        Self::Split,
        Self::Isolate,
        Self::OneWay,
        Self::Crash,
        Self::CrashStorm,
        Self::Pause,
        Self::DiskSlow,
        Self::Skew,
        Self::Drift,
        Self::Wake,
        Self::Tie,
    ];
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Delay => "delay",
            Self::Loss => "loss",
            Self::Repeat => "repeat",
            Self::Reorder => "reorder",
            Self::Split => "split",
            Self::Isolate => "isolate",
            Self::OneWay => "one_way",
            Self::Crash => "crash",
            Self::CrashStorm => "crash_storm",
            Self::Pause => "pause",
            Self::DiskSlow => "disk_slow",
            Self::Skew => "skew",
            Self::Drift => "drift",
            Self::Wake => "wake",
            Self::Tie => "tie",
        })
    }
}

/// The faults that a system promises to bear: what [`Plan::draw`](crate::Plan::draw) chooses from.
///
/// # Examples
///
/// ```
/// use quorate_sim::{Family, Faults};
///
/// let faults = Faults::all().without(Family::CrashStorm);
/// assert!(faults.contains(Family::Crash) && !faults.contains(Family::CrashStorm));
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Faults {
    bits: u32,
}

impl Faults {
    /// Returns no fault at all.
    #[must_use]
    pub const fn none() -> Self {
        Self { bits: 0 }
    }

    /// Returns every fault there is.
    #[must_use]
    pub fn all() -> Self {
        Family::ALL.into_iter().fold(Self::none(), Self::with)
    }

    /// Returns these faults and `family`.
    #[must_use]
    pub const fn with(self, family: Family) -> Self {
        Self { bits: self.bits | (1 << family as u32) }
    }

    /// Returns these faults but for `family`.
    #[must_use]
    pub const fn without(self, family: Family) -> Self {
        Self { bits: self.bits & !(1 << family as u32) }
    }

    /// Returns whether `family` is one of them.
    #[must_use]
    pub const fn contains(self, family: Family) -> bool {
        self.bits & (1 << family as u32) != 0
    }
}

impl fmt::Display for Faults {
    /// Writes the names, with spaces between, or `none`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.bits == 0 {
            return f.write_str("none");
        }
        let mut gap = "";
        for family in Family::ALL.into_iter().filter(|family| self.contains(*family)) {
            write!(f, "{gap}{family}")?;
            gap = " ";
        }
        Ok(())
    }
}
