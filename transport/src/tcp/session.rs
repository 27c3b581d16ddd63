//! One connection: two hellos, then frames in both directions until something ends it.

use std::io;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::channel::oneshot;
use quorate_core::NodeId;
use thiserror::Error;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::{Instant, timeout};

use super::{HEADER_BYTES, Peer, Shared, connect};
use crate::frame::{Decoder, Frame, FrameError, Hello, HelloError};

/// Why a connection ended.
#[derive(Debug, Error)]
enum End {
    #[error("the socket failed")]
    Io(#[from] io::Error),
    #[error("the peer is silent, or takes nothing")]
    Silence(#[from] tokio::time::error::Elapsed),
    #[error("the peer sent what is no frame")]
    Frame(#[from] FrameError),
    #[error("the peer is a stranger")]
    Hello(#[from] HelloError),
    #[error("the peer closed it")]
    Closed,
    #[error("a newer one took its place")]
    Replaced,
}

#[derive(Clone, Copy)]
enum Side {
    Dialer { peer: NodeId, epoch: u64 },
    Listener,
}

/// Dials `peer`, and stays until the connection ends. Returns how long it was of use.
pub(super) async fn dial(shared: &Shared, peer: NodeId, epoch: u64) -> Duration {
    let Some(way) = shared.peers.get(&peer) else { return Duration::ZERO };
    match connect(shared, way.address).await {
        Ok(stream) => run(stream, shared, Side::Dialer { peer, epoch }).await,
        Err(_) => Duration::ZERO,
    }
}

/// Lets in who dialed, and stays until the connection ends.
pub(super) async fn accept(stream: TcpStream, shared: &Shared) {
    run(stream, shared, Side::Listener).await;
}

async fn run(mut stream: TcpStream, shared: &Shared, side: Side) -> Duration {
    // A stranger gets no room for more than a hello.
    let mut decoder = Decoder::new(HELLO_FRAME_BYTES_MAX.min(shared.config.max_frame_bytes));
    let hellos = exchange_hellos(&mut stream, &mut decoder, shared, side);
    let hellos = timeout(shared.config.handshake_timeout, hellos).await;
    let (lived, end) = match hellos.unwrap_or_else(|elapsed| Err(elapsed.into())) {
        Ok(hello) => {
            decoder.set_max_frame_bytes(shared.config.max_frame_bytes);
            let began = Instant::now();
            let end = converse(stream, decoder, shared, side, hello).await;
            (began.elapsed(), end)
        }
        Err(end) => (Duration::ZERO, end),
    };
    match end {
        End::Frame(_) => shared.counters.bad_frame(),
        End::Hello(_) => shared.counters.refused(),
        End::Io(_) | End::Silence(_) | End::Closed | End::Replaced => {}
    }
    lived
}

/// Says who this node is, and hears who the other one is.
async fn exchange_hellos(
    stream: &mut TcpStream,
    decoder: &mut Decoder,
    shared: &Shared,
    side: Side,
) -> Result<Hello, End> {
    stream.set_nodelay(true)?;
    let config = &shared.config;
    let epoch = match side {
        Side::Dialer { epoch, .. } => epoch,
        Side::Listener => 0,
    };
    let own = Hello {
        node: config.node,
        cluster: config.cluster,
        epoch,
        max_frame_bytes: config.max_frame_bytes,
    };
    let mut out = BytesMut::new();
    Frame::Hello(own.encode()).encode(&mut out);
    stream.write_all(&out).await?;

    let frame = loop {
        match decoder.next_frame()? {
            Some(frame) => break frame,
            None if stream.read_buf(decoder.buffer()).await? == 0 => return Err(End::Closed),
            None => {}
        }
    };
    let Frame::Hello(body) = frame else { return Err(HelloError::NotHello.into()) };
    let hello = Hello::decode(body)?;
    if hello.cluster != config.cluster {
        let (found, expected) = (hello.cluster, config.cluster);
        return Err(HelloError::Cluster { found, expected }.into());
    }
    let is_expected = match side {
        Side::Dialer { peer, .. } => hello.node == peer,
        // Who has the greater id waits to be dialed.
        Side::Listener => hello.node < config.node && shared.peers.contains_key(&hello.node),
    };
    if is_expected { Ok(hello) } else { Err(HelloError::Node { found: hello.node }.into()) }
}

async fn converse(
    stream: TcpStream,
    decoder: Decoder,
    shared: &Shared,
    side: Side,
    hello: Hello,
) -> End {
    let Some(peer) = shared.peers.get(&hello.node) else {
        return HelloError::Node { found: hello.node }.into();
    };
    let epoch = match side {
        Side::Dialer { epoch, .. } => epoch,
        Side::Listener => hello.epoch,
    };
    let Some(replaced) = peer.take_over(epoch) else {
        return HelloError::Epoch { node: hello.node }.into();
    };
    shared.counters.began();
    let (read, write) = stream.into_split();
    let ended = tokio::select! {
        end = read_frames(read, decoder, shared, hello.node) => end,
        end = write_frames(write, shared, peer, hello.max_frame_bytes) => end,
        _ = replaced => End::Replaced,
    };
    peer.release(epoch);
    ended
}

impl Peer {
    /// Makes the connection of `epoch` the living one, and ends the one before. Returns what tells
    /// when it is itself replaced, or `None` if the living one is newer.
    fn take_over(&self, epoch: u64) -> Option<oneshot::Receiver<()>> {
        let mut living = self.living.lock();
        if living.end.is_some() && epoch < living.epoch {
            return None;
        }
        let (end, replaced) = oneshot::channel();
        living.epoch = epoch;
        // The receiver of the one before learns that its sender is gone.
        living.end = Some(end);
        Some(replaced)
    }

    /// Takes in that the connection of `epoch` ended.
    fn release(&self, epoch: u64) {
        let mut living = self.living.lock();
        if living.epoch == epoch {
            living.end = None;
        }
    }
}

async fn read_frames(
    mut socket: OwnedReadHalf,
    mut decoder: Decoder,
    shared: &Shared,
    from: NodeId,
) -> End {
    let patience = shared.config.ping_interval.saturating_mul(SILENCES);
    loop {
        loop {
            match decoder.next_frame() {
                Ok(Some(Frame::Message(body))) => {
                    shared.counters.received();
                    let bytes = body.len();
                    // While there is no room the socket is not read: the peer feels it.
                    shared.inbox.push((from, body), bytes).await;
                }
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(error) => return error.into(),
            }
        }
        match timeout(patience, socket.read_buf(decoder.buffer())).await {
            Ok(Ok(0)) => return decoder.finish().map_or_else(Into::into, |()| End::Closed),
            Ok(Ok(_)) => {}
            Ok(Err(error)) => return error.into(),
            Err(elapsed) => return elapsed.into(),
        }
    }
}

async fn write_frames(
    mut socket: OwnedWriteHalf,
    shared: &Shared,
    peer: &Peer,
    max_frame_bytes: u32,
) -> End {
    let interval = shared.config.ping_interval;
    let mut out = BytesMut::new();
    loop {
        match timeout(interval, peer.outbox.pop()).await {
            Ok(Some(body)) => {
                let mut next = Some(body);
                while let Some(body) = next {
                    encode(body, max_frame_bytes, shared, &mut out);
                    let has_room = out.len() < WRITE_BYTES;
                    next = if has_room { peer.outbox.try_pop() } else { None };
                }
            }
            Ok(None) => return End::Closed,
            Err(_) => Frame::Ping { id: 0 }.encode(&mut out),
        }
        while !out.is_empty() {
            // Of each write, not of all: a link that is slow is not dead.
            let patience = interval.saturating_mul(SILENCES);
            match timeout(patience, socket.write_buf(&mut out)).await {
                Ok(Ok(_)) => {}
                Ok(Err(error)) => return error.into(),
                Err(elapsed) => return elapsed.into(),
            }
        }
    }
}

fn encode(body: Bytes, max_frame_bytes: u32, shared: &Shared, out: &mut BytesMut) {
    if (max_frame_bytes as usize) < body.len() + HEADER_BYTES {
        shared.counters.dropped(1);
    } else {
        Frame::Message(body).encode(out);
        shared.counters.sent(1);
    }
}

/// What the length of a hello says, and some.
const HELLO_FRAME_BYTES_MAX: u32 = 256;

/// Ping intervals without a byte after which a peer is taken for dead.
const SILENCES: u32 = 3;

/// What one write takes, if so much waits. More would copy for long before the first byte leaves.
const WRITE_BYTES: usize = 256 << 10;
