//! What `ShiViz` reads.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use quorate_sim::Recording;

use quorate_sim::recording::Kind;

use super::{any, story};

type Clock = BTreeMap<String, u64>;

/// Reads a log as its own first line says: host, clock, event.
fn read(log: &str) -> Vec<(String, Clock, String)> {
    let (head, body) = log.split_once("\n\n").expect("a head");
    assert_eq!(head, r"(?<host>\S*) (?<clock>{.*})\n(?<event>.*)");
    let lines: Vec<_> = body.split_terminator('\n').collect();
    assert_eq!(lines.len() % 2, 0, "an event has two lines");
    let event = |lines: &[&str]| {
        let (host, clock) = lines[0].split_once(' ').expect("a clock");
        assert!(!host.contains(char::is_whitespace) && !host.contains('{'), "{host:?}");
        let clock = serde_json::from_str(clock).expect("a clock is JSON");
        (host.to_owned(), clock, lines[1].to_owned())
    };
    lines.chunks(2).map(event).collect()
}

/// Asserts that the clocks are those of the messages.
fn check(recording: &Recording) {
    let events = read(&recording.to_shiviz());
    let mut before: BTreeMap<&str, &Clock> = BTreeMap::new();
    let mut sent: BTreeMap<u64, &Clock> = BTreeMap::new();
    let mut order: Vec<_> = recording.events.iter().collect();
    order.sort_by_key(|event| event.at);
    order.retain(|it| it.node.is_some() || it.kind.operation().is_some());
    assert_eq!(order.len(), events.len());
    for (event, (host, clock, text)) in order.into_iter().zip(&events) {
        assert!(text.starts_with(event.kind.name()), "{text}");
        let empty = Clock::new();
        let own = before.get(host.as_str()).copied().unwrap_or(&empty);
        let message = match event.kind {
            Kind::Recv { id, .. } => sent.get(&id).copied(),
            _ => None,
        };
        // Exactly what was known here, and what the message brought, and one more.
        let mut expected = own.clone();
        for (host, count) in message.unwrap_or(&empty) {
            let own = expected.entry(host.clone()).or_default();
            *own = (*own).max(*count);
        }
        *expected.entry(host.clone()).or_default() += 1;
        assert_eq!(clock, &expected, "{text}");
        before.insert(host, clock);
        if let Kind::Send { id, .. } = event.kind {
            sent.insert(id, clock);
        }
    }
}

#[test]
fn clocks_are_those_of_the_messages() {
    let recording = story::stale_read();
    check(&recording);
    let events = read(&recording.to_shiviz());
    let hosts: BTreeSet<_> = events.iter().map(|(host, ..)| host.as_str()).collect();
    assert_eq!(hosts, ["n1", "n2", "n3", "n4", "n5", "c1", "c2", "c3", "c4"].into());
    let (host, clock, _) = events.iter().find(|(.., it)| it.starts_with("recv")).unwrap();
    assert!(host == "n2" && clock["n1"] == 7, "{clock:?}");
}

#[test]
fn nodes_of_one_name_are_two_hosts() {
    let mut recording = Recording::new("twins", 1, serde_json::Value::Null);
    for id in 1..=3 {
        recording = recording.node(id, if id < 3 { "a b" } else { "a_b-2" });
        let text = String::new();
        recording.push(quorate_sim::recording::Event::new(id, id, Kind::Boot { text }));
    }
    let hosts: Vec<_> = read(&recording.to_shiviz()).into_iter().map(|it| it.0).collect();
    assert_eq!(hosts, ["a_b", "a_b-2", "a_b-2-2"]);
}

proptest! {
    #[test]
    fn any_texts_make_a_sound_log(recording in any::recording(60)) {
        check(&recording);
    }
}
