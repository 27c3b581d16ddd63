//! Draws a recorded run: a page to click through, a picture, a log for `ShiViz`.
//!
//! ```text
//! cargo run --example sim_trace -- trace.jsonl --html out.html --svg out.svg --shiviz out.log
//! ```
//!
//! Without a file it draws a recording of its own. What is wrong with a file is said with its line
//! and field; the exit code is then 2.

use std::error::Error;
use std::fs::{self, File};
use std::io::{BufReader, BufWriter};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{ArgGroup, Parser};
use quorate_sim::Recording;

use quorate_sim::recording::{Event, Kind, Why};

/// Draw a recorded run
#[derive(Debug, Parser)]
#[command(name = "sim_trace", group(ArgGroup::new("picture").multiple(true)))]
struct Cli {
    /// The recording, as lines of JSON
    #[arg(requires = "picture")]
    trace: Option<PathBuf>,
    /// Write a page with a filter, in one file
    #[arg(long, group = "picture", requires = "trace")]
    html: Option<PathBuf>,
    /// Write a picture
    #[arg(long, group = "picture", requires = "trace")]
    svg: Option<PathBuf>,
    /// Write a log with vector clocks
    #[arg(long, group = "picture", requires = "trace")]
    shiviz: Option<PathBuf>,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match &cli.trace {
        Some(trace) => draw(trace, &cli),
        None => demonstrate(),
    };
    let Err(error) = done else { return ExitCode::SUCCESS };
    eprint!("sim_trace: {error}");
    let mut source = error.source();
    while let Some(cause) = source {
        eprint!(": {cause}");
        source = cause.source();
    }
    eprintln!();
    ExitCode::from(2)
}

/// Something is wrong with a file.
#[derive(Debug, thiserror::Error)]
#[error("{}", path.display())]
struct InFile<E: Error + 'static> {
    path: PathBuf,
    source: E,
}

/// Says in which file a thing went wrong.
fn in_file<E: Error>(path: &Path) -> impl FnOnce(E) -> InFile<E> {
    let path = path.to_owned();
    |source| InFile { path, source }
}

fn draw(trace: &Path, cli: &Cli) -> Result<(), Box<dyn Error>> {
    let file = File::open(trace).map_err(in_file(trace))?;
    let recording = Recording::read(BufReader::new(file)).map_err(in_file(trace))?;
    let write = |path: &Option<PathBuf>, draw: fn(&Recording) -> String| match path {
        Some(path) => fs::write(path, draw(&recording)).map_err(in_file(path)),
        None => Ok(()),
    };
    write(&cli.html, Recording::to_html)?;
    write(&cli.svg, Recording::to_svg)?;
    write(&cli.shiviz, Recording::to_shiviz)?;
    println!("{}: {} events of seed {}", recording.name, recording.events.len(), recording.seed);
    Ok(())
}

/// Records a run by hand, draws it from its file, and looks at what came out.
fn demonstrate() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::Builder::new().prefix("sim_trace").tempdir()?.keep();
    let path = |name: &str| folder.join(name);
    let recording = vote();
    recording.write(BufWriter::new(File::create(path("trace.jsonl"))?))?;
    let trace = path("trace.jsonl");
    let cli = Cli {
        trace: None,
        html: Some(path("trace.html")),
        svg: Some(path("trace.svg")),
        shiviz: Some(path("trace.log")),
    };
    draw(&trace, &cli)?;
    println!("drawn in {}", folder.display());

    assert_eq!(Recording::read(BufReader::new(File::open(&trace)?))?, recording);
    let html = fs::read_to_string(path("trace.html"))?;
    let svg = fs::read_to_string(path("trace.svg"))?;
    for picture in [&html, &svg] {
        assert_eq!(picture.matches("<g class=\"m arrow ").count(), 2 + 2); // two in the legend
        assert_eq!(picture.matches("<g class=\"m lost c").count(), 1);
        assert!(picture.contains("leader 2, 4ms to the end"));
    }
    assert!(html.contains("id=\"violation\"") && !html.contains("http:"));
    let log = fs::read_to_string(path("trace.log"))?;
    assert!(log.contains("n1 {\"n1\":6,\"n2\":2}\nrecv #3 from n2: Granted: term 2"), "{log}");
    Ok(())
}

/// Two of three nodes elect a leader, and one law is broken so that there is something to see.
fn vote() -> Recording {
    let plan = serde_json::json!({ "loss": "1 in 3" });
    let mut recording = Recording::new("a vote", 7, plan).node(1, "n1").node(2, "n2").node(3, "n3");
    let said = |class: &str| (class.to_owned(), "term 2".to_owned());
    let mut at = |millis: u64, node: u64, kind| {
        recording.push(Event::new(millis * 1_000_000, node, kind));
    };
    at(0, 1, Kind::Timeout { text: "election".to_owned() });
    at(0, 1, Kind::Badge { role: "candidate".to_owned(), number: 2 });
    for (id, to) in [(1, 2), (2, 3)] {
        let (class, text) = said("Vote");
        at(1, 1, Kind::Send { id, to, class, text });
    }
    let (class, text) = said("Vote");
    at(2, 2, Kind::Recv { id: 1, from: 1, class, text });
    let (class, text) = said("Granted");
    at(2, 2, Kind::Send { id: 3, to: 1, class, text });
    let (class, text) = said("Vote");
    at(3, 1, Kind::Lost { id: 2, to: 3, class, text, why: Why::Loss });
    let (class, text) = said("Granted");
    at(4, 1, Kind::Recv { id: 3, from: 2, class, text });
    at(4, 1, Kind::Badge { role: "leader".to_owned(), number: 2 });
    let (law, text) = ("everybody is asked".to_owned(), "n3 was not".to_owned());
    recording.push(Event::new(5_000_000, None, Kind::Violation { law, text }));
    recording
}
