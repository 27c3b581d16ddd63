//! One row for each peer: rounds in turns, medians, a target.

use std::fs;
use std::io;

use tempfile::TempDir;

use super::log::Peer;
use crate::report::{Row, short};

/// What is compared.
pub struct Contest {
    pub row: String,
    pub unit: &'static str,
    pub rounds: usize,
    /// We first.
    pub peers: Vec<&'static Peer>,
}

/// What is said of a peer in a row.
#[derive(Default)]
pub struct Facts {
    /// The ratio that we want.
    pub target: Option<f64>,
    pub note: String,
    /// Why its time is no ratio: it does not do the same work.
    pub is_out: Option<String>,
}

impl Contest {
    /// Measures all in turns. Less is better.
    ///
    /// A peer that fails has no value, and its note says why. If we fail, there are no rows.
    pub fn hold(
        &self,
        mut measure: impl FnMut(&'static Peer) -> io::Result<f64>,
        explain: impl Fn(&'static Peer) -> Facts,
    ) -> io::Result<Vec<Row>> {
        eprintln!("wal: {}", self.row);
        let mut found: Vec<Vec<f64>> = vec![Vec::new(); self.peers.len()];
        let mut failures: Vec<Option<String>> = vec![None; self.peers.len()];
        for round in 0..self.rounds {
            for turn in 0..self.peers.len() {
                let which = (round + turn) % self.peers.len();
                if failures[which].is_some() {
                    continue;
                }
                match measure(self.peers[which]) {
                    Ok(value) => found[which].push(value),
                    Err(error) if which == 0 => return Err(error),
                    Err(error) => failures[which] = Some(format!("fails: {error}")),
                }
            }
        }
        let medians: Vec<f64> = found.into_iter().map(median).collect();
        let rows = self.peers.iter().zip(&medians).zip(failures).skip(1);
        Ok(rows
            .map(|((peer, value), failure)| {
                let mut facts = explain(peer);
                facts.is_out = failure.or(facts.is_out);
                self.row(peer, medians[0], *value, facts)
            })
            .collect())
    }

    fn row(&self, peer: &Peer, ours: f64, value: f64, facts: Facts) -> Row {
        let note = match &facts.is_out {
            Some(why) if value.is_nan() => format!("out, {why}"),
            Some(why) => format!("out, {why} {}", short(value)),
            None => facts.note,
        };
        Row {
            family: "wal",
            row: self.row.clone(),
            peer: peer.name,
            version: peer.version,
            unit: self.unit,
            ours,
            peer_value: if facts.is_out.is_none() { value } else { f64::NAN },
            target: facts.target,
            note,
        }
    }
}

/// Returns an empty folder on the file system of the sources, which is a disk more often than that
/// of temporary files.
pub fn folder() -> io::Result<TempDir> {
    let place = concat!(env!("CARGO_MANIFEST_DIR"), "/target/rows");
    fs::create_dir_all(place)?;
    tempfile::tempdir_in(place)
}

/// Not a number if there is none.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
