//! Storages that break one promise each.

use std::future::{Future, pending, poll_fn};
use std::sync::Arc;
use std::task::Poll;

use parking_lot::Mutex;
use quorate_core::{Storage, StorageError, WriteId};
use quorate_sim::kit;

use super::expect_failed;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Fault {
    None,
    LosesASync,
    ReportsEarly,
    ReportsTooLittle,
    ReordersReplay,
    RepeatsARecord,
    MakesUpARecord,
    ReplaysByHalves,
    TakesGaps,
    HangsInSync,
    CompactsTooMuch,
    ForgetsUnsyncedAsASet,
    PanicsInCompact,
    FetchesTheFirst,
    FetchesOnlyThisRun,
    FetchesAfterTheSync,
    FetchesNothing,
    TriesAFailedSyncAgain,
    TakesRecordsAfterAFailure,
    HidesAFailure,
    LosesItsRecordsInAFailure,
    DropsWhatHasNoRoom,
    FailsWithoutRoom,
}

/// What survives a run.
#[derive(Default)]
struct Medium {
    records: Vec<u64>,
    durable: usize,
    syncs: u64,
    /// Whether the next sync fails.
    is_failing: bool,
    /// Whether nothing more can be made durable.
    is_full: bool,
}

/// A storage in memory, with a fault.
struct Faulty {
    medium: Arc<Mutex<Medium>>,
    fault: Fault,
    /// The records of former runs, less those that were forgotten.
    start: Mutex<i64>,
    last: Mutex<WriteId>,
    /// How many records were there when it was opened.
    former: usize,
    has_failed: Mutex<bool>,
    is_syncing: Arc<Mutex<bool>>,
}

impl Faulty {
    fn open(medium: &Arc<Mutex<Medium>>, fault: Fault) -> Self {
        let former = medium.lock().records.len();
        Self {
            medium: Arc::clone(medium),
            fault,
            start: Mutex::new(former.cast_signed() as i64),
            last: Mutex::default(),
            former,
            has_failed: Mutex::default(),
            is_syncing: Arc::default(),
        }
    }
}

impl Faulty {
    /// Does what a sync does, but for the waiting.
    fn sync_now(&self) -> Result<WriteId, StorageError> {
        let mut medium = self.medium.lock();
        let mut has_failed = self.has_failed.lock();
        if *has_failed && self.fault != Fault::TriesAFailedSyncAgain {
            return Err(StorageError::failed("a sync failed before"));
        }
        if std::mem::take(&mut medium.is_failing) && self.fault != Fault::HidesAFailure {
            *has_failed = true;
            if self.fault == Fault::LosesItsRecordsInAFailure {
                medium.records.clear();
                medium.durable = 0;
            }
            return Err(StorageError::failed("planted"));
        }
        if medium.is_full && self.former + 100 < medium.records.len() {
            if self.fault == Fault::DropsWhatHasNoRoom {
                medium.records.pop();
            }
            return Err(match self.fault {
                Fault::FailsWithoutRoom => StorageError::failed("planted"),
                _ => StorageError::Full,
            });
        }
        medium.syncs += 1;
        let mut last = *self.last.lock();
        match self.fault {
            Fault::LosesASync if medium.syncs.is_multiple_of(3) => {}
            Fault::ReportsEarly => last.0 += 1,
            Fault::ReportsTooLittle => last.0 = last.0.saturating_sub(1),
            _ => medium.durable = medium.records.len(),
        }
        Ok(last)
    }

    /// Returns the record that a query asks for.
    fn find(&self, query: u64) -> Option<u64> {
        let medium = self.medium.lock();
        let known = match self.fault {
            Fault::FetchesOnlyThisRun => &medium.records[self.former..],
            Fault::FetchesNothing => &[],
            _ => &medium.records[..medium.durable],
        };
        let first = (self.fault == Fault::FetchesTheFirst).then(|| known.first()).flatten();
        first.or_else(|| known.iter().find(|record| **record == query)).copied()
    }
}

fn crash(medium: &Mutex<Medium>, fault: Fault) {
    let Medium { records, durable, .. } = &mut *medium.lock();
    if fault == Fault::ForgetsUnsyncedAsASet && *durable + 1 < records.len() {
        // The second survives without the first.
        records.remove(*durable);
    } else {
        records.truncate(*durable);
    }
    *durable = records.len();
}

impl Storage<u64> for Faulty {
    type Query = u64;
    type Answer = Vec<u64>;

    fn replay(&self) -> impl Iterator<Item = Result<u64, StorageError>> {
        let mut records = self.medium.lock().records.clone();
        let count = records.len();
        match self.fault {
            Fault::ReordersReplay if 1 < count => records.swap(count - 1, count - 2),
            Fault::RepeatsARecord => records.extend(records.last().copied()),
            Fault::MakesUpARecord => records.push(u64::MAX - count as u64),
            Fault::ReplaysByHalves => {
                let mut medium = self.medium.lock();
                medium.syncs += 1;
                if medium.syncs.is_multiple_of(2) {
                    records.truncate(count / 2);
                }
            }
            _ => {}
        }
        records.into_iter().map(Ok)
    }

    fn append(&self, write: WriteId, record: u64) -> Result<(), StorageError> {
        if *self.has_failed.lock() && self.fault != Fault::TakesRecordsAfterAFailure {
            return Err(StorageError::failed("a sync failed before"));
        }
        let mut last = self.last.lock();
        if self.fault != Fault::TakesGaps {
            assert_eq!(write.0, last.0 + 1, "writes of a run are numbered without gaps");
        }
        *last = write;
        self.medium.lock().records.push(record);
        Ok(())
    }

    fn sync(&self) -> impl Future<Output = Result<WriteId, StorageError>> + Send {
        let (fault, synced) = (self.fault, self.sync_now());
        let is_syncing = Arc::clone(&self.is_syncing);
        *is_syncing.lock() = true;
        async move {
            if fault == Fault::HangsInSync && synced.as_ref().is_ok_and(|last| last.0 == 6) {
                pending::<()>().await;
            }
            // It is under way when it was polled once.
            let mut is_first = true;
            poll_fn(|cx| {
                cx.waker().wake_by_ref();
                if std::mem::take(&mut is_first) { Poll::Pending } else { Poll::Ready(()) }
            })
            .await;
            *is_syncing.lock() = false;
            synced
        }
    }

    async fn fetch(&self, query: u64) -> Result<Vec<u64>, StorageError> {
        if self.fault == Fault::FetchesAfterTheSync && *self.is_syncing.lock() {
            pending::<()>().await;
        }
        Ok(self.find(query).into_iter().collect())
    }

    async fn compact(&self, before: WriteId) -> Result<(), StorageError> {
        assert_ne!(self.fault, Fault::PanicsInCompact, "planted");
        let mut start = self.start.lock();
        let more = i64::from(self.fault == Fault::CompactsTooMuch);
        let count = usize::try_from(*start + before.0.cast_signed() - 1 + more).unwrap_or(0);
        let mut medium = self.medium.lock();
        medium.records.drain(..count);
        medium.durable -= count;
        *start -= count.cast_signed() as i64;
        Ok(())
    }
}

fn check(fault: Fault) -> kit::Report {
    let medium = Arc::new(Mutex::new(Medium::default()));
    let open = || Faulty::open(&medium, fault);
    kit::storage::check_with_crash(open, |number| number, || crash(&medium, fault))
}

#[test]
fn a_storage_without_a_fault_passes() {
    check(Fault::None).expect_passed();
}

#[test]
fn each_fault_of_a_storage_is_named() {
    let faults: [(Fault, &[&str]); 12] = [
        (Fault::LosesASync, &["what_was_synced_survives_a_crash"]),
        (Fault::ReportsEarly, &["sync_returns_the_last_write", "a_crash_leaves_a_prefix"]),
        (Fault::ReportsTooLittle, &["sync_returns_the_last_write"]),
        (Fault::ReordersReplay, &["a_replay_keeps_the_order"]),
        (Fault::RepeatsARecord, &["nothing_is_replayed_that_was_not_appended"]),
        (Fault::MakesUpARecord, &["nothing_is_replayed_that_was_not_appended"]),
        (Fault::ReplaysByHalves, &["two_replays_are_equal"]),
        (Fault::TakesGaps, &["a_gap_in_the_numbers_panics"]),
        (Fault::HangsInSync, &["sync_returns_the_last_write"]),
        (Fault::CompactsTooMuch, &["compact_keeps_what_follows"]),
        (Fault::ForgetsUnsyncedAsASet, &["a_crash_leaves_a_prefix"]),
        (Fault::PanicsInCompact, &["compact_keeps_what_follows"]),
    ];
    for (fault, names) in faults {
        expect_failed(&check(fault), names);
    }
}

fn check_fetch(fault: Fault) -> kit::Report {
    let medium = Arc::new(Mutex::new(Medium::default()));
    let open = || Faulty::open(&medium, fault);
    kit::storage::check_fetch(open, |number| number, |record| *record, |answer| answer)
}

fn check_failure(fault: Fault) -> kit::Report {
    let medium = Arc::new(Mutex::new(Medium::default()));
    let open = || Faulty::open(&medium, fault);
    kit::storage::check_with_failure(open, |number| number, || medium.lock().is_failing = true)
}

fn check_full(fault: Fault) -> kit::Report {
    let medium = Arc::new(Mutex::new(Medium::default()));
    let open = || Faulty::open(&medium, fault);
    let set_full = |is_full| medium.lock().is_full = is_full;
    kit::storage::check_with_full_disk(open, |number| number, set_full)
}

#[test]
fn a_storage_without_a_fault_answers_and_fails_as_it_should() {
    for report in [check_fetch(Fault::None), check_failure(Fault::None), check_full(Fault::None)] {
        report.expect_passed();
        let is_passed = |case: &kit::Case| case.outcome == kit::Outcome::Passed;
        assert!(report.cases.iter().all(is_passed), "{report}");
    }
}

#[test]
fn each_fault_of_an_answer_is_named() {
    let faults: [(Fault, &[&str]); 4] = [
        (Fault::FetchesTheFirst, &["a_durable_record_is_fetched"]),
        (Fault::FetchesOnlyThisRun, &["a_record_of_a_former_run_is_fetched"]),
        (Fault::FetchesAfterTheSync, &["a_record_is_fetched_while_a_sync_is_under_way"]),
        (Fault::FetchesNothing, &["a_durable_record_is_fetched"]),
    ];
    for (fault, names) in faults {
        expect_failed(&check_fetch(fault), names);
    }
}

#[test]
fn each_fault_of_a_failing_storage_is_named() {
    let faults: [(Fault, &[&str]); 4] = [
        (Fault::TriesAFailedSyncAgain, &["a_failed_sync_is_final"]),
        (Fault::TakesRecordsAfterAFailure, &["a_failed_sync_is_final"]),
        (Fault::HidesAFailure, &["a_failed_sync_is_reported"]),
        (Fault::LosesItsRecordsInAFailure, &["a_failed_sync_leaves_what_was_synced"]),
    ];
    for (fault, names) in faults {
        expect_failed(&check_failure(fault), names);
    }
    let names = ["a_full_sync_keeps_what_was_appended", "a_run_goes_on_after_a_full_sync"];
    expect_failed(&check_full(Fault::DropsWhatHasNoRoom), &names);
    expect_failed(&check_full(Fault::FailsWithoutRoom), &names);
}
