//! Three nodes as processes of their own, on loopback, in a temporary folder.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tokio::time::sleep;

use super::client;
use super::server::Status;

/// Nodes that end with this, however it ends.
pub(super) struct Cluster {
    folder: TempDir,
    peers: BTreeMap<u64, SocketAddr>,
    clients: BTreeMap<u64, SocketAddr>,
    children: BTreeMap<u64, Child>,
}

impl Cluster {
    /// Starts `count` nodes.
    pub(super) fn start(count: u64) -> io::Result<Self> {
        let folder = tempfile::Builder::new().prefix("quorate-kv-").tempdir()?;
        let (peers, clients) = (addresses(count)?, addresses(count)?);
        let mut cluster = Self { folder, peers, clients, children: BTreeMap::new() };
        (1..=count).try_for_each(|id| cluster.start_node(id))?;
        Ok(cluster)
    }

    /// Starts a node, for the first time or again.
    pub(super) fn start_node(&mut self, id: u64) -> io::Result<()> {
        let peers: Vec<String> = self.peers.iter().map(|(id, at)| format!("{id}={at}")).collect();
        let log = File::options().create(true).append(true).open(self.log(id))?;
        let child = Command::new(std::env::current_exe()?)
            .args(["node", "--id", &id.to_string(), "--peers", &peers.join(",")])
            .args(["--client", &self.clients[&id].to_string(), "--data"])
            .arg(self.folder.path().join(format!("node-{id}")))
            .arg("--until-input-ends")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()?;
        self.children.insert(id, child);
        Ok(())
    }

    /// Kills a node with SIGKILL, and waits until it is gone.
    pub(super) fn kill(&mut self, id: u64) -> io::Result<()> {
        if let Some(mut child) = self.children.remove(&id) {
            child.kill()?;
            child.wait()?;
        }
        Ok(())
    }

    /// Where clients find the nodes.
    pub(super) fn endpoints(&self) -> Vec<String> {
        self.clients.values().map(ToString::to_string).collect()
    }

    pub(super) async fn statuses(&self) -> Vec<Status> {
        let endpoints = self.endpoints();
        let asked = endpoints.iter().map(|endpoint| client::status(endpoint));
        futures::future::join_all(asked).await.into_iter().flatten().collect()
    }

    /// Waits until a node leads and has committed something, and returns which.
    pub(super) async fn wait_for_leader(&self) -> io::Result<u64> {
        for _ in 0..LEADER_TRIES {
            let statuses = self.statuses().await;
            let leaders = statuses.iter().filter(|it| it.role == "leader" && 0 < it.commit_index);
            if let Some(leader) = leaders.max_by_key(|status| status.term) {
                return Ok(leader.id);
            }
            sleep(Duration::from_millis(20)).await;
        }
        Err(io::Error::other(format!("there is no leader.\n{}", self.logs())))
    }

    pub(super) fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// What the nodes said.
    pub(super) fn logs(&self) -> String {
        let logs = self.peers.keys().map(|&id| fs::read_to_string(self.log(id)));
        logs.map(Result::unwrap_or_default).collect()
    }

    fn log(&self, id: u64) -> std::path::PathBuf {
        self.folder.path().join(format!("node-{id}.log"))
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for child in self.children.values_mut() {
            // One that is gone already cannot be killed.
            _ = child.kill();
            _ = child.wait();
        }
    }
}

/// Addresses that were free a moment ago.
fn addresses(count: u64) -> io::Result<BTreeMap<u64, SocketAddr>> {
    let listeners: Vec<TcpListener> =
        (0..count).map(|_| TcpListener::bind("127.0.0.1:0")).collect::<Result<_, _>>()?;
    (1..).zip(&listeners).map(|(id, listener)| Ok((id, listener.local_addr()?))).collect()
}

/// Half a minute.
const LEADER_TRIES: u32 = 1500;
