//! What lies between the nodes: time, and sometimes a cut.
//!
//! Clients are beside their node: what they send and get takes no time and is never lost. Services
//! are as far away as other nodes, and on every side of a cut.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use quorate_core::{Instant, SplitMix64};

use super::journal::Journal;
use super::message::Message;

/// How long messages between servers take.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "a mean and a shape")]
pub struct Latency {
    /// In the mean.
    pub mean: Duration,
    /// How they differ.
    pub distribution: Distribution,
}

/// How the latencies of messages differ.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Distribution {
    /// Not at all.
    #[default]
    Constant,
    /// Each between nothing and twice the mean is as likely as another.
    Uniform,
    /// Most are short, a few are long, at most [`LONGEST`] times the mean.
    Exponential,
}

/// Which nodes are neighbors, as the `topology` message of a broadcast says.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Topology {
    /// Those to the left, right, above and below in a square.
    #[default]
    Grid,
    /// The one before and the one after.
    Line,
    /// All.
    Total,
    /// The parent, and up to four children.
    Tree4,
}

/// Messages that are under way, and how many there were.
#[derive(Debug)]
pub(super) struct Network {
    latency: Latency,
    draw: SplitMix64,
    /// By the time of their arrival, then by a number of their own.
    under_way: BTreeMap<(Instant, u64), Message>,
    next: u64,
    /// For each node, whether it is on the one side; empty if all are connected.
    sides: Vec<bool>,
    /// How many messages each node has under way.
    from: Vec<usize>,
    pub(super) counts: Counts,
    pub(super) journal: Option<Journal>,
}

/// How many messages were sent. Those of clients count nowhere.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Counts {
    /// From node to node, also those that a partition dropped.
    pub between_nodes: u64,
    /// From nodes to services and back.
    pub with_services: u64,
    /// From node to node, dropped by a partition.
    pub dropped: u64,
}

impl Network {
    pub(super) fn new(latency: Latency, nodes: usize, seed: u64) -> Self {
        Self {
            latency,
            draw: SplitMix64::new(seed),
            under_way: BTreeMap::new(),
            next: 0,
            sides: Vec::new(),
            from: vec![0; nodes],
            counts: Counts::default(),
            journal: None,
        }
    }

    /// Sends a message between servers, and returns how many its sender has under way.
    pub(super) fn send(&mut self, now: Instant, message: Message) -> usize {
        let (src, dest) = (self.node(&message.src), self.node(&message.dest));
        let side = |node: usize| self.sides.get(node).copied();
        let id = self.next;
        self.next += 1;
        if let Some(journal) = &mut self.journal {
            journal.sent(now, id, &message);
        }
        if let (Some(src), Some(dest)) = (src, dest) {
            self.counts.between_nodes += 1;
            if side(src) != side(dest) {
                self.counts.dropped += 1;
                if let Some(journal) = &mut self.journal {
                    journal.lost(now, id, &message);
                }
                return self.from[src];
            }
        } else {
            self.counts.with_services += 1;
        }
        let takes = if src.is_some() && src == dest { Duration::ZERO } else { self.takes() };
        let at = now.checked_add(takes).unwrap_or(now);
        self.under_way.insert((at, id), message);
        src.map_or(0, |src| {
            self.from[src] += 1;
            self.from[src]
        })
    }

    fn takes(&mut self) -> Duration {
        let mean = self.latency.mean;
        match self.latency.distribution {
            Distribution::Constant => mean,
            Distribution::Uniform => mean.mul_f64(2.0 * fraction(&mut self.draw)),
            Distribution::Exponential => {
                let times = -(1.0 - fraction(&mut self.draw)).ln();
                mean.mul_f64(times.min(f64::from(LONGEST)))
            }
        }
    }

    /// Returns a message that arrived by `now`, if there is one that no cut stops.
    pub(super) fn receive(&mut self, now: Instant) -> Option<Message> {
        while let Some(entry) = self.under_way.first_entry().filter(|it| it.key().0 <= now) {
            let ((_, id), message) = entry.remove_entry();
            let (src, dest) = (self.node(&message.src), self.node(&message.dest));
            if let Some(src) = src {
                self.from[src] -= 1;
            }
            let side = |node: Option<usize>| node.and_then(|it| self.sides.get(it));
            if src.is_some() && dest.is_some() && side(src) != side(dest) {
                self.counts.dropped += 1;
                if let Some(journal) = &mut self.journal {
                    journal.lost(now, id, &message);
                }
                continue;
            }
            if let Some(journal) = &mut self.journal {
                journal.received(now, id, &message);
            }
            return Some(message);
        }
        None
    }

    /// Returns when the next message arrives.
    pub(super) fn next_arrival(&self) -> Option<Instant> {
        self.under_way.first_key_value().map(|((at, _), _)| *at)
    }

    /// Cuts the nodes into two halves, drawn anew.
    pub(super) fn cut(&mut self, now: Instant) {
        let count = self.from.len();
        let mut order: Vec<usize> = (0..count).collect();
        shuffle(&mut order, &mut self.draw);
        self.sides = vec![false; count];
        for node in &order[..count / 2] {
            self.sides[*node] = true;
        }
        if let Some(journal) = &mut self.journal {
            journal.cut(now, &order[..count / 2]);
        }
    }

    pub(super) fn heal(&mut self, now: Instant) {
        self.sides.clear();
        if let Some(journal) = &mut self.journal {
            journal.healed(now);
        }
    }

    pub(super) fn is_cut(&self) -> bool {
        !self.sides.is_empty()
    }

    /// Returns the index of the node `name`, if it is one.
    pub(super) fn node(&self, name: &str) -> Option<usize> {
        let number: usize = name.strip_prefix('n')?.parse().ok()?;
        let index = number.checked_sub(1).filter(|it| *it < self.from.len())?;
        (name == node_name(index)).then_some(index)
    }
}

impl Topology {
    /// Returns the neighbors of each of `count` nodes.
    #[must_use]
    pub fn neighbors(self, count: usize) -> Vec<Vec<usize>> {
        let width = (1..).find(|it| count <= it * it).unwrap_or(1);
        let are_joined = |a: usize, b: usize| {
            let (low, high) = (a.min(b), a.max(b));
            match self {
                Self::Grid => low + width == high || low + 1 == high && !high.is_multiple_of(width),
                Self::Line => low + 1 == high,
                Self::Total => low != high,
                Self::Tree4 => low < high && (high - 1) / 4 == low,
            }
        };
        let of = |a| (0..count).filter(|b| are_joined(a, *b)).collect();
        (0..count).map(of).collect()
    }
}

/// A word names nothing of its kind.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("expected {expected}, found `{found}`")]
#[non_exhaustive]
pub struct UnknownName {
    /// What there is.
    pub expected: &'static str,
    /// The word.
    pub found: String,
}

impl FromStr for Topology {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, UnknownName> {
        match name {
            "grid" => Ok(Self::Grid),
            "line" => Ok(Self::Line),
            "total" => Ok(Self::Total),
            "tree4" => Ok(Self::Tree4),
            _ => Err(unknown("grid, line, total or tree4", name)),
        }
    }
}

impl FromStr for Distribution {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, UnknownName> {
        match name {
            "constant" => Ok(Self::Constant),
            "uniform" => Ok(Self::Uniform),
            "exponential" => Ok(Self::Exponential),
            _ => Err(unknown("constant, uniform or exponential", name)),
        }
    }
}

impl fmt::Display for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shape = match self.distribution {
            Distribution::Constant => "constant",
            Distribution::Uniform => "uniform",
            Distribution::Exponential => "exponential",
        };
        write!(f, "{:?} {shape}", self.mean)
    }
}

pub(super) fn unknown(expected: &'static str, found: &str) -> UnknownName {
    UnknownName { expected, found: found.to_owned() }
}

/// Returns what the node at `index` is called.
pub(super) fn node_name(index: usize) -> String {
    format!("n{}", index + 1)
}

/// Draws a number from 0 up to, but not, 1.
fn fraction(draw: &mut SplitMix64) -> f64 {
    let number = u32::try_from(draw.next_u64() >> 32).expect("the upper half fits");
    f64::from(number) / (f64::from(u32::MAX) + 1.0)
}

/// Brings `items` into an order in which each is as likely as another.
pub(super) fn shuffle<T>(items: &mut [T], draw: &mut SplitMix64) {
    for last in (1..items.len()).rev() {
        items.swap(last, below(draw, last + 1));
    }
}

/// Draws an index below `end`, which is not 0.
pub(super) fn below(draw: &mut SplitMix64, end: usize) -> usize {
    usize::try_from(draw.below(end as u64)).expect("it is below a usize")
}

/// How many times the mean a latency is at most: one message in 22,000 would take longer.
pub const LONGEST: u32 = 10;
