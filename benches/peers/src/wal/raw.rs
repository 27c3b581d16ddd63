//! The floor: `write_all_at` and `sync_data` on a file that was filled with zeros.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

use super::log::{Log, Options, Peer};

pub const PEER: Peer = Peer {
    name: "raw",
    version: "std",
    open,
    note: "`write_all_at` and `sync_data` on a file that was filled with zeros",
    memory: "",
};

struct Raw {
    file: File,
    end: AtomicU64,
}

fn open(folder: &Path, options: Options) -> io::Result<Box<dyn Log>> {
    let file = File::create_new(folder.join("raw"))?;
    let zeros = vec![0; usize::try_from(options.expected_bytes).map_err(io::Error::other)?];
    file.write_all_at(&zeros, 0)?;
    file.sync_all()?;
    Ok(Box::new(Raw { file, end: AtomicU64::new(0) }))
}

impl Log for Raw {
    fn append_durable(&self, _: usize, record: &Bytes) -> io::Result<()> {
        let offset = self.end.fetch_add(record.len() as u64, Ordering::Relaxed);
        self.file.write_all_at(record, offset)?;
        self.file.sync_data()
    }
}
