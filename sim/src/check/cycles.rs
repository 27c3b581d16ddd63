//! Cycles in what must come before what, and the kinds of edges they are made of.
//!
//! ```text
//! T1 --ww--> T2 --rw--> T3          a cycle of three transactions, one edge of which is a read
//!  ^                     |          that did not see a write: G-single
//!  +---------wr----------+
//! ```
//!
//! First the strongly connected components over all edges: without one of two nodes or more there
//! is no cycle, and that is all that a sound history costs. Then, within components, a search in
//! breadth for a shortest cycle of each kind.
//!
//! Source: Tarjan, "Depth-first search and linear graph algorithms" (1972), with a path on the heap
//! instead of the stack; Adya, "Weak consistency" (1999), chapter 4, for the kinds; Kingsbury and
//! Alvaro, "Elle" (2020), 5, for the order of the work.

mod components;
mod graph;
mod search;

pub(super) use self::components::components;
pub(super) use self::graph::{Edges, Graph, Kinds};
pub(super) use self::search::{Cycle, Found, Hop, Pattern, find, find_any};

/// What a cycle has besides the edges that are always allowed in it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Shape {
    /// Writes that overwrite each other.
    Writes,
    /// At least one read of a write.
    Reads,
    /// Exactly one read that did not see a write.
    OneMissed,
    /// Two or more of these, but never one after the other.
    Apart,
    /// Two of these, one after the other.
    InRow,
}
