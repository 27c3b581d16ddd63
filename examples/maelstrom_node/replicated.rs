//! `lin-kv`, `kafka` and transactions: every node applies the same requests in the same order, that
//! of a Raft log.
//!
//! ```text
//! client -> n2: request          n2 waits, and asks the leader until it is applied
//!           n2 -> n1: command    n1 leads: it proposes; who does not lead takes no command
//!           n1 <-> n2, n3: raft  the log
//! client <- n2: answer           when n2 has applied it
//! ```
//!
//! A command that is asked for twice is applied once: it has the name of its node and a number.
//! Nothing is written to a disk: a node of Maelstrom that dies does not come back.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use quorate_consensus::raft::{Answer, Config, Delivery, Message as RaftMessage, Output, Raft};
use quorate_consensus::{Majority, Payload};
use quorate_core::{self as core, NodeId, Protocol as _, Wire as _};
use quorate_sim::maelstrom::{Body, Message};
use serde_json::{Value, json};

use super::machine::Machine;
use super::node::{Output as Lines, malformed};

pub(super) struct Replicated {
    raft: Raft,
    /// All nodes, in the order of their ids.
    names: Vec<String>,
    me: usize,
    start: Instant,
    machine: Machine,
    /// Requests that are not applied yet, by their number.
    waiting: BTreeMap<u64, Message>,
    next: u64,
    applied: Applied,
}

/// Which commands were applied.
#[derive(Default)]
struct Applied(BTreeMap<u64, (u64, BTreeSet<u64>)>);

impl Applied {
    /// Takes in a command of a node. Returns whether it is new.
    fn insert(&mut self, node: u64, number: u64) -> bool {
        // All below the floor were applied.
        let (floor, above) = self.0.entry(node).or_default();
        let is_new = *floor <= number && above.insert(number);
        while above.remove(floor) {
            *floor += 1;
        }
        is_new
    }
}

impl Replicated {
    /// Makes the node at `me` of `names`.
    pub(super) fn new(names: Vec<String>, me: usize, start: Instant) -> Self {
        let voters = Majority::new((1..=names.len() as u64).map(NodeId));
        let mut config = Config::new(id(me), voters.expect("there are nodes, each once"));
        // Nodes are up to a second apart.
        config.election_timeout = Duration::from_secs(1)..Duration::from_secs(2);
        config.heartbeat_interval = Duration::from_millis(100);
        let raft = Raft::new(config, me as u64, core::Instant::default());
        Self {
            raft: raft.expect("the config is good"),
            names,
            me,
            start,
            machine: Machine::default(),
            waiting: BTreeMap::new(),
            next: 0,
            applied: Applied::default(),
        }
    }

    /// Takes the request of a client. It is answered when it is applied.
    pub(super) fn request(
        &mut self,
        now: Instant,
        request: &Message,
        lines: &mut Lines,
    ) -> io::Result<()> {
        let number = self.next;
        self.next += 1;
        self.waiting.insert(number, request.clone());
        self.ask(now, number, lines)?;
        self.drain(now, lines)
    }

    /// Takes what another node says.
    pub(super) fn take(
        &mut self,
        now: Instant,
        message: &Message,
        lines: &mut Lines,
    ) -> io::Result<()> {
        let Some(from) = self.names.iter().position(|name| *name == message.src) else {
            return Ok(());
        };
        match message.body.field("bytes").and_then(Value::as_str).and_then(from_hex) {
            Some(bytes) if message.body.kind == "command" => {
                // Who does not lead leaves it to the others: it is asked for again.
                _ = self.raft.propose(self.time(now), bytes);
            }
            Some(mut bytes) => {
                if let Ok(message) = RaftMessage::decode(&mut bytes) {
                    self.raft.handle_message(self.time(now), id(from), message);
                }
            }
            None => {}
        }
        self.drain(now, lines)
    }

    /// Lets time pass, and asks again for what is not applied.
    pub(super) fn tick(&mut self, now: Instant, lines: &mut Lines) -> io::Result<()> {
        self.raft.handle_timeout(self.time(now));
        self.drain(now, lines)
    }

    pub(super) fn ask_again(&mut self, now: Instant, lines: &mut Lines) -> io::Result<()> {
        let numbers: Vec<u64> = self.waiting.keys().copied().collect();
        numbers.into_iter().try_for_each(|number| self.ask(now, number, lines))?;
        self.drain(now, lines)
    }

    /// Asks the leader for a command, if there is one.
    fn ask(&mut self, now: Instant, number: u64, lines: &mut Lines) -> io::Result<()> {
        let Some(leader) = self.raft.status().leader else { return Ok(()) };
        let request = &self.waiting[&number].body;
        let command = json!([self.me, number, request.kind, request.fields]).to_string();
        if leader == id(self.me) {
            _ = self.raft.propose(self.time(now), Bytes::from(command));
            return Ok(());
        }
        let body = Body::new("command").with("bytes", to_hex(command.as_bytes()));
        lines.send(&self.names[index(leader)], body)
    }

    /// Does what the core asks for: all is durable as soon as it is in memory.
    fn drain(&mut self, now: Instant, lines: &mut Lines) -> io::Result<()> {
        let time = self.time(now);
        while let Some(output) = self.raft.poll_output() {
            match output {
                Output::Send { to, message } => {
                    let mut bytes = BytesMut::new();
                    message.encode(&mut bytes);
                    let body = Body::new("raft").with("bytes", to_hex(&bytes));
                    lines.send(&self.names[index(to)], body)?;
                }
                Output::Persist { write, .. } => self.raft.handle_persisted(time, write),
                // It keeps 64 MiB in memory, and asks for older entries only.
                Output::Fetch { fetch, .. } => {
                    self.raft.handle_fetched(time, fetch, Answer::Unavailable);
                }
                Output::Deliver(Delivery::Committed(entries)) => {
                    for entry in entries {
                        if let Payload::Data(data) = entry.payload {
                            self.apply(&data, lines)?;
                        }
                    }
                }
                Output::Deliver(_) | Output::Event(_) => {}
            }
        }
        Ok(())
    }

    fn apply(&mut self, command: &[u8], lines: &mut Lines) -> io::Result<()> {
        let Ok((node, number, kind, fields)) = serde_json::from_slice(command) else {
            return Ok(());
        };
        let (node, number): (u64, u64) = (node, number);
        if !self.applied.insert(node, number) {
            return Ok(());
        }
        let kind: String = kind;
        let body = Body { fields, ..Body::new(&kind) };
        let answer = self.machine.apply(&body).unwrap_or_else(malformed);
        if node != self.me as u64 {
            return Ok(());
        }
        let request = self.waiting.remove(&number);
        request.map_or(Ok(()), |request| lines.reply(&request, answer))
    }

    fn time(&self, now: Instant) -> core::Instant {
        core::Instant::default() + now.saturating_duration_since(self.start)
    }
}

fn id(index: usize) -> NodeId {
    NodeId(index as u64 + 1)
}

fn index(id: NodeId) -> usize {
    usize::try_from(id.0 - 1).expect("ids count from 1")
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex(digits: &str) -> Option<Bytes> {
    let pairs = digits.as_bytes().chunks(2);
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    pairs.map(byte).collect::<Option<Vec<u8>>>().map(Bytes::from)
}
