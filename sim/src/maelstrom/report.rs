//! What a run came to.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use super::message::MessageError;
use super::network::{Counts, Latency};
use super::workloads::Workload;

/// What a run came to. `Display` is for people; its last line is the verdict.
#[derive(Debug)]
#[non_exhaustive]
pub struct Report {
    /// What clients did.
    pub workload: Workload,
    /// How many nodes there were.
    pub nodes: usize,
    /// How long messages between servers took.
    pub latency: Latency,
    /// What choices were drawn from. Real time decides the rest: a seed replays no run.
    pub seed: u64,
    /// How clients fared, but for the final reads.
    pub operations: Operations,
    /// How many messages were sent.
    pub messages: Counts,
    /// How long it took until every read had what was acknowledged.
    pub stable_latency: Option<Latencies>,
    /// How often the nodes were cut into halves.
    pub partitions: u32,
    /// What nodes did that they must not.
    pub misdeeds: Vec<Misdeed>,
    /// What else the judge says.
    pub notes: Vec<String>,
    /// Where the history was written.
    pub history: Option<PathBuf>,
    /// Where a recording of the messages was written.
    pub trace: Option<PathBuf>,
    /// What it comes to.
    pub verdict: Verdict,
}

/// How many operations of clients ended, and how. Those that a stop cut off are not counted.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Operations {
    /// They happened.
    pub ok: u64,
    /// They definitely did not happen.
    pub failed: u64,
    /// Nobody knows.
    pub unknown: u64,
    /// How many of all of them only read.
    pub reads: u64,
}

/// How long it took, over many.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Latencies {
    /// For half of them.
    pub median: Duration,
    /// For 95 of 100.
    pub p95: Duration,
    /// For 99 of 100.
    pub p99: Duration,
    /// For all.
    pub longest: Duration,
}

/// Whether the program does what its workload asks for.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "who asks must answer to each")]
pub enum Verdict {
    /// It did in this run.
    Valid,
    /// It does not, because of this.
    Invalid(String),
    /// Nobody knows, because of this.
    Unjudged(String),
}

/// A node, and what it did that it must not.
#[derive(Debug)]
#[non_exhaustive]
pub struct Misdeed {
    /// Who, as in `n1`.
    pub node: String,
    /// What.
    pub kind: MisdeedKind,
    /// The last lines that it wrote to its standard error.
    pub stderr: Vec<String>,
}

/// What a node did that it must not. The last two do not end the run.
#[derive(Debug)]
#[non_exhaustive]
pub enum MisdeedKind {
    /// It wrote what is no message.
    Garbage(MessageError),
    /// It wrote a message that cannot be delivered, because of this.
    Undeliverable(String),
    /// It answered a request with something else than its answer.
    WrongAnswer {
        /// The type of the request.
        request: String,
        /// What was expected, and what was found.
        why: String,
    },
    /// It ended, or closed its output, before its input ended.
    Ended(Option<ExitStatus>),
    /// It wrote more than the limit.
    Flood {
        /// How many messages.
        messages: u64,
    },
    /// It does not read what it is sent.
    Deaf {
        /// How many messages wait for it.
        messages: usize,
    },
    /// It did not answer a request on which the run depends, for so long.
    Silent {
        /// The type of the request.
        request: String,
        /// How long it had.
        waited: Duration,
    },
    /// Its answers have more than there can be, or more than a run keeps.
    Endless {
        /// What was too much.
        why: String,
    },
    /// It answered none of its clients' requests.
    AnswersNobody {
        /// How many there were.
        requests: u64,
    },
    /// It did not end when its input ended, and was killed. That makes nothing invalid.
    Lingers,
}

/// Why there was no run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// A node program does not start. Those that did were ended.
    #[error("node program {} cannot be started", path.display())]
    Start {
        /// The program.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file cannot be written. The run was not begun, or is over and its verdict lost.
    #[error("{} cannot be written", path.display())]
    File {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// What a judge says.
#[derive(Debug)]
pub(super) struct Judged {
    pub(super) verdict: Verdict,
    pub(super) stable: Option<Latencies>,
    pub(super) notes: Vec<String>,
}

impl Judged {
    pub(super) fn new(verdict: Verdict) -> Self {
        Self { verdict, stable: None, notes: Vec::new() }
    }

    pub(super) fn invalid(why: String) -> Self {
        Self::new(Verdict::Invalid(why))
    }

    pub(super) fn note(mut self, note: String) -> Self {
        self.notes.push(note);
        self
    }
}

impl Report {
    /// Returns how many messages nodes sent to each other per operation, reads counted.
    #[must_use]
    pub fn messages_per_operation(&self) -> f64 {
        ratio(self.messages.between_nodes, self.operations.count())
    }

    /// Returns how many messages nodes sent to each other per operation that is no read.
    ///
    /// Reads are usually free, and many of them make any other cost look small.
    #[must_use]
    pub fn messages_per_update(&self) -> f64 {
        ratio(self.messages.between_nodes, self.operations.updates())
    }

    /// Returns which part of the operations happened for certain, from 0 to 1.
    #[must_use]
    pub fn availability(&self) -> f64 {
        ratio(self.operations.ok, self.operations.count())
    }
}

impl Operations {
    /// Returns how many there were.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.ok + self.failed + self.unknown
    }

    /// Returns how many of them were no reads.
    #[must_use]
    pub const fn updates(&self) -> u64 {
        self.count().saturating_sub(self.reads)
    }
}

impl Latencies {
    /// Returns those of `all`, if there are any.
    pub(super) fn of(mut all: Vec<Duration>) -> Option<Self> {
        all.sort_unstable();
        let at = |percent: usize| all.get((all.len() * percent).div_ceil(100).saturating_sub(1));
        let (median, p95, p99) = (*at(50)?, *at(95)?, *at(99)?);
        Some(Self { median, p95, p99, longest: *at(100)? })
    }
}

impl MisdeedKind {
    /// Returns whether the run is invalid because of it.
    pub(super) const fn is_fatal(&self) -> bool {
        !matches!(self, Self::Lingers)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Operations { ok, failed, unknown, reads } = self.operations;
        let (workload, nodes, latency, seed) = (self.workload, self.nodes, self.latency, self.seed);
        writeln!(f, "{workload}: {nodes} nodes, latency {latency}, seed {seed}")?;
        let count = self.operations.count();
        writeln!(
            f,
            "operations: {count}, {reads} of them reads; {failed} failed, {unknown} unknown"
        )?;
        writeln!(f, "availability: {:.2} % ({ok} ok)", 100.0 * self.availability())?;
        let Counts { between_nodes, with_services, dropped } = self.messages;
        write!(f, "messages: {between_nodes} between nodes, {with_services} with services")?;
        writeln!(f, "; {} partitions dropped {dropped}", self.partitions)?;
        if let Some(stable) = &self.stable_latency {
            writeln!(f, "stable latency: {stable}")?;
        }
        for note in &self.notes {
            writeln!(f, "{note}")?;
        }
        for misdeed in &self.misdeeds {
            writeln!(f, "{misdeed}")?;
            for line in &misdeed.stderr {
                writeln!(f, "  {} wrote: {}", misdeed.node, line.escape_debug())?;
            }
        }
        if let Some(history) = &self.history {
            writeln!(f, "history: {}", history.display())?;
        }
        if let Some(trace) = &self.trace {
            writeln!(f, "trace: {}", trace.display())?;
        }
        let (all, updates) = (self.messages_per_operation(), self.messages_per_update());
        writeln!(f, "messages per operation {all:.2}, without reads {updates:.2}")?;
        write!(f, "{}", self.verdict)
    }
}

impl fmt::Display for Latencies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { median, p95, p99, longest } = self;
        let ms = |it: &Duration| it.as_millis();
        let (median, p95, p99, longest) = (ms(median), ms(p95), ms(p99), ms(longest));
        write!(f, "median {median} ms, 95 % {p95} ms, 99 % {p99} ms, longest {longest} ms")
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Valid => f.write_str("valid"),
            Self::Invalid(why) => write!(f, "invalid: {why}"),
            Self::Unjudged(why) => write!(f, "unjudged: {why}"),
        }
    }
}

impl fmt::Display for Misdeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.node, self.kind)
    }
}

impl fmt::Display for MisdeedKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Garbage(error) => write!(f, "wrote garbage: {error}"),
            Self::Undeliverable(why) => write!(f, "wrote what cannot be delivered: {why}"),
            Self::WrongAnswer { request, why } => write!(f, "answered `{request}` wrongly: {why}"),
            Self::Ended(None) => f.write_str("closed its output during the run"),
            Self::Ended(Some(status)) => write!(f, "ended during the run, {status}"),
            Self::Flood { messages } => write!(f, "flooded: {messages} messages at once"),
            Self::Deaf { messages } => write!(f, "does not read: {messages} messages wait for it"),
            Self::Silent { request, waited } => {
                write!(f, "did not answer `{request}` within {waited:?}")
            }
            Self::Endless { why } => write!(f, "has no end: {why}"),
            Self::AnswersNobody { requests } => write!(f, "answered none of {requests} requests"),
            Self::Lingers => f.write_str("did not end when its input ended, and was killed"),
        }
    }
}

fn ratio(part: u64, whole: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a ratio for people")]
    let ratio = part as f64 / whole.max(1) as f64;
    ratio
}
