#![doc = include_str!("../README.md")]
//!
//! Start with [`drive`]; the formats are in [`Frame`].

mod driver;
mod frame;
mod host;
mod memory;
mod queue;
#[cfg(feature = "tokio")]
pub mod tcp;
mod timer;

pub use driver::{Application, DriveError, drive};
pub use frame::{Decoder, Frame, FrameError, Hello, HelloError};
pub use host::{Call, CommandError, Handle, Host};
pub use memory::{Memory, Network};
pub use quorate_core::{self, Closed, Instant, NodeId, Protocol, Timer, Transport};
pub use timer::ThreadTimer;
#[cfg(feature = "smol")]
pub use timer::smol::SmolTimer;
#[cfg(feature = "tokio")]
pub use timer::tokio::TokioTimer;
