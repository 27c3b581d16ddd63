//! Runs programs that speak Maelstrom's protocol, and judges what their clients saw.
//!
//! ```text
//!  clients   c1 c2 c3 c4 ..      operations at a rate; a history
//!             |  |  |  |         at once, never lost
//!  programs  n1 n2 n3 n4 ..      a process each: JSON lines on its standard input and output
//!             |  |  |  |         latency, partitions
//!  services  lin-kv seq-kv lww-kv lin-tso
//! ```
//!
//! A program is sent `init`, for a broadcast also `topology`, then what its clients ask. After the
//! last operation partitions heal, nodes have time to make up for what they missed, and each is
//! read once more. The same programs run under Maelstrom.
//!
//! Processes live in real time: a seed repeats the choices, not the run. Everything has a limit,
//! and a program that goes beyond it ends the run and is named: see [`MisdeedKind`]. When a run is
//! over, also by a panic, no process is left behind; on Unix not even what a program started,
//! unless it left the process group of the program.
//!
//! Left out: Maelstrom's pictures and its proxies.
//!
//! Source: the protocol is that of Maelstrom (`doc/protocol.md`, `doc/workloads.md`,
//! `doc/services.md`).

mod clients;
mod journal;
mod message;
mod network;
mod process;
mod report;
mod run;
mod services;
mod workloads;

use std::ffi::OsString;
use std::fs::File;
use std::io::BufWriter;
use std::path::PathBuf;
use std::time::Duration;

pub use self::message::{Body, MESSAGE_BYTES_MAX, Message, MessageError};
pub use self::network::{Counts, Distribution, LONGEST, Latency, Topology, UnknownName};
pub use self::report::{Latencies, Misdeed, MisdeedKind, Operations, Report, RunError, Verdict};
pub use self::workloads::Workload;

use self::process::Program;
use self::report::Judged;
use self::run::{Run, Stop};
use self::workloads::Plain;
use crate::check::transactions::ConsistencyModel;
use crate::history::lines;

/// A run to be: which program, how many nodes of it, what their clients do, and for how long.
///
/// # Examples
///
/// ```no_run
/// use std::time::Duration;
///
/// use quorate_sim::maelstrom::{Runner, Verdict, Workload};
///
/// let report = Runner::new(Workload::Broadcast, "target/release/examples/maelstrom_node")
///     .nodes(25)
///     .rate(100.0)
///     .time(Duration::from_secs(20))
///     .latency(Duration::from_millis(100))
///     .partitions(true)
///     .run()?;
/// println!("{report}");
/// assert_eq!(report.verdict, Verdict::Valid);
/// # Ok::<(), quorate_sim::maelstrom::RunError>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "nothing runs before `run`"]
pub struct Runner {
    workload: Workload,
    program: Program,
    nodes: usize,
    clients: Option<usize>,
    rate: f64,
    time: Duration,
    latency: Latency,
    topology: Topology,
    has_partitions: bool,
    seed: u64,
    history: Option<PathBuf>,
    trace: Option<PathBuf>,
    model: ConsistencyModel,
    timeout: Duration,
    start_timeout: Duration,
    recovery: Duration,
    grace: Duration,
    max_queue: usize,
    max_per_second: u64,
}

impl Runner {
    /// Makes a run of one node for 10 s, at 10 operations per second, without latency. A program
    /// without a folder is looked for in the current one, then in `PATH`.
    pub fn new(workload: Workload, program: impl Into<PathBuf>) -> Self {
        Self {
            workload,
            program: Program { path: program.into(), ..Program::default() },
            nodes: 1,
            clients: None,
            rate: 10.0,
            time: Duration::from_secs(10),
            latency: Latency { mean: Duration::ZERO, distribution: Distribution::Constant },
            topology: Topology::default(),
            has_partitions: false,
            seed: 0,
            history: None,
            trace: None,
            model: ConsistencyModel::STRICT_SERIALIZABLE,
            timeout: Duration::from_secs(5),
            start_timeout: Duration::from_secs(10),
            recovery: Duration::from_secs(10),
            grace: Duration::from_secs(1),
            max_queue: 20_000,
            max_per_second: 50_000,
        }
    }

    /// Sets what each node is started with.
    pub fn arguments(mut self, arguments: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        self.program.arguments = arguments.into_iter().map(Into::into).collect();
        self
    }

    /// Sets a variable in the environment of each node.
    pub fn environment(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.program.environment.push((name.into(), value.into()));
        self
    }

    /// Sets how many nodes there are, at least one.
    pub fn nodes(self, nodes: usize) -> Self {
        Self { nodes: nodes.max(1), ..self }
    }

    /// Sets how many clients there are, at least one for each node. Each asks one thing at a time.
    ///
    /// By default two for each node, and at least 10. Few of them cannot keep up the rate when
    /// answers take long.
    pub fn clients(self, clients: usize) -> Self {
        Self { clients: Some(clients), ..self }
    }

    /// Sets how many operations all clients together call in a second, from 0.001 to 10,000.
    pub fn rate(self, per_second: f64) -> Self {
        Self { rate: if per_second.is_nan() { 1.0 } else { per_second.clamp(1e-3, 1e4) }, ..self }
    }

    /// Sets for how long clients call operations. The last may take the timeout longer, then come
    /// the recovery and the last reads.
    pub fn time(self, time: Duration) -> Self {
        Self { time, ..self }
    }

    /// Sets how long a message between servers takes in the mean.
    pub fn latency(mut self, mean: Duration) -> Self {
        self.latency.mean = mean;
        self
    }

    /// Sets how latencies differ.
    pub fn distribution(mut self, distribution: Distribution) -> Self {
        self.latency.distribution = distribution;
        self
    }

    /// Sets which nodes are neighbors in a broadcast.
    pub fn topology(self, topology: Topology) -> Self {
        Self { topology, ..self }
    }

    /// Sets whether nodes are cut into random halves in the second and the fourth quarter of the
    /// time; if a quarter is more than 10 s, in every other 10 s.
    pub fn partitions(self, has_partitions: bool) -> Self {
        Self { has_partitions, ..self }
    }

    /// Sets what choices are drawn from.
    pub fn seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// Sets where the history is written, as [`lines`].
    pub fn history(self, path: impl Into<PathBuf>) -> Self {
        Self { history: Some(path.into()), ..self }
    }

    /// Sets where a [`Recording`](crate::Recording) of all messages is written, to be drawn.
    ///
    /// It is in memory until the run ends: its first million events are kept.
    pub fn trace(self, path: impl Into<PathBuf>) -> Self {
        Self { trace: Some(path.into()), ..self }
    }

    /// Sets what transactions must be: strictly serializable by default.
    pub fn model(self, model: ConsistencyModel) -> Self {
        Self { model, ..self }
    }

    /// Sets how long a client waits for an answer: 5 s by default.
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// Sets how long nodes have to answer `init` and `topology`: 10 s by default.
    pub fn start_timeout(self, start_timeout: Duration) -> Self {
        Self { start_timeout, ..self }
    }

    /// Sets how long nodes have for what they missed, after partitions: 10 s by default.
    ///
    /// Without partitions it ends as soon as no node has sent anything for a second.
    pub fn recovery(self, recovery: Duration) -> Self {
        Self { recovery, ..self }
    }

    /// Sets how long nodes have to end when their input ends, before they are killed: 1 s by
    /// default.
    pub fn grace(self, grace: Duration) -> Self {
        Self { grace, ..self }
    }

    /// Sets how many messages may wait for a node, and how many of it may be under way: 20,000 by
    /// default. Less ends a run sooner that nobody could judge; more takes more memory.
    pub fn max_queue(self, messages: usize) -> Self {
        Self { max_queue: messages, ..self }
    }

    /// Sets how many messages a node may write in a second: 50,000 by default.
    pub fn max_per_second(self, messages: u64) -> Self {
        Self { max_per_second: messages, ..self }
    }

    /// Runs, judges, and ends all processes.
    ///
    /// Takes the time, and at most the timeout, the recovery, the time for last reads and the grace
    /// longer. Memory is that of the history: a workload that reads sets takes the square of the
    /// time.
    ///
    /// # Errors
    ///
    /// If the program does not start, or the history cannot be written. What nodes do wrong is in
    /// the report.
    pub fn run(&self) -> Result<Report, RunError> {
        // Before the run: who waits for it must not lose it.
        let history = create(self.history.as_ref())?;
        let trace = create(self.trace.as_ref())?;
        let mut run = Run::start(self)?;
        let stop = run.go().err();
        let judged = match &stop {
            Some(_) => Judged::new(Verdict::Unjudged("the run ended early".to_owned())),
            None => run.judge(),
        };
        let stops: Vec<Stop> = stop.into_iter().chain(run.end()).collect();
        if let Some((path, file)) = history {
            let written = lines::write(&Plain, &run.clients.seen, BufWriter::new(file));
            written.map_err(|source| RunError::File { path, source })?;
        }
        let report = self.report(&run, judged, stops);
        let invalid = match &report.verdict {
            Verdict::Invalid(why) => Some(why.clone()),
            Verdict::Valid | Verdict::Unjudged(_) => None,
        };
        if let (Some((path, file)), Some(recording)) = (trace, run.recording(invalid)) {
            let written = recording.write(BufWriter::new(file));
            written.map_err(|source| RunError::File { path, source })?;
        }
        Ok(report)
    }

    fn report(&self, run: &Run<'_>, judged: Judged, stops: Vec<Stop>) -> Report {
        let misdeed = |(node, kind)| {
            let stderr = run.stderr(node);
            Misdeed { node: network::node_name(node), kind, stderr }
        };
        let misdeeds: Vec<Misdeed> = stops.into_iter().map(misdeed).collect();
        let fatal = misdeeds.iter().find(|it| it.kind.is_fatal());
        Report {
            workload: self.workload,
            nodes: self.nodes,
            latency: self.latency,
            seed: self.seed,
            operations: run.clients.operations,
            messages: run.network.counts,
            stable_latency: judged.stable,
            partitions: run.partitions,
            notes: judged.notes,
            history: self.history.clone(),
            trace: self.trace.clone(),
            verdict: match fatal {
                Some(misdeed) => Verdict::Invalid(misdeed.to_string()),
                None => judged.verdict,
            },
            misdeeds,
        }
    }
}

/// A file that is written at the end, and where it is.
type Opened = Option<(PathBuf, File)>;

fn create(path: Option<&PathBuf>) -> Result<Opened, RunError> {
    let Some(path) = path else { return Ok(None) };
    match File::create(path) {
        Ok(file) => Ok(Some((path.clone(), file))),
        Err(source) => Err(RunError::File { path: path.clone(), source }),
    }
}
