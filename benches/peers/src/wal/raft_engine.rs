//! `raft-engine`: the log of many Raft groups, an index of all entries in memory.
//!
//! Each writer has a group of its own: entries of a group must come in order.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use raft::eraftpb::Entry;
use raft_engine::{Config, Engine, LogBatch, MessageExt, ReadableSize};

use super::log::{Log, Options, Peer};

pub const PEER: Peer = Peer {
    name: "raft-engine",
    version: "0.4.2",
    open,
    note: "`write(batch, true)`, a group for each writer",
    memory: "index of all in memory",
};

struct Entries;

impl MessageExt for Entries {
    type Entry = Entry;

    fn index(entry: &Entry) -> u64 {
        entry.index
    }
}

struct RaftEngine {
    engine: Engine,
    /// The last index of each writer's group.
    last: Vec<AtomicU64>,
}

fn open(folder: &Path, options: Options) -> io::Result<Box<dyn Log>> {
    let dir = folder.to_str().ok_or(io::ErrorKind::InvalidFilename)?.to_owned();
    let mut config = Config { dir, ..Config::default() };
    if let Some(segment_bytes) = options.segment_bytes {
        config.target_file_size = ReadableSize(segment_bytes.into());
    }
    let engine = Engine::open(config).map_err(io::Error::other)?;
    let last = |writer| AtomicU64::new(engine.last_index(group(writer)).unwrap_or(0));
    let last = (0..WRITERS).map(last).collect();
    Ok(Box::new(RaftEngine { engine, last }))
}

fn group(writer: usize) -> u64 {
    writer as u64 + 1
}

impl RaftEngine {
    fn write(&self, writer: usize, records: &[Bytes], sync: bool) -> io::Result<()> {
        let count = records.len() as u64;
        let first = self.last[writer].load(Ordering::Relaxed) + 1;
        let entry = |(index, data): (u64, &Bytes)| {
            let mut entry = Entry::new();
            entry.index = index;
            entry.data = data.clone();
            entry
        };
        let entries: Vec<Entry> = (first..).zip(records).map(entry).collect();
        let mut batch = LogBatch::with_capacity(1);
        batch.add_entries::<Entries>(group(writer), &entries).map_err(io::Error::other)?;
        self.engine.write(&mut batch, sync).map_err(io::Error::other)?;
        self.last[writer].store(first + count - 1, Ordering::Relaxed);
        Ok(())
    }
}

impl Log for RaftEngine {
    fn append_durable(&self, writer: usize, record: &Bytes) -> io::Result<()> {
        self.write(writer, std::slice::from_ref(record), true)
    }

    fn append_batch(&self, records: &[Bytes]) -> io::Result<()> {
        self.write(0, records, false)
    }

    /// `Engine::sync` makes no system call: a small write does.
    fn sync(&self) -> io::Result<()> {
        let mut batch = LogBatch::with_capacity(1);
        batch.put(group(WRITERS), b"sync".to_vec(), b"1".to_vec()).map_err(io::Error::other)?;
        self.engine.write(&mut batch, true).map(drop).map_err(io::Error::other)
    }

    fn scan(&self, each: &mut dyn FnMut(&[u8])) -> io::Result<()> {
        let (Some(first), Some(last)) =
            (self.engine.first_index(group(0)), self.engine.last_index(group(0)))
        else {
            return Ok(());
        };
        let mut entries = Vec::new();
        for begin in (first..=last).step_by(FETCH) {
            let end = (begin + FETCH as u64).min(last + 1);
            entries.clear();
            self.engine
                .fetch_entries_to::<Entries>(group(0), begin, end, None, &mut entries)
                .map_err(io::Error::other)?;
            entries.iter().for_each(|it| each(&it.data));
        }
        Ok(())
    }

    fn read(&self, number: u64) -> io::Result<usize> {
        let entry = self.engine.get_entry::<Entries>(group(0), number + 1);
        let entry = entry.map_err(io::Error::other)?;
        entry.map(|it| it.data.len()).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

const WRITERS: usize = 64;
/// Entries that are fetched at once.
const FETCH: usize = 1_024;
