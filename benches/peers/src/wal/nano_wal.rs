//! `nano-wal`: records of a stretch of time in a file. Found again only by who kept their place.

use std::io;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use nano_wal::{Wal, WalOptions, WriteEntry};

use super::log::{Log, Options, Peer};

pub const PEER: Peer = Peer {
    name: "nano-wal",
    version: "1.0.0",
    open,
    note: "at most 204 records in a batch: more make a short write, which is an error",
    memory: "",
};

struct NanoWal(Wal);

fn open(folder: &Path, _: Options) -> io::Result<Box<dyn Log>> {
    let options = WalOptions {
        retention: Duration::from_secs(86_400),
        segment_duration: Duration::from_secs(3_600),
    };
    Ok(Box::new(NanoWal(Wal::new(folder, "row", options).map_err(io::Error::other)?)))
}

impl Log for NanoWal {
    fn append_durable(&self, _: usize, record: &Bytes) -> io::Result<()> {
        self.0.append(None, record, NOW_MS, true).map(drop).map_err(io::Error::other)
    }

    fn append_batch(&self, records: &[Bytes]) -> io::Result<()> {
        for records in records.chunks(BATCH_MAX) {
            let entries: Vec<WriteEntry<'_>> =
                records.iter().map(|it| WriteEntry { header: None, content: it }).collect();
            self.0.append_batch(&entries, NOW_MS, false).map_err(io::Error::other)?;
        }
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync().map_err(io::Error::other)
    }
}

/// The time is the caller's.
const NOW_MS: i64 = 1_800_000_000_000;
/// Five parts each, of the 1,024 that one write takes.
const BATCH_MAX: usize = 204;
