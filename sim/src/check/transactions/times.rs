//! Edges of time: what was over before what began, and what one process did after what.

use std::collections::BTreeMap;

use super::Status;
use crate::check::cycles::{Edges, Kinds};
use crate::history::History;

/// Adds the edges of processes and of real time. O(n log n), and at most four edges for each
/// transaction.
pub(super) fn add<O, R>(history: &History<O, R>, edges: &mut Edges) {
    let mut last: BTreeMap<u64, u32> = BTreeMap::new();
    for (index, span) in (0..).zip(history.spans()) {
        if Status::of(span) != Status::Fail
            && let Some(before) = last.insert(span.process, index)
        {
            edges.add(before, index, Kinds::PROCESS, 0);
        }
    }
    let all = 0..u32::try_from(history.spans().len()).expect("edges have counted them");
    let mut barriers = Barriers::default();
    for moment in moments(history, all) {
        match moment {
            Moment::Called(index) => {
                if let Some(barrier) = barriers.before_call(edges, Kinds::REAL_TIME) {
                    edges.add(barrier, index, Kinds::REST, 0);
                }
            }
            Moment::Returned(index) => barriers.waits.push((index, 0)),
        }
    }
}

/// A call, or the return of one that is known to have happened.
#[derive(Clone, Copy, Debug)]
pub(super) enum Moment {
    Called(u32),
    Returned(u32),
}

/// Returns the calls and returns of these transactions in the order of time; at equal stamps, calls
/// come first, so that only what is certainly over counts as over.
pub(super) fn moments<O, R>(
    history: &History<O, R>,
    transactions: impl Iterator<Item = u32>,
) -> Vec<Moment> {
    let mut moments = Vec::new();
    for index in transactions {
        let span = &history.spans()[index as usize];
        match Status::of(span) {
            Status::Fail => continue,
            Status::Info => {}
            Status::Ok => {
                let at = span.outcome.at().expect("it returned");
                moments.push(((at, true, index), Moment::Returned(index)));
            }
        }
        moments.push(((span.called, false, index), Moment::Called(index)));
    }
    moments.sort_unstable_by_key(|(key, _)| *key);
    moments.into_iter().map(|(_, moment)| moment).collect()
}

/// Nodes in the order of time, each after some returns and before the next call.
#[derive(Debug, Default)]
pub(super) struct Barriers {
    /// Those that returned since the last call, and the reason of their edge.
    pub(super) waits: Vec<(u32, u32)>,
    last: Option<u32>,
}

impl Barriers {
    /// Returns the node that all lead to which returned so far, by edges of this kind.
    pub(super) fn before_call(&mut self, edges: &mut Edges, kind: Kinds) -> Option<u32> {
        if self.waits.is_empty() {
            return self.last;
        }
        let barrier = edges.between();
        if let Some(last) = self.last {
            edges.add(last, barrier, Kinds::REST, 0);
        }
        for (index, why) in self.waits.drain(..) {
            edges.add(index, barrier, kind, why);
        }
        self.last = Some(barrier);
        self.last
    }
}
