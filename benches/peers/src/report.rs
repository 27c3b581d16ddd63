//! Rows, and how they are printed.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::process::Command;

/// What a family found.
#[derive(Debug, Default)]
pub struct Found {
    pub rows: Vec<Row>,
    /// What is not a comparison of times. For people.
    pub text: String,
    /// What must not be, of ours.
    pub failure: Option<String>,
}

impl Found {
    pub fn add(&mut self, other: Self) {
        self.rows.extend(other.rows);
        self.text.push_str(&other.text);
        self.failure = self.failure.take().or(other.failure);
    }
}

/// One comparison. Values are times: less is better.
#[derive(Clone, Debug)]
pub struct Row {
    pub family: &'static str,
    pub row: String,
    pub peer: &'static str,
    pub version: &'static str,
    pub unit: &'static str,
    pub ours: f64,
    pub peer_value: f64,
    /// The ratio that we want, if we want one.
    pub target: Option<f64>,
    /// How often we synced, and whatever a reader should know.
    pub note: String,
}

impl Row {
    /// Above 1: ours is better. Not a number if there is no peer.
    pub fn ratio(&self) -> f64 {
        self.peer_value / self.ours
    }

    /// Says whether the ratio is what we want.
    fn verdict(&self) -> String {
        match self.target {
            None => "-".into(),
            Some(target) if self.ratio().is_nan() => format!("{target:.1}"),
            Some(target) if target <= self.ratio() => format!("{target:.1} met"),
            Some(target) => format!("{target:.1} missed"),
        }
    }

    pub fn to_json(&self) -> String {
        let Self { family, row, peer, version, unit, ours, peer_value, .. } = self;
        let ratio = self.ratio();
        format!(
            "{{\"family\":\"{family}\",\"row\":\"{row}\",\"peer\":\"{peer}\",\
             \"version\":\"{version}\",\"unit\":\"{unit}\",\"ours\":{ours:.3},\
             \"peer_value\":{},\"ratio\":{},\"target\":{}}}",
            number(*peer_value),
            number(ratio),
            number(self.target.unwrap_or(f64::NAN))
        )
    }
}

/// Returns a number as JSON has it: `null` where there is no peer.
fn number(value: f64) -> String {
    if value.is_finite() { format!("{value:.3}") } else { "null".to_owned() }
}

/// Returns the rows as a table for people.
pub fn table(rows: &[Row]) -> String {
    let mut out = String::from(
        "| family | row | peer | unit | ours | peer | ratio | target | note |\n\
         |---|---|---|---|---:|---:|---:|---|---|\n",
    );
    for row in rows {
        _ = writeln!(
            out,
            "| {} | {} | {} {} | {} | {} | {} | {} | {} | {} |",
            row.family,
            row.row,
            row.peer,
            row.version,
            row.unit,
            short(row.ours),
            short(row.peer_value),
            if row.ratio().is_nan() { "-".to_owned() } else { format!("{:.2}", row.ratio()) },
            row.verdict(),
            row.note
        );
    }
    out
}

/// Returns a number with a digit or two that say something.
pub fn short(value: f64) -> String {
    if value.is_nan() {
        return "-".into();
    }
    if value < 10.0 { format!("{value:.2}") } else { format!("{value:.1}") }
}

/// Writes the table to `RESULTS.md`, with the machine and the date.
pub fn write(found: &Found) -> io::Result<()> {
    let mut text = String::from(
        "# Side by side\n\nMedians of interleaved rounds; ratio = peer / ours, above 1: ours is \
         better. Rows we lose stay.\nWritten by `cargo xtask peers`.\n\n",
    );
    let processors = std::thread::available_parallelism()?;
    _ = writeln!(text, "- Machine: {processors} processors, {}", machine());
    _ = writeln!(text, "- Compiler: {}", output("rustc", &["--version"]));
    _ = writeln!(text, "- Date: {}\n", output("date", &["-u", "+%Y-%m-%d"]));
    text.push_str(&table(&found.rows));
    text.push_str(&found.text);
    text.push_str(NOTES);
    fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/RESULTS.md"), text)
}

/// Returns the model of the processor and the file system, as far as the system tells.
fn machine() -> String {
    let processors = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = processors.lines().find_map(|line| line.strip_prefix("model name"));
    let model = model.map_or("unknown processor", |it| it.trim_start_matches([' ', '\t', ':']));
    let here = env!("CARGO_MANIFEST_DIR");
    let system = output("stat", &["-f", "-c", "%T", here]);
    format!("{model}, file system {system}, {}", output("uname", &["-s"]))
}

fn output(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    output.map_or_else(
        |_| "unknown".to_owned(),
        |it| String::from_utf8_lossy(&it.stdout).trim().to_owned(),
    )
}

const NOTES: &str = "
- `wal`: defaults on all sides, records that do not compress, threads in one process. Durable and
  unsynced rows have a fresh log per round. Syncs of ours are counted by itself in the rounds, those
  of others by `strace` in a short run of its own, where groups come out larger. Who syncs less than
  once for all who can share it is out. raft-engine ends an unsynced row with a small write, because
  its `sync` makes no system call.
- `wal`, large logs: written once in batches of 10, closed, in the page cache. Opening ours reads
  all as long as that is the default of `verify_sealed`. `read at random` leaves out wal-db, which
  finds a record only by an offset that its caller kept; logdb is out of opening, because closing it
  again takes 10 s when nothing was appended; okaywal keeps less than 1 MiB.
- `wal`, p99.9: one append in 256 begins a segment. Ours syncs the end of the old segment, the
  header of the new one and the folder before it goes on.
- `sim`, `world`: `dense` and `sparse` deliver the same messages, with the same delays, on both
  sides; turmoil moves them as UDP packets between hosts of its runtime, in ticks of 1 ms. `trivial`
  is compared with a bare loop over the same cores: pop, call, push. `raft5` is five nodes with
  laws, history and disks; nobody runs the like.
- `sim`, `linearizable`: logs of `QUORATE_VECTORS`, parsed before the clock starts; both sides must
  agree on every verdict. The key-value logs have no peer here: no crate splits a history by key.
- `sim`, `list_append`: Elle is not of this language.
";
