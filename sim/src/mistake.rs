//! What a careless driver does to a sound core.

/// A mistake that the world makes, as a driver might, against the contract of
/// [`Protocol`](quorate_core::Protocol).
///
/// A suite whose laws hold under [`None`](Self::None) should break under each of the others that
/// its protocol depends on: if it does not, it would not see a core that makes the mistake itself.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Mistake {
    /// None: the contract is kept.
    #[default]
    None,
    /// Each write is reported as durable as soon as it is handed out.
    Hasty,
    /// One deadline in four is never run, until the core sets another.
    ForgetsDeadlines,
    /// One delivery in four is handed over after the next one.
    ReordersDeliveries,
    /// One fetch in four is never answered.
    DropsFetches,
}
