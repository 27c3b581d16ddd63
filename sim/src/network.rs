//! The links of a [`World`](crate::World), for what is no [`System`](crate::System): a driver and
//! its transport, or whatever reads and writes bytes.
//!
//! ```text
//! Endpoint    frame --> link: loss, repeat, reorder, delay, cut --> inbox --> frame
//! ByteStream  bytes --> cut anywhere --> link: delay, flipped bits, reset --> bytes, cut again
//! ```

mod bytes;

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::{Arc, Weak};
use std::task::{Poll, Waker};
use std::time::Duration;

use ::bytes::Bytes;
use parking_lot::Mutex;
use quorate_core::{Closed, NodeId, Transport};

pub use self::bytes::ByteStream;
use self::bytes::Connection;
use crate::decision::nanos;
use crate::links::{Fate, Links};
use crate::plan::Knobs;
use crate::time::VirtualTime;

/// A network in virtual time, between nodes numbered from 1. Clones are the same network.
///
/// What goes wrong on its links is decided by a seed and the [`Knobs`], each link by its own
/// chance. A frame that is damaged on the way is lost: it is the transport that must notice.
///
/// # Examples
///
/// ```
/// use quorate_sim::quorate_core::{NodeId, Transport as _};
/// use quorate_sim::{Knobs, Network, VirtualTime};
///
/// let time = VirtualTime::new();
/// let network = Network::new(&time, 2, 42, &Knobs::calm());
/// let (one, two) = (network.join(NodeId(1)), network.join(NodeId(2)));
/// let heard = time.run(async {
///     one.send(NodeId(2), "hello".into()).await;
///     two.recv().await
/// });
/// assert_eq!(heard, Ok((NodeId(1), "hello".into())));
/// assert!(0 < time.now().as_nanos(), "it took its time");
/// ```
#[derive(Clone, Debug)]
pub struct Network {
    shared: Arc<Shared>,
}

/// What is under way is in the schedule of the time, and knows only a weak handle of this: a
/// network that nobody has any more is gone.
#[derive(Debug)]
struct Shared {
    time: VirtualTime,
    seed: u64,
    nodes: usize,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    links: Links,
    inboxes: Vec<Inbox>,
    connections: Vec<Weak<Mutex<Connection>>>,
    made: u64,
    stats: NetworkStats,
}

/// What waits for a node.
#[derive(Debug, Default)]
struct Inbox {
    frames: VecDeque<(NodeId, Bytes)>,
    bytes: usize,
    /// Those who wait for a frame.
    wakers: Vec<Waker>,
    /// Which of the endpoints that joined is the living one. 0 is none.
    joined: u64,
    is_there: bool,
}

/// What became of the frames so far.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct NetworkStats {
    /// Frames that were sent.
    pub sent: u64,
    /// Frames that arrived, the repeated ones as well.
    pub arrived: u64,
    /// Frames that were lost, for whatever reason; of a repeated one each copy counts.
    pub lost: u64,
    /// Frames that were sent once and are to arrive twice.
    pub repeated: u64,
}

/// One node's end of a [`Network`]. It leaves the network when it is dropped.
#[derive(Debug)]
pub struct Endpoint {
    node: usize,
    joined: u64,
    network: Network,
}

impl Network {
    /// Makes a network of `nodes` nodes, of which none has joined.
    ///
    /// # Panics
    ///
    /// If there are none, or more than 512.
    #[must_use]
    pub fn new(time: &VirtualTime, nodes: usize, seed: u64, knobs: &Knobs) -> Self {
        assert!((1..=NODES_MAX).contains(&nodes), "a network has from 1 to {NODES_MAX} nodes");
        let state = State {
            links: Links::new(seed, nodes, knobs),
            inboxes: std::iter::repeat_with(Inbox::default).take(nodes).collect(),
            connections: Vec::new(),
            made: 0,
            stats: NetworkStats::default(),
        };
        let shared = Shared { time: time.clone(), seed, nodes, state: Mutex::new(state) };
        Self { shared: Arc::new(shared) }
    }

    /// Lets `node` take part, from now on. One that is there already hears nothing more, and is
    /// told so; what is under way reaches the new one.
    ///
    /// # Panics
    ///
    /// If the node is not of this network.
    #[must_use]
    pub fn join(&self, node: NodeId) -> Endpoint {
        let node = self.index(node);
        let mut state = self.shared.state.lock();
        let inbox = &mut state.inboxes[node];
        let joined = inbox.joined + 1;
        let new = Inbox { joined, is_there: true, ..Inbox::default() };
        let former = std::mem::replace(inbox, new);
        drop(state);
        former.wakers.into_iter().for_each(Waker::wake);
        Endpoint { node, joined, network: self.clone() }
    }

    /// Loses what `from` says to `to`, also what is under way, until it is mended as often as cut.
    ///
    /// # Panics
    ///
    /// If one of them is not of this network, as with all that follow.
    pub fn cut(&self, from: NodeId, to: NodeId) {
        let (from, to) = (self.index(from), self.index(to));
        self.shared.state.lock().links.cut(from, to);
    }

    /// Ends one cut.
    pub fn mend(&self, from: NodeId, to: NodeId) {
        let (from, to) = (self.index(from), self.index(to));
        self.shared.state.lock().links.mend(from, to);
    }

    /// Ends every cut and whatever else was done to links by hand.
    pub fn heal(&self) {
        self.shared.state.lock().links.heal();
    }

    /// Ends every cut, and all that the knobs let go wrong: from now on links are as in a calm run.
    pub fn calm(&self) {
        self.shared.state.lock().links.calm(&vec![true; self.shared.nodes]);
    }

    /// Keeps back what `from` says to `to` for `duration`.
    pub fn clog(&self, from: NodeId, to: NodeId, duration: Duration) {
        let until = self.shared.time.elapsed().saturating_add(nanos(duration));
        let (from, to) = (self.index(from), self.index(to));
        self.shared.state.lock().links.clog(from, to, until);
    }

    /// Loses what is under way between two nodes, and breaks their connections: each end learns of
    /// it at its own time.
    pub fn reset(&self, one: NodeId, other: NodeId) {
        let (one, other) = (self.index(one), self.index(other));
        let mut state = self.shared.state.lock();
        state.links.reset(self.shared.time.elapsed(), one, other);
        let between = |connection: &Arc<Mutex<Connection>>| {
            let nodes = connection.lock().nodes;
            nodes == [one, other] || nodes == [other, one]
        };
        let connections = state.connections.iter().filter_map(Weak::upgrade);
        for connection in connections.filter(between) {
            bytes::break_off(&self.shared, &state, &connection);
        }
    }

    /// Returns what became of the frames so far.
    #[must_use]
    pub fn stats(&self) -> NetworkStats {
        self.shared.state.lock().stats
    }

    fn index(&self, node: NodeId) -> usize {
        self.find(node).unwrap_or_else(|| panic!("{node} is not of this network"))
    }

    fn find(&self, node: NodeId) -> Option<usize> {
        let index = usize::try_from(node.0.checked_sub(1)?).ok()?;
        (index < self.shared.nodes).then_some(index)
    }

    fn send(&self, from: usize, to: usize, frame: Bytes) {
        let mut state = self.shared.state.lock();
        state.stats.sent += 1;
        let bytes = frame.len() as u64;
        let fate = state.links.send(self.shared.time.elapsed(), from, to, || bytes);
        match fate {
            Fate::Arrives { at, again, damage, connection } => {
                state.stats.repeated += u64::from(again.is_some());
                drop(state);
                for at in again.into_iter().chain([at]) {
                    let network = Arc::downgrade(&self.shared);
                    // One that is damaged takes its place until it arrives.
                    let frame = damage.is_none().then(|| frame.clone());
                    self.shared.time.schedule(at, move || {
                        if let Some(network) = network.upgrade() {
                            network.arrive([from, to], connection, frame);
                        }
                    });
                }
            }
            Fate::Lost { .. } => state.stats.lost += 1,
        }
    }
}

impl Shared {
    /// Lets a frame reach the inbox of the second of `nodes`, or not.
    fn arrive(&self, nodes: [usize; 2], connection: u32, frame: Option<Bytes>) {
        let mut state = self.state.lock();
        let [from, to] = nodes;
        let why = state.links.arrive(from, to, connection);
        let inbox = &mut state.inboxes[to];
        let has_room = inbox.frames.len() < INBOX_MAX && inbox.bytes < INBOX_BYTES_MAX;
        let Some(frame) = frame.filter(|_| why.is_none() && inbox.is_there && has_room) else {
            state.stats.lost += 1;
            return;
        };
        inbox.bytes += frame.len();
        inbox.frames.push_back((NodeId(from as u64 + 1), frame));
        let wakers = std::mem::take(&mut inbox.wakers);
        state.stats.arrived += 1;
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }
}

impl Transport for Endpoint {
    async fn send(&self, to: NodeId, frame: Bytes) {
        if let Some(to) = self.network.find(to) {
            self.network.send(self.node, to, frame);
        }
    }

    async fn recv(&self) -> Result<(NodeId, Bytes), Closed> {
        poll_fn(|cx| {
            let inbox = &mut self.network.shared.state.lock().inboxes[self.node];
            if inbox.joined != self.joined {
                return Poll::Ready(Err(Closed));
            }
            if let Some((from, frame)) = inbox.frames.pop_front() {
                inbox.bytes -= frame.len();
                return Poll::Ready(Ok((from, frame)));
            }
            if !inbox.wakers.iter().any(|waker| waker.will_wake(cx.waker())) {
                inbox.wakers.push(cx.waker().clone());
            }
            Poll::Pending
        })
        .await
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        let mut state = self.network.shared.state.lock();
        let inbox = &mut state.inboxes[self.node];
        if inbox.joined == self.joined {
            let new = Inbox { joined: self.joined, ..Inbox::default() };
            let former = std::mem::replace(inbox, new);
            drop(state);
            // Who waits may own what locks the network when it goes.
            drop(former);
        }
    }
}

/// Frames that wait for a node that does not take them; what comes then is lost.
const INBOX_MAX: usize = 65_536;
/// The same, in bytes.
const INBOX_BYTES_MAX: usize = 64 << 20;
/// As many as a plan may have: there is a link for each pair.
const NODES_MAX: usize = 512;
