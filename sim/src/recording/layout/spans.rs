//! What lasts: roles, time without power, pauses, operations of clients, faults.

use std::collections::BTreeMap;
use std::ops::Range;

use super::{Half, Owner, Window};
use crate::recording::{Kind, Recording};

/// A stretch of a node's lane.
pub(in crate::recording) struct Span<'a> {
    pub(in crate::recording) lane: usize,
    pub(in crate::recording) place: Range<Half>,
    pub(in crate::recording) state: State<'a>,
    /// In nanoseconds; `None` if it lasts beyond the drawn events.
    pub(in crate::recording) until: Option<u64>,
    pub(in crate::recording) from: u64,
    /// What was said when it began.
    pub(in crate::recording) text: &'a str,
}

/// What a node is for a while.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::recording) enum State<'a> {
    Role {
        role: &'a str,
        number: u64,
    },
    /// Without power.
    Down,
    Paused,
}

/// An operation of a client.
pub(in crate::recording) struct Bar<'a> {
    pub(in crate::recording) lane: usize,
    /// From the invocation to what ended it, or to the end.
    pub(in crate::recording) place: Range<Half>,
    /// Nanoseconds; the end is that of what the client was told, if it was.
    pub(in crate::recording) from: u64,
    pub(in crate::recording) until: Option<u64>,
    pub(in crate::recording) outcome: Outcome,
    pub(in crate::recording) op: u64,
    pub(in crate::recording) call: &'a str,
    pub(in crate::recording) answer: &'a str,
}

/// How an operation ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::recording) enum Outcome {
    Ok,
    Fail,
    /// Nobody knows, since this place: its interval has no end.
    Info(Half),
    /// It has not ended.
    Pending,
}

/// A fault and the lanes that it concerns.
pub(in crate::recording) struct FaultBand<'a> {
    /// Neighbors are one.
    pub(in crate::recording) lanes: Vec<Range<usize>>,
    pub(in crate::recording) place: Range<Half>,
    pub(in crate::recording) kind: &'a Kind,
}

/// Returns what the nodes were, in lanes; the parts that are drawn.
pub(super) fn spans<'a>(window: &Window<'a>) -> Vec<Span<'a>> {
    let mut spans = Vec::new();
    let mut open: BTreeMap<(usize, Slot), Span<'a>> = BTreeMap::new();
    for (index, event) in window.events[..window.range.end].iter().enumerate() {
        let Some(lane) = event.node.and_then(|id| window.node_lane(id)) else { continue };
        let half = window.half(index);
        let (ends, begins): (&[Slot], _) = match &event.kind {
            Kind::Badge { role, number } => {
                let state = State::Role { role, number: *number };
                if open.get(&(lane, Slot::Role)).is_some_and(|span| span.state == state) {
                    continue;
                }
                (&[Slot::Role], Some((Slot::Role, state)))
            }
            Kind::Crash { .. } => {
                (&[Slot::Role, Slot::Pause, Slot::Power], Some((Slot::Power, State::Down)))
            }
            Kind::Boot { .. } => (&[Slot::Role, Slot::Pause, Slot::Power], None),
            Kind::Pause { .. } => (&[Slot::Pause], Some((Slot::Pause, State::Paused))),
            Kind::Resume { .. } => (&[Slot::Pause], None),
            _ => continue,
        };
        for slot in ends {
            spans.extend(open.remove(&(lane, *slot)).map(|span| Span {
                place: span.place.start..half,
                until: Some(event.at),
                ..span
            }));
        }
        if let Some((slot, state)) = begins {
            let (from, text) = (event.at, event.kind.text());
            let place = half..window.end();
            open.insert((lane, slot), Span { lane, place, state, until: None, from, text });
        }
    }
    spans.extend(open.into_values());
    spans.retain(|span| span.place.start < span.place.end);
    // Pauses lie over roles.
    spans.sort_by_key(|span| (span.lane, span.state == State::Paused, span.place.start));
    spans
}

/// What a node is only one of at a time.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Slot {
    Role,
    Power,
    Pause,
}

/// Returns the operations that were under way in what is drawn.
pub(super) fn bars<'a>(window: &Window<'a>) -> Vec<Bar<'a>> {
    let mut bars = Vec::new();
    let mut open: BTreeMap<(u64, u64), Bar<'a>> = BTreeMap::new();
    for (index, event) in window.events[..window.range.end].iter().enumerate() {
        let Some((process, op)) = event.kind.operation() else { continue };
        let Some(lane) = window.lane(Owner::Client(process)) else { continue };
        let half = window.half(index);
        let outcome = match event.kind {
            Kind::Ok { .. } => Outcome::Ok,
            Kind::Fail { .. } => Outcome::Fail,
            Kind::Info { .. } => Outcome::Info(half),
            _ => Outcome::Pending,
        };
        if outcome == Outcome::Pending {
            let place = half..window.end();
            let (from, call) = (event.at, event.kind.text());
            let bar = Bar { lane, place, from, until: None, outcome, op, call, answer: "" };
            bars.extend(open.insert((process, op), bar));
        } else if let Some(bar) = open.remove(&(process, op)) {
            let end = if matches!(outcome, Outcome::Info(_)) { window.end() } else { half };
            let place = bar.place.start..end;
            let (until, answer) = (Some(event.at), event.kind.text());
            bars.push(Bar { place, until, outcome, answer, ..bar });
        }
    }
    bars.extend(open.into_values());
    bars.retain(|bar| bar.place.start < bar.place.end);
    bars
}

/// Returns the faults that were there in what is drawn, wide ones first.
pub(super) fn faults<'a>(window: &Window<'a>, recording: &Recording) -> Vec<FaultBand<'a>> {
    // What is said last about a fault is true.
    let mut latest = BTreeMap::new();
    for event in &window.events {
        if let Kind::Fault { id, .. } = event.kind {
            latest.insert(id, &event.kind);
        }
    }
    let band = |kind: &'a Kind| {
        let Kind::Fault { nodes, from, until, .. } = kind else { return None };
        let start = window.line(*from);
        let end = until.map_or(window.end(), |until| window.line(until));
        let is_elsewhere = end == 0 && 0 < window.range.start
            || start == window.end() && window.range.end < window.events.len();
        let place = start..end.max(start + 1).min(window.end().max(1));
        let place = place.start.min(place.end - 1)..place.end;
        let mut lanes: Vec<_> = nodes.iter().filter_map(|id| window.node_lane(*id)).collect();
        if lanes.is_empty() {
            lanes = recording.nodes.iter().filter_map(|it| window.node_lane(it.id)).collect();
        }
        (!is_elsewhere).then(|| FaultBand { lanes: neighbors(lanes), place, kind })
    };
    let mut bands: Vec<_> = latest.into_values().filter_map(band).collect();
    bands.sort_by_key(|band| std::cmp::Reverse(band.lanes.iter().map(Range::len).sum::<usize>()));
    bands
}

/// Joins lanes that stand side by side.
fn neighbors(mut lanes: Vec<usize>) -> Vec<Range<usize>> {
    lanes.sort_unstable();
    lanes.dedup();
    let mut ranges: Vec<Range<usize>> = Vec::new();
    for lane in lanes {
        match ranges.last_mut() {
            Some(last) if last.end == lane => last.end += 1,
            _ => ranges.push(lane..lane + 1),
        }
    }
    ranges
}
