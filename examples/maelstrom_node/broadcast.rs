//! Broadcast: each value goes to all neighbors but the one from whom it came.
//!
//! ```text
//! n1 -- forward 1, 2, 3, 4 --> n2      2 and 3 are lost
//! n1 <-- have all below 5, but 2, 3 -- n2      it has waited for them
//! n1 -- forward 2, 3 --> n2
//! n1 -- sync 5 --> n2                  nothing was sent for a while
//! n1 <-- have all below 5 ------------ n2      now n1 forgets them
//! ```
//!
//! Each neighbor gets its values with numbers of its own. A value costs one message for each link
//! that it crosses, and no answer: gaps and silence tell what was lost.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::time::{Duration, Instant};

use quorate_sim::maelstrom::{Body, Message};
use serde_json::Value;

use super::node::Output;

#[derive(Default)]
pub(super) struct Broadcast {
    /// What this node knows, by its text.
    values: BTreeMap<String, Value>,
    neighbors: BTreeMap<String, Link>,
}

/// One neighbor: what was sent to it, and what came from it.
struct Link {
    /// What it may not have, by number.
    unconfirmed: BTreeMap<u64, Value>,
    /// The next number.
    next: u64,
    last_sent: Instant,
    /// All below have come from it.
    received: u64,
    /// Those behind a gap.
    early: BTreeSet<u64>,
    /// When the first of them came, or when it was last asked for what is missing.
    gap_since: Instant,
}

impl Broadcast {
    /// Sets who the neighbors are. Those that remain are remembered.
    pub(super) fn set_neighbors(&mut self, now: Instant, names: Vec<String>) {
        let mut old = std::mem::take(&mut self.neighbors);
        let link = |name| (old.remove(&name).unwrap_or_else(|| Link::new(now)), name);
        self.neighbors = names.into_iter().map(link).map(|(link, name)| (name, link)).collect();
    }

    pub(super) fn values(&self) -> Value {
        self.values.values().cloned().collect()
    }

    /// Takes a value, and tells all neighbors but `from` if it is new.
    pub(super) fn spread(
        &mut self,
        now: Instant,
        value: &Value,
        from: Option<&str>,
        output: &mut Output,
    ) -> io::Result<()> {
        if self.values.insert(value.to_string(), value.clone()).is_some() {
            return Ok(());
        }
        for (name, link) in &mut self.neighbors {
            if from == Some(name) {
                continue;
            }
            let number = link.next;
            link.next += 1;
            link.last_sent = now;
            link.unconfirmed.insert(number, value.clone());
            output.send(name, forward(number, value))?;
            if UNCONFIRMED_MAX < link.unconfirmed.len() {
                output.send(name, Body::new("sync").with("next", link.next))?;
            }
        }
        Ok(())
    }

    /// Takes a value from a neighbor.
    pub(super) fn take(
        &mut self,
        now: Instant,
        message: &Message,
        output: &mut Output,
    ) -> io::Result<()> {
        let (body, from) = (&message.body, &*message.src);
        let (Some(number), Some(value)) = (number(body, "number"), body.field("message")) else {
            return Ok(());
        };
        if let Some(link) = self.neighbors.get_mut(from) {
            link.receive(now, number);
        }
        self.spread(now, value, Some(from), output)
    }

    /// Says what has come from a neighbor that asks.
    pub(super) fn confirm(&self, message: &Message, output: &mut Output) -> io::Result<()> {
        let next = number(&message.body, "next");
        match (self.neighbors.get(&message.src), next) {
            (Some(link), Some(next)) => output.send(&message.src, link.have(next)),
            _ => Ok(()),
        }
    }

    /// Forgets what a neighbor has, and sends again what it misses.
    pub(super) fn repeat(
        &mut self,
        now: Instant,
        message: &Message,
        output: &mut Output,
    ) -> io::Result<()> {
        let Some(below) = number(&message.body, "below") else { return Ok(()) };
        let Some(link) = self.neighbors.get_mut(&message.src) else { return Ok(()) };
        let missing = message.body.field("missing").and_then(Value::as_array);
        let missing: BTreeSet<u64> =
            missing.into_iter().flatten().filter_map(Value::as_u64).collect();
        link.unconfirmed.retain(|number, _| below <= *number || missing.contains(number));
        for (number, value) in link.unconfirmed.range(..below) {
            link.last_sent = now;
            output.send(&message.src, forward(*number, value))?;
        }
        Ok(())
    }

    /// Asks neighbors that were sent nothing for a while what they have, and says what is missing
    /// from others.
    pub(super) fn tick(&mut self, now: Instant, output: &mut Output) -> io::Result<()> {
        for (name, link) in &mut self.neighbors {
            if !link.unconfirmed.is_empty() && link.last_sent + SILENCE <= now {
                link.last_sent = now;
                output.send(name, Body::new("sync").with("next", link.next))?;
            }
            if let Some(last) = link.early.last()
                && link.gap_since + GAP <= now
            {
                link.gap_since = now;
                output.send(name, link.have(last.saturating_add(1)))?;
            }
        }
        Ok(())
    }
}

impl Link {
    fn new(now: Instant) -> Self {
        Self {
            unconfirmed: BTreeMap::new(),
            next: 0,
            last_sent: now,
            received: 0,
            early: BTreeSet::new(),
            gap_since: now,
        }
    }

    fn receive(&mut self, now: Instant, number: u64) {
        if number < self.received {
            return;
        }
        if self.early.is_empty() {
            self.gap_since = now;
        }
        self.early.insert(number);
        while self.early.remove(&self.received) {
            self.received += 1;
        }
    }

    /// Says which numbers below `next` have come.
    fn have(&self, next: u64) -> Body {
        let missing = (self.received..next).filter(|it| !self.early.contains(it));
        let missing: Vec<u64> = missing.take(MISSING_MAX).collect();
        // Of what comes after the last of so many, nothing is said.
        let is_all = missing.len() < MISSING_MAX;
        let below = missing.last().filter(|_| !is_all).map_or(next, |it| it + 1);
        Body::new("have").with("below", below).with("missing", missing)
    }
}

fn forward(number: u64, value: &Value) -> Body {
    Body::new("forward").with("number", number).with("message", value.clone())
}

fn number(body: &Body, name: &str) -> Option<u64> {
    body.field(name).and_then(Value::as_u64)
}

/// After so long without a value for it, a neighbor is asked what it has. Where values are rare,
/// less would cost as much as an answer to each.
const SILENCE: Duration = Duration::from_secs(2);
/// After so long, what is missing is lost and not late.
const GAP: Duration = Duration::from_millis(500);
/// How many are sent again at once.
const MISSING_MAX: usize = 1_000;
/// From here on each value asks whether the others came: nothing is dropped.
const UNCONFIRMED_MAX: usize = 10_000;
