//! A shortest cycle of a kind.

use super::Shape;
use super::components::components;
use super::graph::{Graph, Kinds};

/// What is looked for: a shape, and the edges of time that a cycle must have one of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pattern {
    pub(crate) shape: Shape,
    /// Edges of time that may be in it.
    pub(crate) times: Kinds,
    /// The kind of which at least one must be; none if no edge of time is asked for.
    pub(crate) must: Kinds,
}

/// An edge from a transaction to another, also if nodes are between them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Hop {
    pub(crate) from: u32,
    pub(crate) to: u32,
    pub(crate) kind: Kinds,
    pub(crate) why: u32,
}

/// Hops, the last of which leads to where the first starts.
pub(crate) type Cycle = Vec<Hop>;

/// What came of a search.
#[derive(Clone, Debug)]
pub(crate) enum Found {
    /// A cycle, no other is shorter unless the budget was spent.
    Cycle(Cycle),
    /// There is none.
    Nothing,
    /// The budget was spent.
    Spent,
}

impl Pattern {
    const fn allowed(self) -> Kinds {
        let of_shape = match self.shape {
            Shape::Writes => Kinds::WW.0,
            Shape::Reads => Kinds::WW.0 | Kinds::WR.0,
            Shape::OneMissed | Shape::Apart | Shape::InRow => {
                Kinds::WW.0 | Kinds::WR.0 | Kinds::RW.0
            }
        };
        Kinds(of_shape | self.times.0 | Kinds::REST.0)
    }

    /// The kind of the edge with which a cycle of this shape can be said to start.
    fn first(self) -> Kinds {
        match self.shape {
            Shape::Writes if self.must != Kinds::NONE => self.must,
            Shape::Writes => Kinds::WW,
            Shape::Reads => Kinds::WR,
            Shape::OneMissed | Shape::Apart | Shape::InRow => Kinds::RW,
        }
    }

    /// What is known of a path that consists of its first edge.
    fn start(self) -> u8 {
        let timed = if self.first() == self.must { TIMED } else { 0 };
        match self.shape {
            Shape::Apart | Shape::InRow => timed | AFTER_MISS,
            Shape::Writes | Shape::Reads | Shape::OneMissed => timed,
        }
    }

    /// What is known after an edge of this kind; `None` if it must not follow.
    fn step(self, state: u8, kind: Kinds) -> Option<u8> {
        if !kind.has(self.allowed()) {
            return None;
        }
        if kind == Kinds::REST {
            return Some(state);
        }
        let state = if kind == self.must { state | TIMED } else { state };
        let is_miss = kind == Kinds::RW;
        match self.shape {
            Shape::OneMissed if is_miss => None,
            Shape::Apart if is_miss && state & AFTER_MISS != 0 => None,
            Shape::Apart if is_miss => Some(state | AFTER_MISS | SECOND),
            Shape::Apart => Some(state & !AFTER_MISS),
            Shape::InRow if state & SECOND == 0 => is_miss.then_some(state | SECOND),
            Shape::Writes | Shape::Reads | Shape::OneMissed | Shape::InRow => Some(state),
        }
    }

    fn accepts(self, state: u8) -> bool {
        let is_timed = self.must == Kinds::NONE || state & TIMED != 0;
        is_timed
            && match self.shape {
                Shape::Apart => state & SECOND != 0 && state & AFTER_MISS == 0,
                Shape::InRow => state & SECOND != 0,
                Shape::Writes | Shape::Reads | Shape::OneMissed => true,
            }
    }
}

/// Looks for a cycle of the pattern with as few transactions as possible.
pub(crate) fn find(graph: &Graph, pattern: Pattern, max_steps: u64, steps: &mut u64) -> Found {
    let components = components(graph, pattern.allowed(), steps);
    let until = steps.saturating_add(max_steps);
    let mut walk = Walk::new(graph, &components, pattern);
    let mut best: Option<Cycle> = None;
    for node in 0..number(graph.nodes()) {
        if components[node as usize] == u32::MAX || !graph.is_transaction(node) {
            continue;
        }
        for edge in graph.edges(node) {
            let to = graph.targets[edge];
            let is_start = graph.kinds[edge] == pattern.first()
                && components[to as usize] == components[node as usize];
            if !is_start {
                continue;
            }
            let shorter_than = best.as_ref().map_or(usize::MAX, Vec::len);
            if shorter_than <= 2 {
                return Found::Cycle(best.expect("it is two hops long"));
            }
            if let Some(cycle) = walk.back(node, edge, shorter_than, until, steps) {
                best = Some(cycle);
            }
            if until <= *steps {
                return best.map_or(Found::Spent, Found::Cycle);
            }
        }
    }
    best.map_or(Found::Nothing, Found::Cycle)
}

/// Returns any cycle over edges of the `allowed` kinds.
pub(crate) fn find_any(graph: &Graph, allowed: Kinds, steps: &mut u64) -> Option<Cycle> {
    let components = components(graph, allowed, steps);
    let pattern = Pattern { shape: Shape::OneMissed, times: allowed, must: Kinds::NONE };
    let mut walk = Walk::new(graph, &components, pattern);
    walk.takes_all = true;
    let is_inside =
        |node: &u32| components[*node as usize] != u32::MAX && graph.is_transaction(*node);
    let node = (0..number(graph.nodes())).find(is_inside)?;
    graph
        .edges(node)
        .filter(|edge| graph.kinds[*edge].has(allowed))
        .filter(|edge| components[graph.targets[*edge] as usize] == components[node as usize])
        .find_map(|edge| walk.back(node, edge, usize::MAX, u64::MAX, steps))
}

/// A search in breadth, from an edge back to where it starts.
struct Walk<'a> {
    graph: &'a Graph,
    components: &'a [u32],
    pattern: Pattern,
    /// Whether every edge of an allowed kind may follow every other.
    takes_all: bool,
    /// The last search that saw a node in a state.
    seen: Vec<u32>,
    round: u32,
    arena: Vec<Visit>,
}

#[derive(Clone, Copy)]
struct Visit {
    node: u32,
    state: u8,
    parent: u32,
    edge: u32,
}

impl<'a> Walk<'a> {
    fn new(graph: &'a Graph, components: &'a [u32], pattern: Pattern) -> Self {
        let seen = vec![0; graph.nodes() * STATES];
        let arena = Vec::new();
        Self { graph, components, pattern, takes_all: false, seen, round: 0, arena }
    }

    /// Returns a cycle that starts with `first` and has fewer hops than `shorter_than`.
    ///
    /// Hops between transactions count, not nodes: what leaves a node that is none costs nothing.
    fn back(
        &mut self,
        start: u32,
        first: usize,
        shorter_than: usize,
        until: u64,
        steps: &mut u64,
    ) -> Option<Cycle> {
        self.round += 1;
        self.arena.clear();
        let (node, state) = (self.graph.targets[first], self.pattern.start());
        let edge = number(first);
        self.arena.push(Visit { node, state, parent: u32::MAX, edge });
        let (mut level, mut next, mut hops) = (vec![0_u32], Vec::new(), 1);
        while !level.is_empty() && hops < shorter_than && *steps < until {
            // What costs nothing joins the level that is looked at.
            let mut place = 0;
            while place < level.len() {
                let index = level[place];
                place += 1;
                let visit = self.arena[index as usize];
                if visit.node == start {
                    let cycle = self.cycle(start, index);
                    if cycle.is_some() {
                        return cycle;
                    }
                }
                let key = visit.node as usize * STATES + usize::from(visit.state);
                if self.seen[key] == self.round || visit.node == start {
                    continue;
                }
                self.seen[key] = self.round;
                let is_hop = self.graph.is_transaction(visit.node);
                for edge in self.graph.edges(visit.node) {
                    *steps += 1;
                    let Some(follows) = self.follow(start, visit, edge) else { continue };
                    let to = number(self.arena.len());
                    self.arena.push(Visit { parent: index, ..follows });
                    if is_hop { next.push(to) } else { level.push(to) }
                }
            }
            std::mem::swap(&mut level, &mut next);
            next.clear();
            hops += 1;
        }
        None
    }

    fn follow(&self, start: u32, visit: Visit, edge: usize) -> Option<Visit> {
        let node = self.graph.targets[edge];
        if self.components[node as usize] != self.components[start as usize] {
            return None;
        }
        let kind = self.graph.kinds[edge];
        let state = if self.takes_all {
            kind.has(self.pattern.times).then_some(0)?
        } else {
            self.pattern.step(visit.state, kind)?
        };
        let is_end = node == start;
        if is_end && !self.takes_all && !self.pattern.accepts(state) {
            return None;
        }
        let key = node as usize * STATES + usize::from(state);
        let visit = Visit { node, state, parent: 0, edge: number(edge) };
        (is_end || self.seen[key] != self.round).then_some(visit)
    }

    /// Returns the way to a visit of `start` as hops; `None` if it passes a transaction twice: then
    /// it is made of shorter cycles, which have names of their own.
    fn cycle(&self, start: u32, last: u32) -> Option<Cycle> {
        let mut edges = Vec::new();
        let mut at = last;
        while at != u32::MAX {
            let visit = &self.arena[at as usize];
            edges.push((visit.edge as usize, visit.node));
            at = visit.parent;
        }
        let mut hops: Cycle = Vec::new();
        let mut from = start;
        let mut open: Option<(Kinds, u32)> = None;
        for (edge, node) in edges.into_iter().rev() {
            let (kind, why) =
                *open.get_or_insert_with(|| (self.graph.kinds[edge], self.graph.why(edge)));
            if self.graph.is_transaction(node) {
                let to = self.graph.name(node);
                hops.push(Hop { from: self.graph.name(from), to, kind, why });
                (from, open) = (node, None);
            }
        }
        let mut nodes: Vec<u32> = hops.iter().map(|hop| hop.from).collect();
        nodes.sort_unstable();
        nodes.windows(2).all(|pair| pair[0] != pair[1]).then_some(hops)
    }
}

fn number(index: usize) -> u32 {
    u32::try_from(index).expect("nodes, edges and visits are numbered with 32 bits")
}

/// What is known of a path, in bits: it has an edge of time; its last edge is a read that did not
/// see a write; it has two of these.
const TIMED: u8 = 1;
const AFTER_MISS: u8 = 2;
const SECOND: u8 = 4;
const STATES: usize = 8;
