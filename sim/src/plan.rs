//! How a run goes wrong: which faults, when, how often, how long.
//!
//! ```text
//! seed, Setting --swarm--> Plan { knobs: what is decided anew for each message, sync, output
//!                                 faults: what begins and ends at a time }
//!                           |  ^
//!                   to_json |  | from_json: the file replays after the code changed
//!                           v  |
//!                        plan.json
//! ```
//!
//! Source: Groce et al., "Swarm Testing" (ISSTA 2012): a run in which each fault is on or off by
//! chance finds more than runs with all of them on. Ranges are those of the design notes of
//! `FoundationDB` and `TigerBeetle`, shortened to runs of seconds.

mod family;
mod fault;
mod json;
mod knobs;
mod place;
mod swarm;

use std::fmt;
use std::time::Duration;

use quorate_core::NodeId;
use serde::{Deserialize, Serialize};

pub use self::family::{Family, Faults};
pub use self::fault::{Fault, FaultKind};
pub use self::json::PlanError;
pub use self::knobs::Knobs;
pub use self::swarm::Setting;
use crate::client::OpId;

/// One run, but for the code: who there is, and what goes wrong when.
///
/// Make one with [`calm`](Self::calm) or [`draw`](Self::draw), then change what a test needs
/// otherwise. With the code that it is run against it decides everything: equal plans give equal
/// runs.
///
/// # Invariants
///
/// Those that [`from_json`](Self::from_json) checks: a world of a plan that breaks one panics.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Plan {
    /// What all chance is a function of.
    pub seed: u64,
    /// How many nodes there are: their ids count from 1. At least 1, at most 512.
    pub nodes: usize,
    /// How many clients there are, each with one operation at a time.
    pub clients: usize,
    /// How many operations each client starts, at most, while there are faults.
    pub operations: u64,
    /// Operations that are left out: what shrinking took away.
    #[serde(default)]
    pub skipped: Vec<OpId>,
    /// How long there are faults, in nanoseconds in a file.
    #[serde(with = "json::nanos")]
    pub time: Duration,
    /// How many nodes may be down, paused, cut off or without their data at the same time. A fault
    /// over it does not happen.
    pub max_down: usize,
    /// What is decided anew each time.
    pub knobs: Knobs,
    /// What begins and ends at a time, in the order of their beginnings.
    pub faults: Vec<Fault>,
    /// Which families were on when the plan was drawn.
    #[serde(default)]
    pub families: Faults,
}

impl Plan {
    /// Returns a plan without faults for `nodes` nodes and no clients: messages take 0.5 to 1.5 ms,
    /// syncs 0.1 to 0.3 ms.
    ///
    /// The budget of faults by hand is the largest minority, but one at least.
    #[must_use]
    pub const fn calm(nodes: usize) -> Self {
        let minority = nodes.saturating_sub(1) / 2;
        Self {
            seed: 0,
            nodes,
            clients: 0,
            operations: u64::MAX,
            skipped: Vec::new(),
            time: Duration::from_secs(20),
            max_down: if minority == 0 { 1 } else { minority },
            knobs: Knobs::calm(),
            faults: Vec::new(),
            families: Faults::none(),
        }
    }

    /// Returns the plan with another seed.
    #[must_use]
    pub fn with_seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// Returns the plan with so many clients.
    #[must_use]
    pub fn with_clients(self, clients: usize) -> Self {
        Self { clients, ..self }
    }

    /// Returns the ids of all nodes.
    pub fn ids(&self) -> impl Iterator<Item = NodeId> + use<> {
        (1..=self.nodes as u64).map(NodeId)
    }

    /// Returns how many faults there are: those with a time, and the families among the
    /// [`knobs`](Self::knobs).
    #[must_use]
    pub fn count_faults(&self) -> usize {
        self.faults.len() + self.knobs.families().count()
    }
}

impl fmt::Display for Plan {
    /// Writes one line: who there is, each knob that is not as in a calm run, and how many faults
    /// there are of each family.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} nodes", self.nodes)?;
        if 0 < self.clients {
            write!(f, ", {} clients", self.clients)?;
        }
        write!(f, ", {:?} of [{}]:{}", self.time, self.families, self.knobs)?;
        for family in Family::ALL {
            match self.faults.iter().filter(|fault| fault.kind.family() == family).count() {
                0 => {}
                count => write!(f, " {count} {family}")?,
            }
        }
        Ok(())
    }
}
