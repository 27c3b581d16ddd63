//! A Raft node's records in a write-ahead log: what joins `quorate-consensus` and `quorate-wal`.
//!
//! ```text
//! wal index      1            2            3            4
//! record     term=1 vote  [1@1 2@1]    [3@1 4@1]     [4@2]     replaces everything from 4 on
//! positions                 1 -> 2       3 -> 3       4 -> 4   first entry -> record
//! ```
//!
//! Once the entries up to some index are in a snapshot, and every node has them, the front goes: up
//! to the record that holds the next entry. What must outlive it lies in the log's state: the last
//! entry that is gone, and the hard state as it was there.
//!
//! Syncs are made by the log's own thread, and entries are read back by another one, so that a slow
//! disk delays no heartbeat.

mod reader;

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use parking_lot::Mutex;
use quorate_consensus::raft::{Answer, HardState, Query, Record};
use quorate_consensus::{Index, LogId, Term};
use quorate_core::{Disk, Storage, StorageError, Wire as _, WriteId};
use quorate_wal::{Ack, Batch, Directory, RecordStore, WriteError};

use reader::Reader;

/// The storage of one Raft node. Clones are handles of the same: one for the driver, one for
/// whoever compacts.
#[derive(Debug)]
pub struct RaftStore<D: Disk + 'static = Directory> {
    shared: Arc<Shared<D>>,
    /// None if whoever asks reads.
    reader: Option<Arc<Reader>>,
}

/// What the reader's thread sees, too.
#[derive(Debug)]
struct Shared<D: Disk + 'static> {
    records: RecordStore<Record, D>,
    positions: Mutex<Positions>,
}

/// Where what lies in the log.
#[derive(Debug, Default)]
struct Positions {
    /// What is gone, and the hard state before the first record.
    start: Start,
    /// The first entry of each record that holds some, in order.
    entries: VecDeque<(Index, quorate_wal::Index)>,
    hard_states: VecDeque<(HardState, quorate_wal::Index)>,
}

/// What outlives the front of the log.
#[derive(Clone, Copy, Debug, Default)]
struct Start {
    /// The last entry that is gone.
    last: LogId,
    hard_state: HardState,
}

impl<D: Disk + 'static> RaftStore<D> {
    /// Makes a storage of `records`, which nobody else uses.
    ///
    /// # Errors
    ///
    /// That of the system, if it has no further thread.
    pub fn new(records: RecordStore<Record, D>) -> io::Result<Self> {
        let mut store = Self::inline(records);
        store.reader = Some(Arc::new(Reader::start(Arc::clone(&store.shared))?));
        Ok(store)
    }

    /// Makes a storage without a thread: whoever asks reads. For simulators.
    #[must_use]
    pub fn inline(records: RecordStore<Record, D>) -> Self {
        let start = Start::decode(&records.wal().state()).unwrap_or_default();
        let positions = Mutex::new(Positions { start, ..Positions::default() });
        Self { shared: Arc::new(Shared { records, positions }), reader: None }
    }

    /// Returns the last entry that is gone: what the log begins after.
    #[must_use]
    pub fn start(&self) -> LogId {
        self.shared.positions.lock().start.last
    }

    /// Lets go of entries up to `index` at most, with it, and frees their segments. They must be
    /// durable on every node, and in a snapshot that is durable here. What is not a whole record
    /// stays. Blocks for two syncs.
    ///
    /// # Errors
    ///
    /// Those of [`Storage::sync`]. With [`StorageError::Full`] nothing is changed.
    pub fn compact_to(&self, index: Index) -> Result<(), StorageError> {
        self.shared.compact_to(index)
    }

    /// Returns the records below.
    #[must_use]
    pub fn records(&self) -> &RecordStore<Record, D> {
        &self.shared.records
    }
}

impl<D: Disk + 'static> Clone for RaftStore<D> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), reader: self.reader.clone() }
    }
}

impl<D: Disk + 'static> Shared<D> {
    fn compact_to(&self, index: Index) -> Result<(), StorageError> {
        let Some((position, first)) = self.positions.lock().kept(index) else { return Ok(()) };
        let last = first.previous();
        let range = last..first;
        let query = Query::Entries { range, max_bytes: 0 };
        let Answer::Entries(entries) = self.read(&query)? else { return Ok(()) };
        let start = {
            let positions = self.positions.lock();
            let before = positions.hard_states.iter().rfind(|(_, at)| *at < position);
            let hard_state = before.map_or(positions.start.hard_state, |(state, _)| *state);
            Start { last: LogId { term: entries[0].term, index: last }, hard_state }
        };
        let wal = self.records.wal();
        let batch = Batch::new().truncate_prefix(position).set_state(start.encode());
        wal.write(batch).and_then(Ack::wait).map_err(say)?;
        let mut positions = self.positions.lock();
        positions.start = start;
        positions.entries.retain(|(_, at)| position <= *at);
        positions.hard_states.retain(|(_, at)| position <= *at);
        drop(positions);
        wal.truncate_prefix(position).map_err(say)
    }

    fn push(&self, record: &Record, position: quorate_wal::Index) {
        if let Some(mark) = Mark::of(record) {
            self.positions.lock().push(mark, position);
        }
    }

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
    /// Takes in that `record` is at `position`. Its entries replace everything from the first on.
    fn push(&mut self, mark: Mark, position: quorate_wal::Index) {
        match mark {
            Mark::HardState(state) => self.hard_states.push_back((state, position)),
            Mark::Entries(first) => {
                while self.entries.back().is_some_and(|(last, _)| first <= *last) {
                    self.entries.pop_back();
                }
                self.entries.push_back((first, position));
            }
        }
    }

    /// Returns the record that holds the entry at `index`, and where the next record's begin.
    fn find(&self, index: Index) -> Option<(quorate_wal::Index, Index)> {
        let next = self.entries.partition_point(|(first, _)| *first <= index);
        let (_, position) = *self.entries.get(next.checked_sub(1)?)?;
        Some((position, self.entries.get(next).map_or(Index(u64::MAX), |(first, _)| *first)))
    }

    /// Returns the record that holds the entry behind `index`, or else the last one, and its first
    /// entry: what is before may go. `None`: nothing can.
    fn kept(&self, index: Index) -> Option<(quorate_wal::Index, Index)> {
        let behind = self.entries.partition_point(|(first, _)| *first <= index.next());
        let (first, position) = *self.entries.get(behind.checked_sub(1)?)?;
        (self.start.last.index.next() < first).then_some((position, first))
    }
}

/// What a record is about.
enum Mark {
    HardState(HardState),
    /// The first entry.
    Entries(Index),
}

impl Mark {
    fn of(record: &Record) -> Option<Self> {
        match record {
            Record::Entries(entries) => entries.first().map(|entry| Self::Entries(entry.index)),
            Record::HardState(state) => Some(Self::HardState(*state)),
        }
    }
}

impl Start {
    /// Index and term of the last entry that is gone, then the hard state as a record.
    fn encode(&self) -> Bytes {
        let mut out = BytesMut::new();
        out.put_u64_le(self.last.index.0);
        out.put_u64_le(self.last.term.0);
        Record::HardState(self.hard_state).encode(&mut out);
        out.freeze()
    }

    fn decode(bytes: &Bytes) -> Option<Self> {
        let mut input = bytes.clone();
        let (index, term) = (input.try_get_u64_le().ok()?, input.try_get_u64_le().ok()?);
        let Record::HardState(hard_state) = Record::decode(&mut input).ok()? else { return None };
        Some(Self { last: LogId { term: Term(term), index: Index(index) }, hard_state })
    }
}

fn say(error: WriteError) -> StorageError {
    if matches!(error, WriteError::DiskFull | WriteError::Backlog { .. }) {
        StorageError::Full
    } else {
        StorageError::failed(error)
    }
}

impl<D: Disk + 'static> Storage<Record> for RaftStore<D> {
    type Query = Query;
    type Answer = Answer;

    fn replay(&self) -> impl Iterator<Item = Result<Record, StorageError>> {
        let Start { last, hard_state } = self.shared.positions.lock().start;
        let before = (last != LogId::default()).then_some(Ok(Record::HardState(hard_state)));
        let records = self.shared.records.replay_indexed().map(|item| {
            item.map(|(position, record)| {
                self.shared.push(&record, position);
                record
            })
        });
        before.into_iter().chain(records)
    }

    fn append(&self, write: WriteId, record: Record) -> Result<(), StorageError> {
        let position = self.shared.records.index_of(write);
        let mark = Mark::of(&record);
        self.shared.records.append(write, record)?;
        if let Some(mark) = mark {
            self.shared.positions.lock().push(mark, position);
        }
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
    fn what_is_compacted_is_gone_and_the_rest_goes_on_after_a_restart() {
        let disk = Memory::new();
        let mut config = Config::default();
        config.segment_bytes = 1 << 10;
        let open = || {
            let opened = RecordStore::open_on(disk.clone(), config.clone());
            RaftStore::new(opened.expect("the log opens").0).expect("there are threads")
        };
        let voted = |term| HardState { term: Term(term), vote: None };
        let store = open();
        let mut records = vec![Record::HardState(voted(1))];
        records.extend((0..10).map(|at| record(&[(2 * at + 1, 1), (2 * at + 2, 1)])));
        records.push(Record::HardState(voted(3)));
        records.push(record(&[(20, 3), (21, 3)]));
        for (write, record) in (1..).map(WriteId).zip(records) {
            store.append(write, record).expect("it takes records");
        }
        block_on(store.sync()).expect("it syncs");
        assert_eq!(store.start(), LogId::default());
        store.compact_to(Index(15)).expect("memory has room");
        let check = |store: &RaftStore<Memory>| {
            assert_eq!(store.start(), LogId { term: Term(1), index: Index(14) });
            assert_eq!(read(store, 14, 15, 10_000), [], "it is gone");
            let left = [(15, 1), (16, 1), (17, 1), (18, 1), (19, 1), (20, 3), (21, 3)];
            assert_eq!(read(store, 15, 22, 10_000), left);
        };
        check(&store);
        store.compact_to(Index(15)).expect("it is done already");
        assert!(Index(1) < Index(store.records().wal().first_index().0), "segments are free");
        drop(store);
        let store = open();
        let replayed: Vec<Record> =
            store.replay().collect::<Result<_, _>>().expect("it can be read");
        assert_eq!(replayed[0], Record::HardState(voted(1)), "as it was before what follows");
        assert_eq!(replayed[1], record(&[(15, 1), (16, 1)]));
        assert!(replayed.contains(&Record::HardState(voted(3))));
        check(&store);
        // Up to the last record, and no further: the core must have something to go on from.
        store.compact_to(Index(100)).expect("memory has room");
        assert_eq!(store.start(), LogId { term: Term(1), index: Index(19) });
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
