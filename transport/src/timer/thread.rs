//! A timer without a runtime: one thread that waits for all.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::{io, thread};

use futures::future::poll_fn;
use parking_lot::{Condvar, Mutex, MutexGuard};
use quorate_core::{Instant, Timer};

use super::Clock;

/// Waits with a thread of its own, which ends with the last clone.
///
/// For drivers on plain threads, each in a `block_on`.
#[derive(Clone, Debug)]
pub struct ThreadTimer {
    alarm: Arc<Alarm>,
}

/// What the handles share. The thread holds only `Shared`, so that it can end.
#[derive(Debug)]
struct Alarm {
    clock: Clock,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Who is to be woken when; the number tells apart who wants the same instant.
    sleepers: BTreeMap<(Instant, u64), Waker>,
    last_number: u64,
    is_over: bool,
}

impl ThreadTimer {
    /// Starts the thread; its time begins now.
    ///
    /// # Errors
    ///
    /// That of the system, if it has no further thread.
    pub fn start() -> io::Result<Self> {
        let (clock, shared) = (Clock::start(), Arc::new(Shared::default()));
        let alarm = Arc::new(Alarm { clock, shared: Arc::clone(&shared) });
        thread::Builder::new()
            .name("quorate-timer".into())
            .spawn(move || shared.wake_sleepers(clock))?;
        Ok(Self { alarm })
    }
}

impl Shared {
    fn wake_sleepers(&self, clock: Clock) {
        let mut state = self.state.lock();
        while !state.is_over {
            let now = clock.now();
            let later = state.sleepers.split_off(&(now, u64::MAX));
            let due = std::mem::replace(&mut state.sleepers, later);
            if !due.is_empty() {
                // A waker may run anything: not under the lock.
                MutexGuard::unlocked(&mut state, || due.into_values().for_each(Waker::wake));
                continue;
            }
            let next = state.sleepers.keys().next().and_then(|&(at, _)| clock.to_std(at));
            match next {
                Some(at) => _ = self.changed.wait_until(&mut state, at),
                None => self.changed.wait(&mut state),
            }
        }
    }
}

impl Timer for ThreadTimer {
    fn now(&self) -> Instant {
        self.alarm.clock.now()
    }

    async fn sleep_until(&self, at: Instant) {
        let mut sleeper = Sleeper { shared: &self.alarm.shared, key: None };
        let waiting = poll_fn(|cx| {
            if at <= self.alarm.clock.now() {
                return Poll::Ready(());
            }
            sleeper.set(at, cx.waker().clone());
            Poll::Pending
        });
        pin!(waiting).await;
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        self.shared.state.lock().is_over = true;
        self.shared.changed.notify_one();
    }
}

/// A place among the sleepers, given up when it is dropped.
struct Sleeper<'a> {
    shared: &'a Shared,
    key: Option<(Instant, u64)>,
}

impl Sleeper<'_> {
    fn set(&mut self, at: Instant, waker: Waker) {
        let mut state = self.shared.state.lock();
        state.last_number += 1;
        let key = *self.key.get_or_insert((at, state.last_number));
        state.sleepers.insert(key, waker);
        if state.sleepers.keys().next() == Some(&key) {
            self.shared.changed.notify_one();
        }
    }
}

impl Drop for Sleeper<'_> {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            self.shared.state.lock().sleepers.remove(&key);
        }
    }
}
