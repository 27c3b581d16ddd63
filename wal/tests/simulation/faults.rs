//! What goes wrong with the disk: it is full, a sync fails, the power goes, a bit flips.

use std::io;

use bytes::Bytes;
use quorate_core::Disk as _;
use quorate_sim::{Disk, Op};
use quorate_wal::{OpenError, Wal, WriteError};

use super::busy::Busy;
use super::{World, differ, view};

impl World {
    /// Lets the disk be full for a while. What is refused must not be there, ever.
    pub(super) fn fill_up(&mut self) -> Result<(), String> {
        let room = self.random.below(1_000);
        self.disk.set_capacity(self.disk.used_bytes() + room);
        self.say(format!("{room} bytes are left"));
        for _ in 0..self.random.below(8) {
            self.change()?;
        }
        match self.wal().sync() {
            Ok(_) => self.acknowledge(),
            Err(WriteError::DiskFull) => {
                let found = view(self.wal())?;
                let at = self.views.iter().position(|it| *it == found);
                let at = at.ok_or_else(|| differ("full, and neither", &found, &self.views[0]))?;
                self.say(format!("full, falls back to {}..{}", found.first, found.next));
                self.views = vec![self.views.swap_remove(at)];
                self.group = None;
            }
            Err(error) => return Err(format!("a full disk is no failure: {error:?}")),
        }
        self.disk.clear_capacity();
        Ok(())
    }

    /// Lets a sync fail. No later one may succeed.
    pub(super) fn fail_a_sync(&mut self) -> Result<(), String> {
        self.disk.fail(Op::Sync, 1 + self.random.below(3), io::ErrorKind::Other);
        self.say("a sync fails soon");
        for _ in 0..4 {
            self.change()?;
            match self.wal().sync() {
                Ok(_) => self.acknowledge(),
                Err(WriteError::Poisoned { .. }) => {
                    self.say("poisoned");
                    let again = self.wal().append("again").map(drop);
                    if !matches!(again, Err(WriteError::Poisoned { .. })) {
                        return Err(format!("after a failed sync: {again:?}"));
                    }
                    return self.crash();
                }
                Err(error) => return Err(format!("a failed sync is {error:?}")),
            }
        }
        self.disk.fail_no_more();
        Ok(())
    }

    /// Cuts the power somewhere in a few changes and syncs.
    pub(super) fn cut_power(&mut self) -> Result<(), String> {
        let changes = self.random.below(12);
        self.disk.cut_power_after(changes);
        self.say(format!("power cut after {changes} changes"));
        for _ in 0..4 {
            self.change()?;
            if self.wal().sync().is_err() {
                break;
            }
            self.acknowledge();
        }
        self.crash()
    }

    /// Cuts the power in a group of equal frames, and goes on with a shorter one: what is left of
    /// the first must not come to life behind it.
    pub(super) fn tear(&mut self) -> Result<(), String> {
        self.sync()?;
        self.say("a long group is torn");
        for _ in 0..16 {
            self.append(EQUAL_BYTES)?;
        }
        // A write, most often, and no sync.
        self.disk
            .cut_power_after([1, 1, 1, 2, 6][usize::try_from(self.random.below(5)).unwrap_or(0)]);
        if self.wal().sync().is_ok() {
            self.acknowledge();
        }
        self.crash()?;
        for _ in 0..=self.random.below(4) {
            self.append(EQUAL_BYTES)?;
        }
        self.sync()?;
        self.crash()
    }

    /// Flips a bit of a copy of what is durable. What a later group certified is there, or the copy
    /// does not open.
    pub(super) fn rot(&mut self) -> Result<(), String> {
        self.sync()?;
        self.rot_a_copy(false)
    }

    /// Flips a bit of a copy, near the end of the log if so.
    pub(super) fn rot_a_copy(&mut self, is_near_end: bool) -> Result<(), String> {
        let copy = Disk::new();
        let names = self.disk.list().map_err(|error| error.to_string())?;
        let names: Vec<String> = names.into_iter().filter(|it| it.ends_with(".wal")).collect();
        for name in &names {
            copy.install(name, &self.disk.durable_content(name).unwrap_or_default());
        }
        let at = if is_near_end { 0 } else { self.random.below(names.len() as u64) };
        let name = &names[names.len() - 1 - usize::try_from(at).unwrap_or(0)];
        let file_bytes = self.disk.durable_content(name).map_or(0, |it| it.len() as u64);
        if file_bytes == 0 {
            return Err(format!("{name} is served and not durable"));
        }
        let content = self.disk.durable_content(name).unwrap_or_default();
        let used = content.iter().rposition(|byte| *byte != 0).map_or(1, |last| last as u64 + 1);
        let offset = if is_near_end && used <= file_bytes {
            used - 1 - self.random.below(used.min(256))
        } else {
            self.random.below(file_bytes)
        };
        let bit = 1;
        assert!(copy.flip(name, offset, bit), "the file is that long");
        self.say(format!("{name} rots at {offset}"));
        let mut config = self.config.clone();
        config.verify_sealed = true;
        let wal = match Wal::open_on(Busy::new(copy), config) {
            Ok((wal, _)) => wal,
            Err(OpenError::Corrupt(damage)) => {
                return match damage.file() == *name {
                    true => Ok(()),
                    false => Err(format!("{name} rotted, found was {damage}")),
                };
            }
            Err(error) => return Err(format!("rot is {error:?}")),
        };
        let found = view(&wal)?;
        match &self.group {
            Some(group) if !group.contains(&found) => {
                Err(differ("rot took what was certified", &found, &group[0]))
            }
            _ => Ok(()),
        }
    }

    /// Appends while a sync is under way, so that two groups follow each other at once. Then the
    /// first of them is certified by the second.
    pub(super) fn overlap(&mut self) -> Result<(), String> {
        self.sync()?;
        self.say("appends during a sync");
        self.append(40)?;
        let records: Vec<Bytes> = (0..=self.random.below(3)).map(|_| self.record_of(24)).collect();
        let (wal, others) = (self.wal().clone(), records.clone());
        self.busy.meanwhile(move || {
            for record in others {
                drop(wal.append(record));
            }
        });
        let synced = self.wal().sync();
        synced.map_err(|error| format!("a sync on a sound disk: {error:?}"))?;
        self.acknowledge();
        for record in records {
            let mut next = self.last().clone();
            next.records.insert(next.next, record);
            next.next += 1;
            self.views.push(next);
        }
        self.sync()?;
        self.rot_a_copy(true)
    }
}

/// Payload of a frame that is half as long as a sector.
const EQUAL_BYTES: usize = 232;
