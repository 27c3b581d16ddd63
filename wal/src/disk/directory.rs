//! A folder of the operating system.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use quorate_core::{Disk, File};
use rustix::fs::{FallocateFlags, FlockOperation, fallocate, flock};
use rustix::io::Errno;

/// A folder, and the files in it.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    folder: fs::File,
}

/// A file of a [`Directory`].
#[derive(Debug)]
pub struct DirectoryFile(fs::File);

/// Keeps other openers out, of this process and of others, while it lives.
#[derive(Debug)]
pub struct DirectoryLock(#[expect(dead_code, reason = "closing the file ends the lock")] fs::File);

impl Directory {
    /// Opens the folder `path`, and makes it if it is not there, and those it lies in. The folders
    /// they lie in are synced.
    ///
    /// # Errors
    ///
    /// Those of the file system.
    pub fn new(path: impl AsRef<Path>) -> io::Result<Self> {
        let path = path.as_ref().to_path_buf();
        let is_missing = |it: &&Path| !it.as_os_str().is_empty() && !it.is_dir();
        let missing = path.ancestors().take_while(is_missing).count();
        fs::create_dir_all(&path)?;
        for made in path.ancestors().take(missing) {
            sync_parent(made)?;
        }
        if missing == 0 {
            // Who made it may have been killed before this. Where it may not be read, trust him.
            _ = sync_parent(&path);
        }
        Ok(Self { folder: fs::File::open(&path)?, path })
    }

    /// Returns the folder's path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Disk for Directory {
    type File = DirectoryFile;
    type Lock = DirectoryLock;

    fn create_new(&self, name: &str) -> io::Result<DirectoryFile> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true);
        options.open(self.path.join(name)).map(DirectoryFile).map_err(say_full)
    }

    fn open(&self, name: &str) -> io::Result<DirectoryFile> {
        let path = self.path.join(name);
        match OpenOptions::new().read(true).write(true).open(&path) {
            Err(error) if is_read_only(&error) => fs::File::open(&path),
            result => result,
        }
        .map(DirectoryFile)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path.join(from), self.path.join(to)).map_err(say_full)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path.join(name))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            if entry.file_type()?.is_file()
                && let Ok(name) = entry.file_name().into_string()
            {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    fn sync_dir(&self) -> io::Result<()> {
        self.folder.sync_all()
    }

    fn lock(&self, name: &str) -> io::Result<DirectoryLock> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let file = options.open(self.path.join(name))?;
        // Locks of `flock` belong to the open file, so two openers in one process exclude each
        // other as well; those of `fcntl` belong to the process.
        flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        Ok(DirectoryLock(file))
    }
}

impl File for DirectoryFile {
    fn len(&self) -> io::Result<u64> {
        self.0.metadata().map(|it| it.len())
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.0.read_at(out, offset) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }

    fn write_all_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all_at(bytes, offset).map_err(say_full)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len).map_err(say_full)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn allocate(&self, len: u64) -> io::Result<bool> {
        match fallocate(&self.0, FallocateFlags::KEEP_SIZE, 0, len) {
            Ok(()) => Ok(true),
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(false),
            Err(error) => Err(say_full(error.into())),
        }
    }
}

fn sync_parent(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|it| !it.as_os_str().is_empty());
    fs::File::open(parent.unwrap_or_else(|| Path::new(".")))?.sync_all()
}

fn is_read_only(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem)
}

/// A user's quota is as full as a disk is.
fn say_full(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::QuotaExceeded => io::Error::new(io::ErrorKind::StorageFull, error),
        _ => error,
    }
}
