//! Whether what was committed stays so.

use std::collections::BTreeMap;

use quorate_core::Instant;

use super::{LogFault, LogHistory, LogOp, LogReturn};
use crate::check::report::Report;
use crate::history::{Outcome, Value};

/// A commit of one log.
#[derive(Clone, Copy, Debug)]
struct Commit {
    called: Instant,
    /// When it was over; `None` if it may happen at any time later.
    over: Option<Instant>,
    offset: u64,
    index: usize,
}

/// The commits of a log.
#[derive(Debug, Default)]
struct Commits {
    /// By offset: calls in order, and the latest end of those up to there.
    all: BTreeMap<u64, Vec<(Instant, Instant)>>,
    /// By their ends: the one that was called last of all that were over by then.
    over: Vec<Commit>,
}

/// Notes answers that no commit explains, or only one that another replaced.
pub(super) fn check(history: &LogHistory, report: &mut Report<LogFault>) {
    let logs = commits(history);
    let none = Commits::default();
    for (index, span) in history.spans().iter().enumerate() {
        let (LogOp::Committed(names), Outcome::Ok { at, returned: LogReturn::Offsets(found) }) =
            (&span.operation, &span.outcome)
        else {
            continue;
        };
        let found: BTreeMap<&Value, u64> = found.iter().map(|(name, at)| (name, *at)).collect();
        for name in names {
            let commits = logs.get(name).unwrap_or(&none);
            let before = commits.over.partition_point(|it| it.over < Some(span.called));
            let latest = before.checked_sub(1).map(|last| commits.over[last]);
            let offset = found.get(name).copied();
            let same = offset.and_then(|it| commits.all.get(&it)).map_or(&[][..], |it| it);
            let called = same.partition_point(|(called, _)| called <= at);
            let last_end = called.checked_sub(1).map(|last| same[last].1);
            let is_known = last_end.is_some();
            // One that was over before the call of another that was over, too, was replaced.
            let stays = latest.is_none_or(|latest| last_end >= Some(latest.called));
            match (offset, latest) {
                (None, Some(latest)) => {
                    report.note(LogFault::CommitLost, &[latest.index, index], || {
                        let (offset, first) = (latest.offset, latest.index);
                        format!(
                            "operation {index} found nothing for {name}, after operation {first} \
                             committed {offset}"
                        )
                    });
                }
                (Some(offset), _) if !is_known => {
                    report.note(LogFault::CommitInvented, &[index], || {
                        format!(
                            "operation {index} found {offset} for {name}, which nobody \
                                 committed"
                        )
                    });
                }
                (Some(offset), Some(latest)) if !stays => {
                    report.note(LogFault::CommitLost, &[latest.index, index], || {
                        let (after, first) = (latest.offset, latest.index);
                        format!(
                            "operation {index} found {offset} for {name}, after operation \
                                 {first} committed {after}"
                        )
                    });
                }
                _ => {}
            }
        }
    }
}

fn commits(history: &LogHistory) -> BTreeMap<&Value, Commits> {
    let mut logs: BTreeMap<&Value, Commits> = BTreeMap::new();
    for (index, span) in history.spans().iter().enumerate() {
        let LogOp::Commit(offsets) = &span.operation else { continue };
        let over = match span.outcome {
            Outcome::Ok { at, .. } => Some(at),
            Outcome::Fail { .. } => continue,
            Outcome::Info { .. } => None,
        };
        for (name, offset) in offsets {
            let commit = Commit { called: span.called, over, offset: *offset, index };
            let commits = logs.entry(name).or_default();
            let end = over.unwrap_or(Instant::from_nanos(u64::MAX));
            commits.all.entry(*offset).or_default().push((span.called, end));
            if over.is_some() {
                commits.over.push(commit);
            }
        }
    }
    for commits in logs.values_mut() {
        for of_offset in commits.all.values_mut() {
            of_offset.sort_unstable();
            let mut max = Instant::default();
            for (_, end) in of_offset {
                max = max.max(*end);
                *end = max;
            }
        }
        commits.over.sort_by_key(|it| (it.over, it.called));
        let mut latest: Option<Commit> = None;
        for commit in &mut commits.over {
            let over = commit.over;
            let now = latest.filter(|it| commit.called < it.called).unwrap_or(*commit);
            latest = Some(now);
            *commit = Commit { over, ..now };
        }
    }
    logs
}
