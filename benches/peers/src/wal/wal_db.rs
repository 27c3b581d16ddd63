//! `wal-db`: records in one file, or in segments. A handle is shared by all threads.

use std::io;
use std::path::Path;

use bytes::Bytes;
use wal_db::{Lsn, SegmentedStore, Wal};

use super::log::{Log, Options, Peer};

pub const PEER: Peer = Peer {
    name: "wal-db",
    version: "1.1.0",
    open,
    note: "`append_and_sync`, segments of 64 MiB",
    memory: "nothing in memory",
};

struct WalDb(Wal<SegmentedStore>);

fn open(folder: &Path, options: Options) -> io::Result<Box<dyn Log>> {
    let segment_bytes = options.segment_bytes.unwrap_or(64 << 20);
    let wal = Wal::open_segmented(folder, segment_bytes.into()).map_err(io::Error::other)?;
    Ok(Box::new(WalDb(wal)))
}

impl Log for WalDb {
    fn append_durable(&self, _: usize, record: &Bytes) -> io::Result<()> {
        self.0.append_and_sync(record).map(drop).map_err(io::Error::other)
    }

    fn append_batch(&self, records: &[Bytes]) -> io::Result<()> {
        records.iter().try_for_each(|it| self.0.append(it).map(drop)).map_err(io::Error::other)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync().map_err(io::Error::other)
    }

    fn scan(&self, each: &mut dyn FnMut(&[u8])) -> io::Result<()> {
        for record in self.0.iter_from(Lsn::new(0)).map_err(io::Error::other)? {
            each(record.map_err(io::Error::other)?.data());
        }
        Ok(())
    }
}
