//! Small things in a picture: a mark per kind of event, lines with heads, swatches of the legend.

use std::collections::BTreeSet;
use std::fmt::{self, Write as _};

use crate::recording::Kind;
use crate::recording::layout::{Layout, Route, State};

/// Returns the path that stands for an event in its lane, around 0, 0.
pub(super) const fn mark(kind: &Kind) -> &'static str {
    match kind {
        Kind::Send { .. } => "M-3 0a3 3 0 1 0 6 0a3 3 0 1 0-6 0Z",
        Kind::Recv { .. } => "M-3.5 0a3.5 3.5 0 1 0 7 0a3.5 3.5 0 1 0-7 0Z",
        Kind::Lost { .. } => "M-2 0a2 2 0 1 0 4 0a2 2 0 1 0-4 0Z",
        Kind::Persist { .. } | Kind::Durable { .. } => "M-3.5-3.5H3.5V3.5H-3.5Z",
        Kind::Fetch { .. } | Kind::Fetched { .. } => "M0-4.5L4.5 0L0 4.5L-4.5 0Z",
        Kind::Deliver { .. } => "M-4.5-3.5H4.5L0 4.5Z",
        Kind::Event { .. } => "M0-6L1.6-1.6L6 0L1.6 1.6L0 6L-1.6 1.6L-6 0L-1.6-1.6Z",
        Kind::Timeout { .. } => "M-4-4.5H4L-4 4.5H4Z",
        Kind::Note { .. } => "M-4.5-4.5H4.5V2H0.5L-2.5 5V2H-4.5Z",
        Kind::Invoke { .. } => "M-6 0H6",
        Kind::Ok { .. } => "M-4-0.5L-1 3L4-3.5",
        Kind::Fail { .. } => "M-3.5-3.5L3.5 3.5M-3.5 3.5L3.5-3.5",
        Kind::Info { .. } => "M-2.5-2a2.5 2.5 0 1 1 3.5 2.3q-1 .5-1 1.7M0 4.2v.6",
        Kind::Boot { .. } => "M0-5L4.5 3.5H-4.5Z",
        Kind::Crash { .. } => "M-5-5L5 5M-5 5L5-5",
        Kind::Pause { .. } => "M-2.5-4.5V4.5M2.5-4.5V4.5",
        Kind::Resume { .. } => "M-3-4.5L4.5 0L-3 4.5Z",
        Kind::Badge { .. } => "M-7 0H7",
        Kind::Fault { .. } => "M-4 6V-6L5-3L-4 0",
        Kind::Violation { .. } => "M0-6.5L7 5.5H-7ZM0-2.5V1.5M0 3.4V4",
    }
}

/// Returns the group that a family of faults belongs to, which gives it its color.
pub(super) fn family(family: &str) -> &'static str {
    let name: String = family
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|it| it.to_ascii_lowercase())
        .collect();
    let groups: [(&str, &[&str]); 4] = [
        ("node", &["crash", "crashstorm", "pause", "wipe", "storm"]),
        ("clock", &["skew", "drift", "step", "brokenbound"]),
        (
            "disk",
            &[
                "diskslow",
                "diskstall",
                "readerror",
                "syncerror",
                "full",
                "torn",
                "rot",
                "misdirect",
                "lostwrite",
            ],
        ),
        (
            "link",
            &[
                "delay",
                "loss",
                "repeat",
                "reorder",
                "corrupt",
                "partition",
                "split",
                "isolate",
                "oneway",
                "bridge",
                "clog",
                "slowlink",
                "reset",
                "cut",
                "majorityring",
            ],
        ),
    ];
    let group = groups.iter().find(|(_, names)| names.contains(&name.as_str()));
    group.map_or("other", |(group, _)| group)
}

/// Returns the path of a message: a line with an open head; a loop, if it stays in its lane.
pub(super) fn line(from: (usize, usize), to: (usize, usize), route: Route) -> String {
    let ((x, y), (z, w)) = (from, to);
    if matches!(route, Route::Lost(_)) {
        return format!("M{x} {y}L{z} {w}");
    }
    if x == z {
        return format!("M{x} {y}C{0} {y} {0} {w} {z} {w}m6-3l-6 3l6 3", x + 28);
    }
    // In tenths of a pixel. Whole numbers, so that equal runs make equal files everywhere.
    let tenths = |it: usize| i64::try_from(it).unwrap_or(i64::MAX / 40).min(i64::MAX / 40) * 10;
    let (x2, y2) = (tenths(z), tenths(w));
    let (dx, dy) = (x2 - tenths(x), y2 - tenths(y));
    let length = dx
        .unsigned_abs()
        .saturating_pow(2)
        .saturating_add(dy.unsigned_abs().saturating_pow(2))
        .isqrt();
    let length = i64::try_from(length).unwrap_or(i64::MAX).max(1);
    let barb = |side: i64| {
        let bx = x2 - (dx * HEAD_LENGTH + side * dy * HEAD_HALF) / length;
        let by = y2 - (dy * HEAD_LENGTH - side * dx * HEAD_HALF) / length;
        format!("{}.{} {}.{}", bx / 10, bx % 10, by / 10, by % 10)
    };
    format!("M{x} {y}L{z} {w}M{}L{z} {w}L{}", barb(1), barb(-1))
}

/// An entry of the legend.
pub(in crate::recording) struct Item<'a> {
    pub(in crate::recording) name: &'a str,
    /// What shows the events that it is about.
    pub(in crate::recording) filter: Option<String>,
    class: String,
    shape: Shape,
}

#[derive(Clone, Copy)]
enum Shape {
    Band,
    Arrow,
    Line,
    Square,
}

impl Item<'_> {
    /// Draws it, 16 pixels wide, around the height 0.
    pub(in crate::recording) fn swatch(&self, out: &mut String) -> fmt::Result {
        let class = &self.class;
        match self.shape {
            Shape::Band => write!(
                out,
                "<g class=\"{class}\"><rect x=\"1\" y=\"-7\" width=\"14\" height=\"14\" \
                 rx=\"3\"/></g>"
            ),
            Shape::Arrow => {
                write!(out, "<g class=\"m {class}\"><path d=\"M0 0H15M10-3.5L15 0L10 3.5\"/></g>")
            }
            Shape::Line => {
                write!(out, "<g class=\"{class}\"><line x1=\"8\" x2=\"8\" y1=\"-7\" y2=\"7\"/></g>")
            }
            Shape::Square => write!(
                out,
                "<g class=\"{class}\"><rect x=\"1\" y=\"-7\" width=\"14\" height=\"14\"/></g>"
            ),
        }
    }
}

/// Returns what the colors of a picture mean: roles, messages, faults.
pub(super) fn legend<'a>(layout: &Layout<'a>) -> Vec<Item<'a>> {
    let mut items = Vec::new();
    let mut add = |name, filter, class, shape| items.push(Item { name, filter, class, shape });
    for name in layout.roles.names() {
        let class = format!("role r{}", layout.roles.color(name));
        add(name, term("kind:badge ", name), class, Shape::Band);
    }
    for (state, name, class) in [(State::Down, "down", "down"), (State::Paused, "paused", "paused")]
    {
        if layout.spans.iter().any(|span| span.state == state) {
            add(name, None, class.to_owned(), Shape::Line);
        }
    }
    for name in layout.classes.names().iter().take(CLASSES_MAX) {
        let class = format!("arrow c{}", layout.classes.color(name));
        add(name, term("class:", name), class, Shape::Arrow);
    }
    if layout.arrows.iter().any(|arrow| matches!(arrow.route, Route::Lost(_))) {
        add("lost", Some("kind:lost".to_owned()), "lost arrow c8".to_owned(), Shape::Arrow);
    }
    let families = layout.faults.iter().filter_map(|fault| match fault.kind {
        Kind::Fault { family, .. } => Some(family.as_str()),
        _ => None,
    });
    for name in families.collect::<BTreeSet<_>>() {
        let class = format!("fault f-{}", family(name));
        add(name, term("kind:fault ", name), class, Shape::Square);
    }
    items
}

/// Returns a filter for a name, if one can be written down.
fn term(key: &str, name: &str) -> Option<String> {
    let is_plain = name.chars().all(|char| char.is_alphanumeric() || char == '_');
    if name.is_empty() || name.contains('"') || name.contains(char::is_control) {
        return None;
    }
    Some(if is_plain { format!("{key}{name}") } else { format!("{key}\"{name}\"") })
}

/// Tenths of pixels: along the line, and to each side.
const HEAD_LENGTH: i64 = 70;
const HEAD_HALF: i64 = 32;

/// More have no color of their own.
const CLASSES_MAX: usize = 8;
