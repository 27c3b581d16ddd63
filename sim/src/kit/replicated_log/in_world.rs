//! A cluster that is a system in a world: time, links, disks and crashes are there.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use quorate_core::NodeId;

use super::{Applied, Conditions, ReplicatedLog, Role};
use crate::system::{Node, System};
use crate::violation::Violation;
use crate::world::World;

/// A [`System`] whose nodes keep one log: what its core is asked, and what its application knows.
pub trait LogSystem: System {
    /// Asks `node` to append `value`: see [`ReplicatedLog::propose`].
    fn propose(&self, node: &mut Node<Self>, value: u64) -> Option<u64>;

    /// Returns what `node` takes itself for.
    fn role(&self, node: &Node<Self>) -> Role;

    /// Returns what was applied: see [`ReplicatedLog::applied`].
    fn applied(&self, node: &Node<Self>) -> Vec<Applied>;

    /// Forgets the log up to `index`: see [`ReplicatedLog::compact`]. The default does not.
    fn compact(&self, node: &mut Node<Self>, index: u64) -> bool {
        _ = (node, index);
        false
    }
}

/// The nodes of a [`LogSystem`] in a [`World`].
///
/// # Panics
///
/// If the run breaks a law of the world, with the law and the story so far.
pub struct InWorld<S: LogSystem> {
    world: World<S>,
    cut: BTreeSet<NodeId>,
}

impl<S: LogSystem> InWorld<S> {
    /// Makes a world of these conditions.
    #[must_use]
    pub fn new(system: impl Into<Arc<S>>, conditions: &Conditions) -> Self {
        Self::of(World::new(system, conditions.plan()))
    }

    /// Takes a world in which nothing happened yet: one with other knobs, laws or mistakes.
    ///
    /// Its plan is one of [`Conditions::plan`], but for what the test is about.
    #[must_use]
    pub fn of(mut world: World<S>) -> Self {
        // Nodes start with the first step.
        kept(world.run_for(Duration::ZERO));
        Self { world, cut: BTreeSet::new() }
    }

    fn node(&self, node: NodeId) -> &Node<S> {
        self.world.node(node).unwrap_or_else(|| panic!("{node} is down"))
    }
}

impl<S: LogSystem> ReplicatedLog for InWorld<S> {
    fn propose(&mut self, node: NodeId, value: u64) -> Option<u64> {
        let system = Arc::clone(self.world.shared_system());
        kept(self.world.with(node, |node| system.propose(node, value)))
    }

    fn role(&self, node: NodeId) -> Role {
        self.world.system().role(self.node(node))
    }

    fn applied(&self, node: NodeId) -> Vec<Applied> {
        self.world.system().applied(self.node(node))
    }

    fn crash(&mut self, node: NodeId) {
        kept(self.world.crash(node));
    }

    fn restart(&mut self, node: NodeId) {
        kept(self.world.restart(node));
    }

    fn cut(&mut self, node: NodeId, is_cut: bool) {
        if is_cut {
            self.cut.insert(node);
        } else {
            self.cut.remove(&node);
        }
        self.world.heal();
        self.cut.iter().for_each(|node| self.world.isolate(*node));
    }

    fn compact(&mut self, node: NodeId, index: u64) -> bool {
        let system = Arc::clone(self.world.shared_system());
        kept(self.world.with(node, |node| system.compact(node, index)))
    }

    fn run_for(&mut self, time: Duration) {
        kept(self.world.run_for(time));
    }
}

fn kept<T>(result: Result<T, Violation>) -> T {
    result.unwrap_or_else(|violation| panic!("{}", violation.headline()))
}

impl<S: LogSystem> fmt::Debug for InWorld<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InWorld")
            .field("world", &self.world)
            .field("cut", &self.cut)
            .finish_non_exhaustive()
    }
}
