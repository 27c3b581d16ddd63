//! Runs a program that speaks Maelstrom's protocol, and judges what its clients saw.
//!
//! ```text
//! sim_maelstrom -w broadcast --bin maelstrom_node --nodes 25 --rate 100 --time 20 --latency 100 \
//!     --topology grid --nemesis partition
//! ```
//!
//! prints a report, which ends with the messages per operation and `valid`, `invalid: ..` or
//! `unjudged: ..`. What follows `--` is given to each node.
//!
//! Exit code 0: valid. 1: invalid. 2: nothing was judged, or the program does not start.
//!
//! Without arguments it runs `maelstrom_node`, which must be built beside it.

use std::error::Error;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use quorate_sim::check::transactions::ConsistencyModel;
use quorate_sim::maelstrom::{Distribution, Report, Runner, Topology, Verdict, Workload};

/// Judge a node program
#[derive(Debug, Parser)]
#[command(name = "sim_maelstrom")]
struct Cli {
    /// What clients do: echo, unique-ids, broadcast, g-set, g-counter, pn-counter, lin-kv, kafka,
    /// txn-list-append or txn-rw-register
    #[arg(short, long)]
    workload: Workload,
    /// The node program
    #[arg(long)]
    bin: PathBuf,
    /// How many nodes
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=1000))]
    nodes: u16,
    /// How many operations per second, of all clients together
    #[arg(long, default_value_t = 100.0)]
    rate: f64,
    /// For how many seconds
    #[arg(long, default_value_t = 10.0)]
    time: f64,
    /// How many milliseconds a message between servers takes in the mean
    #[arg(long, default_value_t = 0.0)]
    latency: f64,
    /// How latencies differ: constant, uniform or exponential
    #[arg(long, default_value = "constant")]
    latency_dist: Distribution,
    /// Who neighbors are in a broadcast: grid, line, total or tree4
    #[arg(long, default_value = "grid")]
    topology: Topology,
    /// What goes wrong
    #[arg(long, value_enum)]
    nemesis: Option<Nemesis>,
    /// What transactions must be: strict-serializable, serializable, snapshot, read-committed, ..
    #[arg(long, default_value = "strict-serializable")]
    consistency_models: ConsistencyModel,
    /// What choices are drawn from
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Where the history is written; by default below the folder for temporary files
    #[arg(long)]
    history: Option<PathBuf>,
    /// Where all messages are written, for `sim_trace`
    #[arg(long)]
    trace: Option<PathBuf>,
    /// What each node is started with
    #[arg(last = true)]
    arguments: Vec<OsString>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Nemesis {
    /// Cut the nodes into random halves, and join them
    Partition,
}

fn main() -> ExitCode {
    let done = match std::env::args_os().len() {
        0 | 1 => demonstrate(),
        _ => run(Cli::parse()),
    };
    done.unwrap_or_else(|error| {
        eprint!("sim_maelstrom: {error}");
        if let Some(source) = error.source() {
            eprint!(": {source}");
        }
        eprintln!();
        ExitCode::from(2)
    })
}

fn run(cli: Cli) -> Result<ExitCode, Box<dyn Error>> {
    let history = cli.history.unwrap_or_else(|| {
        std::env::temp_dir().join(format!("sim_maelstrom-{}-{}.jsonl", cli.workload, cli.seed))
    });
    let runner = Runner::new(cli.workload, cli.bin)
        .arguments(cli.arguments)
        .nodes(cli.nodes.into())
        .rate(cli.rate)
        .time(Duration::try_from_secs_f64(cli.time)?)
        .latency(Duration::try_from_secs_f64(cli.latency / 1e3)?)
        .distribution(cli.latency_dist)
        .topology(cli.topology)
        .partitions(cli.nemesis == Some(Nemesis::Partition))
        .model(cli.consistency_models)
        .seed(cli.seed)
        .history(history);
    let report = match cli.trace {
        Some(path) => runner.trace(path).run()?,
        None => runner.run()?,
    };
    println!("{report}");
    Ok(exit_code(&report))
}

fn exit_code(report: &Report) -> ExitCode {
    match report.verdict {
        Verdict::Valid => ExitCode::SUCCESS,
        Verdict::Invalid(_) => ExitCode::from(1),
        Verdict::Unjudged(_) => ExitCode::from(2),
    }
}

/// Runs the node that is built beside this program, over a network that is cut and joined.
fn demonstrate() -> Result<ExitCode, Box<dyn Error>> {
    let name = format!("maelstrom_node{}", std::env::consts::EXE_SUFFIX);
    let node = std::env::current_exe()?.with_file_name(name);
    if !node.is_file() {
        println!("There is no node program. Build the one of the examples, and run this again:");
        println!("cargo build --release -p quorate-examples --example maelstrom_node");
        return Ok(ExitCode::SUCCESS);
    }
    let report = Runner::new(Workload::Broadcast, node)
        .nodes(5)
        .rate(100.0)
        .time(Duration::from_secs(2))
        .latency(Duration::from_millis(10))
        .partitions(true)
        .recovery(Duration::from_secs(3))
        .run()?;
    println!("{report}");
    assert_eq!(report.verdict, Verdict::Valid);
    assert_eq!(report.partitions, 2);
    assert!(0 < report.messages.dropped, "the partitions cut nothing");
    Ok(exit_code(&report))
}
