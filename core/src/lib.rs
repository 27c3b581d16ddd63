#![doc = include_str!("../README.md")]

mod certainty;
mod disk;
mod instant;
mod outputs;
mod protocol;
mod random;
mod storage;
mod time;
mod transport;
mod wire;

pub use certainty::Certainty;
pub use disk::{Disk, File};
pub use instant::Instant;
pub use outputs::Outputs;
pub use protocol::{FetchId, NodeId, Output, OutputOf, Protocol, WriteId};
pub use random::SplitMix64;
pub use storage::{Storage, StorageError};
pub use time::{ClockBound, TimeSource, Timer, Unbounded, Wall};
pub use transport::{Closed, Transport};
pub use wire::{DecodeError, Wire, take_bytes};
