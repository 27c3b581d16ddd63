//! Three Raft nodes on plain threads, each with a log of its own, all in memory.
//!
//! One driver per thread runs a core: it sends, writes, syncs, delivers and waits. The nodes elect
//! a leader, a client finds it and proposes, and all three applications are handed the same.
//!
//! Run with `cargo run --example consensus_cluster`.

use std::error::Error;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use bytes::Bytes;
use futures::executor::block_on;
use quorate_consensus::raft::{Answer, Config, Delivery, ProposeError, Query, Raft, Record};
use quorate_consensus::{Majority, Payload};
use quorate_core::{NodeId, Storage, StorageError, Timer as _, WriteId};
use quorate_transport::{Application, DriveError, Handle, Host, Network, ThreadTimer, drive};
use quorate_wal::{Memory, RecordStore};

fn main() -> Result<(), Box<dyn Error>> {
    let (network, timer) = (Network::new(), ThreadTimer::start()?);
    let start = |id| start(NodeId(id), &network, &timer);
    let nodes: Vec<Node> = (1..=NODES).map(start).collect::<Result<_, _>>()?;

    for value in VALUES {
        block_on(propose(&nodes, value, &timer))?;
        println!("the leader takes {value}");
    }
    for (id, node) in (1..).zip(&nodes) {
        let next = |_| node.delivered.recv_timeout(PATIENCE);
        let delivered: Vec<Bytes> = VALUES.iter().map(next).collect::<Result<_, _>>()?;
        assert_eq!(delivered, VALUES);
        println!("n{id} delivers {}", VALUES.join(", "));
    }

    // A driver ends once nothing can come any more: another takes the node's place in the network.
    for (id, node) in (1..).zip(nodes) {
        drop(network.join(NodeId(id)));
        node.thread.join().map_err(|_| "a driver panicked")??;
    }
    Ok(())
}

/// What the rest of the program has of a node.
struct Node {
    handle: Handle<Raft, Teller>,
    delivered: Receiver<Bytes>,
    thread: JoinHandle<Result<(), DriveError>>,
}

fn start(id: NodeId, network: &Network, timer: &ThreadTimer) -> Result<Node, Box<dyn Error>> {
    let mut config = Config::new(id, Majority::new((1..=NODES).map(NodeId))?);
    config.election_timeout = Duration::from_millis(500)..Duration::from_secs(1);
    config.heartbeat_interval = Duration::from_millis(50);
    let raft = Raft::new(config, id.0, timer.now())?;

    let (teller, delivered) = channel();
    let (host, handle) = Host::new(raft, Teller(teller), 100);
    let (store, _) = RecordStore::open_on(Memory::new(), quorate_wal::Config::default())?;
    let driver = drive(host, network.join(id), Store(store), timer.clone());
    let thread = thread::Builder::new().name(id.to_string()).spawn(|| block_on(driver))?;
    Ok(Node { handle, delivered, thread })
}

/// Asks one node after the other until one takes it: whoever does not lead refuses.
async fn propose(
    nodes: &[Node],
    value: &'static str,
    timer: &ThreadTimer,
) -> Result<(), Box<dyn Error>> {
    loop {
        for node in nodes {
            let data = Bytes::from(value);
            match node.handle.with(|raft, _, now| raft.propose(now, data))?.await? {
                Err(ProposeError::NotLeader { .. }) => {}
                outcome => return Ok(outcome.map(drop)?),
            }
        }
        timer.sleep_until(timer.now() + Duration::from_millis(10)).await;
    }
}

/// An application that tells what it is handed.
struct Teller(Sender<Bytes>);

impl Application<Raft> for Teller {
    fn deliver(&mut self, delivery: Delivery) {
        let Delivery::Committed(entries) = delivery else { return };
        for entry in entries {
            if let Payload::Data(data) = entry.payload {
                _ = self.0.send(data);
            }
        }
    }
}

/// A log as the storage of a node. It reads nothing back: a core asks only for what is older than
/// its cache, `Config::max_cached_bytes`, and this example stays below.
struct Store(RecordStore<Record, Memory>);

impl Storage<Record> for Store {
    type Query = Query;
    type Answer = Answer;

    fn replay(&self) -> impl Iterator<Item = Result<Record, StorageError>> {
        self.0.replay()
    }

    fn append(&self, write: WriteId, record: Record) -> Result<(), StorageError> {
        self.0.append(write, record)
    }

    async fn sync(&self) -> Result<WriteId, StorageError> {
        self.0.sync().await
    }

    async fn fetch(&self, _query: Query) -> Result<Answer, StorageError> {
        Ok(Answer::Unavailable)
    }

    async fn compact(&self, before: WriteId) -> Result<(), StorageError> {
        self.0.compact(before).await
    }
}

const NODES: u64 = 3;
const VALUES: [&str; 3] = ["x=1", "y=2", "x=3"];
/// Longer than any election: a cluster that does not work ends the example.
const PATIENCE: Duration = Duration::from_secs(20);
