//! Disks that break one promise each.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use quorate_core::File;
use quorate_sim::{Disk, DiskFile, DiskLock, kit};

use super::expect_failed;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Fault {
    LosesSyncs,
    LosesFolderSyncs,
    TruncatesOnCreate,
    FillsWithOnes,
    SharesLocks,
    ListsUnsorted,
    IgnoresSetLen,
    ReadsStale,
    ReportsAnyError,
    RenamesByCopy,
}

/// A disk with a fault.
struct Faulty {
    disk: Disk,
    fault: Fault,
    locks: AtomicU64,
}

struct FaultyFile {
    file: DiskFile,
    fault: Fault,
    /// What a handle that caches saw first.
    cache: Arc<parking_lot::Mutex<Option<Vec<u8>>>>,
}

impl Faulty {
    fn new(fault: Fault) -> Self {
        Self { disk: Disk::new(), fault, locks: AtomicU64::new(0) }
    }

    fn file(&self, file: DiskFile) -> FaultyFile {
        FaultyFile { file, fault: self.fault, cache: Arc::default() }
    }
}

impl quorate_core::Disk for Faulty {
    type File = FaultyFile;
    type Lock = DiskLock;

    fn create_new(&self, name: &str) -> io::Result<FaultyFile> {
        if self.fault == Fault::TruncatesOnCreate && self.disk.open(name).is_ok() {
            let file = self.disk.open(name)?;
            file.set_len(0)?;
            return Ok(self.file(file));
        }
        self.disk.create_new(name).map(|file| self.file(file))
    }

    fn open(&self, name: &str) -> io::Result<FaultyFile> {
        let opened = self.disk.open(name).map(|file| self.file(file));
        match self.fault {
            Fault::ReportsAnyError => opened.map_err(|error| io::Error::other(error.to_string())),
            _ => opened,
        }
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        if self.fault == Fault::RenamesByCopy {
            let bytes = self.disk.content(from).ok_or(io::ErrorKind::NotFound)?;
            _ = self.disk.remove(to);
            let file = self.disk.create_new(to)?;
            file.write_all_at(0, &bytes)?;
            file.sync_data()?;
            return self.disk.remove(from);
        }
        self.disk.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.disk.remove(name)
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = self.disk.list()?;
        if self.fault == Fault::ListsUnsorted {
            names.reverse();
        }
        Ok(names)
    }

    fn sync_dir(&self) -> io::Result<()> {
        if self.fault == Fault::LosesFolderSyncs {
            return Ok(());
        }
        self.disk.sync_dir()
    }

    fn lock(&self, name: &str) -> io::Result<DiskLock> {
        if self.fault == Fault::SharesLocks {
            let number = self.locks.fetch_add(1, Ordering::Relaxed);
            return self.disk.lock(&format!("{name}{number}"));
        }
        self.disk.lock(name)
    }
}

impl File for FaultyFile {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<usize> {
        if self.fault != Fault::ReadsStale {
            return self.file.read_at(offset, out);
        }
        let mut cache = self.cache.lock();
        if cache.is_none() {
            let mut bytes = vec![0; usize::try_from(self.file.len()?).expect("it is small")];
            self.file.read_at(0, &mut bytes)?;
            *cache = Some(bytes);
        }
        let cached = cache.as_deref().unwrap_or_default();
        let rest = cached.get(usize::try_from(offset).expect("it is small")..).unwrap_or_default();
        let count = rest.len().min(out.len());
        out[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn write_all_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let len = self.file.len()?;
        if self.fault == Fault::FillsWithOnes && len < offset {
            let gap = usize::try_from(offset - len).expect("it is small");
            self.file.write_all_at(len, &vec![1; gap])?;
        }
        self.file.write_all_at(offset, bytes)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        if self.fault == Fault::IgnoresSetLen {
            return Ok(());
        }
        self.file.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        if self.fault == Fault::LosesSyncs {
            return Ok(());
        }
        self.file.sync_data()
    }
}

#[test]
fn the_simulated_disk_passes() {
    let mut entropy = 0;
    let crash = |disk: &Disk| {
        entropy += 1;
        disk.crash(entropy);
    };
    kit::disk::check_with_crash(Disk::new, crash).expect_passed();
    kit::disk::check_with_crash(Disk::new, Disk::crash_losing_unsynced).expect_passed();
    kit::disk::check_with_crash(Disk::new, Disk::crash_keeping_unsynced).expect_passed();
}

#[test]
fn each_fault_of_a_disk_is_named() {
    let faults: [(Fault, &[&str]); 10] = [
        (Fault::LosesSyncs, &["synced_data_survives", "a_synced_length_survives"]),
        (Fault::LosesFolderSyncs, &["a_created_file_survives_after_sync_dir"]),
        (Fault::TruncatesOnCreate, &["create_new_refuses_an_existing_name"]),
        (Fault::FillsWithOnes, &["a_write_beyond_the_end_fills_with_zeros"]),
        (Fault::SharesLocks, &["lock_excludes_a_second"]),
        (Fault::ListsUnsorted, &["list_is_sorted_and_complete"]),
        (Fault::IgnoresSetLen, &["set_len_shrinks", "set_len_grows_with_zeros"]),
        (Fault::ReadsStale, &["two_handles_see_one_content"]),
        (Fault::ReportsAnyError, &["a_missing_name_is_not_found"]),
        (Fault::RenamesByCopy, &["a_rename_is_atomic", "an_open_file_follows_its_rename"]),
    ];
    for (fault, names) in faults {
        let mut entropy = 0;
        let report = kit::disk::check_with_crash(
            || Faulty::new(fault),
            |faulty| {
                entropy += 1;
                faulty.disk.crash(entropy);
            },
        );
        assert!(report.failed().count() < 12, "{fault:?} is one fault\n{report}");
        expect_failed(&report, names);
    }
}
