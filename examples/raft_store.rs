//! A Raft node's records in a write-ahead log: what joins `quorate-consensus` and `quorate-wal`.
//!
//! ```text
//! wal index      1            2            3            4
//! record     term=1 vote  [1@1 2@1]    [3@1 4@1]     [4@2]     replaces everything from 4 on
//! positions                 1 -> 2       3 -> 3       4 -> 4   first entry -> record
//! ```
//!
//! Syncs are made by the log's own thread, and entries are read back by another one, so that a slow
//! disk delays no heartbeat.

mod reader;

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use parking_lot::Mutex;
use quorate_consensus::Index;
use quorate_consensus::raft::{Answer, Query, Record};
use quorate_core::{Disk, Storage, StorageError, WriteId};
use quorate_wal::{Directory, RecordStore};

use reader::Reader;

/// The storage of one Raft node.
#[derive(Debug)]
pub struct RaftStore<D: Disk + 'static = Directory> {
    shared: Arc<Shared<D>>,
    /// None if whoever asks reads.
    reader: Option<Reader>,
}

/// What the reader's thread sees, too.
#[derive(Debug)]
struct Shared<D: Disk + 'static> {
    records: RecordStore<Record, D>,
    positions: Mutex<Positions>,
}

/// Where the entries are: the first entry of each record that holds some, in order.
#[derive(Debug, Default)]
struct Positions(VecDeque<(Index, quorate_wal::Index)>);

impl<D: Disk + 'static> RaftStore<D> {
    /// Makes a storage of `records`, which nobody else uses.
    ///
    /// # Errors
    ///
    /// That of the system, if it has no further thread.
    pub fn new(records: RecordStore<Record, D>) -> io::Result<Self> {
        let mut store = Self::inline(records);
        store.reader = Some(Reader::start(Arc::clone(&store.shared))?);
        Ok(store)
    }

    /// Makes a storage without a thread: whoever asks reads. For simulators.
    #[must_use]
    pub fn inline(records: RecordStore<Record, D>) -> Self {
        let positions = Mutex::new(Positions::default());
        Self { shared: Arc::new(Shared { records, positions }), reader: None }
    }

    /// Returns the records below.
    #[must_use]
    pub fn records(&self) -> &RecordStore<Record, D> {
        &self.shared.records
    }
}

impl<D: Disk + 'static> Shared<D> {
    /// Reads entries at `query`'s range, from the first on, up to its limit.
    fn read(&self, query: &Query) -> Result<Answer, StorageError> {
        let Query::Entries { range, max_bytes } = query;
        let (mut from, mut left) = (range.start, *max_bytes);
        let mut found = Vec::new();
        while from < range.end {
            let Some((position, end)) = self.positions.lock().find(from) else { break };
            let Record::Entries(entries) = self.records.read(position)? else { break };
            let end = end.min(range.end);
            let (first, before) = (from, found.len());
            for entry in entries.into_iter().filter(|entry| (first..end).contains(&entry.index)) {
                let bytes = entry.cost_bytes();
                if left < bytes && !found.is_empty() {
                    return Ok(Answer::Entries(found));
                }
                left = left.saturating_sub(bytes);
                from = entry.index.next();
                found.push(entry);
            }
            if found.len() == before {
                break;
            }
        }
        Ok(if found.is_empty() { Answer::Unavailable } else { Answer::Entries(found) })
    }
}

impl Positions {
    /// Takes in that the record at `position` replaces everything from `first` on, if it has
    /// entries.
    fn push(&mut self, first: Option<Index>, position: quorate_wal::Index) {
        let Some(first) = first else { return };
        while self.0.back().is_some_and(|(last, _)| first <= *last) {
            self.0.pop_back();
        }
        self.0.push_back((first, position));
    }

    /// Returns the record that holds the entry at `index`, and where the next record's begin.
    fn find(&self, index: Index) -> Option<(quorate_wal::Index, Index)> {
        let next = self.0.partition_point(|(first, _)| *first <= index);
        let (_, position) = *self.0.get(next.checked_sub(1)?)?;
        Some((position, self.0.get(next).map_or(Index(u64::MAX), |(first, _)| *first)))
    }
}

fn first_index(record: &Record) -> Option<Index> {
    match record {
        Record::Entries(entries) => entries.first().map(|entry| entry.index),
        Record::HardState(_) => None,
    }
}

impl<D: Disk + 'static> Storage<Record> for RaftStore<D> {
    type Query = Query;
    type Answer = Answer;

    fn replay(&self) -> impl Iterator<Item = Result<Record, StorageError>> {
        self.shared.records.replay_indexed().map(|item| {
            item.map(|(position, record)| {
                self.shared.positions.lock().push(first_index(&record), position);
                record
            })
        })
    }

    fn append(&self, write: WriteId, record: Record) -> Result<(), StorageError> {
        let first = first_index(&record);
        self.shared.records.append(write, record)?;
        self.shared.positions.lock().push(first, self.shared.records.index_of(write));
        Ok(())
    }

    async fn sync(&self) -> Result<WriteId, StorageError> {
        self.shared.records.sync().await
    }

    async fn fetch(&self, query: Query) -> Result<Answer, StorageError> {
        match &self.reader {
            Some(reader) => reader.read(query).await,
            None => self.shared.read(&query),
        }
    }

    async fn compact(&self, before: WriteId) -> Result<(), StorageError> {
        self.shared.records.compact(before).await
    }
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;
    use quorate_consensus::{Entry, Payload, Term};
    use quorate_wal::{Config, Memory};

    use super::*;

    fn record(entries: &[(u64, u64)]) -> Record {
        let entry = |&(index, term): &(u64, u64)| Entry {
            index: Index(index),
            term: Term(term),
            payload: Payload::Data(vec![7; 100].into()),
        };
        Record::Entries(entries.iter().map(entry).collect())
    }

    fn read(store: &RaftStore<Memory>, from: u64, end: u64, max_bytes: usize) -> Vec<(u64, u64)> {
        let query = Query::Entries { range: Index(from)..Index(end), max_bytes };
        match block_on(store.fetch(query)).expect("it can be read") {
            Answer::Entries(entries) => {
                entries.iter().map(|entry| (entry.index.0, entry.term.0)).collect()
            }
            _ => Vec::new(),
        }
    }

    fn open(disk: &Memory) -> RaftStore<Memory> {
        let opened = RecordStore::open_on(disk.clone(), Config::default());
        RaftStore::new(opened.expect("the log opens").0).expect("there are threads")
    }

    #[test]
    fn what_was_replaced_is_not_read_before_and_after_a_restart() {
        let disk = Memory::new();
        let store = open(&disk);
        let records = [
            record(&[(1, 1), (2, 1)]),
            record(&[(3, 1), (4, 1), (5, 1)]),
            record(&[(4, 2)]),
            record(&[(5, 2), (6, 2)]),
        ];
        for (write, record) in (1..).map(WriteId).zip(records.clone()) {
            store.append(write, record).expect("it takes records");
        }
        assert_eq!(block_on(store.sync()).expect("it syncs"), WriteId(4));
        let all = [(1, 1), (2, 1), (3, 1), (4, 2), (5, 2), (6, 2)];
        let check = |store: &RaftStore<Memory>| {
            assert_eq!(read(store, 1, 7, 10_000), all);
            assert_eq!(read(store, 3, 5, 10_000), [(3, 1), (4, 2)]);
            assert_eq!(read(store, 2, 7, 0), [(2, 1)], "at least one");
            assert_eq!(read(store, 2, 7, 270), [(2, 1), (3, 1)]);
            assert_eq!(read(store, 7, 9, 270), []);
        };
        check(&store);
        drop(store);
        let store = open(&disk);
        let replayed: Vec<Record> =
            store.replay().collect::<Result<_, _>>().expect("it can be read");
        assert_eq!(replayed, records);
        check(&store);
    }
}
