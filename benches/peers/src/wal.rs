//! Logs: how fast they are, and what they lose.

pub mod child;
mod commitlog;
mod contest;
mod fjall;
mod follow;
mod large;
mod log;
mod logdb;
mod loss;
mod nano_wal;
mod okaywal;
mod ours;
mod raft_engine;
mod raft_log;
mod raw;
mod session;
mod speed;
mod syncs;
mod wal_db;
mod work;

use std::io;

use crate::report::Found;

/// Runs all rows, and loses what can be lost.
pub fn run(is_quick: bool) -> io::Result<Found> {
    let mut found = Found::default();
    for part in [appends, reads, waits, losses] {
        found.add(part(is_quick)?);
    }
    Ok(found)
}

/// Runs the rows of appends.
pub fn appends(is_quick: bool) -> io::Result<Found> {
    let line = |it: &log::Peer| format!("- {} {}: {}.\n", it.name, it.version, it.note);
    let text = format!("\n{}", log::PEERS[1..].iter().map(line).collect::<String>());
    Ok(Found { rows: speed::rows(is_quick)?, text, failure: None })
}

/// Runs the rows of opening and reading.
pub fn reads(is_quick: bool) -> io::Result<Found> {
    Ok(Found { rows: large::rows(is_quick)?, ..Found::default() })
}

/// Runs the rows in which someone waits for an append.
pub fn waits(is_quick: bool) -> io::Result<Found> {
    Ok(Found { rows: follow::rows(is_quick)?, ..Found::default() })
}

/// Loses what can be lost.
pub fn losses(is_quick: bool) -> io::Result<Found> {
    let (text, failure) = loss::table(is_quick)?;
    Ok(Found { rows: Vec::new(), text, failure })
}
