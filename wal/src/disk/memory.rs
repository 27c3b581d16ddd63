//! A folder in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use quorate_core::{Disk, File};

/// Files in memory, for tests and for logs that need not survive. Clones share the files.
///
/// It does not model a crash: what is written is there. See quorate-sim for a disk that loses.
#[derive(Clone, Debug, Default)]
pub struct Memory(Arc<Mutex<Folder>>);

#[derive(Debug, Default)]
struct Folder {
    files: BTreeMap<String, MemoryFile>,
    locks: BTreeSet<String>,
}

/// A file of a [`Memory`].
#[derive(Clone, Debug, Default)]
pub struct MemoryFile(Arc<Mutex<Vec<u8>>>);

/// Keeps other openers out while it lives.
#[derive(Debug)]
pub struct MemoryLock {
    folder: Memory,
    name: String,
}

impl Memory {
    /// Makes an empty folder.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the content of `name`, if it is there.
    #[must_use]
    pub fn content(&self, name: &str) -> Option<Vec<u8>> {
        self.folder().files.get(name).map(|file| file.0.lock().clone())
    }

    /// Replaces the content of `name`, or makes it.
    pub fn set_content(&self, name: &str, content: impl Into<Vec<u8>>) {
        let file = MemoryFile(Arc::new(Mutex::new(content.into())));
        self.folder().files.insert(name.to_owned(), file);
    }

    /// Returns a copy that shares nothing with this folder, and on which nothing is locked.
    #[must_use]
    pub fn fork(&self) -> Self {
        let files = self.folder().files.clone();
        let copy = |file: MemoryFile| MemoryFile(Arc::new(Mutex::new(file.0.lock().clone())));
        let files = files.into_iter().map(|(name, file)| (name, copy(file))).collect();
        Self(Arc::new(Mutex::new(Folder { files, locks: BTreeSet::new() })))
    }

    fn folder(&self) -> MutexGuard<'_, Folder> {
        self.0.lock()
    }
}

impl Disk for Memory {
    type File = MemoryFile;
    type Lock = MemoryLock;

    fn create_new(&self, name: &str) -> io::Result<MemoryFile> {
        let mut folder = self.folder();
        if folder.files.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let file = MemoryFile::default();
        folder.files.insert(name.to_owned(), file.clone());
        Ok(file)
    }

    fn open(&self, name: &str) -> io::Result<MemoryFile> {
        self.folder().files.get(name).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut folder = self.folder();
        let file = folder.files.remove(from).ok_or(io::ErrorKind::NotFound)?;
        folder.files.insert(to.to_owned(), file);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let file = self.folder().files.remove(name);
        file.map(drop).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.folder().files.keys().cloned().collect())
    }

    fn sync_dir(&self) -> io::Result<()> {
        Ok(())
    }

    fn lock(&self, name: &str) -> io::Result<MemoryLock> {
        if self.folder().locks.insert(name.to_owned()) {
            return Ok(MemoryLock { folder: self.clone(), name: name.to_owned() });
        }
        Err(io::ErrorKind::WouldBlock.into())
    }
}

impl File for MemoryFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.lock().len() as u64)
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<usize> {
        let bytes = self.0.lock();
        let start = address(offset)?.min(bytes.len());
        let count = out.len().min(bytes.len() - start);
        out[..count].copy_from_slice(&bytes[start..start + count]);
        Ok(count)
    }

    fn write_all_at(&self, offset: u64, new: &[u8]) -> io::Result<()> {
        let mut bytes = self.0.lock();
        let start = address(offset)?;
        let end = start.checked_add(new.len()).ok_or(io::ErrorKind::FileTooLarge)?;
        if bytes.len() < end {
            bytes.resize(end, 0);
        }
        bytes[start..end].copy_from_slice(new);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.lock().resize(address(len)?, 0);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for MemoryLock {
    fn drop(&mut self) {
        self.folder.folder().locks.remove(&self.name);
    }
}

fn address(offset: u64) -> io::Result<usize> {
    usize::try_from(offset).map_err(|_| io::ErrorKind::FileTooLarge.into())
}
