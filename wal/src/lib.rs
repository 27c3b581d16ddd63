#![doc = include_str!("../README.md")]

mod ack;
mod batch;
mod config;
mod content;
mod disk;
mod entry_log;
mod error;
mod format;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
mod hold;
mod index;
pub mod inspect;
mod log;
mod reader;
mod record_store;
mod recover;
mod repair;
mod restore;
mod retention;
mod segment;
mod snapshot;
mod source;
mod sync;
mod tail;
mod traps;
mod verify;
mod walk;

pub use ack::Ack;
pub use batch::Batch;
pub use config::{Config, ConfigError, Durability, Preallocate, Recovery};
pub use disk::{Directory, DirectoryFile, DirectoryLock, Memory, MemoryFile, MemoryLock};
pub use entry_log::{Boundary, CompactError, Entry, EntryLog};
pub use error::{Damage, Lost, OpenError, ReadError, Why, WriteError};
pub use hold::Hold;
pub use index::Index;
pub use log::{IoThread, Stats, Wal};
pub use quorate_core::{self, Instant, NodeId, Protocol};
pub use reader::Records;
pub use record_store::RecordStore;
pub use recover::{Cut, Recovered};
pub use repair::{Copied, CopyError, copy};
pub use restore::RestoreError;
pub use retention::Retention;
pub use snapshot::{
    InstallError, Keep, Newest, OpenSnapshotsError, SnapshotConfig, SnapshotDamage,
    SnapshotReadError, SnapshotReader, SnapshotWhy, SnapshotWriteError, SnapshotWriter, Snapshots,
};
#[cfg(loom)]
#[doc(hidden)]
pub use sync::{WakeUp, forget};
pub use tail::{Tail, TailError, Visible};
pub use verify::Verified;

// The world of `tests/simulation` runs in the unit tests too, where a trap can be planted. It names
// this crate as a user would.
#[cfg(test)]
extern crate self as quorate_wal;
