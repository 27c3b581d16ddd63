//! What the main job found, as a table or as JSON.

use std::fmt;

use serde::Serialize;

/// What the main job found.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Report {
    pub(super) writes: u64,
    pub(super) value_bytes: usize,
    pub(super) clients: usize,
    pub(super) acknowledged: u64,
    /// Acknowledged, and not there.
    pub(super) lost: u64,
    /// There, but never written so.
    pub(super) wrong: u64,
    /// Definitely not done, and said so.
    pub(super) refused: u64,
    /// No answer in time.
    pub(super) unknown: u64,
    /// How often a node that was never killed saw another leader.
    pub(super) failovers: u64,
    pub(super) writes_per_second_before: f64,
    pub(super) writes_per_second_during: f64,
    pub(super) writes_per_second_after: f64,
    pub(super) latency_p50_ms: f64,
    pub(super) latency_p99_ms: f64,
    pub(super) latency_max_ms: f64,
    pub(super) leaderless_ms: f64,
    pub(super) reads_per_second: f64,
    /// Of each node that was not killed.
    pub(super) fsyncs_per_1000_writes: Vec<f64>,
    /// Entries that each node let go of, because they are in a snapshot.
    pub(super) forgotten: Vec<u64>,
    /// What this disk can do: one process, 4 KiB and an fdatasync, again and again.
    pub(super) raw_syncs_per_second: f64,
    pub(super) seconds: f64,
}

impl Report {
    /// Returns whether everything acknowledged is there, and nothing else.
    pub(super) const fn is_good(&self) -> bool {
        self.lost == 0 && self.wrong == 0 && 0 < self.acknowledged
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fsyncs: Vec<String> =
            self.fsyncs_per_1000_writes.iter().map(|it| format!("{it:.0}")).collect();
        let forgotten: Vec<String> = self.forgotten.iter().map(u64::to_string).collect();
        let rows = [
            ("writes per second", String::new()),
            ("  before the leader is killed", format!("{:.0}", self.writes_per_second_before)),
            ("  fail-over, then two nodes", format!("{:.0}", self.writes_per_second_during)),
            ("  after it is back", format!("{:.0}", self.writes_per_second_after)),
            ("  raw limit: 4 KiB + fdatasync", format!("{:.0}", self.raw_syncs_per_second)),
            ("latency of a write, ms", String::new()),
            ("  p50", format!("{:.2}", self.latency_p50_ms)),
            ("  p99", format!("{:.2}", self.latency_p99_ms)),
            ("  max", format!("{:.0}", self.latency_max_ms)),
            ("time without a leader, ms", format!("{:.0}", self.leaderless_ms)),
            ("fsyncs per 1,000 writes, per node", fsyncs.join(" ")),
            ("entries let go of, per node", forgotten.join(" ")),
            ("reads per second", format!("{:.0}", self.reads_per_second)),
            ("fail-overs", self.failovers.to_string()),
            ("refused", self.refused.to_string()),
            ("unknown", self.unknown.to_string()),
            ("acknowledged", self.acknowledged.to_string()),
            ("wrong", self.wrong.to_string()),
            ("lost", self.lost.to_string()),
        ];
        let Self { writes, value_bytes, clients, seconds, .. } = self;
        writeln!(f, "{writes} writes of {value_bytes} bytes, {clients} clients, {seconds:.1} s")?;
        writeln!(f)?;
        rows.iter().try_for_each(|(name, value)| {
            let line = format!("{name:<34} {value:>10}");
            writeln!(f, "{}", line.trim_end())
        })
    }
}
