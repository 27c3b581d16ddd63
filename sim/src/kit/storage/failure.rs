//! Cases for a storage when what is below it fails, or has no room.

use std::fmt::Debug;

use quorate_core::{Storage, StorageError, WriteId};

use super::MANY;
use super::bench::{Bench, Run, is_prefix, is_same};
use crate::kit::{Checked, Report, Stop, ensure, expect, wait};

/// Checks a storage whose syncs fail: `fail` has the next one fail below it, and no other.
///
/// The storage is dropped then, and opened again, as [`StorageError::Failed`] asks for. Whatever
/// was reported durable must be there.
pub fn check_with_failure<R, S>(
    mut open: impl FnMut() -> S,
    record: impl Fn(u64) -> R,
    mut fail: impl FnMut(),
) -> Report
where
    R: Debug + PartialEq,
    S: Storage<R>,
{
    let mut report = Report::new("storage_failure");
    // What cuts the power in other cases has the sync fail here.
    let mut bench = Bench { open: &mut open, record: &record, crash: &mut fail, last: 0 };
    report.run("a_failed_sync_is_reported", || fail_a_sync(&mut bench).map(drop));
    report.run("a_failed_sync_is_final", || {
        let mut run = fail_a_sync(&mut bench)?;
        let taken = run.append(1).is_ok();
        ensure(!taken, || "a record is taken after a failed sync".to_owned())?;
        let synced = wait("sync", run.storage.sync())?;
        ensure(matches!(synced, Err(StorageError::Failed(_))), || {
            format!("a sync after a failed one returns {synced:?}")
        })
    });
    report.run("a_failed_sync_leaves_what_was_synced", || {
        let appended = fail_a_sync(&mut bench)?.end();
        is_prefix(&bench.replay()?, &appended, UNSYNCED)
    });
    report.run("the_run_after_a_failure_goes_on", || {
        drop(fail_a_sync(&mut bench)?);
        let mut run = bench.start()?;
        run.append(2)?;
        expect("the write that sync returns", run.sync()?, WriteId(2))?;
        let expected = run.end();
        is_same(&bench.replay()?, &expected)
    });
    report
}

/// Checks a storage without room: `set_full` is told whether nothing more fits below it.
///
/// Some records may fit all the same, where there was room ahead. An append never waits for room,
/// and only a sync says that there is none.
pub fn check_with_full_disk<R, S>(
    mut open: impl FnMut() -> S,
    record: impl Fn(u64) -> R,
    mut set_full: impl FnMut(bool),
) -> Report
where
    R: Debug + PartialEq,
    S: Storage<R>,
{
    let mut report = Report::new("storage_full");
    let mut bench = Bench { open: &mut open, record: &record, crash: &mut || {}, last: 0 };
    report.run("a_full_sync_keeps_what_was_appended", || {
        let mut run = bench.start()?;
        let (_, last) = fill(&mut run, &mut set_full)?;
        expect("the write that sync returns once there is room", run.sync()?, last)?;
        let expected = run.end();
        is_same(&bench.replay()?, &expected)
    });
    report.run("a_full_sync_leaves_what_was_synced", || {
        let mut run = bench.start()?;
        let (synced, last) = fill(&mut run, &mut set_full)?;
        let unsynced = usize::try_from(last.0 - synced.0).unwrap_or(usize::MAX);
        let appended = run.end();
        is_prefix(&bench.replay()?, &appended, unsynced)
    });
    report.run("a_run_goes_on_after_a_full_sync", || {
        let mut run = bench.start()?;
        let (_, last) = fill(&mut run, &mut set_full)?;
        run.append(2)?;
        expect("the write that sync returns", run.sync()?, WriteId(last.0 + 2))?;
        let expected = run.end();
        is_same(&bench.replay()?, &expected)
    });
    report
}

/// Syncs a record, appends [`UNSYNCED`] more, and has their sync fail.
fn fail_a_sync<'a, R: Debug + PartialEq, S: Storage<R>>(
    bench: &mut Bench<'a, R, S>,
) -> Checked<Run<'a, R, S>> {
    let mut run = bench.start()?;
    run.append(1)?;
    run.sync()?;
    run.append(UNSYNCED as u64)?;
    (bench.crash)();
    match wait("sync", run.storage.sync())? {
        Err(StorageError::Failed(_)) => Ok(run),
        other => Err(Stop::Broken(format!("a sync that fails below returns {other:?}"))),
    }
}

/// Appends and syncs until there is no room, and makes room again. Returns the last write that was
/// synced, and the last one of all.
fn fill<R: Debug + PartialEq, S: Storage<R>>(
    run: &mut Run<'_, R, S>,
    set_full: &mut impl FnMut(bool),
) -> Checked<(WriteId, WriteId)> {
    run.append(1)?;
    let synced = run.sync()?;
    set_full(true);
    let found = append_until_full(run, synced);
    set_full(false);
    found
}

fn append_until_full<R: Debug + PartialEq, S: Storage<R>>(
    run: &mut Run<'_, R, S>,
    mut synced: WriteId,
) -> Checked<(WriteId, WriteId)> {
    for last in (synced.0 + 1..MANY).map(WriteId) {
        run.append(1)?;
        match wait("sync", run.storage.sync())? {
            Ok(write) => synced = write,
            Err(StorageError::Full) => return Ok((synced, last)),
            Err(error) => {
                return Err(Stop::Broken(format!("a sync without room returns {error:?}")));
            }
        }
    }
    Err(Stop::Nothing(format!("there is room for {MANY} records")))
}

/// How many records are appended before the sync that fails.
const UNSYNCED: usize = 3;
