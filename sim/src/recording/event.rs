//! What may happen in a run, as it is written down.

use std::fmt::{self, Display};

use serde::Serialize;

/// One thing that happened.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Event {
    /// When, in nanoseconds of the world's clock.
    #[serde(rename = "t")]
    pub at: u64,
    /// Where: the id of a node. `None` where it concerns the world, or a client only.
    #[serde(rename = "n", skip_serializing_if = "Option::is_none")]
    pub node: Option<u64>,
    /// What.
    #[serde(flatten)]
    pub kind: Kind,
}

impl Event {
    /// Makes an event of what happened at `node` when the world's clock showed `at` nanoseconds.
    #[must_use]
    pub fn new(at: u64, node: impl Into<Option<u64>>, kind: Kind) -> Self {
        Self { at, node: node.into(), kind }
    }
}

/// What happened, with what a reader wants to know of it.
///
/// Ids of messages are of the whole run: a message that arrives twice has one `Send` and two `Recv`
/// of the same id. Ids of writes, fetches and operations are their owner's. `text` is for people.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(tag = "k", rename_all = "lowercase")]
#[non_exhaustive]
pub enum Kind {
    /// The node sent a message to the node `to`. `class` is the name of its variant.
    #[expect(missing_docs, reason = "said above")]
    Send { id: u64, to: u64, class: String, text: String },
    /// The node received a message of the node `from`.
    #[expect(missing_docs, reason = "said above")]
    Recv { id: u64, from: u64, class: String, text: String },
    /// A message that the node sent will not arrive at the node `to`, or not this copy of it.
    #[expect(missing_docs, reason = "said above")]
    Lost { id: u64, to: u64, class: String, text: String, why: Why },
    /// The node gave its storage something to write.
    #[expect(missing_docs, reason = "said above")]
    Persist { id: u64, text: String },
    /// The node was told that it is written.
    #[expect(missing_docs, reason = "said above")]
    Durable { id: u64, text: String },
    /// The node asked its storage for something.
    #[expect(missing_docs, reason = "said above")]
    Fetch { id: u64, text: String },
    /// The node was answered.
    #[expect(missing_docs, reason = "said above")]
    Fetched { id: u64, text: String },
    /// The node delivered something to its application.
    #[expect(missing_docs, reason = "said above")]
    Deliver { text: String },
    /// The node had news.
    #[expect(missing_docs, reason = "said above")]
    Event { text: String },
    /// The node's deadline passed.
    #[expect(missing_docs, reason = "said above")]
    Timeout { text: String },
    /// Somebody has something to say.
    #[expect(missing_docs, reason = "said above")]
    Note { text: String },
    /// The client `process` began its operation `op`.
    #[expect(missing_docs, reason = "said above")]
    Invoke { process: u64, op: u64, text: String },
    /// The operation was done.
    #[expect(missing_docs, reason = "said above")]
    Ok { process: u64, op: u64, text: String },
    /// The operation was definitely not done.
    #[expect(missing_docs, reason = "said above")]
    Fail { process: u64, op: u64, text: String },
    /// The operation may have been done, or may yet be. The client goes on as another process.
    #[expect(missing_docs, reason = "said above")]
    Info { process: u64, op: u64, text: String },
    /// The node started.
    #[expect(missing_docs, reason = "said above")]
    Boot { text: String },
    /// The node lost its power. It is down until it boots.
    #[expect(missing_docs, reason = "said above")]
    Crash { text: String },
    /// The node stopped until it resumes.
    #[expect(missing_docs, reason = "said above")]
    Pause { text: String },
    /// The node went on.
    #[expect(missing_docs, reason = "said above")]
    Resume { text: String },
    /// The node has this role from now on, with the number that goes with it: a term, a ballot.
    #[expect(missing_docs, reason = "said above")]
    Badge { role: String, number: u64 },
    /// A fault that lasts from `from` to `until`, in nanoseconds of the world's clock.
    ///
    /// It concerns `nodes`, or all if there are none. `until` is `None` if it lasts to the end, or
    /// if nobody knows yet: a later fault of the same `id` takes the place of this one.
    #[expect(missing_docs, reason = "said above")]
    Fault {
        id: u64,
        family: String,
        nodes: Vec<u64>,
        from: u64,
        #[serde(skip_serializing_if = "Option::is_none")]
        until: Option<u64>,
        text: String,
    },
    /// A law was broken.
    #[expect(missing_docs, reason = "said above")]
    Violation { law: String, text: String },
}

impl Kind {
    /// Returns the name that it has in a file, as in `recv`.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Send { .. } => "send",
            Self::Recv { .. } => "recv",
            Self::Lost { .. } => "lost",
            Self::Persist { .. } => "persist",
            Self::Durable { .. } => "durable",
            Self::Fetch { .. } => "fetch",
            Self::Fetched { .. } => "fetched",
            Self::Deliver { .. } => "deliver",
            Self::Event { .. } => "event",
            Self::Timeout { .. } => "timeout",
            Self::Note { .. } => "note",
            Self::Invoke { .. } => "invoke",
            Self::Ok { .. } => "ok",
            Self::Fail { .. } => "fail",
            Self::Info { .. } => "info",
            Self::Boot { .. } => "boot",
            Self::Crash { .. } => "crash",
            Self::Pause { .. } => "pause",
            Self::Resume { .. } => "resume",
            Self::Badge { .. } => "badge",
            Self::Fault { .. } => "fault",
            Self::Violation { .. } => "violation",
        }
    }

    /// Returns what a person wrote about it; empty for a badge.
    #[must_use]
    pub fn text(&self) -> &str {
        match self {
            Self::Send { text, .. }
            | Self::Recv { text, .. }
            | Self::Lost { text, .. }
            | Self::Persist { text, .. }
            | Self::Durable { text, .. }
            | Self::Fetch { text, .. }
            | Self::Fetched { text, .. }
            | Self::Deliver { text }
            | Self::Event { text }
            | Self::Timeout { text }
            | Self::Note { text }
            | Self::Invoke { text, .. }
            | Self::Ok { text, .. }
            | Self::Fail { text, .. }
            | Self::Info { text, .. }
            | Self::Boot { text }
            | Self::Crash { text }
            | Self::Pause { text }
            | Self::Resume { text }
            | Self::Fault { text, .. }
            | Self::Violation { text, .. } => text,
            Self::Badge { .. } => "",
        }
    }

    /// Returns the id and the class of the message, if it is about one.
    #[must_use]
    pub fn message(&self) -> Option<(u64, &str)> {
        match self {
            Self::Send { id, class, .. }
            | Self::Recv { id, class, .. }
            | Self::Lost { id, class, .. } => Some((*id, class)),
            _ => None,
        }
    }

    /// Returns the process and the number of the operation, if it is about one.
    #[must_use]
    pub const fn operation(&self) -> Option<(u64, u64)> {
        match self {
            Self::Invoke { process, op, .. }
            | Self::Ok { process, op, .. }
            | Self::Fail { process, op, .. }
            | Self::Info { process, op, .. } => Some((*process, *op)),
            _ => None,
        }
    }
}

/// Why a message did not arrive.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Why {
    /// By chance.
    Loss,
    /// The link was cut.
    Cut,
    /// The receiver was down.
    Dead,
    /// Too many were under way.
    Queue,
    /// The connection was reset.
    Reset,
    /// What arrived was not what was sent, and was refused.
    Corrupt,
}

impl Why {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Loss, Self::Cut, Self::Dead, Self::Queue, Self::Reset, Self::Corrupt];

    /// Returns the name that it has in a file, as in `cut`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Loss => "loss",
            Self::Cut => "cut",
            Self::Dead => "dead",
            Self::Queue => "queue",
            Self::Reset => "reset",
            Self::Corrupt => "corrupt",
        }
    }
}

impl Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
