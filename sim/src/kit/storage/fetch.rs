//! Cases for what a storage answers.

use std::fmt::Debug;
use std::pin::pin;

use quorate_core::Storage;

use super::bench::{Bench, finish};
use crate::kit::{Report, done, expect, poll_once, wait};

/// Checks what a storage answers: `query` asks for a record, and `read` takes the records out of
/// the answer, in order. What is asked for is durable.
pub fn check_fetch<R, S>(
    mut open: impl FnMut() -> S,
    record: impl Fn(u64) -> R,
    query: impl Fn(&R) -> S::Query,
    read: impl Fn(S::Answer) -> Vec<R>,
) -> Report
where
    R: Debug + PartialEq,
    S: Storage<R>,
{
    let mut report = Report::new("storage_fetch");
    let mut bench = Bench { open: &mut open, record: &record, crash: &mut || {}, last: 0 };
    let fetch = |storage: &S, record: R| {
        let answer = done("fetch", wait("fetch", storage.fetch(query(&record)))?)?;
        expect("the answer", read(answer), vec![record])
    };
    report.run("a_durable_record_is_fetched", || {
        let mut storage = bench.start()?;
        let numbers = storage.append(3)?;
        storage.sync()?;
        numbers.rev().try_for_each(|number| fetch(&storage.storage, record(number)))
    });
    report.run("a_record_is_fetched_while_a_sync_is_under_way", || {
        let mut storage = bench.start()?;
        let first = storage.append(1)?.start;
        storage.sync()?;
        storage.append(1)?;
        let mut sync = pin!(storage.storage.sync());
        let polled = poll_once(sync.as_mut());
        fetch(&storage.storage, record(first))?;
        finish(polled, sync).map(drop)
    });
    report.run("a_record_of_a_former_run_is_fetched", || {
        let mut storage = bench.start()?;
        let first = storage.append(2)?.start;
        storage.sync()?;
        drop(storage);
        let storage = bench.start()?;
        fetch(&storage.storage, record(first))
    });
    report
}
