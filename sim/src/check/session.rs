//! What one client may rely on, whichever copy answers it: the four guarantees of a session.
//!
//! ```text
//! session 1   write x -> version 3 . . read x -> version 2          its own write is not there
//! session 2   read y -> version 7 of session 3, which wrote x 5 before . . read x -> version 4
//! ```
//!
//! A session is a process. Each answer has the version of the key that it wrote or read: a number
//! that grows with each write, 0 where nothing was written. What a client does after an operation
//! without an answer belongs to a new session.
//!
//! JSON lines, as [`lines`](crate::history::lines) reads them:
//!
//! ```text
//! {"process":0,"type":"invoke","f":"write","key":"x"}
//! {"process":0,"type":"ok","f":"write","key":"x","value":3}
//! {"process":0,"type":"invoke","f":"read","key":"x"}
//! {"process":0,"type":"ok","f":"read","key":"x","value":3}
//! ```
//!
//! Source: Terry and others, "Session guarantees for weakly consistent replicated data" (1994).

use std::collections::BTreeMap;
use std::fmt;

use super::report::Report;
use super::slips::{Slip, is_planted};
use crate::history::{History, Value, Vocabulary, Words};

/// A judge of sessions.
///
/// # Examples
///
/// ```
/// use quorate_sim::check::session::Sessions;
/// use quorate_sim::history::lines;
///
/// let text = r#"
/// {"process":0,"type":"invoke","f":"write","key":"x"}
/// {"process":0,"type":"ok","f":"write","key":"x","value":3}
/// {"process":0,"type":"invoke","f":"read","key":"x"}
/// {"process":0,"type":"ok","f":"read","key":"x","value":2}"#;
/// let history = lines::read(&Sessions, text.as_bytes())?;
/// assert_eq!(Sessions.check(&history).to_string(), "read-your-writes");
/// # Ok::<(), quorate_sim::history::ReadError>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "there is nothing to configure")]
pub struct Sessions;

/// What a session asks.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "tests make them")]
pub enum SessionOp {
    /// Writes to a key; the answer is the version that the write made.
    Write {
        /// Which.
        key: Value,
    },
    /// Reads a key; the answer is the version that was read.
    Read {
        /// Which.
        key: Value,
    },
}

/// A guarantee that was not kept.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum SessionFault {
    /// Two writes made the same version.
    SameVersion,
    /// A read does not see what its session wrote.
    ReadYourWrites,
    /// A read sees less than one before in its session.
    MonotonicReads,
    /// Writes of one session are in another order, or the second is seen without the first.
    MonotonicWrites,
    /// A write is before what its session had read, or is seen without it.
    WritesFollowReads,
}

/// What one session saw and wrote of a key, in its order.
#[derive(Debug, Default)]
struct Trail {
    /// Places in the session, and the greatest version up to there, each with its operation.
    writes: Vec<Mark>,
    reads: Vec<Mark>,
}

#[derive(Clone, Copy, Debug)]
struct Mark {
    place: usize,
    version: u64,
    index: usize,
}

impl Sessions {
    /// Judges `history`. O(n log n), times the sessions that touch a key and are seen by one that
    /// reads it.
    #[must_use]
    pub fn check(&self, history: &History<SessionOp, u64>) -> Report<SessionFault> {
        let mut report = Report::new();
        let mut trails: BTreeMap<&Value, BTreeMap<u64, Trail>> = BTreeMap::new();
        let mut places: BTreeMap<u64, usize> = BTreeMap::new();
        // Who made a version: the session, the place in it, and the operation.
        let mut makers: BTreeMap<(&Value, u64), (u64, usize, usize)> = BTreeMap::new();
        for (index, span) in history.spans().iter().enumerate() {
            let Some(version) = span.outcome.returned().copied() else { continue };
            let place = places.entry(span.process).or_insert(0);
            *place += 1;
            let mark = Mark { place: *place, version, index };
            let key = span.operation.key();
            let trail = trails.entry(key).or_default().entry(span.process).or_default();
            in_session(trail, &span.operation, mark, &mut report);
            if matches!(span.operation, SessionOp::Write { .. })
                && let Some((.., other)) =
                    makers.insert((key, version), (span.process, *place, index))
            {
                report.note(SessionFault::SameVersion, &[other, index], || {
                    format!("operations {other} and {index} both made version {version} of {key}")
                });
            }
        }
        across(history, &trails, &makers, &mut report);
        report
    }
}

/// Compares an operation with those before it in its session, and adds it to them.
fn in_session(
    trail: &mut Trail,
    operation: &SessionOp,
    mark: Mark,
    report: &mut Report<SessionFault>,
) {
    let Mark { version, index, .. } = mark;
    let (wrote, read) = (trail.writes.last().copied(), trail.reads.last().copied());
    let key = operation.key();
    // A write makes a version of its own, so it must be more than what its session read.
    let (marks, cases) = match operation {
        SessionOp::Write { .. } => (
            &mut trail.writes,
            [
                (SessionFault::MonotonicWrites, wrote, version),
                (SessionFault::WritesFollowReads, read, version.saturating_sub(1)),
            ],
        ),
        SessionOp::Read { .. } => (
            &mut trail.reads,
            [
                (SessionFault::ReadYourWrites, wrote, version),
                (SessionFault::MonotonicReads, read, version),
            ],
        ),
    };
    for (fault, before, limit) in cases {
        if let Some(before) = before.filter(|before| limit < before.version) {
            let (earlier, first) = (before.version, before.index);
            report.note(fault, &[first, index], || {
                format!(
                    "operation {index} has version {version} of {key}, after {earlier} in \
                     operation {first}"
                )
            });
        }
    }
    let max = marks.last().copied().filter(|last| version < last.version);
    marks.push(Mark { place: mark.place, ..max.unwrap_or(mark) });
}

/// Whoever sees a write sees what its session did before it.
fn across(
    history: &History<SessionOp, u64>,
    trails: &BTreeMap<&Value, BTreeMap<u64, Trail>>,
    makers: &BTreeMap<(&Value, u64), (u64, usize, usize)>,
    report: &mut Report<SessionFault>,
) {
    if is_planted(Slip::SessionsAreAlone) {
        return;
    }
    // For each session: of which others it saw writes, and the place of the last one in them.
    let mut seen: BTreeMap<u64, BTreeMap<u64, (usize, usize)>> = BTreeMap::new();
    for (index, span) in history.spans().iter().enumerate() {
        let (SessionOp::Read { key }, Some(version)) =
            (&span.operation, span.outcome.returned().copied())
        else {
            continue;
        };
        let seen = seen.entry(span.process).or_default();
        if let Some((other, place, write)) = makers.get(&(key, version)).copied()
            && other != span.process
        {
            let last = seen.entry(other).or_insert((place, write));
            *last = (*last).max((place, write));
        }
        for (other, trail) in trails.get(key).into_iter().flatten() {
            let Some((place, write)) = seen.get(other).copied() else { continue };
            let before = |marks: &[Mark]| {
                let end = marks.partition_point(|mark| mark.place < place);
                end.checked_sub(1).map(|last| marks[last])
            };
            for (fault, mark) in [
                (SessionFault::MonotonicWrites, before(&trail.writes)),
                (SessionFault::WritesFollowReads, before(&trail.reads)),
            ] {
                let Some(mark) = mark.filter(|mark| version < mark.version) else { continue };
                let (first, earlier) = (mark.index, mark.version);
                report.note(fault, &[first, write, index], || {
                    format!(
                        "operation {index} has version {version} of {key}, though its session saw \
                         operation {write}, before which operation {first} had version {earlier}"
                    )
                });
            }
        }
    }
}

impl SessionOp {
    /// Returns the key that it is about.
    #[must_use]
    pub const fn key(&self) -> &Value {
        match self {
            Self::Write { key } | Self::Read { key } => key,
        }
    }
}

impl Vocabulary for Sessions {
    type Operation = SessionOp;
    type Return = u64;

    fn operation(&self, words: Words) -> Result<SessionOp, &'static str> {
        let key = words.key.unwrap_or_default();
        match &*words.f {
            "write" => Ok(SessionOp::Write { key }),
            "read" => Ok(SessionOp::Read { key }),
            _ => Err("write or read"),
        }
    }

    fn returned(&self, _operation: &SessionOp, value: Value) -> Result<u64, &'static str> {
        match value {
            Value::Null => Ok(0),
            value => value.as_natural().ok_or("a version, 0 or more"),
        }
    }

    fn words(&self, operation: &SessionOp) -> Words {
        let f = match operation {
            SessionOp::Write { .. } => "write",
            SessionOp::Read { .. } => "read",
        };
        Words { key: Some(operation.key().clone()), ..Words::new(f, Value::Null) }
    }

    fn value(&self, _operation: &SessionOp, returned: &u64) -> Value {
        Value::Integer(i64::try_from(*returned).unwrap_or(i64::MAX))
    }
}

impl fmt::Display for SessionFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SameVersion => "same-version",
            Self::ReadYourWrites => "read-your-writes",
            Self::MonotonicReads => "monotonic-reads",
            Self::MonotonicWrites => "monotonic-writes",
            Self::WritesFollowReads => "writes-follow-reads",
        })
    }
}
