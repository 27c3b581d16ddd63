//! Rows of appends: durable, by one and by many; batches, with one sync at the end.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;

use super::contest::{Contest, Facts, folder};
use super::log::{Peer, peers};
use super::syncs::{self, Counted};
use super::work::Work;
use crate::report::Row;

/// Runs all rows.
pub fn rows(is_quick: bool) -> io::Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (record_bytes, writers) in [(128, 1), (1_024, 1), (16_384, 1), (128, 8), (128, 64)] {
        let appends = match (is_quick, writers) {
            (true, _) => 20,
            (false, 64) => 100,
            (false, _) => 300,
        };
        let work = Work::Durable { record_bytes, writers, appends };
        rows.extend(contest(work, if is_quick { 5 } else { 15 })?);
    }
    for batch in [1, 10, 1_000] {
        let appends = if is_quick { 100_000 } else { 300_000 };
        let work = Work::Unsynced { record_bytes: 128, batch, appends };
        rows.extend(contest(work, if is_quick { 3 } else { 9 })?);
    }
    Ok(rows)
}

fn contest(work: Work, rounds: usize) -> io::Result<Vec<Row>> {
    let (row, unit, scale, names) = match work {
        Work::Durable { record_bytes, writers: 1, .. } => {
            (format!("durable {record_bytes} B, 1 writer"), "us/append", 1e6, &DURABLE[..])
        }
        Work::Durable { record_bytes, writers, .. } => {
            let all = &DURABLE[..DURABLE.len() - 1];
            (format!("durable {record_bytes} B, {writers} writers"), "us/append", 1e6, all)
        }
        Work::Unsynced { record_bytes, batch, .. } => {
            let row = format!("unsynced {record_bytes} B, batches of {batch}, one sync");
            (row, "ns/record", 1e9, &UNSYNCED[..])
        }
    };
    let contest = Contest { row, unit, rounds, peers: peers(names) };
    // We count ourselves, in the rounds that are measured.
    let own = RefCell::new((0, 0));
    let measure = |peer: &'static Peer| {
        let folder = folder()?;
        let log = (peer.open)(folder.path(), work.options())?;
        work.warm(&*log)?;
        let before = log.syncs();
        let elapsed = work.run(&*log)?;
        if let (Some(before), Some(after)) = (before, log.syncs()) {
            let mut own = own.borrow_mut();
            *own = (own.0 + after - before, own.1 + work.appends());
        }
        log.close()?;
        Ok(elapsed.as_secs_f64() * scale / work.appends() as f64)
    };
    let counted: BTreeMap<&str, Option<Counted>> = contest
        .peers
        .iter()
        .map(|peer| Ok((peer.name, syncs::count(peer, short(work))?)))
        .collect::<io::Result<_>>()?;
    contest.hold(measure, |peer| {
        let (own, counted) = (*own.borrow(), counted[peer.name]);
        let is_out = counted.and_then(|it| it.lack(groups(short(work))));
        Facts { target: target(work, peer), note: note(work, own, counted), is_out }
    })
}

/// The same work, less of it.
fn short(work: Work) -> Work {
    match work {
        Work::Durable { record_bytes, writers, appends } => {
            Work::Durable { record_bytes, writers, appends: appends.min(40) }
        }
        Work::Unsynced { record_bytes, batch, appends } => {
            Work::Unsynced { record_bytes, batch, appends: appends.min(10_000) }
        }
    }
}

/// Returns how many groups there must be: writers share one at most once each.
fn groups(work: Work) -> u64 {
    match work {
        Work::Durable { appends, .. } => appends,
        Work::Unsynced { .. } => 1,
    }
}

fn note(work: Work, own: (u64, u64), counted: Option<Counted>) -> String {
    let theirs = |what: fn(Counted) -> String| counted.map_or("not counted".into(), what);
    match work {
        Work::Durable { writers: 64, .. } => {
            let per_1000 = own.0 as f64 * 1e3 / own.1 as f64;
            let verdict = if per_1000 <= 40.0 { "met" } else { "missed" };
            let theirs = theirs(|it| format!("{:.0}", it.per_append() * 1e3));
            format!("syncs in 1000: ours {per_1000:.0} (at most 40: {verdict}), theirs {theirs}")
        }
        Work::Durable { .. } => {
            let per_append = own.0 as f64 / own.1 as f64;
            let theirs = theirs(|it| format!("{:.2}", it.per_append()));
            format!("syncs per append: ours {per_append:.2}, theirs {theirs}")
        }
        Work::Unsynced { .. } => {
            let theirs = theirs(|it| it.syncs.to_string());
            format!("syncs in all: theirs {theirs}")
        }
    }
}

/// Of the issue, and of section 9 of the design.
fn target(work: Work, peer: &Peer) -> Option<f64> {
    match (work, peer.name) {
        (Work::Durable { .. }, "logdb" | "fjall") => None,
        (Work::Durable { .. }, "raw") => Some(0.9),
        (Work::Durable { writers: 1, .. }, "raft-log") => Some(1.5),
        (Work::Durable { writers: 1, .. }, _) => Some(1.0),
        (Work::Durable { .. }, _) => Some(1.2),
        (Work::Unsynced { batch: 1_000, .. }, "raft-engine" | "wal-db") => Some(2.0),
        (Work::Unsynced { .. }, _) => None,
    }
}

/// We first. The last one has one writer.
const DURABLE: [&str; 9] = [
    "ours",
    "raft-engine",
    "raft-log",
    "raft-log, no wait",
    "wal-db",
    "okaywal",
    "logdb",
    "fjall",
    "raw",
];

const UNSYNCED: [&str; 8] = [
    "ours",
    "raft-engine",
    "raft-log, no wait",
    "wal-db",
    "logdb",
    "fjall",
    "nano-wal",
    "commitlog",
];
