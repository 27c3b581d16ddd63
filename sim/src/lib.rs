#![doc = include_str!("../README.md")]

// The laws of `tests/simulation` name this crate as they do from outside.
#[cfg(test)]
extern crate self as quorate_sim;

pub mod check;
mod clock;
mod decision;
mod disk;
pub mod history;
mod mistake;
mod network;
mod plan;
mod records;
mod seeds;
mod stream;
mod system;
mod trace;
mod traps;
mod violation;
mod world;

pub use decision::{Delay, Ratio, mix};
pub use disk::{Disk, DiskFile, DiskLock, Op, Operation};
pub use history::History;
pub use mistake::Mistake;
pub use plan::{Family, Faults, Plan};
pub use quorate_core::{self, Instant, NodeId, Protocol};
pub use records::Records;
pub use seeds::{Caught, check_seeds, count_caught};
pub use system::{
    AnswerOf, Boot, DeliveryOf, EventOf, MessageOf, Node, Nodes, QueryOf, RecordOf, System,
};
pub use trace::Trace;
pub use violation::Violation;
pub use world::{Stats, World, ready};
