#![doc = include_str!("../README.md")]
//!
//! Start with [`raft::Raft`]; a driver settles its callers with [`Proposals`].

mod entry;
mod proposals;
mod quorum;
pub mod raft;
mod traps;

pub use entry::{Entry, Index, LogId, Payload, Term};
pub use proposals::{Outcome, Proposals, TooMany};
pub use quorate_core::{self, FetchId, Instant, NodeId, Protocol, WriteId};
pub use quorum::{Majority, QuorumError, Tally};

// The worlds of `tests/simulation` run in the unit tests too, where a trap can be planted. They
// name this crate as a user would.
#[cfg(test)]
extern crate self as quorate_consensus;
