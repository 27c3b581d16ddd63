//! Records in memory that survive a crash: the cheap storage of protocol tests.
//!
//! ```text
//! append --> [ durable ........ | unsynced ..... ]
//! sync   --> [ durable ........................ ]
//! crash  --> [ durable ........ | a prefix ]        and all of it is durable then
//! ```

use std::fmt;
use std::future::{Future, ready};
use std::sync::Arc;

use parking_lot::Mutex;
use quorate_core::{Protocol, Storage, StorageError, WriteId};

use crate::decision::scale;

/// The records of one node, for the core `P`. Made by [`Boot::records`](crate::Boot::records).
///
/// A crash keeps any prefix of what was not synced. Nothing ever fails: failures are those of a
/// storage over a [`Disk`](crate::Disk).
pub struct Records<P: Protocol> {
    pub(crate) log: Arc<Mutex<Log<P::Record>>>,
    pub(crate) answer: fn(&[P::Record], P::Query) -> P::Answer,
}

/// What survives the handles.
///
/// # Invariants
///
/// - `durable <= records.len()`, and `run_start <= records.len()`.
pub(crate) struct Log<R> {
    records: Vec<R>,
    durable: usize,
    /// What a sync that is under way covers.
    covered: Option<usize>,
    /// The number of records before this run.
    run_start: usize,
    /// The writes of this run whose records were forgotten.
    forgotten: u64,
}

impl<R> Default for Log<R> {
    fn default() -> Self {
        Self { records: Vec::new(), durable: 0, covered: None, run_start: 0, forgotten: 0 }
    }
}

impl<R> Log<R> {
    /// Starts a run: writes count from 1 again.
    pub(crate) fn restart(&mut self) {
        self.run_start = self.records.len();
        (self.covered, self.forgotten) = (None, 0);
    }

    /// Notes that a sync starts: what is appended from now on is not part of it.
    pub(crate) fn begin_sync(&mut self) {
        self.covered = Some(self.records.len());
    }

    pub(crate) fn crash(&mut self, entropy: u64) {
        let unsynced = (self.records.len() - self.durable) as u64;
        let kept = usize::try_from(scale(entropy, unsynced + 1)).expect("below a length");
        self.records.truncate(self.durable + kept);
        self.durable = self.records.len();
        self.covered = None;
    }

    fn write_at(&self, len: usize) -> WriteId {
        WriteId((len - self.run_start) as u64 + self.forgotten)
    }
}

impl<P> Storage<P::Record> for Records<P>
where
    P: Protocol<Record: Clone + Send, Answer: Send>,
{
    type Query = P::Query;
    type Answer = P::Answer;

    fn replay(&self) -> impl Iterator<Item = Result<P::Record, StorageError>> {
        let records = self.log.lock().records.clone();
        records.into_iter().map(Ok)
    }

    fn append(&self, write: WriteId, record: P::Record) -> Result<(), StorageError> {
        let mut log = self.log.lock();
        let last = log.write_at(log.records.len());
        assert_eq!(write.0, last.0 + 1, "writes of a run are numbered without gaps");
        log.records.push(record);
        Ok(())
    }

    fn sync(&self) -> impl Future<Output = Result<WriteId, StorageError>> + Send {
        let mut log = self.log.lock();
        let covered = log.covered.take().unwrap_or(log.records.len());
        log.durable = log.durable.max(covered);
        ready(Ok(log.write_at(covered)))
    }

    fn fetch(
        &self,
        query: P::Query,
    ) -> impl Future<Output = Result<P::Answer, StorageError>> + Send {
        let log = self.log.lock();
        ready(Ok((self.answer)(&log.records[..log.durable], query)))
    }

    fn compact(&self, before: WriteId) -> impl Future<Output = Result<(), StorageError>> + Send {
        let mut log = self.log.lock();
        let writes = before.0.saturating_sub(1).saturating_sub(log.forgotten);
        let end = log.run_start + usize::try_from(writes).unwrap_or(usize::MAX - log.run_start);
        assert!(end <= log.durable, "only what is durable may be forgotten");
        log.records.drain(..end);
        (log.run_start, log.forgotten) = (0, log.forgotten + writes);
        log.durable -= end;
        log.covered = log.covered.map(|covered| covered.max(end) - end);
        ready(Ok(()))
    }
}

impl<P: Protocol> Clone for Records<P> {
    fn clone(&self) -> Self {
        Self { log: Arc::clone(&self.log), answer: self.answer }
    }
}

impl<P: Protocol> fmt::Debug for Records<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let log = self.log.lock();
        f.debug_struct("Records")
            .field("count", &log.records.len())
            .field("durable", &log.durable)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use quorate_core::{FetchId, Instant, NodeId, OutputOf};

    use super::*;
    use crate::{kit, mix};

    /// A core that writes numbers, as far as its types say.
    struct Numbers;

    impl Protocol for Numbers {
        type Message = Infallible;
        type Record = u64;
        type Query = u64;
        type Answer = Vec<u64>;
        type Delivery = Infallible;
        type Event = Infallible;

        fn handle_message(&mut self, _now: Instant, _from: NodeId, message: Infallible) {
            match message {}
        }
        fn handle_persisted(&mut self, _now: Instant, _write: WriteId) {}
        fn handle_fetched(&mut self, _now: Instant, _fetch: FetchId, _answer: Vec<u64>) {}
        fn handle_timeout(&mut self, _now: Instant) {}
        fn poll_output(&mut self) -> Option<OutputOf<Self>> {
            None
        }
        fn poll_timeout(&self) -> Option<Instant> {
            None
        }
    }

    fn answer(records: &[u64], query: u64) -> Vec<u64> {
        records.iter().copied().filter(|record| *record == query).collect()
    }

    #[test]
    fn records_are_a_storage() {
        let log = Arc::new(Mutex::new(Log::default()));
        let open = || {
            log.lock().restart();
            Records::<Numbers> { log: Arc::clone(&log), answer }
        };
        let mut crashes = 0;
        let crash = || {
            crashes += 1;
            log.lock().crash(mix(7, 0, crashes));
        };
        kit::storage::check_with_crash(open, |number| number, crash).expect_passed();
        kit::storage::check_fetch(open, |number| number, |record| *record, |answer| answer)
            .expect_passed();
    }
}
