//! Clients of a service, polled in an order that a seed decides, and what each of them saw.
//!
//! ```text
//! client 1   call .... | poll | ................... | poll -> ok     one thread, in turns;
//! client 2        call |      | poll, dropped: info |                stamps count
//! client 3             |      |                     |      call      calls and returns
//! ```
//!
//! A service that finishes each operation in one poll is called by one client after the other; one
//! that waits inside is met there by all others. So equal seeds give equal runs, if the service
//! does nothing on threads of its own.

use std::cell::{Cell, RefCell};
use std::fmt::{Debug, Display};
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use quorate_core::{Certainty, Instant, SplitMix64};

use super::{Checked, PATIENCE, Report, Stop, done, ensure, real_time, wait};
use crate::check::{Linearizable, Model, Verdict};
use crate::history::{History, Process};

/// A case for so many clients of a new service, which runs with so many seeds.
pub(super) struct ServiceCase<C> {
    pub(super) name: &'static str,
    pub(super) clients: usize,
    pub(super) seeds: u64,
    pub(super) run: fn(&[C], u64) -> Checked,
}

/// Makes a case in which one client does something after the other.
pub(super) const fn script<C>(
    name: &'static str,
    clients: usize,
    run: fn(&[C], u64) -> Checked,
) -> ServiceCase<C> {
    ServiceCase { name, clients, seeds: 1, run }
}

/// Makes a case in which several clients do something at the same time.
pub(super) const fn race<C>(name: &'static str, run: fn(&[C], u64) -> Checked) -> ServiceCase<C> {
    ServiceCase { name, clients: CLIENTS, seeds: SEEDS, run }
}

/// Runs `cases` of a kit, each with clients that `make` makes.
pub(super) fn run_cases<C>(
    kit: &'static str,
    cases: Vec<ServiceCase<C>>,
    mut make: impl FnMut(usize) -> Vec<C>,
) -> Report {
    let mut report = Report::new(kit);
    for case in cases {
        report.run(case.name, || {
            (0..case.seeds).try_for_each(|seed| {
                let clients = make(case.clients);
                let (made, asked) = (clients.len(), case.clients);
                assert_eq!(made, asked, "make returns as many clients as it is asked for");
                (case.run)(&clients, seed)
            })
        });
    }
    report
}

/// Waits for an operation that must succeed.
pub(super) fn call<T, E: Debug>(
    what: &str,
    operation: impl Future<Output = Result<T, E>>,
) -> Checked<T> {
    done(what, wait(what, operation)?)
}

/// What one client does.
pub(super) type Task<'a> = Pin<Box<dyn Future<Output = Checked> + 'a>>;

/// Polls `tasks` until all are done: one of those that were woken after the other.
pub(super) fn run_all<'a>(seed: u64, tasks: impl IntoIterator<Item = Task<'a>>) -> Checked {
    let mut random = SplitMix64::new(seed);
    let mut tasks: Vec<(u64, Arc<Woken>, Task<'a>)> =
        (1..).zip(tasks).map(|(number, task)| (number, Woken::new(), task)).collect();
    let start = real_time();
    let mut last_poll = start;
    while !tasks.is_empty() {
        ensure(start.elapsed() < RUN_MAX, || {
            format!("with seed {seed}, {} clients are not done after {RUN_MAX:?}", tasks.len())
        })?;
        let woken: Vec<usize> =
            (0..tasks.len()).filter(|at| tasks[*at].1.is_woken.load(Ordering::Acquire)).collect();
        if woken.is_empty() {
            let left = PATIENCE.checked_sub(last_poll.elapsed()).filter(|left| !left.is_zero());
            let Some(left) = left else { return Err(waits_for_ever(&tasks, seed)) };
            thread::park_timeout(left);
            continue;
        }
        let at = woken[below(&mut random, woken.len())];
        let (_, flag, task) = &mut tasks[at];
        flag.is_woken.store(false, Ordering::Release);
        let waker = Waker::from(Arc::clone(flag));
        if let Poll::Ready(result) = task.as_mut().poll(&mut Context::from_waker(&waker)) {
            drop(tasks.remove(at));
            result?;
        }
        last_poll = real_time();
    }
    Ok(())
}

fn waits_for_ever(tasks: &[(u64, Arc<Woken>, Task<'_>)], seed: u64) -> Stop {
    let numbers: Vec<String> = tasks.iter().map(|(number, _, _)| number.to_string()).collect();
    let numbers = numbers.join(", ");
    Stop::Broken(format!("with seed {seed}, nothing wakes client {numbers} within {PATIENCE:?}"))
}

pub(super) fn below(random: &mut SplitMix64, end: usize) -> usize {
    usize::try_from(random.below(end as u64)).expect("below a length")
}

/// Returns the chance of one client in one run.
pub(super) fn chance(seed: u64, client: u64) -> SplitMix64 {
    SplitMix64::new(crate::mix(seed, 1, client))
}

/// Lets others go on, as often as `times` says.
pub(super) async fn give_way(mut times: u64) {
    poll_fn(|cx| {
        if times == 0 {
            return Poll::Ready(());
        }
        times -= 1;
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Polls `operation` so many times, one after the other, and drops it if it is not done then.
/// [`FOR_EVER`] waits until it is woken.
pub(super) async fn give_up<T>(mut polls: u64, operation: impl Future<Output = T>) -> Option<T> {
    let mut operation = pin!(operation);
    poll_fn(|cx| {
        if polls == 0 {
            return Poll::Ready(None);
        }
        if polls != FOR_EVER {
            polls -= 1;
            cx.waker().wake_by_ref();
        }
        operation.as_mut().poll(cx).map(Some)
    })
    .await
}

/// What all clients of a run saw.
pub(super) struct Recorder<M: Model> {
    history: RefCell<History<M::Operation, M::Return>>,
    stamp: Cell<u64>,
}

impl<M: Model<Operation: Display, Return: Display>> Recorder<M> {
    pub(super) const fn new() -> Self {
        Self { history: RefCell::new(History::new()), stamp: Cell::new(0) }
    }

    fn now(&self) -> Instant {
        self.stamp.set(self.stamp.get() + 1);
        Instant::from_nanos(self.stamp.get())
    }

    pub(super) fn client(&self) -> Client<'_, M> {
        Client { recorder: self, process: None }
    }

    /// Fails unless one order of all operations explains what each returned.
    pub(super) fn judge(&self, model: M, seed: u64) -> Checked {
        let judge = Linearizable::whole(model).max_steps(MAX_STEPS).max_bytes(MAX_BYTES);
        match judge.check(&self.history.borrow()) {
            // What is too tangled to be judged is no reason to reject anybody.
            Verdict::Linearizable | Verdict::Unknown { .. } => Ok(()),
            verdict @ Verdict::Violation(_) => {
                Err(Stop::Broken(format!("with seed {seed}, the history is {verdict:#}")))
            }
        }
    }
}

/// One client, who takes down what it calls.
pub(super) struct Client<'a, M: Model> {
    recorder: &'a Recorder<M>,
    process: Option<Process>,
}

impl<M: Model<Operation: Display, Return: Display>> Client<'_, M> {
    /// Calls `operation`, which is done by `calling`, and takes down what `returned` makes of what
    /// came back. `None` is no return of the model: then it did not happen.
    ///
    /// Returns what came back, or `None` if nobody knows.
    pub(super) async fn call<T: Copy, E: Certainty>(
        &mut self,
        operation: M::Operation,
        polls: u64,
        calling: impl Future<Output = Result<T, E>>,
        returned: impl FnOnce(T) -> Option<M::Return>,
    ) -> Option<T> {
        let Recorder { history, .. } = self.recorder;
        let process = self.process.take().unwrap_or_else(|| history.borrow_mut().start());
        let call = history.borrow_mut().invoke(process, self.recorder.now(), operation);
        let outcome = give_up(polls, calling).await;
        let (at, mut history) = (self.recorder.now(), history.borrow_mut());
        match outcome {
            Some(Ok(value)) => {
                self.process = Some(match returned(value) {
                    Some(returned) => history.ok(call, at, returned),
                    None => history.fail(call, at),
                });
                return Some(value);
            }
            Some(Err(error)) if error.is_definite() => self.process = Some(history.fail(call, at)),
            Some(Err(_)) | None => history.info(call, at),
        }
        None
    }
}

/// How often an operation is polled before it is given up: sometimes hardly.
pub(super) fn patience(random: &mut SplitMix64, may_drop: bool) -> u64 {
    if may_drop && random.below(DROP_ONE_OF) == 0 { 1 + random.below(3) } else { FOR_EVER }
}

/// Wakes the thread that polls, and says for whom.
struct Woken {
    is_woken: AtomicBool,
    thread: Thread,
}

impl Woken {
    fn new() -> Arc<Self> {
        Arc::new(Self { is_woken: AtomicBool::new(true), thread: thread::current() })
    }
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.is_woken.store(true, Ordering::Release);
        self.thread.unpark();
    }
}

/// An operation that is not given up.
pub(super) const FOR_EVER: u64 = u64::MAX;

/// What takes longer polls again and again, and nothing comes of it.
const RUN_MAX: Duration = Duration::from_secs(20);

/// As many as meet each other often, and are judged soon.
const CLIENTS: usize = 4;

/// In how many orders clients are polled.
const SEEDS: u64 = 50;

/// More dropped operations would make histories that anything explains, if one finds out at all.
const DROP_ONE_OF: u64 = 8;

/// A history that is in order needs some hundreds.
const MAX_STEPS: u64 = 500_000;

const MAX_BYTES: usize = 64 << 20;
