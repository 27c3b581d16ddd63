//! What happened, lately in words, and all of it in one number.

use std::collections::VecDeque;
use std::fmt::{self, Display};

use quorate_core::{FetchId, Instant, NodeId, OutputOf, Protocol, WriteId};

/// The last 10,000 events of a run, and a digest of all.
///
/// Events are kept as they are; text is made when it is asked for, by `Display`.
pub struct Trace<P: Protocol> {
    lines: VecDeque<Line<P>>,
    forgotten: u64,
    digest: u64,
    is_on: bool,
}

struct Line<P: Protocol> {
    at: u64,
    node: Option<NodeId>,
    what: What<P>,
}

/// One thing that happened.
pub(crate) enum What<P: Protocol> {
    Heard { from: NodeId, message: P::Message },
    Lost { to: NodeId, why: &'static str },
    Did(OutputOf<P>),
    Persisted(WriteId),
    Fetched(FetchId),
    TimedOut,
    Acted(String),
    World(&'static str),
    Chose(String),
}

impl<P: Protocol> Trace<P> {
    pub(crate) const fn new() -> Self {
        Self { lines: VecDeque::new(), forgotten: 0, digest: 0, is_on: true }
    }

    /// Returns a number that depends on the order, time, kind and place of all events.
    #[must_use]
    pub const fn digest(&self) -> u64 {
        self.digest
    }

    /// Returns how many events there were before the oldest that is kept.
    #[must_use]
    pub const fn forgotten(&self) -> u64 {
        self.forgotten
    }

    pub(crate) fn turn_off(&mut self) {
        self.is_on = false;
        self.lines.clear();
    }

    /// Takes in an event: `kind` and `number` for the digest, `what` for the reader.
    #[inline]
    pub(crate) fn push(
        &mut self,
        at: u64,
        kind: u64,
        number: u64,
        what: impl FnOnce() -> Noted<P>,
    ) {
        let event = at ^ (kind << 56) ^ (number << 32);
        self.digest = (self.digest.rotate_left(23) ^ event).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        if self.is_on {
            let (node, what) = what();
            self.keep(Line { at, node, what });
        }
    }

    fn keep(&mut self, line: Line<P>) {
        if self.lines.len() == LINES_MAX {
            self.lines.pop_front();
            self.forgotten += 1;
        }
        self.lines.push_back(line);
    }
}

/// Where it happened, and what.
pub(crate) type Noted<P> = (Option<NodeId>, What<P>);

impl<P> Display for Trace<P>
where
    P: Protocol<
            Message: Display,
            Record: Display,
            Query: Display,
            Delivery: Display,
            Event: Display,
        >,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if 0 < self.forgotten {
            writeln!(f, "... {} events before", self.forgotten)?;
        }
        for Line { at, node, what } in &self.lines {
            write!(f, "{} ", Instant::from_nanos(*at))?;
            if let Some(node) = node {
                write!(f, "{node}: ")?;
            }
            writeln!(f, "{what}")?;
        }
        writeln!(f, "digest {:016x}", self.digest)
    }
}

impl<P> Display for What<P>
where
    P: Protocol<
            Message: Display,
            Record: Display,
            Query: Display,
            Delivery: Display,
            Event: Display,
        >,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Heard { from, message } => write!(f, "hears {from}: {message}"),
            Self::Lost { to, why } => write!(f, "  lost on the way to {to}: {why}"),
            Self::Did(output) => write!(f, "  {output}"),
            Self::Persisted(write) => write!(f, "{write} is durable"),
            Self::Fetched(fetch) => write!(f, "{fetch} is fetched"),
            Self::TimedOut => f.write_str("timeout"),
            Self::Acted(what) | Self::Chose(what) => f.write_str(what),
            Self::World(what) => f.write_str(what),
        }
    }
}

impl<P: Protocol> fmt::Debug for Trace<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trace").field("digest", &self.digest).finish_non_exhaustive()
    }
}

/// What a reader may want to go back, and what a run can afford to keep.
const LINES_MAX: usize = 10_000;
