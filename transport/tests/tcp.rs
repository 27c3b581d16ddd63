//! Nodes and strangers on loopback sockets.

#![cfg(feature = "tokio")]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use quorate_core::{NodeId, Transport as _};
use quorate_transport::tcp::{Config, Tcp, tcp};
use quorate_transport::{Frame, Hello};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

type AnyError = Box<dyn std::error::Error>;

/// A node that runs until it is dropped.
struct Node {
    tcp: Tcp,
    task: JoinHandle<()>,
}

impl Drop for Node {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Node {
    fn start(
        id: u64,
        addresses: &BTreeMap<NodeId, SocketAddr>,
        epoch: u64,
    ) -> Result<Self, AnyError> {
        Self::start_with(id, addresses, epoch, |_| {})
    }

    fn start_with(
        id: u64,
        addresses: &BTreeMap<NodeId, SocketAddr>,
        epoch: u64,
        change: impl FnOnce(&mut Config),
    ) -> Result<Self, AnyError> {
        let listen = addresses[&NodeId(id)];
        let mut config = Config::new(NodeId(id), listen, addresses.clone(), epoch);
        change(&mut config);
        let (tcp, running) = tcp(config)?;
        Ok(Self { tcp, task: tokio::spawn(running) })
    }

    /// Ends it, sockets included.
    async fn stop(mut self) {
        self.task.abort();
        _ = (&mut self.task).await;
    }

    async fn hear(&self) -> Result<(NodeId, Bytes), AnyError> {
        Ok(timeout(PATIENCE, self.tcp.recv()).await??)
    }

    /// Says `word` to `to` until `to` hears it.
    async fn say_until_heard(
        &self,
        to: &Self,
        id: u64,
        word: &'static str,
    ) -> Result<(), AnyError> {
        for _ in 0..1000 {
            self.tcp.send(NodeId(id), word.into()).await;
            if let Ok(heard) = timeout(Duration::from_millis(20), to.tcp.recv()).await
                && heard?.1 == word
            {
                return Ok(());
            }
        }
        Err(format!("{word} was never heard").into())
    }
}

/// No test waits for this long, unless it fails.
const PATIENCE: Duration = Duration::from_secs(20);

/// Ports that were free a moment ago.
fn addresses(count: u64) -> Result<BTreeMap<NodeId, SocketAddr>, AnyError> {
    let listeners = (0..count)
        .map(|_| std::net::TcpListener::bind("127.0.0.1:0"))
        .collect::<Result<Vec<_>, _>>()?;
    let ids = (1..).map(NodeId);
    ids.zip(&listeners).map(|(id, listener)| Ok((id, listener.local_addr()?))).collect()
}

#[tokio::test]
async fn frames_go_both_ways_over_one_socket() -> Result<(), AnyError> {
    let addresses = addresses(2)?;
    let (one, two) = (Node::start(1, &addresses, 1)?, Node::start(2, &addresses, 1)?);
    for number in 0..100_u8 {
        one.tcp.send(NodeId(2), vec![number; 1000].into()).await;
        two.tcp.send(NodeId(1), vec![number; 10].into()).await;
    }
    for number in 0..100_u8 {
        assert_eq!(two.hear().await?, (NodeId(1), vec![number; 1000].into()));
        assert_eq!(one.hear().await?, (NodeId(2), vec![number; 10].into()));
    }
    assert_eq!((one.tcp.stats().sessions, two.tcp.stats().sessions), (1, 1));
    assert_eq!(two.tcp.stats().dials, 0, "the lower id dials");
    Ok(())
}

#[tokio::test]
async fn a_peer_that_restarts_is_found_again() -> Result<(), AnyError> {
    let addresses = addresses(2)?;
    let one = Node::start(1, &addresses, 1)?;
    let two = Node::start(2, &addresses, 1)?;
    one.say_until_heard(&two, 2, "hello").await?;
    two.stop().await;
    let two = Node::start(2, &addresses, 2)?;
    one.say_until_heard(&two, 2, "again").await?;
    // Also when it is the one that dials.
    one.stop().await;
    let one = Node::start(1, &addresses, 3)?;
    two.say_until_heard(&one, 1, "and again").await
}

#[tokio::test]
async fn an_absent_peer_costs_its_queue_and_no_more() -> Result<(), AnyError> {
    let addresses = addresses(2)?;
    let one = Node::start_with(1, &addresses, 1, |config| config.max_queued_frames = 10)?;
    for _ in 0..100 {
        one.tcp.send(NodeId(2), "hello".into()).await;
    }
    one.tcp.send(NodeId(9), "nobody".into()).await;
    assert_eq!(one.tcp.stats().dropped, 91);
    Ok(())
}

/// Each stranger says something that it should not. It is turned away, counted, and others go on.
#[tokio::test]
async fn strangers_are_turned_away_and_counted() -> Result<(), AnyError> {
    let addresses = addresses(3)?;
    let two = Node::start(2, &addresses, 1)?;
    let hello =
        |node, cluster| Hello { node: NodeId(node), cluster, epoch: 9, max_frame_bytes: 99 };
    let frame = |hello: Hello| encode(&Frame::Hello(hello.encode()));
    let mut newer = hello(1, 0).encode().to_vec();
    newer[4..6].copy_from_slice(&[7, 9]);
    let mut flipped = frame(hello(1, 0));
    flipped[30] ^= 1;
    let mut version = encode(&Frame::Message("x".into()));
    version[8] = 2;

    let refused = [
        frame(hello(1, 7)),                      // another cluster
        frame(hello(8, 0)),                      // nobody known
        frame(hello(3, 0)),                      // one that is to be dialed
        encode(&Frame::Hello(newer.into())),     // no common version
        encode(&Frame::Message("early".into())), // no hello first
    ];
    let bad = [
        BytesMut::from(&b"GET / HTTP/1.1\r\n\r\n"[..]), // an absurd length
        flipped,
        version,
    ];
    let (refused_count, bad_count) = (refused.len() as u64, bad.len() as u64);
    for bytes in refused.into_iter().chain(bad) {
        let mut stream = TcpStream::connect(addresses[&NodeId(2)]).await?;
        stream.write_all(&bytes).await?;
        // It says hello, and then closes.
        let mut said = Vec::new();
        _ = timeout(PATIENCE, stream.read_to_end(&mut said)).await?;
    }
    let stats = two.tcp.stats();
    assert_eq!((stats.refused, stats.bad_frames, stats.sessions), (refused_count, bad_count, 0));

    let one = Node::start(1, &addresses, 1)?;
    one.say_until_heard(&two, 2, "hello").await
}

#[tokio::test]
async fn a_bad_frame_ends_the_connection_and_it_comes_back() -> Result<(), AnyError> {
    let addresses = addresses(2)?;
    let two = Node::start(2, &addresses, 1)?;
    let hello = Hello { node: NodeId(1), cluster: 0, epoch: 1, max_frame_bytes: 9999 };
    let mut bytes = encode(&Frame::Hello(hello.encode()));
    Frame::Message("good".into()).encode(&mut bytes);
    let at = bytes.len();
    Frame::Message("bad".into()).encode(&mut bytes);
    bytes[at + 5] ^= 1;
    Frame::Message("behind".into()).encode(&mut bytes);
    let mut stream = TcpStream::connect(addresses[&NodeId(2)]).await?;
    stream.write_all(&bytes).await?;
    assert_eq!(two.hear().await?.1, "good");
    let one = Node::start(1, &addresses, 2)?;
    one.say_until_heard(&two, 2, "again").await?;
    assert_eq!(two.tcp.stats().bad_frames, 1);
    Ok(())
}

#[tokio::test]
async fn an_older_connection_does_not_replace_a_living_one() -> Result<(), AnyError> {
    let addresses = addresses(2)?;
    let two = Node::start(2, &addresses, 1)?;
    let one = Node::start(1, &addresses, 100)?;
    one.say_until_heard(&two, 2, "hello").await?;
    let hello = Hello { node: NodeId(1), cluster: 0, epoch: 5, max_frame_bytes: 9999 };
    let mut stream = TcpStream::connect(addresses[&NodeId(2)]).await?;
    stream.write_all(&encode(&Frame::Hello(hello.encode()))).await?;
    let mut said = Vec::new();
    _ = timeout(PATIENCE, stream.read_to_end(&mut said)).await?;
    assert_eq!(two.tcp.stats().refused, 1);
    one.say_until_heard(&two, 2, "still here").await?;
    assert_eq!(two.tcp.stats().sessions, 1);
    Ok(())
}

#[tokio::test]
async fn a_port_in_use_is_named() -> Result<(), AnyError> {
    let addresses = addresses(1)?;
    let _one = Node::start(1, &addresses, 1)?;
    let error = Node::start(1, &addresses, 1).err().ok_or("two nodes on one port")?;
    assert_eq!(error.to_string(), format!("cannot listen at {}", addresses[&NodeId(1)]));
    Ok(())
}

#[tokio::test]
async fn a_reader_that_takes_nothing_bounds_what_waits() -> Result<(), AnyError> {
    let addresses = addresses(2)?;
    let slow = |config: &mut Config| config.max_received_frames = 4;
    let two = Node::start_with(2, &addresses, 1, slow)?;
    let one = Node::start(1, &addresses, 1)?;
    for number in 0..50_u8 {
        one.tcp.send(NodeId(2), vec![number; 100_000].into()).await;
    }
    sleep(Duration::from_millis(200)).await;
    assert!(two.tcp.stats().received <= 5, "{:?}", two.tcp.stats());
    for number in 0..50_u8 {
        assert_eq!(two.hear().await?.1, vec![number; 100_000]);
    }
    Ok(())
}

fn encode(frame: &Frame) -> BytesMut {
    let mut out = BytesMut::new();
    frame.encode(&mut out);
    out
}
