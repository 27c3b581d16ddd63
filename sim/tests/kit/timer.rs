//! Timers that break one promise each. The one they are made of is a thread for each sleep.

use std::future::{pending, poll_fn};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::thread;
use std::time::{self, Duration};

use quorate_core::{Instant, Timer};
use quorate_sim::kit;

use super::expect_failed;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Fault {
    None,
    WakesTooEarly,
    RunsBack,
    NeverEnds,
    IgnoresThePast,
    KeepsTheFirstWaker,
    SleepsInSeconds,
}

struct Faulty {
    start: time::Instant,
    fault: Fault,
    reads: Arc<AtomicU64>,
}

impl Faulty {
    #[expect(clippy::disallowed_methods, reason = "a timer is where time comes from")]
    fn new(fault: Fault) -> Self {
        Self { start: time::Instant::now(), fault, reads: Arc::default() }
    }

    fn true_now(&self) -> Instant {
        Instant::default() + self.start.elapsed()
    }
}

impl Timer for Faulty {
    fn now(&self) -> Instant {
        let now = self.true_now();
        let reads = self.reads.fetch_add(1, Ordering::Relaxed);
        if self.fault == Fault::RunsBack && reads % 100 == 99 {
            return Instant::from_nanos(now.as_nanos() / 2);
        }
        now
    }

    async fn sleep_until(&self, at: Instant) {
        let at = match self.fault {
            Fault::WakesTooEarly => Instant::from_nanos(at.as_nanos().saturating_sub(4_000_000)),
            Fault::SleepsInSeconds => at + Duration::from_secs(60),
            _ => at,
        };
        let mut is_started = false;
        let is_past = at <= self.true_now();
        if self.fault == Fault::NeverEnds || (self.fault == Fault::IgnoresThePast && is_past) {
            pending::<()>().await;
        }
        poll_fn(|cx| {
            let is_new = !is_started;
            is_started = true;
            if at <= self.true_now() {
                return Poll::Ready(());
            }
            if is_new || self.fault != Fault::KeepsTheFirstWaker {
                let left = at.saturating_duration_since(self.true_now());
                let waker = cx.waker().clone();
                // Nobody waits for the end of time.
                if left < Duration::from_secs(10) {
                    wake_after(left, waker);
                }
            }
            Poll::Pending
        })
        .await;
    }
}

#[expect(clippy::disallowed_methods, reason = "a thread for each sleep is the simplest timer")]
fn wake_after(left: Duration, waker: std::task::Waker) {
    thread::spawn(move || {
        thread::sleep(left);
        waker.wake();
    });
}

#[test]
fn a_timer_without_a_fault_passes() {
    kit::timer::check(|| Faulty::new(Fault::None)).expect_passed();
}

#[test]
fn each_fault_of_a_timer_is_named() {
    let faults: [(Fault, &[&str]); 5] = [
        (Fault::WakesTooEarly, &["a_sleep_ends_not_before_its_time", "two_sleeps_end_in_order"]),
        (Fault::RunsBack, &["now_never_runs_back"]),
        (Fault::IgnoresThePast, &["a_sleep_until_the_past_is_ready"]),
        (Fault::KeepsTheFirstWaker, &["the_last_waker_is_woken"]),
        (Fault::SleepsInSeconds, &["sleeps_until_one_instant_all_end"]),
    ];
    // They mostly wait.
    thread::scope(|scope| {
        for (fault, names) in faults {
            scope.spawn(move || expect_failed(&kit::timer::check(|| Faulty::new(fault)), names));
        }
    });
}

#[test]
fn a_sleep_that_never_ends_ends_no_test() {
    let report = kit::timer::check(|| Faulty::new(Fault::NeverEnds));
    expect_failed(&report, &["a_sleep_ends_not_before_its_time", "two_sleeps_end_in_order"]);
    assert!(report.case("now_goes_on").is_some_and(|it| it.outcome == kit::Outcome::Passed));
}
