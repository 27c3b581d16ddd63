//! Storages that break one promise each.

use std::convert::Infallible;
use std::future::{Future, pending};
use std::sync::Arc;

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
}

/// What survives a run.
#[derive(Default)]
struct Medium {
    records: Vec<u64>,
    durable: usize,
    syncs: u64,
}

/// A storage in memory, with a fault.
struct Faulty {
    medium: Arc<Mutex<Medium>>,
    fault: Fault,
    /// The records of former runs, less those that were forgotten.
    start: Mutex<i64>,
    last: Mutex<WriteId>,
}

impl Faulty {
    fn open(medium: &Arc<Mutex<Medium>>, fault: Fault) -> Self {
        let start = medium.lock().records.len().cast_signed() as i64;
        let (start, last) = (Mutex::new(start), Mutex::default());
        Self { medium: Arc::clone(medium), fault, start, last }
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
    type Query = Infallible;
    type Answer = Infallible;

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
        let mut last = self.last.lock();
        if self.fault != Fault::TakesGaps {
            assert_eq!(write.0, last.0 + 1, "writes of a run are numbered without gaps");
        }
        *last = write;
        self.medium.lock().records.push(record);
        Ok(())
    }

    fn sync(&self) -> impl Future<Output = Result<WriteId, StorageError>> + Send {
        let fault = self.fault;
        let mut medium = self.medium.lock();
        medium.syncs += 1;
        let mut last = *self.last.lock();
        match fault {
            Fault::LosesASync if medium.syncs.is_multiple_of(3) => {}
            Fault::ReportsEarly => last.0 += 1,
            Fault::ReportsTooLittle => last.0 = last.0.saturating_sub(1),
            _ => medium.durable = medium.records.len(),
        }
        async move {
            if fault == Fault::HangsInSync && last.0 == 6 {
                pending::<()>().await;
            }
            Ok(last)
        }
    }

    async fn fetch(&self, query: Infallible) -> Result<Infallible, StorageError> {
        match query {}
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
