//! What logs lose: flipped bits, a sync that fails once, a disk that is full for a while.

pub mod flips;
mod full;
mod sync;

use std::fmt::Write as _;
use std::io;

use super::child::Program;
use super::log::{Peer, peers};
use super::session::{Answer, Session};

/// Loses what can be lost, and returns tables, and what we lost.
pub fn table(is_quick: bool) -> io::Result<(String, Option<String>)> {
    let mut text = String::new();
    let mut failure = None;
    text.push_str(flips::HEAD);
    for peer in peers(&LOSERS) {
        for is_closed in [true, false] {
            eprintln!("wal: flips, {}, {}", peer.name, if is_closed { "closed" } else { "killed" });
            let found = flips::run(peer, is_closed, is_quick)?;
            _ = writeln!(text, "| {found} |");
            if peer.name == "ours" && found.is_loss() {
                failure = Some(format!("our log loses: {found}"));
            }
        }
    }
    text.push_str(flips::FOOT);
    text.push_str(sync::HEAD);
    for peer in peers(&LOSERS) {
        eprintln!("wal: a sync that fails, {}", peer.name);
        let found = sync::run(peer).unwrap_or_else(|error| sync::Found::not_tried(&error));
        _ = writeln!(text, "| {} | {found} |", name(peer));
        if peer.name == "ours" && found.is_loss() {
            failure = failure.or(Some(format!("our log loses after a failed sync: {found}")));
        }
    }
    text.push_str(full::HEAD);
    for peer in peers(&LOSERS) {
        eprintln!("wal: a full disk, {}", peer.name);
        let found = full::run(peer).unwrap_or_else(|error| full::Found::not_tried(&error));
        _ = writeln!(text, "| {} | {found} |", name(peer));
        if peer.name == "ours" && found.is_loss() {
            failure = failure.or(Some(format!("our log loses on a full disk: {found}")));
        }
    }
    if let Some(failure) = &failure {
        _ = writeln!(text, "\n**A bug of ours: {failure}**");
    }
    Ok((text, failure))
}

fn name(peer: &Peer) -> String {
    format!("{} {}", peer.name, peer.version).trim_end().to_owned()
}

/// Reopens a log in a child of its own, and returns what is in it.
fn reopen(peer: &Peer, folder: &str) -> io::Result<Answer> {
    let mut session = Session::start(&Program::Plain)?;
    match session.ask(&["open", peer.name, folder]) {
        Answer::Ok(_) => Ok(session.ask(&["read"])),
        other => Ok(other),
    }
}

/// Returns which of `acknowledged` are not there, or not as they were, or not in their place.
fn lost(acknowledged: &[u64], found: &str) -> Vec<u64> {
    let mut found = found.split(' ').filter_map(|it| it.parse::<u64>().ok());
    let is_lost = |number: &u64| !found.any(|it| it == *number);
    acknowledged.iter().copied().filter(is_lost).collect()
}

const LOSERS: [&str; 7] =
    ["ours", "raft-engine", "raft-log, no wait", "wal-db", "okaywal", "logdb", "fjall"];
