//! What happened, lately in words, and all of it in one number.

mod record;

use std::collections::{BTreeMap, VecDeque};
use std::fmt::{self, Display};

use quorate_core::{FetchId, Instant, NodeId, WriteId};

use crate::client::{Invoked, OpId, Reply};
use crate::plan::FaultKind;
use crate::system::{Badge, DeliveryOf, EventOf, MessageOf, QueryOf, RecordOf, System};

/// The last 10,000 events of a run, and a digest of all.
///
/// Events are kept as they are; text is made when it is asked for, by `Display`, and pictures by
/// [`record`](Self::record).
pub struct Trace<S: System> {
    lines: VecDeque<Line<S>>,
    forgotten: u64,
    /// What nodes were at the oldest event that is kept.
    roles: BTreeMap<NodeId, Badge>,
    digest: u64,
    is_on: bool,
}

struct Line<S: System> {
    at: u64,
    node: Option<NodeId>,
    what: What<S>,
}

/// One thing that happened. The `id` of a message numbers what was sent.
pub(crate) enum What<S: System> {
    Heard { from: NodeId, id: u64, message: MessageOf<S::Core> },
    Lost { to: NodeId, id: u64, why: &'static str },
    Send { to: NodeId, id: u64, message: MessageOf<S::Core> },
    Persist { write: WriteId, record: RecordOf<S::Core> },
    Fetch { fetch: FetchId, query: QueryOf<S::Core> },
    Deliver(DeliveryOf<S::Core>),
    Event(EventOf<S::Core>),
    Persisted(WriteId),
    Fetched(FetchId),
    TimedOut,
    Invoked { id: OpId, operation: S::Operation },
    Asked { id: OpId, invoked: Invoked },
    Completed { id: OpId, operation: S::Operation, reply: Reply<S::Return> },
    Boots,
    Crashes,
    Pauses,
    Resumes,
    Badge(Badge),
    FaultBegins { index: usize, kind: FaultKind, until: u64 },
    FaultEnds { index: usize },
    World(&'static str),
    Chose(String),
}

impl<S: System> Trace<S> {
    pub(crate) const fn new() -> Self {
        Self {
            lines: VecDeque::new(),
            forgotten: 0,
            roles: BTreeMap::new(),
            digest: 0,
            is_on: true,
        }
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

    pub(crate) const fn is_on(&self) -> bool {
        self.is_on
    }

    /// Takes in an event: `kind` and `number` for the digest, `what` for the reader.
    #[inline]
    pub(crate) fn push(
        &mut self,
        at: u64,
        kind: u64,
        number: u64,
        what: impl FnOnce() -> Noted<S>,
    ) {
        let event = at ^ (kind << 56) ^ (number << 32);
        self.digest = (self.digest.rotate_left(23) ^ event).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        if self.is_on {
            let (node, what) = what();
            self.keep(Line { at, node, what });
        }
    }

    /// Takes in what follows from other events, and so is no part of the digest.
    pub(crate) fn remark(&mut self, at: u64, node: NodeId, what: What<S>) {
        if self.is_on {
            self.keep(Line { at, node: Some(node), what });
        }
    }

    fn keep(&mut self, line: Line<S>) {
        if self.lines.len() == LINES_MAX {
            self.forget();
        }
        self.lines.push_back(line);
    }

    /// Drops the oldest event, but not what it says about a role.
    fn forget(&mut self) {
        self.forgotten += 1;
        let Some(Line { node: Some(node), what, .. }) = self.lines.pop_front() else { return };
        match what {
            What::Badge(badge) => _ = self.roles.insert(node, badge),
            What::Boots | What::Crashes => _ = self.roles.remove(&node),
            _ => {}
        }
    }
}

/// Where it happened, and what.
pub(crate) type Noted<S> = (Option<NodeId>, What<S>);

impl<S: System> Display for Trace<S> {
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

impl<S: System> Display for What<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Heard { from, message, .. } => write!(f, "hears {from}: {message}"),
            Self::Lost { to, why, .. } => write!(f, "  lost on the way to {to}: {why}"),
            Self::Send { to, message, .. } => write!(f, "  -> {to} {message}"),
            Self::Persist { write, record } => write!(f, "  persist {write} {record}"),
            Self::Fetch { fetch, query } => write!(f, "  fetch {fetch} {query}"),
            Self::Deliver(delivery) => write!(f, "  deliver {delivery}"),
            Self::Event(event) => write!(f, "  event {event}"),
            Self::Persisted(write) => write!(f, "{write} is durable"),
            Self::Fetched(fetch) => write!(f, "{fetch} is fetched"),
            Self::TimedOut => f.write_str("timeout"),
            Self::Invoked { id, operation } => write!(f, "{id} calls {operation}"),
            Self::Asked { id, invoked } => write!(f, "is asked for {id}: {invoked}"),
            Self::Completed { id, operation, reply } => {
                write!(f, "{id} is told of {operation}: {reply}")
            }
            Self::Boots => f.write_str("starts"),
            Self::Crashes => f.write_str("crashes"),
            Self::Pauses => f.write_str("pauses"),
            Self::Resumes => f.write_str("resumes"),
            Self::Badge(Badge { role, number }) => write!(f, "is {role} {number}"),
            Self::FaultBegins { index, kind, until } => {
                write!(f, "fault {index} until {}: {kind}", Instant::from_nanos(*until))
            }
            Self::FaultEnds { index } => write!(f, "fault {index} ends"),
            Self::World(what) => f.write_str(what),
            Self::Chose(what) => f.write_str(what),
        }
    }
}

impl<S: System> fmt::Debug for Trace<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trace").field("digest", &self.digest).finish_non_exhaustive()
    }
}

/// What a reader may want to go back, and what a run can afford to keep.
const LINES_MAX: usize = 10_000;
