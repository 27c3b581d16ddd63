//! Cases for a [`Timer`]: time that only goes forward, and sleeps that end, not too early.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use quorate_core::{Instant, Timer};

use super::{
    Checked, PATIENCE, Report, ensure, expect, pause, poll_once, real_time, wait, wait_for,
};

/// Checks a timer, in real time: less than a second if it passes. `make` returns one for each case.
///
/// A timer that needs a runtime finds it around the call: `let _guard = runtime.enter()`. That
/// runtime must have threads of its own, since this one is blocked.
pub fn check<T: Timer>(mut make: impl FnMut() -> T) -> Report {
    let mut report = Report::new("timer");
    for (name, case) in cases() {
        report.run(name, || case(&make()));
    }
    report
}

type TimerCase<T> = (&'static str, fn(&T) -> Checked);

fn cases<T: Timer>() -> Vec<TimerCase<T>> {
    vec![
        ("now_never_runs_back", now_never_runs_back),
        ("now_goes_on", now_goes_on),
        ("a_sleep_until_the_past_is_ready", a_sleep_until_the_past_is_ready),
        ("a_sleep_ends_not_before_its_time", a_sleep_ends_not_before_its_time),
        ("a_sleep_is_not_ready_before_its_time", a_sleep_is_not_ready_before_its_time),
        ("two_sleeps_end_in_order", two_sleeps_end_in_order),
        ("sleeps_until_one_instant_all_end", sleeps_until_one_instant_all_end),
        ("a_dropped_sleep_disturbs_no_other", a_dropped_sleep_disturbs_no_other),
        ("the_last_waker_is_woken", the_last_waker_is_woken),
        ("a_sleep_until_the_end_of_time_waits", a_sleep_until_the_end_of_time_waits),
    ]
}

fn now_never_runs_back(timer: &impl Timer) -> Checked {
    let mut last = timer.now();
    for _ in 0..READS {
        let now = timer.now();
        ensure(last <= now, || format!("it was {last}, and then {now}"))?;
        last = now;
    }
    Ok(())
}

fn now_goes_on(timer: &impl Timer) -> Checked {
    let before = timer.now();
    pause(MOMENT);
    let passed = timer.now().saturating_duration_since(before);
    ensure(MOMENT <= passed, || format!("{passed:?} passed in no less than {MOMENT:?}"))
}

fn a_sleep_until_the_past_is_ready(timer: &impl Timer) -> Checked {
    pause(MOMENT);
    for at in [Instant::default(), Instant::from_nanos(1)] {
        let ended = wait_for(Duration::ZERO, timer.sleep_until(at));
        ensure(ended.is_some(), || format!("at {}, it waits for {at}", timer.now()))?;
    }
    Ok(())
}

fn a_sleep_ends_not_before_its_time(timer: &impl Timer) -> Checked {
    for micros in [1, 500, 1_500, 7_300, 20_000] {
        let at = timer.now() + Duration::from_micros(micros);
        wait("a sleep", timer.sleep_until(at))?;
        let now = timer.now();
        ensure(at <= now, || format!("a sleep until {at} ended at {now}"))?;
    }
    Ok(())
}

/// It may be polled at any time, by whoever waits for something else as well.
fn a_sleep_is_not_ready_before_its_time(timer: &impl Timer) -> Checked {
    let at = timer.now() + 3 * MOMENT;
    let mut sleep = pin!(timer.sleep_until(at));
    let start = real_time();
    while poll_once(sleep.as_mut()).is_pending() {
        ensure(start.elapsed() < PATIENCE, || "a sleep never ends".to_owned())?;
        pause(MOMENT / 10);
    }
    let now = timer.now();
    ensure(at <= now, || format!("a sleep until {at} was ready at {now}"))
}

fn two_sleeps_end_in_order(timer: &impl Timer) -> Checked {
    let now = timer.now();
    let (sooner, later) = (now + MOMENT, now + 5 * MOMENT);
    // The later one first, so that it is not the order of the calls that counts.
    let mut second = pin!(timer.sleep_until(later));
    let mut first = pin!(timer.sleep_until(sooner));
    let (mut ended, mut first_end) = (0, None);
    let both = poll_fn(|cx| {
        if first_end.is_none() && first.as_mut().poll(cx).is_ready() {
            first_end = Some(timer.now());
            ended += 1;
        }
        match second.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(()),
            Poll::Pending => Poll::Pending,
        }
    });
    wait("the later of two sleeps", both)?;
    expect("the count of sleeps that ended before the later one", ended, 1)?;
    let end = timer.now();
    ensure(later <= end, || format!("the later one, until {later}, ended at {end}"))
}

fn sleeps_until_one_instant_all_end(timer: &impl Timer) -> Checked {
    let at = timer.now() + 2 * MOMENT;
    let mut sleeps: Vec<_> = (0..SLEEPS).map(|_| Box::pin(timer.sleep_until(at))).collect();
    let all = poll_fn(|cx| {
        sleeps.retain_mut(|sleep| sleep.as_mut().poll(cx).is_pending());
        if sleeps.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    });
    wait("one of many sleeps until one instant", all)
}

fn a_dropped_sleep_disturbs_no_other(timer: &impl Timer) -> Checked {
    let now = timer.now();
    let at = now + 3 * MOMENT;
    drop(timer.sleep_until(at));
    let mut kept = pin!(timer.sleep_until(at));
    {
        let mut same = pin!(timer.sleep_until(at));
        let mut sooner = pin!(timer.sleep_until(now + MOMENT));
        _ = poll_once(same.as_mut());
        _ = poll_once(sooner.as_mut());
        _ = poll_once(kept.as_mut());
    }
    wait("a sleep beside others that were dropped", kept)?;
    let end = timer.now();
    ensure(at <= end, || format!("a sleep until {at} ended at {end}"))
}

/// A future that moves from task to task is polled with another waker each time.
fn the_last_waker_is_woken(timer: &impl Timer) -> Checked {
    let at = timer.now() + 3 * MOMENT;
    let mut sleep = pin!(timer.sleep_until(at));
    let (first, last) = (Arc::new(Flag::default()), Arc::new(Flag::default()));
    for flag in [&first, &last] {
        let waker = Waker::from(Arc::clone(flag));
        let polled = sleep.as_mut().poll(&mut Context::from_waker(&waker));
        ensure(polled.is_pending(), || format!("a sleep until {at} is ready before"))?;
    }
    let start = real_time();
    while !last.0.load(Ordering::Acquire) {
        ensure(start.elapsed() < PATIENCE / 5, || "the last waker is never woken".to_owned())?;
        pause(MOMENT / 5);
    }
    Ok(())
}

fn a_sleep_until_the_end_of_time_waits(timer: &impl Timer) -> Checked {
    let polled = poll_once(pin!(timer.sleep_until(Instant::from_nanos(u64::MAX))));
    ensure(polled.is_pending(), || "a sleep until the end of time is over".to_owned())?;
    wait("a sleep after one without end was dropped", timer.sleep_until(timer.now() + MOMENT))
}

#[derive(Default)]
struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Release);
    }
}

/// Longer than the step of any timer.
const MOMENT: Duration = Duration::from_millis(10);

/// Enough to see a clock that is read from two places.
const READS: u32 = 10_000;

const SLEEPS: usize = 100;
