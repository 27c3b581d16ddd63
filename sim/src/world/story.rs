//! What a test does to its world by hand: faults at chosen times, and commands from outside.

use quorate_core::NodeId;

use super::{Kind, World};
use crate::system::{Node, System};
use crate::trace::What;
use crate::violation::Violation;

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
            world.note(Kind::Act, node, || What::World("is given a command"));
            world.settle(node).map(|()| value)
        })
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
        if self.nodes.slots[node].is_some() {
            self.pause_node(node);
        }
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
        let (from, target) = (self.index(from), self.index(to));
        self.network.cut(from, target);
        self.note(Kind::Network, from, || What::Chose(format!("is not heard any more by {to}")));
    }

    /// Cuts all links of a node, both ways, until [`heal`](Self::heal).
    ///
    /// # Panics
    ///
    /// If it is not of this world.
    pub fn isolate(&mut self, id: NodeId) {
        let node = self.index(id);
        for other in (0..self.sites.len()).filter(|other| *other != node) {
            self.network.cut(node, other);
            self.network.cut(other, node);
        }
        self.note(Kind::Network, node, || What::World("is isolated"));
    }

    /// Ends every cut and every partition.
    pub fn heal(&mut self) {
        self.heal_partition();
        self.network.heal();
        self.trace.push(self.now, Kind::Network as u64, u64::from(u16::MAX), || {
            (None, What::World("every link is open"))
        });
    }

    /// Ends every fault for good: all nodes are up and connected, and nothing is lost any more.
    ///
    /// Messages and syncs take as long as before, clocks stay as wrong as they are, and clients go
    /// on. What a system promises in the end it must do from here.
    ///
    /// # Errors
    ///
    /// The law that this broke: a node that cannot start is one.
    pub fn heal_all(&mut self) -> Result<(), Violation> {
        self.guard(Self::start)?;
        self.chaos.is_on = false;
        self.heal();
        self.network.calm();
        for node in 0..self.sites.len() {
            self.resume_node(node);
            if self.nodes.slots[node].is_none() {
                self.guard(|world| world.boot(node))?;
            }
        }
        Ok(())
    }

    /// Lets clients do nothing from now on.
    pub fn stop_acts(&mut self) {
        self.plan.act_every = None;
    }

    /// Returns the disk of a node, to be given faults.
    ///
    /// # Panics
    ///
    /// If the node is not of this world.
    #[must_use]
    pub fn disk(&self, id: NodeId) -> crate::Disk {
        self.sites[self.index(id)].disk.clone()
    }

    /// Starts the world, if need be, and returns where the node is.
    fn begin(&mut self, id: NodeId) -> Result<usize, Violation> {
        self.guard(Self::start)?;
        Ok(self.index(id))
    }

    fn index(&self, id: NodeId) -> usize {
        self.nodes.index(id).unwrap_or_else(|| panic!("{id} is not of this world"))
    }
}
