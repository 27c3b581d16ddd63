//! Which operations can come next: four lists that an operation leaves when it is taken, and to
//! which it returns when it is taken back.
//!
//! ```text
//! node      0 .. known .. total .. total + known .. + 4
//!           calls of    calls of   returns of       the ends of the lists,
//!           the known   the rest   the known        after every position
//! ```
//!
//! Each list is in the order of time, linked by indices. An operation can come next if its
//! call is before the first return that is left.
//!
//! Source: the list of calls and returns is Lowe's (2017), 3; that it is split by kind is ours.

use super::super::traps::{Trap, planted};

/// The returns of operations that happened.
pub(super) const RETURNS: u32 = 0;
/// The calls of those that change nothing.
pub(super) const READS: u32 = 1;
/// The calls of those that do.
pub(super) const WRITES: u32 = 2;
/// The calls of operations of which nobody knows whether they happened.
pub(super) const UNKNOWN: u32 = 3;

/// One operation of a part.
#[derive(Clone, Copy, Debug)]
pub(super) struct Interval {
    pub(super) called: u64,
    /// `None` if it may happen at any time later.
    pub(super) returned: Option<u64>,
    pub(super) is_read: bool,
    /// Which operation of the history it is.
    pub(super) span: u32,
}

#[derive(Clone, Copy, Debug)]
struct Node {
    next: u32,
    previous: u32,
    /// The rank in time.
    position: u32,
}

/// # Invariants
///
/// - Operations are taken back in the opposite order: a node's own links still say where it was.
#[derive(Clone, Debug)]
pub(super) struct Links {
    nodes: Vec<Node>,
    known: u32,
    total: u32,
}

impl Links {
    /// Makes the lists of `intervals`: first the known ones, then the rest, each in the order of
    /// their calls.
    pub(super) fn new(intervals: &[Interval]) -> Self {
        let known = intervals.partition_point(|it| it.returned.is_some());
        let (known, total) = (index(known), index(intervals.len()));
        let mut events = Vec::with_capacity((total + known) as usize);
        for (node, interval) in (0..).zip(intervals) {
            events.push((interval.called, planted(Trap::OpenIntervals), node));
            if let Some(returned) = interval.returned {
                events.push((returned, !planted(Trap::OpenIntervals), total + node));
            }
        }
        events.sort_unstable();
        let ends = total + known;
        let alone = |it| Node { next: it, previous: it, position: u32::MAX };
        let mut nodes: Vec<Node> = (0..ends + 4).map(alone).collect();
        for (position, (_, _, node)) in (0..).zip(events) {
            let list = match node {
                node if total <= node => RETURNS,
                node if known <= node => UNKNOWN,
                node if intervals[node as usize].is_read => READS,
                _ => WRITES,
            };
            let end = ends + list;
            let previous = nodes[end as usize].previous;
            nodes[node as usize] = Node { next: end, previous, position };
            nodes[previous as usize].next = node;
            nodes[end as usize].previous = node;
        }
        Self { nodes, known, total }
    }

    /// Returns the first node of `list`, or its end.
    pub(super) fn first(&self, list: u32) -> u32 {
        self.nodes[(self.total + self.known + list) as usize].next
    }

    pub(super) fn next(&self, node: u32) -> u32 {
        self.nodes[node as usize].next
    }

    /// Returns the rank of `node` in time; the largest of all for the end of a list.
    pub(super) fn position(&self, node: u32) -> u32 {
        self.nodes[node as usize].position
    }

    /// Returns the rank of the first return that is left.
    pub(super) fn bound(&self) -> u32 {
        self.position(self.first(RETURNS))
    }

    /// Returns the known operation that returned at `position`.
    pub(super) fn returned_at(&self, position: u32) -> Option<u32> {
        (0..self.known).find(|op| self.return_position(*op) == position)
    }

    /// Returns when `op` returned; the largest of all if nobody knows.
    pub(super) fn return_position(&self, op: u32) -> u32 {
        if op < self.known { self.position(self.total + op) } else { u32::MAX }
    }

    pub(super) fn take(&mut self, op: u32) {
        self.unlink(op);
        if op < self.known {
            self.unlink(self.total + op);
        }
    }

    pub(super) fn take_back(&mut self, op: u32) {
        if op < self.known {
            self.relink(self.total + op);
        }
        self.relink(op);
    }

    fn unlink(&mut self, node: u32) {
        let Node { next, previous, .. } = self.nodes[node as usize];
        self.nodes[previous as usize].next = next;
        self.nodes[next as usize].previous = previous;
    }

    fn relink(&mut self, node: u32) {
        let Node { next, previous, .. } = self.nodes[node as usize];
        self.nodes[previous as usize].next = node;
        self.nodes[next as usize].previous = node;
    }

    pub(super) const fn known(&self) -> u32 {
        self.known
    }

    pub(super) const fn total(&self) -> u32 {
        self.total
    }
}

/// Returns a length as an index.
pub(super) fn index(length: usize) -> u32 {
    u32::try_from(length).expect("a history has below 2^30 operations")
}
