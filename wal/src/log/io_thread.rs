//! A thread that leads, for those who must not block.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::task::Waker;

use quorate_core::Disk;

use super::{Shared, Wal};
use crate::sync::{AtomicBool, Builder, JoinHandle, Ordering, WakeUp, current, forgets};

/// Keeps the thread of [`Wal::spawn_io_thread`] alive. Dropped, it ends the thread, after the write
/// that is under way; what still waits is then written by whoever waits for it.
#[must_use = "the thread ends when this is dropped"]
pub struct IoThread<D: Disk> {
    shared: Arc<Shared<D>>,
    is_stopping: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl<D: Disk + 'static> Wal<D> {
    /// Moves writing and syncing to a thread of its own.
    ///
    /// As long as it runs, [`Ack`](crate::Ack) as a future never blocks its executor. It writes
    /// only what someone waits for. One is enough; more do not help.
    ///
    /// # Errors
    ///
    /// The system has no thread to give.
    pub fn spawn_io_thread(&self) -> io::Result<IoThread<D>> {
        let shared = Arc::clone(self.shared());
        let is_stopping = Arc::new(AtomicBool::new(false));
        shared.state.lock().io_threads += 1;
        let mut guard = IoThread { shared, is_stopping, thread: None };
        let (shared, is_stopping) = (Arc::clone(&guard.shared), Arc::clone(&guard.is_stopping));
        let builder = Builder::new().name("quorate-wal".to_owned());
        // If this fails, the guard takes the thread out of the count again.
        guard.thread = Some(builder.spawn(move || run(&shared, &is_stopping))?);
        Ok(guard)
    }
}

fn run<D: Disk>(shared: &Shared<D>, is_stopping: &AtomicBool) {
    let mut state = shared.state.lock();
    while !is_stopping.load(Ordering::Relaxed) {
        let mut groups = state.queue.iter().map(|chunk| &chunk.group);
        let is_wanted = groups.any(|group| group.is_wanted.load(Ordering::Relaxed));
        state.is_flush_wanted &= !state.queue.is_empty();
        if (is_wanted || state.is_flush_wanted) && state.in_flight.is_none() {
            shared.lead(&mut state);
        } else {
            shared.io_turn.wait(&mut state);
        }
    }
}

impl<D: Disk> Drop for IoThread<D> {
    fn drop(&mut self) {
        let state = self.shared.state.lock();
        self.is_stopping.store(true, Ordering::Relaxed);
        self.shared.io_turn.notify_all();
        drop(state);
        // The waker of the last future may own this: the thread then drops it, and ends later.
        let is_other = |it: &JoinHandle<()>| it.thread().id() != current().id();
        if let Some(thread) = self.thread.take().filter(is_other) {
            // It panics only where the disk does, and the log is then poisoned.
            _ = thread.join();
        }
        let mut state = self.shared.state.lock();
        state.io_threads -= 1;
        if forgets(WakeUp::LeftBehind) {
            return;
        }
        let groups = state.queue.iter().map(|chunk| &chunk.group).chain(&state.unsynced);
        let groups: Vec<_> = groups.map(Arc::clone).collect();
        groups.iter().for_each(|group| _ = group.done.notify_all());
        drop(state);
        groups.iter().flat_map(|group| group.take_wakers()).for_each(Waker::wake);
    }
}

impl<D: Disk> fmt::Debug for IoThread<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IoThread").finish_non_exhaustive()
    }
}
