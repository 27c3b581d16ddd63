//! Frames between nodes of one process.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use quorate_core::{Closed, NodeId, Transport};

use crate::queue::{Limits, Queue};

/// A network in memory: each node that joins it hears every other.
///
/// A node that does not take what comes loses the oldest of it. Nothing else is lost, unless a link
/// is [`cut`](Self::cut): for faults in virtual time there is quorate-sim.
#[derive(Clone, Debug, Default)]
pub struct Network {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    inboxes: BTreeMap<NodeId, Inbox>,
    cut: BTreeSet<(NodeId, NodeId)>,
}

type Inbox = Arc<Queue<(NodeId, Bytes)>>;

/// One node's end of a [`Network`]. It leaves the network when it is dropped.
#[derive(Debug)]
pub struct Memory {
    node: NodeId,
    network: Network,
    inbox: Inbox,
}

impl Network {
    /// Makes a network without nodes.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets `node` take part. One that is there already hears nothing more.
    #[must_use]
    pub fn join(&self, node: NodeId) -> Memory {
        let inbox = Arc::new(Queue::new(INBOX));
        if let Some(before) = self.state.lock().inboxes.insert(node, Arc::clone(&inbox)) {
            before.close();
        }
        Memory { node, network: self.clone(), inbox }
    }

    /// Loses what `from` says to `to` from now on.
    pub fn cut(&self, from: NodeId, to: NodeId) {
        self.state.lock().cut.insert((from, to));
    }

    /// Loses nothing any more.
    pub fn heal(&self) {
        self.state.lock().cut.clear();
    }
}

impl Transport for Memory {
    async fn send(&self, to: NodeId, frame: Bytes) {
        let state = self.network.state.lock();
        let inbox = state.inboxes.get(&to).filter(|_| !state.cut.contains(&(self.node, to)));
        if let Some(inbox) = inbox.map(Arc::clone) {
            drop(state);
            let bytes = frame.len();
            inbox.push_dropping_oldest((self.node, frame), bytes);
        }
    }

    async fn recv(&self) -> Result<(NodeId, Bytes), Closed> {
        self.inbox.pop().await.ok_or(Closed)
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        let mut state = self.network.state.lock();
        if state.inboxes.get(&self.node).is_some_and(|inbox| Arc::ptr_eq(inbox, &self.inbox)) {
            state.inboxes.remove(&self.node);
        }
    }
}

/// What may wait for a node.
const INBOX: Limits = Limits { max_items: 65_536, max_bytes: 64 << 20 };
