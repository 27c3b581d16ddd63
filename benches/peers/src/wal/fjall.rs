//! `fjall`: a store of keys and values, used as a log. Its keys are the numbers of the records.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};

use super::log::{Log, Options, Peer};

pub const PEER: Peer = Peer {
    name: "fjall",
    version: "3.1.13",
    open,
    note: "a store of keys and values; `persist(SyncData)`",
    memory: "a cache of blocks",
};

struct Store {
    database: Database,
    records: Keyspace,
    next: AtomicU64,
}

fn open(folder: &Path, _: Options) -> io::Result<Box<dyn Log>> {
    let database = Database::builder(folder).open().map_err(io::Error::other)?;
    let records = database.keyspace("records", KeyspaceCreateOptions::default);
    let records = records.map_err(io::Error::other)?;
    let last = records.last_key_value().map(|it| it.key()).transpose().map_err(io::Error::other)?;
    let last = last.and_then(|it| Some(u64::from_be_bytes(it.as_ref().try_into().ok()?)));
    let next = AtomicU64::new(last.map_or(0, |it| it + 1));
    Ok(Box::new(Store { database, records, next }))
}

impl Store {
    fn key(&self) -> [u8; 8] {
        self.next.fetch_add(1, Ordering::Relaxed).to_be_bytes()
    }
}

impl Log for Store {
    fn append_durable(&self, _: usize, record: &Bytes) -> io::Result<()> {
        self.records.insert(self.key(), &record[..]).map_err(io::Error::other)?;
        self.sync()
    }

    fn append_batch(&self, records: &[Bytes]) -> io::Result<()> {
        let mut batch = self.database.batch();
        records.iter().for_each(|it| batch.insert(&self.records, self.key(), &it[..]));
        batch.commit().map_err(io::Error::other)
    }

    fn sync(&self) -> io::Result<()> {
        self.database.persist(PersistMode::SyncData).map_err(io::Error::other)
    }

    fn scan(&self, each: &mut dyn FnMut(&[u8])) -> io::Result<()> {
        for found in self.records.iter() {
            each(&found.value().map_err(io::Error::other)?);
        }
        Ok(())
    }

    fn read(&self, number: u64) -> io::Result<usize> {
        let value = self.records.get(number.to_be_bytes()).map_err(io::Error::other)?;
        value.map(|it| it.len()).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}
