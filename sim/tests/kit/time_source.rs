//! Clocks that break one promise each.

use std::sync::atomic::{AtomicU64, Ordering};

use quorate_core::{ClockBound, TimeSource, Unbounded, Wall};
use quorate_sim::{Clock, kit};

use super::expect_failed;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Fault {
    SwapsTheEnds,
    SkipsTheWall,
    RunsBack,
    IsUnbounded,
}

struct Faulty {
    clock: Clock,
    fault: Fault,
    calls: AtomicU64,
}

impl TimeSource for Faulty {
    fn wall(&self) -> Wall {
        self.clock.wall()
    }

    fn bound(&self) -> Result<ClockBound, Unbounded> {
        let ClockBound { earliest, latest } = self.clock.bound()?;
        let calls = self.calls.fetch_add(1, Ordering::Relaxed);
        match self.fault {
            Fault::SwapsTheEnds => Ok(ClockBound { earliest: latest, latest: earliest }),
            Fault::SkipsTheWall => Ok(ClockBound { earliest: Wall(latest.0 + 1), latest }),
            Fault::RunsBack if calls == 7 => {
                Ok(ClockBound { earliest: Wall(0), latest: Wall(1_000) })
            }
            Fault::RunsBack => Ok(ClockBound { earliest, latest }),
            Fault::IsUnbounded => Err(Unbounded),
        }
    }
}

fn clock() -> Clock {
    let clock = Clock::new();
    clock.set_error(-3_000, 5_000);
    clock
}

fn check(fault: Fault) -> kit::Report {
    kit::time_source::check(|| Faulty { clock: clock(), fault, calls: AtomicU64::new(0) })
}

#[test]
fn the_simulated_clock_passes_until_its_bound_is_broken() {
    kit::time_source::check(clock).expect_passed();
    kit::time_source::check_with_truth(clock, Clock::true_time).expect_passed();
    let broken = || {
        let clock = clock();
        clock.break_bound(-10_000);
        clock
    };
    let report = kit::time_source::check_with_truth(broken, Clock::true_time);
    assert_eq!(report.failed().collect::<Vec<_>>(), ["the_bound_holds_the_true_time"]);
}

#[test]
fn each_fault_of_a_clock_is_named() {
    expect_failed(&check(Fault::SwapsTheEnds), &["earliest_is_not_after_latest"]);
    expect_failed(&check(Fault::SkipsTheWall), &["the_bound_holds_the_wall"]);
    expect_failed(&check(Fault::RunsBack), &["bounds_do_not_contradict_each_other"]);
}

#[test]
fn a_clock_without_a_bound_has_nothing_to_check() {
    let report = check(Fault::IsUnbounded);
    report.expect_passed();
    let is_skipped = |case: &kit::Case| matches!(case.outcome, kit::Outcome::Skipped(_));
    assert!(report.cases.iter().all(is_skipped), "{report}");
}
