//! Following the end of the log, as it grows.
//!
//! ```text
//! records   1 2 3 4 5 | 6 7 8        durable | written
//! Durable             ^ waits here
//! Written                     ^ waits here
//! truncate_suffix(4)      Truncated { end: 4 }, and goes on with the new 4
//! ```
//!
//! Nobody polls: whoever appends wakes those who see what is written, and whoever makes it durable
//! wakes the others. What is read is looked at twice, before and after, so that no record comes
//! through that was truncated meanwhile.
//!
//! Source: Hunt et al., "ZooKeeper: Wait-free Coordination for Internet-scale Systems" (2010),
//! section 2.1, for waiting instead of asking. Left out: a tail across processes.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use futures_core::{FusedStream, Stream};
use quorate_core::Disk;
use thiserror::Error;

use crate::disk::Directory;
use crate::error::{ReadError, WriteError};
use crate::index::Index;
use crate::log::{State, Wal};
use crate::reader::{WINDOW_BYTES, WINDOW_BYTES_ONE, Window};
use crate::sync::Condvar;

/// Which records a [`Tail`] gives out.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Visible {
    /// Those that are durable: a crash takes none of them back.
    Durable,
    /// Those that are appended. A crash, a full disk or a failed sync may take them back; the last
    /// two are told as [`TailError::Truncated`].
    Written,
}

/// Why a [`Tail`] gives out no record.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TailError {
    /// Records that were given out are no longer in the log. Forget those from `end` on: the tail
    /// goes on there.
    #[error("the log was truncated, and ends at {end}")]
    Truncated {
        /// Where the log ended: the first index that may be given out again.
        end: Index,
    },
    /// The next record is below the low-water mark. The tail goes on at `first_index`; a
    /// [`Wal::hold`] keeps this from happening.
    #[error("the log begins at {first_index}")]
    Compacted {
        /// The first record there is.
        first_index: Index,
    },
    /// The next record cannot be read. The tail tries again.
    #[error("a record cannot be read")]
    Read(#[from] ReadError),
    /// The log failed, and all that is durable was given out. Nothing follows.
    #[error("the log failed")]
    Failed(#[from] WriteError),
    /// The log was closed, and all of it was given out. Nothing follows.
    #[error("the log is closed")]
    Closed,
}

/// Gives out the records of a log, one after the other, and waits for those to come. See
/// [`Wal::tail`].
///
/// For threads, [`next_timeout`](Self::next_timeout); for tasks, a [`Stream`], which ends when the
/// log is closed, and after [`TailError::Failed`]. Reading a record that is no longer in memory
/// blocks for one read of a file, in a task too. Dropping it cancels it.
///
/// It writes nothing: a record becomes durable when someone waits for it. It is a handle of the
/// log, which stays open as long.
#[must_use = "a tail gives out nothing unless it is asked"]
pub struct Tail<D: Disk = Directory> {
    wal: Wal<D>,
    id: u64,
    see: Visible,
    ready: Arc<Condvar>,
    /// Where it began. If it came further, records may be taken back from it.
    start: Index,
    next: Index,
    window: Option<Window>,
    /// What stood in the log when `window` was read.
    epoch: u64,
    /// The stream ended.
    is_over: bool,
}

impl<D: Disk> Wal<D> {
    /// Follows the log from `from` on: gives out what is there, then what comes.
    ///
    /// An index beyond the end is waited for. Each record costs two short locks; one that is read
    /// from disk comes with its neighbours.
    #[doc(alias = "subscribe")]
    pub fn tail(&self, from: Index, see: Visible) -> Tail<D> {
        let mut state = self.shared().state.lock();
        let (id, ready) = state.watchers.add(see);
        let epoch = state.watchers.epoch;
        drop(state);
        let (wal, start, next) = (self.clone(), from, from);
        Tail { wal, id, see, ready, start, next, window: None, epoch, is_over: false }
    }
}

impl<D: Disk> Tail<D> {
    /// Returns the index of the record that is given out next, unless the log is truncated.
    #[must_use]
    pub const fn next_index(&self) -> Index {
        self.next
    }

    /// Waits for the next record, and returns it with its index. `None`: there was none for so
    /// long. With 0 it only looks.
    ///
    /// # Errors
    ///
    /// [`TailError`] says of each where the tail goes on.
    pub fn next_timeout(&mut self, timeout: Duration) -> Result<Option<(Index, Bytes)>, TailError> {
        loop {
            if let Some(found) = self.look(None)? {
                return Ok(Some(found));
            }
            let mut state = self.wal.shared().state.lock();
            let is_idle = |state: &mut State<D>| {
                let is_told = state.watchers.slot(self.id).cut.is_some();
                !is_told && matches!(self.place(state), Ok(Place::Waits))
            };
            if self.ready.wait_while_for(&mut state, is_idle, timeout).timed_out() {
                return Ok(None);
            }
        }
    }

    /// Returns the next record. `None`: there is none yet, and `waker` will be told.
    fn look(&mut self, waker: Option<&Waker>) -> Result<Option<(Index, Bytes)>, TailError> {
        loop {
            let Some(behind) = self.step(waker)? else { return Ok(None) };
            // Not much more than what there is.
            let is_near = behind <= NEAR;
            let window_bytes = if is_near { WINDOW_BYTES_ONE } else { WINDOW_BYTES };
            let read = self.wal.read_in(self.next, &mut self.window, window_bytes);
            let is_as_before = {
                let state = self.wal.shared().state.lock();
                state.watchers.epoch == self.epoch
            };
            match read {
                _ if !is_as_before => {}
                Ok(Some(record)) => {
                    let index = self.next;
                    self.next = index.plus(1);
                    return Ok(Some((index, record)));
                }
                // The mark passed it just now: the next step says so.
                Ok(None) | Err(ReadError::Compacted { .. }) => {}
                Err(error) => {
                    self.window = None;
                    return Err(error.into());
                }
            }
        }
    }

    /// Takes in what happened to the log. Returns how many records are there to be given out, or
    /// `None` and registers `waker`.
    fn step(&mut self, waker: Option<&Waker>) -> Result<Option<u64>, TailError> {
        let shared = Arc::clone(self.wal.shared());
        let mut state = shared.state.lock();
        if self.epoch != state.watchers.epoch {
            self.epoch = state.watchers.epoch;
            self.window = None;
        }
        let cut = state.watchers.slot_mut(self.id).cut.take().map(Index);
        if let Some(end) = cut
            && self.start < self.next
            && end < self.next
        {
            self.next = self.start.max(end);
            return Err(TailError::Truncated { end });
        }
        match self.place(&state) {
            Ok(Place::Reads { behind }) => Ok(Some(behind)),
            Ok(Place::Waits) => {
                // One that is replaced is dropped without the lock: it may own anything.
                let waker = waker.cloned();
                let slot = state.watchers.slot_mut(self.id);
                let before = std::mem::replace(&mut slot.waker, waker);
                drop(state);
                drop(before);
                Ok(None)
            }
            Err(error) => {
                if let TailError::Compacted { first_index } = error {
                    self.next = first_index;
                }
                Err(error)
            }
        }
    }

    /// Returns where the tail is in the log.
    fn place(&self, state: &State<D>) -> Result<Place, TailError> {
        let (first_index, end) = state.seen(self.see);
        let next = self.next.0;
        if next < first_index {
            return Err(TailError::Compacted { first_index: Index(first_index) });
        }
        // Below a mark that is not durable yet, there is nothing to read. It is told of when it is:
        // without room for it, the log goes back to before.
        if next < end && state.tip.first_index <= next {
            return Ok(Place::Reads { behind: end - next });
        }
        match &state.poison {
            Some(poison) => Err(poison.clone().into()),
            None if state.lock.is_none() => Err(TailError::Closed),
            None => Ok(Place::Waits),
        }
    }
}

/// Where a tail is.
enum Place {
    /// Before so many records.
    Reads {
        behind: u64,
    },
    Waits,
}

impl<D: Disk> Stream for Tail<D> {
    type Item = Result<(Index, Bytes), TailError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        match self.look(Some(context.waker())) {
            Ok(None) => Poll::Pending,
            Ok(Some(found)) => Poll::Ready(Some(Ok(found))),
            Err(TailError::Closed) => {
                self.is_over = true;
                Poll::Ready(None)
            }
            Err(error) => {
                self.is_over = matches!(error, TailError::Failed(_));
                Poll::Ready(Some(Err(error)))
            }
        }
    }
}

impl<D: Disk> FusedStream for Tail<D> {
    fn is_terminated(&self) -> bool {
        self.is_over
    }
}

// Nothing in it is pinned.
impl<D: Disk> Unpin for Tail<D> {}

impl<D: Disk> Drop for Tail<D> {
    fn drop(&mut self) {
        let slot = self.wal.shared().state.lock().watchers.remove(self.id);
        // Its waker may own anything: not under the lock.
        drop(slot);
    }
}

impl<D: Disk> fmt::Debug for Tail<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Tail");
        out.field("next", &self.next).field("see", &self.see).finish_non_exhaustive()
    }
}

/// With no more records than this before the end, little is read at once.
const NEAR: u64 = 8;
