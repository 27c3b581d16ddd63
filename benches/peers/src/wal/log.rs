//! What a row or a loss asks of a log: one trait, one table of those who have it.

use std::io;
use std::path::Path;

use bytes::Bytes;
use quorate_core::SplitMix64;

use super::{commitlog, fjall, logdb, nano_wal, okaywal, ours, raft_engine, raft_log, raw, wal_db};

/// A log, used as its authors mean it to be. What one does not have, it says is unsupported.
///
/// Records are numbered from 0, by all of [`append_batch`](Self::append_batch), or by all of
/// writer 0.
pub trait Log: Send + Sync {
    /// Appends a record, and returns once it is durable.
    fn append_durable(&self, writer: usize, record: &Bytes) -> io::Result<()>;

    /// Appends records at once. They need not be durable.
    fn append_batch(&self, _records: &[Bytes]) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Makes all durable that was appended.
    fn sync(&self) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Hands all records to `each`, in order. Those of writer 0, if there were several.
    fn scan(&self, _each: &mut dyn FnMut(&[u8])) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Reads one record, and returns its length.
    fn read(&self, _number: u64) -> io::Result<usize> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Follows the log from its first record until `count` are durable and read.
    fn follow(&self, _count: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Returns how often it synced so far, if it counts that itself.
    fn syncs(&self) -> Option<u64> {
        None
    }

    /// Ends it in order: what its documentation calls for, else dropping it.
    fn close(self: Box<Self>) -> io::Result<()> {
        Ok(())
    }
}

/// What is chosen when a log is opened. All else is as its authors have it by default.
#[derive(Clone, Copy, Default)]
pub struct Options {
    /// Where a segment ends. Default: theirs.
    pub segment_bytes: Option<u32>,
    /// How much is going to be written, for those who must know.
    pub expected_bytes: u64,
}

/// A kind of log.
pub struct Peer {
    pub name: &'static str,
    pub version: &'static str,
    pub open: fn(&Path, Options) -> io::Result<Box<dyn Log>>,
    /// How it is used, and what a reader of its rows should know.
    pub note: &'static str,
    /// What it keeps in memory, of all that it holds.
    pub memory: &'static str,
}

/// We, and the others.
pub const PEERS: [Peer; 11] = [
    ours::PEER,
    raft_engine::PEER,
    raft_log::PEER,
    raft_log::NO_WAIT,
    wal_db::PEER,
    okaywal::PEER,
    logdb::PEER,
    fjall::PEER,
    nano_wal::PEER,
    commitlog::PEER,
    raw::PEER,
];

/// Returns the one of that name.
pub fn peer(name: &str) -> &'static Peer {
    PEERS.iter().find(|it| it.name == name).expect("it is in the table")
}

/// Returns those of these names.
pub fn peers(names: &[&str]) -> Vec<&'static Peer> {
    names.iter().map(|it| peer(it)).collect()
}

/// Makes the record `number`: its number, then bytes that no one compresses.
pub fn record(number: u64, bytes: usize) -> Bytes {
    let mut random = SplitMix64::new(number);
    let mut record = number.to_le_bytes().to_vec();
    while record.len() < bytes {
        record.extend(random.next_u64().to_le_bytes());
    }
    record.truncate(bytes);
    record.into()
}

/// Returns the number of a record that is as it was made.
pub fn number_of(found: &[u8]) -> Option<u64> {
    let number = u64::from_le_bytes(found.get(..8)?.try_into().ok()?);
    (record(number, found.len()) == found).then_some(number)
}
