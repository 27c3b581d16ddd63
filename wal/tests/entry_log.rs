//! Entries with terms: overwriting, compaction, and what a crash leaves of both.

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use quorate_sim::Disk;
use quorate_wal::{
    Boundary, CompactError, Config, Entry, EntryLog, Index, Memory, OpenError, ReadError, Wal,
    WriteError,
};

use small::{config, read_all};

#[path = "small/log.rs"]
mod small;

/// Entries with these terms, and data that makes a few of them fill a segment.
fn entries(terms: &[u64]) -> Vec<Entry> {
    let data = |term: &u64| Bytes::from(vec![term.to_le_bytes()[0]; 200]);
    terms.iter().map(|term| Entry { term: *term, data: data(term) }).collect()
}

fn open<D: quorate_core::Disk + Clone>(disk: &D) -> EntryLog<D> {
    let mut config = config();
    config.initial_state = Bytes::from_static(b"vote");
    EntryLog::open_on(disk.clone(), config).expect("a crash closes no log").0
}

/// What a log holds: its boundary, its terms, and the caller's state.
#[derive(Clone, Debug, PartialEq)]
struct View {
    boundary: (u64, u64),
    terms: Vec<u64>,
    state: Bytes,
}

fn view<D: quorate_core::Disk>(log: &EntryLog<D>) -> View {
    let boundary = log.boundary();
    let found = log.entries(log.first_index()..log.next_index(), u64::MAX).expect("sound");
    let terms: Vec<u64> = found.iter().map(|entry| entry.term).collect();
    assert_eq!(found, entries(&terms), "the data is that of the term");
    for (index, term) in (log.first_index().0..).zip(&terms) {
        assert_eq!(log.term(Index(index)).expect("sound"), Some(*term));
    }
    View { boundary: (boundary.index.0, boundary.term), terms, state: log.state() }
}

/// The log of etcd's table: boundary 3:3, then 4:4 and 5:5.
fn etcd() -> EntryLog<Memory> {
    let log = open(&Memory::new());
    let ack = log.append(Index(1), &entries(&[1, 2, 3, 4, 5])).expect("within limits");
    ack.wait().expect("memory has room");
    log.compact_to(Index(3)).expect("it is there");
    log
}

/// Source: etcd-io/raft, `storage_test.go`, `TestStorageAppend`.
#[test]
fn etcd_append() {
    for (from, terms, expect) in [
        (1, &[1, 2][..], &[4, 5][..]),
        (3, &[3, 4, 5], &[4, 5]),
        (3, &[3, 6, 6], &[6, 6]),
        (3, &[3, 4, 5, 5], &[4, 5, 5]),
        (2, &[3, 3, 5], &[5]),
        (4, &[5], &[5]),
        (6, &[5], &[4, 5, 5]),
    ] {
        let log = etcd();
        let ack = log.append(Index(from), &entries(terms)).expect("within limits");
        ack.wait().expect("memory has room");
        let found = view(&log);
        assert_eq!((found.boundary, &found.terms[..]), ((3, 3), expect), "{from}: {terms:?}");
    }
}

/// Source: etcd-io/raft, `storage_test.go`, `TestStorageTerm`.
#[test]
fn etcd_term() {
    let log = etcd();
    let compacted = log.term(Index(2));
    match compacted {
        Err(ReadError::Compacted { first_index }) => assert_eq!(first_index, Index(4)),
        other => panic!("{other:?}"),
    }
    let terms: Vec<_> = (3..7).map(|index| log.term(Index(index)).expect("sound")).collect();
    assert_eq!(terms, [Some(3), Some(4), Some(5), None]);
}

/// Source: etcd-io/raft, `storage_test.go`, `TestStorageEntries`, with sizes of payloads.
#[test]
fn etcd_entries() {
    let log = etcd();
    log.append(Index(6), &entries(&[6])).and_then(|ack| ack.wait()).expect("memory has room");
    let terms = |range: std::ops::Range<u64>, max_bytes| -> Vec<u64> {
        let found = log.entries(Index(range.start)..Index(range.end), max_bytes);
        found.expect("sound").iter().map(|entry| entry.term).collect()
    };
    for range in [2..6, 3..4] {
        let found = log.entries(Index(range.start)..Index(range.end), u64::MAX);
        assert!(matches!(found, Err(ReadError::Compacted { .. })), "{range:?}: {found:?}");
    }
    assert_eq!(terms(4..5, u64::MAX), [4]);
    assert_eq!(terms(4..6, u64::MAX), [4, 5]);
    assert_eq!(terms(4..7, u64::MAX), [4, 5, 6]);
    assert_eq!(terms(4..7, 0), [4], "one in any case");
    assert_eq!(terms(4..7, 399), [4]);
    assert_eq!(terms(4..7, 400), [4, 5]);
    assert_eq!(terms(4..7, 599), [4, 5]);
    assert_eq!(terms(4..7, 600), [4, 5, 6]);
    assert_eq!(terms(6..99, 600), [6], "as far as there are any");
    assert_eq!(terms(7..99, 600), [0; 0]);
}

#[test]
fn what_cannot_be_is_refused_before_anything_changes() {
    let log = etcd();
    let before = view(&log);
    let gap = log.append(Index(7), &entries(&[9]));
    assert!(matches!(gap, Err(WriteError::OutOfRange { index: Index(7), .. })), "{gap:?}");
    let beyond = log.compact_to(Index(6));
    let expect = (Index(6), Index(3), Index(5));
    match beyond {
        Err(CompactError::Write(WriteError::OutOfRange { index, first, last })) => {
            assert_eq!((index, first, last), expect);
        }
        other => panic!("{other:?}"),
    }
    for index in [0, 2, u64::MAX] {
        let boundary = Boundary { index: Index(index), term: 9 };
        log.install(boundary).expect_err("the boundary is beyond it, or there is none");
    }
    log.compact_to(Index(2)).expect("it was passed before");
    log.install(Boundary { index: Index(3), term: 3 }).expect("it is the boundary");
    assert_eq!(view(&log), before);
}

#[test]
fn a_snapshot_of_the_leader_replaces_what_disagrees() {
    let install = |index, term| {
        let log = etcd();
        log.install(Boundary { index: Index(index), term }).expect("memory has room");
        let view = view(&log);
        assert_eq!(view.state, "vote");
        (view.boundary, view.terms)
    };
    assert_eq!(install(4, 4), ((4, 4), vec![5]), "the entry agrees: what follows stays");
    assert_eq!(install(4, 7), ((4, 7), vec![]), "it does not");
    assert_eq!(install(5, 5), ((5, 5), vec![]));
    assert_eq!(install(9, 7), ((9, 7), vec![]), "beyond the end");
}

#[test]
fn a_log_of_another_kind_is_refused() {
    let disk = Memory::new();
    drop(Wal::open_on(disk.clone(), config()).expect("it is empty"));
    let opened = EntryLog::open_on(disk.clone(), config()).map(drop);
    assert!(matches!(opened, Err(OpenError::NotEntries)), "{opened:?}");
    let (wal, _) = Wal::open_on(disk.clone(), config()).expect("it is sound");
    let state = [&b"ENTRIES\x02"[..], &[0; 16]].concat();
    wal.set_state(state).and_then(|ack| ack.wait()).expect("memory has room");
    drop(wal);
    let opened = EntryLog::open_on(disk.clone(), config()).map(drop);
    assert!(matches!(opened, Err(OpenError::Unsupported { version: 2 })), "{opened:?}");
    let (wal, _) = Wal::open_on(disk.clone(), config()).expect("it is sound");
    let state = [&b"ENTRIES\x01"[..], &[9; 16]].concat();
    wal.set_state(state).and_then(|ack| ack.wait()).expect("memory has room");
    drop(wal);
    let opened = EntryLog::open_on(disk, config()).map(drop);
    assert!(matches!(opened, Err(OpenError::NotEntries)), "another boundary: {opened:?}");

    let disk = Memory::new();
    let log = open(&disk);
    drop(log.wal().append("short").expect("within limits"));
    assert!(matches!(log.term(Index(1)), Err(ReadError::Io(_))), "somebody else appended");
}

/// One change. It is acknowledged when it returns `Ok`.
#[derive(Clone, Debug)]
enum Step {
    Append(u64, Vec<u64>),
    Compact(u64),
    Install(u64, u64),
    State(u8),
}

fn apply(log: &EntryLog<Disk>, step: &Step) -> Result<(), CompactError> {
    match step {
        Step::Append(from, terms) => log.append(Index(*from), &entries(terms))?.wait()?,
        Step::Compact(index) => log.compact_to(Index(*index))?,
        Step::Install(index, term) => {
            log.install(Boundary { index: Index(*index), term: *term })?;
        }
        Step::State(byte) => log.set_state(&[*byte])?.wait()?,
    }
    Ok(())
}

impl View {
    fn new() -> Self {
        Self { boundary: (0, 0), terms: Vec::new(), state: Bytes::from_static(b"vote") }
    }

    /// Does what the log should do. Returns whether the log should take it.
    fn apply(&mut self, step: &Step) -> bool {
        let (index, last) = (self.boundary.0, self.boundary.0 + self.terms.len() as u64);
        let at = |position: u64| usize::try_from(position - index).expect("small");
        match step {
            Step::Append(from, _) if last + 1 < *from => return false,
            Step::Append(from, terms) => {
                let skip = usize::try_from((index + 1).saturating_sub(*from)).expect("small");
                let is_truncation = terms.is_empty() && index < *from;
                if skip < terms.len() || is_truncation {
                    self.terms.truncate(at((*from).max(index + 1)) - 1);
                    self.terms.extend(&terms[skip..]);
                }
            }
            Step::Compact(to) if last < *to => return false,
            Step::Compact(to) if *to <= index => {}
            Step::Compact(to) => {
                let gone: Vec<u64> = self.terms.drain(..at(*to)).collect();
                self.boundary = (*to, gone[gone.len() - 1]);
            }
            Step::Install(to, _) if *to < index => return false,
            Step::Install(to, term) => {
                let found = if *to == index {
                    Some(self.boundary.1)
                } else {
                    self.terms.get(at(*to) - 1).copied()
                };
                if found == Some(*term) {
                    return self.apply(&Step::Compact(*to));
                }
                (self.boundary, self.terms) = ((*to, *term), Vec::new());
            }
            Step::State(byte) => self.state = Bytes::from(vec![*byte]),
        }
        true
    }
}

/// Fills segments, overwrites across them, compacts, and goes on from a snapshot.
fn story() -> Vec<Step> {
    vec![
        Step::Append(1, vec![1, 1, 2, 2, 2]),
        Step::Append(3, vec![3, 3]),
        Step::Append(5, vec![3, 4, 4, 4]),
        Step::Compact(4),
        Step::Append(4, vec![3, 5]),
        Step::Install(9, 6),
        Step::Append(10, vec![6, 6, 6]),
        Step::Append(11, vec![]),
        Step::Compact(10),
        Step::State(7),
    ]
}

#[test]
fn the_power_goes_at_any_step() {
    let total = {
        let disk = Disk::new();
        let log = open(&disk);
        let before = disk.count_changes();
        story().iter().for_each(|step| apply(&log, step).expect("there is room"));
        disk.count_changes() - before
    };
    assert!(40 < total, "{total}");
    let mut in_between = 0;
    for changes in 0..=total {
        for entropy in 0..512 {
            let disk = Disk::new();
            let log = open(&disk);
            // In the head of each segment, so that frames lie in one sector, or in two.
            let filler = vec![7; usize::try_from(entropy % 64).expect("small") * 8];
            log.set_state(&filler).and_then(|ack| ack.wait()).expect("there is room");
            disk.cut_power_after(changes);
            let mut acknowledged = View { state: filler.into(), ..View::new() };
            let mut attempted = acknowledged.clone();
            for step in story() {
                assert!(attempted.apply(&step), "the story is sound");
                if apply(&log, &step).is_err() {
                    break;
                }
                acknowledged = attempted.clone();
            }
            drop(log);
            disk.fail_no_more();
            disk.crash(entropy);
            let log = open(&disk);
            let found = view(&log);
            assert!(
                found == acknowledged || found == attempted,
                "{changes} {entropy}: {found:?}\nexpected {acknowledged:?}\nor {attempted:?}"
            );
            in_between += u32::from(found != acknowledged);
            let next = log.next_index();
            log.append(next, &entries(&[9])).and_then(|ack| ack.wait()).expect("it goes on");
        }
    }
    assert!(10 < in_between, "{in_between}");
}

/// What the disk had no room for is gone from the terms too.
#[test]
fn a_full_disk_takes_back_what_was_not_durable() {
    let disk = Disk::new();
    let log = open(&disk);
    log.append(Index(1), &entries(&[1, 1, 2])).and_then(|ack| ack.wait()).expect("room");
    let before = view(&log);
    disk.set_capacity(disk.used_bytes());
    let ack = log.append(Index(2), &entries(&[3, 3])).expect("within limits");
    assert_eq!(view(&log).terms, [1, 3, 3]);
    assert!(matches!(ack.wait(), Err(WriteError::DiskFull)));
    assert_eq!(view(&log), before, "the old suffix, not none");
    let compacted = log.compact_to(Index(2));
    assert!(matches!(compacted, Err(CompactError::Write(WriteError::DiskFull))), "{compacted:?}");
    assert_eq!(view(&log), before);
    disk.clear_capacity();
    log.append(Index(2), &entries(&[3, 3])).and_then(|ack| ack.wait()).expect("room again");
    assert_eq!(view(&log).terms, [1, 3, 3]);
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1..30_u64, vec(1..4_u64, 0..5)).prop_map(|(from, terms)| Step::Append(from, terms)),
        1 => (0..30_u64).prop_map(Step::Compact),
        1 => (0..30_u64, 1..4_u64).prop_map(|(index, term)| Step::Install(index, term)),
        1 => any::<u8>().prop_map(Step::State),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Appends are moved to where they fit, every third time the log is opened again.
    #[test]
    fn a_log_of_entries_is_its_model(steps in vec(step(), 1..60)) {
        let disk = Disk::new();
        let mut log = open(&disk);
        let mut model = View::new();
        for (number, mut step) in steps.into_iter().enumerate() {
            let next = model.boundary.0 + model.terms.len() as u64 + 1;
            if let Step::Append(from, _) = &mut step && number % 8 != 0 {
                *from = 1 + *from % next;
            }
            let expect = model.apply(&step);
            prop_assert_eq!(apply(&log, &step).is_ok(), expect, "{:?}", step);
            prop_assert_eq!(&view(&log), &model, "{:?}", step);
            if number % 3 == 2 {
                drop(log);
                disk.crash_losing_unsynced();
                log = open(&disk);
                prop_assert_eq!(&view(&log), &model);
            }
        }
    }
}

#[test]
fn an_entry_log_on_files() {
    let folder = tempfile::tempdir().expect("there is a place for temporary files");
    let (log, _) = EntryLog::open(folder.path(), Config::default()).expect("it is empty");
    drop(log.append(Index(1), &entries(&[1, 2])).expect("within limits"));
    log.close().expect("there is room");
    let (log, recovered) = EntryLog::open(folder.path(), Config::default()).expect("sound");
    assert_eq!(recovered.range, Index(1)..Index(3));
    assert_eq!(log.term(Index(2)).expect("sound"), Some(2));
    assert_eq!(read_all(log.wal()).len(), 2);
}
