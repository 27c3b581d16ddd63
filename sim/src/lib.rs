#![doc = include_str!("../README.md")]

// The laws of `tests/simulation` name this crate as they do from outside.
#[cfg(test)]
extern crate self as quorate_sim;

pub mod check;
mod client;
mod clock;
mod damage;
mod decision;
mod disk;
pub mod history;
pub mod kit;
mod law;
mod links;
#[cfg(feature = "maelstrom")]
pub mod maelstrom;
mod mistake;
mod network;
mod plan;
pub mod recording;
mod records;
mod seeds;
mod shrink;
mod stream;
mod suite;
mod system;
mod time;
mod trace;
mod traps;
mod violation;
mod wording;
mod world;

pub use client::{Done, Draw, Invoked, OpId, Reply};
pub use clock::{Clock, Wander};
pub use damage::damage;
pub use decision::{Delay, Ratio, mix};
pub use disk::{Disk, DiskFile, DiskLock, Op, Operation};
pub use history::History;
pub use law::{Law, ViolationKind};
pub use mistake::Mistake;
pub use network::{ByteStream, Endpoint, Network, NetworkStats};
pub use plan::{Family, Fault, FaultKind, Faults, Knobs, Plan, PlanError, Setting};
pub use quorate_core::{self, Instant, NodeId, Protocol};
pub use recording::Recording;
pub use records::Records;
pub use seeds::{Caught, check_seeds, count_caught};
pub use shrink::Size;
pub use suite::{Failure, Judge, Suite};
pub use system::{
    AnswerOf, Badge, Boot, DeliveryOf, EventOf, MessageOf, Node, Nodes, QueryOf, RecordOf, Refused,
    System,
};
pub use time::{VirtualTime, VirtualTimer};
pub use trace::Trace;
pub use violation::{Fingerprint, Phase, Violation};
pub use world::{Stats, World, ready};
