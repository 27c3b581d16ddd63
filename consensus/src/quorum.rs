//! Majorities.
//!
//! Source: Gifford, "Weighted Voting for Replicated Data" (SOSP 1979): any two quorums intersect.

use quorate_core::NodeId;
use thiserror::Error;

/// More than half of a fixed set of voters.
///
/// ```
/// use quorate_consensus::{Majority, NodeId};
///
/// let voters = Majority::new((1..=5).map(NodeId))?;
/// assert_eq!(voters.quorum(), 3);
/// assert_eq!(voters.committed(|node| node.0 * 10), 30);
/// # Ok::<(), quorate_consensus::QuorumError>(())
/// ```
///
/// # Invariants
///
/// - `voters` is sorted, without repeats, and not empty.
#[doc(alias = "quorum")]
#[doc(alias = "majority quorum")]
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Majority {
    voters: Vec<NodeId>,
}

/// How a vote stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "a vote has no other ends")]
pub enum Tally {
    /// A quorum said yes.
    Won,
    /// So many said no that no quorum can say yes any more.
    Lost,
    /// It depends on those who said nothing yet.
    Pending,
}

/// Why a set of nodes is no quorum.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum QuorumError {
    /// The set is empty: it would agree to anything.
    #[error("a quorum needs at least one voter")]
    Empty,
}

impl Majority {
    /// Makes a majority quorum of `voters`; repeats count once.
    ///
    /// # Errors
    ///
    /// [`QuorumError::Empty`] if there are no voters.
    pub fn new(voters: impl IntoIterator<Item = NodeId>) -> Result<Self, QuorumError> {
        let mut voters: Vec<NodeId> = voters.into_iter().collect();
        voters.sort_unstable();
        voters.dedup();
        if voters.is_empty() {
            return Err(QuorumError::Empty);
        }
        Ok(Self { voters })
    }

    /// Returns the voters, sorted.
    #[must_use]
    pub fn voters(&self) -> &[NodeId] {
        &self.voters
    }

    /// Returns whether `node` is a voter.
    #[must_use]
    pub fn contains(&self, node: NodeId) -> bool {
        self.voters.binary_search(&node).is_ok()
    }

    /// Returns how many voters make a quorum: n / 2 + 1, rounded down.
    #[must_use]
    pub fn quorum(&self) -> usize {
        self.voters.len() / 2 + 1
    }

    /// Returns the highest value that a quorum has reached, given how far each voter got.
    ///
    /// O(n log n) time for n voters. No allocation up to 16 voters.
    #[must_use]
    #[expect(clippy::missing_panics_doc, reason = "a quorum is never larger than the voters")]
    pub fn committed(&self, reached: impl Fn(NodeId) -> u64) -> u64 {
        let mut few = [0; FEW];
        let mut many = Vec::new();
        let values = if self.voters.len() <= FEW {
            &mut few[..self.voters.len()]
        } else {
            many.resize(self.voters.len(), 0);
            &mut many[..]
        };
        for (value, &voter) in values.iter_mut().zip(&self.voters) {
            *value = reached(voter);
        }
        values.sort_unstable_by(|a, b| b.cmp(a));
        values.get(self.quorum() - 1).copied().expect("0 < quorum <= voters")
    }

    /// Returns how a vote stands, given what each voter said; `None` is "nothing yet". O(n) time.
    #[must_use]
    pub fn tally(&self, vote: impl Fn(NodeId) -> Option<bool>) -> Tally {
        let count = |said| self.voters.iter().filter(|&&voter| vote(voter) == said).count();
        let (yes, unknown) = (count(Some(true)), count(None));
        if self.quorum() <= yes {
            Tally::Won
        } else if self.quorum() <= yes + unknown {
            Tally::Pending
        } else {
            Tally::Lost
        }
    }
}

/// Voters up to which nothing is allocated.
const FEW: usize = 16;
