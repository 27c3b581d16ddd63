//! The commands.

use std::collections::BTreeMap;
use std::error::Error;
use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use bytes::Bytes;
use clap::{Args, Parser, Subcommand};
use quorate_consensus::NodeId;

use super::client::{self, Client};
use super::wire::{Operation, Response};
use super::{demo, load, node};

/// A replicated key-value store that survives `kill -9`.
///
/// Without a command: starts three nodes, writes to them, kills their leader on the way, and checks
/// that nothing acknowledged is lost.
#[derive(Debug, Parser)]
#[command(name = "kv", args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    demo: Demo,
}

#[derive(Args, Debug)]
struct Demo {
    /// Print one line of JSON instead of the table
    #[arg(long)]
    json: bool,
    /// How many keys to write
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(30..))]
    writes: u64,
    /// How long each value is
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=262_144))]
    value_bytes: u32,
    /// How many clients write at a time
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=1024))]
    clients: u32,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run one node until it is killed
    Node(NodeArgs),
    /// Set a key
    Put {
        key: String,
        value: String,
        #[command(flatten)]
        cluster: ClusterArgs,
    },
    /// Print the value of a key; exit code 1 if it has none
    Get {
        key: String,
        #[command(flatten)]
        cluster: ClusterArgs,
    },
    /// Remove a key
    Delete {
        key: String,
        #[command(flatten)]
        cluster: ClusterArgs,
    },
    /// Set a key if it has the value OLD; exit code 1 if it has another
    Cas {
        key: String,
        old: String,
        new: String,
        #[command(flatten)]
        cluster: ClusterArgs,
    },
    /// Print how each node is, one line of JSON each; exit code 1 if one does not answer
    Status {
        #[command(flatten)]
        cluster: ClusterArgs,
    },
    /// Write and read with many clients, and write down what each saw
    Load(LoadArgs),
}

#[derive(Args, Debug)]
struct NodeArgs {
    /// This node's number
    #[arg(long)]
    id: u64,
    /// Where the nodes listen for each other, this one included: 1=127.0.0.1:7101,2=...
    #[arg(long, value_delimiter = ',', required = true, value_parser = parse_peer)]
    peers: Vec<(u64, SocketAddr)>,
    /// Where this node listens for clients
    #[arg(long)]
    client: SocketAddr,
    /// Where it keeps its log; made if it is not there
    #[arg(long)]
    data: PathBuf,
    /// End when the standard input does, so that no node outlives who started it
    #[arg(long, hide = true)]
    until_input_ends: bool,
}

#[derive(Args, Debug)]
struct ClusterArgs {
    /// Where the nodes listen for clients
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "127.0.0.1:7201,127.0.0.1:7202,127.0.0.1:7203"
    )]
    endpoints: Vec<String>,
    /// How long to try, in seconds
    #[arg(long, default_value_t = 10)]
    patience: u64,
}

#[derive(Args, Debug)]
struct LoadArgs {
    #[command(flatten)]
    cluster: ClusterArgs,
    /// How many clients
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u64).range(1..=1024))]
    clients: u64,
    /// How many writes in all; reads come on top
    #[arg(long, default_value_t = 1000)]
    writes: u64,
    /// How long each value is, at least
    #[arg(long, default_value_t = 16)]
    value_bytes: usize,
    /// How many keys they share
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
    keys: u64,
    /// Where the history goes, as JSON lines
    #[arg(long)]
    history: Option<PathBuf>,
}

/// Runs `kv`.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error),
    };
    match runtime.block_on(run(cli)) {
        Ok(code) => code,
        Err(error) => fail(&*error),
    }
}

async fn run(cli: Cli) -> Result<ExitCode, Box<dyn Error>> {
    match cli.command {
        None => run_demo(cli.demo).await,
        Some(Command::Node(args)) => run_node(args).await,
        Some(Command::Status { cluster }) => run_status(&cluster).await,
        Some(Command::Load(args)) => run_load(args).await,
        Some(Command::Get { key, cluster }) => match cluster.client().get(key.into()).await? {
            Some(value) => print(&value),
            None => {
                eprintln!("there is no such key");
                Ok(ExitCode::FAILURE)
            }
        },
        Some(Command::Put { key, value, cluster }) => {
            cluster.change(Operation::Put { key: key.into(), value: value.into() }).await
        }
        Some(Command::Delete { key, cluster }) => {
            cluster.change(Operation::Delete { key: key.into() }).await
        }
        Some(Command::Cas { key, old, new, cluster }) => {
            let (key, old, new) = (key.into(), old.into(), new.into());
            cluster.change(Operation::Cas { key, old, new }).await
        }
    }
}

async fn run_demo(args: Demo) -> Result<ExitCode, Box<dyn Error>> {
    let options = demo::Options {
        writes: args.writes,
        value_bytes: args.value_bytes as usize,
        clients: args.clients as usize,
    };
    // Dropped half-way, it ends its nodes and removes their data.
    let report = tokio::select! {
        report = demo::run(options) => report?,
        _ = tokio::signal::ctrl_c() => return Err("interrupted".into()),
    };
    if args.json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        print!("{report}");
    }
    Ok(if report.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn run_node(args: NodeArgs) -> Result<ExitCode, Box<dyn Error>> {
    let peers: BTreeMap<NodeId, SocketAddr> =
        args.peers.iter().map(|(id, address)| (NodeId(*id), *address)).collect();
    if peers.len() < args.peers.len() {
        return Err("--peers names a node twice".into());
    }
    let options =
        node::Options { id: NodeId(args.id), peers, client: args.client, data: args.data };
    if args.until_input_ends {
        std::thread::Builder::new().name("kv-parent".into()).spawn(|| {
            _ = std::io::stdin().read_to_end(&mut Vec::new());
            std::process::exit(0);
        })?;
    }
    node::run(options).await?;
    Ok(ExitCode::FAILURE)
}

async fn run_status(cluster: &ClusterArgs) -> Result<ExitCode, Box<dyn Error>> {
    let mut code = ExitCode::SUCCESS;
    for endpoint in &cluster.endpoints {
        match client::status(endpoint).await {
            Some(status) => println!("{}", serde_json::to_string(&status)?),
            None => {
                eprintln!("{endpoint} does not answer");
                code = ExitCode::FAILURE;
            }
        }
    }
    Ok(code)
}

async fn run_load(args: LoadArgs) -> Result<ExitCode, Box<dyn Error>> {
    let counts = load::run(load::Options {
        endpoints: args.cluster.endpoints,
        clients: args.clients,
        writes: args.writes,
        value_bytes: args.value_bytes,
        keys: args.keys,
        history: args.history,
    })
    .await?;
    println!("{}", serde_json::to_string(&counts)?);
    Ok(if 0 < counts.ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl ClusterArgs {
    fn client(&self) -> Client {
        Client::new(&self.endpoints, Duration::from_secs(self.patience))
    }

    async fn change(&self, operation: Operation) -> Result<ExitCode, Box<dyn Error>> {
        match self.client().change(operation).await? {
            Response::Differs(Some(value)) => {
                eprintln!("it has another value: {}", value.escape_ascii());
                Ok(ExitCode::FAILURE)
            }
            Response::Differs(None) => {
                eprintln!("there is no such key");
                Ok(ExitCode::FAILURE)
            }
            _ => Ok(ExitCode::SUCCESS),
        }
    }
}

fn print(value: &Bytes) -> Result<ExitCode, Box<dyn Error>> {
    let mut out = std::io::stdout().lock();
    out.write_all(value)?;
    out.write_all(b"\n")?;
    Ok(ExitCode::SUCCESS)
}

fn parse_peer(text: &str) -> Result<(u64, SocketAddr), String> {
    let (id, address) = text.split_once('=').ok_or("a peer is written as 1=127.0.0.1:7101")?;
    let id = id.parse().map_err(|error| format!("{id} is no number: {error}"))?;
    let address = address.parse().map_err(|error| format!("{address}: {error}"))?;
    Ok((id, address))
}

/// Says what went wrong, with all its causes.
fn fail(error: &(dyn Error + 'static)) -> ExitCode {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    eprintln!("kv: {text}");
    ExitCode::FAILURE
}
