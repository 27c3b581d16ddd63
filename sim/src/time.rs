//! Virtual time for futures: what waits is woken in the order of time, and nothing else happens.
//!
//! ```text
//! run: poll the future until nobody has woken it
//!        |                                ^
//!        v                                |
//!      go to the next time at which something is due, and do it: wake, or let a frame arrive
//! ```

use std::collections::BTreeMap;
use std::fmt;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use parking_lot::Mutex;
use quorate_core::{Instant, Timer};

use crate::clock::{Clock, LocalClock};
use crate::decision::nanos;

/// Virtual time for drivers, and everything else that is a future. Clones are the same time.
///
/// It moves when all have done what they can, and then to whatever is due next: an hour without
/// events takes no time. With a [`Network`](crate::Network) and a [`Disk`](crate::Disk), a driver
/// and all below it run as they do in production, from a seed.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// use quorate_sim::VirtualTime;
/// use quorate_sim::quorate_core::Timer as _;
///
/// let time = VirtualTime::new();
/// let timer = time.timer();
/// let end = timer.now() + Duration::from_secs(3600);
/// time.run(timer.sleep_until(end));
/// assert_eq!(timer.now(), end);
/// ```
#[derive(Clone, Default)]
pub struct VirtualTime {
    elapsed: Arc<AtomicU64>,
    schedule: Arc<Mutex<Schedule>>,
}

/// What is due, by time and by the order in which it was asked for.
#[derive(Default)]
struct Schedule {
    due: BTreeMap<Key, Due>,
    last: u64,
}

type Key = (u64, u64);

enum Due {
    Wake(Waker),
    Do(Box<dyn FnOnce() + Send>),
}

impl VirtualTime {
    /// Makes a time that has not begun.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the true time, which no node knows.
    #[must_use]
    pub fn now(&self) -> Instant {
        Instant::from_nanos(self.elapsed())
    }

    /// Returns a timer that is exact.
    #[must_use]
    pub fn timer(&self) -> VirtualTimer {
        self.timer_with_drift(Duration::ZERO, 0)
    }

    /// Returns a timer that shows `offset` at the beginning, and gains `drift_ppb` nanoseconds in
    /// each second.
    ///
    /// # Panics
    ///
    /// If it would not run forward.
    #[must_use]
    pub fn timer_with_drift(&self, offset: Duration, drift_ppb: i64) -> VirtualTimer {
        VirtualTimer { time: self.clone(), clock: LocalClock::new(nanos(offset), drift_ppb) }
    }

    /// Returns a wall clock that follows this time.
    #[must_use]
    pub fn clock(&self) -> Clock {
        Clock::following(&self.elapsed)
    }

    /// Runs `future` to its end, and lets time pass whenever it waits. What else has to run must be
    /// part of it: join it, or poll it in a `FuturesUnordered`.
    ///
    /// # Panics
    ///
    /// If it waits and nothing is due ever, or if it is woken a million times at one instant.
    pub fn run<T>(&self, future: impl Future<Output = T>) -> T {
        let mut future = pin!(future);
        let woken = Arc::new(Woken(AtomicBool::new(true)));
        let waker = Waker::from(Arc::clone(&woken));
        let mut cx = Context::from_waker(&waker);
        let mut polls = (self.elapsed(), 0);
        loop {
            if woken.0.swap(false, Ordering::Relaxed) {
                let count = if polls.0 == self.elapsed() { polls.1 + 1 } else { 1 };
                assert!(count <= POLLS_MAX, "livelock: the future wakes itself again and again");
                polls = (self.elapsed(), count);
                if let Poll::Ready(value) = future.as_mut().poll(&mut cx) {
                    return value;
                }
            } else {
                assert!(self.step(u64::MAX), "deadlock: the future waits, and nothing is due ever");
            }
        }
    }

    /// Lets `duration` pass, and does what is due meanwhile. What is woken by it runs where it is
    /// polled: for futures that run on another thread.
    pub fn advance(&self, duration: Duration) {
        let end = self.elapsed().saturating_add(nanos(duration));
        while self.step(end) {}
        self.elapsed.fetch_max(end, Ordering::Relaxed);
    }

    pub(crate) fn elapsed(&self) -> u64 {
        self.elapsed.load(Ordering::Relaxed)
    }

    /// Does `what` at `at`.
    pub(crate) fn schedule(&self, at: u64, what: impl FnOnce() + Send + 'static) {
        self.insert(at, Due::Do(Box::new(what)));
    }

    fn insert(&self, at: u64, due: Due) -> Key {
        let mut schedule = self.schedule.lock();
        schedule.last += 1;
        let key = (at.max(self.elapsed()), schedule.last);
        schedule.due.insert(key, due);
        key
    }

    /// Does the next thing that is due until `end`. Returns whether there was one.
    fn step(&self, end: u64) -> bool {
        let mut schedule = self.schedule.lock();
        let Some(entry) = schedule.due.first_entry().filter(|entry| entry.key().0 <= end) else {
            return false;
        };
        let ((at, _), due) = entry.remove_entry();
        self.elapsed.fetch_max(at, Ordering::Relaxed);
        drop(schedule);
        match due {
            Due::Wake(waker) => waker.wake(),
            Due::Do(what) => what(),
        }
        true
    }
}

/// A [`Timer`] in [`VirtualTime`], with a drift of its own.
#[derive(Clone, Debug)]
pub struct VirtualTimer {
    time: VirtualTime,
    clock: LocalClock,
}

impl Timer for VirtualTimer {
    fn now(&self) -> Instant {
        self.clock.local(self.time.elapsed())
    }

    async fn sleep_until(&self, at: Instant) {
        let mut alarm = Alarm { time: &self.time, key: None };
        poll_fn(|cx| {
            if at <= self.now() {
                return Poll::Ready(());
            }
            // What is due at the end of time never comes.
            match self.clock.at(at) {
                u64::MAX => {}
                due => alarm.set(due, cx.waker()),
            }
            Poll::Pending
        })
        .await;
    }
}

/// What wakes a sleep; it is taken back when the sleep is dropped.
struct Alarm<'a> {
    time: &'a VirtualTime,
    key: Option<Key>,
}

impl Alarm<'_> {
    fn set(&mut self, at: u64, waker: &Waker) {
        self.clear();
        self.key = Some(self.time.insert(at, Due::Wake(waker.clone())));
    }

    fn clear(&mut self) {
        let Some(key) = self.key.take() else { return };
        let due = self.time.schedule.lock().due.remove(&key);
        // A waker goes when the lock is free: it may be the last of what sleeps.
        drop(due);
    }
}

impl Drop for Alarm<'_> {
    fn drop(&mut self) {
        self.clear();
    }
}

struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl fmt::Debug for VirtualTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VirtualTime").field("now", &self.now()).finish_non_exhaustive()
    }
}

/// More polls than any honest driver needs at one instant.
const POLLS_MAX: u32 = 1_000_000;

#[cfg(test)]
mod tests {
    use futures::{FutureExt as _, join, select_biased};

    use super::*;

    #[test]
    fn who_waits_is_woken_in_the_order_of_time() {
        let time = VirtualTime::new();
        let told = Mutex::new(Vec::new());
        let tell = async |name: &str, millis: u64, timer: VirtualTimer| {
            timer.sleep_until(timer.now() + Duration::from_millis(millis)).await;
            told.lock().push(format!("{name} at {}", time.now()));
        };
        let fast = time.timer_with_drift(Duration::from_secs(9), 250_000_000);
        time.run(async {
            join!(
                tell("late", 30, time.timer()),
                tell("fast", 25, fast),
                tell("early", 10, time.timer()),
                tell("past", 0, time.timer()),
            );
        });
        assert_eq!(*told.lock(), ["past at 0ns", "early at 10ms", "fast at 20ms", "late at 30ms"]);
    }

    #[test]
    fn a_sleep_that_is_dropped_wakes_nobody() {
        let time = VirtualTime::new();
        let (short, long) = (time.timer(), time.timer());
        time.run(async {
            select_biased! {
                () = short.sleep_until(Instant::from_nanos(5)).fuse() => {}
                () = long.sleep_until(Instant::from_nanos(50)).fuse() => panic!("it is later"),
            }
        });
        assert!(time.schedule.lock().due.is_empty());
    }

    #[test]
    fn what_is_due_while_time_is_moved_by_hand_happens_then() {
        let time = VirtualTime::new();
        let seen = Arc::new(AtomicU64::new(0));
        let (there, clock) = (Arc::clone(&seen), time.clone());
        time.schedule(7, move || there.store(clock.elapsed(), Ordering::Relaxed));
        time.advance(Duration::from_nanos(6));
        assert_eq!(seen.load(Ordering::Relaxed), 0);
        time.advance(Duration::from_nanos(6));
        assert_eq!((seen.load(Ordering::Relaxed), time.elapsed()), (7, 12));
    }

    #[test]
    #[should_panic(expected = "deadlock")]
    fn the_end_of_time_never_comes() {
        let time = VirtualTime::new();
        let slow = time.timer_with_drift(Duration::ZERO, -100_000);
        let end = Instant::from_nanos(u64::MAX);
        let exact = time.timer();
        time.run(async { join!(slow.sleep_until(end), exact.sleep_until(end)) });
    }

    #[test]
    #[should_panic(expected = "deadlock")]
    fn who_waits_for_nothing_is_told() {
        VirtualTime::new().run(std::future::pending::<()>());
    }

    #[test]
    #[should_panic(expected = "livelock")]
    fn who_never_waits_is_told() {
        VirtualTime::new().run(poll_fn(|cx| {
            cx.waker().wake_by_ref();
            Poll::<()>::Pending
        }));
    }
}
