//! The storage of the examples' Raft nodes keeps what its trait says.

use std::io::ErrorKind;

use quorate_consensus::raft::{Answer, Query, Record};
use quorate_consensus::{Entry, Index, Payload, Term};
use quorate_examples::raft_store::RaftStore;
use quorate_sim::{Disk, Op, kit};
use quorate_wal::{Config, Memory, RecordStore};

/// Makes the record of one entry.
fn record(number: u64) -> Record {
    let index = Index(number.saturating_add(1));
    let payload = Payload::Data(number.to_be_bytes().to_vec().into());
    Record::Entries(vec![Entry { index, term: Term(1), payload }])
}

/// Asks for the entry of a record.
fn query(record: &Record) -> Query {
    let Record::Entries(entries) = record else { unreachable!("it has an entry") };
    let first = entries[0].index;
    Query::Entries { range: first..first.next(), max_bytes: 1000 }
}

fn read(answer: Answer) -> Vec<Record> {
    let Answer::Entries(entries) = answer else { return Vec::new() };
    entries.into_iter().map(|entry| Record::Entries(vec![entry])).collect()
}

fn config() -> Config {
    let mut config = Config::default();
    // Short segments, so that some are freed.
    config.segment_bytes = 16 << 10;
    config.seed = Some(1);
    config
}

/// Opens one with the threads it has in `kv`. Its core starts from what it replays: before that,
/// nobody asks it for anything.
fn open(disk: &Memory) -> RaftStore<Memory> {
    let records = RecordStore::open_on(disk.clone(), config()).expect("the log opens").0;
    RaftStore::new(records).expect("there are threads")
}

/// Opens one in the way of the simulations.
fn open_inline(disk: &Disk) -> RaftStore<Disk> {
    RaftStore::inline(RecordStore::open_inline(disk.clone(), config()).expect("the log opens").0)
}

#[test]
fn a_raft_store_is_a_storage() {
    let disk = Memory::new();
    kit::storage::check(|| open(&disk), record).expect_passed();
}

#[test]
fn a_raft_store_answers() {
    let disk = Memory::new();
    kit::storage::check_fetch(|| open(&disk), record, query, read).expect_passed();
}

#[test]
fn a_raft_store_is_a_storage_through_crashes() {
    let (disk, mut entropy) = (Disk::new(), 0);
    let crash = || {
        entropy += 1;
        disk.crash(entropy);
    };
    kit::storage::check_with_crash(|| open_inline(&disk), record, crash).expect_passed();
}

#[test]
fn a_raft_store_fails_as_a_storage_should() {
    let disk = Disk::new();
    let fail = || disk.fail(Op::Sync, 1, ErrorKind::Other);
    kit::storage::check_with_failure(|| open_inline(&disk), record, fail).expect_passed();
}
