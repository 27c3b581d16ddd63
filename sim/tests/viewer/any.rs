//! Any recording, made of any texts.

use proptest::prelude::*;
use quorate_sim::Recording;

use quorate_sim::recording::{Event, Kind, Why};

/// Texts that have broken pages before.
pub(crate) const NASTY: [&str; 14] = [
    "</script><script>document.title='broken'</script>",
    "</title></svg><img src=x onerror=\"document.title='broken'\">",
    "\"><script>alert(1)</script>",
    "' onmouseover='alert(1)",
    "<!--",
    "]]>",
    "&lt;b&gt;&#0;",
    "two\nlines\r\nand a\ttab",
    "\0\u{1}\u{1b}[31m\u{7f}\u{85}\u{2028}",
    "\u{202e}txet",
    "n\u{1f980} \u{1f468}\u{200d}\u{1f469}",
    "`${alert(1)}` \\u003c {{}} %3Cb%3E",
    "n1 {\"n1\":99}",
    "",
];

pub(crate) fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(NASTY.to_vec()).prop_map(str::to_owned),
        prop::collection::vec(any::<char>(), 0..12).prop_map(String::from_iter),
        "[A-Z][a-z]{2,6}",
    ]
}

fn kind() -> impl Strategy<Value = Kind> {
    let id = || prop_oneof![8 => 0..6_u64, 1 => any::<u64>()];
    let why = prop::sample::select(Why::ALL.to_vec());
    let numbers = (id(), id(), prop::option::of(id()), prop::collection::vec(id(), 0..3));
    (0..22_u8, numbers, text(), text(), why).prop_map(|(which, numbers, name, text, why)| {
        let (id, other, maybe, nodes) = numbers;
        match which {
            0 => Kind::Send { id, to: other, class: name, text },
            1 => Kind::Recv { id, from: other, class: name, text },
            2 => Kind::Lost { id, to: other, class: name, text, why },
            3 => Kind::Persist { id, text },
            4 => Kind::Durable { id, text },
            5 => Kind::Fetch { id, text },
            6 => Kind::Fetched { id, text },
            7 => Kind::Deliver { text },
            8 => Kind::Event { text },
            9 => Kind::Timeout { text },
            10 => Kind::Note { text },
            11 => Kind::Invoke { process: id, op: other, text },
            12 => Kind::Ok { process: id, op: other, text },
            13 => Kind::Fail { process: id, op: other, text },
            14 => Kind::Info { process: id, op: other, text },
            15 => Kind::Boot { text },
            16 => Kind::Crash { text },
            17 => Kind::Pause { text },
            18 => Kind::Resume { text },
            19 => Kind::Badge { role: name, number: other },
            20 => Kind::Fault { id, family: name, nodes, from: other, until: maybe, text },
            _ => Kind::Violation { law: name, text },
        }
    })
}

/// A recording of up to `events` events.
pub(crate) fn recording(events: usize) -> impl Strategy<Value = Recording> {
    let at = prop_oneof![8 => 0..40_u64, 1 => any::<u64>()];
    let event = (at, 0..7_u64, kind()).prop_map(|(at, node, kind)| {
        let is_of_the_world = matches!(kind, Kind::Fault { .. } | Kind::Violation { .. });
        Event::new(at, Some(node).filter(|_| !is_of_the_world), kind)
    });
    let nodes = prop::collection::vec((0..6_u64, text()), 0..5);
    let events = prop::collection::vec(event, 0..events);
    (text(), any::<u64>(), text(), nodes, events).prop_map(|(name, seed, plan, nodes, events)| {
        let plan = serde_json::json!({ plan: [seed, null, "x"] });
        let empty = Recording::new(name, seed, plan);
        let mut recording = nodes.into_iter().fold(empty, |it, (id, name)| it.node(id, name));
        events.into_iter().for_each(|event| recording.push(event));
        recording
    })
}

/// The same, with only what may be read: of the nodes that it has, with faults that end after they
/// begin.
pub(crate) fn with_known_nodes(mut recording: Recording) -> Recording {
    let ids: Vec<u64> = recording.nodes.iter().map(|node| node.id).collect();
    recording.events.retain(|event| event.node.is_none_or(|id| ids.contains(&id)));
    for event in &mut recording.events {
        if let Kind::Fault { nodes, from, until, .. } = &mut event.kind {
            nodes.retain(|id| ids.contains(id));
            *until = until.map(|until| until.max(*from));
        }
    }
    recording
}
