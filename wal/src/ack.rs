//! Waiting until what was appended is durable.

use std::fmt;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use quorate_core::Disk;

use crate::error::WriteError;
use crate::index::Index;
use crate::log::Wal;
use crate::sync::{
    AtomicBool, AtomicU64, AtomicUsize, Condvar, Mutex, OnceLock, Ordering, WakeUp, forgets,
};

/// What one write and one sync make durable together, and who waits for it.
#[derive(Debug, Default)]
pub(crate) struct Group {
    outcome: OnceLock<Result<(), WriteError>>,
    /// Wakes the threads that wait, under the log's lock.
    pub(crate) done: Condvar,
    /// Threads that wait. Changes under the log's lock.
    pub(crate) waiting: AtomicUsize,
    /// Someone waits: an I/O thread has a reason to write.
    pub(crate) is_wanted: AtomicBool,
    /// Acknowledgements that have not said their outcome. Rises under the log's lock.
    unheard: AtomicUsize,
    /// Which of the drops for want of room took it, from 1; 0 if none did.
    pub(crate) drop_number: AtomicU64,
    wakers: Mutex<Vec<Waker>>,
}

impl Group {
    pub(crate) fn outcome(&self) -> Option<Result<(), WriteError>> {
        self.outcome.get().cloned()
    }

    /// Settles the outcome, once, and returns whom to wake.
    pub(crate) fn settle(&self, outcome: Result<(), WriteError>) -> Vec<Waker> {
        self.outcome.set(outcome).expect("a group is settled once");
        if !forgets(WakeUp::Threads) {
            self.done.notify_all();
        }
        if forgets(WakeUp::Tasks) { Vec::new() } else { self.take_wakers() }
    }

    pub(crate) fn take_wakers(&self) -> Vec<Waker> {
        std::mem::take(&mut self.wakers.lock())
    }

    pub(crate) fn register(&self, waker: &Waker) {
        let mut wakers = self.wakers.lock();
        if !wakers.iter().any(|it| it.will_wake(waker)) {
            wakers.push(waker.clone());
        }
    }

    pub(crate) fn is_waited_for(&self) -> bool {
        self.is_wanted.load(Ordering::Relaxed) || 0 < self.waiting.load(Ordering::Relaxed)
    }

    pub(crate) fn has_unheard(&self) -> bool {
        0 < self.unheard.load(Ordering::Relaxed)
    }
}

/// The promise that something appended becomes durable: wait for it, or await it.
///
/// Whoever waits first writes and syncs for all, so that one sync covers everything appended
/// meanwhile. As a future it may do so inside of `poll`, and block for one write and one sync;
/// where that is forbidden, [`Wal::spawn_io_thread`] moves it to a thread.
///
/// Dropping it takes nothing back: the next wait, [`Wal::sync`] or [`Wal::close`] writes it.
#[must_use = "what was appended is durable only once this, or a later one, was waited for"]
pub struct Ack<D: Disk> {
    wal: Wal<D>,
    /// `None`: nothing to wait for.
    group: Option<Arc<Group>>,
    indexes: Range<Index>,
    is_heard: bool,
}

impl<D: Disk> Ack<D> {
    pub(crate) fn new(wal: Wal<D>, group: Option<Arc<Group>>, indexes: Range<Index>) -> Self {
        if let Some(group) = &group {
            group.unheard.fetch_add(1, Ordering::Relaxed);
        }
        Self { wal, group, indexes, is_heard: false }
    }

    /// Returns the indexes of the records, empty if there are none.
    #[must_use]
    pub fn indexes(&self) -> Range<Index> {
        self.indexes.clone()
    }

    /// Returns once all is durable. Blocks; writes and syncs if nobody else does.
    ///
    /// # Errors
    ///
    /// [`WriteError::DiskFull`]: it is gone, the log goes on. [`WriteError::Poisoned`]: whether it
    /// survives is not known, and the log takes nothing any more.
    pub fn wait(mut self) -> Result<(), WriteError> {
        let Some(group) = self.group.clone() else { return Ok(()) };
        let outcome = self.wal.shared().wait(&group);
        self.hear();
        outcome
    }

    pub(crate) fn group(&self) -> Option<Arc<Group>> {
        self.group.clone()
    }

    fn hear(&mut self) {
        if let Some(group) = &self.group
            && !self.is_heard
        {
            self.is_heard = true;
            group.unheard.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl<D: Disk> Future for Ack<D> {
    type Output = Result<(), WriteError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(group) = self.group.clone() else { return Poll::Ready(Ok(())) };
        let outcome = self.wal.shared().poll_wait(&group, context.waker());
        if outcome.is_ready() {
            self.hear();
        }
        outcome
    }
}

// Nothing in it is pinned.
impl<D: Disk> Unpin for Ack<D> {}

impl<D: Disk> fmt::Debug for Ack<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ack").field("indexes", &self.indexes).finish_non_exhaustive()
    }
}
