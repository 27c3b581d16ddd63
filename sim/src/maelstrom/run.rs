//! A run: start, operations, rest, last reads.
//!
//! One thread decides everything. It sleeps until a node says something, a message arrives, a
//! client gives up, or the next operation is due.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use quorate_core::Instant;
use serde_json::{Map, Value as Json};

use super::Runner;
use super::clients::Clients;
use super::journal::Journal;
use super::message::{Body, Message};
use super::network::{Network, node_name};
use super::process::{Nodes, Said};
use super::report::{Judged, MisdeedKind, RunError, Verdict};
use super::services::Services;
use super::workloads::{Finals, Workload};
use crate::Recording;

pub(super) struct Run<'a> {
    config: &'a Runner,
    clock: Clock,
    nodes: Nodes,
    said: Receiver<(usize, Said)>,
    /// So that `said` waits even if all nodes are gone.
    _says: SyncSender<(usize, Said)>,
    pub(super) network: Network,
    services: Services,
    pub(super) clients: Clients,
    /// Requests of the run itself: to whom, and of which type.
    control: BTreeMap<u64, (usize, &'static str)>,
    next_control: u64,
    /// For each node, how much it said since when.
    said_lately: Vec<(Instant, u64)>,
    pub(super) partitions: u32,
    finals: Finals,
}

/// Why a run ends early: who, and what it did.
pub(super) type Stop = (usize, MisdeedKind);

impl<'a> Run<'a> {
    pub(super) fn start(config: &'a Runner) -> Result<Self, RunError> {
        let (says, said) = sync_channel(SAID_MAX);
        let mut nodes = Nodes::new(config.grace);
        for _ in 0..config.nodes {
            let started = nodes.start(&config.program, says.clone(), config.max_queue);
            started.map_err(|source| {
                let path = config.program.path.clone();
                RunError::Start { path, source }
            })?;
        }
        // Each part draws from a stream of its own.
        let seed = |part: u64| crate::mix(config.seed, part, 0);
        let clients = config.clients.unwrap_or_else(|| 10.max(2 * config.nodes));
        let work = config.workload.work(config.model);
        let mut network = Network::new(config.latency, config.nodes, seed(1));
        network.journal = config
            .trace
            .is_some()
            .then(|| Journal::new(config.workload.name(), config.seed, config.nodes));
        Ok(Self {
            config,
            clock: Clock::start(),
            nodes,
            said,
            _says: says,
            network,
            services: Services::new(seed(2)),
            clients: Clients::new(work, clients, config.nodes, config.timeout, seed(3)),
            control: BTreeMap::new(),
            next_control: 1,
            said_lately: vec![(Instant::from_nanos(0), 0); config.nodes],
            partitions: 0,
            finals: Finals::new(),
        })
    }

    /// Runs to the end, or until a node does what it must not.
    pub(super) fn go(&mut self) -> Result<(), Stop> {
        let names: Json = (0..self.config.nodes).map(node_name).collect();
        self.ask_all("init", |node| {
            Body::new("init").with("node_id", node_name(node)).with("node_ids", names.clone())
        })?;
        if self.config.workload == Workload::Broadcast {
            let neighbors = self.config.topology.neighbors(self.config.nodes);
            let names = |nodes: &Vec<usize>| nodes.iter().copied().map(node_name).collect::<Json>();
            let topology: Map<_, _> =
                neighbors.iter().enumerate().map(|(it, of)| (node_name(it), names(of))).collect();
            self.ask_all("topology", |_| Body::new("topology").with("topology", topology.clone()))?;
        }
        self.operate()?;
        self.wait_for_clients()?;
        self.rest()?;
        self.read_last()
    }

    /// Sends a request of the run itself to each node, and waits for all answers.
    fn ask_all(&mut self, kind: &'static str, body: impl Fn(usize) -> Body) -> Result<(), Stop> {
        for node in 0..self.config.nodes {
            let id = self.next_control;
            self.next_control += 1;
            self.control.insert(id, (node, kind));
            let body = Body { msg_id: Some(id), ..body(node) };
            let message = Message { src: CONTROL.to_owned(), dest: node_name(node), body };
            self.send_to(node, &message)?;
        }
        let waited = self.config.start_timeout;
        let deadline = self.after(waited);
        while let Some((_, (node, _))) = self.control.first_key_value() {
            if deadline <= self.clock.now() {
                return Err((*node, MisdeedKind::Silent { request: kind.to_owned(), waited }));
            }
            self.step(deadline)?;
        }
        Ok(())
    }

    /// Has clients call operations at the rate, while nodes are cut and joined.
    fn operate(&mut self) -> Result<(), Stop> {
        let end = self.after(self.config.time);
        let gap = Duration::from_secs_f64(1.0 / self.config.rate);
        let mut next_call = self.clock.now();
        let flips = self.config.time.div_f64(PARTITION_PHASES).min(PARTITION_INTERVAL_MAX);
        let mut next_flip = self.after(flips);
        loop {
            let now = self.clock.now();
            if end <= now {
                break;
            }
            if self.config.has_partitions && next_flip <= now {
                next_flip = self.after(flips);
                self.flip();
            }
            while next_call <= now
                && let Some((node, message)) = self.clients.call(self.clock.now())
            {
                self.send_to(node, &message)?;
                next_call = plus(next_call, gap);
            }
            if plus(next_call, LAG_MAX) < now {
                next_call = now;
            }
            let next_call = if self.clients.has_free() { next_call } else { end };
            let next_flip = if self.config.has_partitions { next_flip } else { end };
            self.step(end.min(next_call).min(next_flip))?;
        }
        self.network.heal(self.clock.now());
        Ok(())
    }

    fn flip(&mut self) {
        let now = self.clock.now();
        if self.network.is_cut() {
            self.network.heal(now);
        } else {
            self.network.cut(now);
            self.partitions += 1;
        }
    }

    fn wait_for_clients(&mut self) -> Result<(), Stop> {
        while let Some(deadline) = self.clients.next_deadline() {
            self.step(deadline)?;
        }
        Ok(())
    }

    /// Lets nodes make up for what they missed. Where there were partitions, they have the whole
    /// time: a node may try again rarely. Else it ends when nothing is sent for a while.
    fn rest(&mut self) -> Result<(), Stop> {
        let end = self.after(self.config.recovery);
        let quiet = QUIET + 2 * self.config.latency.mean;
        let mut last = (self.network.counts, self.clock.now());
        loop {
            let now = self.clock.now();
            if self.network.counts != last.0 || self.network.next_arrival().is_some() {
                last = (self.network.counts, now);
            }
            let is_quiet = plus(last.1, quiet) <= now;
            if end <= now || is_quiet && !self.config.has_partitions {
                return Ok(());
            }
            self.step(end.min(plus(now, QUIET / 4)))?;
        }
    }

    /// Asks each node the last questions of the workload, if it has any; each again if there is no
    /// answer.
    fn read_last(&mut self) -> Result<(), Stop> {
        let mut failures = vec![0; self.config.nodes];
        let mut last = None;
        for _ in 0..LAST_ROUNDS {
            let missing =
                |node: &usize| self.finals.get(node).is_some_and(|it| !self.clients.is_ok(*it));
            let missing: Vec<usize> = (0..self.config.nodes).filter(missing).collect();
            for node in &missing {
                failures[*node] += 1;
                if failures[*node] == LAST_READS {
                    let waited = self.config.timeout * LAST_READS;
                    let request = "the last read".into();
                    return Err((*node, MisdeedKind::Silent { request, waited }));
                }
            }
            if !missing.is_empty() {
                let next = self.after(QUIET);
                while self.clock.now() < next {
                    self.step(next)?;
                }
            }
            last = self.ask_last()?;
            if last.is_none() {
                return Ok(());
            }
            self.wait_for_clients()?;
        }
        // What was not read to its end cannot be judged as if it were.
        let why = format!("after {LAST_ROUNDS} last reads there was still more");
        last.map_or(Ok(()), |node| Err((node, MisdeedKind::Endless { why })))
    }

    /// Asks each node its next last question. Returns the last node that was asked, if any was.
    fn ask_last(&mut self) -> Result<Option<usize>, Stop> {
        let mut last = None;
        for node in 0..self.config.nodes {
            let before = self.finals.get(&node).copied();
            let Some((position, (_, message))) =
                self.clients.call_last(self.clock.now(), node, before)
            else {
                continue;
            };
            self.send_to(node, &message)?;
            self.finals.insert(node, position);
            last = Some(node);
        }
        Ok(last)
    }

    /// Does what is due, and waits for what comes next, at most until `until`.
    fn step(&mut self, until: Instant) -> Result<(), Stop> {
        let now = self.clock.now();
        while let Some(message) = self.network.receive(now) {
            self.deliver(&message)?;
        }
        self.clients.expire(now);
        let others = [self.network.next_arrival(), self.clients.next_deadline()];
        let wake = others.into_iter().flatten().fold(until, Instant::min);
        let wait = wake.saturating_duration_since(self.clock.now());
        let Ok((node, said)) = self.said.recv_timeout(wait) else { return Ok(()) };
        self.hear(node, said)?;
        for _ in 0..SAID_MAX {
            let Ok((node, said)) = self.said.try_recv() else { break };
            self.hear(node, said)?;
        }
        Ok(())
    }

    fn hear(&mut self, node: usize, said: Said) -> Result<(), Stop> {
        let result = match said {
            Said::Ended => Err(MisdeedKind::Ended(self.nodes.status(node))),
            Said::Unreadable(error) => Err(MisdeedKind::Garbage(error)),
            Said::Message(message) => self.route(node, message),
        };
        result.map_err(|kind| (node, kind))
    }

    fn route(&mut self, node: usize, message: Message) -> Result<(), MisdeedKind> {
        let now = self.clock.now();
        let (since, count) = &mut self.said_lately[node];
        if plus(*since, SECOND) <= now {
            (*since, *count) = (now, 0);
        }
        *count += 1;
        if self.config.max_per_second < *count {
            return Err(MisdeedKind::Flood { messages: *count });
        }
        if self.network.node(&message.src) != Some(node) {
            let why = format!("it calls itself `{}`", message.src.escape_debug());
            return Err(MisdeedKind::Undeliverable(why));
        }
        let dest = &message.dest;
        if dest == CONTROL {
            return self.answer(node, &message.body);
        }
        if is_client(dest) {
            return self.clients.answer(now, node, &message);
        }
        if self.network.node(dest).is_none() && !Services::has(dest) {
            let why = format!("nobody is `{}`", dest.escape_debug());
            return Err(MisdeedKind::Undeliverable(why));
        }
        let under_way = self.network.send(now, message);
        if self.config.max_queue < under_way {
            return Err(MisdeedKind::Flood { messages: under_way as u64 });
        }
        Ok(())
    }

    /// Takes the answer to a request of the run itself.
    fn answer(&mut self, from: usize, body: &Body) -> Result<(), MisdeedKind> {
        let id = body.in_reply_to.unwrap_or(0);
        let Some((node, kind)) = self.control.get(&id) else { return Ok(()) };
        if *node != from {
            return Ok(());
        }
        if body.kind != format!("{kind}_ok") {
            let why = format!("expected `{kind}_ok`, found `{}`", body.kind.escape_debug());
            return Err(MisdeedKind::WrongAnswer { request: (*kind).to_owned(), why });
        }
        self.control.remove(&id);
        Ok(())
    }

    fn deliver(&mut self, message: &Message) -> Result<(), Stop> {
        if let Some(node) = self.network.node(&message.dest) {
            return self.send_to(node, message);
        }
        let reply = self.services.answer(message);
        self.network.send(self.clock.now(), reply);
        Ok(())
    }

    fn send_to(&self, node: usize, message: &Message) -> Result<(), Stop> {
        let sent = self.nodes.send(node, message.to_string());
        sent.map_err(|_| (node, MisdeedKind::Deaf { messages: self.config.max_queue }))
    }

    /// Judges what clients saw.
    pub(super) fn judge(&self) -> Judged {
        let judged = self.clients.work().judge(&self.clients.seen, &self.finals);
        if self.clients.operations.ok != 0 {
            return judged;
        }
        let count = self.clients.operations.count();
        let why = format!("none of {count} operations happened for certain");
        Judged { verdict: Verdict::Invalid(why), ..judged }
    }

    /// Ends all nodes, and returns what they did wrong besides.
    pub(super) fn end(&mut self) -> Vec<Stop> {
        let lingering = self.nodes.end().into_iter().map(|node| (node, MisdeedKind::Lingers));
        let mut misdeeds: Vec<Stop> = lingering.collect();
        for (node, (requests, answers)) in self.clients.served.iter().enumerate() {
            if 0 < *requests && *answers == 0 {
                misdeeds.push((node, MisdeedKind::AnswersNobody { requests: *requests }));
            }
        }
        misdeeds
    }

    /// Returns what went over the network, if it was to be kept. It ends with why it is `invalid`.
    pub(super) fn recording(&mut self, invalid: Option<String>) -> Option<Recording> {
        let journal = self.network.journal.take()?;
        Some(journal.finish(&self.clients.seen, invalid))
    }

    pub(super) fn stderr(&self, node: usize) -> Vec<String> {
        self.nodes.stderr(node)
    }

    fn after(&mut self, duration: Duration) -> Instant {
        plus(self.clock.now(), duration)
    }
}

/// Real time since the start, which never stands still: what one client does next comes later.
struct Clock {
    start: std::time::Instant,
    last: u64,
}

impl Clock {
    #[expect(clippy::disallowed_methods, reason = "processes live in real time")]
    fn start() -> Self {
        Self { start: std::time::Instant::now(), last: 0 }
    }

    fn now(&mut self) -> Instant {
        let nanos = u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.last = nanos.max(self.last + 1);
        Instant::from_nanos(self.last)
    }
}

fn plus(at: Instant, duration: Duration) -> Instant {
    at.checked_add(duration).unwrap_or(at)
}

/// Returns whether `name` is that of a client, now or before.
fn is_client(name: &str) -> bool {
    name.strip_prefix('c').is_some_and(|it| it.parse::<usize>().is_ok())
}

/// What the run itself is called.
const CONTROL: &str = "c0";
/// How many messages of nodes wait to be heard; nodes that say more wait too.
const SAID_MAX: usize = 1024;
const SECOND: Duration = Duration::from_secs(1);
/// How long nothing is sent when all is done; a node may try again within it.
const QUIET: Duration = Duration::from_millis(800);
/// How far the clients may be behind their rate and still catch up.
const LAG_MAX: Duration = SECOND;
/// Whole, cut, whole, cut, and whole again at the end.
const PARTITION_PHASES: f64 = 4.0;
/// Long enough that clients give up.
const PARTITION_INTERVAL_MAX: Duration = Duration::from_secs(10);
/// How often a node is asked for its last read.
const LAST_READS: u32 = 3;
/// How many last reads of a node there are: one that always has more is not read to its end.
const LAST_ROUNDS: u32 = 10_000;
