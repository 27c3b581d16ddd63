//! What a test does to its world by hand: faults at chosen times, and commands from outside.

use std::time::Duration;

use quorate_core::NodeId;

use super::site::Happening;
use super::{Kind, World};
use crate::clock::Clock;
use crate::disk::Disk;
use crate::plan::{Fault, FaultKind, Knobs};
use crate::system::{Node, System};
use crate::trace::What;
use crate::violation::{Phase, Violation};

impl<S: System> World<S> {
    /// Gives `node` a command from outside, and does all that follows from it at once.
    ///
    /// # Errors
    ///
    /// The law that this broke.
    ///
    /// # Panics
    ///
    /// If the node is down.
    pub fn with<T>(
        &mut self,
        id: NodeId,
        command: impl FnOnce(&mut Node<S>) -> T,
    ) -> Result<T, Violation> {
        let node = self.begin(id)?;
        assert!(self.nodes.slots[node].is_some(), "{id} is down");
        self.guard(|world| {
            let live = world.nodes.slots[node].as_mut().expect("it is up");
            live.now = world.sites[node].clock.local(world.now);
            let value = command(live);
            world.stats.events += 1;
            world.note(Kind::Command, node, || What::World("is given a command"));
            world.settle(node).map(|()| value)
        })
    }

    /// Lets a fault happen `after` so much time from now, for as long as it `lasts`. It is added
    /// to the plan, and the budget holds for it as for all others.
    ///
    /// # Panics
    ///
    /// If it names a node that is not of this world.
    pub fn after(&mut self, after: Duration, lasts: Duration, kind: FaultKind) {
        let known = kind.nodes().iter().all(|node| self.nodes.index(*node).is_some());
        assert!(known, "{kind} names a node that is not of this world");
        let at = Duration::from_nanos(self.now) + after;
        self.plan.faults.push(Fault { at, lasts, kind });
        self.chaos.add();
        if self.is_started {
            let index = self.plan.faults.len() - 1;
            self.queue.push(crate::decision::nanos(at), Happening::Fault { index });
        }
    }

    /// Cuts the power of a node. It stays down until [`restart`](Self::restart) or
    /// [`heal_all`](Self::heal_all).
    ///
    /// # Errors
    ///
    /// A law that the start of the world broke, if this is the first call.
    pub fn crash(&mut self, id: NodeId) -> Result<(), Violation> {
        let node = self.begin(id)?;
        if self.nodes.slots[node].is_some() {
            self.crash_node(node);
        }
        Ok(())
    }

    /// Starts a node that is down.
    ///
    /// # Errors
    ///
    /// The law that this broke: a node that cannot start is one.
    pub fn restart(&mut self, id: NodeId) -> Result<(), Violation> {
        let node = self.begin(id)?;
        if self.nodes.slots[node].is_none() {
            self.guard(|world| world.boot(node))?;
        }
        Ok(())
    }

    /// Stops a node until [`resume`](Self::resume). What reaches it meanwhile waits.
    ///
    /// # Errors
    ///
    /// A law that the start of the world broke, if this is the first call.
    pub fn pause(&mut self, id: NodeId) -> Result<(), Violation> {
        let node = self.begin(id)?;
        self.pause_node(node);
        Ok(())
    }

    /// Lets a node go on. What waited happens with the next steps.
    ///
    /// # Errors
    ///
    /// A law that the start of the world broke, if this is the first call.
    pub fn resume(&mut self, id: NodeId) -> Result<(), Violation> {
        let node = self.begin(id)?;
        self.resume_node(node);
        Ok(())
    }

    /// Cuts the link from one node to another, that way only, until [`heal`](Self::heal).
    ///
    /// # Panics
    ///
    /// If one of them is not of this world.
    pub fn cut(&mut self, from: NodeId, to: NodeId) {
        let (from, target) = (self.at(from), self.at(to));
        self.links.cut(from, target);
        self.note(Kind::Fault, from, || What::Chose(format!("is not heard any more by {to}")));
    }

    /// Cuts all links of a node, both ways, until [`heal`](Self::heal).
    ///
    /// # Panics
    ///
    /// If it is not of this world.
    pub fn isolate(&mut self, id: NodeId) {
        let node = self.at(id);
        for other in (0..self.sites.len()).filter(|other| *other != node) {
            self.links.cut(node, other);
            self.links.cut(other, node);
        }
        self.note(Kind::Fault, node, || What::World("is isolated"));
    }

    /// Ends every cut and every partition.
    pub fn heal(&mut self) {
        self.links.heal();
        self.sites.iter_mut().for_each(|site| site.away = 0);
        self.note_all(Kind::Fault, || What::World("every link is open"));
    }

    /// Ends every fault for good: all nodes are up and connected, and nothing is lost any more.
    ///
    /// Messages and syncs take as long as in a calm run, clocks stay as wrong as they are, and
    /// clients go on as they like, whatever the plan says about operations. What a system promises
    /// in the end it must do from here.
    ///
    /// # Errors
    ///
    /// The law that this broke: a node that cannot start is one.
    pub fn heal_all(&mut self) -> Result<(), Violation> {
        let all = self.nodes.ids.clone();
        self.links.heal();
        self.heal_core(&all)
    }

    /// Ends every fault for good among the nodes of `core`. The others stay as they are: down,
    /// paused, cut off or half connected, with everything that goes wrong on their links.
    ///
    /// A system must do with a quorum what it promises, whatever becomes of the rest.
    ///
    /// # Errors
    ///
    /// The law that this broke: a node that cannot start is one.
    pub fn heal_core(&mut self, core: &[NodeId]) -> Result<(), Violation> {
        self.guard(Self::start)?;
        self.phase = Phase::Healed;
        self.chaos.is_on = false;
        let is_core: Vec<bool> = self.nodes.ids.iter().map(|id| core.contains(id)).collect();
        self.chaos.frozen = is_core.iter().map(|is_core| !is_core).collect();
        self.links.calm(&is_core);
        self.note_all(Kind::Fault, || What::World("the faults end"));
        for node in (0..self.sites.len()).filter(|node| is_core[*node]) {
            self.heal_node(node)?;
        }
        self.free_clients();
        Ok(())
    }

    fn heal_node(&mut self, node: usize) -> Result<(), Violation> {
        let site = &mut self.sites[node];
        (site.away, site.stalled_until) = (0, 0);
        let calm = Knobs::calm();
        (site.sync_latency, site.fetch_latency) = (calm.sync_latency, calm.fetch_latency);
        site.pauses = site.pauses.min(1);
        site.disk.fail_no_more();
        site.disk.clear_capacity();
        site.wall.break_bound(0);
        self.resume_node(node);
        if self.nodes.slots[node].is_none() && !self.sites[node].is_refusing {
            self.guard(|world| world.boot(node))?;
        }
        Ok(())
    }

    /// Returns the clock on the wall of a node, to be given errors.
    ///
    /// # Panics
    ///
    /// If the node is not of this world.
    #[must_use]
    pub fn clock(&self, id: NodeId) -> Clock {
        self.sites[self.at(id)].wall.clone()
    }

    /// Returns the disk of a node, to be given faults.
    ///
    /// # Panics
    ///
    /// If the node is not of this world.
    #[must_use]
    pub fn disk(&self, id: NodeId) -> Disk {
        self.sites[self.at(id)].disk.clone()
    }

    /// Starts the world, if need be, and returns where the node is.
    fn begin(&mut self, id: NodeId) -> Result<usize, Violation> {
        self.guard(Self::start)?;
        Ok(self.at(id))
    }
}
