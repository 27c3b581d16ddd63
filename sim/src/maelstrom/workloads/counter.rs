//! `g-counter` and `pn-counter`: final reads are a sum that is possible.
//!
//! Each addition of which nobody knows the end may count or not. The sums that are possible are
//! kept as intervals, which grow together: 40 unknown additions of 1 are one, not 2^40 sums.

use std::fmt;

use quorate_core::{Instant, SplitMix64};

use super::{Finals, Half, Judged, Seen, Verdict, Work, json_of, value_of};
use crate::history::{Outcome, Value, Words};
use crate::maelstrom::message::Body;

#[derive(Debug)]
pub(super) struct Adds {
    lowest: i64,
    half: Half,
}

impl Adds {
    pub(super) fn growing() -> Self {
        Self { lowest: 0, half: Half::default() }
    }

    pub(super) fn both_ways() -> Self {
        Self { lowest: -HIGHEST, half: Half::default() }
    }
}

impl Work for Adds {
    fn next(&mut self, _client: usize, draw: &mut SplitMix64) -> Words {
        if self.half.next(draw) {
            return Words::new("read", Value::Null);
        }
        let count = u64::try_from(HIGHEST - self.lowest + 1).expect("the lowest is below");
        Words::new("add", (self.lowest + draw.below(count).cast_signed()).into())
    }

    fn request(&self, words: &Words) -> Body {
        match &*words.f {
            "add" => Body::new("add").with("delta", json_of(&words.value)),
            f => Body::new(f),
        }
    }

    fn returned(&mut self, _: usize, words: &Words, body: &Body) -> Result<Value, &'static str> {
        if words.f == "add" {
            return Ok(Value::Null);
        }
        let number = body.field("value").filter(|it| it.as_i64().is_some());
        number.map(value_of).ok_or("a field `value` with a whole number")
    }

    fn last(&self, _client: usize, before: Option<&Value>) -> Option<Words> {
        before.is_none().then(|| Words::new("read", Value::Null))
    }

    fn judge(&self, seen: &Seen, finals: &Finals) -> Judged {
        judge(seen, finals)
    }
}

fn judge(seen: &Seen, finals: &Finals) -> Judged {
    let mut acceptable = Sums::new();
    let mut adds = Vec::new();
    for span in seen.spans() {
        let Some(delta) = span.operation.value.as_integer() else { continue };
        match span.outcome {
            Outcome::Fail { .. } => continue,
            Outcome::Ok { .. } => acceptable.add(delta),
            Outcome::Info { .. } => acceptable.may_add(delta),
        }
        adds.push((span.called, i128::from(delta)));
    }
    let note = format!("acceptable {acceptable}");
    for (node, index) in finals {
        let Some(found) = returned(seen, *index) else { continue };
        if !acceptable.has(found) {
            let why = format!("the last read of n{} is {found}, {note}", node + 1);
            return Judged::invalid(why);
        }
    }
    let judged = match impossible(seen, adds) {
        None => Judged::new(Verdict::Valid),
        Some(why) => Judged::invalid(why),
    };
    judged.note(note)
}

/// Finds a read of what no order of the additions called before it ended can give.
fn impossible(seen: &Seen, mut adds: Vec<(Instant, i128)>) -> Option<String> {
    adds.sort_unstable();
    // After each addition: the least and the most.
    let mut range = (0, 0);
    let ranges: Vec<_> = adds
        .iter()
        .map(|(_, delta)| {
            range = (range.0 + delta.min(&0), range.1 + delta.max(&0));
            range
        })
        .collect();
    for (index, span) in seen.spans().iter().enumerate() {
        let (Some(found), Some(at)) = (returned(seen, index), span.outcome.at()) else { continue };
        let count = adds.partition_point(|(called, _)| *called <= at);
        let (least, most) = count.checked_sub(1).map_or((0, 0), |last| ranges[last]);
        if !(least..=most).contains(&found.into()) {
            let process = span.process;
            return Some(format!(
                "process {process} read {found}, where all additions so far give {least} to {most}"
            ));
        }
    }
    None
}

fn returned(seen: &Seen, index: usize) -> Option<i64> {
    seen.spans()[index].outcome.returned()?.as_integer()
}

/// The sums that are possible, as intervals in order that do not touch.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Sums {
    /// Each with its lowest and its highest sum.
    intervals: Vec<(i128, i128)>,
}

impl Sums {
    fn new() -> Self {
        Self { intervals: vec![(0, 0)] }
    }

    fn add(&mut self, delta: i64) {
        for (low, high) in &mut self.intervals {
            *low += i128::from(delta);
            *high += i128::from(delta);
        }
    }

    /// Adds `delta` or not. O(n) in the number of intervals.
    fn may_add(&mut self, delta: i64) {
        let mut both = self.clone();
        both.add(delta);
        both.intervals.append(&mut self.intervals);
        both.intervals.sort_unstable();
        self.join(both.intervals, 1);
        // So many gaps are of no use: close the small ones, which accuses nobody.
        let mut gap = 2;
        while INTERVALS_MAX < self.intervals.len() {
            let intervals = std::mem::take(&mut self.intervals);
            self.join(intervals, gap);
            gap *= 2;
        }
    }

    /// Takes intervals in order, and joins those that are at most `gap` apart.
    fn join(&mut self, intervals: Vec<(i128, i128)>, gap: i128) {
        for (low, high) in intervals {
            match self.intervals.last_mut() {
                Some(last) if low <= last.1 + gap => last.1 = high.max(last.1),
                _ => self.intervals.push((low, high)),
            }
        }
    }

    fn has(&self, sum: i64) -> bool {
        self.intervals.iter().any(|(low, high)| (*low..=*high).contains(&sum.into()))
    }
}

impl fmt::Display for Sums {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (low, high)) in self.intervals.iter().take(SHOWN_MAX).enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}[{low}, {high}]")?;
        }
        if SHOWN_MAX < self.intervals.len() {
            write!(f, " and {} more", self.intervals.len() - SHOWN_MAX)?;
        }
        Ok(())
    }
}

/// The most that is added at once.
const HIGHEST: i64 = 5;
/// What fits 1 MB, and takes milliseconds.
const INTERVALS_MAX: usize = 10_000;
/// How many intervals a reader wants to see.
const SHOWN_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::History;

    fn at(nanos: u64) -> Instant {
        Instant::from_nanos(nanos)
    }

    /// Adds what is known and what is not, and reads; all reads are final.
    fn check(known: &[i64], unknown: &[i64], reads: &[i64]) -> Judged {
        let mut seen: Seen = History::new();
        let mut finals = Finals::new();
        for delta in known {
            let process = seen.start();
            let call = seen.invoke(process, at(1), Words::new("add", (*delta).into()));
            _ = seen.ok(call, at(2), Value::Null);
        }
        for delta in unknown {
            let process = seen.start();
            let call = seen.invoke(process, at(1), Words::new("add", (*delta).into()));
            seen.info(call, at(2));
        }
        for found in reads {
            let process = seen.start();
            finals.insert(finals.len(), seen.spans().len());
            let call = seen.invoke(process, at(3), Words::new("read", Value::Null));
            _ = seen.ok(call, at(4), (*found).into());
        }
        judge(&seen, &finals)
    }

    #[test]
    fn final_reads_are_what_was_added() {
        assert_eq!(check(&[2, 3], &[], &[5, 5]).verdict, Verdict::Valid);
        let why = "the last read of n2 is 4, acceptable [5, 5]";
        assert_eq!(check(&[2, 3], &[], &[5, 4]).verdict, Verdict::Invalid(why.to_owned()));
    }

    #[test]
    fn what_is_unknown_counts_or_not() {
        for (found, is_valid) in [(1, true), (4, true), (-9, true), (-6, true), (2, false)] {
            let verdict = check(&[1], &[3, -10], &[found]).verdict;
            assert_eq!(verdict == Verdict::Valid, is_valid, "{found}: {verdict}");
        }
    }

    #[test]
    fn a_read_beyond_all_additions_is_impossible() {
        let mut seen: Seen = History::new();
        let process = seen.start();
        let read = seen.invoke(process, at(1), Words::new("read", Value::Null));
        let process = seen.ok(read, at(2), 7.into());
        let add = seen.invoke(process, at(3), Words::new("add", 7.into()));
        _ = seen.ok(add, at(4), Value::Null);
        let why = "process 0 read 7, where all additions so far give 0 to 0";
        assert_eq!(judge(&seen, &Finals::new()).verdict, Verdict::Invalid(why.to_owned()));
    }

    #[test]
    fn unknown_additions_take_no_memory() {
        let mut sums = Sums::new();
        for _ in 0..40 {
            sums.may_add(3);
        }
        assert_eq!(sums.intervals.len(), 41);
        sums.may_add(1);
        sums.may_add(2);
        assert_eq!(sums.to_string(), "[0, 123]");
        let mut sums = Sums::new();
        for power in 0..40 {
            sums.may_add(3_i64.pow(power % 39));
        }
        assert!(sums.intervals.len() <= INTERVALS_MAX && sums.has(0) && sums.has(1 + 3 + 27));
    }
}
