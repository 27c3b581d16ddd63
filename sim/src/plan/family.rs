//! Kinds of faults, and sets of them.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A kind of fault that a run may have.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
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
    /// Nodes are woken before their deadline, or long after it.
    Wake,
    /// What is due at the same time happens in any order.
    Tie,
    /// Messages are damaged on the way.
    Corrupt,
    /// Links are connections: what is lost breaks them.
    Stream,
    /// Links carry little, and drop what is too much.
    SlowLink,
    /// Links keep everything back for a while.
    Clog,
    /// Connections break.
    Reset,
    /// Two halves hear each other only through one node.
    Bridge,
    /// Each node hears another majority.
    Ring,
    /// Clients' requests come between two outputs.
    Interleave,
    /// Cores are given limits other than usual.
    Tuning,
    /// Nodes lose their disks.
    Wipe,
    /// Disks do not answer for a while.
    DiskStall,
    /// Reads fail.
    ReadError,
    /// Reads return a wrong bit, once.
    Misread,
    /// Writes and syncs fail.
    SyncError,
    /// Disks are full.
    Full,
    /// What is durable changes by itself.
    Rot,
    /// Writes reach the wrong place.
    Misdirect,
    /// Writes are reported and never happen.
    LostWrite,
    /// Wall clocks jump.
    Step,
    /// Wall clocks are outside of the bound that they tell.
    BrokenBound,
    /// The system changes its members.
    Reconfigure,
    /// Wall clocks gain and lose: steadily, to and fro, or irregularly.
    Wander,
}

impl Family {
    /// Every family.
    pub const ALL: [Self; 37] = [
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
        Self::Corrupt,
        Self::Stream,
        Self::SlowLink,
        Self::Clog,
        Self::Reset,
        Self::Bridge,
        Self::Ring,
        Self::Interleave,
        Self::Tuning,
        Self::Wipe,
        Self::DiskStall,
        Self::ReadError,
        Self::Misread,
        Self::SyncError,
        Self::Full,
        Self::Rot,
        Self::Misdirect,
        Self::LostWrite,
        Self::Step,
        Self::BrokenBound,
        Self::Reconfigure,
        Self::Wander,
    ];

    /// The families that few systems promise to bear: what was acknowledged is gone or seems to be,
    /// or a clock lies about how wrong it is. [`Faults::all`] has none of them.
    pub const DESTRUCTIVE: [Self; 6] =
        [Self::Wipe, Self::Misread, Self::Rot, Self::Misdirect, Self::LostWrite, Self::BrokenBound];

    /// Returns the name, as in plans and on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
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
            Self::Corrupt => "corrupt",
            Self::Stream => "stream",
            Self::SlowLink => "slow_link",
            Self::Clog => "clog",
            Self::Reset => "reset",
            Self::Bridge => "bridge",
            Self::Ring => "ring",
            Self::Interleave => "interleave",
            Self::Tuning => "tuning",
            Self::Wipe => "wipe",
            Self::DiskStall => "disk_stall",
            Self::ReadError => "read_error",
            Self::Misread => "misread",
            Self::SyncError => "sync_error",
            Self::Full => "full",
            Self::Rot => "rot",
            Self::Misdirect => "misdirect",
            Self::LostWrite => "lost_write",
            Self::Step => "step",
            Self::BrokenBound => "broken_bound",
            Self::Reconfigure => "reconfigure",
            Self::Wander => "wander",
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The faults that a system promises to bear: what [`Plan::draw`](crate::Plan::draw) chooses from.
///
/// # Examples
///
/// ```
/// use quorate_sim::{Family, Faults};
///
/// let faults = Faults::all().without(Family::CrashStorm).with(Family::Rot);
/// assert!(faults.contains(Family::Crash) && !faults.contains(Family::CrashStorm));
/// ```
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(from = "Vec<Family>", into = "Vec<Family>")]
pub struct Faults {
    bits: u64,
}

impl Faults {
    /// Returns no fault at all.
    #[must_use]
    pub const fn none() -> Self {
        Self { bits: 0 }
    }

    /// Returns every fault but those of [`Family::DESTRUCTIVE`].
    #[must_use]
    pub fn all() -> Self {
        let all = Family::ALL.into_iter().fold(Self::none(), Self::with);
        Family::DESTRUCTIVE.into_iter().fold(all, Self::without)
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

impl From<Vec<Family>> for Faults {
    fn from(families: Vec<Family>) -> Self {
        families.into_iter().fold(Self::none(), Self::with)
    }
}

impl From<Faults> for Vec<Family> {
    fn from(faults: Faults) -> Self {
        Family::ALL.into_iter().filter(|family| faults.contains(*family)).collect()
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
