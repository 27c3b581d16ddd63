//! Whether polls go on in order, and leave nothing out.

use std::collections::BTreeMap;

use quorate_core::Instant;

use super::{Known, Log, LogFault, LogHistory, LogOp, LogReturn};
use crate::check::report::Report;
use crate::check::slips::{Slip, is_planted};
use crate::history::{Outcome, Value};

/// Where a process is in a log.
#[derive(Clone, Copy, Debug)]
enum Position {
    /// After this offset, which was polled by this operation.
    After(u64, usize),
    /// It was just assigned, by this operation.
    Assigned(usize),
}

/// Notes polls that go back or leave out messages that are known to be there.
pub(super) fn check(history: &LogHistory, known: &Known<'_>, report: &mut Report<LogFault>) {
    let commits = commits(history);
    let mut positions: BTreeMap<u64, BTreeMap<&Value, Position>> = BTreeMap::new();
    for (index, span) in history.spans().iter().enumerate() {
        let position = positions.entry(span.process).or_default();
        match (&span.operation, &span.outcome) {
            (LogOp::Assign(names), Outcome::Ok { .. }) => {
                position.clear();
                position.extend(names.iter().map(|name| (name, Position::Assigned(index))));
            }
            (LogOp::Poll, Outcome::Ok { at, returned: LogReturn::Messages(logs) }) => {
                for (name, messages) in logs {
                    let (Some(log), Some((first, _)), Some((last, _))) =
                        (known.get(name), messages.first(), messages.last())
                    else {
                        continue;
                    };
                    within(name, log, messages, index, report);
                    let seam = Seam { name, log, first: *first, index };
                    match position.insert(name, Position::After(*last, index)) {
                        Some(Position::After(end, before)) => seam.between(end, before, report),
                        Some(Position::Assigned(assign)) => {
                            let committed = committed_until(&commits, name, *at);
                            seam.resumed(committed, assign, report);
                        }
                        None => {}
                    }
                }
            }
            _ => {}
        }
    }
}

/// One poll after another of the same process.
struct Seam<'a> {
    name: &'a Value,
    log: &'a Log<'a>,
    first: u64,
    index: usize,
}

impl Seam<'_> {
    fn between(&self, end: u64, before: usize, report: &mut Report<LogFault>) {
        let Self { name, first, index, .. } = self;
        if *first <= end {
            report.note(LogFault::PollGoesBack, &[before, *index], || {
                format!(
                    "operation {index} polled {name} from {first}, after {end} in operation \
                         {before}"
                )
            });
        } else if let Some((offset, message)) = skipped(self.log, end, *first) {
            report.note(LogFault::PollsSkip, &[before, *index], || {
                format!(
                    "operation {index} polled {name} from {first}, after {end} in operation \
                     {before}: {message} at {offset} is between"
                )
            });
        }
    }

    fn resumed(&self, committed: Option<u64>, assign: usize, report: &mut Report<LogFault>) {
        let Self { name, first, index, .. } = self;
        let Some(committed) = committed.filter(|committed| committed < first) else { return };
        if let Some((offset, message)) = skipped(self.log, committed, *first) {
            report.note(LogFault::ResumeSkips, &[assign, *index], || {
                format!(
                    "operation {index} polled {name} from {first}, but no more than {committed} \
                     was \
                     committed: {message} at {offset} is between"
                )
            });
        }
    }
}

fn within(
    name: &Value,
    log: &Log<'_>,
    messages: &[(u64, Value)],
    index: usize,
    report: &mut Report<LogFault>,
) {
    for pair in messages.windows(2) {
        let (one, two) = (pair[0].0, pair[1].0);
        if two <= one {
            report.note(LogFault::PollOutOfOrder, &[index], || {
                format!("operation {index} polled {name} at {one}, then at {two}")
            });
        } else if let Some((offset, message)) = skipped(log, one, two) {
            report.note(LogFault::PollSkips, &[index], || {
                format!(
                    "operation {index} polled {name} at {one}, then at {two}: {message} at \
                         {offset} is between"
                )
            });
        }
    }
}

/// Returns a message that is known to be between two offsets.
fn skipped<'a>(log: &Log<'a>, one: u64, two: u64) -> Option<(u64, &'a Value)> {
    if is_planted(Slip::SkipsAreFine) || two - one < 2 {
        return None;
    }
    let (offset, (message, _)) = log.messages.range(one + 1..two).next()?;
    Some((*offset, message))
}

type Commits<'a> = BTreeMap<&'a Value, Vec<(Instant, u64)>>;

/// Returns for each log when something was committed, and the greatest offset until then.
fn commits(history: &LogHistory) -> Commits<'_> {
    let mut commits: Commits<'_> = BTreeMap::new();
    for span in history.spans() {
        if let LogOp::Commit(offsets) = &span.operation
            && !matches!(span.outcome, Outcome::Fail { .. })
        {
            for (name, offset) in offsets {
                commits.entry(name).or_default().push((span.called, *offset));
            }
        }
    }
    for of_log in commits.values_mut() {
        of_log.sort_unstable();
        let mut max = 0;
        for (_, offset) in of_log {
            max = max.max(*offset);
            *offset = max;
        }
    }
    commits
}

fn committed_until(commits: &Commits<'_>, name: &Value, at: Instant) -> Option<u64> {
    let of_log = commits.get(name)?;
    let end = of_log.partition_point(|(called, _)| *called <= at);
    end.checked_sub(1).map(|last| of_log[last].1)
}
