//! Rows of large logs: opening one that was closed, replaying it, scanning, reading at random.
//!
//! Each log is written once, in batches, and opened in every round; it stays in the page cache.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs;
use std::hint::black_box;
use std::io;
use std::time::Instant;

use quorate_core::SplitMix64;
use tempfile::TempDir;

use super::contest::{Contest, Facts, folder};
use super::log::{Log, Options, Peer, peers};
use super::work::{append_all, pool};
use crate::report::Row;

/// Runs all rows.
pub fn rows(is_quick: bool) -> io::Result<Vec<Row>> {
    let (kib, records, reads) =
        if is_quick { (160 << 10, 100_000, 10_000) } else { (1 << 20, 1_000_000, 100_000) };
    let rounds = if is_quick { 3 } else { 7 };
    let mut rows = opening(kib, rounds)?;
    rows.extend(reading(records, reads, rounds)?);
    Ok(rows)
}

/// Closed logs.
struct Logs(BTreeMap<&'static str, TempDir>);

impl Logs {
    /// Writes one of each kind.
    fn write(
        peers: &[&'static Peer],
        record_bytes: usize,
        batch: usize,
        count: u64,
    ) -> io::Result<Self> {
        let pool = pool(record_bytes);
        let write = |peer: &&'static Peer| {
            eprintln!("wal: {} writes {count} records of {record_bytes} B", peer.name);
            let folder = folder()?;
            let log = (peer.open)(folder.path(), Options::default())?;
            // Not more at once than each of them holds in memory.
            let chunk = (16 << 20) / record_bytes as u64 / batch as u64 * batch as u64;
            for first in (0..count).step_by(chunk as usize) {
                append_all(&*log, &pool, batch, chunk.min(count - first))?;
            }
            log.close()?;
            Ok((peer.name, folder))
        };
        Ok(Self(peers.iter().map(write).collect::<io::Result<_>>()?))
    }

    fn open(&self, peer: &Peer) -> io::Result<Box<dyn Log>> {
        (peer.open)(self.0[peer.name].path(), Options::default())
    }
}

fn opening(kib: u64, rounds: usize) -> io::Result<Vec<Row>> {
    // logdb waits for 10 s when it is closed and nothing was appended.
    let peers = peers(&["ours", "raft-engine", "raft-log", "wal-db", "fjall"]);
    let logs = Logs::write(&peers, 1_024, 10, kib)?;
    let size = if kib < 1 << 20 { format!("{} MiB", kib >> 10) } else { "1 GiB".into() };
    let mut read = BTreeMap::new();
    for peer in &peers {
        let before = bytes_read()?;
        let log = logs.open(peer)?;
        read.insert(peer.name, bytes_read()? - before);
        log.close()?;
    }
    let note = |peer: &Peer| {
        let mib = |name: &str| read[name] as f64 / f64::from(1 << 20);
        format!("MiB read: ours {:.1}, theirs {:.1}; {}", mib("ours"), mib(peer.name), peer.memory)
    };
    let contest = |row: String| Contest { row, unit: "ms", rounds, peers: peers.clone() };
    let mut rows = contest(format!("open, closed, {size} of 1 KiB")).hold(
        |peer| {
            let start = Instant::now();
            let log = logs.open(peer)?;
            let elapsed = start.elapsed();
            log.close()?;
            Ok(elapsed.as_secs_f64() * 1e3)
        },
        |peer| Facts { target: target(peer, 5.0), note: note(peer), is_out: None },
    )?;
    rows.extend(contest(format!("open and replay, {size} of 1 KiB")).hold(
        |peer| {
            let start = Instant::now();
            let log = logs.open(peer)?;
            scan(&*log, kib)?;
            let elapsed = start.elapsed();
            log.close()?;
            Ok(elapsed.as_secs_f64() * 1e3)
        },
        |peer| Facts { target: target(peer, 1.5), note: peer.memory.into(), is_out: None },
    )?);
    Ok(rows)
}

fn reading(count: u64, reads: u64, rounds: usize) -> io::Result<Vec<Row>> {
    let scanned = peers(&["ours", "raft-engine", "raft-log", "wal-db", "logdb", "fjall"]);
    let logs = Logs::write(&scanned, 100, 10, count)?;
    let open: BTreeMap<&str, Box<dyn Log>> =
        scanned.iter().map(|peer| Ok((peer.name, logs.open(peer)?))).collect::<io::Result<_>>()?;
    let contest = |row: String, peers| Contest { row, unit: "ns/record", rounds, peers };
    let measure = |peer: &'static Peer| {
        let start = Instant::now();
        scan(&*open[peer.name], count)?;
        Ok(start.elapsed().as_secs_f64() * 1e9 / count as f64)
    };
    let row = format!("scan, {} k of 100 B", count / 1_000);
    let facts = |peer: &'static Peer| Facts {
        target: target(peer, 1.0),
        note: peer.memory.into(),
        is_out: None,
    };
    let mut rows = contest(row, scanned).hold(measure, facts)?;

    let measure = |peer: &'static Peer| {
        let log = &open[peer.name];
        let mut random = SplitMix64::new(7);
        let start = Instant::now();
        for _ in 0..reads {
            black_box(log.read(random.below(count))?);
        }
        Ok(start.elapsed().as_secs_f64() * 1e9 / reads as f64)
    };
    let row = format!("read at random, {} k of {} k", reads / 1_000, count / 1_000);
    let facts = |peer: &'static Peer| {
        let target = (peer.name == "raft-engine").then_some(0.8);
        Facts { target, note: peer.memory.into(), is_out: None }
    };
    // wal-db finds a record by its offset, which its caller must keep.
    let peers = peers(&["ours", "raft-engine", "raft-log", "logdb", "fjall"]);
    rows.extend(contest(row, peers).hold(measure, facts)?);
    open.into_values().try_for_each(Log::close)?;
    Ok(rows)
}

/// Reads all, and checks that it is all.
fn scan(log: &dyn Log, expected: u64) -> io::Result<()> {
    let count = Cell::new(0);
    log.scan(&mut |record| {
        black_box(record);
        count.set(count.get() + 1);
    })?;
    if count.get() == expected {
        return Ok(());
    }
    Err(io::Error::other(format!("{} records, expected {expected}", count.get())))
}

/// Of the issue: it names three.
fn target(peer: &Peer, target: f64) -> Option<f64> {
    matches!(peer.name, "raft-engine" | "raft-log" | "wal-db").then_some(target)
}

/// Returns what this process read so far. It does not know of mappings.
fn bytes_read() -> io::Result<u64> {
    let io = fs::read_to_string("/proc/self/io")?;
    let read = io.lines().find_map(|line| line.strip_prefix("rchar: "));
    read.and_then(|it| it.parse().ok()).ok_or_else(|| io::ErrorKind::InvalidData.into())
}
