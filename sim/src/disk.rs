//! A disk in memory that loses what a real one may lose.
//!
//! ```text
//!             write_all_at, set_len           create_new, rename, remove
//!                     |                                  |
//! volatile   content + unsynced changes       entries + unsynced changes
//!                     | sync_data                        | sync_dir
//! durable           image                              entries
//!
//! crash: each unsynced change is kept, dropped or torn; readers see what is durable then
//! ```
//!
//! Source: what survives is after Pillai et al., "All File Systems Are Not Created Equal" (OSDI
//! 2014); failed syncs after Rebello et al., "Can Applications Recover from fsync Failures?" (ATC
//! 2020). What was durable before stays as it was, also in a sector that is torn (what
//! databases call powersafe overwrite), unless it rots or a write is misdirected.

mod fault;
mod file;
mod folder;
mod image;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::sync::Arc;

use parking_lot::Mutex;

use self::fault::{Faults, Strike};
pub use self::fault::{Op, Operation};
pub use self::file::DiskFile;
use self::file::index;
use self::folder::{FileId, Folder};
use self::image::{Image, SECTOR_BYTES};
use crate::decision::{mix, scale};

/// A folder of files that fails on command. Clones are the same disk.
///
/// It has no clock and draws nothing by itself: equal calls give equal disks.
///
/// # Examples
///
/// ```
/// use quorate_core::{Disk as _, File as _};
/// use quorate_sim::Disk;
///
/// let disk = Disk::new();
/// let file = disk.create_new("log")?;
/// file.write_all_at(0, b"kept")?;
/// file.sync_data()?;
/// disk.sync_dir()?;
/// file.write_all_at(4, b", lost")?;
///
/// disk.crash_losing_unsynced();
/// assert!(file.len().is_err(), "it was open when the power went");
/// assert_eq!(disk.open("log")?.len()?, 4);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Default)]
pub struct Disk {
    state: Arc<Mutex<State>>,
}

/// A lock on a [`Disk`], until it is dropped or the disk crashes.
pub struct DiskLock {
    state: Arc<Mutex<State>>,
    name: Arc<str>,
    crashes: u64,
}

#[derive(Default)]
struct State {
    folder: Folder,
    images: BTreeMap<FileId, Image>,
    last_file: FileId,
    locks: BTreeSet<Arc<str>>,
    capacity: Option<u64>,
    faults: Faults,
    crashes: u64,
}

/// What a crash leaves of the changes that were not synced.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Survival {
    Nothing,
    Everything,
    Drawn,
}

impl Disk {
    /// Makes an empty disk without end.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Cuts the power and restores it. What survives is a function of `entropy`.
    ///
    /// One time in four nothing survives that was not synced, one in eight everything, and else
    /// each change is kept, dropped, or torn by pages and sectors. Open files and locks are gone;
    /// faults that were armed are not.
    pub fn crash(&self, entropy: u64) {
        let survival = match mix(entropy, 0, 0) >> 61 {
            0 | 1 => Survival::Nothing,
            2 => Survival::Everything,
            _ => Survival::Drawn,
        };
        self.state.lock().crash(survival, entropy);
    }

    /// Cuts the power and restores it: only what was synced survives.
    pub fn crash_losing_unsynced(&self) {
        self.state.lock().crash(Survival::Nothing, 0);
    }

    /// Cuts the power and restores it: everything survives, as after the kill of a process.
    pub fn crash_keeping_unsynced(&self) {
        self.state.lock().crash(Survival::Everything, 0);
    }

    /// Lets the `nth` operation `op` from now on fail with `kind`, the first being 1.
    ///
    /// A failed write leaves its first half. A failed sync marks everything as written that is
    /// not: readers see it, later syncs succeed, and a crash loses it, as on ext4 and xfs. A failed
    /// operation of another kind does nothing.
    ///
    /// # Panics
    ///
    /// If `nth` is 0.
    pub fn fail(&self, op: Op, nth: u64, kind: io::ErrorKind) {
        self.state.lock().faults.arm(op, nth, Strike::Fails(kind));
    }

    /// Lets the `nth` sync of a file from now on fail, the first being 1, and readers see again
    /// what was there before, as on btrfs. Later syncs succeed.
    ///
    /// # Panics
    ///
    /// If `nth` is 0.
    pub fn fail_sync_reverting(&self, nth: u64) {
        self.state.lock().faults.arm(Op::Sync, nth, Strike::Reverts);
    }

    /// Lets the next write be reported as done, and never reach the medium: readers see it until
    /// a crash, whatever is synced.
    pub fn lose_write(&self) {
        self.state.lock().faults.arm(Op::Write, 1, Strike::Loses);
    }

    /// Lets the next write reach another sector of its file instead of its own. Which one is a
    /// function of `entropy`.
    pub fn misdirect_write(&self, entropy: u64) {
        self.state.lock().faults.arm(Op::Write, 1, Strike::Misdirects(entropy));
    }

    /// Lets the next read return one wrong bit. Which one is a function of `entropy`; the medium
    /// has the right one.
    pub fn misread(&self, entropy: u64) {
        self.state.lock().faults.arm(Op::Read, 1, Strike::Misreads(entropy));
    }

    /// Flips one to eight bits of one durable sector. Returns whether there is one.
    ///
    /// Which ones is a function of `entropy`.
    #[must_use = "nothing rots on an empty disk"]
    pub fn rot(&self, entropy: u64) -> bool {
        let mut state = self.state.lock();
        let files = state.folder.durable_files();
        let mut sectors = Vec::new();
        for file in files {
            let count = state.image(file).durable_content().len().div_ceil(SECTOR_BYTES);
            sectors.extend((0..count).map(|sector| (file, sector)));
        }
        if sectors.is_empty() {
            return false;
        }
        let (file, sector) = sectors[index(scale(entropy, sectors.len() as u64))];
        let image = state.image(file);
        let start = sector * SECTOR_BYTES;
        let len = (image.durable_content().len() - start).min(SECTOR_BYTES);
        for flip in 0..=mix(entropy, 1, 0) % 8 {
            let number = mix(entropy, 2, flip);
            let [bit, ..] = number.to_le_bytes();
            image.flip(start + index(scale(number, len as u64)), u32::from(bit % 8));
        }
        true
    }

    /// Loses everything, as a disk that is replaced.
    pub fn wipe(&self) {
        let mut state = self.state.lock();
        let crashes = state.crashes + 1;
        let faults = std::mem::take(&mut state.faults);
        *state = State { crashes, faults, ..State::default() };
        state.faults.changes_left = None;
    }

    /// Takes back every fault that was armed and did not happen, and a power cut to come.
    pub fn fail_no_more(&self) {
        let mut state = self.state.lock();
        state.faults.disarm();
        state.faults.changes_left = None;
    }

    /// Cuts the power after `changes` more operations that change something: those that follow,
    /// reads as well, fail and do nothing until [`crash`](Self::crash) restores it.
    ///
    /// A test that counts the changes of a run can so cut the power at each of them.
    pub fn cut_power_after(&self, changes: u64) {
        self.state.lock().faults.changes_left = Some(changes);
    }

    /// Limits the sum of the lengths of all files. Less than is there makes it full at once.
    pub fn set_capacity(&self, bytes: u64) {
        self.state.lock().capacity = Some(bytes);
    }

    /// Makes the disk without end again.
    pub fn clear_capacity(&self) {
        self.state.lock().capacity = None;
    }

    /// Flips a bit that is durable, and in what readers see: the medium rots.
    ///
    /// Returns whether `name` has a byte at `offset`. Bits count from the lowest, modulo 8.
    #[must_use = "a flip of what is not there changes nothing"]
    pub fn flip(&self, name: &str, offset: u64, bit: u32) -> bool {
        let mut state = self.state.lock();
        let Some(id) = state.folder.file(name) else { return false };
        let image = state.image(id);
        let offset = index(offset);
        let is_there = offset < image.len() || offset < image.durable_content().len();
        image.flip(offset, bit % 8);
        is_there
    }

    /// Puts a file there that is durable, in place of any other of that name. Makes all names
    /// durable.
    pub fn install(&self, name: &str, bytes: &[u8]) {
        let mut state = self.state.lock();
        let id = state.add(Image::durable(bytes));
        state.folder.sync();
        state.folder.install(name.into(), id);
    }

    /// Returns the content of `name` as readers see it.
    #[must_use]
    pub fn content(&self, name: &str) -> Option<Vec<u8>> {
        let mut state = self.state.lock();
        let id = state.folder.file(name)?;
        Some(state.image(id).content().to_vec())
    }

    /// Returns what of `name` is certain to survive a crash now.
    #[must_use]
    pub fn durable_content(&self, name: &str) -> Option<Vec<u8>> {
        let mut state = self.state.lock();
        let id = state.folder.durable_file(name)?;
        Some(state.image(id).durable_content().to_vec())
    }

    /// Returns how many bytes all files take, removed ones included while they are open.
    #[must_use]
    pub fn used_bytes(&self) -> u64 {
        self.state.lock().used()
    }

    /// Returns the last 10,000 operations, oldest first.
    #[must_use]
    pub fn operations(&self) -> Vec<Operation> {
        self.state.lock().faults.log()
    }

    /// Forgets the operations so far. The counts go on.
    pub fn clear_operations(&self) {
        self.state.lock().faults.clear_log();
    }

    /// Returns how many operations `op` were asked for, failed ones included.
    #[must_use]
    pub fn count(&self, op: Op) -> u64 {
        self.state.lock().faults.count(op)
    }

    /// Returns how many operations went wrong because they were told to.
    #[must_use]
    pub fn count_strikes(&self) -> u64 {
        self.state.lock().faults.strikes
    }

    /// Returns how many operations were asked for that change something: see
    /// [`cut_power_after`](Self::cut_power_after).
    #[must_use]
    pub fn count_changes(&self) -> u64 {
        let state = self.state.lock();
        state.faults.count_changes()
    }

    fn open_file(&self, state: &mut State, name: Arc<str>, id: FileId) -> DiskFile {
        state.image(id).handles += 1;
        DiskFile { state: Arc::clone(&self.state), name, id, crashes: state.crashes }
    }
}

impl quorate_core::Disk for Disk {
    type File = DiskFile;
    type Lock = DiskLock;

    fn create_new(&self, name: &str) -> io::Result<DiskFile> {
        let name: Arc<str> = name.into();
        let state = &mut *self.state.lock();
        let id = state.run(Op::Create, &name, |state| {
            if state.folder.file(&name).is_some() {
                return Err(io::ErrorKind::AlreadyExists);
            }
            if state.room() == 0 {
                return Err(io::ErrorKind::StorageFull);
            }
            let id = state.add(Image::default());
            state.folder.link(Arc::clone(&name), id);
            Ok(id)
        })?;
        Ok(self.open_file(state, name, id))
    }

    fn open(&self, name: &str) -> io::Result<DiskFile> {
        let name: Arc<str> = name.into();
        let state = &mut *self.state.lock();
        let id = state.run(Op::Open, &name, |state| {
            state.folder.file(&name).ok_or(io::ErrorKind::NotFound)
        })?;
        Ok(self.open_file(state, name, id))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let from: Arc<str> = from.into();
        self.state.lock().run(Op::Rename, &from, |state| {
            let id = state.folder.file(&from).ok_or(io::ErrorKind::NotFound)?;
            if *from != *to {
                state.folder.rename(Arc::clone(&from), to.into(), id);
            }
            Ok(())
        })
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let name: Arc<str> = name.into();
        self.state.lock().run(Op::Remove, &name, |state| {
            state.folder.file(&name).ok_or(io::ErrorKind::NotFound)?;
            state.folder.unlink(Arc::clone(&name));
            Ok(())
        })
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let folder: Arc<str> = "".into();
        self.state.lock().run(Op::List, &folder, |state| Ok(state.folder.names()))
    }

    fn sync_dir(&self) -> io::Result<()> {
        let folder: Arc<str> = "".into();
        self.state.lock().run(Op::SyncDir, &folder, |state| {
            state.folder.sync();
            state.forget_unlinked();
            Ok(())
        })
    }

    fn lock(&self, name: &str) -> io::Result<DiskLock> {
        let name: Arc<str> = name.into();
        let mut state = self.state.lock();
        state.run(Op::Lock, &name, |state| {
            let is_free = state.locks.insert(Arc::clone(&name));
            if is_free { Ok(()) } else { Err(io::ErrorKind::WouldBlock) }
        })?;
        Ok(DiskLock { state: Arc::clone(&self.state), name, crashes: state.crashes })
    }
}

impl Drop for DiskLock {
    fn drop(&mut self) {
        let mut state = self.state.lock();
        if state.crashes == self.crashes {
            state.locks.remove(&self.name);
        }
    }
}

impl fmt::Debug for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state.lock();
        let files = state.folder.names();
        f.debug_struct("Disk").field("files", &files).finish_non_exhaustive()
    }
}

impl fmt::Debug for DiskLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DiskLock").field("name", &self.name).finish_non_exhaustive()
    }
}

impl State {
    fn run<T>(
        &mut self,
        op: Op,
        name: &Arc<str>,
        operate: impl FnOnce(&mut Self) -> Result<T, io::ErrorKind>,
    ) -> io::Result<T> {
        self.run_struck(op, name, (0, 0), |state, struck| match struck {
            None => operate(state),
            Some(struck) => Err(struck.error()),
        })
    }

    /// Counts and logs an operation, and runs it with the fault that was armed for it, if any.
    fn run_struck<T>(
        &mut self,
        op: Op,
        name: &Arc<str>,
        (offset, bytes): (u64, u64),
        operate: impl FnOnce(&mut Self, Option<Strike>) -> Result<T, io::ErrorKind>,
    ) -> io::Result<T> {
        if self.faults.changes_left == Some(0) {
            return Err(io::Error::other("the power is off"));
        }
        if let Some(left) = self.faults.changes_left.as_mut().filter(|_| op.is_change()) {
            *left -= 1;
        }
        let struck = self.faults.strike(op);
        let result = operate(self, struck);
        let error = result.as_ref().err().copied();
        self.faults.record(Operation { op, name: Arc::clone(name), offset, bytes, error });
        result.map_err(io::Error::from)
    }

    fn crash(&mut self, survival: Survival, entropy: u64) {
        self.crashes += 1;
        self.faults.changes_left = None;
        self.locks.clear();
        self.folder.crash(survival, mix(entropy, 1, 0));
        for (id, image) in &mut self.images {
            image.crash(survival, mix(entropy, 2, *id));
            image.handles = 0;
        }
        self.forget_unlinked();
    }

    fn add(&mut self, image: Image) -> FileId {
        self.last_file += 1;
        self.images.insert(self.last_file, image);
        self.last_file
    }

    fn image(&mut self, id: FileId) -> &mut Image {
        self.images.get_mut(&id).expect("a file that is open or has a name has an image")
    }

    fn forget_unlinked(&mut self) {
        let folder = &self.folder;
        self.images.retain(|id, image| 0 < image.handles || folder.is_linked(*id));
    }

    fn used(&self) -> u64 {
        let is_used =
            |(id, image): &(&FileId, &Image)| 0 < image.handles || self.folder.is_entry(**id);
        self.images.iter().filter(is_used).map(|(_, image)| image.room()).sum()
    }

    /// Returns how many more bytes fit.
    fn room(&self) -> u64 {
        self.capacity.map_or(u64::MAX, |capacity| capacity.saturating_sub(self.used()))
    }

    /// Returns the length up to which the file can grow.
    fn room_of(&mut self, id: FileId) -> u64 {
        let room = self.room();
        self.image(id).room().saturating_add(room)
    }
}
