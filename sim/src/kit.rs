//! Conformance kits: does an implementation keep its contract?
//!
//! ```text
//! of a trait of quorate-core
//!   disk::check(|| my_disk())                          a fresh, empty disk for each case
//!   storage::check(|| open(), |number| record(number)) the same storage, opened again
//!   timer::check(|| my_timer())                        in real time, for about a second
//!   time_source::check(|| my_clock())
//!   transport::check(|| my_pair())                     two fresh ends of a link that works
//! of a service, as its clients see it
//!   register::check(|clients| my_clients(clients))     so many clients of a fresh one
//!   lock::check(|clients| my_clients(clients))
//!   queue::check(|clients| my_clients(clients))
//! of a cluster, as whoever operates it sees it
//!   replicated_log::check(|conditions| my_cluster(conditions))      in virtual time
//!            |
//!            v
//! Report     one line for each case: its name, passed or failed, and why
//! ```
//!
//! A case that panics has failed, and so has one that waits for longer than it should. What blocks
//! its thread for ever, blocks the kit: that is for the runner of the tests to end.
//!
//! A kit calls an implementation from outside. It finds what breaks always, or in one of a few
//! tries; what breaks under faults or load is for a [`World`](crate::World) to find. Only
//! [`replicated_log`] has faults of its own.

mod clients;
pub mod disk;
pub mod lock;
pub mod queue;
pub mod register;
pub mod replicated_log;
pub mod storage;
pub mod time_source;
pub mod timer;
pub mod transport;

use std::fmt;
use std::future::Future;
use std::panic::{self, AssertUnwindSafe};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use crate::violation::{panic_message, silently};

/// What a kit found, case by case.
///
/// # Examples
///
/// ```
/// use quorate_sim::{Disk, kit};
///
/// let report = kit::disk::check(Disk::new);
/// assert!(report.is_passed(), "{report}");
/// assert!(report.to_string().contains("passed  disk::lock_excludes_a_second\n"));
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
#[must_use = "a report that nobody reads finds nothing"]
#[non_exhaustive]
pub struct Report {
    /// Which kit it is of.
    pub kit: &'static str,
    /// The cases, in the order they ran.
    pub cases: Vec<Case>,
}

/// One case of a kit.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Case {
    /// The law that it checks.
    pub name: &'static str,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of a [`Case`].
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Outcome {
    /// The implementation did what the contract says.
    Passed,
    /// It did not, and this is what it did.
    Failed(String),
    /// The implementation has nothing to check, and this is why.
    Skipped(String),
}

impl Report {
    pub(crate) const fn new(kit: &'static str) -> Self {
        Self { kit, cases: Vec::new() }
    }

    /// Runs a case, and takes in what came of it, a panic included.
    pub(crate) fn run(&mut self, name: &'static str, case: impl FnOnce() -> Checked) {
        let outcome = match caught(case) {
            Ok(Ok(())) => Outcome::Passed,
            Ok(Err(Stop::Broken(why))) => Outcome::Failed(why),
            Ok(Err(Stop::Nothing(why))) => Outcome::Skipped(why),
            Err(panic) => Outcome::Failed(format!("it panicked: {panic}")),
        };
        self.cases.push(Case { name, outcome });
    }

    /// Returns whether no case failed.
    #[must_use]
    pub fn is_passed(&self) -> bool {
        self.failed().next().is_none()
    }

    /// Returns the names of the cases that failed, in the order they ran.
    pub fn failed(&self) -> impl Iterator<Item = &'static str> {
        let is_failed = |case: &&Case| matches!(case.outcome, Outcome::Failed(_));
        self.cases.iter().filter(is_failed).map(|case| case.name)
    }

    /// Returns the case called `name`, or `None` if this kit has none of that name.
    #[must_use]
    pub fn case(&self, name: &str) -> Option<&Case> {
        self.cases.iter().find(|case| case.name == name)
    }

    /// Ends a test, unless all is well.
    ///
    /// # Panics
    ///
    /// If a case failed, with the names of all that did, and why.
    #[track_caller]
    pub fn expect_passed(&self) {
        let failed: Vec<&str> = self.failed().collect();
        assert!(failed.is_empty(), "{} breaks {}\n{self}", self.kit, failed.join(", "));
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Case { name, outcome } in &self.cases {
            match outcome {
                Outcome::Passed => writeln!(f, "passed  {}::{name}", self.kit)?,
                Outcome::Failed(why) => writeln!(f, "FAILED  {}::{name}: {why}", self.kit)?,
                Outcome::Skipped(why) => writeln!(f, "skipped {}::{name}: {why}", self.kit)?,
            }
        }
        Ok(())
    }
}

/// What a case returns.
pub(crate) type Checked<T = ()> = Result<T, Stop>;

/// Why a case ends early.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The contract is broken.
    Broken(String),
    /// There is nothing to check.
    Nothing(String),
}

impl Stop {
    pub(crate) fn broken(why: impl Into<String>) -> Self {
        Self::Broken(why.into())
    }
}

/// Fails the case unless `is_kept`.
pub(crate) fn ensure(is_kept: bool, why: impl FnOnce() -> String) -> Checked {
    if is_kept { Ok(()) } else { Err(Stop::Broken(why())) }
}

/// Fails the case unless `found` is what was `expected`.
pub(crate) fn expect<T: fmt::Debug + PartialEq>(what: &str, found: T, expected: T) -> Checked {
    ensure(found == expected, || format!("{what} is {found:?}, expected {expected:?}"))
}

/// Fails the case if an operation that must succeed does not.
pub(crate) fn done<T, E: fmt::Debug>(doing: &str, result: Result<T, E>) -> Checked<T> {
    result.map_err(|error| Stop::Broken(format!("{doing} failed: {error:?}")))
}

/// Runs `run`, and returns what it panicked with. Nothing is printed.
pub(crate) fn caught<T>(run: impl FnOnce() -> T) -> Result<T, String> {
    silently(|| panic::catch_unwind(AssertUnwindSafe(run)))
        .map_err(|panic| panic_message(&*panic).to_owned())
}

/// Waits for `future` on this thread, or fails the case after [`PATIENCE`].
pub(crate) fn wait<T>(what: &str, future: impl Future<Output = T>) -> Checked<T> {
    wait_for(PATIENCE, future).ok_or_else(|| {
        Stop::Broken(format!("{what} is not ready after {PATIENCE:?}: it waits for ever"))
    })
}

/// Waits for `future` on this thread, for `limit` at most.
pub(crate) fn wait_for<T>(limit: Duration, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut cx = Context::from_waker(&waker);
    let start = real_time();
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut cx) {
            return Some(value);
        }
        // The end of the limit wakes nobody: what is ready then and woke nobody, waits for ever.
        let left = limit.checked_sub(start.elapsed()).filter(|left| !left.is_zero())?;
        thread::park_timeout(left);
        if limit <= start.elapsed() {
            return None;
        }
    }
}

/// Polls `future` once, with a waker that does nothing.
pub(crate) fn poll_once<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// Lets real time pass.
pub(crate) fn pause(duration: Duration) {
    _ = wait_for(duration, std::future::pending::<()>());
}

#[expect(clippy::disallowed_methods, reason = "what is checked may wait in real time")]
pub(crate) fn real_time() -> Instant {
    Instant::now()
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Nothing that a kit asks for takes so long, also on a machine with much else to do.
const PATIENCE: Duration = Duration::from_secs(3);
