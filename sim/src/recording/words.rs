//! What a picture says about an event, and how a text gets into it unharmed.

use std::fmt::{self, Display, Write as _};

use quorate_core::Instant;

use super::layout::{Layout, Owner, owner};
use super::{Event, Kind};

/// Names for ids.
pub(super) struct Words<'a> {
    layout: &'a Layout<'a>,
}

impl<'a> Words<'a> {
    pub(super) const fn new(layout: &'a Layout<'a>) -> Self {
        Self { layout }
    }

    /// Returns what people call it.
    pub(super) fn name(&self, owner: Owner) -> String {
        let lane = self.layout.lanes.iter().find(|lane| lane.owner == owner);
        match (lane, owner) {
            (Some(lane), _) => lane.name.clone(),
            (None, Owner::Node(id)) => format!("n{id}"),
            (None, Owner::Client(process)) => format!("c{process}"),
        }
    }

    /// Returns where an event happened.
    pub(super) fn place(&self, event: &Event) -> String {
        owner(event).map_or_else(|| "world".to_owned(), |owner| self.name(owner))
    }

    /// Returns what kind of event it was, with its ids, as in `recv #17 from n1`.
    pub(super) fn verb(&self, kind: &Kind) -> String {
        let name = kind.name();
        match kind {
            Kind::Send { id, to, .. } => format!("{name} #{id} to {}", self.node(*to)),
            Kind::Recv { id, from, .. } => format!("{name} #{id} from {}", self.node(*from)),
            Kind::Lost { id, to, why, .. } => {
                format!("{name} #{id} to {} ({why})", self.node(*to))
            }
            Kind::Persist { id, .. }
            | Kind::Durable { id, .. }
            | Kind::Fetch { id, .. }
            | Kind::Fetched { id, .. }
            | Kind::Fault { id, .. } => format!("{name} #{id}"),
            Kind::Invoke { op, .. }
            | Kind::Ok { op, .. }
            | Kind::Fail { op, .. }
            | Kind::Info { op, .. } => format!("{name} #{op}"),
            _ => name.to_owned(),
        }
    }

    /// Returns the verb in the width of a column, as in `<- n1`, with arrows.
    pub(super) fn short_verb(&self, kind: &Kind) -> String {
        match kind {
            Kind::Send { to, .. } => format!("\u{2192} {}", self.node(*to)),
            Kind::Recv { from, .. } => format!("\u{2190} {}", self.node(*from)),
            Kind::Lost { to, why, .. } => format!("\u{2717} {} {why}", self.node(*to)),
            Kind::Fault { family, .. } => family.clone(),
            other => self.verb(other),
        }
    }

    /// Returns the sentence for an event, as in `2ms n2 recv #17 from n1: Append: entry 4`.
    pub(super) fn sentence(&self, event: &Event) -> String {
        let at = Instant::from_nanos(event.at);
        format!("{at} {} {}", self.place(event), self.deed(event))
    }

    /// Returns the sentence without time and place.
    pub(super) fn deed(&self, event: &Event) -> String {
        let mut deed = self.verb(&event.kind);
        for part in [head(&event.kind).as_deref(), Some(event.kind.text())].into_iter().flatten() {
            if !part.is_empty() {
                let _ = write!(deed, ": {part}");
            }
        }
        deed
    }

    pub(super) fn node(&self, id: u64) -> String {
        self.name(Owner::Node(id))
    }
}

/// Returns what stands before the text of an event: a class, a role, a law.
pub(super) fn head(kind: &Kind) -> Option<String> {
    match kind {
        Kind::Send { class, .. } | Kind::Recv { class, .. } | Kind::Lost { class, .. } => {
            Some(class.clone())
        }
        Kind::Badge { role, number } => Some(format!("{role} {number}")),
        Kind::Fault { family, .. } => Some(family.clone()),
        Kind::Violation { law, .. } => Some(law.clone()),
        _ => None,
    }
}

/// A text in a picture: markup is escaped, and what cannot be seen becomes something that can.
pub(super) struct Escaped<'a>(pub(super) &'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|char| match char {
            '&' => f.write_str("&amp;"),
            '<' => f.write_str("&lt;"),
            '>' => f.write_str("&gt;"),
            '"' => f.write_str("&quot;"),
            '\'' => f.write_str("&#39;"),
            char => f.write_char(visible(char)),
        })
    }
}

/// The beginning of a text in a picture, at most so many characters of it.
pub(super) struct Short<'a>(pub(super) &'a str, pub(super) usize);

impl Display for Short<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(text, max) = *self;
        match text.char_indices().nth(max) {
            None => Escaped(text).fmt(f),
            Some(_) => {
                let end = text.char_indices().nth(max - 1).map_or(0, |(at, _)| at);
                write!(f, "{}\u{2026}", Escaped(&text[..end]))
            }
        }
    }
}

/// Returns the character, or its picture if it is none of those that XML and a line may hold.
pub(super) fn visible(char: char) -> char {
    match char {
        '\0'..='\x1f' => char::from_u32(0x2400 + u32::from(char)).unwrap_or(UNKNOWN),
        '\x7f' => '\u{2421}',
        // Controls; ends of lines; what turns the direction of all that follows; no characters.
        '\u{80}'..='\u{9f}'
        | '\u{200e}'
        | '\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2066}'..='\u{2069}'
        | '\u{fffe}'
        | '\u{ffff}' => UNKNOWN,
        char => char,
    }
}

const UNKNOWN: char = char::REPLACEMENT_CHARACTER;
