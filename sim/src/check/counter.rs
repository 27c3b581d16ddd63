//! A counter that copies count on their own: nothing acknowledged is lost in the end, and nothing
//! is counted that nobody added.
//!
//! What may have happened leaves a choice: a final read may be any sum of what is acknowledged and
//! some of the rest. These sums are kept as a union of intervals, never as a list: 40 unknown
//! additions of 1 are one interval of 41 values.
//!
//! JSON lines, as [`lines`](crate::history::lines) reads them for
//! [`models::Counter`](super::models::Counter), wrapped in [`Each`](super::Each) or not:
//!
//! ```text
//! {"process":0,"type":"invoke","f":"add","value":2}
//! {"process":0,"type":"ok","f":"add"}
//! {"process":1,"type":"invoke","f":"read"}
//! {"process":1,"type":"ok","f":"read","value":2}
//! ```
//!
//! A read is final if it was called after the last addition was over: its client must have waited
//! until the copies had time to agree. Of other reads only what is impossible is judged.

use std::fmt;
use std::ops::RangeInclusive;

use super::models::{CounterOp, CounterReturn};
use super::report::Report;
use super::slips::{Slip, is_planted};
use crate::history::{History, Outcome};

/// A judge of counters.
///
/// # Examples
///
/// ```
/// use quorate_sim::check::counter::Counters;
/// use quorate_sim::check::models::{Counter, CounterOp, CounterReturn};
/// use quorate_sim::{History, Instant};
///
/// let at = Instant::from_nanos;
/// let mut history = History::new();
/// let process = history.start();
/// let call = history.invoke(process, at(1), CounterOp::Add(2));
/// let process = history.ok(call, at(2), CounterReturn::Done);
/// let call = history.invoke(process, at(3), CounterOp::Add(3));
/// history.info(call, at(4));
/// let process = history.start();
/// let call = history.invoke(process, at(5), CounterOp::Read);
/// _ = history.ok(call, at(6), CounterReturn::Found(4));
///
/// let verdict = Counters.check(&history);
/// assert_eq!(verdict.to_string(), "wrong-final, acceptable [2, 2] [5, 5]");
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "there is nothing to configure")]
pub struct Counters;

/// What is wrong with a read.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum CounterFault {
    /// It is final, and no sum of what happened and what may have happened.
    WrongFinal,
    /// It is more, or less, than all that was asked for until it returned.
    Impossible,
}

/// What a judge says of a counter.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct CounterVerdict {
    /// What is wrong.
    pub report: Report<CounterFault>,
    /// What a final read may find.
    pub acceptable: Intervals,
    /// How many reads were final. If none, little was judged.
    pub final_reads: usize,
}

impl Counters {
    /// Judges `history`. O(n log n), and memory for at most 4,096 intervals.
    #[must_use]
    pub fn check(&self, history: &History<CounterOp, CounterReturn>) -> CounterVerdict {
        let mut acceptable = Intervals::one(0);
        let mut last_end = None;
        // Calls in the order of time, and the sums of what may be added and taken away until then.
        let mut calls: Vec<_> = Vec::new();
        for span in history.spans() {
            let CounterOp::Add(by) = span.operation else { continue };
            let by = i128::from(by);
            match &span.outcome {
                Outcome::Ok { at, .. } => {
                    acceptable.shift(by);
                    last_end = last_end.max(Some(*at));
                }
                Outcome::Fail { .. } => continue,
                Outcome::Info { .. } if is_planted(Slip::UnknownIsFailed) => continue,
                Outcome::Info { at } => {
                    acceptable.maybe_shift(by);
                    last_end = last_end.max(Some(at.unwrap_or(span.called)));
                }
            }
            calls.push((span.called, by.min(0), by.max(0)));
        }
        calls.sort_unstable();
        let (mut least, mut most) = (0, 0);
        for (_, less, more) in &mut calls {
            (least, most) = (least + *less, most + *more);
            (*less, *more) = (least, most);
        }
        let mut report = Report::new();
        let mut final_reads = 0;
        for (index, span) in history.spans().iter().enumerate() {
            let Outcome::Ok { at, returned: CounterReturn::Found(found) } = &span.outcome else {
                continue;
            };
            let found = i128::from(*found);
            let asked = calls.partition_point(|(called, ..)| called <= at).checked_sub(1);
            let (_, least, most) = asked.map_or((*at, 0, 0), |asked| calls[asked]);
            if found < least || most < found {
                report.note(CounterFault::Impossible, &[index], || {
                    format!(
                        "operation {index} read {found}, but all until then is in [{least}, {most}]"
                    )
                });
            }
            if last_end.is_none_or(|end| end <= span.called) {
                final_reads += 1;
                if !acceptable.has(found) {
                    report.note(CounterFault::WrongFinal, &[index], || {
                        format!("operation {index} read {found}, acceptable {acceptable}")
                    });
                }
            }
        }
        CounterVerdict { report, acceptable, final_reads }
    }
}

impl CounterVerdict {
    /// Returns whether nothing is wrong.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.report.is_valid()
    }
}

impl fmt::Display for CounterVerdict {
    /// Writes the kinds and what is acceptable; `{:#}` has a line for each case.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if f.alternate() {
            write!(f, "{:#}", self.report)?;
            return writeln!(f, "{} final reads, acceptable {}", self.final_reads, self.acceptable);
        }
        write!(f, "{}", self.report)?;
        if self.is_valid() { Ok(()) } else { write!(f, ", acceptable {}", self.acceptable) }
    }
}

/// Numbers, as a union of intervals with gaps between them.
///
/// Beyond 4,096 intervals the smallest gaps are filled: then it has numbers that it should not, and
/// never lacks one that it should have.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Intervals {
    ranges: Vec<(i128, i128)>,
    is_exact: bool,
}

impl Intervals {
    fn one(number: i128) -> Self {
        Self { ranges: vec![(number, number)], is_exact: true }
    }

    /// Returns whether `number` is in one of them.
    #[must_use]
    pub fn has(&self, number: i128) -> bool {
        let after = self.ranges.partition_point(|(first, _)| *first <= number);
        after.checked_sub(1).is_some_and(|at| number <= self.ranges[at].1)
    }

    /// Returns them in order, each with its first and last number.
    pub fn ranges(&self) -> impl Iterator<Item = RangeInclusive<i128>> {
        self.ranges.iter().map(|(first, last)| *first..=*last)
    }

    /// Returns whether no gap was filled.
    #[must_use]
    pub const fn is_exact(&self) -> bool {
        self.is_exact
    }

    fn shift(&mut self, by: i128) {
        for (first, last) in &mut self.ranges {
            *first += by;
            *last += by;
        }
    }

    /// Adds all numbers that are more by this.
    fn maybe_shift(&mut self, by: i128) {
        let shifted: Vec<_> =
            self.ranges.iter().map(|(first, last)| (first + by, last + by)).collect();
        self.ranges.extend(shifted);
        self.ranges.sort_unstable();
        self.join(1);
        if RANGES_MAX < self.ranges.len() {
            let mut gaps: Vec<i128> =
                self.ranges.windows(2).map(|pair| pair[1].0 - pair[0].1).collect();
            gaps.sort_unstable();
            self.join(gaps[self.ranges.len() - RANGES_MAX - 1]);
            self.is_exact = false;
        }
    }

    /// Joins those between which there is no more than `gap`.
    fn join(&mut self, gap: i128) {
        let mut joined: Vec<(i128, i128)> = Vec::with_capacity(self.ranges.len());
        for (first, last) in &self.ranges {
            match joined.last_mut() {
                Some(before) if *first - before.1 <= gap => before.1 = before.1.max(*last),
                _ => joined.push((*first, *last)),
            }
        }
        self.ranges = joined;
    }
}

impl fmt::Display for Intervals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, (first, last)) in self.ranges.iter().enumerate().take(RANGES_SHOWN) {
            let space = if place == 0 { "" } else { " " };
            write!(f, "{space}[{first}, {last}]")?;
        }
        match self.ranges.len().checked_sub(RANGES_SHOWN) {
            None | Some(0) => Ok(()),
            Some(more) => write!(f, " and {more} more"),
        }
    }
}

impl fmt::Display for CounterFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::WrongFinal => "wrong-final",
            Self::Impossible => "impossible",
        })
    }
}

/// 128 KiB of intervals. Additions of like sizes need a handful.
const RANGES_MAX: usize = 4_096;

/// Intervals that are printed.
const RANGES_SHOWN: usize = 8;
