//! A disk on which something happens before an operation, as with several threads, and yet in the
//! same order each time. It reads at most 512 bytes at once.

use std::io;
use std::sync::{Arc, Mutex};

use quorate_sim::Disk;

/// Before which operation of files it happens.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum At {
    Read,
    Write,
}

struct Due {
    at: At,
    /// How many operations come before.
    left: u64,
    what: Box<dyn FnOnce() + Send>,
}

/// A disk with something to do in the meantime. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Hooked {
    pub(crate) disk: Disk,
    due: Arc<Mutex<Option<Due>>>,
}

pub(crate) struct HookedFile {
    file: <Disk as quorate_core::Disk>::File,
    due: Arc<Mutex<Option<Due>>>,
}

impl Hooked {
    /// Does `what` before the `nth` operation from now on, from 1.
    pub(crate) fn before(&self, at: At, nth: u64, what: impl FnOnce() + Send + 'static) {
        let due = Due { at, left: nth, what: Box::new(what) };
        *self.due.lock().expect("nobody panics with it") = Some(due);
    }

    fn hooked(&self, file: <Disk as quorate_core::Disk>::File) -> HookedFile {
        HookedFile { file, due: Arc::clone(&self.due) }
    }
}

impl HookedFile {
    fn pass(&self, at: At) {
        let mut slot = self.due.lock().expect("nobody panics with it");
        if let Some(due) = slot.as_mut().filter(|due| due.at == at) {
            due.left -= 1;
        }
        let due = slot.take_if(|due| due.left == 0);
        drop(slot);
        if let Some(due) = due {
            (due.what)();
        }
    }
}

impl quorate_core::Disk for Hooked {
    type File = HookedFile;
    type Lock = <Disk as quorate_core::Disk>::Lock;

    fn create_new(&self, name: &str) -> io::Result<HookedFile> {
        self.disk.create_new(name).map(|file| self.hooked(file))
    }

    fn open(&self, name: &str) -> io::Result<HookedFile> {
        self.disk.open(name).map(|file| self.hooked(file))
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

impl quorate_core::File for HookedFile {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<usize> {
        self.pass(At::Read);
        let short = out.len().min(512);
        self.file.read_at(offset, &mut out[..short])
    }

    fn write_all_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.pass(At::Write);
        self.file.write_all_at(offset, bytes)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn allocate(&self, len: u64) -> io::Result<bool> {
        self.file.allocate(len)
    }
}
