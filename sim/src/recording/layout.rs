//! Where everything is in a picture: lanes from left to right, rows from top to bottom.
//!
//! An event has a row, and what lasts goes from one place to another. Places count half rows, so
//! that both the middle of a row and the line between two rows are whole numbers:
//!
//! ```text
//! 0 ----------------
//! 1  the first event
//! 2 ----------------
//! 3  the second
//! 4 ----------------
//! ```

mod messages;
mod spans;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

pub(super) use self::messages::{Arrow, Route};
pub(super) use self::spans::{Bar, FaultBand, Outcome, Span, State};
use super::{Event, Kind, Recording};

/// A place from top to bottom, in half rows.
pub(super) type Half = usize;

/// What is drawn, and where.
pub(super) struct Layout<'a> {
    pub(super) lanes: Vec<Column<'a>>,
    pub(super) rows: Vec<Row<'a>>,
    /// How many events are not drawn, before and after the rows.
    pub(super) skipped: (usize, usize),
    pub(super) arrows: Vec<Arrow<'a>>,
    pub(super) spans: Vec<Span<'a>>,
    pub(super) bars: Vec<Bar<'a>>,
    pub(super) faults: Vec<FaultBand<'a>>,
    /// Classes of messages and roles, each with a color, in order of first appearance.
    pub(super) classes: Palette<'a>,
    pub(super) roles: Palette<'a>,
}

/// A lane.
pub(super) struct Column<'a> {
    pub(super) name: String,
    pub(super) owner: Owner,
    /// What the header calls it, if it does.
    pub(super) full_name: Option<&'a str>,
}

/// Whose lane it is.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Owner {
    Node(u64),
    Client(u64),
}

/// An event that is drawn.
pub(super) struct Row<'a> {
    pub(super) event: &'a Event,
    /// The index of its lane. What concerns the world has none.
    pub(super) lane: Option<usize>,
}

/// The events of a recording in order, and which of them are drawn.
pub(super) struct Window<'a> {
    pub(super) events: Vec<&'a Event>,
    pub(super) range: Range<usize>,
    places: BTreeMap<Owner, usize>,
}

impl<'a> Layout<'a> {
    pub(super) fn new(recording: &'a Recording) -> Self {
        let mut events: Vec<_> = recording.events.iter().collect();
        events.sort_by_key(|event| event.at);
        let range = window(&events);
        let lanes = columns(recording, &events[range.clone()]);
        let places = lanes.iter().enumerate().map(|(at, lane)| (lane.owner, at)).collect();
        let window = Window { events, range, places };
        let rows: Vec<_> = window.drawn().map(|event| window.row(event)).collect();
        let mut classes = Palette::default();
        let mut roles = Palette::with_known_roles();
        for Row { event, .. } in &rows {
            if let Some((_, class)) = event.kind.message() {
                classes.add(class);
            }
        }
        let spans = spans::spans(&window);
        for span in &spans {
            if let State::Role { role, .. } = span.state {
                roles.add(role);
            }
        }
        Self {
            arrows: messages::arrows(&window),
            bars: spans::bars(&window),
            faults: spans::faults(&window, recording),
            skipped: (window.range.start, window.events.len() - window.range.end),
            lanes,
            rows,
            spans,
            classes,
            roles,
        }
    }

    /// Returns the place below everything.
    pub(super) fn end(&self) -> Half {
        2 * self.rows.len()
    }

    /// Returns how many lanes are of nodes. The others, to their right, are of clients.
    pub(super) fn node_count(&self) -> usize {
        self.lanes.iter().filter(|lane| matches!(lane.owner, Owner::Node(_))).count()
    }
}

impl<'a> Window<'a> {
    /// Returns the events that are drawn.
    fn drawn(&self) -> impl Iterator<Item = &'a Event> {
        self.events[self.range.clone()].iter().copied()
    }

    fn row(&self, event: &'a Event) -> Row<'a> {
        Row { event, lane: owner(event).and_then(|owner| self.lane(owner)) }
    }

    pub(super) fn lane(&self, owner: Owner) -> Option<usize> {
        self.places.get(&owner).copied()
    }

    pub(super) fn node_lane(&self, id: u64) -> Option<usize> {
        self.lane(Owner::Node(id))
    }

    /// Returns where the event of this index is: at an edge, if it is not drawn.
    pub(super) fn half(&self, index: usize) -> Half {
        if index < self.range.start {
            0
        } else if index < self.range.end {
            2 * (index - self.range.start) + 1
        } else {
            self.end()
        }
    }

    pub(super) fn is_drawn(&self, index: usize) -> bool {
        self.range.contains(&index)
    }

    pub(super) fn end(&self) -> Half {
        2 * self.range.len()
    }

    /// Returns the line between what is drawn of before the time `at` and what of it or later.
    pub(super) fn line(&self, at: u64) -> Half {
        2 * self.events[self.range.clone()].partition_point(|event| event.at < at)
    }
}

/// Returns where an event happened.
pub(super) fn owner(event: &Event) -> Option<Owner> {
    let client = event.kind.operation().map(|(process, _)| Owner::Client(process));
    client.or_else(|| event.node.map(Owner::Node))
}

/// Returns which events are drawn: around the first violation, or the last ones.
fn window(events: &[&Event]) -> Range<usize> {
    let is_violation = |event: &&Event| matches!(event.kind, Kind::Violation { .. });
    let end = match events.iter().position(is_violation) {
        Some(violation) => events.len().min(violation + AFTER_VIOLATION_MAX),
        None => events.len(),
    };
    let start = end.saturating_sub(EVENTS_MAX);
    start..events.len().min(start + EVENTS_MAX)
}

/// Returns the lanes: the nodes of the header, other nodes that occur, and clients.
fn columns<'a>(recording: &'a Recording, events: &[&'a Event]) -> Vec<Column<'a>> {
    let node = |id, name: &'a str| {
        let owner = Owner::Node(id);
        let lane = if name.trim().is_empty() { format!("n{id}") } else { name.to_owned() };
        Column { name: lane, owner, full_name: Some(name) }
    };
    let mut known = BTreeSet::new();
    let of_header = recording.nodes.iter().filter(|it| known.insert(Owner::Node(it.id)));
    let mut columns: Vec<_> = of_header.map(|it| node(it.id, &it.name)).collect();
    let mut others = BTreeSet::new();
    for event in events {
        others.extend(owner(event));
        match event.kind {
            Kind::Send { to: peer, .. }
            | Kind::Lost { to: peer, .. }
            | Kind::Recv { from: peer, .. } => _ = others.insert(Owner::Node(peer)),
            _ => {}
        }
    }
    columns.extend(others.difference(&known).map(|owner| {
        let name = match owner {
            Owner::Node(id) => format!("n{id}"),
            Owner::Client(process) => format!("c{process}"),
        };
        Column { name, owner: *owner, full_name: None }
    }));
    columns
}

/// Names, each with a color of its own until there are no more.
#[derive(Default)]
pub(super) struct Palette<'a> {
    colors: BTreeMap<&'a str, usize>,
    names: Vec<&'a str>,
    /// How many colors are taken.
    taken: usize,
    is_of_roles: bool,
}

impl<'a> Palette<'a> {
    /// Makes a palette in which those who lead always have the same color, and so on.
    fn with_known_roles() -> Self {
        Self { taken: KNOWN_ROLES.len(), is_of_roles: true, ..Self::default() }
    }

    fn add(&mut self, name: &'a str) {
        if self.colors.contains_key(name) {
            return;
        }
        let known = KNOWN_ROLES.iter().position(|names| {
            self.is_of_roles && names.iter().any(|known| name.eq_ignore_ascii_case(known))
        });
        let color = known.unwrap_or_else(|| {
            self.taken += 1;
            (self.taken - 1).min(COLORS_MAX)
        });
        self.colors.insert(name, color);
        self.names.push(name);
    }

    /// Returns the number of a name's color.
    pub(super) fn color(&self, name: &str) -> usize {
        self.colors.get(name).copied().unwrap_or(COLORS_MAX)
    }

    pub(super) fn names(&self) -> &[&'a str] {
        &self.names
    }
}

/// Roles that look the same in every picture, whatever their protocol calls them.
const KNOWN_ROLES: [&[&str]; 4] = [
    &["leader", "primary", "coordinator", "proposer", "holder"],
    &["candidate", "precandidate", "pre-candidate", "electing"],
    &["follower", "backup", "replica", "participant", "acceptor"],
    &["learner", "observer", "witness"],
];

/// One more color, of this number, is that of all the rest.
const COLORS_MAX: usize = 8;

/// What a browser still draws within seconds.
const EVENTS_MAX: usize = 10_000;

/// What followed matters less than what led to it.
const AFTER_VIOLATION_MAX: usize = 1_000;
