//! What can go wrong between transactions, and which models exclude it.

use std::fmt;

use super::model::{ConsistencyModel, Level, Time};

/// A name for what went wrong.
///
/// The cyclic ones name the edges of their cycle: `ww` a write after a write, `wr` a read of a
/// write, `rw` a read that did not see a write. With a [`Time`] they also need an edge of the order
/// of a process, or of real time.
///
/// Source: Adya, "Weak consistency" (1999), 4.2 to 4.4; Kingsbury and Alvaro, "Elle" (2020), 4.3.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum AnomalyKind {
    /// Something is read that nobody wrote.
    GarbageRead,
    /// An element is in a list twice, though it was appended once.
    DuplicateElements,
    /// Writes interleave: a cycle of `ww`.
    #[doc(alias = "dirty write")]
    G0(Time),
    /// Two reads of a list do not fit one order of its elements.
    IncompatibleOrder,
    /// What a failed transaction wrote is read.
    #[doc(alias = "aborted read")]
    G1a,
    /// What was written on a failed transaction's write stays.
    DirtyUpdate,
    /// What a transaction overwrote itself is read by another.
    #[doc(alias = "intermediate read")]
    G1b,
    /// Each sees the other: a cycle of `ww` and `wr`.
    #[doc(alias = "circular information flow")]
    G1c(Time),
    /// A transaction reads what it writes only later.
    FutureRead,
    /// A transaction does not see what it read or wrote itself.
    Internal,
    /// Two transactions read the same version, and both overwrite it.
    LostUpdate,
    /// A cycle with one `rw`.
    #[doc(alias = "read skew")]
    GSingle(Time),
    /// A cycle with several `rw`, none right after another.
    #[doc(alias = "long fork")]
    GNonadjacent(Time),
    /// A cycle with two `rw` in a row.
    #[doc(alias = "write skew")]
    G2Item(Time),
}

impl AnomalyKind {
    /// Returns the weakest models that exclude it. There are two where neither is stronger.
    #[must_use]
    pub fn weakest_models(self) -> Vec<ConsistencyModel> {
        let (levels, time): (&[Level], Time) = match self {
            Self::GarbageRead | Self::DuplicateElements => (&[Level::ReadUncommitted], Time::Any),
            Self::G0(time) => (&[Level::ReadUncommitted], time),
            Self::IncompatibleOrder | Self::G1a | Self::DirtyUpdate | Self::G1b => {
                (&[Level::ReadCommitted], Time::Any)
            }
            Self::FutureRead => (&[Level::ReadCommitted], Time::Any),
            Self::G1c(time) => (&[Level::ReadCommitted], time),
            Self::Internal | Self::LostUpdate => (&[Level::ConsistentView], Time::Any),
            Self::GSingle(time) => (&[Level::ConsistentView], time),
            Self::GNonadjacent(time) => (&[Level::Snapshot, Level::RepeatableRead], time),
            Self::G2Item(time) => (&[Level::RepeatableRead], time),
        };
        levels.iter().map(|level| ConsistencyModel::new(*level, time)).collect()
    }

    /// Returns whether a store that keeps `model` never shows it.
    #[must_use]
    pub fn is_excluded_by(self, model: ConsistencyModel) -> bool {
        self.weakest_models().into_iter().any(|weakest| model.is_at_least(weakest))
    }

    const fn parts(self) -> (&'static str, Time) {
        match self {
            Self::GarbageRead => ("garbage-read", Time::Any),
            Self::DuplicateElements => ("duplicate-elements", Time::Any),
            Self::G0(time) => ("G0", time),
            Self::IncompatibleOrder => ("incompatible-order", Time::Any),
            Self::G1a => ("G1a", Time::Any),
            Self::DirtyUpdate => ("dirty-update", Time::Any),
            Self::G1b => ("G1b", Time::Any),
            Self::G1c(time) => ("G1c", time),
            Self::FutureRead => ("future-read", Time::Any),
            Self::Internal => ("internal", Time::Any),
            Self::LostUpdate => ("lost-update", Time::Any),
            Self::GSingle(time) => ("G-single", time),
            Self::GNonadjacent(time) => ("G-nonadjacent", time),
            Self::G2Item(time) => ("G2-item", time),
        }
    }
}

impl fmt::Display for AnomalyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, time) = self.parts();
        f.write_str(name)?;
        match time {
            Time::Any => Ok(()),
            Time::Session => f.write_str("-process"),
            Time::RealTime => f.write_str("-realtime"),
        }
    }
}

/// Something that went wrong, once or more often.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Anomaly {
    /// What.
    pub kind: AnomalyKind,
    /// The transactions of the first case, as positions in the history.
    pub transactions: Vec<usize>,
    /// What happened, in words.
    pub text: String,
    /// The cycle, if it is one; each step leads to the transaction of the next.
    pub cycle: Vec<Step>,
    /// How many cases there are; of a cycle only that there is one.
    pub count: u64,
}

/// Why one transaction must come before another.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Step {
    /// The earlier one, as a position in the history.
    pub from: usize,
    /// The later one.
    pub to: usize,
    /// Why.
    pub dependency: Dependency,
}

/// A kind of edge between transactions.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "those that the anomalies are made of")]
pub enum Dependency {
    /// `ww`: the later one overwrote what the earlier one wrote.
    Write,
    /// `wr`: the later one read what the earlier one wrote.
    Read,
    /// `rw`: the earlier one read something, and did not see what the later one wrote.
    #[doc(alias = "anti-dependency")]
    Miss,
    /// Both are of one process.
    Process,
    /// The earlier one was over before the later one began.
    RealTime,
}

impl fmt::Display for Dependency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Write => "ww",
            Self::Read => "wr",
            Self::Miss => "rw",
            Self::Process => "process",
            Self::RealTime => "realtime",
        })
    }
}

impl fmt::Display for Anomaly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind, self.text)?;
        if 1 < self.count {
            write!(f, " (and {} more)", self.count - 1)?;
        }
        Ok(())
    }
}
