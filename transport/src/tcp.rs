//! One socket for each pair of nodes, over tokio.
//!
//! ```text
//!   n1 ---- dials ----> n2          the lower id dials, so that two nodes never have two sockets
//!    \                  |
//!     ---- dials --> n3 <---- dials
//!
//!   dialer: connect, Hello, Hello, then frames both ways; on the end: wait, dial again
//! ```
//!
//! Waiting between dials is drawn from "decorrelated jitter": at least the shortest, at most three
//! times the last, reset once a connection has lived for a while.
//!
//! Source: Joshi, "Patterns of Distributed Systems" (2023), "Single-Socket Channel"; Brooker,
//! "Exponential Backoff and Jitter" (2015), for the waiting.

mod backoff;
mod session;
mod stats;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::{Either, join_all, select};
use futures::stream::{FuturesUnordered, StreamExt as _};
use parking_lot::Mutex;
use quorate_core::{Closed, NodeId, Transport};
use thiserror::Error;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

use crate::queue::{Limits, Queue};
use backoff::Backoff;
use stats::Counters;

pub use stats::Stats;

/// How a node meets its peers. Made by [`Config::new`], changed field by field.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Config {
    /// This node.
    pub node: NodeId,
    /// Where it listens.
    pub listen: SocketAddr,
    /// Where the others listen. Itself may be among them.
    pub peers: BTreeMap<NodeId, SocketAddr>,
    /// Nodes of another cluster are turned away. Default: 0.
    pub cluster: u64,
    /// Rises with every start of this node: of two connections of a peer the one with the greater
    /// is the living one. The milliseconds since 1970, shifted left by 16, do.
    pub epoch: u64,
    /// The longest frame taken from a peer, and sent to one. Default: 8 MiB.
    pub max_frame_bytes: u32,
    /// Frames that wait for one peer; then the oldest are dropped. Default: 65,536.
    pub max_queued_frames: usize,
    /// The same, in bytes. Default: 64 MiB.
    pub max_queued_bytes: usize,
    /// Frames that wait for this node; then its peers' sockets are not read. Default: 4096.
    pub max_received_frames: usize,
    /// The same, in bytes. Default: 64 MiB.
    pub max_received_bytes: usize,
    /// Connections from others at a time; further ones are closed. Default: 1024.
    pub max_connections: usize,
    /// How long a dial, and then the peer's hello, may take. Default: 3 s.
    pub handshake_timeout: Duration,
    /// The shortest wait between dials. Default: 50 ms.
    pub min_backoff: Duration,
    /// The longest. Default: 2 s.
    pub max_backoff: Duration,
    /// A side that has said nothing for so long pings. Default: 5 s. One that was not heard for
    /// three times as long is taken for dead.
    pub ping_interval: Duration,
    /// Where the jitter comes from.
    pub seed: u64,
}

impl Config {
    /// Makes the default for `node`, which listens at `listen`.
    #[must_use]
    pub const fn new(
        node: NodeId,
        listen: SocketAddr,
        peers: BTreeMap<NodeId, SocketAddr>,
        epoch: u64,
    ) -> Self {
        Self {
            node,
            listen,
            peers,
            cluster: 0,
            epoch,
            max_frame_bytes: 8 << 20,
            max_queued_frames: 65_536,
            max_queued_bytes: 64 << 20,
            max_received_frames: 4096,
            max_received_bytes: 64 << 20,
            max_connections: 1024,
            handshake_timeout: Duration::from_secs(3),
            min_backoff: Duration::from_millis(50),
            max_backoff: Duration::from_secs(2),
            ping_interval: Duration::from_secs(5),
            seed: epoch,
        }
    }
}

/// The address cannot be listened at.
#[derive(Debug, Error)]
#[error("cannot listen at {listen}")]
pub struct BindError {
    /// The address.
    pub listen: SocketAddr,
    /// Why.
    pub source: io::Error,
}

/// A [`Transport`] over TCP. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Tcp {
    shared: Arc<Shared>,
}

/// What the sockets of a node share.
#[derive(Debug)]
struct Shared {
    config: Config,
    local_address: SocketAddr,
    inbox: Queue<(NodeId, Bytes)>,
    peers: BTreeMap<NodeId, Peer>,
    counters: Counters,
}

/// The way to one peer.
#[derive(Debug)]
struct Peer {
    address: SocketAddr,
    outbox: Queue<Bytes>,
    /// The connection that is in use.
    living: Mutex<Living>,
}

#[derive(Debug, Default)]
struct Living {
    /// Its epoch, as the dialer said.
    epoch: u64,
    /// Ends it when it is dropped.
    end: Option<futures::channel::oneshot::Sender<()>>,
}

/// Listens, and returns the transport and the future that runs its sockets. Nothing is spawned:
/// poll the future for as long as the transport is used. It ends never.
///
/// Needs a tokio runtime with net and time enabled, also around this call.
///
/// # Errors
///
/// [`BindError`] if the address is in use, or not this machine's.
pub fn tcp(config: Config) -> Result<(Tcp, impl Future<Output = ()> + Send), BindError> {
    let listen = config.listen;
    let fail = |source| BindError { listen, source };
    let listener = bind(listen).map_err(fail)?;
    let outbox = Limits { max_items: config.max_queued_frames, max_bytes: config.max_queued_bytes };
    let inbox =
        Limits { max_items: config.max_received_frames, max_bytes: config.max_received_bytes };
    let others = config.peers.iter().filter(|(node, _)| **node != config.node);
    let peer = |(&node, &address): (&NodeId, &SocketAddr)| {
        let living = Mutex::new(Living::default());
        (node, Peer { address, outbox: Queue::new(outbox), living })
    };
    let shared = Arc::new(Shared {
        peers: others.map(peer).collect(),
        local_address: listener.local_addr().map_err(fail)?,
        inbox: Queue::new(inbox),
        counters: Counters::default(),
        config,
    });
    let running = run(listener, Arc::clone(&shared));
    Ok((Tcp { shared }, running))
}

impl Tcp {
    /// Returns where it listens: the port, if 0 was asked for.
    #[must_use]
    pub fn local_address(&self) -> SocketAddr {
        self.shared.local_address
    }

    /// Returns what was carried and what was dropped so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.shared.counters.read()
    }

    /// Ends the transport: [`recv`](Transport::recv) says [`Closed`].
    pub fn close(&self) {
        self.shared.inbox.close();
    }
}

impl Transport for Tcp {
    async fn send(&self, to: NodeId, frame: Bytes) {
        let Some(peer) = self.shared.peers.get(&to) else {
            return self.shared.counters.dropped(1);
        };
        let bytes = frame.len();
        // The peer would close the connection, and everything else would be lost with it.
        let is_too_long = (self.shared.config.max_frame_bytes as usize) < bytes + HEADER_BYTES;
        let dropped = if is_too_long { 1 } else { peer.outbox.push_dropping_oldest(frame, bytes) };
        self.shared.counters.dropped(dropped);
    }

    async fn recv(&self) -> Result<(NodeId, Bytes), Closed> {
        self.shared.inbox.pop().await.ok_or(Closed)
    }
}

fn bind(listen: SocketAddr) -> io::Result<TcpListener> {
    // A restarted node must not wait for the sockets of its former life.
    let socket = if listen.is_ipv4() {
        tokio::net::TcpSocket::new_v4()?
    } else {
        tokio::net::TcpSocket::new_v6()?
    };
    socket.set_reuseaddr(true)?;
    socket.bind(listen)?;
    socket.listen(BACKLOG)
}

async fn run(listener: TcpListener, shared: Arc<Shared>) {
    let dialed = shared.peers.keys().filter(|peer| shared.config.node < **peer);
    let dials = join_all(dialed.map(|&peer| dial_for_ever(&shared, peer)));
    let accepts = accept_for_ever(&listener, &shared);
    futures::join!(dials, accepts);
}

async fn accept_for_ever(listener: &TcpListener, shared: &Shared) {
    let mut sessions = FuturesUnordered::new();
    loop {
        let accepted = Box::pin(async {
            match listener.accept().await {
                Ok((stream, _)) => Some(stream),
                Err(_) => {
                    // The process is out of descriptors, or the peer is gone already. The sessions
                    // go on meanwhile.
                    sleep(shared.config.min_backoff).await;
                    None
                }
            }
        });
        // Without sessions there is nothing to wait for but the next one.
        let ended = async {
            if sessions.next().await.is_none() {
                std::future::pending::<()>().await;
            }
        };
        match select(accepted, Box::pin(ended)).await {
            Either::Left((Some(stream), ended)) => {
                drop(ended);
                if sessions.len() < shared.config.max_connections {
                    sessions.push(session::accept(stream, shared));
                } else {
                    shared.counters.refused();
                }
            }
            Either::Left((None, _)) | Either::Right(_) => {}
        }
    }
}

async fn dial_for_ever(shared: &Shared, peer: NodeId) {
    let mut backoff = Backoff::new(&shared.config, peer);
    let mut epoch = shared.config.epoch;
    loop {
        epoch = epoch.saturating_add(1);
        let lived = session::dial(shared, peer, epoch).await;
        if USEFUL <= lived {
            backoff.reset();
        }
        sleep(backoff.next_wait()).await;
    }
}

async fn connect(shared: &Shared, address: SocketAddr) -> io::Result<TcpStream> {
    shared.counters.dialed();
    tokio::time::timeout(shared.config.handshake_timeout, TcpStream::connect(address)).await?
}

/// What the length of a frame counts beside the body.
const HEADER_BYTES: usize = 16;

/// Connections that the system keeps until they are accepted.
const BACKLOG: u32 = 1024;

/// A connection that lived for so long was worth its dial.
const USEFUL: Duration = Duration::from_secs(1);
