//! `logdb`: a ring in memory, and a thread that writes it.

use std::io;
use std::path::Path;
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use logdb::{Config, DurabilityMode, LogDb};

use super::log::{Log, Options, Peer};

pub const PEER: Peer = Peer {
    name: "logdb",
    version: "0.6.0",
    open,
    note: "`append` and `flush`, mode `Async`, which syncs when it is flushed",
    memory: "an index in files of its own",
};

struct Ring(LogDb);

fn open(folder: &Path, options: Options) -> io::Result<Box<dyn Log>> {
    let mut config = Config { data_dir: folder.to_path_buf(), ..Config::default() };
    // Syncs on `flush` alone, as the others do.
    config.durability_mode = DurabilityMode::Async;
    if let Some(segment_bytes) = options.segment_bytes {
        config.segment_size = segment_bytes.into();
    }
    Ok(Box::new(Ring(LogDb::open(config).map_err(io::Error::other)?)))
}

impl Log for Ring {
    fn append_durable(&self, _: usize, record: &Bytes) -> io::Result<()> {
        self.0.append(record).map_err(io::Error::other)?;
        self.0.flush().map_err(io::Error::other)
    }

    fn append_batch(&self, records: &[Bytes]) -> io::Result<()> {
        let records: Vec<&[u8]> = records.iter().map(|it| &it[..]).collect();
        self.0.append_batch(&records).map(drop).map_err(io::Error::other)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.flush().map_err(io::Error::other)
    }

    fn scan(&self, each: &mut dyn FnMut(&[u8])) -> io::Result<()> {
        for record in self.0.replay_from(0).map_err(io::Error::other)? {
            each(&record.map_err(io::Error::other)?.content);
        }
        Ok(())
    }

    fn read(&self, number: u64) -> io::Result<usize> {
        let record = self.0.read(number).map_err(io::Error::other)?;
        record.map(|it| it.content.len()).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Nothing wakes a `Tailer`: it asks again and again.
    fn follow(&self, count: u64) -> io::Result<()> {
        let mut tailer = self.0.new_tailer("row");
        let mut seen = 0;
        while seen < count {
            match tailer.next_batch(1_000).map_err(io::Error::other)? {
                Some(records) => seen += records.len() as u64,
                None => thread::yield_now(),
            }
        }
        Ok(())
    }

    fn close(self: Box<Self>) -> io::Result<()> {
        self.0.shutdown(Duration::from_secs(5)).map(drop).map_err(io::Error::other)
    }
}
