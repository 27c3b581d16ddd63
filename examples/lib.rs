//! What the examples share: a Raft log over the write-ahead log, and the parts of `kv`.

/// The workspace's front page, whose example is compiled and run as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct FrontPage;

pub mod kv;
pub mod raft_store;
