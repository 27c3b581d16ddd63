//! A record of a log is damaged, and a replica still has it.
//!
//! The log refuses to open, and names the record. Opened by salvage, everything else reads, and
//! exactly the bytes that were there are put back, in place.
//!
//! Run with `cargo run --example wal_salvage`.

use std::error::Error;
use std::fs;
use std::path::Path;

use quorate_wal::{
    Config, Damage, Index, OpenError, ReadError, Recovery, RestoreError, Wal, WriteError,
};

fn main() -> Result<(), Box<dyn Error>> {
    let (here, replica) = (tempfile::tempdir()?, tempfile::tempdir()?);
    for folder in [&here, &replica] {
        let (wal, _) = Wal::open(folder.path(), Config::default())?;
        wal.append_batch(["deposit 10", "withdraw 3", "deposit 5"])?.wait()?;
        wal.close()?;
    }
    let segment = here.path().join("00000000000000000001.wal");
    damage(&segment, b"withdraw 3", b"withdraw 9")?;

    let Err(OpenError::Corrupt(found)) = Wal::open(here.path(), Config::default()) else {
        return Err("damage must be refused".into());
    };
    println!("refused: {found}");
    assert_eq!(found.index, Some(Index(2)));

    let mut config = Config::default();
    config.recovery = Recovery::Salvage;
    let (wal, recovered) = Wal::open(here.path(), config.clone())?;
    println!("salvaged: {:?} damaged, {:?} lost", recovered.damaged.len(), recovered.lost.len());
    assert!(matches!(wal.read(Index(2)), Err(ReadError::Corrupt(_))));
    assert_eq!(wal.read(Index(3))?.as_deref(), Some(&b"deposit 5"[..]));

    // Each damaged record is fetched from the replica. Nothing else than what stood there is taken.
    let (other, _) = Wal::open(replica.path(), Config::default())?;
    for index in recovered.damaged.iter().filter_map(|damage| damage.index) {
        let wrong = wal.restore(index, b"withdraw 1");
        assert!(matches!(wrong, Err(RestoreError::Mismatch { .. })));
        let record = other.read(index)?.ok_or("the replica must have it")?;
        wal.restore(index, &record)?;
        println!("restored: record {index}");
    }
    println!("verified: {} records", wal.verify()?.records);
    wal.append("deposit 1")?.wait()?;
    wal.close()?;
    let (wal, _) = Wal::open(here.path(), Config::default())?;
    assert_eq!(wal.read(Index(2))?.as_deref(), Some(&b"withdraw 3"[..]));
    wal.close()?;

    // Where the head is damaged too, nobody knows what stood there: then the log can only be read,
    // and what is right is copied into another.
    let head = found.offset as usize + 4;
    let mut bytes = fs::read(&segment)?;
    bytes[head] ^= 1;
    fs::write(&segment, bytes)?;
    let (wal, recovered) = Wal::open(here.path(), config)?;
    let lost: Vec<_> = recovered.lost.iter().map(|it| it.indexes.clone()).collect();
    println!("lost: records {}..{}", lost[0].start, lost[0].end);
    assert_eq!(lost, [Index(2)..Index(3)]);
    let refused = wal.append("deposit 2").map(drop);
    assert!(matches!(refused, Err(WriteError::ReadOnly { damage: Some(Damage { .. }) })));
    Ok(())
}

/// Puts `to` where `from` is in the file.
fn damage(path: &Path, from: &[u8], to: &[u8]) -> Result<(), Box<dyn Error>> {
    let mut bytes = fs::read(path)?;
    let at = bytes.windows(from.len()).position(|it| it == from).ok_or("it must be there")?;
    bytes[at..at + to.len()].copy_from_slice(to);
    Ok(fs::write(path, bytes)?)
}
