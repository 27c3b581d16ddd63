//! Logs of messages, as brokers keep them: what was acknowledged can be read, once, in order.
//!
//! ```text
//! offset     0   1   2   3   4
//! message    a   b       d   e        2 is a gap: an offset may be unused
//! poll       |-----| |-------|        a, b | d, e    without d it would skip
//! ```
//!
//! A `send` returns the offset of its message. A `poll` returns messages with their offsets, for
//! each log; the polls of one process go on where the last one ended, until it assigns logs to
//! itself anew. A `commit` notes how far a process came, `committed` asks for that. Messages are
//! sent once each.
//!
//! JSON lines, as [`lines`](crate::history::lines) reads them; the key is the log:
//!
//! ```text
//! {"process":0,"type":"invoke","f":"send","key":"a","value":7}
//! {"process":0,"type":"ok","f":"send","key":"a","value":0}                       its offset
//! {"process":1,"type":"invoke","f":"assign","value":["a","b"]}
//! {"process":1,"type":"ok","f":"assign"}
//! {"process":1,"type":"invoke","f":"poll"}
//! {"process":1,"type":"ok","f":"poll","value":[["a",[[0,7],[1,8]]],["b",[]]]}    offset, message
//! {"process":1,"type":"invoke","f":"commit","value":[["a",1]]}
//! {"process":1,"type":"ok","f":"commit"}
//! {"process":1,"type":"invoke","f":"committed","value":["a"]}
//! {"process":1,"type":"ok","f":"committed","value":[["a",1]]}
//! ```
//!
//! Source: Kingsbury, "Redpanda 21.10.1" (2022), for the kinds of faults.

mod commits;
mod polls;
mod vocabulary;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::report::Report;
use crate::history::{History, Outcome, Value};

/// A judge of logs.
///
/// # Examples
///
/// ```
/// use quorate_sim::check::log::Logs;
/// use quorate_sim::history::lines;
///
/// let text = r#"
/// {"process":0,"type":"invoke","f":"send","key":"a","value":7}
/// {"process":0,"type":"ok","f":"send","key":"a","value":0}
/// {"process":0,"type":"invoke","f":"send","key":"a","value":8}
/// {"process":0,"type":"ok","f":"send","key":"a","value":1}
/// {"process":1,"type":"invoke","f":"poll"}
/// {"process":1,"type":"ok","f":"poll","value":[["a",[[1,8]]]]}"#;
/// let history = lines::read(&Logs::default(), text.as_bytes())?;
/// assert_eq!(Logs::default().check(&history)?.to_string(), "lost");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
#[doc(alias = "kafka")]
pub struct Logs {
    /// Whether the clients polled all logs to their ends: then what nobody saw is wrong.
    pub is_read_to_the_end: bool,
}

/// What a client asks of logs.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "tests make them")]
pub enum LogOp {
    /// Appends a message, which nobody else appends to this log.
    Send {
        /// Which log.
        log: Value,
        /// What.
        message: Value,
    },
    /// Reads on in each log.
    Poll,
    /// Reads on in these, from where the broker says.
    Assign(Vec<Value>),
    /// Notes that all up to these offsets is done.
    Commit(Vec<(Value, u64)>),
    /// Asks for what was noted for these.
    Committed(Vec<Value>),
}

/// What a log answers.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "tests make them")]
pub enum LogReturn {
    /// It was done.
    Done,
    /// The message has this offset.
    Offset(u64),
    /// For each log, messages with their offsets.
    Messages(Vec<Polled>),
    /// For each log that has one, the offset that was noted.
    Offsets(Vec<(Value, u64)>),
}

/// A log, and what was polled of it: messages with their offsets.
pub type Polled = (Value, Vec<(u64, Value)>);

/// What is wrong with a log.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum LogFault {
    /// A message was acknowledged, later ones were polled, but never this one.
    Lost,
    /// A message was acknowledged and never polled, and nor was any later one.
    Unseen,
    /// A message has two offsets.
    Duplicate,
    /// An offset has two messages.
    TwoMessages,
    /// A message was polled that nobody sent, or whose send failed.
    Invented,
    /// Sends of one process have offsets that do not grow.
    SendOutOfOrder,
    /// Offsets within one poll do not grow.
    PollOutOfOrder,
    /// One poll leaves out a message.
    PollSkips,
    /// A poll starts before the end of the one before.
    PollGoesBack,
    /// A poll leaves out a message after the one before.
    PollsSkip,
    /// After an assignment a poll leaves out messages that were not committed.
    ResumeSkips,
    /// A committed offset is gone, or an older one is back.
    CommitLost,
    /// An offset is said to be committed that nobody committed.
    CommitInvented,
}

/// A message was sent to a log twice, so nobody can tell whether it is there once too often.
/// Nothing was judged; give each message a value of its own.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "expected each message to be sent once to a log, found {message} of {log} in {first} and \
     {second}"
)]
#[non_exhaustive]
pub struct SentTwice {
    /// Where.
    pub log: Value,
    /// What.
    pub message: Value,
    /// Which operation.
    pub first: usize,
    /// Which other one.
    pub second: usize,
}

/// The history of logs.
pub type LogHistory = History<LogOp, LogReturn>;

/// What is known of one log.
#[derive(Debug, Default)]
struct Log<'a> {
    sends: BTreeMap<&'a Value, Sent>,
    /// The message at each offset, and the operation that told so first.
    messages: BTreeMap<u64, (&'a Value, usize)>,
    /// The offset of each message, and the operation that told so first.
    offsets: BTreeMap<&'a Value, (u64, usize)>,
    polled: BTreeSet<&'a Value>,
    last_polled: Option<u64>,
}

#[derive(Clone, Copy, Debug)]
struct Sent {
    index: usize,
    failed: bool,
    offset: Option<u64>,
}

type Known<'a> = BTreeMap<&'a Value, Log<'a>>;

impl Logs {
    /// Judges `history`. O(n log n) in messages sent and polled.
    ///
    /// # Errors
    ///
    /// A message was sent to a log twice.
    pub fn check(&self, history: &LogHistory) -> Result<Report<LogFault>, SentTwice> {
        let mut report = Report::new();
        let mut known = sends(history)?;
        collect(history, &mut known, &mut report);
        for (name, log) in &known {
            self.unread(name, log, &mut report);
        }
        polls::check(history, &known, &mut report);
        commits::check(history, &mut report);
        Ok(report)
    }

    fn unread(self, name: &Value, log: &Log<'_>, report: &mut Report<LogFault>) {
        for (message, sent) in &log.sends {
            let Some(offset) = sent.offset else { continue };
            if log.polled.contains(message) {
                continue;
            }
            let at = sent.index;
            if log.last_polled.is_some_and(|last| offset < last) {
                report.note(LogFault::Lost, &[at], || {
                    format!(
                        "nobody polled {message}, which operation {at} sent to {name} at {offset}"
                    )
                });
            } else if self.is_read_to_the_end {
                report.note(LogFault::Unseen, &[at], || {
                    format!("nobody polled {message}, which operation {at} sent to {name} last")
                });
            }
        }
    }
}

/// Returns what was sent to which log.
fn sends(history: &LogHistory) -> Result<Known<'_>, SentTwice> {
    let mut known: Known<'_> = BTreeMap::new();
    for (index, span) in history.spans().iter().enumerate() {
        let LogOp::Send { log, message } = &span.operation else { continue };
        let offset = match span.outcome.returned() {
            Some(LogReturn::Offset(offset)) => Some(*offset),
            _ => None,
        };
        let failed = matches!(span.outcome, Outcome::Fail { .. });
        let sent = Sent { index, failed, offset };
        if let Some(before) = known.entry(log).or_default().sends.insert(message, sent) {
            let (log, message) = (log.clone(), message.clone());
            return Err(SentTwice { log, message, first: before.index, second: index });
        }
    }
    Ok(known)
}

/// Notes which message is at which offset, and where two answers disagree.
fn collect<'a>(history: &'a LogHistory, known: &mut Known<'a>, report: &mut Report<LogFault>) {
    let mut last_sent: BTreeMap<(u64, &Value), (u64, usize)> = BTreeMap::new();
    for (index, span) in history.spans().iter().enumerate() {
        match (&span.operation, span.outcome.returned()) {
            (LogOp::Send { log: name, message }, Some(LogReturn::Offset(offset))) => {
                let log = known.entry(name).or_default();
                log.place(name, (*offset, message), index, report);
                let last = last_sent.insert((span.process, name), (*offset, index));
                if let Some((before, first)) = last.filter(|(before, _)| offset <= before) {
                    report.note(LogFault::SendOutOfOrder, &[first, index], || {
                        format!(
                            "operation {index} sent to {name} at {offset}, after {before} in \
                                 operation {first}"
                        )
                    });
                }
            }
            (LogOp::Poll, Some(LogReturn::Messages(logs))) => {
                for (name, messages) in logs {
                    let log = known.entry(name).or_default();
                    for (offset, message) in messages {
                        log.place(name, (*offset, message), index, report);
                        log.see(name, (*offset, message), index, report);
                    }
                }
            }
            _ => {}
        }
    }
}

impl<'a> Log<'a> {
    /// Notes that an answer has this message at this offset.
    fn place(
        &mut self,
        name: &Value,
        (offset, message): (u64, &'a Value),
        index: usize,
        report: &mut Report<LogFault>,
    ) {
        let (other, first) = *self.messages.entry(offset).or_insert((message, index));
        if other != message {
            report.note(LogFault::TwoMessages, &[first, index], || {
                format!(
                    "{name} has {other} at {offset} in operation {first}, and {message} in \
                         operation {index}"
                )
            });
        }
        let (before, first) = *self.offsets.entry(message).or_insert((offset, index));
        if before != offset {
            report.note(LogFault::Duplicate, &[first, index], || {
                format!(
                    "{name} has {message} at {before} in operation {first}, and at {offset} \
                         in operation {index}"
                )
            });
        }
    }

    fn see(
        &mut self,
        name: &Value,
        (offset, message): (u64, &'a Value),
        index: usize,
        report: &mut Report<LogFault>,
    ) {
        self.polled.insert(message);
        self.last_polled = self.last_polled.max(Some(offset));
        match self.sends.get(message) {
            None => report.note(LogFault::Invented, &[index], || {
                format!("operation {index} polled {message} of {name}, which nobody sent")
            }),
            Some(sent) if sent.failed => {
                report.note(LogFault::Invented, &[sent.index, index], || {
                    format!(
                        "operation {index} polled {message} of {name}, which operation {} failed \
                         to send",
                        sent.index
                    )
                });
            }
            Some(_) => {}
        }
    }
}

impl fmt::Display for LogFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Lost => "lost",
            Self::Unseen => "unseen",
            Self::Duplicate => "duplicate",
            Self::TwoMessages => "two-messages",
            Self::Invented => "invented",
            Self::SendOutOfOrder => "send-out-of-order",
            Self::PollOutOfOrder => "poll-out-of-order",
            Self::PollSkips => "poll-skips",
            Self::PollGoesBack => "poll-goes-back",
            Self::PollsSkip => "polls-skip",
            Self::ResumeSkips => "resume-skips",
            Self::CommitLost => "commit-lost",
            Self::CommitInvented => "commit-invented",
        })
    }
}
