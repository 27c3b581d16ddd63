//! A disk in memory that stores no page of zeros, and counts what is read of each file.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use quorate_core::{Disk, File};

const PAGE_BYTES: usize = 4_096;

/// Files of pages, so that a log of a GiB of zeros fits into memory.
#[derive(Clone, Default)]
pub(crate) struct Counted(Arc<Mutex<BTreeMap<String, Arc<Mutex<Pages>>>>>);

#[derive(Default)]
struct Pages {
    pages: BTreeMap<u64, Box<[u8; PAGE_BYTES]>>,
    len: u64,
    read_bytes: u64,
}

#[derive(Clone)]
pub(crate) struct CountedFile(Arc<Mutex<Pages>>);

impl Counted {
    fn files(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Mutex<Pages>>>> {
        self.0.lock().expect("nobody panics with it")
    }

    /// Returns the length of each segment, and how many bytes of it were read.
    pub(crate) fn read_bytes(&self) -> Vec<(u64, u64)> {
        let files = self.files();
        let segments = files.iter().filter(|(name, _)| name.ends_with(".wal"));
        let pages = segments.map(|(_, file)| file.lock().expect("nobody panics with it"));
        pages.map(|pages| (pages.len, pages.read_bytes)).collect()
    }

    /// Returns how much memory the content takes.
    pub(crate) fn stored_bytes(&self) -> u64 {
        let count = |file: &Arc<Mutex<Pages>>| file.lock().expect("nobody panics").pages.len();
        self.files().values().map(|file| (count(file) * PAGE_BYTES) as u64).sum()
    }

    pub(crate) fn forget_reads(&self) {
        for file in self.files().values() {
            file.lock().expect("nobody panics with it").read_bytes = 0;
        }
    }
}

impl Disk for Counted {
    type File = CountedFile;
    type Lock = ();

    fn create_new(&self, name: &str) -> io::Result<CountedFile> {
        let mut files = self.files();
        if files.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let file: Arc<Mutex<Pages>> = Arc::default();
        files.insert(name.to_owned(), Arc::clone(&file));
        Ok(CountedFile(file))
    }

    fn open(&self, name: &str) -> io::Result<CountedFile> {
        let file = self.files().get(name).cloned();
        file.map(CountedFile).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let file = self.files().remove(from).ok_or(io::ErrorKind::NotFound)?;
        self.files().insert(to.to_owned(), file);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.files().remove(name).map(drop).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.files().keys().cloned().collect())
    }

    fn sync_dir(&self) -> io::Result<()> {
        Ok(())
    }

    fn lock(&self, _name: &str) -> io::Result<()> {
        Ok(())
    }
}

impl CountedFile {
    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.0.lock().expect("nobody panics with it")
    }
}

impl File for CountedFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.pages().len)
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<usize> {
        let mut pages = self.pages();
        let left = usize::try_from(pages.len.saturating_sub(offset)).unwrap_or(usize::MAX);
        let (page, at) = place(offset);
        let count = out.len().min(left).min(PAGE_BYTES - at);
        match pages.pages.get(&page) {
            Some(page) => out[..count].copy_from_slice(&page[at..at + count]),
            None => out[..count].fill(0),
        }
        pages.read_bytes += count as u64;
        Ok(count)
    }

    fn write_all_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut pages = self.pages();
        let mut rest = bytes;
        let mut offset = offset;
        while !rest.is_empty() {
            let (page, at) = place(offset);
            let (now, later) = rest.split_at(rest.len().min(PAGE_BYTES - at));
            if now.iter().any(|byte| *byte != 0) || pages.pages.contains_key(&page) {
                let page = pages.pages.entry(page).or_insert_with(|| Box::new([0; PAGE_BYTES]));
                page[at..at + now.len()].copy_from_slice(now);
            }
            offset += now.len() as u64;
            rest = later;
        }
        pages.len = pages.len.max(offset);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut pages = self.pages();
        if len < pages.len {
            let (page, at) = place(len);
            _ = pages.pages.split_off(&(page + 1));
            if let Some(page) = pages.pages.get_mut(&page) {
                page[at..].fill(0);
            }
        }
        pages.len = len;
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }
}

fn place(offset: u64) -> (u64, usize) {
    let page_bytes = PAGE_BYTES as u64;
    (offset / page_bytes, usize::try_from(offset % page_bytes).expect("less than a page"))
}
