//! Plays `tests/scripts/*`: each file is a story of a cluster, told as commands and what came of
//! them.
//!
//! `UPDATE_GOLDENFILES=1 cargo test --test scripts` writes down what the code does. Read the diff
//! against the paper before you keep it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::error::Error;
use std::fmt::Write as _;
use std::io;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use goldenscript::{Context, Runner};
use quorate_consensus::raft::{Answer, Config, Event, Message, Output, Query, Raft, Record};
use quorate_consensus::{Entry, Index, Instant, Majority, NodeId, Protocol as _, WriteId};
use quorate_core::{FetchId, Wire as _};

#[test]
fn election() -> io::Result<()> {
    play("election")
}

#[test]
fn replication() -> io::Result<()> {
    play("replication")
}

#[test]
fn recovery() -> io::Result<()> {
    play("recovery")
}

#[test]
fn reads() -> io::Result<()> {
    play("reads")
}

#[derive(goldenscript::Command)]
enum Command {
    /// `cluster 3`: so many nodes, none of which has anything.
    Cluster(u64),
    /// `timeout n1`: the deadline of a node passes, whatever it is.
    Timeout(String),
    /// `elapse ms=2000`: time passes: deadlines, messages, disks. Prints deliveries and roles only.
    Elapse {
        #[arg(key)]
        ms: u64,
    },
    /// `deliver`: what is under way arrives, one step far. `deliver n2`: only what is for it.
    Deliver(Option<String>),
    /// `sync n1`: the disk of a node reports all it was handed. `sync`: all disks do.
    Sync(Option<String>),
    /// `settle`: messages, disks and storage, until nothing is left to do. Prints deliveries and
    /// roles only.
    Settle,
    /// `propose n1 a b`: clients ask a node.
    Propose { node: String, data: Vec<String> },
    /// `read n1`: a client wants to know what is committed.
    Read(String),
    /// `answer n1`: the storage answers what it was asked.
    Answer(String),
    /// `cut n3`: what a node says and hears is lost.
    Cut(String),
    /// `heal`: no longer.
    Heal,
    /// `lose`: what is under way is lost.
    Lose,
    /// `crash n1`: a node loses all but what is durable, and starts again.
    Crash(String),
    /// `status`: who leads, and how far.
    Status,
}

#[derive(Default)]
struct Story {
    now: Instant,
    nodes: BTreeMap<NodeId, Node>,
    network: VecDeque<(NodeId, NodeId, Message)>,
    cut: BTreeSet<NodeId>,
    /// Whether only deliveries and roles are told.
    is_brief: bool,
}

struct Node {
    raft: Raft,
    durable: Vec<Record>,
    unsynced: VecDeque<(WriteId, Record)>,
    asked: VecDeque<(FetchId, Query)>,
}

type Told = Result<String, Box<dyn Error>>;

impl Runner for Story {
    type Command = Command;

    fn run(&mut self, command: &Command, _: &Context) -> Told {
        match command {
            Command::Cluster(count) => {
                self.nodes = (1..=*count)
                    .map(|id| Ok((NodeId(id), Node::new(NodeId(id), *count)?)))
                    .collect::<Result<_, Box<dyn Error>>>()?;
                Ok(String::new())
            }
            Command::Timeout(node) => self.timeout(parse(node)?),
            Command::Elapse { ms } => self.elapse(self.now + Duration::from_millis(*ms)),
            Command::Deliver(None) => self.deliver(|_| true),
            Command::Deliver(Some(node)) => {
                let only = parse(node)?;
                self.deliver(|to| to == only)
            }
            Command::Sync(None) => self.sync_all(),
            Command::Sync(Some(node)) => self.sync(parse(node)?),
            Command::Settle => self.settle(),
            Command::Propose { node, data } => self.propose(parse(node)?, data),
            Command::Read(node) => self.read(parse(node)?),
            Command::Answer(node) => self.answer(parse(node)?),
            Command::Cut(node) => Ok(self.cut.insert(parse(node)?)).map(|_| String::new()),
            Command::Heal => Ok(std::mem::take(&mut self.cut)).map(|_| String::new()),
            Command::Lose => Ok(std::mem::take(&mut self.network)).map(|_| String::new()),
            Command::Crash(node) => self.crash(parse(node)?),
            Command::Status => Ok(self.status()),
        }
    }
}

impl Node {
    fn new(id: NodeId, count: u64) -> Result<Self, Box<dyn Error>> {
        let raft = Raft::new(config(id, count)?, id.0, Instant::default())?;
        let (durable, unsynced, asked) = Default::default();
        Ok(Self { raft, durable, unsynced, asked })
    }

    /// The fold of the durable records: what the storage answers from.
    fn entries(&self) -> Vec<Entry> {
        let mut entries: Vec<Entry> = Vec::new();
        for record in &self.durable {
            if let Record::Entries(new) = record {
                entries.retain(|entry| new.first().is_some_and(|first| entry.index < first.index));
                entries.extend_from_slice(new);
            }
        }
        entries
    }
}

impl Story {
    fn timeout(&mut self, id: NodeId) -> Told {
        let raft = &mut self.node(id).raft;
        let at = raft.poll_timeout().ok_or("no deadline")?;
        raft.handle_timeout(at);
        self.now = self.now.max(at);
        Ok(self.drain(id))
    }

    fn deliver(&mut self, is_meant: impl Fn(NodeId) -> bool) -> Told {
        let mut told = String::new();
        for (from, to, message) in std::mem::take(&mut self.network) {
            if !is_meant(to) {
                self.network.push_back((from, to, message));
            } else if !self.cut.contains(&from) && !self.cut.contains(&to) {
                if !self.is_brief {
                    writeln!(told, "{to} hears {from}: {message}")?;
                }
                let now = self.now;
                self.node(to).raft.handle_message(now, from, over_the_wire(&message)?);
                told += &self.drain(to);
            }
        }
        Ok(told)
    }

    fn sync(&mut self, id: NodeId) -> Told {
        let now = self.now;
        let node = self.node(id);
        if let Some((last, _)) = node.unsynced.back() {
            let last = *last;
            node.durable.extend(node.unsynced.drain(..).map(|(_, record)| record));
            node.raft.handle_persisted(now, last);
        }
        Ok(self.drain(id))
    }

    fn sync_all(&mut self) -> Told {
        let ids: Vec<NodeId> = self.nodes.keys().copied().collect();
        ids.into_iter().map(|id| self.sync(id)).collect()
    }

    fn elapse(&mut self, until: Instant) -> Told {
        let mut told = String::new();
        self.is_brief = true;
        while let Some((at, id)) = self.next_deadline().filter(|(at, _)| *at <= until) {
            self.now = self.now.max(at);
            self.node(id).raft.handle_timeout(at);
            told += &self.drain(id);
            told += &self.settle()?;
            self.is_brief = true;
        }
        self.is_brief = false;
        self.now = until;
        Ok(told)
    }

    fn next_deadline(&self) -> Option<(Instant, NodeId)> {
        let deadlines = self.nodes.iter();
        deadlines.filter_map(|(&id, node)| Some((node.raft.poll_timeout()?, id))).min()
    }

    fn settle(&mut self) -> Told {
        self.is_brief = true;
        let mut told = String::new();
        while self.is_busy() {
            told += &self.sync_all()?;
            let ids: Vec<NodeId> = self.nodes.keys().copied().collect();
            for id in ids {
                told += &self.answer(id)?;
            }
            told += &self.deliver(|_| true)?;
        }
        self.is_brief = false;
        Ok(told)
    }

    fn is_busy(&self) -> bool {
        let is_busy = |node: &Node| !node.unsynced.is_empty() || !node.asked.is_empty();
        !self.network.is_empty() || self.nodes.values().any(is_busy)
    }

    fn propose(&mut self, id: NodeId, data: &[String]) -> Told {
        let now = self.now;
        let data = data.iter().map(|it| Bytes::copy_from_slice(it.as_bytes()));
        let range = self.node(id).raft.propose_batch(now, data)?;
        Ok(format!("at {}..{}\n{}", range.start, range.end, self.drain(id)))
    }

    fn read(&mut self, id: NodeId) -> Told {
        let now = self.now;
        let read = self.node(id).raft.read(now)?;
        Ok(format!("{read}\n{}", self.drain(id)))
    }

    fn answer(&mut self, id: NodeId) -> Told {
        let now = self.now;
        let node = self.node(id);
        while let Some((fetch, query)) = node.asked.pop_front() {
            let Query::Entries { range, .. } = query;
            let mut entries = node.entries();
            entries.retain(|entry| range.contains(&entry.index));
            node.raft.handle_fetched(now, fetch, Answer::Entries(entries));
        }
        Ok(self.drain(id))
    }

    fn crash(&mut self, id: NodeId) -> Told {
        let (now, count) = (self.now, self.nodes.len() as u64);
        let node = self.node(id);
        node.unsynced.clear();
        node.asked.clear();
        let mut config = config(id, count)?;
        config.max_cached_bytes = 0;
        node.raft = Raft::restore(config, node.durable.clone(), Index::ZERO, id.0, now)?;
        let status = node.raft.status();
        Ok(format!("{id}: term {} log to {}", status.term, status.last_index))
    }

    fn status(&self) -> String {
        let mut told = String::new();
        for raft in self.nodes.values().map(|node| &node.raft) {
            let it = raft.status();
            _ = writeln!(
                told,
                "{}: {} term={} last={} durable={} commit={} delivered={}",
                it.id,
                it.role,
                it.term,
                it.last_index,
                it.durable_index,
                it.commit_index,
                it.last_delivered
            );
        }
        told
    }

    fn drain(&mut self, id: NodeId) -> String {
        let mut told = String::new();
        let is_brief = self.is_brief;
        while let Some(output) = self.node(id).raft.poll_output() {
            let is_role = matches!(output, Output::Event(Event::RoleChanged { .. }));
            if !is_brief || is_role || matches!(output, Output::Deliver(_)) {
                _ = writeln!(told, "{id}: {output}");
            }
            match output {
                Output::Send { to, message } => self.network.push_back((id, to, message)),
                Output::Persist { write, record } => {
                    self.node(id).unsynced.push_back((write, record));
                }
                Output::Fetch { fetch, query } => self.node(id).asked.push_back((fetch, query)),
                Output::Deliver(_) | Output::Event(_) => {}
            }
        }
        told
    }

    fn node(&mut self, id: NodeId) -> &mut Node {
        self.nodes.get_mut(&id).expect("the story names nodes of its cluster")
    }
}

fn play(name: &str) -> io::Result<()> {
    goldenscript::run(&mut Story::default(), format!("tests/scripts/{name}"))
}

fn config(id: NodeId, count: u64) -> Result<Config, Box<dyn Error>> {
    Ok(Config::new(id, Majority::new((1..=count).map(NodeId))?))
}

fn over_the_wire(message: &Message) -> Result<Message, Box<dyn Error>> {
    let mut out = BytesMut::new();
    message.encode(&mut out);
    Ok(Message::decode(&mut out.freeze())?)
}

fn parse(name: &str) -> Result<NodeId, std::num::ParseIntError> {
    name.trim_start_matches('n').parse().map(NodeId)
}
