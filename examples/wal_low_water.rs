//! Two ways to keep a log short: what a snapshot stands for may go, and what is old.
//!
//! A counter is kept in a log of increments. A snapshot of its sum lets the log go on behind it.
//! When the newest snapshot rots, the one before is used, and the log still has what follows it.
//! Then a retention by age, which a reader keeps from going too far.
//!
//! Run with `cargo run --example wal_low_water`.

use std::error::Error;
use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::time::Duration;

use quorate_wal::{Config, Index, Preallocate, Retention, SnapshotConfig, Snapshots, Wal};

fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let (log, snaps) = (folder.path().join("log"), folder.path().join("snapshots"));
    let (wal, _) = Wal::open(&log, config())?;
    let snapshots = Snapshots::open(&snaps, &wal, SnapshotConfig::default())?;

    // A snapshot each hundred increments. It is durable before a record goes because of it.
    for number in 1..=350_u64 {
        drop(wal.append(number.to_le_bytes().to_vec())?);
        if number % 100 == 0 {
            wal.sync()?;
            let mut writer = snapshots.create(Index(number), b"sum")?;
            writer.append(&(1..=number).sum::<u64>().to_le_bytes())?;
            writer.finish()?;
            snapshots.install(Index(number))?;
        }
    }
    wal.sync()?;
    println!("snapshots of {:?}", snapshots.indexes().iter().map(|it| it.0).collect::<Vec<_>>());
    println!("the log begins at {}, in {} files", wal.first_index(), files(&log)?);
    assert_eq!(snapshots.indexes(), [Index(200), Index(300)]);
    assert_eq!(wal.first_index(), Index(201), "either can be gone on from");
    assert_eq!(recover(&snapshots, &wal)?, (300, SUM));

    // The newest one rots.
    let newest = snaps.join(format!("{:020}.snapshot", 300));
    let mut bytes = fs::read(&newest)?;
    bytes[80] ^= 1;
    fs::write(&newest, bytes)?;
    assert_eq!(recover(&snapshots, &wal)?, (200, SUM), "nothing is lost");

    // By age: what is sealed for an hour goes, but for what a backup still reads.
    let hour = Duration::from_secs(3_600);
    let policy = Retention { age: Some(hour), ..Retention::default() };
    drop(snapshots); // It would keep what it needs.
    let backup = wal.hold(Index(320));
    let began = wal.retain(&policy, NOON)?;
    let held = wal.retain(&policy, NOON + 3_600_000)?;
    drop(backup);
    let free = wal.retain(&policy, NOON + 3_600_000)?;
    println!("the mark by age: {began} at noon, {held} an hour later, {free} after the backup");
    assert!(began == Index(201) && held <= Index(320) && Index(320) < free);
    assert!(files(&log)? <= 2, "whole segments were freed");
    Ok(())
}

/// Returns the snapshot that was used, and the sum of it and the log behind it.
fn recover(snapshots: &Snapshots, wal: &Wal) -> Result<(u64, u64), Box<dyn Error>> {
    let newest = snapshots.newest()?;
    for damage in &newest.damaged {
        println!("damaged: {damage}");
    }
    assert!(newest.missing.is_empty(), "the log goes on from it");
    let mut reader = newest.reader.ok_or("there is no snapshot")?;
    let mut bytes = [0; 8];
    reader.read_exact(&mut bytes)?;
    let mut sum = u64::from_le_bytes(bytes);
    for item in wal.records(reader.index().plus(1)..) {
        sum += u64::from_le_bytes(item?.1[..].try_into()?);
    }
    println!("snapshot {} and the log behind it: {sum}", reader.index());
    Ok((reader.index().0, sum))
}

fn files(log: &Path) -> std::io::Result<usize> {
    let is_segment = |it: &fs::DirEntry| it.path().extension() == Some("wal".as_ref());
    Ok(fs::read_dir(log)?.flatten().filter(is_segment).count())
}

fn config() -> Config {
    let mut config = Config::default();
    // Short segments, so that some are freed; a fixed log, so that equal runs are equal.
    config.segment_bytes = 1_024;
    config.preallocate = Preallocate::None;
    config.seed = Some(1);
    config
}

/// 1 and 2 and so on to 350.
const SUM: u64 = 350 * 351 / 2;

/// Wall time in milliseconds. The log has no clock: whoever calls it has.
const NOON: u64 = 1_800_014_400_000;
