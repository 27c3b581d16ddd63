//! `raft-log`: a thread that writes and syncs, which by default waits 1 ms for more to come.
//!
//! Several writers share it behind a mutex, which they leave before they wait.

use std::io;
use std::path::Path;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use raft_log::api::raft_log_writer::RaftLogWriter as _;
use raft_log::{Config, RaftLog, Types};

use super::log::{Log, Options, Peer};

pub const PEER: Peer = Peer {
    name: "raft-log",
    version: "0.4.6",
    open: |folder, options| open(folder, options, None),
    note: "`append`, `flush(true, callback)`; its thread waits 1 ms for more to come",
    memory: "index, and up to 1 GiB of 100 k records, in memory",
};

pub const NO_WAIT: Peer = Peer {
    name: "raft-log, no wait",
    version: "0.4.6",
    open: |folder, options| open(folder, options, Some(Duration::ZERO)),
    note: "the same, `flush_batch_wait` 0",
    memory: PEER.memory,
};

#[derive(Clone, Debug, Default, Eq, PartialEq)]
struct Plain;

impl Types for Plain {
    /// Term and index.
    type LogId = (u64, u64);
    type LogPayload = Vec<u8>;
    type Vote = (u64, u64);
    type Callback = SyncSender<io::Result<()>>;
    type UserData = String;

    fn log_index(id: &(u64, u64)) -> u64 {
        id.1
    }

    fn payload_size(payload: &Vec<u8>) -> u64 {
        payload.len() as u64
    }
}

struct Shared(Mutex<RaftLog<Plain>>);

fn open(folder: &Path, options: Options, wait: Option<Duration>) -> io::Result<Box<dyn Log>> {
    let mut config = Config::new(folder.display());
    config.wal.flush_batch_wait = wait;
    config.wal.chunk_max_size = options.segment_bytes.map(|it| it as usize);
    Ok(Box::new(Shared(Mutex::new(RaftLog::open(Arc::new(config))?))))
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, RaftLog<Plain>> {
        self.0.lock().expect("no writer panics")
    }

    fn append(log: &mut RaftLog<Plain>, records: &[Bytes]) -> io::Result<()> {
        let next = Plain::next_log_index(log.log_state().last());
        let entries = (next..).zip(records).map(|(index, it)| ((1, index), it.to_vec()));
        log.append(entries).map(drop)
    }
}

impl Log for Shared {
    fn append_durable(&self, _: usize, record: &Bytes) -> io::Result<()> {
        let (sender, receiver) = sync_channel(1);
        let mut log = self.lock();
        Self::append(&mut log, std::slice::from_ref(record))?;
        log.flush(true, Some(sender))?;
        drop(log);
        receiver.recv().map_err(io::Error::other)?
    }

    fn append_batch(&self, records: &[Bytes]) -> io::Result<()> {
        Self::append(&mut self.lock(), records)
    }

    fn sync(&self) -> io::Result<()> {
        let (sender, receiver) = sync_channel(1);
        self.lock().flush(true, Some(sender))?;
        receiver.recv().map_err(io::Error::other)?
    }

    fn scan(&self, each: &mut dyn FnMut(&[u8])) -> io::Result<()> {
        for entry in self.lock().read(0, u64::MAX) {
            each(&entry?.1);
        }
        Ok(())
    }

    fn read(&self, number: u64) -> io::Result<usize> {
        let log = self.lock();
        let mut found = log.read(number, number + 1);
        found.next().ok_or(io::ErrorKind::NotFound)?.map(|it| it.1.len())
    }
}
