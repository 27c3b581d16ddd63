//! What a node answers.

use std::collections::BTreeSet;
use std::io::{self, BufWriter, StdoutLock, Write as _};
use std::time::{Duration, Instant};

use quorate_sim::maelstrom::{Body, Message, Workload};
use serde_json::{Value, json};

use super::broadcast::Broadcast;
use super::gossip::Gossip;
use super::machine;
use super::replicated::Replicated;

pub(super) struct Node {
    output: Output,
    others: Vec<String>,
    workload: Option<Workload>,
    ids: u64,
    broadcast: Broadcast,
    set: Gossip,
    counter: Gossip,
    /// It is there when it is needed: an idle log would send heartbeats.
    replicated: Option<Replicated>,
    names: Vec<String>,
    next_round: Instant,
}

/// Where a node's messages go, under its name.
pub(super) struct Output {
    name: String,
    lines: BufWriter<StdoutLock<'static>>,
}

impl Node {
    pub(super) fn new(
        now: Instant,
        workload: Option<Workload>,
        output: StdoutLock<'static>,
    ) -> Self {
        Self {
            output: Output { name: String::new(), lines: BufWriter::new(output) },
            others: Vec::new(),
            workload,
            ids: 0,
            broadcast: Broadcast::default(),
            set: Gossip::new("set", |old, _| old.clone()),
            counter: Gossip::new("counter", larger_of_each),
            replicated: None,
            names: Vec::new(),
            next_round: now,
        }
    }

    /// Takes a message. An error means that nobody listens any more.
    pub(super) fn handle(&mut self, now: Instant, message: &Message) -> io::Result<()> {
        let body = &message.body;
        match &*body.kind {
            "forward" => self.broadcast.take(now, message, &mut self.output),
            "sync" => self.broadcast.confirm(message, &mut self.output),
            "have" => self.broadcast.repeat(now, message, &mut self.output),
            "gossip" => {
                let is_set = body.field("of") == Some(&json!("set"));
                let of = if is_set { &mut self.set } else { &mut self.counter };
                let workload = if is_set { Workload::GSet } else { Workload::PnCounter };
                self.workload.get_or_insert(workload);
                of.take(message, &mut self.output)
            }
            "gossip_ok" => {
                let is_set = body.field("of") == Some(&json!("set"));
                let of = if is_set { &mut self.set } else { &mut self.counter };
                of.confirmed(message);
                Ok(())
            }
            // Nobody knows the others before `init`: they say it again.
            "raft" | "command" if self.names.is_empty() => Ok(()),
            "raft" | "command" => {
                let (replicated, output) = self.replicated(now);
                replicated.take(now, message, output)
            }
            // An answer to what nobody asked.
            _ if body.msg_id.is_none() => Ok(()),
            "write"
            | "cas"
            | "send"
            | "poll"
            | "commit_offsets"
            | "list_committed_offsets"
            | "txn" => self.agree(now, message),
            "read" if body.field("key").is_some() => self.agree(now, message),
            _ => {
                let answer = self.answer(now, message)?;
                self.output.reply(message, answer)
            }
        }
    }

    /// Takes a request on whose place all nodes have to agree.
    fn agree(&mut self, now: Instant, message: &Message) -> io::Result<()> {
        if let Err(name) = machine::check(&message.body) {
            return self.output.reply(message, malformed(name));
        }
        if self.names.is_empty() {
            let answer = Body::error(TEMPORARILY_UNAVAILABLE, "there was no `init` yet");
            return self.output.reply(message, answer);
        }
        let (replicated, output) = self.replicated(now);
        replicated.request(now, message, output)
    }

    fn answer(&mut self, now: Instant, message: &Message) -> io::Result<Body> {
        let body = &message.body;
        Ok(match &*body.kind {
            "init" => {
                let name = text(body.field("node_id"));
                let all = body.field("node_ids").and_then(Value::as_array);
                let names: Vec<String> =
                    all.into_iter().flatten().map(|it| text(Some(it))).collect();
                if !names.contains(&name)
                    || names.iter().collect::<BTreeSet<_>>().len() < names.len()
                {
                    return Ok(malformed("node_ids` with each node once, and with `node_id"));
                }
                (self.output.name, self.names) = (name, names);
                let is_other = |name: &String| *name != self.output.name;
                self.others = self.names.iter().filter(|name| is_other(name)).cloned().collect();
                self.broadcast.set_neighbors(now, self.others.clone());
                Body::new("init_ok")
            }
            "echo" => match body.field("echo") {
                Some(echo) => Body::new("echo_ok").with("echo", echo.clone()),
                None => malformed("echo"),
            },
            "generate" => {
                self.ids += 1;
                Body::new("generate_ok").with("id", format!("{}-{}", self.output.name, self.ids))
            }
            "topology" => {
                self.workload.get_or_insert(Workload::Broadcast);
                let all = body.field("topology").and_then(|it| it.get(&self.output.name));
                if let Some(neighbors) = all.and_then(Value::as_array) {
                    let names = neighbors.iter().map(|it| text(Some(it))).collect();
                    self.broadcast.set_neighbors(now, names);
                }
                Body::new("topology_ok")
            }
            "broadcast" => match body.field("message") {
                Some(value) => {
                    self.workload.get_or_insert(Workload::Broadcast);
                    self.broadcast.spread(now, value, None, &mut self.output)?;
                    Body::new("broadcast_ok")
                }
                None => malformed("message"),
            },
            "add" => self.add(body),
            "read" => self.read(),
            _ => Body::error(NOT_SUPPORTED, "this node does not know this type"),
        })
    }

    fn add(&mut self, body: &Body) -> Body {
        if let Some(element) = body.field("element") {
            self.workload.get_or_insert(Workload::GSet);
            self.set.merge(&element.to_string(), element);
            return Body::new("add_ok");
        }
        let Some(delta) = body.field("delta").and_then(Value::as_i64) else {
            return malformed("element` or `delta");
        };
        self.workload.get_or_insert(Workload::PnCounter);
        // What this node ever added, and took away: both only grow, so that the larger is newer.
        let (plus, minus) = self.counter.get(&self.output.name).map_or((0, 0), pair);
        let change = delta.unsigned_abs();
        let (more, less) = if delta < 0 { (0, change) } else { (change, 0) };
        let sums = json!([plus.saturating_add(more), minus.saturating_add(less)]);
        self.counter.merge(&self.output.name, &sums);
        Body::new("add_ok")
    }

    fn read(&self) -> Body {
        let read = Body::new("read_ok");
        match self.workload {
            Some(Workload::Broadcast) => read.with("messages", self.broadcast.values()),
            Some(Workload::GSet) => {
                read.with("value", self.set.values().cloned().collect::<Value>())
            }
            Some(Workload::GCounter | Workload::PnCounter) => {
                let sum = self
                    .counter
                    .values()
                    .map(pair)
                    .map(|(plus, minus)| i128::from(plus) - i128::from(minus));
                let sum: i128 = sum.sum();
                let limit = if sum < 0 { i64::MIN } else { i64::MAX };
                read.with("value", i64::try_from(sum).unwrap_or(limit))
            }
            _ => Body::error(TEMPORARILY_UNAVAILABLE, "nothing was added, so what is it?"),
        }
    }

    /// Returns what agrees with the other nodes on an order, and where it speaks.
    fn replicated(&mut self, now: Instant) -> (&mut Replicated, &mut Output) {
        let me = self.names.iter().position(|name| *name == self.output.name).unwrap_or(0);
        let make = || Replicated::new(self.names.clone(), me, now);
        (self.replicated.get_or_insert_with(make), &mut self.output)
    }

    /// Sends again what did not arrive.
    pub(super) fn tick(&mut self, now: Instant) -> io::Result<()> {
        if let Some(replicated) = &mut self.replicated {
            replicated.tick(now, &mut self.output)?;
        }
        if now < self.next_round {
            return Ok(());
        }
        self.next_round = now + ROUND;
        if let Some(replicated) = &mut self.replicated {
            replicated.ask_again(now, &mut self.output)?;
        }
        self.broadcast.tick(now, &mut self.output)?;
        self.set.tick(now, &self.others, &mut self.output)?;
        self.counter.tick(now, &self.others, &mut self.output)
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.output.lines.flush()
    }
}

impl Output {
    pub(super) fn send(&mut self, dest: &str, body: Body) -> io::Result<()> {
        let message = Message { src: self.name.clone(), dest: dest.to_owned(), body };
        writeln!(self.lines, "{message}")
    }

    pub(super) fn reply(&mut self, message: &Message, body: Body) -> io::Result<()> {
        writeln!(self.lines, "{}", message.reply(body))
    }
}

pub(super) fn malformed(name: &str) -> Body {
    Body::error(MALFORMED_REQUEST, &format!("expected a field `{name}`"))
}

pub(super) fn text(value: Option<&Value>) -> String {
    value.and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// Reads the two sums of a counter's entry.
fn pair(entry: &Value) -> (u64, u64) {
    let number = |index: usize| entry.get(index).and_then(Value::as_u64).unwrap_or(0);
    (number(0), number(1))
}

fn larger_of_each(old: &Value, new: &Value) -> Value {
    let ((a, b), (c, d)) = (pair(old), pair(new));
    json!([a.max(c), b.max(d)])
}

/// How often what did not arrive is sent again.
const ROUND: Duration = Duration::from_millis(100);
const NOT_SUPPORTED: u64 = 10;
const TEMPORARILY_UNAVAILABLE: u64 = 11;
const MALFORMED_REQUEST: u64 = 12;
