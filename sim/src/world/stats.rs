//! Counts.

/// How much of what happened.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Stats {
    /// Everything that was taken from the queue and was not out of date.
    pub events: u64,
    /// Messages that were handed to the network.
    pub sent: u64,
    /// Messages that reached a core, repeats included.
    pub delivered: u64,
    /// Messages lost: by chance, to a cut, to a node that was down.
    pub lost: u64,
    /// Messages that were to arrive twice.
    pub repeated: u64,
    /// Messages that were damaged on the way.
    pub damaged: u64,
    /// Deadlines that were run.
    pub timeouts: u64,
    /// Syncs that succeeded.
    pub syncs: u64,
    /// Fetches that were answered.
    pub fetches: u64,
    /// Deliveries to the application.
    pub applied: u64,
    /// Operations that clients started.
    pub invoked: u64,
    /// Operations that happened, as clients were told.
    pub completed: u64,
    /// Starts, the first ones included.
    pub boots: u64,
    /// Crashes, of whatever cause.
    pub crashes: u64,
    /// Of the crashes, those between two outputs of one drain or within a sync.
    pub power_cuts: u64,
    /// Pauses.
    pub pauses: u64,
    /// Partitions.
    pub partitions: u64,
    /// Faults of the plan that happened.
    pub faults: u64,
    /// Faults of the plan that were beyond the budget.
    pub vetoed: u64,
    /// Starts that were refused because what was durable had been destroyed.
    pub refused: u64,
}
