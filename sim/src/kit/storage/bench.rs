//! Runs of a storage, one after the other, and what the next one must find.

use std::fmt::Debug;
use std::future::Future;
use std::ops::Range;
use std::pin::pin;
use std::task::Poll;

use quorate_core::{Storage, StorageError, WriteId};

use super::MANY;
use crate::kit::{Checked, Stop, done, ensure, poll_once, wait};

/// What the cases share.
pub(super) struct Bench<'a, R, S> {
    pub(super) open: &'a mut dyn FnMut() -> S,
    pub(super) record: &'a dyn Fn(u64) -> R,
    pub(super) crash: &'a mut dyn FnMut(),
    /// The number of the last record that was made.
    pub(super) last: u64,
}

/// One run of the storage.
pub(super) struct Run<'a, R, S> {
    pub(super) storage: S,
    /// What was replayed and appended.
    pub(super) known: Vec<R>,
    pub(super) record: &'a dyn Fn(u64) -> R,
    write: WriteId,
    next: u64,
}

impl<'a, R: Debug + PartialEq, S: Storage<R>> Bench<'a, R, S> {
    pub(super) fn start(&mut self) -> Checked<Run<'a, R, S>> {
        let storage = (self.open)();
        let known = replay(&storage)?;
        // No record is made twice: room for all that a run appends.
        self.last += 10 * MANY;
        let next = self.last;
        Ok(Run { storage, known, record: self.record, write: WriteId(0), next })
    }

    pub(super) fn replay(&mut self) -> Checked<Vec<R>> {
        replay(&(self.open)())
    }

    /// Cuts the power, and returns what was known before.
    pub(super) fn crash(&mut self, run: Run<'_, R, S>) -> Vec<R> {
        (self.crash)();
        run.end()
    }
}

impl<R: Debug + PartialEq, S: Storage<R>> Run<'_, R, S> {
    /// Appends `count` records, and returns their numbers.
    pub(super) fn append(&mut self, count: u64) -> Checked<Range<u64>> {
        let start = self.next;
        for _ in 0..count {
            self.write.0 += 1;
            done("append", self.storage.append(self.write, (self.record)(self.next)))?;
            self.known.push((self.record)(self.next));
            self.next += 1;
        }
        Ok(start..self.next)
    }

    pub(super) fn sync(&self) -> Checked<WriteId> {
        done("sync", wait("sync", self.storage.sync())?)
    }

    /// Starts a sync, appends one record before it is awaited, and returns what the sync does, and
    /// the last write.
    pub(super) fn sync_during_append(&mut self) -> Checked<(WriteId, WriteId)> {
        self.write.0 += 1;
        let mut sync = pin!(self.storage.sync());
        let polled = poll_once(sync.as_mut());
        let record = (self.record)(self.next);
        done("append during a sync", self.storage.append(self.write, record))?;
        self.known.push((self.record)(self.next));
        self.next += 1;
        Ok((finish(polled, sync)?, self.write))
    }

    pub(super) fn compact(&self, before: WriteId) -> Checked {
        done("compact", wait("compact", self.storage.compact(before))?)
    }

    /// Drops the storage, and returns what a reader of everything would find.
    pub(super) fn end(self) -> Vec<R> {
        self.known
    }
}

/// Waits for a sync that was polled once.
pub(super) fn finish(
    polled: Poll<Result<WriteId, StorageError>>,
    sync: impl Future<Output = Result<WriteId, StorageError>>,
) -> Checked<WriteId> {
    let result = match polled {
        Poll::Ready(result) => result,
        Poll::Pending => wait("sync", sync)?,
    };
    done("sync", result)
}

pub(super) fn replay<R, S: Storage<R>>(storage: &S) -> Checked<Vec<R>> {
    done("replay", storage.replay().collect::<Result<_, _>>())
}

pub(super) fn is_same<R: Debug + PartialEq>(found: &[R], expected: &[R]) -> Checked {
    is_prefix(found, expected, 0)
}

/// Fails unless `found` is `appended` without up to `unsynced` of its last.
pub(super) fn is_prefix<R: Debug + PartialEq>(
    found: &[R],
    appended: &[R],
    unsynced: usize,
) -> Checked {
    if let Some(at) = found.iter().zip(appended).position(|(found, right)| found != right) {
        let (wrong, right) = (&found[at], &appended[at]);
        return Err(Stop::broken(format!("record {at} is {wrong:?}, and {right:?} was appended")));
    }
    let (count, last) = (found.len(), appended.len());
    let first = last.saturating_sub(unsynced);
    ensure(first <= count, || {
        format!("{count} records are replayed, and {first} of {last} were reported durable")
    })?;
    ensure(count <= last, || format!("{count} records are replayed, and {last} were appended"))
}

/// Fails unless `found` is the end of `appended`, with the `kept` last of it at least.
pub(super) fn ends_with<R: Debug + PartialEq>(found: &[R], appended: &[R], kept: usize) -> Checked {
    ensure(appended.ends_with(found), || {
        let (count, first) = (found.len(), found.first());
        format!("{count} records from {first:?} on are replayed, not the end of what was appended")
    })?;
    ensure(kept <= found.len(), || {
        format!("{} records are replayed, and the last {kept} were not forgotten", found.len())
    })
}
