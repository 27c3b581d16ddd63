//! Messages: which send belongs to which receive.

use std::collections::BTreeMap;

use super::{Half, Window};
use crate::recording::{Event, Kind, Why};

/// A message on its way from one lane to another.
pub(in crate::recording) struct Arrow<'a> {
    pub(in crate::recording) id: u64,
    pub(in crate::recording) class: &'a str,
    pub(in crate::recording) text: &'a str,
    pub(in crate::recording) from: End,
    pub(in crate::recording) to: End,
    pub(in crate::recording) route: Route,
}

/// Where a message was.
#[derive(Clone, Copy, Debug)]
pub(in crate::recording) struct End {
    pub(in crate::recording) lane: usize,
    pub(in crate::recording) half: Half,
    /// In nanoseconds, if it is known.
    pub(in crate::recording) at: Option<u64>,
}

/// How it went.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::recording) enum Route {
    /// It arrived; the first time if `count` is 1.
    Arrived { count: usize },
    /// It was lost.
    Lost(Why),
    /// It was under way when the drawn events end.
    Open,
    /// It arrived, and nobody sent it: its send is not in the recording.
    Unsent,
}

/// A message that was sent.
struct Sent<'a> {
    index: usize,
    event: &'a Event,
    from: End,
    to: Option<usize>,
    arrivals: usize,
    /// Whether it is known how it went, in what is drawn.
    is_settled: bool,
}

/// Returns all messages that touch what is drawn, in order of their ends.
pub(super) fn arrows<'a>(window: &Window<'a>) -> Vec<Arrow<'a>> {
    let mut sent = BTreeMap::new();
    let mut arrows = Vec::new();
    for (index, event) in window.events[..window.range.end].iter().enumerate() {
        let Some(lane) = event.node.and_then(|id| window.node_lane(id)) else { continue };
        let here = End { lane, half: window.half(index), at: Some(event.at) };
        match event.kind {
            Kind::Send { id, to, .. } => {
                let (to, from) = (window.node_lane(to), here);
                let message = Sent { index, event, from, to, arrivals: 0, is_settled: false };
                if let Some(older) = sent.insert(id, message) {
                    arrows.extend(open(window, &older));
                }
            }
            Kind::Recv { id, from, .. } => {
                let before = sent.get_mut(&id);
                let from = window.node_lane(from);
                arrows.extend(arrival(window, index, here, from, before));
            }
            Kind::Lost { id, to, why, .. } => {
                let before = sent.get_mut(&id);
                arrows.extend(loss(window, index, here, (window.node_lane(to), why), before));
            }
            _ => {}
        }
    }
    arrows.extend(sent.values().filter_map(|message| open(window, message)));
    arrows
}

fn arrival<'a>(
    window: &Window<'a>,
    index: usize,
    to: End,
    from: Option<usize>,
    sent: Option<&mut Sent<'a>>,
) -> Option<Arrow<'a>> {
    let event = window.events[index];
    let (from, route) = match sent {
        Some(sent) => {
            sent.arrivals += 1;
            sent.is_settled = true;
            (sent.from, Route::Arrived { count: sent.arrivals })
        }
        None => {
            let half = to.half.saturating_sub(1);
            (End { lane: from?, half, at: None }, Route::Unsent)
        }
    };
    window.is_drawn(index).then(|| arrow(event, from, to, route))
}

fn loss<'a>(
    window: &Window<'a>,
    index: usize,
    here: End,
    (to, why): (Option<usize>, Why),
    sent: Option<&mut Sent<'a>>,
) -> Option<Arrow<'a>> {
    let event = window.events[index];
    let from = match sent {
        Some(sent) => {
            sent.is_settled = true;
            sent.from
        }
        None => End { half: here.half.saturating_sub(1), at: None, ..here },
    };
    let to = End { lane: to?, ..here };
    window.is_drawn(index).then(|| arrow(event, from, to, Route::Lost(why)))
}

/// Returns a message that is still under way.
fn open<'a>(window: &Window<'a>, sent: &Sent<'a>) -> Option<Arrow<'a>> {
    let is_open = !sent.is_settled && window.is_drawn(sent.index);
    let half = window.end().min(sent.from.half + 1);
    let to = End { lane: sent.to.filter(|_| is_open)?, half, at: None };
    Some(arrow(sent.event, sent.from, to, Route::Open))
}

fn arrow(event: &Event, from: End, to: End, route: Route) -> Arrow<'_> {
    let (id, class) = event.kind.message().unwrap_or_default();
    Arrow { id, class, text: event.kind.text(), from, to, route }
}
