//! Strongly connected components.

use super::graph::{Graph, Kinds};

/// Returns for each node the component that it shares with others, over edges of the `allowed`
/// kinds; `u32::MAX` if it is alone. O(n + m), and no recursion.
pub(crate) fn components(graph: &Graph, allowed: Kinds, steps: &mut u64) -> Vec<u32> {
    let nodes = graph.nodes();
    let mut search = Search {
        number: vec![NEW; nodes],
        low: vec![NEW; nodes],
        components: vec![u32::MAX; nodes],
        open: Vec::new(),
        path: Vec::new(),
        next: NEW + 1,
        count: 0,
    };
    for root in 0..u32::try_from(nodes).expect("nodes are numbered with 32 bits") {
        if search.number[root as usize] == NEW {
            search.enter(root, graph);
            search.run(graph, allowed, steps);
        }
    }
    search.components
}

struct Search {
    /// The order in which nodes were entered; `CLOSED` if their component is known.
    number: Vec<u32>,
    /// The first node that is reached from there.
    low: Vec<u32>,
    components: Vec<u32>,
    /// Nodes that were entered and have no component so far.
    open: Vec<u32>,
    /// Nodes between the root and where we are, each with the edge to try next.
    path: Vec<(u32, usize)>,
    next: u32,
    count: u32,
}

impl Search {
    fn enter(&mut self, node: u32, graph: &Graph) {
        self.number[node as usize] = self.next;
        self.low[node as usize] = self.next;
        self.next += 1;
        self.open.push(node);
        self.path.push((node, graph.edges(node).start));
    }

    fn run(&mut self, graph: &Graph, allowed: Kinds, steps: &mut u64) {
        while let Some((node, edge)) = self.path.last_mut() {
            let node = *node;
            if *edge == graph.edges(node).end {
                self.leave();
                continue;
            }
            let at = *edge;
            *edge += 1;
            *steps += 1;
            if !graph.kinds[at].has(allowed) {
                continue;
            }
            let to = graph.targets[at];
            if self.number[to as usize] == NEW {
                self.enter(to, graph);
            } else {
                // One that is closed is greater than all.
                let low = &mut self.low[node as usize];
                *low = (*low).min(self.number[to as usize]);
            }
        }
    }

    /// Goes back from the last node of the path; if nothing before it was reached, all that was
    /// entered since is a component.
    fn leave(&mut self) {
        let Some((node, _)) = self.path.pop() else { return };
        let low = self.low[node as usize];
        if let Some((parent, _)) = self.path.last() {
            let of_parent = &mut self.low[*parent as usize];
            *of_parent = (*of_parent).min(low);
        }
        if low != self.number[node as usize] {
            return;
        }
        let is_alone = self.open.last() == Some(&node);
        while let Some(member) = self.open.pop() {
            self.number[member as usize] = CLOSED;
            if !is_alone {
                self.components[member as usize] = self.count;
            }
            if member == node {
                break;
            }
        }
        self.count += u32::from(!is_alone);
    }
}

const NEW: u32 = 0;
const CLOSED: u32 = u32::MAX;
