//! A trace as a [`Recording`]: what pictures are drawn from.

use std::collections::BTreeMap;
use std::fmt::Display;

use quorate_core::NodeId;

use super::{Line, Trace, What};
use crate::client::{OpId, Reply};
use crate::plan::Plan;
use crate::recording::{Event, Kind, Recording, Why};
use crate::system::{Badge, System};
use crate::violation::Violation;

impl<S: System> Trace<S> {
    /// Returns what is kept as a recording: the last 10,000 events, and the law that was broken.
    #[must_use]
    pub fn record(&self, name: &str, plan: &Plan, violation: Option<&Violation>) -> Recording {
        let json = serde_json::to_value(plan).unwrap_or_default();
        let recording = Recording::new(name, plan.seed, json);
        let mut recording =
            plan.ids().fold(recording, |recording, id| recording.node(id.0, id.to_string()));
        let start = self.lines.front().map_or(0, |line| line.at);
        for (node, Badge { role, number }) in &self.roles {
            let kind = Kind::Badge { role: (*role).to_owned(), number: *number };
            recording.push(Event::new(start, node.0, kind));
        }
        let mut sent = BTreeMap::new();
        for line in &self.lines {
            recording.push(event(line, &mut sent));
        }
        if let Some(violation) = violation {
            let (law, text) = (violation.law.clone(), violation.why.clone());
            recording.push(Event::new(
                violation.at.as_nanos(),
                None,
                Kind::Violation { law, text },
            ));
        }
        recording
    }
}

/// The class and the text of each message, by its id.
type Sent = BTreeMap<u64, (String, String)>;

fn event<S: System>(line: &Line<S>, sent: &mut Sent) -> Event {
    let Line { at, node, what } = line;
    let kind = match what {
        What::Send { to, id, message } => {
            let (class, text) = classify(message);
            sent.insert(*id, (class.clone(), text.clone()));
            Kind::Send { id: *id, to: to.0, class, text }
        }
        What::Heard { from, id, message } => {
            let (class, text) = classify(message);
            Kind::Recv { id: *id, from: from.0, class, text }
        }
        What::Lost { to, id, why } => {
            let (class, text) = sent.get(id).cloned().unwrap_or_default();
            Kind::Lost { id: *id, to: to.0, class, text, why: reason(why) }
        }
        What::Persist { write, record } => Kind::Persist { id: write.0, text: record.to_string() },
        What::Persisted(write) => Kind::Durable { id: write.0, text: what.to_string() },
        What::Fetch { fetch, query } => Kind::Fetch { id: fetch.0, text: query.to_string() },
        What::Fetched(fetch) => Kind::Fetched { id: fetch.0, text: what.to_string() },
        What::Deliver(delivery) => Kind::Deliver { text: delivery.to_string() },
        What::Event(event) => Kind::Event { text: event.to_string() },
        What::TimedOut => Kind::Timeout { text: what.to_string() },
        What::Invoked { id, operation } => {
            let (process, op) = numbers(*id);
            Kind::Invoke { process, op, text: operation.to_string() }
        }
        What::Completed { id, operation, reply } => complete(*id, operation, reply),
        What::Boots => Kind::Boot { text: what.to_string() },
        What::Crashes => Kind::Crash { text: what.to_string() },
        What::Pauses => Kind::Pause { text: what.to_string() },
        What::Resumes => Kind::Resume { text: what.to_string() },
        What::Badge(Badge { role, number }) => {
            Kind::Badge { role: (*role).to_owned(), number: *number }
        }
        What::FaultBegins { index, kind, until } => Kind::Fault {
            id: *index as u64,
            family: kind.family().name().to_owned(),
            nodes: kind.nodes().iter().map(|node| node.0).collect(),
            from: *at,
            until: Some(*until),
            text: kind.to_string(),
        },
        What::FaultEnds { .. } | What::Asked { .. } | What::World(_) | What::Chose(_) => {
            Kind::Note { text: what.to_string() }
        }
    };
    Event::new(*at, node.map(|NodeId(id)| id), kind)
}

fn complete<O: Display, R: Display>(id: OpId, operation: &O, reply: &Reply<R>) -> Kind {
    let (process, op) = numbers(id);
    match reply {
        Reply::Ok(returned) => Kind::Ok { process, op, text: format!("{operation}: {returned}") },
        Reply::Fail => Kind::Fail { process, op, text: operation.to_string() },
        Reply::Info => Kind::Info { process, op, text: operation.to_string() },
    }
}

fn numbers(id: OpId) -> (u64, u64) {
    (u64::from(id.client()), id.number())
}

/// Returns the name of a message's variant, which is the first word of what it says, and all of it.
fn classify(message: &impl Display) -> (String, String) {
    let text = message.to_string();
    let is_end = |letter: char| !letter.is_alphanumeric() && letter != '_';
    (text.split(is_end).next().unwrap_or_default().to_owned(), text)
}

fn reason(why: &str) -> Why {
    Why::ALL.into_iter().find(|it| it.name() == why).unwrap_or(Why::Dead)
}
