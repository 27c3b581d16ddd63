//! Leader and followers, in every interleaving of a handful of steps.
//!
//! `RUSTFLAGS="--cfg loom" cargo test -p quorate-wal --release --test loom`
//!
//! A thread that waits for ever is a deadlock, which loom reports. The process may then abort,
//! because what unwinds asks the model: the first message says which test it was. In each run at
//! most four switches come where no thread has to wait, which keeps it to seconds;
//! `LOOM_MAX_PREEMPTIONS` sets another number.

#![cfg(loom)]
#![expect(clippy::print_stdout, reason = "it says how much was tried")]

use std::env;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::pin;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use loom::model::Builder;
use loom::sync::{Condvar, Mutex};
use loom::thread::{self, JoinHandle};
use quorate_wal::{Index, Memory, Visible, WakeUp, Wal, WriteError, forget};

use counting::Counting;
use small::{config, read_all};

#[path = "small/counting.rs"]
mod counting;
#[path = "small/log.rs"]
mod small;

type Disk = Counting<Memory>;
type Outcome = Result<(), WriteError>;

/// Runs `model` in every interleaving with at most so many switches that are not forced.
fn check(name: &str, preemptions: usize, model: impl Fn() + Send + Sync + 'static) {
    let count = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&count);
    let mut builder = Builder::new();
    builder.preemption_bound.get_or_insert(preemptions);
    builder.max_branches = 20_000;
    builder.check(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        model();
    });
    println!("{name}: {} interleavings", count.load(Ordering::Relaxed));
}

fn open() -> (Wal<Disk>, Disk) {
    let disk = Disk::default();
    let (wal, _) = Wal::open_on(disk.clone(), config()).expect("the disk is empty");
    (wal, disk)
}

fn append_and_wait(wal: &Wal<Disk>, record: &'static str) -> Outcome {
    wal.append(record)?.wait()
}

fn append_and_await(wal: &Wal<Disk>, record: &'static str) -> Outcome {
    block_on(wal.append(record)?)
}

/// Appends in a thread of its own.
fn spawn(
    wal: &Wal<Disk>,
    how: fn(&Wal<Disk>, &'static str) -> Outcome,
    record: &'static str,
) -> JoinHandle<Outcome> {
    let wal = wal.clone();
    thread::spawn(move || how(&wal, record))
}

/// Wakes a thread that polls.
#[derive(Default)]
struct Bell {
    has_rung: Mutex<bool>,
    rings: Condvar,
    count: AtomicUsize,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.count.fetch_add(1, Ordering::Relaxed);
        *self.has_rung.lock().expect("nobody panics with it") = true;
        self.rings.notify_one();
    }
}

/// Polls `future` until it is ready, and not again before it was woken.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    let bell = Arc::new(Bell::default());
    let waker = Waker::from(Arc::clone(&bell));
    let mut future = pin!(future);
    let mut polls = 0;
    loop {
        polls += 1;
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            assert!(polls <= bell.count.load(Ordering::Relaxed) + 1, "it was polled unasked");
            return output;
        }
        let mut has_rung = bell.has_rung.lock().expect("nobody panics with it");
        while !std::mem::take(&mut *has_rung) {
            has_rung = bell.rings.wait(has_rung).expect("nobody panics with it");
        }
    }
}

fn expect_poisoned(outcome: &Outcome) {
    assert!(matches!(outcome, Err(WriteError::Poisoned { .. })), "{outcome:?}");
}

/// Two threads append and wait, and a task awaits.
fn two_writers_and_a_poller() {
    let (wal, disk) = open();
    let before = (disk.syncs(), disk.lengths_changed());
    let others = [spawn(&wal, append_and_wait, "a"), spawn(&wal, append_and_await, "b")];
    append_and_wait(&wal, "c").expect("the disk is sound");
    for other in others {
        other.join().expect("it does not panic").expect("the disk is sound");
    }
    assert_eq!(wal.durable_end(), Index(4));
    let mut records = read_all(&wal);
    records.sort();
    assert_eq!(records, ["a", "b", "c"]);
    let stats = wal.stats();
    assert_eq!((stats.records, stats.batches), (3, 3));
    assert!((1..=3).contains(&stats.groups), "{stats:?}");
    let done = (disk.syncs() - before.0, disk.lengths_changed() - before.1);
    assert_eq!(done, (stats.groups, stats.groups), "one write and one sync for each group");
}

#[test]
fn everybody_is_acknowledged() {
    check("everybody_is_acknowledged", 4, two_writers_and_a_poller);
}

/// Two groups: who is woken by the first leads the second, thread or task.
fn a_writer_and_two_pollers() {
    let (wal, _) = open();
    let others = [spawn(&wal, append_and_await, "a"), spawn(&wal, append_and_await, "b")];
    append_and_wait(&wal, "c").expect("the disk is sound");
    for other in others {
        other.join().expect("it does not panic").expect("the disk is sound");
    }
    assert_eq!(wal.durable_end(), Index(4));
}

#[test]
fn tasks_hand_over() {
    check("tasks_hand_over", 4, a_writer_and_two_pollers);
}

/// The first sync fails: nobody is acknowledged, now or later.
fn a_leader_that_fails() {
    let (wal, disk) = open();
    disk.at_sync(|number| match number {
        1 => Err(io::Error::other("planned")),
        _ => Ok(()),
    });
    let others = [spawn(&wal, append_and_wait, "a"), spawn(&wal, append_and_await, "b")];
    expect_poisoned(&append_and_wait(&wal, "c"));
    for other in others {
        expect_poisoned(&other.join().expect("it does not panic"));
    }
    expect_poisoned(&append_and_wait(&wal, "later"));
    expect_poisoned(&wal.sync().map(drop));
    assert_eq!((wal.durable_end(), disk.syncs()), (Index(1), 2));
}

#[test]
fn a_failed_leader_wakes_everybody() {
    check("a_failed_leader_wakes_everybody", 4, a_leader_that_fails);
}

/// What a disk panics with.
struct Planned;

/// The first sync panics: who led panics, the others hear that the log failed.
fn a_leader_that_panics() {
    let (wal, disk) = open();
    disk.at_sync(|_| resume_unwind(Box::new(Planned)));
    let guarded = |wal: &Wal<Disk>, how: fn(&Wal<Disk>, &'static str) -> Outcome| {
        match catch_unwind(AssertUnwindSafe(|| how(wal, "x"))) {
            Ok(outcome) => Some(outcome),
            Err(panic) if panic.is::<Planned>() => None,
            // What loom has to say.
            Err(panic) => resume_unwind(panic),
        }
    };
    let others = [append_and_wait, append_and_await].map(|how| {
        let wal = wal.clone();
        thread::spawn(move || guarded(&wal, how))
    });
    let mut outcomes = vec![guarded(&wal, append_and_wait)];
    outcomes.extend(others.map(|other| other.join().expect("it is caught")));
    assert_eq!(outcomes.iter().filter(|it| it.is_none()).count(), 1, "{outcomes:?}");
    outcomes.iter().flatten().for_each(expect_poisoned);
    expect_poisoned(&append_and_wait(&wal, "later"));
    assert_eq!(wal.durable_end(), Index(1));
}

#[test]
fn a_leader_that_panics_wakes_everybody() {
    check("a_leader_that_panics_wakes_everybody", 4, a_leader_that_panics);
}

/// A task registers, and is dropped: nobody waits for it to lead.
fn a_poller_that_is_dropped() {
    let (wal, _) = open();
    let gone = wal.clone();
    let gone = thread::spawn(move || {
        let bell = Waker::from(Arc::new(Bell::default()));
        let mut ack = gone.append("gone").expect("within limits");
        let _ = std::pin::Pin::new(&mut ack).poll(&mut Context::from_waker(&bell));
    });
    let other = spawn(&wal, append_and_await, "b");
    append_and_wait(&wal, "c").expect("the disk is sound");
    other.join().expect("it does not panic").expect("the disk is sound");
    gone.join().expect("it does not panic");
    assert_eq!(wal.sync().expect("the disk is sound"), Index(4));
}

#[test]
fn a_task_that_is_dropped_leaves_nobody_waiting() {
    check("a_task_that_is_dropped_leaves_nobody_waiting", 4, a_poller_that_is_dropped);
}

/// A thread of the log comes and goes: who waits then leads, or was served.
fn an_io_thread_that_ends(others: &[fn(&Wal<Disk>, &'static str) -> Outcome]) {
    let (wal, _) = open();
    let io_thread = wal.spawn_io_thread().expect("there are threads");
    let others: Vec<_> = others.iter().map(|how| spawn(&wal, *how, "x")).collect();
    let end = Index(1 + others.len() as u64);
    drop(io_thread);
    for other in others {
        other.join().expect("it does not panic").expect("the disk is sound");
    }
    assert_eq!(wal.durable_end(), end);
}

fn an_io_thread_and_a_writer() {
    an_io_thread_that_ends(&[append_and_wait]);
}

fn an_io_thread_and_a_poller() {
    an_io_thread_that_ends(&[append_and_await]);
}

#[test]
fn an_io_thread_leaves_no_thread_waiting() {
    check("an_io_thread_leaves_no_thread_waiting", 4, an_io_thread_and_a_writer);
}

#[test]
fn an_io_thread_leaves_no_task_waiting() {
    check("an_io_thread_leaves_no_task_waiting", 4, an_io_thread_and_a_poller);
}

#[test]
fn an_io_thread_leaves_nobody_waiting() {
    check("an_io_thread_leaves_nobody_waiting", 2, || {
        an_io_thread_that_ends(&[append_and_wait, append_and_await]);
    });
}

/// A log is closed while others append: each hears that it is durable, or closed.
fn a_log_that_is_closed() {
    let (wal, disk) = open();
    let others = [spawn(&wal, append_and_wait, "a"), spawn(&wal, append_and_await, "b")];
    wal.close().expect("the disk is sound");
    let mut count = 0;
    for other in others {
        match other.join().expect("it does not panic") {
            Ok(()) => count += 1,
            Err(error) => assert!(matches!(error, WriteError::Closed), "{error}"),
        }
    }
    let (wal, recovered) = Wal::open_on(disk, config()).expect("it was closed");
    assert_eq!(read_all(&wal).len(), count);
    assert_eq!(recovered.cut, None);
}

#[test]
fn closing_leaves_nobody_waiting() {
    check("closing_leaves_nobody_waiting", 4, a_log_that_is_closed);
}

/// Someone follows: what becomes durable comes to him.
fn a_follower_of_the_tail() {
    let (wal, _) = open();
    let mut tail = wal.tail(Index(1), Visible::Durable);
    let follower = thread::spawn(move || {
        // Here nothing times out.
        let mut next = || tail.next_timeout(Duration::ZERO).expect("sound").expect("no clock");
        [next().0, next().0]
    });
    let other = spawn(&wal, append_and_await, "a");
    append_and_wait(&wal, "b").expect("the disk is sound");
    other.join().expect("it does not panic").expect("the disk is sound");
    assert_eq!(follower.join().expect("it does not panic"), [Index(1), Index(2)]);
}

#[test]
fn a_tail_is_told() {
    check("a_tail_is_told", 4, a_follower_of_the_tail);
}

/// Leaves out `wake_up`, which `model` must not survive: it ends in a deadlock. The test called
/// `name` runs once more for that, in a process of its own: what a deadlock leaves behind, loom
/// cannot always drop.
fn check_forgotten(name: &str, wake_up: WakeUp, model: fn()) {
    if env::var_os(FORGETS).is_some() {
        forget(wake_up);
        check(name, 4, model);
        return;
    }
    let mut command = Command::new(env::current_exe().expect("it runs"));
    let output = command.args(["--exact", name, "--nocapture"]).env(FORGETS, "1").output();
    let output = output.expect("it can be started");
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{wake_up:?} was not missed");
    assert!(words.contains("deadlock"), "{wake_up:?}: {words}");
}

/// In the environment of a process that forgets.
const FORGETS: &str = "QUORATE_LOOM_FORGETS";

#[test]
fn a_next_leader_that_is_forgotten_is_missed() {
    let name = "a_next_leader_that_is_forgotten_is_missed";
    check_forgotten(name, WakeUp::NextLeader, two_writers_and_a_poller);
}

#[test]
fn threads_that_are_forgotten_are_missed() {
    let name = "threads_that_are_forgotten_are_missed";
    check_forgotten(name, WakeUp::Threads, two_writers_and_a_poller);
}

#[test]
fn tasks_that_are_forgotten_are_missed() {
    let name = "tasks_that_are_forgotten_are_missed";
    check_forgotten(name, WakeUp::Tasks, two_writers_and_a_poller);
}

#[test]
fn waiters_of_a_leader_that_panics_are_missed() {
    let name = "waiters_of_a_leader_that_panics_are_missed";
    check_forgotten(name, WakeUp::Panic, a_leader_that_panics);
}

#[test]
fn threads_that_are_left_behind_are_missed() {
    let name = "threads_that_are_left_behind_are_missed";
    check_forgotten(name, WakeUp::LeftBehind, an_io_thread_and_a_writer);
}

#[test]
fn tasks_that_are_left_behind_are_missed() {
    let name = "tasks_that_are_left_behind_are_missed";
    check_forgotten(name, WakeUp::LeftBehind, an_io_thread_and_a_poller);
}
