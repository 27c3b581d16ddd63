//! One node: its log, its peers, its clients.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use quorate_consensus::raft::{Config, ConfigError, Raft, Record, RestoreError};
use quorate_consensus::{Index, Majority, NodeId, QuorumError};
use quorate_core::{Storage as _, StorageError, Timer as _};
use quorate_transport::tcp::{self, BindError, Tcp};
use quorate_transport::{DriveError, Host, TokioTimer, drive};
use quorate_wal::{OpenError, RecordStore};
use thiserror::Error;
use tokio::net::TcpListener;

use super::application::Store;
use super::server::{self, Node};
use super::snapshot::{self, Snapshotter};
use crate::raft_store::RaftStore;

/// How a node is started.
#[derive(Clone, Debug)]
pub(super) struct Options {
    pub(super) id: NodeId,
    /// Where each node listens for the others, this one included.
    pub(super) peers: BTreeMap<NodeId, SocketAddr>,
    /// Where it listens for clients.
    pub(super) client: SocketAddr,
    pub(super) data: PathBuf,
}

/// Why a node does not start, or stops. What was acknowledged is on its disk.
#[derive(Debug, Error)]
pub(super) enum NodeError {
    #[error("--peers does not name this node, {0}")]
    NotAPeer(NodeId),
    #[error(transparent)]
    Bind(#[from] BindError),
    #[error("cannot listen for clients at {address}")]
    ClientBind { address: SocketAddr, source: io::Error },
    #[error("{path} is the data of {found}, this is {expected}")]
    OtherNode { path: PathBuf, found: String, expected: String },
    #[error("cannot use the data directory {path}")]
    Data { path: PathBuf, source: io::Error },
    #[error("cannot open the log in {path}")]
    Open { path: PathBuf, source: OpenError },
    #[error("cannot read the log in {path}")]
    Replay { path: PathBuf, source: StorageError },
    #[error("the snapshots in {path} are of no use")]
    Snapshot { path: PathBuf, source: snapshot::RestoreError },
    #[error("the log in {path} is not that of a node")]
    Restore { path: PathBuf, source: RestoreError },
    #[error("no quorum")]
    Quorum(#[from] QuorumError),
    #[error("the configuration is not valid")]
    Config(#[from] ConfigError),
    #[error("the node has stopped")]
    Drive(#[from] DriveError),
    #[error("the system has no further thread")]
    Thread(#[source] io::Error),
}

/// Runs a node until it fails.
pub(super) async fn run(options: Options) -> Result<(), NodeError> {
    if !options.peers.contains_key(&options.id) {
        return Err(NodeError::NotAPeer(options.id));
    }
    // Sockets first: a node that cannot have them changes nothing on disk.
    let (tcp, sockets) = tcp::tcp(transport(&options))?;
    let address = options.client;
    let fail = |source| NodeError::ClientBind { address, source };
    let clients = TcpListener::bind(address).await.map_err(fail)?;
    check_identity(&options)?;
    let (storage, raft, store) = restore(&options)?;
    write_identity(&options)?;

    let (host, handle) = Host::new(raft, store, COMMANDS_MAX);
    let node = Node::new(options.id, handle, tcp.clone(), storage.clone());
    say_started(&options, &tcp);
    tokio::select! {
        driven = drive(host, tcp, storage, TokioTimer::new()) => driven?,
        () = sockets => {}
        () = node.forget_now_and_then() => {}
        () = server::serve(clients, node.clone()) => {}
    }
    Ok(())
}

/// Opens the log and the snapshots, and makes the Raft and the state that they are of.
fn restore(options: &Options) -> Result<(RaftStore, Raft, Store), NodeError> {
    let path = || options.data.clone();
    let mut config = quorate_wal::Config::default();
    config.seed = None;
    let (records, recovered) = RecordStore::<Record>::open(&options.data, config)
        .map_err(|source| NodeError::Open { path: path(), source })?;
    if let Some(cut) = recovered.cut {
        eprintln!("{}: cut a torn tail of {} bytes: {}", options.id, cut.bytes, cut.damage);
    }
    let storage = RaftStore::new(records).map_err(NodeError::Thread)?;
    let (snapshots, machine, applied) = snapshot::restore(&options.data, &storage)
        .map_err(|source| NodeError::Snapshot { path: path(), source })?;

    let mut config = Config::new(options.id, Majority::new(options.peers.keys().copied())?);
    config.election_timeout = Duration::from_millis(600)..Duration::from_millis(1200);
    config.heartbeat_interval = Duration::from_millis(100);
    let mut failed = None;
    let records = storage.replay().map_while(|record| record.map_err(|it| failed = Some(it)).ok());
    let now = TokioTimer::new().now();
    // What came after the snapshot is delivered again. Nodes that start in the same millisecond
    // must not campaign in step.
    let seed = epoch() | options.id.0;
    let start = storage.start();
    let raft = Raft::restore_after(config, start, records, Index(applied), seed, now);
    let raft = match (failed, raft) {
        (Some(source), _) => return Err(NodeError::Replay { path: path(), source }),
        (None, Err(source)) => return Err(NodeError::Restore { path: path(), source }),
        (None, Ok(raft)) => raft,
    };
    let snapshotter = Snapshotter::start(snapshots, storage.clone(), applied);
    let snapshotter = snapshotter.map_err(NodeError::Thread)?;
    Ok((storage, raft, Store::new(machine, Some(snapshotter))))
}

fn transport(options: &Options) -> tcp::Config {
    let listen = options.peers[&options.id];
    let mut config = tcp::Config::new(options.id, listen, options.peers.clone(), epoch());
    config.cluster = CLUSTER;
    config
}

/// Refuses the data of another node: it has another's votes. Changes nothing.
fn check_identity(options: &Options) -> Result<(), NodeError> {
    let expected = identity(options);
    match std::fs::read_to_string(options.data.join(IDENTITY)) {
        Ok(found) if found == expected => Ok(()),
        Ok(found) => Err(NodeError::OtherNode {
            path: options.data.clone(),
            found: found.trim_end().into(),
            expected: expected.trim_end().into(),
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(NodeError::Data { path: options.data.clone(), source }),
    }
}

/// Writes down whose data this is, once. The log is open, so nobody else writes here.
fn write_identity(options: &Options) -> Result<(), NodeError> {
    let path = options.data.join(IDENTITY);
    let fail = |source| NodeError::Data { path: options.data.clone(), source };
    if path.exists() {
        return Ok(());
    }
    write_durably(&options.data, &path, identity(options).as_bytes()).map_err(fail)
}

fn write_durably(folder: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    use std::io::Write as _;
    let temporary = path.with_extension("new");
    let mut file = std::fs::File::create(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&temporary, path)?;
    std::fs::File::open(folder)?.sync_all()
}

fn identity(options: &Options) -> String {
    let peers: Vec<String> = options.peers.keys().map(ToString::to_string).collect();
    format!("{} of {}\n", options.id, peers.join(","))
}

fn say_started(options: &Options, tcp: &Tcp) {
    let Options { id, client, data, .. } = options;
    let (peers, data) = (tcp.local_address(), data.display());
    eprintln!("{id}: peers at {peers}, clients at {client}, data in {data}");
}

/// Rises with every start.
fn epoch() -> u64 {
    #[expect(clippy::disallowed_methods, reason = "a process knows when it was started")]
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX) << 16
}

/// Commands of clients that may wait for the driver.
const COMMANDS_MAX: usize = 4096;

/// Nodes of anything else are turned away.
const CLUSTER: u64 = 0x6b76;

/// The file that says whose data it is.
const IDENTITY: &str = "NODE";
