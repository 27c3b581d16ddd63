//! What keeps the low-water mark down: readers, and snapshots.

use std::collections::BTreeMap;
use std::fmt;

use quorate_core::Disk;

use crate::disk::Directory;
use crate::index::Index;
use crate::log::Wal;

/// Keeps the records from an index on while it lives: for a backup, for a follower that is being
/// sent them. See [`Wal::hold`].
///
/// It keeps nothing from [`Wal::truncate_suffix`]. It is a handle of the log: that stays open.
#[must_use = "the records are kept while this lives"]
pub struct Hold<D: Disk = Directory> {
    wal: Wal<D>,
    id: u64,
}

impl<D: Disk> Wal<D> {
    /// Keeps the low-water mark at or below `from` until the [`Hold`] is dropped.
    ///
    /// [`retain`](Self::retain) and [`Snapshots::install`](crate::Snapshots::install) then keep
    /// what is held, and [`truncate_prefix`](Self::truncate_prefix) beyond it is refused with
    /// [`WriteError::Held`](crate::WriteError::Held). A crash forgets it. Where the log begins
    /// behind `from` already, it holds what there is: see [`Hold::from`].
    pub fn hold(&self, from: Index) -> Hold<D> {
        let mut state = self.shared().state.lock();
        let from = from.0.max(state.tip.first_index);
        let id = state.limits.add_hold(from);
        drop(state);
        Hold { wal: self.clone(), id }
    }
}

impl<D: Disk> Hold<D> {
    /// Returns the first record that is held.
    #[must_use]
    pub fn from(&self) -> Index {
        Index(self.wal.shared().state.lock().limits.holds[&self.id])
    }

    /// Lets go of the records before `from`. Nothing changes if they were let go of before.
    pub fn advance(&self, from: Index) {
        let mut state = self.wal.shared().state.lock();
        let held = state.limits.holds.entry(self.id).or_default();
        *held = from.0.max(*held);
    }
}

impl<D: Disk> Drop for Hold<D> {
    fn drop(&mut self) {
        self.wal.shared().state.lock().limits.holds.remove(&self.id);
    }
}

impl<D: Disk> fmt::Debug for Hold<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hold").field("from", &self.from()).finish_non_exhaustive()
    }
}

/// How far the low-water mark may go, by who says so.
#[derive(Debug, Default)]
pub(crate) struct Limits {
    last_id: u64,
    /// No mark passes these.
    holds: BTreeMap<u64, u64>,
    /// Those of stores of snapshots: only a retention minds them.
    snapshots: BTreeMap<u64, u64>,
}

impl Limits {
    fn add_hold(&mut self, from: u64) -> u64 {
        self.last_id += 1;
        self.holds.insert(self.last_id, from);
        self.last_id
    }

    /// Returns the key of a new store of snapshots.
    pub(crate) fn add_store(&mut self, limit: u64) -> u64 {
        self.last_id += 1;
        self.snapshots.insert(self.last_id, limit);
        self.last_id
    }

    pub(crate) fn set_store(&mut self, id: u64, limit: u64) {
        self.snapshots.insert(id, limit);
    }

    pub(crate) fn remove_store(&mut self, id: u64) {
        self.snapshots.remove(&id);
    }

    /// Returns the lowest index that is held. O(holds).
    pub(crate) fn held(&self) -> Option<u64> {
        self.holds.values().min().copied()
    }

    /// Returns how far a retention may go.
    pub(crate) fn retained(&self) -> u64 {
        let limits = self.holds.values().chain(self.snapshots.values());
        limits.min().copied().unwrap_or(u64::MAX)
    }
}
