//! Cases for a [`Storage`]: what a run appends and syncs, the next one replays.

mod bench;
mod failure;
mod fetch;

use std::fmt::Debug;
use std::pin::pin;

use quorate_core::{Storage, WriteId};

use self::bench::{Bench, Run, ends_with, is_prefix, is_same, replay};
use super::{Checked, Report, caught, ensure, expect, poll_once};

pub use self::failure::{check_with_failure, check_with_full_disk};
pub use self::fetch::check_fetch;

/// Checks a storage without crashes.
///
/// `open` opens the same storage each time, with what is in it; the last one was dropped before.
/// `record` makes records: equal ones of equal numbers, and others of others. The cases follow
/// each other on the one storage: whatever it replays at the start of a case is what the case
/// starts from.
pub fn check<R, S>(open: impl FnMut() -> S, record: impl Fn(u64) -> R) -> Report
where
    R: Debug + PartialEq,
    S: Storage<R>,
{
    run(open, record, || {}, Crashes::Never)
}

/// Checks a storage, and what is left after `crash`, which cuts the power of what is below it.
///
/// It is called while the storage is open, which is then dropped, and opened again. Cases with a
/// crash run many times: what survives may be drawn anew by each.
///
/// # Examples
///
/// A storage that writes no byte is one that loses what it synced:
///
/// ```
/// # use std::convert::Infallible;
/// # use parking_lot::Mutex;
/// # use quorate_core::{Storage, StorageError, WriteId};
/// # use quorate_sim::kit;
/// #[derive(Default)]
/// struct Forgetful(Mutex<WriteId>);
///
/// impl Storage<u64> for Forgetful {
/// #   type Query = Infallible;
/// #   type Answer = Infallible;
///     fn replay(&self) -> impl Iterator<Item = Result<u64, StorageError>> {
///         std::iter::empty()
///     }
///     fn append(&self, write: WriteId, _: u64) -> Result<(), StorageError> {
///         let mut last = self.0.lock();
///         assert_eq!(write.0, last.0 + 1, "writes of a run are numbered without gaps");
///         *last = write;
///         Ok(())
///     }
///     async fn sync(&self) -> Result<WriteId, StorageError> {
///         Ok(*self.0.lock())
///     }
/// #   async fn fetch(&self, query: Infallible) -> Result<Infallible, StorageError> {
/// #       match query {}
/// #   }
/// #   async fn compact(&self, _: WriteId) -> Result<(), StorageError> {
/// #       Ok(())
/// #   }
///     // ..
/// }
///
/// let report = kit::storage::check_with_crash(Forgetful::default, |number| number, || {});
/// assert!(report.failed().any(|name| name == "what_was_synced_is_replayed"), "{report}");
/// assert!(report.failed().any(|name| name == "what_was_synced_survives_a_crash"), "{report}");
/// ```
pub fn check_with_crash<R, S>(
    open: impl FnMut() -> S,
    record: impl Fn(u64) -> R,
    crash: impl FnMut(),
) -> Report
where
    R: Debug + PartialEq,
    S: Storage<R>,
{
    run(open, record, crash, Crashes::Some)
}

fn run<R, S>(
    mut open: impl FnMut() -> S,
    record: impl Fn(u64) -> R,
    mut crash: impl FnMut(),
    crashes: Crashes,
) -> Report
where
    R: Debug + PartialEq,
    S: Storage<R>,
{
    let mut report = Report::new("storage");
    let mut bench = Bench { open: &mut open, record: &record, crash: &mut crash, last: 0 };
    for (name, case) in cases() {
        report.run(name, || case(&mut bench));
    }
    for (name, case) in crash_cases().into_iter().filter(|_| crashes == Crashes::Some) {
        report.run(name, || (0..CRASHES).try_for_each(|_| case(&mut bench)));
    }
    report
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Crashes {
    Never,
    Some,
}

type StorageCase<R, S> = (&'static str, fn(&mut Bench<'_, R, S>) -> Checked);

fn cases<R: Debug + PartialEq, S: Storage<R>>() -> Vec<StorageCase<R, S>> {
    vec![
        ("sync_returns_the_last_write", sync_returns_the_last_write),
        ("a_sync_without_news_returns_the_last_write", a_sync_without_news),
        ("what_was_synced_is_replayed", what_was_synced_is_replayed),
        ("a_replay_keeps_the_order", a_replay_keeps_the_order),
        ("nothing_is_replayed_that_was_not_appended", nothing_is_made_up),
        ("two_replays_are_equal", two_replays_are_equal),
        ("each_run_counts_from_1", each_run_counts_from_1),
        ("a_gap_in_the_numbers_panics", a_gap_in_the_numbers_panics),
        ("a_run_without_writes_changes_nothing", a_run_without_writes_changes_nothing),
        ("many_records_are_replayed", many_records_are_replayed),
        ("a_sync_reports_nothing_that_follows", a_sync_reports_nothing_that_follows),
        ("a_dropped_sync_may_be_called_again", a_dropped_sync_may_be_called_again),
        ("compact_keeps_what_follows", compact_keeps_what_follows),
        ("a_run_goes_on_after_compact", a_run_goes_on_after_compact),
    ]
}

fn crash_cases<R: Debug + PartialEq, S: Storage<R>>() -> Vec<StorageCase<R, S>> {
    vec![
        ("what_was_synced_survives_a_crash", what_was_synced_survives_a_crash),
        ("a_crash_leaves_a_prefix", a_crash_leaves_a_prefix),
        ("what_was_replayed_survives_the_next_crash", what_was_replayed_survives),
        ("a_sync_during_appends_reports_what_survives", a_sync_during_appends),
        ("compact_keeps_what_follows_through_a_crash", compact_keeps_through_a_crash),
    ]
}

fn sync_returns_the_last_write<R: Debug + PartialEq, S: Storage<R>>(
    bench: &mut Bench<'_, R, S>,
) -> Checked {
    let mut run = bench.start()?;
    for (count, last) in [(1, 1), (3, 4), (2, 6)] {
        run.append(count)?;
        expect("the write that sync returns", run.sync()?, WriteId(last))?;
    }
    Ok(())
}

fn a_sync_without_news<R: Debug + PartialEq, S: Storage<R>>(
    bench: &mut Bench<'_, R, S>,
) -> Checked {
    let mut run = bench.start()?;
    run.append(2)?;
    run.sync()?;
    expect("the write that a second sync returns", run.sync()?, WriteId(2))
}

fn what_was_synced_is_replayed<R: Debug + PartialEq, S: Storage<R>>(
    bench: &mut Bench<'_, R, S>,
) -> Checked {
    let mut run = bench.start()?;
    let first = run.append(1)?;
    run.sync()?;
    let rest = run.append(2)?;
    run.sync()?;
    let expected = run.end();
    let found = bench.replay()?;
    for number in first.chain(rest) {
        ensure(found.contains(&(bench.record)(number)), || {
            format!("{:?} was synced and is not replayed", (bench.record)(number))
        })?;
    }
    is_same(&found, &expected)
}

fn a_replay_keeps_the_order<R: Debug + PartialEq, S: Storage<R>>(
    bench: &mut Bench<'_, R, S>,
) -> Checked {
    let (mut numbers, mut places) = (Vec::new(), Vec::new());
    for count in [3, 1, 2] {
        let mut run = bench.start()?;
        numbers.extend(run.append(count)?);
        run.sync()?;
    }
    let found = bench.replay()?;
    for number in numbers {
        let expected = (bench.record)(number);
        // What is lost is for another case.
        places.extend(found.iter().position(|record| *record == expected));
    }
    ensure(places.is_sorted(), || format!("records were appended in another order: {found:?}"))
}

fn nothing_is_made_up<R: Debug + PartialEq, S: Storage<R>>(bench: &mut Bench<'_, R, S>) -> Checked {
    let mut run = bench.start()?;
    run.append(2)?;
    run.sync()?;
    run.append(2)?;
    let known = run.end();
    let found = bench.replay()?;
    for (at, record) in found.iter().enumerate() {
        ensure(known.contains(record), || format!("{record:?} was never appended"))?;
        // A part that was known before may hold twice what was there twice.
        let is_new = known[known.len() - 4..].contains(record);
        ensure(!is_new || !found[..at].contains(record), || {
            format!("{record:?} was appended once, and is replayed twice")
        })?;
    }
    Ok(())
}

fn two_replays_are_equal<R: Debug + PartialEq, S: Storage<R>>(
    bench: &mut Bench<'_, R, S>,
) -> Checked {
    let mut run = bench.start()?;
    run.append(3)?;
    run.sync()?;
    drop(run);
    let run = bench.start()?;
    is_same(&replay(&run.storage)?, &run.known)?;
    let expected = run.end();
    is_same(&bench.replay()?, &expected)
}

fn each_run_counts_from_1<R: Debug + PartialEq, S: Storage<R>>(
    bench: &mut Bench<'_, R, S>,
) -> Checked {
    for last in [2, 1, 3] {
        let mut run = bench.start()?;
        run.append(last)?;
        expect("the write that sync returns", run.sync()?, WriteId(last))?;
    }
    Ok(())
}

fn a_gap_in_the_numbers_panics<R: Debug + PartialEq, S: Storage<R>>(
    bench: &mut Bench<'_, R, S>,
) -> Checked {
    for wrong in [0, 1, 3] {
        let mut run = bench.start()?;
        run.append(1)?;
        let record = (bench.record)(u64::MAX);
        let outcome = caught(|| run.storage.append(WriteId(wrong), record));
        ensure(outcome.is_err(), || format!("write {wrong} was taken after write 1"))?;
    }
    Ok(())
}

fn a_run_without_writes_changes_nothing<R: Debug + PartialEq, S: Storage<R>>(
    bench: &mut Bench<'_, R, S>,
) -> Checked {
    let mut run = bench.start()?;
    run.append(2)?;
    run.sync()?;
    let expected = run.end();
    for _ in 0..3 {
        is_same(&bench.replay()?, &expected)?;
    }
    Ok(())
}

fn many_records_are_replayed<R: Debug + PartialEq, S: Storage<R>>(
    bench: &mut Bench<'_, R, S>,
) -> Checked {
    let mut run = bench.start()?;
    run.append(MANY)?;
    expect("the write that sync returns", run.sync()?, WriteId(MANY))?;
    let expected = run.end();
    is_same(&bench.replay()?, &expected)
}

fn a_sync_reports_nothing_that_follows<R: Debug + PartialEq, S: Storage<R>>(
    bench: &mut Bench<'_, R, S>,
) -> Checked {
    let mut run = bench.start()?;
    run.append(2)?;
    let (synced, last) = run.sync_during_append()?;
    ensure(2 <= synced.0, || format!("{synced:?} is returned, 2 writes were before the call"))?;
    ensure(synced <= last, || format!("{synced:?} is returned, and only {last:?} was appended"))?;
    expect("the write that the next sync returns", run.sync()?, last)?;
    let expected = run.end();
    is_same(&bench.replay()?, &expected)
}

fn a_dropped_sync_may_be_called_again<R: Debug + PartialEq, S: Storage<R>>(
    bench: &mut Bench<'_, R, S>,
) -> Checked {
    let mut run = bench.start()?;
    run.append(2)?;
    drop(run.storage.sync());
    _ = poll_once(pin!(run.storage.sync()));
    expect("the write that sync returns", run.sync()?, WriteId(2))?;
    let expected = run.end();
    is_same(&bench.replay()?, &expected)
}

fn compact_keeps_what_follows<R: Debug + PartialEq, S: Storage<R>>(
    bench: &mut Bench<'_, R, S>,
) -> Checked {
    let appended = without_three_of_five(bench)?.end();
    ends_with(&bench.replay()?, &appended, 2)
}

/// Returns a run that has forgotten the first three of the five records that it appended.
fn without_three_of_five<'a, R: Debug + PartialEq, S: Storage<R>>(
    bench: &mut Bench<'a, R, S>,
) -> Checked<Run<'a, R, S>> {
    let mut run = bench.start()?;
    run.append(5)?;
    run.sync()?;
    run.compact(WriteId(4))?;
    Ok(run)
}

fn a_run_goes_on_after_compact<R: Debug + PartialEq, S: Storage<R>>(
    bench: &mut Bench<'_, R, S>,
) -> Checked {
    let mut run = bench.start()?;
    run.append(3)?;
    run.sync()?;
    run.compact(WriteId(3))?;
    run.append(2)?;
    expect("the write that sync returns", run.sync()?, WriteId(5))?;
    run.compact(WriteId(5))?;
    // An older one changes nothing.
    run.compact(WriteId(2))?;
    let appended = run.end();
    ends_with(&bench.replay()?, &appended, 1)
}

fn what_was_synced_survives_a_crash<R: Debug + PartialEq, S: Storage<R>>(
    bench: &mut Bench<'_, R, S>,
) -> Checked {
    let mut run = bench.start()?;
    run.append(3)?;
    run.sync()?;
    let expected = bench.crash(run);
    is_same(&bench.replay()?, &expected)
}

fn a_crash_leaves_a_prefix<R: Debug + PartialEq, S: Storage<R>>(
    bench: &mut Bench<'_, R, S>,
) -> Checked {
    let mut run = bench.start()?;
    run.append(2)?;
    run.sync()?;
    run.append(4)?;
    let appended = bench.crash(run);
    is_prefix(&bench.replay()?, &appended, 4)
}

fn what_was_replayed_survives<R: Debug + PartialEq, S: Storage<R>>(
    bench: &mut Bench<'_, R, S>,
) -> Checked {
    let mut run = bench.start()?;
    run.append(4)?;
    drop(bench.crash(run));
    // A core may have acted upon what it found.
    let run = bench.start()?;
    let expected = bench.crash(run);
    is_same(&bench.replay()?, &expected)
}

fn a_sync_during_appends<R: Debug + PartialEq, S: Storage<R>>(
    bench: &mut Bench<'_, R, S>,
) -> Checked {
    let mut run = bench.start()?;
    run.append(2)?;
    let (synced, last) = run.sync_during_append()?;
    let unsynced = usize::try_from(last.0.saturating_sub(synced.0)).unwrap_or(usize::MAX);
    let appended = bench.crash(run);
    is_prefix(&bench.replay()?, &appended, unsynced)
}

fn compact_keeps_through_a_crash<R: Debug + PartialEq, S: Storage<R>>(
    bench: &mut Bench<'_, R, S>,
) -> Checked {
    let run = without_three_of_five(bench)?;
    let appended = bench.crash(run);
    ends_with(&bench.replay()?, &appended, 2)
}

/// Enough for a segment, a page or a buffer to be full.
const MANY: u64 = 1_000;

/// How often a case with a crash runs.
const CRASHES: u32 = 16;
