//! Edges, and the compressed rows that they become.

use std::ops::{BitAnd, BitOr, Range};

/// A set of kinds of edges.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Kinds(pub(crate) u8);

impl Kinds {
    /// No kind.
    pub(crate) const NONE: Self = Self(0);
    /// A write after a write.
    pub(crate) const WW: Self = Self(1);
    /// A read of a write.
    pub(crate) const WR: Self = Self(2);
    /// A read that did not see a write.
    pub(crate) const RW: Self = Self(4);
    /// One after the other in a process.
    pub(crate) const PROCESS: Self = Self(8);
    /// Over before the other began.
    pub(crate) const REAL_TIME: Self = Self(16);
    /// The rest of an edge that goes through a node which is no transaction.
    pub(crate) const REST: Self = Self(32);
    /// Every kind.
    pub(crate) const ALL: Self = Self(63);

    pub(crate) const fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

impl BitOr for Kinds {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitAnd for Kinds {
    type Output = Self;

    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

/// Edges under construction. The first nodes are transactions; the others stand between them, so
/// that n before m others take n + m edges, not n * m.
#[derive(Debug)]
pub(crate) struct Edges {
    list: Vec<Edge>,
    transactions: u32,
    nodes: u32,
}

#[derive(Clone, Copy, Debug)]
struct Edge {
    from: u32,
    to: u32,
    why: u32,
    kind: Kinds,
}

impl Edges {
    /// Makes a graph of transactions without edges.
    ///
    /// # Panics
    ///
    /// If there are 2^30 of them or more: with the nodes between them they must fit 32 bits.
    pub(crate) fn new(transactions: usize) -> Self {
        let transactions = u32::try_from(transactions).ok().filter(|it| *it < 1 << 30);
        let transactions = transactions.expect("a history has below 2^30 transactions");
        Self { list: Vec::new(), transactions, nodes: transactions }
    }

    /// Makes a node that is no transaction.
    pub(crate) const fn between(&mut self) -> u32 {
        self.nodes += 1;
        self.nodes - 1
    }

    /// Adds an edge, unless it leads back to where it starts.
    pub(crate) fn add(&mut self, from: u32, to: u32, kind: Kinds, why: u32) {
        if from != to {
            self.list.push(Edge { from, to, why, kind });
        }
    }

    /// Adds edges from each of `from` to each of `to`, but from none to itself. O(n + m) of them.
    ///
    /// Nodes on a line lead to all before it, those on another to all after it: so that one who is
    /// among both reaches all but itself.
    ///
    /// ```text
    /// before 0 <- before 1 <- before 2         reader that writes `to[1]`: before 0, after 2
    ///   to[0]       to[1]       to[2]          any other: after 0
    /// after 0  -> after 1  -> after 2
    /// ```
    pub(crate) fn fan(&mut self, from: &[u32], to: &[u32], kind: Kinds, why: u32) {
        if from.len() * to.len() <= 2 * (from.len() + to.len()) {
            for from in from {
                to.iter().for_each(|to| self.add(*from, *to, kind, why));
            }
            return;
        }
        let mut sorted = to.to_vec();
        sorted.sort_unstable();
        sorted.dedup();
        let before: Vec<u32> = sorted.iter().map(|_| self.between()).collect();
        let after: Vec<u32> = sorted.iter().map(|_| self.between()).collect();
        for (place, to) in sorted.iter().enumerate() {
            self.add(before[place], *to, Kinds::REST, why);
            self.add(after[place], *to, Kinds::REST, why);
            if 0 < place {
                self.add(before[place], before[place - 1], Kinds::REST, why);
                self.add(after[place - 1], after[place], Kinds::REST, why);
            }
        }
        for from in from {
            match sorted.binary_search(from) {
                Err(_) => self.add(*from, after[0], kind, why),
                Ok(place) => {
                    if 0 < place {
                        self.add(*from, before[place - 1], kind, why);
                    }
                    if let Some(after) = after.get(place + 1) {
                        self.add(*from, *after, kind, why);
                    }
                }
            }
        }
    }

    /// Returns how many edges there are.
    pub(crate) const fn len(&self) -> usize {
        self.list.len()
    }
}

/// Edges by the node where they start.
#[derive(Debug)]
pub(crate) struct Graph {
    offsets: Vec<u32>,
    pub(super) targets: Vec<u32>,
    pub(super) kinds: Vec<Kinds>,
    whys: Vec<u32>,
    /// For each node its number in the whole graph.
    names: Option<Vec<u32>>,
    /// Nodes below this are transactions of the whole graph.
    transactions: u32,
}

impl Graph {
    /// Sorts the edges by their start, in the order in which they came. O(n + m).
    pub(crate) fn new(edges: &Edges) -> Self {
        let graph = Self::from_list(edges.nodes, &edges.list, edges.transactions);
        Self { names: None, ..graph }
    }

    fn from_list(nodes: u32, list: &[Edge], transactions: u32) -> Self {
        let count = u32::try_from(list.len()).expect("below 2^32 edges");
        let mut offsets = vec![0; nodes as usize + 1];
        for edge in list {
            offsets[edge.from as usize] += 1;
        }
        let mut sum = 0;
        for offset in &mut offsets {
            sum += *offset;
            *offset = sum;
        }
        let mut targets = vec![0; count as usize];
        let mut kinds = vec![Kinds::NONE; count as usize];
        let mut whys = vec![0; count as usize];
        // Backwards, so that each offset ends at the first of its edges.
        for edge in list.iter().rev() {
            let offset = &mut offsets[edge.from as usize];
            *offset -= 1;
            let place = *offset as usize;
            (targets[place], kinds[place], whys[place]) = (edge.to, edge.kind, edge.why);
        }
        Self { offsets, targets, kinds, whys, names: None, transactions }
    }

    /// Returns the part of the graph whose nodes have a component, with edges within one only.
    pub(crate) fn within(&self, components: &[u32]) -> Self {
        let mut local = vec![u32::MAX; components.len()];
        let mut names = Vec::new();
        for (node, component) in (0..).zip(components) {
            if *component != u32::MAX {
                local[node as usize] = u32::try_from(names.len()).expect("fewer than all");
                names.push(node);
            }
        }
        let mut list = Vec::new();
        for node in &names {
            for edge in self.edges(*node) {
                let to = self.targets[edge];
                if components[to as usize] == components[*node as usize] {
                    let (from, to) = (local[*node as usize], local[to as usize]);
                    list.push(Edge { from, to, why: self.whys[edge], kind: self.kinds[edge] });
                }
            }
        }
        let nodes = u32::try_from(names.len()).expect("fewer than all");
        let graph = Self::from_list(nodes, &list, self.transactions);
        Self { names: Some(names), ..graph }
    }

    /// Returns how many nodes there are.
    pub(crate) const fn nodes(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Returns the edges that start at `node`.
    pub(super) fn edges(&self, node: u32) -> Range<usize> {
        self.offsets[node as usize] as usize..self.offsets[node as usize + 1] as usize
    }

    pub(super) fn why(&self, edge: usize) -> u32 {
        self.whys[edge]
    }

    /// Returns the number of `node` in the whole graph.
    pub(super) fn name(&self, node: u32) -> u32 {
        self.names.as_ref().map_or(node, |names| names[node as usize])
    }

    pub(super) fn is_transaction(&self, node: u32) -> bool {
        self.name(node) < self.transactions
    }
}
