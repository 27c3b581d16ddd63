//! Rows of a writer with someone who waits: a tail reader, and whoever appends where a log rolls.

use std::io;
use std::thread;
use std::time::Instant;

use super::contest::{Contest, Facts, folder};
use super::log::{Options, Peer, peers, record};
use super::work::pool;
use crate::report::Row;

/// Runs all rows.
pub fn rows(is_quick: bool) -> io::Result<Vec<Row>> {
    let mut rows = tail(is_quick)?;
    rows.extend(roll(is_quick)?);
    Ok(rows)
}

/// Batches, each synced, until a reader has seen them all.
fn tail(is_quick: bool) -> io::Result<Vec<Row>> {
    let (batches, rounds) = if is_quick { (100, 3) } else { (1_000, 9) };
    let pool = pool(128);
    let row = format!("writer to tail reader, 128 B, {batches} synced batches of 100");
    let contest = Contest { row, unit: "us/record", rounds, peers: peers(&["ours", "logdb"]) };
    let measure = |peer: &'static Peer| {
        let folder = folder()?;
        let log = (peer.open)(folder.path(), Options::default())?;
        let count = batches * 100;
        let start = Instant::now();
        thread::scope(|scope| {
            let reader = scope.spawn(|| log.follow(count));
            for _ in 0..batches {
                log.append_batch(&pool[..100])?;
                log.sync()?;
            }
            reader.join().expect("the reader does not panic")
        })?;
        let elapsed = start.elapsed();
        log.close()?;
        Ok(elapsed.as_secs_f64() * 1e6 / count as f64)
    };
    let note = "ours is woken; a Tailer asks again and again";
    contest.hold(measure, |_| Facts { target: Some(1.0), note: note.into(), ..Facts::default() })
}

/// Appends of which one in a few hundred begins a segment.
fn roll(is_quick: bool) -> io::Result<Vec<Row>> {
    let (appends, rounds) = if is_quick { (1_000, 1) } else { (4_000, 5) };
    let names = ["ours", "raft-engine", "raft-log, no wait", "wal-db"];
    let row = "durable 16384 B, segments of 4 MiB, p99.9".to_owned();
    let contest = Contest { row, unit: "us", rounds, peers: peers(&names) };
    let options = Options { segment_bytes: Some(4 << 20), ..Options::default() };
    let measure = |peer: &'static Peer| {
        let folder = folder()?;
        let log = (peer.open)(folder.path(), options)?;
        let record = record(0, 16 << 10);
        let mut times = Vec::with_capacity(appends);
        for _ in 0..appends {
            let start = Instant::now();
            log.append_durable(0, &record)?;
            times.push(start.elapsed().as_secs_f64() * 1e6);
        }
        log.close()?;
        times.sort_by(f64::total_cmp);
        Ok(times[appends * 999 / 1_000])
    };
    let note = "ours syncs three times more when a segment begins";
    contest.hold(measure, |_| Facts { note: note.into(), ..Facts::default() })
}
