//! What lies below the events: faults, and lanes with what lasts in them.

use std::fmt::{self, Write as _};

use super::{BAR, Picture, ROLE, is_node, marks, time, y};
use crate::recording::Kind;
use crate::recording::layout::{Bar, FaultBand, Half, Outcome, Span, State};
use crate::recording::words::{Escaped, Short};

impl Picture<'_> {
    pub(super) fn fault(
        &self,
        FaultBand { lanes, place, kind }: &FaultBand<'_>,
        out: &mut String,
    ) -> fmt::Result {
        let Kind::Fault { id, family, from, until, text, .. } = kind else { return Ok(()) };
        let last = until.map_or_else(|| "the end".to_owned(), time);
        let true_time = until.map_or_else(String::new, |until| format!(" data-u=\"{until}\""));
        let true_time = format!(" data-s=\"{from}\"{true_time}");
        let (group, (a, b)) = (marks::family(family), (place.start, place.end));
        write!(
            out,
            "<g class=\"fault f-{group}\"><title>{} #{id}, {} to {last}: {}</title>",
            Escaped(family),
            time(*from),
            Escaped(text),
        )?;
        for lanes in lanes {
            let x = self.left(lanes.start);
            let width = self.left(lanes.end - 1) + self.lane_width(lanes.end - 1) - x;
            let (y, height) = (y(a), y(b) - y(a));
            write!(
                out,
                "<rect data-a=\"{a}\" data-b=\"{b}\"{true_time} x=\"{x}\" y=\"{y}\" \
                 width=\"{width}\" height=\"{height}\"/><text data-a=\"{a}\" \
                 data-b=\"{b}\"{true_time} transform=\"translate({} {})rotate(90)\">{}</text>",
                x + 5,
                y + 5,
                Short(family, 16),
            )?;
        }
        out.write_str("</g>\n")
    }

    pub(super) fn lane(&self, lane: usize, out: &mut String) -> fmt::Result {
        let (x, b) = (self.center(lane), self.layout.end());
        let column = &self.layout.lanes[lane];
        write!(
            out,
            "<g class=\"lane {}\" data-n=\"{}\"><line class=\"life\" data-a=\"0\" data-b=\"{b}\" \
             x1=\"{x}\" x2=\"{x}\" y1=\"{}\" y2=\"{}\"/>",
            if is_node(column) { "node" } else { "client" },
            Escaped(&column.name),
            y(0),
            y(b),
        )?;
        let mut spans = self.layout.spans.iter().filter(|span| span.lane == lane);
        spans.try_for_each(|span| self.span(span, out))?;
        let mut bars = self.layout.bars.iter().filter(|bar| bar.lane == lane);
        bars.try_for_each(|bar| self.bar(bar, out))?;
        out.write_str("</g>\n")
    }

    fn span(&self, span: &Span<'_>, out: &mut String) -> fmt::Result {
        let (x, a, b) = (self.center(span.lane), span.place.start, span.place.end);
        let (class, what, number) = match span.state {
            State::Role { role, number } => {
                let class = format!("role r{}", self.layout.roles.color(role));
                (class, format!("{role} {number}"), Some(number))
            }
            State::Down => ("down".to_owned(), "without power".to_owned(), None),
            State::Paused => ("paused".to_owned(), "paused".to_owned(), None),
        };
        let lane = &self.layout.lanes[span.lane].name;
        let until = span.until.map_or_else(|| "the end".to_owned(), time);
        write!(
            out,
            "<g class=\"{class}\"><title>{} {}, {} to {until}{}{}</title>",
            Escaped(lane),
            Escaped(&what),
            time(span.from),
            if span.text.is_empty() { "" } else { ": " },
            Escaped(span.text),
        )?;
        let (top, bottom) = (y(a), y(b));
        if number.is_some() {
            rect(out, (a, b), (x - ROLE / 2, ROLE), 3)?;
        } else {
            write!(
                out,
                "<line data-a=\"{a}\" data-b=\"{b}\" x1=\"{x}\" x2=\"{x}\" y1=\"{top}\" \
                 y2=\"{bottom}\"/>"
            )?;
        }
        if let Some(number) = number {
            write!(
                out,
                "<text data-a=\"{a}\" data-b=\"{b}\" x=\"{}\" y=\"{}\">{number}</text>",
                x + ROLE / 2 + 4,
                top + 4
            )?;
        }
        out.write_str("</g>")
    }

    fn bar(&self, bar: &Bar<'_>, out: &mut String) -> fmt::Result {
        let (x, place) = (self.center(bar.lane), &bar.place);
        let (class, solid_to) = match bar.outcome {
            Outcome::Ok => ("ok", place.end),
            Outcome::Fail => ("fail", place.end),
            Outcome::Info(half) => ("info", half.max(place.start)),
            Outcome::Pending => ("pending", place.start),
        };
        let lane = &self.layout.lanes[bar.lane].name;
        let until = bar.until.map_or_else(|| "the end".to_owned(), time);
        let end = if bar.until.is_some() { class } else { "no answer" };
        write!(
            out,
            "<g class=\"op {class}\"><title>{} #{}, {} to {until}: {}\n{end}: {}</title>",
            Escaped(lane),
            bar.op,
            time(bar.from),
            Escaped(bar.call),
            Escaped(bar.answer),
        )?;
        if place.start < solid_to {
            rect(out, (place.start, solid_to), (x - BAR / 2, BAR), 4)?;
        }
        if solid_to < place.end {
            let (a, b) = (solid_to, place.end);
            write!(
                out,
                "<line data-a=\"{a}\" data-b=\"{b}\" x1=\"{x}\" x2=\"{x}\" y1=\"{}\" y2=\"{}\"/>",
                y(a),
                y(b)
            )?;
        }
        out.write_str("</g>")
    }
}

fn rect(
    out: &mut String,
    (a, b): (Half, Half),
    (x, width): (usize, usize),
    rx: usize,
) -> fmt::Result {
    write!(
        out,
        "<rect data-a=\"{a}\" data-b=\"{b}\" x=\"{x}\" y=\"{}\" width=\"{width}\" height=\"{}\" \
         rx=\"{rx}\"/>",
        y(a),
        y(b) - y(a)
    )
}
