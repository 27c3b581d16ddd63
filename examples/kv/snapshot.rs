//! Snapshots of the replicated state, and the log that goes on from them.
//!
//! ```text
//! the leader sees that all nodes have the log up to 5,000     it proposes Forget { to: 5000 }
//! each node, when it applies that, at 5,007                   hands a copy of its state over
//! this thread: a snapshot at 5,007, durable                   then entries up to 5,000 may go
//! ```
//!
//! What is gone from all logs can be sent to nobody: a node that loses its disk is not brought back
//! by its peers.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use quorate_core::StorageError;
use quorate_wal::{Index, SnapshotConfig, Snapshots};

use super::machine::Machine;
use crate::raft_store::RaftStore;

/// The state after an entry, and how far the log may go.
struct Job {
    machine: Machine,
    index: u64,
    to: u64,
}

/// Writes snapshots on a thread of its own.
pub(super) struct Snapshotter {
    jobs: SyncSender<Job>,
    /// The entry of the newest snapshot.
    newest: Arc<AtomicU64>,
}

/// Why a snapshot cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum RestoreError {
    #[error("the snapshots cannot be opened")]
    Open(#[from] quorate_wal::OpenSnapshotsError),
    #[error("a snapshot cannot be read")]
    Read(#[from] quorate_wal::SnapshotReadError),
    #[error("a snapshot is none of this program")]
    Decode(#[from] quorate_core::DecodeError),
}

/// Opens the snapshots in `folder`, and reads the newest: the state, and after which entry.
pub(super) fn restore(
    folder: &Path,
    storage: &RaftStore,
) -> Result<(Snapshots, Machine, u64), RestoreError> {
    let wal = storage.records().wal();
    let snapshots = Snapshots::open(folder.join(FOLDER), wal, SnapshotConfig::default())?;
    let newest = snapshots.newest()?;
    for damage in &newest.damaged {
        eprintln!("a snapshot is damaged, an older one is used: {damage}");
    }
    let Some(mut reader) = newest.reader else { return Ok((snapshots, Machine::default(), 0)) };
    let index = reader.index().0;
    let mut bytes = Vec::new();
    while let Some(chunk) = reader.next_chunk()? {
        bytes.extend_from_slice(&chunk);
    }
    Ok((snapshots, Machine::decode(bytes.into())?, index))
}

impl Snapshotter {
    /// Starts the thread, which ends with this.
    pub(super) fn start(snapshots: Snapshots, storage: RaftStore, newest: u64) -> io::Result<Self> {
        let newest = Arc::new(AtomicU64::new(newest));
        let (jobs, taken) = sync_channel(1);
        let shared = Arc::clone(&newest);
        thread::Builder::new()
            .name("kv-snapshots".into())
            .spawn(move || run(&snapshots, &storage, &taken, &shared))?;
        Ok(Self { jobs, newest })
    }

    /// Hands a state over. One that comes while two are waiting is left out: a later one follows.
    pub(super) fn take(&self, machine: &Machine, index: u64, to: u64) {
        if self.newest.load(Ordering::Relaxed) < index {
            _ = self.jobs.try_send(Job { machine: machine.clone(), index, to });
        }
    }

    /// Returns the entry of the newest snapshot.
    pub(super) fn newest(&self) -> u64 {
        self.newest.load(Ordering::Relaxed)
    }
}

fn run(snapshots: &Snapshots, storage: &RaftStore, jobs: &Receiver<Job>, newest: &AtomicU64) {
    for Job { machine, index, to } in jobs {
        if let Err(error) = write(snapshots, &machine, index) {
            // The log stays as long as it is, and the next one may find room.
            eprintln!("no snapshot at {index}: {error}");
            continue;
        }
        newest.store(index, Ordering::Relaxed);
        // If the newest rots, the one before must reach the log.
        let oldest = snapshots.indexes().first().map_or(0, |it| it.0);
        match storage.compact_to(quorate_consensus::Index(to.min(oldest))) {
            Ok(()) | Err(StorageError::Full) => {}
            Err(error) => eprintln!("the log stays as long as it is: {error}"),
        }
    }
}

fn write(
    snapshots: &Snapshots,
    machine: &Machine,
    index: u64,
) -> Result<(), quorate_wal::SnapshotWriteError> {
    let mut writer = snapshots.create(Index(index), b"")?;
    machine.encode(|piece| writer.append(piece))?;
    writer.finish()
}

/// Where the snapshots are, beside the log.
const FOLDER: &str = "snapshots";
