//! Ours: `quorate-wal`.

use std::io;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use quorate_wal::{Config, Index, Visible, Wal};

use super::log::{Log, Options, Peer};

pub const PEER: Peer = Peer {
    name: "ours",
    version: "",
    open,
    note: "defaults",
    memory: "the place of every eighth record in memory",
};

struct Ours(Wal);

fn open(folder: &Path, options: Options) -> io::Result<Box<dyn Log>> {
    let mut config = Config::default();
    if let Some(segment_bytes) = options.segment_bytes {
        config.segment_bytes = segment_bytes;
    }
    let (wal, _) = Wal::open(folder, config).map_err(io::Error::other)?;
    Ok(Box::new(Ours(wal)))
}

impl Log for Ours {
    fn append_durable(&self, _: usize, record: &Bytes) -> io::Result<()> {
        self.0.append(record.clone()).and_then(|ack| ack.wait()).map_err(io::Error::other)
    }

    fn append_batch(&self, records: &[Bytes]) -> io::Result<()> {
        drop(self.0.append_batch(records.iter().cloned()).map_err(io::Error::other)?);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync().map(drop).map_err(io::Error::other)
    }

    fn scan(&self, each: &mut dyn FnMut(&[u8])) -> io::Result<()> {
        for record in self.0.records(..) {
            each(&record.map_err(io::Error::other)?.1);
        }
        Ok(())
    }

    fn read(&self, number: u64) -> io::Result<usize> {
        let record = self.0.read(Index(number + 1)).map_err(io::Error::other)?;
        record.map(|it| it.len()).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn follow(&self, count: u64) -> io::Result<()> {
        let mut tail = self.0.tail(Index(1), Visible::Durable);
        let mut seen = 0;
        while seen < count {
            let found = tail.next_timeout(Duration::from_secs(1)).map_err(io::Error::other)?;
            seen += u64::from(found.is_some());
        }
        Ok(())
    }

    fn syncs(&self) -> Option<u64> {
        Some(self.0.stats().syncs)
    }

    fn close(self: Box<Self>) -> io::Result<()> {
        self.0.close().map_err(io::Error::other)
    }
}
