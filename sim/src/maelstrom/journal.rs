//! What went over the network, as a [`Recording`]: messages between servers, cuts, and what clients
//! did.

use std::mem;

use quorate_core::Instant;
use serde_json::{Map, Value as Json};

use super::message::Message;
use super::services;
use super::workloads::Seen;
use crate::Recording;
use crate::history::{Outcome, Value, Words};
use crate::recording::{Event, Kind, Lane, Why};

/// Takes notes of a run.
#[derive(Debug)]
pub(super) struct Journal {
    recording: Recording,
    is_cut: bool,
    cuts: u64,
}

impl Journal {
    /// Starts one of so many nodes. The services have lanes to their right.
    pub(super) fn new(name: &str, seed: u64, nodes: usize) -> Self {
        let recording = Recording::new(name, seed, Json::Null);
        let names = (0..nodes).map(super::network::node_name);
        let names = names.chain(services::NAMES.map(str::to_owned));
        let recording = (1..).zip(names).fold(recording, |it, (id, name)| it.node(id, name));
        Self { recording, is_cut: false, cuts: 0 }
    }

    /// Notes that a message was sent, and is `id` from now on.
    pub(super) fn sent(&mut self, now: Instant, id: u64, message: &Message) {
        let (to, class, text) = self.describe(message, &message.dest);
        self.push(now, self.lane(&message.src), Kind::Send { id, to, class, text });
    }

    pub(super) fn received(&mut self, now: Instant, id: u64, message: &Message) {
        let (from, class, text) = self.describe(message, &message.src);
        self.push(now, self.lane(&message.dest), Kind::Recv { id, from, class, text });
    }

    /// Notes that a cut stopped a message.
    pub(super) fn lost(&mut self, now: Instant, id: u64, message: &Message) {
        let (to, class, text) = self.describe(message, &message.dest);
        let why = Why::Cut;
        self.push(now, self.lane(&message.src), Kind::Lost { id, to, class, text, why });
    }

    /// Notes that the network was cut, with `half` of the nodes on one side, by index.
    pub(super) fn cut(&mut self, now: Instant, half: &[usize]) {
        self.cuts += 1;
        self.is_cut = true;
        let nodes = half.iter().map(|node| *node as u64 + 1).collect();
        self.fault(now, now, nodes, None);
    }

    /// Notes that the network is whole, with the half of the last cut.
    pub(super) fn healed(&mut self, now: Instant) {
        if !mem::take(&mut self.is_cut) {
            return;
        }
        let last = self.recording.events.iter().rev().find_map(|event| match &event.kind {
            Kind::Fault { nodes, from, .. } => Some((nodes.clone(), *from)),
            _ => None,
        });
        if let Some((nodes, from)) = last {
            self.fault(now, Instant::from_nanos(from), nodes, Some(now.as_nanos()));
        }
    }

    /// Ends it with what clients did. Those that called share the lanes of clients.
    pub(super) fn finish(mut self, seen: &Seen, verdict: Option<String>) -> Recording {
        let mut last = Instant::default();
        for (op, span) in (0..).zip(seen.spans()) {
            let process = span.process;
            let text = in_words(&span.operation);
            self.push_client(span.called, Kind::Invoke { process, op, text });
            let (at, kind) = match &span.outcome {
                Outcome::Ok { at, returned } => {
                    (*at, Kind::Ok { process, op, text: returned.to_string() })
                }
                Outcome::Fail { at } => (*at, Kind::Fail { process, op, text: String::new() }),
                Outcome::Info { at } => match at {
                    Some(at) => (*at, Kind::Info { process, op, text: String::new() }),
                    None => continue,
                },
            };
            last = last.max(at);
            self.push_client(at, kind);
        }
        if let Some(text) = verdict {
            let law = "judge".to_owned();
            self.push_client(last, Kind::Violation { law, text });
        }
        self.recording.events.sort_by_key(|event| event.at);
        self.recording
    }

    fn describe(&self, message: &Message, other: &str) -> (u64, String, String) {
        let mut body: Map<String, Json> = message.body.fields.clone().into_iter().collect();
        body.extend(message.body.in_reply_to.map(|it| ("in_reply_to".to_owned(), it.into())));
        let mut text = Json::Object(body).to_string();
        if let Some((end, _)) = text.char_indices().nth(TEXT_CHARS) {
            text.truncate(end);
            text.push_str("..");
        }
        (self.lane(other), message.body.kind.clone(), text)
    }

    /// Returns the lane of a node or a service: only they send over the network.
    fn lane(&self, name: &str) -> u64 {
        let is_it = |lane: &&Lane| lane.name == name;
        self.recording.nodes.iter().find(is_it).map_or(0, |lane| lane.id)
    }

    fn fault(&mut self, now: Instant, from: Instant, nodes: Vec<u64>, until: Option<u64>) {
        let (id, from) = (self.cuts, from.as_nanos());
        let (family, text) = ("partition".to_owned(), "two halves".to_owned());
        self.push(now, None, Kind::Fault { id, family, nodes, from, until, text });
    }

    fn push(&mut self, now: Instant, lane: impl Into<Option<u64>>, kind: Kind) {
        if self.recording.events.len() < EVENTS_MAX {
            self.recording.events.push(Event::new(now.as_nanos(), lane, kind));
        }
    }

    fn push_client(&mut self, now: Instant, kind: Kind) {
        self.recording.events.push(Event::new(now.as_nanos(), None, kind));
    }
}

fn in_words(words: &Words) -> String {
    let key = words.key.as_ref().map(|key| format!(" {key}")).unwrap_or_default();
    let value = match &words.value {
        Value::Null => String::new(),
        value => format!(" {value}"),
    };
    format!("{}{key}{value}", words.f)
}

/// Of a message, as much is kept as a reader looks at.
const TEXT_CHARS: usize = 200;

/// Messages of a run that goes on for longer are not kept: the first million is.
const EVENTS_MAX: usize = 1_000_000;
