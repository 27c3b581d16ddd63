//! A map that all nodes come to agree on: each sends others what they may not have.
//!
//! Entries merge, so that it does not matter how often and in which order they come. A counter is
//! such a map as well: each node has an entry of its own, what it added and what it took away.
//!
//! Source: Shapiro et al., "A comprehensive study of convergent and commutative replicated data
//! types" (2011), 3.1.3 and 3.3.1.

use std::collections::BTreeMap;
use std::io;
use std::time::{Duration, Instant};

use quorate_sim::maelstrom::{Body, Message};
use serde_json::{Value, json};

use super::node::Output;

pub(super) struct Gossip {
    /// What it is called in messages.
    name: &'static str,
    /// Returns an entry that has what both have.
    join: fn(&Value, &Value) -> Value,
    /// Each with the version that changed it.
    entries: BTreeMap<String, (Value, u64)>,
    version: u64,
    peers: BTreeMap<String, Peer>,
}

struct Peer {
    /// It has all changes up to this version.
    confirmed: u64,
    /// What was last sent to it.
    sent: u64,
    sent_at: Instant,
}

impl Gossip {
    pub(super) fn new(name: &'static str, join: fn(&Value, &Value) -> Value) -> Self {
        Self { name, join, entries: BTreeMap::new(), version: 0, peers: BTreeMap::new() }
    }

    pub(super) fn get(&self, key: &str) -> Option<&Value> {
        self.entries.get(key).map(|(value, _)| value)
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &Value> {
        self.entries.values().map(|(value, _)| value)
    }

    /// Adds what `value` has to the entry `key`.
    pub(super) fn merge(&mut self, key: &str, value: &Value) {
        let old = self.get(key);
        let new = old.map_or_else(|| value.clone(), |old| (self.join)(old, value));
        if old != Some(&new) {
            self.version += 1;
            self.entries.insert(key.to_owned(), (new, self.version));
        }
    }

    /// Takes what another node has.
    pub(super) fn take(&mut self, message: &Message, output: &mut Output) -> io::Result<()> {
        let body = &message.body;
        let (Some(version), Some(entries)) =
            (body.field("version"), body.field("entries").and_then(Value::as_object))
        else {
            return Ok(());
        };
        for (key, value) in entries {
            self.merge(key, value);
        }
        let ok = Body::new("gossip_ok").with("of", self.name).with("version", version.clone());
        output.send(&message.src, ok)
    }

    /// Learns what another node has.
    pub(super) fn confirmed(&mut self, message: &Message) {
        let version = message.body.field("version").and_then(Value::as_u64).unwrap_or(0);
        if let Some(peer) = self.peers.get_mut(&message.src) {
            peer.confirmed = peer.confirmed.max(version.min(self.version));
        }
    }

    /// Sends others what changed, again if they say nothing.
    pub(super) fn tick(
        &mut self,
        now: Instant,
        others: &[String],
        output: &mut Output,
    ) -> io::Result<()> {
        for name in others {
            let new = || Peer { confirmed: 0, sent: 0, sent_at: now };
            let peer = self.peers.entry(name.clone()).or_insert_with(new);
            let is_sent = peer.sent == self.version && now < peer.sent_at + PATIENCE;
            if peer.confirmed == self.version || is_sent {
                continue;
            }
            (peer.sent, peer.sent_at) = (self.version, now);
            let changed = self.entries.iter().filter(|(_, (_, at))| peer.confirmed < *at);
            let entries: Value = Value::Object(
                changed.map(|(key, (value, _))| (key.clone(), value.clone())).collect(),
            );
            let body = Body::new("gossip").with("of", self.name).with("entries", entries);
            output.send(name, body.with("version", json!(self.version)))?;
        }
        Ok(())
    }
}

/// How long to wait for an answer before the same is sent again.
const PATIENCE: Duration = Duration::from_secs(1);
