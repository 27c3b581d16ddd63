//! The picture: time goes down, a lane per node, clients to their right, then all of it in words.
//!
//! Whatever depends on a row says so in `data-a` (and `data-b`, where it ends), in half rows, so
//! that the script of a page can put it elsewhere. Without a script it is right where it is. There
//! are no references (`url()`, `href`) in it: one file, and nothing to fetch.

mod lanes;
mod marks;

use std::fmt::{self, Write as _};

use quorate_core::Instant;

use super::layout::{Arrow, Column, Half, Layout, Owner, Route, Row};
use super::words::{Escaped, Short, Words, head};
use super::{Event, Kind, Recording, Why};

/// A layout, and how it is drawn.
pub(super) struct Picture<'a> {
    pub(super) layout: &'a Layout<'a>,
    pub(super) words: Words<'a>,
    /// How many digits of a second tell all times apart.
    digits: usize,
    /// How wide the column of words is.
    log_width: usize,
}

impl Recording {
    /// Draws the run as one SVG file: lanes, arrows, and each event in words.
    ///
    /// The file needs no network, no fonts and no script, and follows the reader's choice of light
    /// or dark. Of more than 10,000 events those around the first violation are drawn, or the last
    /// ones; a line says how many are not. Texts are shortened; a tooltip has the whole.
    ///
    /// ```
    /// use quorate_sim::Recording;
    /// use quorate_sim::recording::{Event, Kind};
    ///
    /// let mut recording = Recording::new("hello", 7, ().into()).node(1, "alice");
    /// let text = "is <here>".to_owned();
    /// recording.push(Event::new(1_000, 1, Kind::Note { text }));
    /// let svg = recording.to_svg();
    /// assert!(svg.starts_with("<svg ") && svg.contains("is &lt;here&gt;"));
    /// ```
    #[must_use]
    #[expect(clippy::missing_panics_doc, reason = "a string takes all")]
    pub fn to_svg(&self) -> String {
        let layout = Layout::new(self);
        let picture = Picture::new(&layout);
        let mut out = String::new();
        picture.file(self, &mut out).expect("a string takes all");
        out
    }
}

impl<'a> Picture<'a> {
    pub(super) fn new(layout: &'a Layout<'a>) -> Self {
        let has = |unit: u64| layout.rows.iter().any(|row| row.event.at % unit != 0);
        let digits = if has(1_000) {
            9
        } else if has(1_000_000) {
            6
        } else {
            3
        };
        let words = Words::new(layout);
        let chars = |row: &Row<'_>| {
            let (head, text) = said(row.event);
            head.chars().count() + text.chars().count()
        };
        let chars = layout.rows.iter().map(chars).max().unwrap_or(0).clamp(30, TEXT_CHARS_MAX + 1);
        Self { layout, words, digits, log_width: TEXT_X + chars * CHAR * 21 / 20 + 32 }
    }

    fn file(&self, recording: &Recording, out: &mut String) -> fmt::Result {
        let (width, top) = (self.width(), TITLE + HEAD);
        let height = top + self.height();
        write!(
            out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"picture\" \
             viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\">\n\
             <title>{}</title>\n<style>{STYLE}</style>\n\
             <rect class=\"paper\" width=\"{width}\" height=\"{height}\"/>\n\
             <text class=\"name\" x=\"16\" y=\"28\">{}</text>\n\
             <text class=\"facts\" x=\"16\" y=\"48\">{}</text>\n<g transform=\"translate(16 66)\">",
            Escaped(&recording.name),
            Short(&recording.name, width / 12),
            Escaped(&facts(recording, self.layout)),
        )?;
        let mut x = 0;
        for item in self.legend() {
            write!(out, "<g transform=\"translate({x} 0)\">")?;
            item.swatch(out)?;
            write!(
                out,
                "<text class=\"key\" x=\"20\" y=\"4\">{}</text></g>",
                Short(item.name, 16)
            )?;
            x += 40 + item.name.chars().count().min(16) * CHAR;
        }
        write!(out, "</g>\n<g transform=\"translate(0 {TITLE})\">")?;
        self.heads(out)?;
        write!(out, "</g>\n<g transform=\"translate(0 {top})\">")?;
        self.body(out)?;
        out.write_str("</g>\n</svg>\n")
    }

    /// Draws the names of the lanes.
    pub(super) fn heads(&self, out: &mut String) -> fmt::Result {
        writeln!(out, "<text class=\"unit\" x=\"{}\" y=\"27\">seconds</text>", AXIS - 12)?;
        for (at, lane) in self.layout.lanes.iter().enumerate() {
            let (x, width) = (self.center(at), self.lane_width(at) - 12);
            let kind = if is_node(lane) { "node" } else { "client" };
            writeln!(
                out,
                "<g class=\"head {kind}\" data-n=\"{}\"><title>{}</title>\
                 <rect x=\"{}\" y=\"11\" width=\"{width}\" height=\"24\" rx=\"6\"/>\
                 <text x=\"{x}\" y=\"27\">{}</text></g>",
                Escaped(&lane.name),
                Escaped(lane.full_name.unwrap_or(&lane.name)),
                x - width / 2,
                Short(&lane.name, width / CHAR),
            )?;
        }
        Ok(())
    }

    /// Draws everything below the names.
    pub(super) fn body(&self, out: &mut String) -> fmt::Result {
        self.layout.faults.iter().try_for_each(|fault| self.fault(fault, out))?;
        (0..self.layout.lanes.len()).try_for_each(|lane| self.lane(lane, out))?;
        let mut is_first = true;
        for (index, row) in self.layout.rows.iter().enumerate() {
            let is_violation = matches!(row.event.kind, Kind::Violation { .. });
            let id = if is_violation && is_first { " id=\"violation\"" } else { "" };
            is_first &= !is_violation;
            self.row(index, row, id, out)?;
        }
        self.layout.arrows.iter().try_for_each(|arrow| self.arrow(arrow, out))
    }

    fn row(&self, index: usize, row: &Row<'_>, id: &str, out: &mut String) -> fmt::Result {
        let (event, words, half) = (row.event, &self.words, 2 * index + 1);
        let (kind, place, log) = (event.kind.name(), words.place(event), self.log());
        let x = row.lane.map_or(AXIS + GUTTER / 2, |lane| self.center(lane));
        let message = event.kind.message();
        let color = message.map(|(_, class)| format!(" c{}", self.layout.classes.color(class)));
        let color = color.unwrap_or_default();
        write!(
            out,
            "<g{id} class=\"e k-{kind}{color}\" data-a=\"{half}\" data-t=\"{}\" data-n=\"{}\" \
             data-k=\"{kind}\"",
            event.at,
            Escaped(&place),
        )?;
        if let Some((id, class)) = message {
            write!(out, " data-c=\"{}\" data-m=\"{id}\"", Escaped(class))?;
        }
        let (head, text) = said(event);
        let said_x = log + TEXT_X;
        let rest = TEXT_CHARS_MAX.saturating_sub(head.chars().count()).max(8);
        writeln!(
            out,
            " transform=\"translate(0 {})\"><title>{}</title>\
             <rect y=\"-10\" width=\"{}\" height=\"20\"/>\
             <text class=\"t\" x=\"{}\" y=\"4\">{}</text>\
             <path transform=\"translate({x} 0)\" d=\"{}\"/>\
             <text class=\"log\" y=\"4\"><tspan class=\"who\" x=\"{log}\">{}</tspan>\
             <tspan class=\"verb\" x=\"{}\">{}</tspan>\
             <tspan class=\"what\" x=\"{said_x}\">{}</tspan>\
             <tspan{}>{}</tspan></text></g>",
            y(half),
            Escaped(&words.sentence(event)),
            self.width(),
            AXIS - 12,
            self.seconds(event.at),
            marks::mark(&event.kind),
            Short(&place, 8),
            log + VERB_X,
            Short(&words.short_verb(&event.kind), 15),
            Short(&head, 60),
            if head.is_empty() { format!(" x=\"{said_x}\"") } else { format!(" dx=\"{CHAR}\"") },
            Short(text, rest),
        )
    }

    fn arrow(&self, arrow: &Arrow<'_>, out: &mut String) -> fmt::Result {
        let Arrow { id, class, text, from, to, route } = arrow;
        let (from_name, to_name) =
            (&self.layout.lanes[from.lane].name, &self.layout.lanes[to.lane].name);
        let (name, more) = match route {
            Route::Arrived { count: 1 } => ("arrow", String::new()),
            Route::Arrived { count } => ("arrow again", format!(", for the {count}. time")),
            Route::Lost(why) => ("lost", format!(", lost: {why}")),
            Route::Open => ("open", ", under way at the end".to_owned()),
            Route::Unsent => ("unsent", ", of which no send is known".to_owned()),
        };
        let (x, z) = self.ends(from.lane, to.lane, *route);
        let (a, b) = (from.half, to.half);
        let took = from.at.zip(to.at).map(|(from, to)| to.saturating_sub(from));
        let took = took.map_or_else(String::new, |took| format!(", after {}", time(took)));
        let color = self.layout.classes.color(class);
        write!(
            out,
            "<g class=\"m {name} c{color}\" data-a=\"{a}\" data-b=\"{b}\" data-x=\"{x}\" \
             data-z=\"{z}\" data-m=\"{id}\"><title>{} #{id}, {} to {}{took}{more}: {}</title>",
            Escaped(class),
            Escaped(from_name),
            Escaped(to_name),
            Escaped(text),
        )?;
        let (top, bottom) = (y(a), y(b));
        write!(out, "<path d=\"{}\"/>", marks::line((x, top), (z, bottom), *route))?;
        if let Route::Lost(why) = route {
            // Beside the cross, or below it where a lane is near.
            let (class, dx, dy) =
                if reaches(*why) { (" class=\"below\"", 0, 15) } else { ("", 8, 4) };
            write!(
                out,
                "<g class=\"end\" transform=\"translate({z} {bottom})\">\
                 <path d=\"M-4-4L4 4M-4 4L4-4\"/>\
                 <text{class} x=\"{dx}\" y=\"{dy}\">{why}</text></g>"
            )?;
        }
        out.write_str("</g>\n")
    }

    /// Returns where a line between two lanes begins and ends: beside their bands.
    fn ends(&self, from: usize, to: usize, route: Route) -> (usize, usize) {
        let (from_x, to_x) = (self.center(from), self.center(to));
        let right = |x: usize, by: usize, is_right: bool| if is_right { x + by } else { x - by };
        if from == to {
            return (from_x + 8, from_x + if matches!(route, Route::Lost(_)) { 22 } else { 8 });
        }
        let goes_right = from_x < to_x;
        let (start, end) = (right(from_x, 5, goes_right), right(to_x, 9, !goes_right));
        match route {
            Route::Arrived { .. } => (start, end),
            Route::Open => (start, right(start, 26, goes_right)),
            Route::Unsent => (right(end, 26, !goes_right), end),
            // As far as it came: to who was not there, or to the next gap between lanes.
            Route::Lost(why) if reaches(why) => (start, right(to_x, 22, !goes_right)),
            Route::Lost(_) => (start, right(from_x, LANE / 2, goes_right)),
        }
    }

    /// Returns what colors and marks mean.
    pub(super) fn legend(&self) -> Vec<marks::Item<'a>> {
        marks::legend(self.layout)
    }

    fn seconds(&self, at: u64) -> String {
        let fraction = format!("{:09}", at % 1_000_000_000);
        format!("{}.{}", at / 1_000_000_000, &fraction[..self.digits])
    }

    pub(super) fn width(&self) -> usize {
        self.log() + self.log_width
    }

    pub(super) fn height(&self) -> usize {
        y(self.layout.end()) + 12
    }

    /// Returns where the column of words begins.
    fn log(&self) -> usize {
        self.left(self.layout.lanes.len()) + 20
    }

    fn left(&self, lane: usize) -> usize {
        let nodes = self.layout.node_count();
        let gap = if nodes < lane { CLIENT_GAP } else { 0 };
        AXIS + GUTTER + lane.min(nodes) * LANE + lane.saturating_sub(nodes) * CLIENT_LANE + gap
    }

    fn lane_width(&self, lane: usize) -> usize {
        if lane < self.layout.node_count() { LANE } else { CLIENT_LANE }
    }

    fn center(&self, lane: usize) -> usize {
        self.left(lane) + self.lane_width(lane) / 2
    }
}

/// Returns what a row says, in two parts: a colored one, and the rest.
fn said(event: &Event) -> (String, &str) {
    let (head, text) = (head(&event.kind).unwrap_or_default(), event.kind.text());
    match event.kind {
        // The column to the left has the family.
        Kind::Fault { .. } => (String::new(), text),
        Kind::Violation { .. } if !text.is_empty() => (format!("{head}:"), text),
        // Many messages say their name themselves.
        _ => {
            let text = text.strip_prefix(head.as_str()).unwrap_or(text).trim_start();
            (head, text)
        }
    }
}

/// Returns whether a message that is lost for this reason is lost at its receiver.
const fn reaches(why: Why) -> bool {
    matches!(why, Why::Dead | Why::Reset | Why::Corrupt)
}

fn is_node(lane: &Column<'_>) -> bool {
    matches!(lane.owner, Owner::Node(_))
}

/// Returns what stands below the name.
pub(super) fn facts(recording: &Recording, layout: &Layout<'_>) -> String {
    let (count, (before, after)) = (recording.events.len(), layout.skipped);
    let mut facts = format!("seed {} \u{b7} {count} events", recording.seed);
    if let (Some(first), Some(last)) = (layout.rows.first(), layout.rows.last()) {
        let _ = write!(facts, " \u{b7} {} to {}", time(first.event.at), time(last.event.at));
    }
    if 0 < before + after {
        let drawn = layout.rows.len();
        let _ = write!(
            facts,
            " \u{b7} {drawn} are drawn, {} are not: {before} before, {after} after",
            before + after
        );
    }
    facts
}

fn time(at: u64) -> String {
    Instant::from_nanos(at).to_string()
}

fn y(half: Half) -> usize {
    half * ROW / 2 + 6
}

/// What every picture looks like.
pub(super) const STYLE: &str = include_str!("viewer.css");

/// Pixels: of a row, of the columns from left to right, of what stands above them.
const ROW: usize = 20;
const AXIS: usize = 104;
const GUTTER: usize = 24;
const LANE: usize = 84;
const CLIENT_GAP: usize = 0;
const CLIENT_LANE: usize = 56;
const VERB_X: usize = 66;
const TEXT_X: usize = 188;
pub(super) const HEAD: usize = 44;
const TITLE: usize = 80;

/// Pixels: of a role's band, of an operation's bar, of a character of 12 px.
const ROLE: usize = 14;
const BAR: usize = 12;
const CHAR: usize = 7;

/// More of a text is in its tooltip.
const TEXT_CHARS_MAX: usize = 100;
