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
    let mut rows = speed::rows(is_quick)?;
    rows.extend(large::rows(is_quick)?);
    rows.extend(follow::rows(is_quick)?);
    let (losses, failure) = loss::table(is_quick)?;
    Ok(Found { rows, text: format!("{}{losses}", usage()), failure })
}

/// Says how each log is used.
fn usage() -> String {
    let line = |it: &log::Peer| format!("- {} {}: {}.\n", it.name, it.version, it.note);
    format!("\n{}", log::PEERS[1..].iter().map(line).collect::<String>())
}
