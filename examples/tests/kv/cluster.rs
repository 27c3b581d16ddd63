//! The nodes of a test, and what is asked of them.

use std::collections::BTreeMap;
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use super::Result;

/// Nodes that end with the test.
pub(crate) struct Cluster {
    pub(crate) folder: TempDir,
    pub(crate) peers: BTreeMap<u64, SocketAddr>,
    pub(crate) clients: BTreeMap<u64, SocketAddr>,
    pub(crate) children: BTreeMap<u64, Child>,
}

impl Cluster {
    pub(crate) fn new(count: u64) -> Result<Self> {
        let (peers, clients) = (addresses(count)?, addresses(count)?);
        Ok(Self { folder: tempfile::tempdir()?, peers, clients, children: BTreeMap::new() })
    }

    pub(crate) fn start(count: u64) -> Result<Self> {
        let mut cluster = Self::new(count)?;
        (1..=count).try_for_each(|id| cluster.start_node(id))?;
        Ok(cluster)
    }

    pub(crate) fn data(&self, id: u64) -> PathBuf {
        self.folder.path().join(format!("data-{id}"))
    }

    pub(crate) fn command(&self, id: u64, data: &Path) -> Command {
        let peers: Vec<String> = self.peers.iter().map(|(id, at)| format!("{id}={at}")).collect();
        let mut command = kv();
        command
            .args(["node", "--id", &id.to_string(), "--peers", &peers.join(",")])
            .args(["--client", &self.clients[&id].to_string(), "--data"])
            .arg(data);
        command
    }

    pub(crate) fn start_node(&mut self, id: u64) -> Result {
        let log = fs::File::options().create(true).append(true).open(self.log(id))?;
        let mut command = self.command(id, &self.data(id));
        let child = command.arg("--until-input-ends").stdin(Stdio::piped()).stderr(log).spawn()?;
        self.children.insert(id, child);
        Ok(())
    }

    /// As `kill -9` does.
    pub(crate) fn kill(&mut self, id: u64) -> Result {
        let mut child = self.children.remove(&id).ok_or("it does not run")?;
        child.kill()?;
        child.wait()?;
        Ok(())
    }

    /// Runs a node that cannot start, and returns what it says.
    pub(crate) fn refuses(&self, id: u64, data: &Path) -> Result<String> {
        let mut child = self.command(id, data).stderr(Stdio::piped()).spawn()?;
        if !ends(&mut child)? {
            child.kill()?;
            child.wait()?;
            return Err("it started after all".into());
        }
        let output = child.wait_with_output()?;
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        Ok(String::from_utf8(output.stderr)?)
    }

    pub(crate) fn ask(&self, words: &[&str]) -> Result<Output> {
        let endpoints: Vec<String> = self.clients.values().map(ToString::to_string).collect();
        Ok(kv().args(words).args(["--endpoints", &endpoints.join(",")]).output()?)
    }

    pub(crate) fn put(&self, key: &str, value: &str) -> Result {
        let output = self.ask(&["put", key, value, "--patience", "30"])?;
        assert!(output.status.success(), "{output:?}");
        Ok(())
    }

    pub(crate) fn get(&self, key: &str) -> Result<String> {
        let output = self.ask(&["get", key, "--patience", "30"])?;
        assert!(output.status.success(), "{output:?}");
        Ok(String::from_utf8(output.stdout)?.trim_end().to_owned())
    }

    /// What the nodes that run say about themselves.
    pub(crate) fn statuses(&self) -> Result<Vec<Value>> {
        let output = String::from_utf8(self.ask(&["status"])?.stdout)?;
        Ok(output.lines().map(serde_json::from_str).collect::<std::result::Result<_, _>>()?)
    }

    pub(crate) fn status(&self, id: u64) -> Result<Value> {
        let statuses = self.statuses()?;
        Ok(statuses.into_iter().find(|it| it["id"] == id).ok_or("the node does not answer")?)
    }

    #[expect(clippy::disallowed_methods, reason = "an election takes its time")]
    pub(crate) fn leader(&self) -> Result<u64> {
        for _ in 0..500 {
            std::thread::sleep(Duration::from_millis(20));
            let statuses = self.statuses()?;
            if let Some(leader) = statuses.iter().find(|it| it["role"] == "leader") {
                return Ok(leader["id"].as_u64().ok_or("an id is a number")?);
            }
        }
        Err("there is no leader".into())
    }

    pub(crate) fn log(&self, id: u64) -> PathBuf {
        self.folder.path().join(format!("{id}.log"))
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for child in self.children.values_mut() {
            _ = child.kill();
            _ = child.wait();
        }
        if std::thread::panicking() {
            for id in self.peers.keys() {
                eprintln!("{}", fs::read_to_string(self.log(*id)).unwrap_or_default());
            }
        }
    }
}

/// Waits for a process, but not for ever.
#[expect(clippy::disallowed_methods, reason = "a process takes its time")]
pub(crate) fn ends(child: &mut Child) -> Result<bool> {
    for _ in 0..1000 {
        if child.try_wait()?.is_some() {
            return Ok(true);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(false)
}

/// The example beside this test; `cargo test` builds both.
pub(crate) fn kv() -> Command {
    let test = std::env::current_exe().expect("a test knows where it is");
    let folder = test.parent().and_then(Path::parent).expect("tests are in target/*/deps");
    let path = folder.join("examples/kv");
    assert!(path.exists(), "build it first: cargo build --example kv");
    Command::new(path)
}

/// Addresses that were free a moment ago.
pub(crate) fn addresses(count: u64) -> Result<BTreeMap<u64, SocketAddr>> {
    let listeners = (0..count)
        .map(|_| TcpListener::bind("127.0.0.1:0"))
        .collect::<std::result::Result<Vec<_>, _>>()?;
    (1..).zip(&listeners).map(|(id, listener)| Ok((id, listener.local_addr()?))).collect()
}

/// Names and contents of all files of a folder.
pub(crate) fn content(folder: &Path) -> Result<BTreeMap<String, Vec<u8>>> {
    let entries = fs::read_dir(folder)?.collect::<std::result::Result<Vec<_>, _>>()?;
    let read = |entry: &fs::DirEntry| {
        Ok((entry.file_name().to_string_lossy().into_owned(), fs::read(entry.path())?))
    };
    entries.iter().filter(|entry| entry.path().is_file()).map(read).collect()
}
