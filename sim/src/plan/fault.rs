//! Faults that begin at a time, and most of them end at one.

use std::fmt;
use std::time::Duration;

use quorate_core::NodeId;
use serde::{Deserialize, Serialize};

use super::Family;
use super::json::{nanos, node, nodes, some_node};

/// A fault at a time.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::exhaustive_structs, reason = "a fault is when, how long and what")]
pub struct Fault {
    /// When it begins, from the start of the run.
    #[serde(with = "nanos")]
    pub at: Duration,
    /// How long it lasts: down, paused, cut, full, stalled. What is over at once ignores it.
    #[serde(with = "nanos")]
    pub lasts: Duration,
    /// What goes wrong.
    pub kind: FaultKind,
}

/// What goes wrong.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
#[non_exhaustive]
pub enum FaultKind {
    /// A node crashes, and starts again at the end.
    Crash {
        /// Which.
        #[serde(with = "node")]
        node: NodeId,
    },
    /// All nodes crash at once, whatever the budget, and start again one after the other.
    CrashStorm,
    /// A node crashes and loses all that was on its disk.
    Wipe {
        /// Which.
        #[serde(with = "node")]
        node: NodeId,
    },
    /// A node stops, and goes on with all that came meanwhile.
    Pause {
        /// Which.
        #[serde(with = "node")]
        node: NodeId,
    },
    /// All links of a node are cut.
    Isolate {
        /// Which.
        #[serde(with = "node")]
        node: NodeId,
    },
    /// Some nodes are cut from all others, but not from each other.
    Split {
        /// Which.
        #[serde(with = "nodes")]
        nodes: Vec<NodeId>,
    },
    /// What is said on some links is not heard.
    OneWay {
        /// Who is not heard; `None`: nobody is.
        #[serde(with = "some_node")]
        from: Option<NodeId>,
        /// Who hears nothing; `None`: nobody does.
        #[serde(with = "some_node")]
        to: Option<NodeId>,
    },
    /// Two halves that hear each other only through one node, which hears both.
    Bridge {
        /// The node between.
        #[serde(with = "node")]
        node: NodeId,
        /// One of the halves.
        #[serde(with = "nodes")]
        half: Vec<NodeId>,
    },
    /// Each node hears a majority, and no two the same one: its neighbors on a ring.
    Ring,
    /// A link keeps all messages until the end, and then delivers them.
    Clog {
        /// Who is heard late.
        #[serde(with = "node")]
        from: NodeId,
        /// Who hears late.
        #[serde(with = "node")]
        to: NodeId,
    },
    /// A connection breaks: what is under way between two nodes is lost.
    Reset {
        /// One end.
        #[serde(with = "node")]
        from: NodeId,
        /// The other end.
        #[serde(with = "node")]
        to: NodeId,
    },
    /// Syncs and reads of a node do not end before the end.
    DiskStall {
        /// Whose.
        #[serde(with = "node")]
        node: NodeId,
    },
    /// The next read fails.
    ReadError {
        /// Whose.
        #[serde(with = "node")]
        node: NodeId,
    },
    /// The next read returns a wrong byte, once.
    Misread {
        /// Whose.
        #[serde(with = "node")]
        node: NodeId,
    },
    /// The next sync fails. What it was to write is lost, and readers see it all the same, or no
    /// more.
    SyncError {
        /// Whose.
        #[serde(with = "node")]
        node: NodeId,
        /// Whether readers see what was there before, as on btrfs.
        reverts: bool,
    },
    /// The next write stops in the middle.
    ShortWrite {
        /// Whose.
        #[serde(with = "node")]
        node: NodeId,
    },
    /// There is no room for another byte.
    Full {
        /// Where.
        #[serde(with = "node")]
        node: NodeId,
    },
    /// Bits of a durable sector flip.
    Rot {
        /// Where.
        #[serde(with = "node")]
        node: NodeId,
    },
    /// The next write reaches another sector as well as, or instead of, its own.
    Misdirect {
        /// Whose.
        #[serde(with = "node")]
        node: NodeId,
    },
    /// The next write is reported as done, and never reaches the medium.
    LostWrite {
        /// Whose.
        #[serde(with = "node")]
        node: NodeId,
    },
    /// The wall clock of a node jumps.
    Step {
        /// Whose.
        #[serde(with = "node")]
        node: NodeId,
        /// How far, in nanoseconds.
        by: i64,
    },
    /// The wall clock of a node is outside of the bound that it tells.
    BrokenBound {
        /// Whose.
        #[serde(with = "node")]
        node: NodeId,
        /// How far beyond it, in nanoseconds.
        by: i64,
    },
    /// The system changes its members: see [`System::reconfigure`](crate::System::reconfigure).
    Reconfigure {
        /// Who is told to.
        #[serde(with = "node")]
        node: NodeId,
    },
}

impl FaultKind {
    /// Returns the family that it is of.
    #[must_use]
    pub const fn family(&self) -> Family {
        match self {
            Self::Crash { .. } => Family::Crash,
            Self::CrashStorm => Family::CrashStorm,
            Self::Wipe { .. } => Family::Wipe,
            Self::Pause { .. } => Family::Pause,
            Self::Isolate { .. } => Family::Isolate,
            Self::Split { .. } => Family::Split,
            Self::OneWay { .. } => Family::OneWay,
            Self::Bridge { .. } => Family::Bridge,
            Self::Ring => Family::Ring,
            Self::Clog { .. } => Family::Clog,
            Self::Reset { .. } => Family::Reset,
            Self::DiskStall { .. } => Family::DiskStall,
            Self::ReadError { .. } => Family::ReadError,
            Self::Misread { .. } => Family::Misread,
            Self::SyncError { .. } | Self::ShortWrite { .. } => Family::SyncError,
            Self::Full { .. } => Family::Full,
            Self::Rot { .. } => Family::Rot,
            Self::Misdirect { .. } => Family::Misdirect,
            Self::LostWrite { .. } => Family::LostWrite,
            Self::Step { .. } => Family::Step,
            Self::BrokenBound { .. } => Family::BrokenBound,
            Self::Reconfigure { .. } => Family::Reconfigure,
        }
    }

    /// Returns the nodes that it names.
    #[must_use]
    pub fn nodes(&self) -> Vec<NodeId> {
        match self {
            Self::CrashStorm | Self::Ring => Vec::new(),
            Self::Split { nodes } => nodes.clone(),
            Self::Bridge { node, half } => half.iter().copied().chain([*node]).collect(),
            Self::OneWay { from, to } => from.iter().chain(to).copied().collect(),
            Self::Clog { from, to } | Self::Reset { from, to } => vec![*from, *to],
            Self::Crash { node }
            | Self::Wipe { node }
            | Self::Pause { node }
            | Self::Isolate { node }
            | Self::DiskStall { node }
            | Self::ReadError { node }
            | Self::Misread { node }
            | Self::SyncError { node, .. }
            | Self::ShortWrite { node }
            | Self::Full { node }
            | Self::Rot { node }
            | Self::Misdirect { node }
            | Self::LostWrite { node }
            | Self::Step { node, .. }
            | Self::BrokenBound { node, .. }
            | Self::Reconfigure { node } => vec![*node],
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at {:?} for {:?}: {}", self.at, self.lasts, self.kind)
    }
}

impl fmt::Display for FaultKind {
    /// Writes the family and the nodes, as in `split n1 n2`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ShortWrite { .. } => f.write_str("short_write")?,
            _ => write!(f, "{}", self.family())?,
        }
        self.nodes().iter().try_for_each(|node| write!(f, " {node}"))?;
        match self {
            Self::Step { by, .. } | Self::BrokenBound { by, .. } => write!(f, " by {by} ns"),
            Self::OneWay { from: None, .. } => f.write_str(" hears nothing"),
            Self::OneWay { to: None, .. } => f.write_str(" is not heard"),
            _ => Ok(()),
        }
    }
}
