//! A replicated key-value store of a few hundred lines: Raft over TCP and real files.
//!
//! | file | holds |
//! |---|---|
//! | `wire` | what clients and nodes say to each other |
//! | `machine` | the replicated state: keys, and which requests it has seen (Idempotent Receiver) |
//! | `application` | who waits for what the log delivers |
//! | `node`, `server` | one node: its log, its peers, its clients |
//! | `client` | a client that follows the leader |
//! | `load`, `demo`, `report` | many clients; the main job; what it prints |
//! | `cli` | the commands |

mod application;
mod cli;
mod client;
mod cluster;
mod demo;
mod load;
mod machine;
mod node;
mod report;
mod server;
mod snapshot;
mod wire;

pub use cli::main;
pub use machine::Machine;
pub use wire::{Operation, Outcome, Request, Response, Stored};
