//! What goes and what stays: by number, bytes, age, readers and snapshots.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use quorate_core::Disk as _;
use quorate_sim::{Disk, Op};
use quorate_wal::{
    Batch, Config, Index, InstallError, Keep, Preallocate, Retention, SnapshotConfig, Snapshots,
    Wal, WriteError,
};

use small::{config, read_all};

#[path = "small/log.rs"]
mod small;

fn open(disk: &Disk) -> Wal<Disk> {
    Wal::open_on(disk.clone(), config()).expect("a crash closes no log").0
}

/// Two records of 400 bytes fill a segment.
fn append(wal: &Wal<Disk>, count: usize) {
    for _ in 0..count {
        drop(wal.append(vec![7; 400]).expect("within limits"));
    }
    wal.sync().expect("there is room");
}

fn records(count: u64) -> Retention {
    Retention { records: Some(count), ..Retention::default() }
}

fn bytes(count: u64) -> Retention {
    Retention { bytes: Some(count), ..Retention::default() }
}

fn age(ms: u64) -> Retention {
    Retention { age: Some(Duration::from_millis(ms)), ..Retention::default() }
}

/// The segments on disk: where each begins, and its length.
fn segments(disk: &Disk) -> Vec<(u64, u64)> {
    let names = disk.list().expect("sound");
    let names = names.iter().filter(|name| name.ends_with(".wal"));
    names
        .map(|name| {
            let content = disk.content(name).expect("it is listed");
            let start = content[32..40].try_into().expect("8 bytes");
            (u64::from_le_bytes(start), content.len() as u64)
        })
        .collect()
}

/// The sequences of the oldest and of the newest segment.
fn sequences(disk: &Disk) -> (u64, u64) {
    let names = disk.list().expect("sound");
    let numbers = names.iter().filter_map(|name| name.strip_suffix(".wal")?.parse().ok());
    numbers.fold((u64::MAX, 0), |(min, max), it: u64| (min.min(it), max.max(it)))
}

#[test]
fn the_newest_records_are_kept() {
    for (count, expect) in
        [(0, 19), (1, 19), (2, 19), (3, 17), (4, 17), (5, 15), (19, 1), (u64::MAX, 1)]
    {
        let disk = Disk::new();
        let wal = open(&disk);
        append(&wal, 20);
        let mark = wal.retain(&records(count), 0).expect("there is room");
        assert_eq!(mark, Index(expect), "{count}");
        assert_eq!(segments(&disk)[0].0, expect, "what is below is freed");
        assert_eq!(wal.retain(&records(count), 0).expect("nothing to do"), mark);
        drop(wal);
        disk.crash_losing_unsynced();
        assert_eq!(open(&disk).first_index(), mark);
    }
}

#[test]
fn the_files_are_as_long_as_they_may_be() {
    for preallocate in [Preallocate::None, Preallocate::ZeroAhead { step: 4_096 }] {
        for limit in (0..12_000).step_by(517) {
            let disk = Disk::new();
            let mut config = config();
            config.preallocate = preallocate;
            let (wal, _) = Wal::open_on(disk.clone(), config).expect("it is empty");
            append(&wal, 20);
            let before = segments(&disk);
            let mark = wal.retain(&bytes(limit), 0).expect("there is room").0;
            let after = segments(&disk);
            let total =
                |segments: &[(u64, u64)]| -> u64 { segments.iter().map(|(_, bytes)| bytes).sum() };
            // The frame of the mark may have taken a segment of its own.
            let gone = before.iter().filter(|(start, _)| *start < mark).count();
            assert!(total(&before[gone..]) <= limit || gone + 1 == before.len(), "{limit}");
            assert!(gone == 0 || limit < total(&before[gone - 1..]), "{limit}: one too many");
            assert_eq!(after[0].0, mark, "{limit}");
        }
    }
}

/// A segment goes by the time that the log heard of after it was sealed, not before.
#[test]
fn nothing_goes_before_its_age() {
    let disk = Disk::new();
    let mut wal = open(&disk);
    let reopen = |wal: Wal<Disk>| {
        drop(wal);
        disk.crash_losing_unsynced();
        open(&disk)
    };
    let mark = |wal: &Wal<Disk>, now| wal.retain(&age(1_000), now).expect("there is room").0;
    append(&wal, 4);
    assert_eq!(mark(&wal, 10_000), 1, "the first segment is sealed by now");
    append(&wal, 4);
    assert_eq!(mark(&wal, 10_999), 1);
    assert_eq!(mark(&wal, 11_000), 3);
    assert_eq!(mark(&wal, 11_998), 3, "two more were seen sealed at 10,999");
    // Stamped with the last time before: 10,000 and 10,000, then 11,998.
    append(&wal, 2);
    wal.observe_wall(20_000);
    append(&wal, 2);
    wal = reopen(wal);
    assert_eq!(mark(&wal, 12_997), 3, "the stamp behind them says 11,998 at the latest");
    assert_eq!(mark(&wal, 12_998), 7);
    assert_eq!(mark(&wal, 20_999), 7, "before the next stamp, 20,000");
    assert_eq!(mark(&wal, 21_000), 11);
    append(&wal, 2);
    wal = reopen(wal);
    assert_eq!(mark(&wal, 30_000), 11, "no stamp is larger: as of now");
    assert_eq!(mark(&wal, 30_999), 11);
    assert_eq!(mark(&wal, 31_000), 13);
    // A clock that is set back.
    append(&wal, 2);
    assert_eq!(mark(&wal, 5_000), 13);
    assert_eq!(mark(&wal, 31_999), 13);
    assert_eq!(mark(&wal, 32_000), 15);
}

#[test]
fn the_active_segment_stays_whatever_its_age() {
    let wal = open(&Disk::new());
    append(&wal, 1);
    let all = Retention { bytes: Some(0), age: Some(Duration::ZERO), records: Some(0) };
    for now in [0, 1, u64::MAX] {
        assert_eq!(wal.retain(&all, now).expect("nothing to do"), Index(1));
    }
    assert_eq!(read_all(&wal).len(), 1);
    let syncs = wal.stats().syncs;
    wal.retain(&Retention::default(), 1).expect("nothing to do");
    assert_eq!(wal.stats().syncs, syncs);
}

#[test]
fn what_is_held_stays() {
    let disk = Disk::new();
    let wal = open(&disk);
    append(&wal, 20);
    let (one, two) = (wal.hold(Index(8)), wal.hold(Index(12)));
    assert_eq!(wal.retain(&records(0), 0).expect("there is room"), Index(7), "its segment's start");
    assert_eq!(read_all(&wal).len(), 14);
    let beyond = wal.truncate_prefix(Index(9));
    assert!(matches!(beyond, Err(WriteError::Held { from: Index(8) })), "{beyond:?}");
    let batch = wal.write(Batch::new().truncate_prefix(Index(100)).append("x")).map(drop);
    assert!(matches!(batch, Err(WriteError::Held { .. })), "{batch:?}");
    assert_eq!((wal.first_index(), wal.next_index()), (Index(7), Index(21)), "nothing changed");
    wal.truncate_prefix(Index(8)).expect("up to it");
    drop(one);
    two.advance(Index(5));
    assert_eq!(two.from(), Index(12), "what was let go of may be gone");
    assert_eq!(wal.retain(&records(0), 0).expect("there is room"), Index(11));
    two.advance(Index(14));
    let late = wal.hold(Index(1));
    assert_eq!(late.from(), Index(11), "what there is");
    drop(late);
    wal.truncate_prefix(Index(14)).expect("it advanced");
    drop(two);
    // The frames of the marks filled what was the last segment.
    assert_eq!(wal.retain(&records(0), 0).expect("there is room"), Index(21));
}

#[test]
fn a_retention_never_passes_a_snapshot() {
    let disk = Disk::new();
    let wal = open(&disk);
    append(&wal, 20);
    let mut keep = SnapshotConfig::default();
    keep.keep = Keep::Records(2);
    let snapshots = Snapshots::open_on(disk, &wal, keep).expect("there are none");
    let retain = || wal.retain(&records(0), 0).expect("there is room").0;
    assert_eq!(retain(), 1, "nothing else has these records");
    let write = |index| {
        let mut writer = snapshots.create(Index(index), b"").expect("there is room");
        writer.append(b"state").expect("there is room");
        assert_eq!(retain(), wal.first_index().0, "it is not durable");
        writer.finish().expect("there is room");
    };
    write(10);
    assert_eq!(retain(), 9);
    write(15);
    assert_eq!(retain(), 13, "14 and 15 are kept beside it");
    snapshots.remove(Index(15)).expect("it can be removed");
    assert_eq!(retain(), 13);
    write(18);
    let hold = wal.hold(Index(14));
    let installed = snapshots.install(Index(18)).expect("there is room");
    assert_eq!(installed, Index(14), "what is held stays");
    write(30);
    let ahead = snapshots.install(Index(30));
    assert!(matches!(ahead, Err(InstallError::Write(WriteError::Held { .. }))), "{ahead:?}");
    drop(hold);
    drop(snapshots);
    append(&wal, 1);
    assert_eq!(retain(), 21, "a store that is closed says nothing");
}

/// The oldest segment was rewritten from a later one: the mark does not take these records along.
#[test]
fn a_suffix_that_was_rewritten_stays() {
    let disk = Disk::new();
    let mut wal = open(&disk);
    append(&wal, 6);
    let rewrite = Batch::new().truncate_suffix(Index(2)).append(vec![8; 400]);
    wal.write(rewrite).and_then(|ack| ack.wait()).expect("there is room");
    append(&wal, 1);
    // 1 | 3 | 5 | 2', 3' and now 4', 5'
    append(&wal, 3);
    for is_reopened in [false, true] {
        if is_reopened {
            drop(wal);
            wal = open(&disk);
        }
        let before = read_all(&wal);
        let held = wal.hold(Index(2));
        assert_eq!(wal.retain(&records(0), 0).expect("there is room"), Index(1));
        drop(held);
        assert_eq!(read_all(&wal), before, "records 2 and 3 lie behind the starts 3 and 5");
    }
    append(&wal, 4);
    let mark = wal.retain(&records(3), 0).expect("there is room");
    assert!(Index(3) < mark, "{mark}");
    assert_eq!(read_all(&wal).len() as u64, wal.next_index().0 - mark.0);
}

/// The same before the truncation is durable: the mark follows what is appended, not what was.
#[test]
fn a_suffix_that_is_being_rewritten_stays() {
    let disk = Disk::new();
    let wal = open(&disk);
    append(&wal, 6);
    let rewrite = Batch::new().truncate_suffix(Index(2)).append("2'");
    drop(wal.write(rewrite).expect("within limits"));
    assert_eq!(wal.retain(&records(0), 0).expect("there is room"), Index(1));
    wal.sync().expect("there is room");
    assert_eq!(wal.next_index(), Index(3));
    assert_eq!(read_all(&wal)[1], "2'");
}

#[test]
fn a_mark_is_durable_before_a_segment_goes() {
    let total = {
        let disk = Disk::new();
        let wal = open(&disk);
        append(&wal, 20);
        let before = disk.count_changes();
        wal.retain(&records(4), 0).expect("there is room");
        disk.count_changes() - before
    };
    assert!(8 < total, "{total}");
    let mut halfway = 0;
    for changes in 0..=total {
        for entropy in 0..30 {
            let disk = Disk::new();
            let wal = open(&disk);
            append(&wal, 20);
            disk.cut_power_after(changes);
            let mark = wal.retain(&records(4), 0);
            drop(wal);
            disk.fail_no_more();
            disk.crash(entropy);
            let wal = open(&disk);
            let first_index = wal.first_index().0;
            assert!([1, 17].contains(&first_index), "{changes} {entropy}: {first_index}");
            assert!(first_index == 17 || mark.is_err(), "{changes} {entropy}: it was durable");
            assert_eq!(read_all(&wal).len() as u64, 21 - first_index, "{changes} {entropy}");
            let segments = segments(&disk);
            assert!(segments[0].0 <= first_index);
            halfway += u32::from(first_index == 17 && segments[0].0 < 17);
        }
    }
    assert!(0 < halfway, "no crash left segments to be removed");
}

#[test]
fn a_segment_that_cannot_be_removed_goes_the_next_time() {
    let disk = Disk::new();
    let wal = open(&disk);
    append(&wal, 20);
    disk.fail(Op::Remove, 3, io::ErrorKind::PermissionDenied);
    let first = wal.retain(&records(4), 0);
    assert!(matches!(first, Err(WriteError::NotFreed { .. })), "{first:?}");
    assert_eq!(segments(&disk)[0].0, 5);
    assert_eq!(wal.retain(&records(4), 0).expect("it can now"), Index(17));
    assert_eq!(segments(&disk)[0].0, 17);
}

#[derive(Clone, Debug)]
enum Step {
    Append(usize),
    /// How far from the end.
    Rewrite(u64),
    Retain(Retention),
    Observe,
    /// Held from, how far from the end.
    Hold(u64),
    Release,
    Reopen,
}

fn policy() -> impl Strategy<Value = Retention> {
    let limits = (
        proptest::option::weighted(0.3, 0..8_000_u64),
        proptest::option::weighted(0.5, 0..40_u64),
        proptest::option::weighted(0.3, 0..25_u64),
    );
    limits.prop_map(|(bytes, age, records)| Retention {
        bytes,
        age: age.map(Duration::from_millis),
        records,
    })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..700_usize).prop_map(Step::Append),
        1 => (0..6_u64).prop_map(Step::Rewrite),
        4 => policy().prop_map(Step::Retain),
        2 => Just(Step::Observe),
        1 => (0..12_u64).prop_map(Step::Hold),
        1 => Just(Step::Release),
        1 => Just(Step::Reopen),
    ]
}

/// What a retention may do, told from the files alone, and from what the test said of the time.
#[derive(Default)]
struct Model {
    records: BTreeMap<u64, Bytes>,
    /// When the test wrote each record, and into which segment.
    written: BTreeMap<u64, (u64, u64)>,
    now_ms: u64,
}

impl Model {
    /// Checks a mark that moved from `before` to `mark`. `files` were there before.
    fn check(
        &mut self,
        policy: &Retention,
        (before, mark): (u64, u64),
        (oldest, files): (u64, &[(u64, u64)]),
        held: Option<u64>,
    ) -> Result<(), TestCaseError> {
        let gone: Vec<u64> = self.records.range(..mark).map(|(index, _)| *index).collect();
        prop_assert!(held.is_none_or(|held| mark <= held.max(before)), "held {held:?}: {mark}");
        if before == mark {
            return Ok(());
        }
        let starts = files.iter().map(|(start, _)| *start);
        prop_assert!(starts.clone().any(|start| start == mark), "{mark} begins no segment");
        // Each segment that went had a reason of its own.
        for (at, (start, _)) in files.iter().enumerate().take_while(|(_, it)| it.0 < mark) {
            let end = files.get(at + 1).map_or(mark, |it| it.0);
            let left: u64 = files[at..].iter().map(|it| it.1).sum();
            let behind = self.records.range(end..).count() as u64;
            // A segment may hold records before its start: it rewrote them.
            let written = gone.iter().map(|index| self.written[index]);
            let here = written.filter(|(_, sequence)| *sequence == oldest + at as u64);
            let youngest = here.map(|(written_ms, _)| self.now_ms - written_ms);
            let is_old = |limit: Duration| {
                youngest.clone().min().is_none_or(|age_ms| limit.as_millis() <= age_ms.into())
            };
            let has_reason = policy.bytes.is_some_and(|limit| limit < left)
                || policy.records.is_some_and(|limit| limit <= behind)
                || policy.age.is_some_and(is_old);
            prop_assert!(has_reason, "segment {start} of {files:?} went by {policy:?} to {mark}");
        }
        for index in gone {
            self.records.remove(&index);
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    #[test]
    fn what_goes_had_a_reason_and_the_rest_stays(steps in vec((step(), 0..10_u64), 1..80)) {
        let disk = Disk::new();
        let mut wal = open(&disk);
        let mut model = Model::default();
        let mut hold = None;
        for (step, later_ms) in steps {
            model.now_ms += later_ms;
            let next = wal.next_index().0;
            match step {
                Step::Append(len) => {
                    let record = Bytes::from(vec![next.to_le_bytes()[0]; len]);
                    wal.append(record.clone()).and_then(|ack| ack.wait()).expect("room");
                    model.records.insert(next, record);
                    model.written.insert(next, (model.now_ms, sequences(&disk).1));
                }
                Step::Rewrite(back) => {
                    let from = next.saturating_sub(back).max(wal.first_index().0);
                    wal.truncate_suffix(Index(from)).and_then(|ack| ack.wait()).expect("room");
                    model.records.split_off(&from);
                }
                Step::Retain(policy) => {
                    let (before, files) = (wal.first_index().0, segments(&disk));
                    let oldest = sequences(&disk).0;
                    let mark = wal.retain(&policy, model.now_ms).expect("there is room").0;
                    let held = hold.as_ref().map(|(_, from)| *from);
                    model.check(&policy, (before, mark), (oldest, &files), held)?;
                }
                Step::Observe => wal.observe_wall(model.now_ms),
                Step::Hold(back) => {
                    let from = next.saturating_sub(back);
                    hold = Some((wal.hold(Index(from)), from));
                }
                Step::Release => hold = None,
                Step::Reopen => {
                    hold = None;
                    drop(wal);
                    disk.crash_losing_unsynced();
                    let mut config: Config = config();
                    config.verify_sealed = later_ms % 2 == 0;
                    wal = Wal::open_on(disk.clone(), config).expect("it is sound").0;
                }
            }
            let found: Vec<(u64, Bytes)> = wal
                .records(..)
                .map(|item| item.map(|(index, record)| (index.0, record)).expect("sound"))
                .collect();
            let expect: Vec<(u64, Bytes)> =
                model.records.iter().map(|(index, record)| (*index, record.clone())).collect();
            prop_assert_eq!(found, expect);
        }
    }
}
