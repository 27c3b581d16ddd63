//! Names: what is in the folder, and what of it would be after a crash.

use std::collections::BTreeMap;
use std::sync::Arc;

use quorate_core::SplitMix64;

use super::Survival;
use crate::traps::{Trap, planted};

/// Identifies a file, whatever its name.
pub(super) type FileId = u64;

/// The entries of the folder.
///
/// # Invariants
///
/// - `durable` with all `changes` applied is `entries`.
#[derive(Debug, Default)]
pub(super) struct Folder {
    entries: BTreeMap<Arc<str>, FileId>,
    durable: BTreeMap<Arc<str>, FileId>,
    changes: Vec<Change>,
}

#[derive(Debug)]
enum Change {
    Link { name: Arc<str>, file: FileId },
    Unlink { name: Arc<str> },
    Rename { from: Arc<str>, to: Arc<str>, file: FileId },
}

impl Folder {
    pub(super) fn file(&self, name: &str) -> Option<FileId> {
        self.entries.get(name).copied()
    }

    pub(super) fn durable_file(&self, name: &str) -> Option<FileId> {
        self.durable.get(name).copied()
    }

    /// Returns the files that have a durable name, in its order.
    pub(super) fn durable_files(&self) -> Vec<FileId> {
        self.durable.values().copied().collect()
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.entries.keys().map(|name| name.to_string()).collect()
    }

    pub(super) fn link(&mut self, name: Arc<str>, file: FileId) {
        self.change(Change::Link { name, file });
    }

    pub(super) fn unlink(&mut self, name: Arc<str>) {
        self.change(Change::Unlink { name });
    }

    pub(super) fn rename(&mut self, from: Arc<str>, to: Arc<str>, file: FileId) {
        self.change(Change::Rename { from, to, file });
    }

    pub(super) fn sync(&mut self) {
        for change in self.changes.drain(..) {
            change.apply(&mut self.durable);
        }
    }

    /// Links `name` durably, as if it had been there always.
    pub(super) fn install(&mut self, name: Arc<str>, file: FileId) {
        self.entries.insert(Arc::clone(&name), file);
        self.durable.insert(name, file);
    }

    /// Keeps or drops each change since the last sync.
    pub(super) fn crash(&mut self, survival: Survival, number: u64) {
        let mut random = SplitMix64::new(number);
        for change in self.changes.drain(..) {
            let is_kept = match survival {
                _ if planted(Trap::KeepsNewFiles) => true,
                Survival::Nothing => false,
                Survival::Everything => true,
                Survival::Drawn => random.below(2) == 0,
            };
            if is_kept {
                change.apply(&mut self.durable);
            }
        }
        self.entries.clone_from(&self.durable);
    }

    /// Returns whether the file has a name.
    pub(super) fn is_entry(&self, file: FileId) -> bool {
        self.entries.values().any(|linked| *linked == file)
    }

    /// Returns whether the file has a name, or may get one back by a crash.
    pub(super) fn is_linked(&self, file: FileId) -> bool {
        self.entries.values().chain(self.durable.values()).any(|linked| *linked == file)
            || self.changes.iter().any(|change| change.links(file))
    }

    fn change(&mut self, change: Change) {
        change.apply(&mut self.entries);
        self.changes.push(change);
    }
}

impl Change {
    fn apply(&self, entries: &mut BTreeMap<Arc<str>, FileId>) {
        match self {
            Self::Link { name, file } => {
                entries.insert(Arc::clone(name), *file);
            }
            Self::Unlink { name } => {
                entries.remove(name);
            }
            Self::Rename { from, to, file } => {
                entries.remove(from);
                entries.insert(Arc::clone(to), *file);
            }
        }
    }

    fn links(&self, of: FileId) -> bool {
        match self {
            Self::Link { file, .. } | Self::Rename { file, .. } => *file == of,
            Self::Unlink { .. } => false,
        }
    }
}
