//! Durable appends, one at a time and by many writers.

use std::fs;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use okaywal::{LogVoid, WriteAheadLog};
use quorate_wal::{Config, Wal};

use crate::report::Row;

/// What is done in a round.
#[derive(Clone, Copy)]
struct Work {
    record_bytes: usize,
    writers: u32,
    /// By each writer.
    appends: u32,
}

/// How long a round took, and the syncs in it if they are known.
struct Measured {
    elapsed: Duration,
    syncs: Option<u64>,
}

type Measure = fn(&Path, Work) -> io::Result<Measured>;

/// Runs all rows.
pub fn run(is_quick: bool) -> io::Result<Vec<Row>> {
    let (rounds, appends) = if is_quick { (3, 40) } else { (15, 300) };
    let mut rows = Vec::new();
    for (record_bytes, writers) in [(128, 1), (1_024, 1), (16_384, 1), (128, 8)] {
        let work = Work { record_bytes, writers, appends };
        let mut peers: Vec<(&str, &str, Measure)> = vec![("okaywal", "0.3.1", okaywal)];
        if writers == 1 {
            peers.push(("raw", "std", raw));
        }
        rows.extend(compare(work, rounds, &peers)?);
    }
    Ok(rows)
}

/// Measures us and all `peers` in turns.
fn compare(
    work: Work,
    rounds: usize,
    peers: &[(&'static str, &'static str, Measure)],
) -> io::Result<Vec<Row>> {
    // On the file system of the sources, which is a disk more often than that of temporary files.
    let place = concat!(env!("CARGO_MANIFEST_DIR"), "/target/rows");
    fs::create_dir_all(place)?;
    let all: Vec<Measure> =
        [ours as Measure].into_iter().chain(peers.iter().map(|it| it.2)).collect();
    let mut found: Vec<Vec<f64>> = vec![Vec::new(); all.len()];
    let (mut syncs, mut synced) = (0, 0);
    for round in 0..rounds {
        for turn in 0..all.len() {
            let which = (round + turn) % all.len();
            let folder = tempfile::tempdir_in(place)?;
            let measured = all[which](folder.path(), work)?;
            let appends = f64::from(work.writers * work.appends);
            found[which].push(measured.elapsed.as_secs_f64() * 1e6 / appends);
            if let Some(count) = measured.syncs {
                syncs += count;
                synced += u64::from(work.writers * work.appends);
            }
        }
    }
    let medians: Vec<f64> = found.into_iter().map(median).collect();
    let rows = peers.iter().zip(&medians[1..]).map(|((peer, version, _), value)| Row {
        family: "wal",
        row: match work.writers {
            1 => format!("durable {} B, 1 writer", work.record_bytes),
            writers => format!("durable {} B, {writers} writers", work.record_bytes),
        },
        peer,
        version,
        unit: "us/append",
        ours: medians[0],
        peer_value: *value,
        note: format!("{:.2} syncs per append", syncs as f64 / synced as f64),
    });
    Ok(rows.collect())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn ours(folder: &Path, work: Work) -> io::Result<Measured> {
    let (wal, _) = Wal::open(folder, Config::default()).map_err(io::Error::other)?;
    let record = Bytes::from(vec![7; work.record_bytes]);
    let append = || wal.append(record.clone()).and_then(|ack| ack.wait()).map_err(io::Error::other);
    append()?;
    let before = wal.stats().syncs;
    let elapsed = time(work, append)?;
    Ok(Measured { elapsed, syncs: Some(wal.stats().syncs - before) })
}

fn okaywal(folder: &Path, work: Work) -> io::Result<Measured> {
    let log = WriteAheadLog::recover(folder, LogVoid)?;
    let record = vec![7; work.record_bytes];
    let append = || {
        let mut entry = log.begin_entry()?;
        entry.write_chunk(&record)?;
        entry.commit().map(drop)
    };
    append()?;
    let elapsed = time(work, append)?;
    log.shutdown()?;
    Ok(Measured { elapsed, syncs: None })
}

fn raw(folder: &Path, work: Work) -> io::Result<Measured> {
    let file = fs::File::create_new(folder.join("raw"))?;
    let record = vec![7; work.record_bytes];
    let total = (work.appends as usize + 1) * work.record_bytes;
    file.write_all_at(&vec![0; total], 0)?;
    file.sync_all()?;
    let start = Instant::now();
    for append in 0..u64::from(work.appends) {
        file.write_all_at(&record, append * work.record_bytes as u64)?;
        file.sync_data()?;
    }
    Ok(Measured { elapsed: start.elapsed(), syncs: None })
}

/// Runs `append` in as many threads as there are writers, and takes the time of all.
fn time(work: Work, append: impl Fn() -> io::Result<()> + Sync) -> io::Result<Duration> {
    let start = Instant::now();
    thread::scope(|scope| {
        let write = || (0..work.appends).try_for_each(|_| append());
        let others: Vec<_> = (1..work.writers).map(|_| scope.spawn(write)).collect();
        write()?;
        others.into_iter().try_for_each(|it| it.join().expect("a writer does not panic"))
    })?;
    Ok(start.elapsed())
}
