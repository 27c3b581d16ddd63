//! Models of consistency, and which is stronger than which.

use std::fmt;
use std::str::FromStr;

/// What a store promises to transactions: what they may see of each other, and when.
///
/// ```text
/// read uncommitted --> read committed --> consistent view --> snapshot --------+--> serializable
///                                                |                             |
///                                                +---------> repeatable read --+
/// ```
///
/// Each is also there in a form that keeps the order of each session, and in one that keeps the
/// order of real time. Reads are of single items here, not of predicates, so repeatable read
/// excludes whatever a consistent view does.
///
/// Source: Adya, "Weak consistency" (1999), figure 4-4; Daudjee and Salem, "Lazy database
/// replication with snapshot isolation" (2006), for strong sessions.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[expect(clippy::exhaustive_structs, reason = "a level and a time")]
pub struct ConsistencyModel {
    /// What transactions may see of each other.
    pub level: Level,
    /// Which order of time it keeps.
    pub time: Time,
}

/// What transactions may see of each other.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[expect(clippy::exhaustive_enums, reason = "those that the anomalies tell apart")]
pub enum Level {
    /// Writes do not interleave.
    ReadUncommitted,
    /// And reads are of what was committed.
    ReadCommitted,
    /// And none sees half of what another did.
    ConsistentView,
    /// And all reads are of one moment.
    Snapshot,
    /// What was read stays as it is until the end.
    RepeatableRead,
    /// All is as if one came after the other.
    Serializable,
}

/// Which order of time a model keeps.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
#[expect(clippy::exhaustive_enums, reason = "there is no time between them")]
pub enum Time {
    /// None.
    #[default]
    Any,
    /// That of each process.
    Session,
    /// That of the clock.
    RealTime,
}

impl Level {
    /// All of them, weaker ones before stronger ones.
    pub const ALL: [Self; 6] = [
        Self::ReadUncommitted,
        Self::ReadCommitted,
        Self::ConsistentView,
        Self::Snapshot,
        Self::RepeatableRead,
        Self::Serializable,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::ReadUncommitted => "read-uncommitted",
            Self::ReadCommitted => "read-committed",
            Self::ConsistentView => "consistent-view",
            Self::Snapshot => "snapshot",
            Self::RepeatableRead => "repeatable-read",
            Self::Serializable => "serializable",
        }
    }

    fn is_at_least(self, other: Self) -> bool {
        other <= self && !(self == Self::RepeatableRead && other == Self::Snapshot)
    }
}

impl ConsistencyModel {
    /// One after the other, in the order of real time.
    #[doc(alias = "linearizable")]
    pub const STRICT_SERIALIZABLE: Self = Self::new(Level::Serializable, Time::RealTime);
    /// One after the other.
    pub const SERIALIZABLE: Self = Self::new(Level::Serializable, Time::Any);
    /// All reads of one moment.
    pub const SNAPSHOT: Self = Self::new(Level::Snapshot, Time::Any);

    /// Makes a model.
    #[must_use]
    pub const fn new(level: Level, time: Time) -> Self {
        Self { level, time }
    }

    /// Returns all models, weaker ones before stronger ones.
    pub fn all() -> impl Iterator<Item = Self> {
        let times = [Time::Any, Time::Session, Time::RealTime];
        times.into_iter().flat_map(|time| Level::ALL.map(|level| Self::new(level, time)))
    }

    /// Returns whether it promises all that `other` does.
    #[must_use]
    pub fn is_at_least(self, other: Self) -> bool {
        self.level.is_at_least(other.level) && other.time <= self.time
    }
}

impl fmt::Display for ConsistencyModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = match self.time {
            Time::Any => "",
            Time::Session => "strong-session-",
            Time::RealTime if self.level == Level::Serializable => "strict-",
            Time::RealTime => "strong-",
        };
        write!(f, "{time}{}", self.level.name())
    }
}

/// There is no model of this name.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("expected one of {}, found {found}", names())]
#[non_exhaustive]
pub struct UnknownModel {
    /// The name.
    pub found: String,
}

impl FromStr for ConsistencyModel {
    type Err = UnknownModel;

    /// Parses what `Display` writes; `-isolation` may follow.
    fn from_str(name: &str) -> Result<Self, UnknownModel> {
        let short = name.strip_suffix("-isolation").unwrap_or(name);
        let named = Self::all().find(|model| model.to_string() == short);
        named.ok_or_else(|| UnknownModel { found: name.to_owned() })
    }
}

fn names() -> String {
    ConsistencyModel::all().map(|it| it.to_string()).collect::<Vec<_>>().join(", ")
}
