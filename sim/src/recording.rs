//! A run as a file, and as a picture.
//!
//! `trace.jsonl` holds a line of JSON for the run, then one for each event, in order:
//!
//! ```text
//! {"v":1,"name":"split","seed":7,"nodes":[{"id":1,"name":"n1"},{"id":2,"name":"n2"}],"plan":null}
//! {"t":1000,"n":1,"k":"send","id":1,"to":2,"class":"Vote","text":"term 2"}
//! {"t":4000,"n":2,"k":"recv","id":1,"from":1,"class":"Vote","text":"term 2"}
//! ```
//!
//! | `k` | besides `t` (nanoseconds) and `n` (node) |
//! |---|---|
//! | `send`, `lost` | `id`, `to`, `class`, `text`; `lost` also `why` |
//! | `recv` | `id`, `from`, `class`, `text` |
//! | `persist`, `durable`, `fetch`, `fetched` | `id`, `text` |
//! | `deliver`, `event`, `timeout`, `note` | `text` |
//! | `invoke`, `ok`, `fail`, `info` | `process`, `op`, `text` |
//! | `boot`, `crash`, `pause`, `resume` | `text` |
//! | `badge` | `role`, `number` |
//! | `fault` | `id`, `family`, `nodes`, `from`, `until`, `text` |
//! | `violation` | `law`, `text` |
//!
//! `n` may be absent where no node is concerned: in `note`, `fault`, `violation`, and in what
//! clients do. Pictures put events in the order of their times; of equal times, in the order
//! of the file.
//!
//! Left out: bytes of messages, state of nodes, and clocks of nodes: all times are the world's.

mod event;
mod html;
mod layout;
mod read;
mod shiviz;
mod svg;
mod words;
mod write;

use serde::Serialize;
use serde_json::Value;

pub use self::event::{Event, Kind, Why};
pub use self::read::ReadError;

/// What happened in a run: whatever a picture of it needs.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Recording {
    /// What ran.
    pub name: String,
    /// The seed that shows it again.
    pub seed: u64,
    /// The nodes, from left to right.
    pub nodes: Vec<Lane>,
    /// The plan of the run. A number that is not whole may change in its last digit in a file.
    pub plan: Value,
    /// What happened, first to last.
    pub events: Vec<Event>,
}

/// A node of a recording.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Lane {
    /// What events call it.
    pub id: u64,
    /// What people call it.
    pub name: String,
}

impl Recording {
    /// Makes a recording in which nothing has happened, of no nodes.
    #[must_use]
    pub fn new(name: impl Into<String>, seed: u64, plan: Value) -> Self {
        Self { name: name.into(), seed, nodes: Vec::new(), plan, events: Vec::new() }
    }

    /// Adds a node, to the right of the others; gives it another name if it is there.
    #[must_use]
    pub fn node(mut self, id: u64, name: impl Into<String>) -> Self {
        let name = name.into();
        match self.nodes.iter_mut().find(|node| node.id == id) {
            Some(node) => node.name = name,
            None => self.nodes.push(Lane { id, name }),
        }
        self
    }

    /// Adds what happened next.
    pub fn push(&mut self, event: Event) {
        self.events.push(event);
    }
}
