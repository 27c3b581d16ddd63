//! A disk on which something happens while a sync is under way, as with several threads, and yet in
//! the same order each time.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex};

use quorate_sim::Disk;

/// What happens during the next sync of a file.
type Meanwhile = Arc<Mutex<Option<Box<dyn FnOnce() + Send>>>>;

/// A disk with something to do in the meantime.
#[derive(Clone, Default)]
pub(crate) struct Busy {
    disk: Disk,
    meanwhile: Meanwhile,
}

pub(crate) struct BusyFile {
    file: <Disk as quorate_core::Disk>::File,
    meanwhile: Meanwhile,
}

impl Busy {
    pub(crate) fn new(disk: Disk) -> Self {
        Self { disk, meanwhile: Meanwhile::default() }
    }

    /// Does `what` while the next sync of a file is under way.
    pub(crate) fn meanwhile(&self, what: impl FnOnce() + Send + 'static) {
        *self.meanwhile.lock().expect("nobody panics with it") = Some(Box::new(what));
    }

    pub(crate) fn forget(&self) {
        self.meanwhile.lock().expect("nobody panics with it").take();
    }

    fn file(&self, file: <Disk as quorate_core::Disk>::File) -> BusyFile {
        BusyFile { file, meanwhile: Arc::clone(&self.meanwhile) }
    }
}

impl quorate_core::Disk for Busy {
    type File = BusyFile;
    type Lock = <Disk as quorate_core::Disk>::Lock;

    fn create_new(&self, name: &str) -> io::Result<BusyFile> {
        self.disk.create_new(name).map(|file| self.file(file))
    }

    fn open(&self, name: &str) -> io::Result<BusyFile> {
        self.disk.open(name).map(|file| self.file(file))
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

impl quorate_core::File for BusyFile {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<usize> {
        self.file.read_at(offset, out)
    }

    fn write_all_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(offset, bytes)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        let meanwhile = self.meanwhile.lock().expect("nobody panics with it").take();
        if let Some(meanwhile) = meanwhile {
            meanwhile();
        }
        self.file.sync_data()
    }

    fn allocate(&self, len: u64) -> io::Result<bool> {
        self.file.allocate(len)
    }
}

impl fmt::Debug for Busy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Busy").finish_non_exhaustive()
    }
}
