//! Who else uses the log: readers that follow it, who holds it back, who takes snapshots of it.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use quorate_core::SplitMix64;
use quorate_wal::{
    Hold, Index, InstallError, Keep, SnapshotConfig, Snapshots, Tail, TailError, Visible, Wal,
};

use super::View;
use super::busy::Busy;

/// Those beside the writers. They are gone with the process.
#[derive(Default)]
pub(super) struct Actors {
    /// What each follows, and what it was given since it last heard of a cut.
    tails: Vec<(Visible, Tail<Busy>)>,
    holds: Vec<Hold<Busy>>,
}

impl Actors {
    /// Follows the log from somewhere.
    pub(super) fn follow(&mut self, wal: &Wal<Busy>, random: &mut SplitMix64) {
        let see = if random.below(2) == 0 { Visible::Durable } else { Visible::Written };
        let from = Index(1 + random.below(wal.next_index().0));
        self.tails.push((see, wal.tail(from, see)));
        if 3 < self.tails.len() {
            drop(self.tails.remove(0));
        }
    }

    /// Holds the log back, lets go a little, or altogether.
    pub(super) fn hold(&mut self, wal: &Wal<Busy>, random: &mut SplitMix64) {
        let at = wal.first_index().0 + random.below(8);
        match (random.below(3), self.holds.last()) {
            (0, _) if self.holds.len() < 2 => self.holds.push(wal.hold(Index(at))),
            (1, Some(hold)) => hold.advance(Index(at)),
            _ => drop(self.holds.pop()),
        }
    }

    /// Returns the first record that is held.
    pub(super) fn held(&self) -> Option<u64> {
        self.holds.iter().map(|hold| hold.from().0).min()
    }

    /// Takes what there is to read, and compares it with `views`, of which the last is the log as
    /// it is, and the first the oldest that may be durable. Drops those that what was read shows to
    /// be gone past.
    pub(super) fn look(&mut self, views: &mut Vec<View>) -> Result<(), String> {
        for (see, tail) in &mut self.tails {
            for _ in 0..64 {
                match tail.next_timeout(Duration::ZERO) {
                    Ok(None) => break,
                    Ok(Some((index, record))) => check(*see, index, &record, views)?,
                    Err(TailError::Truncated { .. } | TailError::Compacted { .. }) => {}
                    Err(error) => return Err(format!("a tail of a sound log: {error:?}")),
                }
            }
        }
        Ok(())
    }
}

fn check(see: Visible, index: Index, record: &Bytes, views: &mut Vec<View>) -> Result<(), String> {
    let has = |view: &View| view.records.get(&index.0) == Some(record);
    if see == Visible::Written {
        let is_there = views.last().is_some_and(has);
        return if is_there { Ok(()) } else { Err(format!("a tail invented record {index}")) };
    }
    let Some(at) = views.iter().position(has) else {
        return Err(format!("a tail of what is durable invented record {index}"));
    };
    // What is shown as durable no crash takes back.
    views.drain(..at);
    Ok(())
}

/// The snapshots of the log, beside it on the same disk.
#[derive(Default)]
pub(super) struct Snapshotter {
    store: Option<Snapshots<Busy>>,
    /// What each that was begun holds, and whether it was finished.
    begun: BTreeMap<u64, (Vec<u8>, bool)>,
}

impl Snapshotter {
    /// Opens the store, and checks that the newest is at least the last that was finished.
    pub(super) fn open(&mut self, disk: Busy, wal: &Wal<Busy>) -> Result<(), String> {
        let default = SnapshotConfig::default();
        let mut config = default;
        config.keep = Keep::Records(3);
        let store = Snapshots::open_on(disk, wal, config);
        let store = store.map_err(|error| format!("snapshots after a crash: {error:?}"))?;
        let newest = store.newest().map_err(|error| format!("the newest snapshot: {error:?}"))?;
        if !newest.damaged.is_empty() {
            return Err(format!("a crash damaged a snapshot: {:?}", newest.damaged));
        }
        let finished = self.begun.iter().rfind(|(_, (_, is_finished))| *is_finished);
        let finished = finished.map_or(0, |(index, _)| *index);
        let Some(mut reader) = newest.reader else {
            return if finished == 0 {
                self.store = Some(store);
                Ok(())
            } else {
                Err(format!("snapshot {finished} is lost"))
            };
        };
        let index = reader.index().0;
        let mut content = Vec::new();
        while let Some(chunk) = reader.next_chunk().map_err(|error| format!("{error:?}"))? {
            content.extend_from_slice(&chunk);
        }
        let expected = self.begun.get(&index).map(|(content, _)| content);
        if index < finished || expected != Some(&content) {
            return Err(format!("snapshot {index}, finished was {finished}, or other content"));
        }
        drop(reader);
        self.begun.retain(|begun, _| *begun <= index);
        if let Some((_, is_finished)) = self.begun.get_mut(&index) {
            *is_finished = true;
        }
        self.store = Some(store);
        Ok(())
    }

    pub(super) fn close(&mut self) {
        self.store = None;
    }

    /// Takes a snapshot at `index`. An error is no law broken: the disk may fail.
    pub(super) fn take(&mut self, index: Index, content: Vec<u8>) -> Result<(), String> {
        if self.begun.keys().any(|begun| index.0 <= *begun) {
            return Ok(());
        }
        let Some(store) = &self.store else { return Ok(()) };
        self.begun.insert(index.0, (content.clone(), false));
        let mut writer = store.create(index, b"meta").map_err(|error| format!("{error:?}"))?;
        writer.append(&content).map_err(|error| format!("{error:?}"))?;
        writer.finish().map_err(|error| format!("{error:?}"))?;
        self.begun.insert(index.0, (content, true));
        Ok(())
    }

    /// Lets the log go on from the newest. Returns the new low-water mark.
    pub(super) fn install(&self) -> Option<Result<Index, InstallError>> {
        let finished = self.begun.iter().rfind(|(_, (_, is_finished))| *is_finished)?;
        Some(self.store.as_ref()?.install(Index(*finished.0)))
    }

    /// Returns the low-water mark that an installation leads to.
    pub(super) fn target(&self, next: u64) -> Option<u64> {
        let (index, _) = self.begun.iter().rfind(|(_, (_, is_finished))| *is_finished)?;
        let behind = index + 1;
        Some(if next < behind { behind } else { behind.saturating_sub(3) })
    }
}
