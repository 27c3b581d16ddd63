//! Cases for a [`TimeSource`]: bounds that are bounds, and hold what they should.

use quorate_core::{ClockBound, TimeSource, Wall};

use super::{Checked, Report, Stop, ensure};

/// Checks a time source against itself. `make` returns one for each case.
///
/// One that knows no bound has nothing to check, and every case is skipped.
pub fn check<T: TimeSource>(mut make: impl FnMut() -> T) -> Report {
    let mut report = Report::new("time_source");
    let cases: [TimeSourceCase<T>; 3] = [
        ("earliest_is_not_after_latest", earliest_is_not_after_latest),
        ("the_bound_holds_the_wall", the_bound_holds_the_wall),
        ("bounds_do_not_contradict_each_other", bounds_do_not_contradict_each_other),
    ];
    for (name, case) in cases {
        report.run(name, || case(&make()));
    }
    report
}

/// Checks a time source against the true time, which `truth` knows, be it that of another clock.
///
/// # Examples
///
/// ```
/// use quorate_sim::{Clock, kit};
///
/// let clock = || {
///     let clock = Clock::new();
///     clock.set_error(-300, 500);
///     clock
/// };
/// kit::time_source::check_with_truth(clock, Clock::true_time).expect_passed();
/// ```
pub fn check_with_truth<T: TimeSource>(
    mut make: impl FnMut() -> T,
    mut truth: impl FnMut(&T) -> Wall,
) -> Report {
    let mut report = check(&mut make);
    report.run("the_bound_holds_the_true_time", || {
        let source = make();
        for _ in 0..READS {
            let before = truth(&source);
            let ClockBound { earliest, latest } = bound(&source)?;
            let after = truth(&source);
            ensure(earliest <= after && before <= latest, || {
                format!("{before:?} is not in {earliest:?}..={latest:?}")
            })?;
        }
        Ok(())
    });
    report
}

type TimeSourceCase<T> = (&'static str, fn(&T) -> Checked);

fn earliest_is_not_after_latest(source: &impl TimeSource) -> Checked {
    for _ in 0..READS {
        let ClockBound { earliest, latest } = bound(source)?;
        ensure(earliest <= latest, || format!("{earliest:?} is after {latest:?}"))?;
    }
    Ok(())
}

/// The wall may jump between two calls: only what is so each time is wrong.
fn the_bound_holds_the_wall(source: &impl TimeSource) -> Checked {
    let mut seen = String::new();
    for _ in 0..JUMPS {
        let before = source.wall();
        let ClockBound { earliest, latest } = bound(source)?;
        let after = source.wall();
        if earliest <= after && before <= latest {
            return Ok(());
        }
        seen = format!("{before:?} is not in {earliest:?}..={latest:?}");
    }
    Err(Stop::broken(seen))
}

/// True time goes forward, so that a later bound cannot end before an earlier one begins.
fn bounds_do_not_contradict_each_other(source: &impl TimeSource) -> Checked {
    let mut highest = bound(source)?.earliest;
    for _ in 0..READS {
        let ClockBound { earliest, latest } = bound(source)?;
        ensure(highest <= latest, || {
            format!("it was {highest:?} at least, and is {latest:?} at most")
        })?;
        highest = highest.max(earliest);
    }
    Ok(())
}

fn bound(source: &impl TimeSource) -> Checked<ClockBound> {
    source.bound().map_err(|unbounded| Stop::Nothing(unbounded.to_string()))
}

const READS: u32 = 1_000;

/// No clock jumps so often in a row.
const JUMPS: u32 = 10;
