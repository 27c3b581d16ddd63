//! A disk that counts what it is asked for, and does at each sync what it is told to.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use quorate_core::{Disk, File};

/// What is done at a sync of a file, before it counts. It is told which one it is, from 1.
pub(crate) type AtSync = Arc<dyn Fn(u64) -> io::Result<()> + Send + Sync>;

/// A disk whose calls are counted. Clones share the files and the counts.
#[derive(Clone, Default)]
pub(crate) struct Counting<D> {
    disk: D,
    counts: Arc<Counts>,
}

/// How often something was done.
#[derive(Default)]
struct Counts {
    syncs: AtomicU64,
    lengths_changed: AtomicU64,
    at_sync: Mutex<Option<AtSync>>,
}

/// A file of a [`Counting`].
pub(crate) struct CountingFile<F> {
    file: F,
    counts: Arc<Counts>,
}

impl<D> Counting<D> {
    /// Returns how often a file was synced. Those of the folder do not count.
    pub(crate) fn syncs(&self) -> u64 {
        self.counts.syncs.load(Ordering::Relaxed)
    }

    /// Returns how often a write or a cut changed the length of a file.
    pub(crate) fn lengths_changed(&self) -> u64 {
        self.counts.lengths_changed.load(Ordering::Relaxed)
    }

    /// Does `at_sync` at each sync from now on, of which the first is number 1.
    pub(crate) fn at_sync(&self, at_sync: impl Fn(u64) -> io::Result<()> + Send + Sync + 'static) {
        let before = self.syncs();
        *self.counts.at_sync.lock() = Some(Arc::new(move |number| at_sync(number - before)));
    }
}

impl<D: Disk> Counting<D> {
    fn counted(&self, file: D::File) -> CountingFile<D::File> {
        CountingFile { file, counts: Arc::clone(&self.counts) }
    }
}

impl<D: Disk> Disk for Counting<D> {
    type File = CountingFile<D::File>;
    type Lock = D::Lock;

    fn create_new(&self, name: &str) -> io::Result<Self::File> {
        self.disk.create_new(name).map(|file| self.counted(file))
    }

    fn open(&self, name: &str) -> io::Result<Self::File> {
        self.disk.open(name).map(|file| self.counted(file))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.disk.remove(name)
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.disk.list()
    }

    fn sync_dir(&self) -> io::Result<()> {
        self.disk.sync_dir()
    }

    fn lock(&self, name: &str) -> io::Result<Self::Lock> {
        self.disk.lock(name)
    }
}

impl<F: File> File for CountingFile<F> {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<usize> {
        self.file.read_at(offset, out)
    }

    fn write_all_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let before = self.file.len()?;
        self.file.write_all_at(offset, bytes)?;
        self.count_length(before)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let before = self.file.len()?;
        self.file.set_len(len)?;
        self.count_length(before)
    }

    fn sync_data(&self) -> io::Result<()> {
        let number = self.counts.syncs.fetch_add(1, Ordering::Relaxed) + 1;
        let at_sync = self.counts.at_sync.lock().clone();
        at_sync.map_or(Ok(()), |it| it(number))?;
        self.file.sync_data()
    }
}

impl<F: File> CountingFile<F> {
    fn count_length(&self, before: u64) -> io::Result<()> {
        if self.file.len()? != before {
            self.counts.lengths_changed.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }
}
