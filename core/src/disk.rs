//! A small file system: one folder of files.

use std::io;

/// One folder, without folders in it.
///
/// Names are plain file names. What is created, renamed or removed survives a crash only after
/// [`sync_dir`](Self::sync_dir); what is written to a file, only after [`File::sync_data`].
///
/// # Errors
///
/// Those of [`std::io`], with these kinds, and never only a message:
/// [`NotFound`](io::ErrorKind::NotFound) if the named file is not there,
/// [`StorageFull`](io::ErrorKind::StorageFull) if there is no room, and what a method names.
///
/// After a failed sync, of a file or of the folder, what is durable is unknown. Never try again:
/// see [`StorageError`](crate::StorageError).
#[expect(clippy::missing_errors_doc, reason = "one contract for all methods, above")]
pub trait Disk: Send + Sync {
    /// An open file.
    type File: File;
    /// Keeps the lock of [`lock`](Self::lock) while it lives.
    type Lock: Send + Sync;

    /// Creates `name`, empty, and opens it. [`AlreadyExists`](io::ErrorKind::AlreadyExists) if it
    /// is there.
    fn create_new(&self, name: &str) -> io::Result<Self::File>;

    /// Opens `name` for reading and writing, or only for reading where writing is not permitted.
    fn open(&self, name: &str) -> io::Result<Self::File>;

    /// Gives the file `from` the name `to`, in place of any file of that name.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes `name`.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Returns the names of all files, sorted.
    fn list(&self) -> io::Result<Vec<String>>;

    /// Makes durable what was created, renamed and removed.
    fn sync_dir(&self) -> io::Result<()>;

    /// Takes the lock called `name`, which ends with the process, however that ends.
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if another opener has it, in any process.
    fn lock(&self, name: &str) -> io::Result<Self::Lock>;
}

/// An open file of a [`Disk`]. Reads and writes name their offset, in bytes.
///
/// # Errors
///
/// Those of [`Disk`].
#[expect(clippy::len_without_is_empty, reason = "asking for the length can fail")]
#[expect(clippy::missing_errors_doc, reason = "one contract for all methods, above")]
pub trait File: Send + Sync {
    /// Returns the length in bytes.
    fn len(&self) -> io::Result<u64>;

    /// Reads into `out` from `offset` on, and returns how many bytes: 0 only at the end of the
    /// file, or if `out` is empty.
    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<usize>;

    /// Writes all of `bytes` at `offset`; after an error a part of it may be there. What lies
    /// between the end of the file and `offset` becomes zeros.
    fn write_all_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Cuts the file, or extends it with zeros, to `len` bytes.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// Makes the content durable, and the length.
    fn sync_data(&self) -> io::Result<()>;

    /// Reserves room so that writes below `len` do not fail for want of it. Returns `false` where
    /// that is not supported.
    fn allocate(&self, len: u64) -> io::Result<bool> {
        _ = len;
        Ok(false)
    }
}
