//! What the waiting code locks, waits and counts with: one door, so that a model can stand behind.
//!
//! ```text
//! as built       parking_lot, std
//! --cfg loom     the same calls on loom's types: `tests/loom.rs` then tries every interleaving
//! ```
//!
//! Only what leaders and followers share goes through here. A disk does not: for the model, what it
//! does is one step.

#[cfg(not(loom))]
pub(crate) use std::sync::{
    OnceLock,
    atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
};
#[cfg(not(loom))]
pub(crate) use std::thread::{Builder, JoinHandle, current, yield_now};

#[cfg(not(loom))]
pub(crate) use parking_lot::{Condvar, Mutex, MutexGuard};

#[cfg(loom)]
pub(crate) use loom::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
#[cfg(loom)]
pub(crate) use loom::thread::{Builder, JoinHandle, current, yield_now};

#[cfg(loom)]
pub(crate) use model::{Condvar, Mutex, MutexGuard, OnceLock};

/// A wake-up that a leader might forget, so that a test can show that the model sees it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
#[cfg_attr(not(loom), expect(unreachable_pub, reason = "it is exported for the model alone"))]
pub enum WakeUp {
    /// Of one who waits for what came meanwhile, and leads next.
    NextLeader,
    /// Of the threads whose group is settled.
    Threads,
    /// Of the tasks whose group is settled.
    Tasks,
    /// Of everybody, when the disk panics.
    Panic,
    /// Of those whom a thread of the log leaves behind.
    LeftBehind,
}

/// Returns whether `wake_up` is left out.
#[cfg(not(loom))]
pub(crate) const fn forgets(_wake_up: WakeUp) -> bool {
    false
}

/// Returns whether `wake_up` is left out.
#[cfg(loom)]
pub(crate) fn forgets(wake_up: WakeUp) -> bool {
    model::FORGOTTEN.get() == Some(wake_up)
}

/// Leaves out `wake_up` in the models of this thread.
#[cfg(loom)]
pub fn forget(wake_up: WakeUp) {
    model::FORGOTTEN.set(Some(wake_up));
}

/// The types of loom, called as those of `parking_lot` are.
#[cfg(loom)]
mod model {
    use std::cell::Cell;
    use std::ops::{Deref, DerefMut};
    use std::time::Duration;

    use super::{AtomicBool, Ordering, WakeUp};

    thread_local! {
        /// All threads of a model run on the thread of its test.
        pub(super) static FORGOTTEN: Cell<Option<WakeUp>> = const { Cell::new(None) };
    }

    #[derive(Debug, Default)]
    pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(loom::sync::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
            MutexGuard { mutex: self, guard: Some(self.acquire()) }
        }

        fn acquire(&self) -> loom::sync::MutexGuard<'_, T> {
            self.0.lock().expect("nobody panics with it")
        }
    }

    #[derive(Debug)]
    pub(crate) struct MutexGuard<'a, T> {
        mutex: &'a Mutex<T>,
        /// `None` only while it is let go of.
        guard: Option<loom::sync::MutexGuard<'a, T>>,
    }

    impl<T> MutexGuard<'_, T> {
        /// Runs `work` without the lock, which is taken again also if that panics.
        pub(crate) fn unlocked<U>(guard: &mut Self, work: impl FnOnce() -> U) -> U {
            struct Relock<'a, 'b, T>(&'a mut MutexGuard<'b, T>);
            impl<T> Drop for Relock<'_, '_, T> {
                fn drop(&mut self) {
                    self.0.guard = Some(self.0.mutex.acquire());
                }
            }
            guard.guard = None;
            let _relock = Relock(guard);
            work()
        }
    }

    impl<T> Deref for MutexGuard<'_, T> {
        type Target = T;

        fn deref(&self) -> &T {
            self.guard.as_ref().expect("it is not let go of")
        }
    }

    impl<T> DerefMut for MutexGuard<'_, T> {
        fn deref_mut(&mut self) -> &mut T {
            self.guard.as_mut().expect("it is not let go of")
        }
    }

    #[derive(Debug, Default)]
    pub(crate) struct Condvar(loom::sync::Condvar);

    impl Condvar {
        pub(crate) fn new() -> Self {
            Self::default()
        }

        pub(crate) fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
            let inner = guard.guard.take().expect("it is not let go of");
            guard.guard = Some(self.0.wait(inner).expect("nobody panics with it"));
        }

        /// A model has no clock: all time is over at once, but others may come in between.
        pub(crate) fn wait_for<T>(&self, guard: &mut MutexGuard<'_, T>, _timeout: Duration) {
            MutexGuard::unlocked(guard, super::yield_now);
        }

        /// A model has no clock: nobody waits in vain here.
        pub(crate) fn wait_while_for<T>(
            &self,
            guard: &mut MutexGuard<'_, T>,
            mut condition: impl FnMut(&mut T) -> bool,
            _timeout: Duration,
        ) -> TimedOut {
            while condition(guard) {
                self.wait(guard);
            }
            TimedOut
        }

        pub(crate) fn notify_one(&self) {
            self.0.notify_one();
        }

        /// Of how many were woken, loom does not tell.
        pub(crate) fn notify_all(&self) -> usize {
            self.0.notify_all();
            0
        }
    }

    pub(crate) struct TimedOut;

    impl TimedOut {
        pub(crate) const fn timed_out(&self) -> bool {
            false
        }
    }

    /// Loom has none. The flag orders as that of std does; the value is then there.
    #[derive(Debug)]
    pub(crate) struct OnceLock<T> {
        is_set: AtomicBool,
        value: std::sync::OnceLock<T>,
    }

    impl<T> OnceLock<T> {
        pub(crate) fn get(&self) -> Option<&T> {
            if self.is_set.load(Ordering::Acquire) { self.value.get() } else { None }
        }

        pub(crate) fn set(&self, value: T) -> Result<(), T> {
            self.value.set(value)?;
            self.is_set.store(true, Ordering::Release);
            Ok(())
        }
    }

    impl<T> Default for OnceLock<T> {
        fn default() -> Self {
            Self { is_set: AtomicBool::new(false), value: std::sync::OnceLock::new() }
        }
    }
}
